//! Requests to the REST API per second of the server's processor time, beside axum with a handler that returns
//! the same bytes and looks at nothing. Each of the two is a process of its own.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;
use countersign_core::access_tokens::PREFIX;
use countersign_crypto::entropy::{SystemEntropy, fresh};
use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::secret::Secret;
use countersign_proto::signed_request::{RequestParts, RequestSigner};
use countersign_server::{Server, clock};
use serde_json::{Value, json};

use super::process::Process;
use super::wire::Wire;
use crate::Result;
use crate::measure::in_turns;
use crate::report::{Row, Target, Unit};
use crate::site::BenchSite;

/// The argument with which this program serves a site.
pub(crate) const MODE: &str = "--serve-api";
/// The argument with which this program serves bare axum.
pub(crate) const BASELINE_MODE: &str = "--serve-bare-api";

const ROUNDS: usize = 9;
/// The number of requests in a round.
const TIMES: usize = 4_000;
const CONNECTIONS: usize = 4;
const HOST: &str = "site.example";
/// A read that needs the database, and one that does not.
const READS: [&str; 2] = ["/api/v1/self", "/api/v1/site"];
/// The seed of the key of the service, which both processes have.
const SERVICE: [u8; 32] = [9; 32];
/// The lifetime of a signature, in seconds.
const LIFETIME: u64 = 60;

pub(crate) fn run() -> Result<Vec<Row>> {
    let site = Process::own(MODE)?;
    // A site rejects requests that were signed in its first second.
    std::thread::sleep(std::time::Duration::from_millis(2_200));
    let client = Client::of(&site.announcement)?;
    let mut wire = Wire::connect(site.address()?)?;
    let mut body = |path| -> Result<String> {
        let body = wire.exchange(&client.request(path))?;
        Ok(String::from_utf8(body)?)
    };
    let bodies = [body(READS[0])?, body(READS[1])?];
    let baseline = Process::own_with(BASELINE_MODE, &bodies)?;
    let bare = READS.map(|path| vec![request(path, ""); TIMES]);
    let [account, status] = READS;
    let figures = in_turns(
        ROUNDS,
        [
            &mut || served(&site, &client.with_token(account)),
            &mut || served(&site, &client.with_token(status)),
            &mut || served(&site, &client.signed(account)?),
            &mut || served(&site, &client.signed(status)?),
            &mut || served(&baseline, &bare[0]),
            &mut || served(&baseline, &bare[1]),
        ],
    )?;
    let row = |what: &str, ours, baseline, least| Row {
        what: what.to_owned(),
        ours: figures.median(ours),
        baseline: figures.median(baseline),
        unit: Unit::PerSecond,
        baseline_is: "axum, the same bytes without a check",
        ratio: figures.ratio(ours, baseline),
        target: Some(Target::AtLeast(least)),
    };
    Ok(vec![
        row("`self show` with an access token", 0, 4, 0.5),
        row("`site status` with an access token", 1, 5, 0.5),
        row("`self show`, signed", 2, 4, 0.3),
        row("`site status`, signed", 3, 5, 0.3),
    ])
}

/// Requests per second of the server's processor time.
fn served(server: &Process, requests: &[Vec<u8>]) -> Result<f64> {
    let address = server.address()?;
    let before = server.used()?;
    std::thread::scope(|scope| {
        let share = requests.len().div_ceil(CONNECTIONS);
        let clients: Vec<_> = requests
            .chunks(share)
            .map(|requests| {
                scope.spawn(move || -> Result<()> {
                    let mut wire = Wire::connect(address)?;
                    for request in requests {
                        std::hint::black_box(wire.exchange(request)?);
                    }
                    Ok(())
                })
            })
            .collect();
        clients
            .into_iter()
            .try_for_each(|asked| asked.join().map_err(|_| "a thread")?)
    })?;
    let used = server.used()? - before;
    Ok(requests.len() as f64 / used.as_secs_f64())
}

fn request(target: &str, fields: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nhost: {HOST}\r\n{fields}\r\n").into_bytes()
}

/// A program with both credentials of the service.
struct Client {
    token: String,
    site: String,
    key: Identity,
}

impl Client {
    fn of(announcement: &Value) -> Result<Self> {
        let text = |name: &str| {
            let text = announcement.get(name).and_then(Value::as_str);
            text.map(str::to_owned).ok_or("a text")
        };
        let token = text("token")?;
        if !token.starts_with(PREFIX) {
            return Err("no access token".into());
        }
        Ok(Self {
            token,
            site: text("site")?,
            key: service(),
        })
    }

    fn with_token(&self, path: &str) -> Vec<Vec<u8>> {
        vec![self.request(path); TIMES]
    }

    fn request(&self, path: &str) -> Vec<u8> {
        request(path, &format!("authorization: Bearer {}\r\n", self.token))
    }

    /// Newly signed requests (RFC 9421).
    fn signed(&self, path: &str) -> Result<Vec<Vec<u8>>> {
        let created = u64::try_from(clock::now().millis() / 1_000)?;
        let signer = RequestSigner::new(&self.key, &self.site);
        let parts = RequestParts {
            method: "GET",
            scheme: "http",
            authority: HOST,
            path,
            query: None,
            content_digest: None,
            if_match: None,
            idempotency_key: None,
        };
        let sign = |_| {
            let nonce = data_encoding::HEXLOWER.encode(&fresh::<16>(&mut SystemEntropy));
            let fields = signer.sign(&parts, created..created + LIFETIME, &nonce)?;
            let (input, signature) = (fields.signature_input, fields.signature);
            let fields = format!("signature-input: {input}\r\nsignature: {signature}\r\n");
            Ok(request(path, &fields))
        };
        (0..TIMES).map(sign).collect()
    }
}

fn service() -> Identity {
    Identity::from_seed(IdentitySeed(Secret::from_bytes(SERVICE)))
}

/// Serves a site until standard input ends. Requests come from its own machine, which is a trusted proxy by
/// default.
pub(crate) fn serve() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let site = BenchSite::new(Vec::new).await?;
        let certificate = service().certificate().to_pem();
        let robot = json!({ "name": "robot", "certificate": certificate });
        site.admin("service", "create", &robot).await?;
        let operations = json!({ "service": "robot", "operations": ["self.show", "site.status"] });
        let token = site.admin_data("token", "create", &operations).await?;
        let server = Server::builder(site.site.clone())
            .http(Some("127.0.0.1:0".parse()?))
            .proxies(countersign_server::Proxies {
                addresses: vec!["127.0.0.1".parse()?],
                trust_forwarded: false,
            })
            .start()
            .await?;
        crate::report::tell(&json!({
            "address": server.http_address(),
            "site": site.site.id().to_string(),
            "token": token.get("token"),
        }));
        // Standard input ends when the parent process does.
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
            .await??;
        Ok(())
    })
}

/// Serves bare axum until standard input ends. The further arguments are the bodies.
pub(crate) fn serve_baseline() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let mut service = Router::new();
        for (path, body) in READS.into_iter().zip(std::env::args().skip(2)) {
            let fields = [
                (CONTENT_TYPE, "application/json; charset=utf-8"),
                (CACHE_CONTROL, "no-store"),
            ];
            let handler = move || {
                let reply = (fields.clone(), body.clone());
                async move { reply }
            };
            service = service.route(path, get(handler));
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        crate::report::tell(&json!({ "address": listener.local_addr()? }));
        tokio::spawn(async move { axum::serve(listener, service).await });
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
            .await??;
        Ok(())
    })
}
