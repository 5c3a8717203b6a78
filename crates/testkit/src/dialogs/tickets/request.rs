//! A signed request between two applications that share a secret.

use countersign_crypto::entropy::fresh;
use countersign_proto::broker::v2::Credentials;
use countersign_proto::broker::v2::message::Nonce;
use countersign_proto::broker::v2::signature::{self, Fields};
use serde::{Deserialize, Serialize};

use super::TicketInputs;
use crate::dialogs::tape::Tape;

const SIGNED: &[&str] = &["nonce"];
/// The lifetime of a signature, in seconds.
const SIGNATURE: u64 = 30;

/// A request between the applications, with its signature fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct SignedRequest {
    method: String,
    authority: String,
    target: String,
    content: String,
    content_digest: String,
    signature_input: String,
    signature: String,
}

impl SignedRequest {
    pub(super) fn request(&self) -> signature::HttpRequest<'_> {
        signature::HttpRequest {
            method: &self.method,
            authority: &self.authority,
            target: &self.target,
            content: self.content.as_bytes(),
        }
    }

    pub(super) fn fields(&self) -> Fields {
        Fields {
            content_digest: self.content_digest.clone(),
            signature_input: self.signature_input.clone(),
            signature: self.signature.clone(),
        }
    }
}

/// Makes a request that the consumer signs.
pub(super) fn sign(inputs: &TicketInputs, credentials: &Credentials, tape: &mut Tape) -> String {
    tape.purpose("signed request", SIGNED);
    let mut request = SignedRequest {
        method: "POST".to_owned(),
        authority: "ledger.example.org".to_owned(),
        target: "/entries?year=2027".to_owned(),
        content: r#"{"sum":7}"#.to_owned(),
        content_digest: String::new(),
        signature_input: String::new(),
        signature: String::new(),
    };
    let (nonce, now) = (Nonce(fresh(tape)), inputs.now / 1_000);
    let fields = signature::sign(credentials, &request.request(), nonce, now, SIGNATURE).unwrap();
    request.content_digest = fields.content_digest;
    request.signature_input = fields.signature_input;
    request.signature = fields.signature;
    serde_json::to_string(&request).unwrap()
}
