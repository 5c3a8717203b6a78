//! Edition v1: the messages of Serveros 0.3, with those of its holes closed that can be closed without
//! changing a byte of what honest applications say.
//!
//! | hole | here |
//! |---|---|
//! | decrypted before it is verified | the provider and the consumer know the only signer, and verify first; the site, which does not, answers all that is not verified with one error |
//! | texts of parsers in errors | errors are of [`V1Refusal`] alone |
//! | types that change on the way | every field has one type; a time is a number |
//! | no replay cache, no audience, no expiry | [`provider::V1VerifiedPresentation`] names its ticket, which is for this provider, by its requester, and not over |
//! | retries without end | [`consumer::MOST_RETRIES`] |
//! | weak digests and ciphers | MD5, SHA-1 signatures, and ciphers of 64-bit blocks are not made |

pub mod consumer;
pub mod hawk;
pub mod limits;
pub mod master;
pub mod message;
pub mod provider;

mod agreed;
mod choose;
mod refusal;
mod sealed;

pub use agreed::Agreed;
pub use choose::choose;
pub use refusal::{Role, V1Refusal};
pub use sealed::V1SealedMessage;
