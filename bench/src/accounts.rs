//! Logins of services at a site with a million accounts. The baseline is the same site with a thousand.
//! The figure is the 99th percentile of a round; logins at the two sites alternate.
//!
//! The figure covers the work of the site: the look-up in the store, both flights in the state
//! machine, and the creation of the session, which is audited and synced to the disk. Every login
//! is the account's first, so no cache has data of an earlier one. The operating system has the
//! databases in memory, but SQLite has no page cached, because the writes of each login invalidate
//! its cache.

use std::sync::Arc;

use countersign_core::accounts::KeyCredential;
use countersign_core::accounts::Kind as AccountKind;
use countersign_core::engine::{Decision, NewSession};
use countersign_core::id::AccountId;
use countersign_core::sessions::{CloseReason, Proof, SessionInfo};
use countersign_core::store::{Change, Store};
use countersign_crypto::agreement::AgreementPublic;
use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::entropy::{SystemEntropy, fresh};
use countersign_crypto::identity::Identity;
use countersign_crypto::noise::StaticKeyCache;
use countersign_proto::session::limits::DEFAULT_MAX_PACKET;
use countersign_proto::session::server::{
    AccountTag, Authenticated, AuthenticatedBy, ServiceCredential,
};
use countersign_proto::session::{client, server};
use countersign_proto::site_identity::KeyEventLog;
use countersign_server::clock;
use tokio::runtime::Runtime;

use crate::Result;
use crate::ends::{UNEXPECTED_COURSE, welcome};
use crate::measure::{Figures, micros, percentile, timed};
use crate::report::{Row, Target, Unit};
use crate::site::{self, BenchSite, audited};

const ROUNDS: usize = 21;
const LOGINS: usize = 500;
const FEW: usize = 1_000;
const MANY: usize = 1_000_000;
/// The number of accounts in one change set while a store is filled.
const AT_ONCE: usize = 2_000;

/// The durations of one login at the site, in microseconds.
#[derive(Default, Clone, Copy)]
struct Took {
    look_up: f64,
    to_proof: f64,
    to_session: f64,
}

/// A row: its name, the part of a login, the percentile, and whether it has a target.
type Kind = (&'static str, fn(&Took) -> f64, usize, bool);

const KINDS: [Kind; 5] = [
    (
        "look-up of a key alone, median",
        |took| took.look_up,
        50,
        false,
    ),
    (
        "look-up of a key alone, p99",
        |took| took.look_up,
        99,
        false,
    ),
    (
        "login to the proof, median",
        |took| took.to_proof,
        50,
        false,
    ),
    ("login to the proof, p99", |took| took.to_proof, 99, true),
    (
        "login to the session, synced, p99",
        |took| took.to_session,
        99,
        true,
    ),
];

pub(crate) fn run() -> Result<Vec<Row>> {
    let runtime = Runtime::new()?;
    let mut many = runtime.block_on(Populated::new(MANY, LOGINS * (ROUNDS + 1)))?;
    let mut few = runtime.block_on(Populated::new(FEW, FEW))?;
    let mut compared = KINDS.map(|_| Figures::<2>::empty());
    for round in 0..=ROUNDS {
        many.site.warm()?;
        few.site.warm()?;
        let (mut of_many, mut of_few) = (Vec::new(), Vec::new());
        for _ in 0..LOGINS {
            of_many.push(many.log_in(&runtime)?);
            of_few.push(few.log_in(&runtime)?);
        }
        if round > 0 {
            for (compared, (_, part, per_cent, _)) in compared.iter_mut().zip(KINDS) {
                let of = |took: &[Took]| {
                    percentile(&mut took.iter().map(part).collect::<Vec<_>>(), per_cent)
                };
                compared.add([of(&of_many), of(&of_few)]);
            }
        }
    }
    let rows = compared.iter().zip(KINDS);
    let rows = rows.map(|(compared, (what, _, _, promised))| Row {
        what: what.to_owned(),
        ours: compared.median(0),
        baseline: compared.median(1),
        unit: Unit::Microseconds,
        baseline_is: "1 000 accounts, compared with 1 000 000",
        ratio: compared.ratio(0, 1),
        target: promised.then_some(Target::AtMost(1.2)),
    });
    Ok(rows.collect())
}

/// A site with many services, some of which can log in.
struct Populated {
    site: BenchSite,
    settings: Arc<server::ServerSettings>,
    robots: Vec<Arc<Identity>>,
    next: usize,
}

impl Populated {
    /// A site with `accounts` services. `robots` of them, at regular intervals, have keys that this
    /// program can use. The keys of the others are random bytes.
    async fn new(accounts: usize, robots: usize) -> Result<Self> {
        let site = BenchSite::new(Vec::new).await?;
        let mut with_keys = Vec::with_capacity(robots);
        for first in (0..accounts).step_by(AT_ONCE) {
            let (mut inserted, mut keys) = (Vec::new(), Vec::new());
            for number in first..accounts.min(first + AT_ONCE) {
                // The names are in another order than the accounts, so that the index by name is
                // filled at random.
                let name = format!("robot-{:012x}", number * 2_654_435_761 % (1 << 40));
                let service = site::account(&format!("{name}@example.org"), AccountKind::Service)?;
                let mut key = KeyCredential {
                    account: service.id,
                    thumbprint: Thumbprint(fresh(&mut SystemEntropy)),
                    certificate: fresh::<400>(&mut SystemEntropy).to_vec(),
                    agreement: AgreementPublic(fresh(&mut SystemEntropy)),
                    label: String::new(),
                    added: clock::now(),
                };
                if number % (accounts / robots) == 0 && with_keys.len() < robots {
                    let robot = Identity::generate(&mut SystemEntropy);
                    key.thumbprint = robot.certificate().thumbprint();
                    key.certificate = robot.certificate().der().to_vec();
                    key.agreement = robot.certificate().agreement();
                    with_keys.push(Arc::new(robot));
                }
                inserted.push(Change::InsertAccount(service));
                keys.push(Change::InsertKey(key));
            }
            inserted.append(&mut keys);
            site.store.commit(audited(inserted)).await?;
        }
        let settings = Arc::new(settings(&site)?);
        Ok(Self {
            site,
            settings,
            robots: with_keys,
            next: 0,
        })
    }

    /// Logs in the next robot.
    fn log_in(&mut self, runtime: &Runtime) -> Result<Took> {
        if self.next == self.robots.len() {
            // After the last robot, clears the caches, so that the next logins are first ones
            // again.
            self.next = 0;
            self.settings = Arc::new(settings(&self.site)?);
        }
        let robot = self.robots.get(self.next).ok_or(UNEXPECTED_COURSE)?.clone();
        self.next += 1;
        let site = &self.site.site;
        let entropy = &mut SystemEntropy;

        let client = client::ClientSettings::new(self.settings.key.public());
        let (mut up, mut down) = (Vec::new(), Vec::new());
        let client = client::ClientLoginAttempt::service(client, robot, entropy, &mut up)?;
        let login = server::ServerLoginAttempt::new(self.settings.clone());
        let (reading, find) = timed(|| match login.receive(&mut up, &mut down)? {
            (server::ServerStep::LookUp(server::LookUp::Service(find)), _) => Ok(find),
            _ => Err(UNEXPECTED_COURSE.into()),
        })?;
        let (look_up, found) =
            timed(|| Ok(runtime.block_on(site.service_for_login(find.thumbprint()))?))?;
        let (answering, login) = timed(|| {
            let found = found.ok_or(UNEXPECTED_COURSE)?;
            let credential = ServiceCredential {
                account: AccountTag(*found.account.as_bytes()),
                agreement: found.agreement,
            };
            Ok(find.answer(Some(&credential), &mut SystemEntropy, &mut down)?)
        })?;

        up.clear();
        client.receive(&mut down, entropy, &mut up)?;
        let (proving, authenticated) = timed(|| match login.receive(&mut up, &mut down)? {
            (server::ServerStep::Authenticated(authenticated), _) => Ok(authenticated),
            _ => Err(UNEXPECTED_COURSE.into()),
        })?;
        let (opening, session) = timed(|| {
            let session = runtime.block_on(self.open(&authenticated))?;
            authenticated.welcome(&welcome(), &mut down)?;
            Ok(session)
        })?;
        runtime.block_on(site.close_session(&session, CloseReason::Goodbye, clock::now()))?;
        let to_proof = micros(reading + look_up + answering + proving);
        Ok(Took {
            look_up: micros(look_up),
            to_proof,
            to_session: to_proof + micros(opening),
        })
    }

    async fn open(&self, authenticated: &Authenticated) -> Result<SessionInfo> {
        let AuthenticatedBy::Key(thumbprint, _) = authenticated.how() else {
            return Err(UNEXPECTED_COURSE.into());
        };
        let new = NewSession {
            account: AccountId::from_bytes(authenticated.account().0),
            proof: Proof::Key(*thumbprint),
            credential: None,
            option: authenticated.option(),
            peer: "192.0.2.1:4747".to_owned(),
            cut: Box::new(|_| {}),
            max_sessions: 1,
        };
        let opened = self.site.site.open_session(new, clock::now()).await?;
        match opened {
            Decision::Opened(session) => Ok(session),
            Decision::Refused | Decision::TooMany => Err(UNEXPECTED_COURSE.into()),
        }
    }
}

/// The settings of the site's logins, with empty caches.
fn settings(site: &BenchSite) -> Result<server::ServerSettings> {
    let opened = site.site.unsealed_keys().ok_or(UNEXPECTED_COURSE)?;
    Ok(server::ServerSettings {
        key: opened.key.clone(),
        key_events: Arc::new(KeyEventLog::new(&opened.events).ok_or(UNEXPECTED_COURSE)?),
        setup: opened.setup.clone(),
        decoy: opened.decoy.clone(),
        zone: site.site.zone(),
        options: site.site.options(),
        max_packet: DEFAULT_MAX_PACKET,
        static_keys: Arc::new(StaticKeyCache::default()),
    })
}
