//! The only crate that names primitives. Hides keys in types that wipe themselves and never print;
//! seals and opens; derives; knows the suites. Its interface speaks of bytes and of its own types,
//! so that no other crate depends on a cryptographic library.

pub mod agreement;
pub mod certificate;
pub mod device_key;
pub mod entropy;
pub mod hash;
pub mod identity;
pub mod kdf;
pub mod kem;
pub mod key_file;
pub mod legacy;
pub mod mac;
pub mod noise;
pub mod one_time;
pub mod party;
pub mod passphrase;
pub mod pem;
pub mod record;
pub mod rsa;
pub mod sealed_file;
pub mod sealed_identity;
pub mod sealing;
pub mod secret;
pub mod sign;
pub mod site_key;
pub mod site_key_slots;
pub mod tls_certificate;

mod oid;
