//! Detached signatures of files, by a person's or a service's own key
//! (`docs/reference/key-files.md`, Signature of a file).
//!
//! ```text
//! file:   PEM, label COUNTERSIGN SIGNATURE, of version (1) = 1 | signer (32) | signature (64)
//! signed: "countersign file signature 1" | 0x00 | signer (32) | length (8) | SHA-256 (32)
//! ```
//!
//! The signer is the thumbprint of the certificate. The file is read once and not held in memory.

use der::pem::LineEnding;

use crate::certificate::{Certificate, Thumbprint};
use crate::hash::Sha256;
use crate::identity::Identity;
use crate::pem::{self, BadPem};
use crate::sign::{BadSignature, Signature};

/// The longest text that is read as a signature, in bytes. One has some 200; the rest is room for text
/// around it.
pub const MAX_SIGNATURE_FILE: usize = 16 * 1024;

const LABEL: &str = "COUNTERSIGN SIGNATURE";
const PURPOSE: &[u8] = b"countersign file signature 1\0";
const VERSION: u8 = 1;

/// Length and SHA-256 of a file that is read in parts.
#[derive(Clone, Default)]
pub struct FileDigest {
    length: u64,
    sum: Sha256,
}

impl FileDigest {
    /// Nothing was read.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        self.length = self.length.saturating_add(bytes.len() as u64);
        self.sum.update(bytes);
    }

    /// The bytes that are signed.
    fn message(self, signer: &Thumbprint) -> Vec<u8> {
        let length = self.length.to_be_bytes();
        [PURPOSE, &signer.0, &length, &self.sum.finish()].concat()
    }
}

/// A signature of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSignature {
    signer: Thumbprint,
    signature: Signature,
}

impl FileSignature {
    /// Signs a file.
    #[must_use]
    pub fn new(identity: &Identity, file: FileDigest) -> Self {
        let signer = identity.certificate().thumbprint();
        let signature = identity.sign(&file.message(&signer));
        Self { signer, signature }
    }

    /// Reads the text of a signature.
    ///
    /// # Errors
    /// [`FileSignatureError`].
    pub fn from_pem(text: &str) -> Result<Self, FileSignatureError> {
        if text.len() > MAX_SIGNATURE_FILE {
            return Err(FileSignatureError::TooLong { length: text.len() });
        }
        let block = pem::find(text, &[LABEL])?;
        if block.label != LABEL {
            return Err(FileSignatureError::WrongLabel {
                found: block.label.to_owned(),
            });
        }
        let bytes = block.decode()?;
        let (version, rest) = bytes.split_first().ok_or(FileSignatureError::Damaged)?;
        if *version != VERSION {
            return Err(FileSignatureError::Version { found: *version });
        }
        let (signer, rest) = rest
            .split_first_chunk::<32>()
            .ok_or(FileSignatureError::Damaged)?;
        let signature = rest.try_into().map_err(|_| FileSignatureError::Damaged)?;
        Ok(Self {
            signer: Thumbprint(*signer),
            signature: Signature(signature),
        })
    }

    /// The text of the signature.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let bytes = [&[VERSION][..], &self.signer.0, &self.signature.0].concat();
        let Ok(text) = der::pem::encode_string(LABEL, LineEnding::LF, &bytes) else {
            // The bytes have a fixed length; only exhausted memory leads here.
            std::process::abort();
        };
        text
    }

    /// The thumbprint of the certificate that the signature names. It is not verified.
    #[must_use]
    pub fn signer(&self) -> Thumbprint {
        self.signer
    }

    /// Checks that the key of `certificate` signed exactly this file.
    ///
    /// # Errors
    /// [`FileSignatureError::OtherSigner`] and [`FileSignatureError::BadSignature`].
    pub fn verify(
        &self,
        certificate: &Certificate,
        file: FileDigest,
    ) -> Result<(), FileSignatureError> {
        if certificate.thumbprint() != self.signer {
            return Err(FileSignatureError::OtherSigner {
                signer: self.signer,
            });
        }
        let message = file.message(&self.signer);
        Ok(certificate.signing().verify(&message, &self.signature)?)
    }
}

impl From<BadPem> for FileSignatureError {
    fn from(bad: BadPem) -> Self {
        match bad {
            BadPem::NoBlock => Self::NotPem,
            BadPem::Damaged => Self::Damaged,
            BadPem::Several => Self::Several,
        }
    }
}

/// Why a text is no signature, or none of the file. The file must not be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileSignatureError {
    /// More than [`MAX_SIGNATURE_FILE`] bytes; nothing was parsed.
    #[error("{length} bytes are too long for a signature (at most {MAX_SIGNATURE_FILE})")]
    TooLong {
        /// The length of the text.
        length: usize,
    },
    /// There is no PEM block in the text.
    #[error("not a signature; one begins with -----BEGIN {LABEL}-----")]
    NotPem,
    /// The PEM block is incomplete, or its content has another length.
    #[error("the signature is damaged; get it again")]
    Damaged,
    /// There are several signatures in the text.
    #[error("the file has several signatures; give the one that is meant")]
    Several,
    /// The PEM block holds something else.
    #[error("the file holds a {found}, not a {LABEL}")]
    WrongLabel {
        /// The label of the block.
        found: String,
    },
    /// A newer program made the signature.
    #[error("the signature has version {found}, which this program does not know; update it")]
    Version {
        /// The version.
        found: u8,
    },
    /// The signature names another certificate.
    #[error("the signature is by the key with the certificate {signer}, not by this one")]
    OtherSigner {
        /// The thumbprint of the certificate that it names.
        signer: Thumbprint,
    },
    /// The file, the signature or the certificate was changed.
    #[error("the signature is not of this file: the file or the signature was changed")]
    BadSignature(#[from] BadSignature),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::IdentitySeed;
    use crate::secret::Secret;

    fn identity(byte: u8) -> Identity {
        Identity::from_seed(IdentitySeed(Secret::from_bytes([byte; 32])))
    }

    fn digest(parts: &[&[u8]]) -> FileDigest {
        let mut digest = FileDigest::new();
        parts.iter().for_each(|part| digest.update(part));
        digest
    }

    // DEV-46
    #[test]
    fn the_bytes_that_are_signed_are_those_of_the_page() {
        let signature = FileSignature::new(&identity(1), digest(&[b"abc"]));
        let certificate = identity(1);
        let certificate = certificate.certificate();
        let sum = crate::hash::sha256(b"abc");
        let mut message = b"countersign file signature 1\0".to_vec();
        message.extend(certificate.thumbprint().0);
        message.extend([0, 0, 0, 0, 0, 0, 0, 3]);
        message.extend(sum);
        let verified = certificate.signing().verify(&message, &signature.signature);
        assert_eq!(verified, Ok(()));
    }

    // DEV-46
    #[test]
    fn a_signature_verifies_for_its_file_and_certificate_alone_however_the_file_is_read() {
        let (signer, other) = (identity(1), identity(2));
        let signature = FileSignature::new(&signer, digest(&[b"one ", b"file"]));
        let read = FileSignature::from_pem(&signature.to_pem()).unwrap();
        assert_eq!(read, signature);
        let verify =
            |who: &Identity, parts: &[&[u8]]| read.verify(who.certificate(), digest(parts));
        assert_eq!(verify(&signer, &[b"one file"]), Ok(()));
        for parts in [&[b"one fil".as_slice()][..], &[b"one file", b"\0"], &[]] {
            assert_eq!(
                verify(&signer, parts),
                Err(FileSignatureError::BadSignature(BadSignature))
            );
        }
        let named = signer.certificate().thumbprint();
        assert_eq!(
            verify(&other, &[b"one file"]),
            Err(FileSignatureError::OtherSigner { signer: named })
        );
    }

    #[test]
    fn every_changed_byte_and_other_texts_are_refused() {
        let signer = identity(1);
        let pem = FileSignature::new(&signer, digest(&[b"file"])).to_pem();
        let block = pem::find(&pem, &[LABEL]).unwrap().decode().unwrap();
        for at in 0..block.len() {
            let mut changed = block.to_vec();
            changed[at] ^= 1;
            let text = der::pem::encode_string(LABEL, LineEnding::LF, &changed).unwrap();
            let read = FileSignature::from_pem(&text);
            let refused =
                read.and_then(|read| read.verify(signer.certificate(), digest(&[b"file"])));
            assert!(refused.is_err(), "byte {at}");
        }
        for length in [0, 1, 96, 98] {
            let mut other = block.to_vec();
            other.resize(length, 0);
            let text = der::pem::encode_string(LABEL, LineEnding::LF, &other).unwrap();
            assert_eq!(
                FileSignature::from_pem(&text),
                Err(FileSignatureError::Damaged)
            );
        }
        let long = format!("{pem}{}", " ".repeat(MAX_SIGNATURE_FILE));
        let two = format!("{pem}{pem}");
        let certificate = signer.certificate().to_pem();
        for text in ["", "signature", &pem[..80], &long, &two, &certificate] {
            assert!(FileSignature::from_pem(text).is_err(), "{text:.40}");
        }
        let windows = format!("\u{feff}hello\r\n{}", pem.replace('\n', "\r\n"));
        assert!(FileSignature::from_pem(&windows).is_ok());
    }
}
