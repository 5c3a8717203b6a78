//! The consumer's part of edition v1.

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

use super::{Application, MAX_MESSAGE, Site, V1};
use crate::consumer::{
    By, Consumer, ConsumerBuilder, ConsumerEdition, ConsumerError, Expires, Outgoing, Rejection,
    Shared, Target, Transport,
};
use crate::origin::{self, Origin, WrongAddress};

/// Bytes of a nonce: as text it has no character that would have to be escaped.
const NONCE: usize = 12;

/// Why there is no consumer of these parts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotBuilt {
    /// An address is none.
    #[error(transparent)]
    Address(#[from] WrongAddress),
    /// No hash that requests for tickets can be signed with, or none that Hawk knows.
    #[error(
        "these hashes do not suffice: requests for tickets are signed with sha256, sha384 or sha512, and those to \
         a provider with sha256 or sha1; add sha256"
    )]
    Hashes,
    /// No cipher.
    #[error("there is no cipher: name one, as in aes-256-cbc")]
    Ciphers,
    /// No key of the application, or none of the site.
    #[error("there is no key: give this application's private key and the site's public one")]
    Keys,
}

impl Consumer<V1> {
    /// Goes on with other keys of its own and of the site, the newest first.
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
    /// Ciphers that it accepts, the best first: all of [`Cipher::ALL`] by default. It asks with the first, and with
    /// another one when the site does not support that.
    #[must_use]
    pub fn ciphers(mut self, ciphers: &[Cipher]) -> Self {
        self.parties.ciphers = ciphers.to_vec();
        self
    }

    /// Hashes that it accepts, the best first: SHA-256 alone by default. It asks with the first, and with another one
    /// when the site does not support that. Requests are signed with SHA-256 or SHA-1, so one of these has to be among
    /// them; nothing else is signed with SHA-1.
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
    type BuildError = NotBuilt;

    fn parties(application: Application, site: Site) -> (Parties, Uri) {
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

    fn check(parties: &Parties) -> Result<(), NotBuilt> {
        let has = |use_of: fn(RsaHash) -> bool| parties.hashes.iter().any(|hash| use_of(*hash));
        if !has(RsaHash::signs) || !has(hawk::supports) {
            return Err(NotBuilt::Hashes);
        }
        if parties.ciphers.is_empty() {
            return Err(NotBuilt::Ciphers);
        }
        if parties.keys.is_empty() || parties.site_keys.is_empty() {
            return Err(NotBuilt::Keys);
        }
        Ok(())
    }

    fn time_keys(_: &Parties) -> Option<&[PartyPublic]> {
        None
    }

    /// Asks again, where it has to, with another cipher or hash than the first one.
    async fn request_ticket<T: Transport>(
        consumer: &Shared<Self>,
        parties: &Parties,
        target: &Target<Self>,
        transport: &mut T,
    ) -> Result<Box<V1IssuedTicket>, ConsumerError> {
        let asked = parties.ask(&target.id, consumer.clock.now(), &mut SystemEntropy);
        let (mut asked, mut request) = asked.map_err(|_| ConsumerError::CannotAsk)?;
        loop {
            // The request is a part of the address.
            let text = serde_json::to_string(&request).map_err(|_| ConsumerError::CannotAsk)?;
            let text = utf8_percent_encode(&text, NON_ALPHANUMERIC);
            let address = consumer
                .site
                .at(&format!("/authenticate?authRequest={text}"));
            let to = (Method::GET, address.map_err(|_| ConsumerError::CannotAsk)?);
            let (status, answer) = consumer
                .exchange(By::Site, to, Bytes::new(), MAX_MESSAGE, transport)
                .await?;
            let now = consumer.clock.now();
            let answered =
                parties.read_response(asked, status.as_u16(), &answer, now, &mut SystemEntropy);
            match answered.map_err(|trouble| told(By::Site, status, &trouble))? {
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
        presented.map_err(|trouble| told(By::Site, StatusCode::OK, &trouble))
    }

    fn acknowledged(
        presenting: V1PendingPresentation,
        (status, answer): (StatusCode, Bytes),
    ) -> Result<V1Credentials, ConsumerError> {
        let acknowledged = presenting.read_acknowledgement(status.as_u16(), &answer);
        acknowledged.map_err(|trouble| told(By::Provider, status, &trouble))
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
        let port = authority.port_u16().or(origin.usual_port());
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

    /// A provider that has forgotten its tickets says no more than 401.
    fn rejection(status: StatusCode, _: &HeaderMap) -> Option<Rejection> {
        (status == StatusCode::UNAUTHORIZED).then_some(Rejection::Ticket)
    }
}

/// Hawk has two hashes. A ticket for another one is not presented: nothing could be signed with it.
fn signs(granted: Box<V1IssuedTicket>) -> Result<Box<V1IssuedTicket>, ConsumerError> {
    let hash = granted.response().one_time_credentials.hash.parse();
    match hash.is_ok_and(hawk::supports) {
        true => Ok(granted),
        false => Err(told(By::Site, StatusCode::OK, &Trouble::NothingInCommon)),
    }
}

/// What went wrong, for the application.
fn told(by: By, status: StatusCode, trouble: &Trouble) -> ConsumerError {
    let status = status.as_u16();
    match trouble {
        Trouble::CannotAsk => ConsumerError::CannotAsk,
        Trouble::FailedVerification => ConsumerError::FailedVerification(by),
        Trouble::Stale => ConsumerError::Stale(by),
        Trouble::NothingInCommon | Trouble::Refused(_) => ConsumerError::Refused {
            by,
            status,
            refusal: match trouble {
                Trouble::NothingInCommon => Some(Refusal::NothingInCommon),
                _ => meant(status),
            },
        },
    }
}

/// What the statuses of Serveros mean.
fn meant(status: u16) -> Option<Refusal> {
    Some(match status {
        401 => Refusal::Clock,
        403 => Refusal::Replayed,
        409 | 490 => Refusal::NothingInCommon,
        422 => Refusal::NotAllowed,
        500 => Refusal::NotVerified,
        _ => return None,
    })
}
