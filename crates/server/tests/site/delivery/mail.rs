//! E-mail.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use countersign_core::alarms::MailTemplate;
use countersign_core::public_url::PublicUrl;
use countersign_server::delivery::{Channels, Mail, MailLogin, MailServer, MailTls};
use countersign_testkit::harness::python::PythonServer;
use countersign_testkit::harness::{ServedSite, TestSite};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{back_off, delivery, folder, python, raise, site_with_ada};

const PASSWORD: &str = "open sesame";

/// A certificate for 127.0.0.1 and its key, made by OpenSSL.
fn certificate(folder: &Path) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args(["-nodes", "-days", "7", "-subj", "/CN=mail.example.org"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("this test needs openssl: {error}"));
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
}

/// A mail server in a folder with its certificate.
fn mail_server(folder: &Path, words: &[&str]) -> PythonServer {
    let script = super::folder().join("mail_server.py");
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let files = [
        "--cert",
        cert.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
    ];
    PythonServer::start(&python(), &script, &[words, &files].concat())
}

/// The settings for a server on this machine.
fn settings(port: u16) -> MailServer {
    MailServer {
        host: "127.0.0.1".to_owned(),
        port,
        tls: MailTls::None,
        allow_plaintext: false,
        login: None,
        from: "Site Alarms <alarms@example.org>".to_owned(),
        reply_to: Some("help@example.org".to_owned()),
        ca: None,
        timeout: Duration::from_secs(60),
    }
}

fn deliver(served: &ServedSite, server: MailServer) {
    served.server.deliver_over(Channels {
        mail: Some(Mail::new(server).unwrap()),
        public_url: Some(PublicUrl::try_from("https://auth.example.org".to_owned()).unwrap()),
        ..Channels::default()
    });
}

fn login(password: &str) -> Option<MailLogin> {
    Some(MailLogin {
        user: "alarms".to_owned(),
        password: password.to_owned().into(),
    })
}

fn header<'a>(mail: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = mail["headers"].as_array().unwrap().iter();
    let found = headers.filter(|header| header[0] == name);
    found.map(|header| header[1].as_str().unwrap()).collect()
}

/// The next document that is a message.
async fn next_mail(server: &mut PythonServer) -> Value {
    loop {
        let document = server.next().await;
        if document.get("parts").is_some() {
            return document;
        }
    }
}

/// ALM-5, ALM-20.
#[tokio::test]
async fn an_alarm_arrives_as_mail_with_a_text_and_an_html_part() {
    let mut server = mail_server(&folder(), &[]);
    let served = site_with_ada().await;
    deliver(&served, settings(server.port));
    let alarm = raise(&served, "warning", "Übertemperatur <b>& \"Lüfter\"</b>").await;
    let mail = next_mail(&mut server).await;
    assert_eq!(mail["to"], json!(["ada@example.org"]));
    assert_eq!(mail["from"], "alarms@example.org");
    assert_eq!(mail["defects"], json!([]));
    assert_eq!(header(&mail, "From"), ["Site Alarms <alarms@example.org>"]);
    assert_eq!(header(&mail, "Reply-To"), ["help@example.org"]);
    assert_eq!(header(&mail, "Auto-Submitted"), ["auto-generated"]);
    assert_eq!(
        header(&mail, "Subject"),
        ["[example.org] Warning, local admin: Übertemperatur <b>& \"Lüfter\"</b>"]
    );
    let [id] = header(&mail, "Message-ID")[..] else {
        panic!("{mail}");
    };
    assert!(id.starts_with('<') && id.ends_with("@example.org>"), "{id}");
    let link = format!(
        "https://auth.example.org/console/#/alarms/{}",
        alarm["id"].as_str().unwrap()
    );
    let (text, html) = (&mail["parts"]["text/plain"], &mail["parts"]["text/html"]);
    assert!(
        text.as_str().unwrap().contains("Übertemperatur <b>"),
        "{text}"
    );
    assert!(
        html.as_str().unwrap().contains("Übertemperatur &lt;b&gt;"),
        "{html}"
    );
    for part in [text, html] {
        assert!(part.as_str().unwrap().contains(&link), "{part}");
    }
    delivery(&served, "sent", 0).await;
}

/// ALM-25.
#[tokio::test]
async fn a_mail_has_the_operators_texts_in_the_language_of_the_person() {
    let mut server = mail_server(&folder(), &[]);
    let served = site_with_ada().await;
    let files = [
        ("alarm.de.subject", "{{severity}} an {{name}}\n"),
        (
            "alarm.de.txt",
            "Guten Tag!\n\n{{alarms}}\n\nDurchwahl 4711\n",
        ),
        ("alarm.en.txt", "Hello!\n\n{{alarms}}\n"),
    ];
    let templates = files.map(|(name, text)| MailTemplate::parse(name, text).unwrap());
    served.server.deliver_over(Channels {
        mail: Some(Mail::new(settings(server.port)).unwrap()),
        templates: templates.into_iter().collect(),
        ..Channels::default()
    });
    let german = json!({ "person": "ada", "language": "de" });
    served.admin("alarm.preferences", german).await;
    raise(&served, "warning", "Der <Lüfter> steht.").await;
    let mail = next_mail(&mut server).await;
    assert_eq!(header(&mail, "Subject"), ["warning an ada@example.org"]);
    let text = mail["parts"]["text/plain"].as_str().unwrap();
    assert!(text.starts_with("Guten Tag!"), "{text}");
    assert!(text.contains("- Warnung: Der <Lüfter> steht."), "{text}");
    assert!(text.trim_end().ends_with("Durchwahl 4711"), "{text}");
    // There is no template of this part.
    let html = mail["parts"]["text/html"].as_str().unwrap();
    assert!(html.contains("Der &lt;Lüfter&gt; steht."), "{html}");
}

#[tokio::test]
async fn mail_is_sent_with_each_encryption_with_and_without_a_login() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let served = site_with_ada().await;
    for (words, tls) in [
        (&[][..], MailTls::None),
        (&["--tls", "starttls"], MailTls::StartTls),
        (&["--tls", "implicit"], MailTls::Implicit),
    ] {
        for with_login in [false, true] {
            let mut words = words.to_vec();
            if with_login {
                words.extend(["--login", "alarms", PASSWORD]);
            }
            let mut server = mail_server(folder.path(), &words);
            deliver(
                &served,
                MailServer {
                    tls,
                    login: login(PASSWORD).filter(|_| with_login),
                    ca: Some(std::fs::read(folder.path().join("cert.pem")).unwrap()),
                    ..settings(server.port)
                },
            );
            raise(&served, "critical", "The disk is full.").await;
            let mail = next_mail(&mut server).await;
            let user = with_login.then_some("alarms");
            assert_eq!(mail["user"].as_str(), user, "{tls:?}");
            assert_eq!(mail["tls"], json!(tls == MailTls::StartTls), "{tls:?}");
        }
    }
}

/// An attacker in the network removes STARTTLS from what the server offers, or has a certificate of
/// another name. ALM-21.
#[tokio::test]
async fn no_password_reaches_a_server_that_does_not_prove_its_name() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let served = site_with_ada().await;
    let words = ["--login", "alarms", PASSWORD];
    for (encryption, tls, problem) in [
        (&[][..], MailTls::StartTls, "STARTTLS"),
        (&["--tls", "starttls"], MailTls::StartTls, "certificate"),
        (&["--tls", "implicit"], MailTls::Implicit, "certificate"),
    ] {
        let mut server = mail_server(folder.path(), &[&words, encryption].concat());
        deliver(
            &served,
            MailServer {
                tls,
                login: login(PASSWORD),
                ..settings(server.port)
            },
        );
        let alarm = raise(&served, "critical", "The disk is full.").await;
        let failed = delivery_of(&served, &alarm).await;
        let error = failed["last_error"].as_str().unwrap();
        assert!(
            error.to_lowercase().contains(&problem.to_lowercase()),
            "{error}"
        );
        assert_eq!(server.ready(), None, "{tls:?}");
        // Its message would be the next one to be tried.
        let id = json!({ "id": alarm["id"] });
        served.admin("alarm.acknowledge", id).await;
    }
}

/// Waits until an attempt to deliver this alarm failed.
async fn delivery_of(served: &ServedSite, alarm: &Value) -> Value {
    let mut found = Value::Null;
    countersign_testkit::harness::time::until(async || {
        let all = served
            .admin("alarm.deliveries", json!({ "state": "waiting" }))
            .await;
        let all = all["entries"].as_array().unwrap().clone();
        let of_alarm = all.into_iter().find(|one| one["alarm"] == alarm["id"]);
        found = of_alarm.unwrap_or_default();
        found["last_error"].is_string()
    })
    .await;
    found
}

/// ALM-22.
#[tokio::test]
async fn a_refused_address_is_dead_and_other_refusals_are_tried_again() {
    let replies = [
        "--reply",
        "451 4.7.1 greylisted",
        "--reply",
        "550 5.7.1 relaying denied",
    ];
    let mut server = mail_server(&folder(), &replies);
    let served = site_with_ada().await;
    deliver(&served, settings(server.port));
    raise(&served, "warning", "The disk is full.").await;
    for (attempts, text) in [(1, "greylisted"), (2, "relaying denied")] {
        let waits = delivery(&served, "waiting", attempts).await;
        let error = waits["last_error"].as_str().unwrap();
        assert!(error.contains(text), "{error}");
        back_off().await;
        back_off().await;
    }
    next_mail(&mut server).await;
    delivery(&served, "sent", 2).await;

    let server = mail_server(&folder(), &["--reply", "550 5.1.1 no such user"]);
    let served = site_with_ada().await;
    deliver(&served, settings(server.port));
    raise(&served, "warning", "The disk is full.").await;
    let dead = delivery(&served, "dead", 0).await;
    let error = dead["last_error"].as_str().unwrap();
    assert!(error.contains("no such user"), "{error}");
}

/// ALM-23.
#[tokio::test]
async fn a_server_that_repeats_the_password_does_not_get_it_into_the_site() {
    let words = ["--login", "alarms", PASSWORD, "--echo-password"];
    let server = mail_server(&folder(), &words);
    let served = site_with_ada().await;
    let settings = MailServer {
        login: login("a wrong password"),
        ..settings(server.port)
    };
    assert!(!format!("{settings:?}").contains("wrong"));
    deliver(&served, settings);
    raise(&served, "warning", "The disk is full.").await;
    let failed = delivery(&served, "waiting", 1).await;
    let error = failed["last_error"].as_str().unwrap();
    assert!(error.contains("the login failed"), "{error}");
    assert!(!error.contains("a wrong"), "{error}");
}

/// What a server sends in place of replies.
#[derive(Debug, Clone, Copy)]
enum Nonsense {
    /// Nothing at all.
    Silence,
    /// The beginning of an endless line.
    EndlessLine,
    /// Bytes that are no reply.
    Bytes,
    /// A greeting, then the end.
    End,
}

/// Serves nonsense on a free port.
async fn serve_nonsense(nonsense: Nonsense) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                match nonsense {
                    Nonsense::Silence => std::future::pending().await,
                    Nonsense::EndlessLine => {
                        while socket.write_all(&[b'2'; 65_536]).await.is_ok() {}
                    }
                    Nonsense::Bytes => {
                        let _ = socket.write_all(b"\xff\x00\r\n999 \r\n\r\n").await;
                        std::future::pending::<()>().await;
                    }
                    Nonsense::End => {
                        let _ = socket.write_all(b"220 mail.example.org\r\n").await;
                    }
                }
            });
        }
    });
    port
}

/// ALM-2, ALM-22.
#[tokio::test]
async fn a_mail_server_that_answers_nonsense_is_tried_again_and_does_not_delay_sessions() {
    for nonsense in [
        Nonsense::Silence,
        Nonsense::EndlessLine,
        Nonsense::Bytes,
        Nonsense::End,
    ] {
        let served = site_with_ada().await;
        let timeout = match nonsense {
            Nonsense::Silence => Duration::from_secs(1),
            _ => Duration::from_secs(60),
        };
        let server = MailServer {
            timeout,
            ..settings(serve_nonsense(nonsense).await)
        };
        deliver(&served, server);
        raise(&served, "critical", "The disk is full.").await;
        let robot = served.robot().await;
        let status: Value = robot.call("site", "status", &json!({})).await.unwrap();
        assert_eq!(status["sealed"], false);
        let failed = delivery(&served, "waiting", 1).await;
        let error = failed["last_error"].as_str().unwrap();
        assert!(error.contains("the mail server"), "{nonsense:?}: {error}");

        // A server that works gets it.
        let mut works = mail_server(&folder(), &[]);
        deliver(&served, settings(works.port));
        back_off().await;
        next_mail(&mut works).await;
    }
}

/// Passes bytes between the site and a mail server, as an attacker in the network does, and appends replies to
/// the reply to STARTTLS.
async fn append_replies(to: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((site, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            let (mut from_site, mut to_site) = site.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_site, &mut to_server).await });
            tokio::spawn(async move {
                let (mut buffer, mut greetings) = ([0; 65_536], 0);
                while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
                    let mut bytes = buffer[..read].to_vec();
                    if bytes.starts_with(b"220") {
                        greetings += 1;
                        if greetings == 2 {
                            bytes.extend_from_slice(
                                b"250 mail.example.org\r\n250 OK\r\n250 OK\r\n354 go on\r\n250 taken\r\n",
                            );
                        }
                    }
                    if to_site.write_all(&bytes).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

/// The appended replies counted as those of the server behind TLS: a message was "sent" that no server had.
/// ALM-24.
#[tokio::test]
async fn replies_that_an_attacker_appends_to_starttls_have_no_effect() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let mut server = mail_server(folder.path(), &["--tls", "starttls"]);
    let served = site_with_ada().await;
    let through = |port| MailServer {
        tls: MailTls::StartTls,
        ca: Some(std::fs::read(folder.path().join("cert.pem")).unwrap()),
        ..settings(port)
    };
    deliver(&served, through(append_replies(server.port).await));
    raise(&served, "critical", "The disk is full.").await;
    delivery(&served, "waiting", 1).await;
    assert_eq!(server.ready(), None);
    deliver(&served, through(server.port));
    back_off().await;
    next_mail(&mut server).await;
    delivery(&served, "sent", 1).await;
}

/// The site took it for a server that could not be reached, and kept the messages to all others back. ALM-22.
#[tokio::test]
async fn an_address_that_the_server_does_not_support_does_not_delay_other_messages() {
    let mut server = mail_server(&folder(), &[]);
    let served = TestSite::builder().serve().await;
    for (name, email) in [("zoe", "zoë@example.org"), ("ada", "ada@example.org")] {
        let person = json!({ "name": name, "email": email });
        served.admin("person.create", person).await;
    }
    deliver(&served, settings(server.port));
    let alarm = json!({ "to": "zoe", "severity": "critical", "text": "The disk is full." });
    served.admin("alarm.raise", alarm).await;
    let dead = delivery(&served, "dead", 0).await;
    let error = dead["last_error"].as_str().unwrap();
    assert!(error.contains("SMTPUTF8"), "{error}");
    raise(&served, "critical", "The disk is full.").await;
    let mail = next_mail(&mut server).await;
    assert_eq!(mail["to"], json!(["ada@example.org"]));
}
