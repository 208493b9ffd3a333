//! The second half of the way: one thread's flow table and the facts that come of it.

use super::census::{Census, LAG, Verdict};
use super::collector::{Collector, Reader};
use super::front::Decoded;
use super::ranks::{Opened, Ranks};
use crate::decode::{Captured, Segment};
use crate::settings::Settings;
use crate::tcp::connection::Connection;
use crate::tcp::flow_table::{FlowTable, Held};
use roaring::RoaringTreemap;
use std::sync::Arc;

/// What one thread works on.
pub struct Shard {
    index: usize,
    table: FlowTable<Reader>,
    /// Where the limits are shared.
    census: Option<Arc<Census>>,
    /// Looks at it so far.
    looks: u64,
    /// What all shards had, [`LAG`] looks ago.
    known: Verdict,
    /// Where the facts go.
    pub collector: Collector,
    /// Ordinals of the packets that opened a connection.
    pub opened: Opened,
    /// The same, once the shard is finished.
    pub ranks: Option<Ranks>,
}

impl Shard {
    /// The one at this place of each batch's lists.
    pub fn new(index: usize, census: Option<Arc<Census>>, settings: &Settings) -> Self {
        Shard {
            index,
            table: FlowTable::new(settings),
            census,
            looks: 0,
            known: Verdict::default(),
            collector: Collector::new(settings),
            opened: Opened::default(),
            ranks: None,
        }
    }

    /// Where it counts its connections with others.
    pub fn census(&self) -> Option<Arc<Census>> {
        self.census.clone()
    }

    /// Takes the segments of a batch that are its own.
    pub fn feed(
        &mut self,
        decoded: &Decoded,
        settings: &Settings,
        watch: &mut impl FnMut(&Segment<'_>, &Connection<Reader>),
    ) {
        decoded.gaps.iter().for_each(|&gap| self.collector.gaps.push(gap));
        let own = decoded.shards.get(self.index).map_or(&[][..], Vec::as_slice);
        let mut looks = decoded.looks.iter().peekable();
        for &at in own {
            while let Some((_, latest_ns)) = looks.next_if(|(place, _)| *place <= at) {
                self.look(*latest_ns, settings);
            }
            let Some(header) = decoded.headers.get(at as usize) else { continue };
            let segment = decoded.segment(header);
            self.take(&segment, settings, &mut |connection| watch(&segment, connection));
        }
        looks.for_each(|(_, latest_ns)| self.look(*latest_ns, settings));
    }

    /// Finishes what was over and silent for long when the latest packet came, and what is too much.
    fn look(&mut self, latest_ns: i64, settings: &Settings) {
        self.table.expire(latest_ns.saturating_sub(settings.idle_expiry_ns), &mut self.collector);
        if let Some(census) = self.census.clone() {
            self.count(&census);
        }
    }

    /// Takes part in the [`Census`].
    fn count(&mut self, census: &Census) {
        self.table.turn();
        if let Some(verdict) = self.looks.checked_sub(LAG).and_then(|round| census.hear(round)) {
            self.known = verdict;
            if let Some(stretch) = verdict.through {
                self.table.evict_through(stretch, &mut self.collector);
            }
        }
        if census.is_kept_limit_near(self.known.kept_bytes) {
            self.give_up_kept(census);
        }
        let oldest = self.table.oldest_heard(census.wanted(self.known.connections));
        census.say(self.looks, self.table.len() as u64, self.table.kept_bytes() as u64, &oldest);
        self.looks += 1;
    }

    /// Meets with the others, and has its connections give up what is too much.
    #[cold]
    fn give_up_kept(&mut self, census: &Census) {
        let too_much = census.too_much(self.table.kept_bytes() as u64);
        if too_much > 0
            && let Some(last) = census.last_to_give_up(too_much, self.table.oldest_kept(too_much))
        {
            self.table.give_up_through(last, &mut self.collector);
        }
    }

    fn take(&mut self, segment: &Segment<'_>, settings: &Settings, watch: &mut impl FnMut(&Connection<Reader>)) {
        if segment.captured == Captured::Again {
            return self.table.note_copy(segment, &mut self.collector);
        }
        if self.table.accept(segment, settings, &mut self.collector, watch) {
            self.opened.insert(segment.ordinal);
            if segment.tunnel_name != 0 {
                self.collector.name_tunnel(segment.ordinal, segment.tunnel_name);
            }
        }
    }

    /// Forgets the numbers of connections that nobody will ask for: all but those in the table and the examples.
    pub fn forget_numbers(&mut self) {
        let mut known: RoaringTreemap = self.collector.ledger.exemplars().collect();
        self.table.ordinals(&mut |ordinal| {
            known.insert(ordinal);
        });
        self.opened.forget(&known);
    }

    /// As [`FlowTable::lose_sight`].
    pub fn lose_sight(&mut self) {
        self.table.lose_sight();
    }

    /// Connections in the table.
    pub fn tracked(&self) -> u64 {
        self.table.len() as u64
    }

    /// What [`Shard::finish`] would have in its collector now, once it has ended those connections; apart from rows, and but
    /// for attempts that are too young to be called unanswered by the time `now_ns`.
    pub fn provisional(&self, settings: &Settings, now_ns: Option<i64>) -> (Collector, Held<Reader>) {
        (self.collector.totals(settings, now_ns), self.table.held())
    }

    /// Nothing more will come. Once it has been told, it does nothing. Connections finish in the order of their last
    /// packets, so that what is counted by time is put at its end.
    pub fn finish(&mut self, settings: &Settings) {
        self.table.finish(&mut self.collector);
        // Its room is given back in this thread, too, while others still finish theirs.
        self.table = FlowTable::new(settings);
        self.ranks.get_or_insert_with(|| Ranks::from(std::mem::take(&mut self.opened)));
    }
}
