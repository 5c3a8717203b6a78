//! Key events from any bytes: an event, a page of a site that a client meets for the first time, and the lines of
//! the device port. What is read is written as the same, and no page leads to another site than the pinned one.

use countersign_proto::session::client::read_key_events;
use countersign_proto::site_identity::{
    KeyEventWalk, KeyEventsRequest, MAX_KEY_EVENTS, SignedKeyEvent, WalkStep,
};
use countersign_testkit::site::{Site, key_event};

pub(super) fn run(input: &[u8]) {
    if let Ok(event) = SignedKeyEvent::from_bytes(input) {
        assert_eq!(event.to_bytes(), input);
    }
    follow(input);
    if let Ok(Some(page)) = read_key_events(input) {
        follow(page);
    }
    if let Some(request) = KeyEventsRequest::read(input) {
        assert_eq!(KeyEventsRequest::read(&request.to_line()), Some(request));
    }
    if let Ok(page) = KeyEventsRequest::read_answer(input) {
        follow(&page);
        let line = KeyEventsRequest::answer(page.clone());
        assert_eq!(KeyEventsRequest::read_answer(&line), Ok(page));
    }
}

fn follow(page: &[u8]) {
    let pin = Site::new().settings.key.public().signing;
    match KeyEventWalk::first_contact(pin).receive(page) {
        Ok(WalkStep::Done(known)) => assert_eq!(Some(known.id()), key_event().event().site_id()),
        Ok(WalkStep::More(walk)) => assert!((1..MAX_KEY_EVENTS as u64).contains(&walk.wanted())),
        Err(_) => {}
    }
}
