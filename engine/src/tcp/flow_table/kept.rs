//! The limit of all that connections keep beside their records: bytes beyond holes, unfinished heads, requests that wait.
//!
//! Beyond it the connections that are idle for longest give up what they keep; they themselves stay. What each keeps is
//! counted anew when it has put something by or let it go, which is rare.
//!
//! A table that keeps its limits alone does so whenever it is beyond. Tables that share them agree on a [`Turn`] up to
//! which all of them give up, once in a stretch of packets, see [`super::ages`]. In a stretch what is kept grows by as much as was captured,
//! and by requests: of a few bytes each takes some hundred. So of those each of the [`parts`] of the 4-tuples may have
//! [`MORE_REQUESTS`] more within a stretch, and its own longest idle ones give up beyond.

use super::{FlowTable, parts};
use crate::settings::Settings;
use crate::tcp::payload::Payload;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Requests that may begin to wait in a part within a stretch, beyond those that cease to: as many as may wait in one
/// connection.
pub const MORE_REQUESTS: usize = 1024;

/// The ordinal of a connection's last packet: the least are idle for longest, whatever clocks say, and in whichever table.
pub type Turn = u64;

/// What the connections of a table keep.
pub(super) struct Kept {
    /// Of all, where this table alone keeps it.
    limit: usize,
    all: usize,
    parts: Vec<Part>,
    /// By slot; as long as the last slot that has kept something.
    shares: Vec<Share>,
}

/// What those of a part keep.
#[derive(Clone, Default)]
struct Part {
    requests: usize,
    most_requests: usize,
    /// Those that keep bytes alone, and those of which requests wait.
    queues: [Queue; 2],
}

/// Slots by turn, as it was when last looked at: it may have become later.
type Queue = BTreeMap<Turn, u32>;

/// What a connection keeps, and its place in a queue if that is anything.
#[derive(Clone, Copy, Default)]
struct Share {
    bytes: usize,
    requests: usize,
    part: usize,
    turn: Turn,
    /// Its place in the queue: a turn that it had.
    noted: Turn,
}

impl Share {
    const fn queue(&self) -> usize {
        (self.requests > 0) as usize
    }
}

impl Kept {
    /// Nothing, in the first stretch.
    pub(super) fn new(settings: &Settings) -> Self {
        let parts = parts(settings);
        let is_alone = parts == 1;
        let most_requests = if is_alone { usize::MAX } else { MORE_REQUESTS };
        let part = Part { most_requests, ..Part::default() };
        let limit = if is_alone { settings.max_kept_bytes } else { usize::MAX };
        Kept { limit, all: 0, parts: vec![part; parts], shares: Vec::new() }
    }

    /// What the connection in slot `at` keeps.
    #[inline]
    pub(super) fn of(&self, at: u32) -> usize {
        self.shares.get(at as usize).map_or(0, |share| share.bytes)
    }

    /// Another stretch of packets begins.
    pub(super) fn turn(&mut self) {
        for part in &mut self.parts {
            part.most_requests = part.requests.saturating_add(MORE_REQUESTS);
        }
    }

    /// The connection in slot `at` keeps so much now.
    fn note(&mut self, at: u32, mut share: Share) {
        if self.shares.len() <= at as usize {
            if share.bytes == 0 {
                return;
            }
            self.shares.resize(at as usize + 1, Share::default());
        }
        let old = &mut self.shares[at as usize];
        share.noted = share.turn;
        if old.bytes > 0 {
            (share.part, share.noted) = (old.part, old.noted);
        }
        let (part, is_moved) = (&mut self.parts[share.part], old.queue() != share.queue());
        part.requests = part.requests - old.requests + share.requests;
        self.all = self.all - old.bytes + share.bytes;
        if old.bytes > 0 && (share.bytes == 0 || is_moved) {
            part.queues[old.queue()].remove(&old.noted);
        }
        if share.bytes > 0 && (old.bytes == 0 || is_moved) {
            part.queues[share.queue()].insert(share.noted, at);
        }
        *old = share;
    }

    /// The one in slot `at` keeps nothing any more.
    pub(super) fn forget(&mut self, at: u32) {
        if self.of(at) > 0 {
            self.note(at, Share::default());
        }
    }

    /// Moves it to where it belongs in its queue, if it is not there; whether it was.
    fn postpone(&mut self, at: u32) -> bool {
        let share = &mut self.shares[at as usize];
        let is_there = share.noted == share.turn;
        if !is_there {
            let queue = &mut self.parts[share.part].queues[share.queue()];
            queue.remove(&share.noted);
            share.noted = share.turn;
            queue.insert(share.turn, at);
        }
        is_there
    }
}

impl<P: Payload> FlowTable<P> {
    /// Whether what the connection in slot `at` keeps is known: whoever changed it has said so.
    pub(super) fn is_counted(&self, at: u32) -> bool {
        let bytes = self.slots[at as usize].connection.as_ref().map_or(0, |connection| connection.kept_bytes());
        bytes == self.kept.of(at)
    }

    /// Counts what the connection in slot `at` keeps after this packet, and gives up what is beyond the limits that hold
    /// at any time. It is called for every packet of one that keeps anything.
    #[cold]
    #[inline(never)]
    pub(super) fn recount(&mut self, at: u32, turn: Turn, sink: &mut P::Sink) {
        self.note_kept(at, turn);
        let part = self.part_of(at);
        while self.kept.all > self.kept.limit
            && let Some((_, at)) = self.first_of(part)
        {
            self.give_up(at, sink);
        }
        while self.kept.parts[part].requests > self.kept.parts[part].most_requests
            && let Some((_, at)) = self.first_in(part, 1)
        {
            self.give_up(at, sink);
        }
    }

    fn note_kept(&mut self, at: u32, turn: Turn) {
        if let Some(connection) = &self.slots[at as usize].connection {
            let (bytes, requests) = (connection.kept_bytes(), connection.kept_requests());
            self.kept.note(at, Share { bytes, requests, part: self.part_of(at), turn, noted: turn });
        }
    }

    /// Counts anew what a connection keeps that kept something, without a packet of its own.
    pub(super) fn recount_idle(&mut self, at: u32) {
        if self.kept.of(at) > 0 {
            self.note_kept(at, self.kept.shares[at as usize].turn);
        }
    }

    fn part_of(&self, at: u32) -> usize {
        self.slots[at as usize].key.partition() % self.kept.parts.len()
    }

    fn give_up(&mut self, at: u32, sink: &mut P::Sink) {
        if let Some(connection) = &mut self.slots[at as usize].connection {
            connection.give_up_kept(sink);
        }
        self.kept.forget(at);
    }

    /// The longest idle of a part that keep anything.
    fn first_of(&mut self, part: usize) -> Option<(Turn, u32)> {
        [self.first_in(part, 0), self.first_in(part, 1)].into_iter().flatten().min()
    }

    /// The longest idle in one of a part's queues.
    fn first_in(&mut self, part: usize, queue: usize) -> Option<(Turn, u32)> {
        self.next_in(part, queue, Bound::Unbounded)
    }

    /// The next in a queue, of those that were not heard of later than is noted.
    fn next_in(&mut self, part: usize, queue: usize, after: Bound<Turn>) -> Option<(Turn, u32)> {
        loop {
            let mut rest = self.kept.parts[part].queues[queue].range((after, Bound::Unbounded));
            let (&noted, &at) = rest.next()?;
            if self.kept.postpone(at) {
                return Some((noted, at));
            }
        }
    }

    /// What all connections keep, in bytes.
    #[must_use]
    pub const fn kept_bytes(&self) -> usize {
        self.kept.all
    }

    /// Those of the connections that keep something which are idle for longest, in that order, with what each keeps: so
    /// many that they keep `wanted` bytes, or all.
    pub fn oldest_kept(&mut self, wanted: u64) -> Vec<(Turn, u64)> {
        let mut oldest = Vec::new();
        for (part, queue) in (0..self.kept.parts.len()).flat_map(|part| [(part, 0), (part, 1)]) {
            let (mut bytes, mut after) = (0, Bound::Unbounded);
            while bytes < wanted
                && let Some((turn, at)) = self.next_in(part, queue, after)
            {
                bytes += self.kept.of(at) as u64;
                after = Bound::Excluded(turn);
                oldest.push((turn, self.kept.of(at) as u64));
            }
        }
        oldest.sort_unstable();
        oldest
    }

    /// Those give up what they keep whose turn is this or before.
    pub fn give_up_through(&mut self, last: Turn, sink: &mut P::Sink) {
        for part in 0..self.kept.parts.len() {
            while let Some((_, at)) = self.first_of(part).filter(|&(turn, _)| turn <= last) {
                self.give_up(at, sink);
            }
        }
    }
}
