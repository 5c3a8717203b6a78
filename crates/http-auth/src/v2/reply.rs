//! Rejections of edition v2, in the format `application/problem+json`.

use countersign_proto::broker::v2::Refusal;
use countersign_proto::broker::v2::signature::SignatureError;
use countersign_proto::problem::MEDIA_TYPE;
use http::StatusCode;

use crate::provider::{Rejection, Reply};
use crate::refusal::challenge;

impl Rejection for Refusal {
    const ACCEPTED: &'static str = "application/json";
    const PROBLEM: &'static str = MEDIA_TYPE;
    const UNREADABLE: Self = Self::NotVerified;
    const UNVERIFIED: Self = Self::NotVerified;
    const REPLAYED: Self = Self::Replayed;

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(Self::status(*self)).unwrap_or(StatusCode::UNAUTHORIZED)
    }

    fn body(&self) -> String {
        Self::body(*self)
    }

    fn challenge(&self) -> Option<String> {
        (Rejection::status(self) == StatusCode::UNAUTHORIZED).then(|| challenge(*self))
    }

    fn problem(status: StatusCode, code: &str, title: &str) -> String {
        serde_json::json!({
            "type": format!("urn:countersign:broker:{code}"),
            "title": title,
            "status": status.as_u16(),
            "code": code,
        })
        .to_string()
    }
}

impl From<SignatureError> for Reply<Refusal> {
    fn from(error: SignatureError) -> Self {
        Self::Rejected(match error {
            SignatureError::Fields | SignatureError::NotVerified => Refusal::NotVerified,
            SignatureError::Clock => Refusal::Clock,
            SignatureError::Expired => Refusal::Expired,
        })
    }
}
