//! Listing, showing and acknowledging alarms.

use std::collections::BTreeMap;

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::MAX_TRIES;
use super::deliveries::DeliveryCounts;
use crate::access::Scope;
use crate::accounts::Kind;
use crate::alarms::{
    Acknowledgement, Alarm, AlarmData, AlarmState, Raiser, Recipient, Severity, SystemAlarm,
    Target, quoted,
};
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
    /// The person that it was raised for, or `admins`.
    to: String,
    /// Its severity.
    severity: Severity,
    /// The text for people.
    text: String,
    /// Data for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<AlarmData>,
    /// The name of the party that raised it.
    raised_by: String,
    /// The time of the first raise.
    first: Timestamp,
    /// The time of the last raise.
    last: Timestamp,
    /// How many times it was raised.
    count: u64,
    /// Its state.
    state: AlarmState,
    /// The first acknowledgement.
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged: Option<Acknowledgement>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<Timestamp>,
    /// When the admins become recipients too, unless it is acknowledged or over by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    escalates: Option<Timestamp>,
    /// Its messages, for admins, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<DeliveryCounts>,
    #[serde(skip)]
    is_of_site: bool,
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
            raised_by,
            ..
        } = self;
        // Only texts of the site name operations, for which programs show commands.
        let text = match self.is_of_site {
            true => self.text.clone(),
            false => quoted(&self.text),
        };
        let (severity, state) = (severity.as_str(), state.as_str());
        let troubles = self.deliveries.as_ref().and_then(DeliveryCounts::trouble);
        let troubles = troubles.map_or_else(String::new, |trouble| format!("  [{trouble}]"));
        let times = if *count == 1 { "time" } else { "times" };
        format!(
            "{id}  {severity}  {state}  {to}  {count} {times}, last {last}  {raised_by}  {text}{troubles}"
        )
    }
}

/// The names of accounts, each read once. For a deleted account its id is shown.
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
        let deliveries = match context.scope() {
            Scope::All => DeliveryCounts::of(context, alarm.id).await?,
            Scope::Own(_) => None,
        };
        Ok(AlarmView {
            id: alarm.id,
            key: alarm.key.as_str().to_owned(),
            to,
            severity: alarm.severity,
            text: alarm.text.as_str().to_owned(),
            data: alarm.data,
            raised_by: alarm.raised_by,
            is_of_site: alarm.raiser == Raiser::Site,
            first: alarm.first,
            last: alarm.last,
            count: alarm.count,
            state: alarm.state,
            acknowledged: alarm.acknowledged,
            ended: alarm.ended,
            escalates: alarm.escalates,
            deliveries,
        })
    }
}

/// Selects alarms.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    /// Only alarms with this person as a recipient. If absent, an admin sees all alarms.
    #[schemars(with = "Option<String>")]
    person: Option<AccountName>,
    /// Only alarms in this state.
    state: Option<AlarmState>,
    /// The id after which the page begins: the `next` of the previous page.
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
    // A former admin stays in the lists of recipients and sees only what is for the person.
    let to = match context.scope() {
        Scope::Own(own) => context.site().only_own_alarms(own).await?,
        Scope::All => None,
    };
    let search = AlarmSearch {
        account,
        to,
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

/// Selects an alarm.
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
    /// Its recipients. A member sees no other recipients.
    recipients: Vec<RecipientView>,
}

/// A recipient of an alarm.
#[derive(Debug, Serialize, JsonSchema)]
struct RecipientView {
    /// The account's name.
    name: String,
    /// When this recipient acknowledged the alarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged: Option<Timestamp>,
}

/// Finds an alarm and its present recipients. For a member that is not a recipient the result is the
/// same as for an unknown id.
async fn find(context: &Context, id: AlarmId) -> Result<(Alarm, Vec<Recipient>), Refusal> {
    let not_found = || Refusal::not_found("alarm", id).of_field("id");
    let store = context.site().store();
    let alarm = store.alarm(id).await?.ok_or_else(not_found)?;
    let recipients = context.site().recipients_now(&alarm).await?;
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
    let output = whole.alarm.line();
    Ok(Answer::new(whole).with_output(output))
}

/// The first acknowledgement applies to the whole alarm. Each recipient can add its own.
pub(super) async fn acknowledge(
    context: Context,
    params: ById,
) -> Result<Answer<WholeAlarm>, Refusal> {
    let (site, caller, now) = (context.site(), context.caller(), context.now());
    let mut conflict = None;
    for _ in 0..MAX_TRIES {
        let (alarm, mut recipients) = find(&context, params.id).await?;
        if caller.is_device() && SystemAlarm::is_misuse(&alarm) {
            return Err(Refusal::not_permitted(
                "this alarm is about the misuse of credentials, and the device may be what is misused",
                "acknowledge it in a session that you open with your pass phrase, or at the admin socket",
            ));
        }
        let mut own = None;
        for one in &mut recipients {
            if Some(one.account) == caller.account && one.acknowledged.is_none() {
                one.acknowledged = Some(now);
                own = Some(*one);
            }
        }
        let nothing_new = own.is_none() && !alarm.is_open();
        if nothing_new || alarm.state == AlarmState::Over {
            let output = format!("The alarm {} is {}.", alarm.id, alarm.state.as_str());
            let (_, recipients) = find(&context, params.id).await?;
            let whole = whole(&context, alarm, recipients).await?;
            return Ok(Answer::new(whole).with_output(output));
        }
        let alarm = alarm.revised(|alarm| {
            alarm.state = AlarmState::Acknowledged;
            alarm.escalates = None;
            let by = caller.name.clone();
            alarm
                .acknowledged
                .get_or_insert(Acknowledgement { at: now, by });
        });
        let changes = site.acknowledge_alarm(&alarm, own, &recipients)?;
        let details = json!({ "severity": alarm.severity, "recipient": own.is_some() });
        match context.commit(changes, alarm.id.to_string(), details).await {
            Err(refusal) if refusal.is_conflict() => conflict = Some(refusal),
            Err(refusal) => return Err(refusal),
            Ok(_) => {
                let output = format!("Acknowledged the alarm {}.", alarm.id);
                let whole = whole(&context, alarm, recipients).await?;
                return Ok(Answer::new(whole).with_output(output));
            }
        }
    }
    Err(conflict.unwrap_or_else(|| Refusal::busy("the alarm is being changed concurrently")))
}
