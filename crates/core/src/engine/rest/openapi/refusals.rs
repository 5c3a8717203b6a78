//! The refusals that a request can get, by their status.

use serde_json::{Map, Value, json};

use super::super::RestRoute;
use crate::engine::Entry;

/// A status of refusals.
struct Status {
    status: u16,
    /// The name of its response in the document.
    name: &'static str,
    /// The stable codes that it comes with, the usual one first.
    codes: &'static [&'static str],
    meaning: &'static str,
    /// The request that gets the example. A test of the site makes these requests.
    of: &'static str,
    /// What happened and what to do, of the example.
    example: [&'static str; 2],
    /// The field that is wrong, of the example.
    field: Option<&'static str>,
    /// Which operations it is for.
    applies: fn(&Request<'_>) -> bool,
}

/// What decides about the refusals of an operation.
struct Request<'a> {
    entry: &'a Entry,
    route: RestRoute,
    /// The parameters that are not in the body, as they are described.
    parameters: &'a [Value],
}

impl Request<'_> {
    fn has_body(&self) -> bool {
        self.route.method.has_body()
    }

    fn has_header(&self, name: &str) -> bool {
        let reference = format!("#/components/parameters/{name}");
        let has = |parameter: &Value| {
            let found = parameter.get("$ref").and_then(Value::as_str);
            found == Some(reference.as_str())
        };
        self.parameters.iter().any(has)
    }

    /// Whether a parameter names something that may not exist.
    fn names_something(&self) -> bool {
        let properties = self.entry.params().get("properties");
        let mut names = properties.and_then(Value::as_object).into_iter().flatten();
        self.route.path.contains('{') || names.any(|(name, _)| NAMING.contains(&name.as_str()))
    }
}

/// The parameters that name an account, an application, a peer or another object.
const NAMING: [&str; 17] = [
    "account", "actor", "alarm", "allow", "app", "dump", "from", "id", "key", "name", "names",
    "peer", "person", "service", "settings", "source", "to",
];

const STATUSES: [Status; 14] = [
    Status {
        status: 400,
        name: "BadRequest",
        codes: &["invalid_params", "invalid_request", "malformed"],
        meaning: "A parameter, or the request itself, is wrong.",
        of: "`GET /persons?limit=0`",
        example: [
            "limit: give a whole number from 1 to 1000, not 0",
            "/api/v1/docs describes the parameters of each path",
        ],
        field: Some("limit"),
        applies: |_| true,
    },
    Status {
        status: 401,
        name: "Unauthorized",
        codes: &["not_authenticated"],
        meaning: "There is no valid credential.",
        of: "`GET /self` with a token that was revoked",
        example: [
            "the credential of this request is not valid",
            "send a valid access token as `Authorization: Bearer cst_…`",
        ],
        field: None,
        applies: |_| true,
    },
    Status {
        status: 403,
        name: "Forbidden",
        codes: &["not_permitted", "tls_required", "sent_by_a_page"],
        meaning: "The role, the credential or the connection does not permit it.",
        of: "`POST /persons` with a token for other operations",
        example: [
            "this access token is not for person.create",
            "create a token that names the operation",
        ],
        field: None,
        applies: |_| true,
    },
    Status {
        status: 404,
        name: "NotFound",
        codes: &["not_found", "unknown_path"],
        meaning: "There is no such object or path, or the caller has no access to it.",
        of: "`GET /persons/nora@example.org`",
        example: [
            "there is no person nora@example.org",
            "check the spelling; `person list` shows the persons that exist",
        ],
        field: Some("name"),
        applies: |request| request.names_something(),
    },
    Status {
        status: 408,
        name: "RequestTimeout",
        codes: &["timeout"],
        meaning: "The body did not arrive in time.",
        of: "`POST /persons` with a body that ends too early",
        example: ["the body did not arrive in time", "send the request again"],
        field: None,
        applies: |request| request.has_body(),
    },
    Status {
        status: 409,
        name: "Conflict",
        codes: &["conflict", "in_progress", "already_done"],
        meaning: "The state of the site does not permit it.",
        of: "`POST /persons` with the name of an account",
        example: [
            "the name is already in use",
            "choose another name; persons and services share one set of names",
        ],
        field: Some("name"),
        applies: |request| request.has_header("IdempotencyKey"),
    },
    Status {
        status: 412,
        name: "PreconditionFailed",
        codes: &["precondition_failed"],
        meaning: "It was changed since the client read it.",
        of: "`PATCH /persons/maria@example.org` with the entity tag of an earlier revision",
        example: [
            "it was changed or replaced meanwhile: its entity tag is 019523d0-5c00-7000-8000-000000000000-4 now",
            "read it again, and decide whether the change is still right",
        ],
        field: None,
        applies: |request| request.has_header("IfMatch"),
    },
    Status {
        status: 413,
        name: "PayloadTooLarge",
        codes: &["too_large"],
        meaning: "The body is too long.",
        of: "`POST /persons` with a body of more than 1 MiB",
        example: [
            "the body has more than 1048576 bytes",
            "send less in one request",
        ],
        field: None,
        applies: |request| request.has_body(),
    },
    Status {
        status: 415,
        name: "UnsupportedMediaType",
        codes: &["unsupported_media_type"],
        meaning: "The body is of another kind, or is encoded.",
        of: "`POST /persons` without `content-type`",
        example: [
            "the body is not declared as JSON",
            "send `content-type: application/json` and no `content-encoding`",
        ],
        field: None,
        applies: |request| request.has_body(),
    },
    Status {
        status: 422,
        name: "KeyReused",
        codes: &["key_reused"],
        meaning: "The idempotency key belongs to another request.",
        of: "`POST /persons` with the key of another request",
        example: [
            "another request has this idempotency key",
            "use a new key for a new request",
        ],
        field: Some("idempotency-key"),
        applies: |request| request.has_header("IdempotencyKey"),
    },
    Status {
        status: 429,
        name: "TooManyRequests",
        codes: &["busy"],
        meaning: "A limit of the account is reached.",
        of: "`GET /self` while other requests of the account run",
        example: [
            "the account has as many requests at a time as `limits.operations_in_flight` permits",
            "repeat the request when another one has ended",
        ],
        field: None,
        applies: |_| true,
    },
    Status {
        status: 431,
        name: "HeadTooLarge",
        codes: &["malformed"],
        meaning: "The head of the request is too long, or has too many fields.",
        of: "`GET /self` with 65 fields",
        example: [
            "the head is too long or has too many fields",
            "send at most 64 fields and 32 KiB",
        ],
        field: None,
        applies: |_| true,
    },
    Status {
        status: 500,
        name: "Internal",
        codes: &["internal"],
        meaning: "A fault of the site. Its log has the id of the request.",
        of: "a request whose operation fails",
        example: [
            "the operation was interrupted",
            "this is a fault of the site; its log may contain details",
        ],
        field: None,
        applies: |_| true,
    },
    Status {
        status: 503,
        name: "Unavailable",
        codes: &["sealed", "lockdown", "busy"],
        meaning: "The site cannot serve the request now.",
        of: "`GET /persons` while the site is sealed",
        example: [
            "the site is sealed, so its key cannot be used",
            "unseal it with `site unseal` at the admin socket",
        ],
        field: None,
        applies: |_| true,
    },
];

/// Adds the refusals of an operation to its responses.
pub(super) fn add(
    responses: &mut Map<String, Value>,
    entry: &Entry,
    route: RestRoute,
    parameters: &[Value],
) {
    let request = Request {
        entry,
        route,
        parameters,
    };
    for status in STATUSES.iter().filter(|one| (one.applies)(&request)) {
        let name = status.name;
        let response = json!({ "$ref": format!("#/components/responses/{name}") });
        responses.insert(status.status.to_string(), response);
    }
}

/// The responses of the document.
pub(super) fn components() -> Map<String, Value> {
    STATUSES
        .iter()
        .map(|status| {
            let codes: Vec<_> = status
                .codes
                .iter()
                .map(|code| format!("`{code}`"))
                .collect();
            let mut headers = json!({ "Request-Id": { "$ref": "#/components/headers/RequestId" } });
            let more = match status.status {
                401 => Some(("WWW-Authenticate", "WwwAuthenticate")),
                409 | 429 | 503 => Some(("Retry-After", "RetryAfter")),
                _ => None,
            };
            if let (Some((field, name)), Some(headers)) = (more, headers.as_object_mut()) {
                let reference = json!({ "$ref": format!("#/components/headers/{name}") });
                headers.insert(field.to_owned(), reference);
            }
            let response = json!({
                "description": format!("{} Codes: {}. The example is of {}.", status.meaning, codes.join(", "), status.of),
                "headers": headers,
                "content": { "application/problem+json": {
                    "schema": { "$ref": "#/components/schemas/Problem" },
                    "example": status.problem(),
                } },
            });
            (status.name.to_owned(), response)
        })
        .collect()
}

impl Status {
    fn problem(&self) -> Value {
        let code = self.codes.first().copied().unwrap_or_default();
        let [detail, hint] = self.example;
        let mut problem = json!({
            "type": format!("urn:countersign:{code}"),
            "title": code.replace('_', " "),
            "status": self.status,
            "code": code,
            "detail": detail,
            "hint": hint,
            "request_id": "0f8fad5bd9cb469fa16570867728950e",
        });
        if let (Some(field), Some(problem)) = (self.field, problem.as_object_mut()) {
            problem.insert("field".to_owned(), field.into());
        }
        problem
    }
}
