//! Content: bytes of any number that come with an operation or with its answer, a piece at a time, so
//! that nobody ever holds all of them.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{BoxStream, Stream, StreamExt};

/// Pieces of bytes until there are no more.
pub struct Content(BoxStream<'static, Result<Vec<u8>, ContentBroken>>);

/// Content ended before it was whole: its sender gave up, or the connection was lost. What was done with
/// the part that came must not be taken for the whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the content is not whole: {0}")]
pub struct ContentBroken(pub String);

impl Content {
    /// Content from a stream of pieces; a broken one ends it.
    #[must_use]
    pub fn new(
        pieces: impl Stream<Item = Result<Vec<u8>, ContentBroken>> + Send + 'static,
    ) -> Self {
        Self(pieces.boxed())
    }

    /// Content that is all there.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> Self {
        Self::new(futures_util::stream::iter([Ok(bytes)]))
    }

    /// The next piece; `None` when the content is whole.
    ///
    /// # Errors
    /// [`ContentBroken`]; nothing follows.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, ContentBroken>> {
        self.0.next().await
    }

    /// The next line without its line end, of at most `longest` bytes; `rest` holds what was read beyond
    /// it from one call to the next. `None` when there are no more lines.
    ///
    /// # Errors
    /// [`ContentBroken`], also when a line is longer.
    pub async fn next_line(
        &mut self,
        rest: &mut Vec<u8>,
        longest: usize,
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
            if searched > longest {
                let problem = format!("a line of more than {longest} bytes");
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

    fn lines_of(pieces: &[&str], longest: usize) -> Vec<Result<String, ContentBroken>> {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(piece.as_bytes().to_vec()))
            .collect();
        let mut content = Content::new(futures_util::stream::iter(pieces));
        let (mut rest, mut lines) = (Vec::new(), Vec::new());
        while let Some(line) = content
            .next_line(&mut rest, longest)
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
    fn lines_come_out_however_the_pieces_are_cut() {
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
