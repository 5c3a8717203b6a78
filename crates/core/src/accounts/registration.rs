//! What ties a registration of a pass phrase together: the site hands out a binding with its answer, and
//! stores no record without it.
//!
//! ```text
//! credential id (16) | expiry (8, milliseconds since 1970, big-endian) | HMAC-SHA256 (32)
//! ```
//!
//! The code covers label, account, setup, the credential that is replaced, credential id and expiry, under a key that
//! follows from the site key: nothing is kept between the two steps, only the account that the binding was made for can
//! use it, and only until another registration of that account is finished.

use countersign_crypto::entropy::{Entropy, fresh};
use countersign_crypto::passphrase::SetupId;
use countersign_crypto::site_key::SiteKey;

use crate::accounts::CredentialId;
use crate::id::AccountId;
use crate::timestamp::Timestamp;

const LABEL: &str = "registration of a pass phrase";
/// How long a registration may take, in seconds: a person types a new pass phrase twice before it begins,
/// and a slow device stretches it meanwhile.
const LASTS: u32 = 10 * 60;

const ID: usize = 16;
const EXPIRY: usize = 8;

/// Whose registration it is, and under which setup.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Registrant {
    pub(crate) account: AccountId,
    pub(crate) setup: SetupId,
    /// The credential that the new one takes the place of; `None` for the first.
    pub(crate) replaces: Option<CredentialId>,
}

/// The binding is not of this registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BindingError {
    /// Other bytes, another account, another setup or another site; or another registration was finished meanwhile, or
    /// this one before.
    #[error(
        "this site did not begin this registration for this account, or one was finished since; start again"
    )]
    Foreign,
    /// It took too long.
    #[error("the registration began more than {} minutes ago; start again", LASTS / 60)]
    Expired,
}

impl Registrant {
    /// A new credential id, and the binding that allows to register it.
    pub(crate) fn begin(
        self,
        key: &SiteKey,
        now: Timestamp,
        entropy: &mut dyn Entropy,
    ) -> (CredentialId, Vec<u8>) {
        let id = fresh::<ID>(entropy);
        let expiry = now.plus_seconds(LASTS).millis().to_be_bytes();
        let code = key.mac_key(LABEL).authenticate(&self.message(&id, &expiry));
        (CredentialId(id), [&id[..], &expiry, &code].concat())
    }

    /// The credential id of a registration that was begun for this registrant.
    pub(crate) fn finish(
        self,
        key: &SiteKey,
        binding: &[u8],
        now: Timestamp,
    ) -> Result<CredentialId, BindingError> {
        let (id, rest) = binding
            .split_first_chunk::<ID>()
            .ok_or(BindingError::Foreign)?;
        let (expiry, code) = rest
            .split_first_chunk::<EXPIRY>()
            .ok_or(BindingError::Foreign)?;
        key.mac_key(LABEL)
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
            // Zeros are no credential id.
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
    use countersign_crypto::site_key::SiteSeed;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_772_366_400_000);

    fn key(byte: u8) -> SiteKey {
        SiteKey::from_seed(SiteSeed(Secret::from_bytes([byte; 32])))
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
    fn a_binding_is_good_for_its_account_setup_and_site_until_it_expires() {
        let (id, binding) = registrant(1, 1).begin(&key(1), NOW, &mut SystemEntropy);
        let finish = |registrant: Registrant, site: u8, now: Timestamp| {
            registrant.finish(&key(site), &binding, now)
        };
        let last = NOW.plus_millis(u64::from(LASTS) * 1_000 - 1);
        assert_eq!(finish(registrant(1, 1), 1, last), Ok(id));
        for (registrant, site) in [
            (registrant(2, 1), 1),
            (registrant(1, 2), 1),
            (registrant(1, 1), 2),
        ] {
            assert_eq!(finish(registrant, site, NOW), Err(BindingError::Foreign));
        }
        let late = finish(registrant(1, 1), 1, NOW.plus_seconds(LASTS));
        assert_eq!(late, Err(BindingError::Expired));
    }

    /// A registration could be finished again after another one: who had recorded it set the old pass phrase anew.
    #[test]
    fn a_binding_is_good_until_another_registration_is_finished() {
        let (_, binding) = registrant(1, 1).begin(&key(1), NOW, &mut SystemEntropy);
        let later = Registrant {
            replaces: Some(CredentialId([7; 16])),
            ..registrant(1, 1)
        };
        let finished = later.finish(&key(1), &binding, NOW);
        assert_eq!(finished, Err(BindingError::Foreign));
    }

    #[test]
    fn every_changed_byte_and_any_other_length_is_refused() {
        let (_, binding) = registrant(1, 1).begin(&key(1), NOW, &mut SystemEntropy);
        for at in 0..binding.len() {
            let mut changed = binding.clone();
            changed[at] ^= 1;
            assert!(registrant(1, 1).finish(&key(1), &changed, NOW).is_err());
            assert!(
                registrant(1, 1)
                    .finish(&key(1), &binding[..at], NOW)
                    .is_err()
            );
        }
    }

    /// OPS-1
    #[test]
    fn no_two_registrations_have_the_same_credential_id() {
        let [one, two] = [(); 2].map(|()| registrant(1, 1).begin(&key(1), NOW, &mut SystemEntropy));
        assert_ne!(one.0, two.0);
    }
}
