//! From a segment's 4-tuple to its connection.
//!
//! Connections lie in a slab, found by a keyed hash (hostile tuples cannot make it slow) and chained by last packet:
//! the longest idle is the first to go. One that is over, or has been silent for long, rests in little room
//! ([`Packed`]) until a segment comes for it.
//!
//! Small limits are kept by one table, which ends its longest idle connection whenever one more comes. Great ones are
//! shared by several ([`parts`]), which end what they agree on ([`Ages`], [`FlowTable::evict_through`]); so it does not
//! depend on the number of threads who goes. What connections keep is bounded likewise ([`Turn`]).

mod ages;
mod held;
mod kept;
mod slot;

use self::ages::Ages;
pub use self::held::Held;
use self::kept::Kept;
pub use self::kept::{MORE_REQUESTS, Turn};
use self::slot::Slot;
use super::connection::Connection;
use super::connection::packed::{Packed, Shapes};
use super::incarnation::{self, Belongs, Fate};
use super::payload::{Payload, Sink};
use crate::decode::{Flags, FlowKey, PARTITIONS, Segment};
use crate::settings::{SECOND, Settings};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

const NONE: u32 = u32::MAX >> 1;

/// Silence after which a connection that is over rests: longer than a second capture of a packet may come late.
const OVER_REST_NS: i64 = 2_000_000;
/// The same for any other that can.
const OPEN_REST_NS: i64 = SECOND;
/// A limit of connections below this is kept at any time, by one table: several agree only from time to time.
const SHARED_FROM: usize = 1 << 17;
/// The same of what they keep.
const KEPT_SHARED_FROM: usize = 128 << 20;
/// Connections awake beyond which those silent for longest rest at once: a flood of SYNs opens 250,000 within a second,
/// and awake each takes seven times the room.
const MOST_AWAKE: usize = 1 << 15;

/// Into how many parts 4-tuples are split for the limits: [`PARTITIONS`], each of which a table may have, or one. It
/// follows from the limits alone.
#[must_use]
pub const fn parts(settings: &Settings) -> usize {
    let is_shared = settings.max_connections >= SHARED_FROM && settings.max_kept_bytes >= KEPT_SHARED_FROM;
    if is_shared { PARTITIONS } else { 1 }
}

/// The two ends of a chain of slots.
#[derive(Clone, Copy)]
struct Chain {
    newest: u32,
    oldest: u32,
}

impl Chain {
    const EMPTY: Chain = Chain { newest: NONE, oldest: NONE };
}

/// A new connection, in the room of an ended one if there is any.
fn opened<P: Payload>(
    spare: &mut Vec<Box<Connection<P>>>,
    segment: &Segment<'_>,
    settings: &Settings,
) -> Box<Connection<P>> {
    match spare.pop() {
        Some(mut room) => {
            room.open_again(segment);
            room
        }
        None => Box::new(Connection::open(segment, settings)),
    }
}

/// The connections of some of the parts.
pub struct FlowTable<P> {
    index: HashTable<u32>,
    hasher: RandomState,
    slots: Vec<Slot<P>>,
    resting: Vec<Packed>,
    shapes: Shapes,
    /// Connections that rest.
    at_rest: usize,
    free: Vec<u32>,
    /// By last packet.
    awake: Chain,
    /// Open connections that were idle for long when they were the oldest of the others: all of them are older.
    parked: Chain,
    /// The next ones to be looked at whether they may rest, in order of last packet: of those that are over, and of
    /// all.
    tired: [u32; 2],
    /// Ended connections whose room the next ones take.
    spare: Vec<Box<Connection<P>>>,
    kept: Kept,
    ages: Ages,
    /// Of its connections, where it alone keeps the limit.
    limit: usize,
    max_reassembly_bytes: usize,
    /// Connections ended because the table was full.
    pub evicted: u64,
}

impl<P: Payload> FlowTable<P> {
    /// An empty one.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        FlowTable {
            index: HashTable::new(),
            hasher: RandomState::default(),
            slots: Vec::new(),
            resting: Vec::new(),
            shapes: Shapes::default(),
            at_rest: 0,
            free: Vec::new(),
            awake: Chain::EMPTY,
            parked: Chain::EMPTY,
            tired: [NONE; 2],
            spare: Vec::new(),
            kept: Kept::new(settings),
            ages: Ages::default(),
            limit: if parts(settings) == 1 { settings.max_connections.max(1) } else { usize::MAX },
            max_reassembly_bytes: settings.max_reassembly_bytes,
            evicted: 0,
        }
    }

    /// Takes a segment; returns true if it opened a connection. `watch` sees the connection after it.
    pub fn accept(
        &mut self,
        segment: &Segment<'_>,
        settings: &Settings,
        sink: &mut P::Sink,
        watch: &mut impl FnMut(&Connection<P>),
    ) -> bool {
        let hash = self.hasher.hash_one(segment.key);
        let found = self.index.find(hash, |&at| self.slots[at as usize].key == segment.key).copied();
        // Nearly every segment: of a connection that goes on.
        if let Some(at) = found
            && let Some(connection) = &mut self.slots[at as usize].connection
            && segment.flags.0 & Flags::SYN.0 == 0
            && connection.predecessor.is_none()
            && !connection.is_over()
            && !incarnation::is_behind_fin(connection, segment)
        {
            connection.accept(segment, settings, sink);
            watch(connection);
            self.touch(at);
            if sink.take_kept() || self.kept.of(at) > 0 {
                self.recount(at, segment.ordinal, sink);
            }
            debug_assert!(self.is_counted(at));
            return false;
        }
        let (at, opened) = match found {
            Some(at) => {
                self.wake(at);
                (at, self.place(at, segment, settings, sink))
            }
            None => (self.insert(segment.key, hash, segment, settings, sink), true),
        };
        self.touch(at);
        self.hand_over(at, segment, settings, sink, watch);
        if sink.take_kept() || self.kept.of(at) > 0 {
            self.recount(at, segment.ordinal, sink);
        }
        debug_assert!(self.is_counted(at));
        if opened {
            self.lay_to_rest(segment.ts_ns);
        }
        opened
    }

    /// Takes a segment that is a copy of one that came before.
    #[cold]
    pub fn note_copy(&mut self, segment: &Segment<'_>, sink: &mut P::Sink) {
        let hash = self.hasher.hash_one(segment.key);
        if let Some(&at) = self.index.find(hash, |&at| self.slots[at as usize].key == segment.key) {
            match &mut self.slots[at as usize].connection {
                Some(connection) => connection.note_duplicate(),
                None => self.resting[at as usize].note_duplicate(),
            }
        }
        sink.duplicate();
    }

    /// Gives a segment to the connection in slot `at`, or to the one before it.
    fn hand_over(
        &mut self,
        at: u32,
        segment: &Segment<'_>,
        settings: &Settings,
        sink: &mut P::Sink,
        watch: &mut impl FnMut(&Connection<P>),
    ) {
        if let Some(connection) = &mut self.slots[at as usize].connection {
            if connection.predecessor.is_some() {
                if incarnation::belongs(connection, segment) == Belongs::Before {
                    if let Some(old) = &mut connection.predecessor {
                        old.accept(segment, settings, sink);
                        watch(old);
                    }
                    return;
                }
                match connection.settle_predecessor(segment, sink) {
                    Fate::Open | Fate::OfOld => connection.accept(segment, settings, sink),
                    Fate::Settled => {
                        connection.accept(segment, settings, sink);
                        if let Some(mut old) = connection.predecessor.take() {
                            old.finish_followed([segment.ts_ns; 2], sink);
                            self.spare.push(old);
                        }
                    }
                }
            } else {
                connection.accept(segment, settings, sink);
            }
            watch(connection);
        }
    }

    /// Makes sure that slot `at` holds the incarnation that the segment belongs to; true if that is a new one.
    fn place(&mut self, at: u32, segment: &Segment<'_>, settings: &Settings, sink: &mut P::Sink) -> bool {
        let slot = &mut self.slots[at as usize];
        let Some(connection) = &mut slot.connection else { return false };
        if connection.is_over() && segment.ts_ns.saturating_sub(connection.last.ts_ns) > settings.idle_expiry_ns {
            connection.finish(sink);
            connection.open_again(segment);
            return true;
        }
        if incarnation::belongs(connection, segment) != Belongs::Next {
            return false;
        }
        let next = opened(&mut self.spare, segment, settings);
        let old = std::mem::replace(connection, next);
        self.spare.extend(connection.follow(old, segment, sink));
        true
    }

    fn insert(
        &mut self,
        key: FlowKey,
        hash: u64,
        segment: &Segment<'_>,
        settings: &Settings,
        sink: &mut P::Sink,
    ) -> u32 {
        if self.index.len() >= self.limit {
            self.evict(sink);
        }
        let connection = opened(&mut self.spare, segment, settings);
        let heard = self.ages.now();
        self.ages.count();
        let slot = Slot { key, heard, connection: Some(connection), newer: NONE, older_and_parked: NONE };
        let at = if let Some(at) = self.free.pop() {
            self.slots[at as usize] = slot;
            at
        } else {
            self.slots.push(slot);
            self.resting.push(Packed::default());
            (self.slots.len() - 1) as u32
        };
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, at, |&i| hasher.hash_one(slots[i as usize].key));
        self.link(at);
        at
    }

    /// The place of the longest idle connection.
    const fn oldest(&self) -> u32 {
        if self.parked.oldest == NONE { self.awake.oldest } else { self.parked.oldest }
    }

    fn remove(&mut self, at: u32) -> Option<Box<Connection<P>>> {
        self.wake(at);
        self.unlink(at);
        self.kept.forget(at);
        self.ages.discount(self.slots[at as usize].heard);
        let slot = &mut self.slots[at as usize];
        let connection = slot.connection.take();
        let hash = self.hasher.hash_one(slot.key);
        if let Ok(entry) = self.index.find_entry(hash, |&i| i == at) {
            entry.remove();
        }
        self.free.push(at);
        connection
    }

    /// Finishes closed connections without a packet since `before_ns`. Open ones are set aside, so that those that are
    /// idle for long (keep-alive, ssh) do not keep all others.
    pub fn expire(&mut self, before_ns: i64, sink: &mut P::Sink) {
        while self.awake.oldest != NONE {
            let at = self.awake.oldest;
            let (last_ns, is_over) = self.standing(at);
            if last_ns >= before_ns {
                return;
            }
            if is_over {
                if let Some(mut connection) = self.remove(at) {
                    connection.finish(sink);
                    self.spare.push(connection);
                }
            } else {
                self.unlink(at);
                self.slots[at as usize].park(true);
                self.link(at);
            }
        }
    }

    /// The time of the last packet of the connection in slot `at`, and whether it is over.
    fn standing(&self, at: u32) -> (i64, bool) {
        match &self.slots[at as usize].connection {
            Some(connection) => (connection.last.ts_ns, connection.is_over()),
            None => (self.resting[at as usize].last_ns(), self.resting[at as usize].is_over()),
        }
    }

    /// Makes sure that the connection in slot `at` is awake.
    #[inline]
    fn wake(&mut self, at: u32) {
        if self.slots[at as usize].connection.is_none() {
            self.wake_from_rest(at);
        }
    }

    #[inline(never)]
    fn wake_from_rest(&mut self, at: u32) {
        let (slot, packed) = (&mut self.slots[at as usize], &mut self.resting[at as usize]);
        let limit = self.max_reassembly_bytes;
        self.at_rest -= 1;
        slot.connection = Some(match self.spare.pop() {
            Some(mut room) => {
                packed.wake(&slot.key, &mut room);
                room
            }
            None => packed.woken(&slot.key, limit),
        });
    }

    /// Lets connections rest that have been silent for long enough at `now_ns`, whenever another has opened: so there
    /// are never many awake. What is looked at in vain is looked at again after its next packet.
    fn lay_to_rest(&mut self, now_ns: i64) {
        for (of_all, rest_ns) in [OVER_REST_NS, OPEN_REST_NS].into_iter().enumerate() {
            while let Some(slot) = self.slots.get_mut(self.tired[of_all] as usize) {
                if let Some(connection) = &mut slot.connection
                    && (of_all == 1 || connection.is_over())
                {
                    let is_crowded = of_all == 1 && self.index.len() - self.at_rest > MOST_AWAKE;
                    if now_ns.abs_diff(connection.last.ts_ns) <= rest_ns as u64 && !is_crowded {
                        break;
                    }
                    if connection.may_rest() {
                        self.resting[self.tired[of_all] as usize].take(connection, &mut self.shapes);
                        self.spare.extend(slot.connection.take());
                        self.at_rest += 1;
                    }
                }
                self.tired[of_all] = slot.newer;
            }
        }
    }

    /// As [`Connection::lose_sight`], of all of its connections that are not over.
    pub fn lose_sight(&mut self) {
        for at in self.places().collect::<Vec<usize>>() {
            if !self.standing(at as u32).1 {
                self.wake(at as u32);
                if let Some(connection) = &mut self.slots[at].connection {
                    connection.lose_sight();
                }
                self.recount_idle(at as u32);
            }
        }
    }

    /// Connections in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The places of its slots in use, by last packet.
    fn places(&self) -> impl Iterator<Item = usize> {
        let next = |at: &u32| self.slots.get(*at as usize).map(|slot| slot.newer);
        let chain = move |chain: Chain| std::iter::successors(Some(chain.oldest), next).take_while(|&at| at != NONE);
        [self.parked, self.awake].into_iter().flat_map(chain).map(|at| at as usize)
    }

    /// The ordinals of its connections and of those that they follow.
    pub fn ordinals(&self, take: &mut impl FnMut(u64)) {
        for at in self.places() {
            match &self.slots[at].connection {
                Some(connection) => {
                    take(connection.ordinal);
                    connection.predecessor.iter().for_each(|old| take(old.ordinal));
                }
                None => take(self.resting[at].ordinal()),
            }
        }
    }

    /// Finishes everything, in the order of last packets.
    pub fn finish(&mut self, sink: &mut P::Sink) {
        while let at = self.oldest()
            && at != NONE
        {
            if let Some(mut connection) = self.remove(at) {
                connection.finish(sink);
                self.spare.push(connection);
            }
        }
    }

    fn touch(&mut self, at: u32) {
        let heard = std::mem::replace(&mut self.slots[at as usize].heard, self.ages.now());
        if heard != self.ages.now() {
            self.ages.discount(heard);
            self.ages.count();
        }
        if self.awake.newest != at {
            self.unlink(at);
            self.slots[at as usize].park(false);
            self.link(at);
        }
        for next in &mut self.tired {
            if *next == NONE {
                *next = at;
            }
        }
    }

    fn chain(&mut self, at: u32) -> &mut Chain {
        if self.slots[at as usize].is_parked() { &mut self.parked } else { &mut self.awake }
    }

    fn link(&mut self, at: u32) {
        let before = std::mem::replace(&mut self.chain(at).newest, at);
        let slot = &mut self.slots[at as usize];
        slot.newer = NONE;
        slot.set_older(before);
        match self.slots.get_mut(before as usize) {
            Some(slot) => slot.newer = at,
            None => self.chain(at).oldest = at,
        }
    }

    fn unlink(&mut self, at: u32) {
        let (newer, older) = (self.slots[at as usize].newer, self.slots[at as usize].older());
        for next in &mut self.tired {
            if *next == at {
                *next = newer;
            }
        }
        match self.slots.get_mut(newer as usize) {
            Some(slot) => slot.set_older(older),
            None => self.chain(at).newest = older,
        }
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.newer = newer,
            None => self.chain(at).oldest = newer,
        }
    }
}
