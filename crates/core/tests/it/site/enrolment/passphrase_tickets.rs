//! Pass phrases that are set with tickets, and the first admin of a site.

use std::sync::Arc;

use countersign_core::engine::{Begun, NotEnrolled, RegistrationOrigin, Site, StartedRegistration};
use countersign_core::enrolment::{RevocationReason, TicketState};
use countersign_core::store::MemoryStore;
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_crypto::passphrase::{ClientRegistration, Identifiers, Ksf};
use countersign_crypto::sealed_identity;
use countersign_crypto::secret::Passphrase;
use countersign_proto::enrolment::passphrase::{
    RegistrationRecord, RegistrationReply, RegistrationRequest,
};
use countersign_proto::enrolment::{EnrolmentTicket, Exporter, Token};
use countersign_proto::operation::Code;
use countersign_testkit::faulty::{Fault, FaultyStore};
use countersign_testkit::harness::{DEVICE_SOURCE, NOW, TestDevice, TestSite, TestTicket, ticket};
use serde_json::json;

use super::{ADA, site, state, with_ada};
use crate::site::consequences::dropped_after;

pub(crate) const EXPORTER: Exporter = Exporter([7; 32]);
pub(crate) const ROOT: &str = "root@example.org";

/// A person with a new identity.
pub(crate) struct Registrant {
    identity: Identity,
    passphrase: Passphrase,
}

impl Registrant {
    pub(crate) fn new() -> Self {
        Self {
            identity: Identity::generate(&mut SystemEntropy),
            passphrase: "correct horse battery".to_owned().into(),
        }
    }

    pub(crate) fn request(
        &self,
        token: &Token,
        id: &str,
    ) -> (ClientRegistration, RegistrationRequest) {
        let (state, request) =
            ClientRegistration::start(&self.passphrase, &mut SystemEntropy).unwrap();
        let (token, id) = (token.clone(), id.parse().unwrap());
        let request = RegistrationRequest::new(token, id, &self.identity, request, &EXPORTER);
        (state.with_ksf(Ksf::Trivial), request.unwrap())
    }

    pub(crate) async fn begin(
        &self,
        site: &Site,
        token: &Token,
        id: &str,
        now: Timestamp,
    ) -> Result<(ClientRegistration, Begun), NotEnrolled> {
        let (state, request) = self.request(token, id);
        let proof = async { request.verify(&EXPORTER).ok() };
        let begun = site.begin_registration(
            &request,
            proof,
            RegistrationOrigin::device(DEVICE_SOURCE),
            now,
        );
        Ok((state, begun.await?))
    }

    /// The registration whose challenge the site sent.
    pub(crate) async fn started(&self, site: &Site, token: &Token, id: &str) -> Started {
        match self.begin(site, token, id, NOW).await.unwrap() {
            (state, Begun::Started(started)) => {
                let record = self.record(state, &started);
                let started = started.into();
                Started { started, record }
            }
            (_, Begun::Repeated(_)) => panic!("the pass phrase is not set yet"),
        }
    }

    pub(crate) fn record(
        &self,
        state: ClientRegistration,
        started: &StartedRegistration,
    ) -> RegistrationRecord {
        let server = started.challenge().site.0;
        let identifiers = Identifiers {
            client: None,
            server: Some(&server),
        };
        let response = &started.challenge().response;
        let (record, export_key) = state
            .finish(&self.passphrase, response, identifiers, &mut SystemEntropy)
            .unwrap();
        let sealed = sealed_identity::seal(&self.identity, &export_key, &mut SystemEntropy);
        RegistrationRecord {
            record: record.as_bytes().to_vec(),
            sealed_identity: sealed.unwrap().to_vec(),
            certificate: self.identity.certificate().der().to_vec(),
        }
    }

    /// The whole dialog.
    pub(crate) async fn set(
        &self,
        site: &Site,
        token: &Token,
        id: &str,
        now: Timestamp,
    ) -> Result<RegistrationReply, NotEnrolled> {
        match self.begin(site, token, id, now).await? {
            (_, Begun::Repeated(reply)) => Ok(reply),
            (state, Begun::Started(started)) => {
                let record = self.record(state, &started);
                site.finish_registration(&started, record, now).await
            }
        }
    }
}

#[derive(Clone)]
pub(crate) struct Started {
    started: Arc<StartedRegistration>,
    record: RegistrationRecord,
}

impl Started {
    pub(crate) async fn finish(
        self,
        site: &Site,
        now: Timestamp,
    ) -> Result<RegistrationReply, NotEnrolled> {
        site.finish_registration(&self.started, self.record, now)
            .await
    }
}

pub(crate) async fn passphrase_ticket(test: &TestSite) -> TestTicket {
    let params = json!({ "person": "ada", "kind": "passphrase" });
    ticket(&test.admin("ticket.issue", params).await)
}

pub(crate) async fn first_admin_ticket(test: &TestSite) -> EnrolmentTicket {
    let issued = test.site.issue_first_admin_ticket(NOW).await.unwrap();
    issued.unwrap()
}

pub(crate) async fn has_passphrase(test: &TestSite, name: &str) -> bool {
    let shown = test.admin("person.show", json!({ "name": name })).await;
    shown.get("passphrase_set").is_some()
}

pub(crate) async fn audited_since(test: &TestSite, before: usize) -> Vec<String> {
    test.site.write_all_counted().await.unwrap();
    test.audited().await.split_off(before)
}

pub(crate) fn is_refused<T>(result: &Result<T, NotEnrolled>) -> bool {
    matches!(result, Err(NotEnrolled::Refused))
}

/// `site setup new` during the dialog made the person's record look malformed, so the ticket was
/// revoked as misused.
// DEV-44
#[tokio::test]
async fn another_setup_or_sealing_during_the_dialog_does_not_spend_the_ticket() {
    let test = site().await;
    let ada = Registrant::new();
    let ticket = passphrase_ticket(&test).await;
    let started = ada.started(&test.site, &ticket.token, "ada").await;
    test.admin("site.setup_new", json!({})).await;
    started.finish(&test.site, NOW).await.unwrap();
    assert!(has_passphrase(&test, "ada").await);

    let ticket = passphrase_ticket(&test).await;
    let started = ada.started(&test.site, &ticket.token, "ada").await;
    test.admin("site.seal", json!({})).await;
    assert!(is_refused(&started.finish(&test.site, NOW).await));
    let site = test.unsealed().await;
    let again = ada.set(&site, &ticket.token, "ada", NOW).await;
    assert!(again.is_ok());
}

// DEV-40
#[tokio::test]
async fn a_person_sets_the_pass_phrase_with_a_ticket_and_other_sessions_end() {
    let test = site().await;
    let session = test.person("eve", "member").await;
    let ticket = passphrase_ticket(&test).await;
    let before = test.audited().await.len();
    let ada = Registrant::new();
    let reply = ada
        .set(&test.site, &ticket.token, "ada", NOW)
        .await
        .unwrap();
    assert_eq!(
        (reply.id.to_string().as_str(), reply.repeated),
        (ADA, false)
    );
    assert!(has_passphrase(&test, "ada").await);
    assert!(session.was_cut().is_none(), "it is another person's");
    let done = format!("passphrase.enrolled {ADA} done");
    assert_eq!(audited_since(&test, before).await, [done]);
    let dump = test.admin("person.dump", json!({ "name": "ada" })).await;
    let certificate = ada.identity.certificate().to_pem();
    assert_eq!(dump["credential"]["certificate"], certificate);
    let bound = state(&test.memory(), ticket.id).await;
    assert!(matches!(bound, TicketState::Bound { device: None, .. }));
}

/// The reply was lost: the same key gets it again, and nothing changes.
// DEV-43
#[tokio::test]
async fn the_same_key_gets_the_reply_again_until_the_ticket_expires_and_another_gets_none() {
    let test = site().await;
    let ticket = passphrase_ticket(&test).await;
    let ada = Registrant::new();
    let set = async |who: &Registrant, now| who.set(&test.site, &ticket.token, ADA, now).await;
    assert!(!set(&ada, NOW).await.unwrap().repeated);
    let before = test.audited().await.len();
    let last = NOW.plus_millis(3_599_999);
    assert!(set(&ada, last).await.unwrap().repeated);
    assert_eq!(audited_since(&test, before).await, [""; 0]);
    assert!(is_refused(&set(&ada, NOW.plus_seconds(3_600)).await));
    assert!(is_refused(&set(&Registrant::new(), NOW).await));
    let audited = audited_since(&test, before).await.join("\n");
    assert!(audited.contains("ticket.second_key"), "{audited}");
}

// DEV-44
#[tokio::test]
async fn a_wrong_id_kind_proof_or_record_revokes_the_ticket() {
    let test = site().await;
    let ada = Registrant::new();
    let why = async |ticket: &TestTicket| match state(&test.memory(), ticket.id).await {
        TicketState::Revoked { why, .. } => Some(why),
        _ => None,
    };
    let one = passphrase_ticket(&test).await;
    assert!(is_refused(
        &ada.set(&test.site, &one.token, "eve", NOW).await
    ));
    assert_eq!(why(&one).await, Some(RevocationReason::WrongId));

    let one = test.ticket("ada").await;
    assert!(is_refused(&ada.set(&test.site, &one.token, ADA, NOW).await));
    assert_eq!(why(&one).await, Some(RevocationReason::WrongKind));

    let one = passphrase_ticket(&test).await;
    let device = TestDevice::new();
    let enrolled = device.enrol(&test.site, &one.token, ADA, NOW).await;
    assert_eq!(enrolled, Err(NotEnrolled::Refused));
    assert_eq!(why(&one).await, Some(RevocationReason::WrongKind));

    let one = passphrase_ticket(&test).await;
    let (_, request) = ada.request(&one.token, ADA);
    let proof = async { request.verify(&Exporter([1; 32])).ok() };
    let begun = test.site.begin_registration(
        &request,
        proof,
        RegistrationOrigin::device(DEVICE_SOURCE),
        NOW,
    );
    assert!(is_refused(&begun.await));
    assert_eq!(why(&one).await, Some(RevocationReason::WrongProof));

    for change in [
        |record: &mut RegistrationRecord| record.record.truncate(191),
        |record: &mut RegistrationRecord| record.sealed_identity.push(0),
        |record: &mut RegistrationRecord| record.certificate[100] ^= 1,
        |record: &mut RegistrationRecord| {
            let other = Identity::generate(&mut SystemEntropy);
            record.certificate = other.certificate().der().to_vec();
        },
    ] {
        let one = passphrase_ticket(&test).await;
        let mut started = ada.started(&test.site, &one.token, ADA).await;
        change(&mut started.record);
        assert!(is_refused(&started.finish(&test.site, NOW).await));
        assert_eq!(why(&one).await, Some(RevocationReason::BadRecord));
    }
    let one = passphrase_ticket(&test).await;
    let started = ada.started(&test.site, &one.token, ADA).await.started;
    test.site.abandon_registration(&started, NOW).await.unwrap();
    assert_eq!(why(&one).await, Some(RevocationReason::BadRecord));
    assert!(!has_passphrase(&test, "ada").await);
}

/// The connection broke after the challenge: the ticket is as it was, for this key and for others.
// DEV-43
#[tokio::test]
async fn a_dialog_that_ends_before_its_record_leaves_the_ticket_open() {
    let test = site().await;
    let ticket = passphrase_ticket(&test).await;
    let (lost, ada) = (Registrant::new(), Registrant::new());
    drop(lost.started(&test.site, &ticket.token, ADA).await);
    assert_eq!(state(&test.memory(), ticket.id).await, TicketState::Open);
    let site = test.unsealed().await;
    assert!(ada.set(&site, &ticket.token, ADA, NOW).await.is_ok());
}

// DEV-43
#[tokio::test]
async fn of_two_clients_that_race_for_a_token_the_first_record_wins() {
    let test = site().await;
    let ticket = passphrase_ticket(&test).await;
    let (one, two) = (Registrant::new(), Registrant::new());
    let first = one.started(&test.site, &ticket.token, ADA).await;
    let second = two.started(&test.site, &ticket.token, ADA).await;
    let again = two.started(&test.site, &ticket.token, ADA).await;
    assert!(!second.finish(&test.site, NOW).await.unwrap().repeated);
    assert!(is_refused(&first.finish(&test.site, NOW).await));
    assert!(again.finish(&test.site, NOW).await.unwrap().repeated);
    let dump = test.admin("person.dump", json!({ "name": "ada" })).await;
    let certificate = two.identity.certificate().to_pem();
    assert_eq!(dump["credential"]["certificate"], certificate);
}

/// The admin revoked the ticket, or locked the person, while the person typed the pass phrase.
// DEV-44
#[tokio::test]
async fn a_record_is_refused_when_ticket_or_account_changed_since_the_challenge() {
    let test = site().await;
    let ada = Registrant::new();
    let ticket = passphrase_ticket(&test).await;
    let started = ada.started(&test.site, &ticket.token, ADA).await;
    test.admin("ticket.revoke", json!({ "id": ticket.id }))
        .await;
    assert!(is_refused(&started.finish(&test.site, NOW).await));

    let ticket = passphrase_ticket(&test).await;
    let started = ada.started(&test.site, &ticket.token, ADA).await;
    let late = NOW.plus_seconds(3_600);
    assert!(is_refused(&started.finish(&test.site, late).await));

    let ticket = passphrase_ticket(&test).await;
    let started = ada.started(&test.site, &ticket.token, ADA).await;
    test.admin("person.lock", json!({ "name": "ada" })).await;
    assert!(is_refused(&started.finish(&test.site, NOW).await));
    test.admin("person.unlock", json!({ "name": "ada" })).await;

    let ticket = passphrase_ticket(&test).await;
    let started = ada.started(&test.site, &ticket.token, ADA).await;
    test.admin("person.delete", json!({ "name": "ada" })).await;
    test.admin("person.create", json!({ "name": "ada" })).await;
    assert!(is_refused(&started.finish(&test.site, NOW).await));
    assert!(!has_passphrase(&test, "ada").await);
}

/// A ticket for a pass phrase could be had with a stolen session.
#[tokio::test]
async fn only_an_admin_issues_a_ticket_for_a_pass_phrase() {
    let test = site().await;
    let eve = test.person("eve", "member").await;
    for person in ["eve", "ada"] {
        let params = json!({ "person": person, "kind": "passphrase" });
        let (code, _) =
            countersign_testkit::harness::run(&test.site, &eve.caller, "ticket.issue", params)
                .await;
        assert_ne!(code, Code::SUCCESS, "{person}");
    }
}

#[tokio::test]
async fn a_registration_that_is_dropped_at_any_point_is_repeated() {
    for waits in 0.. {
        let test = with_ada(TestSite::builder().file()).await;
        let ticket = passphrase_ticket(&test).await;
        let ada = Registrant::new();
        let done = dropped_after(waits, ada.set(&test.site, &ticket.token, ADA, NOW)).await;
        test.admin("person.create", json!({ "name": "behind" }))
            .await;
        let was_set = has_passphrase(&test, "ada").await;
        let site = test.unsealed().await;
        let again = ada.set(&site, &ticket.token, ADA, NOW).await.unwrap();
        assert_eq!(again.repeated, was_set, "dropped after {waits} waits");
        if done.is_some() {
            break;
        }
    }
}

#[tokio::test]
async fn a_commit_that_fails_or_whose_answer_is_lost_is_repeated() {
    for fault in Fault::REPORTED {
        let store = MemoryStore::new();
        let faulty = Arc::new(FaultyStore::new(Arc::new(store.reopened()), fault));
        let test = with_ada(TestSite::builder().memory(store, faulty.clone())).await;
        let ticket = passphrase_ticket(&test).await;
        let ada = Registrant::new();
        faulty.break_after(0, 1);
        let lost = ada.set(&test.site, &ticket.token, ADA, NOW).await;
        assert!(matches!(lost, Err(NotEnrolled::Store(_))), "{fault:?}");
        let again = ada.set(&test.site, &ticket.token, ADA, NOW).await.unwrap();
        assert_eq!(again.repeated, fault == Fault::AnswerLost);
    }
}

#[tokio::test]
async fn no_token_and_no_pass_phrase_is_in_the_database() {
    let test = with_ada(TestSite::builder().file()).await;
    let ticket = passphrase_ticket(&test).await;
    let ada = Registrant::new();
    ada.set(&test.site, &ticket.token, ADA, NOW).await.unwrap();
    let first = first_admin_ticket(&test).await;
    let root = Registrant::new();
    root.set(&test.site, first.token(), "root", NOW)
        .await
        .unwrap();
    test.site.write_all_counted().await.unwrap();
    let mut files = 0;
    for file in std::fs::read_dir(test.folder()).unwrap() {
        let path = file.unwrap().path();
        if !path.is_file() {
            continue;
        }
        files += 1;
        let bytes = std::fs::read(&path).unwrap();
        let contains = |needle: &[u8]| bytes.windows(needle.len()).any(|part| part == needle);
        for token in [&ticket.token, first.token()] {
            assert!(!contains(token.expose()), "{}", path.display());
            let json = serde_json::to_string(token).unwrap();
            assert!(!contains(json.trim_matches('"').as_bytes()));
        }
        assert!(!contains(ada.passphrase.as_bytes()), "{}", path.display());
    }
    assert!(files > 0);
}

/// One client of a proxy closed the device port and HTTP to all programs on the machine of the proxy.
#[tokio::test]
async fn a_proxy_that_names_no_client_gets_no_penalty_for_wrong_tickets() {
    let test = TestSite::new().await;
    let ada = Registrant::new();
    let (_, request) = ada.request(&Token::generate(&mut SystemEntropy), ADA);
    for (is_client, is_penalised) in [(false, false), (true, true)] {
        for _ in 0..64 {
            let proof = async { request.verify(&EXPORTER).ok() };
            let origin = RegistrationOrigin::http(DEVICE_SOURCE, is_client);
            let begun = test.site.begin_registration(&request, proof, origin, NOW);
            assert!(is_refused(&begun.await));
        }
        let penalties = test.site.throttle().penalties();
        let until = penalties.refused_until(DEVICE_SOURCE, NOW);
        assert_eq!(until.is_some(), is_penalised);
    }
}
