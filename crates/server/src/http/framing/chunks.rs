//! Where content in chunks ends (RFC 9112, section 7.1).

/// The place in chunked content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunks {
    /// In the size of a chunk, with its digits so far.
    Size { digits: u8, size: u64 },
    /// In an extension, which has no effect.
    Extension { size: u64 },
    /// After the CR of a line with a size.
    SizeEnd { size: u64 },
    /// In a chunk, with the bytes that are to come.
    Data(u64),
    /// Before the CR after a chunk.
    DataEnd,
    /// Before the LF after a chunk.
    DataEndLf,
    /// At the beginning of a line after the last chunk.
    TrailerStart,
    /// In a field after the last chunk.
    Trailer,
    /// After the CR of such a line.
    TrailerEnd,
    /// After the CR of the empty line.
    LastEnd,
}

/// What came of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// All are content, and more is to come.
    All(Chunks),
    /// The content ended after so many bytes.
    End(usize),
    /// It is malformed after so many bytes.
    Broken(usize),
}

/// Digits of a size: more than any content has.
const MAX_DIGITS: u8 = 15;

impl Chunks {
    pub(super) const START: Self = Self::Size { digits: 0, size: 0 };

    /// Follows the content through these bytes.
    pub(super) fn take(mut self, bytes: &[u8]) -> Taken {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if let Self::Data(left) = self {
                let here = u64::try_from(bytes.len() - at).unwrap_or(u64::MAX);
                if left > here {
                    return Taken::All(Self::Data(left - here));
                }
                at += usize::try_from(left).unwrap_or(usize::MAX);
                self = Self::DataEnd;
                continue;
            }
            match self.next(byte) {
                None => return Taken::Broken(at),
                Some(None) => return Taken::End(at + 1),
                Some(Some(next)) => self = next,
            }
            at += 1;
        }
        Taken::All(self)
    }

    /// The place after a byte that is no data: `None` if it does not belong there, `Some(None)` at the end.
    fn next(self, byte: u8) -> Option<Option<Self>> {
        Some(Some(match (self, byte) {
            (Self::Size { digits, size }, _) if byte.is_ascii_hexdigit() && digits < MAX_DIGITS => {
                let digit = char::from(byte).to_digit(16)?;
                Self::Size {
                    digits: digits + 1,
                    size: size * 16 + u64::from(digit),
                }
            }
            (Self::Size { digits: 1.., size }, b';') => Self::Extension { size },
            (Self::Size { digits: 1.., size } | Self::Extension { size }, b'\r') => {
                Self::SizeEnd { size }
            }
            (Self::Extension { size }, b'\t' | b' '..=b'~' | 0x80..) => Self::Extension { size },
            (Self::SizeEnd { size: 0 }, b'\n') => Self::TrailerStart,
            (Self::SizeEnd { size }, b'\n') => Self::Data(size),
            (Self::DataEnd, b'\r') => Self::DataEndLf,
            (Self::DataEndLf, b'\n') => Self::START,
            (Self::TrailerStart, b'\r') => Self::LastEnd,
            (Self::Trailer, b'\r') => Self::TrailerEnd,
            (Self::TrailerStart | Self::Trailer, b'\t' | b' '..=b'~' | 0x80..) => Self::Trailer,
            (Self::TrailerEnd, b'\n') => Self::TrailerStart,
            (Self::LastEnd, b'\n') => return Some(None),
            _ => return None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A byte at a time, as a client may send it.
    fn end_of(content: &[u8]) -> Taken {
        let mut chunks = Chunks::START;
        for (at, byte) in content.iter().enumerate() {
            match chunks.take(&[*byte]) {
                Taken::All(next) => chunks = next,
                Taken::End(taken) => return Taken::End(at + taken),
                Taken::Broken(taken) => return Taken::Broken(at + taken),
            }
        }
        Taken::All(chunks)
    }

    #[test]
    fn content_in_chunks_ends_after_its_last_chunk_and_fields() {
        for content in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "009;x=\"y\"\r\n\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n",
            "1\r\n\n\r\n0;x\r\nsum: 1\r\nb: 2\r\n\r\n",
        ] {
            let rest = format!("{content}GET /");
            let end = Taken::End(content.len());
            assert_eq!(end_of(rest.as_bytes()), end, "{content:?}");
            assert_eq!(Chunks::START.take(rest.as_bytes()), end, "{content:?}");
        }
    }

    #[test]
    fn chunks_that_parties_read_differently_are_broken() {
        for (content, at) in [
            ("5\nhello", 1),
            ("\r\n", 0),
            (";x\r\n", 0),
            ("-1\r\n", 0),
            ("0x5\r\n", 1),
            ("5 \r\n", 1),
            ("5\r\rhello", 2),
            ("5;a\nb\r\nhello", 3),
            ("5\r\nhello0\r\n\r\n", 8),
            ("5\r\nhello\n0\r\n\r\n", 8),
            ("0\r\na: b\nc: d\r\n\r\n", 7),
            ("0\r\n\n", 3),
            ("0\r\n\rx", 4),
            ("1234567890abcdef\r\n", 15),
        ] {
            let broken = Taken::Broken(at);
            assert_eq!(end_of(content.as_bytes()), broken, "{content:?}");
            assert_eq!(
                Chunks::START.take(content.as_bytes()),
                broken,
                "{content:?}"
            );
        }
    }
}
