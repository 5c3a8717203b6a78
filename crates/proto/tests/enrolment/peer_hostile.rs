//! Hostile requests to become a peer, one fault each, with the stage that refuses it.

use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::enrolment::{Exporter, Token};
use countersign_proto::peer::{
    AwaitingFirst, BadJoin, BadSealedJoin, FirstRefused, FirstStep, JoinRequest, Joining,
    MAX_FIRST, MAX_PEER_EVENTS, SealedJoin,
};
use countersign_proto::site_identity::{KeyEventsError, SignedKeyEvent};

use super::EXPORTER;
use super::peer::{events, key, request, start};

fn joined(events: &[SignedKeyEvent], key_byte: u8, host: &str) -> Result<JoinRequest, BadJoin> {
    let id = "bob@b.example".parse().unwrap();
    let joining = Joining {
        id: &id,
        host,
        port: 4751,
        events,
    };
    let token = Token::from_bytes([2; 16]);
    JoinRequest::new(
        token,
        &joining,
        &key(key_byte),
        &key(10).public(),
        &EXPORTER,
    )
}

// PEER-4
#[test]
fn a_first_line_at_the_limit_is_read_and_one_byte_more_is_not() {
    let (_, mut line) = start(&EXPORTER);
    line.pop();
    line.resize(MAX_FIRST - 1, b' ');
    line.push(b'\n');
    let step = AwaitingFirst::new().receive(&line);
    assert!(matches!(step, Ok(FirstStep::Join(_))));
    line.insert(0, b' ');
    let step = AwaitingFirst::new().receive(&line);
    assert!(matches!(step, Err(FirstRefused::TooLong)));
}

// PEER-4
#[test]
fn lines_that_are_no_request_are_refused_before_anything_is_opened() {
    for line in [
        "\n",
        "{}\n",
        "[]\n",
        "{\"join\":\"\"",
        "{\"join\":\"%\"}\n",
        "{\"join\":\"\",\"join\":\"\"}\n",
        "{\"join\":\"\",\"key_events\":0}\n",
        "{\"key_events\":-1}\n",
        "{\"key_events\":0,\"more\":1}\n",
        "{\"site\":\"\",\"id\":\"ada@a.example\",\"events\":[]}\n",
    ] {
        match AwaitingFirst::new().receive(line.as_bytes()) {
            Err(FirstRefused::Malformed(_)) => {}
            Ok(FirstStep::More(_)) => assert!(!line.ends_with('\n')),
            other => panic!("{line}: {other:?}"),
        }
    }
}

// PEER-5
#[test]
fn a_request_opens_with_the_sites_key_on_its_own_connection_alone() {
    let (_, line) = start(&EXPORTER);
    let Ok(FirstStep::Join(sealed)) = AwaitingFirst::new().receive(&line) else {
        panic!("it is a request");
    };
    let opened = |byte: u8, exporter: Exporter| sealed.open(key(byte).agreement(), &exporter);
    assert!(opened(10, EXPORTER).is_ok());
    for refused in [opened(11, EXPORTER), opened(10, Exporter([8; 32]))] {
        assert!(matches!(refused, Err(BadSealedJoin::Sealing(_))));
    }
}

// PEER-5
#[test]
fn a_sealed_request_changed_anywhere_is_refused() {
    let (_, line) = start(&EXPORTER);
    // Each byte would take a second; these are in the encapsulated key, the text and the tag.
    for at in [9, 30, 200, line.len() / 2, line.len() - 20] {
        let mut changed = line.clone();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let Ok(FirstStep::Join(sealed)) = AwaitingFirst::new().receive(&changed) else {
            panic!("it is a request");
        };
        let opened = sealed.open(key(10).agreement(), &EXPORTER);
        assert!(matches!(opened, Err(BadSealedJoin::Sealing(_))), "{at}");
    }
}

// PEER-6
#[test]
fn a_proof_is_of_no_use_on_another_connection_or_at_another_site() {
    let (_, line) = start(&EXPORTER);
    let request = request(&line);
    assert!(request.verify(&EXPORTER, &key(10).public()).is_ok());
    let relayed = request.verify(&Exporter([8; 32]), &key(10).public());
    assert!(matches!(relayed, Err(BadJoin::Signature(_))));
    let elsewhere = request.verify(&EXPORTER, &key(30).public());
    assert!(matches!(elsewhere, Err(BadJoin::Signature(_))));
}

// PEER-6, PEER-7
#[test]
fn a_request_without_the_newest_key_proves_nothing() {
    let own = key(10).public();
    // The key of the event before the newest, and that of another site.
    for byte in [20, 40] {
        let request = joined(&events(20, 2), byte, "b.example").unwrap();
        let refused = request.verify(&EXPORTER, &own);
        assert!(matches!(refused, Err(BadJoin::Signature(_))));
    }
    // The second event is another site's.
    let mixed = [events(20, 1)[0], events(30, 2)[1]];
    let request = joined(&mixed, 31, "b.example").unwrap();
    let refused = request.verify(&EXPORTER, &own);
    let fork = KeyEventsError::Fork { number: 1 };
    assert!(matches!(refused, Err(BadJoin::Events(found)) if found == fork));
}

// PEER-7
#[test]
fn a_request_whose_events_or_address_are_not_sound_is_refused_without_public_key_work() {
    let joined = |events: &[SignedKeyEvent], host: &str| joined(events, 20, host);
    assert!(matches!(
        joined(&[], "b.example"),
        Err(BadJoin::NoFirstEvent)
    ));
    let later = &events(20, 2)[1..];
    assert!(matches!(
        joined(later, "b.example"),
        Err(BadJoin::NoFirstEvent)
    ));
    let address = joined(&events(20, 1), "b b");
    assert!(matches!(address, Err(BadJoin::Address)));
    let many = vec![events(20, 1)[0]; MAX_PEER_EVENTS + 1];
    let request = joined(&many, "b.example").unwrap();
    let sealed: SealedJoin = request
        .seal(&key(10).public(), &EXPORTER, &mut SystemEntropy)
        .unwrap();
    let opened = sealed.open(key(10).agreement(), &EXPORTER);
    assert!(matches!(opened, Err(BadSealedJoin::Join(BadJoin::Json(_)))));
}
