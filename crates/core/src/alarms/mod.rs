//! Alarms (protocol.md, section 7): what a person must learn of, and the deliveries that tell them.
//!
//! An [`Alarm`] is raised for a person or for the group `admins` and has [`Recipient`]s. A [`Delivery`] tells one
//! recipient over one channel; all deliveries together are the outbox, which a store keeps. [`decide`] is the one
//! function that decides what a recipient gets, over which channel and when. [`message`] writes the texts.
//!
//! ```text
//!            raised ──▶ open ──acknowledge──▶ acknowledged
//!                        │                        │
//!                        └──────── over ──▶ over ◀┘
//!
//!  delivery: waiting ──accepted by the channel──▶ sent
//!               │  ▲ │
//!               │  │ └──24 h of failures, or no such channel──▶ dead ──retry──▶ waiting
//!               │  └── failed: again after 10 s, doubling to 1 h
//!               └── acknowledged, or over before it was sent ──▶ cancelled
//! ```
//!
//! This module reads no store and no clock.

mod alarm;
mod decision;
mod delivery;
mod message;
mod preferences;

pub use crate::text::OneLine;
pub use alarm::{
    Acknowledgement, Alarm, AlarmData, AlarmKey, AlarmState, AlarmText, MOST_ALARMS,
    MOST_ALARMS_OF_PERSON, MOST_OF_RAISER, MOST_RECIPIENTS, RESERVED_FOR_SITE, RESERVED_OF_PERSON,
    Raiser, Recipient, Severity, Target,
};
pub use decision::{
    CONNECTED_GRACE_S, DEDUPLICATION_WINDOW_S, MESSAGES_PER_WINDOW, News, RATE_WINDOW_S, Situation,
    Step, decide,
};
pub use delivery::{
    About, DEAD_AFTER_S, DELIVERY_ERROR_CHARS, Delivery, DeliveryChannel, DeliveryState, LEASE_S,
    Lease, MOST_ATTEMPTS, backoff_s,
};
pub use message::{Item, Message, PublicUrl, message};
pub use preferences::{Language, Preferences, QuietHours, TextAddress, TimeOfDay, TimeZoneName};
