//! What the recipients of an alarm get.

use std::collections::BTreeMap;

use crate::accounts::Account;
use crate::alarms::{
    About, Alarm, Delivery, DeliveryChannel, DeliveryState, News, Situation, Step, decide,
};
use crate::engine::outbox::Contact;
use crate::engine::{Refusal, Site};
use crate::id::{AccountId, DeliveryId};
use crate::timestamp::Timestamp;

/// Deliveries that are being decided on for the recipients of an alarm.
pub(super) struct Plan {
    now: Timestamp,
    /// What was written before, by account.
    before: BTreeMap<AccountId, Vec<Delivery>>,
    others: bool,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) escalates: Option<Timestamp>,
}

impl Plan {
    pub(super) async fn of(
        site: &Site,
        now: Timestamp,
        alarm: &Alarm,
        others: bool,
    ) -> Result<Self, Refusal> {
        let mut before: BTreeMap<AccountId, Vec<Delivery>> = BTreeMap::new();
        if alarm.revision > 1 {
            for delivery in site.store().deliveries_of(alarm.id, None).await? {
                before.entry(delivery.account).or_default().push(delivery);
            }
        }
        Ok(Self {
            now,
            before,
            others,
            deliveries: Vec::new(),
            escalates: None,
        })
    }

    /// Decides what one recipient gets.
    pub(super) async fn tell(
        &mut self,
        site: &Site,
        alarm: &Alarm,
        account: &Account,
        news: News,
        connections: usize,
    ) -> Result<(), Refusal> {
        let contact = Contact::read(site, account, self.now).await?;
        let before = self.before.get(&account.id);
        let raised = before.into_iter().flatten();
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
            told: &is(|one| one.attempted.is_some()),
            others: self.others,
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
                Step::NextPerson { at } => {
                    self.escalates = Some(self.escalates.map_or(at, |before| before.min(at)));
                    continue;
                }
                Step::GiveUp(_) => continue,
            };
            // It replaces the one before; that there was an attempt is to be known when the alarm is over.
            let before = raised
                .iter()
                .find(|one| one.channel == channel && one.about == about);
            let attempted = before.and_then(|one| one.attempted);
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
