//! `app`: the applications of the site, their keys, and which of them may call which.

mod foreign;
mod preview;
mod relations;
mod settings;
mod ticket;
mod update;
mod view;
mod withdrawn;

use std::fmt;
use std::sync::Arc;

use countersign_crypto::rsa::RsaHash;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::attempts::Attempts;
use super::{Done, Limit, Rows, damaged_line};
use crate::access::Role;
use crate::accounts::State;
use crate::applications::{
    Application, ApplicationId, ApplicationKey, AuthData, Edition, ForeignGrant, Grant, MAX_KEYS,
};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Changes, Context, Entry, Refusal};
use crate::id::{AccountId, InstanceId};
use crate::lockdown::{LockdownTarget, OperationKind};
use crate::page::Page;
use crate::site_key::UnsealedKeys;
use crate::store::{Change, DamagedApplication};
use crate::text::Label;

pub(super) use relations::{void_tickets, void_tickets_of_account, without_peer, without_service};
use settings::Settings;
use view::AppView;

const HOUR: u64 = 60 * 60 * 1_000;

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    let id = json!({ "id": "billing" });
    vec![
        Entry::new("app", "create")
            .of_kind(OperationKind::Enrols)
            .summary("Registers an application. It cannot call other applications until you allow it to.")
            .allow(&admin)
            .changes()
            .public_key()
            .rest_creates("/apps", "/apps/{id}")
            .example(json!({
                "id": "billing",
                "public_keys": ["-----BEGIN COUNTERSIGN PARTY KEY-----\n…"],
                "settings": { "may_call": [{ "app": "ledger" }, { "group": "finance" }] }
            }))
            .handler(create),
        Entry::new("app", "list")
            .summary("Lists applications by id.")
            .allow(&admin)
            .rest(RestMethod::Get, "/apps")
            .example(json!({ "limit": 10 }))
            .handler(list),
        Entry::new("app", "show")
            .summary("Shows an application, its keys and the applications that it may call.")
            .allow(&admin)
            .rest(RestMethod::Get, "/apps/{id}")
            .example(id.clone())
            .handler(show),
        Entry::new("app", "update")
            .summary("Changes the given properties of an application and leaves the others as they are.")
            .allow(&admin)
            .changes()
            .revised()
            .rest(RestMethod::Patch, "/apps/{id}")
            .example(json!({
                "id": "billing",
                "settings": { "keys_last": 600_000, "groups": ["finance"] },
                "allow": [{ "app": "ledger" }, { "foreign": "ledger@b.example" }],
                "allow_callers": ["billing@b.example"]
            }))
            .handler(update::update),
        Entry::new("app", "rotate_key")
            .of_kind(OperationKind::Enrols)
            .summary("Adds a new key to an application. Its previous keys stay valid for an overlap period.")
            .allow(&admin)
            .changes()
            .revised()
            .public_key()
            .rest(RestMethod::Post, "/apps/{id}/rotate-key")
            .example(json!({
                "id": "billing",
                "public_key": "-----BEGIN COUNTERSIGN PARTY KEY-----\n…",
                "overlap": 86_400_000
            }))
            .handler(rotate_key),
        ticket::entry(),
        Entry::new("app", "lock")
            .summary("Locks an application: it can neither call nor be called. Providers with a session refuse tickets that were already given.")
            .allow(&admin)
            .disruptive()
            .revised()
            .rest(RestMethod::Post, "/apps/{id}/lock")
            .example(id.clone())
            .handler(|context, params: ById| set_state(context, params, State::Locked)),
        Entry::new("app", "unlock")
            .summary("Unlocks an application: it can call and be called again.")
            .allow(&admin)
            .changes()
            .revised()
            .rest(RestMethod::Post, "/apps/{id}/unlock")
            .example(id.clone())
            .handler(|context, params: ById| set_state(context, params, State::Active)),
        Entry::new("app", "delete")
            .summary("Deletes an application permanently.")
            .allow(&admin)
            .disruptive()
            .revised()
            .rest(RestMethod::Delete, "/apps/{id}")
            .example(id)
            .handler(delete),
    ]
}

/// Names an application.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ById {
    /// The application's id.
    id: ApplicationId,
}

/// A new application.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    /// The application's id, unique in the site.
    id: ApplicationId,
    /// The edition of the ticket protocol that the application speaks.
    #[serde(default)]
    edition: Edition,
    /// The application's public keys in PEM, newest first: party keys as `key party` writes them
    /// for `v2`, RSA keys for `serveros-v1`.
    public_keys: Vec<String>,
    /// The application's initial settings.
    #[serde(default)]
    settings: Settings,
}

async fn find(context: &Context, id: &ApplicationId) -> Result<Application, Refusal> {
    let found = context.site().store().application(id).await?;
    found.ok_or_else(|| Refusal::not_found("application", id).of_field("id"))
}

async fn create(context: Context, params: Create) -> Result<Answer<AppView>, Refusal> {
    params.settings.check()?;
    if !(1..=MAX_KEYS).contains(&params.public_keys.len()) {
        let problem = format!("must have 1 to {MAX_KEYS} keys");
        return Err(Refusal::invalid("public_keys", problem));
    }
    let read = |pem: &String| {
        ApplicationKey::from_pem(params.edition, pem, Label::default(), context.now())
    };
    let keys = params
        .public_keys
        .iter()
        .map(read)
        .collect::<Result<_, _>>();
    let known = |edition, names: &str| match edition {
        Edition::V2 => Vec::new(),
        Edition::ServerosV1 => vec![names.to_owned()],
    };
    if params.edition == Edition::V2 && (params.id.has_blanks() || params.id.has_zone()) {
        return Err(Refusal::invalid(
            "id",
            "the id of an application of edition v2 must not contain blanks or `@`, with which applications of peers are named",
        ));
    }
    let mut application = Application {
        id: params.id,
        instance: Some(InstanceId::new(
            context.now(),
            &mut context.site().entropy(),
        )),
        edition: params.edition,
        keys: keys.map_err(|error| Refusal::invalid("public_keys", error))?,
        hashes: known(params.edition, RsaHash::Sha256.name()),
        ciphers: known(params.edition, "aes-256-cbc"),
        keys_last: HOUR,
        auth_data: AuthData::default(),
        groups: Vec::new(),
        may_call: Vec::new(),
        callers: Vec::new(),
        service: None,
        state: State::Active,
        revision: 1,
        created: context.now(),
        changed: context.now(),
    };
    params.settings.apply(&context, &mut application).await?;
    let details = Registration {
        edition: application.edition,
        keys: fingerprints(&application),
        policy: policy(&application),
    };
    let change = Change::InsertApplication(Box::new(application.clone()));
    let target = application.id.to_string();
    context.commit(vec![change], target, details).await?;
    let mut output = format!("Registered {}.", application.id);
    let has_key = |opened: Arc<UnsealedKeys>| !opened.broker.v1_public().is_empty();
    if application.edition == Edition::ServerosV1
        && !context.site().unsealed_keys().is_some_and(has_key)
    {
        output.push_str(" The site has no key for serveros-v1 yet: `broker new_v1_key` makes one.");
    }
    Ok(Answer::new(AppView::of(&context, application).await?).with_output(output))
}

fn fingerprints(application: &Application) -> Vec<String> {
    let keys = application.keys.iter();
    keys.map(ApplicationKey::fingerprint).collect()
}

/// Selects a page of the list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// The id after which the page begins: the `next` of the previous page.
    after: Option<String>,
    /// The maximum number of entries: 1 to 1000, default 100.
    #[serde(default)]
    limit: Limit,
}

/// A registration that cannot be read.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DamagedApplication")]
struct DamagedView {
    /// The application's id.
    id: String,
    /// What is wrong with the stored registration.
    problem: String,
}

impl fmt::Display for DamagedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        damaged_line(f, &self.id, &self.problem)
    }
}

async fn list(
    context: Context,
    params: List,
) -> Result<Answer<Rows<AppView, DamagedView>>, Refusal> {
    let page = Page {
        after: params.after.clone(),
        limit: params.limit.plus_one(),
    };
    let found = context.site().store().applications(&page).await?;
    let mut views = Vec::with_capacity(found.len());
    for listed in found {
        views.push(match listed {
            Ok(application) => Ok(AppView::of(&context, application).await?),
            Err(DamagedApplication { id, problem }) => Err(DamagedView { id, problem }),
        });
    }
    let after = params.after.as_deref();
    let rows = Rows::of(views, params.limit, after, |row| match row {
        Ok(view) => view.id.to_string(),
        Err(damaged) => damaged.id.clone(),
    });
    let text = rows.lines(|view| {
        let (edition, state) = (view.edition.as_str(), view.state());
        format!("{}  {edition}  {state}  {} keys", view.id, view.keys.len())
    });
    Ok(Answer::new(rows).with_output(text))
}

async fn show(context: Context, params: ById) -> Result<Answer<AppView>, Refusal> {
    let application = find(&context, &params.id).await?;
    let view = AppView::of(&context, application).await?;
    let output = view.text();
    Ok(Answer::new(view).with_output(output))
}

/// The audit details of a registration.
#[derive(Serialize)]
struct Registration<'a> {
    edition: Edition,
    keys: Vec<String>,
    policy: Policy<'a>,
}

/// The audit details of an application's policy and settings.
#[derive(Serialize)]
struct Policy<'a> {
    keys_last: u64,
    groups: &'a [ApplicationId],
    may_call: &'a [Grant],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    callers: &'a [ForeignGrant],
    service: Option<AccountId>,
    /// The digest of the sealed data.
    auth_data: Option<String>,
    hashes: &'a [String],
    ciphers: &'a [String],
}

fn policy(application: &Application) -> Policy<'_> {
    Policy {
        keys_last: application.keys_last,
        groups: &application.groups,
        may_call: &application.may_call,
        callers: &application.callers,
        service: application.service,
        auth_data: application.auth_data.digest(),
        hashes: &application.hashes,
        ciphers: &application.ciphers,
    }
}

/// Stores an application, and tells providers which of its tickets are void.
async fn put(
    context: &Context,
    application: Application,
    others: Changes,
    details: impl Serialize + Send,
) -> Result<AppView, Refusal> {
    let change = Change::UpdateApplication(Box::new(application.clone()));
    let target = application.id.to_string();
    let changes = Changes::from(change).with(others);
    context.commit(changes, target, details).await?;
    AppView::of(context, application).await
}

/// A new key for an application.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RotateKey {
    /// The application's id.
    id: ApplicationId,
    /// The new public key, in PEM.
    public_key: String,
    /// A label for the key.
    #[serde(default)]
    label: Label,
    /// How long the previous keys stay valid, in milliseconds. The default is one day; 0 ends them
    /// at once.
    overlap: Option<u32>,
}

async fn rotate_key(context: Context, params: RotateKey) -> Result<Answer<AppView>, Refusal> {
    let mut attempts = Attempts::default();
    loop {
        let done = try_rotate_key(&context, params.clone(), &mut attempts).await;
        if !attempts.again(&done) {
            return done;
        }
    }
}

async fn try_rotate_key(
    context: &Context,
    params: RotateKey,
    attempts: &mut Attempts,
) -> Result<Answer<AppView>, Refusal> {
    let application = find(context, &params.id).await?;
    context.expect_tag(&application)?;
    let now = context.now();
    let key = ApplicationKey::from_pem(application.edition, &params.public_key, params.label, now)
        .map_err(|error| Refusal::invalid("public_key", error))?;
    let has_it = |other: &ApplicationKey| other.public == key.public;
    if application.keys.iter().any(has_it) {
        return Err(Refusal::conflict(
            format!("{} has this key already", application.id),
            "generate a new key and repeat the operation",
        ));
    }
    let others = application.keys.iter().filter(|key| key.is_valid(now));
    if params.overlap != Some(0) && others.count() >= MAX_KEYS {
        return Err(Refusal::conflict(
            format!("{} already has {MAX_KEYS} valid keys", application.id),
            "wait until one of them retires, or end them now with an overlap of 0",
        ));
    }
    attempts.changes(context, None)?;
    let overlap = params.overlap.map_or(24 * HOUR, u64::from);
    let until = now.plus_millis(overlap);
    let fingerprint = key.fingerprint();
    let application = application.revised(now, |application| {
        for old in &mut application.keys {
            old.retires = Some(old.retires.map_or(until, |retires| retires.min(until)));
        }
        application
            .keys
            .retain(|old| old.retires.is_some_and(|retires| now < retires));
        application.keys.insert(0, key);
    });
    let details = json!({ "fingerprint": fingerprint, "others_until": until });
    let view = put(context, application, Changes::default(), details).await?;
    let output = format!("Added a new key to {}.", view.id);
    Ok(Answer::new(view).with_output(output))
}

async fn set_state(
    context: Context,
    params: ById,
    state: State,
) -> Result<Answer<AppView>, Refusal> {
    let mut attempts = Attempts::default();
    loop {
        let done = try_set_state(&context, &params.id, state, &mut attempts).await;
        if !attempts.again(&done) {
            return done;
        }
    }
}

async fn try_set_state(
    context: &Context,
    id: &ApplicationId,
    state: State,
    attempts: &mut Attempts,
) -> Result<Answer<AppView>, Refusal> {
    let application = find(context, id).await?;
    context.expect_tag(&application)?;
    let output = format!("{} is {}.", application.id, state.as_str());
    if application.state == state {
        return Ok(Answer::new(AppView::of(context, application).await?).with_output(output));
    }
    if state == State::Active {
        attempts.changes(context, None)?;
    }
    let details = json!({ "was": application.state, "is": state });
    let application = application.revised(context.now(), |application| application.state = state);
    let void = match state {
        State::Active => Vec::new(),
        State::Locked | State::Disabled => void_tickets(context, &application).await?,
    };
    let void = void.into_iter().fold(Changes::default(), Changes::and);
    let view = put(context, application, void, details).await?;
    Ok(Answer::new(view).with_output(output))
}

/// The audit details of a deletion.
#[derive(Serialize)]
struct Deletion {
    no_longer_called_by: Vec<ApplicationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged: Option<String>,
}

async fn delete(context: Context, params: ById) -> Result<Answer<Done>, Refusal> {
    let mut attempts = Attempts::default();
    loop {
        let done = try_delete(&context, &params.id).await;
        if !attempts.again(&done) {
            return done;
        }
    }
}

async fn try_delete(context: &Context, id: &ApplicationId) -> Result<Answer<Done>, Refusal> {
    let damaged = context.site().store().damaged_application(id).await?;
    let (deletion, void) = match &damaged {
        Some(_) => {
            context.expect_no_tag()?;
            let void = withdrawn::of_damaged(context, id).await?;
            (Change::DeleteDamagedApplication(id.clone()), void)
        }
        None => {
            let application = find(context, id).await?;
            context.expect_tag(&application)?;
            let void = void_tickets(context, &application).await?;
            let deletion = Change::DeleteApplication {
                id: id.clone(),
                instance: application.instance,
                revision: application.revision,
            };
            (deletion, void)
        }
    };
    let released = relations::without_callee(context, id).await?;
    let mut changes = released.changes;
    changes.push(deletion);
    let is_deleted = |target: &LockdownTarget| matches!(target, LockdownTarget::Application { id: deleted, .. } if deleted == id);
    changes.extend(context.site().forget_lockdowns(is_deleted)?);
    let details = Deletion {
        no_longer_called_by: released.ids,
        damaged: damaged.map(|damaged| damaged.problem),
    };
    let changes = void.into_iter().fold(changes.into(), Changes::and);
    context.commit(changes, id.to_string(), details).await?;
    Ok(Answer::new(Done {}).with_output(format!("Deleted {id}.")))
}
