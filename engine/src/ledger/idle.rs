//! What a server's closes tell of its settings (semantics D4): an idle timeout, a maximum of requests.

use super::buckets::SparseBuckets;
use super::lengths::MS;
use super::summary::{IdleTimeout, MaxRequests};
use crate::record::{ActiveCloser, ConnectionRecord};
use crate::settings::SECOND;
use std::collections::BTreeMap;

/// Distinct milliseconds kept apart; then buckets widen.
const IDLE_BUCKETS: usize = 4096;
/// Fewest closes that make a cluster.
const FEWEST: u64 = 3;
/// Widest cluster: 50 ms, or 1 % of the timeout if that is more.
const SPREAD_NS: i64 = 50 * MS;
/// Shortest wait taken for an idle timeout: below it a close follows the response, not silence.
const SHORTEST_NS: i64 = SECOND / 2;
/// Response counts kept apart; a server's limit is one value, hostile traffic may have many.
const MOST_COUNTS: u32 = 100_000;

/// The idle time of a connection that its server closed for idleness: nothing outstanding, no close announced.
#[must_use]
pub fn sample(record: &ConnectionRecord) -> Option<i64> {
    let http = &record.http;
    let idle = record.active_closer == ActiveCloser::Server
        && http.responses > 0
        && http.unprocessed == 0
        && http.response_persistent == Some(true);
    record.idle_before_close_ns.filter(|&ns| idle && ns >= SHORTEST_NS)
}

/// Whether the server said close on the last response, after persistent ones. Who then sends the first FIN is chance: a
/// client that was told may well be the faster (RFC 9112 §9.6).
#[must_use]
pub fn ends_with_close(record: &ConnectionRecord) -> bool {
    let http = &record.http;
    matches!(record.active_closer, ActiveCloser::Server | ActiveCloser::Client | ActiveCloser::Both)
        && http.response_persistent == Some(false)
        && http.request_persistent == Some(true)
        && http.announced_server
        && !http.until_close
        && http.responses == http.requests
}

fn spread(at_ns: i64) -> i64 {
    SPREAD_NS.max(at_ns / 100)
}

/// Running totals of a pair's server closes.
#[derive(Clone, Debug)]
pub struct Idle {
    samples: SparseBuckets,
    /// Connections that ended with `close` on the Nth response, by N: all, and those that the server closed.
    ended_at: BTreeMap<u32, (u64, u64)>,
    /// Most responses on any connection.
    most_responses: u32,
}

impl Default for Idle {
    fn default() -> Self {
        Idle { samples: SparseBuckets::new(MS, IDLE_BUCKETS), ended_at: BTreeMap::new(), most_responses: 0 }
    }
}

impl Idle {
    /// One more connection.
    pub fn add(&mut self, record: &ConnectionRecord) {
        if let Some(idle_ns) = sample(record) {
            self.samples.add(idle_ns);
        }
        self.most_responses = self.most_responses.max(record.http.responses);
        if ends_with_close(record) {
            let slot = self.ended_at.entry(record.http.responses.min(MOST_COUNTS)).or_default();
            *slot = (slot.0 + 1, slot.1 + u64::from(record.active_closer == ActiveCloser::Server));
        }
    }

    /// Both together.
    pub fn merge(&mut self, other: &Self) {
        self.samples.merge(&other.samples);
        self.most_responses = self.most_responses.max(other.most_responses);
        for (&n, &(all, by_server)) in &other.ended_at {
            let slot = self.ended_at.entry(n).or_default();
            *slot = (slot.0 + all, slot.1 + by_server);
        }
    }

    /// The densest cluster of idle closes, if it is one; of equals the shortest. A wait after which a connection was used
    /// again refutes every shorter timeout (semantics D4).
    #[must_use]
    pub fn timeout(&self, longest_reuse_gap_ns: Option<i64>) -> Option<IdleTimeout> {
        let all: Vec<(i64, u64)> = self.samples.iter().collect();
        let width = self.samples.width_ns();
        let refuted_ns = longest_reuse_gap_ns.map_or(i64::MIN, |gap| gap - spread(gap));
        let mut best: Option<(u64, i64, i64)> = None;
        let (mut first, mut within) = (0, 0);
        for &(end, n) in &all {
            within += n;
            while let Some(&(start, m)) = all.get(first)
                && start < end
                && (end - start > spread(start) || start.saturating_add(width) <= refuted_ns)
            {
                within -= m;
                first += 1;
            }
            let start = all.get(first).map_or(end, |&(start, _)| start);
            let stands = within >= FEWEST && start.saturating_add(width) > refuted_ns;
            if stands && best.is_none_or(|(most, ..)| within > most) {
                best = Some((within, start, end));
            }
        }
        let (count, start, end) = best?;
        let of = all.iter().map(|(_, n)| n).sum();
        Some(IdleTimeout { timeout_ns: start.midpoint(end.saturating_add(width)), spread_ns: end - start, count, of })
    }

    /// N, if two or more connections ended with `close` on the Nth response and none had more.
    #[must_use]
    pub fn max_requests(&self) -> Option<MaxRequests> {
        let (&requests, &(connections, closed_by_server)) = self.ended_at.last_key_value()?;
        (connections >= 2 && requests > 1 && requests == self.most_responses).then_some(MaxRequests {
            requests,
            connections,
            closed_by_server,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::law_tests::plain;

    fn idle(waits_ms: &[i64]) -> Idle {
        let mut idle = Idle::default();
        for &ms in waits_ms {
            let mut record = plain(0);
            record.active_closer = ActiveCloser::Server;
            record.idle_before_close_ns = Some(ms * MS);
            record.http.responses = 1;
            record.http.response_persistent = Some(true);
            idle.add(&record);
        }
        idle
    }

    /// (timeout, spread, closes in the cluster, closes in all), ms.
    fn timeout(waits_ms: &[i64], gap_ms: Option<i64>) -> Option<(i64, i64, u64, u64)> {
        let told = idle(waits_ms).timeout(gap_ms.map(|ms| ms * MS))?;
        Some((told.timeout_ns / MS, told.spread_ns / MS, told.count, told.of))
    }

    #[test]
    fn three_alike_are_a_cluster() {
        assert_eq!(timeout(&[3003, 3001, 3005, 900], None), Some((3003, 4, 3, 4)));
    }

    #[test]
    fn two_alike_or_three_scattered_are_none() {
        assert_eq!(timeout(&[3003, 3001], None), None);
        assert_eq!(timeout(&[3003, 3060, 3150, 2800], None), None);
    }

    #[test]
    fn one_percent_is_enough_for_long_timeouts() {
        assert_eq!(timeout(&[75_000, 75_400, 75_700], None), Some((75_350, 700, 3, 3)));
    }

    #[test]
    fn closing_at_once_is_no_idle_timeout() {
        assert_eq!(timeout(&[0, 0, 1, 1, 2], None), None);
    }

    #[test]
    fn a_reuse_after_a_longer_wait_refutes_a_cluster() {
        assert_eq!(timeout(&[1000, 1001, 1002], Some(4000)), None);
        assert_eq!(timeout(&[1000, 1001, 1002, 5000, 5001, 5002], Some(4000)), Some((5001, 2, 3, 6)));
    }

    #[test]
    fn an_outstanding_request_or_an_announced_close_is_no_idling() {
        let mut record = plain(0);
        record.active_closer = ActiveCloser::Server;
        record.idle_before_close_ns = Some(3000 * MS);
        record.http.responses = 1;
        record.http.response_persistent = Some(true);
        assert_eq!(sample(&record), Some(3000 * MS));
        record.http.unprocessed = 1;
        assert_eq!(sample(&record), None);
        (record.http.unprocessed, record.http.response_persistent) = (0, Some(false));
        assert_eq!(sample(&record), None);
    }

    fn limit(ends: &[(u32, bool)]) -> Option<(u32, u64)> {
        let mut idle = Idle::default();
        for &(responses, closing) in ends {
            let mut record = plain(0);
            record.active_closer = ActiveCloser::Server;
            record.http.requests = responses;
            record.http.responses = responses;
            record.http.request_persistent = Some(true);
            record.http.response_persistent = Some(!closing);
            record.http.announced_server = closing;
            idle.add(&record);
        }
        idle.max_requests().map(|most| (most.requests, most.connections))
    }

    #[test]
    fn a_limit_needs_two_at_the_top_and_none_above() {
        assert_eq!(limit(&[(100, true), (100, true), (3, false)]), Some((100, 2)));
        assert_eq!(limit(&[(100, true), (3, true), (3, true)]), None);
        assert_eq!(limit(&[(100, true), (101, false), (100, true)]), None);
        assert_eq!(limit(&[(1, true), (1, true)]), None);
    }
}
