//! The connections of devices: which may have a session, and when each was seen last.

mod requests;
mod two_places;

use countersign_crypto::certificate::Thumbprint;
use countersign_proto::name::AccountName;

use super::{Decision, Site};
use crate::access::Channel;
use crate::alarms::{RevokedOf, SystemAlarm};
use crate::audit::AuditOutcome;
use crate::audit::coalesced::Occurrence;
use crate::devices::Device;
use crate::id::SessionId;
use crate::lockdown::Activity;
use crate::sessions::{CutHook, Proof, SessionInfo};
use crate::store::{Change, StoreError};
use crate::throttle::{Abuse, Source};
use crate::timestamp::Timestamp;

pub(super) use requests::DeviceRequests;

/// A connection of a device that asks for its session. The TLS handshake has shown that it has the
/// key.
pub struct NewDeviceSession {
    /// The id that its first line names.
    pub name: AccountName,
    /// SHA-256 of its key's SubjectPublicKeyInfo.
    pub thumbprint: Thumbprint,
    /// The peer's address.
    pub peer: String,
    /// What the connection is counted by.
    pub source: Source,
    /// Ends the connection.
    pub cut: CutHook,
    /// The greatest number of sessions of the account, this one included.
    pub max_sessions: usize,
    /// The greatest number of connections of the device, this one included. The oldest one is cut
    /// for one more.
    pub max_connections: usize,
}

impl Site {
    /// Opens a session for the connection of a device. Audited as `session.opened`; close every
    /// session that was opened with [`Site::close_session`], those that were cut too.
    ///
    /// [`Decision::Refused`] stands for an unknown key, another person's id, an account that is
    /// locked, disabled, deleted or in lockdown, and a sealed site: answer them alike, with silence. It is
    /// counted for the audit log and as [`Abuse::NotAuthenticated`] of the source; the caller
    /// counts nothing.
    ///
    /// The session lasts as long as the site's `session_lifetime`; a device then connects anew.
    ///
    /// # Errors
    /// [`StoreError`] when the session cannot be audited: there is none then.
    pub async fn open_device_session(
        &self,
        new: NewDeviceSession,
        now: Timestamp,
    ) -> Result<Decision, StoreError> {
        let source = new.source;
        let decision = self.device_session(new, now).await;
        if matches!(decision, Ok(Decision::Refused)) {
            let outcome = AuditOutcome::Failed;
            let failed = Occurrence::of_source(source, Channel::Device, "session.login", outcome);
            self.refused(Some(source), failed, now);
        }
        decision
    }

    async fn device_session(
        &self,
        new: NewDeviceSession,
        now: Timestamp,
    ) -> Result<Decision, StoreError> {
        let name = self.qualified_name(new.name);
        let found = self.store().device_login(&new.thumbprint).await?;
        let found = found.filter(|(account, _)| account.is_active() && account.name == name);
        let found = found.filter(|(account, _)| {
            self.permits_account(Activity::DeviceConnection, account.id) && !self.is_sealed()
        });
        let Some((account, device)) = found else {
            self.report_revoked(&new.thumbprint, new.source).await?;
            return Ok(Decision::Refused);
        };
        let ends = now.plus_seconds(self.config().session_lifetime);
        let info = SessionInfo {
            id: SessionId::new(now, &mut self.entropy()),
            account: account.id,
            name: account.name.clone(),
            role: account.role,
            option: None,
            peer: new.peer,
            proof: Proof::Device(device.id),
            opened: now,
            expires: ends,
            ends,
            connected: true,
            connection: 0,
        };
        // Registered first, looked at again afterwards: an admin who revokes the device or locks
        // the account meanwhile either finds the session and cuts it, or is seen here.
        let registered = self
            .sessions()
            .register(info.clone(), new.cut, new.max_sessions);
        if !registered {
            return Ok(Decision::TooMany);
        }
        let may_still = self.may_still(&info, &account, Activity::DeviceConnection);
        let admitted = match may_still.await {
            Ok(true) => self
                .audit_session_with(seen(&device, now), &info, "session.opened", None, now)
                .await
                .map(|()| true),
            other => other,
        };
        match admitted {
            Ok(true) => {
                // A phone that changes its network leaves connections behind that the site does not
                // know to be lost.
                self.sessions().cut_oldest(&info, new.max_connections);
                Ok(Decision::Opened(info))
            }
            refused => {
                self.sessions().remove(info.id, info.connection);
                refused.map(|_| Decision::Refused)
            }
        }
    }

    /// Reports a connection with the key of a device that was revoked.
    pub(super) async fn report_revoked(
        &self,
        thumbprint: &Thumbprint,
        source: Source,
    ) -> Result<(), StoreError> {
        let Some(removed) = self.store().removed_device(thumbprint).await? else {
            return Ok(());
        };
        let owner = match removed.owner {
            Some((id, name)) => {
                let account = self.store().account(id).await?;
                account.map(|account| RevokedOf {
                    account: id,
                    person: account.name.to_string(),
                    name: name.to_string(),
                })
            }
            None => None,
        };
        self.report(SystemAlarm::RevokedDevice {
            thumbprint: thumbprint.to_string(),
            source: source.to_string(),
            owner,
        });
        Ok(())
    }

    /// The change that keeps when the device of a session was seen last, if it is due. A store that
    /// cannot read keeps no session from being closed.
    pub(super) async fn device_seen(&self, info: &SessionInfo, now: Timestamp) -> Option<Change> {
        let Proof::Device(id) = info.proof else {
            return None;
        };
        let device = self.store().device(id).await.ok().flatten()?;
        seen(&device, now)
    }

    /// Counts a refusal that a client gets on the device port or a sealed channel, also against its
    /// source if that is known.
    pub(super) fn refused(&self, source: Option<Source>, occurrence: Occurrence, now: Timestamp) {
        if let Some(source) = source {
            let mut penalties = self.throttle().penalties();
            penalties.record_abuse(source, Abuse::NotAuthenticated, now);
        }
        self.count(occurrence, now);
    }
}

/// Written with the audit entry of the connection, so that it costs no write of its own.
fn seen(device: &Device, now: Timestamp) -> Option<Change> {
    device.is_seen_anew(now).then_some(Change::SeeDevice {
        id: device.id,
        account: device.account,
        at: now,
    })
}
