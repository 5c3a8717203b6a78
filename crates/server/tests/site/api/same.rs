//! Whether two results are the same except for what two sites draw or measure by themselves: times, ids,
//! keys and what contains them.

use std::collections::HashMap;

use serde_json::Value;

/// The shortest text that can be a key, a hash or an id.
const SHORTEST: usize = 16;

/// Compares what one site returns with what another one returns. A text that one site drew stands for the
/// same text of the other site, from its first appearance on.
#[derive(Default)]
pub(super) struct Comparison {
    /// The texts of the second site by those of the first one, and back.
    pairs: [HashMap<String, String>; 2],
}

impl Comparison {
    /// Returns the first difference, with its path; `None` if there is none.
    pub(super) fn difference(&mut self, one: &Value, other: &Value) -> Option<String> {
        self.at("", one, other)
    }

    fn at(&mut self, at: &str, one: &Value, other: &Value) -> Option<String> {
        let differ = || Some(format!("{at}: {one} and {other}"));
        match (one, other) {
            (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
                let mut fields = one.iter().zip(other.values());
                fields.find_map(|((name, one), other)| self.at(&format!("{at}.{name}"), one, other))
            }
            (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
                let mut items = one.iter().zip(other).enumerate();
                items.find_map(|(index, (one, other))| {
                    self.at(&format!("{at}[{index}]"), one, other)
                })
            }
            (Value::String(one), Value::String(other)) => {
                (!self.is_same_text(one, other)).then(differ).flatten()
            }
            _ => (one != other).then(differ).flatten(),
        }
    }

    fn is_same_text(&mut self, one: &str, other: &str) -> bool {
        if one == other || (is_time(one) && is_time(other)) {
            return true;
        }
        let (one, other) = (words(one), words(other));
        one.len() == other.len()
            && one
                .into_iter()
                .zip(other)
                .all(|(one, other)| one == other || self.is_counterpart(one, other))
    }

    /// Whether both sites drew these texts, and each stands for the other.
    fn is_counterpart(&mut self, one: &str, other: &str) -> bool {
        if is_time(one) && is_time(other) {
            return true;
        }
        let is_drawn = |text: &str| text.len() >= SHORTEST && !text.contains(is_separator);
        if !is_drawn(one) || !is_drawn(other) || one.len() != other.len() {
            return false;
        }
        let [there, back] = &mut self.pairs;
        let found = there
            .entry(one.to_owned())
            .or_insert_with(|| other.to_owned());
        let source = back
            .entry(other.to_owned())
            .or_insert_with(|| one.to_owned());
        found == other && source == one
    }
}

/// The words and separators of a text, in their order.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = !is_separator(first);
        let end = rest
            .find(|c| is_separator(c) == is_word)
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        words.push(word);
        rest = after;
    }
    words
}

/// Whether a character is in no id, key or time.
fn is_separator(c: char) -> bool {
    !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '/' | '=' | '.' | ':'))
}

/// Whether a text is a time as results have it: `2026-03-01T12:00:00.000Z`.
fn is_time(text: &str) -> bool {
    const FORM: &str = "0000-00-00T00:00:00.000Z";
    text.len() == FORM.len()
        && text.chars().zip(FORM.chars()).all(|(c, form)| match form {
            '0' => c.is_ascii_digit(),
            other => c == other,
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_sites_draw_may_differ_and_only_once() {
        let (one, other) = (
            "019523d0-5c00-7000-8000-000000000001",
            "019523d0-5c00-7000-8000-00000000000a",
        );
        let at = |minute: u8| format!("2026-03-01T12:{minute:02}:00.000Z");
        let mut comparison = Comparison::default();
        let mut same = |a: Value, b: Value| comparison.difference(&a, &b).is_none();
        assert!(same(
            json!({ "id": one, "at": at(1) }),
            json!({ "id": other, "at": at(2) })
        ));
        assert!(same(
            json!(format!("the message {one}.")),
            json!(format!("the message {other}."))
        ));
        assert!(
            !same(json!(one), json!(one.replace('1', "2"))),
            "it stands for another id"
        );
        assert!(!same(json!("maria"), json!("bob")));
        assert!(!same(json!({ "a": 1 }), json!({ "a": 2 })));
        assert!(!same(json!({ "a": 1 }), json!({ "b": 1 })));
        assert!(!same(json!({ "a": 1, "b": null }), json!({ "a": 1 })));
        assert!(!same(json!([1]), json!([1, 1])));
        assert!(!same(json!(at(1)), json!(null)));
    }
}
