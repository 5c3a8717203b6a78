//! `app`: the applications that call each other, and who may call whom.

mod settings;
mod ticket;

use std::sync::Arc;

use countersign_crypto::rsa::RsaHash;
use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Done, Limit, Listing};
use crate::account::State;
use crate::application::{Application, ApplicationId, ApplicationKey, Callee, Edition, MOST_KEYS};
use crate::context::Context;
use crate::policy::Role;
use crate::refusal::Refusal;
use crate::site::Opened;
use crate::store::{Change, Page};
use crate::table::{Answer, Entry};
use crate::text::Label;
use crate::timestamp::Timestamp;

use settings::Settings;

const HOUR: u64 = 60 * 60 * 1_000;

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    let id = json!({ "id": "billing" });
    vec![
        Entry::new("app", "create")
            .summary("Registers an application. It may call nobody until that is said.")
            .allow(&admin)
            .changes()
            .public_key()
            .example(json!({
                "id": "billing",
                "public_keys": ["-----BEGIN COUNTERSIGN PARTY KEY-----\n…"],
                "settings": { "may_call": [{ "app": "ledger" }, { "group": "finance" }] }
            }))
            .handler(create),
        Entry::new("app", "list")
            .summary("Lists applications by id.")
            .allow(&admin)
            .example(json!({ "limit": 10 }))
            .handler(list),
        Entry::new("app", "show")
            .summary("Shows an application, its keys and whom it may call.")
            .allow(&admin)
            .example(id.clone())
            .handler(show),
        Entry::new("app", "update")
            .summary("Changes what is given of an application, and leaves the rest.")
            .allow(&admin)
            .changes()
            .example(json!({
                "id": "billing",
                "settings": { "keys_last": 600_000, "groups": ["finance"] }
            }))
            .handler(update),
        Entry::new("app", "rotate_key")
            .summary("Gives an application a new key; those before are accepted for a while.")
            .allow(&admin)
            .changes()
            .public_key()
            .example(json!({
                "id": "billing",
                "public_key": "-----BEGIN COUNTERSIGN PARTY KEY-----\n…",
                "overlap": 86_400_000
            }))
            .handler(rotate_key),
        ticket::entry(),
        Entry::new("app", "lock")
            .summary("Keeps an application from calling and from being called.")
            .allow(&admin)
            .disruptive()
            .example(id.clone())
            .handler(|context, params: ById| set_state(context, params, State::Locked)),
        Entry::new("app", "unlock")
            .summary("Lets a locked application call and be called again.")
            .allow(&admin)
            .changes()
            .example(id.clone())
            .handler(|context, params: ById| set_state(context, params, State::Active)),
        Entry::new("app", "delete")
            .summary("Deletes an application for good.")
            .allow(&admin)
            .disruptive()
            .example(id)
            .handler(delete),
    ]
}

/// The application that is meant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ById {
    /// Its id.
    id: ApplicationId,
}

/// A new application.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    /// Its id, unique in the site.
    id: ApplicationId,
    /// What it speaks.
    #[serde(default)]
    edition: Edition,
    /// Its public keys in PEM, the newest first: of `v2` as `key party` writes them, of `serveros-v1` RSA.
    public_keys: Vec<String>,
    /// What else is said of it from the beginning.
    #[serde(default)]
    settings: Settings,
}

/// A key of an application.
#[derive(Debug, Serialize, JsonSchema)]
struct KeyView {
    /// The SHA-256 of the key, in hexadecimal.
    fingerprint: String,
    /// What it is called; may be empty.
    label: String,
    /// When it was added.
    added: Timestamp,
    /// From when on it is not accepted any more; absent for the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    retires: Option<Timestamp>,
}

/// An application.
#[derive(Debug, Serialize, JsonSchema)]
struct AppView {
    /// Its id.
    id: ApplicationId,
    /// What it speaks.
    edition: Edition,
    /// Whether it may call and be called.
    state: State,
    /// Its keys, the newest first.
    keys: Vec<KeyView>,
    /// Hashes that it knows, the best first.
    hashes: Vec<String>,
    /// Ciphers that it knows, the best first.
    ciphers: Vec<String>,
    /// How long a ticket for it is good, in milliseconds.
    keys_last: u64,
    /// What providers are told of it.
    auth_data: Value,
    /// The groups that it belongs to.
    groups: Vec<ApplicationId>,
    /// Whom it may call.
    may_call: Vec<Callee>,
    /// The service that speaks for it; absent when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    service: Option<AccountName>,
    /// When it was registered.
    created: Timestamp,
    /// When it was changed last.
    changed: Timestamp,
}

impl From<Application> for AppView {
    fn from(application: Application) -> Self {
        let keys = application.keys.into_iter().map(|key| KeyView {
            fingerprint: key.fingerprint(),
            label: key.label.into_string(),
            added: key.added,
            retires: key.retires,
        });
        Self {
            keys: keys.collect(),
            id: application.id,
            edition: application.edition,
            state: application.state,
            hashes: application.hashes,
            ciphers: application.ciphers,
            keys_last: application.keys_last,
            auth_data: application.auth_data,
            groups: application.groups,
            may_call: application.may_call,
            service: application.service,
            created: application.created,
            changed: application.changed,
        }
    }
}

async fn find(context: &Context, id: &ApplicationId) -> Result<Application, Refusal> {
    let found = context.site().store().application(id).await?;
    found.ok_or_else(|| Refusal::not_found("application", id).of_field("id"))
}

async fn create(context: Context, params: Create) -> Result<Answer<AppView>, Refusal> {
    params.settings.check()?;
    if !(1..=MOST_KEYS).contains(&params.public_keys.len()) {
        let problem = format!("takes 1 to {MOST_KEYS} keys");
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
    let mut application = Application {
        id: params.id,
        edition: params.edition,
        keys: keys.map_err(|error| Refusal::invalid("public_keys", error))?,
        hashes: known(params.edition, RsaHash::Sha256.name()),
        ciphers: known(params.edition, "aes-256-cbc"),
        keys_last: HOUR,
        auth_data: Value::Null,
        groups: Vec::new(),
        may_call: Vec::new(),
        service: None,
        state: State::Active,
        revision: 1,
        created: context.now(),
        changed: context.now(),
    };
    params.settings.apply(&context, &mut application).await?;
    let details = json!({
        "edition": application.edition,
        "keys": fingerprints(&application),
        "policy": policy(&application),
    });
    let change = Change::InsertApplication(Box::new(application.clone()));
    let target = application.id.to_string();
    context.commit(vec![change], target, details).await?;
    let mut said = format!("Registered {}.", application.id);
    let has_key = |opened: Arc<Opened>| !opened.broker.v1_public().is_empty();
    if application.edition == Edition::ServerosV1 && !context.site().opened().is_some_and(has_key) {
        said.push_str(" The site has no key for serveros-v1 yet: broker new-v1-key makes one.");
    }
    Ok(Answer::new(application.into()).saying(said))
}

fn fingerprints(application: &Application) -> Vec<String> {
    let keys = application.keys.iter();
    keys.map(ApplicationKey::fingerprint).collect()
}

/// Which stretch of the list is wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// The id after which the list begins; the `next` of the stretch before.
    after: Option<ApplicationId>,
    /// How many entries at most: 1 to 1000, 100 when left out.
    #[serde(default)]
    limit: Limit,
}

async fn list(context: Context, params: List) -> Result<Answer<Listing<AppView>>, Refusal> {
    let page = Page {
        after: params.after,
        limit: params.limit.and_one(),
    };
    let found = context.site().store().applications(&page).await?;
    let views = found.into_iter().map(AppView::from).collect();
    let listing = Listing::of(views, params.limit, |view: &AppView| view.id.to_string());
    let text = listing.lines(|view| {
        let (edition, state) = (view.edition.as_str(), view.state.as_str());
        format!("{}  {edition}  {state}  {} keys", view.id, view.keys.len())
    });
    Ok(Answer::new(listing).saying(text))
}

async fn show(context: Context, params: ById) -> Result<Answer<AppView>, Refusal> {
    let view = AppView::from(find(&context, &params.id).await?);
    let mut lines = vec![format!(
        "{}  {}  {}",
        view.id,
        view.edition.as_str(),
        view.state.as_str()
    )];
    lines.extend(view.keys.iter().map(|key| match key.retires {
        Some(retires) => format!("key  {}  until {retires}", key.fingerprint),
        None => format!("key  {}", key.fingerprint),
    }));
    lines.extend(view.groups.iter().map(|group| format!("in group  {group}")));
    lines.extend(view.may_call.iter().map(|callee| match callee {
        Callee::App(id) => format!("may call  {id}"),
        Callee::Group(group) => format!("may call group  {group}"),
    }));
    let service = view.service.iter();
    lines.extend(service.map(|name| format!("service  {name}")));
    let said = lines.join("\n");
    Ok(Answer::new(view).saying(said))
}

/// What is to be changed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Update {
    /// The application's id.
    id: ApplicationId,
    /// What is changed.
    settings: Settings,
}

async fn update(context: Context, params: Update) -> Result<Answer<AppView>, Refusal> {
    params.settings.check()?;
    let mut application = find(&context, &params.id).await?;
    params.settings.apply(&context, &mut application).await?;
    let application = application.revised(context.now(), |_| ());
    let details = policy(&application);
    put(&context, application, details, "Changed").await
}

/// What the audit log keeps of whom an application may call, and of what is told of it.
fn policy(application: &Application) -> Value {
    json!({
        "keys_last": application.keys_last,
        "groups": application.groups,
        "may_call": application.may_call,
        "service": application.service,
        "auth_data": application.auth_data,
        "hashes": application.hashes,
        "ciphers": application.ciphers,
    })
}

async fn put(
    context: &Context,
    application: Application,
    details: Value,
    done: &str,
) -> Result<Answer<AppView>, Refusal> {
    let change = Change::UpdateApplication(Box::new(application.clone()));
    let target = application.id.to_string();
    context.commit(vec![change], target, details).await?;
    let said = format!("{done} {}.", application.id);
    Ok(Answer::new(application.into()).saying(said))
}

/// A new key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RotateKey {
    /// The application's id.
    id: ApplicationId,
    /// Its new public key, in PEM.
    public_key: String,
    /// What to call it.
    #[serde(default)]
    label: Label,
    /// How long those before are accepted beside it, in milliseconds: a day when it says nothing; 0 ends them
    /// now.
    overlap: Option<u32>,
}

async fn rotate_key(context: Context, params: RotateKey) -> Result<Answer<AppView>, Refusal> {
    let application = find(&context, &params.id).await?;
    let now = context.now();
    let key = ApplicationKey::from_pem(application.edition, &params.public_key, params.label, now)
        .map_err(|error| Refusal::invalid("public_key", error))?;
    let has_it = |other: &ApplicationKey| other.public == key.public;
    if application.keys.iter().any(has_it) {
        return Err(Refusal::conflict(
            format!("{} has this key already", application.id),
            "make a new one",
        ));
    }
    let others = application.keys.iter().filter(|key| key.is_accepted(now));
    if params.overlap != Some(0) && others.count() >= MOST_KEYS {
        return Err(Refusal::conflict(
            format!(
                "{} has {MOST_KEYS} keys that are still accepted",
                application.id
            ),
            "wait until one is not any more, or end them now with an overlap of 0",
        ));
    }
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
    put(&context, application, details, "Gave a new key to").await
}

async fn set_state(
    context: Context,
    params: ById,
    state: State,
) -> Result<Answer<AppView>, Refusal> {
    let application = find(&context, &params.id).await?;
    let said = format!("{} is {}.", application.id, state.as_str());
    if application.state == state {
        return Ok(Answer::new(application.into()).saying(said));
    }
    let details = json!({ "was": application.state, "is": state });
    let application = application.revised(context.now(), |application| application.state = state);
    let answer = put(&context, application, details, "Changed").await?;
    Ok(answer.saying(said))
}

async fn delete(context: Context, params: ById) -> Result<Answer<Done>, Refusal> {
    let application = find(&context, &params.id).await?;
    let change = Change::DeleteApplication {
        id: application.id.clone(),
        revision: application.revision,
    };
    let target = application.id.to_string();
    context.commit(vec![change], target, json!({})).await?;
    Ok(Answer::new(Done {}).saying(format!("Deleted {}.", application.id)))
}
