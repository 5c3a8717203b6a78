//! Postal addresses of any country.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::Trimmed;

/// The maximum number of address lines.
pub const MAX_ADDRESS_LINES: usize = 6;

/// A postal address. Every part may be absent, because no part exists in all countries; one is present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "AddressParts", into = "AddressParts")]
#[schemars(inline)]
pub struct PostalAddress(AddressParts);

/// The parts of a postal address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "PostalAddress")]
pub struct AddressParts {
    /// Street, number, flat, post box or what else the country writes: up to 6 lines of at most 200 characters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Trimmed<200>>,
    /// The postal code: at most 20 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<Trimmed<20>>,
    /// The city or locality: at most 100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<Trimmed<100>>,
    /// The state, province or prefecture: at most 100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Trimmed<100>>,
    /// The code of the country (ISO 3166-1 alpha-2), such as `DE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<CountryCode>,
}

impl PostalAddress {
    /// The parts of the address.
    #[must_use]
    pub const fn parts(&self) -> &AddressParts {
        &self.0
    }
}

impl TryFrom<AddressParts> for PostalAddress {
    type Error = String;

    fn try_from(parts: AddressParts) -> Result<Self, String> {
        let count = parts.lines.len();
        if count > MAX_ADDRESS_LINES {
            return Err(format!(
                "it has {count} lines; at most {MAX_ADDRESS_LINES} are allowed"
            ));
        }
        if parts == AddressParts::default() {
            return Err("it has no part; pass null to remove the address".to_owned());
        }
        Ok(Self(parts))
    }
}

impl From<PostalAddress> for AddressParts {
    fn from(address: PostalAddress) -> Self {
        address.0
    }
}

/// The code of a country: two letters, in upper case (ISO 3166-1 alpha-2). The list of countries changes, so every
/// pair of letters is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(inline)]
pub struct CountryCode(String);

impl CountryCode {
    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CountryCode {
    type Error = String;

    fn try_from(code: String) -> Result<Self, String> {
        let is_code = code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphabetic());
        match is_code {
            true => Ok(Self(code.to_ascii_uppercase())),
            false => {
                Err("it is not the code of a country; write two letters, such as `DE`".to_owned())
            }
        }
    }
}

impl From<CountryCode> for String {
    fn from(code: CountryCode) -> Self {
        code.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(address: Value) -> Result<PostalAddress, serde_json::Error> {
        serde_json::from_value(address)
    }

    #[test]
    fn addresses_of_several_countries_are_accepted() {
        for address in [
            json!({ "lines": ["Unter den Linden 77"], "postal_code": "10117", "city": "Berlin", "country": "de" }),
            json!({ "lines": ["Flat 2", "10 Downing Street"], "city": "London", "postal_code": "SW1A 2AA" }),
            json!({ "lines": ["千代田1-1"], "city": "千代田区", "region": "東京都", "postal_code": "100-8111", "country": "JP" }),
            json!({ "lines": ["P.O. Box 1"], "city": "دبي", "country": "AE" }),
            json!({ "city": "Vatican City" }),
        ] {
            let read = read(address.clone()).unwrap();
            let mut canonical = address;
            if let Some(country) = canonical.get_mut("country") {
                *country = country.as_str().unwrap().to_uppercase().into();
            }
            assert_eq!(serde_json::to_value(read).unwrap(), canonical);
        }
    }

    #[test]
    fn an_address_has_a_part_and_at_most_six_lines() {
        let lines = |count: usize| read(json!({ "lines": vec!["a"; count] }));
        assert!(lines(6).is_ok() && lines(7).is_err() && lines(0).is_err());
        for bad in [
            json!({}),
            json!({ "country": "Germany" }),
            json!({ "country": "D1" }),
            json!({ "city": "" }),
            json!({ "city": "a\u{202e}b" }),
            json!({ "lines": ["a\nb"] }),
            json!({ "street": "a" }),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
