//! 802.11 frames that were sent again because no acknowledgment was heard: the same packet once more, which a flag and the
//! sender's own number tell (IEEE 802.11-2020 §10.3.2.14). A capture of the air shows both.

use super::generations::Generations;
use crate::decode::Sent;
use foldhash::fast::RandomState;
use std::hash::BuildHasher;

/// Senders that are remembered; of those beyond it those not heard for longest are forgotten.
const MOST_SENDERS: usize = 1024;
/// Frames of each that are: as many as may wait together for an acknowledgment, twice.
const MOST_FRAMES: usize = 128;
/// For how long, ns: their numbers come round after 4,096 frames.
const RECENT_NS: u64 = 2_000_000_000;

/// A station and its queue.
type Sender = ([u8; 6], [u8; 6], u8);

/// A frame's number, fragment and time, and what it begins with: between two of TCP its sender may have sent thousands.
type Shown = (u16, u8, i64, u64);

/// Its newest frames.
#[derive(Default)]
struct Frames {
    /// Of each.
    newest: Vec<Shown>,
    /// Where the next one goes.
    next: usize,
}

/// Remembers frames.
pub struct Retries {
    senders: Generations<Sender, Frames>,
    hasher: RandomState,
}

impl Retries {
    /// None so far.
    pub fn new() -> Self {
        Retries { senders: Generations::of(MOST_SENDERS / 2), hasher: RandomState::default() }
    }

    /// Whether a frame is one that was shown before.
    pub fn look(&mut self, sent: &Sent, begin: &[u8], ts_ns: i64) -> bool {
        let (frame, print) = (&sent.frame, self.hasher.hash_one(begin));
        let sender = (frame.receiver, frame.transmitter, frame.traffic);
        if self.senders.look(&sender).is_none() {
            self.senders.place(sender, Frames::default());
        }
        let Some(frames) = self.senders.touch(sender) else { return false };
        let is_it = |&(sequence, number, then_ns, then): &Shown| {
            (sequence, number, print) == (frame.sequence, sent.number, then) && ts_ns.abs_diff(then_ns) <= RECENT_NS
        };
        if sent.again && frames.newest.iter().any(is_it) {
            return true;
        }
        let entry = (frame.sequence, sent.number, ts_ns, print);
        match frames.newest.get_mut(frames.next) {
            Some(oldest) => *oldest = entry,
            None => frames.newest.push(entry),
        }
        frames.next = (frames.next + 1) % MOST_FRAMES;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::FrameKey;

    fn sent(sequence: u16, traffic: u8, again: bool) -> Sent {
        let frame = FrameKey { receiver: [1; 6], transmitter: [2; 6], sequence, traffic };
        Sent { frame, number: 0, again }
    }

    #[test]
    fn a_frame_sent_again_is_known_whatever_came_between() {
        let mut retries = Retries::new();
        for sequence in 0..100 {
            assert!(!retries.look(&sent(sequence, 0, false), b"it", 0));
        }
        assert!(retries.look(&sent(3, 0, true), b"it", 1_000_000) && retries.look(&sent(3, 0, true), b"it", 2_000_000));
        assert!(!retries.look(&sent(3, 0, false), b"it", 3_000_000), "another with its number");
        assert!(!retries.look(&sent(3, 5, true), b"it", 3_000_000), "of another queue");
        assert!(!retries.look(&sent(200, 0, true), b"it", 3_000_000), "the first one was not captured");
        assert!(retries.look(&sent(200, 0, true), b"it", 4_000_000));
        assert!(!retries.look(&sent(200, 0, true), b"other", 4_000_000), "its numbers came round");
        assert!(!retries.look(&sent(99, 0, true), b"it", 2_000_000_001), "too long ago");
    }

    #[test]
    fn the_newest_are_remembered() {
        let mut retries = Retries::new();
        for sequence in 0..300 {
            retries.look(&sent(sequence, 0, false), b"it", 0);
        }
        assert!(!retries.look(&sent(171, 0, true), b"it", 1) && retries.look(&sent(173, 0, true), b"it", 1));
        for traffic in 0..=255 {
            for receiver in 0..8 {
                let mut other = sent(1, traffic, false);
                other.frame.receiver = [receiver + 10; 6];
                retries.look(&other, b"it", 0);
            }
        }
        assert!(!retries.look(&sent(299, 0, true), b"it", 1), "others took its place");
    }
}
