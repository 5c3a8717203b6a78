//! A template of a body and a value from any text, with NUL between them: whatever the value is, the body
//! of a JSON template is JSON, and that of a form has as many fields as the template.

use countersign_proto::webhook::{BodyFormat, BodyTemplate, Values};

use super::text;

pub(super) fn run(input: &[u8]) {
    let (template, value) = text(input).split_once('\0').unwrap_or_default();
    let values = Values {
        to: value,
        text: value,
        subject: value,
        severity: value,
        name: value,
        site: value,
        id: value,
    };
    if let Ok(json) = BodyTemplate::parse(BodyFormat::Json, template) {
        let body = json.fill(&values);
        serde_json::from_str::<serde_json::Value>(&body).unwrap();
    }
    if let Ok(form) = BodyTemplate::parse(BodyFormat::Form, template) {
        let fields = |body: &str| body.matches('&').count();
        assert_eq!(
            fields(&form.fill(&values)),
            fields(&form.fill(&Values::default()))
        );
    }
}
