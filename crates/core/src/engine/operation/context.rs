//! The context of a handler: the site, the caller, the caller's scope, the time, and the way to
//! commit changes together with their audit entry.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream;
use serde::Serialize;

use super::RunningTime;
use crate::access::{Caller, Scope};
use crate::audit::{AuditDraft, AuditOutcome};
use crate::content::{Content, ContentBroken};
use crate::engine::{Entry, Refusal, Site};
use crate::entity_tag::EntityTag;
use crate::id::AccountId;
use crate::json;
use crate::store::{Change, ChangeSet, Committed, Notice, PeerChange};
use crate::throttle::Rate;
use crate::timestamp::Timestamp;

/// The maximum nesting of the details of an audit entry, in levels: a stored value at its own
/// maximum, within the details.
const MAX_DETAILS_DEPTH: usize = 2 * json::MAX_DEPTH;

/// The most bytes of a piece of content. A connection may hold one or two pieces that its client does not
/// take, and they reach the client after its right to them ended.
const PIECE_BYTES: usize = 16 * 1024;

/// The context of a handler.
#[derive(Clone)]
pub struct Context {
    pub(crate) site: Site,
    pub(crate) caller: Caller,
    pub(crate) scope: Scope,
    pub(crate) time: RunningTime,
    pub(crate) entry: Arc<Entry>,
    pub(crate) rider: Rider,
    pub(crate) content: ContentSlot,
    /// The entity tags that the object of the operation may have; `None` for any.
    pub(crate) if_match: Option<Arc<[String]>>,
    /// Whether the operation has committed a change. It was authorised then.
    pub(crate) has_committed: Arc<AtomicBool>,
}

/// The content of the operation, until the handler takes it.
#[derive(Clone, Default)]
pub(crate) struct ContentSlot(Option<Arc<Mutex<Option<Content>>>>);

impl ContentSlot {
    pub(crate) fn of(content: Option<Content>) -> Self {
        Self(content.map(|content| Arc::new(Mutex::new(Some(content)))))
    }

    fn take(&self) -> Option<Content> {
        let slot = self.0.as_ref()?;
        slot.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
/// A change that is committed together with the first change set of the operation. An
/// initialisation script records its progress in this way.
#[derive(Clone, Default)]
pub(crate) struct Rider(Option<Arc<Mutex<Option<Change>>>>);

impl Rider {
    pub(crate) fn with(change: Change) -> Self {
        Self(Some(Arc::new(Mutex::new(Some(change)))))
    }

    pub(crate) fn take(&self) -> Option<Change> {
        let slot = self.0.as_ref()?;
        slot.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Puts a change back that was not committed: the handler may commit again.
    fn put_back(&self, change: Option<Change>) {
        if let Some(slot) = &self.0 {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = change;
        }
    }
}

impl Context {
    /// Returns the site.
    #[must_use]
    pub const fn site(&self) -> &Site {
        &self.site
    }

    /// Returns the caller.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Returns the time at which the operation began.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.time.begun
    }

    /// Returns the time now, after a wait.
    pub(crate) fn now_after_wait(&self) -> Timestamp {
        self.time.now()
    }

    /// Returns the objects to which the caller has access with this operation.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// Takes the content of the operation. It can be taken once. An operation that
    /// [takes content](crate::engine::EntryBuilder::takes_content) always has some.
    ///
    /// # Errors
    /// `invalid_params` if there is none.
    pub fn content(&self) -> Result<Content, Refusal> {
        self.content.take().ok_or_else(Refusal::no_content)
    }

    /// Returns whether the caller has access to this account. Refuse access in the same way as for
    /// an account that does not exist.
    #[must_use]
    pub fn admits(&self, account: AccountId) -> bool {
        self.scope.admits(account)
    }

    /// Counts one use against a rate limit of the caller. Of a limit of the caller's account, one
    /// credential or session has half. `what` names the limited action for the
    /// message. Callers at the admin socket and initialisation scripts are not limited.
    ///
    /// # Errors
    /// `busy` if the caller is over the limit.
    pub fn rate(&self, rate: Rate, what: &str) -> Result<(), Refusal> {
        self.rate_all(rate, 1, what)
    }

    /// Like [`Context::rate`], for several actions, or none of them.
    ///
    /// # Errors
    /// As [`Context::rate`].
    pub(crate) fn rate_all(&self, rate: Rate, actions: usize, what: &str) -> Result<(), Refusal> {
        if self.caller.channel.is_local() {
            return Ok(());
        }
        let actions = u64::try_from(actions).unwrap_or(u64::MAX);
        let holder = self.site.holder(&self.caller, rate);
        let mut rates = self.site.throttle().rates();
        let counted = rates.take_all(rate, holder, actions, self.now());
        counted.map_err(|wait| Refusal::busy_for(format_args!("too many {what}"), wait))
    }

    /// Asks again whether the caller may call the operation, with access to the same objects. Returns the
    /// caller as it is now.
    async fn still_authorised(&self) -> Result<Cow<'_, Caller>, Refusal> {
        let (site, now) = (&self.site, self.time.now());
        let still = site.still_authorised(&self.entry, &self.caller, self.scope, now);
        still.await
    }

    /// Returns content that breaks instead of its next piece once the caller may no longer call the
    /// operation: a client may take as long as it likes to read it, or to send it. A piece has at most
    /// [`PIECE_BYTES`]; longer ones are divided.
    pub(in crate::engine) fn while_authorised(&self, content: Content) -> Content {
        // Content in its own context would never be dropped.
        let context = Self {
            content: ContentSlot::default(),
            ..self.clone()
        };
        let source = (content, VecDeque::new(), context);
        let pieces = stream::try_unfold(source, |(mut content, mut rest, context)| async move {
            if rest.is_empty() {
                let Some(next) = content.next().await.transpose()? else {
                    return Ok(None);
                };
                rest = next.into();
            }
            let broken = |refusal: Refusal| ContentBroken(refusal.to_string());
            context.still_authorised().await.map_err(broken)?;
            let piece = match rest.len() > PIECE_BYTES {
                true => rest.drain(..PIECE_BYTES).collect(),
                false => Vec::from(mem::take(&mut rest)),
            };
            Ok(Some((piece, (content, rest, context))))
        });
        Content::new(pieces)
    }

    /// Audits the outcome of an operation that changes nothing in the store. `details` must not
    /// contain a secret.
    ///
    /// # Errors
    /// Like [`Self::commit`].
    pub(crate) async fn audit(
        &self,
        target: String,
        details: impl Serialize + Send,
        outcome: AuditOutcome,
    ) -> Result<Committed, Refusal> {
        let audit = self.draft(&self.caller, Some(target), details, outcome)?;
        let set = ChangeSet::new(Vec::new(), audit);
        Ok(self.site.store().commit(set).await?)
    }

    fn draft(
        &self,
        caller: &Caller,
        target: Option<String>,
        details: impl Serialize,
        outcome: AuditOutcome,
    ) -> Result<AuditDraft, Refusal> {
        Ok(AuditDraft {
            target,
            outcome,
            details: with_credential(caller, details)?,
            ..AuditDraft::done(caller, self.entry.name(), self.time.now())
        })
    }

    /// Checks that the object of the operation is one that the caller expects, with a revision that the
    /// caller expects. The store checks that it still has that revision when it is written, except for lockdowns,
    /// whose changes take turns.
    ///
    /// # Errors
    /// `precondition_failed`.
    pub fn expect_tag(&self, object: impl Into<EntityTag>) -> Result<(), Refusal> {
        self.expect_one_of(Some(object.into()))
    }

    /// Checks that the caller expects no entity tag: an object that cannot be read has none.
    ///
    /// # Errors
    /// `precondition_failed`.
    pub(crate) fn expect_no_tag(&self) -> Result<(), Refusal> {
        self.expect_one_of(None)
    }

    fn expect_one_of(&self, tag: Option<EntityTag>) -> Result<(), Refusal> {
        let is = |expected: &String| tag.as_ref().is_some_and(|tag| tag.as_str() == expected);
        match &self.if_match {
            Some(expected) if !expected.iter().any(is) => Err(Refusal::precondition_failed(tag)),
            _ => Ok(()),
        }
    }

    /// Commits changes together with their audit entry, which has the time of the commit. `details` must
    /// not contain a secret. When this returns, the consequences of the changes have been applied. They
    /// are applied too if the future is dropped after the commit began.
    ///
    /// The handler may have waited, for another site or for its client. So everything that was asked before
    /// the operation began is asked again: the caller may be locked, deleted or demoted since then, its
    /// credential revoked, its session ended, the site sealed or in lockdown.
    ///
    /// # Errors
    /// As before the operation began, if the caller may no longer call it; `conflict` or `not_found` if
    /// another change came first, `internal` if the store failed. Nothing was changed then.
    pub async fn commit(
        &self,
        changes: impl Into<Changes> + Send,
        target: impl Into<Option<String>> + Send,
        details: impl Serialize + Send,
    ) -> Result<Committed, Refusal> {
        let Changes {
            mut changes,
            notices,
        } = changes.into();
        let caller = self.still_authorised().await?;
        let audit = self.draft(&caller, target.into(), details, AuditOutcome::Done)?;
        if json::depth(&audit.details) > MAX_DETAILS_DEPTH {
            let problem = format!("is nested more than {MAX_DETAILS_DEPTH} levels deep");
            return Err(Refusal::invalid("", problem));
        }
        let rider = self.rider.take();
        changes.extend(rider.clone());
        let set = ChangeSet {
            notices,
            session: self.caller.session,
            ..ChangeSet::new(changes, audit)
        };
        let committed = self.site.commit_changes(set).await;
        match committed.is_ok() {
            true => self.has_committed.store(true, Ordering::Relaxed),
            false => self.rider.put_back(rider),
        }
        Ok(committed?)
    }
}

/// The details of an audit entry as text. Over HTTP they name the credential of the request.
fn with_credential(caller: &Caller, details: impl Serialize) -> Result<String, Refusal> {
    let Some(grant) = &caller.grant else {
        return Ok(serde_json::to_string(&details)?);
    };
    let mut details = serde_json::to_value(&details)?;
    let (name, credential) = grant.credential.as_detail();
    if let Some(details) = details.as_object_mut() {
        details.insert(name.to_owned(), credential.into());
    }
    Ok(details.to_string())
}

/// The changes that a handler commits, and notices that do not follow from the changes themselves.
#[derive(Debug, Default)]
pub struct Changes {
    changes: Vec<Change>,
    notices: Vec<Notice>,
}

impl Changes {
    /// Returns the changes with one more notice. What a peer is to be told is stored too: the site
    /// may stop before it reaches the peer.
    #[must_use]
    pub fn and(mut self, notice: Notice) -> Self {
        if let Notice::VoidAtPeers(voids) = &notice {
            let change = PeerChange::Void(Arc::clone(voids));
            self.changes.push(Change::Peer(change));
        }
        self.notices.push(notice);
        self
    }

    /// The same with others behind them.
    #[must_use]
    pub fn with(mut self, others: Self) -> Self {
        self.changes.extend(others.changes);
        self.notices.extend(others.notices);
        self
    }

    pub(in crate::engine) fn into_parts(self) -> (Vec<Change>, Vec<Notice>) {
        (self.changes, self.notices)
    }
}

impl From<Vec<Change>> for Changes {
    fn from(changes: Vec<Change>) -> Self {
        let notices = Vec::new();
        Self { changes, notices }
    }
}

impl From<Change> for Changes {
    fn from(change: Change) -> Self {
        vec![change].into()
    }
}

impl From<Notice> for Changes {
    fn from(notice: Notice) -> Self {
        Self::default().and(notice)
    }
}
