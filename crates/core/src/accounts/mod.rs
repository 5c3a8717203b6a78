//! Accounts, their credentials, and the data of persons.

mod account;
mod credential;
mod language_tag;
mod person_data;
mod postal_address;
mod registration;
mod search;
mod telephone;

pub use account::{Account, Kind, State};
pub use credential::{
    CredentialId, DeliveredKeyCredential, KeyCredential, PASSPHRASE_VERSION, PassphraseCredential,
    PassphraseSuite,
};
pub use language_tag::LanguageTag;
pub use person_data::{
    AttributeName, AttributeText, MAX_ATTRIBUTES, MAX_EMAILS, MAX_TELEPHONES, PersonData,
};
pub use postal_address::{AddressParts, CountryCode, MAX_ADDRESS_LINES, PostalAddress};
pub(crate) use registration::{RecordError, Registrant, check_record};
pub use search::{AccountSearch, search_words};
pub use telephone::{Telephone, TelephoneNumber};
