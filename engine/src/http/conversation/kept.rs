//! What a conversation keeps for what is still to come, and how it goes on without.

use super::Conversation;
use crate::http::direction::Reading;
use crate::http::flow::ExchangeSink;

impl Conversation {
    /// Bytes kept of heads that are not whole, and what the requests that wait take.
    pub fn kept_bytes(&self) -> usize {
        let heads: usize = self.directions.iter().map(|direction| direction.partial.len()).sum();
        heads + self.pairing.kept_bytes()
    }

    /// Requests that wait, where those are counted.
    pub fn kept_requests(&self) -> usize {
        self.pairing.kept_requests()
    }

    /// Gives them up: such a direction has lost its place, such requests have no response. Whether there was a head.
    pub fn give_up(&mut self, sink: &mut impl ExchangeSink) -> bool {
        let mut has_head = false;
        for direction in &mut self.directions {
            if direction.reading == Reading::Head {
                direction.lose(direction.start.seq);
                has_head = true;
            }
        }
        if self.pairing.kept_bytes() > 0 {
            while let Some(entry) = self.pairing.give_up_one() {
                self.emit(entry, sink);
            }
        }
        has_head
    }
}
