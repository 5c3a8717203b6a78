//! The site's lines: a challenge, and the reply that the pass phrase is set.

use serde::{Deserialize, Serialize};

use crate::json;
use crate::name::AccountName;
use crate::site_identity::SiteId;
use crate::uri::SiteUri;

/// The longest line of the site, in bytes with its line end.
pub const MAX_ANSWER: usize = 8 * 1024;
/// The greatest length of an OPAQUE registration response in bytes. One has 64; the rest is room
/// for other suites.
const MAX_OPAQUE_RESPONSE: usize = 4_096;

/// The site accepted token, id and proof: stretch the pass phrase and send the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationChallenge {
    /// The OPAQUE registration response.
    pub response: Vec<u8>,
    /// The site's id, which is OPAQUE's server identity. There is no client identity.
    pub site: SiteId,
}

/// The pass phrase is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationReply {
    /// The account's full name.
    pub id: AccountName,
    /// Where the person logs in; `None` if the site serves no sessions.
    pub site: Option<SiteUri>,
    /// The pass phrase was set by an earlier request with the same key.
    pub repeated: bool,
}

/// A line of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrationAnswer {
    /// The first answer to a request.
    Challenge(RegistrationChallenge),
    /// The answer to a record, and to a repeated request.
    Reply(RegistrationReply),
}

/// The members of a challenge. A client ignores those that it does not know.
#[derive(Serialize, Deserialize)]
struct ChallengeForm {
    #[serde(serialize_with = "json::serialize")]
    #[serde(deserialize_with = "json::deserialize::<MAX_OPAQUE_RESPONSE, _>")]
    response: Vec<u8>,
    #[serde(serialize_with = "json::serialize", deserialize_with = "json::array")]
    site_id: [u8; 32],
}

/// The members of a reply. A client ignores those that it does not know.
#[derive(Serialize, Deserialize)]
struct ReplyForm {
    ok: bool,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    site: Option<String>,
    #[serde(default)]
    repeated: bool,
}

/// Why a line is no answer. The fault is with the site.
#[derive(Debug, thiserror::Error)]
pub enum BadAnswer {
    /// More than [`MAX_ANSWER`] bytes.
    #[error("the site's answer is too long")]
    TooLong,
    /// It is not JSON of the right members.
    #[error("the site's answer cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// `ok` is `false`, or a name or address is none.
    #[error("the site's answer has no valid member `{0}`")]
    Member(&'static str),
}

impl RegistrationAnswer {
    /// Reads the line, with or without its line end.
    ///
    /// # Errors
    /// [`BadAnswer`].
    pub fn read(line: &[u8]) -> Result<Self, BadAnswer> {
        if line.len() > MAX_ANSWER {
            return Err(BadAnswer::TooLong);
        }
        if let Ok(form) = json::read::<ChallengeForm>(line) {
            return Ok(Self::Challenge(RegistrationChallenge::of(form)));
        }
        let form: ReplyForm = json::read(line)?;
        if !form.ok {
            return Err(BadAnswer::Member("ok"));
        }
        let site = form.site.map(|site| site.parse()).transpose();
        Ok(Self::Reply(RegistrationReply {
            id: form.id.parse().map_err(|_| BadAnswer::Member("id"))?,
            site: site.map_err(|_| BadAnswer::Member("site"))?,
            repeated: form.repeated,
        }))
    }
}

impl RegistrationChallenge {
    fn of(form: ChallengeForm) -> Self {
        Self {
            response: form.response,
            site: SiteId(form.site_id),
        }
    }

    /// The line with its line end.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        line(&ChallengeForm {
            response: self.response.clone(),
            site_id: self.site.0,
        })
    }
}

impl RegistrationReply {
    /// The line with its line end.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        line(&ReplyForm {
            ok: true,
            id: self.id.to_string(),
            site: self.site.as_ref().map(ToString::to_string),
            repeated: self.repeated,
        })
    }
}

fn line(form: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(form).unwrap_or_default();
    line.push(b'\n');
    line
}
