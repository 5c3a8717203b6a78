//! The lines that the site sends on a connection with a device or a peer.

use std::io;

use countersign_core::sessions::CloseReason;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// The lines that are not sent yet.
pub(crate) struct Output<W> {
    writer: W,
    bytes: Vec<u8>,
    sent: usize,
    /// Whether TLS may hold bytes that the socket has not taken.
    is_unflushed: bool,
}

impl<W: AsyncWrite + Unpin> Output<W> {
    /// Begins with these bytes.
    pub(crate) fn new(writer: W, first: impl Into<Vec<u8>>) -> Self {
        Self {
            writer,
            bytes: first.into(),
            sent: 0,
            is_unflushed: false,
        }
    }

    /// The number of bytes that the stream has not taken.
    pub(crate) fn unsent(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Whether there is something to write or to flush.
    pub(crate) fn is_pending(&self) -> bool {
        self.unsent() > 0 || self.is_unflushed
    }

    /// Adds a line. An outcome or event that cannot be encoded ends the connection.
    pub(crate) fn put(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
    ) -> Option<CloseReason> {
        encode(&mut self.bytes)
            .err()
            .map(|_| CloseReason::ConnectionLost)
    }

    /// Sends some of the bytes. No byte is lost or sent twice if the future is dropped.
    pub(crate) async fn write(&mut self) -> io::Result<()> {
        let unsent = self.bytes.get(self.sent..).unwrap_or_default();
        if unsent.is_empty() {
            self.writer.flush().await?;
            self.is_unflushed = false;
            // An idle connection keeps no buffer.
            (self.bytes, self.sent) = (Vec::new(), 0);
            return Ok(());
        }
        match self.writer.write(unsent).await? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            wrote => {
                self.sent += wrote;
                self.is_unflushed = true;
                Ok(())
            }
        }
    }

    /// Sends what is unsent and ends the stream.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        while self.is_pending() {
            self.write().await?;
        }
        self.writer.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_is_put_is_sent_once_and_in_order_after_the_first_bytes() {
        let (near, mut far) = tokio::io::duplex(7);
        let mut output = Output::new(near, "welcome\n");
        for line in ["one\n", "two\n"] {
            let put = output.put(|out| {
                out.extend_from_slice(line.as_bytes());
                Ok(())
            });
            assert!(put.is_none());
        }
        let sending = async {
            output.finish().await.unwrap();
            assert!(!output.is_pending());
            drop(output);
        };
        let mut read = String::new();
        let (_, arrived) = tokio::join!(sending, far.read_to_string(&mut read));
        arrived.unwrap();
        assert_eq!(read, "welcome\none\ntwo\n");
    }
}
