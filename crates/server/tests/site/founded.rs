//! A site in a throw-away folder with one person and one service, served on a free port.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use countersign_client::{Client, Connector, Who};
use countersign_core::caller::Caller;
use countersign_core::content::{Content, ContentBroken};
use countersign_core::offer::Offer;
use countersign_core::operations;
use countersign_core::policy::Role;
use countersign_core::site::{Foundation, Parts, Site};
use countersign_core::table::{Answer, Entry, Table};
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::passphrase::{ClientRegistration, Identifiers};
use countersign_crypto::sealed_identity;
use countersign_crypto::secret::Passphrase;
use countersign_crypto::site_key_slots::{NewSlot, SlotFile};
use countersign_proto::operation::{Code, Operation, Outcome};
use countersign_proto::session::Strength;
use countersign_proto::uri::SiteUri;
use countersign_server::limits::Limits;
use countersign_server::{Proxies, Server, clock};
use countersign_store::SqliteStore;
use data_encoding::BASE64URL_NOPAD;
use futures_util::StreamExt;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

pub(crate) const PASSPHRASE: &str = "correct horse battery staple";

pub(crate) struct Founded {
    pub(crate) site: Site,
    pub(crate) server: Server,
    pub(crate) uri: SiteUri,
    pub(crate) slot: SlotFile,
    pub(crate) robot: Arc<Identity>,
    pub(crate) admin_socket: PathBuf,
    pub(crate) folder: tempfile::TempDir,
}

/// The site's operations and one that takes as long as it is told.
pub(crate) fn table() -> Table {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Wait {
        milliseconds: u64,
    }
    let wait = Entry::new("test", "wait")
        .summary("Answers after a while.")
        .allow(&[Role::Admin, Role::Member, Role::Service])
        .handler(|_, wait: Wait| async move {
            tokio::time::sleep(std::time::Duration::from_millis(wait.milliseconds)).await;
            Ok(Answer::new(wait.milliseconds))
        });
    let mut table = operations::table().unwrap();
    table.add(wait).unwrap();
    table.add(together()).unwrap();
    table.add(costly()).unwrap();
    table.add(text()).unwrap();
    table.add(fault()).unwrap();
    table.add(give()).unwrap();
    table.add(take()).unwrap();
    table
}

/// Says how many of it ran at a time, this one included, when it began.
fn together() -> Entry {
    let running = Arc::new(AtomicUsize::new(0));
    Entry::new("test", "together")
        .summary("Says how many of it run at a time.")
        .allow(&Role::ALL)
        .handler(move |_, _: Nothing| {
            let running = running.clone();
            async move {
                let together = running.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(Answer::new(together))
            }
        })
}

/// The same for public-key work, which takes turns.
fn costly() -> Entry {
    let running = Arc::new(AtomicUsize::new(0));
    Entry::new("test", "costly")
        .summary("Says how many of it run at a time, as public-key work.")
        .allow(&Role::ALL)
        .public_key()
        .handler(move |_, _: Nothing| {
            let running = running.clone();
            async move {
                let together = running.fetch_add(1, Ordering::SeqCst) + 1;
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(Answer::new(together))
            }
        })
}

/// Gives a text of 64 KiB, and counts how often it did.
fn text() -> Entry {
    let given = Arc::new(AtomicUsize::new(0));
    Entry::new("test", "text")
        .summary("Gives a long text.")
        .allow(&Role::ALL)
        .handler(move |_, params: Text| {
            let given = given.clone();
            async move {
                match params.count {
                    true => Ok(Answer::new(given.load(Ordering::SeqCst).to_string())),
                    false => {
                        given.fetch_add(1, Ordering::SeqCst);
                        Ok(Answer::new("x".repeat(64 * 1024)))
                    }
                }
            }
        })
}

/// Fails as no operation should.
fn fault() -> Entry {
    Entry::new("test", "fault")
        .summary("Fails in a way that its author did not think of.")
        .allow(&Role::ALL)
        .handler(|_, _: Nothing| async move {
            let nothing: Vec<u64> = Vec::new();
            Ok(Answer::new(nothing[nothing.len()]))
        })
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Text {
    /// Says how often the text was given.
    #[serde(default)]
    count: bool,
}

/// Gives as much content as is asked for: each piece holds the number of pieces before it.
fn give() -> Entry {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Give {
        pieces: u64,
        /// Breaks off after as many pieces.
        broken_after: Option<u64>,
    }
    Entry::new("test", "give")
        .summary("Gives content.")
        .allow(&Role::ALL)
        .gives_content()
        .handler(|_, give: Give| async move {
            let pieces = futures_util::stream::iter(0..give.pieces).map(move |number| {
                if give.broken_after == Some(number) {
                    return Err(ContentBroken("a fault".to_owned()));
                }
                let mut piece = vec![0; PIECE];
                piece[..8].copy_from_slice(&number.to_be_bytes());
                Ok(piece)
            });
            Ok(Answer::new(give.pieces).with(Content::new(pieces)))
        })
}

/// Takes content and says how much it was.
fn take() -> Entry {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Take {
        /// Takes no more than this, when given.
        at_most: Option<u64>,
    }
    Entry::new("test", "take")
        .summary("Takes content.")
        .allow(&Role::ALL)
        .takes_content()
        .handler(|context, take: Take| async move {
            let mut content = context.content()?;
            let mut bytes = 0;
            while let Some(piece) = content.next().await {
                bytes += piece?.len() as u64;
                if take.at_most.is_some_and(|most| bytes >= most) {
                    break;
                }
            }
            Ok(Answer::new(bytes))
        })
}

/// Bytes of a piece of content.
pub(crate) const PIECE: usize = 64 * 1024;

pub(crate) async fn parts(folder: &std::path::Path) -> Parts {
    Parts {
        store: Arc::new(SqliteStore::open(&folder.join("site.db")).await.unwrap()),
        table: table(),
        entropy: Box::new(SystemEntropy),
        offer: Offer::default(),
        floor: Strength::Delivered,
    }
}

impl Founded {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    /// One that everybody on this machine reaches for others.
    pub(crate) async fn behind_a_proxy() -> Self {
        let proxies = Proxies {
            addresses: vec![std::net::Ipv4Addr::LOCALHOST.into()],
            believed: true,
        };
        Self::served(Limits::default(), proxies).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        Self::served(limits, Proxies::default()).await
    }

    pub(crate) async fn served(limits: Limits, proxies: Proxies) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let slot = SlotFile::generate(&mut SystemEntropy);
        let foundation = Foundation {
            zone: "example.org".parse().unwrap(),
            slots: &[NewSlot::File(&slot)],
        };
        let site = Site::found(parts(folder.path()).await, foundation, clock::now())
            .await
            .unwrap();
        let admin_socket = folder.path().join("admin.sock");
        let server = Server::builder(site.clone())
            .limits(limits)
            .session("127.0.0.1:0".parse().unwrap())
            .http(Some("127.0.0.1:0".parse().unwrap()))
            .proxies(proxies)
            .admin_socket(&admin_socket)
            .start()
            .await
            .unwrap();
        let uri = site.endpoints().uri.unwrap().parse().unwrap();
        let robot = Arc::new(Identity::generate(&mut SystemEntropy));
        let founded = Self {
            site,
            server,
            uri,
            slot,
            robot,
            admin_socket,
            folder,
        };
        let certificate = founded.robot.certificate().to_pem();
        founded
            .admin(
                "service",
                "create",
                json!({ "name": "robot", "certificate": certificate }),
            )
            .await;
        founded
    }

    /// The same with a person, whose registration stretches a pass phrase.
    pub(crate) async fn with_person() -> Self {
        Self::with_person_and(Limits::default()).await
    }

    /// The same with these limits.
    pub(crate) async fn with_person_and(limits: Limits) -> Self {
        let founded = Self::with(limits).await;
        founded
            .admin(
                "person",
                "create",
                json!({ "name": "maria", "role": "admin" }),
            )
            .await;
        founded.set_passphrase("maria", PASSPHRASE).await;
        founded
    }

    pub(crate) async fn try_admin(&self, group: &str, command: &str, params: Value) -> Outcome {
        let operation = Operation::new(1, group, command, to_raw_value(&params).unwrap());
        self.site
            .run(&Caller::admin_socket(), &operation, clock::now())
            .await
    }

    pub(crate) async fn admin(&self, group: &str, command: &str, params: Value) -> Value {
        let outcome = self.try_admin(group, command, params).await;
        assert_eq!(
            outcome.code,
            Code::SUCCESS,
            "{group}.{command}: {}",
            outcome.data
        );
        serde_json::from_str(outcome.data.get()).unwrap()
    }

    pub(crate) async fn set_passphrase(&self, name: &str, text: &str) {
        let phrase: Passphrase = text.to_owned().into();
        let entropy = &mut SystemEntropy;
        let (registration, request) = ClientRegistration::start(&phrase, entropy).unwrap();
        let request = json!({ "name": name, "request": BASE64URL_NOPAD.encode(&request) });
        let started = self.admin("person", "passphrase_start", request).await;
        let finished = finish_registration(registration, &phrase, &started);
        let mut params = finished;
        params["name"] = name.into();
        self.admin("person", "passphrase_finish", params).await;
    }

    pub(crate) async fn person(&self) -> Client {
        self.try_person("maria", PASSPHRASE).await.unwrap()
    }

    pub(crate) async fn try_person(
        &self,
        name: &str,
        text: &str,
    ) -> Result<Client, countersign_client::ConnectError> {
        let who = Who::person(name.parse().unwrap(), text.to_owned().into());
        Client::connect(&self.uri, who).await
    }

    pub(crate) async fn service_by(
        &self,
        connector: &Connector,
    ) -> Result<Client, countersign_client::ConnectError> {
        connector.connect(Who::Service(self.robot.clone())).await
    }

    pub(crate) async fn service(&self) -> Client {
        self.try_service().await.unwrap()
    }

    pub(crate) async fn try_service(&self) -> Result<Client, countersign_client::ConnectError> {
        Connector::new(&self.uri)
            .connect(Who::Service(self.robot.clone()))
            .await
    }
}

/// What `passphrase_finish` takes, given what `passphrase_start` answered.
pub(crate) fn finish_registration(
    registration: ClientRegistration,
    phrase: &Passphrase,
    started: &Value,
) -> Value {
    let decode = |field: &str| {
        BASE64URL_NOPAD
            .decode(started[field].as_str().unwrap().as_bytes())
            .unwrap()
    };
    let server = decode("server_identity");
    let identifiers = Identifiers {
        client: None,
        server: Some(&server),
    };
    let entropy = &mut SystemEntropy;
    let (record, export_key) = registration
        .finish(phrase, &decode("response"), identifiers, entropy)
        .unwrap();
    let identity = Identity::generate(entropy);
    let sealed = sealed_identity::seal(&identity, &export_key, entropy).unwrap();
    json!({
        "setup": started["setup"],
        "binding": started["binding"],
        "record": BASE64URL_NOPAD.encode(record.as_bytes()),
        "sealed_identity": BASE64URL_NOPAD.encode(&sealed),
    })
}
