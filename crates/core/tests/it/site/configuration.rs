//! `config list`, `config set` and `config unset`, with the settings of an embedding program.

use std::sync::{Arc, Mutex};

use countersign_core::engine::{
    Refusal, RuntimeConfig, RuntimeSetting, SettingSource, StoredSettings,
};
use countersign_proto::operation::Code;
use countersign_testkit::harness::{TestSite, run};
use serde_json::{Value, json};

/// A program whose only setting is a colour.
#[derive(Default)]
pub(super) struct Program(Mutex<StoredSettings>);

impl Program {
    /// Runs a site in this program.
    pub(super) fn of(test: &TestSite) -> Arc<Self> {
        let program = Arc::<Self>::default();
        test.site.configure_with(program.clone());
        program
    }

    /// What was applied last.
    pub(super) fn applied(&self) -> StoredSettings {
        self.0.lock().unwrap().clone()
    }
}

impl RuntimeConfig for Program {
    fn list(&self, stored: &StoredSettings) -> Vec<RuntimeSetting> {
        let value = stored.get("colour").cloned();
        let source = match value {
            Some(_) => SettingSource::Database,
            None => SettingSource::Default,
        };
        vec![RuntimeSetting {
            key: "colour".to_owned(),
            value,
            source,
            at_run_time: true,
            overridden: None,
            lowered: None,
        }]
    }

    fn check(&self, key: &str, _: &StoredSettings, after: &StoredSettings) -> Result<(), Refusal> {
        if key != "colour" {
            return Err(Refusal::invalid("key", "there is no such setting"));
        }
        match after.get(key) {
            Some(value) if !value.is_string() => Err(Refusal::invalid("value", "not a colour")),
            _ => Ok(()),
        }
    }

    fn apply(&self, stored: &StoredSettings) {
        self.0.lock().unwrap().clone_from(stored);
    }
}

fn set(value: impl Into<Value>) -> Value {
    json!({ "key": "colour", "value": value.into() })
}

#[tokio::test]
async fn a_setting_is_applied_at_once_audited_and_kept() {
    let test = TestSite::new().await;
    let program = Program::of(&test);
    let shown = test.admin("config.set", set("red")).await;
    assert_eq!(
        (&shown["value"], &shown["source"]),
        (&json!("red"), &json!("database"))
    );
    assert_eq!(program.applied()["colour"], "red");
    test.admin("config.set", set("blue")).await;
    let restarted = test.restarted().await;
    assert_eq!(
        restarted.stored_settings()["colour"],
        "blue",
        "also while it is sealed"
    );
    let count = test.audit().await.len();
    test.admin("config.set", set("blue")).await;
    let entries = test.audit().await;
    assert_eq!(entries.len(), count, "nothing changed");
    let last = entries
        .iter()
        .rfind(|entry| entry["operation"] == "config.set");
    let last = last.unwrap();
    assert_eq!(
        (&last["target"], &last["details"]),
        (&json!("colour"), &json!({ "was": "red", "is": "blue" }))
    );
    let unset = json!({ "key": "colour" });
    test.admin("config.unset", unset.clone()).await;
    assert_eq!(program.applied(), StoredSettings::new());
    assert_eq!(test.refused("config.unset", unset).await.0, Code::NOT_FOUND);
}

#[tokio::test]
async fn a_wrong_setting_changes_nothing() {
    let test = TestSite::new().await;
    let (code, _) = test.refused("config.set", set("red")).await;
    assert_eq!(code, Code::CONFLICT, "no program has settings");
    let program = Program::of(&test);
    for (params, field) in [
        (json!({ "key": "color", "value": "red" }), "key"),
        (set(7), "value"),
        (set("x".repeat(4_095)), "value"),
    ] {
        let (code, data) = test.refused("config.set", params).await;
        assert_eq!(
            (code, &data["field"]),
            (Code::INVALID_PARAMS, &json!(field))
        );
    }
    assert!(program.applied().is_empty() && test.site.stored_settings().is_empty());
    test.admin("config.set", set("x".repeat(4_094))).await;
    let maria = test.person("maria", "member").await;
    for operation in ["config.list", "config.set", "config.unset"] {
        let params = match operation {
            "config.list" => json!({}),
            "config.set" => set("red"),
            _ => json!({ "key": "colour" }),
        };
        let (code, _) = run(&test.site, &maria.caller, operation, params).await;
        assert_eq!(code, Code::NOT_PERMITTED, "{operation}");
    }
}
