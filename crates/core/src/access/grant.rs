//! What a credential permits over HTTP, where a caller has no session.

use std::sync::atomic::{AtomicBool, Ordering};

use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::hash::sha256;

use super::Role;
use crate::id::{AccessTokenId, AccountId, DeviceId};
use crate::timestamp::Timestamp;

/// The credential of a request over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HttpCredential {
    /// An access token.
    Token(AccessTokenId),
    /// The key of a service, which signed the request.
    Key(Thumbprint),
    /// The key of a device, in the TLS handshake of the connection.
    Device(DeviceId),
}

impl HttpCredential {
    /// Of a limit of its account, one credential has half and at least 1: a stolen one leaves places to the
    /// others.
    #[must_use]
    pub const fn share_of(limit: usize) -> usize {
        match limit / 2 {
            0 => 1,
            half => half,
        }
    }

    /// Returns the credential as a detail of an audit entry: the name of the detail, and its text.
    #[must_use]
    pub fn as_detail(&self) -> (&'static str, String) {
        match self {
            Self::Token(id) => ("access_token", id.to_string()),
            Self::Key(thumbprint) => ("signed_with", thumbprint.to_string()),
            Self::Device(id) => ("device", id.to_string()),
        }
    }

    /// SHA-256 of the credential's name: tells the requests of one credential from those of another.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let (kind, name) = self.as_detail();
        sha256(format!("{kind} {name}").as_bytes())
    }
}

/// What a credential permits over HTTP. It becomes void when the credential or its account is
/// changed; then it must be read again.
#[derive(Debug)]
pub struct HttpGrant {
    /// The credential.
    pub credential: HttpCredential,
    /// The account that owns the credential.
    pub account: AccountId,
    /// The account's name.
    pub name: String,
    /// The account's role.
    pub role: Role,
    /// The names of the operations that it is limited to, sorted; `None` for no limit beyond the
    /// role.
    operations: Option<Vec<String>>,
    /// The first moment at which it permits nothing.
    expires: Option<Timestamp>,
    void: AtomicBool,
}

impl HttpGrant {
    /// Makes a grant that is not void. `operations` are sorted.
    #[must_use]
    pub fn new(
        credential: HttpCredential,
        (account, name, role): (AccountId, String, Role),
        operations: Option<Vec<String>>,
        expires: Option<Timestamp>,
    ) -> Self {
        Self {
            credential,
            account,
            name,
            role,
            operations,
            expires,
            void: AtomicBool::new(false),
        }
    }

    /// Returns whether the operation with this name is among those that the credential is limited
    /// to.
    #[must_use]
    pub fn names(&self, operation: &str) -> bool {
        self.operations.as_ref().is_none_or(|names| {
            let found = names.binary_search_by(|name| name.as_str().cmp(operation));
            found.is_ok()
        })
    }

    /// Returns the role, as far as it gives rights beyond the own account.
    #[must_use]
    pub const fn role_for_everyone(&self) -> Option<Role> {
        match self.credential {
            HttpCredential::Token(_) | HttpCredential::Key(_) => Some(self.role),
            // A thief of an admin's phone gets no admin rights.
            HttpCredential::Device(_) => None,
        }
    }

    /// Returns the first moment at which it permits nothing; `None` if it does not expire.
    #[must_use]
    pub const fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Returns whether it permits anything at `now`.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        !self.void.load(Ordering::Acquire) && self.expires.is_none_or(|expires| now < expires)
    }

    /// Makes it void, for every caller that holds it.
    pub(crate) fn make_void(&self) {
        self.void.store(true, Ordering::Release);
    }
}

impl PartialEq for HttpGrant {
    fn eq(&self, other: &Self) -> bool {
        (self.credential, self.account) == (other.credential, other.account)
    }
}

impl Eq for HttpGrant {}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(operations: Option<Vec<String>>, expires: Option<Timestamp>) -> HttpGrant {
        let token = HttpCredential::Token(AccessTokenId::from_bytes([1; 16]));
        let account = AccountId::from_bytes([2; 16]);
        let owner = (account, "maria@example.org".to_owned(), Role::Member);
        HttpGrant::new(token, owner, operations, expires)
    }

    #[test]
    fn a_limited_grant_names_its_operations_only() {
        let names = ["alarm.list", "self.show"].map(str::to_owned).to_vec();
        let limited = grant(Some(names), None);
        assert!(limited.names("self.show") && limited.names("alarm.list"));
        for other in ["self.set_data", "alarm", "alarm.lis", ""] {
            assert!(!limited.names(other), "{other}");
        }
        assert!(!grant(Some(Vec::new()), None).names("self.show"));
        assert!(grant(None, None).names("self.show"));
    }

    #[test]
    fn a_grant_is_valid_until_it_expires_or_becomes_void() {
        let at = Timestamp::from_millis;
        let one = grant(None, Some(at(1_000)));
        assert!(one.is_valid(at(999)) && !one.is_valid(at(1_000)));
        one.make_void();
        assert!(!one.is_valid(at(0)));
    }
}
