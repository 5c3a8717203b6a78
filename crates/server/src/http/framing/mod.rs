//! A stream of HTTP/1.1 whose requests every party reads as the same ones.
//!
//! The HTTP library repairs some forms before anything else sees the request: it takes two equal lengths
//! as one, drops a length beside a coding, ends a line without CR, and does not look at the host. A proxy
//! that repairs them in another way sees other requests on the same connection (request smuggling). The
//! library also answers a head that it cannot read without a problem. So this stream reads each head
//! first:
//!
//! ```text
//!           a head ──▶ valid ──▶ its content passes ──▶ the next head
//!                        │                 │
//!                        │                 └─ malformed chunks: the stream ends there
//!                        ├─ `upgrade` that the site accepts: all further bytes pass
//!                        └─ malformed: replaced with a request that names the fault, the last one
//! ```

mod chunks;
mod head;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use hyper::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::chunks::{Chunks, Taken};
pub(super) use self::head::Fault;
use self::head::{Content, Head};
use super::HEAD;
use crate::other_protocol::{is_no_http, is_no_tls};

/// The method of the request in place of a malformed one. A client that sends it gets the same refusal.
const MALFORMED: &str = "MALFORMED";
/// Empty lines that may precede a request (RFC 9112, section 2.2, asks for one).
const MAX_EMPTY_LINES: u32 = 4;
/// The most bytes of a refused client that are read before its connection closes. A connection that
/// closes with unread bytes may take the response from the client.
const MAX_DISCARDED: usize = 128 * 1024;

/// Whether a connection became a WebSocket.
#[derive(Debug, Clone, Default)]
pub(super) struct Upgraded(Arc<AtomicBool>);

impl Upgraded {
    /// The request is answered with the change of the protocol.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The fault of the request that this one stands for.
pub(super) fn fault<B>(request: &Request<B>) -> Option<Fault> {
    if request.method().as_str() != MALFORMED {
        return None;
    }
    let found = |fault: &Fault| request.uri().path() == format!("/{fault:?}");
    Some(Fault::ALL.into_iter().find(found).unwrap_or(Fault::Form))
}

/// What the stream expects next.
#[derive(Debug, Clone, Copy)]
enum Next {
    /// A head, of which so many bytes have no end.
    Head(usize),
    /// Content with so many bytes.
    Length(u64),
    Chunks(Chunks),
    /// After a request for another protocol, whose response decides.
    Upgrade,
    /// Bytes of the other protocol.
    Upgraded,
    /// Nothing: malformed chunks ended the content.
    Broken,
    /// Nothing: a head was malformed.
    Refused,
}

/// A stream whose requests are checked.
pub(super) struct Framed<S> {
    stream: S,
    next: Next,
    /// Bytes that were read; the first `checked` of them may pass.
    buffer: Vec<u8>,
    checked: usize,
    /// Empty lines since the last request.
    empty_lines: u32,
    /// Whether `buffer` ends with a request for another protocol and its content.
    asks_upgrade: bool,
    upgraded: Upgraded,
}

impl<S> Framed<S> {
    pub(super) const fn new(stream: S, upgraded: Upgraded) -> Self {
        Self {
            stream,
            next: Next::Head(0),
            buffer: Vec::new(),
            checked: 0,
            empty_lines: 0,
            asks_upgrade: false,
            upgraded,
        }
    }

    /// Checks what was read and not checked yet.
    fn check(&mut self) {
        loop {
            let unchecked = self.buffer.get(self.checked..).unwrap_or_default();
            let here = unchecked.len();
            match self.next {
                Next::Head(seen) => match head_of(unchecked, seen) {
                    Ok(HeadOf::Part(seen)) => {
                        self.next = Next::Head(seen);
                        return;
                    }
                    Ok(HeadOf::EmptyLine) if self.empty_lines >= MAX_EMPTY_LINES => {
                        return self.refuse(Fault::Form);
                    }
                    Ok(HeadOf::EmptyLine) => {
                        self.checked += 2;
                        self.empty_lines += 1;
                        self.next = Next::Head(0);
                    }
                    Ok(HeadOf::Whole(length, head)) => {
                        self.checked += length;
                        self.empty_lines = 0;
                        self.asks_upgrade = head.asks_upgrade;
                        self.next = match head.content {
                            Content::Length(length) => Next::Length(length),
                            Content::Chunked => Next::Chunks(Chunks::START),
                        };
                    }
                    Err(fault) => return self.refuse(fault),
                },
                Next::Length(length) => {
                    let taken = usize::try_from(length).map_or(here, |length| length.min(here));
                    self.checked += taken;
                    let left = length - u64::try_from(taken).unwrap_or(length);
                    self.next = Next::Length(left);
                    if left > 0 {
                        return;
                    }
                    self.next = self.after_content();
                }
                Next::Chunks(_) if here == 0 => return,
                Next::Chunks(chunks) => match chunks.take(unchecked) {
                    Taken::All(chunks) => {
                        self.checked += here;
                        self.next = Next::Chunks(chunks);
                        return;
                    }
                    Taken::End(taken) => {
                        self.checked += taken;
                        self.next = self.after_content();
                    }
                    Taken::Broken(taken) => {
                        self.checked += taken;
                        self.buffer.truncate(self.checked);
                        self.next = Next::Broken;
                        return;
                    }
                },
                Next::Upgraded => {
                    self.checked = self.buffer.len();
                    return;
                }
                Next::Upgrade | Next::Broken | Next::Refused => return,
            }
        }
    }

    const fn after_content(&self) -> Next {
        match self.asks_upgrade {
            true => Next::Upgrade,
            false => Next::Head(0),
        }
    }

    /// Replaces the malformed request.
    fn refuse(&mut self, fault: Fault) {
        self.buffer.truncate(self.checked);
        let request =
            format!("{MALFORMED} /{fault:?} HTTP/1.1\r\nhost: -\r\nconnection: close\r\n\r\n");
        self.buffer.extend_from_slice(request.as_bytes());
        self.checked = self.buffer.len();
        self.next = Next::Refused;
    }

    /// Gives what may pass.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let length = self.checked.min(buffer.remaining());
        buffer.put_slice(self.buffer.get(..length).unwrap_or_default());
        self.checked -= length;
        self.buffer.drain(..length);
        if self.buffer.is_empty() {
            // A connection that waits keeps no memory for the next head.
            self.buffer = Vec::new();
        }
    }

    /// Whether so many bytes pass without a look at them.
    fn passes(&mut self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        match &mut self.next {
            Next::Upgraded => true,
            // The last ones are checked: what the stream expects next changes.
            Next::Length(length) if *length > bytes => {
                *length -= bytes;
                true
            }
            _ => false,
        }
    }
}

/// The beginning of what was read.
enum HeadOf {
    /// No whole head in so many bytes.
    Part(usize),
    /// An empty line before a head (RFC 9112, section 2.2).
    EmptyLine,
    /// A valid head of so many bytes.
    Whole(usize, Head),
}

/// Looks for a head. The first `seen` bytes have no end of one.
fn head_of(bytes: &[u8], seen: usize) -> Result<HeadOf, Fault> {
    if bytes.starts_with(b"\r\n") {
        return Ok(HeadOf::EmptyLine);
    }
    if is_no_http(bytes) {
        let is_tls = !is_no_tls(bytes);
        return Err(if is_tls {
            Fault::Tls
        } else {
            Fault::OtherProtocol
        });
    }
    let mut from = seen;
    let unseen = |from: usize| bytes.get(from..).unwrap_or_default();
    while let Some(offset) = unseen(from).iter().position(|byte| *byte == b'\n') {
        let end = from + offset + 1;
        let line = bytes.get(..end).unwrap_or_default();
        if !line.ends_with(b"\r\n") {
            return Err(Fault::Form);
        }
        if line.ends_with(b"\r\n\r\n") {
            return Head::read(line).map(|head| HeadOf::Whole(end, head));
        }
        from = end;
    }
    match bytes.len() > HEAD {
        true => Err(Fault::TooLarge),
        false => Ok(HeadOf::Part(bytes.len())),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Framed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match this.next {
            Next::Broken | Next::Refused | Next::Upgraded => {}
            _ if this.upgraded.is_set() => this.next = Next::Upgraded,
            // The site did not accept it.
            Next::Upgrade if this.checked == 0 => this.next = Next::Head(0),
            _ => {}
        }
        loop {
            this.check();
            if this.checked > 0 {
                this.give(buffer);
                return Poll::Ready(Ok(()));
            }
            match this.next {
                Next::Broken => return Poll::Ready(Ok(())),
                // The end of the stream would cancel the response.
                Next::Refused => return Poll::Pending,
                _ => {}
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            let read = buffer.filled().get(before..).unwrap_or_default();
            if read.is_empty() || this.passes(read.len()) {
                return Poll::Ready(Ok(()));
            }
            this.buffer.extend_from_slice(read);
            buffer.set_filled(before);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Framed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let ended = ready!(Pin::new(&mut this.stream).poll_shutdown(context));
        if matches!(this.next, Next::Refused) {
            let mut piece = [0; 4 * 1024];
            for _ in 0..MAX_DISCARDED / piece.len() {
                let mut read = ReadBuf::new(&mut piece);
                let polled = Pin::new(&mut this.stream).poll_read(context, &mut read);
                if !matches!(polled, Poll::Ready(Ok(()))) || read.filled().is_empty() {
                    break;
                }
            }
        }
        Poll::Ready(ended)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What passes of bytes that come in pieces of this length.
    async fn passed(bytes: &[u8], piece: usize, upgraded: &Upgraded) -> Vec<u8> {
        let (near, mut far) = tokio::io::duplex(piece);
        let sending = async {
            let _ = far.write_all(bytes).await;
            drop(far);
        };
        let reading = async {
            let mut near = Framed::new(near, upgraded.clone());
            let mut all = Vec::new();
            let mut part = [0; 64];
            loop {
                let read = tokio::select! {
                    biased;
                    read = near.read(&mut part) => read.unwrap(),
                    // Nothing comes after a refusal.
                    () = std::future::ready(()), if matches!(near.next, Next::Refused) => 0,
                };
                if read == 0 {
                    return all;
                }
                all.extend_from_slice(&part[..read]);
            }
        };
        let ((), all) = tokio::join!(sending, reading);
        all
    }

    async fn refused(bytes: &str) -> Option<Fault> {
        let mut found = Vec::new();
        for piece in [1, 7, 100_000] {
            let passed = passed(bytes.as_bytes(), piece, &Upgraded::default()).await;
            let passed = String::from_utf8_lossy(&passed).into_owned();
            let fault = |fault: &Fault| passed.contains(&format!("{MALFORMED} /{fault:?} "));
            found.push(Fault::ALL.into_iter().find(fault));
        }
        assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
        found[0]
    }

    const GET: &str = "GET /a HTTP/1.1\r\nhost: a\r\n\r\n";

    #[tokio::test]
    async fn requests_pass_unchanged_however_they_arrive() {
        let post = "POST /b HTTP/1.1\r\nhost: a\r\n";
        let stream = format!(
            "{GET}{post}content-length: 5\r\n\r\nh\n\r\no{post}transfer-encoding: chunked\r\n\r\n\
             5;x=y\r\n\n\r\n\r\n\r\n0\r\nsum: 1\r\n\r\n{GET}{post}content-length: 0\r\n\r\n{GET}"
        );
        for piece in [1, 2, 3, 7, 100_000] {
            let passed = passed(stream.as_bytes(), piece, &Upgraded::default()).await;
            assert_eq!(String::from_utf8(passed).unwrap(), stream, "{piece}");
        }
    }

    #[tokio::test]
    async fn few_empty_lines_may_precede_a_request() {
        let stream = format!("\r\n\r\n{GET}\r\n{GET}");
        for piece in [1, 100_000] {
            let passed = passed(stream.as_bytes(), piece, &Upgraded::default()).await;
            assert_eq!(String::from_utf8(passed).unwrap(), stream);
        }
        let lines = "\r\n".repeat(MAX_EMPTY_LINES as usize);
        assert_eq!(refused(&format!("{lines}{GET}{lines}{GET}")).await, None);
    }

    /// A client that sent nothing but empty lines kept a processor busy: each moved what came after it.
    #[tokio::test]
    async fn many_empty_lines_are_refused() {
        let lines = "\r\n".repeat(16 * 1024);
        assert_eq!(refused(&lines).await, Some(Fault::Form));
        assert_eq!(refused(&format!("{GET}{lines}")).await, Some(Fault::Form));
    }

    #[tokio::test]
    async fn a_malformed_head_is_replaced_wherever_it_comes() {
        assert_eq!(refused(&format!("{GET}{GET}")).await, None);
        for (head, fault) in [
            ("GET /a HTTP/1.1\nhost: a\n\n".to_owned(), Fault::Form),
            (
                "GET /a HTTP/1.1\r\nhost: a\nx: y\r\n\r\n".to_owned(),
                Fault::Form,
            ),
            ("GET /a HTTP/1.1\r\n\r\n".to_owned(), Fault::Host),
            (
                GET.replace(
                    "\r\n\r\n",
                    "\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n",
                ),
                Fault::Length,
            ),
            (
                format!("GET /{} HTTP/1.1\r\n", "x".repeat(HEAD)),
                Fault::TooLarge,
            ),
            ("\x16\x03\x01\x02\0\x01\n".to_owned(), Fault::Tls),
            // These were taken for a TLS handshake.
            ("\0\x01\x02\r\n\r\n".to_owned(), Fault::OtherProtocol),
            ("\0\x03\0\x08\n".to_owned(), Fault::OtherProtocol),
        ] {
            assert_eq!(refused(&head).await, Some(fault), "{head}");
            let second = format!(
                "{GET}POST /b HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{{}}{head}{GET}"
            );
            assert_eq!(refused(&second).await, Some(fault), "{second}");
        }
    }

    #[tokio::test]
    async fn nothing_passes_after_malformed_chunks() {
        let stream = format!(
            "POST /b HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n{GET}"
        );
        for piece in [1, 100_000] {
            let passed = passed(stream.as_bytes(), piece, &Upgraded::default()).await;
            assert!(passed.ends_with(b"\r\n\r\n1\r\nx"), "{piece}");
        }
    }

    #[tokio::test]
    async fn the_bytes_of_a_web_socket_pass_once_it_is_accepted() {
        let ask = GET.replace("\r\n\r\n", "\r\nupgrade: websocket\r\n\r\n");
        let (near, mut far) = tokio::io::duplex(1_000);
        let upgraded = Upgraded::default();
        let mut near = Framed::new(near, upgraded.clone());
        let mut part = [0; 200];
        for is_accepted in [false, true] {
            far.write_all(ask.as_bytes()).await.unwrap();
            let read = near.read(&mut part).await.unwrap();
            assert_eq!(&part[..read], ask.as_bytes());
            if is_accepted {
                upgraded.set();
            }
        }
        far.write_all(b"\n\n\x00").await.unwrap();
        let read = near.read(&mut part).await.unwrap();
        assert_eq!(&part[..read], b"\n\n\x00");
    }
}
