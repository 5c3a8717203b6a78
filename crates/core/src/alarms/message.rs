//! The texts of messages, in English and German. They never contain an alarm's data. A link points
//! to a page that requires a login.

use std::fmt::Write;

use super::mail_template::MailValues;
use super::markup::escaped;
use super::{
    About, Alarm, AlarmState, Language, MailTemplates, OneLine, Preferences, Raiser, Severity,
    SystemAlarm,
};
use crate::public_url::PublicUrl;

/// The limit on alarms that a summary lists individually.
const MAX_LISTED_ALARMS: usize = 20;
/// The limit on a subject in characters.
const MAX_SUBJECT_CHARS: usize = 120;
/// The limit on a short text in characters: one SMS in the alphabet of GSM 03.38.
const MAX_SHORT_CHARS: usize = 160;

/// One entry of a message.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// The alarm.
    pub alarm: &'a Alarm,
    /// What the message reports about it.
    pub about: About,
}

/// A complete message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The subject of an e-mail: one line without control characters.
    pub subject: String,
    /// The body of an e-mail as plain text. Lines end with `\n`.
    pub text: String,
    /// The body as a complete HTML document with its language. All text in it is escaped.
    pub html: String,
    /// A short text of at most 160 characters, one line.
    pub short: String,
}

/// What a message needs besides its alarms.
#[derive(Clone, Copy)]
pub struct MessageContext<'a> {
    /// The recipient's name.
    pub name: &'a str,
    /// The site's zone.
    pub site: &'a str,
    /// Where links lead; without it, the message contains no link.
    pub link: Option<&'a PublicUrl>,
    /// The templates of e-mail.
    pub templates: &'a MailTemplates,
    /// Returns a text of the site with commands in place of the operations that it names: a person who reads
    /// a message types commands.
    pub in_commands: &'a dyn Fn(&str) -> String,
}

/// Writes the message about one alarm, or a summary of several alarms in the given order.
#[must_use]
pub fn message(
    items: &[Item<'_>],
    preferences: &Preferences,
    context: &MessageContext<'_>,
) -> Message {
    let texts = Texts {
        language: preferences.language,
        in_commands: context.in_commands,
    };
    let (site, link) = (context.site, context.link);
    let (heading, short, page) = match items {
        [item] => {
            let (label, text) = (texts.label(*item), texts.text(*item));
            let heading = format!("[{site}] {label}{}: {text}", raiser(*item));
            let page = link.map(|link| page_of(link, *item));
            (heading.clone(), heading, page)
        }
        several => {
            let heading = format!("[{site}] {}", texts.summary(several.len()));
            let worst = several
                .iter()
                .max_by_key(|item| (item.alarm.severity, item.about));
            let short = worst.map_or_else(
                || heading.clone(),
                |item| format!("{heading}{}: {}", raiser(*item), texts.text(*item)),
            );
            (heading, short, link.map(list_at))
        }
    };
    let severity = items.iter().map(|item| item.alarm.severity).max();
    let (lines, list) = alarms(&texts, items, preferences);
    let (login, paragraph) = login(&texts, page.as_deref());
    let values = MailValues {
        heading: &heading,
        alarms: &lines,
        login: &login,
        link: page.as_deref().unwrap_or_default(),
        severity: severity.unwrap_or(Severity::Info).as_str(),
        language: texts.code(),
        name: context.name,
        site,
    };
    let in_html = MailValues {
        alarms: &list,
        login: &paragraph,
        ..values
    };
    let (templates, language) = (context.templates, preferences.language);
    Message {
        subject: cut::<MAX_SUBJECT_CHARS>(&templates.subject(language, &values)),
        text: templates.text(language, &values),
        html: templates.html(language, &in_html),
        short: cut::<MAX_SHORT_CHARS>(&short),
    }
}

/// The raiser in a short text, unless it is the site: a short text has no other place for it, and must not speak as
/// the site.
fn raiser(item: Item<'_>) -> String {
    match item.alarm.raiser {
        Raiser::Site => String::new(),
        Raiser::LocalAdmin | Raiser::Account(_) => format!(", {}", item.alarm.raised_by),
    }
}

/// The place of the alarm in the web console.
fn page_of(site: &PublicUrl, item: Item<'_>) -> String {
    format!("{}/{}", list_at(site), item.alarm.id)
}

/// The place of all alarms in the web console.
fn list_at(site: &PublicUrl) -> String {
    format!("{}/console/#/alarms", site.as_str())
}

/// The alarms as lines of text, and as a list in HTML.
fn alarms(texts: &Texts<'_>, items: &[Item<'_>], preferences: &Preferences) -> (String, String) {
    let listed = items.get(..MAX_LISTED_ALARMS).unwrap_or(items);
    let unlisted = items.len() - listed.len();
    let (mut text, mut html) = (String::new(), "<ul>\n".to_owned());
    for item in listed {
        let line = format!("{}: {}", texts.label(*item), texts.text(*item));
        let detail = texts.detail(*item, preferences);
        let _ = writeln!(text, "- {line}\n  {detail}");
        let _ = writeln!(html, "<li>{}<br>{}</li>", escaped(&line), escaped(&detail));
    }
    html.push_str("</ul>");
    if unlisted > 0 {
        let more = texts.more(unlisted);
        text.push_str(&more);
        let _ = write!(html, "\n<p>{}</p>", escaped(&more));
    }
    (text.trim_end().to_owned(), html)
}

/// The sentence with the link as text, and as a paragraph in HTML; empty without a link.
fn login(texts: &Texts<'_>, page: Option<&str>) -> (String, String) {
    let Some(page) = page else {
        return (String::new(), String::new());
    };
    let (sentence, shown) = (texts.login(), escaped(page));
    let html = format!(
        "<p>{}<br><a href=\"{shown}\">{shown}</a></p>",
        escaped(sentence)
    );
    (format!("{sentence}\n{page}"), html)
}

/// Cuts a text off at `MAX` characters. The last one is then `…`.
fn cut<const MAX: usize>(text: &str) -> String {
    let whole = OneLine::<MAX>::try_from(text.to_owned());
    whole.map_or_else(
        |_| {
            let cut: String = text.chars().take(MAX - 1).collect();
            format!("{}…", cut.trim_end())
        },
        |whole| whole.as_str().to_owned(),
    )
}

/// The texts of a language.
struct Texts<'a> {
    language: Language,
    in_commands: &'a dyn Fn(&str) -> String,
}

impl Texts<'_> {
    const fn code(&self) -> &'static str {
        match self.language {
            Language::En => "en",
            Language::De => "de",
        }
    }

    fn label(&self, item: Item<'_>) -> &'static str {
        match (self.language, item.about, item.alarm.severity) {
            (Language::En, About::Over, _) => "Over",
            (Language::En, _, Severity::Info) => "Info",
            (Language::En, _, Severity::Warning) => "Warning",
            (Language::En, _, Severity::Critical) => "Critical",
            (Language::De, About::Over, _) => "Vorbei",
            (Language::De, _, Severity::Info) => "Hinweis",
            (Language::De, _, Severity::Warning) => "Warnung",
            (Language::De, _, Severity::Critical) => "Kritisch",
        }
    }

    /// The text of an alarm; of an alarm of the site, in the recipient's language and with commands.
    fn text(&self, item: Item<'_>) -> String {
        match SystemAlarm::of(item.alarm) {
            Some(cause) => (self.in_commands)(cause.text(self.language).as_str()),
            None => item.alarm.text.as_str().to_owned(),
        }
    }

    fn summary(&self, number: usize) -> String {
        match self.language {
            Language::En => format!("Summary of {number} messages"),
            Language::De => format!("Zusammenfassung von {number} Meldungen"),
        }
    }

    fn more(&self, number: usize) -> String {
        match self.language {
            Language::En => format!("And {number} more."),
            Language::De => format!("Und {number} weitere."),
        }
    }

    /// The raiser, the times, the count and the end of an alarm.
    fn detail(&self, item: Item<'_>, preferences: &Preferences) -> String {
        let alarm = item.alarm;
        let [first, last] = [alarm.first, alarm.last].map(|at| preferences.time_zone.show(at));
        let (by, count) = (&alarm.raised_by, alarm.count);
        let mut detail = match (self.language, count) {
            (Language::En, 1) => format!("Raised by {by} at {first}."),
            (Language::En, _) => format!("Raised by {by} {count} times from {first} to {last}."),
            (Language::De, 1) => format!("Gemeldet von {by} am {first}."),
            (Language::De, _) => format!("Gemeldet von {by}, {count}-mal von {first} bis {last}."),
        };
        if let (AlarmState::Over, Some(ended)) = (alarm.state, alarm.ended) {
            let ended = preferences.time_zone.show(ended);
            let _ = match self.language {
                Language::En => write!(detail, " Over since {ended}."),
                Language::De => write!(detail, " Vorbei seit {ended}."),
            };
        }
        detail
    }

    const fn login(&self) -> &'static str {
        match self.language {
            Language::En => "To see and acknowledge it, log in:",
            Language::De => "Zum Ansehen und Bestätigen bitte anmelden:",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alarms::Target;
    use crate::id::{AccountId, AlarmId};
    use crate::timestamp::Timestamp;

    fn alarm(text: &str) -> Alarm {
        let at = Timestamp::from_millis(1_772_366_400_000);
        Alarm {
            id: AlarmId::from_bytes([1; 16]),
            key: "disk".to_owned().try_into().unwrap(),
            to: Target::Person(AccountId::from_bytes([2; 16])),
            raiser: Raiser::Site,
            raised_by: "site".to_owned(),
            severity: Severity::Warning,
            text: text.to_owned().try_into().unwrap(),
            data: serde_json::from_str(r#"{"token":"never sent"}"#).ok(),
            first: at,
            last: at.plus_seconds(60),
            notified: at,
            count: 1,
            state: AlarmState::Open,
            acknowledged: None,
            ended: None,
            escalates: None,
            revision: 1,
        }
    }

    fn german() -> Preferences {
        Preferences {
            language: Language::De,
            time_zone: "Europe/Berlin".to_owned().try_into().unwrap(),
            ..Preferences::default()
        }
    }

    fn written(items: &[Item<'_>], preferences: &Preferences, link: Option<&PublicUrl>) -> Message {
        let context = MessageContext {
            name: "maria@example.org",
            site: "example.org",
            link,
            templates: &MailTemplates::default(),
            in_commands: &str::to_owned,
        };
        message(items, preferences, &context)
    }

    const fn raised(alarm: &Alarm) -> Item<'_> {
        let about = About::Raised;
        Item { alarm, about }
    }

    /// An SMS with the text of a service looked as one of the site does.
    #[test]
    fn a_short_text_names_its_raiser_unless_it_is_the_site() {
        let of_service = Alarm {
            raiser: Raiser::Account(AccountId::from_bytes([3; 16])),
            raised_by: "robot@example.org".to_owned(),
            ..alarm("The site key leaked.")
        };
        let short = |items: &[Item<'_>]| written(items, &Preferences::default(), None).short;
        assert_eq!(
            short(&[raised(&of_service)]),
            "[example.org] Warning, robot@example.org: The site key leaked."
        );
        assert_eq!(
            short(&[raised(&of_service), raised(&of_service)]),
            "[example.org] Summary of 2 messages, robot@example.org: The site key leaked."
        );
    }

    #[test]
    fn a_message_about_one_alarm_is_in_english_with_a_link_to_its_page() {
        let alarm = alarm("The disk is nearly full.");
        let url = PublicUrl::try_from("https://site.example/".to_owned()).unwrap();
        let written = written(&[raised(&alarm)], &Preferences::default(), Some(&url));
        assert_eq!(
            written.subject,
            "[example.org] Warning: The disk is nearly full."
        );
        assert_eq!(written.short, written.subject);
        assert_eq!(
            written.text,
            "[example.org] Warning: The disk is nearly full.\n\n\
             - Warning: The disk is nearly full.\n  Raised by site at 2026-03-01 12:00 UTC.\n\n\
             To see and acknowledge it, log in:\n\
             https://site.example/console/#/alarms/01010101-0101-0101-0101-010101010101\n"
        );
        assert!(written.html.contains("<html lang=\"en\">"));
        let all = [written.subject, written.text, written.html, written.short].concat();
        assert!(
            !all.contains("never sent"),
            "a message does not contain data"
        );
    }

    #[test]
    fn a_message_about_the_end_is_in_german_and_in_the_persons_time_zone() {
        let mut alarm = alarm("Die Platte ist fast voll.");
        (alarm.state, alarm.ended, alarm.count) = (AlarmState::Over, Some(alarm.last), 3);
        let about = About::Over;
        let written = written(
            &[Item {
                alarm: &alarm,
                about,
            }],
            &german(),
            None,
        );
        assert_eq!(
            written.subject,
            "[example.org] Vorbei: Die Platte ist fast voll."
        );
        assert_eq!(
            written.text,
            "[example.org] Vorbei: Die Platte ist fast voll.\n\n\
             - Vorbei: Die Platte ist fast voll.\n  \
             Gemeldet von site, 3-mal von 2026-03-01 13:00 CET bis 2026-03-01 13:01 CET. \
             Vorbei seit 2026-03-01 13:01 CET.\n"
        );
        assert!(
            !written.text.contains("http"),
            "without an address there is no link"
        );
    }

    #[test]
    fn a_summary_lists_twenty_alarms_and_counts_the_others() {
        let alarms: Vec<Alarm> = (0..1_000)
            .map(|at| alarm(&format!("number {at}")))
            .collect();
        let items: Vec<Item<'_>> = alarms.iter().map(raised).collect();
        let written = written(&items, &Preferences::default(), None);
        assert_eq!(written.subject, "[example.org] Summary of 1000 messages");
        assert!(written.text.contains("number 19\n") && !written.text.contains("number 20\n"));
        assert!(written.text.contains("And 980 more."));
        assert!(written.text.len() < 4_096);
    }

    #[test]
    fn text_is_escaped_in_html_and_cut_off_in_a_short_message() {
        let alarm = alarm(&format!("<script>&\"'{}", "ü".repeat(400)));
        let written = written(&[raised(&alarm)], &Preferences::default(), None);
        assert!(written.html.contains("&lt;script&gt;&amp;&quot;&#39;ü"));
        assert!(!written.html.contains("<script"));
        assert_eq!(written.short.chars().count(), 160);
        assert_eq!(written.subject.chars().count(), 120);
        assert!(written.subject.ends_with('…'));
    }
}
