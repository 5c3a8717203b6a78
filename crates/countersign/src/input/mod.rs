//! Reads text that users provide, from files or, for the name `-`, from standard input.
//!
//! Editors and shells of other systems add a byte order mark, write UTF-16, and end lines with CR LF.
//! These are removed or converted, since the user did not mean them.

pub(crate) mod address;
pub(crate) mod duration;
pub(crate) mod params;

use std::io::{Error, ErrorKind, Read};
use std::path::Path;
use std::str::FromStr;

use countersign_crypto::pem;

use crate::failure::Failure;

/// The file name that means standard input or standard output.
pub(crate) const STANDARD: &str = "-";

/// Reads the text of a file, without a byte order mark.
pub(crate) fn text(file: &Path) -> Result<String, Failure> {
    as_text(file, bytes(file)?)
}

/// The text in the bytes of a file, without a byte order mark.
pub(crate) fn as_text(file: &Path, bytes: Vec<u8>) -> Result<String, Failure> {
    decoded(bytes).map_err(|error| Failure::file(file, &error))
}

/// Reads a secret of one line: the text without one line end. Spaces around it are part of the secret, as
/// they are at a prompt.
pub(crate) fn secret(file: &Path) -> Result<String, Failure> {
    text(file).map(without_line_end)
}

/// The text without one line end.
pub(crate) fn without_line_end(mut text: String) -> String {
    let line = text.strip_suffix('\n').unwrap_or(&text);
    text.truncate(line.strip_suffix('\r').unwrap_or(line).len());
    text
}

/// Reads a public key or a certificate, which is sent to the site.
///
/// # Errors
/// The file contains a private key.
pub(crate) fn public_key(file: &Path) -> Result<String, Failure> {
    let text = text(file)?;
    if pem::has_private_key(&text) {
        return Err(Failure::usage(format_args!(
            "{} contains a private key, which must stay on this machine; nothing was sent",
            file.display()
        ))
        .hint("give the public key: FILE.pub, or the output of `countersign key party FILE --out PARTY`"));
    }
    Ok(text)
}

/// Parses the value of a flag or an environment variable, without white space around it.
pub(crate) fn trimmed<T: FromStr>(text: &str) -> Result<T, T::Err> {
    text.trim().parse()
}

/// Reads all bytes of a file or of standard input.
pub(crate) fn bytes(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = match file == Path::new(STANDARD) {
        true => std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ()),
        false => std::fs::read(file).map(|read| bytes = read),
    };
    read.map_err(|error| Failure::file(file, &error))?;
    Ok(bytes)
}

/// Decodes UTF-8, or UTF-16 with a byte order mark.
pub(crate) fn decoded(bytes: Vec<u8>) -> Result<String, Error> {
    let no_text = || Error::new(ErrorKind::InvalidData, "the file is not text in UTF-8");
    let units = |order: fn([u8; 2]) -> u16| -> Option<Vec<u16>> {
        let (pairs, rest) = bytes.get(2..)?.as_chunks::<2>();
        rest.is_empty()
            .then(|| pairs.iter().map(|pair| order(*pair)).collect())
    };
    let units = match bytes.as_slice() {
        [0xff, 0xfe, ..] => units(u16::from_le_bytes),
        [0xfe, 0xff, ..] => units(u16::from_be_bytes),
        _ => {
            let text = String::from_utf8(bytes).map_err(|_| no_text())?;
            return Ok(match text.strip_prefix('\u{feff}') {
                Some(text) => text.to_owned(),
                None => text,
            });
        }
    };
    String::from_utf16(&units.ok_or_else(no_text)?).map_err(|_| no_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn file(content: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    /// A pass phrase from a file that ended with CR LF could not be typed at a prompt.
    #[test]
    fn one_line_end_is_removed_from_a_secret() {
        for (content, expected) in [
            ("a pass phrase", "a pass phrase"),
            ("a pass phrase\n", "a pass phrase"),
            ("a pass phrase\r\n", "a pass phrase"),
            ("\u{feff}a pass phrase\r\n", "a pass phrase"),
            (" a pass phrase \n\n", " a pass phrase \n"),
        ] {
            assert_eq!(secret(file(content).path()).unwrap(), expected);
        }
    }

    #[test]
    fn text_is_read_as_other_systems_write_it() {
        let utf_16: Vec<u16> = "\u{feff}Zoë\r\n".encode_utf16().collect();
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            let bytes: Vec<u8> = utf_16.iter().copied().flat_map(order).collect();
            assert_eq!(text(file(bytes).path()).unwrap(), "Zoë\r\n");
        }
        assert_eq!(text(file("\u{feff}{}").path()).unwrap(), "{}");
        for bad in [&[0xff][..], &[0xff, 0xfe, 1], &[0xff, 0xfe, 0, 0xd8]] {
            let failure = text(file(bad).path()).unwrap_err();
            assert!(failure.message.contains("not text"), "{}", failure.message);
        }
    }
}

#[cfg(test)]
mod handed_over {
    //! Every kind of text that a user can provide, changed as editors, mail programs and shells change it.

    use std::sync::Arc;

    use countersign_crypto::certificate::Certificate;
    use countersign_crypto::device_key::DeviceIdentity;
    use countersign_crypto::entropy::SystemEntropy;
    use countersign_crypto::identity::Identity;
    use countersign_crypto::key_file;
    use countersign_crypto::party::{PartyKey, PartyPublic};
    use countersign_crypto::rsa::RsaPublicKey;
    use countersign_crypto::secret::Passphrase;
    use countersign_crypto::site_key::{SiteKey, SiteSeed};
    use countersign_crypto::site_key_slots::{RecoveryCode, SlotFile};
    use countersign_proto::enrolment::{EnrolmentTicket, TicketKind, Token};
    use countersign_proto::uri::SiteUri;
    use proptest::prelude::*;

    use super::tests::file;
    use super::*;
    use crate::input::params;

    const RSA: &str = include_str!("../../../../vectors/serveros/keys/consumer.pub.pem");

    /// How a text was changed.
    #[derive(Debug, Clone)]
    struct Way {
        bom: bool,
        end: &'static str,
        blanks: &'static str,
        width: usize,
        utf_16: bool,
    }

    prop_compose! {
        fn way()(
            bom: bool,
            end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            blanks in prop::sample::select(vec!["", " ", "\t", "\n\n", " \r\n "]),
            width in 5..90_usize,
            utf_16: bool,
        ) -> Way {
            Way { bom, end, blanks, width, utf_16 }
        }
    }

    impl Way {
        /// The lines of a text, with spaces around each.
        fn lines(&self, text: &str) -> String {
            let lines = text
                .lines()
                .map(|line| format!("{0}{line}{0}{1}", self.blanks, self.end));
            let handed_over = file(self.bytes(&lines.collect::<String>()));
            super::text(handed_over.path()).unwrap()
        }

        /// A text of one line, wrapped to several.
        fn wrapped(&self, text: &str) -> String {
            let characters: Vec<char> = text.trim().chars().collect();
            let lines = characters.chunks(self.width).map(String::from_iter);
            let lines: Vec<String> = lines.collect();
            self.lines(&lines.join("\n"))
        }

        fn bytes(&self, text: &str) -> Vec<u8> {
            let bom = if self.bom || self.utf_16 {
                "\u{feff}"
            } else {
                ""
            };
            let text = format!("{bom}{text}");
            match self.utf_16 {
                true => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                false => text.into_bytes(),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        // SES-70, DEV-2
        #[test]
        fn a_changed_text_is_read_as_the_original(way in way()) {
            let entropy = &mut SystemEntropy;
            let identity = Identity::generate(entropy);
            let key = key_file::write_identity(&identity, None, entropy);
            let read = key_file::read_identity(&way.lines(key.expose()), None).unwrap();
            prop_assert_eq!(read.certificate(), identity.certificate());
            let certificate = way.lines(&identity.certificate().to_pem());
            prop_assert_eq!(&Certificate::from_pem(&certificate).unwrap(), identity.certificate());

            let party = PartyKey::new(Arc::new(identity));
            let read = PartyPublic::from_pem(&way.lines(&party.public().to_pem()));
            prop_assert_eq!(read.as_ref(), Ok(party.public()));
            let rsa = RsaPublicKey::from_pem(RSA).unwrap();
            let read = RsaPublicKey::from_pem(&way.lines(RSA)).unwrap();
            prop_assert_eq!(read.spki(), rsa.spki());
            let dump = serde_json::json!({ "name": "maria", "certificate": rsa.to_pem() });
            let text = way.lines(&serde_json::to_string_pretty(&dump).unwrap());
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), dump);

            let site = SiteKey::from_seed(SiteSeed::generate(entropy)).public();
            let uri = SiteUri::new("example.org", 4747, site).unwrap();
            prop_assert_eq!(way.wrapped(&uri.to_string()).parse::<SiteUri>(), Ok(uri));
            let (kind, token) = (TicketKind::Device, Token::generate(entropy));
            let ticket = EnrolmentTicket::new(kind, "example.org", 4748, token, site.signing).unwrap();
            for text in [ticket.to_uri(), ticket.to_qr_uri()] {
                prop_assert_eq!(way.wrapped(text.expose()).parse(), Ok(ticket.clone()));
            }
            prop_assert_eq!(way.lines(ticket.to_json().expose()).parse(), Ok(ticket));
            let device = DeviceIdentity::generate(entropy);
            let read = DeviceIdentity::from_pem(&way.lines(device.to_pem().expose())).unwrap();
            prop_assert_eq!(read.public(), device.public());
            let code = RecoveryCode::generate(entropy).to_text();
            let read: RecoveryCode = way.wrapped(code.expose()).parse().unwrap();
            prop_assert!(read.to_text().expose() == code.expose());
            let slot = SlotFile::generate(entropy).to_text();
            let read = SlotFile::from_text(&way.wrapped(slot.expose())).unwrap();
            prop_assert!(read.to_text().expose() == slot.expose());

            let json = way.bytes(&format!("{0}{{{0}\"name\": {0}\"maria\"}}{0}", way.end));
            let read = params::from_file(file(json).path()).unwrap();
            prop_assert_eq!(read.shown(), serde_json::json!({ "name": "maria" }));

            let typed = Passphrase::from("Zo\u{eb}s correct horse".to_owned());
            let end = if way.end == "\r" { "\n" } else { way.end };
            let line = file(way.bytes(&format!("Zoe\u{308}s correct horse{end}")));
            let read = Passphrase::from(secret(line.path()).unwrap());
            prop_assert!(read == typed);
        }
    }
}
