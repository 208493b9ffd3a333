//! How busy each service was when it was busiest, over all its clients.
//!
//! A mean over the whole capture says little where connections come in bursts: a quiet hour behind a burst would make it
//! harmless. So the busiest ten seconds are told, with their time.

use super::buckets::SparseBuckets;
use super::pairs::{PairKey, PairLedger};
use crate::record::Address;
use crate::settings::SECOND;
use serde::Serialize;
use std::collections::BTreeMap;

/// The window: long enough that chance makes no peak of a steady pace, short enough that no burst is lost in it.
const WINDOW_NS: i64 = 10 * SECOND;

/// The busiest time of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServiceFacts {
    /// Server address.
    pub server: String,
    /// Server port.
    pub server_port: u16,
    /// Connections to it.
    pub connections: u64,
    /// From here on, ns since 1970 UTC.
    pub busy_from_ns: i64,
    /// For so long, ns: up to 10 s; longer in captures of more than half an hour, whose times are kept less finely.
    pub busy_ns: i64,
    /// Connections were opened (SYN) in that time: in no other so long were more. 0: none was seen to begin.
    pub busy_opened: u64,
}

/// Of every service that is kept apart, sorted.
#[must_use]
pub fn services(pairs: &[(PairKey, Box<PairLedger>)]) -> Vec<ServiceFacts> {
    let mut opened: BTreeMap<(Address, u16), (u64, SparseBuckets)> = BTreeMap::new();
    for (key, pair) in pairs {
        opened
            .entry((key.server, key.port))
            .and_modify(|(connections, buckets)| {
                *connections += pair.connections();
                buckets.merge(pair.opened());
            })
            .or_insert_with(|| (pair.connections(), pair.opened().clone()));
    }
    let told = |((server, server_port), (connections, buckets)): ((Address, u16), (u64, SparseBuckets))| {
        let (busy_from_ns, busy_ns, busy_opened) = busiest(&buckets);
        ServiceFacts { server: server.to_string(), server_port, connections, busy_from_ns, busy_ns, busy_opened }
    };
    opened.into_iter().map(told).collect()
}

/// Start, length and count of the window with the most, the earliest of equals.
fn busiest(buckets: &SparseBuckets) -> (i64, i64, u64) {
    let (width, counts): (i64, Vec<(i64, u64)>) = (buckets.width_ns(), buckets.iter().collect());
    let (mut first, mut sum, mut best) = (0, 0, (0..0, 0));
    for (last, &(start, count)) in counts.iter().enumerate() {
        sum += count;
        while let Some(&(oldest, gone)) = counts.get(first)
            && oldest < start
            && start.saturating_sub(oldest) > WINDOW_NS - width
        {
            sum -= gone;
            first += 1;
        }
        if sum > best.1 {
            best = (first..last + 1, sum);
        }
    }
    let window = counts.get(best.0).unwrap_or_default();
    let start = window.first().map_or(0, |&(start, _)| start);
    (start, length(window, width), best.1)
}

/// How long what is in these buckets lasted. The first and the last may be filled in part: as far as their counts are
/// beside the mean of those between, or beside each other.
fn length(window: &[(i64, u64)], width: i64) -> i64 {
    let [(start, first), inner @ .., (end, last)] = window else { return width };
    let between = (end - start) / width - 1;
    let part = |count: u64, of: u64| (i128::from(width) * i128::from(count.min(of)) / i128::from(of.max(1))) as i64;
    if between == 0 {
        return width + part(*first.min(last), *first.max(last));
    }
    let mean = inner.iter().map(|&(_, count)| count).sum::<u64>().div_ceil(between as u64);
    let edge = |count| if mean == 0 { width } else { part(count, mean) };
    between * width + edge(*first) + edge(*last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(instants: impl IntoIterator<Item = i64>) -> (i64, i64, u64) {
        let mut buckets = SparseBuckets::new(SECOND, 2048);
        instants.into_iter().for_each(|at| buckets.add(at));
        busiest(&buckets)
    }

    /// A hundred a second for four seconds, from a third of a second on.
    fn burst() -> impl Iterator<Item = i64> {
        (0..400).map(|n| SECOND / 3 + n * SECOND / 100)
    }

    #[test]
    fn a_quiet_time_before_or_after_a_burst_does_not_show() {
        let alone = of(burst());
        assert_eq!((alone.0, alone.2), (0, 400));
        let per_s = alone.2 as f64 * 1e9 / alone.1 as f64;
        assert!((97.0..103.0).contains(&per_s), "{per_s}");
        assert_eq!(of(burst().chain([3000 * SECOND])), alone);
        assert_eq!(of(std::iter::once(-3000 * SECOND).chain(burst())), alone);
    }

    #[test]
    fn of_two_bursts_the_busier_one_is_told_and_of_a_steady_pace_ten_seconds() {
        let second = (0..900).map(|n| 60 * SECOND + n * SECOND / 300);
        let (from, length, count) = of(burst().chain(second));
        assert_eq!((from, length, count), (60 * SECOND, 3 * SECOND, 900));
        let (from, length, count) = of((0..10_000).map(|n| n * SECOND / 50));
        assert_eq!((from, length, count), (0, WINDOW_NS, 500));
    }

    #[test]
    fn few_have_a_window_too() {
        assert_eq!(of([]), (0, SECOND, 0));
        assert_eq!(of([5]), (0, SECOND, 1));
        assert_eq!(of([5, SECOND + 5]), (0, 2 * SECOND, 2));
        assert_eq!(of([5, 6 * SECOND]), (0, 7 * SECOND, 2));
        assert_eq!(of([i64::MIN / 2, i64::MAX / 2]).2, 1);
    }

    #[test]
    fn clients_of_a_service_are_taken_together() {
        use crate::ledger::law_tests::plain;
        let pairs: Vec<_> = (1..=3_u64)
            .map(|client| {
                let mut record = plain(client);
                record.syn_count = 1;
                record.client.0 = Address::from(std::net::IpAddr::from([10, 0, 0, client as u8]));
                let mut pair = PairLedger::default();
                pair.add(&record);
                (PairKey::of(&record), Box::new(pair))
            })
            .collect();
        let told = services(&pairs);
        assert_eq!(told.iter().map(|one| (one.connections, one.busy_opened)).collect::<Vec<_>>(), [(3, 3)]);
    }
}
