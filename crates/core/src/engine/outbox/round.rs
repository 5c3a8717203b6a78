//! What is decided at once about deliveries that are due.

use std::collections::BTreeSet;

use super::{Contact, DueDelivery, dead};
use crate::accounts::Account;
use crate::alarms::{
    About, Alarm, AlarmState, Delivery, DeliveryChannel, DeliveryState, LEASE_S, Lease,
    MOST_ATTEMPTS, News, Severity, Situation, Step, decide,
};
use crate::engine::{Refusal, Site};
use crate::id::{AccountId, DeliveryId};
use crate::store::StoreError;
use crate::timestamp::Timestamp;

/// Deliveries that one summary tells of at most: more than one person can have.
const MOST_IN_SUMMARY: u32 = 4_000;

/// What is decided at once about deliveries that are due.
pub(super) struct Round {
    now: Timestamp,
    until: Timestamp,
    pub(super) changed: Vec<Delivery>,
    pub(super) messages: Vec<DueDelivery>,
    taken: BTreeSet<DeliveryId>,
    /// Messages of this round count for the rate limit too.
    leased: Vec<(AccountId, DeliveryChannel)>,
}

impl Round {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            now,
            until: now.plus_seconds(LEASE_S),
            changed: Vec::new(),
            messages: Vec::new(),
            taken: BTreeSet::new(),
            leased: Vec::new(),
        }
    }

    pub(super) async fn decide(&mut self, site: &Site, head: Delivery) -> Result<(), Refusal> {
        if self.taken.contains(&head.id) {
            return Ok(());
        }
        let (alarm, account) = match site.store().alarm(head.alarm).await {
            Ok(alarm) => (alarm, site.store().account(head.account).await?),
            Err(StoreError::Damaged { problem }) => {
                self.change(dead(head, &problem));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let (Some(alarm), Some(account)) = (alarm, account) else {
            // They went away after the delivery was read, and took it along.
            return Ok(());
        };
        if head.attempts >= MOST_ATTEMPTS {
            self.change(dead(head, "no worker told what came of it"));
            return Ok(());
        }
        let mut contact = Contact::read(site, &account, self.now).await?;
        let now = self.now;
        let own = self.leased.iter().filter(|(to, _)| *to == account.id);
        contact
            .recent
            .splice(0..0, own.map(|(_, channel)| (*channel, now)));
        match self.step(&head, &alarm, &contact) {
            None => self.change(head.revised(|one| one.state = DeliveryState::Cancelled)),
            Some(Step::Send(channel)) => {
                let items = self.together(site, head, alarm).await?;
                if items
                    .iter()
                    .any(|(one, _)| one.severity != Severity::Critical)
                {
                    self.leased.push((account.id, channel));
                }
                self.lease(site, &account, &contact, channel, items);
            }
            Some(Step::Hold { until, .. }) => self.postpone(head, until, false),
            Some(Step::Fold { until, .. }) => self.postpone(head, until, true),
            Some(_) => self.change(dead(head, "the site has no such channel to the person")),
        }
        Ok(())
    }

    fn step(&self, delivery: &Delivery, alarm: &Alarm, contact: &Contact) -> Option<Step> {
        let (channel, about) = (delivery.channel, delivery.about);
        let steps = decide(&Situation {
            now: self.now,
            alarm,
            news: News::Due { channel, about },
            preferences: &contact.preferences,
            contacts: &contact.channels,
            connections: 0,
            recent: &contact.recent,
            waiting: &[],
            told: &[],
            others: false,
        });
        steps.first().copied()
    }

    /// A delivery that the rate limit held back, with those that are due behind it; any other one alone.
    async fn together(
        &mut self,
        site: &Site,
        head: Delivery,
        alarm: Alarm,
    ) -> Result<Vec<(Delivery, Alarm)>, Refusal> {
        let folded = head.folded && alarm.severity != Severity::Critical;
        let (account, channel, first) = (head.account, head.channel, head.id);
        let mut items = vec![(head, alarm)];
        if !folded {
            return Ok(items);
        }
        let waiting = site
            .store()
            .waiting_deliveries(account, channel, MOST_IN_SUMMARY);
        // Behind one that is not to go out now, none of the same severity goes out.
        let mut stopped = BTreeSet::new();
        for one in waiting.await? {
            let goes =
                one.due <= self.now && !one.is_leased(self.now) && !self.taken.contains(&one.id);
            if one.id == first || stopped.contains(&one.severity) {
                continue;
            }
            if !goes {
                stopped.insert(one.severity);
                continue;
            }
            let Some(alarm) = site.store().alarm(one.alarm).await? else {
                continue;
            };
            let is_news = match one.about {
                About::Raised => alarm.is_open(),
                About::Over => alarm.state == AlarmState::Over && alarm.acknowledged.is_none(),
            };
            match is_news {
                true => items.push((one, alarm)),
                false => self.change(one.revised(|one| one.state = DeliveryState::Cancelled)),
            }
        }
        Ok(items)
    }

    fn lease(
        &mut self,
        site: &Site,
        account: &Account,
        contact: &Contact,
        channel: DeliveryChannel,
        items: Vec<(Delivery, Alarm)>,
    ) {
        let Some(message) = items.first().map(|(first, _)| first.id) else {
            return;
        };
        let (now, until) = (self.now, self.until);
        let leased = |delivery: Delivery| {
            delivery.revised(|one| {
                // The lease before ended without a result.
                one.attempts = one.attempts.saturating_add(u32::from(one.lease.is_some()));
                one.lease = Some(Lease { message, until });
                one.attempted = Some(now);
                one.due = until;
            })
        };
        let items = items
            .into_iter()
            .map(|(delivery, alarm)| (leased(delivery), alarm));
        let items: Vec<(Delivery, Alarm)> = items.collect();
        let written = site.due_delivery(account, contact, channel, &items, until);
        self.messages.extend(written);
        for (delivery, _) in items {
            self.change(delivery);
        }
    }

    fn postpone(&mut self, delivery: Delivery, until: Timestamp, folded: bool) {
        self.change(delivery.revised(|one| {
            // Waiting by decision is no failure.
            if one.attempts == 0 {
                one.since = until;
            }
            one.due = until;
            one.folded |= folded;
        }));
    }

    fn change(&mut self, delivery: Delivery) {
        self.taken.insert(delivery.id);
        self.changed.push(delivery);
    }
}
