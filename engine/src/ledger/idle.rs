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

/// Whether the server said close on the last response, after persistent ones, and then closed.
#[must_use]
pub fn ends_with_close(record: &ConnectionRecord) -> bool {
    let http = &record.http;
    record.active_closer == ActiveCloser::Server
        && http.response_persistent == Some(false)
        && http.request_persistent == Some(true)
        && http.announced_server
        && !http.until_close
        && http.responses == http.requests
}

/// Running totals of a pair's server closes.
#[derive(Clone, Debug)]
pub struct Idle {
    samples: SparseBuckets,
    /// Connections that ended with `close` on the Nth response, by N.
    ended_at: BTreeMap<u32, u64>,
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
            *self.ended_at.entry(record.http.responses.min(MOST_COUNTS)).or_default() += 1;
        }
    }

    /// Both together.
    pub fn merge(&mut self, other: &Self) {
        self.samples.merge(&other.samples);
        self.most_responses = self.most_responses.max(other.most_responses);
        for (&n, count) in &other.ended_at {
            *self.ended_at.entry(n).or_default() += count;
        }
    }

    /// The densest cluster of idle closes, if it is one.
    #[must_use]
    pub fn timeout(&self) -> Option<IdleTimeout> {
        let all: Vec<(i64, u64)> = self.samples.iter().collect();
        let width = self.samples.width_ns();
        let best = all.iter().enumerate().map(|(i, &(start, _))| {
            let reach = start.saturating_add(SPREAD_NS.max(start / 100));
            let within = all[i..].iter().take_while(|(at, _)| at.saturating_add(width - MS) <= reach);
            let (end, count) = within.fold((start, 0), |(_, n), &(at, m)| (at, n + m));
            (count, start, end)
        });
        // The most; of equals the shortest timeout.
        let (count, start, end) = best.max_by_key(|&(count, start, _)| (count, std::cmp::Reverse(start)))?;
        let of = all.iter().map(|(_, n)| n).sum();
        (count >= FEWEST).then(|| IdleTimeout {
            timeout_ns: i64::midpoint(start, end.saturating_add(width)),
            spread_ns: end - start,
            count,
            of,
        })
    }

    /// N, if two or more connections ended with `close` on the Nth response and none had more.
    #[must_use]
    pub fn max_requests(&self) -> Option<MaxRequests> {
        let (&requests, &connections) = self.ended_at.last_key_value()?;
        (connections >= 2 && requests > 1 && requests == self.most_responses)
            .then_some(MaxRequests { requests, connections })
    }
}
