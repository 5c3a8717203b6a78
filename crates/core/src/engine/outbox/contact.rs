//! How an account is reached.

use crate::accounts::Account;
use crate::alarms::{DeliveryChannel, Preferences, RATE_WINDOW_S};
use crate::engine::{Refusal, Site};
use crate::timestamp::Timestamp;

/// Messages that are looked at for the rate limit.
const MOST_RECENT: u32 = 64;

/// How an account is reached now.
pub(in crate::engine) struct Contact {
    pub(in crate::engine) preferences: Preferences,
    /// The channels that reach it, in its order.
    pub(in crate::engine) channels: Vec<DeliveryChannel>,
    /// The messages that it got lately.
    pub(in crate::engine) recent: Vec<(DeliveryChannel, Timestamp)>,
}

impl Contact {
    pub(in crate::engine) async fn read(
        site: &Site,
        account: &Account,
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
        let wanted = contact.preferences.channels.iter().copied();
        let channels = wanted.filter(|channel| {
            let is_there = match channel {
                DeliveryChannel::Email => settings.email,
                DeliveryChannel::Text => settings.text,
            };
            // Who may not log in is told nothing.
            is_there && account.is_active() && contact.address(account, *channel).is_some()
        });
        contact.channels = channels.collect();
        if !contact.channels.is_empty() {
            let window = i64::from(RATE_WINDOW_S) * 1_000;
            let since = Timestamp::from_millis(now.millis().saturating_sub(window));
            let recent = site
                .store()
                .recent_messages(account.id, since, now, MOST_RECENT);
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
