//! A sealed channel (`docs/protocol/device.md`, Sealed channel) over a stream of bytes.
//!
//! A client opens it with [`SealedStream::connect`]; a site receives the client's key with
//! [`client_key`], and opens it with [`SealedStream::answer`] when it has a turn at public-key work.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use countersign_crypto::entropy::Entropy;
use countersign_crypto::secret::SecretBytes;
use countersign_crypto::sign::VerifyingKey;
use countersign_proto::enrolment::Exporter;
use countersign_proto::enrolment::channel::client::{AwaitingSiteKey, SiteKeyStep};
use countersign_proto::enrolment::channel::{
    AwaitingClientKey, ClientKey, ClientKeyStep, MAX_SEALED_RECORD, SealedChannel,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// The size of a buffer in bytes. A record is read in several parts.
const BUFFER: usize = 1_024;

/// The two directions of a sealed channel over a stream `S`.
pub struct SealedStream<S> {
    stream: S,
    /// `None` after a record that could not be opened.
    channel: Option<SealedChannel>,
    exporter: Exporter,
    /// Plaintext that was not read yet, from `read` on.
    arrived: SecretBytes,
    read: usize,
    /// Records that were not sent yet, from `sent` on.
    leaving: Vec<u8>,
    sent: usize,
}

/// Receives the key of a client, and nothing after it.
///
/// # Errors
/// The error of the stream. Of kind [`io::ErrorKind::InvalidData`] if the bytes are not a key.
pub async fn client_key(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<ClientKey> {
    let mut awaiting = AwaitingClientKey::new();
    loop {
        let bytes = part(stream, awaiting.room()).await?;
        match awaiting.receive(&bytes).map_err(invalid)? {
            ClientKeyStep::More(more) => awaiting = more,
            ClientKeyStep::Key(key) => return Ok(key),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> SealedStream<S> {
    /// Opens a channel as a client. Returns the key that the site proved: compare it with the
    /// site's newest key event before you send a secret.
    ///
    /// # Errors
    /// The error of the stream. Of kind [`io::ErrorKind::InvalidData`] if the server proves no key.
    pub fn connect(
        mut stream: S,
        entropy: &mut dyn Entropy,
    ) -> impl Future<Output = io::Result<(Self, VerifyingKey)>> + use<S> {
        // Before the future, which must not borrow the entropy.
        let (mut awaiting, key) = AwaitingSiteKey::start(entropy);
        async move {
            stream.write_all(&key).await?;
            stream.flush().await?;
            loop {
                let bytes = part(&mut stream, awaiting.room()).await?;
                match awaiting.receive(&bytes).map_err(invalid)? {
                    SiteKeyStep::More(more) => awaiting = more,
                    SiteKeyStep::Open(channel, site) => {
                        return Ok((Self::over(stream, *channel), site));
                    }
                }
            }
        }
    }

    /// Sends what [`ClientKey::answer`] returned.
    ///
    /// # Errors
    /// The error of the stream.
    pub async fn answer(mut stream: S, channel: SealedChannel, answer: &[u8]) -> io::Result<Self> {
        stream.write_all(answer).await?;
        stream.flush().await?;
        Ok(Self::over(stream, channel))
    }

    fn over(stream: S, channel: SealedChannel) -> Self {
        Self {
            stream,
            exporter: *channel.exporter(),
            channel: Some(channel),
            arrived: Vec::new().into(),
            read: 0,
            leaving: Vec::new(),
            sent: 0,
        }
    }

    /// The value that the proof of a registration signs.
    #[must_use]
    pub const fn enrolment_exporter(&self) -> Exporter {
        self.exporter
    }

    /// Sends what was sealed.
    fn poll_leaving(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(bytes @ [_, ..]) = self.leaving.get(self.sent..) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        self.leaving.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

/// The next bytes of a stream, at most so many.
async fn part(stream: &mut (impl AsyncRead + Unpin), room: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(room);
    match stream.take(room as u64).read_buf(&mut bytes).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(bytes),
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for SealedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if let Some(rest @ [_, ..]) = this.arrived.expose().get(this.read..) {
                let (taken, _) = rest.split_at(rest.len().min(buffer.remaining()));
                buffer.put_slice(taken);
                this.read += taken.len();
                return Poll::Ready(Ok(()));
            }
            let Some(channel) = this.channel.take() else {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            };
            let mut bytes = [0; BUFFER];
            let room = channel.room().min(BUFFER);
            let (room, _) = bytes.split_at_mut(room);
            let mut sealed = ReadBuf::new(room);
            match Pin::new(&mut this.stream).poll_read(context, &mut sealed) {
                Poll::Ready(Ok(())) if !sealed.filled().is_empty() => {}
                // Pending, the end, or an error of the stream.
                other => {
                    this.channel = Some(channel);
                    return other;
                }
            }
            let (channel, text) = channel.receive(sealed.filled()).map_err(invalid)?;
            (this.channel, this.arrived, this.read) = (Some(channel), text, 0);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for SealedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // One record at a time.
        ready!(this.poll_leaving(context))?;
        let (part, _) = bytes.split_at(bytes.len().min(MAX_SEALED_RECORD));
        let Some(channel) = &mut this.channel else {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        };
        this.leaving = channel.seal(part).map_err(invalid)?;
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_leaving(context))?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_leaving(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
