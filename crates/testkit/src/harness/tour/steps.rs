//! The steps of a tour.

use serde_json::{Value, json};

/// An operation of the local admin before a step, with what the tour keeps: a name, and the field of the
/// result.
type Before = (&'static str, Value, Option<(&'static str, &'static str)>);

/// A step of a tour.
pub struct Step {
    /// The operation.
    pub operation: &'static str,
    /// The parameters. A text `$name` stands for what the tour keeps under that name.
    pub(super) params: Value,
    pub(super) before: Vec<Before>,
    /// What the tour keeps of the result: a name, and a JSON pointer.
    pub(super) kept: Option<(&'static str, &'static str)>,
    pub(super) after: Vec<(&'static str, Value)>,
}

impl Step {
    fn before(mut self, operation: &'static str, params: Value) -> Self {
        self.before.push((operation, params, None));
        self
    }

    fn made_before(mut self, operation: &'static str, params: Value, kept: &'static str) -> Self {
        self.before.push((operation, params, Some((kept, "id"))));
        self
    }

    fn keeps(self, name: &'static str, pointer: &'static str) -> Self {
        Self {
            kept: Some((name, pointer)),
            ..self
        }
    }

    fn after(mut self, operation: &'static str, params: Value) -> Self {
        self.after.push((operation, params));
        self
    }
}

fn step(operation: &'static str, params: Value) -> Step {
    Step {
        operation,
        params,
        before: Vec::new(),
        kept: None,
        after: Vec::new(),
    }
}

/// The operations with a route that have no step: an admin takes the steps, and these are for the service of an
/// application.
pub const OF_SERVICES: [&str; 1] = ["broker.ticket"];

/// Returns all steps in their order.
#[must_use]
pub fn steps() -> Vec<Step> {
    let parts = [
        people(),
        services(),
        devices(),
        peers(),
        applications(),
        alarms(),
        settings(),
        lockdowns(),
        endings(),
    ];
    parts.into_iter().flatten().collect()
}

fn maria() -> Value {
    json!({ "name": "maria" })
}

fn people() -> Vec<Step> {
    let telephone = json!([{ "label": "mobile", "number": "+49 151 1234567" }]);
    vec![
        step(
            "person.create",
            json!({ "name": "maria", "full_name": "Maria Lind", "email": "maria@example.org" }),
        ),
        step("person.list", json!({ "limit": 10 })),
        step(
            "person.update",
            json!({ "name": "maria", "email": "m.lind@example.org" }),
        ),
        step(
            "person.set_data",
            json!({
                "name": "maria",
                "emails": ["m.lind@example.org", "m.lind@example.com"],
                "telephones": [{ "label": "work", "number": "+49 30 1234567" }],
                "postal_address": {
                    "lines": ["Unter den Linden 77"],
                    "postal_code": "10117",
                    "city": "Berlin",
                    "country": "DE",
                },
                "attributes": { "department": "sales" },
            }),
        ),
        step("person.show", maria()),
        step("person.lock", maria()),
        step("person.unlock", maria()),
        step("person.disable", maria()),
        step("person.enable", maria()),
        step(
            "person.passphrase_start",
            json!({ "name": "maria", "request": "$request" }),
        ),
        step(
            "person.passphrase_finish",
            json!({
                "name": "maria",
                "setup": "$setup",
                "binding": "$binding",
                "record": "$record",
                "sealed_identity": "$sealed_identity",
            }),
        ),
        step(
            "person.deliver_key",
            json!({
                "name": "maria",
                "certificate": "$delivered_certificate",
                "key": "$delivered_key",
            }),
        ),
        step("person.withdraw_key", maria()),
        step("person.dump", maria()),
        step("person.load", json!({ "dump": "$dump" })).before(
            "person.create",
            json!({ "name": "bob", "full_name": "Bob" }),
        ),
        step("person.delete", json!({ "name": "bob" })),
        step("self.set_data", json!({ "telephones": telephone })),
        step("self.show", json!({})),
        step("session.list", json!({ "limit": 10, "name": "maria" })),
        step("session.show", json!({ "id": "$session" })),
        step("session.cut", json!({ "id": "$session" })),
    ]
}

fn services() -> Vec<Step> {
    let mailer = || json!({ "name": "mailer" });
    let token = json!({
        "service": "mailer",
        "operations": ["alarm.over", "alarm.raise"],
        "label": "the mail server",
    });
    vec![
        step(
            "service.create",
            json!({ "name": "mailer", "certificate": "$mailer_certificate" }),
        ),
        step("service.list", json!({ "limit": 10 })),
        step("service.show", mailer()),
        step("service.lock", mailer()),
        step("service.unlock", mailer()),
        step("service.disable", mailer()),
        step("service.enable", mailer()),
        step(
            "key.add",
            json!({
                "name": "mailer",
                "certificate": "$second_certificate",
                "label": "new server",
            }),
        )
        .keeps("thumbprint", "/thumbprint"),
        step("key.list", mailer()),
        step(
            "key.revoke",
            json!({ "name": "mailer", "thumbprint": "$thumbprint" }),
        ),
        step("token.list", json!({ "account": "mailer" })).made_before(
            "token.create",
            token,
            "token",
        ),
        step("token.revoke", json!({ "id": "$token" })),
    ]
}

fn devices() -> Vec<Step> {
    vec![
        step(
            "ticket.issue",
            json!({ "person": "maria", "expires_in": 3600 }),
        )
        .keeps("ticket", "/id"),
        step("ticket.list", json!({ "person": "maria" })),
        step("ticket.show", json!({ "id": "$ticket" })),
        step("ticket.revoke", json!({ "id": "$ticket" })),
        step("device.list", json!({ "person": "maria" })),
        step(
            "device.rename",
            json!({ "id": "$device", "name": "Maria's phone" }),
        ),
        step("device.revoke", json!({ "id": "$device" })),
    ]
}

fn peers() -> Vec<Step> {
    let peer = || json!({ "peer": "b.example" });
    let person = || json!({ "person": "maria" });
    let message = || json!({ "from": "maria", "to": "bob@b.example", "text": "Hello." });
    vec![
        step("peer.start", json!({})),
        step("peer.status", json!({})),
        step(
            "peer.ticket",
            json!({ "person": "maria", "expires_in": 3600 }),
        ),
        step(
            "peer.join",
            json!({ "ticket": "$peer_ticket", "person": "maria" }),
        ),
        step("peer.list", json!({ "limit": 10 })),
        step("peer.show", peer()),
        step(
            "peer.permit",
            json!({ "peer": "b.example", "allows": ["messages", "tickets"] }),
        ),
        step("peer.doctor", json!({})),
        step("peer.send", message()).keeps("message", "/id"),
        step("peer.outbox", person()),
        step("peer.inbox", person()),
        step(
            "peer.discard",
            json!({ "person": "maria", "id": "$message" }),
        ),
        step("peer.discard_waiting", person()).before("peer.send", message()),
        step(
            "peer.suspend",
            json!({ "peer": "b.example", "reason": "under investigation" }),
        ),
        step("peer.resume", peer()),
        step(
            "lockdown.peer",
            json!({ "peer": "b.example", "reason": "under investigation" }),
        )
        .after("lockdown.lift", peer()),
    ]
}

fn applications() -> Vec<Step> {
    let billing = || json!({ "id": "billing" });
    vec![
        step(
            "app.create",
            json!({
                "id": "billing",
                "public_keys": ["$billing_key"],
                "settings": { "may_call": [{ "app": "ledger" }, { "group": "finance" }] },
            }),
        )
        .before(
            "app.create",
            json!({ "id": "ledger", "public_keys": ["$ledger_key"] }),
        ),
        step("app.list", json!({ "limit": 10 })),
        step(
            "app.update",
            json!({
                "id": "billing",
                "settings": {
                    "keys_last": 600_000,
                    "groups": ["finance"],
                    "auth_data": { "team": 7 },
                    "service": "mailer",
                },
                "allow": [{ "foreign": "ledger@b.example" }],
                "allow_callers": ["billing@b.example"],
            }),
        ),
        step("app.show", billing()),
        step(
            "app.ticket",
            json!({ "consumer": "billing", "provider": "ledger" }),
        ),
        step(
            "app.rotate_key",
            json!({ "id": "billing", "public_key": "$next_key", "overlap": 86_400_000 }),
        ),
        step("app.lock", billing()),
        step("app.unlock", billing()),
        step("broker.show", json!({})),
        step("broker.key_new", json!({})).keeps("fingerprint", "/keys/1/fingerprint"),
        step("broker.key_list", json!({})),
        step(
            "broker.key_retire",
            json!({ "fingerprint": "$fingerprint" }),
        ),
        step("broker.new_v1_key", json!({ "keep": 1 })),
    ]
}

fn alarms() -> Vec<Step> {
    let alarm = || {
        json!({
            "to": "maria",
            "severity": "warning",
            "text": "The disk is nearly full.",
            "key": "disk",
        })
    };
    vec![
        step(
            "alarm.preferences",
            json!({
                "person": "maria",
                "language": "de",
                "time_zone": "Europe/Berlin",
                "quiet_from": "22:00",
                "quiet_to": "07:00",
            }),
        ),
        step("alarm.preferences_show", json!({ "person": "maria" })),
        step("alarm.raise", alarm()).keeps("alarm", "/id"),
        step("alarm.list", json!({ "state": "open", "limit": 10 })),
        step("alarm.acknowledge", json!({ "id": "$alarm" })),
        step("alarm.show", json!({ "id": "$alarm" })),
        step("alarm.over", json!({ "key": "disk" })),
        step("alarm.test", json!({ "severity": "critical" })),
        step("alarm.retry", json!({})).before("alarm.raise", alarm()),
        step("alarm.deliveries", json!({ "state": "waiting" })),
        step("event.list", json!({ "limit": 10 })),
    ]
}

fn settings() -> Vec<Step> {
    let setting = "limits.sessions_per_account";
    vec![
        step("site.status", json!({})),
        step("site.config", json!({ "session_lifetime": 28_800 })),
        step("site.config_show", json!({})),
        step("site.doctor", json!({})),
        step("site.key_events", json!({})),
        step("config.list", json!({})),
        step("config.set", json!({ "key": setting, "value": 50 })),
        step("config.unset", json!({ "key": setting })),
        step("option.list", json!({})),
        step("option.enable", json!({ "name": "x25519-aes256gcm" })),
        step(
            "option.disable",
            json!({ "name": "hybrid-chacha20poly1305" }),
        ),
        step("option.order", json!({ "names": ["hybrid-aes256gcm"] })),
        step("option.floor", json!({ "floor": "hybrid" })),
        step("penalty.list", json!({})),
        step("penalty.forget", json!({ "source": "192.0.2.7" })),
        step("operation.list", json!({ "group": "penalty" })),
        step("audit.list", json!({ "operation": "person", "limit": 2 })),
        step("audit.verify", json!({})),
        step(
            "audit.export",
            json!({ "operation": "person.lock", "target": "maria" }),
        ),
    ]
}

fn lockdowns() -> Vec<Step> {
    vec![
        step(
            "lockdown.person",
            json!({ "name": "maria", "reason": "the laptop was stolen" }),
        ),
        step("lockdown.status", json!({})),
        step("lockdown.lift", json!({ "person": "maria" })),
        step(
            "lockdown.service",
            json!({ "name": "mailer", "reason": "an investigation" }),
        )
        .after("lockdown.lift", json!({ "service": "mailer" })),
        step(
            "lockdown.app",
            json!({ "id": "billing", "reason": "an investigation" }),
        )
        .after("lockdown.lift", json!({ "app": "billing" })),
        step(
            "lockdown.site",
            json!({ "level": "enrolment", "reason": "an investigation" }),
        )
        .after("lockdown.lift", json!({ "site": true })),
    ]
}

fn endings() -> Vec<Step> {
    vec![
        step("app.delete", json!({ "id": "billing" })),
        step("service.delete", json!({ "name": "mailer" })),
        step("peer.remove", json!({ "peer": "b.example" })),
        step("peer.forget", json!({ "peer": "$peer_id" })),
        step("peer.stop", json!({})),
    ]
}
