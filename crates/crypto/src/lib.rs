//! The cryptographic primitives and formats: keys, certificates, key files, sealing, signatures,
//! OPAQUE, Noise, records. This is the only crate that names primitives. Its interface consists of
//! bytes and its own types, so no other crate depends on a cryptographic library.
//!
//! Secrets are types that wipe themselves when dropped and do not print their content.
//!
//! Two providers compute the primitives: AWS-LC in native programs, RustCrypto in WebAssembly. Tests
//! compare them. The modules `device_key`, `legacy`, `rsa` and `tls_certificate` are native only.
//!
//! Non-goals: it performs no I/O (except reading the operating system's entropy in
//! [`entropy::SystemEntropy`]), reads no clock, and decides nothing about accounts or sessions.
//!
//! ```
//! use countersign_crypto::entropy::SystemEntropy;
//! use countersign_crypto::identity::Identity;
//! use countersign_crypto::key_file::{read_identity, write_identity};
//! use countersign_crypto::secret::Passphrase;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let identity = Identity::generate(&mut SystemEntropy);
//! let passphrase = Passphrase::from("correct horse battery staple".to_owned());
//! let file = write_identity(&identity, Some(&passphrase), &mut SystemEntropy);
//! let read = read_identity(file.expose(), Some(&passphrase))?;
//! assert_eq!(read.certificate(), identity.certificate());
//!
//! let signature = identity.sign(b"message");
//! read.certificate().signing().verify(b"message", &signature)?;
//! # Ok(())
//! # }
//! ```

pub mod agreement;
pub mod base62;
pub mod certificate;
// AWS-LC alone has ECDSA over P-256. A device is a native program.
pub mod device_key;
pub mod entropy;
pub mod file_signature;
pub mod hash;
pub mod identity;
pub mod kdf;
pub mod kem;
pub mod key_file;
// AES-CBC and the other modes of Serveros v1, which only native programs speak.
#[cfg(not(target_arch = "wasm32"))]
pub mod legacy;
pub mod mac;
pub mod noise;
pub mod one_time;
pub mod party;
pub mod passphrase;
pub mod pem;
pub mod record;
// RSA is for Serveros v1, which only native programs speak.
#[cfg(not(target_arch = "wasm32"))]
pub mod rsa;
pub mod sealed_file;
pub mod sealed_identity;
pub mod sealing;
pub mod secret;
pub mod sign;
pub mod site_key;
pub mod site_key_slots;
// A browser does TLS itself.
#[cfg(not(target_arch = "wasm32"))]
pub mod tls_certificate;

mod oid;
mod provider;
