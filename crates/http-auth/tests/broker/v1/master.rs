//! A site that issues tickets to registered applications, as the master of Serveros does.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::rsa::RsaPublicKey;
use countersign_http_auth::V1Site;
use countersign_proto::broker::v1::site::{V1Application, V1Site as Master};
use countersign_proto::broker::v1::{V1Refusal, V1SealedMessage};

use super::super::wire::{RecordedRequest, Served, serve};
use super::world::{Now, ciphers, hashes, key, public};

#[derive(Clone)]
pub(super) struct TestMaster {
    registered: Arc<Registered>,
    served: Arc<Served>,
}

struct Registered {
    master: Mutex<Master>,
    applications: Mutex<HashMap<String, V1Application>>,
    may_call: Mutex<HashSet<(String, String)>>,
    accepted: Mutex<HashSet<(String, u64)>>,
    tickets: AtomicU64,
    now: Now,
}

impl TestMaster {
    pub(super) async fn start(now: Now) -> Self {
        let registered = Arc::new(Registered {
            master: Mutex::new(Master {
                keys: vec![key("master")],
                ciphers: ciphers(&["aes-256-cbc", "aes-256-ctr"]),
                hashes: hashes(&["sha256"]),
            }),
            applications: Mutex::default(),
            may_call: Mutex::default(),
            accepted: Mutex::default(),
            tickets: AtomicU64::new(0),
            now,
        });
        let router = Router::new()
            .route("/authenticate", get(authenticate))
            .with_state(registered.clone());
        // As behind a proxy with a path prefix.
        let router = Router::new().nest("/auth", router);
        Self {
            registered,
            served: Arc::new(serve(router).await),
        }
    }

    /// The site as applications configure it.
    pub(super) fn configured(&self) -> V1Site {
        V1Site {
            url: self.served.url("/auth/"),
            keys: vec![public("master")],
        }
    }

    pub(super) fn register(&self, id: &str, keys: Vec<RsaPublicKey>, keys_last: u64) {
        let auth_data = serde_json::json!({ "team": id }).to_string();
        let application = V1Application {
            id: id.to_owned(),
            keys,
            hashes: hashes(&["sha256"]),
            ciphers: ciphers(&["aes-256-cbc", "aes-256-ctr"]),
            keys_last,
            auth_data: serde_json::from_str(&auth_data).ok(),
        };
        let mut applications = self.registered.applications.lock().unwrap();
        applications.insert(id.to_owned(), application);
    }

    pub(super) fn change(&self, id: &str, change: impl FnOnce(&mut V1Application)) {
        let mut applications = self.registered.applications.lock().unwrap();
        change(applications.get_mut(id).unwrap());
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Master)) {
        change(&mut self.registered.master.lock().unwrap());
    }

    pub(super) fn allow(&self, requester: &str, requested: &str) {
        let pair = (requester.to_owned(), requested.to_owned());
        self.registered.may_call.lock().unwrap().insert(pair);
    }

    /// The number of issued tickets.
    pub(super) fn tickets(&self) -> u64 {
        self.registered.tickets.load(Ordering::Relaxed)
    }

    /// The recorded requests.
    pub(super) fn wire(&self) -> Vec<RecordedRequest> {
        self.served.wire()
    }

    /// Replaces the site by another program at the same address.
    pub(super) fn replace(&self, router: Router) {
        self.served.replace(router);
    }
}

async fn authenticate(
    State(master): State<Arc<Registered>>,
    Query(asked): Query<HashMap<String, String>>,
) -> Response {
    match master.answer(&asked["authRequest"]) {
        Ok(sealed) => axum::Json(sealed).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

pub(super) fn refused(refusal: &V1Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status()).unwrap();
    let kind = [("content-type", "application/json")];
    (status, kind, refusal.body()).into_response()
}

impl Registered {
    fn answer(&self, request: &str) -> Result<V1SealedMessage, V1Refusal> {
        let (master, now) = (self.master.lock().unwrap(), (self.now)());
        let applications = self.applications.lock().unwrap();
        let opened = master.open(request)?;
        let requester = applications.get(opened.requester());
        let verified = opened.verify(&master, requester, &public("consumer2"), now)?;
        let (id, nonce) = verified.replay_key();
        if !self.accepted.lock().unwrap().insert((id.to_owned(), nonce)) {
            return Err(V1Refusal::Nonces);
        }
        let pair = (id.to_owned(), verified.requested().to_owned());
        let requested = applications.get(&pair.1);
        let requested = requested.filter(|_| self.may_call.lock().unwrap().contains(&pair));
        let requester = requester.unwrap();
        let answer = verified.answer(&master, requester, requested, now, &mut SystemEntropy)?;
        self.tickets.fetch_add(1, Ordering::Relaxed);
        Ok(answer)
    }
}
