//! A site, the consumer `billing` and the provider `ledger` of edition v1.

use std::sync::Arc;

use axum::Router;
use axum::extract::Extension;
use axum::routing::{get, post};
use countersign_crypto::legacy::Cipher;
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaPublicKey};
use countersign_http_auth::{
    AuthenticatedApp, Consumer, ConsumerBuilder, Provider, ProviderBuilder, V1, V1Application,
};
use reqwest_middleware::ClientWithMiddleware;

use super::super::wire::{Served, serve};
use super::super::world::{A, B, C, HOUR, Time};
use super::master::TestMaster;

pub(super) type Now = Arc<dyn Fn() -> u64 + Send + Sync>;

pub(super) fn pem(name: &str) -> String {
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/serveros/keys");
    std::fs::read_to_string(format!("{keys}/{name}.pem")).unwrap()
}

pub(super) fn key(name: &str) -> RsaKey {
    RsaKey::from_pem(&pem(&format!("{name}.key")).into()).unwrap()
}

pub(super) fn public(name: &str) -> RsaPublicKey {
    RsaPublicKey::from_pem(&pem(&format!("{name}.pub"))).unwrap()
}

pub(super) fn ciphers(names: &[&str]) -> Vec<Cipher> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

pub(super) fn hashes(names: &[&str]) -> Vec<RsaHash> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

pub(super) struct World {
    pub(super) time: Time,
    pub(super) master: TestMaster,
}

impl World {
    /// `billing` and `archive` may call `ledger`.
    pub(super) async fn new() -> Self {
        let time = Time::still();
        let now = time.clone();
        let master = TestMaster::start(Arc::new(move || now.now())).await;
        for (id, name) in [(A, "consumer"), (B, "provider"), (C, "consumer2")] {
            master.register(id, vec![public(name)], HOUR);
        }
        master.allow(A, B);
        master.allow(C, B);
        Self { time, master }
    }

    /// The consumer `billing`.
    pub(super) fn consumer(&self, calls: &Served) -> ConsumerBuilder<V1> {
        let time = self.time.clone();
        Consumer::builder(application(A, "consumer"), self.master.configured())
            .calls(B, calls.url(""))
            .clock(move || time.now())
    }

    pub(super) fn client(&self, calls: &Served) -> ClientWithMiddleware {
        self.consumer(calls).build().unwrap().client().unwrap()
    }

    /// The provider `ledger`.
    pub(super) fn provider(&self) -> ProviderBuilder<V1> {
        self.provider_of(B, "provider")
    }

    pub(super) fn provider_of(&self, id: &str, key: &str) -> ProviderBuilder<V1> {
        let time = self.time.clone();
        Provider::builder(application(id, key), self.master.configured()).clock(move || time.now())
    }

    /// `ledger`, serving.
    pub(super) async fn ledger(&self) -> Served {
        serve(routes(&self.provider().build())).await
    }
}

pub(super) fn application(id: &str, name: &str) -> V1Application {
    V1Application {
        id: id.to_owned(),
        keys: vec![key(name)],
    }
}

/// The service of `ledger`, behind the provider.
pub(super) fn routes(provider: &Provider<V1>) -> Router {
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
