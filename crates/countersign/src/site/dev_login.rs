//! The link of `countersign dev` that logs in to the web console by itself, or the pass phrase for it.

use std::path::Path;

use countersign_client::{PassphraseStarted, Registration};
use countersign_core::access::Caller;
use countersign_core::engine::Site;
use countersign_crypto::entropy::{SystemEntropy, fresh};
use countersign_crypto::identity::Identity;
use countersign_proto::operation::{Code, Operation};
use countersign_server::clock;
use data_encoding::HEXLOWER;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use super::first_launch::show_secret;
use crate::console::ConsoleAccess;
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::output;

/// The admin who logs in.
const NAME: &str = "dev";

/// Creates an admin with a random pass phrase, and shows how to log in with it, unless standard output goes
/// nowhere.
pub(super) async fn show(
    common: &Common,
    folder: &Path,
    site: &Site,
    console: &ConsoleAccess,
) -> Result<(), Failure> {
    if output::goes_nowhere() {
        return Ok(());
    }
    let passphrase: [u8; 16] = fresh(&mut SystemEntropy);
    let passphrase = HEXLOWER.encode(&passphrase);
    let folder = folder.display().to_string();
    let (text, data) = match console {
        ConsoleAccess::Link(link) => {
            let link = link.login(NAME, &passphrase);
            (
                format!("Open the web console as the admin {NAME}:\n\n    {link}\n\n"),
                json!({ "folder": folder, "console": link }),
            )
        }
        ConsoleAccess::Command(command) => (
            format!(
                "Log in to the web console as the admin {NAME} with the pass phrase {passphrase}. This command \
                 serves it:\n\n    {command}\n\n"
            ),
            json!({
                "folder": folder, "console_command": command, "name": NAME, "passphrase": passphrase,
            }),
        ),
    };
    create(site, passphrase).await?;
    show_secret(common, text, &data).await;
    Ok(())
}

async fn create(site: &Site, passphrase: String) -> Result<(), Failure> {
    call(site, "create", &json!({ "name": NAME, "role": "admin" })).await?;
    let passphrase = passphrase.into();
    let registration = Registration::start(&passphrase)?;
    let start = json!({ "name": NAME, "request": registration.request() });
    let started = call(site, "passphrase_start", &start).await?;
    let started: PassphraseStarted = serde_json::from_value(started)
        .map_err(|error| Failure::new(Exit::Failure, "protocol", error))?;
    // Key stretching is a long computation.
    let finished = tokio::task::spawn_blocking(move || {
        registration.finish(&started, &Identity::generate(&mut SystemEntropy))
    });
    let finished = finished
        .await
        .map_err(|error| Failure::new(Exit::Failure, "dev_login", error))??;
    let mut finish = json!(finished);
    if let Some(finish) = finish.as_object_mut() {
        finish.insert("name".to_owned(), NAME.into());
    }
    call(site, "passphrase_finish", &finish).await.map(|_| ())
}

/// Runs an operation on persons as the local admin who started the site.
async fn call(site: &Site, command: &str, params: &Value) -> Result<Value, Failure> {
    let failed = |error| Failure::new(Exit::Failure, "dev_login", error);
    let params = to_raw_value(params).map_err(failed)?;
    let operation = Operation::new(1, "person", command, params);
    let outcome = site
        .run(&Caller::admin_socket(), &operation, clock::now())
        .await;
    match outcome.code {
        Code::SUCCESS => serde_json::from_str(outcome.data.get()).map_err(failed),
        _ => Err(Failure::outcome(&outcome)),
    }
}
