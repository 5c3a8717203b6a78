//! The contract for the search for accounts.

use countersign_core::accounts::{Account, Kind};
use countersign_core::page::Page;
use countersign_core::store::{Change, Store};
use countersign_core::text::FullName;

use super::StoreUnderTest;
use super::sample::{commit, name, person, service};

/// The names of the accounts that a search finds.
async fn search(
    store: &dyn Store,
    kind: Kind,
    text: &str,
    after: Option<&str>,
    limit: u32,
) -> String {
    let search = FullName::try_from(text.to_owned()).unwrap().into();
    let after = after.map(str::to_owned);
    let page = Page { after, limit };
    let found = store.accounts(kind, &page, Some(&search)).await.unwrap();
    let names = found
        .iter()
        .map(|account| account.as_ref().unwrap().name.to_string());
    names.collect::<Vec<_>>().join(" ")
}

fn with(account: Account, full_name: &str, email: &str) -> Account {
    Account {
        full_name: full_name.to_owned(),
        email: email.to_owned(),
        ..account
    }
}

pub async fn a_search_finds_accounts_by_the_beginning_of_a_text(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let accounts = [
        with(person("anna"), "Émile-Ann* Weiß", "e.weiss@example.org"),
        with(person("maria"), "Anna [Lind]", "Post*@example.org"),
        with(person("marian"), "", ""),
        with(person("tom"), "Marianne", "?tom@example.org"),
        with(service("mariner"), "", ""),
    ];
    commit(&*store, accounts.map(Change::InsertAccount))
        .await
        .unwrap();
    let page = async |kind, text: &str, after: Option<&str>, limit| {
        search(&*store, kind, text, after, limit).await
    };
    for (text, found) in [
        ("mari", "maria marian tom"),
        (" MARIA ", "maria marian tom"),
        ("marian", "marian tom"),
        ("ann", "anna maria"),
        ("ann*", "anna"),
        ("émile-a", "anna"),
        ("E\u{301}MILE", "anna"),
        ("-ann", ""),
        ("weiß", "anna"),
        ("[l", "maria"),
        ("lind]", ""),
        ("post*", "maria"),
        ("*", ""),
        ("?", "tom"),
        ("^", ""),
        ("example.org", ""),
        ("[a-z]", ""),
        ("", "anna maria marian tom"),
    ] {
        assert_eq!(page(Kind::Person, text, None, 9).await, found, "{text:?}");
    }
    assert_eq!(page(Kind::Person, "mari", None, 2).await, "maria marian");
    assert_eq!(page(Kind::Person, "mari", Some("marian"), 2).await, "tom");
    assert_eq!(page(Kind::Service, "mari", None, 9).await, "mariner");
}

pub async fn a_search_follows_changes_and_deletions(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let found = async |text: &str| search(&*store, Kind::Person, text, None, 9).await;
    let maria = with(person("maria"), "Maria Lind", "maria@example.org");
    let tom = with(person("tom"), "Tom Lindner", "");
    let inserted = [maria.clone(), tom].map(Change::InsertAccount);
    commit(&*store, inserted).await.unwrap();
    let married = Account {
        name: name("mia"),
        full_name: "Maria Berg".to_owned(),
        email: String::new(),
        revision: 2,
        ..maria.clone()
    };
    // The name that became free is used again in the same set.
    let again = with(person("maria"), "Maria Adler", "");
    let changes = [
        Change::UpdateAccount(married.clone()),
        Change::InsertAccount(again.clone()),
    ];
    commit(&*store, changes).await.unwrap();
    assert_eq!(found("lind").await, "tom");
    assert_eq!(found("maria@").await, "");
    assert_eq!(found("maria").await, "maria mia");
    assert_eq!(found("berg").await, "mia");

    // A change of something else leaves an account to be found.
    let revised = Account {
        revision: 3,
        ..married
    };
    commit(&*store, [Change::UpdateAccount(revised)])
        .await
        .unwrap();
    assert_eq!(found("berg").await, "mia");

    let deleted = [(maria.id, 3), (again.id, 1)];
    let deleted = deleted.map(|(id, revision)| Change::DeleteAccount { id, revision });
    commit(&*store, deleted).await.unwrap();
    assert_eq!(found("maria").await, "");
    assert_eq!(found("").await, "tom");
}
