//! One direction of a connection as the bytes its application wrote: in order, each once, holes named.
//!
//! A segment that continues the stream goes straight through, uncopied. One beyond a hole is kept until the hole
//! fills, the peer shows that it will not (it acknowledged the missing bytes, so the capture lost them), or the
//! limits are reached. Where copies overlap the first one captured wins, as it does in the kernels of today.

use super::seq;
use crate::record::Mark;
use std::collections::VecDeque;

/// Most separate runs kept per direction, beside the limit in bytes: what bounds a snaplen-cut or one-byte stream.
pub const MAX_KEPT_PIECES: usize = 2048;

/// What a run takes beside its bytes: itself, in a queue that doubles, and the allocator's own.
pub const RUN_BYTES: usize = 128;
/// A queue this long is not made shorter for what has left it.
const SHORT_QUEUE: usize = 16;

/// Farthest a segment may lie ahead of the stream unless the peer acknowledged it: the largest window there is
/// (RFC 7323 §2.3). Beyond that it is no part of this stream.
const MAX_AHEAD: u32 = 1 << 30;

/// A stretch of the stream, delivered in sequence order without overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Captured bytes.
    Data {
        /// The bytes, never empty.
        bytes: &'a [u8],
        /// Sequence number of the first byte.
        seq: u32,
        /// Acknowledgment number of the segment that carried them.
        ack: u32,
        /// The packet that carried them.
        mark: Mark,
    },
    /// Bytes that were sent and not captured: cut by the snaplen, or lost by the capture.
    Gap {
        /// How many, never 0.
        len: u64,
        /// Sequence number of the first missing byte.
        seq: u32,
        /// The packet that shows they are missing: the cut one, or the first after the hole.
        mark: Mark,
    },
}

/// What a segment contributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Payload bytes (on the wire) in sequence space that no earlier segment occupied.
    pub new_bytes: u32,
    /// Some of its bytes had been seen before.
    pub retransmitted: bool,
    /// It left a hole before itself, or filled one.
    pub out_of_order: bool,
    /// Bytes of holes given up because the limits were reached.
    pub overflow_bytes: u64,
    /// What waits beyond a hole may have changed.
    pub kept: bool,
}

/// A run of bytes beyond a hole.
#[derive(Clone, Debug)]
struct Kept {
    seq: u32,
    /// Length on the wire; `bytes` may be shorter.
    len: u32,
    bytes: Box<[u8]>,
    ack: u32,
    mark: Mark,
}

/// Runs beyond the first hole: disjoint, ascending.
#[derive(Clone, Debug, Default)]
struct Held {
    runs: VecDeque<Kept>,
    bytes: usize,
}

/// A segment's payload as far as it concerns the stream.
#[derive(Clone, Copy)]
struct Run<'a> {
    seq: u32,
    len: u32,
    bytes: &'a [u8],
    ack: u32,
    mark: Mark,
}

impl<'a> Run<'a> {
    /// The part from `from` to `to`, both within the run.
    fn cut(&self, from: u32, to: u32) -> Run<'a> {
        let skip = seq::ahead(from, self.seq) as usize;
        let len = seq::ahead(to, from);
        let rest = self.bytes.get(skip..).unwrap_or_default();
        let bytes = rest.get(..len as usize).unwrap_or(rest);
        Run { seq: from, len, bytes, ..*self }
    }

    fn end(&self) -> u32 {
        seq::add(self.seq, self.len)
    }

    /// Hands the run over: what was captured, then a gap for what was cut.
    fn deliver(&self, deliver: &mut impl FnMut(Piece<'_>)) {
        let &Run { seq, len, bytes, ack, mark } = self;
        if !bytes.is_empty() {
            deliver(Piece::Data { bytes, seq, ack, mark });
        }
        let captured = bytes.len() as u32;
        if captured < len {
            deliver(Piece::Gap { len: u64::from(len - captured), seq: seq::add(seq, captured), mark });
        }
    }
}

/// Reassembly of one direction. 32 bytes while there is no hole.
#[derive(Clone, Debug)]
pub struct Stream {
    pub(super) next: u32,
    pub(super) acked: u32,
    max_bytes: u32,
    pub(super) started: bool,
    pub(super) has_acked: bool,
    held: Option<Box<Held>>,
}

impl Stream {
    /// A stream that keeps at most `max_bytes` (and [`MAX_KEPT_PIECES`] runs) beyond a hole.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        let max_bytes = u32::try_from(max_bytes).unwrap_or(u32::MAX);
        Stream { next: 0, acked: 0, max_bytes, started: false, has_acked: false, held: None }
    }

    /// The first payload byte has this sequence number (ISN + 1). Without it the first segment pushed decides.
    pub fn start(&mut self, next_seq: u32) {
        *self = Stream { next: next_seq, started: true, ..Stream::new(self.max_bytes as usize) };
    }

    /// What comes next continues it, whatever lies between.
    pub fn lose_sight(&mut self) {
        *self = Stream::new(self.max_bytes as usize);
    }

    /// Sequence number of the next byte to deliver; `None` before the stream started.
    #[must_use]
    pub fn next_seq(&self) -> Option<u32> {
        self.started.then_some(self.next)
    }

    /// Whether bytes wait beyond a hole.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.held.is_some()
    }

    /// Bytes kept beyond a hole, with what keeping them takes.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.bytes + held.runs.len() * RUN_BYTES)
    }

    /// Takes one segment's payload: `payload` as captured, `payload_len` as it was on the wire (RFC 9293 §3.4).
    ///
    /// Delivers every byte that is now in order. `ack` is the segment's own acknowledgment number.
    pub fn push(
        &mut self,
        seq: u32,
        payload: &[u8],
        payload_len: u32,
        mark: Mark,
        ack: u32,
        deliver: &mut impl FnMut(Piece<'_>),
    ) -> Pushed {
        if payload_len == 0 {
            return Pushed::default();
        }
        if !self.started {
            self.start(seq);
        }
        let bytes = payload.get(..payload_len as usize).unwrap_or(payload);
        let run = Run { seq, len: payload_len, bytes, ack, mark };
        if seq == self.next && self.held.is_none() {
            self.next = run.end();
            run.deliver(deliver);
            return Pushed { new_bytes: payload_len, ..Pushed::default() };
        }
        self.push_slow(run, deliver)
    }

    /// Goes on over `len` bytes from `seq`, if they are the next and nothing waits: the caller delivers them.
    #[inline]
    pub fn go_on(&mut self, seq: u32, len: u32) -> bool {
        let is_next = self.started && self.next == seq && self.held.is_none();
        if is_next {
            self.next = seq::add(seq, len);
        }
        is_next
    }

    /// The peer's acknowledgment number. It closes no hole by itself: a tap may show an ACK before the data it
    /// acknowledges, so only the next segment beyond the hole (or the end) does.
    pub fn acked(&mut self, ack: u32) {
        self.acked = if self.has_acked { seq::max(self.acked, ack) } else { ack };
        self.has_acked = true;
    }

    /// Nothing more will come: delivers what waits, with gaps where bytes are missing.
    pub fn finish(&mut self, deliver: &mut impl FnMut(Piece<'_>)) {
        while self.give_up_hole(deliver).is_some() {}
    }

    /// The stream is known to reach `end` (the sequence number of a FIN): delivers what waits and a gap up to there.
    pub fn finish_at(&mut self, end: u32, mark: Mark, deliver: &mut impl FnMut(Piece<'_>)) {
        self.finish(deliver);
        let len = if self.started { seq::ahead(end, self.next) } else { 0 };
        if len > 0 {
            deliver(Piece::Gap { len: u64::from(len), seq: self.next, mark });
            self.next = end;
        }
    }

    /// Everything but "the next segment, nothing waiting".
    fn push_slow(&mut self, run: Run<'_>, deliver: &mut impl FnMut(Piece<'_>)) -> Pushed {
        let was_waiting = self.held.is_some();
        let mut pushed = Pushed { out_of_order: seq::lt(self.next, run.seq), kept: was_waiting, ..Pushed::default() };
        if seq::ahead(run.seq, self.next) > MAX_AHEAD {
            if !self.has_acked || seq::lt(self.acked, run.seq) {
                return pushed;
            }
            self.finish_at(run.seq, run.mark, deliver);
        }
        let start = seq::max(run.seq, self.next);
        if seq::lt(start, run.end()) {
            let was_waiting = self.held.is_some();
            pushed.new_bytes = self.keep(&run.cut(start, run.end()));
            let filled = self.drain(deliver);
            pushed.out_of_order |= was_waiting && filled;
            pushed.overflow_bytes = self.close_holes(pushed.out_of_order && !filled, deliver);
            pushed.kept |= self.held.is_some();
        }
        pushed.retransmitted = pushed.new_bytes < run.len;
        pushed
    }

    /// Keeps the parts of `run` that no kept run covers; returns their length.
    fn keep(&mut self, run: &Run<'_>) -> u32 {
        let held = self.held.get_or_insert_default();
        let mut at = held.runs.partition_point(|kept| seq::leq(seq::add(kept.seq, kept.len), run.seq));
        let (mut from, end, mut new_bytes) = (run.seq, run.end(), 0);
        while seq::lt(from, end) {
            let next = held.runs.get(at).map(|kept| (kept.seq, seq::add(kept.seq, kept.len)));
            let until = next.map_or(end, |(start, _)| if seq::lt(start, end) { start } else { end });
            if seq::lt(from, until) {
                let part = run.cut(from, until);
                new_bytes += part.len;
                held.insert(at, &part);
                at += 1;
            }
            from = next.map_or(end, |(_, stop)| stop);
            at += 1;
        }
        new_bytes
    }

    /// Delivers kept runs that are in order; returns whether there were any.
    fn drain(&mut self, deliver: &mut impl FnMut(Piece<'_>)) -> bool {
        let before = self.next;
        let Some(held) = self.held.as_mut() else {
            return false;
        };
        while held.runs.front().is_some_and(|kept| kept.seq == self.next) {
            let Some(kept) = held.runs.pop_front() else {
                break;
            };
            held.bytes = held.bytes.saturating_sub(kept.bytes.len());
            self.next = seq::add(kept.seq, kept.len);
            let Kept { seq, len, bytes, ack, mark } = kept;
            Run { seq, len, bytes: &bytes, ack, mark }.deliver(deliver);
        }
        if held.runs.is_empty() {
            self.held = None;
        } else {
            held.tighten();
        }
        self.next != before
    }

    /// Gives up holes that will not fill: acknowledged ones when a segment beyond arrived, then any over the limits.
    fn close_holes(&mut self, beyond: bool, deliver: &mut impl FnMut(Piece<'_>)) -> u64 {
        while beyond && self.hole_is_acknowledged() && self.give_up_hole(deliver).is_some() {}
        let mut overflow = 0;
        while self.is_over_limit() {
            overflow += self.give_up_hole(deliver).unwrap_or(0);
        }
        overflow
    }

    fn hole_is_acknowledged(&self) -> bool {
        let first = self.held.as_ref().and_then(|held| held.runs.front());
        self.has_acked && first.is_some_and(|kept| seq::leq(kept.seq, self.acked))
    }

    fn is_over_limit(&self) -> bool {
        let over = |held: &Held| held.bytes > self.max_bytes as usize || held.runs.len() > MAX_KEPT_PIECES;
        self.held.as_deref().is_some_and(over)
    }

    /// Declares the first hole a gap and delivers what follows it; the hole's length, or `None` without a hole.
    fn give_up_hole(&mut self, deliver: &mut impl FnMut(Piece<'_>)) -> Option<u64> {
        let first = self.held.as_ref()?.runs.front()?;
        let (len, seq, mark) = (u64::from(seq::ahead(first.seq, self.next)), self.next, first.mark);
        self.next = first.seq;
        if len > 0 {
            deliver(Piece::Gap { len, seq, mark });
        }
        self.drain(deliver);
        Some(len)
    }
}

impl Held {
    /// Gives back the room of runs that have left.
    fn tighten(&mut self) {
        let room = self.runs.capacity();
        if room > SHORT_QUEUE && self.runs.len() < room / 4 {
            let mut shorter = VecDeque::with_capacity(room / 2);
            shorter.append(&mut self.runs);
            self.runs = shorter;
        }
    }

    fn insert(&mut self, at: usize, part: &Run<'_>) {
        let &Run { seq, len, bytes, ack, mark } = part;
        self.bytes += bytes.len();
        self.runs.insert(at.min(self.runs.len()), Kept { seq, len, bytes: bytes.into(), ack, mark });
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
