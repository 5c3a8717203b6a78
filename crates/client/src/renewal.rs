//! Fresh keys that the client offers by itself, before the session's expire.

use std::time::Duration;

use countersign_crypto::entropy::SystemEntropy;
use countersign_proto::session::client::ClientSession;
use countersign_proto::session::{OptionList, SessionRefusal};
use tokio::time::Instant;

/// How long a client waits after it could not renew its keys before it tries again.
const RENEWAL_PAUSE: Duration = Duration::from_secs(10);

/// Whether the site is to be offered new keys without a caller having asked for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    NotDue,
    /// As soon as no other exchange is under way, and not before.
    Due(Instant),
    /// Offered for the present option.
    Offered,
    /// Offered for another one, since the present one was declined.
    OfferedOther,
    /// The present option was declined; the site was asked which ones it has.
    Asked,
}

impl Renewal {
    /// Not at once: a site that declined has a reason.
    fn later() -> Self {
        Self::Due(Instant::now() + RENEWAL_PAUSE)
    }

    /// Offers new keys when it is time.
    pub(crate) fn offer_when_due(
        &mut self,
        session: &mut ClientSession,
    ) -> Result<(), SessionRefusal> {
        let due = match self {
            Self::Due(not_before) => Instant::now() >= *not_before,
            Self::NotDue => session.wants_rekey(),
            Self::Offered | Self::OfferedOther | Self::Asked => false,
        };
        if due && session.offer_keys(session.option(), &mut SystemEntropy)? {
            *self = Self::Offered;
        }
        Ok(())
    }

    /// When the keys are to be renewed, if later.
    pub(crate) fn due(&self, session: &ClientSession) -> Option<Instant> {
        match self {
            Self::Due(not_before) if !session.is_renewing_keys() => Some(*not_before),
            _ => None,
        }
    }

    /// The keys were renewed because a caller asked for it.
    pub(crate) fn renewed_for_caller(&mut self) {
        if matches!(self, Self::Due(_)) {
            *self = Self::NotDue;
        }
    }

    /// The site answered an offer that no caller had asked for.
    pub(crate) fn answered(
        &mut self,
        renewed: bool,
        session: &mut ClientSession,
    ) -> Result<(), SessionRefusal> {
        *self = match (*self, renewed) {
            (Self::Offered | Self::OfferedOther, true) => Self::NotDue,
            (Self::Offered, false) => {
                session.ask_for_options()?;
                Self::Asked
            }
            (Self::OfferedOther, false) => Self::later(),
            (other, _) => other,
        };
        Ok(())
    }

    /// The site told its options: the first that is accepted is offered, if the present one was declined.
    pub(crate) fn options(
        &mut self,
        list: &OptionList,
        session: &mut ClientSession,
    ) -> Result<(), SessionRefusal> {
        if *self != Self::Asked {
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
            // Declined for another reason, or the site offers just now.
            false => Self::later(),
        };
        Ok(())
    }
}
