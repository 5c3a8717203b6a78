//! Operations of a site for tests of its listeners.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use countersign_core::access::Role;
use countersign_core::content::{Content, ContentBroken};
use countersign_core::engine::{Answer, Entry};
use countersign_testkit::harness::{Builder, ServedSite, TestSite, time};
use futures_util::StreamExt;
use serde_json::json;

/// A site that has them too.
pub(crate) fn site() -> Builder {
    TestSite::builder().operations(own)
}

/// Waits until `test wait` is under way.
pub(crate) async fn wait_begins(served: &ServedSite) {
    time::until(async || served.admin("test.begun", json!({})).await != 0).await;
}

/// The site's operations and one that takes as long as it is told.
fn own() -> Vec<Entry> {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Wait {
        milliseconds: u64,
    }
    let begun = Arc::new(AtomicUsize::new(0));
    let count = begun.clone();
    let wait = Entry::new("test", "wait")
        .summary("Answers after a while.")
        .allow(&Role::ALL)
        .handler(move |_, wait: Wait| {
            begun.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(std::time::Duration::from_millis(wait.milliseconds)).await;
                Ok(Answer::new(wait.milliseconds))
            }
        });
    let begun = Entry::new("test", "begun")
        .summary("Says how often a wait was begun.")
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
        fault(),
        give(),
        take(),
    ]
}

/// Says how many of it ran at a time, this one included, when it began.
fn together() -> Entry {
    let running = Arc::new(AtomicUsize::new(0));
    Entry::new("test", "together")
        .summary("Says how many of it run at a time.")
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

/// The same for public-key work, which takes turns.
fn costly() -> Entry {
    let running = Arc::new(AtomicUsize::new(0));
    Entry::new("test", "costly")
        .summary("Says how many of it run at a time, as public-key work.")
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

/// Gives a text of 64 KiB, and counts how often it did.
fn text() -> Entry {
    let given = Arc::new(AtomicUsize::new(0));
    Entry::new("test", "text")
        .summary("Gives a long text.")
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

/// Fails as no operation should.
fn fault() -> Entry {
    Entry::new("test", "fault")
        .summary("Fails in a way that its author did not think of.")
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
    /// Says how often the text was given.
    #[serde(default)]
    count: bool,
}

/// Gives as much content as is asked for: each piece holds the number of pieces before it.
fn give() -> Entry {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Give {
        pieces: u64,
        /// Breaks off after as many pieces.
        broken_after: Option<u64>,
    }
    Entry::new("test", "give")
        .summary("Gives content.")
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

/// Takes content and says how much it was.
fn take() -> Entry {
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Take {
        /// Takes no more than this, when given.
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
