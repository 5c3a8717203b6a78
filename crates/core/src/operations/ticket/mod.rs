//! `ticket`: enrolment tickets, with which a person registers a device or sets a pass phrase.

mod view;

use countersign_proto::enrolment::{self as proto, TicketKind, Token};
use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::view::{DamagedView, TicketView};
use super::attempts::Attempts;
use super::subject::names_of;
use super::{Done, Limit, Rows, account, admitted, condition, proof};
use crate::access::{Role, Scope};
use crate::accounts::{Account, Kind};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, FirstAdminView, Refusal};
use crate::enrolment::{
    EnrolmentTicket, LISTED_AFTER_EXPIRY, MAX_LIFETIME, OPEN_TICKETS, RevocationReason,
    TicketState, USUAL_LIFETIME,
};
use crate::id::{AccountId, TicketId};
use crate::lockdown::{LockdownTarget, OperationKind};
use crate::page::Page;
use crate::store::{Change, DamagedRow};
use crate::throttle::Rate;
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let (admin, members) = ([Role::Admin], [Role::Member]);
    vec![
        Entry::new("ticket", "issue")
            .of_kind(OperationKind::Enrols)
            .summary("Issues an enrolment ticket for a person, shown once; for yourself after a fresh proof.")
            .allow(&admin)
            .allow_own(&members)
            .changes()
            .rest_creates("/enrolment-tickets", "/enrolment-tickets/{id}")
            .revised()
            .example(json!({ "person": "maria", "expires_in": 3600 }))
            .handler(issue),
        Entry::new("ticket", "list")
            .summary("Lists enrolment tickets, oldest first; admins see all, others their own.")
            .allow(&admin)
            .allow_own(&members)
            .rest(RestMethod::Get, "/enrolment-tickets")
            .example(json!({ "person": "maria" }))
            .handler(list),
        Entry::new("ticket", "show")
            .summary("Shows the state of an enrolment ticket; admins see all, others their own.")
            .allow(&admin)
            .allow_own(&members)
            .rest(RestMethod::Get, "/enrolment-tickets/{id}")
            .example(json!({ "id": "019523d0-5c00-7000-8000-000000000000" }))
            .handler(show),
        Entry::new("ticket", "revoke")
            .summary("Revokes an enrolment ticket; a device that was enrolled with it stays.")
            .allow(&admin)
            .allow_own(&members)
            .changes()
            .rest(RestMethod::Delete, "/enrolment-tickets/{id}")
            .example(json!({ "id": "019523d0-5c00-7000-8000-000000000000" }))
            .handler(revoke),
    ]
}

/// What a ticket can be issued for.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Purpose {
    /// A device of the person registers its key.
    #[default]
    Device,
    /// The person sets a pass phrase, which the admin does not learn.
    Passphrase,
}

impl From<Purpose> for TicketKind {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Device => Self::Device,
            Purpose::Passphrase => Self::Passphrase,
        }
    }
}

/// A new ticket.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Issue {
    /// The person.
    #[schemars(with = "String")]
    person: AccountName,
    /// What the ticket is for.
    #[serde(default)]
    kind: Purpose,
    /// How long it can be used, in seconds: to 7 days, 1 hour when left out.
    #[schemars(range(min = 1, max = 604_800))]
    expires_in: Option<u32>,
}

/// A ticket, shown this once. A client that has it and knows the person's id can register a device
/// or set the pass phrase.
#[derive(Serialize, JsonSchema)]
struct Issued {
    /// Names it in `ticket show`, `ticket list` and `ticket revoke`; the ticket itself does not contain it.
    id: TicketId,
    /// The person who can use it.
    #[schemars(with = "String")]
    person: AccountName,
    /// What it is for.
    kind: &'static str,
    /// When it expires.
    expires: Timestamp,
    /// The ticket as URI.
    uri: String,
    /// The ticket as URI for a QR code: upper case alone.
    qr_uri: String,
    /// The ticket as JSON: `kind`, `host`, `port`, `token` and `site_key`.
    ticket: Value,
}

/// A ticket for a person in lockdown would be refused.
pub(super) fn expect_no_lockdown(context: &Context, account: &Account) -> Result<(), Refusal> {
    let target = LockdownTarget::Account(account.id);
    match context.site().lockdowns().of(&target) {
        None => Ok(()),
        Some(_) => Err(Refusal::conflict(
            format!("{} is in lockdown", account.name),
            format!(
                "lift it with `lockdown lift {} {}` first",
                account.kind.as_str(),
                account.name
            ),
        )),
    }
}

/// The lifetime of a new ticket, in seconds.
pub(super) fn lifetime(expires_in: Option<u32>) -> Result<u32, Refusal> {
    let lifetime = expires_in.unwrap_or(USUAL_LIFETIME);
    if !(1..=MAX_LIFETIME).contains(&lifetime) {
        let problem = format!("{lifetime} is not from 1 to {MAX_LIFETIME} seconds");
        return Err(Refusal::invalid("expires_in", problem));
    }
    Ok(lifetime)
}

/// A new ticket of the account, its token, and the changes that store the ticket unless the account, its pass
/// phrase or a lockdown changes before. The first of the attempts consumes the fresh proof of the caller.
pub(super) async fn new_ticket(
    context: &Context,
    account: &Account,
    kind: TicketKind,
    lifetime: u32,
    attempts: &mut Attempts,
) -> Result<(EnrolmentTicket, Token, Vec<Change>), Refusal> {
    let (site, now) = (context.site(), context.now());
    let unchanged = condition::unchanged(context, account).await?;
    let open = site.store().open_tickets(account.id, now).await?;
    if open >= OPEN_TICKETS as u64 {
        return Err(Refusal::conflict(
            format!("{} has {OPEN_TICKETS} open tickets already", account.name),
            "revoke one with `ticket revoke ID`, or wait until one expires",
        ));
    }
    if attempts.pays_for(account.id) {
        // A caller without a proof must not use up the tickets of the person.
        proof::require(context, account.id)?;
        context.rate(Rate::Issued(account.id), "tickets for this person")?;
        proof::consume(context, account.id)?;
    }
    let token = Token::generate(&mut site.entropy());
    let ticket = EnrolmentTicket {
        id: TicketId::new(now, &mut site.entropy()),
        kind,
        account: account.id,
        token_hash: token.hash(),
        issued: now,
        expires: now.plus_seconds(lifetime),
        state: TicketState::Open,
    };
    let mut changes = vec![unchanged.account];
    if kind == TicketKind::Passphrase {
        // Otherwise the holder of the earlier one could set another pass phrase afterwards.
        changes.push(Change::RevokeOpenTickets {
            account: account.id,
            kind: Some(kind),
            at: now,
            why: RevocationReason::Replaced,
        });
    }
    changes.push(Change::InsertTicket(ticket.clone()));
    let listed_since = i64::from(LISTED_AFTER_EXPIRY) * 1_000;
    changes.push(Change::ForgetTickets {
        account: account.id,
        expired_before: Timestamp::from_millis(now.millis().saturating_sub(listed_since)),
    });
    changes.push(unchanged.lockdowns);
    Ok((ticket, token, changes))
}

async fn issue(context: Context, params: Issue) -> Result<Answer<Issued>, Refusal> {
    let mut attempts = Attempts::default();
    loop {
        let done = try_issue(&context, &params, &mut attempts).await;
        if !attempts.again(&done) {
            return done;
        }
    }
}

async fn try_issue(
    context: &Context,
    params: &Issue,
    attempts: &mut Attempts,
) -> Result<Answer<Issued>, Refusal> {
    let account = person(context, &params.person).await?;
    attempts.expect_same(&account)?;
    context.expect_tag(&account)?;
    if matches!(
        (params.kind, context.scope()),
        (Purpose::Passphrase, Scope::Own(_))
    ) {
        return Err(Refusal::not_permitted(
            "only an admin issues a ticket for a pass phrase",
            "change your pass phrase with `self passphrase_start`",
        ));
    }
    let lifetime = lifetime(params.expires_in)?;
    if !account.is_active() {
        return Err(Refusal::conflict(
            format!("{} may not log in", account.name),
            format!(
                "allow it with `person unlock {0}` or `person enable {0}` first",
                account.name
            ),
        ));
    }
    let site = context.site();
    let address = site.endpoints().enrolment.ok_or_else(|| {
        Refusal::conflict(
            "no listener of this site takes enrolments",
            "configure a device listener and start the site again",
        )
    })?;
    let issuing = new_ticket(context, &account, params.kind.into(), lifetime, attempts);
    let (ticket, token, changes) = issuing.await?;
    let (host, port, key) = (address.host, address.port, site.public_key().signing);
    let handed_out = proto::EnrolmentTicket::new(ticket.kind, &host, port, token, key)
        .map_err(|error| Refusal::internal(error.to_string()))?;
    let details = json!({
        "ticket": ticket.id,
        "kind": ticket.kind.name(),
        "expires": ticket.expires,
    });
    let target = account.name.to_string();
    context.commit(changes, target, details).await?;
    let uri = handed_out.to_uri().expose().to_owned();
    let output = format!(
        "{uri}\nThe ticket {} for {} can be used once, until {}. It is not shown again.",
        ticket.id, account.name, ticket.expires
    );
    let issued = Issued {
        id: ticket.id,
        person: account.name,
        kind: ticket.kind.name(),
        expires: ticket.expires,
        qr_uri: handed_out.to_qr_uri().expose().to_owned(),
        ticket: serde_json::from_str(handed_out.to_json().expose())?,
        uri,
    };
    Ok(Answer::new(issued).with_output(output))
}

/// The person of that name, if the caller may touch them.
pub(super) async fn person(context: &Context, name: &AccountName) -> Result<Account, Refusal> {
    let found = account::find(context, Kind::Person, name).await;
    found.map_err(|refusal| refusal.of_field("person"))
}

/// The account that a list is about: the one that is named, or the caller's own if the caller may
/// see no other.
pub(super) async fn listed(
    context: &Context,
    name: Option<&AccountName>,
) -> Result<Option<AccountId>, Refusal> {
    match (name, context.scope()) {
        (Some(name), _) => Ok(Some(person(context, name).await?.id)),
        (None, Scope::Own(own)) => Ok(Some(own)),
        (None, Scope::All) => Ok(None),
    }
}

/// Selects a page of the list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// Return only tickets of this person.
    #[schemars(with = "Option<String>")]
    person: Option<AccountName>,
    /// The ticket after which the page begins: the `next` of the previous page.
    after: Option<TicketId>,
    /// The maximum number of entries: 1 to 1000, default 100.
    #[serde(default)]
    limit: Limit,
}

async fn list(
    context: Context,
    params: List,
) -> Result<Answer<Rows<TicketView, DamagedView>>, Refusal> {
    let of = listed(&context, params.person.as_ref()).await?;
    let page = Page {
        after: params.after,
        limit: params.limit.plus_one(),
    };
    let tickets = context.site().store().enrolment_tickets(of, &page).await?;
    let owners = tickets.iter().map(|listed| match listed {
        Ok(ticket) => ticket.account,
        Err(damaged) => damaged.account,
    });
    let names = names_of(&context, owners).await?;
    let views = tickets.into_iter().map(|listed| match listed {
        Ok(ticket) => {
            let person = names.get(&ticket.account).cloned();
            Ok(TicketView::of(&ticket, person, context.now()))
        }
        Err(DamagedRow {
            id,
            account,
            problem,
        }) => {
            let person = names.get(&account).cloned();
            Err(DamagedView {
                id,
                person,
                problem,
            })
        }
    });
    let id = |row: Result<&TicketView, &DamagedView>| match row {
        Ok(view) => view.id,
        Err(damaged) => damaged.id,
    };
    let mut views: Vec<_> = views.collect();
    if of.is_none() {
        // It belongs to no account, so it is not among the others.
        let first = context.site().first_admin_view().await?;
        let first = first.filter(|first| params.after.is_none_or(|after| after < first.id));
        views.extend(first.map(|first| Ok(TicketView::of_first_admin(first, context.now()))));
        views.sort_by_key(|row| id(row.as_ref()));
    }
    let after = params.after.map(|after| after.to_string());
    let rows = Rows::of(views, params.limit, after.as_deref(), |row| {
        id(row).to_string()
    });
    let text = rows.lines(TicketView::line);
    Ok(Answer::new(rows).with_output(text))
}

/// Names a ticket.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ById {
    /// Its id.
    id: TicketId,
}

/// The ticket of an account with this id, if the caller may touch it.
async fn find(context: &Context, id: TicketId) -> Result<EnrolmentTicket, Refusal> {
    let found = context.site().store().enrolment_ticket(id).await?;
    found
        .filter(|ticket| context.admits(ticket.account))
        .ok_or_else(|| Refusal::not_found("ticket", id).of_field("id"))
}

/// The ticket of the first admin, if it has this id and the caller may touch it. It belongs to no account.
async fn of_first_admin(
    context: &Context,
    id: TicketId,
) -> Result<Option<FirstAdminView>, Refusal> {
    let first = context.site().first_admin_view().await?;
    Ok(first.filter(|first| first.id == id && context.scope() == Scope::All))
}

async fn show(context: Context, params: ById) -> Result<Answer<TicketView>, Refusal> {
    let view = match of_first_admin(&context, params.id).await? {
        Some(first) => TicketView::of_first_admin(first, context.now()),
        None => {
            let ticket = find(&context, params.id).await?;
            let mut names = names_of(&context, [ticket.account].into_iter()).await?;
            TicketView::of(&ticket, names.remove(&ticket.account), context.now())
        }
    };
    let line = view.line();
    Ok(Answer::new(view).with_output(line))
}

async fn revoke(context: Context, params: ById) -> Result<Answer<Done>, Refusal> {
    let id = params.id;
    let output = format!("Revoked the ticket {id}.");
    if let Some(first) = of_first_admin(&context, id).await? {
        let change = context.site().revoke_first_admin(id).await?;
        if let Some(change) = change.filter(|_| !first.is_revoked) {
            let details = json!({ "kind": TicketKind::Admin.name() });
            context.commit(change, id.to_string(), details).await?;
        }
        return Ok(Answer::new(Done {}).with_output(output));
    }
    let damaged = context.site().store().damaged_ticket(id).await?;
    let (change, details) = match admitted(&context, "ticket", damaged)? {
        Some(DamagedRow {
            account, problem, ..
        }) => (
            Change::DeleteTicket { id, account },
            json!({ "account": account, "damaged": problem }),
        ),
        None => {
            let ticket = find(&context, id).await?;
            if matches!(ticket.state, TicketState::Revoked { .. }) {
                return Ok(Answer::new(Done {}).with_output(output));
            }
            let revoke = Change::RevokeTicket {
                id,
                account: ticket.account,
                at: context.now(),
                why: RevocationReason::ByHand,
            };
            let details = json!({ "account": ticket.account, "kind": ticket.kind.name() });
            (revoke, details)
        }
    };
    context.commit(change, id.to_string(), details).await?;
    Ok(Answer::new(Done {}).with_output(output))
}
