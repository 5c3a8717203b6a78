//! Rate limits for operations of an account that cost the site, or another account, something. Each
//! limit is a leaky bucket (GCRA): a burst, then one more per interval.

use std::collections::HashMap;

use countersign_proto::site_identity::SiteId;

use super::{make_room, since};
use crate::access::HttpCredential;
use crate::id::{AccountId, InstanceId, SessionId, TicketId};
use crate::timestamp::Timestamp;

/// The maximum number of entries. An account whose entry is removed starts again with a full burst.
const MAX_ENTRIES: usize = 16_384;

/// A credential or session of an account. It has half of each limit of the account: a stolen one leaves
/// the rest to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A token, a key or a device, over HTTP and in all sessions that it opens together.
    Credential(HttpCredential),
    /// A session that was opened with a pass phrase.
    Session(SessionId),
}

/// A limited action, and the account to which the limit applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rate {
    /// Operations with public-key work that the account calls.
    PublicKey(AccountId),
    /// Fresh proofs and registrations that the account starts. Each costs an audit entry.
    StartedBy(AccountId),
    /// Registrations that are started for the account.
    StartedFor(AccountId),
    /// Enrolment tickets issued for the account.
    Issued(AccountId),
    /// Changes of devices that the account makes.
    DeviceChanges(AccountId),
    /// Verifications of the whole audit log and database that the account requests.
    AuditVerification(AccountId),
    /// Alarms that the account raises.
    Raised(AccountId),
    /// Attempts of the account to end alarms.
    Ended(AccountId),
    /// Test alarms and changes of preferences of the account.
    AlarmSettings(AccountId),
    /// Changes of the account's own contact data.
    OwnData(AccountId),
    /// Changes of accounts and applications of others that take nothing from them.
    Edits(AccountId),
    /// Wrong secrets for the site key, from all callers together.
    SiteKeySecret,
    /// Messages that the account sends to people of peers.
    Sent(AccountId),
    /// Messages that a peer delivers.
    Delivered(SiteId),
    /// Operations that a peer calls.
    PeerOperations(SiteId),
    /// Connections that a peer opens.
    PeerConnections(SiteId),
    /// Connections that this site opens to a peer.
    ConnectionsTo(SiteId),
    /// Messages that a peer offers, also those that are refused or came before.
    Offered(SiteId),
    /// Tickets that an application of this site requests over HTTP with its own key.
    TicketRequests(InstanceId),
    /// Tickets of peers that an application of this site asks for.
    ForeignConsumer(InstanceId),
    /// Operations that this site calls at a peer, except the delivery of messages.
    AskedOfPeer(SiteId),
    /// Calls of a peer that declare tickets void and have an effect. Each costs an audit entry.
    ForeignVoid(SiteId),
    /// Messages of a peer that are the first of their pair of persons, also those for people that do
    /// not exist.
    FirstMessages(SiteId),
    /// Answers to a peer that it calls too often. One of them is no breach.
    Busy(SiteId),
    /// Times that this site follows key events of a peer. Each costs a commit.
    FollowedKeys(SiteId),
    /// Requests to join with a ticket that is bound to the site already. Each costs a verification.
    RepeatedJoins(TicketId),
    /// Changes of lockdowns that the account makes on channels that are not local.
    Lockdowns(AccountId),
    /// Audit entries that a peer's key events contradict what is known.
    Forks(SiteId),
    /// Heads of its audit log that a peer has countersigned.
    AuditHeads(SiteId),
    /// New addresses of a peer.
    Addresses(SiteId),
}

impl Rate {
    /// Returns the size of the burst and the interval in milliseconds.
    pub(crate) const fn limits(self) -> (u64, u64) {
        match self {
            // At most a quarter of a processor: an operation takes up to some milliseconds.
            Self::PublicKey(_) => (64, 125),
            // Allows 200 registrations in ten minutes, 100 of them to one session, and at most 9 MB of audit
            // entries a day.
            Self::StartedBy(_) => (30, 3_000),
            // Allows an admin to correct a mistyped pass phrase at once.
            Self::StartedFor(_) => (10, 30_000),
            // All devices of a person at once; at most 1,440 tickets and devices a day.
            Self::Issued(_) => (32, 60_000),
            // All devices of a person at once; each change costs an audit entry.
            Self::DeviceChanges(_) => (32, 30_000),
            // Each verification reads the whole database, and continues if its client disconnects.
            Self::AuditVerification(_) => (8, 30_000),
            // A burst when something breaks; at most 43,200 audit entries a day.
            Self::Raised(_) => (60, 2_000),
            // Each alarm that was raised, and as many audit entries.
            Self::Ended(_) => (60, 2_000),
            // People try their settings a few times.
            Self::AlarmSettings(_) => (10, 30_000),
            // A conversation; each message costs an audit entry.
            Self::Sent(_) => (60, 2_000),
            // What waited for a day arrives at once; at most 86,400 audit entries a day.
            Self::Delivered(_) => (2_000, 1_000),
            // Some batches in a row, and one for each message of a conversation.
            Self::PeerOperations(_) => (256, 100),
            // A link that breaks again and again; at most 86,400 lines of the log a day.
            Self::PeerConnections(_) => (16, 2_000),
            // Half of what the peer allows, so that it refuses none, also if an attacker delays those of
            // 30 s and has them arrive at once.
            Self::ConnectionsTo(_) => (8, 4_000),
            // Twice what may be delivered at once; then more than a site sends that rests for 5 s
            // after a batch of 32 of which a message was not taken.
            Self::Offered(_) => (4_000, 100),
            // New conversations and typing errors of many people; a peer that tests names learns six
            // a minute.
            Self::FirstMessages(_) => (60, 10_000),
            // A site that rests after the answer does not get another one within a second.
            Self::Busy(_) => (1, 1_000),
            // A peer that slept is followed in pages; at most 24 audit entries a day.
            Self::FollowedKeys(_) => (8, 3_600_000),
            // An answer that is lost some times.
            Self::RepeatedJoins(_) => (8, 60_000),
            // All that an admin does in an incident; never so many that others find no turn.
            Self::Lockdowns(_) => (32, 2_000),
            Self::Forks(_) => (1, 3_600_000),
            // Some verifications in a row, then one a minute; at most 1,440 audit entries a day.
            Self::AuditHeads(_) => (16, 60_000),
            // Each has up to 64 names; at most 8,640 audit entries a day.
            Self::ForeignVoid(_) => (64, 10_000),
            // A fleet that starts at once, each program for some providers; then a tenth of a
            // processor with RSA keys of 2,048 bits, and less in edition v2.
            Self::TicketRequests(_) => (4_000, 10),
            // A consumer keeps its tickets; one in a loop leaves room for the others.
            Self::ForeignConsumer(_) => (16, 1_000),
            // Half of what the peer allows (`PeerOperations`). The rest is for messages.
            Self::AskedOfPeer(_) => (128, 200),
            // An operator tries some; at most 144 audit entries a day.
            Self::Addresses(_) => (8, 600_000),
            // A person corrects a typing error at once; at most 2,880 audit entries a day.
            Self::OwnData(_) => (10, 30_000),
            // A script that maintains the data of many; never so many that a lock of one finds no moment.
            Self::Edits(_) => (64, 250),
            // A few typing errors, then one attempt in ten seconds: the operator waits, and never
            // for longer.
            Self::SiteKeySecret => (5, 10_000),
        }
    }
}

impl Rate {
    /// The account to which the limit applies; `None` for limits of others.
    pub(crate) const fn account(self) -> Option<AccountId> {
        match self {
            Self::PublicKey(account)
            | Self::StartedBy(account)
            | Self::StartedFor(account)
            | Self::Issued(account)
            | Self::DeviceChanges(account)
            | Self::AuditVerification(account)
            | Self::Raised(account)
            | Self::Ended(account)
            | Self::AlarmSettings(account)
            | Self::OwnData(account)
            | Self::Edits(account)
            | Self::Sent(account)
            | Self::Lockdowns(account) => Some(account),
            Self::SiteKeySecret
            | Self::Delivered(_)
            | Self::PeerOperations(_)
            | Self::PeerConnections(_)
            | Self::ConnectionsTo(_)
            | Self::Offered(_)
            | Self::TicketRequests(_)
            | Self::ForeignConsumer(_)
            | Self::AskedOfPeer(_)
            | Self::ForeignVoid(_)
            | Self::FirstMessages(_)
            | Self::Busy(_)
            | Self::FollowedKeys(_)
            | Self::RepeatedJoins(_)
            | Self::Forks(_)
            | Self::AuditHeads(_)
            | Self::Addresses(_) => None,
        }
    }
}

/// A limit, or the share of it that one holder has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Bucket(Rate, Option<Holder>);

impl Bucket {
    /// The size of the burst and the interval in milliseconds.
    fn limits(self) -> (u64, u64) {
        let (burst, interval) = self.0.limits();
        match self.1 {
            None => (burst, interval),
            Some(_) => ((burst / 2).max(1), interval * 2),
        }
    }

    /// The milliseconds until it is empty. More than a whole burst is possible only if the clock was
    /// set back: one action is allowed then, since what an account does seldom must not be refused
    /// for a fault that is not its own.
    fn fill(self, empty_at: Timestamp, now: Timestamp) -> u64 {
        let (burst, interval) = self.limits();
        match since(now, empty_at) {
            fill if fill > burst * interval => (burst - 1) * interval,
            fill => fill,
        }
    }
}

/// The rate limits of all accounts.
#[derive(Default)]
pub struct Rates {
    /// When each bucket will be empty again.
    empty_at: HashMap<Bucket, Timestamp>,
}

impl Rates {
    /// Counts one action.
    ///
    /// # Errors
    /// The milliseconds after which the action is allowed. It is not counted then.
    pub fn take(&mut self, rate: Rate, now: Timestamp) -> Result<(), u64> {
        self.take_all(rate, None, 1, now)
    }

    /// Counts several actions, or none of them. Those of a holder count against its share too.
    ///
    /// # Errors
    /// The milliseconds after which they are allowed, which more than a burst never are. They are
    /// not counted then.
    pub fn take_all(
        &mut self,
        rate: Rate,
        holder: Option<Holder>,
        actions: u64,
        now: Timestamp,
    ) -> Result<(), u64> {
        // The share first: what is refused to a holder costs the others nothing.
        let share = holder.map(|holder| Bucket(rate, Some(holder)));
        let buckets = share.into_iter().chain([Bucket(rate, None)]);
        for bucket in buckets.clone() {
            self.expect_room(bucket, actions, now)?;
        }
        for bucket in buckets {
            // The room that the other one needed may have been this one's.
            self.make_room(bucket, now);
            let empty_at = self.empty_at.entry(bucket).or_insert(now);
            let fill = bucket.fill(*empty_at, now);
            *empty_at = now.plus_millis(fill + actions * bucket.limits().1);
        }
        Ok(())
    }

    fn make_room(&mut self, bucket: Bucket, now: Timestamp) {
        make_room(&mut self.empty_at, &bucket, MAX_ENTRIES, |empty_at| {
            since(now, *empty_at)
        });
    }

    /// Returns the milliseconds to wait if the actions do not fit into the bucket now.
    fn expect_room(&mut self, bucket: Bucket, actions: u64, now: Timestamp) -> Result<(), u64> {
        let (burst, interval) = bucket.limits();
        self.make_room(bucket, now);
        let empty_at = self.empty_at.entry(bucket).or_insert(now);
        let fill = bucket.fill(*empty_at, now);
        // Also if they are refused: after the clock was set back, the wait must pass.
        *empty_at = now.plus_millis(fill);
        let max_fill = burst.saturating_sub(actions) * interval;
        match fill > max_fill || actions > burst {
            true => Err(fill.saturating_sub(max_fill).max(1)),
            false => Ok(()),
        }
    }

    /// The milliseconds after which [`Rates::take`] allows one more action; `None` if it does now.
    pub fn wait(&self, rate: Rate, now: Timestamp) -> Option<u64> {
        let (burst, interval) = rate.limits();
        let bucket = Bucket(rate, None);
        let fill = bucket.fill(*self.empty_at.get(&bucket)?, now);
        let max_fill = (burst - 1) * interval;
        (fill > max_fill).then(|| fill - max_fill)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_that_of_the_next_action_and_does_not_count() {
        let mut rates = Rates::default();
        let rate = Rate::SiteKeySecret;
        for _ in 0..5 {
            assert_eq!(rates.wait(rate, at(0)), None);
            rates.take(rate, at(0)).unwrap();
        }
        for _ in 0..2 {
            assert_eq!(rates.wait(rate, at(1)), Some(9_999));
        }
        assert_eq!(rates.wait(rate, at(10_000)), None);
        // The clock was set back.
        assert_eq!(rates.wait(rate, at(-1_000_000)), None);
    }

    fn account(byte: u8) -> AccountId {
        AccountId::from_bytes([byte; 16])
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// Exactly the burst is allowed at once, then one action per interval, for each account
    /// separately.
    #[test]
    fn an_account_has_a_burst_and_then_one_action_per_interval() {
        let mut rates = Rates::default();
        let rate = Rate::StartedFor(account(1));
        let done =
            |rates: &mut Rates, now| (0..20).filter(|_| rates.take(rate, now).is_ok()).count();
        assert_eq!(done(&mut rates, at(0)), 10);
        assert_eq!(rates.take(rate, at(1)), Err(29_999));
        assert_eq!(done(&mut rates, at(30_000)), 1);
        assert_eq!(done(&mut rates, at(90_000)), 2);
        assert_eq!(rates.take(Rate::StartedFor(account(2)), at(0)), Ok(()));
        assert_eq!(rates.take(Rate::StartedBy(account(1)), at(0)), Ok(()));
    }

    /// A stolen token that looped used up the rate of its account, whose own service could raise no
    /// alarm then.
    #[test]
    fn one_holder_has_half_of_a_limit_and_the_others_have_the_rest() {
        let mut rates = Rates::default();
        let rate = Rate::StartedFor(account(1));
        let session = |byte| Some(Holder::Session(SessionId::from_bytes([byte; 16])));
        let mut done = |holder, now| {
            let take = |_: &u32| rates.take_all(rate, holder, 1, now).is_ok();
            (0..20).filter(take).count()
        };
        assert_eq!(done(session(1), at(0)), 5);
        assert_eq!(done(session(2), at(0)), 5);
        assert_eq!(done(session(3), at(0)), 0, "the limit of the account");
        // One in 30 s for the account, and one in 60 s for each holder.
        assert_eq!(done(session(1), at(30_000)), 0);
        assert_eq!(done(session(3), at(30_000)), 1);
        assert_eq!(done(session(1), at(60_000)), 1);
        assert_eq!(rates.take_all(rate, session(4), 6, at(600_000)), Err(1));
    }

    #[test]
    fn several_actions_are_counted_together_or_not_at_all() {
        let mut rates = Rates::default();
        let rate = Rate::StartedFor(account(1));
        assert_eq!(rates.take_all(rate, None, 7, at(0)), Ok(()));
        assert_eq!(rates.take_all(rate, None, 4, at(0)), Err(30_000));
        assert_eq!(rates.take_all(rate, None, 3, at(0)), Ok(()));
        assert_eq!(rates.take(rate, at(0)), Err(30_000));
        assert!(
            rates
                .take_all(Rate::StartedFor(account(2)), None, 11, at(0))
                .is_err()
        );
    }

    /// Each application's first request for a ticket was refused after the clock was set back.
    #[test]
    fn a_clock_that_is_set_back_refuses_no_first_action_and_then_one_for_an_interval() {
        let mut rates = Rates::default();
        let rate = Rate::StartedFor(account(1));
        for _ in 0..10 {
            rates.take(rate, at(1_000_000_000)).unwrap();
        }
        assert_eq!(rates.take(rate, at(0)), Ok(()));
        assert_eq!(rates.take(rate, at(0)), Err(30_000));
        assert_eq!(rates.take(rate, at(30_000)), Ok(()));
    }

    /// Batches of messages of a peer were refused until the clock had caught up.
    #[test]
    fn several_actions_wait_no_longer_than_they_are_told_after_the_clock_was_set_back() {
        let mut rates = Rates::default();
        let rate = Rate::StartedFor(account(1));
        rates.take(rate, at(1_000_000_000)).unwrap();
        assert_eq!(rates.take_all(rate, None, 3, at(0)), Err(60_000));
        assert_eq!(rates.take_all(rate, None, 3, at(60_000)), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_the_busiest_account_is_kept() {
        let mut rates = Rates::default();
        let busy = Rate::StartedBy(account(255));
        for _ in 0..30 {
            rates.take(busy, at(0)).unwrap();
        }
        for number in 0..20_000_u32 {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&number.to_be_bytes());
            let _ = rates.take(Rate::StartedBy(AccountId::from_bytes(id)), at(0));
        }
        assert!(rates.empty_at.len() <= MAX_ENTRIES);
        assert!(rates.take(busy, at(0)).is_err());
    }

    /// The room for a share was that of its account, which came back without room.
    #[test]
    fn shares_do_not_grow_the_table_past_its_limit() {
        let mut rates = Rates::default();
        let number = |number: u64| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.to_be_bytes());
            id
        };
        for id in (0..MAX_ENTRIES as u64 * 2).map(number) {
            let holder = Some(Holder::Session(SessionId::from_bytes(id)));
            let rate = Rate::Sent(AccountId::from_bytes(id));
            rates.take_all(rate, holder, 1, at(0)).unwrap();
            assert!(rates.empty_at.len() <= MAX_ENTRIES);
        }
    }
}
