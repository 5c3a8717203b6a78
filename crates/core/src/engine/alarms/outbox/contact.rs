//! The channels and preferences of an account.

use crate::accounts::Account;
use crate::alarms::{Alarm, DeliveryChannel, Preferences, RATE_WINDOW_S, SystemAlarm};
use crate::engine::{Refusal, Site};
use crate::lockdown::{Activity, LockdownTarget};
use crate::timestamp::Timestamp;

/// The limit on messages that are read for the rate limit.
const MAX_RECENT_MESSAGES: u32 = 64;

/// The channels and preferences of an account at one time.
pub(in crate::engine::alarms) struct Contact {
    pub(in crate::engine::alarms) preferences: Preferences,
    /// The channels that reach the account about an alarm, in its order of preference.
    pub(in crate::engine::alarms) channels: Vec<DeliveryChannel>,
    /// The messages to the account within the window of the rate limit.
    pub(in crate::engine::alarms) recent: Vec<(DeliveryChannel, Timestamp)>,
}

impl Contact {
    /// Reads them for one alarm.
    pub(in crate::engine::alarms) async fn read(
        site: &Site,
        account: &Account,
        alarm: &Alarm,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let stored = site.store().preferences(account.id).await?;
        let preferences = stored.map(|stored| stored.preferences).unwrap_or_default();
        let settings = site.delivery_settings();
        let mut contact = Self {
            preferences,
            channels: Vec::new(),
            recent: Vec::new(),
        };
        let lockdowns = site.lockdowns();
        let target = LockdownTarget::Account(account.id);
        let can_log_in = account.is_active()
            && lockdowns.of(&target).is_none()
            && lockdowns.permits(Activity::AlarmDelivery);
        let wanted = match SystemAlarm::ignores_preferred_channels(alarm) {
            true => DeliveryChannel::ALL.to_vec(),
            false => contact.preferences.channels.clone(),
        };
        let channels = wanted.into_iter().filter(|channel| {
            let is_there = match channel {
                DeliveryChannel::Email => settings.email,
                DeliveryChannel::Text => settings.text,
            };
            // An account that cannot log in receives nothing, except while the whole site is in lockdown.
            is_there && can_log_in && contact.address(account, *channel).is_some()
        });
        contact.channels = channels.collect();
        if !contact.channels.is_empty() {
            let window = i64::from(RATE_WINDOW_S) * 1_000;
            let since = Timestamp::from_millis(now.millis().saturating_sub(window));
            let recent = site
                .store()
                .recent_messages(account.id, since, now, MAX_RECENT_MESSAGES);
            contact.recent = recent.await?;
        }
        Ok(contact)
    }

    pub(super) fn address(&self, account: &Account, channel: DeliveryChannel) -> Option<String> {
        match channel {
            DeliveryChannel::Email => {
                Some(account.email.clone()).filter(|address| !address.is_empty())
            }
            DeliveryChannel::Text => {
                let address = self.preferences.text_to.as_ref();
                address.map(|address| address.as_str().to_owned())
            }
        }
    }
}
