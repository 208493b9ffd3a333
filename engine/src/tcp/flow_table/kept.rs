//! The limit of all that connections keep beside their records: bytes beyond holes, unfinished heads, requests that wait.
//!
//! Each of the [`parts`] has its share of `max_kept_bytes`, so what is given up does not depend on the number of threads.
//! It is counted anew for a connection when it has put something by or let it go, which is rare. Beyond the share the
//! connections that are idle for longest give up what they keep; they themselves stay.

use super::{FlowTable, parts};
use crate::decode::FlowKey;
use crate::settings::Settings;
use crate::tcp::connection::Connection;
use crate::tcp::payload::Payload;
use std::collections::BTreeMap;

/// What the connections of a table keep.
pub(super) struct Kept {
    /// Of a part.
    most: usize,
    parts: Vec<Part>,
    /// By slot; as long as the last slot that has kept something.
    shares: Vec<Share>,
}

/// What those of a part keep.
#[derive(Clone, Default)]
struct Part {
    all: usize,
    turns: BTreeMap<Turn, u32>,
}

/// When a connection's last packet came, or an earlier one, and its ordinal: what does not depend on the slot that it has.
type Turn = (i64, u64);

#[derive(Clone, Copy, Default)]
struct Share {
    bytes: usize,
    /// Whose it is, and its place among the part's turns, if it keeps anything.
    part: usize,
    turn: Turn,
}

impl Kept {
    /// Nothing, with each part's share of the limit.
    pub(super) fn new(settings: &Settings) -> Self {
        let parts = parts(settings);
        let most = settings.max_kept_bytes.div_ceil(parts);
        Kept { most, parts: vec![Part::default(); parts], shares: Vec::new() }
    }

    /// What the connection in slot `at` keeps.
    #[inline]
    pub(super) fn of(&self, at: u32) -> usize {
        self.shares.get(at as usize).map_or(0, |share| share.bytes)
    }

    /// The connection in slot `at` keeps what it says now.
    pub(super) fn note<P: Payload>(&mut self, at: u32, key: &FlowKey, connection: &Connection<P>) {
        let bytes = connection.kept_bytes();
        if bytes == 0 || self.of(at) > 0 {
            return self.change(at, bytes);
        }
        if self.shares.len() <= at as usize {
            self.shares.resize(at as usize + 1, Share::default());
        }
        let share = &mut self.shares[at as usize];
        *share = Share {
            bytes: 0,
            part: key.partition() % self.parts.len(),
            turn: (connection.last.ts_ns, connection.ordinal),
        };
        self.parts[share.part].turns.insert(share.turn, at);
        self.change(at, bytes);
    }

    /// The one in slot `at`, which keeps something or did so before, keeps so much now.
    pub(super) fn change(&mut self, at: u32, bytes: usize) {
        let Some(share) = self.shares.get_mut(at as usize).filter(|share| share.bytes != bytes) else { return };
        let part = &mut self.parts[share.part];
        part.all = part.all - share.bytes + bytes;
        share.bytes = bytes;
        if bytes == 0 {
            part.turns.remove(&share.turn);
        }
    }

    /// Whose turn it is in a part to give up what it keeps, unless it had a packet after that time; none within the limit.
    fn turn(&self, part: usize) -> Option<(i64, u32)> {
        let part = self.parts.get(part).filter(|part| part.all > self.most)?;
        part.turns.first_key_value().map(|(&(noted_ns, _), &at)| (noted_ns, at))
    }

    /// It had.
    fn postpone(&mut self, at: u32, last_ns: i64) {
        let share = &mut self.shares[at as usize];
        let turns = &mut self.parts[share.part].turns;
        turns.remove(&share.turn);
        share.turn.0 = last_ns;
        turns.insert(share.turn, at);
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
        let slot = &self.slots[at as usize];
        if let Some(connection) = &slot.connection {
            self.kept.note(at, &slot.key, connection);
        }
        let part = slot.key.partition() % self.kept.parts.len();
        while let Some((noted_ns, at)) = self.kept.turn(part) {
            if let Some(connection) = &mut self.slots[at as usize].connection {
                if connection.last.ts_ns > noted_ns {
                    self.kept.postpone(at, connection.last.ts_ns);
                    continue;
                }
                connection.give_up_kept(sink);
            }
            self.kept.change(at, 0);
        }
    }
}
