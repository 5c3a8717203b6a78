//! New deliveries for the recipients of an alarm.

use std::collections::BTreeMap;

use crate::accounts::Account;
use crate::alarms::{
    About, Alarm, Delivery, DeliveryChannel, DeliveryState, News, Situation, Step, decide,
};
use crate::engine::alarms::outbox::Contact;
use crate::engine::{Refusal, Site};
use crate::id::{AccountId, DeliveryId};
use crate::timestamp::Timestamp;

/// Collects the new deliveries for the recipients of an alarm.
pub(super) struct Plan {
    now: Timestamp,
    /// The existing deliveries of the alarm by account.
    previous: BTreeMap<AccountId, Vec<Delivery>>,
    can_escalate: bool,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) escalates: Option<Timestamp>,
}

impl Plan {
    pub(super) async fn of(
        site: &Site,
        now: Timestamp,
        alarm: &Alarm,
        can_escalate: bool,
    ) -> Result<Self, Refusal> {
        let mut previous: BTreeMap<AccountId, Vec<Delivery>> = BTreeMap::new();
        if alarm.revision > 1 {
            for delivery in site.store().deliveries_of(alarm.id, None).await? {
                previous.entry(delivery.account).or_default().push(delivery);
            }
        }
        Ok(Self {
            now,
            previous,
            can_escalate,
            deliveries: Vec::new(),
            escalates: None,
        })
    }

    /// Decides which deliveries one recipient gets, and adds them.
    pub(super) async fn notify(
        &mut self,
        site: &Site,
        alarm: &Alarm,
        account: &Account,
        news: News,
        connections: usize,
    ) -> Result<(), Refusal> {
        let contact = Contact::read(site, account, alarm, self.now).await?;
        let previous = self.previous.get(&account.id);
        let raised = previous.into_iter().flatten();
        let raised: Vec<&Delivery> = raised.filter(|one| one.about == About::Raised).collect();
        let is = |wanted: fn(&Delivery) -> bool| -> Vec<DeliveryChannel> {
            let found = raised.iter().filter(|one| wanted(one));
            found.map(|one| one.channel).collect()
        };
        let steps = decide(&Situation {
            now: self.now,
            alarm,
            news,
            preferences: &contact.preferences,
            contacts: &contact.channels,
            connections,
            recent: &contact.recent,
            waiting: &is(|one| one.state == DeliveryState::Waiting),
            notified: &is(|one| one.attempted.is_some()),
            can_escalate: self.can_escalate,
        });
        let about = match news {
            News::Over => About::Over,
            _ => About::Raised,
        };
        for step in steps {
            let (channel, due, folded) = match step {
                Step::Send(channel) => (channel, self.now, false),
                Step::Hold { channel, until } => (channel, until, false),
                Step::Fold { channel, until } => (channel, until, true),
                Step::Escalate { channel, at } => (channel, at, false),
                Step::NotifyAdmins { at } => {
                    self.escalates = Some(self.escalates.map_or(at, |previous| previous.min(at)));
                    continue;
                }
                Step::Undeliverable(_) => continue,
            };
            // It replaces the previous delivery. The end of the alarm is reported to recipients
            // with an attempt, so the time of that attempt is copied.
            let previous = raised
                .iter()
                .find(|one| one.channel == channel && one.about == about);
            let attempted = previous.and_then(|one| one.attempted);
            self.deliveries.push(Delivery {
                id: DeliveryId::new(self.now, &mut site.entropy()),
                alarm: alarm.id,
                account: account.id,
                channel,
                about,
                severity: alarm.severity,
                due,
                since: due,
                attempts: 0,
                refusals: 0,
                state: DeliveryState::Waiting,
                last_error: None,
                folded,
                attempted,
                lease: None,
                revision: 1,
            });
        }
        Ok(())
    }
}
