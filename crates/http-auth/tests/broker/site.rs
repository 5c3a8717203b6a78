//! A site that issues tickets to registered applications.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::party::{PartyKey, SealingSuite};
use countersign_http_auth::Site;
use countersign_proto::broker::v2::clock::Clock;
use countersign_proto::broker::v2::message::Nonce;
use countersign_proto::broker::v2::site::{Application, Site as Party, UnverifiedRequest};
use countersign_proto::broker::v2::{Refusal, SealedMessage};
use serde_json::value::to_raw_value;

use super::wire::{Served, serve};
use super::world::{HOUR, Time, party};

pub(super) const SITE: &str = "example.org";

#[derive(Clone)]
pub(super) struct TestSite {
    registered: Arc<Registered>,
    served: Arc<Served>,
}

struct Registered {
    site: Mutex<Party>,
    applications: Mutex<HashMap<String, Application>>,
    may_call: Mutex<HashSet<(String, String)>>,
    accepted: Mutex<HashSet<(String, Nonce)>>,
    tickets: AtomicU64,
    time: Time,
}

impl TestSite {
    pub(super) async fn start(time: Time) -> Self {
        let site = Party {
            id: SITE.to_owned(),
            keys: vec![party(1)],
        };
        let registered = Arc::new(Registered {
            site: Mutex::new(site),
            applications: Mutex::default(),
            may_call: Mutex::default(),
            accepted: Mutex::default(),
            tickets: AtomicU64::new(0),
            time,
        });
        let router = Router::new()
            .route("/authenticate", post(authenticate))
            .route("/clock", get(clock))
            .with_state(registered.clone());
        // As behind a proxy with a path prefix.
        let router = Router::new().nest("/auth", router);
        Self {
            registered,
            served: Arc::new(serve(router).await),
        }
    }

    /// The site as applications configure it.
    pub(super) fn configured(&self) -> Site {
        let keys = self.registered.site.lock().unwrap().keys.clone();
        Site {
            id: SITE.to_owned(),
            url: self.served.url("/auth/"),
            keys: keys.iter().map(|key| key.public().clone()).collect(),
        }
    }

    pub(super) fn register(&self, id: &str, keys: &[PartyKey]) {
        let application = Application {
            id: id.to_owned(),
            keys: keys.iter().map(|key| key.public().clone()).collect(),
            suite: SealingSuite::XWing,
            keys_last: HOUR,
            auth_data: to_raw_value(&serde_json::json!({ "team": id })).ok(),
        };
        let mut applications = self.registered.applications.lock().unwrap();
        applications.insert(id.to_owned(), application);
    }

    pub(super) fn change(&self, id: &str, change: impl FnOnce(&mut Application)) {
        let mut applications = self.registered.applications.lock().unwrap();
        change(applications.get_mut(id).unwrap());
    }

    pub(super) fn allow(&self, requester: &str, requested: &str) {
        let pair = (requester.to_owned(), requested.to_owned());
        self.registered.may_call.lock().unwrap().insert(pair);
    }

    pub(super) fn set_keys(&self, keys: Vec<PartyKey>) {
        self.registered.site.lock().unwrap().keys = keys;
    }

    /// The number of issued tickets.
    pub(super) fn tickets(&self) -> u64 {
        self.registered.tickets.load(Ordering::Relaxed)
    }

    /// The number of requests for its time.
    pub(super) fn time_requests(&self) -> usize {
        let wire = self.served.wire();
        wire.iter()
            .filter(|sent| sent.path.starts_with("/auth/clock"))
            .count()
    }

    /// Replaces the site by another program at the same address.
    pub(super) fn replace(&self, router: Router) {
        self.served.replace(router);
    }
}

async fn authenticate(State(site): State<Arc<Registered>>, body: Bytes) -> Response {
    match site.answer(&body) {
        Ok(sealed) => axum::Json(sealed).into_response(),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status()).unwrap();
            let kind = [("content-type", "application/problem+json")];
            (status, kind, refusal.body()).into_response()
        }
    }
}

async fn clock(
    State(site): State<Arc<Registered>>,
    Query(asked): Query<HashMap<String, Nonce>>,
) -> axum::Json<Clock> {
    let party = site.site.lock().unwrap();
    let clock = Clock::issue(asked["nonce"], site.time.now(), party.keys.last().unwrap());
    axum::Json(clock)
}

impl Registered {
    fn answer(&self, body: &[u8]) -> Result<SealedMessage, Refusal> {
        let (site, now) = (self.site.lock().unwrap(), self.time.now());
        let applications = self.applications.lock().unwrap();
        let request = UnverifiedRequest::read(body)?;
        let requester = applications.get(request.requester());
        let verified = request.verify(&site, requester, party(99).public(), now)?;
        let (id, nonce) = verified.replay_key();
        if !self.accepted.lock().unwrap().insert((id.to_owned(), nonce)) {
            return Err(Refusal::Replayed);
        }
        let pair = (id.to_owned(), verified.requested().to_owned());
        let requested = applications.get(&pair.1);
        let requested = requested.filter(|_| self.may_call.lock().unwrap().contains(&pair));
        let requester = requester.unwrap();
        let answer = verified.answer(&site, requester, requested, now, &mut SystemEntropy)?;
        self.tickets.fetch_add(1, Ordering::Relaxed);
        Ok(answer)
    }
}
