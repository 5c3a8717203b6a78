use super::*;
use crate::alarms::{Acknowledgement, AlarmState, Raiser, Target};
use crate::id::{AccountId, AlarmId};
use DeliveryChannel::{Email, Text};

/// 13:00 in Berlin, outside quiet hours.
const NOON: Timestamp = Timestamp::from_millis(1_772_366_400_000);
/// 23:00 in Berlin.
const NIGHT: Timestamp = Timestamp::from_millis(1_772_402_400_000);
/// 07:00 in Berlin.
const MORNING: Timestamp = Timestamp::from_millis(1_772_431_200_000);

fn after(seconds: u32) -> Timestamp {
    NOON.plus_seconds(seconds)
}

fn before(seconds: i64) -> Timestamp {
    Timestamp::from_millis(NOON.millis() - seconds * 1_000)
}

fn alarm(severity: Severity) -> Alarm {
    Alarm {
        id: AlarmId::from_bytes([1; 16]),
        key: "disk".to_owned().try_into().unwrap(),
        to: Target::Person(AccountId::from_bytes([2; 16])),
        raiser: Raiser::Site,
        raised_by: "site".to_owned(),
        severity,
        text: "The disk is nearly full.".to_owned().try_into().unwrap(),
        data: None,
        first: NOON,
        last: NOON,
        notified: NOON,
        count: 1,
        state: AlarmState::Open,
        acknowledged: None,
        ended: None,
        escalates: None,
        revision: 1,
    }
}

fn preferences() -> Preferences {
    serde_json::from_value(serde_json::json!({
        "language": "en",
        "time_zone": "Europe/Berlin",
        "quiet": { "from": "22:00", "to": "07:00" },
        "channels": ["email", "text"],
    }))
    .unwrap()
}

/// A warning, raised at noon for a person with e-mail and text and without connections.
fn usual<'a>(alarm: &'a Alarm, preferences: &'a Preferences) -> Situation<'a> {
    Situation {
        now: NOON,
        alarm,
        news: News::Raised,
        preferences,
        contacts: &[Email, Text],
        connections: 0,
        recent: &[],
        waiting: &[],
        notified: &[],
        can_escalate: true,
    }
}

struct Row {
    rule: &'static str,
    severity: Severity,
    change: fn(&mut Alarm),
    situation: fn(&mut Situation<'_>),
    steps: Vec<Step>,
}

const UNCHANGED: fn(&mut Alarm) = |_| ();
const DUE: News = News::Due {
    channel: Email,
    about: About::Raised,
};
const OVER_DUE: News = News::Due {
    channel: Email,
    about: About::Over,
};
/// Ten messages by e-mail, one per second, the newest one second old.
const BUSY: [(DeliveryChannel, Timestamp); 10] = {
    let mut busy = [(Email, NOON); 10];
    let mut at = 0;
    while at < 10 {
        busy[at] = (
            Email,
            Timestamp::from_millis(NOON.millis() - (at as i64 + 1) * 1_000),
        );
        at += 1;
    }
    busy
};

fn row(
    rule: &'static str,
    severity: Severity,
    change: fn(&mut Alarm),
    situation: fn(&mut Situation<'_>),
    steps: impl Into<Vec<Step>>,
) -> Row {
    Row {
        rule,
        severity,
        change,
        situation,
        steps: steps.into(),
    }
}

fn check(rows: Vec<Row>) {
    let preferences = preferences();
    for Row {
        rule,
        severity,
        change,
        situation,
        steps,
    } in rows
    {
        let mut alarm = alarm(severity);
        change(&mut alarm);
        let mut asked = usual(&alarm, &preferences);
        situation(&mut asked);
        assert_eq!(decide(&asked), steps, "{rule}");
    }
}

#[test]
fn a_raised_alarm_is_sent_and_escalates_by_its_severity() {
    use Severity::{Critical, Info, Warning};
    let text = |at| Step::Escalate { channel: Text, at };
    let email = |at| Step::Escalate { channel: Email, at };
    let next = |at| Step::NotifyAdmins { at };
    check(vec![
        row(
            "info is sent over the first channel only",
            Info,
            UNCHANGED,
            |_| (),
            [Step::Send(Email)],
        ),
        row(
            "a warning goes to the next channel after 15 min",
            Warning,
            UNCHANGED,
            |_| (),
            [Step::Send(Email), text(after(900))],
        ),
        row(
            "a critical alarm goes to the next channel after 5 min and to the admins after 15 min",
            Critical,
            UNCHANGED,
            |_| (),
            [Step::Send(Email), text(after(300)), next(after(900))],
        ),
        row(
            "an open connection gives 60 s to acknowledge",
            Warning,
            UNCHANGED,
            |of| of.connections = 1,
            [email(after(60)), text(after(960))],
        ),
        row(
            "an alarm for the admins does not escalate",
            Critical,
            UNCHANGED,
            |of| of.can_escalate = false,
            [Step::Send(Email), text(after(300))],
        ),
        row(
            "the person's order of channels applies",
            Warning,
            UNCHANGED,
            |of| of.contacts = &[Text, Email],
            [Step::Send(Text), email(after(900))],
        ),
        row(
            "an alarm of an unreachable person escalates at once",
            Warning,
            UNCHANGED,
            |of| of.contacts = &[],
            [next(NOON)],
        ),
        row(
            "an unreachable person with a connection has 60 s",
            Warning,
            UNCHANGED,
            |of| (of.contacts, of.connections) = (&[], 2),
            [next(after(60))],
        ),
        row(
            "info never escalates to the admins",
            Info,
            UNCHANGED,
            |of| of.contacts = &[],
            [],
        ),
        row(
            "a channel with a waiting delivery gets no second one",
            Critical,
            UNCHANGED,
            |of| of.waiting = &[Email, Text],
            [next(after(900))],
        ),
    ]);
}

/// The attacker's open connection delayed the message to the owner by a minute, in which the
/// attacker acknowledged the alarm.
// ALM-44
#[test]
fn an_alarm_about_a_misuse_goes_over_each_channel_at_once_and_escalates_to_no_admin() {
    use Severity::{Critical, Warning};
    let all = [Step::Send(Email), Step::Send(Text)];
    check(vec![
        row(
            "an open connection delays no message about a second key",
            Critical,
            |alarm| alarm.key = "second key 1".to_owned().try_into().unwrap(),
            |of| of.connections = 1,
            all,
        ),
        row(
            "nor about two places",
            Warning,
            |alarm| alarm.key = "two places 1".to_owned().try_into().unwrap(),
            |of| of.connections = 1,
            all,
        ),
        row(
            "nor about a revoked device",
            Warning,
            |alarm| alarm.key = "revoked device 1".to_owned().try_into().unwrap(),
            |of| of.connections = 1,
            all,
        ),
        row(
            "a warning waits for the end of the quiet hours",
            Warning,
            |alarm| alarm.key = "two places 1".to_owned().try_into().unwrap(),
            |of| of.now = NIGHT,
            [Email, Text].map(|channel| Step::Hold {
                channel,
                until: MORNING,
            }),
        ),
        row(
            "a channel with a waiting delivery gets no second one",
            Critical,
            |alarm| alarm.key = "second key 1".to_owned().try_into().unwrap(),
            |of| of.waiting = &[Email],
            [Step::Send(Text)],
        ),
        row(
            "an alarm of a service with such a key is none",
            Warning,
            |alarm| {
                alarm.key = "two places 1".to_owned().try_into().unwrap();
                alarm.raiser = Raiser::LocalAdmin;
            },
            |of| (of.connections, of.contacts) = (1, &[Email]),
            [Step::Escalate {
                channel: Email,
                at: after(60),
            }],
        ),
    ]);
}

#[test]
fn a_repeat_is_delivered_outside_the_deduplication_window_only() {
    use Severity::Info;
    let within = |alarm: &mut Alarm| alarm.notified = before(899);
    let outside = |alarm: &mut Alarm| alarm.notified = before(900);
    let repeated = |of: &mut Situation<'_>| of.news = News::Repeated;
    check(vec![
        row(
            "within 15 min nothing is delivered",
            Info,
            within,
            repeated,
            [],
        ),
        row(
            "after 15 min it is delivered again",
            Info,
            outside,
            repeated,
            [Step::Send(Email)],
        ),
        row(
            "a window from the future is ignored",
            Info,
            |of| of.notified = after(9),
            repeated,
            [Step::Send(Email)],
        ),
        row(
            "an acknowledged alarm is not delivered again",
            Info,
            |of| (of.notified, of.state) = (before(9_000), AlarmState::Acknowledged),
            repeated,
            [],
        ),
        row(
            "an alarm that became more severe is delivered at once",
            Info,
            within,
            |_| (),
            [Step::Send(Email)],
        ),
    ]);
}

#[test]
fn quiet_hours_and_the_rate_limit_delay_all_but_critical_alarms() {
    use Severity::{Critical, Info};
    let night = |of: &mut Situation<'_>| of.now = NIGHT;
    let busy = |of: &mut Situation<'_>| of.recent = &BUSY;
    let hold = Step::Hold {
        channel: Email,
        until: MORNING,
    };
    let fold = Step::Fold {
        channel: Email,
        until: after(590),
    };
    let text = Step::Escalate {
        channel: Text,
        at: after(300),
    };
    check(vec![
        row(
            "quiet hours delay a new message",
            Info,
            UNCHANGED,
            night,
            [hold],
        ),
        row(
            "quiet hours delay a due message",
            Info,
            UNCHANGED,
            |of| (of.now, of.news) = (NIGHT, DUE),
            [hold],
        ),
        row(
            "a critical alarm ignores quiet hours",
            Critical,
            UNCHANGED,
            |of| (of.now, of.news) = (NIGHT, DUE),
            [Step::Send(Email)],
        ),
        row(
            "the eleventh message in 10 min is folded",
            Info,
            UNCHANGED,
            busy,
            [fold],
        ),
        row(
            "the tenth is not",
            Info,
            UNCHANGED,
            |of| of.recent = &BUSY[1..],
            [Step::Send(Email)],
        ),
        row(
            "each channel has its own limit",
            Info,
            UNCHANGED,
            |of| (of.recent, of.contacts) = (&BUSY, &[Text]),
            [Step::Send(Text)],
        ),
        row(
            "after 10 min a message is sent again",
            Info,
            UNCHANGED,
            |of| (of.recent, of.now) = (&BUSY, after(590)),
            [Step::Send(Email)],
        ),
        row(
            "a critical alarm ignores the rate limit",
            Critical,
            UNCHANGED,
            |of| (of.recent, of.can_escalate) = (&BUSY, false),
            [Step::Send(Email), text],
        ),
        row(
            "messages from the future are ignored",
            Info,
            UNCHANGED,
            |of| (of.recent, of.now) = (&BUSY, before(100)),
            [Step::Send(Email)],
        ),
    ]);
}

#[test]
fn a_due_delivery_is_decided_on_again() {
    use Severity::Warning;
    let due = |of: &mut Situation<'_>| of.news = DUE;
    let over = |of: &mut Alarm| of.state = AlarmState::Over;
    check(vec![
        row("it is sent", Warning, UNCHANGED, due, [Step::Send(Email)]),
        row(
            "not when it was acknowledged",
            Warning,
            |of| of.state = AlarmState::Acknowledged,
            due,
            [],
        ),
        row("not when it is over", Warning, over, due, []),
        row(
            "not over a channel that no longer exists",
            Warning,
            UNCHANGED,
            |of| (of.news, of.contacts) = (DUE, &[Text]),
            [Step::Undeliverable(Email)],
        ),
        row(
            "the end is sent",
            Warning,
            over,
            |of| of.news = OVER_DUE,
            [Step::Send(Email)],
        ),
        row(
            "the end is not sent while the alarm is open",
            Warning,
            UNCHANGED,
            |of| of.news = OVER_DUE,
            [],
        ),
    ]);
}

#[test]
fn the_end_goes_to_notified_recipients_only() {
    use Severity::Warning;
    let over = |of: &mut Alarm| of.state = AlarmState::Over;
    check(vec![
        row(
            "over the first channel with an attempt",
            Warning,
            over,
            |of| (of.news, of.notified) = (News::Over, &[Text, Email]),
            [Step::Send(Email)],
        ),
        row(
            "not to a recipient without an attempt",
            Warning,
            over,
            |of| of.news = News::Over,
            [],
        ),
        row(
            "not when it was acknowledged",
            Warning,
            |of| {
                of.state = AlarmState::Over;
                of.acknowledged = Some(Acknowledgement {
                    at: NOON,
                    by: "maria".to_owned(),
                });
            },
            |of| (of.news, of.notified) = (News::Over, &[Email]),
            [],
        ),
    ]);
}
