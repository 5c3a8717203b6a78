//! Content: a sequence of bytes of any length that accompanies an operation or its result. It is
//! transferred in pieces, so that no party needs to hold all of it in memory.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{BoxStream, Stream, StreamExt};

/// A stream of pieces.
pub struct Content(BoxStream<'static, Result<Vec<u8>, ContentBroken>>);

/// The content ended before it was complete: the sender aborted, or the connection was lost. The
/// part that arrived must not be treated as the whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the content is incomplete: {0}")]
pub struct ContentBroken(pub String);

impl Content {
    /// Makes content from a stream of pieces. An error ends it.
    #[must_use]
    pub fn new(
        pieces: impl Stream<Item = Result<Vec<u8>, ContentBroken>> + Send + 'static,
    ) -> Self {
        Self(pieces.boxed())
    }

    /// Makes content from bytes in memory.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> Self {
        Self::new(futures_util::stream::iter([Ok(bytes)]))
    }

    /// Returns the next piece; `None` at the end.
    ///
    /// # Errors
    /// [`ContentBroken`]; no more pieces follow.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, ContentBroken>> {
        self.0.next().await
    }

    /// Returns the next line without its line end; `None` at the end. A line has at most
    /// `max_length` bytes. `rest` keeps bytes that were read beyond the line; pass the same buffer
    /// to every call.
    ///
    /// # Errors
    /// [`ContentBroken`], also if a line is longer.
    pub async fn next_line(
        &mut self,
        rest: &mut Vec<u8>,
        max_length: usize,
    ) -> Option<Result<Vec<u8>, ContentBroken>> {
        let mut searched = 0;
        loop {
            let unsearched = rest.get(searched..).unwrap_or_default();
            if let Some(end) = unsearched.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = rest.drain(..=searched + end).collect();
                line.pop();
                return Some(Ok(line));
            }
            searched = rest.len();
            if searched > max_length {
                let problem = format!("a line has more than {max_length} bytes");
                return Some(Err(ContentBroken(problem)));
            }
            match self.next().await {
                Some(Ok(piece)) => rest.extend_from_slice(&piece),
                Some(Err(broken)) => return Some(Err(broken)),
                None if rest.is_empty() => return None,
                None => return Some(Ok(std::mem::take(rest))),
            }
        }
    }
}

impl Stream for Content {
    type Item = Result<Vec<u8>, ContentBroken>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Content(..)")
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn lines_of(pieces: &[&str], max_length: usize) -> Vec<Result<String, ContentBroken>> {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(piece.as_bytes().to_vec()))
            .collect();
        let mut content = Content::new(futures_util::stream::iter(pieces));
        let (mut rest, mut lines) = (Vec::new(), Vec::new());
        while let Some(line) = content
            .next_line(&mut rest, max_length)
            .now_or_never()
            .unwrap()
        {
            let broken = line.is_err();
            lines.push(line.map(|line| String::from_utf8(line).unwrap()));
            if broken {
                break;
            }
        }
        lines
    }

    #[test]
    fn lines_do_not_depend_on_how_pieces_are_divided() {
        let expected: Vec<_> = ["one", "", "three"].map(|line| Ok(line.to_owned())).into();
        assert_eq!(lines_of(&["one\n\nthree\n"], 9), expected);
        assert_eq!(lines_of(&["o", "ne\n", "\nthr", "ee"], 9), expected);
        assert_eq!(lines_of(&[], 9), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_refused() {
        assert!(lines_of(&["123456789\n"], 9)[0].is_ok());
        assert!(lines_of(&["1234567890", "1\n"], 9)[0].is_err());
    }
}
