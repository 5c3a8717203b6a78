//! `token`: access tokens, with which programs call operations over HTTP.
//!
//! A person creates tokens for themselves after a fresh proof, and an admin creates them for
//! services. A token names each operation that it permits: an operation that a later version adds
//! is in no old token. No token creates tokens, because those would outlive it.

use std::fmt;

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::attempts::Attempts;
use super::subject::names_of;
use super::{Done, Limit, Rows, account, admitted, condition, damaged_line, proof};
use crate::access::{Channel, Role, Scope};
use crate::access_tokens::{
    AccessToken, AccessTokenSecret, LISTED_AFTER_EXPIRY, MAX_OPERATIONS_PER_TOKEN, MIN_LIFETIME,
    USUAL_LIFETIME,
};
use crate::accounts::{Account, Kind};
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::id::{AccessTokenId, AccountId};
use crate::lockdown::OperationKind;
use crate::page::Page;
use crate::store::{AccessTokenChange, Change, DamagedRow};
use crate::text::Label;
use crate::throttle::Rate;
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    vec![
        Entry::new("token", "create")
            .of_kind(OperationKind::Enrols)
            .summary("Creates an access token, shown once: an admin for a service, a person for themselves after a fresh proof.")
            .allow(&admin)
            .allow_own(&[Role::Member])
            .changes()
            .no_rest("a token that creates tokens would outlive its own expiry and revocation")
            .example(json!({
                "service": "mailer",
                "operations": ["alarm.raise", "alarm.over"],
                "label": "the mail server",
                "expires_in": 2_592_000
            }))
            .handler(create),
        Entry::new("token", "list")
            .summary("Lists access tokens with their last use, oldest first; admins see all, others their own.")
            .allow(&admin)
            .allow_own(&[Role::Member, Role::Service])
            .rest(RestMethod::Get, "/tokens")
            .example(json!({ "account": "mailer" }))
            .handler(list),
        Entry::new("token", "revoke")
            .summary("Revokes an access token at once.")
            .allow(&admin)
            .allow_own(&[Role::Member, Role::Service])
            .changes()
            .rest(RestMethod::Delete, "/tokens/{id}")
            .example(json!({ "id": "019523d0-5c00-7000-8000-000000000000" }))
            .handler(revoke),
    ]
}

/// A new access token.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    /// The service that gets the token. Without it, the token is for yourself, which needs a fresh
    /// proof.
    #[schemars(with = "Option<String>")]
    service: Option<AccountName>,
    /// The operations that the token permits, such as `alarm.raise`: 1 to 64. It never permits more
    /// than the account's role.
    #[schemars(length(min = 1, max = 64))]
    operations: Vec<String>,
    /// A label for people, such as where the token is used.
    #[serde(default)]
    label: Label,
    /// The lifetime of the token, in seconds: 60 to the setting `access_token_lifetime`. The default
    /// is 30 days, or that setting if it is less.
    #[schemars(range(min = 60))]
    expires_in: Option<u32>,
}

/// An access token. The token itself is shown this once.
#[derive(Serialize, JsonSchema)]
struct Created {
    /// The token: `cst_` and 49 letters and digits. Send it as `Authorization: Bearer cst_…`.
    token: String,
    /// Everything else about it.
    #[serde(flatten)]
    view: TokenView,
}

/// An access token without its secret: the site stores only a hash of that.
#[derive(Debug, Serialize, JsonSchema)]
struct TokenView {
    /// Its id. The token itself does not contain it.
    id: AccessTokenId,
    /// The account that calls operations with it; absent if the account was deleted just now or cannot be read.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountName>,
    /// Its label; may be empty.
    label: String,
    /// The operations that it permits.
    operations: Vec<String>,
    /// When it was created.
    created: Timestamp,
    /// When it expires.
    expires: Timestamp,
    /// Whether it has expired.
    expired: bool,
    /// When it was last used; absent before its first use.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used: Option<Timestamp>,
}

impl TokenView {
    fn of(context: &Context, token: AccessToken, account: Option<AccountName>) -> Self {
        let unwritten = context.site().token_last_used(token.id);
        Self {
            id: token.id,
            account,
            label: token.label,
            operations: token.operations,
            created: token.created,
            expires: token.expires,
            expired: token.expires <= context.now(),
            last_used: unwritten.max(token.last_used),
        }
    }

    fn line(&self) -> String {
        let account = self.account.as_ref().map(AccountName::to_string);
        let account = account.unwrap_or_else(|| "(no account)".to_owned());
        let expires = match self.expired {
            true => format!("expired {}", self.expires),
            false => format!("expires {}", self.expires),
        };
        let used = match self.last_used {
            Some(at) => format!("used {at}"),
            None => "never used".to_owned(),
        };
        let operations = self.operations.join(",");
        let (id, label) = (self.id, &self.label);
        format!("{id}  {account}  {operations}  {expires}  {used}  {label}")
    }
}

/// An access token that cannot be read.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DamagedToken")]
struct DamagedView {
    /// Its id.
    id: AccessTokenId,
    /// The account whose token it is; absent if the account was deleted just now or cannot be read.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountName>,
    /// What is wrong with the stored token.
    problem: String,
}

impl fmt::Display for DamagedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        damaged_line(f, &self.id.to_string(), &self.problem)
    }
}

async fn create(context: Context, params: Create) -> Result<Answer<Created>, Refusal> {
    let mut attempts = Attempts::default();
    loop {
        let done = try_create(&context, params.clone(), &mut attempts).await;
        if !attempts.again(&done) {
            return done;
        }
    }
}

async fn try_create(
    context: &Context,
    params: Create,
    attempts: &mut Attempts,
) -> Result<Answer<Created>, Refusal> {
    let account = owner(context, params.service.as_ref()).await?;
    attempts.expect_same(&account)?;
    let operations = permitted(context, &account, params.operations)?;
    let lifetime = lifetime(context, params.expires_in)?;
    if !account.is_active() {
        return Err(Refusal::conflict(
            format!("{} may not log in", account.name),
            format!(
                "allow it with `{0} unlock {1}` or `{0} enable {1}` first",
                account.kind.as_str(),
                account.name
            ),
        ));
    }
    let unchanged = condition::unchanged(context, &account).await?;
    if attempts.pays_for(account.id) {
        // A caller without a proof must not use up the tokens of the person.
        proof::require(context, account.id)?;
        let what = "tickets and tokens for this account";
        context.rate(Rate::Issued(account.id), what)?;
        proof::consume(context, account.id)?;
    }
    let (site, now) = (context.site(), context.now());
    let secret = AccessTokenSecret::generate(&mut site.entropy());
    let token = AccessToken {
        id: AccessTokenId::new(now, &mut site.entropy()),
        account: account.id,
        token_hash: secret.hash(),
        label: params.label.into_string(),
        operations,
        created: now,
        expires: now.plus_seconds(lifetime),
        last_used: None,
    };
    let listed_since = i64::from(LISTED_AFTER_EXPIRY) * 1_000;
    let changes = vec![
        unchanged.account,
        unchanged.lockdowns,
        Change::AccessToken(AccessTokenChange::DeleteOf {
            account: account.id,
            expired_before: Some(Timestamp::from_millis(
                now.millis().saturating_sub(listed_since),
            )),
        }),
        Change::AccessToken(AccessTokenChange::Insert(token.clone())),
    ];
    let details = json!({
        "token": token.id,
        "operations": token.operations,
        "expires": token.expires,
    });
    context
        .commit(changes, account.name.to_string(), details)
        .await?;
    let text = secret.to_text();
    let output = format!(
        "{}\nThe access token {} for {} is valid until {}. It is not shown again.",
        text.expose(),
        token.id,
        account.name,
        token.expires
    );
    let created = Created {
        token: text.expose().to_owned(),
        view: TokenView::of(context, token, Some(account.name)),
    };
    Ok(Answer::new(created).with_output(output))
}

/// The account that gets the token: the named service, or the caller.
async fn owner(context: &Context, service: Option<&AccountName>) -> Result<Account, Refusal> {
    if let Some(name) = service {
        let found = account::find(context, Kind::Service, name).await;
        return found.map_err(|refusal| refusal.of_field("service"));
    }
    if context.caller().account.is_none() {
        return Err(Refusal::invalid(
            "service",
            "is missing: a token is for a service, or for the person who creates it in a session",
        ));
    }
    account::own(context).await
}

/// The operations by their names, sorted. Each one exists, is offered over HTTP, and is open to the
/// account's role.
fn permitted(
    context: &Context,
    account: &Account,
    mut names: Vec<String>,
) -> Result<Vec<String>, Refusal> {
    let invalid = |problem: String| Refusal::invalid("operations", problem);
    names.sort_unstable();
    names.dedup();
    if names.is_empty() || names.len() > MAX_OPERATIONS_PER_TOKEN {
        let most = MAX_OPERATIONS_PER_TOKEN;
        return Err(invalid(format!(
            "has {} names, not 1 to {most}",
            names.len()
        )));
    }
    for name in &names {
        let (group, command) = name.split_once('.').ok_or_else(|| {
            invalid(format!(
                "`{name}` is not the name of an operation, such as `alarm.raise`"
            ))
        })?;
        let table = context.site().table();
        let Some(entry) = table.find(group, command) else {
            let refusal = table.unknown(group, command);
            return Err(invalid(format!(
                "{}; {}",
                refusal.message(),
                refusal.hint()
            )));
        };
        let access = entry.access();
        if !access.channels().contains(&Channel::Http) {
            return Err(invalid(format!("{name} cannot be called over HTTP")));
        }
        if !access.admits_token_of(account.role) {
            let role = account.role;
            return Err(invalid(format!(
                "{name} is not open to the role {role} of {}",
                account.name
            )));
        }
    }
    Ok(names)
}

fn lifetime(context: &Context, wanted: Option<u32>) -> Result<u32, Refusal> {
    let most = context.site().config().access_token_lifetime;
    let lifetime = wanted.unwrap_or(USUAL_LIFETIME.min(most));
    if (MIN_LIFETIME..=most).contains(&lifetime) {
        return Ok(lifetime);
    }
    let problem = format!("{lifetime} is not from {MIN_LIFETIME} to {most} seconds");
    Err(Refusal::invalid("expires_in", problem))
}

/// Selects a page of the list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// Return only tokens of this person or service.
    #[schemars(with = "Option<String>")]
    account: Option<AccountName>,
    /// The token after which the page begins: the `next` of the previous page.
    after: Option<AccessTokenId>,
    /// The maximum number of entries: 1 to 1000, default 100.
    #[serde(default)]
    limit: Limit,
}

async fn list(
    context: Context,
    params: List,
) -> Result<Answer<Rows<TokenView, DamagedView>>, Refusal> {
    let of = match (&params.account, context.scope()) {
        (Some(name), _) => Some(named(&context, name).await?),
        (None, Scope::Own(own)) => Some(own),
        (None, Scope::All) => None,
    };
    let page = Page {
        after: params.after,
        limit: params.limit.plus_one(),
    };
    let tokens = context.site().store().access_tokens(of, &page).await?;
    let owners = tokens.iter().map(|listed| match listed {
        Ok(token) => token.account,
        Err(damaged) => damaged.account,
    });
    let names = names_of(&context, owners).await?;
    let views = tokens.into_iter().map(|listed| match listed {
        Ok(token) => {
            let account = names.get(&token.account).cloned();
            Ok(TokenView::of(&context, token, account))
        }
        Err(DamagedRow {
            id,
            account,
            problem,
        }) => {
            let account = names.get(&account).cloned();
            Err(DamagedView {
                id,
                account,
                problem,
            })
        }
    });
    let after = params.after.map(|after| after.to_string());
    let after = after.as_deref();
    let rows = Rows::of(views.collect(), params.limit, after, |row| match row {
        Ok(view) => view.id.to_string(),
        Err(damaged) => damaged.id.to_string(),
    });
    let text = rows.lines(TokenView::line);
    Ok(Answer::new(rows).with_output(text))
}

/// The person or service of that name, if the caller has access to it.
async fn named(context: &Context, name: &AccountName) -> Result<AccountId, Refusal> {
    let name = context.site().qualified_name(name.clone());
    let found = context.site().store().account_by_name(&name).await?;
    found
        .filter(|account| context.admits(account.id))
        .map(|account| account.id)
        .ok_or_else(|| Refusal::not_found("account", name).of_field("account"))
}

/// Names an access token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ById {
    /// Its id.
    id: AccessTokenId,
}

async fn revoke(context: Context, params: ById) -> Result<Answer<Done>, Refusal> {
    let id = params.id;
    let store = context.site().store();
    let damaged = store.damaged_access_token(id).await?;
    let (account, details) = match admitted(&context, "access token", damaged)? {
        Some(DamagedRow {
            account, problem, ..
        }) => (account, json!({ "account": account, "damaged": problem })),
        None => {
            let found = store.access_token(id).await?;
            let token = found
                .filter(|token| context.admits(token.account))
                .ok_or_else(|| Refusal::not_found("access token", id).of_field("id"))?;
            let details = json!({ "account": token.account, "operations": token.operations });
            (token.account, details)
        }
    };
    let change = Change::AccessToken(AccessTokenChange::Delete { id, account });
    context.commit(change, id.to_string(), details).await?;
    Ok(Answer::new(Done {}).with_output(format!("Revoked the access token {id}.")))
}
