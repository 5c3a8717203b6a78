//! The numbers of messages of peers, with right clocks, wrong ones and those of a thief.

use countersign_core::timestamp::Timestamp;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{run_at, stays_open};
use serde_json::json;

use super::attacks::{ADA, Cut, connect, delivered, hello, inbox, message, site};

/// A message with the greatest number made all later ones of the pair look as if they had come
/// before: the site accepted and dropped them. Then each number more than a day ahead was refused, and with it
/// every later message of a site whose clock had shown 2038 once.
// PEER-20, PEER-71
#[tokio::test]
async fn no_number_makes_later_messages_disappear() {
    let (test, peer) = site().await;
    let opened = connect(&test, &peer, hello(&peer), &Cut::default()).await;
    let caller = stays_open(opened.unwrap());
    let now = u64::try_from(test.now().millis()).unwrap();
    let poison = message(1, 1 << 63, ADA);
    assert_eq!(delivered(&test, &caller, poison).await, "refused");
    // The number of a wrong clock, the next one after it, and one that a thief of the site key chose.
    let wrong = 2_147_483_647_000;
    for (id, number) in [(11, wrong), (12, wrong + 1), (13, i64::MAX.unsigned_abs())] {
        let poison = message(id, number, ADA);
        assert_eq!(delivered(&test, &caller, poison).await, "accepted");
        let again = message(id, number, ADA);
        assert_eq!(delivered(&test, &caller, again).await, "accepted");
    }
    let between = message(14, wrong + 2, ADA);
    assert_eq!(delivered(&test, &caller, between).await, "refused");
    // The site's clock is right again, or it was restored from an earlier backup.
    assert_eq!(
        delivered(&test, &caller, message(2, now + 1_000, ADA)).await,
        "accepted"
    );
    // A message that comes again is known by its id; another one is not passed over in silence, as
    // of a person who was deleted and created again while the clock was behind.
    assert_eq!(
        delivered(&test, &caller, message(2, now + 1_000, ADA)).await,
        "accepted"
    );
    assert_eq!(
        delivered(&test, &caller, message(3, now, ADA)).await,
        "refused"
    );
    assert_eq!(
        delivered(&test, &caller, message(4, now + 1_001, ADA)).await,
        "accepted"
    );
    assert_eq!(
        delivered(&test, &caller, message(2, now + 1_000, ADA)).await,
        "accepted"
    );
    // Once the numbers are those of a right clock, none goes back.
    let day = 86_400_000;
    for (id, number, state) in [
        (15, now, "refused"),
        (16, now + day - 1, "accepted"),
        (17, now + 2_000, "refused"),
        (18, now + day, "accepted"),
    ] {
        assert_eq!(
            delivered(&test, &caller, message(id, number, ADA)).await,
            state
        );
    }
    assert_eq!(inbox(&test).await, 7);
}

/// The clock of a site began in 1970, as that of a machine without a battery does, and the site refused all
/// messages of its peers for good.
// PEER-71
#[tokio::test]
async fn a_site_whose_clock_begins_in_1970_accepts_messages() {
    let (test, peer) = site().await;
    let opened = connect(&test, &peer, hello(&peer), &Cut::default()).await;
    let caller = stays_open(opened.unwrap());
    let now = u64::try_from(test.now().millis()).unwrap();
    for (id, number, state) in [
        (1, now, "accepted"),
        (2, now + 1, "accepted"),
        (3, now, "refused"),
    ] {
        let params = json!({ "messages": [message(id, number, ADA)] });
        let at = Timestamp::from_millis(60_000);
        let (code, data) = run_at(&test.site, &caller, "peer.deliver", params, at).await;
        assert_eq!(
            (code, &data["reports"][0]["state"]),
            (Code::SUCCESS, &json!(state))
        );
    }
}
