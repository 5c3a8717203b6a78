//! Accounts and their credentials.

mod account;
mod credential;
mod registration;

pub use account::{Account, Kind, State};
pub use credential::{
    CredentialId, DeliveredKeyCredential, KeyCredential, PASSPHRASE_VERSION, PassphraseCredential,
    PassphraseSuite,
};
pub(crate) use registration::{RecordError, Registrant, check_record};
