//! Alarms, as people and operators meet them.

mod commands;
mod killed;
mod walk;
mod watch;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::running::Running;

/// A receiver of texts on this machine.
struct Receiver {
    url: String,
    texts: Arc<Mutex<UnboundedReceiver<String>>>,
    runtime: Runtime,
}

impl Receiver {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (sender, texts) = unbounded_channel();
        let take = move |headers: HeaderMap, body: String| {
            let sender: UnboundedSender<String> = sender.clone();
            async move {
                assert!(headers.contains_key("webhook-id"));
                let _ = sender.send(body);
            }
        };
        let service = Router::new().route("/", post(take));
        runtime.spawn(async move { axum::serve(listener, service).await });
        let texts = Arc::new(Mutex::new(texts));
        Self {
            url,
            texts,
            runtime,
        }
    }

    /// Waits for the next text.
    fn next(&self) -> String {
        let mut texts = self.texts.lock().unwrap();
        self.runtime.block_on(texts.recv()).unwrap()
    }

    /// The texts that are there.
    fn ready(&self) -> Vec<String> {
        let mut texts = self.texts.lock().unwrap();
        std::iter::from_fn(|| texts.try_recv().ok()).collect()
    }
}

/// The folder of a site that sends texts to a receiver.
fn folder_with_webhook(receiver: &Receiver) -> Running {
    let site = Running::folder();
    let url = &receiver.url;
    let body = "{{name}} {{severity}} {{text}}";
    site.write(
        "countersign.toml",
        &format!(
            "version = 1\n[webhook]\nurl = \"{url}\"\nbody_format = \"text\"\nbody = \"{body}\"\n"
        ),
    );
    site
}

const SERVE: [&str; 4] = [
    "--passphrase-file",
    "site.pass",
    "--config",
    "countersign.toml",
];

/// Creates a person who has a number for texts.
fn create_person(site: &Running, name: &str) {
    for words in [
        &["person", "create", name][..],
        &["alarm", "preferences", name, "--text-to", name],
    ] {
        let done = site.run(words);
        assert_eq!(done.code, 0, "{words:?}: {}", done.err);
    }
}
