//! `countersign site`.

mod key;

use clap::Subcommand;
use countersign_proto::operation::{Code, Outcome};
use serde_json::{Map, Value, json};

use key::Key;

use super::{admin_call, given};
use crate::admin::Admin;
use crate::failure::Failure;
use crate::global::Common;
use crate::input::duration::seconds;
use crate::output::{Format, print, show, show_of};
use crate::secret_input::credential;
use crate::secret_input::{Secret, passphrase};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Shows the state and the addresses of the site.
    Status,
    /// Shows the settings in the database and changes those that are given.
    Config {
        /// Lifetime of new sessions, such as 12h or 7d.
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        session_lifetime: Option<u32>,
        /// Lifetime of a session's keys, after which the client renews them, such as 30m or 1h.
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        key_lifetime: Option<u32>,
        /// Greatest lifetime of new access tokens, such as 30d or 90d.
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        access_token_lifetime: Option<u32>,
        /// Origin of web pages that may call the site over HTTP, such as `https://tools.example.org`; may be
        /// repeated, and replaces the earlier ones. `none` removes all.
        #[arg(long = "web-origin", value_name = "ORIGIN")]
        web_origins: Option<Vec<String>>,
    },
    /// Unseals the site with the pass phrase of the site key, with the recovery code or with a credential.
    Unseal {
        /// Asks for the recovery code instead of the pass phrase.
        #[arg(long)]
        recovery_code: bool,
        /// Unseals it with this credential of the service manager instead of the pass phrase.
        #[arg(long, value_name = "NAME", conflicts_with = "recovery_code")]
        credential: Option<String>,
    },
    /// Seals the site: it forgets its keys, and sessions end. Refuses logins until it is unsealed.
    Seal,
    /// The OPAQUE server setups, under which pass phrases are registered.
    #[command(subcommand)]
    Setup(Setup),
    /// The site key and the next one, and the key slots that open them.
    #[command(subcommand)]
    Key(Key),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Setup {
    /// Makes another setup; pass phrases change over to it at the next login of their persons.
    New,
    /// Shows how many pass phrases are registered under each setup.
    Status,
    /// Retires all setups but the newest.
    Retire {
        /// Retires them also if pass phrases are registered under them, which become invalid.
        #[arg(long)]
        with_pass_phrases: bool,
    },
}

pub(crate) fn run(common: &Common, verb: &Verb) -> Result<(), Failure> {
    match verb {
        Verb::Status => status(common),
        Verb::Config {
            session_lifetime,
            key_lifetime,
            access_token_lifetime,
            web_origins,
        } => {
            let origins = web_origins.as_ref();
            let origins = origins.map(|origins| match origins.as_slice() {
                [none] if none == "none" => Vec::new(),
                origins => origins.to_vec(),
            });
            let params = given(json!({
                "session_lifetime": session_lifetime,
                "key_lifetime": key_lifetime,
                "access_token_lifetime": access_token_lifetime,
                "web_origins": origins,
            }));
            let command = match params.as_object().is_some_and(Map::is_empty) {
                true => "config_show",
                false => "config",
            };
            admin_call(common, "site", command, &params)
        }
        Verb::Unseal {
            credential: Some(name),
            ..
        } => {
            let secret = key::slot_file(&credential::file(name)?)?;
            key::as_unauthenticated(admin_call(common, "site", "unseal", &secret))
        }
        Verb::Unseal { recovery_code, .. } => {
            let secret = match recovery_code {
                true => Secret::RecoveryCode,
                false => Secret::Site,
            };
            let outcome = unseal(common, secret)?;
            show_of("site unseal", &outcome, common.format())
        }
        Verb::Seal => admin_call(common, "site", "seal", &json!({})),
        Verb::Setup(Setup::New) => admin_call(common, "site", "setup_new", &json!({})),
        Verb::Setup(Setup::Status) => admin_call(common, "site", "setup_status", &json!({})),
        Verb::Setup(Setup::Retire { with_pass_phrases }) => {
            let params = json!({ "with_pass_phrases": with_pass_phrases });
            admin_call(common, "site", "setup_retire", &params)
        }
        Verb::Key(key) => key::run(common, key),
    }
}

/// Unseals the site with this secret, from its file or typed. Returns the outcome, which is not shown
/// yet.
pub(super) fn unseal(common: &Common, secret: Secret) -> Result<Outcome, Failure> {
    let (prompt, field) = match secret {
        Secret::RecoveryCode => ("Recovery code", "recovery_code"),
        _ => ("Pass phrase of the site key", "passphrase"),
    };
    let secret = passphrase(prompt, common.secret_file(secret).as_deref())?;
    let text = String::from_utf8_lossy(secret.as_bytes());
    let outcome = Admin::connect(&common.data)?.run("site", "unseal", &json!({ field: text }))?;
    match outcome.code {
        Code::SUCCESS => Ok(outcome),
        _ => Err(key::unauthenticated(Failure::outcome(&outcome))),
    }
}

/// Shows the status; as text, a last line has the URI for `--site`.
fn status(common: &Common) -> Result<(), Failure> {
    let outcome = Admin::connect(&common.data)?.run("site", "status", &json!({}))?;
    show(&outcome, common.format())?;
    let data: Value = serde_json::from_str(outcome.data.get()).unwrap_or_default();
    match data.get("uri").and_then(Value::as_str) {
        Some(uri) if common.format() == Format::Text => print(uri),
        _ => Ok(()),
    }
}
