//! The webhook for short texts (`docs/protocol/alarms.md`).

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::engine::DueDelivery;
use countersign_core::timestamp::Timestamp;
use countersign_crypto::secret::Passphrase;
use countersign_proto::webhook::{
    BodyTemplate, ID_HEADER, IDEMPOTENCY_HEADER, MAX_REPLY_BYTES, SIGNATURE_HEADER, SigningKey,
    TIMESTAMP_HEADER, Values, Verdict, excerpt, retry_after, verdict,
};
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, Url};

use super::{Attempt, BadChannel, check_certificates, is_loopback, redaction};

/// The most headers that a configuration adds to a request.
pub const MAX_HEADERS: usize = 16;
/// The greatest length of the URL, in bytes.
const MAX_URL_BYTES: usize = 2_000;
/// Headers that the site writes itself, or that decide how a request is read.
const RESERVED: [&str; 11] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    IDEMPOTENCY_HEADER,
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    "transfer-encoding",
    "upgrade",
];

/// The settings of a webhook.
#[derive(Debug, Clone)]
pub struct WebhookReceiver {
    /// Where requests go: `https://…`, or `http://…` to this machine.
    pub url: String,
    /// Whether `http://` is allowed to another machine.
    pub allow_plaintext: bool,
    /// Further headers, by name.
    pub headers: Vec<(String, String)>,
    /// The value of the header `Authorization`.
    pub authorization: Option<Passphrase>,
    /// The body.
    pub body: BodyTemplate,
    /// The key that signs requests; without it they are not signed.
    pub key: Option<SigningKey>,
    /// Certificates in PEM that are trusted besides those of the system.
    pub ca: Option<Vec<u8>>,
    /// How long sending one message may take.
    pub timeout: Duration,
}

/// A webhook whose settings have been checked.
#[derive(Clone)]
pub struct Webhook(Arc<Inner>);

struct Inner {
    receiver: WebhookReceiver,
    url: Url,
    headers: HeaderMap,
    client: Client,
}

impl Webhook {
    /// Checks the settings. Does not connect.
    ///
    /// # Errors
    /// [`BadChannel`] names the setting.
    pub fn new(receiver: WebhookReceiver) -> Result<Self, BadChannel> {
        let url = url(&receiver)?;
        let headers = headers(&receiver)?;
        let mut client = Client::builder()
            // The signature is for this URL alone.
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .timeout(receiver.timeout)
            // Shorter, so that a receiver that cannot be reached is told from one that hangs.
            .connect_timeout(receiver.timeout / 2)
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &receiver.ca {
            check_certificates(pem)?;
            let roots = Certificate::from_pem_bundle(pem);
            let roots = roots.map_err(|error| BadChannel::new("ca_file", error))?;
            client = client.tls_certs_merge(roots);
        }
        let client = client.build();
        let client = client.map_err(|error| BadChannel::new("url", causes(&error)))?;
        Ok(Self(Arc::new(Inner {
            receiver,
            url,
            headers,
            client,
        })))
    }

    /// Sends a message.
    pub(super) async fn send(&self, due: &DueDelivery, site: &str, now: Timestamp) -> Attempt {
        let hook = &*self.0;
        // A full stop separates the parts of what is signed.
        let id = due.idempotency_key.replace('.', "_");
        let body = hook.receiver.body.fill(&Values {
            to: &due.address,
            text: &due.message.short,
            subject: &due.message.subject,
            severity: due.severity.as_str(),
            name: &due.name,
            site,
            id: &id,
        });
        let now_s = now.millis().div_euclid(1_000);
        let mut request = hook
            .client
            .post(hook.url.clone())
            .headers(hook.headers.clone())
            .header(CONTENT_TYPE, hook.receiver.body.content_type())
            .header(ID_HEADER, &id)
            .header(IDEMPOTENCY_HEADER, &id)
            .header(TIMESTAMP_HEADER, now_s.to_string());
        if let Some(key) = &hook.receiver.key {
            request = request.header(SIGNATURE_HEADER, key.sign(&id, now_s, body.as_bytes()));
        }
        match request.body(body).send().await {
            Ok(response) => hook.concluded(response, now_s).await,
            Err(error) => {
                let was_reached = !error.is_connect();
                let error = format!("the webhook: {}", causes(&error.without_url()));
                match was_reached {
                    true => Attempt::Unanswered { error },
                    false => Attempt::Unreachable { error },
                }
            }
        }
    }
}

impl Inner {
    async fn concluded(&self, mut response: Response, now_s: i64) -> Attempt {
        let status = response.status().as_u16();
        let wait = response.headers().get(RETRY_AFTER);
        let now_s = u64::try_from(now_s).unwrap_or_default();
        let wait = wait.and_then(|value| retry_after(value.as_bytes(), now_s));
        let verdict = verdict(status);
        if verdict == Verdict::Accepted {
            return Attempt::Sent;
        }
        let body = read(&mut response).await;
        // A secret that is cut would not be found, so it is removed before the cut. The cut text has one space
        // in place of any white space, so it is searched again.
        let body = match excerpt(&body).is_empty() {
            true => String::new(),
            false => self.without_secret(&String::from_utf8_lossy(&body)),
        };
        let error = match (status, excerpt(body.as_bytes())) {
            (300..=399, _) => format!(
                "the webhook replied {status}, a redirect, which is not followed; set webhook.url to the new address"
            ),
            (_, excerpt) if excerpt.is_empty() => format!("the webhook replied {status}"),
            (_, excerpt) => format!("the webhook replied {status}: {excerpt}"),
        };
        let error = self.without_secret(&error);
        match verdict {
            Verdict::Rejected => Attempt::Rejected { error },
            Verdict::Refused => Attempt::Refused {
                error,
                retry_after_s: wait,
            },
            Verdict::Unauthorized => Attempt::Unanswered { error },
            Verdict::Accepted | Verdict::Retry => Attempt::Retry {
                error,
                retry_after_s: wait,
            },
        }
    }

    /// A text of the receiver without the value of `Authorization`.
    fn without_secret(&self, text: &str) -> String {
        match &self.receiver.authorization {
            Some(secret) => redaction::without(text, "", secret),
            None => text.to_owned(),
        }
    }
}

/// The beginning of a reply's body. What cannot be read is left out: the status has decided already.
async fn read(response: &mut Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < MAX_REPLY_BYTES {
        let Ok(Some(chunk)) = response.chunk().await else {
            break;
        };
        let room = MAX_REPLY_BYTES.saturating_sub(body.len());
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
    }
    body
}

fn url(receiver: &WebhookReceiver) -> Result<Url, BadChannel> {
    let bad = |problem: &str| BadChannel::new("url", problem);
    if receiver.url.len() > MAX_URL_BYTES {
        return Err(bad("it is longer than 2,000 bytes"));
    }
    let url = Url::parse(&receiver.url);
    let url =
        url.map_err(|error| bad(&format!("{error}; write it like https://sms.example/send")))?;
    let host = url.host_str().unwrap_or_default();
    match url.scheme() {
        "https" => {}
        "http" if receiver.allow_plaintext || is_loopback(host) => {}
        "http" => {
            return Err(bad(
                "texts and telephone numbers would cross the network unencrypted; use https://, \
                 or set `allow_plaintext`",
            ));
        }
        _ => return Err(bad("it must begin with https://")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad(
            "it must not contain a user name or a password; use `authorization_file`",
        ));
    }
    Ok(url)
}

fn headers(receiver: &WebhookReceiver) -> Result<HeaderMap, BadChannel> {
    let bad = |problem: String| BadChannel::new("headers", problem);
    if receiver.headers.len() > MAX_HEADERS {
        return Err(bad(format!("there are more than {MAX_HEADERS}")));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &receiver.headers {
        let lower = name.to_ascii_lowercase();
        if lower == "authorization" {
            return Err(bad(
                "put the value of Authorization into a file and name it in `authorization_file`"
                    .to_owned(),
            ));
        }
        if RESERVED.contains(&lower.as_str()) {
            return Err(bad(format!("{name} is written by the site itself")));
        }
        let parsed = HeaderName::from_bytes(lower.as_bytes());
        let parsed = parsed.map_err(|_| bad(format!("{name:?} is not a header name")))?;
        let value = HeaderValue::from_str(value);
        let value =
            value.map_err(|_| bad(format!("the value of {name} has control characters")))?;
        headers.insert(parsed, value);
    }
    if let Some(secret) = &receiver.authorization {
        let value = HeaderValue::from_bytes(secret.as_bytes()).map_err(|_| {
            BadChannel::new("authorization_file", "the file must have one line of text")
        })?;
        headers.insert(AUTHORIZATION, sensitive(value));
    }
    Ok(headers)
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// An error and its causes in one line; the causes say whether a name, a port or a certificate is wrong.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Webhook").field(&self.0.receiver).finish()
    }
}

#[cfg(test)]
mod tests {
    use countersign_proto::webhook::BodyFormat;

    use super::*;

    fn receiver(url: &str) -> WebhookReceiver {
        let format = BodyFormat::Json;
        WebhookReceiver {
            url: url.to_owned(),
            allow_plaintext: false,
            headers: Vec::new(),
            authorization: None,
            body: BodyTemplate::parse(format, format.usual_template()).unwrap(),
            key: None,
            ca: None,
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_url_is_encrypted_or_leads_to_this_machine() {
        for good in [
            "https://sms.example/send?a=b",
            "http://127.0.0.1:80/",
            "http://localhost",
        ] {
            assert!(Webhook::new(receiver(good)).is_ok(), "{good}");
        }
        for bad in [
            "http://sms.example/",
            "ftp://sms.example/",
            "https://user@sms.example/",
            "https://:word@sms.example/",
            "file:///etc/passwd",
            "sms.example",
            "https://",
            "",
        ] {
            let refused = Webhook::new(receiver(bad)).unwrap_err();
            assert_eq!(refused.setting, "url", "{bad}");
        }
        let mut allowed = receiver("http://sms.example/");
        allowed.allow_plaintext = true;
        assert!(Webhook::new(allowed).is_ok());
    }

    #[test]
    fn headers_that_the_site_writes_cannot_be_configured() {
        let with = |name: &str, value: &str| {
            let mut receiver = receiver("https://sms.example/");
            receiver.headers = vec![(name.to_owned(), value.to_owned())];
            Webhook::new(receiver)
        };
        assert!(with("X-Team", "night").is_ok());
        for name in RESERVED {
            let refused = with(&name.to_ascii_uppercase(), "x").unwrap_err();
            assert_eq!(refused.setting, "headers", "{name}");
        }
        for (name, value) in [("X Team", "a"), ("", "a"), ("X-Team", "a\r\nHost: b")] {
            assert!(with(name, value).is_err(), "{name:?}");
        }
        let mut many = receiver("https://sms.example/");
        let header = |number: usize| (format!("x-{number}"), String::new());
        many.headers = (0..MAX_HEADERS).map(header).collect();
        assert!(Webhook::new(many.clone()).is_ok());
        many.headers.push(header(MAX_HEADERS));
        assert!(Webhook::new(many).is_err());
    }

    #[test]
    fn no_secret_is_printed() {
        let mut receiver = receiver("https://sms.example/");
        receiver.authorization = Some(Passphrase::from("Bearer open-sesame".to_owned()));
        let shown = format!("{:?}", Webhook::new(receiver).unwrap());
        assert!(!shown.contains("sesame"), "{shown}");
    }
}
