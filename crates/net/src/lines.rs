//! JSON lines over a stream: [`countersign_proto::lines`] over a socket.

use std::io;

use countersign_proto::lines::{Decoder, TooLong};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes that are read from the stream at a time.
const READ_SIZE: usize = 8 * 1024;
/// Bytes that are read at a time while no part of a line has arrived.
const IDLE_READ_SIZE: usize = 128;

/// A stream of lines. Reading is cancel-safe: no part of a line is lost.
#[derive(Debug)]
pub struct Lines<S> {
    stream: S,
    decoder: Decoder,
}

impl<S> Lines<S> {
    /// Accepts lines of at most `max_len` bytes.
    pub const fn new(stream: S, max_len: usize) -> Self {
        Self {
            stream,
            decoder: Decoder::new(max_len),
        }
    }
}

impl<S: AsyncRead + Unpin> Lines<S> {
    /// The next line without its line ending; `None` at the end of the stream.
    ///
    /// # Errors
    /// The errors of the stream; [`io::ErrorKind::InvalidData`] with [`TooLong`] inside if a line
    /// is too long.
    pub async fn next(&mut self) -> io::Result<Option<&[u8]>> {
        while !self.decoder.has_line().map_err(invalid)? {
            // An idle connection holds a small buffer.
            let size = match self.decoder.is_empty() {
                true => IDLE_READ_SIZE,
                false => READ_SIZE,
            };
            let tail = self.decoder.tail(size);
            if self.stream.read_buf(tail).await? == 0 {
                return self.decoder.last_line().map_err(invalid);
            }
        }
        self.decoder.next_line().map_err(invalid)
    }
}

impl<S: AsyncWrite + Unpin> Lines<S> {
    /// Sends encoded lines.
    ///
    /// # Errors
    /// The errors of the stream.
    pub async fn send(&mut self, lines: &[u8]) -> io::Result<()> {
        self.stream.write_all(lines).await?;
        // TLS may hold bytes that the socket did not take.
        self.stream.flush().await
    }
}

fn invalid(error: TooLong) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_read_to_the_end_of_the_stream() {
        let (near, mut far) = tokio::io::duplex(4);
        let mut lines = Lines::new(near, 8);
        let sending = async {
            far.write_all(b"one\n\ntwo\r\nthree").await.unwrap();
            drop(far);
        };
        let reading = async {
            let mut read = Vec::new();
            while let Some(line) = lines.next().await.unwrap() {
                read.push(String::from_utf8(line.to_vec()).unwrap());
            }
            read
        };
        let ((), read) = tokio::join!(sending, reading);
        assert_eq!(read, ["one", "", "two", "three"]);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_an_error() {
        let mut lines = Lines::new(&b"123456789"[..], 8);
        let error = lines.next().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(
            error.to_string(),
            "the line is longer than 8 bytes; close the connection and send shorter lines"
        );
    }
}
