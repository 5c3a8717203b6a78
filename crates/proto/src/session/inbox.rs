//! A buffer for received bytes, for the adapters that drive the state machines.

/// A buffer that is filled at its end and consumed from its start.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    used: usize,
}

/// An empty buffer with a larger capacity than this is freed, so that an idle session holds no
/// memory for packets that it received earlier.
const IDLE_CAPACITY: usize = 512;

impl Inbox {
    /// The bytes that were not consumed yet.
    pub fn unread(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.used..).unwrap_or_default()
    }

    /// The number of unread bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() - self.used
    }

    /// Whether there are no unread bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes the first `bytes` unread bytes.
    pub fn consume(&mut self, bytes: usize) {
        self.used = (self.used + bytes).min(self.bytes.len());
        if self.used == self.bytes.len() {
            self.bytes.clear();
            self.used = 0;
            if self.bytes.capacity() > IDLE_CAPACITY {
                self.bytes = Vec::new();
            }
        }
    }

    /// The buffer to append received bytes to, with capacity for `more` of them.
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
    fn unread_bytes_precede_bytes_that_arrive_later() {
        let mut inbox = Inbox::default();
        inbox.tail(3).extend_from_slice(b"abc");
        inbox.consume(2);
        inbox.tail(2).extend_from_slice(b"de");
        assert_eq!(inbox.unread(), b"cde");
        inbox.consume(9);
        assert!(inbox.is_empty());
    }
}
