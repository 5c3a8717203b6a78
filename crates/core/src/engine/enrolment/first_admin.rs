//! The first admin of a new site. The first launch prints a ticket; the client that presents it
//! chooses the name and sets the pass phrase, and becomes an admin.
//!
//! ```text
//! Open ──name, record; the site has no admin──▶ Bound to the key ──same key and name──▶ the same reply
//!   ├────wrong proof, unusable record─────────▶ Revoked
//!   └────an admin was created in another way──▶ NotNeeded
//! ```
//!
//! The ticket belongs to no account, since there is none yet. It is a setting of the site.

use countersign_crypto::certificate::Thumbprint;
use countersign_proto::enrolment::passphrase::{RegistrationRecord, RegistrationReply};
use countersign_proto::enrolment::{self as proto, TicketKind, Token, TokenHash};
use countersign_proto::name::AccountName;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::registration::{NoCredential, RegistrationOrigin, StartedRegistration, draft};
use super::{CHANGED_MEANWHILE, NotEnrolled};
use crate::access::{Caller, Role};
use crate::accounts::{Account, Kind, State};
use crate::alarms::SystemAlarm;
use crate::audit::coalesced::Occurrence;
use crate::audit::{Actor, AuditDraft, AuditOutcome};
use crate::engine::site::put;
use crate::engine::{Refusal, Site};
use crate::enrolment::{RevocationReason, USUAL_LIFETIME};
use crate::id::{AccountId, TicketId};
use crate::lockdown::Activity;
use crate::store::{Change, ChangeSet, Committed, StoreError, Thing, Unique};
use crate::timestamp::Timestamp;

/// The name of the setting with the ticket of the first admin.
const FIRST_ADMIN: &str = "first_admin_ticket";

/// The ticket of the first admin, with the revision of its setting.
#[derive(Debug)]
pub(super) struct FirstAdmin {
    ticket: Form,
    revision: u64,
}

/// The ticket of the first admin without its token, for lists.
#[derive(Debug, Clone)]
pub(crate) struct FirstAdminView {
    pub(crate) id: TicketId,
    /// The name of the admin who was created with it.
    pub(crate) person: Option<AccountName>,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) is_bound: bool,
    pub(crate) is_revoked: bool,
    /// Why it was revoked, if that was no misuse and not by hand.
    pub(crate) why: Option<RevocationReason>,
}

/// The setting.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    /// Names it in `ticket list`. A ticket without one was issued by an earlier version.
    #[serde(default)]
    id: Option<TicketId>,
    /// SHA-256 of the token. The token itself is not stored.
    token_hash: [u8; 32],
    /// The id that the account will have.
    account: AccountId,
    /// The first moment at which the ticket is of no use any more.
    expires: Timestamp,
    state: FormState,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum FormState {
    Open,
    /// SHA-256 of the key, and the name that it was presented with.
    Bound {
        thumbprint: [u8; 32],
        name: String,
    },
    Revoked,
    /// The site has an admin.
    NotNeeded,
}

impl Form {
    /// No ticket was issued: no token has this hash, and no list shows it.
    const fn none(now: Timestamp) -> Self {
        Self {
            id: None,
            token_hash: [0; 32],
            account: AccountId::from_bytes([0; 16]),
            expires: now,
            state: FormState::NotNeeded,
        }
    }
}

/// What the ticket is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstAdminUse {
    /// It creates the admin.
    Creates,
    /// It created the admin, with this very key and name.
    Repeats,
}

impl FirstAdminUse {
    pub(super) const fn is_repeated(self) -> bool {
        matches!(self, Self::Repeats)
    }
}

impl FirstAdmin {
    /// The id of the account that the ticket creates.
    pub(super) const fn account(&self) -> AccountId {
        self.ticket.account
    }

    /// The setting with another state.
    fn with_state(&self, state: FormState) -> Result<Change, StoreError> {
        let form = Form {
            state,
            ..self.ticket.clone()
        };
        setting(&form, self.revision.saturating_add(1))
    }
}

fn setting(form: &Form, revision: u64) -> Result<Change, StoreError> {
    put(FIRST_ADMIN, form, revision).map_err(|error| StoreError::Unavailable {
        problem: error.to_string(),
    })
}

impl Site {
    /// Issues the ticket of the first admin, which replaces an earlier one; `None` if the site has
    /// an admin or gets one meanwhile, no listener takes enrolments, or a lockdown refuses them. It
    /// expires after an hour. Audited as `ticket.issue`.
    ///
    /// # Errors
    /// `internal` if the store failed.
    pub async fn issue_first_admin_ticket(
        &self,
        now: Timestamp,
    ) -> Result<Option<proto::EnrolmentTicket>, Refusal> {
        let Some(address) = self.endpoints().enrolment else {
            return Ok(None);
        };
        // Before the admins: what makes the first one writes the setting too.
        let before = self.store().setting(FIRST_ADMIN).await?;
        let is_permitted = self.permits(Activity::FirstAdmin);
        if !is_permitted || !self.store().active_admins(1).await?.is_empty() {
            return Ok(None);
        }
        let token = Token::generate(&mut self.entropy());
        let form = Form {
            id: Some(TicketId::new(now, &mut self.entropy())),
            token_hash: token.hash().0,
            account: AccountId::new(now, &mut self.entropy()),
            expires: now.plus_seconds(USUAL_LIFETIME),
            state: FormState::Open,
        };
        let revision = before
            .map_or(0, |setting| setting.revision)
            .saturating_add(1);
        let kind = TicketKind::Admin;
        let (host, port, key) = (address.host, address.port, self.public_key().signing);
        let ticket = proto::EnrolmentTicket::new(kind, &host, port, token, key)
            .map_err(|error| Refusal::internal(error.to_string()))?;
        let details = json!({
            "ticket": form.id,
            "kind": kind.name(),
            "expires": form.expires,
        });
        let audit = AuditDraft {
            details: details.to_string(),
            ..AuditDraft::done(&Caller::site(), "ticket.issue", now)
        };
        let set = ChangeSet::new(vec![setting(&form, revision)?], audit);
        match self.store().commit(set).await {
            Err(StoreError::Stale {
                what: Thing::Setting,
            }) => Ok(None),
            committed => Ok(committed.map(|_| Some(ticket))?),
        }
    }

    /// The ticket of the first admin, if it has this token.
    pub(super) async fn first_admin(
        &self,
        token: &TokenHash,
    ) -> Result<Option<FirstAdmin>, StoreError> {
        let issued = self.issued_first_admin().await?;
        let is_right = |first: &FirstAdmin| first.ticket.token_hash == token.0 && !self.is_sealed();
        Ok(issued.filter(is_right))
    }

    async fn issued_first_admin(&self) -> Result<Option<FirstAdmin>, StoreError> {
        let Some(setting) = self.store().setting(FIRST_ADMIN).await? else {
            return Ok(None);
        };
        // One that cannot be read is of no use. It must not stop the use, the list and the revocation of others;
        // the next one replaces it.
        let ticket = serde_json::from_slice(&setting.value).ok();
        let revision = setting.revision;
        Ok(ticket.map(|ticket| FirstAdmin { ticket, revision }))
    }

    /// The ticket of the first admin that was issued last, if there is one.
    pub(crate) async fn first_admin_view(&self) -> Result<Option<FirstAdminView>, StoreError> {
        let Some(FirstAdmin { ticket, .. }) = self.issued_first_admin().await? else {
            return Ok(None);
        };
        let lifetime = i64::from(USUAL_LIFETIME) * 1_000;
        let issued = ticket.expires.millis().saturating_sub(lifetime);
        let person = match &ticket.state {
            FormState::Bound { name, .. } => name.parse().ok(),
            FormState::Open | FormState::Revoked | FormState::NotNeeded => None,
        };
        Ok(ticket.id.map(|id| FirstAdminView {
            id,
            person,
            issued: Timestamp::from_millis(issued),
            expires: ticket.expires,
            is_bound: matches!(ticket.state, FormState::Bound { .. }),
            is_revoked: matches!(ticket.state, FormState::Revoked | FormState::NotNeeded),
            why: (ticket.state == FormState::NotNeeded).then_some(RevocationReason::ThereIsAnAdmin),
        }))
    }

    /// The change that revokes the ticket of the first admin with this id; `None` if there is none.
    pub(crate) async fn revoke_first_admin(
        &self,
        id: TicketId,
    ) -> Result<Option<Change>, StoreError> {
        let issued = self.issued_first_admin().await?;
        let issued = issued.filter(|first| first.ticket.id == Some(id));
        issued
            .map(|first| first.with_state(FormState::Revoked))
            .transpose()
    }

    /// Commits the changes. With an active admin among them, the ticket of the first admin, if it is open, is revoked
    /// in the same transaction. The first admin writes its setting in any case: a ticket that is issued at the
    /// same time is revoked, or is not issued.
    pub(in crate::engine) async fn commit_changes(
        &self,
        set: ChangeSet,
    ) -> Result<Committed, StoreError> {
        if !set.changes.iter().any(Change::makes_admin) {
            return self.store().commit(set).await;
        }
        let committed = self.commit_with_admin(set.clone()).await;
        match committed {
            // The ticket was used, revoked or replaced meanwhile.
            Err(StoreError::Stale {
                what: Thing::Setting,
            }) => self.commit_with_admin(set).await,
            committed => committed,
        }
    }

    async fn commit_with_admin(&self, mut set: ChangeSet) -> Result<Committed, StoreError> {
        let before = self.store().setting(FIRST_ADMIN).await?;
        let revision = before.as_ref().map_or(0, |setting| setting.revision);
        // A ticket that cannot be read cannot be used, and must not prevent that there is an admin.
        let issued = before.and_then(|setting| serde_json::from_slice::<Form>(&setting.value).ok());
        let now = set.audit.time;
        let mut form = issued.unwrap_or_else(|| Form::none(now));
        let is_open = form.state == FormState::Open && now < form.expires;
        if is_open {
            form.state = FormState::NotNeeded;
        }
        if is_open || self.store().active_admins(1).await?.is_empty() {
            set.changes
                .push(setting(&form, revision.saturating_add(1))?);
        }
        self.store().commit(set).await
    }

    /// What the ticket is good for when it comes with this name and key.
    pub(super) async fn first_admin_usable(
        &self,
        first: &FirstAdmin,
        name: &AccountName,
        key: &Thumbprint,
        origin: RegistrationOrigin,
        now: Timestamp,
    ) -> Result<FirstAdminUse, NotEnrolled> {
        let refused = |why| Err(self.first_admin_refused(origin, why, now));
        match &first.ticket.state {
            _ if !self.permits(Activity::FirstAdmin) => refused("lockdown"),
            FormState::Revoked => refused("revoked"),
            FormState::NotNeeded => refused(RevocationReason::ThereIsAnAdmin.as_str()),
            _ if now >= first.ticket.expires => refused("expired"),
            FormState::Bound {
                thumbprint,
                name: of,
            } => match *thumbprint == key.0 && *of == name.to_string() {
                true => Ok(FirstAdminUse::Repeats),
                false => {
                    self.report(SystemAlarm::SecondKey {
                        ticket: None,
                        account: None,
                        person: of.clone(),
                        source: origin.source.to_string(),
                    });
                    let second = Occurrence::of_source(
                        origin.source,
                        origin.channel,
                        "ticket.second_key",
                        AuditOutcome::Failed,
                    );
                    self.refused(origin.penalised(), second.with("account", of.as_str()), now);
                    Err(NotEnrolled::Refused)
                }
            },
            FormState::Open if !self.store().active_admins(1).await?.is_empty() => {
                refused(RevocationReason::ThereIsAnAdmin.as_str())
            }
            FormState::Open => Ok(FirstAdminUse::Creates),
        }
    }

    pub(super) fn first_admin_refused(
        &self,
        origin: RegistrationOrigin,
        why: &'static str,
        now: Timestamp,
    ) -> NotEnrolled {
        let outcome = AuditOutcome::Failed;
        let refused =
            Occurrence::of_source(origin.source, origin.channel, "ticket.refused", outcome);
        self.refused(origin.penalised(), refused.with("why", why), now);
        NotEnrolled::Refused
    }

    /// Revokes the ticket, since its token came with a wrong proof or an unusable record.
    pub(super) async fn first_admin_misused(
        &self,
        first: &FirstAdmin,
        origin: RegistrationOrigin,
        now: Timestamp,
    ) -> NotEnrolled {
        if matches!(
            first.ticket.state,
            FormState::Revoked | FormState::NotNeeded
        ) {
            return self.first_admin_refused(origin, "revoked", now);
        }
        let change = match first.with_state(FormState::Revoked) {
            Ok(change) => change,
            Err(trouble) => return trouble.into(),
        };
        let audit = AuditDraft {
            time: now,
            actor: Actor {
                account: None,
                name: origin.source.to_string(),
            },
            channel: origin.channel,
            operation: "ticket.misused".to_owned(),
            target: None,
            outcome: AuditOutcome::Failed,
            details: json!({ "kind": TicketKind::Admin.name() }).to_string(),
        };
        match self
            .store()
            .commit(ChangeSet::new(vec![change], audit))
            .await
        {
            Ok(_) | Err(StoreError::Stale { .. }) => {
                self.first_admin_refused(origin, "misused", now)
            }
            Err(trouble) => trouble.into(),
        }
    }

    /// Creates the admin with the record.
    pub(super) async fn finish_for_first_admin(
        &self,
        started: &StartedRegistration,
        first: &FirstAdmin,
        name: &AccountName,
        record: RegistrationRecord,
        now: Timestamp,
    ) -> Result<RegistrationReply, NotEnrolled> {
        let (key, origin) = (started.thumbprint, started.origin);
        // Before it is asked what they refuse.
        let lockdowns = self.expect_lockdowns();
        // An admin may have been created since the challenge.
        let usable = self.first_admin_usable(first, name, &key, origin, now);
        usable.await?;
        let credential = match self.credential(started, first.account(), record, now) {
            Ok(credential) => credential,
            Err(NoCredential::Changed) => {
                return Err(self.first_admin_refused(origin, CHANGED_MEANWHILE, now));
            }
            Err(NoCredential::BadRecord) => {
                return Err(self.first_admin_misused(first, origin, now).await);
            }
        };
        let account = Account {
            id: first.account(),
            name: name.clone(),
            kind: Kind::Person,
            role: Role::Admin,
            full_name: String::new(),
            email: String::new(),
            state: State::Active,
            revision: 1,
            created: now,
            changed: now,
        };
        let bound = FormState::Bound {
            thumbprint: key.0,
            name: name.to_string(),
        };
        let audit = draft(&account, started, json!({ "role": account.role }), now);
        let changes = vec![
            first.with_state(bound)?,
            Change::InsertAccount(account),
            Change::PutPassphrase(credential),
            lockdowns,
        ];
        match self.store().commit(ChangeSet::new(changes, audit)).await {
            Ok(_) => Ok(self.registration_reply(name.clone(), false)),
            Err(StoreError::Stale {
                what: Thing::Setting,
            }) => self.first_admin_overtaken(started, first, name, now).await,
            Err(StoreError::Conflict { what: Unique::Name }) => {
                Err(self.first_admin_refused(origin, "name_taken", now))
            }
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// Another request changed the ticket meanwhile, with the same key or another one; or the lockdowns changed.
    async fn first_admin_overtaken(
        &self,
        started: &StartedRegistration,
        first: &FirstAdmin,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<RegistrationReply, NotEnrolled> {
        let (key, origin) = (started.thumbprint, started.origin);
        let token = TokenHash(first.ticket.token_hash);
        let Some(first) = self.first_admin(&token).await? else {
            return Err(self.first_admin_refused(origin, "replaced", now));
        };
        let usable = self.first_admin_usable(&first, name, &key, origin, now);
        match usable.await? {
            FirstAdminUse::Repeats => Ok(self.registration_reply(name.clone(), true)),
            FirstAdminUse::Creates => Err(self.first_admin_refused(origin, CHANGED_MEANWHILE, now)),
        }
    }
}
