//! Parses typed parameters of operations: `name=maria`, `seats:=2`.

use std::collections::BTreeMap;
use std::path::Path;

use countersign_crypto::pem;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::input;

/// Parameters of an operation, as text: a number may be longer than any numeric type.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Params(BTreeMap<String, Box<RawValue>>);

impl Params {
    /// The parameters as values, for questions. Long numbers are rounded, so these are never sent.
    pub(crate) fn shown(&self) -> Value {
        let shown = self.0.iter().filter_map(|(name, value)| {
            let value = serde_json::from_str(value.get()).ok()?;
            Some((name.clone(), value))
        });
        Value::Object(shown.collect::<Map<_, _>>())
    }

    /// The parameters to send.
    pub(crate) fn to_raw(&self) -> Result<Box<RawValue>, Failure> {
        to_raw_value(self).map_err(Failure::usage)
    }

    /// Adds parameters; they replace those with the same names.
    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

/// Parses `key=text` and `key:=JSON`.
pub(crate) fn parse(words: &[String]) -> Result<Params, Failure> {
    let mut params = BTreeMap::new();
    for word in words {
        let typed = word.split_once('=');
        let typed = typed.filter(|(key, _)| !matches!(*key, "" | ":"));
        let (key, value) = typed.ok_or_else(|| {
            Failure::usage(format_args!("{word:?} is not a parameter"))
                .hint("write key=text, or key:=JSON for other values than text")
        })?;
        let (key, value) = match key.strip_suffix(':') {
            Some(key) => {
                let value = serde_json::from_str::<Box<RawValue>>(value).map_err(|error| {
                    Failure::usage(format_args!("{key}: {value:?} is not JSON: {error}"))
                })?;
                (key, value)
            }
            None => (key, to_raw_value(value).map_err(Failure::usage)?),
        };
        if params.insert(key.to_owned(), value).is_some() {
            return Err(Failure::usage(format_args!("{key} is given twice")));
        }
    }
    without_private_keys(Params(params))
}

/// Reads parameters from a file that holds a JSON object (`-` is standard input).
pub(crate) fn from_file(file: &Path) -> Result<Params, Failure> {
    let text = input::text(file)?;
    let params = serde_json::from_str(&text).map_err(|error| {
        Failure::usage(format_args!("{}: {error}", file.display()))
            .hint("the file must contain one JSON object, such as {\"name\": \"maria\"}")
    })?;
    without_private_keys(params)
}

/// Refuses a private key as the value of a parameter, before anything is sent.
fn without_private_keys(params: Params) -> Result<Params, Failure> {
    for (name, value) in &params.0 {
        let is_public = name == "certificate" || name.starts_with("public_key");
        let value = serde_json::from_str(value.get());
        if is_public && value.is_ok_and(|value| holds_private_key(&value)) {
            return Err(Failure::usage(format_args!(
                "{name} contains a private key, which must stay on this machine; nothing was sent"
            ))
            .hint("give the public key: FILE.pub, or the output of `countersign key party FILE --out PARTY`"));
        }
    }
    Ok(params)
}

fn holds_private_key(value: &Value) -> bool {
    match value {
        Value::String(text) => pem::has_private_key(text),
        Value::Array(several) => several.iter().any(holds_private_key),
        _ => false,
    }
}

/// Splits a line into words as a POSIX shell does.
pub(crate) fn words(line: &str) -> Result<Vec<String>, Failure> {
    shlex::split(line).ok_or_else(|| {
        Failure::usage("the line ends inside quotes or after a \\")
            .hint("write '…' around text with quotes or \\ in it")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn split(line: &str) -> Vec<String> {
        words(line).unwrap()
    }

    #[test]
    fn text_stays_text_and_json_is_json() {
        let params = parse(&split("name=007 seats:=2 tags:='[\"a\"]' note=a=b")).unwrap();
        let expected = json!({ "name": "007", "seats": 2, "tags": ["a"], "note": "a=b" });
        assert_eq!(params.shown(), expected);
    }

    /// `id:=123456789012345678901234567890` reached the site as 1.2345678901234568e+29.
    #[test]
    fn numbers_are_sent_unchanged() {
        for given in [
            "123456789012345678901234567890",
            "-9223372036854775809",
            "0.10",
            "1e999",
            r#"{"ids":[18446744073709551616]}"#,
        ] {
            let params = parse(&[format!("id:={given}")]).unwrap();
            assert_eq!(
                params.to_raw().unwrap().get(),
                format!("{{\"id\":{given}}}")
            );
        }
    }

    #[test]
    fn a_word_that_is_not_a_parameter_is_refused() {
        for bad in ["name", "seats:=two", "a=1 a=2", "=x", ":=1"] {
            assert!(parse(&split(bad)).is_err(), "{bad}");
        }
    }

    /// A private key, given by mistake as the public one, was sent to the site.
    #[test]
    fn a_private_key_is_refused_as_a_public_key() {
        let key = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----";
        for name in ["certificate", "public_key", "public_keys"] {
            for value in [json!(key), json!([key])] {
                let refused = parse(&[format!("{name}:={value}")]).unwrap_err();
                assert!(
                    refused.message.contains("private key"),
                    "{}",
                    refused.message
                );
            }
        }
        assert!(parse(&[format!("private_key={key}")]).is_ok());
    }

    #[test]
    fn quotes_group_words() {
        assert_eq!(
            split(r#"a "b c" 'd "e"' f\ g "h\"i" ''"#),
            ["a", "b c", "d \"e\"", "f g", "h\"i", ""]
        );
        assert!(words("a 'b").is_err() && words("a\\").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_sent_unchanged(text in "\\PC*", key in "[a-z_]{1,12}") {
            let params = parse(&[format!("{key}={text}")]).unwrap();
            prop_assert_eq!(params.shown(), json!({ key: text }));
        }

        #[test]
        fn any_json_is_sent_unchanged(number: i64, words: Vec<String>, yes: bool) {
            for value in [json!(number), json!(words), json!(yes), json!({ "inner": words })] {
                let params = parse(&[format!("key:={value}")]).unwrap();
                prop_assert_eq!(params.shown(), json!({ "key": value }));
            }
        }

        #[test]
        fn joined_words_are_split_into_the_same_words(typed: Vec<String>) {
            let line: Vec<String> = typed
                .iter()
                .map(|word| format!("\"{}\"", word.replace('\\', r"\\").replace('"', r#"\""#)))
                .collect();
            prop_assert_eq!(split(&line.join(" ")), typed);
        }

        #[test]
        fn any_line_is_parsed_or_refused(line: String) {
            if let Ok(words) = words(&line) {
                let _ = parse(&words);
            }
        }
    }
}
