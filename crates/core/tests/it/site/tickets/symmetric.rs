//! The symmetric ticket path, as the site offers it to the services of applications.

use std::sync::Arc;

use countersign_core::access::{Caller, Channel, HttpCredential, HttpGrant};
use countersign_core::id::{AccessTokenId, DeviceId};
use countersign_core::site_key::BrokerKeys;
use countersign_core::tickets::Registered;
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::broker::v2::consumer::Consumer;
use countersign_proto::broker::v2::limits::TICKET_KEY;
use countersign_proto::broker::v2::provider::{Provider, UnverifiedPresentation};
use countersign_proto::broker::v2::symmetric::TicketResult;
use countersign_proto::broker::v2::{Refusal, SealedMessage, TicketKey};
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, TestSession, TestSite, certificate, party, run, run_at};
use serde_json::{Value, json};

fn millis(now: Timestamp) -> u64 {
    u64::try_from(now.millis()).unwrap()
}

/// A site with `billing`, which may call `ledger`, and the services of both.
pub(crate) struct World {
    pub(crate) test: TestSite,
    billing: TestSession,
    ledger: TestSession,
    consumer: Consumer,
    provider: Provider,
}

impl World {
    pub(crate) async fn new() -> Self {
        let test = TestSite::new().await;
        let (billing, _) = test.service("billing-robot").await;
        let (ledger, _) = test.service("ledger-robot").await;
        let service = |id| json!({ "service": format!("{id}-robot") });
        let [first, second] = [
            test.create_application("billing", service("billing")).await,
            test.create_application("ledger", service("ledger")).await,
        ];
        let world = Self {
            billing,
            ledger,
            consumer: test.consumer("billing", first),
            provider: test.provider("ledger", second),
            test,
        };
        let settings = json!({ "may_call": [{ "app": "ledger" }], "auth_data": { "team": 7 } });
        world.update("billing", settings).await;
        world
    }

    async fn update(&self, id: &str, settings: Value) {
        let params = json!({ "id": id, "settings": settings });
        self.test.admin("app.update", params).await;
    }

    pub(crate) async fn ask(&self, app: &str, providers: &[&str]) -> (Code, Value) {
        let params = json!({ "app": app, "providers": providers });
        let caller = &self.billing.caller;
        run(&self.test.site, caller, "broker.ticket", params).await
    }

    /// Returns the code of each refusal, and `None` for each ticket.
    pub(crate) async fn answers(&self, providers: &[&str]) -> Vec<Option<String>> {
        let (code, mut data) = self.ask("billing", providers).await;
        assert_eq!(code, Code::SUCCESS, "{data}");
        let answered: Vec<TicketResult> = serde_json::from_value(data["tickets"].take()).unwrap();
        let answers = answered.into_iter().map(|answered| match answered {
            TicketResult::Granted(_) => None,
            TicketResult::Refused(code) => Some(code),
        });
        answers.collect()
    }

    async fn ticket_keys(&self) -> (Code, Value) {
        let (site, caller) = (&self.test.site, &self.ledger.caller);
        run(
            site,
            caller,
            "broker.ticket_keys",
            json!({ "app": "ledger" }),
        )
        .await
    }

    async fn registered(&self, id: &str, now: Timestamp) -> Arc<Registered> {
        let registered = self.test.site.registered(id, now).await.unwrap();
        registered.unwrap()
    }

    /// Returns the ticket keys that the provider gets at `now`.
    async fn keys_at(&self, now: Timestamp) -> Vec<TicketKey> {
        let ledger = self.registered("ledger", now).await;
        let site = &self.test.site;
        let messages = site.ticket_keys(&keys(&self.test), &ledger, now).unwrap();
        let read = |message: &SealedMessage| self.provider.ticket_keys(message).ok();
        messages.iter().filter_map(read).flatten().collect()
    }

    /// Returns a presentation of a ticket that was issued at `now`.
    async fn presentation(&self, now: Timestamp) -> String {
        let billing = self.registered("billing", now).await;
        let (keys, requested) = (keys(&self.test), ["ledger".to_owned()]);
        let site = &self.test.site;
        let arrival = self.billing.caller.arrival();
        let tickets = site.symmetric_tickets(&keys, &billing, arrival, &requested, now);
        let Some(TicketResult::Granted(response)) = tickets.await.unwrap().pop() else {
            panic!("refused");
        };
        let granted = self.consumer.read_session_response("ledger", *response);
        let presented = granted.unwrap().present(millis(now), &mut SystemEntropy);
        presented.unwrap().1
    }
}

/// The same account over HTTP, with a credential for these operations.
fn over_http(
    session: &Caller,
    credential: HttpCredential,
    operations: Option<Vec<String>>,
) -> Caller {
    let owner = (session.account.unwrap(), session.name.clone(), session.role);
    let grant = HttpGrant::new(credential, owner, operations, None);
    Caller {
        channel: Channel::Http,
        session: None,
        grant: Some(Arc::new(grant)),
        ..session.clone()
    }
}

fn keys(test: &TestSite) -> Arc<BrokerKeys> {
    test.site.unsealed_keys().unwrap().broker.clone()
}

fn names(keys: &[TicketKey]) -> Vec<[u8; 8]> {
    keys.iter().map(TicketKey::name).collect()
}

#[tokio::test]
async fn a_service_gets_tickets_that_the_provider_opens_with_its_ticket_keys() {
    let mut world = World::new().await;
    let before = world.test.audit().await.len();
    let (code, mut data) = world.ticket_keys().await;
    assert_eq!(code, Code::SUCCESS, "{data}");
    let messages: Vec<SealedMessage> = serde_json::from_value(data["keys"].take()).unwrap();
    assert_eq!(messages.len(), 1);
    world.provider.ticket_keys = world.provider.ticket_keys(&messages[0]).unwrap();

    let (code, mut data) = world.ask("billing", &["ledger", "ledger"]).await;
    assert_eq!(code, Code::SUCCESS, "{data}");
    let answered: Vec<TicketResult> = serde_json::from_value(data["tickets"].take()).unwrap();
    assert_eq!(answered.len(), 2);
    for answered in answered {
        let TicketResult::Granted(response) = answered else {
            panic!("refused");
        };
        assert_eq!(response.expires, millis(NOW) + 3_600_000);
        let granted = world.consumer.read_session_response("ledger", *response);
        let presented = granted.unwrap().present(millis(NOW), &mut SystemEntropy);
        let (presenting, body) = presented.unwrap();
        let accepted = world.provider.accept(body.as_bytes(), millis(NOW)).unwrap();
        let accepted = accepted.acknowledge(millis(NOW), &mut SystemEntropy);
        let accepted = accepted.unwrap();
        assert_eq!(accepted.auth_data.get(), r#"{"team":7}"#);
        let here = presenting
            .read_acknowledgement(accepted.answer.as_bytes())
            .unwrap();
        assert_eq!(here.secret, accepted.credentials.secret);
    }
    assert_eq!(world.test.audit().await.len(), before, "not audited");
}

/// The entries of refused tickets named no token.
#[tokio::test]
async fn the_audit_entries_of_tickets_name_the_channel_and_the_token() {
    let world = World::new().await;
    let (test, session) = (&world.test, &world.billing.caller);
    let token = AccessTokenId::from_bytes([7; 16]);
    let over_http = over_http(session, HttpCredential::Token(token), None);
    let providers = ["ledger", "unknown", "archive@elsewhere.example"];
    let params = json!({ "app": "billing", "providers": providers });
    for caller in [session, &over_http] {
        let (code, data) = run(&test.site, caller, "broker.ticket", params.clone()).await;
        assert_eq!(code, Code::SUCCESS, "{data}");
    }
    test.site.write_all_counted().await.unwrap();
    let tickets = test.audit().await.into_iter().filter(|entry| {
        assert!(entry["details"].get("access_token").is_none() || entry["channel"] == "http");
        entry["operation"] == "broker.ticket"
    });
    let arrivals = tickets.map(|entry| {
        let outcome = entry["outcome"].as_str().unwrap().to_owned();
        let token = entry["details"]["access_token"].as_str().map(str::to_owned);
        (
            outcome,
            entry["channel"].as_str().unwrap().to_owned(),
            token,
        )
    });
    let mut arrivals: Vec<_> = arrivals.collect();
    arrivals.sort();
    arrivals.dedup();
    let of = |outcome: &str, channel: &str, token: Option<AccessTokenId>| {
        let token = token.map(|token| token.to_string());
        (outcome.to_owned(), channel.to_owned(), token)
    };
    let expected = [
        of("done", "http", Some(token)),
        of("done", "session", None),
        of("not_permitted", "http", Some(token)),
        of("not_permitted", "session", None),
    ];
    assert_eq!(arrivals, expected);
}

/// [BRK-54]
#[tokio::test]
async fn only_the_service_of_an_application_gets_its_tickets() {
    let world = World::new().await;
    let (test, ledger) = (&world.test, &world.ledger.caller);
    let ask = async |caller, app: &str| {
        let params = json!({ "app": app, "providers": ["ledger"] });
        let tickets = run(&test.site, caller, "broker.ticket", params).await;
        let keys = run(
            &test.site,
            caller,
            "broker.ticket_keys",
            json!({ "app": app }),
        )
        .await;
        (tickets, keys)
    };
    // The service of another application; an unknown application; an invalid id.
    let other = ask(ledger, "billing").await;
    assert_eq!(other.0.0, Code::NOT_PERMITTED);
    assert_eq!(other.0, other.1);
    assert_eq!(ask(ledger, "unknown").await, other);
    assert_eq!(ask(ledger, " ").await, other);
    // An admin does not get tickets for an application, neither in a session nor at the admin
    // socket.
    let admin = test.person("maria", "admin").await;
    assert_eq!(ask(&admin.caller, "billing").await, other);
    let socket = Caller::admin_socket();
    assert_eq!(ask(&socket, "billing").await, other);
    let member = test.person("noor", "member").await;
    assert_eq!(
        ask(&member.caller, "billing").await.0.0,
        Code::NOT_PERMITTED
    );
    // The service was set, and then replaced.
    world
        .update("billing", json!({ "service": "ledger-robot@example.org" }))
        .await;
    assert_eq!(ask(ledger, "billing").await.0.0, Code::SUCCESS);
    assert_eq!(ask(&world.billing.caller, "billing").await, other);
    world.update("billing", json!({ "service": "" })).await;
    assert_eq!(ask(ledger, "billing").await, other);
    let shown = test.admin("app.show", json!({ "id": "billing" })).await;
    assert_eq!(shown.get("service"), None);
    // Only an existing service can be set.
    for wrong in ["maria", "unknown", "a b", "billing-robot@example.com"] {
        let params = json!({ "id": "billing", "settings": { "service": wrong } });
        let (_, data) = test.refused("app.update", params).await;
        assert_eq!(data["field"], "settings.service", "{wrong}: {data}");
    }
}

/// `POST /broker/tickets` refused every caller, since an application had a service in a session alone.
// BRK-54
#[tokio::test]
async fn a_service_gets_tickets_over_http_with_its_key_and_with_a_token_that_names_the_operation() {
    let world = World::new().await;
    let (test, billing) = (&world.test, &world.billing.caller);
    let ask = async |caller: &Caller, operation: &str| {
        let params = match operation {
            "broker.ticket" => json!({ "app": "billing", "providers": ["ledger"] }),
            _ => json!({ "app": "billing" }),
        };
        run(&test.site, caller, operation, params).await.0
    };
    let token = HttpCredential::Token(AccessTokenId::from_bytes([7; 16]));
    let (_, key) = certificate();
    let named = |name: &str| Some(vec![name.to_owned()]);
    for (credential, operations, expected) in [
        (token, named("broker.ticket"), Code::SUCCESS),
        (token, named("broker.show"), Code::NOT_PERMITTED),
        (HttpCredential::Key(key), None, Code::SUCCESS),
        (
            HttpCredential::Device(DeviceId::from_bytes([7; 16])),
            None,
            Code::NOT_PERMITTED,
        ),
    ] {
        let caller = over_http(billing, credential, operations);
        assert_eq!(
            ask(&caller, "broker.ticket").await,
            expected,
            "{credential:?}"
        );
        // A provider needs a session, which tells it which tickets are void.
        assert_eq!(
            ask(&caller, "broker.ticket_keys").await,
            Code::NOT_PERMITTED
        );
    }
    // The service of another application, and an admin.
    let admin = test.person("maria", "admin").await;
    for other in [&world.ledger.caller, &admin.caller] {
        let caller = over_http(other, token, None);
        assert_eq!(ask(&caller, "broker.ticket").await, Code::NOT_PERMITTED);
    }
}

/// [BRK-55]
#[tokio::test]
async fn one_to_256_tickets_can_be_requested_at_once() {
    let world = World::new().await;
    for (count, fine) in [(0, false), (1, true), (256, true), (257, false)] {
        let (code, data) = world.ask("billing", &vec!["ledger"; count]).await;
        match fine {
            true => assert_eq!(data["tickets"].as_array().unwrap().len(), count),
            false => assert_eq!(
                (code, &data["field"]),
                (Code::INVALID_PARAMS, &json!("providers"))
            ),
        }
    }
}

/// [BRK-6], [BRK-30] and [BRK-55]
#[tokio::test]
async fn a_refusal_affects_no_other_entry_and_policy_is_checked_each_time() {
    let world = World::new().await;
    let test = &world.test;
    let old = json!({
        "id": "old", "edition": "serveros-v1",
        "public_keys": [include_str!("../../../../../../vectors/serveros/keys/provider.pub.pem")],
    });
    test.admin("app.create", old).await;
    let may_call = json!({ "may_call": [{ "app": "ledger" }, { "app": "old" }] });
    world.update("billing", may_call).await;
    let no = || Some("not-allowed".to_owned());
    let ids = ["unknown", "ledger", "billing", "old", " ", "ledger"];
    let answers = world.answers(&ids).await;
    assert_eq!(answers, [no(), None, no(), no(), no(), None]);

    for id in ["ledger", "billing"] {
        test.admin("app.lock", json!({ "id": id })).await;
        assert_eq!(world.answers(&["ledger"]).await, [no()], "{id}");
        test.admin("app.unlock", json!({ "id": id })).await;
        assert_eq!(world.answers(&["ledger"]).await, [None], "{id}");
    }
    test.admin("app.lock", json!({ "id": "ledger" })).await;
    assert_eq!(world.ticket_keys().await.0, Code::CONFLICT);
    test.admin("app.unlock", json!({ "id": "ledger" })).await;
    assert_eq!(world.ticket_keys().await.0, Code::SUCCESS);

    world.update("billing", json!({ "may_call": [] })).await;
    assert_eq!(world.answers(&["ledger"]).await, [no()]);
    for id in ["billing", "ledger"] {
        test.admin("app.delete", json!({ "id": id })).await;
    }
    assert_eq!(
        world.ask("billing", &["ledger"]).await.0,
        Code::NOT_PERMITTED
    );
    assert_eq!(world.ticket_keys().await.0, Code::NOT_PERMITTED);
    // A locked service has no session.
    let robot = json!({ "name": "billing-robot" });
    test.admin("service.lock", robot).await;
    assert!(world.billing.was_cut().is_some());
    assert_eq!(
        world.ask("billing", &["ledger"]).await.0,
        Code::NOT_PERMITTED
    );
}

/// [BRK-51] and [BRK-53]: a provider that asks once a day always has every key.
#[tokio::test]
async fn a_provider_gets_the_keys_of_yesterday_today_and_tomorrow() {
    let mut world = World::new().await;
    let midnight = Timestamp::from_millis(NOW.millis() / 86_400_000 * 86_400_000);
    let day = |days: u64| midnight.plus_millis(days * TICKET_KEY);
    let (today, tomorrow) = (world.keys_at(day(0)).await, world.keys_at(day(1)).await);
    assert_eq!(today.len(), 3);
    assert_eq!(names(&today)[1..], names(&tomorrow)[..2]);
    let last = day(0).plus_millis(TICKET_KEY - 1);
    assert_eq!(names(&world.keys_at(last).await), names(&today));
    world.provider.ticket_keys = today;
    for (now, opens) in [
        (day(0), true),
        (last, true),
        (day(1), true),
        (day(2), false),
    ] {
        let presentation = world.presentation(now).await;
        let accepted = world.provider.accept(presentation.as_bytes(), millis(now));
        assert_eq!(accepted.is_ok(), opens, "{now}");
        let read = UnverifiedPresentation::read(presentation.as_bytes()).unwrap();
        assert_eq!(world.provider.lacks_ticket_key(&read), !opens);
    }
}

/// [BRK-52] and [BRK-53]
#[tokio::test]
async fn each_key_of_a_provider_has_its_own_ticket_keys_until_it_retires() {
    let mut world = World::new().await;
    let before = world.keys_at(NOW).await;
    let early = world.presentation(NOW).await;
    let next = party();
    let rotate = json!({
        "id": "ledger", "public_key": next.public().to_pem(), "overlap": 1_000
    });
    world.test.admin("app.rotate_key", rotate).await;
    // A provider with the older key only can read the ticket keys for it. Tickets use the newer
    // one's.
    assert_eq!(names(&world.keys_at(NOW).await), names(&before));
    world.provider.ticket_keys = before.clone();
    let late = world.presentation(NOW).await;
    let accept = |provider: &Provider, body: &String| {
        let accepted = provider.accept(body.as_bytes(), millis(NOW));
        accepted.map(|_| ())
    };
    assert_eq!(accept(&world.provider, &early), Ok(()));
    assert_eq!(accept(&world.provider, &late), Err(Refusal::NotVerified));
    // A provider with both keys can read both, until the older one retires.
    world.provider.keys.insert(0, next);
    let both = world.keys_at(NOW.plus_millis(999)).await;
    assert_eq!(both.len(), 6);
    assert_eq!(names(&both)[3..], names(&before));
    world.provider.ticket_keys = both;
    assert_eq!(accept(&world.provider, &early), Ok(()));
    assert_eq!(accept(&world.provider, &late), Ok(()));
    let after = world.keys_at(NOW.plus_millis(1_000)).await;
    assert_eq!(after.len(), 3);
    assert!(
        names(&before)
            .iter()
            .all(|name| !names(&after).contains(name))
    );
}

/// [BRK-52]
#[tokio::test]
async fn ticket_keys_survive_a_restart_and_not_a_new_registration() {
    let mut world = World::new().await;
    let before = names(&world.keys_at(NOW).await);
    world
        .test
        .admin("app.delete", json!({ "id": "ledger" }))
        .await;
    // A key can be used by one registration only.
    world.provider.keys = vec![party()];
    let key = world.provider.keys[0].public().to_pem();
    let params = json!({ "id": "ledger", "public_keys": [key] });
    let socket = Caller::admin_socket();
    let later = run_at(
        &world.test.site,
        &socket,
        "app.create",
        params,
        NOW.plus_millis(1),
    );
    assert_eq!(later.await.0, Code::SUCCESS);
    let after = names(&world.keys_at(NOW).await);
    assert!(before.iter().all(|name| !after.contains(name)));

    let again = world.test.unsealed().await;
    let opened = again.unsealed_keys().unwrap();
    let ledger = again.registered("ledger", NOW).await.unwrap().unwrap();
    let messages = again.ticket_keys(&opened.broker, &ledger, NOW).unwrap();
    let read = world.provider.ticket_keys(&messages[0]).unwrap();
    assert_eq!(names(&read), after);
}
