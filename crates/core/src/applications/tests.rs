//! Which applications may call which.

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn application(id: &str) -> Application {
    Application {
        id: id.parse().unwrap(),
        instance: None,
        edition: Edition::V2,
        keys: Vec::new(),
        hashes: Vec::new(),
        ciphers: Vec::new(),
        keys_last: 1_000,
        auth_data: AuthData::default(),
        groups: Vec::new(),
        may_call: Vec::new(),
        callers: Vec::new(),
        service: None,
        state: State::Active,
        revision: 1,
        created: NOW,
        changed: NOW,
    }
}

fn to(callee: Callee) -> Grant {
    Grant {
        callee,
        instance: None,
        site: None,
    }
}

/// `ledger` is deleted and registered again. Permissions for the first registration do not
/// apply.
#[test]
fn a_grant_is_for_one_registration() {
    let (mut billing, mut ledger) = (application("billing"), application("ledger"));
    let first = Some(InstanceId::from_bytes([1; 16]));
    ledger.instance = first;
    billing.may_call = vec![Grant {
        callee: Callee::App(ledger.id.clone()),
        instance: first,
        site: None,
    }];
    assert!(billing.may_call(&ledger));
    ledger.instance = Some(InstanceId::from_bytes([2; 16]));
    assert!(!billing.may_call(&ledger));
    // A permission without an instance applies to a registration without one.
    billing.may_call = vec![to(Callee::App(ledger.id.clone()))];
    assert!(!billing.may_call(&ledger));
    ledger.instance = None;
    assert!(billing.may_call(&ledger));
}

// [BRK-30]
#[test]
fn no_application_may_call_another_until_policy_allows_it() {
    let (mut billing, mut ledger) = (application("billing"), application("ledger"));
    assert!(!billing.may_call(&ledger) && !billing.may_call(&billing));
    billing.may_call = vec![to(Callee::App(ledger.id.clone()))];
    assert!(billing.may_call(&ledger) && !ledger.may_call(&billing));
    billing.may_call = vec![to(Callee::Group("finance".parse().unwrap()))];
    assert!(!billing.may_call(&ledger));
    ledger.groups = vec!["finance".parse().unwrap()];
    assert!(billing.may_call(&ledger));
    // The name of a group does not match an application id.
    billing.may_call = vec![to(Callee::App("finance".parse().unwrap()))];
    assert!(!billing.may_call(&ledger));
}

#[test]
fn a_locked_application_can_neither_call_nor_be_called() {
    let (mut billing, ledger) = (application("billing"), application("ledger"));
    billing.may_call = vec![to(Callee::App(ledger.id.clone()))];
    for (of, to) in [
        (State::Locked, State::Active),
        (State::Active, State::Locked),
    ] {
        let (mut billing, mut ledger) = (billing.clone(), ledger.clone());
        (billing.state, ledger.state) = (of, to);
        assert!(!billing.may_call(&ledger));
    }
    let mut old = ledger;
    old.edition = Edition::ServerosV1;
    assert!(!billing.may_call(&old), "editions do not mix");
}

#[test]
fn a_key_is_valid_until_it_retires() {
    let mut billing = application("billing");
    let key = |retires| ApplicationKey {
        public: Base64Url(vec![1]),
        label: Label::default(),
        added: NOW,
        retires,
    };
    billing.keys = vec![key(None), key(Some(NOW.plus_millis(10)))];
    assert_eq!(billing.valid_keys(NOW.plus_millis(9)).count(), 2);
    assert_eq!(billing.valid_keys(NOW.plus_millis(10)).count(), 1);
}

#[test]
fn ids_are_one_line() {
    for fine in ["a", "Application A", &"x".repeat(128), "ñandú"] {
        assert!(fine.parse::<ApplicationId>().is_ok(), "{fine}");
    }
    for bad in ["", " a", "a ", "a\nb", "a,b", &"x".repeat(129)] {
        assert_eq!(bad.parse::<ApplicationId>(), Err(BadApplicationId), "{bad}");
    }
}
