//! `site setup_new`, `site setup_status` and `site setup_retire`: another OPAQUE server setup
//! without a flag day. Each person's client registers the same pass phrase again at a login.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::NoParams;
use crate::access::{Channel, Role};
use crate::accounts::Kind;
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::page::Page;
use crate::site_key::{MAX_SETUPS, Setups};
use crate::text::Base64Url;
use crate::timestamp::Timestamp;

/// Accounts that are read at a time.
const PAGE: u32 = 100;
/// Maximum number of names in a status.
const MAX_NAMES: usize = 1_000;

pub(super) fn entries() -> Vec<Entry> {
    let operation = |command| {
        Entry::new("site", command)
            .allow(&[Role::Admin])
            .only_on(&[Channel::AdminSocket])
    };
    vec![
        operation("setup_new")
            .command_line("site setup new")
            .summary("Makes another OPAQUE server setup. Pass phrases change over to it at the next login of their persons.")
            .changes()
            .handler(new),
        operation("setup_status")
            .command_line("site setup status")
            .summary("Shows how many pass phrases are registered under each OPAQUE server setup.")
            .handler(status),
        operation("setup_retire")
            .command_line("site setup retire")
            .summary("Retires all OPAQUE server setups but the newest. Pass phrases that are registered under them become invalid.")
            .disruptive()
            .example(json!({ "with_pass_phrases": false }))
            .handler(retire),
    ]
}

/// The OPAQUE server setups.
#[derive(Debug, Serialize, JsonSchema)]
struct SetupStatus {
    /// The setups, newest first. New pass phrases are registered under the newest.
    setups: Vec<SetupView>,
    /// Persons whose pass phrase is registered under an older setup; at most 1,000 of them.
    left_behind: Vec<String>,
}

/// A setup.
#[derive(Debug, Serialize, JsonSchema)]
struct SetupView {
    /// Its id.
    id: Base64Url,
    /// When it was made.
    added: Timestamp,
    /// How many persons have a pass phrase that is registered under it.
    persons: u64,
}

impl SetupStatus {
    async fn read(context: &Context, setups: &Setups) -> Result<Self, Refusal> {
        let mut views: Vec<SetupView> = setups
            .all()
            .map(|dated| SetupView {
                id: Base64Url(dated.setup.id().as_bytes().to_vec()),
                added: dated.added,
                persons: 0,
            })
            .collect();
        let store = context.site().store();
        let newest = setups.newest().id();
        let mut left_behind = Vec::new();
        let mut page = Page {
            after: None,
            limit: PAGE,
        };
        loop {
            let listed = store.accounts(Kind::Person, &page, None).await?;
            let more = listed.len() == PAGE as usize;
            for account in listed {
                let account = match account {
                    Ok(account) => account,
                    // It cannot log in.
                    Err(damaged) => {
                        page.after = Some(damaged.name);
                        continue;
                    }
                };
                page.after = Some(account.name.to_string());
                let Some(credential) = store.passphrase(account.id).await? else {
                    continue;
                };
                let id = credential.setup.as_bytes();
                let view = views.iter_mut().find(|view| view.id.0 == id);
                // Under a setup that was retired, the pass phrase is invalid already.
                let Some(view) = view else { continue };
                view.persons += 1;
                if credential.setup != newest && left_behind.len() < MAX_NAMES {
                    left_behind.push(account.name.to_string());
                }
            }
            if !more {
                break;
            }
        }
        Ok(Self {
            setups: views,
            left_behind,
        })
    }

    fn text(&self) -> String {
        let mut lines: Vec<String> = self
            .setups
            .iter()
            .map(|setup| format!("{}  {} pass phrases", setup.added, setup.persons))
            .collect();
        if !self.left_behind.is_empty() {
            lines.push(format!("Left behind: {}", self.left_behind.join(", ")));
        }
        lines.join("\n")
    }
}

async fn new(context: Context, _: NoParams) -> Result<Answer<SetupStatus>, Refusal> {
    let site = context.site();
    let (now, entropy) = (context.now(), &mut site.entropy());
    let (setups, change) = site.change_setups(|setups| {
        setups.with_new(now, entropy).ok_or_else(|| {
            Refusal::conflict(
                format!("the site has {MAX_SETUPS} OPAQUE server setups already"),
                "retire the older ones with `site setup_retire`",
            )
        })
    })?;
    let details = json!({ "setups": setups.all().count() });
    context.commit(change, None, details).await?;
    let status = SetupStatus::read(&context, &setups).await?;
    let output = status.text();
    Ok(Answer::new(status).with_output(output))
}

async fn status(context: Context, _: NoParams) -> Result<Answer<SetupStatus>, Refusal> {
    let opened = context.site().expect_unsealed()?;
    let status = SetupStatus::read(&context, &opened.setups).await?;
    let output = status.text();
    Ok(Answer::new(status).with_output(output))
}

/// How to retire setups.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Retire {
    /// Retires them also if pass phrases are registered under them. Their persons then need a new
    /// pass phrase, by a ticket or from an admin. Default: `false`.
    #[serde(default)]
    with_pass_phrases: bool,
}

async fn retire(context: Context, params: Retire) -> Result<Answer<SetupStatus>, Refusal> {
    let site = context.site();
    let opened = site.expect_unsealed()?;
    if !opened.setups.has_older() {
        return Err(Refusal::conflict(
            "the site has one OPAQUE server setup only",
            "make another one with `site setup_new`",
        ));
    }
    let before = SetupStatus::read(&context, &opened.setups).await?;
    let left = before.left_behind.len();
    if left > 0 && !params.with_pass_phrases {
        return Err(Refusal::conflict(
            format!("{left} pass phrases are registered under older setups"),
            "`site setup_status` names their persons; wait for their logins, or give `with_pass_phrases`",
        ));
    }
    let (setups, change) = site.change_setups(|setups| Ok(setups.without_older()))?;
    let details = json!({ "left_behind": before.left_behind });
    context.commit(change, None, details).await?;
    let status = SetupStatus {
        left_behind: before.left_behind,
        ..SetupStatus::read(&context, &setups).await?
    };
    let output = status.text();
    Ok(Answer::new(status).with_output(output))
}
