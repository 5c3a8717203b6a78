//! JSON lines over a stream: [`countersign_proto::lines`] with a socket below.

use std::io;

use countersign_proto::lines::{Decoder, TooLong};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes asked of the stream at a time.
const READ_AT_A_TIME: usize = 8 * 1024;

/// A stream of lines. Reading is safe to cancel: a line is read whole or not at all.
#[derive(Debug)]
pub struct Lines<S> {
    stream: S,
    decoder: Decoder,
}

impl<S> Lines<S> {
    /// Accepts lines of at most `longest` bytes.
    pub const fn new(stream: S, longest: usize) -> Self {
        Self {
            stream,
            decoder: Decoder::new(longest),
        }
    }
}

impl<S: AsyncRead + Unpin> Lines<S> {
    /// The next line without its line end; `None` when the other side sends no more.
    ///
    /// # Errors
    /// Those of the stream; [`io::ErrorKind::InvalidData`] with
    /// [`TooLong`] inside when a line is too long.
    pub async fn next(&mut self) -> io::Result<Option<&[u8]>> {
        while !self.decoder.has_line().map_err(invalid)? {
            let tail = self.decoder.tail(READ_AT_A_TIME);
            if self.stream.read_buf(tail).await? == 0 {
                return self.decoder.last_line().map_err(invalid);
            }
        }
        self.decoder.next_line().map_err(invalid)
    }
}

impl<S: AsyncWrite + Unpin> Lines<S> {
    /// Sends lines that are encoded already.
    ///
    /// # Errors
    /// Those of the stream.
    pub async fn send(&mut self, lines: &[u8]) -> io::Result<()> {
        self.stream.write_all(lines).await
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
    async fn a_line_that_is_too_long_is_an_error_that_says_so() {
        let mut lines = Lines::new(&b"123456789"[..], 8);
        let error = lines.next().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(
            error.to_string(),
            "the line is longer than 8 bytes; close the connection and send shorter lines"
        );
    }
}
