//! What `ticket list` and `ticket show` tell of a ticket.

use std::fmt;

use countersign_proto::enrolment::TicketKind;
use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::Serialize;

use crate::engine::FirstAdminView;
use crate::enrolment::{EnrolmentTicket, RevocationReason, TicketState};
use crate::id::{DeviceId, TicketId};
use crate::operations::damaged_line;
use crate::timestamp::Timestamp;

/// The state of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum StateView {
    /// It can be used.
    Open,
    /// It was not used in time.
    Expired,
    /// A device was enrolled with it, or a pass phrase was set.
    Bound,
    /// It was revoked.
    Revoked,
}

/// A ticket without its token: the site stores only the token's hash.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TicketView {
    /// Its id.
    pub(super) id: TicketId,
    /// The person who can use it; absent if the account was deleted just now or cannot be read, and while no
    /// account was created with the ticket of the first admin.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<AccountName>,
    /// What it is for.
    kind: &'static str,
    /// Its state.
    state: StateView,
    /// When it was issued.
    issued: Timestamp,
    /// When it expires.
    expires: Timestamp,
    /// The device that was enrolled with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<DeviceId>,
    /// When it was bound or revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// Why it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<RevocationReason>,
}

impl TicketView {
    pub(super) fn of(
        ticket: &EnrolmentTicket,
        person: Option<AccountName>,
        now: Timestamp,
    ) -> Self {
        let (state, device, since, why) = match ticket.state {
            TicketState::Open if ticket.is_open(now) => (StateView::Open, None, None, None),
            TicketState::Open => (StateView::Expired, None, None, None),
            TicketState::Bound { device, at, .. } => (StateView::Bound, device, Some(at), None),
            TicketState::Revoked { at, why } => (StateView::Revoked, None, Some(at), Some(why)),
        };
        Self {
            id: ticket.id,
            person,
            kind: ticket.kind.name(),
            state,
            issued: ticket.issued,
            expires: ticket.expires,
            device,
            since,
            why,
        }
    }

    pub(super) fn of_first_admin(ticket: FirstAdminView, now: Timestamp) -> Self {
        let state = match (ticket.is_bound, ticket.is_revoked) {
            (true, _) => StateView::Bound,
            (_, true) => StateView::Revoked,
            _ if now < ticket.expires => StateView::Open,
            _ => StateView::Expired,
        };
        Self {
            id: ticket.id,
            person: ticket.person,
            kind: TicketKind::Admin.name(),
            state,
            issued: ticket.issued,
            expires: ticket.expires,
            device: None,
            since: None,
            why: ticket.why,
        }
    }

    pub(super) fn line(&self) -> String {
        let person = self.person.as_ref().map(AccountName::to_string);
        let state = match self.state {
            StateView::Open => "open",
            StateView::Expired => "expired",
            StateView::Bound => "bound",
            StateView::Revoked => "revoked",
        };
        let state = match self.why {
            Some(RevocationReason::ThereIsAnAdmin) => "revoked, since there is an admin",
            _ => state,
        };
        let (id, kind, expires) = (self.id, self.kind, self.expires);
        let person = person.unwrap_or_else(|| "(no account)".to_owned());
        format!("{id}  {person}  {kind}  {state}  expires {expires}")
    }
}

/// A ticket that cannot be read.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DamagedTicket")]
pub(super) struct DamagedView {
    /// Its id.
    pub(super) id: TicketId,
    /// The person whose ticket it is; absent if the account was deleted just now or cannot be read.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) person: Option<AccountName>,
    /// What is wrong with the stored ticket.
    pub(super) problem: String,
}

impl fmt::Display for DamagedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        damaged_line(f, &self.id.to_string(), &self.problem)
    }
}
