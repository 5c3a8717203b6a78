//! Content over sockets.

use std::time::Duration;

use countersign_client::{CallError, Client, Download, Upload};
use countersign_proto::operation::Code;
use countersign_server::limits::Limits;
use countersign_testkit::harness::time;
use serde_json::json;
use serde_json::value::to_raw_value;
use tokio::time::timeout;

use crate::operations::{PIECE, site};

/// A timeout that no test reaches unless it fails.
const SOON: Duration = Duration::from_secs(60);

async fn give(client: &Client, pieces: u64) -> Download {
    let params = to_raw_value(&json!({ "pieces": pieces })).unwrap();
    let (outcome, content) = client.stream("test", "give", params, None).await.unwrap();
    assert_eq!(outcome.code, Code::SUCCESS);
    content.unwrap()
}

/// Reads content to its end and checks its pieces, which contain their number.
async fn read(mut content: Download) -> Result<u64, CallError> {
    let (mut bytes, mut piece) = (0, Vec::new());
    while let Some(some) = content.next().await {
        piece.extend_from_slice(&some?);
        while piece.len() >= PIECE {
            let number = u64::from_be_bytes(piece[..8].try_into().unwrap());
            assert_eq!(number, bytes / PIECE as u64);
            bytes += PIECE as u64;
            piece.drain(..PIECE);
        }
    }
    Ok(bytes + piece.len() as u64)
}

/// The peak memory of this process, in KiB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let value = line.unwrap().split_whitespace().nth(1);
    value.unwrap().parse().unwrap()
}

/// [SES-40] and [SES-41]: 1 GiB in each direction. Both ends are in this process, whose memory grows by less
/// than 32 MiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_passes_in_little_memory() {
    let served = site().serve().await;
    let client = served.robot().await;
    read(give(&client, 100).await).await.unwrap();
    let before = most_memory();
    let gibibyte = 1 << 30;
    let all = read(give(&client, gibibyte / PIECE as u64).await).await;
    assert_eq!(all.unwrap(), gibibyte);
    let source = tokio::io::AsyncReadExt::take(tokio::io::repeat(7), gibibyte);
    let params = to_raw_value(&json!({})).unwrap();
    let (outcome, none) = client
        .stream("test", "take", params, Some(Upload::new(source)))
        .await
        .unwrap();
    assert_eq!((outcome.data.get(), none.is_none()), ("1073741824", true));
    let grown = most_memory() - before;
    assert!(grown < 32 * 1024, "{grown} KiB");
}

/// [SES-43]: a stream that is not read blocks neither another stream nor other operations.
#[tokio::test]
async fn a_slow_reader_of_one_stream_does_not_block_others() {
    let served = site().serve().await;
    let client = served.robot().await;
    let mut slow = give(&client, 1_000).await;
    let fast = read(give(&client, 1_000).await);
    let fast = timeout(SOON, fast).await.unwrap();
    assert_eq!(fast.unwrap(), 1_000 * PIECE as u64);
    let status: serde_json::Value = client.call("site", "status", &json!({})).await.unwrap();
    assert_eq!(status["sealed"], false);
    let mut rest = 0;
    while let Some(piece) = slow.next().await {
        rest += piece.unwrap().len();
    }
    assert_eq!(rest, 1_000 * PIECE, "the stream continues at its position");
}

/// [SES-42]
#[tokio::test]
async fn dropped_content_is_cancelled_and_the_session_continues() {
    let served = site().serve().await;
    let client = served.robot().await;
    // More than the limit of open streams: dropped ones do not count.
    for _ in 0..200 {
        let mut content = give(&client, 1_000_000).await;
        content.next().await.unwrap().unwrap();
    }
    assert_eq!(
        read(give(&client, 10).await).await.unwrap(),
        10 * PIECE as u64
    );
}

/// [SES-42]
#[tokio::test]
async fn content_that_fails_at_the_site_is_reported_as_incomplete() {
    let served = site().serve().await;
    let client = served.robot().await;
    let params = to_raw_value(&json!({ "pieces": 100, "broken_after": 50 })).unwrap();
    let (_, content) = client.stream("test", "give", params, None).await.unwrap();
    let error = read(content.unwrap()).await.unwrap_err();
    assert!(matches!(error, CallError::IncompleteContent), "{error}");
}

/// [SES-42]: an operation does not use content that cannot be read to its end.
#[tokio::test]
async fn an_interrupted_upload_fails_its_operation() {
    struct Fails(usize);
    impl tokio::io::AsyncRead for Fails {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            into: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            self.0 += 1;
            into.put_slice(&[7; 1_000]);
            std::task::Poll::Ready(match self.0 {
                100 => Err(std::io::Error::other("a broken disk")),
                _ => Ok(()),
            })
        }
    }
    let served = site().serve().await;
    let client = served.robot().await;
    let params = || to_raw_value(&json!({})).unwrap();
    let upload = Some(Upload::new(Fails(0)));
    let (outcome, _) = client
        .stream("test", "take", params(), upload)
        .await
        .unwrap();
    assert_eq!(outcome.code, Code::MALFORMED);
    assert!(outcome.data.get().contains("cancelled"));
    let upload = Some(Upload::of(vec![7; 3_000_000]));
    let (outcome, _) = client
        .stream("test", "take", params(), upload)
        .await
        .unwrap();
    assert_eq!(outcome.data.get(), "3000000");
}

/// A handler may reply before it read all content; the rest is not sent.
#[tokio::test]
async fn an_operation_may_reply_before_it_received_all_content() {
    let served = site().serve().await;
    let client = served.robot().await;
    let params = to_raw_value(&json!({ "at_most": 100_000 })).unwrap();
    let endless = Upload::new(tokio::io::repeat(7));
    let stream = client.stream("test", "take", params, Some(endless));
    let (outcome, _) = timeout(SOON, stream).await.unwrap().unwrap();
    assert_eq!(outcome.code, Code::SUCCESS);
    read(give(&client, 10).await).await.unwrap();
}

#[tokio::test]
async fn operations_get_content_only_if_they_take_it() {
    let served = site().serve().await;
    let client = served.robot().await;
    let params = || to_raw_value(&json!({})).unwrap();
    let refused = client.outcome("test", "take", params()).await.unwrap();
    assert_eq!(refused.code, Code::INVALID_PARAMS);
    let stray = Some(Upload::of(vec![7; 1_000_000]));
    let (refused, _) = client
        .stream("self", "show", params(), stray)
        .await
        .unwrap();
    assert_eq!(refused.code, Code::INVALID_PARAMS);
    assert!(refused.data.get().contains("takes no content"));
}

/// At the limit and one over.
#[tokio::test]
async fn a_session_has_a_limit_of_streams() {
    let served = site()
        .limits(Limits {
            content_streams: 2,
            ..Limits::default()
        })
        .serve()
        .await;
    let client = served.robot().await;
    let _held = [
        give(&client, 1_000_000).await,
        give(&client, 1_000_000).await,
    ];
    let params = to_raw_value(&json!({})).unwrap();
    let upload = Some(Upload::of(vec![7; 1_000_000]));
    let (refused, _) = client.stream("test", "take", params, upload).await.unwrap();
    assert_eq!(refused.code, Code::BUSY);
    let params = to_raw_value(&json!({ "pieces": 1 })).unwrap();
    let (refused, none) = client.stream("test", "give", params, None).await.unwrap();
    assert_eq!((refused.code, none.is_none()), (Code::BUSY, true));
}

/// [SES-43]: as many streams as the limit allows, none of which is read.
#[tokio::test]
async fn many_slow_readers_do_not_block_other_operations() {
    let served = site().serve().await;
    let client = served.robot().await;
    let mut unread = Vec::new();
    for _ in 0..Limits::default().content_streams {
        unread.push(give(&client, 1_000).await);
    }
    time::settle().await;
    let call = async {
        client
            .call::<_, serde_json::Value>("site", "status", &json!({}))
            .await
    };
    timeout(SOON, call).await.unwrap().unwrap();
    let last = unread.pop().unwrap();
    let all = timeout(SOON, read(last)).await.unwrap();
    assert_eq!(all.unwrap(), 1_000 * PIECE as u64);
}

#[tokio::test]
async fn the_audit_log_is_exported_completely() {
    let served = site().maria().serve().await;
    let listed = served.admin("audit.list", json!({ "limit": 1000 })).await;
    let admin = served.maria().await;
    let params = to_raw_value(&json!({})).unwrap();
    let (_, content) = admin.stream("audit", "export", params, None).await.unwrap();
    let text = String::from_utf8(content.unwrap().all(1 << 20).await.unwrap()).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let listed = listed["entries"].as_array().unwrap();
    assert_eq!(&lines[..listed.len()], &listed[..]);
}
