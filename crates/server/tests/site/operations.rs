//! Operations for tests of the listeners.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use countersign_core::access::Role;
use countersign_core::content::{Content, ContentBroken};
use countersign_core::engine::{Answer, Entry};
use countersign_testkit::harness::{Builder, ServedSite, TestSite, time};
use futures_util::StreamExt;
use serde_json::json;

/// A site with these operations.
pub(crate) fn site() -> Builder {
    TestSite::builder().operations(own)
}

/// Waits until `test wait` runs.
pub(crate) async fn wait_begins(served: &ServedSite) {
    time::until(async || served.admin("test.begun", json!({})).await != 0).await;
}

/// An operation that takes a given time, and one that counts how often it was started.
fn own() -> Vec<Entry> {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Wait {
        milliseconds: u64,
    }
    let begun = Arc::new(AtomicUsize::new(0));
    let count = begun.clone();
    let wait = Entry::new("test", "wait")
        .summary("Replies after a while.")
        .allow(&Role::ALL)
        .handler(move |_, wait: Wait| {
            begun.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(std::time::Duration::from_millis(wait.milliseconds)).await;
                Ok(Answer::new(wait.milliseconds))
            }
        });
    let begun = Entry::new("test", "begun")
        .summary("Returns how many times a wait was started.")
        .allow(&Role::ALL)
        .handler(move |_, _: Nothing| {
            let count = count.load(Ordering::SeqCst);
            async move { Ok(Answer::new(count)) }
        });
    vec![
        wait,
        begun,
        together(),
        costly(),
        text(),
        pages(),
        fault(),
        give(),
        take(),
    ]
}

/// An operation that returns how many of it ran, including itself, when it started.
fn together() -> Entry {
    let running = Arc::new(AtomicUsize::new(0));
    Entry::new("test", "together")
        .summary("Returns how many of it run at a time.")
        .allow(&Role::ALL)
        .handler(move |_, _: Nothing| {
            let running = running.clone();
            async move {
                let together = running.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(Answer::new(together))
            }
        })
}

/// The same as a costly operation, which waits for its turn.
fn costly() -> Entry {
    let running = Arc::new(AtomicUsize::new(0));
    Entry::new("test", "costly")
        .summary("Returns how many of it run at a time, as a costly operation.")
        .allow(&Role::ALL)
        .public_key()
        .handler(move |_, _: Nothing| {
            let running = running.clone();
            async move {
                let together = running.fetch_add(1, Ordering::SeqCst) + 1;
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(Answer::new(together))
            }
        })
}

/// An operation that returns a text of 64 KiB, and counts how many times it did.
fn text() -> Entry {
    let given = Arc::new(AtomicUsize::new(0));
    Entry::new("test", "text")
        .summary("Returns a long text.")
        .allow(&Role::ALL)
        .handler(move |_, params: Text| {
            let given = given.clone();
            async move {
                match params.count {
                    true => Ok(Answer::new(given.load(Ordering::SeqCst).to_string())),
                    false => {
                        given.fetch_add(1, Ordering::SeqCst);
                        Ok(Answer::new("x".repeat(64 * 1024)))
                    }
                }
            }
        })
}

/// An operation that returns a page of 512 KiB, not at once, and counts how many times it did.
fn pages() -> Entry {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Pages {
        /// 0: returns how many times a page was returned.
        limit: u32,
    }
    let given = Arc::new(AtomicUsize::new(0));
    Entry::new("test", "pages")
        .summary("Returns a page.")
        .allow(&Role::ALL)
        .handler(move |_, params: Pages| {
            let given = given.clone();
            async move {
                if params.limit == 0 {
                    return Ok(Answer::new(given.load(Ordering::SeqCst).to_string()));
                }
                tokio::task::yield_now().await;
                given.fetch_add(1, Ordering::SeqCst);
                Ok(Answer::new("x".repeat(512 * 1024)))
            }
        })
}

/// An operation that panics.
fn fault() -> Entry {
    Entry::new("test", "fault")
        .summary("Panics.")
        .allow(&Role::ALL)
        .handler(|_, _: Nothing| async move {
            let nothing: Vec<u64> = Vec::new();
            Ok(Answer::new(nothing[nothing.len()]))
        })
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Text {
    /// Returns how many times the text was returned.
    #[serde(default)]
    count: bool,
}

/// An operation that returns content of a given length. Each piece contains the number of pieces before it.
fn give() -> Entry {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Give {
        pieces: u64,
        /// Fails after this many pieces.
        broken_after: Option<u64>,
    }
    Entry::new("test", "give")
        .summary("Returns content.")
        .allow(&Role::ALL)
        .gives_content()
        .handler(|_, give: Give| async move {
            let pieces = futures_util::stream::iter(0..give.pieces).map(move |number| {
                if give.broken_after == Some(number) {
                    return Err(ContentBroken("a fault".to_owned()));
                }
                let mut piece = vec![0; PIECE];
                piece[..8].copy_from_slice(&number.to_be_bytes());
                Ok(piece)
            });
            Ok(Answer::new(give.pieces).with(Content::new(pieces)))
        })
}

/// An operation that takes content and returns its length.
fn take() -> Entry {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Take {
        /// Reads at most this much.
        at_most: Option<u64>,
    }
    Entry::new("test", "take")
        .summary("Takes content.")
        .allow(&Role::ALL)
        .takes_content()
        .handler(|context, take: Take| async move {
            let mut content = context.content()?;
            let mut bytes = 0;
            while let Some(piece) = content.next().await {
                bytes += piece?.len() as u64;
                if take.at_most.is_some_and(|most| bytes >= most) {
                    break;
                }
            }
            Ok(Answer::new(bytes))
        })
}

/// Bytes of a piece of content.
pub(crate) const PIECE: usize = 64 * 1024;
