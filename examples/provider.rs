//! An HTTP service that other applications call. It authenticates the calling application and
//! rejects other requests.
//!
//! Run it with `cargo run -p countersign-examples --bin provider`, after `examples/pair.sh`.

use std::error::Error;
use std::path::Path;

use axum::routing::get;
use axum::{Extension, Router};
use countersign_http_auth::{Application, AuthenticatedApp, Limits, Provider, Site, SqliteTickets};

async fn balance(Extension(app): Extension<AuthenticatedApp>) -> String {
    format!("balance for {}: 12.50\n", app.id)
}

#[tokio::main]
#[allow(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn Error>> {
    let key = std::fs::read_to_string("ledger.key")?;
    let provider = Provider::builder(Application::from_pem("ledger", &key, None)?, site()?)
        .tickets(SqliteTickets::open(Path::new("ledger.tickets"), Limits::default()).await?)
        .build()?;

    // The layer is the outermost one, so that it gets requests as they were signed.
    let service = Router::new()
        .route("/balance", get(balance))
        .layer(provider);
    let listener = tokio::net::TcpListener::bind(setting("LISTEN", "127.0.0.1:8080")).await?;
    println!("ledger is at http://{}", listener.local_addr()?);
    axum::serve(listener, service).await?;
    Ok(())
}

/// The site at which `ledger` is registered.
fn site() -> Result<Site, Box<dyn Error>> {
    let url = setting("SITE_URL", "http://127.0.0.1:4749").parse()?;
    let keys = std::fs::read_to_string(setting("SITE_KEYS", "site.pub"))?;
    Ok(Site::from_pem(&setting("SITE_ID", "local"), url, &keys)?)
}

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}
