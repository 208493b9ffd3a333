//! What a connection keeps beside its record, and how it goes on without: what waits beyond a hole, and its reader's.

use super::{Connection, note_gap, pair};
use crate::record::{Quality, Role};
use crate::tcp::payload::{Payload, Sink};

impl<P: Payload> Connection<P> {
    /// Bytes kept for what is still to come, also of the incarnation before.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        let before = self.predecessor.as_ref().map_or(0, |old| old.kept_bytes());
        before + self.own_kept_bytes()
    }

    fn own_kept_bytes(&self) -> usize {
        let waiting: usize = self.ends.iter().map(|end| end.stream.kept_bytes()).sum();
        waiting + self.payload.as_ref().map_or(0, Payload::kept_bytes)
    }

    /// Requests among that, also of the incarnation before.
    #[must_use]
    pub fn kept_requests(&self) -> usize {
        let before = self.predecessor.as_ref().map_or(0, |old| old.kept_requests());
        before + self.payload.as_ref().map_or(0, Payload::kept_requests)
    }

    /// Gives all of that up: holes are gaps, and reading goes on behind them.
    #[cold]
    pub fn give_up_kept(&mut self, sink: &mut P::Sink) {
        if let Some(old) = &mut self.predecessor {
            old.give_up_kept(sink);
        }
        let bytes = self.own_kept_bytes();
        if bytes == 0 {
            return;
        }
        sink.given_up(bytes as u64);
        for role in [Role::Client, Role::Server] {
            if self.ends[role as usize].stream.waits() {
                self.give_up_holes(role, sink);
            }
        }
        if let Some(reader) = &mut self.payload
            && reader.give_up(sink)
        {
            self.quality.0 |= Quality::GAP;
        }
    }

    fn give_up_holes(&mut self, role: Role, sink: &mut P::Sink) {
        let (quality, history, reader) = (&mut self.quality, &mut self.history, &mut self.payload);
        let (end, peer) = pair(&mut self.ends, role);
        end.stream.finish(&mut |piece| {
            note_gap(&piece, role, peer, quality, history);
            if let Some(reader) = reader {
                reader.feed(role, piece, sink);
            }
        });
        self.quality.0 |= Quality::GAP;
        self.finish_stream(role, sink);
    }
}
