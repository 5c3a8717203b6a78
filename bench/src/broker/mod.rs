//! Tickets on one processor: verifies a request, seals a ticket and a response. The baseline is Node's
//! own crypto, which does only the RSA-2048 operations of edition v1: an upper bound for any
//! implementation of the site in Node.

mod symmetric;

use std::process::Command;
use std::sync::Arc;

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::legacy::Cipher;
use countersign_crypto::party::{PartyKey, SealingSuite};
use countersign_crypto::rsa::{RsaHash, RsaKey};
use countersign_crypto::secret::SecretText;
use countersign_proto::broker::{v1, v2};

use crate::Result;
use crate::measure::{in_turns, per_second};
use crate::report::{Row, Target, Unit};

const ROUNDS: usize = 9;
/// The number of requests in a round.
const TIMES: u32 = 200;

const NOW: u64 = 1_800_000_000_000;
const HOUR: u64 = 3_600_000;

pub(crate) fn run() -> Result<Vec<Row>> {
    let (hybrid, classical) = (
        V2::new(SealingSuite::XWing)?,
        V2::new(SealingSuite::X25519)?,
    );
    let rsa = V1::new()?;
    let figures = in_turns(
        ROUNDS,
        [
            &mut || per_second(TIMES, || hybrid.request()),
            &mut || per_second(TIMES, || classical.request()),
            &mut || per_second(TIMES / 4, || rsa.request()),
            &mut || node(TIMES / 4),
        ],
    )?;
    let row = |what: &str, ours, target| Row {
        what: what.to_owned(),
        ours: figures.median(ours),
        baseline: figures.median(3),
        unit: Unit::PerSecond,
        baseline_is: "RSA-2048 of v1 in Node, the primitives alone",
        ratio: figures.ratio(ours, 3),
        target,
    };
    // The targets are 20 and 4 times the rate of the reference implementation, about 200 per
    // second. That is a sixth of what these primitives allow, because it does more than these.
    Ok(vec![
        row(
            "tickets of edition v2, X-Wing",
            0,
            Some(Target::AtLeast(3.25)),
        ),
        row("tickets of edition v2, X25519", 1, None),
        row(
            "tickets of edition v1, RSA-2048",
            2,
            Some(Target::AtLeast(0.65)),
        ),
        symmetric::row(&hybrid)?,
    ])
}

fn node(times: u32) -> Result<f64> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/baselines/rsa.mjs");
    let ran = Command::new("node")
        .args([script, &times.to_string()])
        .output()?;
    Ok(String::from_utf8(ran.stdout)?.trim().parse()?)
}

/// A site, a consumer and a provider of edition v2.
struct V2 {
    site: v2::site::Site,
    first: v2::site::Application,
    second: v2::site::Application,
    /// Makes the requests in advance, because the consumer's work is not measured.
    requests: Vec<Vec<u8>>,
}

impl V2 {
    fn new(suite: SealingSuite) -> Result<Self> {
        let entropy = &mut SystemEntropy;
        let mut party = || PartyKey::new(Arc::new(Identity::generate(entropy)));
        let [site, first, second] = [party(), party(), party()];
        let application = |id: &str, key: &PartyKey| v2::site::Application {
            id: id.to_owned(),
            keys: vec![key.public().clone()],
            suite,
            keys_last: HOUR,
            auth_data: None,
        };
        let (registered, provider) = (application("a", &first), application("b", &second));
        let consumer = v2::consumer::Consumer {
            id: "a".to_owned(),
            site: "site".to_owned(),
            site_keys: vec![site.public().clone()],
            keys: vec![first],
            suite,
        };
        let requests = (0..64)
            .map(|_| {
                let (_, sealed) = consumer.ask("b", NOW, &mut SystemEntropy)?;
                Ok(serde_json::to_vec(&sealed)?)
            })
            .collect::<Result<_>>()?;
        let site = v2::site::Site {
            id: "site".to_owned(),
            keys: vec![site],
        };
        Ok(Self {
            site,
            first: registered,
            second: provider,
            requests,
        })
    }

    /// The requests in turn, repeatedly. There is no replay cache here.
    fn request(&self) -> Result<()> {
        let [at] = countersign_crypto::entropy::fresh::<1>(&mut SystemEntropy);
        let text = self.requests.get(usize::from(at) % 64);
        let request = v2::site::UnverifiedRequest::read(text.map_or(&[][..], Vec::as_slice))?;
        let unregistered = self.second.keys.first().ok_or("a key")?;
        let verified = request.verify(&self.site, Some(&self.first), unregistered, NOW)?;
        let (site, first, second) = (&self.site, &self.first, Some(&self.second));
        let answer = verified.answer(site, first, second, NOW, &mut SystemEntropy)?;
        std::hint::black_box(serde_json::to_vec(&answer)?);
        Ok(())
    }
}

/// A site, a consumer and a provider of edition v1.
struct V1 {
    master: v1::site::V1Site,
    first: v1::site::V1Application,
    second: v1::site::V1Application,
    request: String,
}

fn key(party: &str) -> Result<RsaKey> {
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/serveros/keys");
    let pem = std::fs::read_to_string(format!("{keys}/{party}.key.pem"))?;
    Ok(RsaKey::from_pem(&SecretText::from(pem))?)
}

impl V1 {
    fn new() -> Result<Self> {
        let cipher: Cipher = "aes-256-cbc".parse()?;
        let application = |id: &str, party: &str| -> Result<_> {
            Ok(v1::site::V1Application {
                id: id.to_owned(),
                keys: vec![key(party)?.public().clone()],
                hashes: vec![RsaHash::Sha256],
                ciphers: vec![cipher],
                keys_last: HOUR,
                auth_data: None,
            })
        };
        let master = v1::site::V1Site {
            keys: vec![key("master")?],
            ciphers: vec![cipher],
            hashes: vec![RsaHash::Sha256],
        };
        let consumer = v1::consumer::V1Consumer {
            id: "a".to_owned(),
            keys: vec![key("consumer")?],
            site_keys: vec![key("master")?.public().clone()],
            ciphers: vec![cipher],
            hashes: vec![RsaHash::Sha256],
        };
        let (_, sealed) = consumer.ask("b", NOW, &mut SystemEntropy)?;
        Ok(Self {
            master,
            first: application("a", "consumer")?,
            second: application("b", "provider")?,
            request: serde_json::to_string(&sealed)?,
        })
    }

    fn request(&self) -> Result<()> {
        let opened = self.master.open(&self.request)?;
        let unregistered = self.second.keys.first().ok_or("a key")?;
        let verified = opened.verify(&self.master, Some(&self.first), unregistered, NOW)?;
        let (master, first, second) = (&self.master, &self.first, Some(&self.second));
        let answer = verified.answer(master, first, second, NOW, &mut SystemEntropy)?;
        std::hint::black_box(serde_json::to_vec(&answer)?);
        Ok(())
    }
}
