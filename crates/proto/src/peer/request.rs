//! What a site joins another one with.

use countersign_crypto::entropy::Entropy;
use countersign_crypto::secret::SecretBytes;
use countersign_crypto::sign::{BadSignature, Signature};
use countersign_crypto::site_key::{SiteKey, SitePublicKey};
use serde::{Deserialize, Serialize};

use super::sealed::SealedJoin;
use super::{MAX_EVENTS_LINE, events};
use crate::enrolment::{Exporter, Token, TokenHash};
use crate::json;
use crate::name::AccountName;
use crate::site_identity::{KeyEventsError, KnownSite, SignedKeyEvent, SiteId};
use crate::uri::is_host;

/// What the signature is for, so that no signature made for another purpose is a proof.
const PURPOSE: &[u8] = b"countersign peer join 1\0";

/// What a site says of itself when it joins another one.
#[derive(Debug, Clone)]
pub struct Joining<'a> {
    /// The site's own person whose business it is, with the zone.
    pub id: &'a AccountName,
    /// The host of the site's own peer port: a DNS name, an IPv4 address, or an IPv6 address in
    /// brackets.
    pub host: &'a str,
    /// The port there.
    pub port: u16,
    /// All key events of the site, at most [`MAX_PEER_EVENTS`](super::MAX_PEER_EVENTS).
    pub events: &'a [SignedKeyEvent],
}

/// A request to become a peer. Its form was checked; its token, key events and proof were not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRequest {
    form: Form,
    id: AccountName,
    site: SiteId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    token: Token,
    /// As it was written, since the proof covers it.
    id: String,
    host: String,
    port: u16,
    #[serde(deserialize_with = "events::read")]
    events: Vec<SignedKeyEvent>,
    #[serde(serialize_with = "json::serialize", deserialize_with = "json::array")]
    proof: [u8; 64],
}

/// Why there is no request in what was sealed, or it proves nothing. The site closes the
/// connection without an answer.
#[derive(Debug, thiserror::Error)]
pub enum BadJoin {
    /// It is not JSON of the right members, or a member is not what it should be.
    #[error("what was sealed is no request: {0}")]
    Json(#[from] serde_json::Error),
    /// The id is no name of an account, or has no zone.
    #[error("the id is no name with a zone")]
    Id,
    /// Host or port is none.
    #[error("the site's own address is not sound")]
    Address,
    /// There are no key events, or they do not begin with the first.
    #[error("the key events do not begin with the first one")]
    NoFirstEvent,
    /// The key events do not verify.
    #[error(transparent)]
    Events(#[from] KeyEventsError),
    /// The signature is not by the site's newest key over this connection, token and person.
    #[error(transparent)]
    Signature(#[from] BadSignature),
}

/// A site that proved on this connection that it holds its newest key. Only
/// [`JoinRequest::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenSite {
    site: KnownSite,
}

impl ProvenSite {
    /// The site's id and newest key event.
    #[must_use]
    pub fn site(&self) -> &KnownSite {
        &self.site
    }
}

/// What the proof of a join signs. `to` is the newest public key of the site that is joined; the
/// exporter is that of a TLS connection on which it proved that key.
#[must_use]
pub fn join_proof_input(
    exporter: &Exporter,
    to: &SitePublicKey,
    from: &SiteId,
    token: &TokenHash,
    id: &str,
    address: (&str, u16),
) -> Vec<u8> {
    let (host, port) = address;
    let mut input = [PURPOSE, &exporter.0, &to.to_bytes(), &from.0, &token.0].concat();
    for part in [id, host] {
        // No part is longer than a request, so that each length fits 16 bits.
        input.extend(u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
        input.extend(part.as_bytes());
    }
    input.extend(port.to_be_bytes());
    input
}

impl JoinRequest {
    /// A request with its proof, for one connection. `key` is the newest key of the joining site,
    /// and `to` that of the site that is joined.
    ///
    /// # Errors
    /// [`BadJoin::Address`], [`BadJoin::Id`] and [`BadJoin::NoFirstEvent`].
    pub fn new(
        token: Token,
        joining: &Joining<'_>,
        key: &SiteKey,
        to: &SitePublicKey,
        exporter: &Exporter,
    ) -> Result<Self, BadJoin> {
        let site = first(joining.events)?;
        let id = joining.id.to_string();
        let address = (joining.host, joining.port);
        let input = join_proof_input(exporter, to, &site, &token.hash(), &id, address);
        Self::of(Form {
            token,
            id,
            host: joining.host.to_owned(),
            port: joining.port,
            events: joining.events.to_vec(),
            proof: key.sign(&input).0,
        })
    }

    /// Reads what was sealed. No public-key work is done.
    ///
    /// # Errors
    /// [`BadJoin`].
    pub fn read(text: &[u8]) -> Result<Self, BadJoin> {
        Self::of(json::read(text)?)
    }

    fn of(form: Form) -> Result<Self, BadJoin> {
        let id: AccountName = form.id.parse().map_err(|_| BadJoin::Id)?;
        if id.zone().is_none() {
            return Err(BadJoin::Id);
        }
        if !is_host(&form.host) || form.port == 0 {
            return Err(BadJoin::Address);
        }
        let site = first(&form.events)?;
        Ok(Self { form, id, site })
    }

    /// Seals it to the site that is joined.
    ///
    /// # Errors
    /// [`SealingError`](countersign_crypto::sealing::SealingError) if the site's key is no key.
    pub fn seal(
        &self,
        to: &SitePublicKey,
        exporter: &Exporter,
        entropy: &mut dyn Entropy,
    ) -> Result<SealedJoin, countersign_crypto::sealing::SealingError> {
        SealedJoin::seal(&self.text(), to, exporter, entropy)
    }

    /// The text that is sealed.
    fn text(&self) -> SecretBytes {
        let mut text = Vec::with_capacity(MAX_EVENTS_LINE);
        if serde_json::to_writer(&mut text, &self.form).is_err() {
            // Texts are always written; only exhausted memory leads here.
            std::process::abort();
        }
        text.into()
    }

    /// What the site looks the ticket up by.
    #[must_use]
    pub fn token_hash(&self) -> TokenHash {
        self.form.token.hash()
    }

    /// The joining site's person, as that site claims.
    #[must_use]
    pub fn id(&self) -> &AccountName {
        &self.id
    }

    /// Host and port of the joining site's peer port.
    #[must_use]
    pub fn address(&self) -> (&str, u16) {
        (&self.form.host, self.form.port)
    }

    /// All key events of the joining site, which are verified with the proof.
    #[must_use]
    pub fn events(&self) -> &[SignedKeyEvent] {
        &self.form.events
    }

    /// The id that the site's first key event gives it. It tells another site than that of an
    /// earlier request without public-key work.
    #[must_use]
    pub fn claimed_site(&self) -> SiteId {
        self.site
    }

    /// Verifies the key events, and that the owner of the newest key made the proof for this
    /// connection, token and person. This costs two verifications for each event: look the token
    /// up first.
    ///
    /// # Errors
    /// [`BadJoin`].
    pub fn verify(&self, exporter: &Exporter, own: &SitePublicKey) -> Result<ProvenSite, BadJoin> {
        let site = KnownSite::whole(&self.form.events)?;
        let Form {
            id,
            host,
            port,
            proof,
            ..
        } = &self.form;
        let token = self.token_hash();
        let input = join_proof_input(exporter, own, &site.id(), &token, id, (host, *port));
        site.keys().signing.verify(&input, &Signature(*proof))?;
        Ok(ProvenSite { site })
    }
}

/// The id of the site whose events these are.
fn first(events: &[SignedKeyEvent]) -> Result<SiteId, BadJoin> {
    let first = events.first().and_then(|signed| signed.event().site_id());
    first.ok_or(BadJoin::NoFirstEvent)
}
