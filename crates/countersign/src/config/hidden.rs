//! What is shown of settings whose values may contain secrets. The URL of a webhook often has the token
//! of its service in the path, and each header may have one.

use serde_json::Value;

use super::settings::Setting;

/// What is shown of a value that is not.
const HIDDEN: &str = "(hidden)";
/// What the log shows of a setting that the file does not have.
pub(crate) const DEFAULT: &str = "default";

/// What `config list` shows of a value of the file.
pub(crate) fn shown(setting: &Setting, value: Value) -> Value {
    match (setting.section, setting.key, value) {
        ("webhook", "url", Value::String(url)) => origin(&url).into(),
        ("webhook", "headers", Value::Object(mut headers)) => {
            for value in headers.values_mut() {
                *value = HIDDEN.into();
            }
            Value::Object(headers)
        }
        (_, _, value) => value,
    }
}

/// What the log shows of a value when it has changed.
pub(crate) fn logged(key: &str, value: &str) -> String {
    match key {
        _ if value == DEFAULT => value.to_owned(),
        "webhook.url" => origin(value),
        _ if key.starts_with("webhook.headers") => HIDDEN.to_owned(),
        _ => value.to_owned(),
    }
}

/// The scheme, the host and the port of a URL.
fn origin(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return HIDDEN.to_owned();
    };
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, more) = rest.split_at(end);
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    match more {
        "" | "/" => format!("{scheme}://{host}{more}"),
        _ => format!("{scheme}://{host}/…"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config;

    /// An admin's session read the token of an SMS gateway with `config list`, and SIGHUP wrote it into
    /// the log.
    #[test]
    fn config_list_and_the_log_show_no_path_or_query_of_the_webhook() {
        let url = config::find("webhook.url").unwrap();
        for (value, visible) in [
            ("https://sms.example.org", "https://sms.example.org"),
            ("https://sms.example.org/", "https://sms.example.org/"),
            (
                "https://sms.example.org:8443/bot123:s3cret/send",
                "https://sms.example.org:8443/…",
            ),
            (
                "https://sms.example.org?token=s3cret",
                "https://sms.example.org/…",
            ),
            (
                "https://s3cret@sms.example.org/",
                "https://sms.example.org/",
            ),
            ("s3cret", "(hidden)"),
        ] {
            assert_eq!(shown(url, json!(value)), json!(visible));
            assert_eq!(logged("webhook.url", value), visible);
        }
        let headers = config::find("webhook.headers").unwrap();
        let value = json!({ "X-Token": "s3cret" });
        assert_eq!(shown(headers, value), json!({ "X-Token": "(hidden)" }));
        assert_eq!(logged("webhook.headers.X-Token", "s3cret"), "(hidden)");
        assert_eq!(logged("log.level", "info"), "info");
    }
}
