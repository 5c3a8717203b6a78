//! The entity tag that a caller expects of the object of an operation. Over HTTP it is the header `If-Match`; on
//! every channel it can be the parameter `if_match`.

use std::borrow::Cow;

use schemars::Schema;
use serde_json::json;

use super::rest::{Fields, object};
use super::{Entry, Refusal};

/// The parameter of each [revised](Entry::is_revised) operation.
const IF_MATCH: &str = "if_match";

/// Adds the parameter to the schema of the parameters of a revised operation.
pub(super) fn described(mut params: Schema, is_revised: bool) -> Schema {
    if is_revised {
        let properties = params.ensure_object().entry("properties");
        let properties = properties.or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            let described = json!({
                "type": ["string", "null"],
                "description": "Carry the operation out only if its object has this entity tag, the `etag` that \
                    you read. Over HTTP, the header `If-Match` has the same effect.",
            });
            properties.insert(IF_MATCH.to_owned(), described);
        }
    }
    params
}

/// The parameters of an operation without the precondition, and the entity tag that they expect.
///
/// # Errors
/// `invalid_params` if the precondition is no text or is given twice.
pub(super) fn taken<'a>(
    entry: &Entry,
    params: &'a str,
) -> Result<(Cow<'a, str>, Option<String>), Refusal> {
    // Text that is no object is refused by the operation itself, which says where it is wrong.
    let fields = match entry.is_revised() && params.contains(IF_MATCH) {
        true => serde_json::from_str::<Fields>(params).ok(),
        false => None,
    };
    let Some(Fields(fields)) = fields else {
        return Ok((params.into(), None));
    };
    let (expected, rest): (Vec<_>, Vec<_>) =
        fields.into_iter().partition(|(name, _)| name == IF_MATCH);
    let tag = match &expected[..] {
        [] => return Ok((params.into(), None)),
        [(_, tag)] => serde_json::from_str(tag.get())
            .map_err(|_| Refusal::invalid(IF_MATCH, "is not an entity tag, which is text"))?,
        _ => return Err(twice()),
    };
    let rest: Vec<_> = rest
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    Ok((object(&rest)?.get().to_owned().into(), tag))
}

/// The caller expects two entity tags.
pub(super) fn twice() -> Refusal {
    Refusal::invalid(IF_MATCH, "is given twice; give it once")
}
