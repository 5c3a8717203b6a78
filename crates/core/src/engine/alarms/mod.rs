//! Alarms: raising and ending them, those that the site raises itself, and the outbox that delivers
//! them.

mod lockdowns;
mod outbox;
mod raise;
mod system;

pub(super) use outbox::Outbox;
pub use outbox::{DeliveryResult, DeliverySettings, DueDelivery, OutboxHook};
pub use raise::{NewAlarm, Raised};
pub use system::Observed;
pub(super) use system::Reported;
