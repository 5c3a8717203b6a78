//! `lockdown`: refuses an account, an application, a peer, or everyone, until it is lifted.

mod status;
mod target;

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::{Channel, Role};
use crate::accounts::Kind;
use crate::alarms::{Language, Raiser, SystemAlarm, Target};
use crate::applications::ApplicationId;
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Changes, Context, Entry, LockdownTurn, NewAlarm, Refusal, Site};
use crate::id::AccountId;
use crate::lockdown::{
    Imposed, LockdownLevel, LockdownReason, LockdownTarget, Lockdowns, SiteLockdown,
};
use crate::operations::peer::PeerRef;
use crate::sessions::Audience;
use crate::store::Notice;
use crate::throttle::Rate;

use status::LockdownView;
use target::Found;

/// How often a change is tried because an alarm changed at the same time. The last try marks the alarms
/// as due instead, so that no alarm can prevent a lockdown.
const MAX_TRIES: usize = 4;

pub(super) fn entries() -> Vec<Entry> {
    let admin = [Role::Admin];
    let name = json!({ "name": "maria", "reason": "the laptop was stolen" });
    let entry = |command, summary| {
        Entry::new("lockdown", command)
            .summary(summary)
            .allow(&admin)
            .only_on(&[Channel::Session, Channel::AdminSocket, Channel::Site])
            .while_sealed()
    };
    vec![
        entry("person", "Puts a person in lockdown: the sessions and connections of devices end, and logins and tickets are refused.")
            .disruptive()
            .rest(RestMethod::Post, "/persons/{name}/lockdown")
            .revised()
            .example(name.clone())
            .handler(|context, params| account(context, Kind::Person, params)),
        entry("service", "Puts a service in lockdown: its sessions end, and its logins are refused.")
            .disruptive()
            .rest(RestMethod::Post, "/services/{name}/lockdown")
            .revised()
            .example(json!({ "name": "backup-robot" }))
            .handler(|context, params| account(context, Kind::Service, params)),
        entry("app", "Puts an application in lockdown: it gets no tickets, there are none for it, and providers with a session refuse those already given.")
            .disruptive()
            .rest(RestMethod::Post, "/apps/{id}/lockdown")
            .revised()
            .example(json!({ "id": "billing" }))
            .handler(application),
        entry("peer", "Puts a peer in lockdown: its connections end, none is accepted or opened, its tickets are refused, and messages wait.")
            .disruptive()
            .rest(RestMethod::Post, "/peers/{peer}/lockdown")
            .example(json!({ "peer": "b.example", "reason": "under investigation" }))
            .handler(peer),
        entry("site", "Puts the whole site in lockdown. Only the local admin socket lifts it.")
            .disruptive()
            .rest(RestMethod::Post, "/lockdown")
            .example(json!({ "level": "logins", "reason": "an investigation" }))
            .handler(site),
        entry("lift", "Lifts the lockdown of a person, a service, an application, a peer, or the site.")
            .changes()
            .rest(RestMethod::Post, "/lockdown/lift")
            .example(json!({ "person": "maria" }))
            .handler(lift),
        entry("status", "Shows which lockdowns are in force, who imposed them, when and why.")
            .rest(RestMethod::Get, "/lockdown")
            .handler(status::status),
    ]
}

/// Names an account.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ImposeOnAccount {
    /// The account's name, with or without the site's own zone.
    #[schemars(with = "String")]
    name: AccountName,
    /// Why; at most 200 bytes. Admins see it.
    #[serde(default)]
    reason: LockdownReason,
}

/// Names an application.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ImposeOnApplication {
    /// The application's id.
    id: ApplicationId,
    /// Why; at most 200 bytes. Admins see it.
    #[serde(default)]
    reason: LockdownReason,
}

/// Names a peer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ImposeOnPeer {
    /// The peer's site id, or its zone.
    peer: PeerRef,
    /// Why; at most 200 bytes. Admins see it.
    #[serde(default)]
    reason: LockdownReason,
}

/// A lockdown of the site.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ImposeOnSite {
    /// What it refuses: `enrolment` refuses new enrolments, `logins` also new logins and tickets,
    /// `all` (the default) everything but the local admin socket. A lower level than the one in force is accepted
    /// at the admin socket only.
    #[serde(default = "all")]
    level: LockdownLevel,
    /// Why; at most 200 bytes. Admins see it.
    #[serde(default)]
    reason: LockdownReason,
}

const fn all() -> LockdownLevel {
    LockdownLevel::All
}

/// Names what is lifted: exactly one field.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Lift {
    /// The name of a person.
    #[schemars(with = "Option<String>")]
    person: Option<AccountName>,
    /// The name of a service.
    #[schemars(with = "Option<String>")]
    service: Option<AccountName>,
    /// The id of a person or service, which stays the same when the name changes.
    account: Option<AccountId>,
    /// The id of an application.
    app: Option<ApplicationId>,
    /// The site id or the zone of a peer. A removed or forgotten peer has its site id alone.
    peer: Option<PeerRef>,
    /// `true` for the site; at the local admin socket only.
    #[serde(default)]
    site: bool,
}

async fn account(
    context: Context,
    kind: Kind,
    params: ImposeOnAccount,
) -> Result<Answer<LockdownView>, Refusal> {
    let found = Found::account(&context, kind, &params.name).await?;
    impose(&context, found, params.reason).await
}

async fn application(
    context: Context,
    params: ImposeOnApplication,
) -> Result<Answer<LockdownView>, Refusal> {
    let found = Found::application(&context, &params.id).await?;
    impose(&context, found, params.reason).await
}

async fn peer(context: Context, params: ImposeOnPeer) -> Result<Answer<LockdownView>, Refusal> {
    let found = Found::peer(&context, &params.peer).await?;
    impose(&context, found, params.reason).await
}

async fn impose(
    context: &Context,
    found: Found,
    reason: LockdownReason,
) -> Result<Answer<LockdownView>, Refusal> {
    let in_force = context.site().lockdowns();
    if let Some(on) = in_force.of(&found.target) {
        let view = LockdownView::of(&found.target, on);
        return Ok(Answer::new(view).with_output(format!("{found} is in lockdown already.")));
    }
    let imposed = Imposed::new(context.caller(), reason, context.now());
    let on = found.imposed(imposed.clone());
    let alarm = SystemAlarm::Lockdown {
        target: found.to_string(),
        level: None,
        by: imposed.by.clone(),
    };
    let target = found.target.clone();
    let change = Change {
        lockdowns: &|lockdowns: Lockdowns| Ok(lockdowns.with(target.clone(), on.clone())?),
        event: "imposed",
        data: &|_| json!({ "target": found.to_string(), "by": imposed.by, "reason": imposed.reason }),
        alarm,
        raises: true,
        audited: found.name.clone(),
        tickets: Some(&found),
    };
    let Committed { ended, untold } = change.commit(context).await?;
    let mut output = match &found.target {
        LockdownTarget::Peer(_) => format!("{found} is in lockdown. Its connections end."),
        _ => format!("{found} is in lockdown. Sessions ended: {ended}."),
    };
    if untold > 0 {
        let text = format!(
            "\nPeers that are not told of all void tickets, because too many wait to be told: {untold}. \
             Providers there accept the others until they expire, for up to an hour."
        );
        output.push_str(&text);
    }
    if !has_other_admins(context).await? {
        output.push_str("\nNo admin can log in now: use the local admin socket.");
    }
    Ok(Answer::new(LockdownView::of(&found.target, &on)).with_output(output))
}

/// Returns whether there is an admin who is not in lockdown.
async fn has_other_admins(context: &Context) -> Result<bool, Refusal> {
    let site = context.site();
    let limit = u32::try_from(crate::lockdown::MAX_LOCKDOWNS).unwrap_or(u32::MAX);
    let admins = site.store().active_admins(limit.saturating_add(1)).await?;
    let lockdowns = site.lockdowns();
    let is_free = |id| lockdowns.of(&LockdownTarget::Account(id)).is_none();
    Ok(admins.is_empty() || admins.iter().any(|admin| is_free(admin.id)))
}

async fn site(context: Context, params: ImposeOnSite) -> Result<Answer<LockdownView>, Refusal> {
    let in_force = context.site().lockdowns();
    if let Some(site) = in_force.site()
        && site.level == params.level
    {
        let output = format!(
            "The site is in lockdown at the level {} already.",
            site.level
        );
        return Ok(Answer::new(LockdownView::of_site(site)).with_output(output));
    }
    let imposed = Imposed::new(context.caller(), params.reason, context.now());
    let new = SiteLockdown {
        level: params.level,
        imposed: imposed.clone(),
    };
    let alarm = SystemAlarm::Lockdown {
        target: "site".to_owned(),
        level: Some(params.level),
        by: imposed.by.clone(),
    };
    let change = Change {
        // Compared with what is in force at the commit, and again with each try: another caller may
        // have imposed a higher level meanwhile.
        lockdowns: &|lockdowns: Lockdowns| {
            if lockdowns.level().is_some_and(|level| new.level < level) {
                expect_local(&context)?;
            }
            Ok(lockdowns.with_site(Some(new.clone())))
        },
        event: "imposed",
        data: &|was| {
            json!({
                "target": "site",
                "level": params.level,
                "was": was.level(),
                "by": imposed.by,
                "reason": imposed.reason,
            })
        },
        alarm,
        raises: true,
        audited: "site".to_owned(),
        tickets: None,
    };
    let Committed { ended, .. } = change.commit(&context).await?;
    // Lowering the level lifts a part.
    let lowered = in_force.level().filter(|was| *was > params.level);
    let lowered = lowered.map_or_else(String::new, |was| format!(", lowered from {was}"));
    let output = format!(
        "The site is in lockdown at the level {}{lowered}. Sessions ended: {ended}.",
        params.level
    );
    Ok(Answer::new(LockdownView::of_site(&new)).with_output(output))
}

async fn lift(context: Context, params: Lift) -> Result<Answer<super::Done>, Refusal> {
    let Lift {
        person,
        service,
        account,
        app,
        peer,
        site,
    } = params;
    let found = match (person, service, account, app, peer, site) {
        (Some(name), None, None, None, None, false) => {
            Found::account(&context, Kind::Person, &name).await?
        }
        (None, Some(name), None, None, None, false) => {
            Found::account(&context, Kind::Service, &name).await?
        }
        (None, None, Some(id), None, None, false) => Found::account_of(&context, id).await?,
        (None, None, None, Some(id), None, false) => Found::application(&context, &id).await?,
        (None, None, None, None, Some(peer), false) => Found::peer_to_lift(&context, &peer).await?,
        (None, None, None, None, None, true) => return lift_site(context).await,
        _ => {
            let problem =
                "name exactly one of `person`, `service`, `account`, `app`, `peer` and `site`";
            return Err(Refusal::invalid("", problem));
        }
    };
    let own = context.caller().account.map(LockdownTarget::Account);
    if own.as_ref() == Some(&found.target) {
        return Err(Refusal::account_lockdown());
    }
    let lockdowns = context.site().lockdowns();
    let Some(on) = lockdowns.of(&found.target) else {
        let output = format!("{found} is not in lockdown.");
        return Ok(Answer::new(super::Done {}).with_output(output));
    };
    // The account may have been renamed since, and the key of the alarm has its former name.
    let alarm = SystemAlarm::Lockdown {
        target: on.name.clone(),
        level: None,
        by: context.caller().name.clone(),
    };
    let target = found.target.clone();
    let change = Change {
        lockdowns: &|lockdowns: Lockdowns| Ok(lockdowns.without(&target)),
        event: "lifted",
        data: &|_| json!({ "target": found.to_string(), "by": context.caller().name }),
        alarm,
        raises: false,
        audited: found.name.clone(),
        tickets: None,
    };
    change.commit(&context).await?;
    let output = format!("The lockdown of {found} is lifted.");
    Ok(Answer::new(super::Done {}).with_output(output))
}

async fn lift_site(context: Context) -> Result<Answer<super::Done>, Refusal> {
    expect_local(&context)?;
    let Some(level) = context.site().lockdowns().level() else {
        let output = "The site is not in lockdown.";
        return Ok(Answer::new(super::Done {}).with_output(output));
    };
    let alarm = SystemAlarm::Lockdown {
        target: "site".to_owned(),
        level: Some(level),
        by: context.caller().name.clone(),
    };
    let change = Change {
        lockdowns: &|lockdowns: Lockdowns| Ok(lockdowns.with_site(None)),
        event: "lifted",
        data: &|was| json!({ "target": "site", "was": was.level(), "by": context.caller().name }),
        alarm,
        raises: false,
        audited: "site".to_owned(),
        tickets: None,
    };
    change.commit(&context).await?;
    let output = "The lockdown of the site is lifted.";
    Ok(Answer::new(super::Done {}).with_output(output))
}

/// An attacker with the session of an admin must not be able to end the lockdown that keeps them
/// out.
fn expect_local(context: &Context) -> Result<(), Refusal> {
    match context.caller().channel {
        Channel::AdminSocket => Ok(()),
        _ => Err(Refusal::not_permitted(
            "only the site's local admin socket lifts a lockdown of the site, or lowers its level",
            "run `countersign lockdown lift site` on the machine of the site",
        )),
    }
}

/// Waits for the turn of a change of lockdowns. An account takes so few that others find a turn, except at the
/// local admin socket.
pub(super) async fn turn(context: &Context) -> Result<LockdownTurn<'_>, Refusal> {
    let channel = context.caller().channel;
    if let Some(account) = context.caller().account.filter(|_| !channel.is_local()) {
        context.rate(Rate::Lockdowns(account), "changes of lockdowns")?;
    }
    Ok(context.site().lockdown_turn(channel).await)
}

/// A change of the lockdowns, with its event, its alarm and what becomes of tickets.
struct Change<'a> {
    lockdowns: &'a (dyn Fn(Lockdowns) -> Result<Lockdowns, Refusal> + Send + Sync),
    event: &'static str,
    /// The data of the event, and the details of the audit entry, after the lockdowns that the change
    /// replaces: another caller may have changed them before its turn.
    data: &'a (dyn Fn(&Lockdowns) -> Value + Send + Sync),
    alarm: SystemAlarm,
    /// Whether the alarm is raised. Otherwise it is over.
    raises: bool,
    /// The target of the audit entry.
    audited: String,
    /// Whose tickets become void, which providers are told.
    tickets: Option<&'a Found>,
}

/// The effects of a committed change.
struct Committed {
    /// Sessions that ended.
    ended: usize,
    /// Peers that are not told of all tickets that became void.
    untold: usize,
}

impl Change<'_> {
    /// Writes everything at once.
    async fn commit(self, context: &Context) -> Result<Committed, Refusal> {
        let turn = turn(context).await?;
        let mut tries = 1;
        loop {
            let is_last = tries == MAX_TRIES;
            let (mut changes, data) = self.changes(context, is_last)?;
            // In the turn, which may come late, and again with each try: applications may have changed. One
            // that gets the service after they were read makes this stale.
            let void = match self.tickets {
                Some(found) => {
                    let services = context.site().app_services().await?;
                    changes = changes.with(Site::expect_app_services(services).into());
                    found.void_tickets(context).await?
                }
                None => Vec::new(),
            };
            let untold = untold(context, &void);
            turn.expect()?;
            changes = void.into_iter().fold(changes, Changes::and);
            if !is_last {
                changes = changes.with(self.alarm_changes(context).await?);
            }
            let commit = context.commit(changes, self.audited.clone(), &data);
            match commit.await {
                Err(refusal) if refusal.is_conflict() && !is_last => tries += 1,
                Err(refusal) => return Err(refusal),
                Ok(committed) => {
                    // At once, and with the next check if this program stops before.
                    if is_last && self.raises {
                        context.site().report(self.alarm);
                    }
                    let ended = committed.effects.sessions_ended;
                    return Ok(Committed { ended, untold });
                }
            }
        }
    }

    /// Returns the changes without those of the alarm, and the details of the audit entry.
    fn changes(&self, context: &Context, alarm_is_due: bool) -> Result<(Changes, Value), Refusal> {
        let mut data = Value::Null;
        let change = context.site().change_lockdowns(|lockdowns| {
            data = (self.data)(&lockdowns);
            let due = alarm_is_due || lockdowns.are_alarms_due();
            Ok((self.lockdowns)(lockdowns)?.with_alarms_due(due))
        })?;
        let to = Audience::Role(Role::Admin);
        let event = Notice::event(to, "lockdown", self.event, &data)?;
        Ok((Changes::from(change).and(event), data))
    }

    async fn alarm_changes(&self, context: &Context) -> Result<Changes, Refusal> {
        let (site, now) = (context.site(), context.now());
        let (to, key) = (Target::Admins, self.alarm.key());
        if self.raises {
            let new = NewAlarm {
                to,
                severity: self.alarm.severity(),
                text: self.alarm.text(Language::default()),
                key: Some(key),
                data: self.alarm.data(),
            };
            return site.site_alarm(new, now).await;
        }
        let current = site.store().current_alarm(Raiser::Site, to, &key).await?;
        match current {
            Some(alarm) => site.end_alarm(alarm, now).await,
            None => Ok(Changes::default()),
        }
    }
}

/// How many peers cannot be told of all these void tickets.
fn untold(context: &Context, void: &[Notice]) -> usize {
    let at_peers = void.iter().map(|notice| match notice {
        Notice::VoidAtPeers(voids) => context.site().peers_without_room(voids),
        _ => 0,
    });
    at_peers.sum()
}
