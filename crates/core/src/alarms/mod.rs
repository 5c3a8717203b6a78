//! Alarms: events that a person must learn of, and their deliveries.
//!
//! An [`Alarm`] is raised for a person or for the group `admins` and has [`Recipient`]s. A
//! [`Delivery`] notifies one recipient over one channel. All deliveries together are the outbox,
//! which the store contains. [`decide`] alone decides which messages a recipient receives, over
//! which channel and when. [`message()`] writes the texts.
//!
//! ```text
//!            raised ──▶ open ──acknowledge──▶ acknowledged
//!                        │                        │
//!                        └──────── over ──▶ over ◀┘
//!
//!  delivery: waiting ──accepted by the channel──▶ sent
//!               │  ▲ │
//!               │  │ └──24 h of failures, 10 refusals, no such channel──▶ dead ──retry──▶ waiting
//!               │  └── failed: next attempt after 10 s, doubling to 1 h
//!               └── acknowledged, or over before it was sent ──▶ cancelled
//! ```
//!
//! This module uses neither a store nor a clock.

mod alarm;
mod decision;
mod delivery;
mod mail_template;
mod markup;
mod message;
mod preferences;
mod quoted;
mod system;

pub use crate::text::OneLine;
pub use alarm::{
    Acknowledgement, Alarm, AlarmData, AlarmKey, AlarmState, AlarmText, MAX_ALARMS,
    MAX_ALARMS_OF_PERSON, MAX_ALARMS_OF_RAISER, MAX_RECIPIENTS, RESERVED_FOR_SITE,
    RESERVED_FOR_SITE_OF_PERSON, Raiser, Recipient, Severity, Target,
};
pub use decision::{
    CONNECTED_GRACE_S, DEDUPLICATION_WINDOW_S, MAX_MESSAGES_PER_WINDOW, News, RATE_WINDOW_S,
    Situation, Step, decide,
};
pub use delivery::{
    About, DEAD_AFTER_S, Delivery, DeliveryChannel, DeliveryState, LATE_AFTER_S, LEASE_S, Lease,
    MAX_ATTEMPTS, MAX_DELIVERY_ERROR_CHARS, MAX_REFUSALS, backoff_s,
};
pub use mail_template::{
    BadMailTemplate, MAIL_TEMPLATE_FILES, MAX_MAIL_TEMPLATE_BYTES, MailTemplate, MailTemplates,
};
pub use message::{Item, Message, MessageContext, message};
pub use preferences::{Language, Preferences, QuietHours, TextAddress, TimeOfDay, TimeZoneName};
pub use quoted::{quoted, unquoted};
pub use system::{DiskSpace, MAX_NAMED_APPLICATIONS, PeerAlarm, RevokedOf, SystemAlarm};
