//! Connections worth showing: for each pair and kind the three that read best.
//!
//! A connection reads well when it was captured whole and is short; of equals the earliest is taken. That order is total
//! and depends on the connection alone, so keeping the three least merges in any order.

use crate::record::{
    ActiveCloser, Close, ConnectionRecord, Mark, Quality, Race, ResetEffect, ResetKind, Role, Sight, TimeWaitEnd,
};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every kind, in the order of their places.
pub const KINDS: &[&str] = &[
    "closed_by_server",
    "closed_by_client",
    "simultaneous",
    "reset_client",
    "reset_server",
    "refused",
    "unanswered",
    "half_open",
    "half_closed",
    "announced_close",
    "http10",
    "single_request_client_close",
    "idle_close",
    MAX_REQUESTS,
    "keepalive_race",
    "stale_reuse",
    "abort",
    "time_wait_exact",
    "time_wait_interval",
    "time_wait_killed",
    "open",
];

/// The kind that is shown only where a limit was inferred, and only connections that reached it.
const MAX_REQUESTS: &str = "max_requests";
/// Kept of each kind.
const MOST: usize = 3;
/// The file of packets that are in none (`capture::write::NOWHERE`), as a mark has it.
const NO_FILE: u32 = Mark::LAST_FILE;
/// Packets up to which a ladder fits a page.
const SHORT_PACKETS: u64 = 40;

/// A connection worth showing.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Exemplar {
    /// Ordinal of its first packet.
    pub ordinal: u64,
    /// `connection` as the contract numbers it.
    pub connection: u64,
    /// Client address and port.
    pub client: (String, u16),
    /// Server address and port.
    pub server: (String, u16),
    /// What is around its packets (key form).
    pub tunnel: u64,
    /// Index of the file of the first packet.
    pub file: u32,
    /// First frame.
    pub first_frame: u64,
    /// Index of the file of the last packet.
    pub last_file: u32,
    /// Last frame.
    pub last_frame: u64,
    /// First packet's time.
    pub start_ns: i64,
    /// Last packet's time.
    pub end_ns: i64,
    /// The packet that closed.
    pub closer_frame: Option<u64>,
    /// Index of its file.
    pub closer_file: Option<u32>,
    /// For the second look.
    #[serde(skip)]
    pub sight: Sight,
}

/// Which of [`KINDS`] a connection is an example of, in their order.
fn kinds(record: &ConnectionRecord) -> [bool; KINDS.len()] {
    let http = &record.http;
    let by = |closer| record.active_closer == closer;
    let reset = record.reset.filter(|reset| reset.effect != ResetEffect::Ineffective);
    let is_reset = record.close == Close::Reset;
    let reset_by = |role| is_reset && reset.is_some_and(|r| r.role == role);
    let announced = http.announced_client || http.announced_server;
    let waits = || record.sides.iter().filter_map(|side| side.time_wait.as_ref());
    let ended = |wanted| waits().any(|w| w.ended.is_some_and(|(_, end)| end == wanted));
    [
        by(ActiveCloser::Server),                                                   // closed_by_server
        by(ActiveCloser::Client),                                                   // closed_by_client
        by(ActiveCloser::Both),                                                     // simultaneous
        reset_by(Role::Client),                                                     // reset_client
        reset_by(Role::Server),                                                     // reset_server
        record.close == Close::Refused,                                             // refused
        record.close == Close::Unanswered,                                          // unanswered
        record.close == Close::HalfOpen,                                            // half_open
        record.close == Close::HalfClosed,                                          // half_closed
        by(ActiveCloser::Server) && announced,                                      // announced_close
        http.request_version == Some(0),                                            // http10
        super::persistence::is_single_request_client_close(record),                 // single_request_client_close
        super::idle::sample(record).is_some(),                                      // idle_close
        super::idle::ends_with_close(record) && http.responses > 1,                 // max_requests
        record.race == Some(Race::KeepaliveRace),                                   // keepalive_race
        record.race == Some(Race::StaleReuse),                                      // stale_reuse
        is_reset && reset.is_some_and(|r| r.kind == ResetKind::Abort),              // abort
        ended(TimeWaitEnd::Reused),                                                 // time_wait_exact
        waits().any(|w| w.alive.is_some() || w.gone.is_some()),                     // time_wait_interval
        ended(TimeWaitEnd::Killed) || waits().any(|w| w.possibly_killed.is_some()), // time_wait_killed
        record.close == Close::Open,                                                // open
    ]
}

/// Lower is better. The first number decides only where a kind stands for a limit: `u32::MAX` less the responses.
type Rank = (u32, bool, bool, u64);

fn rank(record: &ConnectionRecord) -> Rank {
    let packets = record.sides.iter().fold(0_u64, |sum, side| sum.saturating_add(side.packets));
    let whole = record.handshake_rtt_ns.is_some() && record.quality == Quality(0);
    (0, !whole, packets > SHORT_PACKETS, record.ordinal)
}

/// The best of each kind so far.
#[derive(Clone, Debug, Default)]
pub struct Exemplars {
    /// By the kinds' places in [`KINDS`]; one connection is often an example of several.
    best: [Vec<(Rank, Arc<Exemplar>)>; KINDS.len()],
    /// The kinds, a bit each, of which nothing later than `settled_by` can be better than what is kept.
    settled: u32,
    settled_by: u64,
    /// The first file that is still there: what was in those before it can be shown no more.
    first_file: u32,
}

/// The kinds of a connection, a bit each.
fn bits(kinds: [bool; KINDS.len()]) -> u32 {
    kinds.into_iter().rev().fold(0, |bits, applies| bits << 1 | u32::from(applies))
}

impl Exemplars {
    /// None yet, and none of files before this one.
    #[must_use]
    pub fn from_file(first: u32) -> Self {
        Exemplars { first_file: first, ..Exemplars::default() }
    }

    /// One more connection; costs nothing once better ones are kept.
    pub fn add(&mut self, record: &ConnectionRecord) {
        let kinds = kinds(record);
        if bits(kinds) & !self.settled == 0 && record.ordinal > self.settled_by {
            return;
        }
        if !is_there(record.first.file(), self.first_file) {
            return;
        }
        let common = rank(record);
        let mut made: Option<Arc<Exemplar>> = None;
        for ((list, &kind), applies) in self.best.iter_mut().zip(KINDS).zip(kinds) {
            if !applies {
                continue;
            }
            let fewest = if kind == MAX_REQUESTS { u32::MAX - record.http.responses } else { 0 };
            let rank = (fewest, common.1, common.2, common.3);
            if list.get(MOST - 1).is_some_and(|(worst, _)| *worst < rank) {
                continue;
            }
            insert(list, rank, Arc::clone(made.get_or_insert_with(|| Arc::new(exemplar(record)))));
        }
        self.settle();
    }

    /// The ordinals of all kept.
    pub fn ordinals(&self) -> impl Iterator<Item = u64> + '_ {
        self.best.iter().flatten().map(|(_, one)| one.ordinal)
    }

    /// Files before this one are gone, and examples in them too: later ones take their places.
    pub fn forget_files(&mut self, first: u32) {
        self.first_file = first;
        self.best.iter_mut().for_each(|list| list.retain(|(_, one)| is_there(one.file, first)));
        self.settle();
    }

    /// A kind whose list is full of whole and short ones takes none that begins later.
    fn settle(&mut self) {
        self.settled = 0;
        self.settled_by = 0;
        for (place, (list, kind)) in self.best.iter().zip(KINDS).enumerate() {
            if let Some(((_, false, false, _), _)) = list.get(MOST - 1)
                && *kind != MAX_REQUESTS
            {
                self.settled |= 1 << place;
                let latest = list.iter().map(|(rank, _)| rank.3).max().unwrap_or(0);
                self.settled_by = self.settled_by.max(latest);
            }
        }
    }

    /// Both together.
    pub fn merge(&mut self, other: Self) {
        for (list, theirs) in self.best.iter_mut().zip(other.best) {
            for (rank, exemplar) in theirs {
                insert(list, rank, exemplar);
            }
        }
        self.settle();
    }

    /// For the Summary, best first. `limit` is the inferred maximum of requests.
    pub fn finish(
        self,
        limit: Option<u32>,
        number_of: impl Fn(u64) -> u64,
    ) -> BTreeMap<&'static str, Vec<Arc<Exemplar>>> {
        let first = self.first_file;
        let mut told = BTreeMap::new();
        let mut numbered: BTreeMap<u64, Arc<Exemplar>> = BTreeMap::new();
        let mut number = |mut one: Arc<Exemplar>| {
            let known = numbered.entry(one.ordinal).or_insert_with(|| {
                let told = Arc::make_mut(&mut one);
                told.connection = number_of(told.ordinal);
                (told.file, told.last_file) = (told.file - first, told.last_file.saturating_sub(first));
                told.closer_file = told.closer_file.map(|file| file.saturating_sub(first));
                one
            });
            Arc::clone(known)
        };
        for (&kind, list) in KINDS.iter().zip(self.best) {
            let reached = |rank: &Rank| kind != MAX_REQUESTS || limit == Some(u32::MAX - rank.0);
            let list = list.into_iter().filter(|(rank, _)| reached(rank));
            let shown: Vec<_> = list.map(|(_, one)| number(one)).collect();
            if !shown.is_empty() {
                told.insert(kind, shown);
            }
        }
        told
    }
}

/// Whether a packet's file can be opened: it was written, and is not removed.
fn is_there(file: u32, first: u32) -> bool {
    (first..NO_FILE).contains(&file)
}

/// `{"connections": [each once], "kinds": {kind: [places in that list]}}`: most are examples of several kinds.
///
/// # Errors
/// The serializer's.
pub fn once_each<S: Serializer>(
    told: &BTreeMap<&'static str, Vec<Arc<Exemplar>>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut connections: Vec<&Exemplar> = told.values().flatten().map(|one| &**one).collect();
    connections.sort_unstable_by_key(|one| one.ordinal);
    connections.dedup_by_key(|one| one.ordinal);
    let place = |one: &Arc<Exemplar>| connections.partition_point(|known| known.ordinal < one.ordinal);
    let kinds: BTreeMap<_, Vec<usize>> =
        told.iter().map(|(kind, list)| (kind, list.iter().map(place).collect())).collect();
    let mut object = serializer.serialize_struct("Exemplars", 2)?;
    object.serialize_field("connections", &connections)?;
    object.serialize_field("kinds", &kinds)?;
    object.end()
}

fn insert(list: &mut Vec<(Rank, Arc<Exemplar>)>, rank: Rank, exemplar: Arc<Exemplar>) {
    let at = list.partition_point(|(other, _)| *other < rank);
    list.insert(at, (rank, exemplar));
    list.truncate(MOST);
}

fn exemplar(record: &ConnectionRecord) -> Exemplar {
    let end = |(address, port): (crate::record::Address, u16)| (address.to_string(), port);
    Exemplar {
        sight: Sight::from(record),
        ordinal: record.ordinal,
        connection: 0,
        client: end(record.client),
        server: end(record.server),
        tunnel: record.tunnel.0,
        file: record.first.file(),
        first_frame: record.first.frame(),
        last_file: record.last.file(),
        last_frame: record.last.frame(),
        start_ns: record.first.ts_ns,
        end_ns: record.last.ts_ns,
        closer_frame: record.closer.map(|mark| mark.frame()),
        closer_file: record.closer.map(|mark| mark.file()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each word stands where its condition does.
    #[test]
    fn the_kinds_of_a_connection_are_the_listed_ones() {
        let told = |change: &dyn Fn(&mut ConnectionRecord)| {
            let mut record = super::super::law_tests::plain(0);
            change(&mut record);
            let listed = KINDS.iter().zip(kinds(&record)).filter(|(_, applies)| *applies);
            listed.map(|(kind, _)| *kind).collect::<Vec<_>>()
        };
        assert_eq!(told(&|_| ()), ["open"]);
        let closed = |record: &mut ConnectionRecord| {
            (record.close, record.active_closer) = (Close::HalfClosed, ActiveCloser::Server);
            (record.http.announced_server, record.http.request_version) = (true, Some(0));
        };
        assert_eq!(told(&closed), ["closed_by_server", "half_closed", "announced_close", "http10"]);
        let crossed = |record: &mut ConnectionRecord| {
            (record.close, record.active_closer) = (Close::Refused, ActiveCloser::Both);
            record.race = Some(Race::StaleReuse);
        };
        assert_eq!(told(&crossed), ["simultaneous", "refused", "stale_reuse"]);
    }

    #[test]
    fn an_example_of_a_limit_reached_it() {
        let mut exemplars = Exemplars::default();
        for (ordinal, responses) in [(1, 3), (2, 5), (3, 5), (4, 2)] {
            let mut record = super::super::law_tests::plain(ordinal);
            record.active_closer = ActiveCloser::Server;
            record.http.requests = responses;
            record.http.responses = responses;
            record.http.request_persistent = Some(true);
            record.http.response_persistent = Some(false);
            record.http.announced_server = true;
            exemplars.add(&record);
        }
        let told = |limit| {
            let kinds = exemplars.clone().finish(limit, |ordinal| ordinal);
            kinds.get(MAX_REQUESTS).map(|list| list.iter().map(|one| one.ordinal).collect::<Vec<_>>())
        };
        assert_eq!(told(Some(5)), Some(vec![2, 3]));
        assert_eq!(told(None), None);
    }

    #[test]
    fn what_was_in_removed_files_gives_its_place_to_later_ones() {
        let of = |ordinal, file| {
            let mut record = super::super::law_tests::plain(ordinal);
            record.first = Mark::new(0, 1, file);
            record.last = Mark::new(9, 4, file);
            record
        };
        let mut exemplars = Exemplars::default();
        (1..=3).for_each(|ordinal| exemplars.add(&of(ordinal, 0)));
        exemplars.add(&of(4, 1));
        exemplars.forget_files(1);
        for record in [of(5, 0), of(6, 1), of(7, 2), of(8, u32::MAX)] {
            exemplars.add(&record);
        }
        let told = exemplars.finish(None, |ordinal| ordinal);
        let places: Vec<_> = told["open"].iter().map(|one| (one.connection, one.file, one.last_file)).collect();
        assert_eq!(places, [(6, 0, 0), (7, 1, 1)], "those that can be opened, counted from the first that is there");
    }

    #[test]
    fn the_whole_and_short_come_first() {
        let mut exemplars = Exemplars::default();
        for (ordinal, packets, quality) in [(1, 90, 0), (2, 9, 2), (3, 9, 0), (4, 9, 0)] {
            let mut record = super::super::law_tests::plain(ordinal);
            record.sides[0].packets = packets;
            record.quality = Quality(quality);
            exemplars.add(&record);
        }
        let told = exemplars.finish(None, |ordinal| ordinal + 1);
        assert_eq!(told["open"].iter().map(|one| one.connection).collect::<Vec<_>>(), [4, 5, 2]);
    }
}
