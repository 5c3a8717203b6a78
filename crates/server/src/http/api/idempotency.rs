//! Requests with an idempotency key, which are carried out once.
//!
//! ```text
//!              first request            succeeded, answer kept
//!  (unknown) ───────────────▶ running ─────────────────────────▶ answered ──▶ the same answer
//!                                │ refused: nothing is kept          │ restart, or too many answers
//!                                ▼                                   ▼
//!                            (unknown)                            recorded ──▶ 409: it was done
//! ```
//!
//! The key is recorded in the same transaction as the change, so that no crash leads to a second
//! change. The answer itself is kept in memory alone: it may contain a ticket or a token, which the
//! site does not store. When there are too many, the account with most of them loses its oldest. An
//! answer is forgotten with its key, when the site is sealed, and when its account is deleted.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_core::access::{HttpCredential, HttpGrant, Scope};
use countersign_core::engine::Site;
use countersign_core::engine::rest::IdempotencyKey;
use countersign_core::id::AccountId;
use countersign_core::store::CompletedRequest;
use countersign_core::timestamp::Timestamp;
use countersign_crypto::hash::Sha256;
use countersign_crypto::secret::SecretText;
use hyper::header::{HeaderMap, HeaderName};
use hyper::{Method, StatusCode};

use super::super::problem::Problem;
use super::request::single;
use crate::runtime::shared::log_trouble;

pub(super) static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// How long a key is remembered, in milliseconds: 24 hours.
const LIFETIME: u64 = 24 * 60 * 60 * 1_000;
/// The maximum number of answers in memory.
const MAX_ANSWERS: usize = 2_048;
/// The maximum length of an answer that is kept, in bytes. Answers take at most 32 MiB.
const MAX_ANSWER: usize = 16 * 1024;

/// The account and SHA-256 of the key.
type Name = (AccountId, [u8; 32]);

/// A request with a key.
#[derive(Clone, Copy)]
pub(super) struct KeyedRequest {
    name: Name,
    /// SHA-256 of method, target and body.
    request: [u8; 32],
    /// Its answer is given again to the same credential only.
    credential: HttpCredential,
}

/// A request with a key, and the objects to which its caller has access. Its answer is given again for the
/// same scope only: an admin who became a member gets no answer about others.
#[derive(Clone, Copy)]
pub(super) struct ScopedRequest {
    keyed: KeyedRequest,
    scope: Scope,
}

/// The answer of an operation that succeeded.
pub(super) struct KeptAnswer {
    pub(super) status: StatusCode,
    pub(super) data: SecretText,
}

enum State {
    Running,
    Answered(Timestamp, u64, Arc<KeptAnswer>),
}

/// The requests with a key that run, and the answers of those that ended.
#[derive(Default)]
pub(crate) struct KeyedRequests(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    requests: HashMap<Name, (ScopedRequest, State)>,
    answers: Answers,
    /// The changes of accounts and the answers that there had been when deleted accounts were looked for
    /// last.
    looked_at: (u64, u64),
}

/// The names of the requests that have an answer.
#[derive(Default)]
struct Answers {
    /// By account, in the order in which they came. No account has none.
    of_accounts: HashMap<AccountId, BTreeMap<u64, Name>>,
    count: usize,
    next: u64,
}

/// What to do with a request that has a key.
pub(super) enum Start {
    /// It is the first with its key. The result goes to [`Begun`].
    First(Begun),
    /// It was answered like this.
    Answered(Arc<KeptAnswer>),
}

/// A request that runs. Without an answer it is forgotten when this is dropped.
pub(super) struct Begun {
    all: Arc<KeyedRequests>,
    asked: ScopedRequest,
}

impl KeyedRequest {
    /// Reads the key of a request; `None` if it has none.
    pub(super) fn read(
        headers: &HeaderMap,
        grant: &HttpGrant,
        (method, target, body): (&Method, &str, &str),
    ) -> Result<Option<Self>, Problem> {
        let Some(key) = single(headers, &IDEMPOTENCY_KEY)? else {
            return Ok(None);
        };
        let key = IdempotencyKey::parse(key)
            .map_err(|error| Problem::bad_request(error.to_string(), "idempotency-key"))?;
        let mut hash = Sha256::new();
        for part in [method.as_str(), target, body] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Ok(Some(Self {
            name: (grant.account, key.digest()),
            request: hash.finish(),
            credential: grant.credential,
        }))
    }

    /// The request of a caller with this scope.
    pub(super) const fn within(self, scope: Scope) -> ScopedRequest {
        ScopedRequest { keyed: self, scope }
    }

    /// The record that is written with the change.
    pub(super) fn completed(&self, now: Timestamp) -> CompletedRequest {
        CompletedRequest {
            account: self.name.0,
            key: self.name.1,
            request: self.request,
            credential: self.credential.digest(),
            at: now,
            forget_before: expired_at(now),
        }
    }
}

/// The moment before which a request that ended is forgotten.
fn expired_at(now: Timestamp) -> Timestamp {
    Timestamp::from_millis(now.millis().saturating_sub_unsigned(LIFETIME))
}

impl KeyedRequests {
    /// Forgets all answers: the site is sealed.
    pub(super) fn forget_answers(&self) {
        self.entries().retain_answers(|_, _| false);
    }

    /// Forgets the answers whose keys have expired, and those of deleted accounts. Call this each second.
    pub(super) async fn forget_expired(&self, site: &Site, now: Timestamp) {
        let changes = site.http_access_changes();
        let accounts: Vec<AccountId> = {
            let mut entries = self.entries();
            entries.retain_answers(|_, at| at >= expired_at(now));
            let look_at = (changes, entries.answers.next);
            match std::mem::replace(&mut entries.looked_at, look_at) == look_at {
                true => return,
                false => entries.answers.of_accounts.keys().copied().collect(),
            }
        };
        let mut deleted = HashSet::new();
        for account in accounts {
            // One that cannot be read now counts as deleted: a repeated request gets 409 then.
            if !matches!(log_trouble(site.has_account(account).await), Ok(true)) {
                deleted.insert(account);
            }
        }
        self.entries()
            .retain_answers(|account, _| !deleted.contains(&account));
    }

    /// Begins a request, unless one with its key runs or was carried out.
    pub(super) async fn begin(
        self: &Arc<Self>,
        asked: ScopedRequest,
        site: &Site,
        now: Timestamp,
    ) -> Result<Start, Problem> {
        if let Some(answer) = self.enter(asked, now)? {
            return Ok(Start::Answered(answer));
        }
        let begun = Begun {
            all: Arc::clone(self),
            asked,
        };
        let keyed = asked.keyed;
        let (account, key) = &keyed.name;
        let recorded = log_trouble(site.completed_request(*account, key).await);
        let recorded = recorded.map_err(|_| Problem::busy())?;
        match recorded.filter(|recorded| recorded.at >= expired_at(now)) {
            None => Ok(Start::First(begun)),
            Some(recorded) if recorded.request != keyed.request => Err(other_request()),
            Some(recorded) => Err(already_done(recorded.at)),
        }
    }

    /// Enters a request; returns the answer if it has one.
    fn enter(
        &self,
        asked: ScopedRequest,
        now: Timestamp,
    ) -> Result<Option<Arc<KeptAnswer>>, Problem> {
        let keyed = asked.keyed;
        let mut entries = self.entries();
        match entries.requests.get(&keyed.name) {
            Some((first, _)) if first.keyed.request != keyed.request => return Err(other_request()),
            Some((_, State::Running)) => {
                let problem = Problem::new(
                    StatusCode::CONFLICT,
                    "in_progress",
                    "the request with this key runs",
                    "repeat the request later for its answer",
                );
                return Err(problem.retry_after(1));
            }
            Some((first, State::Answered(at, _, answer))) if *at >= expired_at(now) => {
                let is_same =
                    first.keyed.credential == keyed.credential && first.scope == asked.scope;
                return match is_same {
                    true => Ok(Some(answer.clone())),
                    false => Err(already_done(*at)),
                };
            }
            Some((_, State::Answered(_, number, _))) => {
                let number = *number;
                entries.answers.remove(keyed.name.0, number);
            }
            None => {}
        }
        let running = (asked, State::Running);
        entries.requests.insert(keyed.name, running);
        Ok(None)
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // The maps are consistent whenever the lock is free, so a poisoned lock can be used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// Forgets the answers that `stays` refuses by their account and their time.
    fn retain_answers(&mut self, stays: impl Fn(AccountId, Timestamp) -> bool) {
        let Self {
            requests, answers, ..
        } = self;
        requests.retain(|name, (_, state)| match state {
            State::Answered(at, number, _) if !stays(name.0, *at) => {
                answers.remove(name.0, *number);
                false
            }
            State::Answered(..) | State::Running => true,
        });
    }
}

impl Answers {
    /// Adds an answer; returns its number.
    fn add(&mut self, name: Name) -> u64 {
        let number = self.next;
        self.next += 1;
        self.count += 1;
        let own = self.of_accounts.entry(name.0).or_default();
        own.insert(number, name);
        number
    }

    /// Removes an answer; returns its name.
    fn remove(&mut self, account: AccountId, number: u64) -> Option<Name> {
        let own = self.of_accounts.get_mut(&account)?;
        let name = own.remove(&number)?;
        if own.is_empty() {
            self.of_accounts.remove(&account);
        }
        self.count -= 1;
        Some(name)
    }

    /// Removes the oldest answer of the account that has most, so that no account takes the answers of
    /// others.
    fn pop(&mut self) -> Option<Name> {
        let accounts = self.of_accounts.iter();
        let (account, own) = accounts.max_by_key(|(_, own)| own.len())?;
        let (number, _) = own.first_key_value()?;
        self.remove(*account, *number)
    }
}

impl Begun {
    pub(super) const fn keyed(&self) -> &KeyedRequest {
        &self.asked.keyed
    }

    /// Keeps the answer of an operation that succeeded.
    pub(super) fn answer(self, status: StatusCode, data: &str, now: Timestamp) {
        if data.len() > MAX_ANSWER {
            return;
        }
        let data = SecretText::from(data.to_owned());
        let answer = Arc::new(KeptAnswer { status, data });
        let mut entries = self.all.entries();
        if entries.answers.count >= MAX_ANSWERS
            && let Some(oldest) = entries.answers.pop()
        {
            entries.requests.remove(&oldest);
        }
        let number = entries.answers.add(self.asked.keyed.name);
        let answered = (self.asked, State::Answered(now, number, answer));
        entries.requests.insert(self.asked.keyed.name, answered);
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let mut entries = self.all.entries();
        let state = entries.requests.get(&self.asked.keyed.name);
        if matches!(state, Some((_, State::Running))) {
            entries.requests.remove(&self.asked.keyed.name);
        }
    }
}

fn already_done(at: Timestamp) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "already_done",
        format!("this request was carried out at {at}"),
        "its answer is not kept, or is for another credential or role; read what it changed",
    )
}

fn other_request() -> Problem {
    let problem = Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "key_reused",
        "another request has this idempotency key",
        "use a new key for a new request",
    );
    problem.of_field("idempotency-key")
}

#[cfg(test)]
mod tests {
    use countersign_core::id::AccessTokenId;
    use countersign_crypto::hash::sha256;
    use countersign_testkit::harness::{NOW, TestSite};
    use serde_json::json;

    use super::*;

    /// Answers were kept until their key came again or others needed the room: on a quiet site after the
    /// expiry of the key too, and after the deletion of the account.
    #[tokio::test]
    async fn an_answer_is_forgotten_with_its_key_and_with_its_account() {
        let test = TestSite::new().await;
        let ada = test.admin("person.create", json!({ "name": "ada" })).await;
        let ada: AccountId = ada["id"].as_str().unwrap().parse().unwrap();
        let all = Arc::new(KeyedRequests::default());
        let answer = async |number: usize| {
            let keyed = KeyedRequest {
                name: (ada, sha256(&number.to_be_bytes())),
                request: [0; 32],
                credential: HttpCredential::Token(AccessTokenId::from_bytes([1; 16])),
            };
            match all.begin(keyed.within(Scope::All), &test.site, NOW).await {
                Ok(Start::First(begun)) => begun.answer(StatusCode::OK, "{}", NOW),
                _ => panic!("it is the first with its key"),
            }
        };
        let left = async |now: Timestamp| {
            all.forget_expired(&test.site, now).await;
            let entries = all.entries();
            (entries.requests.len(), entries.answers.count)
        };
        answer(1).await;
        assert_eq!(left(NOW.plus_millis(LIFETIME)).await, (1, 1));
        assert_eq!(left(NOW.plus_millis(LIFETIME + 1)).await, (0, 0));
        answer(2).await;
        assert_eq!(left(NOW).await, (1, 1));
        test.admin("person.delete", json!({ "name": "ada" })).await;
        assert_eq!(left(NOW).await, (0, 0));
        // A request that ends after the deletion of its account.
        answer(3).await;
        assert_eq!(left(NOW).await, (0, 0));
    }

    fn name(account: u8, number: usize) -> Name {
        let account = AccountId::from_bytes([account; 16]);
        (account, sha256(&number.to_be_bytes()))
    }

    /// 2,048 cheap changes of one account pushed out the answers of all others: a repeated
    /// `ticket.issue` got 409 and never its ticket.
    #[test]
    fn an_account_with_many_answers_pushes_out_its_own() {
        let mut answers = Answers::default();
        let honest = answers.add(name(1, 0));
        let mut last = 0;
        for number in 0..10 * MAX_ANSWERS {
            if answers.count >= MAX_ANSWERS {
                assert_eq!(answers.pop(), Some(name(2, number + 1 - MAX_ANSWERS)));
            }
            last = answers.add(name(2, number));
        }
        assert_eq!(answers.count, MAX_ANSWERS);
        assert_eq!(answers.remove(name(1, 0).0, honest), Some(name(1, 0)));
        assert_eq!(
            answers.remove(name(2, 0).0, last).map(|name| name.0),
            Some(name(2, 0).0)
        );
        assert_eq!(answers.remove(name(1, 0).0, honest), None);
        assert_eq!(
            (answers.count, answers.of_accounts.len()),
            (MAX_ANSWERS - 2, 1)
        );
    }
}
