//! A site, the consumers `billing` and `archive`, and the provider `ledger`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Extension;
use axum::Router;
use axum::routing::{get, post};
use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::party::PartyKey;
use countersign_crypto::secret::Secret;
use countersign_http_auth::{
    Application, AuthenticatedApp, Consumer, ConsumerBuilder, ConsumerError, Provider,
    ProviderBuilder,
};
use reqwest_middleware::{ClientWithMiddleware, Error, RequestBuilder};

use super::site::TestSite;
use super::wire::{Reply, Served, serve};

pub(super) const A: &str = "billing";
pub(super) const B: &str = "ledger";
pub(super) const C: &str = "archive";
pub(super) const SECOND: u64 = 1_000;
pub(super) const HOUR: u64 = 3_600 * SECOND;

pub(super) fn party(byte: u8) -> PartyKey {
    let seed = IdentitySeed(Secret::from_bytes([byte; 32]));
    PartyKey::new(Arc::new(Identity::from_seed(seed)))
}

/// A clock that changes only when a test changes it.
#[derive(Clone)]
pub(super) struct Time(Arc<AtomicU64>);

impl Time {
    pub(super) fn still() -> Self {
        Self(Arc::new(AtomicU64::new(1_800_000_000_000)))
    }

    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets the clock back, as a correction does.
    pub(super) fn set_back(&self, milliseconds: u64) {
        self.0.fetch_sub(milliseconds, Ordering::Relaxed);
    }

    pub(super) fn pass(&self, milliseconds: u64) {
        self.0.fetch_add(milliseconds, Ordering::Relaxed);
    }
}

pub(super) struct World {
    pub(super) time: Time,
    pub(super) site: TestSite,
}

impl World {
    /// `billing` and `archive` may call `ledger`.
    pub(super) async fn new() -> Self {
        let time = Time::still();
        let site = TestSite::start(time.clone()).await;
        for (id, byte) in [(A, 2), (B, 3), (C, 4)] {
            site.register(id, &[party(byte)]);
        }
        site.allow(A, B);
        site.allow(C, B);
        Self { time, site }
    }

    /// The consumer `billing`.
    pub(super) fn consumer(&self, calls: &Served) -> ConsumerBuilder {
        self.consumer_of(&calls.url("").to_string())
    }

    pub(super) fn consumer_of(&self, address: &str) -> ConsumerBuilder {
        self.another(A, 2, address)
    }

    fn another(&self, id: &str, byte: u8, address: &str) -> ConsumerBuilder {
        let time = self.time.clone();
        let application = Application {
            id: id.to_owned(),
            keys: vec![party(byte)],
        };
        Consumer::builder(application, self.site.configured())
            .calls(B, address.parse().unwrap())
            .clock(move || time.now())
    }

    /// A client of another application.
    pub(super) fn client_of(&self, id: &str, byte: u8, calls: &Served) -> ClientWithMiddleware {
        let consumer = self.another(id, byte, &calls.url("").to_string());
        consumer.build().unwrap().client().unwrap()
    }

    pub(super) fn client(&self, calls: &Served) -> ClientWithMiddleware {
        self.consumer(calls).build().unwrap().client().unwrap()
    }

    /// The provider `ledger`.
    pub(super) fn provider(&self) -> ProviderBuilder {
        self.provider_of(B, 3)
    }

    pub(super) fn provider_of(&self, id: &str, byte: u8) -> ProviderBuilder {
        let time = self.time.clone();
        let application = Application {
            id: id.to_owned(),
            keys: vec![party(byte)],
        };
        Provider::builder(application, self.site.configured()).clock(move || time.now())
    }

    /// `ledger`, serving.
    pub(super) async fn ledger(&self) -> Served {
        serve(routes(&self.provider().build().unwrap())).await
    }
}

/// The service of `ledger`, behind the provider.
pub(super) fn routes(provider: &Provider) -> Router {
    Router::new()
        .route("/who", get(who))
        .route("/echo", post(|content: String| async move { content }))
        .layer(provider.clone())
}

async fn who(app: Option<Extension<AuthenticatedApp>>) -> String {
    app.map_or("anonymous".to_owned(), |Extension(app)| {
        format!("{} {}", app.id, app.auth_data)
    })
}

/// Sends a GET and returns status and body.
pub(super) async fn get_from(client: &ClientWithMiddleware, served: &Served, path: &str) -> Reply {
    let answer = client.get(served.url(path).to_string()).send().await;
    read(answer.unwrap()).await
}

pub(super) async fn post_to(
    client: &ClientWithMiddleware,
    served: &Served,
    content: impl Into<reqwest::Body>,
) -> Reply {
    let request = client.post(served.url("/echo").to_string()).body(content);
    read(request.send().await.unwrap()).await
}

async fn read(answer: reqwest::Response) -> Reply {
    Reply {
        status: answer.status().as_u16(),
        challenge: None,
        body: answer.text().await.unwrap(),
    }
}

pub(super) fn ok(body: &str) -> Reply {
    Reply {
        status: 200,
        challenge: None,
        body: body.to_owned(),
    }
}

/// Sends a request and returns the error because of which it was not sent.
pub(super) async fn unsent(request: RequestBuilder) -> ConsumerError {
    match request.send().await {
        Err(Error::Middleware(error)) => error.downcast().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The response with a refusal.
pub(super) fn rejected(refusal: countersign_proto::broker::v2::Refusal) -> Reply {
    let challenge = format!("Countersign error=\"{}\"", refusal.code());
    Reply {
        status: refusal.status(),
        challenge: (refusal.status() == 401).then_some(challenge),
        body: refusal.body(),
    }
}
