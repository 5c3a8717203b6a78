//! The arguments of `countersign person set-data`.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// The contact data and attributes to change. What is not given stays.
#[derive(Debug, Args)]
pub(crate) struct SetData {
    /// Account name.
    name: String,
    /// Email address; repeat it for several, which replace all. Alarms go to the first one.
    #[arg(long = "email", value_name = "ADDRESS")]
    emails: Vec<String>,
    /// Telephone number, such as `work=+49 30 1234567`; repeat it for several, which replace all.
    #[arg(long = "telephone", value_name = "LABEL=NUMBER", value_parser = pair)]
    telephones: Vec<(String, String)>,
    /// Line of the postal address; repeat it for several. The parts that are given replace the
    /// address.
    #[arg(long = "address-line", value_name = "LINE")]
    lines: Vec<String>,
    /// Postal code.
    #[arg(long, value_name = "CODE")]
    postal_code: Option<String>,
    /// City of the postal address.
    #[arg(long)]
    city: Option<String>,
    /// State, province or prefecture of the postal address.
    #[arg(long)]
    region: Option<String>,
    /// Country of the postal address: two letters, such as `DE`.
    #[arg(long, value_name = "CODE")]
    country: Option<String>,
    /// Language in which the person is addressed, such as `pt-BR`.
    #[arg(long, value_name = "TAG")]
    language: Option<String>,
    /// Attribute to set; repeat it for several.
    #[arg(long = "attribute", value_name = "NAME=TEXT", value_parser = pair)]
    attributes: Vec<(String, String)>,
    /// Attribute to remove; repeat it for several.
    #[arg(long = "remove-attribute", value_name = "NAME")]
    remove_attributes: Vec<String>,
    /// Data to remove; repeat it for several.
    #[arg(long, value_enum)]
    remove: Vec<Removed>,
}

/// Data that is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Removed {
    Emails,
    Telephones,
    PostalAddress,
    Language,
}

/// Reads `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| "write NAME=VALUE".to_owned())?;
    Ok((name.to_owned(), value.to_owned()))
}

impl SetData {
    /// The parameters of the operation.
    pub(super) fn params(self) -> Result<Value, Failure> {
        let mut params = Map::new();
        params.insert("name".to_owned(), self.name.into());
        let telephones = self.telephones.iter();
        let telephones: Vec<Value> = telephones
            .map(|(label, number)| json!({ "label": label, "number": number }))
            .collect();
        let mut address = Map::new();
        if !self.lines.is_empty() {
            address.insert("lines".to_owned(), self.lines.into());
        }
        for (part, given) in [
            ("postal_code", self.postal_code),
            ("city", self.city),
            ("region", self.region),
            ("country", self.country),
        ] {
            address.extend(given.map(|given| (part.to_owned(), given.into())));
        }
        let some = |given: Value, is_given: bool| is_given.then_some(given);
        let emails = some(json!(self.emails), !self.emails.is_empty());
        let telephones = some(json!(telephones), !telephones.is_empty());
        let is_given = !address.is_empty();
        for (what, field, given, nothing) in [
            (Removed::Emails, "emails", emails, json!([])),
            (Removed::Telephones, "telephones", telephones, json!([])),
            (
                Removed::PostalAddress,
                "postal_address",
                some(Value::Object(address), is_given),
                Value::Null,
            ),
            (
                Removed::Language,
                "language",
                self.language.map(Value::from),
                Value::Null,
            ),
        ] {
            match (given, self.remove.contains(&what)) {
                (Some(_), true) => {
                    return Err(Failure::usage(format_args!(
                        "the {} cannot be set and removed at once",
                        field.replace('_', " ")
                    )));
                }
                (Some(given), false) => {
                    params.insert(field.to_owned(), given);
                }
                (None, true) => {
                    params.insert(field.to_owned(), nothing);
                }
                (None, false) => {}
            }
        }
        let mut attributes: Map<String, Value> = Map::new();
        for (name, text) in self.attributes {
            attributes.insert(name, text.into());
        }
        for name in self.remove_attributes {
            if attributes.insert(name.clone(), Value::Null).is_some() {
                return Err(Failure::usage(format_args!(
                    "the attribute {name} cannot be set and removed at once"
                )));
            }
        }
        if !attributes.is_empty() {
            params.insert("attributes".to_owned(), attributes.into());
        }
        Ok(Value::Object(params))
    }
}
