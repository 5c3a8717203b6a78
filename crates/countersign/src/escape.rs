//! Escapes untrusted text. Control characters can command a terminal, and some characters make text look
//! like other text; both are shown by their code points.

/// Escapes text that may contain line ends and tabs.
pub(crate) fn text(text: &str) -> String {
    escaped(text, |c| is_active(c) && !matches!(c, '\n' | '\t'), in_text)
}

/// Escapes text that must stay on one line, such as a name.
pub(crate) fn line(text: &str) -> String {
    escaped(text, is_active, in_text)
}

/// Escapes JSON without changing its meaning: outside of strings, its only control characters are white
/// space.
pub(crate) fn json(text: &str) -> String {
    escaped(text, |c| is_active(c) && !matches!(c, '\n' | '\t'), in_json)
}

fn escaped(text: &str, is_harmful: impl Fn(char) -> bool, escape: fn(char) -> String) -> String {
    let mut harmless = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmful(character) {
            harmless += &escape(character);
        } else {
            harmless.push(character);
        }
    }
    harmless
}

/// Whether a character is a control character (C0, DEL, C1) or changes the writing direction.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

fn in_text(character: char) -> String {
    character.escape_default().to_string()
}

/// Each of these characters has four hexadecimal digits (RFC 8259, section 7).
fn in_json(character: char) -> String {
    format!("\\u{:04x}", u32::from(character))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_command_to_the_terminal_is_shown_and_has_no_effect() {
        assert_eq!(
            text("a\u{1b}[2J\u{7}b\r\n\tc\u{9b}1m\u{7f}"),
            "a\\u{1b}[2J\\u{7}b\\r\n\tc\\u{9b}1m\\u{7f}"
        );
        assert_eq!(text("exe.\u{202e}txt"), "exe.\\u{202e}txt");
        assert_eq!(line("one\ntwo\t"), "one\\ntwo\\t");
        assert_eq!(text("Zoë Ångström 山田 🙂"), "Zoë Ångström 山田 🙂");
    }

    proptest! {
        #[test]
        fn no_control_character_is_left(any: String) {
            prop_assert!(!line(&any).contains(is_active));
            prop_assert!(text(&any).chars().all(|c| matches!(c, '\n' | '\t') || !is_active(c)));
        }

        #[test]
        fn escaped_json_has_the_same_value(any: Vec<char>) {
            let value = json!({ "text": any.iter().collect::<String>(), "c1": "\u{9b}\u{202e}" });
            let harmless = json(&value.to_string());
            prop_assert!(!harmless.contains(is_active));
            prop_assert_eq!(serde_json::from_str::<Value>(&harmless).unwrap(), value);
        }
    }
}
