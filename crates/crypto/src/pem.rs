//! PEM (RFC 7468): a lenient parser and a strict encoder.
//!
//! As RFC 7468, section 2, allows, the parser ignores text around a block and white space within
//! it, because files are copied through mail, editors, clipboards and environment variables. A
//! block is damaged only if characters of its content are wrong or missing.

use der::pem::{self, LineEnding};
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";
const MAX_LABEL: usize = 64;

/// The labels of all blocks in a text, in order, including incomplete blocks.
pub fn labels(text: &str) -> impl Iterator<Item = &str> {
    let begun = text.split(BEGIN).skip(1);
    begun.filter_map(|rest| rest.split_once(DASHES).map(|(label, _)| label))
}

/// Whether a text contains a private key of any kind, encrypted or not, complete or not. Such a
/// text must not be sent.
#[must_use]
pub fn has_private_key(text: &str) -> bool {
    let begun = text.split(BEGIN).skip(1);
    let mut labels = begun.filter_map(|rest| rest.split_once(DASHES));
    labels.any(|(label, _)| label.trim_end().ends_with("PRIVATE KEY"))
}

/// A block with encoded content.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub(crate) label: &'a str,
    content: &'a str,
}

/// There is no block, it is damaged, or several blocks have a wanted label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadPem {
    NoBlock,
    Damaged,
    Several,
}

/// The only block with one of the wanted labels. If there is none, the first block, for an error
/// that names its label.
pub(crate) fn find<'a>(text: &'a str, wanted: &[&str]) -> Result<Block<'a>, BadPem> {
    let mut found = blocks(text).filter(|block| wanted.contains(&block.label));
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(BadPem::Several),
        (Some(block), None) => Ok(block),
        (None, _) => blocks(text).next().ok_or(match text.contains(BEGIN) {
            true => BadPem::Damaged,
            false => BadPem::NoBlock,
        }),
    }
}

impl Block<'_> {
    /// Decodes the block. The bytes are wiped when dropped because they may be a private key.
    pub(crate) fn decode(&self) -> Result<Zeroizing<Vec<u8>>, BadPem> {
        const LINE: usize = 64;
        // The constant-time decoder accepts only lines of 64 characters.
        let length = self.content.len() + self.content.len() / LINE + 2 * MAX_LABEL + 64;
        let mut strict = Zeroizing::new(String::with_capacity(length));
        strict.extend([BEGIN, self.label, DASHES]);
        let characters = self.content.chars().filter(|c| !c.is_whitespace());
        for (at, character) in characters.enumerate() {
            if at % LINE == 0 {
                strict.push('\n');
            }
            strict.push(character);
        }
        strict.extend(["\n-----END ", self.label, DASHES, "\n"]);
        let decoded = pem::decode_vec(strict.as_bytes());
        decoded
            .map(|(_, bytes)| Zeroizing::new(bytes))
            .map_err(|_| BadPem::Damaged)
    }
}

/// Encodes a block.
pub(crate) fn encode(label: &str, bytes: &[u8]) -> pem::Result<String> {
    pem::encode_string(label, LineEnding::LF, bytes)
}

/// The complete blocks.
fn blocks(text: &str) -> impl Iterator<Item = Block<'_>> {
    text.split(BEGIN).skip(1).filter_map(|rest| {
        let (label, rest) = rest.split_once(DASHES)?;
        let (content, end) = rest.split_once("-----END ")?;
        let ended = end.strip_prefix(label)?.starts_with(DASHES);
        (ended && label.len() <= MAX_LABEL).then_some(Block { label, content })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<u8>, BadPem> {
        find(text, &["A KEY"])?.decode().map(|bytes| bytes.to_vec())
    }

    /// Regression: a file that openssl accepts was rejected as damaged because of a blank line
    /// after its end.
    #[test]
    fn white_space_and_text_around_a_block_are_ignored() {
        let pem = encode("A KEY", &[7; 100]).unwrap();
        let one_line = pem.replace('\n', " ");
        let lines: Vec<&str> = pem.lines().collect();
        for liberal in [
            format!("{pem}\n\n"),
            format!("\u{feff}{pem}"),
            format!("\n\n  {}", lines.join("   \r\n    ")),
            lines.join("\n\n"),
            pem.replace('\n', "\r"),
            format!("Subject: a certificate\nIssuer: x\n{pem}Thank you!\n"),
            one_line,
        ] {
            assert_eq!(read(&liberal), Ok(vec![7; 100]), "{liberal:?}");
        }
    }

    #[test]
    fn the_block_with_a_wanted_label_is_found_among_others() {
        let text = [encode("ANOTHER", b"1"), encode("A KEY", b"2")].map(Result::unwrap);
        assert_eq!(read(&text.concat()), Ok(b"2".to_vec()));
        assert_eq!(find(&text[0], &["A KEY"]).unwrap().label, "ANOTHER");
        assert_eq!(
            labels(&text.concat()).collect::<Vec<_>>(),
            ["ANOTHER", "A KEY"]
        );
    }

    #[test]
    fn only_wrong_or_missing_characters_are_damage() {
        let pem = encode("A KEY", &[7; 100]).unwrap();
        assert_eq!(read("no key"), Err(BadPem::NoBlock));
        assert_eq!(read(&pem.repeat(2)), Err(BadPem::Several));
        for damaged in [
            pem.replacen("Bw", "B", 1),
            pem.replacen("Bw", "B?", 1),
            pem.replace("-----END A KEY-----", ""),
            pem.replace("-----END A KEY", "-----END B KEY"),
        ] {
            assert_eq!(read(&damaged), Err(BadPem::Damaged), "{damaged}");
        }
    }

    /// Regression: a private key, given instead of the public key and without its last line, was
    /// sent to the site.
    #[test]
    fn an_incomplete_private_key_is_recognised() {
        let whole = encode("PRIVATE KEY", &[7; 100]).unwrap();
        let (cut, _) = whole.split_once("-----END").unwrap();
        let other_end = whole.replace("END PRIVATE KEY", "END PUBLIC KEY");
        for text in [cut, &whole[..60], &other_end] {
            assert!(has_private_key(text), "{text}");
        }
    }

    #[test]
    fn every_kind_of_private_key_is_recognised() {
        for label in ["PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY"] {
            let text = [encode("CERTIFICATE", b"1"), encode(label, b"2")].map(Result::unwrap);
            assert!(has_private_key(&text.concat()), "{label}");
        }
        assert!(!has_private_key(&encode("PUBLIC KEY", b"1").unwrap()));
        // A truncated block still contains most of the key.
        let whole = encode("PRIVATE KEY", &[7; 100]).unwrap();
        let (cut_off, _) = whole.split_once("-----END").unwrap();
        assert!(has_private_key(cut_off));
    }

    proptest! {
        #[test]
        fn any_bytes_survive_any_wrapping(
            bytes in prop::collection::vec(any::<u8>(), 1..300),
            width in 1..100_usize,
            end in prop::sample::select(vec!["\n", "\r\n", "\r", " \n\n\t", " "]),
            bom: bool,
        ) {
            let pem = encode("A KEY", &bytes).unwrap();
            let content: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
            let lines: Vec<&str> = content
                .as_bytes()
                .chunks(width)
                .map(|line| std::str::from_utf8(line).unwrap())
                .collect();
            let bom = if bom { "\u{feff}" } else { "" };
            let text = format!(
                "{bom}{end}-----BEGIN A KEY-----{end}{}{end}-----END A KEY-----{end}{end}",
                lines.join(end)
            );
            prop_assert_eq!(read(&text), Ok(bytes));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "(-----BEGIN |-----END |A KEY|-----|[a-zA-Z=\n ]{0,9}|.){0,30}") {
            let _ = read(&text);
        }
    }
}
