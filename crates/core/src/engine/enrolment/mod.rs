//! Enrolment: a device presents the token of a ticket and a key of its own, and becomes a device of
//! the ticket's account.
//!
//! ```text
//! token ──▶ known? ──▶ usable? ──▶ right id and kind? ──▶ proof verifies? ──▶ one change set: ticket bound, device made
//!             │no         │no            │no                    │no                       │another key was faster
//!             ▼           ▼              ▼                      ▼                         ▼
//!          counted     counted     ticket revoked         ticket revoked       `ticket.second_key`, counted
//! ```
//!
//! The client learns of none of these refusals. What is cheap comes first: an unknown token costs two
//! look-ups by an index, and a key other than the bound one costs no public-key work.

mod first_admin;
mod misused;
mod registration;

use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::device_key::DeviceKey;
use countersign_proto::device::DeviceName;
use countersign_proto::enrolment::{EnrolmentRequest, ProvenKey, TicketKind, TokenHash};
use countersign_proto::name::AccountName;
use serde_json::{Value, json};

use super::Site;
use crate::access::Channel;
use crate::accounts::{Account, Kind};
use crate::alarms::SystemAlarm;
use crate::audit::coalesced::Occurrence;
use crate::audit::{AuditDraft, AuditOutcome};
use crate::devices::{DEVICES_PER_ACCOUNT, Device};
use crate::enrolment::{EnrolmentTicket, RevocationReason, Usable};
use crate::id::DeviceId;
use crate::lockdown::Activity;
use crate::store::{Change, ChangeSet, StoreError, Thing, Unique};
use crate::throttle::{Abuse, Source};
use crate::timestamp::Timestamp;

pub(crate) use first_admin::FirstAdminView;
use misused::Misuse;
pub(super) use misused::MisusedTickets;
pub use registration::{Begun, RegistrationOrigin, StartedRegistration};

/// Lockdowns, or the site's keys, changed while the ticket was used. It stays as it was, so that the client may
/// begin again.
const CHANGED_MEANWHILE: &str = "changed_meanwhile";

/// A device was enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enrolled {
    /// Its id.
    pub device: DeviceId,
    /// Whether it had been enrolled with this ticket before: the answer to that was lost.
    pub repeated: bool,
}

/// A device was not enrolled. The client gets the same silence whichever it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotEnrolled {
    /// The token, or what came with it, is not right. The site has counted or audited it.
    #[error("the enrolment was refused")]
    Refused,
    /// The store is in trouble; a client may try again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Site {
    /// Enrols a device. `proof` is [`EnrolmentRequest::verify`], and is polled only when token and id are
    /// right: wait in it for a turn at public-key work.
    ///
    /// A right token is spent in either case: it is bound to the key, or revoked when what came
    /// with it is wrong. The bound key may come again until the ticket expires and gets the same
    /// answer. Refusals are counted for the audit log and as
    /// [`Abuse::NotAuthenticated`] of the source; the
    /// caller counts nothing.
    ///
    /// Run this to its end even when the client goes away, so that a client cannot keep a token
    /// unspent by that.
    ///
    /// # Errors
    /// [`NotEnrolled`].
    pub async fn enrol(
        &self,
        request: &EnrolmentRequest,
        proof: impl Future<Output = Option<ProvenKey>> + Send,
        source: Source,
        now: Timestamp,
    ) -> Result<Enrolled, NotEnrolled> {
        let (token, key) = (request.token_hash(), request.claimed_thumbprint());
        let origin = RegistrationOrigin::device(source);
        let presented = self.presented(&token, key, origin, now).await?;
        let account = &presented.account;
        let name = self.qualified_name(request.id().clone());
        presented.expect(TicketKind::Device, &name).await?;
        let proven = proof.await.map(ProvenKey::into_key);
        let proven = proven.filter(|key| key.thumbprint() == presented.thumbprint);
        let Some(key) = proven else {
            return presented.misused(RevocationReason::WrongProof).await;
        };
        // Read again: the account may have been locked while the proof waited for its turn.
        let owner = self.store().device_owner(account.id).await?;
        let Some((_, devices)) = owner.filter(|(account, _)| account.is_active()) else {
            return Err(presented.refused("account_not_active"));
        };
        // Before it is asked what they refuse.
        let lockdowns = self.expect_lockdowns();
        if presented.is_locked_down() {
            return Err(presented.refused("lockdown"));
        }
        match presented.bound {
            Some(device) => presented.repeat(device).await,
            None if devices >= DEVICES_PER_ACCOUNT as u64 => {
                Err(presented.refused("too_many_devices"))
            }
            None => presented.register(key, request.device(), lockdowns).await,
        }
    }

    /// The ticket of a token, if a key can be registered with it or was. `thumbprint` is that of
    /// the key that came with it.
    pub(super) async fn presented(
        &self,
        token: &TokenHash,
        thumbprint: Thumbprint,
        origin: RegistrationOrigin,
        now: Timestamp,
    ) -> Result<Presented<'_>, NotEnrolled> {
        let RegistrationOrigin {
            source, channel, ..
        } = origin;
        let unknown = || {
            let outcome = AuditOutcome::Failed;
            let unknown = Occurrence::of_source(source, channel, "ticket.unknown", outcome);
            self.refused(origin.penalised(), unknown, now);
            NotEnrolled::Refused
        };
        if self.is_sealed() {
            return Err(unknown());
        }
        let Some(ticket) = self.store().ticket_by_token(token).await? else {
            // The ticket of the first admin belongs to no account, and this is the dialog of another kind.
            return Err(match self.first_admin(token).await? {
                Some(first) => self.first_admin_misused(&first, origin, now).await,
                None => unknown(),
            });
        };
        let account = self.store().account(ticket.account).await?;
        let account = account.ok_or_else(unknown)?;
        let usable = ticket.usable(&thumbprint, now);
        let mut presented = Presented {
            site: self,
            thumbprint,
            ticket,
            account,
            bound: None,
            source,
            penalised: origin.penalised(),
            channel,
            now,
        };
        if self.refuses_ticket(presented.ticket.id, None) {
            return Err(presented.refused("revoked"));
        }
        // The ticket stays as it is, and may be used once the lockdown is lifted.
        if presented.is_locked_down() {
            return Err(presented.refused("lockdown"));
        }
        match usable {
            Usable::Registers => {}
            Usable::Repeats(device) => presented.bound = Some(device),
            Usable::SecondKey => return Err(presented.second_key()),
            Usable::Expired => return Err(presented.refused("expired")),
            Usable::Revoked => return Err(presented.refused("revoked")),
        }
        Ok(presented)
    }
}

/// A right token, with what came with it.
pub(super) struct Presented<'a> {
    pub(super) site: &'a Site,
    /// SHA-256 of the key that came with it.
    pub(super) thumbprint: Thumbprint,
    pub(super) ticket: EnrolmentTicket,
    pub(super) account: Account,
    /// The ticket is bound to that key already, which a device has or a pass phrase unseals.
    pub(super) bound: Option<Option<DeviceId>>,
    pub(super) source: Source,
    /// The source that a refusal counts against.
    penalised: Option<Source>,
    /// The channel on which it came.
    pub(super) channel: Channel,
    pub(super) now: Timestamp,
}

impl Presented<'_> {
    /// Whether a lockdown refuses the ticket.
    pub(super) fn is_locked_down(&self) -> bool {
        let activity = match self.ticket.kind {
            TicketKind::Device => Activity::DeviceEnrolment,
            TicketKind::Peer => Activity::PeerJoin,
            TicketKind::Passphrase => Activity::PassphraseTicket,
            TicketKind::Admin => Activity::FirstAdmin,
        };
        !self.site.permits_account(activity, self.account.id)
    }

    /// The device that was enrolled before, if it was not revoked since.
    async fn repeat(&self, id: Option<DeviceId>) -> Result<Enrolled, NotEnrolled> {
        let device = match id {
            Some(id) => self.site.store().device(id).await?,
            None => None,
        };
        match device {
            Some(device) if device.account == self.account.id => Ok(Enrolled {
                device: device.id,
                repeated: true,
            }),
            _ => Err(self.refused("device_revoked")),
        }
    }

    /// Binds the ticket to the key and makes the device, both or neither, and only if the lockdowns are still the
    /// same. The state of the ticket stands for the account: what takes the right away revokes the ticket.
    async fn register(
        &self,
        key: DeviceKey,
        name: &DeviceName,
        lockdowns: Change,
    ) -> Result<Enrolled, NotEnrolled> {
        let (site, account, now) = (self.site, &self.account, self.now);
        let device = Device {
            id: DeviceId::new(now, &mut site.entropy()),
            account: account.id,
            name: name.clone(),
            spki: key.spki().to_vec(),
            thumbprint: key.thumbprint(),
            created: now,
            last_seen: None,
            revision: 1,
        };
        let id = device.id;
        let bind = Change::BindTicket {
            id: self.ticket.id,
            account: account.id,
            thumbprint: device.thumbprint,
            device: Some(id),
            at: now,
        };
        let details = json!({
            "device": id,
            "name": device.name,
            "thumbprint": device.thumbprint.to_string(),
            "ticket": self.ticket.id,
            "source": self.source,
        });
        let audit = AuditDraft {
            target: Some(account.name.to_string()),
            details: details.to_string(),
            ..AuditDraft::of_account(account, Channel::Device, "device.enrolled", now)
        };
        let changes = vec![bind, Change::InsertDevice(device), lockdowns];
        match site.store().commit(ChangeSet::new(changes, audit)).await {
            Ok(_) => Ok(Enrolled {
                device: id,
                repeated: false,
            }),
            Err(StoreError::Stale {
                what: Thing::Ticket,
            }) => self.overtaken().await,
            Err(StoreError::Conflict {
                what: Unique::DeviceKey,
            }) => self.misused(RevocationReason::KeyInUse).await,
            Err(StoreError::Stale {
                what: Thing::Setting,
            }) => Err(self.refused(CHANGED_MEANWHILE)),
            // The account was deleted meanwhile, and the ticket with it.
            Err(StoreError::NotFound { .. }) => Err(self.refused("deleted")),
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// Another request was faster: it had the same key, or another one.
    async fn overtaken(&self) -> Result<Enrolled, NotEnrolled> {
        let device = self.bound_meanwhile().await?;
        self.repeat(device).await
    }

    /// Another request was faster. Returns the device, if the ticket is bound to the same key.
    pub(super) async fn bound_meanwhile(&self) -> Result<Option<DeviceId>, NotEnrolled> {
        let found = self.site.store().enrolment_ticket(self.ticket.id).await?;
        match found.map(|ticket| ticket.usable(&self.thumbprint, self.now)) {
            Some(Usable::Repeats(device)) => Ok(device),
            Some(Usable::SecondKey) => Err(self.second_key()),
            _ => Err(self.refused("revoked")),
        }
    }

    /// Compares the kind and the id that came with the token. The first wrong one spends the ticket: of
    /// requests with different ids at the same time, one is tried.
    pub(super) async fn expect(
        &self,
        kind: TicketKind,
        name: &AccountName,
    ) -> Result<(), NotEnrolled> {
        let is_kind = self.ticket.kind == kind && self.account.kind == Kind::Person;
        let why = match is_kind {
            false => Some(RevocationReason::WrongKind),
            true => (*name != self.account.name).then_some(RevocationReason::WrongId),
        };
        match why {
            Some(why) => self.misused(why).await,
            None if self.site.refuses_ticket(self.ticket.id, None) => Err(self.refused("revoked")),
            None => Ok(()),
        }
    }

    /// Revokes the ticket, since what came with its token is wrong. It is of no use from now on, also
    /// if the store cannot write. Audited as `ticket.misused`.
    pub(super) async fn misused<T>(&self, why: RevocationReason) -> Result<T, NotEnrolled> {
        let misuse = Misuse {
            account: self.account.id,
            name: self.account.name.to_string(),
            why,
            source: self.source,
            channel: self.channel,
            at: self.now,
            revoked: None,
        };
        if self
            .site
            .refuses_ticket(self.ticket.id, Some(misuse.clone()))
        {
            return Err(self.refused("revoked"));
        }
        let revoked = self
            .site
            .revoke_misused(self.ticket.id, &misuse, self.now)
            .await;
        match revoked {
            Ok(true) => {
                self.penalise();
                Err(NotEnrolled::Refused)
            }
            // It was revoked, or its account deleted, meanwhile.
            Ok(false) => Err(self.refused("revoked")),
            Err(trouble) => {
                self.penalise();
                Err(trouble.into())
            }
        }
    }

    /// The ticket was bound to another key: its token has come into other hands, before or now.
    pub(super) fn second_key(&self) -> NotEnrolled {
        let account = self.account.name.to_string();
        self.site.report(SystemAlarm::SecondKey {
            ticket: Some(self.ticket.id),
            account: Some(self.account.id),
            person: account.clone(),
            source: self.source.to_string(),
        });
        self.counted("ticket.second_key", "account", account)
    }

    /// The ticket, the account or the device is in no state for it.
    pub(super) fn refused(&self, why: &'static str) -> NotEnrolled {
        self.counted("ticket.refused", "why", why)
    }

    fn counted(&self, operation: &str, detail: &str, value: impl Into<Value>) -> NotEnrolled {
        let outcome = AuditOutcome::Failed;
        let occurrence = Occurrence::of_source(self.source, self.channel, operation, outcome)
            .to(self.ticket.id.to_string())
            .with(detail, value);
        self.site.refused(self.penalised, occurrence, self.now);
        NotEnrolled::Refused
    }

    fn penalise(&self) {
        if let Some(source) = self.penalised {
            let mut penalties = self.site.throttle().penalties();
            penalties.record_abuse(source, Abuse::NotAuthenticated, self.now);
        }
    }
}
