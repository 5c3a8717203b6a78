//! `app ticket` for an application of this site and one of a peer: what this site decides of it. The
//! other site decides too.

use countersign_proto::broker::v2::foreign::ForeignName;
use countersign_proto::broker::v2::limits::MAX_FOREIGN_TICKET;

use crate::applications::{Application, ApplicationId};
use crate::engine::{Context, Refusal};
use crate::text::argument;

/// An application of this site and one of a peer.
pub(super) enum ForeignPair {
    /// An application of this site calls one of a peer.
    Calls(Box<Application>, ForeignName),
    /// An application of a peer calls one of this site.
    Called(ForeignName, Box<Application>),
}

/// What this site decides.
pub(super) struct Decided {
    /// Why this site refuses the ticket; `None` if it does not.
    pub(super) why_not: Option<String>,
    /// What to ask the admin of the other site.
    pub(super) other_site: String,
}

impl ForeignPair {
    /// Returns the pair; `None` if both are applications of this site.
    pub(super) async fn of(
        context: &Context,
        consumer: &ApplicationId,
        provider: &ApplicationId,
    ) -> Result<Option<Self>, Refusal> {
        let foreign = |id: &ApplicationId| id.as_str().parse::<ForeignName>().ok();
        Ok(match (foreign(consumer), foreign(provider)) {
            (None, None) => None,
            (None, Some(provider)) => {
                let consumer = super::find(context, consumer).await?;
                Some(Self::Calls(Box::new(consumer), provider))
            }
            (Some(consumer), None) => {
                let provider = super::find(context, provider).await?;
                Some(Self::Called(consumer, Box::new(provider)))
            }
            (Some(_), Some(_)) => {
                return Err(Refusal::invalid(
                    "provider",
                    "names an application of a peer, and so does `consumer`; one of them must be of this site",
                ));
            }
        })
    }

    /// The application of this site.
    pub(super) fn own(&self) -> &Application {
        match self {
            Self::Calls(own, _) | Self::Called(_, own) => own,
        }
    }

    /// The longest lifetime of the ticket as far as this site knows it, in milliseconds.
    pub(super) fn lasts(&self) -> u64 {
        match self {
            Self::Calls(..) => MAX_FOREIGN_TICKET,
            Self::Called(_, provider) => provider.keys_last.min(MAX_FOREIGN_TICKET),
        }
    }

    pub(super) async fn decided(&self, context: &Context) -> Result<Decided, Refusal> {
        let (site, zone) = (context.site(), context.site().zone());
        let (denial, other_site) = match self {
            Self::Calls(consumer, provider) => {
                let denial = site.may_ask(consumer, provider).await?.err();
                let ask = format!(
                    "{} decides too: `countersign app ticket {} {}` there shows it",
                    provider.zone(),
                    argument(&format!("{}@{zone}", consumer.id)),
                    argument(provider.id())
                );
                (denial, ask)
            }
            Self::Called(consumer, provider) => {
                let denial = site.may_answer(consumer, provider).await?.err();
                let ask = format!(
                    "{} decides too: `countersign app ticket {} {}` there shows it",
                    consumer.zone(),
                    argument(consumer.id()),
                    argument(&format!("{}@{zone}", provider.id))
                );
                (denial, ask)
            }
        };
        Ok(Decided {
            why_not: denial.map(|denial| denial.to_string()),
            other_site,
        })
    }
}
