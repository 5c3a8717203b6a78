//! Persons, services and their keys.

mod delivered;
mod dump;
mod misused_credentials;
mod oracle;
pub(crate) mod passphrase;
mod person_data;
pub(crate) mod proof;

use countersign_core::sessions::{CloseReason, Proof};
use countersign_proto::operation::Code;
use countersign_testkit::harness::{TestSite, certificate};
use serde_json::json;

#[tokio::test]
async fn a_person_is_created_shown_changed_and_deleted() {
    let test = TestSite::new().await;
    let created = test
        .admin(
            "person.create",
            json!({ "name": "Maria", "full_name": "Maria Lind", "email": "maria@example.org" }),
        )
        .await;
    assert_eq!(created["name"], "maria@example.org");
    assert_eq!(
        (&created["role"], &created["state"]),
        (&"member".into(), &"active".into())
    );

    let changed = json!({ "name": "maria", "full_name": "Maria Berg", "role": "admin" });
    test.admin("person.update", changed).await;
    let shown = test
        .admin("person.show", json!({ "name": "maria@example.org" }))
        .await;
    assert_eq!(shown["full_name"], "Maria Berg");
    assert_eq!(shown["role"], "admin");
    assert_eq!(
        shown["email"], "maria@example.org",
        "absent fields stay unchanged"
    );
    assert_eq!(shown["id"], created["id"]);

    test.admin("person.delete", json!({ "name": "maria" }))
        .await;
    let (code, _) = test
        .refused("person.show", json!({ "name": "maria" }))
        .await;
    assert_eq!(code, Code::NOT_FOUND);
    assert_eq!(
        test.audited().await[1..],
        [
            "person.create maria@example.org done",
            "person.update maria@example.org done",
            "person.delete maria@example.org done",
        ]
    );
}

#[tokio::test]
async fn a_taken_name_is_a_conflict_that_names_the_field() {
    let test = TestSite::new().await;
    test.admin("person.create", json!({ "name": "maria" }))
        .await;
    for name in ["person.create", "service.create"] {
        let (code, data) = test.refused(name, json!({ "name": "maria" })).await;
        assert_eq!((code, &data["field"]), (Code::CONFLICT, &"name".into()));
    }
    test.admin("person.create", json!({ "name": "bob" })).await;
    let rename = json!({ "name": "bob", "new_name": "maria" });
    assert_eq!(
        test.refused("person.update", rename).await.0,
        Code::CONFLICT
    );
}

/// The console searched by a page of `person list` that began at the text, and showed the first 50
/// of 12,500 matches as "50 people".
#[tokio::test]
async fn a_search_is_a_list_with_pages() {
    let test = TestSite::new().await;
    for number in 0..51 {
        let person = json!({ "name": format!("mar{number:02}") });
        test.admin("person.create", person).await;
    }
    for (name, full_name) in [("anna", "Anna Marin"), ("tom", "Tom Baker")] {
        let person = json!({ "name": name, "full_name": full_name });
        test.admin("person.create", person).await;
    }
    let found = async |after: Option<String>| {
        let page = json!({ "search": "Mar", "limit": 50, "after": after });
        let page = test.admin("person.list", page).await;
        let entries = page["entries"].as_array().unwrap().len();
        (entries, page["next"].as_str().map(str::to_owned))
    };
    let first = found(None).await;
    assert_eq!(first, (50, Some("mar48@example.org".to_owned())));
    assert_eq!(found(first.1).await, (2, None));
    let long = json!({ "search": "m".repeat(201) });
    let (code, data) = test.refused("person.list", long).await;
    assert_eq!(
        (code, &data["field"]),
        (Code::INVALID_PARAMS, &"search".into())
    );
}

#[tokio::test]
async fn a_page_of_a_list_begins_where_the_previous_page_ended() {
    let test = TestSite::new().await;
    for name in ["dora", "alice", "carol", "bob"] {
        test.admin("person.create", json!({ "name": name })).await;
    }
    test.admin("service.create", json!({ "name": "aa-service" }))
        .await;
    let first = test.admin("person.list", json!({ "limit": 3 })).await;
    let names = |listed: &serde_json::Value| {
        let entries = listed["entries"].as_array().unwrap().clone();
        entries
            .iter()
            .map(|entry| entry["name"].as_str().unwrap().replace("@example.org", ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&first), ["alice", "bob", "carol"]);
    let rest = test
        .admin("person.list", json!({ "limit": 3, "after": first["next"] }))
        .await;
    assert_eq!(names(&rest), ["dora"]);
    assert!(rest.get("next").is_none());

    let (code, data) = test.refused("person.list", json!({ "limit": 1001 })).await;
    assert_eq!(
        (code, &data["field"]),
        (Code::INVALID_PARAMS, &"limit".into())
    );
}

#[tokio::test]
async fn locking_cuts_sessions_and_unlocking_allows_logins_again() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let other = test.person("other", "member").await;
    test.admin("person.lock", json!({ "name": "maria" })).await;
    assert_eq!(maria.was_cut(), Some(CloseReason::AccountLocked));
    assert_eq!(other.was_cut(), None);

    let account = json!({ "id": maria.info.account });
    assert!(test.session(&account, Proof::Passphrase).await.is_none());
    test.admin("person.unlock", json!({ "name": "maria" }))
        .await;
    assert!(test.session(&account, Proof::Passphrase).await.is_some());
}

/// `unlock` also enabled a disabled account, and locking a disabled account made it one that `unlock`
/// enabled.
#[tokio::test]
async fn unlocking_does_not_enable_and_enabling_does_not_unlock() {
    let test = TestSite::new().await;
    for (kind, name) in [("person", "maria"), ("service", "mailer")] {
        let named = json!({ "name": name });
        test.admin(&format!("{kind}.create"), named.clone()).await;
        for (operation, expected) in [
            ("unlock", Ok("active")),
            ("enable", Ok("active")),
            ("lock", Ok("locked")),
            ("lock", Ok("locked")),
            ("enable", Err(Code::CONFLICT)),
            ("disable", Ok("disabled")),
            ("lock", Err(Code::CONFLICT)),
            ("unlock", Err(Code::CONFLICT)),
            ("disable", Ok("disabled")),
            ("enable", Ok("active")),
            ("disable", Ok("disabled")),
        ] {
            let operation = format!("{kind}.{operation}");
            match expected {
                Ok(state) => {
                    let changed = test.admin(&operation, named.clone()).await;
                    assert_eq!(changed["state"], state, "{operation}");
                }
                Err(code) => {
                    let refused = test.refused(&operation, named.clone()).await;
                    assert_eq!(refused.0, code, "{operation}");
                }
            }
        }
    }
}

#[tokio::test]
async fn disabling_cuts_sessions_and_refuses_logins_until_the_account_is_enabled() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "member").await;
    let (robot, identity) = test.service("robot").await;
    let thumbprint = identity.certificate().thumbprint();
    let account = json!({ "id": maria.info.account });
    let logs_in = async || {
        let person = test.session(&account, Proof::Passphrase).await.is_some();
        let service = test.site.service_for_login(&thumbprint).await.unwrap();
        (person, service.is_some())
    };
    test.admin("person.disable", json!({ "name": "maria" }))
        .await;
    test.admin("service.disable", json!({ "name": "robot" }))
        .await;
    for session in [&maria, &robot] {
        assert_eq!(session.was_cut(), Some(CloseReason::AccountLocked));
    }
    assert_eq!(logs_in().await, (false, false));
    test.admin("person.enable", json!({ "name": "maria" }))
        .await;
    test.admin("service.enable", json!({ "name": "robot" }))
        .await;
    assert_eq!(logs_in().await, (true, true));
}

#[tokio::test]
async fn a_new_role_or_name_cuts_sessions_and_a_new_address_does_not() {
    let test = TestSite::new().await;
    let maria = test.person("maria", "admin").await;
    let update = json!({ "name": "maria", "email": "m@example.org" });
    test.admin("person.update", update).await;
    assert_eq!(maria.was_cut(), None);
    let update = json!({ "name": "maria", "role": "member" });
    test.admin("person.update", update).await;
    assert_eq!(maria.was_cut(), Some(CloseReason::AccountChanged));
}

#[tokio::test]
async fn a_service_logs_in_with_each_of_its_keys_until_it_is_revoked() {
    let test = TestSite::new().await;
    let (session, identity) = test.service("mailer").await;
    let first = identity.certificate().thumbprint();
    let (pem, second) = certificate();
    let add = json!({ "name": "mailer", "certificate": pem, "label": "second" });
    test.admin("key.add", add).await;
    for thumbprint in [first, second] {
        let login = test.site.service_for_login(&thumbprint).await.unwrap();
        assert_eq!(login.unwrap().account, session.info.account);
    }

    let revoke = json!({ "name": "mailer", "thumbprint": second.to_string() });
    test.admin("key.revoke", revoke.clone()).await;
    assert_eq!(
        session.was_cut(),
        None,
        "the session was opened with the other key"
    );
    assert_eq!(test.site.service_for_login(&second).await.unwrap(), None);
    assert_eq!(test.refused("key.revoke", revoke).await.0, Code::NOT_FOUND);

    // The last key can be revoked too.
    let revoke = json!({ "name": "mailer", "thumbprint": first.to_string() });
    test.admin("key.revoke", revoke).await;
    assert_eq!(session.was_cut(), Some(CloseReason::KeyRevoked));
    let shown = test
        .admin("service.show", json!({ "name": "mailer" }))
        .await;
    assert_eq!(shown["keys"], json!([]));
}

#[tokio::test]
async fn a_key_can_belong_to_one_service_only() {
    let test = TestSite::new().await;
    let (_, identity) = test.service("mailer").await;
    let pem = identity.certificate().to_pem();
    let create = json!({ "name": "other", "certificate": pem });
    let (code, data) = test.refused("service.create", create).await;
    assert_eq!(
        (code, &data["field"]),
        (Code::CONFLICT, &"certificate".into())
    );
    let (code, _) = test
        .refused("service.show", json!({ "name": "other" }))
        .await;
    assert_eq!(code, Code::NOT_FOUND, "the service was not created");
}

#[tokio::test]
async fn an_invalid_certificate_is_refused() {
    let test = TestSite::new().await;
    let create = json!({ "name": "mailer", "certificate": "hello" });
    let (code, data) = test.refused("service.create", create).await;
    assert_eq!(
        (code, &data["field"]),
        (Code::INVALID_PARAMS, &"certificate".into())
    );
}

#[tokio::test]
async fn a_locked_or_deleted_service_cannot_log_in() {
    let test = TestSite::new().await;
    let (session, identity) = test.service("mailer").await;
    let thumbprint = identity.certificate().thumbprint();
    test.admin("service.lock", json!({ "name": "mailer" }))
        .await;
    assert_eq!(session.was_cut(), Some(CloseReason::AccountLocked));
    assert_eq!(
        test.site.service_for_login(&thumbprint).await.unwrap(),
        None
    );
    test.admin("service.unlock", json!({ "name": "mailer" }))
        .await;
    assert!(
        test.site
            .service_for_login(&thumbprint)
            .await
            .unwrap()
            .is_some()
    );
    test.admin("service.delete", json!({ "name": "mailer" }))
        .await;
    assert_eq!(
        test.site.service_for_login(&thumbprint).await.unwrap(),
        None
    );
}

/// A limit that is no number was refused with the range of 32 bits, and one that is too great with another.
#[tokio::test]
async fn a_wrong_limit_is_refused_with_one_range() {
    let test = TestSite::new().await;
    for (limit, shown) in [
        (json!(0), "0"),
        (json!(1_001), "1001"),
        (json!(5_000_000_000_u64), "5000000000"),
        (json!(-1), "-1"),
        (json!("x"), "\"x\""),
        (json!(null), "null"),
    ] {
        let (code, data) = test.refused("person.list", json!({ "limit": limit })).await;
        let message = format!("limit: give a whole number from 1 to 1000, not {shown}");
        assert_eq!(
            (code, data["message"].as_str()),
            (Code::INVALID_PARAMS, Some(message.as_str()))
        );
    }
    let page = test.admin("person.list", json!({ "limit": 1_000 })).await;
    assert_eq!(page["entries"], json!([]));
}
