//! A pair's use of the client's ephemeral ports (semantics C).

use super::buckets::SparseBuckets;
use super::histogram::Histogram;
use super::lengths::{Length, most_specific};
use super::summary::{PortBlock, PortFacts};
use super::timeline::{Timeline, peak};
use crate::record::{Address, ConnectionRecord, State, TimeWaitEnd};
use crate::settings::{PortRule, SECOND};
use roaring::RoaringBitmap;

/// Buckets of time kept per pair: 100 ms wide for 200 s of ports held, 1 s wide for half an hour of openings, then wider.
const HELD_BUCKETS: usize = 2048;
const OPENED_BUCKETS: usize = 2048;

/// Unused ports in a row that end a block: a few are reserved, or held by others.
const WIDEST_HOLE: u32 = 16;
/// Of a block's ports, the part that was used, in tenths. Linux takes ports of one parity first, which fills half.
const DENSE_TENTHS: u64 = 9;

/// The range stated for a client, both ends included.
#[must_use]
pub fn stated_range(rules: &[PortRule], client: Address) -> Option<(u16, u16)> {
    most_specific(rules, |rule| (rule.address, rule.prefix), Some(client)).map(|rule| (rule.low, rule.high))
}

/// Running totals of one pair's ports.
#[derive(Clone, Debug)]
pub struct Ports {
    distinct: RoaringBitmap,
    held: Timeline,
    opened: SparseBuckets,
    reuse_gap: Histogram,
    client_recycled: u64,
    /// Stated by the user.
    range: Option<(u16, u16)>,
}

impl Default for Ports {
    fn default() -> Self {
        Ports {
            distinct: RoaringBitmap::new(),
            held: Timeline::new(HELD_BUCKETS),
            opened: SparseBuckets::new(SECOND, OPENED_BUCKETS),
            reuse_gap: Histogram::default(),
            client_recycled: 0,
            range: None,
        }
    }
}

impl Ports {
    /// Of a client whose range is stated, or not.
    #[must_use]
    pub fn within(range: Option<(u16, u16)>) -> Self {
        Ports { range, ..Ports::default() }
    }

    /// When connections were opened.
    #[must_use]
    pub fn opened(&self) -> &SparseBuckets {
        &self.opened
    }

    fn is_inside(&self, port: u32) -> bool {
        self.range.is_none_or(|(low, high)| u32::from(low) <= port && port <= u32::from(high))
    }

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
        if self.is_inside(u32::from(record.client.1)) {
            self.hold(record);
        }
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
        let inside = self.distinct.iter().filter(|&port| self.is_inside(port));
        let (used, even) = inside.fold((0, 0), |(n, even), port| (n + 1_u32, even + u32::from(port % 2 == 0)));
        let most = if one_client { u64::from(used) } else { u64::MAX };
        let (opened_peak_per_s, opened_peak_ns) = self.opened_peak();
        PortFacts {
            distinct: self.distinct.len() as u32,
            even,
            low: self.distinct.min().unwrap_or(0) as u16,
            high: self.distinct.max().unwrap_or(0) as u16,
            outside: self.distinct.len() as u32 - used,
            block: self.block().filter(|_| one_client),
            held_peak_min: held.min.min(most),
            held_peak_max: held.max.min(most),
            held_peak_ns: held.ns,
            held_step_ns: self.held.width_ns(),
            held_at_end_min: last.min.min(most),
            held_at_end_max: last.max.min(most),
            opened_peak_per_s,
            opened_peak_ns,
            reuse_gap: self.reuse_gap.distribution(),
            reuses: self.reuse_gap.count(),
            client_recycled: self.client_recycled,
        }
    }

    /// The run of ports with the most used ones, the lowest of equals, if it is dense.
    fn block(&self) -> Option<PortBlock> {
        let (mut best, mut run) = ((0, 0, 0), (0, 0, 0_u32));
        for port in &self.distinct {
            run = match run {
                (low, high, used) if used > 0 && port - high <= WIDEST_HOLE => (low, port, used + 1),
                _ => (port, port, 1),
            };
            if run.2 > best.2 {
                best = run;
            }
        }
        let (low, high, used) = best;
        let is_dense = used > 1 && u64::from(used) * 10 >= u64::from(high - low + 1) * DENSE_TENTHS;
        is_dense.then_some(PortBlock { low: low as u16, high: high as u16, used })
    }

    /// The busiest second, or the busiest bucket's mean per second once buckets are wider; the earliest of equals.
    fn opened_peak(&self) -> (u64, i64) {
        let seconds = (self.opened.width_ns() / SECOND) as u64;
        let fold = |best: (u64, i64), (at, n): (i64, u64)| if n > best.0 { (n, at) } else { best };
        let (n, at) = self.opened.iter().fold((0, 0), fold);
        (n.div_ceil(seconds.max(1)), at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::law_tests::plain;
    use crate::ledger::lengths::Length;
    use crate::record::Stack;

    fn told(range: Option<(u16, u16)>, used: impl Iterator<Item = u16>) -> PortFacts {
        let mut ports = Ports::within(range);
        for port in used {
            let mut record = plain(u64::from(port));
            record.client.1 = port;
            ports.add(&record);
        }
        ports.finish(true, &Length::of_stack(Stack::Linux), i64::MAX)
    }

    fn block(used: impl Iterator<Item = u16>) -> Option<(u16, u16, u32)> {
        told(None, used).block.map(|block| (block.low, block.high, block.used))
    }

    #[test]
    fn a_block_bears_a_few_holes_and_strays_and_is_no_half_of_a_range() {
        let missing = [40_003, 40_500, 40_501, 41_000, 41_777];
        let most = (40_000..42_000).filter(|port| !missing.contains(port));
        assert_eq!(block(most.clone().chain([1025, 50_000, 50_001])), Some((40_000, 41_999, 1995)));
        assert_eq!(block(most.step_by(2)), None);
        assert_eq!(block([5].into_iter()), None);
        assert_eq!(block((1..60_000).step_by(29)), None);
    }

    #[test]
    fn ports_outside_a_stated_range_are_not_held() {
        let facts = told(Some((40_000, 40_009)), (39_998..40_012).chain([50_000]));
        assert_eq!((facts.distinct, facts.outside, facts.even), (15, 5, 5));
        assert_eq!((facts.held_peak_max, facts.low, facts.high), (10, 39_998, 50_000));
        assert_eq!(told(None, 40_000..40_010).outside, 0);
    }

    #[test]
    fn the_most_specific_rule_states_the_range() {
        let rule = |address: Option<&str>, prefix, low| PortRule {
            address: address.map(|text| text.parse().expect("an address")),
            prefix,
            low,
            high: 65_535,
        };
        let rules = [rule(None, 0, 1), rule(Some("10.0.0.0"), 8, 2), rule(Some("10.1.0.1"), 32, 3)];
        let low = |host: &str| {
            let address = Address::from(host.parse::<std::net::IpAddr>().expect("an address"));
            stated_range(&rules, address).map(|range| range.0)
        };
        assert_eq!(["192.0.2.1", "10.0.0.1", "10.1.0.1"].map(low), [Some(1), Some(2), Some(3)]);
        assert_eq!(stated_range(&[], Address::default()), None);
    }
}
