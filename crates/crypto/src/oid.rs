//! The object identifiers in certificates and key files.
//!
//! Our own identifiers are based on a random UUID, in the seven parts of Microsoft's scheme for
//! private identifiers ("Obtaining an object identifier"). They are unique without a registration.

use der::asn1::ObjectIdentifier;

/// Ed25519, both the key and the signature (RFC 8410, section 3).
pub(crate) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A public key on an elliptic curve; the parameters name the curve (RFC 5480, section 2.1.1).
pub(crate) const EC_PUBLIC_KEY: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// The curve P-256 (RFC 5480, section 2.1.1.1).
pub(crate) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// ECDSA with SHA-256 (RFC 5758, section 3.2).
#[cfg(not(target_arch = "wasm32"))]
pub(crate) const ECDSA_SHA256: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// The certificate extension that contains the X25519 key.
pub(crate) const AGREEMENT_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap(
    "1.2.840.113556.1.8000.2554.28380.35535.47627.19125.34232.10458768.15301350.1",
);

/// The private-key attribute that contains the identity's seed.
pub(crate) const IDENTITY_SEED: ObjectIdentifier = ObjectIdentifier::new_unwrap(
    "1.2.840.113556.1.8000.2554.28380.35535.47627.19125.34232.10458768.15301350.2",
);

/// An RSA key for all RSA algorithms (RFC 8017, appendix A.1).
#[cfg(not(target_arch = "wasm32"))]
pub(crate) const RSA_ENCRYPTION: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// An RSA key for RSASSA-PSS only (RFC 4055, section 1.2).
#[cfg(not(target_arch = "wasm32"))]
pub(crate) const RSASSA_PSS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
