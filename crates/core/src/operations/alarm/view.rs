//! What is shown of alarms, and taking care of one.

use std::collections::BTreeMap;

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::TRIES;
use crate::access::Scope;
use crate::accounts::Kind;
use crate::alarms::{Acknowledgement, Alarm, AlarmData, AlarmState, Recipient, Severity, Target};
use crate::engine::{Answer, Context, Refusal};
use crate::id::{AccountId, AlarmId};
use crate::operations::{Limit, Listing, account};
use crate::store::AlarmSearch;
use crate::timestamp::Timestamp;

/// An alarm.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AlarmView {
    /// Its id.
    id: AlarmId,
    /// Its deduplication key.
    key: String,
    /// The person that it is for, or `admins`.
    to: String,
    /// How much it matters.
    severity: Severity,
    /// What happened.
    text: String,
    /// More for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<AlarmData>,
    /// Who raised it.
    raised_by: String,
    /// When it was raised first.
    first: Timestamp,
    /// When it was raised last.
    last: Timestamp,
    /// How often it was raised.
    count: u64,
    /// Its state.
    state: AlarmState,
    /// Who took care of it first, and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged: Option<Acknowledgement>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Timestamp>,
    /// When the admins are told too, unless it is acknowledged before.
    #[serde(skip_serializing_if = "Option::is_none")]
    escalates: Option<Timestamp>,
}

impl AlarmView {
    pub(super) async fn of(context: &Context, alarm: Alarm) -> Result<Self, Refusal> {
        Names::default().view(context, alarm).await
    }

    fn line(&self) -> String {
        let Self {
            id,
            severity,
            state,
            to,
            count,
            last,
            text,
            ..
        } = self;
        let (severity, state) = (severity.as_str(), state.as_str());
        format!("{id}  {severity}  {state}  {to}  {count} times, last {last}  {text}")
    }
}

/// The names of accounts, each read once. A deleted account has its id for a name.
#[derive(Default)]
pub(super) struct Names(BTreeMap<AccountId, String>);

impl Names {
    pub(super) async fn name(
        &mut self,
        context: &Context,
        account: AccountId,
    ) -> Result<String, Refusal> {
        if let Some(name) = self.0.get(&account) {
            return Ok(name.clone());
        }
        let found = context.site().store().account(account).await?;
        let name = found.map_or_else(|| account.to_string(), |found| found.name.to_string());
        self.0.insert(account, name.clone());
        Ok(name)
    }

    async fn view(&mut self, context: &Context, alarm: Alarm) -> Result<AlarmView, Refusal> {
        let to = match alarm.to {
            Target::Admins => Target::ADMINS.to_owned(),
            Target::Person(account) => self.name(context, account).await?,
        };
        Ok(AlarmView {
            id: alarm.id,
            key: alarm.key.as_str().to_owned(),
            to,
            severity: alarm.severity,
            text: alarm.text.as_str().to_owned(),
            data: alarm.data,
            raised_by: alarm.raised_by,
            first: alarm.first,
            last: alarm.last,
            count: alarm.count,
            state: alarm.state,
            acknowledged: alarm.acknowledged,
            ended: alarm.ended,
            escalates: alarm.escalates,
        })
    }
}

/// Which alarms are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    /// Those that this person was told of; all when an admin leaves it out.
    #[schemars(with = "Option<String>")]
    person: Option<AccountName>,
    /// Those in this state.
    state: Option<AlarmState>,
    /// The id after which the list begins; the `next` of the stretch before.
    after: Option<AlarmId>,
    /// How many entries at most: 1 to 1000, 100 when left out.
    #[serde(default)]
    limit: Limit,
}

pub(super) async fn list(
    context: Context,
    params: List,
) -> Result<Answer<Listing<AlarmView>>, Refusal> {
    let account = match (&params.person, context.scope()) {
        (Some(name), _) => {
            let found = account::find(&context, Kind::Person, name).await;
            Some(found.map_err(|refusal| refusal.of_field("person"))?.id)
        }
        (None, Scope::Own(account)) => Some(account),
        (None, Scope::All) => None,
    };
    let search = AlarmSearch {
        account,
        state: params.state,
        before: params.after,
        limit: params.limit.plus_one(),
        ..AlarmSearch::default()
    };
    let mut names = Names::default();
    let mut views = Vec::new();
    for alarm in context.site().store().alarms(&search).await? {
        views.push(names.view(&context, alarm).await?);
    }
    let listing = Listing::of(views, params.limit, |view| view.id.to_string());
    let text = listing.lines(AlarmView::line);
    Ok(Answer::new(listing).with_output(text))
}

/// Which alarm.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ById {
    /// Its id.
    id: AlarmId,
}

/// An alarm with its recipients.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct WholeAlarm {
    /// The alarm.
    #[serde(flatten)]
    alarm: AlarmView,
    /// Who is told of it; a member sees no others.
    recipients: Vec<RecipientView>,
}

/// Who is told of an alarm.
#[derive(Debug, Serialize, JsonSchema)]
struct RecipientView {
    /// The account's name.
    name: String,
    /// When this recipient acknowledged the alarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged: Option<Timestamp>,
}

/// The alarm and its recipients. One of which the caller was not told does not seem to exist.
async fn find(context: &Context, id: AlarmId) -> Result<(Alarm, Vec<Recipient>), Refusal> {
    let not_found = || Refusal::not_found("alarm", id).of_field("id");
    let store = context.site().store();
    let alarm = store.alarm(id).await?.ok_or_else(not_found)?;
    let recipients = store.recipients(id).await?;
    if let Scope::Own(account) = context.scope()
        && !recipients.iter().any(|one| one.account == account)
    {
        return Err(not_found());
    }
    Ok((alarm, recipients))
}

async fn whole(
    context: &Context,
    alarm: Alarm,
    recipients: Vec<Recipient>,
) -> Result<WholeAlarm, Refusal> {
    let mut names = Names::default();
    let mut views = Vec::new();
    let seen = recipients
        .into_iter()
        .filter(|one| context.admits(one.account));
    for recipient in seen {
        views.push(RecipientView {
            name: names.name(context, recipient.account).await?,
            acknowledged: recipient.acknowledged,
        });
    }
    Ok(WholeAlarm {
        alarm: names.view(context, alarm).await?,
        recipients: views,
    })
}

pub(super) async fn show(context: Context, params: ById) -> Result<Answer<WholeAlarm>, Refusal> {
    let (alarm, recipients) = find(&context, params.id).await?;
    let whole = whole(&context, alarm, recipients).await?;
    let said = whole.alarm.line();
    Ok(Answer::new(whole).with_output(said))
}

/// The first acknowledgement is of the whole alarm; each recipient may add one.
pub(super) async fn acknowledge(
    context: Context,
    params: ById,
) -> Result<Answer<WholeAlarm>, Refusal> {
    let (site, caller, now) = (context.site(), context.caller(), context.now());
    let mut overtaken = None;
    for _ in 0..TRIES {
        let (alarm, mut recipients) = find(&context, params.id).await?;
        let mut own = None;
        for one in &mut recipients {
            if Some(one.account) == caller.account && one.acknowledged.is_none() {
                one.acknowledged = Some(now);
                own = Some(*one);
            }
        }
        let nothing_new = own.is_none() && !alarm.is_open();
        if nothing_new || alarm.state == AlarmState::Over {
            let said = format!("The alarm {} is {}.", alarm.id, alarm.state.as_str());
            let (_, recipients) = find(&context, params.id).await?;
            let whole = whole(&context, alarm, recipients).await?;
            return Ok(Answer::new(whole).with_output(said));
        }
        let alarm = alarm.revised(|alarm| {
            alarm.state = AlarmState::Acknowledged;
            alarm.escalates = None;
            let by = caller.name.clone();
            alarm
                .acknowledged
                .get_or_insert(Acknowledgement { at: now, by });
        });
        let changes = site.acknowledge_alarm(&alarm, own, recipients.len())?;
        let details = json!({ "severity": alarm.severity, "recipient": own.is_some() });
        match context.commit(changes, alarm.id.to_string(), details).await {
            Err(refusal) if refusal.is_conflict() => overtaken = Some(refusal),
            Err(refusal) => return Err(refusal),
            Ok(_) => {
                let said = format!("Acknowledged the alarm {}.", alarm.id);
                let whole = whole(&context, alarm, recipients).await?;
                return Ok(Answer::new(whole).with_output(said));
            }
        }
    }
    Err(overtaken.unwrap_or_else(|| Refusal::busy("the alarm changes too often")))
}
