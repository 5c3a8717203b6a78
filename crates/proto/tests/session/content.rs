//! Content: any number of bytes after an operation or a result.

use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::operation::{Code, Operation, Outcome};
use countersign_proto::session::SessionRefusal;
use countersign_proto::session::client::FromSite;
use countersign_proto::session::limits::{
    BODY_TURNS, CONTENT_TURNS, CONTENT_WINDOW, MIN_PIECE_COST, piece_cost,
};
use countersign_proto::session::server::FromClient;
use serde_json::value::to_raw_value;

use crate::pair::{Pair, Site, Who, log_in};

fn session(max_packet: u32) -> Pair {
    let site = Site::new();
    let mut settings = site.client();
    settings.max_packet = max_packet;
    log_in(&site, settings, Who::Service(&site.robot)).unwrap()
}

fn outcome(id: u64) -> Outcome {
    Outcome {
        id,
        code: Code::SUCCESS,
        data: to_raw_value(&id).unwrap(),
        output: "what follows".to_owned(),
    }
}

fn operation(id: u64) -> Operation {
    Operation::new(id, "test", "put", to_raw_value(&id).unwrap())
}

impl Pair {
    /// The client's messages after it received everything that the server has queued.
    fn arrives_at_client(&mut self) -> Result<Vec<FromSite>, SessionRefusal> {
        let mut got = Vec::new();
        loop {
            let mut wire = Vec::new();
            self.server.flush(&mut wire)?;
            if wire.is_empty() {
                return Ok(got);
            }
            let used = self.client.session.receive(&mut wire, &mut got)?;
            assert_eq!(used, wire.len());
        }
    }

    /// The server's messages after it received everything that the client has queued.
    fn arrives_at_server(&mut self) -> Result<Vec<FromClient>, SessionRefusal> {
        let mut got = Vec::new();
        loop {
            let mut wire = Vec::new();
            self.client.session.flush(&mut wire)?;
            if wire.is_empty() {
                return Ok(got);
            }
            let used = self.server.receive(0, &mut wire, &mut got)?;
            assert_eq!(used, wire.len());
        }
    }
}

fn bytes_of(got: &[FromSite], wanted: u64) -> Vec<u8> {
    let pieces = got.iter().filter_map(|message| match message {
        FromSite::Content { id, bytes } if *id == wanted => Some(&bytes[..]),
        _ => None,
    });
    pieces.collect::<Vec<_>>().concat()
}

/// [SES-40]
#[test]
fn a_result_arrives_at_once_and_its_content_completely() {
    for max_packet in [256, 1_000, 65_536, 1 << 20] {
        let mut pair = session(max_packet);
        pair.server.send_outcome_with_content(&outcome(7)).unwrap();
        assert_eq!(
            pair.arrives_at_client().unwrap(),
            [FromSite::OutcomeWithContent(outcome(7))],
            "the result does not wait for its content"
        );
        let sent: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        for piece in sent.chunks(33_333) {
            pair.server.send_content(7, piece.to_vec());
        }
        pair.server.end_content(7);
        let got = pair.arrives_at_client().unwrap();
        assert_eq!(bytes_of(&got, 7), sent, "packets of {max_packet}");
        assert_eq!(got.last(), Some(&FromSite::ContentEnd { id: 7 }));
    }
}

/// [SES-40]
#[test]
fn an_operation_carries_content_which_may_be_empty() {
    let mut pair = session(256);
    let client = &mut pair.client.session;
    client.send_operation_with_content(&operation(1)).unwrap();
    client.send_operation_with_content(&operation(2)).unwrap();
    client.send_content(1, b"some".to_vec());
    client.end_content(1);
    client.end_content(2);
    let got = pair.arrives_at_server().unwrap();
    let expected = [
        FromClient::OperationWithContent(operation(1)),
        FromClient::Content {
            id: 1,
            bytes: b"some".to_vec(),
        },
        FromClient::ContentEnd { id: 1 },
        FromClient::OperationWithContent(operation(2)),
        FromClient::ContentEnd { id: 2 },
    ];
    assert_eq!(got, expected);
}

/// [SES-41]
#[test]
fn a_sender_stops_at_the_window_and_continues_with_credit() {
    let mut pair = session(65_536);
    pair.server.send_outcome_with_content(&outcome(1)).unwrap();
    let window = usize::try_from(CONTENT_WINDOW).unwrap();
    pair.server.send_content(1, vec![7; window + 1_000]);
    pair.server.end_content(1);
    let got = pair.arrives_at_client().unwrap();
    assert_eq!(bytes_of(&got, 1).len(), window);
    assert!(!pair.server.wants_content(1));

    pair.client.session.consumed(1, CONTENT_WINDOW / 2).unwrap();
    pair.arrives_at_server().unwrap();
    let got = pair.arrives_at_client().unwrap();
    assert_eq!(bytes_of(&got, 1).len(), 1_000);
    assert_eq!(got.last(), Some(&FromSite::ContentEnd { id: 1 }));
}

/// [SES-41]
#[test]
fn short_pieces_count_as_the_minimum_cost() {
    let mut pair = session(65_536);
    pair.server.send_outcome_with_content(&outcome(1)).unwrap();
    let most = CONTENT_WINDOW / MIN_PIECE_COST;
    for _ in 0..most + 10 {
        pair.server.send_content(1, vec![7]);
    }
    let got = pair.arrives_at_client().unwrap();
    assert_eq!(bytes_of(&got, 1).len() as u64, most);
    assert_eq!(
        (piece_cost(1), piece_cost(256), piece_cost(257)),
        (256, 256, 257)
    );
}

/// [SES-43]
#[test]
fn a_slow_receiver_of_one_stream_does_not_block_others() {
    let mut pair = session(4_096);
    let window = usize::try_from(CONTENT_WINDOW).unwrap();
    for id in [1, 2] {
        pair.server.send_outcome_with_content(&outcome(id)).unwrap();
        pair.server.send_content(id, vec![7; window + 1]);
        pair.server.end_content(id);
    }
    pair.arrives_at_client().unwrap();
    // The first stream has no reader; the second and all else continue.
    pair.client.session.consumed(2, CONTENT_WINDOW / 4).unwrap();
    pair.arrives_at_server().unwrap();
    pair.server.send_outcome(&outcome(3)).unwrap();
    let got = pair.arrives_at_client().unwrap();
    assert!(got.contains(&FromSite::ContentEnd { id: 2 }));
    assert!(got.contains(&FromSite::Outcome(outcome(3))));
    assert!(!got.contains(&FromSite::ContentEnd { id: 1 }));
}

/// [SES-43]
#[test]
fn long_messages_are_interleaved() {
    let mut pair = session(4_096);
    let long = |id| Outcome {
        data: to_raw_value(&"x".repeat(200_000)).unwrap(),
        ..outcome(id)
    };
    pair.server.send_outcome(&long(1)).unwrap();
    pair.server.send_outcome(&long(2)).unwrap();
    pair.server.send_outcome_with_content(&outcome(3)).unwrap();
    pair.server.send_content(3, vec![3; 10_000]);
    pair.server.end_content(3);
    let got = pair.arrives_at_client().unwrap();
    let order: Vec<u64> = got
        .iter()
        .filter_map(|message| match message {
            FromSite::Outcome(outcome) => Some(outcome.id),
            FromSite::ContentEnd { id } => Some(*id),
            _ => None,
        })
        .collect();
    assert_eq!(order.len(), 3);
    assert_eq!(order[0], 3, "the shortest is through first");
}

/// [SES-25] and [SES-43] The maximum number of streams, and one more that waits for its turn.
#[test]
fn many_streams_share_a_session() {
    let mut pair = session(1_000);
    let all = CONTENT_TURNS as u64 + 1;
    for id in 0..all {
        pair.server.send_outcome_with_content(&outcome(id)).unwrap();
        pair.server.send_content(id, vec![7; 5_000]);
        pair.server.end_content(id);
    }
    let got = pair.arrives_at_client().unwrap();
    let (mut begun, mut most) = (0, 0);
    for message in &got {
        match message {
            FromSite::OutcomeWithContent(_) => begun += 1,
            FromSite::ContentEnd { .. } => begun -= 1,
            _ => {}
        }
        most = most.max(begun);
    }
    assert_eq!((begun, most), (0, CONTENT_TURNS));
    for id in 0..all {
        assert_eq!(bytes_of(&got, id), vec![7; 5_000]);
        assert!(got.contains(&FromSite::ContentEnd { id }));
    }
}

/// [SES-25] Of the interleaved long messages the shortest completes first. One message over the
/// limit waits until one of them has ended, however short it is.
#[test]
fn a_long_message_over_the_limit_waits() {
    for (before, first) in [(BODY_TURNS - 1, true), (BODY_TURNS, false)] {
        let mut pair = session(4_096);
        let lengths = std::iter::repeat_n(100_000, before).chain([20_000]);
        for (id, length) in (0..).zip(lengths) {
            let data = to_raw_value(&"x".repeat(length)).unwrap();
            let long = Outcome {
                data,
                ..outcome(id)
            };
            pair.server.send_outcome(&long).unwrap();
        }
        let got = pair.arrives_at_client().unwrap();
        assert_eq!(got.len(), before + 1);
        let FromSite::Outcome(outcome) = &got[0] else {
            panic!("a result was to come: {:?}", got[0])
        };
        assert_eq!(outcome.id == before as u64, first, "behind {before}");
    }
}

/// [SES-42]
#[test]
fn no_content_arrives_after_its_receiver_cancelled() {
    let mut pair = session(65_536);
    pair.server.send_outcome_with_content(&outcome(1)).unwrap();
    pair.server.send_content(1, vec![7; 10]);
    pair.arrives_at_client().unwrap();
    pair.client.session.cancel(1).unwrap();
    // Content in flight is ignored.
    pair.server.send_content(1, vec![7; 10]);
    assert_eq!(pair.arrives_at_client().unwrap(), []);
    assert_eq!(
        pair.arrives_at_server().unwrap(),
        [FromClient::Cancelled { id: 1 }]
    );
    assert!(!pair.server.wants_content(1));
    pair.server.send_content(1, vec![7; 10]);
    assert_eq!(pair.arrives_at_client().unwrap(), []);
    // The id is free and may be used again.
    pair.server.send_outcome(&outcome(1)).unwrap();
    assert_eq!(
        pair.arrives_at_client().unwrap(),
        [FromSite::Outcome(outcome(1))]
    );
}

/// [SES-42]
#[test]
fn cancelling_by_the_sender_marks_content_as_incomplete() {
    let mut pair = session(65_536);
    pair.server.send_outcome_with_content(&outcome(1)).unwrap();
    pair.server.send_content(1, vec![7; 10]);
    pair.arrives_at_client().unwrap();
    pair.server.cancel(1).unwrap();
    assert_eq!(
        pair.arrives_at_client().unwrap(),
        [FromSite::Cancelled { id: 1 }]
    );
    assert_eq!(pair.arrives_at_server().unwrap(), []);
}

/// [SES-42] Content that was cancelled before its message was sent is reported, and the result
/// still arrives.
#[test]
fn content_cancelled_before_it_started_does_not_cancel_its_result() {
    let mut pair = session(65_536);
    pair.server.send_outcome_with_content(&outcome(1)).unwrap();
    pair.server.send_content(1, vec![7; 100_000]);
    pair.server.cancel(1).unwrap();
    pair.server.cancel(1).unwrap();
    assert_eq!(pair.server.queued_bytes(), 13);
    let got = pair.arrives_at_client().unwrap();
    assert_eq!(
        got,
        [
            FromSite::OutcomeWithContent(outcome(1)),
            FromSite::Cancelled { id: 1 }
        ]
    );
}

/// [SES-42] Cancels both directions, and a cancelled upload still gets its result.
#[test]
fn an_operation_is_cancelled_in_both_directions() {
    let mut pair = session(65_536);
    let client = &mut pair.client.session;
    client.send_operation_with_content(&operation(1)).unwrap();
    client.send_content(1, vec![1; 10]);
    pair.arrives_at_server().unwrap();
    pair.server.send_outcome_with_content(&outcome(1)).unwrap();
    pair.server.send_content(1, vec![2; 10]);
    pair.arrives_at_client().unwrap();
    pair.client.session.cancel(1).unwrap();
    assert_eq!(
        pair.arrives_at_server().unwrap(),
        [FromClient::Cancelled { id: 1 }]
    );
    assert_eq!(pair.arrives_at_client().unwrap(), []);
    assert_eq!(pair.arrives_at_server().unwrap(), []);
}

/// New keys during a transfer do not change the content.
#[test]
fn content_continues_under_new_keys() {
    let mut pair = session(1_000);
    let option = pair.client.session.option();
    pair.server.send_outcome_with_content(&outcome(1)).unwrap();
    let mut got = Vec::new();
    for round in 0..20_u8 {
        pair.server.send_content(1, vec![round; 3_000]);
        let client = &mut pair.client.session;
        assert!(client.offer_keys(option, &mut SystemEntropy).unwrap());
        for message in pair.arrives_at_server().unwrap() {
            if let FromClient::KeyOffer(offer) = message {
                let list = Site::new().settings.options.clone();
                let answered =
                    pair.server
                        .answer_keys(&offer, &list, 2_000_000_000_000, &mut SystemEntropy);
                assert!(answered.unwrap());
            }
        }
        got.extend(pair.arrives_at_client().unwrap());
        pair.arrives_at_server().unwrap();
    }
    pair.server.end_content(1);
    got.extend(pair.arrives_at_client().unwrap());
    let sent: Vec<u8> = (0..20_u8).flat_map(|round| vec![round; 3_000]).collect();
    assert_eq!(bytes_of(&got, 1), sent);
    let renewed = got
        .iter()
        .filter(|message| **message == FromSite::KeysRenewed(true));
    assert_eq!(renewed.count(), 20);
}
