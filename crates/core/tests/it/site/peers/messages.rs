//! Messages from people of peers reach a person as an event, and without an open connection as an alarm.

use std::sync::{Arc, Mutex};

use countersign_core::access::Caller;
use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::{Code, Event};
use countersign_testkit::harness::{TestSession, TestSite, run_at, stays_open};
use serde_json::{Value, json};

/// A site with the person ada and its peer, whose messages arrive at given times.
struct Scene {
    test: TestSite,
    ada: TestSession,
    bob: Caller,
    sent: u32,
}

impl Scene {
    async fn new() -> Self {
        let test = TestSite::new().await;
        let ada = test.person("ada", "member").await;
        test.starts_peer_server().await;
        let peer = test.peer("ada").await;
        let connection = peer.connect(&test.site, test.now()).await.unwrap();
        Self {
            test,
            ada,
            bob: stays_open(connection),
            sent: 0,
        }
    }

    fn at(&self, minutes: u32) -> Timestamp {
        self.test.now().plus_seconds(minutes * 60)
    }

    /// Bob sends a message so many minutes after the beginning.
    async fn message(&mut self, minutes: u32) {
        self.sent += 1;
        let message = json!({
            "id": format!("019523d0-5c00-7000-8000-{:012}", self.sent),
            "number": self.sent,
            "from": "bob@b.example",
            "to": "ada@example.org",
            "text": "meet me at noon",
            "sent": "2026-03-01T12:00:00.000Z",
        });
        let params = json!({ "messages": [message] });
        let (site, at) = (&self.test.site, self.at(minutes));
        let (code, data) = run_at(site, &self.bob, "peer.deliver", params, at).await;
        assert_eq!(code, Code::SUCCESS, "{data}");
        assert_eq!(data["reports"][0]["state"], "accepted");
    }

    async fn alarms(&self) -> Vec<Value> {
        let listed = self.test.admin("alarm.list", json!({})).await;
        listed["entries"].as_array().unwrap().clone()
    }

    /// The events that ada's connection gets from now on, by their names.
    fn subscribe(&self) -> Arc<Mutex<Vec<String>>> {
        let events = Arc::new(Mutex::new(Vec::new()));
        let kept = events.clone();
        let add = move |event: &Arc<Event>| {
            let name = format!("{}.{}", event.group, event.event);
            kept.lock().unwrap().push(name);
            true
        };
        self.test
            .site
            .events()
            .subscribe(&self.ada.info, Box::new(add));
        events
    }
}

// ALM-50
#[tokio::test]
async fn a_message_raises_one_alarm_of_low_severity_without_its_text() {
    let mut scene = Scene::new().await;
    scene.message(0).await;
    scene.message(1).await;
    let alarms = scene.alarms().await;
    assert_eq!(alarms.len(), 1);
    let alarm = &alarms[0];
    assert_eq!(alarm["severity"], "info");
    assert_eq!(alarm["count"], 1);
    let text = alarm["text"].as_str().unwrap();
    assert!(text.starts_with("bob@b.example sent a message to ada@example.org."));
    assert!(!alarm.to_string().contains("noon"), "{alarm}");
    // After the window the same alarm is raised again, also if it was acknowledged.
    let acknowledge = json!({ "id": alarm["id"] });
    scene.test.admin("alarm.acknowledge", acknowledge).await;
    scene.message(16).await;
    let alarms = scene.alarms().await;
    assert_eq!(alarms.len(), 1);
    assert_eq!(
        (&alarms[0]["count"], &alarms[0]["state"]),
        (&json!(2), &json!("open"))
    );
}

// ALM-50
#[tokio::test]
async fn a_person_with_an_open_connection_gets_an_event_and_no_alarm() {
    let mut scene = Scene::new().await;
    let events = scene.subscribe();
    scene.message(0).await;
    assert_eq!(*events.lock().unwrap(), ["peer.message"]);
    assert_eq!(scene.alarms().await, Vec::<Value>::new());
}

// ALM-50
#[tokio::test]
async fn a_person_who_declined_alarms_of_messages_gets_none() {
    let mut scene = Scene::new().await;
    let decline = json!({ "person": "ada", "peer_messages": false });
    let declined = scene.test.admin("alarm.preferences", decline).await;
    assert_eq!(declined["peer_messages"], false);
    scene.message(0).await;
    assert_eq!(scene.alarms().await, Vec::<Value>::new());
    let params = json!({ "person": "ada", "peer_messages": true });
    scene.test.admin("alarm.preferences", params).await;
    scene.message(1).await;
    assert_eq!(scene.alarms().await.len(), 1);
}
