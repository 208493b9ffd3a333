//! The limit of all that connections keep beside their records: bytes beyond holes, unfinished heads, requests that wait.
//!
//! Each part of the table has its share of `max_kept_bytes`, so what is given up does not depend on the number of threads.
//! It is counted anew for a connection when it has put something by or let it go, which is rare. Beyond the share the
//! connections that are idle for longest give up what they keep; they themselves stay.

use super::{FlowTable, parts};
use crate::settings::Settings;
use crate::tcp::payload::Payload;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What the connections of a part keep.
pub(super) struct Kept {
    most: usize,
    all: usize,
    /// By slot; as long as the last slot that has kept something.
    shares: Vec<Share>,
    /// Slots by the time of their last packet, or an earlier one: each that keeps something, once.
    turns: BinaryHeap<Reverse<(i64, u32)>>,
}

#[derive(Clone, Copy, Default)]
struct Share {
    bytes: usize,
    /// It is among the turns.
    has_turn: bool,
}

impl Kept {
    /// Nothing, with this part's share of the limit.
    pub(super) fn new(settings: &Settings) -> Self {
        let most = settings.max_kept_bytes.div_ceil(parts(settings));
        Kept { most, all: 0, shares: Vec::new(), turns: BinaryHeap::new() }
    }

    /// What the connection in slot `at` keeps.
    #[inline]
    pub(super) fn of(&self, at: u32) -> usize {
        self.shares.get(at as usize).map_or(0, |share| share.bytes)
    }

    /// It keeps so much now; its last packet came at `last_ns`.
    pub(super) fn note(&mut self, at: u32, bytes: usize, last_ns: i64) {
        if bytes == self.of(at) {
            return;
        }
        if self.shares.len() <= at as usize {
            self.shares.resize(at as usize + 1, Share::default());
        }
        let share = &mut self.shares[at as usize];
        self.all = self.all - share.bytes + bytes;
        share.bytes = bytes;
        if bytes > 0 && !std::mem::replace(&mut share.has_turn, true) {
            self.turns.push(Reverse((last_ns, at)));
        }
    }

    /// Whose turn it is to give up what it keeps, unless it had a packet after that time; none within the limit.
    fn turn(&mut self) -> Option<(i64, u32)> {
        while self.all > self.most {
            let Reverse((noted_ns, at)) = self.turns.pop()?;
            if self.of(at) > 0 {
                return Some((noted_ns, at));
            }
            self.shares[at as usize].has_turn = false;
        }
        None
    }
}

impl<P: Payload> FlowTable<P> {
    /// Whether what the connection in slot `at` keeps is known: whoever changed it has said so.
    pub(super) fn is_counted(&self, at: u32) -> bool {
        let bytes = self.slots[at as usize].connection.as_ref().map_or(0, |connection| connection.kept_bytes());
        bytes == self.kept.of(at)
    }

    /// Counts what the connection in slot `at` keeps, and gives up what is beyond the limit.
    #[cold]
    #[inline(never)]
    pub(super) fn recount(&mut self, at: u32, sink: &mut P::Sink) {
        if let Some(connection) = &self.slots[at as usize].connection {
            self.kept.note(at, connection.kept_bytes(), connection.last.ts_ns);
        }
        while let Some((noted_ns, at)) = self.kept.turn() {
            let connection = self.slots[at as usize].connection.as_mut();
            let last_ns = connection.as_ref().map_or(noted_ns, |connection| connection.last.ts_ns);
            if last_ns > noted_ns {
                self.kept.turns.push(Reverse((last_ns, at)));
                continue;
            }
            if let Some(connection) = connection {
                connection.give_up_kept(sink);
            }
            self.kept.shares[at as usize].has_turn = false;
            self.kept.note(at, 0, last_ns);
        }
    }
}
