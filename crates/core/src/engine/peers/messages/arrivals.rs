//! Telling a person of a message from a person of a peer.
//!
//! ```text
//! message ──▶ stored in the inbox, with an event for open connections
//!                │ no open connection, and the person did not decline
//!                ▼
//!             alarm `message ACCOUNT`: one for all messages, notified once in 15 minutes at most
//! ```

use std::collections::BTreeSet;

use countersign_proto::name::AccountName;

use crate::accounts::Account;
use crate::alarms::{Raiser, SystemAlarm, Target};
use crate::engine::{Changes, NewAlarm, Refusal, Site};
use crate::timestamp::Timestamp;

impl Site {
    /// Returns the changes that raise the alarm of a message from a peer. Commit them together with
    /// the message. They are empty if the person has an open connection that receives events, was
    /// notified within the deduplication window, or declined such alarms: a peer that floods a person
    /// causes no more writes than one that does not.
    pub(crate) async fn message_alarm(
        &self,
        person: &Account,
        from: &AccountName,
        now: Timestamp,
    ) -> Result<Changes, Refusal> {
        let listening = self.events().listening(&BTreeSet::from([person.id]));
        if !listening.is_empty() {
            return Ok(Changes::default());
        }
        let alarm = SystemAlarm::PeerMessage {
            account: person.id,
            person: person.name.to_string(),
            from: from.to_string(),
            at: now,
        };
        let (to, key) = (Target::Person(person.id), alarm.key());
        let current = self.store().current_alarm(Raiser::Site, to, &key).await?;
        if current.is_some_and(|current| current.was_notified_recently(now)) {
            return Ok(Changes::default());
        }
        let stored = self.store().preferences(person.id).await?;
        if stored.is_some_and(|stored| !stored.preferences.peer_messages) {
            return Ok(Changes::default());
        }
        match self.site_alarm(NewAlarm::of_site(to, &alarm), now).await {
            // The person was deleted: the message will not be stored either.
            Err(refusal) if refusal.is_not_found() => Ok(Changes::default()),
            raised => raised,
        }
    }
}
