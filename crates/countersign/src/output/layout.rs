//! Formats JSON text without changing values: parsing would round long numbers.

use serde_json::value::RawValue;

/// Formats JSON over several lines, indented by two spaces. Text that is not JSON stays unchanged.
pub(crate) fn indented(json: &str) -> String {
    lay_out(json, Some("  "))
}

/// Formats JSON on one line. Text that is not JSON stays unchanged.
pub(crate) fn compact(json: &str) -> String {
    lay_out(json, None)
}

fn lay_out(json: &str, indent: Option<&str>) -> String {
    if serde_json::from_str::<&RawValue>(json).is_err() {
        return json.to_owned();
    }
    let mut out = String::with_capacity(json.len());
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    // A new line begins before the next character, unless that closes an empty list or object.
    let mut opened = false;
    for character in json.chars() {
        if quoted {
            out.push(character);
            quoted = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        if character.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(character, '}' | ']');
        if closes {
            depth = depth.saturating_sub(1);
        }
        if let (Some(indent), true) = (indent, opened != closes) {
            begin_line(&mut out, indent, depth);
        }
        opened = matches!(character, '{' | '[');
        depth += usize::from(opened);
        quoted = character == '"';
        out.push(character);
        match (character, indent) {
            (',', Some(indent)) => begin_line(&mut out, indent, depth),
            (':', Some(_)) => out.push(' '),
            _ => {}
        }
    }
    out
}

fn begin_line(out: &mut String, indent: &str, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(indent, depth));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn numbers_stay_unchanged() {
        let json = r#"{"id":123456789012345678901234567890,"a":[1.10,{}],"b":[]}"#;
        let laid_out = indented(json);
        assert_eq!(
            laid_out,
            "{\n  \"id\": 123456789012345678901234567890,\n  \"a\": [\n    1.10,\n    {}\n  ],\n  \"b\": []\n}"
        );
        assert_eq!(compact(&laid_out), json);
        assert_eq!(indented("{not json"), "{not json");
    }

    proptest! {
        #[test]
        fn the_format_is_that_of_serde_json(number: i64, words: Vec<String>, yes: bool) {
            let value = json!({ "n": number, "w": words, "in": [[yes, { "deep": words }], [], {}] });
            let text = value.to_string();
            prop_assert_eq!(indented(&text), serde_json::to_string_pretty(&value).unwrap());
            prop_assert_eq!(compact(&indented(&text)), text.clone());
            let back: Value = serde_json::from_str(&indented(&text)).unwrap();
            prop_assert_eq!(back, value);
        }
    }
}
