//! Splits a byte stream into lines.

/// An empty buffer with a larger capacity than this, in bytes, is freed, so that an idle connection
/// holds no memory for a line that it received earlier.
const IDLE_CAPACITY: usize = 1_024;

/// The line exceeds the maximum length. The start of the next line is unknown: close the
/// connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the line is longer than {max_length} bytes; close the connection and send shorter lines")]
pub struct TooLong {
    /// The maximum length of a line in bytes, without its line end.
    pub max_length: usize,
}

/// Splits a byte stream into lines.
///
/// ```
/// # use countersign_proto::lines::Decoder;
/// let mut decoder = Decoder::new(1024);
/// decoder.tail(16).extend_from_slice(b"one\r\ntw");
/// assert_eq!(decoder.next_line(), Ok(Some(&b"one"[..])));
/// assert_eq!(decoder.next_line(), Ok(None));
/// decoder.tail(16).extend_from_slice(b"o");
/// assert_eq!(decoder.last_line(), Ok(Some(&b"two"[..])));
/// ```
#[derive(Debug)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// The number of bytes at the start that were returned as lines.
    used: usize,
    /// Bytes up to here, after `used`, contain no line end.
    searched: usize,
    max_length: usize,
}

impl Decoder {
    /// Accepts lines of at most `max_length` bytes without their line ends.
    #[must_use]
    pub const fn new(max_length: usize) -> Self {
        Self {
            bytes: Vec::new(),
            used: 0,
            searched: 0,
            max_length,
        }
    }

    /// The buffer to append received bytes to, with capacity for `more` of them.
    pub fn tail(&mut self, more: usize) -> &mut Vec<u8> {
        self.bytes.drain(..self.used);
        self.searched -= self.used;
        self.used = 0;
        if self.bytes.is_empty() && self.bytes.capacity() > IDLE_CAPACITY.max(more) {
            self.bytes = Vec::new();
        }
        self.bytes.reserve(more);
        &mut self.bytes
    }

    /// Whether no byte is left that was not returned as a line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used == self.bytes.len()
    }

    /// Whether a complete line has arrived.
    ///
    /// # Errors
    /// [`TooLong`], then also on every later call.
    pub fn has_line(&mut self) -> Result<bool, TooLong> {
        let unsearched = self.bytes.get(self.searched..).unwrap_or_default();
        let found = unsearched.iter().position(|byte| *byte == b'\n');
        self.searched += found.unwrap_or(unsearched.len());
        if self.searched - self.used > self.max_length {
            return Err(TooLong {
                max_length: self.max_length,
            });
        }
        Ok(found.is_some())
    }

    /// The next line without its line end; `None` until more bytes arrive.
    ///
    /// # Errors
    /// [`TooLong`], then also on every later call.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, TooLong> {
        match self.has_line()? {
            true => Ok(self.take(1)),
            false => Ok(None),
        }
    }

    /// At the end of the stream: the next line, also one without a line end. `None` if there are no
    /// more.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn last_line(&mut self) -> Result<Option<&[u8]>, TooLong> {
        match self.has_line()? {
            true => Ok(self.take(1)),
            false if self.used < self.bytes.len() => Ok(self.take(0)),
            false => Ok(None),
        }
    }

    /// The line that ends at the searched position, before a line end of that many bytes.
    fn take(&mut self, line_end: usize) -> Option<&[u8]> {
        let end = self.searched;
        let begin = std::mem::replace(&mut self.used, end + line_end);
        self.searched = self.used;
        self.bytes.get(begin..end).map(without_return)
    }
}

/// Removes the CR of a CRLF.
fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_at_the_limit_is_accepted_and_one_byte_more_is_not() {
        let mut decoder = Decoder::new(4);
        decoder.tail(16).extend_from_slice(b"four\nfive5\n");
        assert_eq!(decoder.next_line(), Ok(Some(&b"four"[..])));
        let too_long = Err(TooLong { max_length: 4 });
        assert_eq!(decoder.next_line(), too_long);
        assert_eq!(decoder.last_line(), too_long);
    }

    /// A client that sends no line end must not fill the memory.
    #[test]
    fn a_line_without_an_end_is_refused_as_soon_as_it_is_too_long() {
        let mut decoder = Decoder::new(4);
        decoder.tail(4).extend_from_slice(b"1234");
        assert_eq!(decoder.next_line(), Ok(None));
        decoder.tail(1).push(b'5');
        assert_eq!(decoder.next_line(), Err(TooLong { max_length: 4 }));
    }

    #[test]
    fn a_byte_order_mark_and_an_empty_line_are_returned_unchanged() {
        let mut decoder = Decoder::new(8);
        let bytes = "\u{feff}a\n\n\r\n".as_bytes();
        decoder.tail(16).extend_from_slice(bytes);
        assert_eq!(decoder.next_line(), Ok(Some("\u{feff}a".as_bytes())));
        assert_eq!(decoder.next_line(), Ok(Some(&b""[..])));
        assert_eq!(decoder.next_line(), Ok(Some(&b""[..])));
        assert_eq!(decoder.last_line(), Ok(None));
    }

    #[test]
    fn memory_of_a_long_line_is_freed() {
        let mut decoder = Decoder::new(1 << 20);
        decoder.tail(0).extend_from_slice(&vec![b'a'; 1 << 20]);
        decoder.tail(1).push(b'\n');
        assert!(decoder.next_line().unwrap().is_some());
        assert!(decoder.tail(1).capacity() < IDLE_CAPACITY);
    }
}
