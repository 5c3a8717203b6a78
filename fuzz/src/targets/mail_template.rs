//! A template of e-mail and the text of an alarm from any text, with NUL between them. Whatever the text of the
//! alarm is, the HTML has the same tags and attributes as with another text, and the subject is one line.

use countersign_core::alarms::{
    About, Alarm, AlarmState, AlarmText, Item, MAIL_TEMPLATE_FILES, MailTemplate, MailTemplates,
    Message, MessageContext, Preferences, Raiser, Severity, Target, message,
};
use countersign_core::id::{AccountId, AlarmId};
use countersign_core::public_url::PublicUrl;
use countersign_core::timestamp::Timestamp;

use super::text;

pub(super) fn run(input: &[u8]) {
    let (template, value) = text(input).split_once('\0').unwrap_or_default();
    let parsed = MAIL_TEMPLATE_FILES.map(|name| MailTemplate::parse(name, template));
    let templates: MailTemplates = parsed.into_iter().filter_map(Result::ok).collect();
    let Ok(value) = AlarmText::try_from(value.to_owned()) else {
        return;
    };
    let written = message_with(&templates, value, "<maria>\"'&amp;");
    let plain = message_with(&templates, "plain".to_owned().try_into().unwrap(), "maria");
    assert_eq!(marks(&written.html), marks(&plain.html));
    for line in [&written.subject, &written.short] {
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    assert!(written.subject.chars().count() <= 120 && written.short.chars().count() <= 160);
}

/// The characters that begin and end tags and attributes.
fn marks(html: &str) -> Vec<char> {
    html.chars()
        .filter(|mark| "<>\"'".contains(*mark))
        .collect()
}

fn message_with(templates: &MailTemplates, text: AlarmText, name: &str) -> Message {
    let at = Timestamp::from_millis(1_772_366_400_000);
    let alarm = Alarm {
        id: AlarmId::from_bytes([1; 16]),
        key: "disk".to_owned().try_into().unwrap(),
        to: Target::Person(AccountId::from_bytes([2; 16])),
        raiser: Raiser::Site,
        raised_by: name.to_owned(),
        severity: Severity::Warning,
        text,
        data: None,
        first: at,
        last: at,
        notified: at,
        count: 1,
        state: AlarmState::Open,
        acknowledged: None,
        ended: None,
        escalates: None,
        revision: 1,
    };
    let item = Item {
        alarm: &alarm,
        about: About::Raised,
    };
    let link = PublicUrl::try_from("https://site.example".to_owned()).unwrap();
    let context = MessageContext {
        name,
        site: "example.org",
        link: Some(&link),
        templates,
        in_commands: &str::to_owned,
    };
    message(&[item], &Preferences::default(), &context)
}
