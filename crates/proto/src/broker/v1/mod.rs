//! Edition v1: the messages of Serveros 0.3. It fixes those weaknesses that can be fixed without
//! changing a byte of what conforming applications send.
//!
//! | weakness | here |
//! |---|---|
//! | decryption before verification | provider and consumer know the signer and verify first; the site cannot, and answers every verification failure with the same error |
//! | parser messages in errors | errors are [`V1Refusal`] values only |
//! | fields with varying types | every field has one type; a time is a number |
//! | no replay cache, audience or expiry | [`provider::V1VerifiedPresentation`] identifies its ticket; the provider verifies audience, consumer and expiry |
//! | unlimited retries | [`consumer::MAX_RETRIES`] |
//! | weak digests and ciphers | MD5, SHA-1 signatures and 64-bit block ciphers are not produced |

pub mod consumer;
pub mod hawk;
pub mod limits;
pub mod message;
pub mod provider;
pub mod site;

mod agreed;
mod choose;
mod refusal;
mod sealed;

pub use agreed::Agreed;
pub use choose::choose;
pub use refusal::{Role, V1Refusal};
pub use sealed::V1SealedMessage;
