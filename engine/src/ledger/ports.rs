//! A pair's use of the client's ephemeral ports (semantics C).

use super::buckets::SparseBuckets;
use super::histogram::Histogram;
use super::lengths::Length;
use super::summary::PortFacts;
use super::timeline::{Timeline, peak};
use crate::record::{ConnectionRecord, State, TimeWaitEnd};
use crate::settings::SECOND;
use roaring::RoaringBitmap;

/// Buckets of time kept per pair: 100 ms wide for 200 s of ports held, 1 s wide for half an hour of openings, then wider.
const HELD_BUCKETS: usize = 2048;
const OPENED_BUCKETS: usize = 2048;

/// Running totals of one pair's ports.
#[derive(Clone, Debug)]
pub struct Ports {
    distinct: RoaringBitmap,
    held: Timeline,
    opened: SparseBuckets,
    reuse_gap: Histogram,
    client_recycled: u64,
}

impl Default for Ports {
    fn default() -> Self {
        Ports {
            distinct: RoaringBitmap::new(),
            held: Timeline::new(HELD_BUCKETS),
            opened: SparseBuckets::new(SECOND, OPENED_BUCKETS),
            reuse_gap: Histogram::default(),
            client_recycled: 0,
        }
    }
}

impl Ports {
    /// One more connection.
    pub fn add(&mut self, record: &ConnectionRecord) {
        self.distinct.insert(u32::from(record.client.1));
        if record.syn_count > 0 {
            self.opened.add(record.first.ts_ns);
        }
        // Across a clock that stepped back the gap is unknown.
        if let Some((_, gap_ns)) = record.reuse_of.filter(|&(_, gap_ns)| gap_ns >= 0) {
            self.reuse_gap.add(gap_ns);
        }
        let [client, _] = &record.sides;
        let ended = client.time_wait.as_ref().and_then(|facts| facts.ended);
        self.client_recycled += u64::from(ended.is_some_and(|(_, end)| end == TimeWaitEnd::Reused));
        self.hold(record);
    }

    /// The port is held from the first packet to the end of the client's TIME_WAIT, or to the last packet if its socket
    /// was closed by then; one whose end was not seen may be held for ever.
    fn hold(&mut self, record: &ConnectionRecord) {
        let [client, _] = &record.sides;
        self.held.enter(record.first.ts_ns);
        match (&client.time_wait, client.state) {
            (Some(facts), _) => self.held.leave_time_wait(facts),
            (None, State::Closed) => self.held.leave(record.last.ts_ns),
            (None, _) => self.held.leave_min(record.last.ts_ns),
        }
    }

    /// Both together.
    pub fn merge(&mut self, other: &Self) {
        self.distinct |= &other.distinct;
        self.held.merge(&other.held);
        self.opened.merge(&other.opened);
        self.reuse_gap.merge(&other.reuse_gap);
        self.client_recycled += other.client_recycled;
    }

    /// What the Summary tells. For one client, no more ports are ever held than distinct ones were seen.
    #[must_use]
    pub fn finish(&self, one_client: bool, length: &Length, end_ns: i64) -> PortFacts {
        let held = self.held.finish(length, end_ns);
        let (held, last) = (peak(&held), held.last().copied().unwrap_or_default());
        let most = if one_client { self.distinct.len() } else { u64::MAX };
        let (opened_peak_per_s, opened_peak_ns) = self.opened_peak();
        PortFacts {
            distinct: self.distinct.len() as u32,
            even: self.distinct.iter().filter(|port| port % 2 == 0).count() as u32,
            low: self.distinct.min().unwrap_or(0) as u16,
            high: self.distinct.max().unwrap_or(0) as u16,
            held_peak_min: held.min.min(most),
            held_peak_max: held.max.min(most),
            held_peak_ns: held.ns,
            held_at_end_min: last.min.min(most),
            held_at_end_max: last.max.min(most),
            opened_peak_per_s,
            opened_peak_ns,
            reuse_gap: self.reuse_gap.distribution(),
            reuses: self.reuse_gap.count(),
            client_recycled: self.client_recycled,
        }
    }

    /// The busiest second, or the busiest bucket's mean per second once buckets are wider; the earliest of equals.
    fn opened_peak(&self) -> (u64, i64) {
        let seconds = (self.opened.width_ns() / SECOND) as u64;
        let fold = |best: (u64, i64), (at, n): (i64, u64)| if n > best.0 { (n, at) } else { best };
        let (n, at) = self.opened.iter().fold((0, 0), fold);
        (n.div_ceil(seconds.max(1)), at)
    }
}
