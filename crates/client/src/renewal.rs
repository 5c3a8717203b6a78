//! Automatic key renewal: the client offers fresh keys before the session's keys expire.

use std::time::Duration;

use crate::platform::{self, Instant};
use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::session::client::ClientSession;
use countersign_proto::session::{OptionList, SessionRefusal};

/// Delay between a failed key renewal and the next.
const RETRY_DELAY: Duration = Duration::from_secs(10);

/// The state of the automatic key renewal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    NotDue,
    /// Due at this time, as soon as no other key exchange is in progress.
    Due(Instant),
    /// Keys were offered for the current option.
    Offered,
    /// Keys were offered for another option, because the site declined the current one.
    OfferedOther,
    /// The site declined the current option and was asked for its options.
    AskedForOptions,
}

impl Renewal {
    /// Schedules the next attempt. The site had a reason to decline, so not at once.
    fn retry_later() -> Self {
        Self::Due(platform::now() + RETRY_DELAY)
    }

    /// Offers new keys if a renewal is due.
    pub(crate) fn offer_when_due(
        &mut self,
        session: &mut ClientSession,
    ) -> Result<(), SessionRefusal> {
        let due = match self {
            Self::Due(not_before) => platform::now() >= *not_before,
            Self::NotDue => session.wants_rekey(),
            Self::Offered | Self::OfferedOther | Self::AskedForOptions => false,
        };
        if due && session.offer_keys(session.option(), &mut SystemEntropy)? {
            *self = Self::Offered;
        }
        Ok(())
    }

    /// The time at which a renewal becomes due, if one is scheduled.
    pub(crate) fn due(&self, session: &ClientSession) -> Option<Instant> {
        match self {
            Self::Due(not_before) if !session.is_renewing_keys() => Some(*not_before),
            _ => None,
        }
    }

    /// Handles a renewal that a caller requested.
    pub(crate) fn renewed_for_caller(&mut self) {
        if matches!(self, Self::Due(_)) {
            *self = Self::NotDue;
        }
    }

    /// Handles the site's reply to an automatic offer.
    pub(crate) fn handle_reply(
        &mut self,
        renewed: bool,
        session: &mut ClientSession,
    ) -> Result<(), SessionRefusal> {
        *self = match (*self, renewed) {
            (Self::Offered | Self::OfferedOther, true) => Self::NotDue,
            (Self::Offered, false) => {
                session.ask_for_options()?;
                Self::AskedForOptions
            }
            (Self::OfferedOther, false) => Self::retry_later(),
            (other, _) => other,
        };
        Ok(())
    }

    /// Handles the site's list of options: if the current one was declined, offers keys for the
    /// first accepted one.
    pub(crate) fn handle_options(
        &mut self,
        list: &OptionList,
        session: &mut ClientSession,
    ) -> Result<(), SessionRefusal> {
        if *self != Self::AskedForOptions {
            return Ok(());
        }
        let option = session.choose(list);
        let other = option.filter(|option| *option != session.option());
        let offered = match other {
            Some(option) => session.offer_keys(option, &mut SystemEntropy)?,
            None => false,
        };
        *self = match offered {
            true => Self::OfferedOther,
            // The site declined for another reason, or is offering keys itself.
            false => Self::retry_later(),
        };
        Ok(())
    }
}
