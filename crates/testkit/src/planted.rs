//! Secrets that a test gives to a site, and the search for them in files: as they are, in base64 at
//! each offset, and in hexadecimal.

use std::collections::{BTreeSet, HashMap};

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

/// The length by which a form of a secret is found in a hash table, in bytes. No form is shorter.
const START: usize = 8;

/// The shortest secret. A shorter one can be in a file by chance.
const MIN_SECRET: usize = 12;

/// Secrets to search for.
#[derive(Default)]
pub struct Planted {
    /// The name of each form, and its bytes.
    forms: Vec<(String, Vec<u8>)>,
    /// The forms by their first bytes.
    starts: HashMap<[u8; START], Vec<usize>>,
}

impl Planted {
    /// Adds a secret of at least 12 bytes. Returns it, so that a test plants what it searches for.
    pub fn plant<T: AsRef<[u8]>>(&mut self, name: &str, secret: T) -> T {
        let bytes = secret.as_ref();
        assert!(bytes.len() >= MIN_SECRET, "{name} is too short");
        self.add(name.to_owned(), bytes.to_vec());
        self.add(format!("{name} in hex"), HEXLOWER.encode(bytes).into());
        self.add(format!("{name} in hex"), HEXUPPER.encode(bytes).into());
        // The bytes before the secret shift it by 0, 1 or 2 within a group of three bytes. The groups
        // that contain nothing else are searched for.
        for skipped in 0..3 {
            let rest = &bytes[skipped..];
            let groups = &rest[..rest.len() / 3 * 3];
            for encoding in [BASE64_NOPAD, BASE64URL_NOPAD] {
                let name = format!("{name} in base64");
                self.add(name, encoding.encode(groups).into());
            }
        }
        secret
    }

    /// The names of the secrets that are in these bytes, with their forms.
    #[must_use]
    pub fn found(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        for (at, start) in bytes.windows(START).enumerate() {
            for form in self.starts.get(start).into_iter().flatten() {
                let (name, form) = &self.forms[*form];
                if bytes[at..].starts_with(form) {
                    found.insert(name.as_str());
                }
            }
        }
        found
    }

    fn add(&mut self, name: String, form: Vec<u8>) {
        let start = form[..START].try_into().unwrap();
        self.starts.entry(start).or_default().push(self.forms.len());
        self.forms.push((name, form));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form_at_every_offset() {
        let mut planted = Planted::default();
        let secret = planted.plant("it", b"\xffa secret of some length\xfe");
        for before in 0..4 {
            let file = [&b"xyz{"[..before], secret, b"after it"].concat();
            assert_eq!(planted.found(&file), BTreeSet::from(["it"]));
            for encoding in [BASE64_NOPAD, BASE64URL_NOPAD] {
                let text = encoding.encode(&file);
                let found = planted.found(text.as_bytes());
                assert_eq!(found, BTreeSet::from(["it in base64"]), "{before}");
            }
            for encoding in [HEXLOWER, HEXUPPER] {
                let found = planted.found(encoding.encode(&file).as_bytes()).len();
                assert_eq!(found, 1, "{before}");
            }
        }
        assert!(planted.found(b"another secret of some length").is_empty());
    }
}
