//! An application that calls another one over HTTP and authenticates each request.
//!
//! Run it with `cargo run -p countersign-examples --bin consumer`, after `examples/pair.sh` and
//! while the example `provider` runs.

use std::error::Error;

use countersign_http_auth::{Application, Consumer, Site};

#[tokio::main]
#[allow(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn Error>> {
    let ledger = setting("LEDGER", "http://127.0.0.1:8080");
    // With its zone for an application of another site, as in `ledger@b.example`.
    let name = setting("LEDGER_ID", "ledger");
    let key = std::fs::read_to_string("billing.key")?;
    let consumer = Consumer::builder(Application::from_pem("billing", &key, None)?, site()?)
        .calls(&name, ledger.parse()?)
        .build()?;

    // From here on this is reqwest. The first request obtains the ticket and presents it.
    let client = consumer.client()?;
    let answer = client.get(format!("{ledger}/balance")).send().await?;
    print!("{}", answer.error_for_status()?.text().await?);
    Ok(())
}

/// The site at which `billing` is registered.
fn site() -> Result<Site, Box<dyn Error>> {
    let url = setting("SITE_URL", "http://127.0.0.1:4749").parse()?;
    let keys = std::fs::read_to_string(setting("SITE_KEYS", "site.pub"))?;
    Ok(Site::from_pem(&setting("SITE_ID", "local"), url, &keys)?)
}

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}
