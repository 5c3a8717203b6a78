//! One round of decisions about due deliveries.

use std::collections::BTreeSet;

use super::{Contact, DueDelivery, dead};
use crate::accounts::Account;
use crate::alarms::{
    About, Alarm, AlarmState, Delivery, DeliveryChannel, DeliveryState, LEASE_S, Lease,
    MAX_ATTEMPTS, News, Severity, Situation, Step, decide,
};
use crate::engine::{Refusal, Site};
use crate::id::{AccountId, DeliveryId};
use crate::store::StoreError;
use crate::timestamp::Timestamp;

/// The limit on deliveries of one summary. It exceeds the number of deliveries that one person can
/// have.
const MAX_IN_SUMMARY: u32 = 4_000;

/// What a decision about a delivery rests on.
async fn parts(
    site: &Site,
    head: &Delivery,
) -> Result<(Option<Alarm>, Option<Account>), StoreError> {
    let store = site.store();
    let alarm = store.alarm(head.alarm).await?;
    let account = store.account(head.account).await?;
    store.preferences(head.account).await?;
    Ok((alarm, account))
}

/// One round of decisions about due deliveries.
pub(super) struct Round {
    now: Timestamp,
    until: Timestamp,
    pub(super) changed: Vec<Delivery>,
    pub(super) messages: Vec<DueDelivery>,
    changed_ids: BTreeSet<DeliveryId>,
    /// Messages of this round, which the rate limit counts too.
    leased: Vec<(AccountId, DeliveryChannel)>,
}

impl Round {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            now,
            until: now.plus_seconds(LEASE_S),
            changed: Vec::new(),
            messages: Vec::new(),
            changed_ids: BTreeSet::new(),
            leased: Vec::new(),
        }
    }

    pub(super) async fn decide(&mut self, site: &Site, head: Delivery) -> Result<(), Refusal> {
        if self.changed_ids.contains(&head.id) {
            return Ok(());
        }
        let (alarm, account) = match parts(site, &head).await {
            Ok(read) => read,
            // One row that cannot be read must not stop the messages of others.
            Err(StoreError::Damaged { problem }) => {
                self.change(dead(head, &problem));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let (Some(alarm), Some(account)) = (alarm, account) else {
            // The alarm or the account was deleted after the delivery was read, and the delivery
            // with it.
            return Ok(());
        };
        if !alarm.is_for(&account) && account.is_active() {
            // It was an admin when the alarm was raised.
            self.change(head.revised(|one| one.state = DeliveryState::Cancelled));
            return Ok(());
        }
        if head.attempts >= MAX_ATTEMPTS {
            self.change(dead(
                head,
                "no worker reported a result; check the server's log, then retry it",
            ));
            return Ok(());
        }
        let mut contact = Contact::read(site, &account, &alarm, self.now).await?;
        let now = self.now;
        let of_round = self.leased.iter().filter(|(to, _)| *to == account.id);
        contact
            .recent
            .splice(0..0, of_round.map(|(_, channel)| (*channel, now)));
        match self.step(&head, &alarm, &contact) {
            None => self.change(head.revised(|one| one.state = DeliveryState::Cancelled)),
            Some(Step::Send(channel)) => {
                let items = self.combine(site, head, alarm).await?;
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
            Some(_) => self.change(dead(
                head,
                "the site has no such channel, or no address of the person for it",
            )),
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
            notified: &[],
            can_escalate: false,
        });
        steps.first().copied()
    }

    /// The deliveries of one message: one that the rate limit delayed and the due ones after it, or
    /// a single one.
    async fn combine(
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
            .waiting_deliveries(account, channel, MAX_IN_SUMMARY);
        // A delivery that cannot be sent now blocks the later ones of its severity, so that the
        // order is preserved.
        let mut blocked = BTreeSet::new();
        for one in waiting.await? {
            let is_ready = one.due <= self.now
                && !one.is_leased(self.now)
                && !self.changed_ids.contains(&one.id);
            if one.id == first || blocked.contains(&one.severity) {
                continue;
            }
            if !is_ready {
                blocked.insert(one.severity);
                continue;
            }
            let alarm = match site.store().alarm(one.alarm).await {
                Ok(Some(alarm)) => alarm,
                Ok(None) => continue,
                Err(StoreError::Damaged { problem }) => {
                    self.change(dead(one, &problem));
                    continue;
                }
                Err(error) => return Err(error.into()),
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
                // The previous lease ended without a result.
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
            // A planned delay is not a failure.
            if one.attempts == 0 {
                one.since = until;
            }
            one.due = until;
            one.folded |= folded;
        }));
    }

    fn change(&mut self, delivery: Delivery) {
        self.changed_ids.insert(delivery.id);
        self.changed.push(delivery);
    }
}
