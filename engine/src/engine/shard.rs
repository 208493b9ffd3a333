//! The second half of the way: one thread's parts of the flow table, its tables and the facts that come of them.

use super::collector::{Collector, Reader};
use super::front::Decoded;
use super::ranks::{Opened, Ranks};
use crate::decode::{Captured, PARTITIONS, Segment};
use crate::settings::Settings;
use crate::tcp::connection::Connection;
use crate::tcp::flow_table::{FlowTable, Held, parts};
use roaring::RoaringTreemap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The parts of one thread.
pub struct Shard {
    index: usize,
    tables: Vec<FlowTable<Reader>>,
    /// Which of `tables` is a partition's: a division for each packet would be slow.
    table_of: [u8; PARTITIONS],
    /// Where the facts go.
    pub collector: Collector,
    /// Ordinals of the packets that opened a connection.
    pub opened: Opened,
    /// The same, once the shard is finished.
    pub ranks: Option<Ranks>,
}

impl Shard {
    /// The parts `index`, `index + shards` …
    pub fn new(index: usize, shards: usize, settings: &Settings) -> Self {
        let parts = parts(settings);
        let own = (index..parts).step_by(shards);
        let tables = own.map(|_| FlowTable::new(settings)).collect();
        let table_of = std::array::from_fn(|partition| (partition % parts / shards) as u8);
        Shard { index, tables, table_of, collector: Collector::new(settings), opened: Opened::default(), ranks: None }
    }

    /// Takes the segments of a batch that are its own.
    pub fn feed(
        &mut self,
        decoded: &Decoded,
        settings: &Settings,
        watch: &mut impl FnMut(&Segment<'_>, &Connection<Reader>),
    ) {
        let own = decoded.shards.get(self.index).map_or(&[][..], Vec::as_slice);
        let mut looks = decoded.looks.iter().peekable();
        for &at in own {
            while let Some((_, latest_ns)) = looks.next_if(|(place, _)| *place <= at) {
                self.expire(*latest_ns, settings);
            }
            let Some(header) = decoded.headers.get(at as usize) else { continue };
            let segment = decoded.segment(header);
            self.take(&segment, settings, &mut |connection| watch(&segment, connection));
        }
        looks.for_each(|(_, latest_ns)| self.expire(*latest_ns, settings));
    }

    /// Finishes what was over and silent for long when the latest packet came.
    fn expire(&mut self, latest_ns: i64, settings: &Settings) {
        let before = latest_ns.saturating_sub(settings.idle_expiry_ns);
        for table in &mut self.tables {
            table.expire(before, &mut self.collector);
        }
    }

    fn take(&mut self, segment: &Segment<'_>, settings: &Settings, watch: &mut impl FnMut(&Connection<Reader>)) {
        let table_at = self.table_of[usize::from(segment.partition) % PARTITIONS];
        let Some(table) = self.tables.get_mut(usize::from(table_at)) else { return };
        if segment.captured == Captured::Again {
            return table.note_copy(segment, &mut self.collector);
        }
        if table.accept(segment, settings, &mut self.collector, watch) {
            self.opened.insert(segment.ordinal);
            if segment.tunnel_name != 0 {
                self.collector.name_tunnel(segment.ordinal, segment.tunnel_name);
            }
        }
    }

    /// Forgets the numbers of connections that nobody will ask for: all but those in the tables and the examples.
    pub fn forget_numbers(&mut self) {
        let mut known: RoaringTreemap = self.collector.ledger.exemplars().collect();
        self.tables.iter().for_each(|table| {
            table.ordinals(&mut |ordinal| {
                known.insert(ordinal);
            });
        });
        self.opened.forget(&known);
    }

    /// As [`FlowTable::lose_sight`].
    pub fn lose_sight(&mut self) {
        self.tables.iter_mut().for_each(FlowTable::lose_sight);
    }

    /// Connections in the tables.
    pub fn tracked(&self) -> u64 {
        self.tables.iter().map(|table| table.len() as u64).sum()
    }

    /// What [`Shard::finish`] would have in its collector now, once it has ended those connections; apart from rows, and but
    /// for attempts that are too young to be called unanswered by the time `now_ns`.
    pub fn provisional(&self, settings: &Settings, now_ns: Option<i64>) -> (Collector, Vec<Held<Reader>>) {
        (self.collector.totals(settings, now_ns), self.tables.iter().map(FlowTable::held).collect())
    }

    /// Nothing more will come. Once it has been told, it does nothing. Connections finish in the order of their last
    /// packets over all parts, so that what is counted by time is put at its end.
    pub fn finish(&mut self) {
        let last = |(at, table): (usize, &FlowTable<Reader>)| table.oldest_ns().map(|ns| Reverse((ns, at)));
        let mut turns: BinaryHeap<_> = self.tables.iter().enumerate().filter_map(last).collect();
        while let Some(Reverse((_, at))) = turns.pop()
            && let Some(table) = self.tables.get_mut(at)
        {
            table.finish_oldest(&mut self.collector);
            turns.extend(last((at, table)));
        }
        // In this thread, too, while others still finish theirs.
        self.tables.clear();
        self.ranks.get_or_insert_with(|| Ranks::from(std::mem::take(&mut self.opened)));
    }
}
