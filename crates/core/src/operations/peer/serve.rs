//! The peer server, and the checks of the peers.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::health::{PeerHealth, PeerTrouble};
use crate::engine::{Answer, Context, PeerServerState, Refusal};
use crate::lockdown::Activity;
use crate::operations::NoParams;
use crate::peers::Peer;
use crate::store::DamagedPeer;

/// The peer server.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Status {
    /// Whether an admin started it.
    wanted: bool,
    /// Its state.
    #[serde(flatten)]
    state: PeerServerState,
    /// The address of its listener, with the actual port.
    #[serde(skip_serializing_if = "Option::is_none")]
    listens: Option<String>,
    /// Where peers connect, as tickets name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

async fn read(context: &Context) -> Result<Status, Refusal> {
    let site = context.site();
    let endpoints = site.endpoints();
    Ok(Status {
        wanted: site.wants_peer_server().await?,
        state: site.peer_server(),
        listens: endpoints.peer_listener.map(|bound| bound.to_string()),
        address: endpoints.peer.map(|address| address.to_string()),
    })
}

impl Status {
    fn text(&self) -> String {
        let state = self.state.as_str();
        match (&self.state, &self.address) {
            (PeerServerState::Failed { problem }, _) => format!("{state}: {problem}"),
            (_, Some(address)) => format!("{state} at {address}"),
            (_, None) => state.to_owned(),
        }
    }

    /// What an admin who started it reads: it is switched on in any state.
    fn after_start(&self) -> String {
        let problem = match &self.state {
            PeerServerState::Running => {
                return "The peer server is started, also after a restart of the site.".to_owned();
            }
            PeerServerState::Failed { problem } => format!(
                "it cannot listen: {problem}. Free the address, or set another one in `listen.peer`."
            ),
            PeerServerState::Sealed => {
                "the site is sealed. It starts when the site is unsealed.".to_owned()
            }
            PeerServerState::Stopped | PeerServerState::NotConfigured => {
                "it has not started yet. `peer status` shows when it runs.".to_owned()
            }
        };
        format!("The peer server is switched on, and does not run: {problem}")
    }
}

pub(super) async fn start(context: Context, _: NoParams) -> Result<Answer<Status>, Refusal> {
    if context.site().peer_server() == PeerServerState::NotConfigured {
        return Err(Refusal::conflict(
            "no address is configured for the peer server",
            "set `listen.peer` in the configuration and start the site again",
        ));
    }
    switch(&context, true).await?;
    let status = read(&context).await?;
    let output = status.after_start();
    Ok(Answer::new(status).with_output(output))
}

pub(super) async fn stop(context: Context, _: NoParams) -> Result<Answer<Status>, Refusal> {
    switch(&context, false).await?;
    let output = "The peer server is stopped. Messages wait until it is started again.";
    Ok(Answer::new(read(&context).await?).with_output(output))
}

async fn switch(context: &Context, runs: bool) -> Result<(), Refusal> {
    if context.site().wants_peer_server().await? != runs {
        let change = context.site().change_peer_server(runs).await?;
        context
            .commit(vec![change], None, json!({ "runs": runs }))
            .await?;
    }
    if let Some(transport) = context.site().peer_transport() {
        transport.settle(runs).await;
    }
    Ok(())
}

pub(super) async fn status(context: Context, _: NoParams) -> Result<Answer<Status>, Refusal> {
    let status = read(&context).await?;
    let text = status.text();
    Ok(Answer::new(status).with_output(text))
}

/// What the checks found.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Checks {
    /// Whether no check found a problem.
    ok: bool,
    /// The findings.
    findings: Vec<Finding>,
}

/// One finding.
#[derive(Debug, Serialize, JsonSchema)]
struct Finding {
    /// What was checked: `server`, or the site id of a peer.
    of: String,
    /// The zone of the peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    /// The state of the peer server; that of a peer, `lockdown` if it is in lockdown, or the name
    /// of the problem with an active peer: `unreachable`, `other_key`, `not_accepted`,
    /// `key_events`, `new_keys_wait`, `forked`, `malformed`, `messages_not_permitted`,
    /// `messages_not_taken` or `messages_not_read`; `damaged` of a peer that cannot be read.
    state: String,
    /// What is wrong; absent if nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    /// What to do; absent if nothing is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn check(context: &Context) -> Result<Vec<Finding>, Refusal> {
    let mut findings = vec![of_server(context, &read(context).await?)];
    let peers = context.site().listed_peers().await?.into_iter();
    findings.extend(peers.map(|listed| match listed {
        Ok(peer) => of_peer(context, &peer),
        Err(damaged) => of_damaged(damaged),
    }));
    Ok(findings)
}

/// What `peer doctor` finds, for the checks of the whole site.
pub(in crate::operations) struct Findings {
    /// How many sites are peers, removed ones included.
    pub(in crate::operations) peers: usize,
    /// What has a problem, with its state. A peer server that no admin started has none.
    pub(in crate::operations) problems: Vec<String>,
}

pub(in crate::operations) async fn findings(context: &Context) -> Result<Findings, Refusal> {
    let found = check(context).await?;
    let peers = found
        .iter()
        .filter(|finding| finding.zone.is_some())
        .count();
    let needed = peers > 0 || context.site().wants_peer_server().await?;
    // Other checks of the site say that it is sealed or in lockdown.
    let is_told = [PeerServerState::Running, PeerServerState::Sealed];
    let is_told = is_told.contains(&context.site().peer_server());
    let problem = |finding: &Finding| match (&finding.zone, &finding.cause) {
        (_, None) => None,
        (Some(zone), Some(_)) => Some(format!("{zone}: {}", finding.state)),
        (None, Some(cause)) => (needed && !is_told).then(|| format!("the peer server: {cause}")),
    };
    let problems = found.iter().filter_map(problem).collect();
    Ok(Findings { peers, problems })
}

pub(super) async fn doctor(context: Context, _: NoParams) -> Result<Answer<Checks>, Refusal> {
    let findings = check(&context).await?;
    let ok = findings.iter().all(|finding| finding.cause.is_none());
    let text: Vec<_> = findings.iter().map(Finding::line).collect();
    let checks = Checks { ok, findings };
    Ok(Answer::new(checks).with_output(text.join("\n")))
}

fn of_server(context: &Context, status: &Status) -> Finding {
    let lockdowns = context.site().lockdowns();
    let refused = lockdowns
        .level()
        .filter(|_| !lockdowns.permits(Activity::PeerConnection));
    let (cause, next) = match &status.state {
        PeerServerState::Running => match refused {
            Some(level) => (
                Some(format!("the site is in lockdown at the level {level}")),
                Some("`lockdown lift site` on the machine of the site"),
            ),
            None => (None, None),
        },
        PeerServerState::Stopped => (
            Some("an admin stopped the peer server, or never started it".to_owned()),
            Some("`peer start`"),
        ),
        PeerServerState::Sealed => (Some("the site is sealed".to_owned()), Some("`site unseal`")),
        PeerServerState::NotConfigured => (
            Some("no address is configured".to_owned()),
            Some("set `listen.peer` in the configuration and start the site again"),
        ),
        PeerServerState::Failed { problem } => (
            Some(format!("it cannot listen: {problem}")),
            Some("free the address, or set another one in `listen.peer`"),
        ),
    };
    Finding {
        of: "server".to_owned(),
        zone: None,
        state: status.state.as_str().to_owned(),
        cause,
        next: next.map(str::to_owned),
    }
}

fn of_peer(context: &Context, peer: &Peer) -> Finding {
    let PeerHealth { state, trouble } = PeerHealth::of(context.site(), peer);
    let (cause, next) = trouble
        .map(|PeerTrouble { cause, next, at }| {
            let at = at.map_or_else(String::new, |at| format!(" ({at})"));
            (format!("{cause}{at}"), next.to_owned())
        })
        .unzip();
    Finding {
        of: peer.site().to_string(),
        zone: Some(peer.zone.to_string()),
        state: state.to_owned(),
        cause,
        next,
    }
}

fn of_damaged(
    DamagedPeer {
        site,
        zone,
        problem,
    }: DamagedPeer,
) -> Finding {
    Finding {
        of: site.to_string(),
        zone: Some(zone),
        state: "damaged".to_owned(),
        cause: Some(format!("its row in the database cannot be read: {problem}")),
        next: Some(format!(
            "restore a backup, or delete it with its messages with `peer forget {site}`; a ticket can make it a peer again"
        )),
    }
}

impl Finding {
    fn line(&self) -> String {
        let name = self.zone.as_ref().unwrap_or(&self.of);
        let state = &self.state;
        match (&self.cause, &self.next) {
            (Some(cause), Some(next)) => format!("{name}: {state}: {cause}; {next}"),
            _ => format!("{name}: {state}"),
        }
    }
}
