//! The site's own process: founds a site with a few accounts and serves it until it is told to stop.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::caller::Caller;
use countersign_core::guard::{GuessLimits, PenaltyLimits};
use countersign_core::offer::Offer;
use countersign_core::operations;
use countersign_core::site::{Foundation, Parts, Site};
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::party::PartyKey;
use countersign_crypto::passphrase::{ClientRegistration, Identifiers};
use countersign_crypto::sealed_identity;
use countersign_crypto::secret::Passphrase;
use countersign_crypto::site_key_slots::{NewSlot, SlotFile};
use countersign_proto::operation::{Code, Operation};
use countersign_proto::session::Strength;
use countersign_server::limits::Limits;
use countersign_server::{Server, clock, descriptors};
use countersign_store::SqliteStore;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::{Files, Result, activity, report};

/// The argument that makes this program the site.
pub(crate) const MODE: &str = "--serve";

/// The persons: one who logs in honestly, another one, and one who may not log in.
pub(crate) const KNOWN: &str = "maria";
pub(crate) const OTHER: &str = "otto";
pub(crate) const LOCKED: &str = "laura";
/// Everybody's.
pub(crate) const PASSPHRASE: &str = "correct horse battery staple";

/// When the site of `activity` forgets failures, in milliseconds.
pub(crate) const FORGOTTEN: u64 = 4_000;

/// What a scenario needs other than the defaults, with which all floods but `held` are measured.
fn limits(scenario: &str) -> Limits {
    let defaults = Limits::default();
    let many = Limits {
        connections: 60_000,
        connections_per_source: 60_000,
        connections_per_network: 60_000,
        unproved: 60_000,
        unproved_per_source: 60_000,
        unproved_per_network: 60_000,
        sessions_per_account: 60_000,
        unproved_early: 60_000,
        unproved_time: Duration::from_secs(600),
        waiting_logins: 4_096,
        waiting_logins_per_source: 4_096,
        idle_time: Duration::ZERO,
        ..Limits::default()
    };
    match scenario {
        "unproved" | "idle" | "cut" => many,
        // Ten thousand connections that nobody is proved on are more than the defaults let anybody have, and
        // these are to stay.
        "held" => Limits {
            connections_per_source: 12_000,
            connections_per_network: 12_000,
            unproved: 12_000,
            unproved_per_source: 12_000,
            unproved_per_network: 12_000,
            unproved_early: 12_000,
            unproved_time: Duration::from_secs(600),
            ..defaults
        },
        // Guesses are slowed, names or no names; here it is to be measured whether anything else differs.
        "names" => Limits {
            guesses: GuessLimits {
                free: u32::MAX,
                free_of_strangers: u32::MAX,
                ..GuessLimits::default()
            },
            penalties: PenaltyLimits {
                threshold: u32::MAX,
                ..PenaltyLimits::default()
            },
            ..many
        },
        // A quarter of an hour is long for a program that measures.
        activity::SITE => Limits {
            guesses: GuessLimits {
                forgotten: FORGOTTEN,
                ..GuessLimits::default()
            },
            penalties: PenaltyLimits {
                threshold: u32::MAX,
                ..PenaltyLimits::default()
            },
            ..many
        },
        _ => defaults,
    }
}

pub(crate) fn run(scenario: &str, files: Option<Files>) -> Result<()> {
    if let Some(files) = files {
        crate::site::limit_files(files)?;
    }
    // As `countersign serve` does.
    descriptors::raise();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let folder = tempfile::tempdir()?;
        let slot = SlotFile::generate(&mut SystemEntropy);
        let parts = Parts {
            store: Arc::new(SqliteStore::open(&folder.path().join("site.db")).await?),
            table: operations::table()?,
            entropy: Box::new(SystemEntropy),
            offer: Offer::default(),
            floor: Strength::Delivered,
        };
        let foundation = Foundation {
            zone: "example.org".parse()?,
            slots: &[NewSlot::File(&slot)],
        };
        let site = Site::found(parts, foundation, clock::now()).await?;
        let robot = Identity::generate(&mut SystemEntropy);
        let certificate = robot.certificate().to_pem();
        let service = json!({ "name": "robot", "certificate": certificate });
        admin(&site, "service", "create", &service).await?;
        for name in [KNOWN, OTHER, LOCKED] {
            person(&site, name).await?;
        }
        admin(&site, "person", "lock", &json!({ "name": LOCKED })).await?;
        if scenario == "names" {
            applications(&site).await?;
        }
        let admin_socket = folder.path().join("admin.sock");
        let server = Server::builder(site.clone())
            .limits(limits(scenario))
            .session("127.0.0.1:0".parse()?)
            .admin_socket(&admin_socket)
            .start()
            .await?;
        report::tell(&json!({
            "uri": site.endpoints().uri,
            "robot": HEXLOWER.encode(robot.seed().0.expose()),
            "admin_socket": admin_socket,
        }));
        // Whoever started this process closes its input when it is done.
        let stdin = || std::io::stdin().lock().read(&mut [0]);
        tokio::task::spawn_blocking(stdin).await??;
        server.stop().await;
        Ok(())
    })
}

async fn admin(site: &Site, group: &str, command: &str, params: &Value) -> Result<Value> {
    let operation = Operation::new(1, group, command, to_raw_value(params)?);
    let outcome = site
        .run(&Caller::admin_socket(), &operation, clock::now())
        .await;
    if outcome.code != Code::SUCCESS {
        return Err(format!("{group} {command}: {}", outcome.data).into());
    }
    Ok(serde_json::from_str(outcome.data.get())?)
}

/// The applications that `names` asks for: one that asks, one that it may call, one that it may not, and one that is
/// locked.
pub(crate) const ASKING: &str = "billing";
pub(crate) const ALLOWED: &str = "ledger";
pub(crate) const NOT_ALLOWED: &str = "archive";
pub(crate) const LOCKED_APP: &str = "payroll";

async fn applications(site: &Site) -> Result<()> {
    for id in [ALLOWED, NOT_ALLOWED, LOCKED_APP, ASKING] {
        let key = PartyKey::new(Arc::new(Identity::generate(&mut SystemEntropy)));
        let settings = match id {
            ASKING => json!({
                "service": "robot",
                "may_call": [{ "app": ALLOWED }, { "app": LOCKED_APP }],
            }),
            _ => json!({}),
        };
        let keys = [key.public().to_pem()];
        let params = json!({ "id": id, "public_keys": keys, "settings": settings });
        admin(site, "app", "create", &params).await?;
    }
    admin(site, "app", "lock", &json!({ "id": LOCKED_APP })).await?;
    Ok(())
}

async fn person(site: &Site, name: &str) -> Result<()> {
    let phrase: Passphrase = PASSPHRASE.to_owned().into();
    let entropy = &mut SystemEntropy;
    admin(site, "person", "create", &json!({ "name": name })).await?;
    let (registration, request) = ClientRegistration::start(&phrase, entropy)?;
    let request = json!({ "name": name, "request": BASE64URL_NOPAD.encode(&request) });
    let started = admin(site, "person", "passphrase_start", &request).await?;
    let field = |name: &str| -> Result<Vec<u8>> {
        let text = started
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default();
        Ok(BASE64URL_NOPAD.decode(text.as_bytes())?)
    };
    let (response, server) = (field("response")?, field("server_identity")?);
    let identifiers = Identifiers {
        client: None,
        server: Some(&server),
    };
    let (record, export_key) = registration.finish(&phrase, &response, identifiers, entropy)?;
    let identity = Identity::generate(entropy);
    let sealed = sealed_identity::seal(&identity, &export_key, entropy)?;
    let finish = json!({
        "name": name,
        "setup": started.get("setup"),
        "binding": started.get("binding"),
        "record": BASE64URL_NOPAD.encode(record.as_bytes()),
        "sealed_identity": BASE64URL_NOPAD.encode(&sealed),
    });
    admin(site, "person", "passphrase_finish", &finish).await?;
    Ok(())
}
