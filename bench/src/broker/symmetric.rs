//! Tickets of the symmetric path: the whole operation as a session passes it to the site, for 256
//! tickets for 16 providers. The baseline is a ticket for a signed request, in memory. Both figures
//! count processor time.

use countersign_core::access::Caller;
use countersign_core::engine::{Decision, NewSession};
use countersign_core::sessions::Proof;
use countersign_core::store::Accounts;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::party::PartyKey;
use countersign_proto::broker::v2::limits::TICKETS;
use countersign_proto::name::AccountName;
use countersign_proto::operation::{Code, Operation};
use countersign_proto::session::EncryptionOption;
use countersign_server::clock;
use serde_json::json;
use serde_json::value::to_raw_value;
use tokio::runtime::Builder;

use super::{ROUNDS, TIMES, V2};
use crate::Result;
use crate::measure::{in_turns, per_second_of_processor};
use crate::report::{Row, Target, Unit};
use crate::site::BenchSite;

/// The number of providers.
const PROVIDERS: usize = 16;

pub(super) fn row(signed: &V2) -> Result<Row> {
    // One thread, so that its processor time is that of all work.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let asked = runtime.block_on(Asked::new())?;
    let figures = in_turns(
        ROUNDS,
        [
            &mut || {
                let requests = per_second_of_processor(TIMES, || runtime.block_on(asked.run()))?;
                Ok(requests * TICKETS as f64)
            },
            &mut || per_second_of_processor(TIMES, || signed.request()),
        ],
    )?;
    Ok(Row {
        what: "tickets of the symmetric path, a second of the processor".to_owned(),
        ours: figures.median(0),
        baseline: figures.median(1),
        unit: Unit::PerSecond,
        baseline_is: "tickets of edition v2, X-Wing",
        ratio: figures.ratio(0, 1),
        target: Some(Target::AtLeast(20.0)),
    })
}

/// A site, and a service that requests tickets.
struct Asked {
    site: BenchSite,
    caller: Caller,
    operation: Operation,
}

impl Asked {
    async fn new() -> Result<Self> {
        let site = BenchSite::new(Vec::new).await?;
        let robot = Identity::generate(&mut SystemEntropy);
        let service = json!({ "name": "robot", "certificate": robot.certificate().to_pem() });
        site.admin("service", "create", &service).await?;
        let party = || PartyKey::new(Identity::generate(&mut SystemEntropy).into());
        let register = async |id: &str, settings| {
            let keys = [party().public().to_pem()];
            let app = json!({ "id": id, "public_keys": keys, "settings": settings });
            site.admin("app", "create", &app).await
        };
        let settings = json!({ "service": "robot", "may_call": [{ "group": "called" }] });
        register("billing", settings).await?;
        let ids: Vec<String> = (0..PROVIDERS).map(|at| format!("provider-{at}")).collect();
        for id in &ids {
            register(id, json!({ "groups": ["called"] })).await?;
        }
        let name: AccountName = "robot@example.org".parse()?;
        let account = site.store.account_by_name(&name).await?;
        let opening = NewSession {
            account: account.ok_or("a service")?.id,
            proof: Proof::Key(robot.certificate().thumbprint()),
            credential: None,
            option: EncryptionOption::HybridAes256Gcm,
            peer: "192.0.2.7:1234".to_owned(),
            cut: Box::new(|_| {}),
            max_sessions: 1,
        };
        let Decision::Opened(info) = site.site.open_session(opening, clock::now()).await? else {
            return Err("no session".into());
        };
        let providers: Vec<&String> = ids.iter().cycle().take(TICKETS).collect();
        let params = to_raw_value(&json!({ "app": "billing", "providers": providers }))?;
        Ok(Self {
            caller: info.caller(),
            operation: Operation::new(1, "broker", "ticket", params),
            site,
        })
    }

    async fn run(&self) -> Result<()> {
        let site = &self.site.site;
        let outcome = site.run(&self.caller, &self.operation, clock::now()).await;
        // Each ticket has a secret of at least 43 characters.
        let whole = outcome.code == Code::SUCCESS && outcome.data.get().len() > TICKETS * 1_000;
        whole.then_some(()).ok_or_else(|| {
            outcome
                .data
                .get()
                .chars()
                .take(200)
                .collect::<String>()
                .into()
        })
    }
}
