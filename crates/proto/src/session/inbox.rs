//! Bytes that arrived and were not used yet, for the adapters that feed the machines.

/// A buffer that is read into at its end and used from its start.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    used: usize,
}

/// A buffer larger than this is given back when it is empty: an idle session holds no memory for
/// packets that it once received.
const KEPT_CAPACITY: usize = 512;

impl Inbox {
    /// What arrived and was not used yet.
    pub fn unread(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.used..).unwrap_or_default()
    }

    /// How many bytes are unread.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.used
    }

    /// Whether nothing is unread.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Marks the first `bytes` unread bytes as used.
    pub fn consume(&mut self, bytes: usize) {
        self.used = (self.used + bytes).min(self.bytes.len());
        if self.used == self.bytes.len() {
            self.bytes.clear();
            self.used = 0;
            if self.bytes.capacity() > KEPT_CAPACITY {
                self.bytes = Vec::new();
            }
        }
    }

    /// Where newly arrived bytes are to be appended, with room for `more` of them.
    pub fn tail(&mut self, more: usize) -> &mut Vec<u8> {
        if self.used > 0 {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
        self.bytes.reserve(more);
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::Inbox;

    #[test]
    fn what_was_not_used_stays_in_front_of_what_follows() {
        let mut inbox = Inbox::default();
        inbox.tail(3).extend_from_slice(b"abc");
        inbox.consume(2);
        inbox.tail(2).extend_from_slice(b"de");
        assert_eq!(inbox.unread(), b"cde");
        inbox.consume(9);
        assert!(inbox.is_empty());
    }
}
