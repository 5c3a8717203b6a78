//! Changes of settings while the server runs.

use std::sync::{Arc, Weak};

use crate::admission::Admission;
use crate::delivery::{Channels, Worker};
use crate::descriptors::{Reserve, fit};
use crate::limits::Limits;
use crate::proxies::Proxies;
use crate::runtime::shared::Shared;

/// Changes the settings of a running server, from any thread. It does not keep the server running.
#[derive(Clone)]
pub struct Reloader {
    pub(crate) shared: Weak<Shared>,
    pub(crate) delivery: Weak<Worker>,
    pub(crate) reserve: Reserve,
    /// The admission of clients and of trusted proxies.
    pub(crate) admissions: [Arc<Admission>; 2],
    pub(crate) serves_http: bool,
}

impl Reloader {
    /// Changes the limits and the trusted proxies. Open connections stay open; a login or a session that
    /// exists keeps the limits with which it began. Changes nothing once the server has stopped.
    pub fn reload(&self, limits: Limits, proxies: Proxies) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        let limits = fit(&self.served(limits), &self.reserve);
        for admission in &self.admissions {
            admission.keep_to(&limits);
        }
        shared.reload(limits, proxies);
    }

    /// Returns these limits as this process can keep to them: lowered to the files that it may open.
    #[must_use]
    pub fn fitting(&self, limits: &Limits) -> Limits {
        let mut fitting = self.reserve.lower(&self.served(limits.clone()));
        if !self.serves_http {
            fitting.proxied_connections = limits.proxied_connections;
            fitting.proxied_sessions = limits.proxied_sessions;
        }
        fitting
    }

    /// The limits with what they are without an HTTP listener.
    const fn served(&self, mut limits: Limits) -> Limits {
        if !self.serves_http {
            limits.proxied_connections = 0;
            limits.proxied_sessions = 0;
        }
        limits
    }

    /// Delivers alarms over these channels from now on.
    pub fn deliver_over(&self, channels: Channels) {
        if let Some(delivery) = self.delivery.upgrade() {
            delivery.change(channels);
        }
    }
}
