//! What the API serves without a credential: its description, and a page for readers. Both follow
//! from the table of operations and contain nothing about the site's accounts.

mod page;

use bytes::Bytes;
use countersign_core::engine::{Table, rest};
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};

use super::super::body::ReplyBody;
use super::super::reply::Reply;
use crate::console_files::entity_tag;

/// The page has its style in a file of its own, and no scripts.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// A document with its entity tag.
pub(super) struct Document {
    kind: &'static str,
    bytes: Bytes,
    tag: HeaderValue,
}

/// All documents.
pub(super) struct Documents {
    openapi: Document,
    page: Document,
    style: Document,
}

impl Documents {
    pub(super) fn of(table: &Table) -> Self {
        let document = rest::document(table);
        let text = serde_json::to_string(&document).unwrap_or_default();
        Self {
            openapi: Document::new("application/json; charset=utf-8", text),
            page: Document::new("text/html; charset=utf-8", page::html(&document, table)),
            style: Document::new("text/css; charset=utf-8", page::STYLE.to_owned()),
        }
    }

    /// The document with this path below the API's own.
    pub(super) fn find(&self, path: &str) -> Option<&Document> {
        match path {
            "/openapi.json" => Some(&self.openapi),
            "/docs" => Some(&self.page),
            "/docs/style.css" => Some(&self.style),
            _ => None,
        }
    }
}

impl Document {
    fn new(kind: &'static str, text: String) -> Self {
        Self {
            kind,
            tag: entity_tag::of(text.as_bytes()),
            bytes: Bytes::from(text),
        }
    }

    /// The response to a request for it; without a body if the client has it.
    pub(super) fn reply(&self, request: &HeaderMap) -> Reply {
        let is_known = entity_tag::is_known(request, &self.tag);
        let body = match is_known {
            true => ReplyBody::default(),
            false => ReplyBody::from(self.bytes.clone()),
        };
        let mut reply = Reply::new(body);
        if is_known {
            *reply.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let fields = reply.headers_mut();
        fields.insert(ETAG, self.tag.clone());
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if !is_known {
            fields.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        }
        fields.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        let nosniff = HeaderValue::from_static("nosniff");
        fields.insert(X_CONTENT_TYPE_OPTIONS, nosniff);
        reply
    }
}
