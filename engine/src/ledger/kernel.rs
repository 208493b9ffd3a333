//! The kernel's own tables beside the wire: which TIME_WAITs both show, which only one of them does, and why.
//!
//! A table is what one host's kernel listed at one moment. A connection of the capture is looked up in it by its two
//! endpoints, and counts as the same socket if what the wire shows lets its TIME_WAIT cover that moment. Then the timer
//! that the kernel told replaces the model's length (basis `kernel`), unless something after that moment may have
//! restarted it.

use super::lengths::{LONGEST_NS, Length, Lengths, MS};
use super::listed::Listed;
use super::states::wait_end;
use super::summary::{Counts, KernelExample, KernelFacts};
use crate::record::{Address, ConnectionRecord, TimeWaitFacts};
use crate::settings::{HostTable, SECOND, Settings};
use roaring::RoaringBitmap;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

/// How far a packet's capture time and the moment the kernel acts on it may be apart on one host.
pub(super) const TOLERANCE_NS: i64 = 50 * MS;
/// Linux's timers run out up to this much late (semantics B: 4.1 s measured at 1000 Hz, 5.1 s at 100 Hz).
pub const TIMER_SLACK_NS: i64 = 5_200 * MS;
/// TIME_WAITs of the wire held against one table; beyond it they are counted.
const MOST_WAITS: usize = 1 << 20;
/// A table is read at most this long before it is held against the wire.
const RECENT_NS: i64 = 10 * SECOND;
/// Connections of the last moments remembered at most; each takes about 400 bytes, and only where a host is watched.
const MOST_RECENT: usize = 1 << 16;
/// All of them are looked through after so many.
const SWEEP_EVERY: usize = 1024;
/// Sockets shown of each kind.
const EXAMPLES: usize = 3;

pub(super) type End = (Address, u16);

/// What was read of one kernel, in a form to be looked up.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) own: HashSet<Address>,
    pub(super) read_ns: (i64, i64),
    index: HashMap<(End, End), u32>,
    /// Each with the end of its timer: when the kernel was read where nothing was left.
    pub(super) waits: Vec<((End, End), i64)>,
}

impl Table {
    fn of(given: &HostTable) -> Table {
        let waits: Vec<_> = given.waits.iter().map(|wait| (ends(wait), wait.4)).collect();
        let index = waits.iter().zip(0..).map(|(&(ends, _), number)| (ends, number)).collect();
        let own = given.addresses.iter().copied().map(Address::from).collect();
        Table { own, read_ns: given.read_ns, index, waits }
    }

    /// Whether nothing was left of a timer that ends then: it is over and fires late, so it only proves that its socket
    /// was still there.
    pub(super) fn was_over(&self, ends_ns: i64) -> bool {
        let (before_ns, after_ns) = self.read_ns;
        ends_ns <= before_ns.saturating_add(after_ns.saturating_sub(before_ns) / 2)
    }
}

/// Whether what the wire shows allows this TIME_WAIT to have been there when a table was read.
pub(super) fn is_covered_by(read_ns: (i64, i64), facts: &TimeWaitFacts) -> bool {
    let (from, to) = (read_ns.0 - TOLERANCE_NS, read_ns.1 + TOLERANCE_NS);
    let over = [facts.ended.map(|(mark, _)| mark), facts.gone].into_iter().flatten().any(|mark| mark.ts_ns < from);
    let began = facts.start.ts_ns.saturating_sub(facts.start_uncertainty_ns) <= to;
    began && !over && facts.possibly_restarted_ns.saturating_add(LONGEST_NS) >= from
}

/// Whether the timer told then was its own, and still the one that ended it. Of one that began or may have been restarted
/// as the kernel was read, or just before, the kernel may have told the timer that was before: of the TIME_WAIT whose
/// port came again, or its own until the restart. Either ends too soon, and no length tells it from a shorter one.
pub(super) fn timer_holds(read_ns: (i64, i64), facts: &TimeWaitFacts) -> bool {
    let known = facts.ended.is_some() || facts.gone.is_some() || facts.possibly_killed.is_some();
    !known && facts.possibly_restarted_ns.saturating_add(TOLERANCE_NS) <= read_ns.0
}

fn ends(wait: &(IpAddr, u16, IpAddr, u16, i64)) -> (End, End) {
    ((wait.0.to_canonical().into(), wait.1), (wait.2.to_canonical().into(), wait.3))
}

/// One table and what was found for it.
#[derive(Clone, Debug)]
struct Beside {
    table: Arc<Table>,
    /// Sockets of the table that the wire shows in TIME_WAIT.
    matched: RoaringBitmap,
    /// Sockets whose connection the wire shows, without showing that they wait.
    met: RoaringBitmap,
    /// TIME_WAITs of the wire that may cover the moment, with what the wire alone says of them.
    waits: Vec<(End, End, TimeWaitFacts, bool)>,
    left_out: u64,
}

/// A connection that was finished a moment ago, as far as a table read at that moment needs it.
#[derive(Clone, Debug)]
struct Recent {
    first_ns: i64,
    last_ns: i64,
    ends: [End; 2],
    waits: [Option<TimeWaitFacts>; 2],
}

/// Every table; and while tables are still to come, the last connections of the hosts that they will be of.
#[derive(Clone, Debug, Default)]
pub struct KernelLedger {
    beside: Vec<Beside>,
    watched: HashSet<Address>,
    recent: VecDeque<Recent>,
    /// Remembered since all were last looked through, and the latest end among those.
    since_sweep: (usize, i64),
    /// What all tables of the watched host told.
    listed: Arc<Listed>,
    /// TIME_WAITs of the wire that none of them had, and a few of those.
    never_listed: u64,
    absent: Vec<(End, End)>,
    /// A copy, which no table comes to any more: it remembers nothing.
    is_copy: bool,
}

impl KernelLedger {
    /// A copy to be finished: without the last connections, which only further tables are held against.
    #[must_use]
    pub fn provisional(&self) -> Self {
        KernelLedger {
            beside: self.beside.clone(),
            watched: self.watched.clone(),
            listed: Arc::clone(&self.listed),
            never_listed: self.never_listed,
            absent: self.absent.clone(),
            is_copy: true,
            ..KernelLedger::default()
        }
    }

    /// Of the tables that the settings hold.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let watched = settings.watched_hosts.iter().map(|ip| ip.to_canonical().into()).collect();
        let listed = Arc::new(Listed::new(settings.idle_expiry_ns));
        let mut made = KernelLedger { watched, listed, ..KernelLedger::default() };
        made.replace(&settings.host_tables);
        made
    }

    /// Holds what comes, and what was finished a moment ago, against these tables instead.
    pub fn replace(&mut self, tables: &[HostTable]) {
        let beside = |given: &HostTable| Beside {
            table: Arc::new(Table::of(given)),
            matched: RoaringBitmap::new(),
            met: RoaringBitmap::new(),
            waits: Vec::new(),
            left_out: 0,
        };
        self.beside = tables.iter().map(beside).collect();
        if !self.watched.is_empty() {
            // A copy is concluded before the next table comes: nothing is copied here.
            let listed = Arc::make_mut(&mut self.listed);
            self.beside.iter().for_each(|one| listed.take(&one.table));
        }
        for Recent { first_ns, ends, mut waits, .. } in self.recent.iter().cloned() {
            let [client, server] = waits.each_mut();
            hold_all(&mut self.beside, first_ns, ends, [client.as_mut(), server.as_mut()]);
        }
    }

    /// A finished connection: looked up, and its TIME_WAITs given the kernel's timer.
    pub fn hold(&mut self, record: &mut ConnectionRecord) {
        let ends = [record.client, record.server];
        if !self.beside.is_empty() {
            let [client, server] = record.sides.each_mut();
            let waits = [client.time_wait.as_mut(), server.time_wait.as_mut()];
            hold_all(&mut self.beside, record.first.ts_ns, ends, waits);
        }
        if ends.iter().any(|end| self.watched.contains(&end.0)) {
            self.look_back(record, ends);
            if !self.is_copy {
                self.remember(record, ends);
            }
        }
    }

    /// What earlier tables told of its TIME_WAITs.
    fn look_back(&mut self, record: &mut ConnectionRecord, ends: [End; 2]) {
        for (side, pair) in record.sides.iter_mut().zip([(ends[0], ends[1]), (ends[1], ends[0])]) {
            let Some(facts) = &mut side.time_wait else { continue };
            facts.kernel_end_ns = self.listed.end_of(pair, facts).or(facts.kernel_end_ns);
            let is_absent = self.listed.never_had(pair, facts);
            facts.unlisted_ns = if is_absent { Some(facts.start.ts_ns) } else { self.listed.gone_since(pair, facts) };
            if is_absent {
                self.never_listed += 1;
                self.absent.extend((self.absent.len() < EXAMPLES).then_some(pair));
            }
            if !self.is_copy
                && let Some(listed) = Arc::get_mut(&mut self.listed)
            {
                listed.forget(pair, facts);
            }
        }
    }

    /// Those that ended long before the newest, and those beyond the limit, are forgotten. They come nearly in the order
    /// of their ends; those that do not are found when all are looked through now and then. The newest is the newest of
    /// the last ones: a clock that steps back is followed.
    fn remember(&mut self, record: &ConnectionRecord, ends: [End; 2]) {
        let waits = [record.sides[0].time_wait.clone(), record.sides[1].time_wait.clone()];
        let last_ns = waits.iter().flatten().filter_map(over).max().unwrap_or(record.last.ts_ns);
        let old = |recent: &Recent| recent.last_ns < last_ns.saturating_sub(RECENT_NS);
        while self.recent.len() >= MOST_RECENT || self.recent.front().is_some_and(old) {
            self.recent.pop_front();
        }
        let (count, latest_ns) = match self.since_sweep {
            (0, _) => (1, last_ns),
            (count, latest_ns) => (count + 1, latest_ns.max(last_ns)),
        };
        self.since_sweep = (count % SWEEP_EVERY, latest_ns);
        if count == SWEEP_EVERY {
            self.recent.retain(|recent| recent.last_ns >= latest_ns.saturating_sub(RECENT_NS));
        }
        self.recent.push_back(Recent { first_ns: record.first.ts_ns, last_ns, ends, waits });
    }

    /// Both together.
    pub fn merge(&mut self, other: Self) {
        self.recent.extend(other.recent);
        self.never_listed += other.never_listed;
        self.absent.extend(other.absent);
        for (mine, theirs) in self.beside.iter_mut().zip(other.beside) {
            mine.matched |= theirs.matched;
            mine.met |= theirs.met;
            mine.waits.extend(theirs.waits);
            mine.left_out += theirs.left_out;
        }
    }

    /// What the Summary tells, in the order of the tables. `span` is the capture's first and last packet time; nothing
    /// is unknown up to `end_ns`, which is later while a capture goes on and no packet comes; where hosts are watched the
    /// capture goes on whenever a table is read.
    #[must_use]
    pub fn finish(self, lengths: &Lengths, span: Option<(i64, i64)>, end_ns: i64) -> Vec<KernelFacts> {
        let goes_on = !self.watched.is_empty();
        let (never_listed, absent) = (self.never_listed, self.absent);
        let known_to = |beside: &Beside| if goes_on { end_ns.max(beside.table.read_ns.1) } else { end_ns };
        let told = |beside: Beside| {
            let known_ns = known_to(&beside);
            // A capture that goes on is not over when its last packet came.
            let span =
                span.map(|(first_ns, last_ns)| (first_ns, if goes_on { last_ns.max(known_ns) } else { last_ns }));
            beside.finish(lengths, span, known_ns)
        };
        let mut facts: Vec<_> = self.beside.into_iter().map(told).collect();
        // Of one watched host there is one table, the newest.
        if let Some(newest) = facts.last_mut() {
            newest.never_listed = never_listed;
            newest.examples.extend(shown(absent.into_iter().map(|(own, peer)| ("never_listed", own, peer)).collect()));
        }
        facts
    }
}

/// When its end showed.
fn over(facts: &TimeWaitFacts) -> Option<i64> {
    facts.ended.map(|(mark, _)| mark.ts_ns).or(facts.gone.map(|mark| mark.ts_ns))
}

fn hold_all(beside: &mut [Beside], first_ns: i64, ends: [End; 2], waits: [Option<&mut TimeWaitFacts>; 2]) {
    let [mut client, mut server] = waits;
    for one in beside.iter_mut().filter(|one| first_ns <= one.table.read_ns.1.saturating_add(TOLERANCE_NS)) {
        for (own, peer, wait) in [(ends[0], ends[1], &mut client), (ends[1], ends[0], &mut server)] {
            if one.table.own.contains(&own.0) {
                one.hold(own, peer, wait.as_deref_mut());
            }
        }
    }
}

impl Beside {
    fn hold(&mut self, own: End, peer: End, wait: Option<&mut TimeWaitFacts>) {
        let number = self.table.index.get(&(own, peer)).copied();
        let covering = wait.filter(|facts| is_covered_by(self.table.read_ns, facts));
        match (covering, number) {
            (Some(facts), number) => {
                self.keep(own, peer, facts, number.is_some());
                let Some((number, &(_, ends_ns))) = number.and_then(|n| Some((n, self.table.waits.get(n as usize)?)))
                else {
                    return;
                };
                self.matched.insert(number);
                if timer_holds(self.table.read_ns, facts) && !self.table.was_over(ends_ns) {
                    facts.kernel_end_ns = Some(ends_ns);
                }
            }
            (None, Some(number)) => {
                self.met.insert(number);
            }
            (None, None) => {}
        }
    }

    fn keep(&mut self, own: End, peer: End, facts: &TimeWaitFacts, matched: bool) {
        if self.waits.len() < MOST_WAITS {
            self.waits.push((own, peer, TimeWaitFacts { kernel_end_ns: None, ..facts.clone() }, matched));
        } else {
            self.left_out += 1;
        }
    }

    fn finish(self, lengths: &Lengths, span: Option<(i64, i64)>, end_ns: i64) -> KernelFacts {
        let mut told = KernelFacts {
            at_ns: self.table.read_ns.0,
            kernel: self.table.waits.len() as u64,
            both: self.matched.len(),
            left_out: self.left_out,
            ..KernelFacts::default()
        };
        let mut examples: Vec<(&'static str, End, End)> = Vec::new();
        self.only_kernel(lengths, span, &mut told.only_kernel, &mut examples);
        if span.is_some() {
            self.on_the_wire(lengths, end_ns, &mut told, &mut examples);
        }
        told.examples = shown(examples);
        told
    }

    /// Why the wire does not show what the kernel lists.
    fn only_kernel(
        &self,
        lengths: &Lengths,
        span: Option<(i64, i64)>,
        counts: &mut Counts,
        examples: &mut Vec<(&'static str, End, End)>,
    ) {
        let unmatched = self.table.waits.iter().zip(0..).filter(|(_, number)| !self.matched.contains(*number));
        for (&((own, peer), ends_ns), number) in unmatched {
            let began_ns = ends_ns.saturating_sub(lengths.of(own.0).low_ns);
            let why = match span {
                Some((first_ns, _)) if began_ns <= first_ns => "before_capture",
                Some((_, last_ns)) if began_ns > last_ns => "after_capture",
                Some(_) if self.met.contains(number) => "unproven",
                _ => "not_captured",
            };
            *counts.entry(why).or_default() += 1;
            examples.push((why, own, peer));
        }
    }

    /// The wire's band at the moment of the table, and what the kernel does not list of it.
    fn on_the_wire(
        &self,
        lengths: &Lengths,
        end_ns: i64,
        told: &mut KernelFacts,
        examples: &mut Vec<(&'static str, End, End)>,
    ) {
        let (from, to) = (self.table.read_ns.0 - TOLERANCE_NS, self.table.read_ns.1 + TOLERANCE_NS);
        for (own, peer, facts, matched) in &self.waits {
            let (low, high) = wait_end(facts, lengths, own.0, end_ns);
            let began = facts.start.ts_ns.saturating_add(facts.start_uncertainty_ns);
            // What comes after the end is unknown: a reuse would not be seen.
            let certain = began <= from && low >= to && to <= end_ns.saturating_add(TOLERANCE_NS);
            let possible = high >= from;
            told.wire.0 += u64::from(certain);
            told.wire.1 += u64::from(possible);
            let why = match (matched, certain, possible) {
                (false, true, _) => "certain",
                (false, false, true) => "possible",
                _ => continue,
            };
            *told.only_wire.entry(why).or_default() += 1;
            if certain {
                examples.push(("only_wire", *own, *peer));
            }
        }
    }
}

/// The first of each kind by address and port.
fn shown(mut examples: Vec<(&'static str, End, End)>) -> Vec<KernelExample> {
    examples.sort_unstable();
    let kinds = examples.chunk_by(|a, b| a.0 == b.0);
    let text = |(address, port): End| std::net::SocketAddr::new(address.ip(), port).to_string();
    let tell = |&(kind, own, peer): &(&'static str, End, End)| KernelExample { kind, own: text(own), peer: text(peer) };
    kinds.flat_map(|kind| kind.iter().take(EXAMPLES).map(tell)).collect()
}

/// The shortest and longest that a host's kernel gave its TIME_WAITs, from the last restart to the timer's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    low_ns: i64,
    high_ns: i64,
}

impl Timers {
    /// Of one TIME_WAIT; `None` if the kernel did not tell, or if it is not known when the timer started.
    #[must_use]
    pub fn of(facts: &TimeWaitFacts) -> Option<Timers> {
        let certain = facts.possibly_restarted_ns == facts.restarted_ns;
        let length = facts.kernel_end_ns.filter(|_| certain)?.saturating_sub(facts.restarted_ns);
        Some(Timers { low_ns: length, high_ns: length })
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Timers) -> Timers {
        Timers { low_ns: self.low_ns.min(other.low_ns), high_ns: self.high_ns.max(other.high_ns) }
    }

    /// As the length of all of the host's: the timers' own, and how late they run out.
    #[must_use]
    pub fn length(self, stack: crate::record::Stack) -> Length {
        let low_ns = rounded(self.low_ns).clamp(0, LONGEST_NS);
        let high_ns = self.high_ns.saturating_add(TIMER_SLACK_NS).clamp(low_ns, LONGEST_NS);
        Length { low_ns, high_ns, source: super::LengthSource::Kernel, stack }
    }
}

/// Down to a tenth of a second: what lies between a packet's time and the kernel's tick is no part of the length.
const fn rounded(ns: i64) -> i64 {
    let tenth = SECOND / 10;
    (ns + TOLERANCE_NS).div_euclid(tenth) * tenth
}

#[cfg(test)]
#[path = "kernel_tests.rs"]
mod tests;
