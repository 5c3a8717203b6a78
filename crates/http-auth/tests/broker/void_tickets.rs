//! Void tickets at a provider whose clock, content or ticket store is in the way.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use countersign_http_auth::{
    Limits, MemoryTickets, Provider, ProviderBuilder, SessionError, SiteEvents, SiteSession,
    SqliteTickets, TICKET_PATH,
};
use countersign_proto::broker::v2::Refusal;
use countersign_proto::operation::Event;
use http::Request;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{mpsc, oneshot, watch};
use tower_service::Service;

use super::wire::{RecordedRequest, Served, serve};
use super::world::{A, C, HOUR, SECOND, World, ok, post_to, rejected, routes};

const DAY: u64 = 24 * HOUR;

/// A session of the provider's service. The test sends its events.
pub(super) struct Session(Mutex<Option<Events>>);

struct Events {
    arriving: mpsc::UnboundedReceiver<Event>,
    /// How often the provider asked for an event: when it asks again, it has handled the last one.
    asked: watch::Sender<usize>,
}

#[async_trait]
impl SiteSession for Session {
    async fn call(&self, _: &str, _: &str, _: &Value) -> Result<Box<RawValue>, SessionError> {
        Err(SessionError("no operations".to_owned()))
    }

    fn events(&self) -> Option<Box<dyn SiteEvents>> {
        let events = self.0.lock().unwrap().take()?;
        Some(Box::new(events))
    }
}

#[async_trait]
impl SiteEvents for Events {
    async fn next(&mut self) -> Option<Event> {
        self.asked.send_modify(|asked| *asked += 1);
        self.arriving.recv().await
    }
}

/// The site's end of a session.
pub(super) struct SiteEnd {
    events: mpsc::UnboundedSender<Event>,
    asked: watch::Receiver<usize>,
    sent: usize,
}

pub(super) fn session() -> (Arc<Session>, SiteEnd) {
    let (events, arriving) = mpsc::unbounded_channel();
    let (sender, asked) = watch::channel(0);
    let arriving = Events {
        arriving,
        asked: sender,
    };
    let session = Session(Mutex::new(Some(arriving)));
    let end = SiteEnd {
        events,
        asked,
        sent: 0,
    };
    (Arc::new(session), end)
}

impl SiteEnd {
    /// Tells the provider that the tickets of `billing` are void, and waits until it knows.
    pub(super) async fn lock_billing(&mut self, world: &World) {
        self.tell_lock(world);
        self.handled().await;
    }

    /// Tells the provider that the tickets of `billing` are void.
    pub(super) fn tell_lock(&mut self, world: &World) {
        self.tell(world, Some(A));
    }

    /// Tells the provider that the tickets of this application, or of all, are void.
    fn tell(&mut self, world: &World, app: Option<&str>) {
        let at = i64::try_from(world.time.now()).unwrap();
        let at = jiff::Timestamp::from_millisecond(at).unwrap();
        let event = Event {
            group: "broker".to_owned(),
            event: "tickets_void".to_owned(),
            data: to_raw_value(&match app {
                Some(app) => json!({ "app": app, "at": at.to_string() }),
                None => json!({ "at": at.to_string() }),
            })
            .unwrap(),
        };
        self.events.send(event).unwrap();
        self.sent += 1;
    }

    /// Waits until the provider has handled all events.
    pub(super) async fn handled(&mut self) {
        let asked = self.asked.wait_for(|asked| *asked > self.sent);
        asked.await.unwrap();
    }
}

async fn file(path: &Path) -> SqliteTickets {
    SqliteTickets::open(path, Limits::default()).await.unwrap()
}

/// Runs a test with each ticket store.
async fn with_each_store(test: impl AsyncFn(&World, ProviderBuilder)) {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new().await;
    let memory = MemoryTickets::default();
    test(&world, world.provider().tickets(memory)).await;
    let world = World::new().await;
    let file = file(&folder.path().join("tickets.db")).await;
    test(&world, world.provider().tickets(file)).await;
}

async fn serve_with(builder: ProviderBuilder) -> (Served, Provider, SiteEnd) {
    let (session, end) = session();
    let provider = builder.ticket_keys_from(session).build().unwrap();
    (serve(routes(&provider)).await, provider, end)
}

/// A presentation of `billing` that `ledger` has not received.
async fn held_back(world: &World) -> RecordedRequest {
    let other = world.ledger().await;
    assert_eq!(post_to(&world.client(&other), &other, "a").await, ok("a"));
    let presentation = other.wire().remove(0);
    assert_eq!(presentation.path, TICKET_PATH);
    presentation
}

/// Requests that `billing` signs with the ticket of its client and that `ledger` has not received.
async fn signed(
    client: &reqwest_middleware::ClientWithMiddleware,
    ledger: &Served,
    routes: Router,
) -> RecordedRequest {
    ledger.replace(Router::new());
    assert_eq!(post_to(client, ledger, "b").await.status, 404);
    ledger.replace(routes);
    ledger.last()
}

/// A thief of a service key held tickets back, and presented them after the application was locked and
/// unlocked. Each was stored before it was found void, and then all tickets of the application lost
/// their secrets, also those of after the lock: each presentation rewrote all its rows, and its
/// requests were refused.
// BRK-102 BRK-60
#[tokio::test]
async fn a_void_ticket_that_is_presented_is_not_stored_and_changes_no_other_ticket() {
    with_each_store(async |world, builder| {
        let (ledger, _provider, mut site) = serve_with(builder).await;
        assert_eq!(post_to(&world.client(&ledger), &ledger, "a").await, ok("a"));
        let held = held_back(world).await;
        site.lock_billing(world).await;
        world.time.pass(SECOND);
        let client = world.client(&ledger);
        assert_eq!(post_to(&client, &ledger, "c").await, ok("c"));
        let tickets = world.site.tickets();
        let refused = rejected(Refusal::NotVerified);
        assert_eq!(ledger.send(held.clone()).await, refused, "and not stored");
        assert_eq!(ledger.send(held.clone()).await, refused);
        // It is not verified again: its time would be refused with another code.
        world.time.pass(70 * SECOND);
        assert_eq!(ledger.send(held).await, refused);
        assert_eq!(post_to(&client, &ledger, "d").await, ok("d"));
        assert_eq!(world.site.tickets(), tickets, "the same ticket");
    })
    .await;
}

/// The site names no application if a service in lockdown has many.
// BRK-100
#[tokio::test]
async fn an_event_that_names_no_application_makes_all_tickets_void() {
    let world = World::new().await;
    let (ledger, _provider, mut site) = serve_with(world.provider()).await;
    let held = [held_back(&world).await, held_back(&world).await];
    site.tell(&world, Some("another"));
    site.handled().await;
    let [accepted, refused] = held;
    assert_eq!(ledger.send(accepted).await.status, 200);
    site.tell(&world, None);
    site.handled().await;
    assert_eq!(ledger.send(refused).await, rejected(Refusal::NotVerified));
}

/// The disk was full when the event arrived: the accepted tickets kept their secrets, the provider
/// logged an error, and accepted the requests once it could write again. After a restart it knew
/// nothing of the event.
// BRK-81
#[tokio::test]
async fn void_tickets_that_the_store_cannot_be_told_of_are_refused_and_written_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tickets.db");
    let world = World::new().await;
    let builder = world.provider().tickets(file(&path).await);
    let (ledger, provider, mut site) = serve_with(builder).await;
    let client = world.client(&ledger);
    assert_eq!(post_to(&client, &ledger, "a").await, ok("a"));
    let request = signed(&client, &ledger, routes(&provider)).await;
    let (held, second) = (held_back(&world).await, held_back(&world).await);

    let mut connection = SqliteConnectOptions::new().filename(&path);
    connection = connection.busy_timeout(Duration::from_secs(60));
    let mut connection = connection.connect().await.unwrap();
    let refuse = "CREATE TRIGGER full BEFORE INSERT ON void BEGIN \
                  SELECT RAISE(ABORT, 'the disk is full'); END";
    execute(&mut connection, refuse).await;
    site.lock_billing(&world).await;
    // The store takes requests, and the provider does not accept this one.
    let archive = world.client_of(C, 4, &ledger);
    assert_eq!(post_to(&archive, &ledger, "c").await, ok("c"));
    assert_eq!(ledger.send(request.clone()).await.status, 503);
    assert_eq!(
        ledger.send(held.clone()).await,
        rejected(Refusal::NotVerified)
    );
    world.time.pass(SECOND);
    let later = held_back(&world).await;
    assert_eq!(ledger.send(later.clone()).await.status, 503);

    execute(&mut connection, "DROP TRIGGER full").await;
    connection.close().await.unwrap();
    let refused = loop {
        let reply = ledger.send(request.clone()).await;
        if reply.status != 503 {
            break reply;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    assert_eq!(refused, rejected(Refusal::NotVerified));
    assert_eq!(
        ledger.send(later).await.status,
        200,
        "issued after the event"
    );
    drop(provider);

    let restarted = world.provider().tickets(file(&path).await);
    ledger.replace(routes(&restarted.build().unwrap()));
    for void in [request, held, second] {
        assert_eq!(ledger.send(void).await, rejected(Refusal::NotVerified));
    }
}

async fn execute(connection: &mut SqliteConnection, statement: &'static str) {
    sqlx::raw_sql(statement).execute(connection).await.unwrap();
}

/// The provider looked up the ticket before it read the content: a request whose content ended after
/// the event was accepted.
// BRK-81
#[tokio::test]
async fn a_request_whose_ticket_becomes_void_while_its_content_arrives_is_refused() {
    with_each_store(async |world, builder| {
        let (ledger, provider, mut site) = serve_with(builder).await;
        let client = world.client(&ledger);
        assert_eq!(post_to(&client, &ledger, "a").await, ok("a"));
        for expected in [200, 401] {
            let sent = signed(&client, &ledger, routes(&provider)).await;
            let (reads, reading) = oneshot::channel();
            let (ends, ended) = oneshot::channel();
            let content = futures_util::stream::once(async move {
                reads.send(()).unwrap();
                ended.await.unwrap();
                Ok::<Bytes, Infallible>(sent.body)
            });
            let mut request = Request::post(sent.path);
            *request.headers_mut().unwrap() = sent.headers;
            let request = request.body(Body::from_stream(content)).unwrap();
            let response = tokio::spawn(routes(&provider).call(request));
            reading.await.unwrap();
            if expected == 401 {
                site.lock_billing(world).await;
            }
            ends.send(()).unwrap();
            assert_eq!(response.await.unwrap().unwrap().status(), expected);
        }
    })
    .await;
}

/// A provider that was built outside a Tokio runtime followed the events from the first presentation
/// on. One that had accepted the tickets before it restarted saw none for hours.
// BRK-102
#[tokio::test]
async fn a_provider_follows_events_from_its_first_request_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tickets.db");
    let world = World::new().await;
    let first = world.provider().tickets(file(&path).await).build().unwrap();
    let ledger = serve(routes(&first)).await;
    let client = world.client(&ledger);
    assert_eq!(post_to(&client, &ledger, "a").await, ok("a"));
    let (session, mut site) = session();
    let builder = world.provider().tickets(file(&path).await);
    let build = move || builder.ticket_keys_from(session).build().unwrap();
    let restarted = std::thread::spawn(build).join().unwrap();
    ledger.replace(routes(&restarted));
    assert_eq!(post_to(&client, &ledger, "b").await, ok("b"));
    site.lock_billing(&world).await;
    assert_eq!(post_to(&client, &ledger, "c").await.status, 401);
}

/// The clock of a site was a year ahead when it locked an application. After it was corrected, and the
/// application unlocked, providers refused all new tickets of the application for a year.
// BRK-82
#[tokio::test]
async fn a_site_whose_clock_was_ahead_at_a_lock_does_not_bar_the_application_for_as_long() {
    with_each_store(async |world, builder| {
        let (ledger, provider, mut site) = serve_with(builder).await;
        let held = held_back(world).await;
        world.time.pass(365 * DAY);
        assert_eq!(post_to(&world.client(&ledger), &ledger, "a").await, ok("a"));
        site.lock_billing(world).await;
        world.time.set_back(365 * DAY);
        provider.ask_time().await.unwrap();
        assert_eq!(ledger.send(held).await, rejected(Refusal::NotVerified));
        world.time.pass(SECOND);
        let client = world.client(&ledger);
        assert_eq!(post_to(&client, &ledger, "b").await, ok("b"));

        // A void ticket that is dated an hour ahead stays void.
        world.time.pass(HOUR);
        let held = held_back(world).await;
        site.lock_billing(world).await;
        world.time.set_back(HOUR);
        provider.ask_time().await.unwrap();
        world.time.pass(HOUR);
        assert_eq!(ledger.send(held).await, rejected(Refusal::NotVerified));
    })
    .await;
}

/// A mark that is far ahead of the site's time is lowered only if it is far ahead of the machine's clock
/// too: a site whose clock is behind for a moment makes no void ticket valid again.
// BRK-82
#[tokio::test]
async fn a_site_whose_clock_is_behind_after_a_lock_makes_no_void_ticket_valid() {
    with_each_store(async |world, builder| {
        let machine = world.time.now();
        let builder = builder.clock(move || machine);
        let (ledger, provider, mut site) = serve_with(builder).await;
        assert_eq!(post_to(&world.client(&ledger), &ledger, "a").await, ok("a"));
        let (held, second) = (held_back(world).await, held_back(world).await);
        site.lock_billing(world).await;
        world.time.set_back(2 * DAY);
        provider.ask_time().await.unwrap();
        assert_eq!(
            ledger.send(held).await,
            rejected(Refusal::Clock),
            "the provider has the site's time"
        );
        world.time.pass(2 * DAY);
        provider.ask_time().await.unwrap();
        assert_eq!(ledger.send(second).await, rejected(Refusal::NotVerified));
    })
    .await;
}
