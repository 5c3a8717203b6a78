//! Alarms arrive as e-mail at a real mail server and as short texts at a receiver in another language.

mod mail;
mod stopping;
mod webhook;

use std::path::{Path, PathBuf};
use std::time::Duration;

use countersign_testkit::harness::python::interpreter;
use countersign_testkit::harness::time::{pass, until};
use countersign_testkit::harness::{ServedSite, TestSite};
use serde_json::{Value, json};

/// How long a channel that could not be reached is left alone, and the first backoff of a message.
const BACKOFF: Duration = Duration::from_secs(10);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/site/delivery")
}

/// A Python interpreter with aiosmtpd.
fn python() -> PathBuf {
    let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mail-server");
    interpreter(&to, &folder().join("requirements.txt"))
}

/// A site with the person `ada`, who has an email address and a number for texts.
async fn site_with_ada() -> ServedSite {
    let served = TestSite::builder().serve().await;
    let ada = json!({ "name": "ada", "email": "ada@example.org" });
    served.admin("person.create", ada).await;
    let preferences = json!({ "person": "ada", "text_to": "+491701234567" });
    served.admin("alarm.preferences", preferences).await;
    served
}

/// Raises an alarm for ada.
async fn raise(served: &ServedSite, severity: &str, text: &str) -> Value {
    let alarm = json!({ "to": "ada", "severity": severity, "text": text });
    served.admin("alarm.raise", alarm).await
}

/// Waits until the only delivery is in this state, and returns it.
async fn delivery(served: &ServedSite, state: &str, attempts: u64) -> Value {
    let mut found = Value::Null;
    until(async || {
        let all = served.admin("alarm.deliveries", json!({})).await;
        found = all["entries"][0].clone();
        found["state"] == state && found["attempts"] == attempts
    })
    .await;
    found
}

/// Lets the first backoff pass.
async fn back_off() {
    pass(BACKOFF + Duration::from_millis(1)).await;
}
