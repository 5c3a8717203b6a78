//! The binding of a pass phrase registration. The site returns it when a registration starts and
//! stores a record only with a valid one.
//!
//! ```text
//! credential id (16) | expiry (8, milliseconds since 1970, big-endian) | HMAC-SHA256 (32)
//! ```
//!
//! The HMAC covers label, account, setup, the replaced credential, credential id and expiry, under
//! a key derived from the root secret. So the site stores nothing between the two steps, the binding
//! is valid for one account only, and it becomes invalid when another registration of that account
//! finishes.

use countersign_crypto::entropy::{Entropy, fresh};
use countersign_crypto::passphrase::{PassphraseError, PassphraseRecord, SetupId};
use countersign_crypto::sealed_identity::SEALED_IDENTITY_LENGTH;

use crate::accounts::CredentialId;
use crate::id::AccountId;
use crate::site_key::RootSecret;
use crate::timestamp::Timestamp;

const LABEL: &str = "registration of a pass phrase";
/// The time limit of a registration, in seconds. It covers typing a new pass phrase twice and
/// stretching it on a slow device.
const TIME_LIMIT: u32 = 10 * 60;

const ID: usize = 16;
const EXPIRY: usize = 8;

/// The account to which a registration belongs, and its server setup.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Registrant {
    pub(crate) account: AccountId,
    pub(crate) setup: SetupId,
    /// The credential that the new one replaces; `None` for the first.
    pub(crate) replaces: Option<CredentialId>,
}

/// The binding does not belong to this registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BindingError {
    /// The binding was changed, belongs to another account, setup or site, or another registration
    /// has finished since it was made.
    #[error(
        "this site did not start this registration for this account, or another one was finished since; start again"
    )]
    Foreign,
    /// The time limit was exceeded.
    #[error("the registration was started more than {} minutes ago; start again", TIME_LIMIT / 60)]
    Expired,
}

/// What a client registers cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    /// It is not an OPAQUE record.
    #[error(transparent)]
    Record(#[from] PassphraseError),
    /// It cannot be a sealed identity.
    #[error("must have {SEALED_IDENTITY_LENGTH} bytes")]
    SealedIdentity,
}

/// Checks an OPAQUE record and the length of a sealed identity before they are stored.
pub(crate) fn check_record(record: &[u8], sealed_identity: &[u8]) -> Result<(), RecordError> {
    PassphraseRecord::from_bytes(record)?;
    match sealed_identity.len() {
        SEALED_IDENTITY_LENGTH => Ok(()),
        _ => Err(RecordError::SealedIdentity),
    }
}

impl Registrant {
    /// Returns a new credential id and the binding with which it can be registered.
    pub(crate) fn start(
        self,
        root: &RootSecret,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> (CredentialId, Vec<u8>) {
        let id = fresh::<ID>(entropy);
        let expiry = now.plus_seconds(TIME_LIMIT).millis().to_be_bytes();
        let code = root
            .mac_key(LABEL)
            .authenticate(&self.message(&id, &expiry));
        (CredentialId(id), [&id[..], &expiry, &code].concat())
    }

    /// Verifies the binding and returns its credential id.
    pub(crate) fn finish(
        self,
        root: &RootSecret,
        binding: &[u8],
        now: Timestamp,
    ) -> Result<CredentialId, BindingError> {
        let (id, rest) = binding
            .split_first_chunk::<ID>()
            .ok_or(BindingError::Foreign)?;
        let (expiry, code) = rest
            .split_first_chunk::<EXPIRY>()
            .ok_or(BindingError::Foreign)?;
        root.mac_key(LABEL)
            .verify(&self.message(id, expiry), code)
            .map_err(|_| BindingError::Foreign)?;
        if now >= Timestamp::from_millis(i64::from_be_bytes(*expiry)) {
            return Err(BindingError::Expired);
        }
        Ok(CredentialId(*id))
    }

    fn message(self, id: &[u8; ID], expiry: &[u8; EXPIRY]) -> Vec<u8> {
        [
            &self.account.as_bytes()[..],
            self.setup.as_bytes(),
            // Zeros are never a credential id.
            &self.replaces.map_or([0; ID], |credential| credential.0),
            id,
            expiry,
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use countersign_crypto::entropy::SystemEntropy;
    use countersign_crypto::secret::Secret;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_772_366_400_000);

    fn root(byte: u8) -> RootSecret {
        RootSecret::new(Secret::from_bytes([byte; 32]))
    }

    fn registrant(account: u8, setup: u8) -> Registrant {
        Registrant {
            account: AccountId::from_bytes([account; 16]),
            setup: SetupId::from_bytes([setup; 8]),
            replaces: None,
        }
    }

    /// OPS-2
    #[test]
    fn a_binding_is_valid_for_its_account_setup_and_site_until_it_expires() {
        let (id, binding) = registrant(1, 1).start(&root(1), NOW, &mut SystemEntropy);
        let finish = |registrant: Registrant, site: u8, now: Timestamp| {
            registrant.finish(&root(site), &binding, now)
        };
        let last = NOW.plus_millis(u64::from(TIME_LIMIT) * 1_000 - 1);
        assert_eq!(finish(registrant(1, 1), 1, last), Ok(id));
        for (registrant, site) in [
            (registrant(2, 1), 1),
            (registrant(1, 2), 1),
            (registrant(1, 1), 2),
        ] {
            assert_eq!(finish(registrant, site, NOW), Err(BindingError::Foreign));
        }
        let late = finish(registrant(1, 1), 1, NOW.plus_seconds(TIME_LIMIT));
        assert_eq!(late, Err(BindingError::Expired));
    }

    /// Regression test. A recorded registration could be finished again after a later one, which
    /// set the old pass phrase again.
    #[test]
    fn a_binding_is_valid_until_another_registration_is_finished() {
        let (_, binding) = registrant(1, 1).start(&root(1), NOW, &mut SystemEntropy);
        let later = Registrant {
            replaces: Some(CredentialId([7; 16])),
            ..registrant(1, 1)
        };
        let finished = later.finish(&root(1), &binding, NOW);
        assert_eq!(finished, Err(BindingError::Foreign));
    }

    #[test]
    fn every_changed_byte_and_any_other_length_is_refused() {
        let (_, binding) = registrant(1, 1).start(&root(1), NOW, &mut SystemEntropy);
        for at in 0..binding.len() {
            let mut changed = binding.clone();
            changed[at] ^= 1;
            assert!(registrant(1, 1).finish(&root(1), &changed, NOW).is_err());
            assert!(
                registrant(1, 1)
                    .finish(&root(1), &binding[..at], NOW)
                    .is_err()
            );
        }
    }

    /// OPS-1
    #[test]
    fn no_two_registrations_have_the_same_credential_id() {
        let [one, two] =
            [(); 2].map(|()| registrant(1, 1).start(&root(1), NOW, &mut SystemEntropy));
        assert_ne!(one.0, two.0);
    }
}
