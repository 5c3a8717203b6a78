//! Whether a caller may call an operation now: the checks before each operation, on every channel.

use std::borrow::Cow;

use crate::access::{Caller, Channel, HttpCredential, Scope};
use crate::audit::coalesced::Occurrence;
use crate::engine::{Entry, Refusal, Site};
use crate::lockdown::Activity;
use crate::sessions::Proof;
use crate::throttle::{Holder, Rate};
use crate::timestamp::Timestamp;

impl Site {
    /// Refuses what [`Site::run_entry`] would refuse before its handler is called, and counts and
    /// audits the refusal in the same way. Ask it before an answer is given again, and give it again only
    /// for the scope for which it was made: the handler would look at the objects.
    ///
    /// # Errors
    /// The refusal.
    pub async fn expect_authorised(
        &self,
        entry: &Entry,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Scope, Refusal> {
        let authorised = self.authorised(entry, caller, now).map(|(_, scope)| scope);
        if let Err(refusal) = &authorised {
            Box::pin(self.count_refusal(refusal, caller, entry.name(), now)).await;
        }
        authorised
    }

    /// Returns the caller with the current role, and the objects to which it has access with this
    /// operation.
    pub(in crate::engine) fn authorised<'a>(
        &self,
        entry: &Entry,
        caller: &'a Caller,
        now: Timestamp,
    ) -> Result<(Cow<'a, Caller>, Scope), Refusal> {
        if self.is_sealed() && !entry.works_while_sealed() {
            return Err(Refusal::sealed());
        }
        let activity = Activity::Operation(entry.kind(), caller.channel);
        let caller = match self.current(caller, now) {
            Ok(caller) => caller,
            // Of a connection that a lockdown of the site ended, the lockdown is the reason.
            Err(ended) => {
                self.expect_permitted(activity, None)?;
                return Err(ended);
            }
        };
        let Some(scope) = entry.scope(&caller) else {
            return Err(refusal(entry, &caller));
        };
        self.expect_permitted(activity, caller.account)?;
        Ok((caller, scope))
    }

    /// Asks again, after a wait, what [`Site::authorised`] was asked before the operation began with this
    /// scope. A credential that was changed meanwhile is read again: the change may have taken nothing from
    /// it. Returns the caller with its current name and role.
    pub(in crate::engine) async fn still_authorised<'a>(
        &self,
        entry: &Entry,
        caller: &'a Caller,
        scope: Scope,
        now: Timestamp,
    ) -> Result<Cow<'a, Caller>, Refusal> {
        let read_again = match &caller.grant {
            Some(grant) if !grant.is_valid(now) => self.grant_of(grant.credential).await?,
            _ => None,
        };
        let read_again = read_again.filter(|grant| Some(grant) == caller.grant.as_ref());
        let caller = match read_again.map(Caller::over_http) {
            Some(caller) => Cow::Owned(caller),
            None => Cow::Borrowed(caller),
        };
        let (current, current_scope) = self.authorised(entry, &caller, now)?;
        if current_scope != scope && current_scope != Scope::All {
            return Err(refusal(entry, &current));
        }
        Ok(match current {
            Cow::Owned(current) => Cow::Owned(current),
            Cow::Borrowed(_) => caller,
        })
    }

    /// Returns the credential or session of the caller that has a share of this limit; `None` for a
    /// limit of others, and for callers without either.
    pub(in crate::engine) fn holder(&self, caller: &Caller, rate: Rate) -> Option<Holder> {
        if rate.account().is_none() || rate.account() != caller.account {
            return None;
        }
        if let Some(grant) = &caller.grant {
            return Some(Holder::Credential(grant.credential));
        }
        let session = self.sessions().find(caller.session?)?;
        // A thief of a key opens as many sessions as it likes.
        Some(match session.proof {
            Proof::Key(key) | Proof::DeliveredKey(key) => {
                Holder::Credential(HttpCredential::Key(key))
            }
            Proof::Device(device) => Holder::Credential(HttpCredential::Device(device)),
            Proof::Passphrase => Holder::Session(session.id),
        })
    }

    /// Counts and audits a refusal for lack of permission, or for a wrong secret.
    pub(in crate::engine) async fn count_refusal(
        &self,
        refusal: &Refusal,
        caller: &Caller,
        operation: &str,
        now: Timestamp,
    ) {
        if let Some(outcome) = refusal.audited_as() {
            self.count(Occurrence::of_caller(caller, operation, outcome), now);
            // Entries that cannot be written now are written with the next ones.
            let _ = self.write_counted(now).await;
        }
    }

    /// Returns the caller with the current role. A session that was cut or has expired is refused
    /// even if its connection has not noticed yet.
    fn current<'a>(&self, caller: &'a Caller, now: Timestamp) -> Result<Cow<'a, Caller>, Refusal> {
        match caller.channel {
            // Policy reads with each request what an application may do now.
            Channel::AdminSocket | Channel::Init | Channel::Site | Channel::Application => {
                Ok(Cow::Borrowed(caller))
            }
            Channel::Session | Channel::Device => {
                let role = caller
                    .session
                    .and_then(|session| self.sessions().role(session, now))
                    .ok_or_else(|| {
                        Refusal::not_permitted("the session has ended", "log in again")
                    })?;
                Ok(Cow::Owned(Caller {
                    role,
                    ..caller.clone()
                }))
            }
            Channel::Peer => match caller.peer {
                Some(peer) if self.is_peer_connected(&peer) => Ok(Cow::Borrowed(caller)),
                _ => Err(Refusal::not_permitted(
                    "the connection of the peer has ended",
                    "connect again",
                )),
            },
            Channel::Http => match &caller.grant {
                Some(grant) if grant.is_valid(now) => Ok(Cow::Borrowed(caller)),
                _ => Err(Refusal::not_permitted(
                    "the credential of this request is not valid any more",
                    "use an access token that is valid, or sign the request with a valid key",
                )),
            },
        }
    }
}

/// Returns the refusal of a caller that has no permission for this operation, or none on this
/// channel.
fn refusal(entry: &Entry, caller: &Caller) -> Refusal {
    let channels = entry.access().channels();
    let grant = caller.grant.as_ref();
    if grant.is_some_and(|grant| !grant.names(entry.name())) {
        return Refusal::not_permitted(
            format!("this access token is not for {}", entry.name()),
            "create a token that names the operation",
        );
    }
    if channels.contains(&caller.channel) {
        return Refusal::not_permitted(
            format!("you are not permitted to call {}", entry.name()),
            "ask an admin of the site",
        );
    }
    Refusal::not_permitted(
        format!("{} is not available on this channel", entry.name()),
        match channels {
            [Channel::AdminSocket] => "it is available at the site's local admin socket only",
            [Channel::Session] => "it is available over a session only",
            _ => "ask an admin of the site",
        },
    )
}
