//! Interoperates with applications of Serveros 0.3: a service that they call, and a client that
//! calls them.
//!
//! Run it with `cargo run -p countersign-examples --bin serveros URL MASTER LEDGER BILLING`: the
//! site's URL, the file with its public key for serveros-v1, and the RSA private keys of the two
//! applications.

use std::error::Error;
use std::path::Path;

use axum::routing::get;
use axum::{Extension, Router};
use countersign_http_auth::{
    AuthenticatedApp, Consumer, Limits, Provider, SqliteTickets, V1Application, V1Site,
};

async fn balance(Extension(app): Extension<AuthenticatedApp>) -> String {
    format!("balance for {}: 12.50\n", app.id)
}

#[tokio::main]
#[allow(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, files @ ..] = &words[..] else {
        return Err("URL MASTER LEDGER BILLING".into());
    };
    let read: Result<Vec<String>, _> = files.iter().map(std::fs::read_to_string).collect();
    let [master, ledger, billing] = <[String; 3]>::try_from(read?).map_err(|_| "three files")?;

    let site = V1Site::from_pem(url.parse()?, &master)?;
    let provider = Provider::builder(V1Application::from_pem("ledger", &ledger.into())?, site)
        .tickets(SqliteTickets::open(Path::new("ledger.tickets"), Limits::default()).await?)
        .build();
    let service = Router::new()
        .route("/balance", get(balance))
        .layer(provider);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    let serving = tokio::spawn(async move { axum::serve(listener, service).await });

    let site = V1Site::from_pem(url.parse()?, &master)?;
    let consumer = Consumer::builder(V1Application::from_pem("billing", &billing.into())?, site)
        .calls("ledger", "https://ledger.example".parse()?)
        .build()?;
    let client = consumer.client()?;
    let answer = client.get("https://ledger.example/balance").send().await?;
    print!("{}", answer.error_for_status()?.text().await?);
    Ok(serving.await??)
}
