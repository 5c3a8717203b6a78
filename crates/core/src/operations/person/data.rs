//! `person set_data` and `self set_data`: the contact data and the attributes of a person.
//!
//! The audit log names the members that changed and the attributes, and has none of their values: they are
//! personal, and the log is kept after the person was deleted.

use std::collections::BTreeMap;

use countersign_proto::name::AccountName;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use crate::accounts::{
    Account, AttributeName, AttributeText, CountryCode, Kind, LanguageTag, MAX_ATTRIBUTES,
    MAX_EMAILS, MAX_TELEPHONES, PersonData, PostalAddress, Telephone,
};
use crate::engine::{Answer, Context, Refusal};
use crate::id::AccountId;
use crate::operations::attempts::Attempts;
use crate::operations::{account, proof};
use crate::store::Change;
use crate::text::{Email, Trimmed};

/// The contact data and attributes of a person.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::operations) struct DataView {
    /// The email addresses; alarms go to the first one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    emails: Vec<String>,
    /// The telephone numbers; the first one is the preferred one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    telephones: Vec<Telephone>,
    /// The postal address.
    #[serde(skip_serializing_if = "Option::is_none")]
    postal_address: Option<PostalAddress>,
    /// The language in which the person is addressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<LanguageTag>,
    /// Free attributes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<AttributeName, AttributeText>,
}

impl DataView {
    pub(in crate::operations) fn of(account: &Account, data: PersonData) -> Self {
        Self {
            emails: emails(account, &data),
            telephones: data.telephones,
            postal_address: data.postal_address,
            language: data.language,
            attributes: data.attributes,
        }
    }

    /// The data as lines for people; empty if there is none.
    pub(in crate::operations) fn lines(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            text.push_str(&format!("\n  {name}: {value}"));
        };
        for email in &self.emails {
            line("email", email);
        }
        for Telephone { label, number } in &self.telephones {
            line("telephone", &format!("{} {number}", label.as_str()));
        }
        if let Some(address) = &self.postal_address {
            let parts = address.parts();
            let lines = parts.lines.iter().map(Trimmed::as_str);
            let code = parts.postal_code.as_ref().map(Trimmed::as_str);
            let city = parts.city.as_ref().map(Trimmed::as_str);
            let region = parts.region.as_ref().map(Trimmed::as_str);
            let country = parts.country.as_ref().map(CountryCode::as_str);
            let all: Vec<&str> = lines
                .chain([code, city, region, country].into_iter().flatten())
                .collect();
            line("postal address", &all.join(", "));
        }
        if let Some(language) = &self.language {
            line("language", language.as_str());
        }
        for (name, value) in &self.attributes {
            line(name.as_str(), value.as_str());
        }
        text
    }
}

/// Reads an account and the data of its person.
pub(in crate::operations) async fn of(
    context: &Context,
    id: AccountId,
) -> Result<(Account, PersonData), Refusal> {
    let found = context.site().store().with_data(id).await?;
    found.ok_or_else(|| Refusal::not_found("person", id))
}

/// Returns all email addresses, the first one first.
fn emails(account: &Account, data: &PersonData) -> Vec<String> {
    let first = Some(account.email.clone()).filter(|email| !email.is_empty());
    let others = data
        .other_emails
        .iter()
        .map(|email| email.as_str().to_owned());
    first.into_iter().chain(others).collect()
}

/// Replaces the first email address. If the new one is empty, the next address becomes the first.
pub(super) fn set_first_email(account: &mut Account, data: &mut PersonData, email: Email) {
    if email.as_str().is_empty() {
        let next = match data.other_emails.is_empty() {
            true => String::new(),
            false => data.other_emails.remove(0).into_string(),
        };
        account.email = next;
        return;
    }
    data.other_emails.retain(|other| *other != email);
    account.email = email.into_string();
}

/// Tells a member that is `null` from one that is absent.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The changes of a person's data. An absent member stays unchanged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Set {
    /// The person.
    #[schemars(with = "String")]
    name: AccountName,
    /// All email addresses, at most 8; alarms go to the first one. An empty list removes them.
    emails: Option<Vec<Email>>,
    /// All telephone numbers, at most 8, the preferred one first. An empty list removes them.
    telephones: Option<Vec<Telephone>>,
    /// The postal address; `null` removes it.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<PostalAddress>")]
    postal_address: Option<Option<PostalAddress>>,
    /// The language in which the person is addressed, such as `pt-BR`; `null` removes it.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<LanguageTag>")]
    language: Option<Option<LanguageTag>>,
    /// Attributes to set; `null` removes one. Others stay. A person has at most 32.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Option<AttributeText>>")]
    attributes: BTreeMap<AttributeName, Option<AttributeText>>,
}

pub(super) async fn set(context: Context, params: Set) -> Result<Answer<DataView>, Refusal> {
    let account = account::find(&context, Kind::Person, &params.name).await?;
    let edit = Edit {
        emails: params.emails,
        telephones: params.telephones,
        postal_address: params.postal_address,
        language: params.language,
        attributes: params.attributes,
    };
    edit.run(&context, account.id).await
}

/// The changes of the caller's own data. An absent member stays unchanged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::operations) struct SetOwn {
    /// All email addresses, at most 8; alarms go to the first one. An empty list removes them. Needs a fresh proof.
    emails: Option<Vec<Email>>,
    /// All telephone numbers, at most 8, the preferred one first. An empty list removes them.
    telephones: Option<Vec<Telephone>>,
    /// The postal address; `null` removes it.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<PostalAddress>")]
    postal_address: Option<Option<PostalAddress>>,
    /// The language in which you want to be addressed, such as `pt-BR`; `null` removes it.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<LanguageTag>")]
    language: Option<Option<LanguageTag>>,
}

/// The name and the attributes stay with the admins: others rely on them.
pub(in crate::operations) async fn set_own(
    context: Context,
    params: SetOwn,
) -> Result<Answer<DataView>, Refusal> {
    let account = account::own(&context).await?;
    let edit = Edit {
        emails: params.emails,
        telephones: params.telephones,
        postal_address: params.postal_address,
        language: params.language,
        attributes: BTreeMap::new(),
    };
    edit.run(&context, account.id).await
}

#[derive(Clone)]
struct Edit {
    emails: Option<Vec<Email>>,
    telephones: Option<Vec<Telephone>>,
    postal_address: Option<Option<PostalAddress>>,
    language: Option<Option<LanguageTag>>,
    attributes: BTreeMap<AttributeName, Option<AttributeText>>,
}

impl Edit {
    async fn run(self, context: &Context, id: AccountId) -> Result<Answer<DataView>, Refusal> {
        let mut attempts = Attempts::default();
        loop {
            let done = self.clone().attempt(context, id, &mut attempts).await;
            if !attempts.again(&done) {
                return done;
            }
        }
    }

    async fn attempt(
        self,
        context: &Context,
        id: AccountId,
        attempts: &mut Attempts,
    ) -> Result<Answer<DataView>, Refusal> {
        let (before, data_before) = of(context, id).await?;
        context.expect_tag(&before)?;
        let (mut account, mut data) = (before.clone(), data_before.clone());
        let touched: Vec<AttributeName> = self.attributes.keys().cloned().collect();
        self.apply(&mut account, &mut data)?;
        if (&account, &data) == (&before, &data_before) {
            let output = format!("{} has this data already.", account.name);
            return Ok(Answer::new(DataView::of(&account, data)).with_output(output));
        }
        attempts.changes(context, Some(id))?;
        let is_own = context.caller().account == Some(id);
        let changes_emails = emails(&account, &data) != emails(&before, &data_before);
        if is_own && changes_emails && attempts.pays_for(id) {
            proof::consume_for_emails(context, id, "emails")?;
        }
        let attributes: Vec<_> = touched
            .iter()
            .filter(|name| data.attributes.get(name) != data_before.attributes.get(name))
            .collect();
        let details = json!({
            "id": id,
            "emails_changed": changes_emails,
            "telephones_changed": data.telephones != data_before.telephones,
            "postal_address_changed": data.postal_address != data_before.postal_address,
            "language_changed": data.language != data_before.language,
            "attributes_changed": attributes,
        });
        let email = account.email;
        let account = before.revised(context.now(), |account| account.email = email);
        let changes = vec![
            Change::UpdateAccount(account.clone()),
            Change::PutPersonData {
                account: id,
                data: Box::new(data.clone()),
            },
        ];
        let target = account.name.to_string();
        context.commit(changes, target, details).await?;
        let output = format!("Changed the data of {}.", account.name);
        Ok(Answer::new(DataView::of(&account, data)).with_output(output))
    }

    fn apply(self, account: &mut Account, data: &mut PersonData) -> Result<(), Refusal> {
        if let Some(emails) = self.emails {
            at_most("emails", emails.len(), MAX_EMAILS)?;
            for (at, email) in emails.iter().enumerate() {
                if email.as_str().is_empty() {
                    return Err(Refusal::invalid(
                        format!("emails[{at}]"),
                        "it is empty; leave the address out to remove it",
                    ));
                }
                if emails.iter().take(at).any(|before| before == email) {
                    return Err(Refusal::invalid(
                        format!("emails[{at}]"),
                        "the address is in the list twice",
                    ));
                }
            }
            let mut emails = emails.into_iter();
            account.email = emails.next().unwrap_or_default().into_string();
            data.other_emails = emails.collect();
        }
        if let Some(telephones) = self.telephones {
            at_most("telephones", telephones.len(), MAX_TELEPHONES)?;
            data.telephones = telephones;
        }
        if let Some(address) = self.postal_address {
            data.postal_address = address;
        }
        if let Some(language) = self.language {
            data.language = language;
        }
        for (name, text) in self.attributes {
            match text {
                Some(text) => data.attributes.insert(name, text),
                None => data.attributes.remove(&name),
            };
        }
        at_most("attributes", data.attributes.len(), MAX_ATTRIBUTES)
    }
}

/// Checks the number of entries of a member.
fn at_most(field: &str, count: usize, most: usize) -> Result<(), Refusal> {
    match count > most {
        true => Err(Refusal::invalid(
            field,
            format_args!("{count} are too many; a person has at most {most}"),
        )),
        false => Ok(()),
    }
}

/// Checks the data of a dump as an edit is checked.
pub(super) fn check(account: &Account, data: PersonData) -> Result<PersonData, Refusal> {
    let first = Email::try_from(account.email.clone()).unwrap_or_default();
    let mut all = vec![first];
    if all.iter().all(|email| email.as_str().is_empty()) && data.other_emails.is_empty() {
        all.clear();
    }
    all.extend(data.other_emails);
    let edit = Edit {
        emails: Some(all),
        telephones: Some(data.telephones),
        postal_address: Some(data.postal_address),
        language: Some(data.language),
        attributes: data
            .attributes
            .into_iter()
            .map(|(name, text)| (name, Some(text)))
            .collect(),
    };
    let mut checked = PersonData::default();
    edit.apply(&mut account.clone(), &mut checked)?;
    Ok(checked)
}
