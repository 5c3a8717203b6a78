//! A fresh key exchange between two authenticated ends, for key renewal and resumption. It uses
//! X25519, and ML-KEM-768 with a hybrid option.

use countersign_crypto::agreement::{AgreementKey, AgreementPublic};
use countersign_crypto::entropy::Entropy;
use countersign_crypto::kem::{self, KemSecret};
use countersign_crypto::secret::{Secret, SecretBytes};

use super::option::EncryptionOption;
use super::refusal::SessionRefusal;

/// The offering side, until it receives the answer.
pub(crate) struct Offering {
    option: EncryptionOption,
    agreement: AgreementKey,
    kem: Option<KemSecret>,
    share: Vec<u8>,
}

const BAD_SHARE: SessionRefusal = SessionRefusal::BadMessage("a key share that is none");

impl Offering {
    pub(crate) fn new(option: EncryptionOption, entropy: &mut dyn Entropy) -> Self {
        let agreement = AgreementKey::from_secret(Secret::generate(entropy));
        let mut share = agreement.public().0.to_vec();
        let kem = option.hybrid().then(|| {
            let (secret, public) = KemSecret::generate(entropy);
            share.extend_from_slice(&public);
            secret
        });
        Self {
            option,
            agreement,
            kem,
            share,
        }
    }

    pub(crate) fn option(&self) -> EncryptionOption {
        self.option
    }

    /// The share to send: the X25519 key, then the ML-KEM key.
    pub(crate) fn share(&self) -> &[u8] {
        &self.share
    }

    /// The shared secrets, from the peer's answer.
    pub(crate) fn finish(self, answer: &[u8]) -> Result<SecretBytes, SessionRefusal> {
        let (theirs, ciphertext) = split(answer)?;
        let agreed = self.agreement.agree(&theirs).map_err(|_| BAD_SHARE)?;
        let encapsulated = match self.kem {
            Some(kem) => Some(kem.decapsulate(ciphertext).map_err(|_| BAD_SHARE)?),
            None if ciphertext.is_empty() => None,
            None => return Err(BAD_SHARE),
        };
        Ok(concatenate(&agreed, encapsulated.as_ref()))
    }
}

/// The answering side: returns the share to send and the shared secrets.
pub(crate) fn answer(
    option: EncryptionOption,
    offer: &[u8],
    entropy: &mut dyn Entropy,
) -> Result<(Vec<u8>, SecretBytes), SessionRefusal> {
    let (theirs, key) = split(offer)?;
    let own = AgreementKey::from_secret(Secret::generate(entropy));
    let agreed = own.agree(&theirs).map_err(|_| BAD_SHARE)?;
    let mut share = own.public().0.to_vec();
    let encapsulated = match (option.hybrid(), key.is_empty()) {
        (true, _) => {
            let (ciphertext, secret) = kem::encapsulate(key, entropy).map_err(|_| BAD_SHARE)?;
            share.extend_from_slice(&ciphertext);
            Some(secret)
        }
        (false, true) => None,
        (false, false) => return Err(BAD_SHARE),
    };
    Ok((share, concatenate(&agreed, encapsulated.as_ref())))
}

fn split(share: &[u8]) -> Result<(AgreementPublic, &[u8]), SessionRefusal> {
    let (public, rest) = share.split_first_chunk::<32>().ok_or(BAD_SHARE)?;
    Ok((AgreementPublic(*public), rest))
}

fn concatenate(agreed: &Secret<32>, encapsulated: Option<&Secret<32>>) -> SecretBytes {
    let encapsulated = encapsulated.map_or(&[][..], |secret| &secret.expose()[..]);
    SecretBytes::from([&agreed.expose()[..], encapsulated].concat())
}

#[cfg(test)]
mod tests {
    use countersign_crypto::entropy::SystemEntropy;

    use super::*;

    #[test]
    fn both_ends_derive_the_same_secrets() {
        for option in EncryptionOption::FORWARD_SECRET {
            let offering = Offering::new(option, &mut SystemEntropy);
            let (answer, one) = answer(option, offering.share(), &mut SystemEntropy).unwrap();
            let other = offering.finish(&answer).unwrap();
            assert_eq!(one.expose(), other.expose(), "{option}");
            assert_eq!(one.expose().len(), if option.hybrid() { 64 } else { 32 });
        }
    }

    #[test]
    fn a_share_of_the_wrong_form_is_rejected() {
        let hybrid = EncryptionOption::HybridAes256Gcm;
        let classical = EncryptionOption::X25519Aes256Gcm;
        let offer = |option| Offering::new(option, &mut SystemEntropy);
        let refused = [
            answer(hybrid, offer(classical).share(), &mut SystemEntropy),
            answer(classical, offer(hybrid).share(), &mut SystemEntropy),
            answer(classical, &[9; 31], &mut SystemEntropy),
            answer(classical, &[0; 32], &mut SystemEntropy),
        ];
        assert!(refused.into_iter().all(|result| result.is_err()));
        assert!(offer(hybrid).finish(&[9; 32]).is_err());
        assert!(offer(classical).finish(&[9; 33]).is_err());
    }
}
