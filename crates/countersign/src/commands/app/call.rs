//! `countersign app call`: one HTTP request to a provider, authenticated with a ticket.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use countersign_crypto::party::PartyKey;
use countersign_crypto::rsa::{RsaKey, RsaKeyError, RsaPublicKey};
use countersign_http_auth::{Application, Consumer, ConsumerError, Site, V1Application, V1Site};
use countersign_proto::uri::SiteUri;

use crate::commands::key;
use crate::failure::{Exit, Failure};
use crate::global::Common;
use crate::input::{self, address};
use crate::output::write_bytes;
use crate::secret_input::warn_if_others_can_read;

#[derive(Debug, Args)]
pub(crate) struct Call {
    /// URI of the site where both applications are registered, `countersign://HOST:PORT#SITEKEY`, as
    /// `site status` shows it.
    #[arg(long, env = "COUNTERSIGN_SITE", value_name = "URI")]
    site: SiteUri,
    /// URL of the site's HTTP listener [default: port 4749 of the site's host, over http].
    #[arg(long, env = "COUNTERSIGN_HTTP", value_name = "URL", value_parser = address::http)]
    http: Option<http::Uri>,
    /// Id of the consumer, the application that calls.
    #[arg(long = "as", value_name = "APP")]
    name: String,
    /// Key file of the consumer: for v2 as `key new` writes it, for serveros-v1 RSA in PEM.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Edition of the broker protocol that both applications use.
    #[arg(long, default_value = "v2", value_parser = ["v2", "serveros-v1"])]
    edition: String,
    /// File with the site's public keys for serveros-v1, as `broker show` prints them.
    #[arg(long, value_name = "FILE", required_if_eq("edition", "serveros-v1"))]
    site_public_key: Option<PathBuf>,
    /// Id of the provider, the application that is called; one of a peer as ID@ZONE.
    #[arg(long, value_name = "APP")]
    to: String,
    /// Method of the request.
    #[arg(long, short = 'X', default_value = "GET")]
    method: http::Method,
    /// Sends this file as the content of the request (`-`: standard input).
    #[arg(long, value_name = "FILE")]
    content: Option<PathBuf>,
    /// Header field of the request, such as `accept: application/json`; may be repeated.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = field)]
    fields: Vec<(http::HeaderName, http::HeaderValue)>,
    /// URL of the request.
    #[arg(value_parser = address::http)]
    url: http::Uri,
}

fn field(text: &str) -> Result<(http::HeaderName, http::HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write NAME: VALUE")?;
    let name = name
        .trim()
        .parse()
        .map_err(|_| "invalid name of a header field")?;
    let value = value
        .trim()
        .parse()
        .map_err(|_| "invalid value of a header field")?;
    Ok((name, value))
}

pub(crate) fn call(common: &Common, call: Call) -> Result<(), Failure> {
    let own = match &call.site_public_key {
        Some(site) if call.edition == "serveros-v1" => Own::v1(&call, site)?,
        _ => Own::v2(&call, common)?,
    };
    let sent = call.content.as_deref().map(input::bytes).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failure, "runtime", error))?;
    runtime.block_on(request(call, own, sent))
}

/// The consumer, by its edition.
enum Own {
    V2(Application),
    /// With the site's public keys.
    V1(V1Application, Vec<RsaPublicKey>),
}

impl Own {
    fn v2(call: &Call, common: &Common) -> Result<Self, Failure> {
        warn_if_others_can_read(&call.key);
        // Read the file once: it may be standard input or a pipe.
        let pem = input::text(&call.key)?;
        if RsaKey::from_pem(&pem.clone().into()).is_ok() {
            return Err(Failure::usage(format!(
                "{} is an RSA key, which applications of serveros-v1 have: pass --edition serveros-v1 and \
                 --site-public-key",
                call.key.display()
            )));
        }
        let identity = key::opened(&pem, &call.key, common)?;
        Ok(Self::V2(Application {
            id: call.name.clone(),
            keys: vec![PartyKey::new(Arc::new(identity))],
        }))
    }

    fn v1(call: &Call, site: &Path) -> Result<Self, Failure> {
        let text = input::text(site)?;
        // `broker show` also prints the key for v2, which has another PEM label and is skipped.
        let keys = text
            .match_indices(PUBLIC_KEY)
            .filter_map(|(at, _)| text.get(at..));
        let keys = keys.map(|from| match from.find(END) {
            Some(end) => RsaPublicKey::from_pem(from.get(..end + END.len()).unwrap_or(from)),
            None => RsaPublicKey::from_pem(from),
        });
        let keys: Vec<RsaPublicKey> = keys
            .collect::<Result<_, _>>()
            .map_err(|error| bad_key(site, &error))?;
        let own = V1Application {
            id: call.name.clone(),
            keys: vec![rsa_key(&call.key)?],
        };
        Ok(Self::V1(own, keys))
    }
}

const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

fn rsa_key(file: &Path) -> Result<RsaKey, Failure> {
    let pem = input::text(file)?;
    RsaKey::from_pem(&pem.into()).map_err(|error| bad_key(file, &error))
}

fn bad_key(file: &Path, error: &RsaKeyError) -> Failure {
    let text = format_args!("{}: {error}", file.display());
    Failure::new(Exit::Failure, "key_file", text)
}

async fn request(call: Call, own: Own, sent: Option<Vec<u8>>) -> Result<(), Failure> {
    let http = match call.http {
        Some(http) => http,
        None => usual(&call.site)?,
    };
    let provider = origin(&call.url)?;
    let client = match own {
        Own::V2(own) => {
            let site = Site::ask(http, call.site.site_key())
                .await
                .map_err(|error| Failure::new(Exit::Unreachable, "site", error))?;
            let consumer = Consumer::builder(own, site).calls(&call.to, provider);
            let consumer = consumer.build();
            consumer
                .map_err(|error| Failure::usage(error.to_string()))?
                .client()
        }
        Own::V1(own, keys) => {
            let site = V1Site { url: http, keys };
            let consumer = Consumer::builder(own, site).calls(&call.to, provider);
            let consumer = consumer.build();
            consumer
                .map_err(|error| Failure::usage(error.to_string()))?
                .client()
        }
    };
    let client = client.map_err(|error| Failure::new(Exit::Failure, "http", error))?;
    let mut request = client.request(call.method, call.url.to_string());
    for (name, value) in call.fields {
        request = request.header(name, value);
    }
    if let Some(sent) = sent {
        request = request.body(sent);
    }
    let sent = request.send().await;
    let mut answer = sent.map_err(|error| match ConsumerError::of(&error) {
        Some(error) => refused(error),
        None => Failure::new(Exit::Unreachable, "http", error),
    })?;
    let status = answer.status();
    while let Some(piece) = answer
        .chunk()
        .await
        .map_err(|error| Failure::new(Exit::Unreachable, "http", error.without_url()))?
    {
        write_bytes(&piece)?;
    }
    match status.is_success() {
        true => Ok(()),
        false => Err(Failure::new(
            Exit::Failure,
            "status",
            format_args!("{} answered {status}", call.to),
        )),
    }
}

/// The failure of a consumer that could not send the request.
fn refused(error: &ConsumerError) -> Failure {
    let exit = match error {
        // The policy of the site: this consumer may not call this provider.
        ConsumerError::Refused { status: 403, .. } => Exit::Refused,
        // The site of the provider does not answer, or this one is busy.
        ConsumerError::Refused { status: 503, .. } => Exit::Unreachable,
        ConsumerError::Refused { .. } | ConsumerError::FailedVerification(_) => {
            Exit::NotAuthenticated
        }
        ConsumerError::Unreachable { .. } | ConsumerError::Timeout(_) => Exit::Unreachable,
        _ => Exit::Failure,
    };
    Failure::new(exit, "broker", error)
}

/// Port 4749 of the site's host.
fn usual(site: &SiteUri) -> Result<http::Uri, Failure> {
    let address = site.address();
    let host = address
        .rsplit_once(':')
        .map_or(address.as_str(), |(host, _)| host);
    let url = format!("http://{host}:4749");
    url.parse()
        .map_err(|_| Failure::usage(format!("{url} is not a URL")))
}

/// The scheme, host and port of a URL.
fn origin(url: &http::Uri) -> Result<http::Uri, Failure> {
    let mut parts = url.clone().into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    http::Uri::from_parts(parts).map_err(|_| {
        Failure::usage(format!(
            "{url} is not a URL; write it as in http://host/path"
        ))
    })
}
