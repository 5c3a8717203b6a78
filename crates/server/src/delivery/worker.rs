//! The task that drains the outbox.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use countersign_core::alarms::DeliveryChannel;
use countersign_core::engine::{DeliveryResult, DueDelivery, Site};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tracing::{debug, error, info, warn};

use super::pause::Pause;
use super::{Attempt, Channels};
use crate::accept_loop::Connections;
use crate::clock;

/// Messages that are sent at a time.
pub(super) const MAX_SENDING: usize = 8;
/// How long the worker waits at most before it looks again: the clock may have been set.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// How long it waits at least when something seems to be due and nothing was handed out.
const MIN_WAIT: Duration = Duration::from_millis(100);
/// How long it waits when the store is in trouble.
const TROUBLE_WAIT: Duration = Duration::from_secs(5);
/// How often it tries to record a result.
const MAX_RECORDINGS: u32 = 3;

/// Sends what is due.
pub(crate) struct Worker {
    site: Site,
    channels: RwLock<Arc<Channels>>,
    mail: Pause,
    webhook: Pause,
    places: Arc<Semaphore>,
    /// Notified when there may be something to send, or a place to send it.
    changed: Arc<Notify>,
}

impl Worker {
    pub(crate) fn new(site: Site, channels: Channels) -> Arc<Self> {
        let changed = Arc::new(Notify::new());
        let hook = changed.clone();
        site.on_outbox_change(Arc::new(move || hook.notify_one()));
        site.deliver_with(channels.settings());
        Arc::new(Self {
            site,
            channels: RwLock::new(Arc::new(channels)),
            mail: Pause::default(),
            webhook: Pause::default(),
            places: Arc::new(Semaphore::new(MAX_SENDING)),
            changed,
        })
    }

    /// Delivers over these channels from now on. A message that is being sent is not interrupted.
    pub(crate) fn change(&self, channels: Channels) {
        self.site.deliver_with(channels.settings());
        let slot = self.channels.write();
        *slot.unwrap_or_else(PoisonError::into_inner) = Arc::new(channels);
        for pause in [&self.mail, &self.webhook] {
            pause.record(&Attempt::Sent, None);
        }
        self.changed.notify_one();
    }

    /// Delivers for as long as the server runs. Messages are sent in tasks of `connections`, so that a
    /// server that stops waits for them.
    pub(crate) async fn run(self: Arc<Self>, connections: Connections) -> io::Result<Infallible> {
        loop {
            match self.send_due(&connections).await {
                Wait::ForPlace => self.changed.notified().await,
                Wait::AtMost(time) => {
                    let _ = tokio::time::timeout(time, self.changed.notified()).await;
                }
            }
        }
    }

    /// Leases what is due and begins to send it.
    async fn send_due(self: &Arc<Self>, connections: &Connections) -> Wait {
        loop {
            let mut places = Vec::new();
            while let Ok(place) = self.places.clone().try_acquire_owned() {
                places.push(place);
            }
            let Ok(limit @ 1..) = u32::try_from(places.len()) else {
                return Wait::ForPlace;
            };
            let due = match self.site.due_deliveries(clock::now(), limit).await {
                Ok(due) => due,
                Err(refusal) => {
                    error!(%refusal, "the outbox of alarms cannot be read or written");
                    return Wait::AtMost(TROUBLE_WAIT);
                }
            };
            if due.is_empty() {
                return self.until_next().await;
            }
            for (due, place) in due.into_iter().zip(places) {
                let worker = self.clone();
                connections.spawn(worker.deliver(due, place)).await;
            }
        }
    }

    async fn until_next(&self) -> Wait {
        let next = match self.site.next_delivery().await {
            Ok(Some(next)) => next,
            Ok(None) => return Wait::AtMost(MAX_WAIT),
            Err(error) => {
                error!(%error, "the outbox of alarms cannot be read");
                return Wait::AtMost(TROUBLE_WAIT);
            }
        };
        let left = next.millis().saturating_sub(clock::now().millis());
        let left = Duration::from_millis(u64::try_from(left).unwrap_or_default());
        Wait::AtMost(left.clamp(MIN_WAIT, MAX_WAIT))
    }

    /// Sends one message and records the result.
    async fn deliver(self: Arc<Self>, due: DueDelivery, place: OwnedSemaphorePermit) {
        match self.site.still_due(&due, clock::now()).await {
            Ok(Some(due)) => {
                let attempt = self.attempt(&due).await;
                log(&due, &attempt);
                self.record(&due, &attempt.into()).await;
            }
            // Its alarms were acknowledged.
            Ok(None) => {}
            Err(refusal) => error!(%refusal, "the outbox of alarms cannot be read"),
        }
        drop(place);
        self.changed.notify_one();
    }

    async fn attempt(&self, due: &DueDelivery) -> Attempt {
        let channels = self.channels.read();
        let channels = channels.unwrap_or_else(PoisonError::into_inner).clone();
        let pause = match due.channel {
            DeliveryChannel::Email => &self.mail,
            DeliveryChannel::Text => &self.webhook,
        };
        if let Some(held) = pause.holds() {
            return held;
        }
        let now = clock::now();
        let attempt = match (due.channel, &channels.mail, &channels.webhook) {
            (DeliveryChannel::Email, Some(mail), _) => mail.send(due, now).await,
            (DeliveryChannel::Text, _, Some(webhook)) => {
                let zone = self.site.zone().to_string();
                webhook.send(due, &zone, now).await
            }
            // The channel was removed a moment ago: core gives the message up when it is due again.
            _ => Attempt::Retry {
                error: "the channel is no longer configured".to_owned(),
                retry_after_s: None,
            },
        };
        pause.record(&attempt, Some(due.account));
        attempt
    }

    /// Records a result. If that fails, the lease ends and the message is sent again.
    async fn record(&self, due: &DueDelivery, result: &DeliveryResult) {
        for _ in 0..MAX_RECORDINGS {
            let recorded = self.site.delivered(due.message_id, result, clock::now());
            match recorded.await {
                Ok(_) => return,
                Err(refusal) => error!(%refusal, "the result of a delivery was not recorded"),
            }
            tokio::time::sleep(TROUBLE_WAIT).await;
        }
    }
}

/// How long there is nothing to do.
enum Wait {
    /// Until a message was sent.
    ForPlace,
    /// Until something changes, or this long.
    AtMost(Duration),
}

fn log(due: &DueDelivery, attempt: &Attempt) {
    let (to, channel, message) = (&due.name, due.channel.as_str(), due.message_id);
    match attempt {
        Attempt::Sent => info!(%to, channel, %message, "alarm delivered"),
        Attempt::Rejected { error } => {
            warn!(%to, channel, %message, ?error, "the channel rejected a message about an alarm");
        }
        Attempt::Unreachable { error } => {
            warn!(%to, channel, %message, ?error, "the channel cannot be reached; the message is tried again");
        }
        Attempt::Retry { error, .. }
        | Attempt::Refused { error, .. }
        | Attempt::Unanswered { error } => {
            debug!(%to, channel, %message, ?error, "a message about an alarm is tried again");
        }
    }
}
