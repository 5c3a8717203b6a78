//! Tickets across sites: the parts of both sites, of the consumer and of the provider.

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::party::SealingSuite;
use countersign_proto::broker::v2::consumer::{Consumer, ConsumerError, PendingRequest};
use countersign_proto::broker::v2::foreign::{
    ForeignConsumer, ForeignRequest, TicketPath, grant_foreign,
};
use countersign_proto::broker::v2::message::{AuthResponse, Nonce, SealedTicket};
use countersign_proto::broker::v2::provider::Provider;
use countersign_proto::broker::v2::site::{Application, Site, UnverifiedRequest, VerifiedRequest};
use countersign_proto::broker::v2::{SealedMessage, limits};
use countersign_proto::site_identity::SiteId;

use super::parties::{HOUR, NOW, Parties, party, public, unknown_key};

/// The clock of site B is an hour ahead.
const THERE: u64 = NOW + HOUR;
const SITE_A: SiteId = SiteId([0xa; 32]);

/// Site A with the consumer `billing`, and site B with the provider `ledger`.
struct Sites {
    a: Site,
    billing: Application,
    consumer: Consumer,
    b: Site,
    ledger: Application,
    provider: Provider,
}

impl Sites {
    fn new() -> Self {
        let Parties {
            site,
            first,
            second,
            consumer,
            provider,
        } = Parties::new(SealingSuite::XWing);
        Self {
            a: Site {
                id: "a.example".to_owned(),
                ..site
            },
            billing: first,
            consumer: Consumer {
                site: "a.example".to_owned(),
                ..consumer
            },
            b: Site {
                id: "b.example".to_owned(),
                keys: vec![party(8)],
            },
            ledger: second,
            provider: Provider {
                site: "b.example".to_owned(),
                site_keys: vec![public(8)],
                ..provider
            },
        }
    }

    fn asked(&self) -> (PendingRequest, VerifiedRequest, ForeignRequest) {
        let provider = "ledger@b.example";
        let asked = self.consumer.ask(provider, NOW, &mut SystemEntropy);
        let (asked, request) = asked.unwrap();
        let text = serde_json::to_vec(&request).unwrap();
        let request = UnverifiedRequest::read(&text).unwrap();
        let verified = request.verify(&self.a, Some(&self.billing), &unknown_key(), NOW);
        let verified = verified.unwrap();
        let foreign = verified.foreign(&"a.example".parse().unwrap()).unwrap();
        (asked, verified, foreign)
    }

    fn granted(&self, request: &ForeignRequest, lasts: u64) -> AuthResponse {
        let consumer = ForeignConsumer {
            name: request.consumer.clone(),
            site: SITE_A,
            key: Some(public(2).fingerprint()),
            nonce: request.nonce,
        };
        let entropy = &mut SystemEntropy;
        grant_foreign(&self.b, &consumer, &self.ledger, lasts, THERE, entropy).unwrap()
    }

    fn relayed(&self, verified: &VerifiedRequest, response: &AuthResponse) -> SealedMessage {
        let entropy = &mut SystemEntropy;
        let sealed = verified.seal_response(&self.a, &self.billing, response, entropy);
        sealed.unwrap()
    }
}

/// A provider of today's version reads the ticket: only the names and `authData` differ.
// [BRK-90], [BRK-91], [BRK-92]
#[test]
fn a_consumer_of_one_site_shares_a_secret_with_a_provider_of_another_that_sees_the_path() {
    let sites = Sites::new();
    let (asked, verified, request) = sites.asked();
    let response = sites.granted(&request, u64::MAX);
    assert!(request.is_answered_by(&response));
    let sealed = serde_json::to_vec(&sites.relayed(&verified, &response)).unwrap();
    assert!(sealed.len() <= limits::SEALED);
    let granted = sites.consumer.read_response(asked, &sealed).unwrap();
    // The response tells the time of the provider's site.
    let there = granted.response().ts;
    assert_eq!(there, THERE);
    let (presenting, presentation) = granted.present(there, &mut SystemEntropy).unwrap();
    let presented = sites.provider.accept(presentation.as_bytes(), THERE);
    let presented = presented.unwrap();
    assert_eq!(presented.requester(), "billing@a.example");
    let accepted = presented.acknowledge(THERE, &mut SystemEntropy).unwrap();
    let path = TicketPath::of(&accepted.credentials.application, &accepted.auth_data).unwrap();
    let key = data_encoding::HEXLOWER.encode(&public(2).fingerprint());
    assert_eq!((path.via.site, path.via.key), (SITE_A, Some(key)));
    let here = presenting
        .read_acknowledgement(accepted.answer.as_bytes())
        .unwrap();
    assert_eq!(here.secret, accepted.credentials.secret);
    assert_eq!(here.application, "ledger@b.example");
}

// [BRK-94]
#[test]
fn a_ticket_lasts_as_long_as_the_provider_and_both_sites_allow() {
    let mut sites = Sites::new();
    let (_, _, request) = sites.asked();
    let longest = limits::MAX_FOREIGN_TICKET;
    for (registered, asked, lasts) in [
        (limits::MAX_TICKET, u64::MAX, longest),
        (limits::MAX_TICKET, 90_000, 90_000),
        (60_000, u64::MAX, 60_000),
    ] {
        sites.ledger.keys_last = registered;
        let response = sites.granted(&request, asked);
        assert_eq!(response.expires - response.ts, lasts);
        assert!(request.is_answered_by(&response));
    }
}

/// The site of the consumer refuses what another site may send instead of an answer.
// [BRK-94]
#[test]
fn an_answer_for_other_names_another_nonce_or_a_longer_time_is_refused() {
    let sites = Sites::new();
    let (_, _, request) = sites.asked();
    let good = sites.granted(&request, u64::MAX);
    let ticket = |change: fn(&mut SealedMessage)| {
        move |response: &mut AuthResponse| {
            if let SealedTicket::Signed(ticket) = &mut response.ticket {
                change(ticket);
            }
        }
    };
    type Change = Box<dyn Fn(&mut AuthResponse)>;
    let changes: [Change; 12] = [
        Box::new(|response| response.requester = "archive@a.example".to_owned()),
        Box::new(|response| response.requested = "ledger".to_owned()),
        Box::new(|response| response.requester_nonce = Nonce([0; 16])),
        Box::new(|response| response.id = Nonce([0; 16])),
        Box::new(|response| response.hash = "hmac-sha1".to_owned()),
        Box::new(|response| response.one_time_credentials.cipher = "rot13".to_owned()),
        Box::new(|response| response.expires = response.ts),
        Box::new(|response| response.ts = response.expires - limits::MAX_FOREIGN_TICKET - 1),
        Box::new(ticket(|ticket| ticket.from = "c.example".to_owned())),
        Box::new(ticket(|ticket| ticket.to = "archive".to_owned())),
        Box::new(ticket(|ticket| ticket.header = None)),
        Box::new(ticket(|ticket| {
            ticket.sealed = vec![0; limits::SEALED_TICKET + 1];
        })),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut response = good.clone();
        change(&mut response);
        assert!(!request.is_answered_by(&response), "change {number}");
    }
}

/// Site A cannot have a ticket for its consumer read as one of another application, nor can a
/// consumer use its own name at a provider of another site.
// [BRK-90]
#[test]
fn a_consumer_accepts_its_name_with_the_zone_of_its_site_and_no_other() {
    let sites = Sites::new();
    for name in ["billing", "billing@b.example", "archive@a.example"] {
        let (asked, verified, request) = sites.asked();
        let mut response = sites.granted(&request, u64::MAX);
        response.requester = name.to_owned();
        let sealed = serde_json::to_vec(&sites.relayed(&verified, &response)).unwrap();
        let refused = sites.consumer.read_response(asked, &sealed);
        assert_eq!(
            refused.err(),
            Some(ConsumerError::FailedVerification),
            "{name}"
        );
    }
}

// [BRK-91]
#[test]
fn a_request_for_a_provider_of_the_own_site_is_not_passed_on() {
    let sites = Sites::new();
    let own = "a.example".parse().unwrap();
    for provider in ["ledger", "ledger@a.example", "ledger@B.example"] {
        let asked = sites.consumer.ask(provider, NOW, &mut SystemEntropy);
        let text = serde_json::to_vec(&asked.unwrap().1).unwrap();
        let request = UnverifiedRequest::read(&text).unwrap();
        let verified = request.verify(&sites.a, Some(&sites.billing), &unknown_key(), NOW);
        assert_eq!(verified.unwrap().foreign(&own), None, "{provider}");
    }
}
