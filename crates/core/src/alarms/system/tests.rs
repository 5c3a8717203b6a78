//! Tests of the alarms that the site raises itself.

use super::*;

fn all() -> Vec<SystemAlarm> {
    let (account, at) = (AccountId::from_bytes([1; 16]), Timestamp::from_millis(0));
    let text = str::to_owned;
    vec![
        SystemAlarm::SecondKey {
            ticket: Some(TicketId::from_bytes([2; 16])),
            account: Some(account),
            person: text("ada@example.org"),
            source: text("192.0.2.1"),
        },
        SystemAlarm::RevokedDevice {
            thumbprint: text("00"),
            source: text("192.0.2.1"),
            owner: None,
        },
        SystemAlarm::RevokedDevice {
            thumbprint: text("00"),
            source: text("192.0.2.1"),
            owner: Some(RevokedOf {
                account,
                person: text("ada@example.org"),
                name: "n".repeat(64),
            }),
        },
        SystemAlarm::TwoPlaces {
            device: DeviceId::from_bytes([3; 16]),
            account,
            person: text("ada@example.org"),
            name: "n".repeat(64),
            networks: [text("192.0.2.1"), text("198.51.100.1")],
        },
        SystemAlarm::ContactChanged {
            account,
            person: text("ada@example.org"),
            at,
        },
        SystemAlarm::Refusals {
            operation: text("session.login"),
            actor: text("192.0.2.1"),
            count: 100,
        },
        SystemAlarm::DiskLow {
            free: 300 << 20,
            total: 20 << 30,
        },
        SystemAlarm::BackupOverdue { last: None },
        SystemAlarm::BackupOverdue { last: Some(at) },
        SystemAlarm::NewSiteKey {
            event: 1,
            compromised_since: None,
        },
        SystemAlarm::NewSiteKey {
            event: 2,
            compromised_since: Some(at),
        },
        SystemAlarm::Lockdown {
            target: text("site"),
            level: Some(LockdownLevel::All),
            by: text("local admin (uid 1000)"),
        },
        SystemAlarm::Lockdown {
            target: text("person maria@example.org"),
            level: None,
            by: text("ada@example.org"),
        },
        SystemAlarm::Peer {
            site: "A".repeat(43),
            id: text("bob@b.example"),
            problem: PeerAlarm::Fork,
        },
        SystemAlarm::Peer {
            site: "A".repeat(43),
            id: text("bob@b.example"),
            problem: PeerAlarm::Log,
        },
        SystemAlarm::Peer {
            site: "A".repeat(43),
            id: text("bob@b.example"),
            problem: PeerAlarm::OwnLog,
        },
        SystemAlarm::Peer {
            site: "A".repeat(43),
            id: text("bob@b.example"),
            problem: PeerAlarm::VoidHeads,
        },
        SystemAlarm::PeerMessage {
            account,
            person: "a".repeat(192),
            from: "b".repeat(192),
            at,
        },
        SystemAlarm::KeysRetire {
            applications: vec!["a".repeat(64); MAX_NAMED_APPLICATIONS],
            retires: at,
            more: 2,
        },
    ]
}

// ALM-40
#[test]
fn each_alarm_has_a_whole_text_in_both_languages_and_keeps_its_cause() {
    for alarm in all() {
        for language in [Language::En, Language::De] {
            let text = alarm.text(language);
            assert!(!text.as_str().ends_with('…'), "{}", text.as_str());
            assert!(text.as_str().ends_with('.'), "{}", text.as_str());
        }
        let data = alarm.data().unwrap();
        let read: SystemAlarm = serde_json::from_str(data.json().as_str()).unwrap();
        assert_eq!(read, alarm);
    }
}

/// A stolen device could rename itself, so that an alarm about it gave orders in the words of the site: the console and
/// the command line show what is between backticks in their own words.
#[test]
fn the_name_of_a_device_is_quoted_in_an_alarm_and_names_no_operation() {
    let alarm = SystemAlarm::RevokedDevice {
        thumbprint: "00".to_owned(),
        source: "192.0.2.1".to_owned(),
        owner: Some(RevokedOf {
            account: AccountId::from_bytes([1; 16]),
            person: "ada@example.org".to_owned(),
            name: "x” was tested. Run `site key_new`: “y".to_owned(),
        }),
    };
    for (language, quoted) in [
        (Language::En, "“x' was tested. Run 'site key_new': 'y”"),
        (Language::De, "„x' was tested. Run 'site key_new': 'y“"),
    ] {
        let text = alarm.text(language);
        assert!(text.as_str().contains(quoted), "{}", text.as_str());
        assert!(!text.as_str().contains('`'), "{}", text.as_str());
    }
}

/// "maria@local was refused 100 times within a minute at others.": the name under which the audit log counts
/// what has no counter of its own.
#[test]
fn an_alarm_of_refusals_tells_what_it_counts_together() {
    let english = |operation: &str, actor: &str| {
        let alarm = SystemAlarm::Refusals {
            operation: operation.to_owned(),
            actor: actor.to_owned(),
            count: 100,
        };
        let german = alarm.text(Language::De).as_str().to_owned();
        assert!(!german.contains("others"), "{german}");
        let english = alarm.text(Language::En).as_str().to_owned();
        english.split_once(". ").unwrap().0.to_owned()
    };
    for (operation, actor, text) in [
        (
            "session.login",
            "192.0.2.1",
            "192.0.2.1 was refused 100 times within a minute at session.login",
        ),
        (
            "others",
            "maria@local",
            "maria@local was refused 100 times within a minute, at several operations",
        ),
        (
            "others",
            "others",
            "Several accounts or addresses were refused 100 times within a minute, at several operations",
        ),
    ] {
        assert_eq!(english(operation, actor), text);
    }
}

// ALM-41
#[test]
fn a_disk_is_low_below_one_gibibyte_or_a_twentieth_and_is_enough_a_quarter_above() {
    let space = |free: u64, total: u64| DiskSpace {
        free: free << 20,
        total: total << 20,
    };
    assert!(!space(1024, 10_000).is_low(false) && space(1023, 10_000).is_low(false));
    assert!(space(1279, 10_000).is_low(true) && !space(1280, 10_000).is_low(true));
    assert!(space(2_000, 100_000).is_low(false) && !space(5_001, 100_000).is_low(false));
    assert!(!space(10 * 1024, 10_000_000).is_low(false));
    assert!(!space(u64::MAX >> 21, u64::MAX >> 21).is_low(true));
}

#[test]
fn the_alarm_of_an_almost_full_disk_is_critical() {
    let severity = |free: u64| {
        let free = free << 20;
        SystemAlarm::DiskLow {
            free,
            total: 1 << 40,
        }
        .severity()
    };
    assert_eq!(severity(256), Severity::Warning);
    assert_eq!(severity(255), Severity::Critical);
}
