//! The signatures of the site over its own audit log.
//!
//! ```text
//! change set ──▶ writer: entry appended ──▶ asks for a signature ──▶ one transaction, one sync
//!                                             │ no change of lockdowns and no site key: none
//!                                             │ sealed: none; the unsealing is signed
//! ```
//!
//! A signature covers the head of the chain, and with it every entry up to the number that it names.

use countersign_crypto::site_key::SiteKey;
use countersign_proto::peer::{AuditHead, SignedAuditHead};
use countersign_proto::site_identity::{SignedKeyEvent, statement_counts};

use crate::audit::{ChainHead, MAX_SIGNATURES};
use crate::engine::Site;
use crate::engine::site::LOCKDOWNS;
use crate::store::{Change, ChangeSet, Notice, StoreError};

/// What the signatures of the site say about its audit log.
#[derive(Debug, Default)]
pub(crate) struct SignedLog {
    /// The newest head that the site signed and that is in the log.
    pub(crate) newest: Option<AuditHead>,
    /// The first entry that is not as the site signed it.
    pub(crate) differs: Option<u64>,
}

impl SignedLog {
    fn differs_at(&mut self, seq: u64) {
        self.differs = Some(self.differs.map_or(seq, |first| first.min(seq)));
    }
}

impl Site {
    /// Signs the end of the audit log after this set, if the set changes lockdowns, unseals the site
    /// or replaces its key. `None` otherwise, and while the site is sealed.
    pub(in crate::engine) fn signed_end(
        &self,
        set: &ChangeSet,
        end: ChainHead,
    ) -> Option<SignedAuditHead> {
        let changes_lockdowns = set
            .changes
            .iter()
            .any(|change| matches!(change, Change::PutSetting { name, .. } if *name == LOCKDOWNS));
        let own = || self.unsealed_keys().map(|keys| keys.key.clone());
        let key = set.notices.iter().find_map(|notice| match notice {
            Notice::Unsealed(key) | Notice::KeyReplaced(key) => Some(key.clone()),
            _ => None,
        });
        let key = match changes_lockdowns {
            true => key.or_else(own)?,
            false => key?,
        };
        let head = AuditHead {
            site: self.id(),
            event: self.event_of(&key, set)?,
            seq: end.seq,
            hash: end.hash,
            time: set.audit.time.millis(),
        };
        Some(SignedAuditHead::new(head, &key))
    }

    /// The number of the newest key event, if this is its key, or of the one after it, if the set
    /// makes this the site key.
    fn event_of(&self, key: &SiteKey, set: &ChangeSet) -> Option<u64> {
        let events = self.key_events();
        let newest = events.last()?.event();
        let replaces = |notice: &Notice| matches!(notice, Notice::KeyReplaced(_));
        match set.notices.iter().any(replaces) {
            true => newest.number.checked_add(1),
            false => (newest.keys == key.public()).then_some(newest.number),
        }
    }

    /// Compares the log with what the site signed. Signatures that a thief of a replaced key may
    /// have made count for nothing. The thief cannot hide the others behind them: the site stores
    /// [`MAX_SIGNATURES`] at most, and none of an entry that the log does not have yet, so what is
    /// beyond that differs.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub(crate) async fn signed_log(&self) -> Result<SignedLog, StoreError> {
        let events = self.key_events();
        let mut log = SignedLog::default();
        let most = MAX_SIGNATURES.saturating_add(1);
        let stored = self.store().audit_signatures(most).await?;
        let excess = stored.get(MAX_SIGNATURES as usize).map(|stored| stored.seq);
        // Read after the signatures, of which each is stored with its entry.
        let end = self.store().audit_head().await?.seq;
        for stored in stored {
            let Some(signed) = stored.head else {
                log.differs_at(stored.seq);
                continue;
            };
            let head = signed.head();
            let mut signers = events.iter().map(SignedKeyEvent::event);
            let signer = signers
                .find(|event| event.number == head.event)
                .filter(|event| signed.verify(&event.keys.signing).is_ok())
                .filter(|_| head.site == self.id());
            let counts = signer.map(|event| statement_counts(&events, &event.keys, head.time));
            if counts == Some(false) {
                if head.seq > end {
                    log.differs_at(head.seq);
                }
                continue;
            }
            // Without a signer, the database was changed.
            if signer.is_some() && self.log_has(head).await? {
                log.newest = log
                    .newest
                    .filter(|newest| newest.seq > head.seq)
                    .or(Some(*head));
            } else {
                log.differs_at(head.seq);
            }
        }
        log.differs = log.differs.or(excess);
        Ok(log)
    }
}
