//! `config`: settings of the program that runs the site, changed while it runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::NoParams;
use crate::access::Role;
use crate::engine::rest::RestMethod;
use crate::engine::{
    Answer, Context, Entry, Refusal, RuntimeSetting, SettingSource, StoredSettings,
};

/// The maximum length of a value as JSON, in bytes: a list of some hundred addresses.
const MAX_VALUE: usize = 4 * 1024;

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    vec![
        Entry::new("config", "list")
            .summary("Lists the settings of the configuration, their values and where each comes from.")
            .allow(&admin)
            .rest(RestMethod::Get, "/config")
            .handler(list),
        Entry::new("config", "set")
            .summary("Sets a setting in the database, at once and without a restart. The configuration file overrides it.")
            .allow(&admin)
            .changes()
            .rest(RestMethod::Put, "/config/{key}")
            .example(json!({ "key": "limits.sessions_per_account", "value": 50 }))
            .handler(set),
        Entry::new("config", "unset")
            .summary("Removes a setting from the database, so that its default holds again.")
            .allow(&admin)
            .changes()
            .rest(RestMethod::Delete, "/config/{key}")
            .example(json!({ "key": "limits.sessions_per_account" }))
            .handler(unset),
    ]
}

/// The settings.
#[derive(Debug, Serialize, JsonSchema)]
struct Settings {
    /// The settings, in the order of the reference page.
    settings: Vec<RuntimeSetting>,
}

async fn list(context: Context, _: NoParams) -> Result<Answer<Settings>, Refusal> {
    let site = context.site();
    let settings = site.runtime_config()?.list(&site.stored_settings());
    let lines: Vec<String> = settings.iter().map(line).collect();
    Ok(Answer::new(Settings { settings }).with_output(lines.join("\n")))
}

fn line(setting: &RuntimeSetting) -> String {
    let value = setting.value.as_ref();
    let value = value.map_or_else(|| "(not set)".to_owned(), Value::to_string);
    let overrides = match &setting.overridden {
        Some(overridden) => format!(", overrides {overridden} in the database"),
        None => String::new(),
    };
    let lowered = match &setting.lowered {
        Some(lowered) => format!(", {lowered}"),
        None => String::new(),
    };
    let source = setting.source.as_str();
    format!("{} = {value}  ({source}{overrides}{lowered})", setting.key)
}

/// A setting and its new value.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Set {
    /// The name of the setting: section and key of the configuration file, such as `limits.connections`.
    key: String,
    /// The value, of the type that the configuration file has.
    value: Value,
}

/// Names a setting.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ByKey {
    /// The name of the setting: section and key of the configuration file, such as `limits.connections`.
    key: String,
}

async fn set(context: Context, params: Set) -> Result<Answer<RuntimeSetting>, Refusal> {
    let length = params.value.to_string().len();
    if length > MAX_VALUE {
        let problem = format!("has {length} bytes as JSON; at most {MAX_VALUE} are allowed");
        return Err(Refusal::invalid("value", problem));
    }
    change(&context, params.key, Some(params.value)).await
}

async fn unset(context: Context, params: ByKey) -> Result<Answer<RuntimeSetting>, Refusal> {
    let stored = context.site().stored_settings();
    if !stored.contains_key(&params.key) {
        let key = params.key;
        return Err(Refusal::not_found("setting in the database", key).of_field("key"));
    }
    change(&context, params.key, None).await
}

async fn change(
    context: &Context,
    key: String,
    value: Option<Value>,
) -> Result<Answer<RuntimeSetting>, Refusal> {
    let site = context.site();
    let config = site.runtime_config()?;
    let mut before = StoredSettings::default();
    let (after, change) = site.change_settings(|settings| {
        before.clone_from(settings);
        match &value {
            Some(value) => settings.insert(key.clone(), value.clone()),
            None => settings.remove(&key),
        };
    })?;
    config.check(&key, &before, &after)?;
    if after != before {
        let details = json!({ "was": before.get(&key), "is": value });
        context.commit(change, key.clone(), details).await?;
    }
    let listed = config.list(&site.stored_settings());
    let shown = listed.into_iter().find(|setting| setting.key == key);
    // A setting that a later version had is removed and not listed.
    let shown = shown.unwrap_or(RuntimeSetting {
        key,
        value: None,
        source: SettingSource::Default,
        at_run_time: false,
        overridden: None,
        lowered: None,
    });
    let output = line(&shown);
    Ok(Answer::new(shown).with_output(output))
}
