//! Text from elsewhere, made harmless: a terminal takes some characters for commands, and some make
//! text look like other text. They are shown by their numbers.

/// Text, in which line ends and tabs are welcome.
pub(crate) fn text(text: &str) -> String {
    escaped(text, |c| is_active(c) && !matches!(c, '\n' | '\t'), in_text)
}

/// A name, or another text that is to stay on its line.
pub(crate) fn line(text: &str) -> String {
    escaped(text, is_active, in_text)
}

/// JSON, which says the same afterwards: outside its strings it holds no other control characters than
/// white space.
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

/// Control characters (C0, DEL, C1), and those that turn the direction of writing.
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

/// All active characters have four digits (RFC 8259, section 7).
fn in_json(character: char) -> String {
    format!("\\u{:04x}", u32::from(character))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_command_to_the_terminal_is_shown_and_not_obeyed() {
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
        fn no_active_character_is_left(any: String) {
            prop_assert!(!line(&any).contains(is_active));
            prop_assert!(text(&any).chars().all(|c| matches!(c, '\n' | '\t') || !is_active(c)));
        }

        #[test]
        fn json_says_the_same_afterwards(any: Vec<char>) {
            let value = json!({ "text": any.iter().collect::<String>(), "c1": "\u{9b}\u{202e}" });
            let harmless = json(&value.to_string());
            prop_assert!(!harmless.contains(is_active));
            prop_assert_eq!(serde_json::from_str::<Value>(&harmless).unwrap(), value);
        }
    }
}
