//! The OPAQUE server setups of a site. A record of a pass phrase belongs to one of them.

use std::sync::Arc;

use countersign_crypto::entropy::Entropy;
use countersign_crypto::passphrase::{ServerSetup, SetupId};
use countersign_crypto::secret::{SecretBytes, SecretText};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::RootSecret;
use super::secret_text::{expose, hide};
use crate::timestamp::Timestamp;

const LABEL: &str = "server setups";
/// Maximum number of setups, the newest included. More than two are needed only if a rotation
/// starts before the one before it is complete.
pub(crate) const MAX_SETUPS: usize = 4;

/// The setups of a site, newest first; at least one.
#[derive(Clone)]
pub(crate) struct Setups {
    newest: DatedSetup,
    older: Vec<DatedSetup>,
}

/// A setup, and when it was made.
#[derive(Clone)]
pub(crate) struct DatedSetup {
    pub(crate) setup: Arc<ServerSetup>,
    pub(crate) added: Timestamp,
}

/// The form that is sealed in the store.
#[derive(Serialize, Deserialize)]
struct StoredSetup {
    /// The setup, in base64.
    #[serde(serialize_with = "expose", deserialize_with = "hide")]
    setup: SecretText,
    added: Timestamp,
}

impl Setups {
    /// Generates the setup of a new site.
    pub(crate) fn generate(now: Timestamp, entropy: &mut dyn Entropy) -> Self {
        Self {
            newest: DatedSetup {
                setup: Arc::new(ServerSetup::generate(entropy)),
                added: now,
            },
            older: Vec::new(),
        }
    }

    /// The setup for new records.
    pub(crate) fn newest(&self) -> &Arc<ServerSetup> {
        &self.newest.setup
    }

    /// The setup for replies to unknown names. It is the oldest, so that these replies do not
    /// change when a setup is added, while the replies for most accounts do not change either.
    pub(crate) fn oldest(&self) -> &Arc<ServerSetup> {
        &self.older.last().unwrap_or(&self.newest).setup
    }

    /// The setup with this id.
    pub(crate) fn find(&self, id: SetupId) -> Option<&Arc<ServerSetup>> {
        let found = self.all().find(|dated| dated.setup.id() == id);
        found.map(|dated| &dated.setup)
    }

    /// All setups, newest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &DatedSetup> {
        std::iter::once(&self.newest).chain(&self.older)
    }

    /// Whether records under an older setup are accepted.
    pub(crate) fn has_older(&self) -> bool {
        !self.older.is_empty()
    }

    /// The setups with a new one for new records; `None` if there are [`MAX_SETUPS`].
    pub(crate) fn with_new(&self, now: Timestamp, entropy: &mut dyn Entropy) -> Option<Self> {
        let new = Self::generate(now, entropy);
        let older: Vec<DatedSetup> = self.all().cloned().collect();
        (older.len() < MAX_SETUPS).then_some(Self {
            newest: new.newest,
            older,
        })
    }

    /// The newest setup alone.
    pub(crate) fn without_older(&self) -> Self {
        Self {
            newest: self.newest.clone(),
            older: Vec::new(),
        }
    }

    /// Seals the setups for the store.
    pub(crate) fn sealed(
        &self,
        root: &RootSecret,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, serde_json::Error> {
        let stored: Vec<StoredSetup> = self
            .all()
            .map(|dated| StoredSetup {
                setup: SecretText::from(BASE64.encode(dated.setup.to_bytes().expose())),
                added: dated.added,
            })
            .collect();
        let text = SecretBytes::from(serde_json::to_vec(&stored)?);
        Ok(root.seal(LABEL, text.expose(), entropy))
    }

    /// Opens the setups of the store; `None` if they are damaged.
    pub(crate) fn open(root: &RootSecret, sealed: &[u8]) -> Option<Self> {
        let text = root.open(LABEL, sealed)?;
        let stored: Vec<StoredSetup> = serde_json::from_slice(text.expose()).ok()?;
        let read = |stored: StoredSetup| {
            let bytes = BASE64.decode(stored.setup.expose().as_bytes()).ok()?;
            let setup = ServerSetup::from_bytes(SecretBytes::from(bytes).expose()).ok()?;
            Some(DatedSetup {
                setup: Arc::new(setup),
                added: stored.added,
            })
        };
        let mut setups = stored.into_iter().map(read);
        let newest = setups.next()??;
        let older = setups.collect::<Option<_>>()?;
        Some(Self { newest, older })
    }
}
