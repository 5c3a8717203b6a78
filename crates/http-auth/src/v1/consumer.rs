//! The consumer of edition v1.

use bytes::Bytes;
use countersign_crypto::entropy::{SystemEntropy, fresh};
use countersign_crypto::legacy::Cipher;
use countersign_crypto::party::PartyPublic;
use countersign_crypto::rsa::{RsaHash, RsaKey, RsaPublicKey};
use countersign_proto::broker::v1::consumer::{
    ResponseAction, V1Consumer as Parties, V1ConsumerError as Trouble, V1IssuedTicket,
    V1PendingPresentation,
};
use countersign_proto::broker::v1::hawk::{self, HawkRequest};
use countersign_proto::broker::v1::site::V1Credentials;
use countersign_proto::broker::v2::Refusal;
use data_encoding::HEXLOWER;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{MAX_MESSAGE, V1, V1Application, V1Site};
use crate::consumer::{
    Consumer, ConsumerBuilder, ConsumerEdition, ConsumerError, Expires, Outgoing, Responder,
    RetryReason, SharedConsumer, Target, Transport,
};
use crate::origin::{self, Origin, WrongAddress};

/// Length of a nonce in bytes. It is sent in hexadecimal, which needs no escaping.
const NONCE: usize = 12;

/// Why a consumer of edition v1 cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum V1BuildError {
    /// An address is invalid.
    #[error(transparent)]
    Address(#[from] WrongAddress),
    /// No hash for signing ticket requests, or none that Hawk supports.
    #[error(
        "these hashes do not suffice: ticket requests are signed with sha256, sha384 or sha512, and requests to a \
         provider with sha256 or sha1; add sha256"
    )]
    Hashes,
    /// No cipher is given.
    #[error("no cipher is given: name one, as in aes-256-cbc")]
    Ciphers,
    /// A key of the application or of the site is missing.
    #[error("a key is missing: give this application's private key and the site's public key")]
    Keys,
}

impl Consumer<V1> {
    /// Replaces this application's keys and the site's, each list with the newest first.
    pub fn set_keys(&self, keys: Vec<RsaKey>, site: Vec<RsaPublicKey>) {
        self.change(|parties| Parties {
            id: parties.id.clone(),
            keys,
            site_keys: site,
            ciphers: parties.ciphers.clone(),
            hashes: parties.hashes.clone(),
        });
    }
}

impl ConsumerBuilder<V1> {
    /// Accepted ciphers, the preferred one first: all of [`Cipher::ALL`] by default. The consumer
    /// requests tickets with the first, and with another one if the site does not support it.
    #[must_use]
    pub fn ciphers(mut self, ciphers: &[Cipher]) -> Self {
        self.parties.ciphers = ciphers.to_vec();
        self
    }

    /// Accepted hashes, the preferred one first: SHA-256 only by default. The consumer requests
    /// tickets with the first, and with another one if the site does not support it. Requests are
    /// signed with SHA-256 or SHA-1, so one of these has to be in the list. Nothing else is signed
    /// with SHA-1.
    #[must_use]
    pub fn hashes(mut self, hashes: &[RsaHash]) -> Self {
        self.parties.hashes = hashes.to_vec();
        self
    }
}

impl Expires for V1Credentials {
    fn expires(&self) -> u64 {
        self.expires
    }
}

impl ConsumerEdition for V1 {
    type Parties = Parties;
    type Credentials = V1Credentials;
    type Granted = Box<V1IssuedTicket>;
    type Presenting = V1PendingPresentation;
    type BuildError = V1BuildError;

    fn parties(application: V1Application, site: V1Site) -> (Parties, Uri) {
        let parties = Parties {
            id: application.id,
            keys: application.keys,
            site_keys: site.keys,
            ciphers: Cipher::ALL.to_vec(),
            hashes: vec![RsaHash::Sha256],
        };
        (parties, site.url)
    }

    fn id(parties: &Parties) -> &str {
        &parties.id
    }

    fn check(parties: &Parties) -> Result<(), V1BuildError> {
        let has = |use_of: fn(RsaHash) -> bool| parties.hashes.iter().any(|hash| use_of(*hash));
        if !has(RsaHash::signs) || !has(hawk::supports) {
            return Err(V1BuildError::Hashes);
        }
        if parties.ciphers.is_empty() {
            return Err(V1BuildError::Ciphers);
        }
        if parties.keys.is_empty() || parties.site_keys.is_empty() {
            return Err(V1BuildError::Keys);
        }
        Ok(())
    }

    fn time_keys(_: &Parties) -> Option<&[PartyPublic]> {
        None
    }

    /// Repeats the request with another cipher or hash if the site does not support the first.
    async fn request_ticket<T: Transport>(
        consumer: &SharedConsumer<Self>,
        parties: &Parties,
        target: &Target<Self>,
        transport: &mut T,
    ) -> Result<Box<V1IssuedTicket>, ConsumerError> {
        let asked = parties.ask(&target.id, consumer.clock.now(), &mut SystemEntropy);
        let (mut asked, mut request) = asked.map_err(|_| ConsumerError::CannotRequest)?;
        loop {
            // The request is part of the address.
            let text = serde_json::to_string(&request).map_err(|_| ConsumerError::CannotRequest)?;
            let text = utf8_percent_encode(&text, NON_ALPHANUMERIC);
            let address = consumer
                .site
                .at(&format!("/authenticate?authRequest={text}"));
            let to = (
                Method::GET,
                address.map_err(|_| ConsumerError::CannotRequest)?,
            );
            let (status, answer) = consumer
                .exchange(Responder::Site, to, Bytes::new(), MAX_MESSAGE, transport)
                .await?;
            let now = consumer.clock.now();
            let outcome =
                parties.read_response(asked, status.as_u16(), &answer, now, &mut SystemEntropy);
            match outcome.map_err(|error| consumer_error(Responder::Site, status, &error))? {
                ResponseAction::Granted(granted) => return signs(granted),
                ResponseAction::Again(next, sealed) => (asked, request) = (*next, sealed),
            }
        }
    }

    fn present(
        granted: Box<V1IssuedTicket>,
        now: u64,
    ) -> Result<(V1PendingPresentation, String), ConsumerError> {
        let presented = granted.present(now, &mut SystemEntropy);
        presented.map_err(|error| consumer_error(Responder::Site, StatusCode::OK, &error))
    }

    fn acknowledged(
        presenting: V1PendingPresentation,
        (status, answer): (StatusCode, Bytes),
    ) -> Result<V1Credentials, ConsumerError> {
        let acknowledged = presenting.read_acknowledgement(status.as_u16(), &answer);
        acknowledged.map_err(|error| consumer_error(Responder::Provider, status, &error))
    }

    fn sign(
        credentials: &V1Credentials,
        origin: &Origin,
        request: &Outgoing,
        now: u64,
    ) -> Result<HeaderMap, ConsumerError> {
        let authority: Authority = request
            .authority(origin)
            .parse()
            .map_err(|_| ConsumerError::CannotSign)?;
        let port = authority.port_u16().or(origin.default_port());
        let signed = HawkRequest {
            method: request.method.as_str(),
            target: &origin::target(&request.address),
            host: authority.host(),
            port: port.ok_or(ConsumerError::CannotSign)?,
        };
        let nonce = HEXLOWER.encode(&fresh::<NONCE>(&mut SystemEntropy));
        let once = (now / 1_000, nonce.as_str());
        let V1Credentials { id, key, hash, .. } = credentials;
        let value = hawk::sign(id, key, *hash, &signed, once).ok();
        let value = value.and_then(|value| HeaderValue::try_from(value).ok());
        let value = value.ok_or(ConsumerError::CannotSign)?;
        Ok([(header::AUTHORIZATION, value)].into_iter().collect())
    }

    /// A provider that lost its tickets answers just 401.
    fn rejection(status: StatusCode, _: &HeaderMap) -> Option<RetryReason> {
        (status == StatusCode::UNAUTHORIZED).then_some(RetryReason::Ticket)
    }
}

/// Hawk supports two hashes. A ticket for another one is not presented, because no request could be
/// signed with it.
fn signs(granted: Box<V1IssuedTicket>) -> Result<Box<V1IssuedTicket>, ConsumerError> {
    let hash = granted.response().one_time_credentials.hash.parse();
    match hash.is_ok_and(hawk::supports) {
        true => Ok(granted),
        false => Err(consumer_error(
            Responder::Site,
            StatusCode::OK,
            &Trouble::NothingInCommon,
        )),
    }
}

/// Converts an error of the dialog.
fn consumer_error(responder: Responder, status: StatusCode, error: &Trouble) -> ConsumerError {
    let status = status.as_u16();
    match error {
        Trouble::CannotAsk => ConsumerError::CannotRequest,
        Trouble::FailedVerification => ConsumerError::FailedVerification(responder),
        Trouble::Stale => ConsumerError::Stale(responder),
        Trouble::NothingInCommon | Trouble::Refused(_) => ConsumerError::Refused {
            responder,
            status,
            refusal: match error {
                Trouble::NothingInCommon => Some(Refusal::NothingInCommon),
                _ => refusal_for_status(status),
            },
        },
    }
}

/// The meaning of the statuses of Serveros.
fn refusal_for_status(status: u16) -> Option<Refusal> {
    Some(match status {
        401 => Refusal::Clock,
        403 => Refusal::Replayed,
        409 | 490 => Refusal::NothingInCommon,
        422 => Refusal::NotAllowed,
        500 => Refusal::NotVerified,
        _ => return None,
    })
}
