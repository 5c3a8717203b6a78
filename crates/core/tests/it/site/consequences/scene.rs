//! A site with the objects that the operations under test need, and what its memory contains.

use std::sync::{Arc, LazyLock};

use countersign_core::access::Caller;
use countersign_core::engine::{DeliverySettings, Site};
use countersign_core::id::DeviceId;
use countersign_core::sessions::Proof;
use countersign_core::store::MemoryStore;
use countersign_core::tickets::Registered;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::key_file::DeliveredKey;
use countersign_testkit::faulty::{Fault, FaultyStore};
use countersign_testkit::harness::{NOW, TestDevice, TestPeer, TestSession, TestSite, party, run};
use serde_json::{Value, json};

use crate::site::configuration::Program;

/// The identity in maria's delivered key, and the key as the fields of an operation. Made once,
/// because encrypting the key takes long.
static DELIVERED: LazyLock<(Identity, Value)> = LazyLock::new(|| {
    let identity = Identity::generate(&mut SystemEntropy);
    let passphrase = "a fine pass phrase".to_owned().into();
    let key = DeliveredKey::new(&identity, &passphrase, &mut SystemEntropy);
    let pem = key.certificate().to_pem();
    let fields = json!({ "certificate": pem, "key": key.encrypted_key_pem() });
    (identity, fields)
});

/// A site with the objects that the operations under test need.
pub(crate) struct Scene {
    pub(crate) test: TestSite,
    /// A session of maria that was opened with a pass phrase.
    pub(super) maria: TestSession,
    /// Sessions of maria that were opened with her delivered key. `own` calls the operations of
    /// maria on herself.
    pub(super) own: TestSession,
    other: TestSession,
    robot: TestSession,
    /// The thumbprint of robot's key.
    pub(crate) thumbprint: String,
    /// The id of maria's device.
    pub(super) phone: DeviceId,
    /// A session of that device.
    phone_session: TestSession,
    /// A peer, introduced by maria.
    pub(super) peer: Arc<TestPeer>,
    /// The peer as a caller, once it has connected.
    pub(super) peer_caller: Option<Caller>,
    /// A site that is no peer; `peer join` reaches it.
    pub(super) other_site: Arc<TestPeer>,
    /// The program that runs the site.
    program: Arc<Program>,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::of(TestSite::new().await).await
    }

    /// Makes a scene on a store whose commits fail once the test says so.
    pub(crate) async fn faulty(fault: Fault) -> (Self, Arc<FaultyStore>) {
        let store = MemoryStore::new();
        let faulty = Arc::new(FaultyStore::new(Arc::new(store.reopened()), fault));
        let test = TestSite::builder()
            .memory(store, faulty.clone())
            .build()
            .await;
        (Self::of(test).await, faulty)
    }

    async fn of(test: TestSite) -> Self {
        let params = json!({ "name": "maria", "email": "maria@mail.example", "role": "member" });
        let created = test.admin("person.create", params).await;
        test.admin("person.deliver_key", Self::delivered(Some("maria")))
            .await;
        let by_key = Proof::DeliveredKey(Self::identity().certificate().thumbprint());
        let maria = test.session(&created, Proof::Passphrase).await.unwrap();
        let own = test.session(&created, by_key).await.unwrap();
        let other = test.session(&created, by_key).await.unwrap();
        let program = Program::of(&test);
        let (phone, phone_session) = phone(&test).await;
        let peer = test.peer("maria").await;
        let other_site = Arc::new(TestPeer::new("c.example"));
        test.site.connect_peers_with(other_site.clone());
        let (robot, identity) = test.service("robot").await;
        // Fills the cache with an existing application and with an unknown id.
        let key = party().public().to_pem();
        let app = json!({ "id": "ledger", "public_keys": [key] });
        test.admin("app.create", app).await;
        for id in ["ledger", "billing"] {
            test.site.registered(id, NOW).await.unwrap();
        }
        Self {
            test,
            maria,
            own,
            other,
            robot,
            thumbprint: identity.certificate().thumbprint().to_string(),
            phone,
            phone_session,
            peer,
            peer_caller: None,
            other_site,
            program,
        }
    }

    /// Returns the identity in maria's delivered key.
    pub(super) fn identity() -> &'static Identity {
        &DELIVERED.0
    }

    /// Returns parameters that deliver a key for a person, or for the caller.
    pub(super) fn delivered(name: Option<&str>) -> Value {
        let mut params = DELIVERED.1.clone();
        if let Some(name) = name {
            params["name"] = name.into();
        }
        params
    }

    /// Returns all sessions and settings according to memory.
    pub(crate) async fn memory(&self) -> Value {
        let mut memory = contents(&self.test.site).await;
        memory["maria"] = json!(self.maria.was_cut());
        memory["own"] = json!(self.own.was_cut());
        memory["other"] = json!(self.other.was_cut());
        memory["robot"] = json!(self.robot.was_cut());
        memory["settings"] = json!(self.program.applied());
        memory["phone"] = json!(self.phone_session.was_cut());
        memory
    }

    /// Returns whether memory agrees with the store.
    pub(crate) async fn agrees(&self, memory: &Value) -> bool {
        let stored = self.stored().await;
        let fields = stored.as_object().unwrap();
        fields.iter().all(|(field, value)| memory[field] == *value)
    }

    /// Returns what memory should contain: the memory of a site that is opened from the same store.
    pub(super) async fn stored(&self) -> Value {
        contents(&self.test.unsealed().await).await
    }
}

/// Enrols a device of maria, to whom the site can send mail, and opens a session of it.
async fn phone(test: &TestSite) -> (DeviceId, TestSession) {
    test.takes_enrolments();
    test.site.deliver_with(DeliverySettings {
        email: true,
        text: false,
        ..DeliverySettings::default()
    });
    let (device, ticket) = (TestDevice::new(), test.ticket("maria").await);
    let enrolled = device.enrol(&test.site, &ticket.token, "maria", NOW).await;
    let session = test.device_session(&test.site, &device, "maria", NOW).await;
    (enrolled.unwrap().device, session.unwrap())
}

/// Returns an application. A sealed site has none ready.
async fn registered(site: &Site, id: &str) -> Option<Arc<Registered>> {
    match site.is_sealed() {
        true => None,
        false => site.registered(id, NOW).await.unwrap(),
    }
}

/// Returns what a site knows, except for its sessions.
async fn contents(site: &Site) -> Value {
    let ledger = registered(site, "ledger").await;
    let ledger = ledger.map(|ledger| {
        let ledger = &ledger.application;
        (ledger.state.as_str(), ledger.keys_last, ledger.keys.len())
    });
    let billing = registered(site, "billing").await;
    let options = site.options();
    let options: Vec<_> = options.ranked().iter().map(|it| it.name()).collect();
    let maria = "maria".parse().unwrap();
    let passphrase = site.person_for_login(&maria).await.unwrap();
    let delivered = site.delivered_key_for_login(&maria).await.unwrap();
    json!({
        "ledger": ledger,
        "billing": billing.is_some(),
        "options": options,
        "floor": show(site, "option.list", json!({})).await["floor"],
        "lifetime": site.config().session_lifetime,
        "slots": count(&show(site, "site.key_slots", json!({})).await["slots"]),
        "key_events": site.key_events().len(),
        "setups": count(&show(site, "site.setup_status", json!({})).await["setups"]),
        "broker_keys": count(&show(site, "broker.key_list", json!({})).await["keys"]),
        "has_newest_key": site.unsealed_keys().map(|keys| {
            let newest = keys.events.last().map(|event| event.event().keys);
            newest == Some(keys.key.public()) && keys.events == site.key_events()
        }),
        "v1": count(&show(site, "broker.show", json!({})).await["v1_public_keys"]),
        "accounts": accounts(site).await,
        "passphrase": passphrase.is_some(),
        "delivered": delivered.is_some(),
        "settings": site.stored_settings(),
        "lockdowns": *site.lockdowns(),
        "data": data(site).await,
        "tickets": listed(site, "ticket.list", &["person", "state"]).await,
        "devices": listed(site, "device.list", &["person", "name"]).await,
        "alarms": listed(site, "alarm.list", &["key", "state", "count"]).await,
        "deliveries": listed(site, "alarm.deliveries", &["to", "state"]).await,
        "preferences": show(site, "alarm.preferences", json!({ "person": "maria" })).await,
    })
}

/// Returns the names, roles and states of all accounts, and the number of keys of the services.
async fn accounts(site: &Site) -> Vec<String> {
    let mut accounts = Vec::new();
    for list in ["person.list", "service.list"] {
        let listed = show(site, list, json!({})).await;
        // A sealed site lists nothing.
        for entry in listed["entries"].as_array().into_iter().flatten() {
            let [name, role, state] = ["name", "role", "state"].map(|field| &entry[field]);
            accounts.push(format!("{name} {role} {state}"));
        }
    }
    let keys = show(site, "key.list", json!({ "name": "robot" })).await;
    accounts.push(format!("{} keys", count(&keys["entries"])));
    accounts
}

/// Returns the data of maria.
async fn data(site: &Site) -> Vec<Value> {
    let shown = show(site, "person.show", json!({ "name": "maria" })).await;
    let fields = ["emails", "telephones", "attributes"];
    fields.map(|field| shown[field].clone()).into()
}

/// Returns these fields of each entry of a list. A sealed site lists nothing.
async fn listed(site: &Site, name: &str, fields: &[&str]) -> Vec<Vec<Value>> {
    let listed = show(site, name, json!({})).await;
    let entries = listed["entries"].as_array().into_iter().flatten();
    entries
        .map(|entry| fields.iter().map(|field| entry[field].clone()).collect())
        .collect()
}

async fn show(site: &Site, name: &str, params: Value) -> Value {
    run(site, &Caller::admin_socket(), name, params).await.1
}

fn count(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}
