//! Tickets over HTTP per second of the site's processor time, from a whole site with its store and
//! its policy. The baseline is a server in Node that does only the RSA-2048 operations of edition v1
//! for each request.

use std::sync::Arc;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::party::{PartyKey, PartyPublic, SealingSuite};
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaPublicKey};
use countersign_crypto::secret::SecretText;
use countersign_proto::broker::{v1, v2};
use countersign_server::{Server, clock};
use serde_json::{Value, json};

use super::process::Process;
use super::wire::{Wire, post};
use crate::Result;
use crate::measure::in_turns;
use crate::report::{Row, Target, Unit};
use crate::site::BenchSite;

/// The argument with which this program serves a site.
pub(crate) const MODE: &str = "--serve-authenticate";

const ROUNDS: usize = 5;
/// The number of requests in a round.
const TIMES: usize = 2_000;
const CONNECTIONS: usize = 4;

const RSA_CONSUMER: &str = include_str!("../../../vectors/serveros/keys/consumer.key.pem");
const RSA_CONSUMER_PUBLIC: &str = include_str!("../../../vectors/serveros/keys/consumer.pub.pem");
const RSA_PROVIDER_PUBLIC: &str = include_str!("../../../vectors/serveros/keys/provider.pub.pem");
const RSA_MASTER: &str = include_str!("../../../vectors/serveros/keys/master.key.pem");
const RSA_MASTER_PUBLIC: &str = include_str!("../../../vectors/serveros/keys/master.pub.pem");

pub(crate) fn run() -> Result<Vec<Row>> {
    let (site, baseline) = (Process::own(MODE)?, Process::baseline("master.mjs")?);
    let consumers = Consumers::of(&site.announcement)?;
    // A site rejects requests that were made in its first second.
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    let baselines = vec![b"GET / HTTP/1.1\r\nhost: baseline\r\n\r\n".to_vec(); TIMES / 8];
    let figures = in_turns(
        ROUNDS,
        [
            &mut || tickets(&site, &consumers.v2(TIMES)?),
            &mut || tickets(&site, &consumers.v1(TIMES / 4)?),
            &mut || tickets(&baseline, &baselines),
        ],
    )?;
    let row = |what: &str, ours, target| Row {
        what: what.to_owned(),
        ours: figures.median(ours),
        baseline: figures.median(2),
        unit: Unit::PerSecond,
        baseline_is: "a server in Node, the RSA-2048 of v1 alone",
        ratio: figures.ratio(ours, 2),
        target,
    };
    Ok(vec![
        // The targets are 20 and 4 times the 200 requests per second of the reference
        // implementation, which does a sixth of what this baseline does.
        row(
            "POST /authenticate, v2, X-Wing",
            0,
            Some(Target::AtLeast(3.25)),
        ),
        row(
            "GET /authenticate, v1, RSA-2048",
            1,
            Some(Target::AtLeast(0.65)),
        ),
    ])
}

/// Requests per second of the server's processor time.
fn tickets(server: &Process, requests: &[Vec<u8>]) -> Result<f64> {
    let address = server.address()?;
    let before = server.used()?;
    std::thread::scope(|scope| {
        let share = requests.len().div_ceil(CONNECTIONS);
        let consumers: Vec<_> = requests
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
        consumers
            .into_iter()
            .try_for_each(|asked| asked.join().map_err(|_| "a thread")?)
    })?;
    let used = server.used()? - before;
    Ok(requests.len() as f64 / used.as_secs_f64())
}

/// The consumers of both editions. A site gives one application 100 tickets a second after a burst,
/// so edition v2 has several consumers.
struct Consumers {
    v2: Vec<v2::consumer::Consumer>,
    v1: v1::consumer::V1Consumer,
}

impl Consumers {
    fn of(announcement: &Value) -> Result<Self> {
        let text = |name: &str| {
            announcement
                .get(name)
                .and_then(Value::as_str)
                .ok_or("a text")
        };
        let consumer = |number: u8| -> Result<v2::consumer::Consumer> {
            Ok(v2::consumer::Consumer {
                id: id(number),
                keys: vec![consumer_key(number)],
                site: text("id")?.to_owned(),
                site_keys: vec![PartyPublic::from_pem(text("public_key")?)?],
                suite: SealingSuite::XWing,
            })
        };
        Ok(Self {
            v2: (0..CONSUMERS).map(consumer).collect::<Result<_>>()?,
            v1: v1::consumer::V1Consumer {
                id: "Application A".to_owned(),
                keys: vec![RsaKey::from_pem(&SecretText::from(
                    RSA_CONSUMER.to_owned(),
                ))?],
                site_keys: vec![RsaPublicKey::from_pem(RSA_MASTER_PUBLIC)?],
                ciphers: vec!["aes-256-cbc".parse()?],
                hashes: vec![RsaHash::Sha256],
            },
        })
    }

    /// New requests of v2.
    fn v2(&self, times: usize) -> Result<Vec<Vec<u8>>> {
        let now = u64::try_from(clock::now().millis())?;
        let make = |consumer: &v2::consumer::Consumer| {
            let (_, sealed) = consumer.ask("ledger", now, &mut SystemEntropy)?;
            let body = serde_json::to_vec(&sealed)?;
            Ok(post("/authenticate", "application/json", &body))
        };
        self.v2.iter().cycle().take(times).map(make).collect()
    }

    /// New requests of v1.
    fn v1(&self, times: usize) -> Result<Vec<Vec<u8>>> {
        let now = u64::try_from(clock::now().millis())?;
        let make = |_| {
            let (_, sealed) = self.v1.ask("Application B", now, &mut SystemEntropy)?;
            let text = serde_json::to_string(&sealed)?;
            let coded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let head = "HTTP/1.1\r\nhost: site.example\r\n\r\n";
            Ok(format!("GET /authenticate?authRequest={coded} {head}").into_bytes())
        };
        (0..times).map(make).collect()
    }
}

/// The number of consumers of edition v2.
const CONSUMERS: u8 = 4;

fn id(number: u8) -> String {
    format!("billing-{number}")
}

/// The key of a consumer, which both processes have.
fn consumer_key(number: u8) -> PartyKey {
    let seed = countersign_crypto::secret::Secret::from_bytes([number + 7; 32]);
    let seed = countersign_crypto::identity::IdentitySeed(seed);
    PartyKey::new(Arc::new(Identity::from_seed(seed)))
}

/// Serves a site until standard input ends.
pub(crate) fn serve() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let site = BenchSite::new(Vec::new).await?;
        let imported = json!({ "private_key": RSA_MASTER });
        site.admin("broker", "new_v1_key", &imported).await?;
        let provider = PartyKey::new(Arc::new(Identity::generate(&mut SystemEntropy)));
        let application = |id: &str, key: String, callee| (id.to_owned(), "v2", key, callee);
        let v1 = |id: &str, key: &str| {
            (
                id.to_owned(),
                "serveros-v1",
                key.to_owned(),
                "Application B",
            )
        };
        let mut applications = vec![
            application("ledger", provider.public().to_pem(), "ledger"),
            v1("Application B", RSA_PROVIDER_PUBLIC),
            v1("Application A", RSA_CONSUMER_PUBLIC),
        ];
        applications.extend((0..CONSUMERS).map(|number| {
            let key = consumer_key(number).public().to_pem();
            application(&id(number), key, "ledger")
        }));
        for (id, edition, key, callee) in applications {
            let settings = json!({
                "may_call": [{ "app": callee }],
                "ciphers": ["aes-256-cbc"],
                "hashes": ["sha256"],
            });
            let params = json!({
                "id": id, "edition": edition, "public_keys": [key], "settings": settings
            });
            site.admin("app", "create", &params).await?;
        }
        let server = Server::builder(site.site.clone())
            .http(Some("127.0.0.1:0".parse()?))
            .start()
            .await?;
        let opened = site.site.unsealed_keys().ok_or("the site is sealed")?;
        let party = opened.broker.party().ok_or("a key")?;
        crate::report::tell(&json!({
            "address": server.http_address(),
            "id": opened.broker.id(),
            "public_key": party.public().to_pem(),
        }));
        // Standard input ends when the parent process does.
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
            .await??;
        Ok(())
    })
}
