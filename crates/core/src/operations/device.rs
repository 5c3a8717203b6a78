//! `device`: the devices of persons.

use std::collections::HashSet;
use std::fmt;

use countersign_proto::device::DeviceName;
use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::subject::names_of;
use super::ticket::listed;
use super::{Limit, Rows, admitted, damaged_line};
use crate::access::{Channel, Role, Scope};
use crate::devices::Device;
use crate::engine::rest::RestMethod;
use crate::engine::{Answer, Context, Entry, Refusal};
use crate::id::{AccountId, DeviceId};
use crate::page::Page;
use crate::sessions::Proof;
use crate::store::{Change, DamagedRow};
use crate::throttle::Rate;
use crate::timestamp::Timestamp;

pub(super) fn entries() -> Vec<Entry> {
    let (admin, members) = ([Role::Admin], [Role::Member]);
    let id = "019523d0-5c00-7000-8000-000000000000";
    vec![
        Entry::new("device", "list")
            .summary("Lists devices, oldest first; admins see all, others and devices their own.")
            .allow(&admin)
            .allow_own(&members)
            .also_on(Channel::Device)
            .rest(RestMethod::Get, "/devices")
            .example(json!({ "person": "maria" }))
            .handler(list),
        Entry::new("device", "rename")
            .summary("Gives a device another name.")
            .allow(&admin)
            .allow_own(&members)
            .also_on(Channel::Device)
            .changes()
            .rest(RestMethod::Patch, "/devices/{id}")
            .example(json!({ "id": id, "name": "Maria's phone" }))
            .handler(rename),
        Entry::new("device", "revoke")
            .summary("Takes a device away and cuts its sessions; its key is never accepted again.")
            .allow(&admin)
            .allow_own(&members)
            .also_on(Channel::Device)
            .disruptive()
            .rest(RestMethod::Delete, "/devices/{id}")
            .example(json!({ "id": id }))
            .handler(revoke),
    ]
}

/// Selects a page of the list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    /// Return only devices of this person.
    #[schemars(with = "Option<String>")]
    person: Option<AccountName>,
    /// The device after which the page begins: the `next` of the previous page.
    after: Option<DeviceId>,
    /// The maximum number of entries: 1 to 1000, default 100.
    #[serde(default)]
    limit: Limit,
}

/// A device.
#[derive(Debug, Serialize, JsonSchema)]
struct DeviceView {
    /// Stays the same when the name changes.
    id: DeviceId,
    /// The person whose device it is; absent if the account was deleted just now or cannot be
    /// read.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<AccountName>,
    /// Its name, which the person chose.
    #[schemars(with = "String")]
    name: DeviceName,
    /// SHA-256 of its key's `SubjectPublicKeyInfo`, in hexadecimal.
    thumbprint: String,
    /// When it was enrolled.
    created: Timestamp,
    /// When a connection of it was opened or closed last, to a minute, or a request of it came over HTTP;
    /// absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen: Option<Timestamp>,
    /// Whether it is connected now.
    connected: bool,
}

impl DeviceView {
    fn of(context: &Context, device: Device, person: Option<AccountName>, connected: bool) -> Self {
        let over_http = context.site().device_last_seen(device.id, device.account);
        Self {
            id: device.id,
            person,
            name: device.name,
            thumbprint: device.thumbprint.to_string(),
            created: device.created,
            last_seen: device.last_seen.max(over_http),
            connected,
        }
    }

    fn line(&self) -> String {
        let person = self.person.as_ref().map(AccountName::to_string);
        let seen = match (self.connected, self.last_seen) {
            (true, _) => "connected".to_owned(),
            (false, Some(seen)) => format!("last seen {seen}"),
            (false, None) => "never connected".to_owned(),
        };
        let (id, name) = (self.id, &self.name);
        let person = person.unwrap_or_default();
        format!("{id}  {person}  {name}  {seen}")
    }
}

/// A device that cannot be read.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DamagedDevice")]
struct DamagedView {
    /// Its id.
    id: DeviceId,
    /// The person whose device it is; absent if the account was deleted just now or cannot be
    /// read.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<AccountName>,
    /// What is wrong with the stored device.
    problem: String,
}

impl fmt::Display for DamagedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        damaged_line(f, &self.id.to_string(), &self.problem)
    }
}

async fn list(
    context: Context,
    params: List,
) -> Result<Answer<Rows<DeviceView, DamagedView>>, Refusal> {
    let of = listed(&context, params.person.as_ref()).await?;
    let page = Page {
        after: params.after,
        limit: params.limit.plus_one(),
    };
    let devices = context.site().store().devices(of, &page).await?;
    let owners = devices.iter().map(|listed| match listed {
        Ok(device) => device.account,
        Err(damaged) => damaged.account,
    });
    let names = names_of(&context, owners).await?;
    let connected = connected(&context, names.keys().copied());
    let views = devices.into_iter().map(|listed| match listed {
        Ok(device) => {
            let person = names.get(&device.account).cloned();
            let connected = connected.contains(&device.id);
            Ok(DeviceView::of(&context, device, person, connected))
        }
        Err(DamagedRow {
            id,
            account,
            problem,
        }) => {
            let person = names.get(&account).cloned();
            Err(DamagedView {
                id,
                person,
                problem,
            })
        }
    });
    let after = params.after.map(|after| after.to_string());
    let after = after.as_deref();
    let rows = Rows::of(views.collect(), params.limit, after, |row| match row {
        Ok(view) => view.id.to_string(),
        Err(damaged) => damaged.id.to_string(),
    });
    let text = rows.lines(DeviceView::line);
    Ok(Answer::new(rows).with_output(text))
}

/// The devices of these accounts that have a connection. The sessions of other accounts cost
/// nothing.
fn connected(context: &Context, accounts: impl Iterator<Item = AccountId>) -> HashSet<DeviceId> {
    let sessions = context.site().sessions();
    let own = |account| sessions.list(Scope::Own(account), None, usize::MAX, |_| true);
    accounts
        .flat_map(own)
        .filter_map(|info| match info.proof {
            Proof::Device(id) => Some(id),
            Proof::Passphrase | Proof::Key(_) | Proof::DeliveredKey(_) => None,
        })
        .collect()
}

/// A new name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rename {
    /// The device.
    id: DeviceId,
    /// Its new name: one line of 1 to 64 characters.
    #[schemars(with = "String", length(min = 1, max = 64))]
    name: DeviceName,
}

/// The device, if the caller may touch it.
async fn find(context: &Context, id: DeviceId) -> Result<Device, Refusal> {
    let found = context.site().store().device(id).await?;
    found
        .filter(|device| context.admits(device.account))
        .ok_or_else(|| Refusal::not_found("device", id).of_field("id"))
}

async fn rename(context: Context, params: Rename) -> Result<Answer<DeviceView>, Refusal> {
    let device = find(&context, params.id).await?;
    if let Some(caller) = context.caller().account {
        context.rate(Rate::DeviceChanges(caller), "changes of devices")?;
    }
    let account = device.account;
    let names = names_of(&context, [account].into_iter()).await?;
    let person = names.get(&account).cloned();
    let output = format!("The device {} is named {}.", device.id, params.name);
    if device.name == params.name {
        let connected = connected(&context, [account].into_iter()).contains(&device.id);
        return Ok(
            Answer::new(DeviceView::of(&context, device, person, connected)).with_output(output),
        );
    }
    let details = json!({ "account": account, "was": device.name, "is": params.name });
    let renamed = Device {
        name: params.name,
        revision: device.revision.saturating_add(1),
        ..device
    };
    let change = Change::UpdateDevice(renamed.clone());
    context
        .commit(change, renamed.id.to_string(), details)
        .await?;
    let connected = connected(&context, [account].into_iter()).contains(&renamed.id);
    Ok(Answer::new(DeviceView::of(&context, renamed, person, connected)).with_output(output))
}

/// Names a device.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ById {
    /// Its id.
    id: DeviceId,
}

/// The effect of a revocation.
#[derive(Debug, Serialize, JsonSchema)]
struct Revoked {
    /// The number of sessions of the device that were cut.
    sessions: usize,
}

async fn revoke(context: Context, params: ById) -> Result<Answer<Revoked>, Refusal> {
    let id = params.id;
    let damaged = context.site().store().damaged_device(id).await?;
    let (account, name, details) = match admitted(&context, "device", damaged)? {
        Some(DamagedRow {
            account, problem, ..
        }) => {
            let details = json!({ "account": account, "damaged": problem });
            (account, id.to_string(), details)
        }
        None => {
            let device = find(&context, id).await?;
            let details = json!({
                "account": device.account,
                "name": device.name,
                "thumbprint": device.thumbprint.to_string(),
            });
            (device.account, device.name.to_string(), details)
        }
    };
    let change = Change::DeleteDevice { id, account };
    let committed = context
        .commit(change, id.to_string(), details)
        .await
        .map_err(|refusal| refusal.of_field("id"))?;
    let sessions = committed.effects.sessions_ended;
    let output = format!("Revoked the device {name}. Sessions cut: {sessions}.");
    Ok(Answer::new(Revoked { sessions }).with_output(output))
}
