//! Content in both directions: pieces, ends, consumption and cancellation.

use super::Simulator;

/// The content of one message: what its sender sent, and what its receiver has of it.
#[derive(Default)]
pub(super) struct Stream {
    pub(super) sent: Vec<u8>,
    pub(super) received: Vec<u8>,
    pub(super) ended: bool,
    pub(super) complete: bool,
    pub(super) cancelled: bool,
    /// The cost of the pieces that were received and not yet reported as consumed.
    pub(super) unconsumed: u64,
}

impl Stream {
    /// Whether it is complete or cancelled.
    pub(super) fn is_over(&self) -> bool {
        self.complete || self.cancelled
    }
}

impl Simulator<'_> {
    /// The content of an operation (`up`) or of a result.
    pub(super) fn stream(&mut self, up: bool, id: u64) -> &mut Stream {
        let streams = if up { &mut self.up } else { &mut self.down };
        streams.get_mut(&id).unwrap()
    }

    fn some_stream(&mut self) -> Option<(bool, u64)> {
        let up = self.up.iter().map(|(id, stream)| (true, *id, stream));
        let down = self.down.iter().map(|(id, stream)| (false, *id, stream));
        let open: Vec<(bool, u64)> = up
            .chain(down)
            .filter(|(_, _, stream)| !stream.is_over())
            .map(|(up, id, _)| (up, id))
            .collect();
        let at = self.choices.below(open.len().max(1));
        open.get(at).copied()
    }

    pub(super) fn send_content(&mut self) {
        let Some((up, id)) = self.some_stream() else {
            return;
        };
        let wanted = match up {
            true => self.client.session.wants_content(id),
            false => self.server.wants_content(id),
        };
        let length = [1, 200, 3_000, 60_000][self.choices.below(4)];
        let byte = u8::try_from(self.choices.below(256)).unwrap();
        let stream = self.stream(up, id);
        if stream.ended || !wanted {
            return;
        }
        stream.sent.extend(std::iter::repeat_n(byte, length));
        match up {
            true => self.client.session.send_content(id, vec![byte; length]),
            false => self.server.send_content(id, vec![byte; length]),
        }
    }

    pub(super) fn end_content(&mut self) {
        if let Some((up, id)) = self.some_stream() {
            self.end(up, id);
        }
    }

    fn end(&mut self, up: bool, id: u64) {
        self.stream(up, id).ended = true;
        match up {
            true => self.client.session.end_content(id),
            false => self.server.end_content(id),
        }
    }

    pub(super) fn consume_content(&mut self) {
        if let Some((up, id)) = self.some_stream() {
            self.consume_all(up, id);
        }
    }

    fn consume_all(&mut self, up: bool, id: u64) {
        let used = std::mem::take(&mut self.stream(up, id).unconsumed);
        match up {
            true => self.server.consumed(id, used).unwrap(),
            false => self.client.session.consumed(id, used).unwrap(),
        }
    }

    /// Either end cancels an operation's content, in both directions.
    pub(super) fn cancel(&mut self) {
        let Some((_, id)) = self.some_stream() else {
            return;
        };
        match self.choices.one_in(2) {
            true => self.client.session.cancel(id).unwrap(),
            false => self.server.cancel(id).unwrap(),
        }
        self.mark_cancelled(id);
    }

    pub(super) fn mark_cancelled(&mut self, id: u64) {
        for streams in [&mut self.up, &mut self.down] {
            if let Some(stream) = streams.get_mut(&id) {
                stream.cancelled = true;
            }
        }
    }

    /// Consumes all content that was received, and ends all content that is open.
    pub(super) fn end_and_consume_all_content(&mut self) {
        let up: Vec<(bool, u64)> = self.up.keys().map(|id| (true, *id)).collect();
        let down = self.down.keys().map(|id| (false, *id));
        for (up, id) in up.into_iter().chain(down.collect::<Vec<_>>()) {
            self.consume_all(up, id);
            if !self.stream(up, id).ended {
                self.end(up, id);
            }
        }
    }
}
