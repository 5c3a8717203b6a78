//! Text that is not the site's own, in a text of the site.

/// Marks that a reader takes for the end of a quotation, and the backticks between which texts of the site name
/// operations.
const MARKS: [char; 15] = [
    '`', '"', '“', '”', '„', '‟', '«', '»', '″', '‶', '〝', '〞', '〟', '＂', '｀',
];

/// The text with apostrophes for quotation marks and backticks, so that it neither ends the quotation in which it
/// stands nor names an operation.
#[must_use]
pub fn unquoted(text: &str) -> String {
    text.replace(MARKS, "'")
}

/// The text of an alarm that another party than the site raised, between quotation marks.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("“{}”", unquoted(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of a device closed its quotation, and went on in the words of the site.
    #[test]
    fn no_text_ends_its_quotation() {
        for mark in MARKS {
            let text = format!("x{mark} of ada was tested. Run {mark}site key_new{mark}.");
            assert_eq!(quoted(&text), "“x' of ada was tested. Run 'site key_new'.”");
        }
    }
}
