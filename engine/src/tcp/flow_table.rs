//! From a segment's 4-tuple to its connection.
//!
//! The table is split into [`PARTITIONS`] by a fixed hash of the 4-tuple. A thread owns whole partitions, and limits are
//! kept per partition, so what is evicted does not depend on the number of threads. Within a partition connections lie
//! in a slab, found by a keyed hash (hostile tuples cannot make it slow) and chained by last packet: the longest idle is
//! the first to go.

use super::connection::Connection;
use super::incarnation::{self, Belongs, Fate};
use super::payload::Payload;
use crate::decode::{Flags, FlowKey, PARTITIONS, Segment};
use crate::record::Quality;
use crate::settings::Settings;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

const NONE: u32 = u32::MAX;

struct Slot<P> {
    key: FlowKey,
    connection: Option<Box<Connection<P>>>,
    newer: u32,
    older: u32,
    /// In the chain of those that are open and idle for long, see [`FlowTable::expire`].
    is_parked: bool,
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
            *room = Connection::open(segment, settings);
            room
        }
        None => Box::new(Connection::open(segment, settings)),
    }
}

/// One partition's connections.
pub struct FlowTable<P> {
    index: HashTable<u32>,
    hasher: RandomState,
    slots: Vec<Slot<P>>,
    free: Vec<u32>,
    /// By last packet.
    awake: Chain,
    /// Open connections that were idle for long when they were the oldest of the others: all of them are older.
    parked: Chain,
    /// Ended connections whose room the next ones take.
    spare: Vec<Box<Connection<P>>>,
    limit: usize,
    /// Connections ended because the table was full.
    pub evicted: u64,
}

impl<P: Payload> FlowTable<P> {
    /// An empty partition with its share of `settings.max_connections`.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        FlowTable {
            index: HashTable::new(),
            hasher: RandomState::default(),
            slots: Vec::new(),
            free: Vec::new(),
            awake: Chain::EMPTY,
            parked: Chain::EMPTY,
            spare: Vec::new(),
            limit: settings.max_connections.div_ceil(PARTITIONS).max(1),
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
        let key = segment.key;
        let hash = self.hasher.hash_one(key);
        let found = self.index.find(hash, |&at| self.slots[at as usize].key == key).copied();
        let (at, opened) = match found {
            Some(at) => (at, self.place(at, segment, settings, sink)),
            None => (self.insert(key, hash, segment, settings, sink), true),
        };
        self.touch(at);
        if let Some(connection) = &mut self.slots[at as usize].connection {
            if connection.predecessor.is_some() {
                if incarnation::belongs(connection, segment) == Belongs::Before {
                    if let Some(old) = &mut connection.predecessor {
                        old.accept(segment, settings, sink);
                        watch(old);
                    }
                    return opened;
                }
                match connection.settle_predecessor(segment, sink) {
                    Fate::Open | Fate::OfOld => connection.accept(segment, settings, sink),
                    Fate::Settled => {
                        connection.accept(segment, settings, sink);
                        if let Some(mut old) = connection.predecessor.take() {
                            old.finish(sink);
                            self.spare.push(old);
                        }
                    }
                }
            } else {
                connection.accept(segment, settings, sink);
            }
            watch(connection);
        }
        opened
    }

    /// Makes sure that slot `at` holds the incarnation that the segment belongs to; true if that is a new one.
    fn place(&mut self, at: u32, segment: &Segment<'_>, settings: &Settings, sink: &mut P::Sink) -> bool {
        let slot = &mut self.slots[at as usize];
        // Nearly every segment: of a connection that goes on.
        if let Some(connection) = &slot.connection
            && segment.flags.0 & Flags::SYN.0 == 0
            && connection.predecessor.is_none()
            && !connection.is_over()
        {
            return false;
        }
        let Some(connection) = &mut slot.connection else { return false };
        if connection.is_over() && segment.ts_ns.saturating_sub(connection.last.ts_ns) > settings.idle_expiry_ns {
            connection.finish(sink);
            **connection = Connection::open(segment, settings);
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
        let slot = Slot { key, connection: Some(connection), newer: NONE, older: NONE, is_parked: false };
        let at = if let Some(at) = self.free.pop() {
            self.slots[at as usize] = slot;
            at
        } else {
            self.slots.push(slot);
            (self.slots.len() - 1) as u32
        };
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, at, |&i| hasher.hash_one(slots[i as usize].key));
        self.link(at);
        at
    }

    /// Ends the longest idle connection.
    fn evict(&mut self, sink: &mut P::Sink) {
        let at = if self.parked.oldest == NONE { self.awake.oldest } else { self.parked.oldest };
        if at == NONE {
            return;
        }
        self.evicted += 1;
        if let Some(mut connection) = self.remove(at) {
            connection.quality.0 |= Quality::EVICTED;
            connection.finish(sink);
            self.spare.push(connection);
        }
    }

    fn remove(&mut self, at: u32) -> Option<Box<Connection<P>>> {
        self.unlink(at);
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
        while let Some(slot) = self.slots.get_mut(self.awake.oldest as usize) {
            let at = self.awake.oldest;
            let is_idle = |c: &Connection<P>| c.last.ts_ns < before_ns;
            if !slot.connection.as_deref().is_none_or(is_idle) {
                return;
            }
            if slot.connection.as_deref().is_none_or(Connection::is_over) {
                if let Some(mut connection) = self.remove(at) {
                    connection.finish(sink);
                }
            } else {
                self.unlink(at);
                self.slots[at as usize].is_parked = true;
                self.link(at);
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

    /// The ordinals of its connections and of those that they follow.
    pub fn ordinals(&self, take: &mut impl FnMut(u64)) {
        for connection in self.slots.iter().filter_map(|slot| slot.connection.as_deref()) {
            take(connection.ordinal);
            connection.predecessor.iter().for_each(|old| take(old.ordinal));
        }
    }

    /// What [`FlowTable::finish`] would say now, without ending anything.
    pub fn provisional(&self, sink: &mut P::Sink)
    where
        P: Clone,
    {
        for slot in &self.slots {
            if let Some(connection) = &slot.connection {
                connection.clone().finish(sink);
            }
        }
    }

    /// Finishes everything.
    pub fn finish(&mut self, sink: &mut P::Sink) {
        for chain in [self.parked, self.awake] {
            let mut at = chain.oldest;
            while let Some(slot) = self.slots.get(at as usize) {
                let next = slot.newer;
                if let Some(mut connection) = self.remove(at) {
                    connection.finish(sink);
                }
                at = next;
            }
        }
    }

    fn touch(&mut self, at: u32) {
        if self.awake.newest != at {
            self.unlink(at);
            self.slots[at as usize].is_parked = false;
            self.link(at);
        }
    }

    fn chain(&mut self, at: u32) -> &mut Chain {
        if self.slots[at as usize].is_parked { &mut self.parked } else { &mut self.awake }
    }

    fn link(&mut self, at: u32) {
        let before = std::mem::replace(&mut self.chain(at).newest, at);
        (self.slots[at as usize].older, self.slots[at as usize].newer) = (before, NONE);
        match self.slots.get_mut(before as usize) {
            Some(slot) => slot.newer = at,
            None => self.chain(at).oldest = at,
        }
    }

    fn unlink(&mut self, at: u32) {
        let (newer, older) = (self.slots[at as usize].newer, self.slots[at as usize].older);
        match self.slots.get_mut(newer as usize) {
            Some(slot) => slot.older = older,
            None => self.chain(at).newest = older,
        }
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.newer = newer,
            None => self.chain(at).oldest = newer,
        }
    }
}
