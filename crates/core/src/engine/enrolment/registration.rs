//! Setting a pass phrase with a ticket: an OPAQUE registration (RFC 9807, section 5) on the device
//! port. Neither the site nor an admin learns the pass phrase.
//!
//! ```text
//! token ──▶ ticket usable? ──▶ right id and kind? ──▶ proof verifies? ──▶ challenge ──▶ record ──▶ one change set:
//!               │no                 │no                   │no                │         │unusable   ticket bound,
//!               ▼                   ▼                     ▼           client vanishes   ▼           credential set
//!            counted          ticket revoked        ticket revoked     ticket stays   ticket revoked
//! ```
//!
//! The ticket is bound to the key of the person's new identity when the record is stored. Until then
//! a broken connection leaves the ticket as it was. Afterwards the same key gets the reply again.

use countersign_crypto::certificate::{Certificate, Thumbprint};
use countersign_crypto::device_key::DeviceKey;
use countersign_crypto::entropy::fresh;
use countersign_crypto::passphrase::SetupId;
use countersign_proto::enrolment::passphrase::{
    RegistrationChallenge, RegistrationRecord, RegistrationReply, RegistrationRequest,
};
use countersign_proto::enrolment::{ProvenKey, TicketKind};
use countersign_proto::name::AccountName;
use serde_json::{Value, json};

use super::first_admin::FirstAdmin;
use super::{CHANGED_MEANWHILE, NotEnrolled, Presented};
use crate::access::Channel;
use crate::accounts::{
    Account, CredentialId, PASSPHRASE_VERSION, PassphraseCredential, PassphraseSuite, check_record,
};
use crate::audit::AuditDraft;
use crate::engine::Site;
use crate::enrolment::{EnrolmentTicket, RevocationReason};
use crate::id::AccountId;
use crate::store::{Change, ChangeSet, StoreError, Thing};
use crate::throttle::{Rate, Source};
use crate::timestamp::Timestamp;

/// The site's answer to a request to set a pass phrase.
#[derive(Debug)]
pub enum Begun {
    /// Send the challenge, and pass the record to [`Site::finish_registration`].
    Started(Box<StartedRegistration>),
    /// The pass phrase was set by an earlier request with the same key.
    Repeated(RegistrationReply),
}

/// A registration whose challenge is to be answered. The site stores nothing before the record.
#[derive(Debug)]
pub struct StartedRegistration {
    holder: Holder,
    pub(super) thumbprint: Thumbprint,
    setup: SetupId,
    credential: CredentialId,
    pub(super) origin: RegistrationOrigin,
    challenge: RegistrationChallenge,
}

/// Where a registration comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistrationOrigin {
    /// The source address.
    pub source: Source,
    /// The device port, or HTTP.
    pub channel: Channel,
    /// Whether the source is that of the client. It is not if a trusted proxy names no client: the
    /// proxy gets no penalty for what its clients do.
    pub is_client: bool,
}

impl RegistrationOrigin {
    /// A client at the device port.
    #[must_use]
    pub const fn device(source: Source) -> Self {
        Self {
            source,
            channel: Channel::Device,
            is_client: true,
        }
    }

    /// A client of a sealed channel over HTTP. `is_client` is `false` if the source is a trusted proxy
    /// that names no client.
    #[must_use]
    pub const fn http(source: Source, is_client: bool) -> Self {
        Self {
            source,
            channel: Channel::Http,
            is_client,
        }
    }

    /// The source that a refusal counts against; `None` if the client is unknown.
    pub(super) fn penalised(&self) -> Option<Source> {
        self.is_client.then_some(self.source)
    }
}

/// Whose pass phrase it is.
#[derive(Debug)]
enum Holder {
    Person {
        ticket: EnrolmentTicket,
        account: AccountId,
    },
    FirstAdmin {
        first: Box<FirstAdmin>,
        name: AccountName,
    },
}

impl StartedRegistration {
    /// The site's first line.
    #[must_use]
    pub const fn challenge(&self) -> &RegistrationChallenge {
        &self.challenge
    }
}

impl Site {
    /// Answers a request to set a pass phrase. `proof` is [`RegistrationRequest::verify`], and is
    /// polled only when token and id are right: wait in it for a turn at public-key work.
    ///
    /// A wrong id, kind or proof revokes the ticket. Refusals are counted for the audit log and as
    /// abuse of the source; the caller counts nothing.
    ///
    /// # Errors
    /// [`NotEnrolled`].
    pub async fn begin_registration(
        &self,
        request: &RegistrationRequest,
        proof: impl Future<Output = Option<ProvenKey>> + Send,
        origin: RegistrationOrigin,
        now: Timestamp,
    ) -> Result<Begun, NotEnrolled> {
        let (token, thumbprint) = (request.token_hash(), request.claimed_thumbprint());
        let proof = async {
            let proven = proof.await.map(ProvenKey::into_key);
            proven.is_some_and(|key| key.thumbprint() == thumbprint)
        };
        let name = self.qualified_name(request.id().clone());
        if let Some(first) = self.first_admin(&token).await? {
            let holder = |first| Holder::FirstAdmin {
                first: Box::new(first),
                name: name.clone(),
            };
            let usable = self.first_admin_usable(&first, &name, &thumbprint, origin, now);
            let usable = usable.await?;
            if !proof.await {
                return Err(self.first_admin_misused(&first, origin, now).await);
            }
            if usable.is_repeated() {
                return Ok(Begun::Repeated(self.registration_reply(name, true)));
            }
            let account = first.account();
            let started = self.challenge(request, holder(first), account, origin, now);
            return started.map_err(|why| self.first_admin_refused(origin, why, now));
        }
        let presented = self.presented(&token, thumbprint, origin, now).await?;
        let (ticket, account) = (&presented.ticket, &presented.account);
        presented.expect(TicketKind::Passphrase, &name).await?;
        if !proof.await {
            return presented.misused(RevocationReason::WrongProof).await;
        }
        if !account.is_active() {
            return Err(presented.refused("account_not_active"));
        }
        if presented.bound.is_some() {
            return Ok(Begun::Repeated(self.registration_reply(name, true)));
        }
        let holder = Holder::Person {
            ticket: ticket.clone(),
            account: account.id,
        };
        let started = self.challenge(request, holder, account.id, origin, now);
        started.map_err(|why| presented.refused(why))
    }

    /// Stores the record of a registration. Run this to its end even when the client goes away.
    ///
    /// # Errors
    /// [`NotEnrolled`].
    pub async fn finish_registration(
        &self,
        started: &StartedRegistration,
        record: RegistrationRecord,
        now: Timestamp,
    ) -> Result<RegistrationReply, NotEnrolled> {
        match &started.holder {
            Holder::Person { ticket, account } => {
                self.finish_for_person(started, ticket, *account, record, now)
                    .await
            }
            Holder::FirstAdmin { first, name } => {
                self.finish_for_first_admin(started, first, name, record, now)
                    .await
            }
        }
    }

    /// The record is malformed, or too long: the ticket is revoked.
    ///
    /// # Errors
    /// [`NotEnrolled::Store`] if that could not be written.
    pub async fn abandon_registration(
        &self,
        started: &StartedRegistration,
        now: Timestamp,
    ) -> Result<(), NotEnrolled> {
        let refused = match &started.holder {
            Holder::Person { ticket, account } => {
                let presented = self.presented_again(started, ticket, *account, now).await?;
                presented
                    .misused::<()>(RevocationReason::BadRecord)
                    .await
                    .err()
            }
            Holder::FirstAdmin { first, .. } => {
                Some(self.first_admin_misused(first, started.origin, now).await)
            }
        };
        match refused {
            Some(NotEnrolled::Store(trouble)) => Err(trouble.into()),
            _ => Ok(()),
        }
    }

    /// Computes the challenge. The OPRF key is used for this registration only.
    fn challenge(
        &self,
        request: &RegistrationRequest,
        holder: Holder,
        account: AccountId,
        origin: RegistrationOrigin,
        now: Timestamp,
    ) -> Result<Begun, &'static str> {
        let rate = self.throttle().rates().take(Rate::StartedFor(account), now);
        rate.map_err(|_| "too_many_registrations")?;
        let opened = self.unsealed_keys().ok_or("sealed")?;
        let credential = CredentialId(fresh(&mut self.entropy()));
        let response = opened
            .setup
            .registration_response(&credential.0, request.opaque_request())
            .map_err(|_| "bad_opaque_request")?;
        Ok(Begun::Started(Box::new(StartedRegistration {
            holder,
            thumbprint: request.claimed_thumbprint(),
            setup: opened.setup.id(),
            credential,
            origin,
            challenge: RegistrationChallenge {
                response,
                site: self.id(),
            },
        })))
    }

    async fn presented_again<'a>(
        &'a self,
        started: &StartedRegistration,
        ticket: &EnrolmentTicket,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Presented<'a>, NotEnrolled> {
        let token = &ticket.token_hash;
        let presented = self.presented(token, started.thumbprint, started.origin, now);
        let presented = presented.await?;
        match presented.account.id == account && presented.ticket.id == ticket.id {
            true => Ok(presented),
            false => Err(presented.refused("deleted")),
        }
    }

    async fn finish_for_person(
        &self,
        started: &StartedRegistration,
        ticket: &EnrolmentTicket,
        account: AccountId,
        record: RegistrationRecord,
        now: Timestamp,
    ) -> Result<RegistrationReply, NotEnrolled> {
        // Before it is asked what they refuse.
        let lockdowns = self.expect_lockdowns();
        let presented = self.presented_again(started, ticket, account, now).await?;
        let account = &presented.account;
        if !account.is_active() {
            return Err(presented.refused("account_not_active"));
        }
        let reply = |repeated| self.registration_reply(account.name.clone(), repeated);
        if presented.bound.is_some() {
            return Ok(reply(true));
        }
        let credential = match self.credential(started, account.id, record, now) {
            Ok(credential) => credential,
            Err(NoCredential::Changed) => return Err(presented.refused(CHANGED_MEANWHILE)),
            Err(NoCredential::BadRecord) => {
                return presented.misused(RevocationReason::BadRecord).await;
            }
        };
        let had_passphrase = self.store().passphrase(account.id).await?.is_some();
        let changes = vec![
            Change::BindTicket {
                id: ticket.id,
                account: account.id,
                thumbprint: started.thumbprint,
                device: None,
                at: now,
            },
            Change::PutPassphrase(credential),
            // Otherwise the old pass phrase would still open the delivered key.
            Change::DeleteDeliveredKey(account.id),
            // After this ticket was bound, so that it stays.
            Change::revoke_with_passphrase(account.id, had_passphrase, now),
            Change::delete_access_tokens(account.id),
            lockdowns,
        ];
        let details = json!({ "ticket": ticket.id });
        let audit = draft(account, started, details, now);
        match self.store().commit(ChangeSet::new(changes, audit)).await {
            Ok(_) => Ok(reply(false)),
            Err(StoreError::Stale {
                what: Thing::Ticket,
            }) => {
                presented.bound_meanwhile().await?;
                Ok(reply(true))
            }
            Err(StoreError::Stale {
                what: Thing::Setting,
            }) => Err(presented.refused(CHANGED_MEANWHILE)),
            // The account was deleted meanwhile, and the ticket with it.
            Err(StoreError::NotFound { .. }) => Err(presented.refused("deleted")),
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// The credential of a record. Its certificate has to be that of the key that made the proof.
    pub(super) fn credential(
        &self,
        started: &StartedRegistration,
        account: AccountId,
        record: RegistrationRecord,
        now: Timestamp,
    ) -> Result<PassphraseCredential, NoCredential> {
        // Another setup is the current one after `site setup new`. The next login replaces the
        // credential then, as those of all others.
        let opened = self.unsealed_keys().ok_or(NoCredential::Changed)?;
        if opened.setup_of(started.setup).is_none() {
            return Err(NoCredential::Changed);
        }
        let is_sound = || {
            check_record(&record.record, &record.sealed_identity).ok()?;
            let certificate = Certificate::from_der(&record.certificate).ok()?;
            let key = DeviceKey::from_ed25519(&certificate.signing()).ok()?;
            Some(key.thumbprint() == started.thumbprint)
        };
        if is_sound() != Some(true) {
            return Err(NoCredential::BadRecord);
        }
        Ok(PassphraseCredential {
            account,
            version: PASSPHRASE_VERSION,
            suite: PassphraseSuite::default(),
            setup: started.setup,
            credential_id: started.credential,
            record: record.record,
            sealed_identity: record.sealed_identity,
            certificate: Some(record.certificate),
            changed: now,
        })
    }

    pub(super) fn registration_reply(&self, id: AccountName, repeated: bool) -> RegistrationReply {
        let site = self.endpoints().uri.and_then(|uri| uri.parse().ok());
        RegistrationReply { id, site, repeated }
    }
}

/// Why a record gives no credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoCredential {
    /// The site was sealed, or its OPAQUE server setup deleted, since the challenge.
    Changed,
    /// The record is malformed or of another key.
    BadRecord,
}

/// The audit entry of a pass phrase that was set with a ticket.
pub(super) fn draft(
    account: &Account,
    started: &StartedRegistration,
    mut details: Value,
    now: Timestamp,
) -> AuditDraft {
    if let Value::Object(details) = &mut details {
        let (key, source) = (started.thumbprint.to_string(), started.origin.source);
        details.insert("key".to_owned(), key.into());
        details.insert("source".to_owned(), source.to_string().into());
    }
    AuditDraft {
        target: Some(account.name.to_string()),
        details: details.to_string(),
        ..AuditDraft::of_account(account, started.origin.channel, "passphrase.enrolled", now)
    }
}
