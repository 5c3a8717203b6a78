//! The settings of the sections `[mail]` and `[webhook]`.

use super::{Applies, Kind, Preset, Setting};

/// A setting that takes effect at a reload and only the file can have.
macro_rules! setting {
    ($section:literal, $key:literal, $type_name:literal, $allowed:literal, $default:expr, $what:literal $(, $warning:literal)?) => {
        Setting {
            section: $section,
            key: $key,
            kind: Kind::Other {
                type_name: $type_name,
                allowed: $allowed,
                default: $default,
            },
            applies: Applies::ReloadFile,
            what: $what,
            warning: concat!($($warning)?),
        }
    };
}

const fn none(example: &'static str) -> Preset {
    Preset::None { example }
}

/// The settings of `[mail]` and `[webhook]`, in the order of the example file.
pub(super) static DELIVERY_SETTINGS: &[Setting] = &[
    setting!(
        "mail",
        "server",
        "string",
        "a DNS name or an IP address",
        none("\"mail.example.org\""),
        "The mail server through which the site sends alarms as e-mail. Without it, the site sends none."
    ),
    setting!(
        "mail",
        "port",
        "integer",
        "1 to 65535",
        none("587"),
        "The port of the mail server. If it is not set: 587 with `starttls`, 465 with `tls`, 25 with `none`."
    ),
    setting!(
        "mail",
        "tls",
        "string",
        "`\"starttls\"`, `\"tls\"`, `\"none\"`",
        Preset::Is("\"starttls\""),
        "How the connection to the mail server is encrypted: after the command STARTTLS, which the server \
         must offer, from the first byte, or not at all. `none` needs a server on this machine \
         (`localhost`, 127.0.0.0/8, `::1`) or `allow_plaintext`."
    ),
    setting!(
        "mail",
        "allow_plaintext",
        "boolean",
        "`true`, `false`",
        Preset::Is("false"),
        "Whether `tls = \"none\"` is allowed to a mail server on another machine.",
        "With `true`, every network on the way can read alarms and the password of the mail server."
    ),
    setting!(
        "mail",
        "user",
        "string",
        "a user name; needs `password_file`",
        none("\"alarms@example.org\""),
        "The user name with which the site logs in to the mail server. Without it, the site does not log in."
    ),
    setting!(
        "mail",
        "password_file",
        "string",
        "a path; needs `user`",
        none("\"mail.password\""),
        "The file with the password for the mail server, in one line. A relative path begins at the folder \
         of this file. SIGHUP reads it again."
    ),
    setting!(
        "mail",
        "from",
        "string",
        "an address, or a name and an address as in `Alarms <alarms@example.org>`",
        none("\"Countersign <countersign@mail.example.org>\""),
        "The sender of messages. If it is not set: `countersign@` and the name of the mail server. The name \
         after `@` is also the one with which the site greets the mail server."
    ),
    setting!(
        "mail",
        "reply_to",
        "string",
        "as `from`",
        none("\"help@example.org\""),
        "Where replies to messages go. If it is not set: to the sender."
    ),
    setting!(
        "mail",
        "ca_file",
        "string",
        "a path to certificates in PEM",
        none("\"mail-ca.pem\""),
        "Certificates that sign the certificate of the mail server, besides those that the system trusts."
    ),
    setting!(
        "mail",
        "templates",
        "string",
        "a path to a folder",
        none("\"templates\""),
        "The folder with texts of e-mail that replace the built-in ones: `alarm.en.subject`, `alarm.en.txt` and \
         `alarm.en.html`, and the same with `de`; each may be absent. Placeholders: `{{heading}}`, `{{alarms}}`, \
         `{{login}}`, `{{link}}`, `{{severity}}`, `{{language}}`, `{{name}}` and `{{site}}`; in a subject all but \
         `{{alarms}}`, `{{login}}` and `{{link}}`. A text and HTML need `{{alarms}}`. SIGHUP reads the files again."
    ),
    setting!(
        "mail",
        "timeout_ms",
        "integer",
        "1000 to 60000",
        Preset::Is("30000"),
        "How long sending one message may take, in milliseconds, the connection included."
    ),
    setting!(
        "webhook",
        "url",
        "string",
        "`https://…`; `http://…` to this machine or with `allow_plaintext`; no user name or password in it",
        none("\"https://sms.example.org/send\""),
        "Where the site sends alarms as short texts: one POST for each message, such as to an SMS gateway. \
         Without it, the site sends none. Redirects are not followed, and the proxy variables of the \
         environment are not used. `countersign config list` and the log show its scheme and host alone: the rest may be a \
         secret of the service."
    ),
    setting!(
        "webhook",
        "allow_plaintext",
        "boolean",
        "`true`, `false`",
        Preset::Is("false"),
        "Whether `http://` is allowed to another machine.",
        "With `true`, every network on the way can read texts, telephone numbers and the value of \
         `authorization_file`."
    ),
    setting!(
        "webhook",
        "headers",
        "table of strings",
        "at most 16; none that the site writes itself",
        Preset::Is("{}"),
        "Further headers of each request, such as `{ X-Priority = \"high\" }`. `countersign config list` and the log show \
         their names alone; a secret belongs into the file of `authorization_file`."
    ),
    setting!(
        "webhook",
        "authorization_file",
        "string",
        "a path",
        none("\"webhook.authorization\""),
        "The file with the value of the header `Authorization`, in one line, such as `Bearer …`. SIGHUP reads \
         it again."
    ),
    setting!(
        "webhook",
        "body_format",
        "string",
        "`\"json\"`, `\"form\"`, `\"text\"`",
        Preset::Is("\"json\""),
        "The format of the body, which decides the header `Content-Type` and how values are escaped."
    ),
    setting!(
        "webhook",
        "body",
        "string",
        "at most 4,096 bytes; placeholders `{{to}}`, `{{text}}`, `{{subject}}`, `{{severity}}`, `{{name}}`, `{{site}}`, `{{id}}`",
        none("'{\"number\":\"{{to}}\",\"message\":\"{{text}}\"}'"),
        "The body of each request. It must have the placeholder `{{text}}`. In JSON, put each placeholder \
         between quotation marks. If it is not set, the body has `to`, `text` and, in JSON, `severity` and \
         `id`."
    ),
    setting!(
        "webhook",
        "secret_file",
        "string",
        "a path to 24 to 64 bytes in Base64, with or without `whsec_` in front",
        none("\"webhook.secret\""),
        "The file with the key that signs requests; `openssl rand -base64 32` makes one. Without it, requests \
         are not signed. SIGHUP reads it again."
    ),
    setting!(
        "webhook",
        "ca_file",
        "string",
        "a path to certificates in PEM",
        none("\"webhook-ca.pem\""),
        "Certificates that sign the certificate of the receiver, besides those that the system trusts."
    ),
    setting!(
        "webhook",
        "timeout_ms",
        "integer",
        "1000 to 60000",
        Preset::Is("30000"),
        "How long one request may take, in milliseconds, the connection included."
    ),
];
