//! The webhook through which a site sends short texts: the body and the signature of a request, and
//! what a site concludes from the reply (`docs/protocol/alarms.md`).
//!
//! The signature follows the [Standard Webhooks](https://www.standardwebhooks.com) specification, so
//! its libraries verify it.
//!
//! ```
//! use countersign_proto::webhook::{BodyFormat, BodyTemplate, SigningKey, Values};
//!
//! let template = BodyTemplate::parse(BodyFormat::Json, r#"{"to":"{{to}}","text":"{{text}}"}"#)?;
//! let body = template.fill(&Values { to: "+491701234567", text: "Disk \"A\" is full", ..Values::default() });
//! assert_eq!(body, r#"{"to":"+491701234567","text":"Disk \"A\" is full"}"#);
//!
//! let key = SigningKey::parse("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz")?;
//! assert!(key.sign("1", 1_772_366_400, body.as_bytes()).starts_with("v1,"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod reply;
mod signature;
mod template;

pub use reply::{MAX_REPLY_BYTES, Verdict, excerpt, retry_after, verdict};
pub use signature::{BadSigningKey, SigningKey};
pub use template::{BadTemplate, BodyFormat, BodyTemplate, MAX_TEMPLATE_BYTES, Values};

/// The header with the id of a request. It is the same when the site repeats the request.
pub const ID_HEADER: &str = "webhook-id";
/// The header with the time of a request, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header with the signature of a request.
pub const SIGNATURE_HEADER: &str = "webhook-signature";
/// The header under which gateways know the id of a request.
pub const IDEMPOTENCY_HEADER: &str = "idempotency-key";
