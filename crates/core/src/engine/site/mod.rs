//! The site as a whole: how it is created, opened, unsealed and sealed, its settings, its addresses
//! and its numbers.

mod clear_data;
mod endpoints;
mod entropy;
mod gauges;
mod new_site;
mod parts;
mod record;
mod runtime;
mod script;
mod unseal;

pub use endpoints::{ClientAddress, Endpoints, HttpProtection};
pub use gauges::{Gauges, StoredGauges};
pub use new_site::{NewSite, SiteError};
pub use parts::Parts;
pub use record::{LAST_BACKUP, OFFER, SiteConfig};
pub(super) use record::{LOCKDOWNS, SiteRecord, put};
pub use runtime::{LoweredSetting, RuntimeConfig, RuntimeSetting, SettingSource, StoredSettings};
pub use script::{ScriptError, ScriptOutcome};
pub use unseal::{SecretError, SlotList, UnsealError};
