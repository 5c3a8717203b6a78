//! What a handler is given: the site, who calls, what may be touched, the time; and the one way to
//! change anything, which writes the audit entry along.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::access::{Caller, Scope};
use crate::audit::{AuditDraft, AuditOutcome};
use crate::content::Content;
use crate::engine::{Refusal, Site};
use crate::id::AccountId;
use crate::json;
use crate::store::{Change, ChangeSet, Committed, Notice};
use crate::throttle::Rate;
use crate::timestamp::Timestamp;

/// How deep the details of an audit entry may be nested: what is stored, within what tells of it.
const MOST_DETAILS_DEPTH: usize = 2 * json::MOST_DEPTH;

/// What a handler is given.
#[derive(Clone)]
pub struct Context {
    pub(crate) site: Site,
    pub(crate) caller: Caller,
    pub(crate) scope: Scope,
    pub(crate) now: Timestamp,
    pub(crate) operation: Arc<str>,
    pub(crate) along: Along,
    pub(crate) content: ContentSlot,
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

/// A change of the site's own that goes with the first one that the operation makes: how far an
/// initialisation script has come.
#[derive(Clone, Default)]
pub(crate) struct Along(Option<Arc<Mutex<Option<Change>>>>);

impl Along {
    pub(crate) fn with(change: Change) -> Self {
        Self(Some(Arc::new(Mutex::new(Some(change)))))
    }

    pub(crate) fn take(&self) -> Option<Change> {
        let slot = self.0.as_ref()?;
        slot.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Context {
    /// The site.
    #[must_use]
    pub const fn site(&self) -> &Site {
        &self.site
    }

    /// Who calls.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// When.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// What the caller may touch with this operation.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// The content that came with the operation. It can be taken once; an operation that
    /// [takes content](crate::engine::EntryBuilder::takes_content) has some.
    ///
    /// # Errors
    /// `invalid_params` when there is none.
    pub fn content(&self) -> Result<Content, Refusal> {
        self.content.take().ok_or_else(Refusal::no_content)
    }

    /// Whether the caller may touch that account. Answer a refused one as if it did not exist.
    #[must_use]
    pub fn admits(&self, account: AccountId) -> bool {
        self.scope.admits(account)
    }

    /// Counts one of those that the caller may do so often; `what` they are. Callers at the admin socket and
    /// initialisation scripts are not counted.
    ///
    /// # Errors
    /// `busy` when there were too many lately.
    pub fn rate(&self, rate: Rate, what: &str) -> Result<(), Refusal> {
        if self.caller.channel.is_local() {
            return Ok(());
        }
        let counted = self.site.throttle().rates().take(rate, self.now);
        counted.map_err(|wait| Refusal::busy_for(format_args!("too many {what} lately"), wait))
    }

    /// Audits what came of something that changes nothing in the store. `details` must not hold a secret.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub(crate) async fn audit(
        &self,
        target: String,
        details: impl Serialize + Send,
        outcome: AuditOutcome,
    ) -> Result<Committed, Refusal> {
        let audit = self.draft(Some(target), details, outcome)?;
        let set = ChangeSet::new(Vec::new(), audit);
        Ok(self.site.store().commit(set).await?)
    }

    fn draft(
        &self,
        target: Option<String>,
        details: impl Serialize,
        outcome: AuditOutcome,
    ) -> Result<AuditDraft, Refusal> {
        Ok(AuditDraft {
            target,
            outcome,
            details: serde_json::to_string(&details)
                .map_err(|error| Refusal::internal(error.to_string()))?,
            ..AuditDraft::done(&self.caller, &*self.operation, self.now)
        })
    }

    /// Changes the site, together with the audit entry that says so. `details` must not hold a secret. What follows
    /// from the changes has been done when this returns, and is done too when its caller does not wait for it.
    ///
    /// # Errors
    /// `conflict` or `not_found` when another change came first, `internal` when the store is in
    /// trouble; nothing was changed then.
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
        let audit = self.draft(target.into(), details, AuditOutcome::Done)?;
        if json::depth(&audit.details) > MOST_DETAILS_DEPTH {
            let problem = format!("is nested more than {MOST_DETAILS_DEPTH} deep");
            return Err(Refusal::invalid("", problem));
        }
        let along = self.along.take();
        changes.extend(along);
        let set = ChangeSet {
            notices,
            session: self.caller.session,
            ..ChangeSet::new(changes, audit)
        };
        Ok(self.site.store().commit(set).await?)
    }
}

/// What a handler wants changed, and what is to follow besides what follows from the changes themselves.
#[derive(Debug, Default)]
pub struct Changes {
    changes: Vec<Change>,
    notices: Vec<Notice>,
}

impl Changes {
    /// The same with one notice more.
    #[must_use]
    pub fn and(mut self, notice: Notice) -> Self {
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

    pub(super) fn into_parts(self) -> (Vec<Change>, Vec<Notice>) {
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
