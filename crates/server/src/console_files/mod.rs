//! The files of the console in memory, with what a server sends with each of them.

pub(crate) mod entity_tag;

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use countersign_core::engine::rest;
use countersign_crypto::hash::sha256;
use data_encoding::HEXLOWER;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, VARY,
};
use hyper::{Response, StatusCode};
use serde::Deserialize;

/// The name of the page.
const PAGE: &str = "index.html";
/// A file with a digest in its name never changes.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// The page names the files of one build, so a browser asks each time whether it has changed.
const REVALIDATED: HeaderValue = HeaderValue::from_static("no-cache");
/// The content codings that the build of the console compresses with, smallest result first, and the extensions
/// of their files. Browsers ask for Brotli over TLS and on this machine.
const CODINGS: [(&str, &str); 2] = [("br", "br"), ("gzip", "gz")];
/// The policy of the page that says that there is no console.
const BARE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// The page of a program without the console.
const NOT_BUILT: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <meta name=\"color-scheme\" content=\"light dark\">\n\
    <title>No console</title>\n<h1>This program has no console</h1>\n\
    <p>It was built without the files of the web console. To build them in, run\n\
    <code>scripts/build-web</code> and <code>npm run build --prefix console</code> in the sources,\n\
    which need Node, and then <code>cargo build</code> again. <code>scripts/start</code> does all of it.\n\
    <p>The command line and the API do not need the console. <code>listen.console = false</code> in\n\
    <code>countersign.toml</code> removes this page.\n";

/// The files of the web console.
///
/// They come from `console/dist`, which the build of the console writes.
#[derive(Debug)]
pub struct ConsoleFiles {
    /// What is sent with each file.
    headers: HeaderMap,
    files: HashMap<&'static str, File>,
    is_built: bool,
    is_for_dev: bool,
}

/// Why files are not those of a console.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadConsole {
    /// `manifest.json` is missing or has another form.
    #[error("the manifest of the console: {0}")]
    Manifest(String),
    /// A file in the manifest is missing, or has another digest there.
    #[error("{0} is not the file that the manifest of the console names; build the console again")]
    File(String),
    /// A file has an extension whose media type is not known.
    #[error("{0}: no media type is known for this extension")]
    MediaType(String),
}

/// What the build of the console says of its files.
#[derive(Deserialize)]
struct Manifest {
    headers: BTreeMap<String, String>,
    files: BTreeMap<String, Listed>,
}

#[derive(Deserialize)]
struct Listed {
    sha256: String,
    immutable: bool,
}

#[derive(Debug)]
struct File {
    kind: HeaderValue,
    cache: HeaderValue,
    plain: Form,
    /// The compressed forms with the name of their coding, in the order of preference.
    compressed: Vec<(&'static str, Form)>,
}

/// The bytes of a file in one encoding, and their entity tag.
#[derive(Debug)]
struct Form {
    bytes: Bytes,
    tag: HeaderValue,
}

impl ConsoleFiles {
    /// The files of a built console, by name: `manifest.json`, the files that it names, and, for each of
    /// them, optionally `NAME.br` and `NAME.gz`, its compressed forms.
    ///
    /// # Errors
    /// [`BadConsole`] if a file is missing or differs from the manifest.
    pub fn built(files: &[(&'static str, &'static [u8])]) -> Result<Self, BadConsole> {
        let bytes_of = |wanted: &str| {
            let mut found = files.iter().filter(|(name, _)| *name == wanted);
            found.next().copied()
        };
        let (_, manifest) = bytes_of("manifest.json")
            .ok_or_else(|| BadConsole::Manifest("it is missing".to_owned()))?;
        let manifest: Manifest = serde_json::from_slice(manifest)
            .map_err(|error| BadConsole::Manifest(error.to_string()))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &manifest.headers {
            let name = name.parse::<HeaderName>();
            let value = value.parse::<HeaderValue>();
            match (name, value) {
                (Ok(name), Ok(value)) => headers.insert(name, value),
                _ => return Err(BadConsole::Manifest("it has a malformed header".to_owned())),
            };
        }
        let mut own = HashMap::new();
        for (name, listed) in &manifest.files {
            let (name, bytes) = bytes_of(name)
                .filter(|(_, bytes)| HEXLOWER.encode(&sha256(bytes)) == listed.sha256)
                .ok_or_else(|| BadConsole::File(name.clone()))?;
            let compressed = CODINGS.iter().filter_map(|(coding, extension)| {
                let (_, bytes) = bytes_of(&format!("{name}.{extension}"))?;
                Some((*coding, Form::of(bytes)))
            });
            let file = File {
                kind: media_type(name).ok_or_else(|| BadConsole::MediaType(name.to_owned()))?,
                cache: match listed.immutable {
                    true => IMMUTABLE,
                    false => REVALIDATED,
                },
                plain: Form::of(bytes),
                compressed: compressed.collect(),
            };
            own.insert(name, file);
        }
        if !own.contains_key(PAGE) {
            return Err(BadConsole::File(PAGE.to_owned()));
        }
        Ok(Self {
            headers,
            files: own,
            is_built: true,
            is_for_dev: false,
        })
    }

    /// A page that says that the program was built without the console, and how to build it.
    #[must_use]
    pub fn not_built() -> Self {
        let page = File {
            kind: HeaderValue::from_static("text/html; charset=utf-8"),
            cache: REVALIDATED,
            plain: Form::of(NOT_BUILT.as_bytes()),
            compressed: Vec::new(),
        };
        let mut headers = HeaderMap::new();
        headers.insert(hyper::header::CONTENT_SECURITY_POLICY, BARE_POLICY);
        Self {
            headers,
            files: HashMap::from([(PAGE, page)]),
            is_built: false,
            is_for_dev: false,
        }
    }

    /// The same files for a temporary site: its page logs in with a link that contains the pass phrase. No other
    /// site has such links, because an attacker could log a person in to an account of the attacker.
    #[must_use]
    pub fn for_dev(self) -> Self {
        Self {
            is_for_dev: true,
            ..self
        }
    }

    pub(crate) const fn is_for_dev(&self) -> bool {
        self.is_for_dev
    }

    /// Whether the program was built with the console.
    #[must_use]
    pub const fn is_built(&self) -> bool {
        self.is_built
    }

    /// The response to a request for a file; the empty name is the page. `None` if there is none of this name:
    /// a name is looked up as it is written, so that `..` and escapes mean nothing.
    pub(crate) fn answer(&self, name: &str, asked: &HeaderMap) -> Option<Response<Bytes>> {
        let file = match name {
            "" => self.files.get(PAGE),
            name => self.files.get(name),
        }?;
        let mut compressed = file.compressed.iter();
        let compressed = compressed.find(|(coding, _)| accepts(asked, coding));
        let form = compressed.map_or(&file.plain, |(_, form)| form);
        let mut reply = match entity_tag::is_known(asked, &form.tag) {
            true => with_status(StatusCode::NOT_MODIFIED, Bytes::new()),
            false if self.is_built => with_status(StatusCode::OK, form.bytes.clone()),
            false => with_status(StatusCode::NOT_FOUND, form.bytes.clone()),
        };
        let fields = reply.headers_mut();
        fields.extend(self.headers.clone());
        fields.insert(ETAG, form.tag.clone());
        fields.insert(CACHE_CONTROL, file.cache.clone());
        fields.insert(CONTENT_TYPE, file.kind.clone());
        if !file.compressed.is_empty() {
            fields.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        if let Some((coding, _)) = compressed {
            fields.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        Some(reply)
    }

    /// The response with what the page learns of its site.
    pub(crate) fn site(&self, text: String) -> Response<Bytes> {
        let mut reply = with_status(StatusCode::OK, Bytes::from(text));
        let fields = reply.headers_mut();
        fields.extend(self.headers.clone());
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        reply
    }
}

impl Form {
    fn of(bytes: &'static [u8]) -> Self {
        Self {
            bytes: Bytes::from_static(bytes),
            tag: entity_tag::of(bytes),
        }
    }
}

fn with_status(status: StatusCode, bytes: Bytes) -> Response<Bytes> {
    let mut reply = Response::new(bytes);
    *reply.status_mut() = status;
    reply
}

fn media_type(name: &str) -> Option<HeaderValue> {
    let (_, extension) = name.rsplit_once('.')?;
    Some(HeaderValue::from_static(match extension {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "wasm" => "application/wasm",
        _ => return None,
    }))
}

/// Whether the client accepts a content coding (RFC 9110, section 12.5.3). `*` alone does not say so.
fn accepts(asked: &HeaderMap, wanted: &str) -> bool {
    let lines = asked.get_all(ACCEPT_ENCODING).into_iter();
    let mut lines = lines.filter_map(|line| line.to_str().ok());
    lines.any(|line| rest::accepts(line, wanted))
}
