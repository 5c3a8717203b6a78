//! Serveros in place of each of our three parties, and of any two of them.

use countersign_http_auth::{Consumer, Provider, V1Site};
use http::Uri;
use reqwest_middleware::ClientWithMiddleware;
use serde_json::{Value, json};

use super::super::wire::{Served, serve};
use super::super::world::{A, B, HOUR, SECOND};
use super::node::{self, Node};
use super::world::{World, application, ciphers, pem, public, routes};

/// The implementation of a party.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Of {
    Ours,
    Serveros,
}

/// A provider of either implementation.
enum Called {
    Ours(Served),
    Serveros { _node: Node, url: Uri },
}

/// Parties that all support only this cipher.
struct Parties {
    world: World,
    cipher: &'static str,
    /// The master of Serveros, if it is the site.
    master: Option<(Node, Uri)>,
}

impl Parties {
    async fn new(site: Of, cipher: &'static str) -> Self {
        let world = World::new().await;
        for id in [A, B] {
            world
                .master
                .change(id, |it| it.ciphers = ciphers(&[cipher]));
        }
        world.master.set(|site| site.ciphers = ciphers(&[cipher]));
        let mut parties = Self {
            world,
            cipher,
            master: None,
        };
        if site == Of::Serveros {
            let entry = |id, name: &str| {
                json!({ "id": id, "publicKey": pem(&format!("{name}.pub")), "hashes": ["sha256"],
                        "ciphers": [cipher], "keysLast": HOUR, "authData": { "team": id } })
            };
            let registry = json!({ A: entry(A, "consumer"), B: entry(B, "provider") });
            let config = parties.config("master", "master", &json!({ "registry": registry }));
            parties.master = Some(Node::serve(&config));
        }
        parties
    }

    fn config(&self, role: &str, name: &str, more: &Value) -> Value {
        let mut config = json!({
            "role": role, "now": self.world.time.now(), "key": pem(&format!("{name}.key")),
            "master": pem("master.pub"), "ciphers": [self.cipher], "hashes": ["sha256"],
        });
        let more = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(more);
        config
    }

    fn site(&self) -> V1Site {
        let url = match &self.master {
            Some((_, url)) => url.clone(),
            None => self.world.master.configured().url,
        };
        V1Site {
            url,
            keys: vec![public("master")],
        }
    }

    async fn provider(&self, of: Of) -> Called {
        if of == Of::Serveros {
            let (_node, url) = Node::serve(&self.config("provider", "provider", &json!({})));
            return Called::Serveros { _node, url };
        }
        let time = self.world.time.clone();
        let provider = Provider::builder(application(B, "provider"), self.site())
            .ciphers(&ciphers(&[self.cipher]))
            .clock(move || time.now());
        Called::Ours(serve(routes(&provider.build())).await)
    }

    fn our_client(&self, called: &Called) -> ClientWithMiddleware {
        let time = self.world.time.clone();
        let consumer = Consumer::builder(application(A, "consumer"), self.site())
            .calls(B, called.url())
            .ciphers(&ciphers(&[self.cipher]))
            .clock(move || time.now());
        consumer.build().unwrap().client().unwrap()
    }

    fn their_consumer(&self, called: &Called, more: &Value) -> Node {
        let text = |url: &Uri| url.to_string().trim_end_matches('/').to_owned();
        let mut config = self.config("consumer", "consumer", more);
        config["id"] = A.into();
        config["requested"] = B.into();
        config["site"] = text(&self.site().url).into();
        config["provider"] = text(&called.url()).into();
        Node::start(&config)
    }
}

impl Called {
    fn url(&self) -> Uri {
        match self {
            Self::Ours(served) => served.url(""),
            Self::Serveros { url, .. } => url.clone(),
        }
    }

    /// Its response to `billing`.
    fn knows_billing(&self) -> &'static str {
        match self {
            Self::Ours(_) => r#"billing {"team":"billing"}"#,
            Self::Serveros { .. } => r#"{"Authed As":"billing","Auth Data":{"team":"billing"}}"#,
        }
    }
}

async fn get(client: &ClientWithMiddleware, called: &Called, path: &str) -> (u16, String) {
    let address = format!("{}{path}", called.url().to_string().trim_end_matches('/'));
    let answer = client.get(address).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

// BRK-20 BRK-26 BRK-27
#[tokio::test(flavor = "multi_thread")]
async fn serveros_interoperates_in_the_place_of_each_party() {
    if !node::is_here() {
        return;
    }
    let places = [
        (Of::Serveros, Of::Serveros, Of::Serveros, "aes-256-cbc"),
        (Of::Serveros, Of::Serveros, Of::Ours, "aes-256-ctr"),
        (Of::Serveros, Of::Ours, Of::Serveros, "aes-128-cfb"),
        (Of::Serveros, Of::Ours, Of::Ours, "aes128"),
        (Of::Ours, Of::Serveros, Of::Serveros, "aes-192-ofb"),
        (Of::Ours, Of::Serveros, Of::Ours, "aes-256-cbc"),
        (Of::Ours, Of::Ours, Of::Serveros, "aes-256-cbc"),
        (Of::Ours, Of::Serveros, Of::Ours, "aes-192-ofb"),
        (Of::Ours, Of::Ours, Of::Serveros, "aes-256-ctr"),
    ];
    for (site, consumer, provider, cipher) in places {
        let what = format!("site {site:?}, consumer {consumer:?}, provider {provider:?}, {cipher}");
        let parties = Parties::new(site, cipher).await;
        let called = parties.provider(provider).await;
        let (status, body) = match consumer {
            Of::Ours => get(&parties.our_client(&called), &called, "/who?x=%20&y=1").await,
            Of::Serveros => {
                let mut node = parties.their_consumer(&called, &json!({}));
                let answer = node.call("GET", "/who?x=%20&y=1", None);
                assert!(answer.get("refused").is_none(), "{what}: {answer}");
                let status = answer["status"].as_u64().unwrap();
                let body = answer["body"].as_str().unwrap().to_owned();
                (u16::try_from(status).unwrap(), body)
            }
        };
        assert_eq!(
            (status, body.as_str()),
            (200, called.knows_billing()),
            "{what}"
        );
    }
}

// BRK-21 BRK-25
#[tokio::test(flavor = "multi_thread")]
async fn consumers_of_both_implementations_retry_with_a_supported_cipher_or_hash() {
    if !node::is_here() {
        return;
    }
    let parties = Parties::new(Of::Ours, "aes-256-cbc").await;
    let called = parties.provider(Of::Ours).await;
    let more =
        json!({ "ciphers": ["camellia-256-cbc", "aes-256-cbc"], "hashes": ["sha512", "sha256"] });
    let mut node = parties.their_consumer(&called, &more);
    let answer = node.call("GET", "/who", None);
    assert_eq!(
        (&answer["status"], &answer["asked"]),
        (&json!(200), &json!(3))
    );

    let parties = Parties::new(Of::Serveros, "aes-256-cbc").await;
    let called = parties.provider(Of::Serveros).await;
    let time = parties.world.time.clone();
    let consumer = Consumer::builder(application(A, "consumer"), parties.site())
        .calls(B, called.url())
        .ciphers(&ciphers(&["aes-256-ctr", "aes-256-cbc"]))
        .clock(move || time.now());
    let client = consumer.build().unwrap().client().unwrap();
    assert_eq!(get(&client, &called, "/who").await.0, 200);
}

/// Regression: a consumer of Serveros repeats its request after each 490. The response listed the
/// hash that it had just used as supported, so it repeated the request for ever.
// BRK-72
#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_of_serveros_that_gets_no_ticket_stops() {
    if !node::is_here() {
        return;
    }
    let parties = Parties::new(Of::Ours, "aes-256-cbc").await;
    let lists = |names| super::world::hashes(names);
    let all = ["sha256", "sha384", "sha512", "sha1"];
    parties.world.master.set(|site| site.hashes = lists(&all));
    let change = |hashes| parties.world.master.change(B, |it| it.hashes = hashes);
    change(lists(&["sha512"]));
    let called = parties.provider(Of::Ours).await;
    let more = json!({ "hashes": ["RSA-MD5", "sha512", "sha256"] });
    let mut node = parties.their_consumer(&called, &more);
    let answer = node.call("GET", "/who", None);
    assert!(answer.get("refused").is_some(), "{answer}");
    assert!(parties.world.master.wire().len() <= 3, "{answer}");
}

// BRK-29
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_of_serveros_that_lost_its_tickets_gets_another_one() {
    if !node::is_here() {
        return;
    }
    let parties = Parties::new(Of::Ours, "aes-256-cbc").await;
    let called = parties.provider(Of::Serveros).await;
    let client = parties.our_client(&called);
    assert_eq!(get(&client, &called, "/who").await.0, 200);
    assert_eq!(get(&client, &called, "/forget").await.0, 200);
    parties.world.time.pass(2 * SECOND);
    assert_eq!(get(&client, &called, "/who").await.0, 200);
    assert_eq!(parties.world.master.tickets(), 2);
}

// BRK-27 BRK-28
#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_differs_from_its_signed_hash_is_rejected() {
    if !node::is_here() {
        return;
    }
    let parties = Parties::new(Of::Ours, "aes-256-cbc").await;
    let called = parties.provider(Of::Ours).await;
    let mut node = parties.their_consumer(&called, &json!({}));
    for (content, signed, status) in [
        ("12.50", Some("12.50"), 200),
        ("92.50", Some("12.50"), 401),
        ("92.50", None, 200),
    ] {
        let call = json!({ "method": "POST", "path": "/echo", "body": content, "payload": signed });
        assert_eq!(node.request(&call)["status"], status, "{content}");
    }
}
