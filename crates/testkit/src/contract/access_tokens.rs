//! Access tokens, and completed requests.

use countersign_core::access_tokens::{AccessToken, AccessTokenHash, MAX_TOKENS_PER_ACCOUNT};
use countersign_core::accounts::Account;
use countersign_core::id::{AccessTokenId, AccountId};
use countersign_core::page::Page;
use countersign_core::store::{
    AccessTokenChange, Change, CompletedRequest, MAX_COMPLETED_REQUESTS,
    MAX_COMPLETED_REQUESTS_OF_CREDENTIAL, Store, StoreError, Thing, Unique,
};
use countersign_core::timestamp::Timestamp;
use countersign_crypto::entropy::SystemEntropy;

use super::StoreUnderTest;
use super::sample::{NOW, commit, person};

fn token(account: &Account, mark: u8) -> AccessToken {
    AccessToken {
        id: AccessTokenId::new(NOW.plus_millis(u64::from(mark)), &mut SystemEntropy),
        account: account.id,
        token_hash: AccessTokenHash([mark; 32]),
        label: format!("token {mark}"),
        operations: vec!["alarm.raise".to_owned(), "self.show".to_owned()],
        created: NOW,
        expires: NOW.plus_seconds(u32::from(mark) * 60),
        last_used: None,
    }
}

fn insert(token: &AccessToken) -> Change {
    Change::AccessToken(AccessTokenChange::Insert(token.clone()))
}

async fn people(store: &dyn Store) -> [Account; 2] {
    let people = ["maria", "bob"].map(person);
    let changes = people
        .each_ref()
        .map(|one| Change::InsertAccount(one.clone()));
    commit(store, changes).await.unwrap();
    people
}

async fn listed(store: &dyn Store, account: Option<AccountId>) -> Vec<AccessTokenId> {
    let page = Page {
        after: None,
        limit: 1_000,
    };
    let listed = store.access_tokens(account, &page).await.unwrap();
    let ids = listed.into_iter().map(|token| token.unwrap().id);
    ids.collect()
}

pub async fn an_access_token_is_found_by_its_hash_with_its_account(
    under_test: &dyn StoreUnderTest,
) {
    let store = under_test.open().await;
    let [maria, bob] = people(&*store).await;
    let [one, two, other] = [token(&maria, 1), token(&maria, 2), token(&bob, 3)];
    commit(&*store, [&one, &two, &other].map(insert))
        .await
        .unwrap();
    let found = store.access_token_login(&one.token_hash).await.unwrap();
    assert_eq!(found, Some((maria.clone(), one.clone())));
    let missing = AccessTokenHash([9; 32]);
    assert_eq!(store.access_token_login(&missing).await.unwrap(), None);
    let by_id = store.access_token(other.id).await.unwrap();
    assert_eq!(by_id, Some(other.clone()));
    assert_eq!(store.damaged_access_token(other.id).await, Ok(None));
    assert_eq!(listed(&*store, Some(maria.id)).await, [one.id, two.id]);
    assert_eq!(listed(&*store, None).await, [one.id, two.id, other.id]);

    let at = NOW.plus_seconds(7);
    let used = vec![(one.id, at), (AccessTokenId::from_bytes([7; 16]), at)];
    let used = Change::AccessToken(AccessTokenChange::Used(used));
    commit(&*store, [used]).await.unwrap();
    let found = store.access_token(one.id).await.unwrap().unwrap();
    assert_eq!(found.last_used, Some(at));

    let same_hash = AccessToken {
        token_hash: one.token_hash,
        ..token(&bob, 4)
    };
    let what = Unique::AccessToken;
    let taken = commit(&*store, [insert(&same_hash)]).await;
    assert_eq!(taken.unwrap_err(), StoreError::Conflict { what });
    let of_a_missing_account = token(&person("carl"), 5);
    let what = Thing::Account;
    let missing = commit(&*store, [insert(&of_a_missing_account)]).await;
    assert_eq!(missing.unwrap_err(), StoreError::NotFound { what });
}

pub async fn an_access_token_is_deleted_by_its_account_alone(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let [maria, bob] = people(&*store).await;
    let [one, two, three] = [1, 2, 3].map(|mark| token(&maria, mark));
    let other = token(&bob, 4);
    commit(&*store, [&one, &two, &three, &other].map(insert))
        .await
        .unwrap();
    let delete = |id, account| Change::AccessToken(AccessTokenChange::Delete { id, account });
    let what = Thing::AccessToken;
    let refused = commit(&*store, [delete(one.id, bob.id)]).await;
    assert_eq!(refused.unwrap_err(), StoreError::NotFound { what });
    commit(&*store, [delete(one.id, maria.id)]).await.unwrap();
    let again = commit(&*store, [delete(one.id, maria.id)]).await;
    assert_eq!(again.unwrap_err(), StoreError::NotFound { what });
    let delete_of = |account, expired_before| {
        let change = AccessTokenChange::DeleteOf {
            account,
            expired_before,
        };
        Change::AccessToken(change)
    };
    let expired = delete_of(maria.id, Some(three.expires));
    commit(&*store, [expired]).await.unwrap();
    assert_eq!(listed(&*store, Some(maria.id)).await, [three.id]);
    commit(&*store, [delete_of(maria.id, None)]).await.unwrap();
    assert_eq!(listed(&*store, None).await, [other.id]);
    let deleted = Change::DeleteAccount {
        id: bob.id,
        revision: 1,
    };
    commit(&*store, [deleted]).await.unwrap();
    assert_eq!(listed(&*store, None).await, []);
    let gone = store.access_token_login(&other.token_hash).await.unwrap();
    assert_eq!(gone, None);
}

pub async fn an_account_has_so_many_access_tokens(under_test: &dyn StoreUnderTest) {
    let store = under_test.open().await;
    let [maria, bob] = people(&*store).await;
    let most = u8::try_from(MAX_TOKENS_PER_ACCOUNT).unwrap();
    let tokens: Vec<AccessToken> = (1..=most).map(|mark| token(&maria, mark)).collect();
    commit(&*store, tokens.iter().map(insert).collect::<Vec<_>>())
        .await
        .unwrap();
    let one_more = token(&maria, most + 1);
    let what = Unique::AccessTokenRoom;
    let refused = commit(&*store, [insert(&one_more)]).await;
    assert_eq!(refused.unwrap_err(), StoreError::Conflict { what });
    // Those that expired make room in the same set.
    let forget = Change::AccessToken(AccessTokenChange::DeleteOf {
        account: maria.id,
        expired_before: Some(NOW.plus_seconds(61)),
    });
    commit(&*store, [forget, insert(&one_more)]).await.unwrap();
    commit(&*store, [insert(&token(&bob, most + 2))])
        .await
        .unwrap();
}

fn completed(account: &Account, number: u64, at: Timestamp) -> CompletedRequest {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_be_bytes());
    CompletedRequest {
        account: account.id,
        key,
        request: [1; 32],
        credential: [1; 32],
        at,
        forget_before: NOW,
    }
}

pub async fn a_completed_request_is_recorded_once_and_forgotten_in_time(
    under_test: &dyn StoreUnderTest,
) {
    let store = under_test.open().await;
    let [maria, bob] = people(&*store).await;
    let complete = |request: &CompletedRequest| Change::CompleteRequest(request.clone());
    let first = completed(&maria, 1, NOW);
    commit(&*store, [complete(&first)]).await.unwrap();
    let read = async |account: &Account, request: &CompletedRequest| {
        let read = store.completed_request(account.id, &request.key).await;
        read.unwrap().map(|found| (found.request, found.at))
    };
    assert_eq!(read(&maria, &first).await, Some(([1; 32], NOW)));
    assert_eq!(read(&bob, &first).await, None);
    let what = Unique::CompletedRequest;
    let again = commit(&*store, [complete(&first)]).await;
    assert_eq!(again.unwrap_err(), StoreError::Conflict { what });
    commit(&*store, [complete(&completed(&bob, 1, NOW))])
        .await
        .unwrap();

    let later = CompletedRequest {
        at: NOW.plus_seconds(10),
        forget_before: NOW.plus_seconds(1),
        ..first.clone()
    };
    commit(&*store, [complete(&later)]).await.unwrap();
    assert_eq!(read(&maria, &first).await, Some(([1; 32], later.at)));

    let more = (2..=MAX_COMPLETED_REQUESTS + 1)
        .map(|number| CompletedRequest {
            credential: [u8::from(number % 2 == 0); 32],
            ..completed(&maria, number, NOW.plus_seconds(20))
        })
        .map(|request| complete(&request));
    commit(&*store, more.collect::<Vec<_>>()).await.unwrap();
    assert_eq!(read(&maria, &first).await, None, "the oldest made room");
    assert!(read(&maria, &completed(&maria, 2, NOW)).await.is_some());
    let deleted = Change::DeleteAccount {
        id: bob.id,
        revision: 1,
    };
    commit(&*store, [deleted]).await.unwrap();
    assert_eq!(read(&bob, &first).await, None);
}

/// A stolen token that completes request after request once made the account forget those of its other
/// credentials, which were then carried out twice.
pub async fn a_credential_with_many_completed_requests_pushes_out_its_own(
    under_test: &dyn StoreUnderTest,
) {
    let store = under_test.open().await;
    let [maria, _] = people(&*store).await;
    let of_others = [1, 2].map(|number| CompletedRequest {
        credential: [2; 32],
        ..completed(&maria, number, NOW)
    });
    let last = MAX_COMPLETED_REQUESTS_OF_CREDENTIAL + 4;
    let of_one = (3..=last).map(|number| completed(&maria, number, NOW.plus_seconds(20)));
    let all = of_others.iter().cloned().chain(of_one);
    let all = all.map(Change::CompleteRequest);
    commit(&*store, all.collect::<Vec<_>>()).await.unwrap();
    let is_kept = async |number| {
        let key = completed(&maria, number, NOW).key;
        let read = store.completed_request(maria.id, &key).await;
        read.unwrap().is_some()
    };
    assert!(
        is_kept(1).await && is_kept(2).await,
        "of another credential"
    );
    assert!(!is_kept(3).await && !is_kept(4).await, "its oldest two");
    assert!(is_kept(5).await && is_kept(last).await);
}
