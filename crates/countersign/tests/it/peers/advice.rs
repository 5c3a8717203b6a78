//! What the commands of peers ask before, and what they advise.

use super::Side;

/// `peer permit` without words took all permissions away without a question. Advice lacked the name of the peer.
/// A removed peer was told to ask for a new ticket, which cannot help, and could not be forgotten by its zone.
#[test]
fn a_permission_is_taken_away_after_a_question_and_advice_can_be_followed_as_printed() {
    let ada = Side::new("a.example", "ada", 4773);
    let bob = Side::new("b.example", "bob", 4774);
    bob.join(&ada);
    let run = |words: &[&str]| ada.site.run(words);
    let none = run(&["peer", "permit", "b.example"]);
    assert_eq!(none.code, 2, "{}", none.out);
    let fewer = ["peer", "permit", "b.example", "messages", "audit_heads"];
    let unasked = run(&fewer);
    assert_eq!(unasked.code, 2, "{}", unasked.out);
    let question = "peer permit b.example: takes away tickets";
    assert!(unasked.err.contains(question), "{}", unasked.err);
    let permitted = run(&[&fewer[..], &["--yes"]].concat());
    assert_eq!(
        permitted.out.trim(),
        "The peer b.example may ask for messages, audit_heads, and no longer for tickets."
    );
    let more = run(&[&fewer[..], &["tickets"]].concat());
    assert_eq!(more.code, 0, "{}", more.err);

    assert_eq!(run(&["peer", "suspend", "b.example", "--yes"]).code, 0);
    let doctor = run(&["peer", "doctor"]);
    assert_eq!(doctor.code, 8);
    let next = "`countersign peer resume b.example` once the reason is gone";
    assert!(doctor.out.contains(next), "{}", doctor.out);

    assert_eq!(run(&["peer", "remove", "b.example", "--yes"]).code, 0);
    let ticket = ada.site.peer_ticket("ada");
    let refused = bob.site.join(&ticket, "bob").output().unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    for part in [
        "removed or suspended this one",
        "`countersign peer list` says of this site",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let forgotten = run(&["peer", "forget", "b.example", "--yes"]);
    assert_eq!(forgotten.code, 0, "{}", forgotten.err);
}
