//! The channels over which the site delivers alarms, from the configuration and the files with secrets
//! that it names.

use std::fmt::Display;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use countersign_core::alarms::MailTemplates;
use countersign_crypto::secret::Passphrase;
use countersign_proto::webhook::{BodyTemplate, SigningKey};
use countersign_server::delivery::{
    BadChannel, Channels, Mail, MailLogin, MailServer, MailTls, Webhook, WebhookReceiver,
};

use super::named_file;
use super::templates;
use crate::config::{Config, MailEncryption, MailSection, WebhookSection};
use crate::failure::{Exit, Failure};

/// The channels of a configuration. Reads the files with secrets and the templates; a relative path
/// begins at the folder of the configuration file.
///
/// # Errors
/// A file cannot be read, a template is not valid, or settings contradict each other.
pub(crate) fn channels(config: &Config) -> Result<Channels, Failure> {
    Ok(Channels {
        mail: mail(&config.mail, &config.folder)?,
        webhook: webhook(&config.webhook, &config.folder)?,
        public_url: config.listen.public_url.clone(),
        templates: match &config.mail.templates {
            Some(folder) => templates::read(&config.folder.join(folder))?,
            None => MailTemplates::default(),
        },
    })
}

fn mail(section: &MailSection, folder: &Path) -> Result<Option<Mail>, Failure> {
    let Some(host) = &section.server else {
        return Ok(None);
    };
    let login = match (&section.user, &section.password_file) {
        (Some(user), Some(file)) => Some(MailLogin {
            user: user.clone(),
            password: named_file::secret(&folder.join(file))?.into(),
        }),
        (None, None) => None,
        _ => {
            return Err(problem(
                "mail.user",
                "`user` and `password_file` belong together; give both or none",
            ));
        }
    };
    let (tls, usual) = match section.tls {
        MailEncryption::StartTls => (MailTls::StartTls, 587),
        MailEncryption::Tls => (MailTls::Implicit, 465),
        MailEncryption::None => (MailTls::None, 25),
    };
    let from = section.from.clone();
    let server = MailServer {
        host: host.clone(),
        port: section.port.map_or(usual, NonZeroU16::get),
        tls,
        allow_plaintext: section.allow_plaintext,
        login,
        from: from.unwrap_or_else(|| format!("Countersign <countersign@{host}>")),
        reply_to: section.reply_to.clone(),
        ca: certificates(folder, section.ca_file.as_deref())?,
        timeout: section.timeout_ms.0,
    };
    Mail::new(server).map(Some).map_err(of("mail"))
}

fn webhook(section: &WebhookSection, folder: &Path) -> Result<Option<Webhook>, Failure> {
    let Some(url) = &section.url else {
        return Ok(None);
    };
    let usual = section.body_format.usual_template();
    let body = BodyTemplate::parse(
        section.body_format,
        section.body.as_deref().unwrap_or(usual),
    );
    let secret = |file: &PathBuf| named_file::secret(&folder.join(file));
    let key = section.secret_file.as_ref().map(|file| {
        SigningKey::parse(&secret(file)?).map_err(|error| problem("webhook.secret_file", error))
    });
    let receiver = WebhookReceiver {
        url: url.clone(),
        allow_plaintext: section.allow_plaintext,
        headers: section.headers.clone().into_iter().collect(),
        authorization: section
            .authorization_file
            .as_ref()
            .map(|file| secret(file).map(Passphrase::from))
            .transpose()?,
        body: body.map_err(|error| problem("webhook.body", error))?,
        key: key.transpose()?,
        ca: certificates(folder, section.ca_file.as_deref())?,
        timeout: section.timeout_ms.0,
    };
    Webhook::new(receiver).map(Some).map_err(of("webhook"))
}

fn certificates(folder: &Path, file: Option<&Path>) -> Result<Option<Vec<u8>>, Failure> {
    file.map(|file| named_file::bytes(&folder.join(file)))
        .transpose()
}

fn of(section: &str) -> impl Fn(BadChannel) -> Failure {
    move |error| problem(&format!("{section}.{}", error.setting), error.problem)
}

fn problem(setting: &str, problem: impl Display) -> Failure {
    Failure::new(
        Exit::Failure,
        "config",
        format_args!("{setting}: {problem}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read;

    fn of_lines(lines: &str) -> Result<Channels, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("version = 1\n{lines}")).unwrap();
        channels(&read(file.path()).unwrap())
    }

    #[test]
    fn without_a_server_and_a_url_nothing_is_delivered() {
        let none = of_lines("[mail]\nuser = \"a\"\n[webhook]\nbody = \"{{\"\n").unwrap();
        assert!(none.mail.is_none() && none.webhook.is_none());
    }

    #[test]
    fn a_server_or_a_url_alone_is_enough() {
        let both = of_lines(
            "[mail]\nserver = \"mail.example.org\"\n[webhook]\nurl = \"https://sms.example/\"\n",
        )
        .unwrap();
        assert!(both.mail.is_some() && both.webhook.is_some());
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused_by_name() {
        for (lines, named) in [
            ("[mail]\nserver = \"a b\"", "mail.server"),
            ("[mail]\nserver = \"m.example\"\ntls = \"none\"", "mail.tls"),
            ("[mail]\nserver = \"m.example\"\nuser = \"a\"", "mail.user"),
            (
                "[mail]\nserver = \"m.example\"\nfrom = \"no address\"",
                "mail.from",
            ),
            (
                "[mail]\nserver = \"m.example\"\nreply_to = \"@\"",
                "mail.reply_to",
            ),
            ("[webhook]\nurl = \"http://a.example/\"", "webhook.url"),
            (
                "[webhook]\nurl = \"https://a.example/\"\nbody = \"{{phone}}\"",
                "webhook.body",
            ),
            (
                "[webhook]\nurl = \"https://a.example/\"\nheaders = { Host = \"b\" }",
                "webhook.headers",
            ),
        ] {
            let failure = of_lines(lines).unwrap_err();
            assert!(failure.message.starts_with(named), "{}", failure.message);
        }
        for lines in [
            "[mail]\nserver = \"127.0.0.1\"\ntls = \"none\"\nfrom = \"a@b.example\"",
            "[mail]\nserver = \"m.example\"\ntls = \"none\"\nallow_plaintext = true",
        ] {
            assert!(of_lines(lines).is_ok(), "{lines}");
        }
    }

    #[test]
    fn a_secret_comes_from_a_file_beside_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("countersign.toml");
        let lines = "version = 1\n[webhook]\nurl = \"https://a.example/\"\nsecret_file = \"key\"\n";
        std::fs::write(&file, lines).unwrap();
        let missing = channels(&read(&file).unwrap()).unwrap_err();
        assert_eq!(missing.exit, Exit::NotFound);
        std::fs::write(folder.path().join("key"), "too short\n").unwrap();
        let bad = channels(&read(&file).unwrap()).unwrap_err();
        assert!(
            bad.message.starts_with("webhook.secret_file"),
            "{}",
            bad.message
        );
        let key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n";
        std::fs::write(folder.path().join("key"), key).unwrap();
        assert!(channels(&read(&file).unwrap()).is_ok());
    }
}
