//! The cost of authenticating the calling application: a handler behind the provider's layer,
//! compared with the same handler without the layer, per second of the service's processor time.

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use countersign_crypto::entropy::{SystemEntropy, fresh};
use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::party::{PartyKey, SealingSuite};
use countersign_crypto::secret::Secret;
use countersign_http_auth::{Application, Provider, Site};
use countersign_proto::broker::v2::clock::Clock;
use countersign_proto::broker::v2::message::Nonce;
use countersign_proto::broker::v2::site::Application as Registered;
use countersign_proto::broker::v2::{Credentials, consumer, signature, site};
use countersign_server::clock;
use serde_json::json;

use super::process::Process;
use super::wire::{Wire, post as request};
use crate::Result;
use crate::measure::in_turns;
use crate::report::{Row, Unit};

/// The argument with which this program serves the handler, with the layer and without.
pub(crate) const MODE: &str = "--serve-provider";

const ROUNDS: usize = 5;
const TIMES: usize = 4_000;
/// The number of whole dialogs in a round.
const FLOWS: usize = 200;
const CONTENT: &[u8] = &[b'x'; 1_024];
const AUTHORITY: &str = "ledger.example";

pub(crate) fn run() -> Result<Vec<Row>> {
    let service = Process::own(MODE)?;
    let address = service.address()?;
    let parties = Parties::new();
    let credentials = parties.flow(&mut Wire::connect(address)?)?;
    let bare = vec![request("/bare", "text/plain", CONTENT); TIMES];
    let figures = in_turns(
        ROUNDS,
        [
            &mut || cost(&service, &signed(&credentials, TIMES)?),
            &mut || cost(&service, &bare),
            &mut || flows(&service, &parties),
        ],
    )?;
    let row = |what: &str, ours| Row {
        what: what.to_owned(),
        ours: figures.median(ours),
        baseline: figures.median(1),
        unit: Unit::Microseconds,
        baseline_is: "the same handler with nothing before it",
        ratio: figures.ratio(ours, 1),
        target: None,
    };
    Ok(vec![
        row("a signed request of 1 KiB, verified", 0),
        row("a ticket that is presented, accepted and acknowledged", 2),
    ])
}

/// Microseconds of the service's processor time per request.
fn cost(service: &Process, requests: &[Vec<u8>]) -> Result<f64> {
    let mut wire = Wire::connect(service.address()?)?;
    let before = service.used()?;
    for request in requests {
        std::hint::black_box(wire.exchange(request)?);
    }
    let used = service.used()? - before;
    Ok(used.as_secs_f64() * 1e6 / requests.len() as f64)
}

/// Microseconds of the service's processor time per whole dialog. This process does the site's and
/// the consumer's part.
fn flows(service: &Process, parties: &Parties) -> Result<f64> {
    let mut wire = Wire::connect(service.address()?)?;
    let before = service.used()?;
    for _ in 0..FLOWS {
        std::hint::black_box(parties.flow(&mut wire)?);
    }
    let used = service.used()? - before;
    Ok(used.as_secs_f64() * 1e6 / FLOWS as f64)
}

/// Newly signed requests.
fn signed(credentials: &Credentials, times: usize) -> Result<Vec<Vec<u8>>> {
    let made = u64::try_from(clock::now().millis())? / 1_000;
    let make = |_| {
        let what = signature::HttpRequest {
            method: "POST",
            authority: AUTHORITY,
            target: "/guarded",
            content: CONTENT,
        };
        let nonce = Nonce(fresh(&mut SystemEntropy));
        let fields = signature::sign(credentials, &what, nonce, made, 60)?;
        let length = CONTENT.len();
        let head = format!(
            "POST /guarded HTTP/1.1\r\nhost: {AUTHORITY}\r\ncontent-type: text/plain\r\n\
             content-length: {length}\r\ncontent-digest: {}\r\nsignature-input: {}\r\n\
             signature: {}\r\n\r\n",
            fields.content_digest, fields.signature_input, fields.signature
        );
        Ok([head.as_bytes(), CONTENT].concat())
    };
    (0..times).map(make).collect()
}

fn party(seed: u8) -> PartyKey {
    let seed = IdentitySeed(Secret::from_bytes([seed; 32]));
    PartyKey::new(Arc::new(Identity::from_seed(seed)))
}

/// A site and a consumer, in this process.
struct Parties {
    site: site::Site,
    consumer: consumer::Consumer,
    registered: Registered,
    provider: Registered,
}

impl Parties {
    fn new() -> Self {
        let registered = |id: &str, seed| Registered {
            id: id.to_owned(),
            keys: vec![party(seed).public().clone()],
            suite: SealingSuite::XWing,
            keys_last: 3_600_000,
            auth_data: None,
        };
        Self {
            site: site::Site {
                id: "local".to_owned(),
                keys: vec![party(1)],
            },
            consumer: consumer::Consumer {
                id: "billing".to_owned(),
                keys: vec![party(2)],
                site: "local".to_owned(),
                site_keys: vec![party(1).public().clone()],
                suite: SealingSuite::XWing,
            },
            registered: registered("billing", 2),
            provider: registered("ledger", 3),
        }
    }

    /// A whole dialog, with its presentation over HTTP.
    fn flow(&self, wire: &mut Wire) -> Result<Credentials> {
        let now = u64::try_from(clock::now().millis())?;
        let entropy = &mut SystemEntropy;
        let (asked, sealed) = self.consumer.ask("ledger", now, entropy)?;
        let request = site::UnverifiedRequest::read(&serde_json::to_vec(&sealed)?)?;
        let unregistered = party(99);
        let verified = request.verify(
            &self.site,
            Some(&self.registered),
            unregistered.public(),
            now,
        )?;
        let provider = Some(&self.provider);
        let answer = verified.answer(&self.site, &self.registered, provider, now, entropy)?;
        let granted = self
            .consumer
            .read_response(asked, &serde_json::to_vec(&answer)?)?;
        let (presenting, presentation) = granted.present(now, entropy)?;
        let path = countersign_http_auth::TICKET_PATH;
        let sent = super::wire::post(path, "application/json", presentation.as_bytes());
        Ok(presenting.read_acknowledgement(&wire.exchange(&sent)?)?)
    }
}

/// Serves the handler until standard input ends.
pub(crate) fn serve() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let time = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", time.local_addr()?).parse()?;
        tokio::spawn(async move { axum::serve(time, site_time()).await });
        let site = Site {
            id: "local".to_owned(),
            url,
            keys: vec![party(1).public().clone()],
        };
        let own = Application {
            id: "ledger".to_owned(),
            keys: vec![party(3)],
        };
        let provider = Provider::builder(own, site).authority(AUTHORITY).build()?;
        let handler = |body: axum::body::Bytes| async move { body.len().to_string() };
        let service = Router::new()
            .route("/guarded", post(handler))
            .layer(provider)
            .route("/bare", post(handler));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        crate::report::tell(&json!({ "address": listener.local_addr()? }));
        tokio::spawn(async move { axum::serve(listener, service).await });
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
            .await??;
        Ok(())
    })
}

/// The part of a site that a provider uses: its clock.
fn site_time() -> Router {
    use axum::extract::Query;
    let tell = |Query(asked): Query<std::collections::HashMap<String, String>>| async move {
        let nonce = serde_json::from_value(json!(asked.get("nonce")));
        let now = u64::try_from(clock::now().millis()).unwrap_or_default();
        axum::Json(nonce.ok().map(|nonce| Clock::issue(nonce, now, &party(1))))
    };
    Router::new().route("/clock", axum::routing::get(tell))
}
