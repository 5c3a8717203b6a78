//! Writes JSON in random spellings.

use countersign_testkit::entropy::SeededEntropy;
use proptest::prelude::*;
use serde_json::{Map, Number, Value};

/// Writes values in random spellings. A seed gives the same spellings each time.
pub(super) struct Speller {
    choices: SeededEntropy,
    /// One character of `rarity` is escaped.
    rarity: usize,
    blanks: &'static [&'static str],
    /// Whether whole numbers may have a fraction or an exponent.
    numbers: bool,
}

impl Speller {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            choices: SeededEntropy::new(seed),
            rarity: 3,
            blanks: &["", "", " ", "\t", "\n", "\r\n", "  \n\t "],
            numbers: false,
        }
    }

    /// Uses spellings on one line only.
    pub(super) fn on_one_line(mut self) -> Self {
        self.blanks = &["", "", " ", "\t", "   "];
        self
    }

    /// Also varies the spelling of whole numbers.
    pub(super) fn with_numbers(mut self) -> Self {
        self.numbers = true;
        self
    }

    /// A random spelling of a JSON text.
    pub(super) fn text(&mut self, json: &str) -> String {
        self.value(&serde_json::from_str(json).unwrap())
    }

    /// A random spelling of a value.
    pub(super) fn value(&mut self, value: &Value) -> String {
        let mut out = String::new();
        self.write(value, &mut out);
        out
    }

    /// A random spelling with few escapes, of at most `max` bytes.
    pub(super) fn short(&mut self, value: &Value, max: usize) -> String {
        let (rarity, blanks) = (self.rarity, self.blanks);
        let found = (1..=100).find_map(|times| {
            (self.rarity, self.blanks) = (rarity * times, &["", "", "", " "]);
            Some(self.value(value)).filter(|text| text.len() <= max)
        });
        (self.rarity, self.blanks) = (rarity, blanks);
        found.unwrap()
    }

    fn write(&mut self, value: &Value, out: &mut String) {
        self.blank(out);
        match value {
            Value::String(text) => self.string(text, out),
            Value::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    self.write(item, out);
                }
                self.blank(out);
                out.push(']');
            }
            Value::Object(members) => self.object(members, out),
            Value::Number(number) => self.number(number, out),
            Value::Null | Value::Bool(_) => out.push_str(&value.to_string()),
        }
        self.blank(out);
    }

    fn object(&mut self, members: &Map<String, Value>, out: &mut String) {
        let mut left: Vec<_> = members.iter().collect();
        out.push('{');
        self.blank(out);
        while !left.is_empty() {
            let (name, value) = left.swap_remove(self.choices.below(left.len()));
            self.blank(out);
            self.string(name, out);
            self.blank(out);
            out.push(':');
            self.write(value, out);
            out.push_str(if left.is_empty() { "" } else { "," });
        }
        out.push('}');
    }

    fn number(&mut self, number: &Number, out: &mut String) {
        let plain = number.to_string();
        let whole = self.numbers && plain.bytes().all(|byte| byte.is_ascii_digit());
        let ending = match (whole, self.choices.below(4)) {
            (true, 0) => ".0",
            (true, 1) => "e0",
            (true, 2) => ".00E+0",
            _ => "",
        };
        out.push_str(&plain);
        out.push_str(ending);
    }

    fn string(&mut self, text: &str, out: &mut String) {
        out.push('"');
        for character in text.chars() {
            let must = character.is_control() || "\"\\".contains(character);
            if !must && !self.choices.one_in(self.rarity) {
                out.push(character);
                continue;
            }
            let short = match character {
                '"' | '\\' | '/' => Some(character),
                '\u{8}' => Some('b'),
                '\u{c}' => Some('f'),
                '\n' => Some('n'),
                '\r' => Some('r'),
                '\t' => Some('t'),
                _ => None,
            };
            match short.filter(|_| self.choices.one_in(2)) {
                Some(short) => out.extend(['\\', short]),
                None => self.units(character, out),
            }
        }
        out.push('"');
    }

    /// Escapes a character as UTF-16: two units for one beyond the first plane.
    fn units(&mut self, character: char, out: &mut String) {
        for unit in character.encode_utf16(&mut [0; 2]) {
            let unit = match self.choices.one_in(2) {
                true => format!("\\u{unit:04x}"),
                false => format!("\\u{unit:04X}"),
            };
            out.push_str(&unit);
        }
    }

    fn blank(&mut self, out: &mut String) {
        let blank = self.blanks[self.choices.below(self.blanks.len())];
        out.push_str(blank);
    }
}

/// Any value.
pub(super) fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..6)
                .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn every_spelling_has_the_same_value(value in values(), seed in any::<u64>()) {
        for mut speller in [Speller::new(seed), Speller::new(seed).on_one_line()] {
            let text = speller.value(&value);
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value.clone(), "{}", text);
        }
    }
}
