//! The encoding of an identity as `OneAsymmetricKey` (RFC 5958, section 2).

use der::{
    Decode, Encode, SecretDocument, Sequence, Tag, Tagged, ValueOrd,
    asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef, SetOfVec},
};
use pkcs8::{AlgorithmIdentifierRef, Version};
use zeroize::Zeroizing;

use super::KeyFileError;
use crate::{
    identity::{Identity, IdentitySeed, signing_secret},
    oid::{ED25519, IDENTITY_SEED},
    secret::Secret,
};

/// Borrows all fields, so that no copy of a secret is left in memory.
#[derive(Sequence)]
struct OneAsymmetricKey<'a> {
    version: Version,
    algorithm: AlgorithmIdentifierRef<'a>,
    private_key: &'a OctetStringRef,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    attributes: Option<SetOfVec<Attribute<'a>>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    public_key: Option<BitStringRef<'a>>,
}

#[derive(Sequence, ValueOrd)]
struct Attribute<'a> {
    kind: ObjectIdentifier,
    values: SetOfVec<AnyRef<'a>>,
}

pub(super) fn encode(identity: &Identity) -> der::Result<SecretDocument> {
    let secret = signing_secret(identity.seed());
    // RFC 8410, section 7: an OCTET STRING within the OCTET STRING.
    let private_key = Zeroizing::new(OctetStringRef::new(secret.expose())?.to_der()?);

    let mut values = SetOfVec::new();
    values.insert(AnyRef::new(
        Tag::OctetString,
        identity.seed().0.expose().as_slice(),
    )?)?;
    let mut attributes = SetOfVec::new();
    attributes.insert(Attribute {
        kind: IDENTITY_SEED,
        values,
    })?;

    SecretDocument::encode_msg(&OneAsymmetricKey {
        version: Version::V1,
        algorithm: AlgorithmIdentifierRef {
            oid: ED25519,
            parameters: None,
        },
        private_key: OctetStringRef::new(&private_key)?,
        attributes: Some(attributes),
        // It can be derived from the private key. Without it the file has version 1, which all
        // tools read.
        public_key: None,
    })
}

pub(super) fn decode(document: &SecretDocument) -> Result<Identity, KeyFileError> {
    let key: OneAsymmetricKey<'_> = document.decode_msg().map_err(|_| KeyFileError::Damaged)?;
    if key.algorithm.oid != ED25519 {
        return Err(KeyFileError::NotAnIdentity);
    }
    let attributes = key.attributes.ok_or(KeyFileError::NotAnIdentity)?;
    let seed = attributes
        .iter()
        .find(|attribute| attribute.kind == IDENTITY_SEED)
        .ok_or(KeyFileError::NotAnIdentity)?;
    let seed = match seed.values.as_slice() {
        [value] if value.tag() == Tag::OctetString => Secret::try_from_slice(value.value()),
        _ => None,
    };
    let seed = IdentitySeed(seed.ok_or(KeyFileError::Damaged)?);

    let recorded = <&OctetStringRef>::from_der(key.private_key.as_bytes())
        .ok()
        .and_then(|octets| Secret::<32>::try_from_slice(octets.as_bytes()))
        .ok_or(KeyFileError::Damaged)?;
    if signing_secret(&seed) != recorded {
        return Err(KeyFileError::SeedMismatch);
    }
    Ok(Identity::from_seed(seed))
}
