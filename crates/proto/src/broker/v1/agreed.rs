//! The algorithms of a ticket, which the site selects from both applications' lists.

use countersign_crypto::legacy::Cipher;
use countersign_crypto::rsa::RsaHash;

use super::message::V1AuthRequest;
use super::site::V1Application;
use super::{V1Refusal, choose, hawk};

/// The cipher and the hash of a ticket. Both applications support them, and every later step can
/// use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// The cipher of the ID object and of the acknowledgement.
    pub cipher: Cipher,
    /// The hash of the signatures of ticket and response, and of later requests with Hawk.
    pub hash: RsaHash,
}

/// The algorithms that one application supports, best first.
#[derive(Debug, Clone)]
pub(super) struct Lists {
    pub(super) hashes: Vec<RsaHash>,
    pub(super) ciphers: Vec<Cipher>,
}

/// Whether a ticket can use this hash: the site can sign with it, and Hawk supports it.
pub(super) fn is_usable(hash: RsaHash) -> bool {
    hash.signs() && hawk::supports(hash)
}

impl Agreed {
    /// Selects the algorithms from those registered for both applications.
    ///
    /// # Errors
    /// [`V1Refusal::NoCommonCipher`], [`V1Refusal::NoCommonHash`].
    pub fn between(
        requester: &V1Application,
        requested: &V1Application,
    ) -> Result<Self, V1Refusal> {
        Self::of(&Lists::of(requester), &Lists::of(requested))
    }

    pub(super) fn of(requester: &Lists, requested: &Lists) -> Result<Self, V1Refusal> {
        let usable = |list: &Lists| -> Vec<RsaHash> {
            let hashes = list.hashes.iter().copied();
            hashes.filter(|hash| is_usable(*hash)).collect()
        };
        let cipher = common(&requester.ciphers, &requested.ciphers);
        let hash = common(&usable(requester), &usable(requested));
        Ok(Self {
            cipher: cipher.ok_or(V1Refusal::NoCommonCipher)?,
            hash: hash.ok_or(V1Refusal::NoCommonHash)?,
        })
    }
}

/// As [`choose`], but nothing is in common with an empty list.
fn common<T: Copy + PartialEq>(first: &[T], second: &[T]) -> Option<T> {
    let some = !first.is_empty() && !second.is_empty();
    some.then(|| choose(first, second)).flatten()
}

impl Lists {
    pub(super) fn of(application: &V1Application) -> Self {
        Self {
            hashes: application.hashes.clone(),
            ciphers: application.ciphers.clone(),
        }
    }

    /// Without the algorithms that the request does not list, if it has lists.
    pub(super) fn narrowed(mut self, request: &V1AuthRequest) -> Self {
        let names = |given: &Option<Vec<String>>, name: &str| {
            let named = |given: &Vec<String>| given.iter().any(|given| given == name);
            given.as_ref().is_none_or(named)
        };
        self.hashes
            .retain(|hash| names(&request.supported_hashes, hash.name()));
        self.ciphers
            .retain(|cipher| names(&request.supported_ciphers, cipher.name()));
        self
    }
}
