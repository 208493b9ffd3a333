//! Socket states of every host at chosen instants: what `netstat` would have counted there.
//!
//! Each connection hands in spans: an endpoint was in a state from one moment to somewhere between two others. A span adds
//! one to every instant it covers, kept as differences, so a long span costs three entries and one between two instants
//! none. They are kept with the host ([`super::hosts`]), so that it is the same hosts of which all is told. A TIME_WAIT
//! whose end nothing shows lasts as long as its host's do, which is known only at the end: until then it waits on the
//! disk, as rows of tables do ([`crate::rows`]), unless it can reach no instant.

use super::lengths::{LONGEST_NS, Lengths, estimate};
use super::summary::StateCount;
use crate::record::{Address, State, TimeWaitFacts};
use crate::rows::{Row, Rows};
use crate::settings::{Settings, StatesQuery};
use crate::tcp::payload::Span;
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;
use std::io;

/// Indices of instants: the one asked for is 0, or multiples of the grid.
#[derive(Clone, Copy, Debug)]
enum Instants {
    One(i64),
    Every(i64),
}

impl Instants {
    /// The first instant at or after a moment.
    fn from(self, ns: i64) -> i64 {
        match self {
            Instants::One(at) => i64::from(ns > at),
            Instants::Every(step) => ns.div_euclid(step) + i64::from(ns.rem_euclid(step) > 0),
        }
    }

    fn at(self, index: i64) -> i64 {
        match self {
            Instants::One(at) => at,
            Instants::Every(step) => index.saturating_mul(step),
        }
    }

    /// One that is closed, or listens for all clients, is no socket of a connection.
    fn covered(self, span: Span) -> Option<Covered> {
        let from = self.from(span.from_ns);
        let to_min = self.from(span.to_min_ns).max(from);
        let to_max = self.from(span.to_max_ns).max(to_min);
        let is_socket = !matches!(span.state, State::Closed | State::Listen);
        (is_socket && from < to_max && from < self.last()).then_some(Covered {
            state: span.state,
            from,
            to_min,
            to_max,
        })
    }

    /// Behind all of them.
    const fn last(self) -> i64 {
        match self {
            Instants::One(_) => 1,
            Instants::Every(_) => i64::MAX,
        }
    }
}

/// Instants told at most. A finer grid over a longer span (a hostile clock that jumps decades) is told at every second,
/// third … instant only.
const MOST_INSTANTS: i64 = 50_000;
/// Most counts told in all: of many hosts in many states each gets a coarser grid.
const MOST_COUNTS: i64 = 1_000_000;

/// Changes kept of a host, in all states (fewer in tests, which pass it). Beyond it every second, fourth … instant only is
/// told.
const MOST_CHANGES: usize = if cfg!(test) { 1 << 6 } else { 1 << 18 };
/// Changes that are added to a host before they are sorted in.
const FEWEST: usize = 16;

/// Instants that a host was in a state at, by their indices: from the first one (included) to somewhere between two others.
#[derive(Clone, Copy, Debug)]
pub struct Covered {
    state: State,
    from: i64,
    to_min: i64,
    to_max: i64,
}

impl Covered {
    /// Whether the handshake was not over there.
    #[must_use]
    pub const fn is_opening(&self) -> bool {
        matches!(self.state, State::SynSent | State::SynReceived)
    }
}

/// By how much counts in a state change at an instant.
#[derive(Clone, Copy, Debug)]
struct Change {
    state: State,
    at: i64,
    min: i64,
    max: i64,
}

/// A host's states over time. What it tells depends on the set of changes alone, not on their order.
#[derive(Clone, Debug, Default)]
pub struct HostStates {
    /// So many are sorted and apart, the others as they came.
    settled: usize,
    changes: Vec<Change>,
    /// Instants are multiples of two to the power of this, and indices are in those.
    shift: u32,
}

impl HostStates {
    /// One more span.
    pub fn add(&mut self, covered: Covered) {
        let Covered { state, from, to_min, to_max } = covered;
        let [from, to_min, to_max] = [from, to_min, to_max].map(|at| coarser(at, self.shift));
        if self.changes.capacity() == 0 {
            self.changes.reserve_exact(3);
        }
        self.changes.push(Change { state, at: from, min: 1, max: 1 });
        if to_min == to_max {
            self.changes.push(Change { state, at: to_min, min: -1, max: -1 });
        } else {
            self.changes.push(Change { state, at: to_min, min: -1, max: 0 });
            self.changes.push(Change { state, at: to_max, min: 0, max: -1 });
        }
        self.settle_many();
    }

    /// Both together.
    pub fn merge(&mut self, mut other: Self) {
        let shift = self.shift.max(other.shift);
        self.widen(shift);
        other.widen(shift);
        self.changes.extend(other.changes);
        self.settle_many();
    }

    fn settle_many(&mut self) {
        if self.changes.len() >= (2 * self.settled).max(FEWEST) {
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.changes.sort_by_key(|change| (change.state, change.at));
        self.changes.dedup_by(|later, kept| {
            let same = (later.state, later.at) == (kept.state, kept.at);
            if same {
                (kept.min, kept.max) = (kept.min + later.min, kept.max + later.max);
            }
            same
        });
        self.settled = self.changes.len();
        if self.settled > MOST_CHANGES && self.shift < 62 {
            self.widen(self.shift + 1);
            self.settle();
        }
    }

    fn widen(&mut self, shift: u32) {
        let more = shift - self.shift;
        if more > 0 {
            self.changes.iter_mut().for_each(|change| change.at = coarser(change.at, more));
            self.shift = shift;
        }
    }

    /// The first instant at which anything changes.
    fn first(&self) -> Option<i64> {
        self.changes.iter().map(|change| change.at.saturating_mul(1 << self.shift)).min()
    }

    /// States that occur.
    fn series(&self) -> usize {
        self.changes.chunk_by(|a, b| a.state == b.state).count()
    }

    /// The counts at every multiple of `step`, up to `end`, in order of state and instant.
    fn tell(&self, (step, end): (i64, i64), mut told: impl FnMut(State, i64, (i64, i64))) {
        let at = |change: &Change| change.at.saturating_mul(1 << self.shift);
        for series in self.changes.chunk_by(|a, b| a.state == b.state) {
            let (mut min, mut max) = (0, 0);
            let mut changes = series.iter().peekable();
            while let Some(change) = changes.next() {
                (min, max) = (min + change.min, max + change.max);
                let from = at(change);
                let to = changes.peek().map_or(from.saturating_add(1), |next| at(next)).min(end.saturating_add(1));
                if max <= 0 {
                    continue;
                }
                let first = from.saturating_add((step - from.rem_euclid(step)) % step);
                for index in (first..to).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
                    told(change.state, index, (min, max));
                }
            }
        }
    }
}

/// The first multiple of 2^shift at or after an index, in those.
const fn coarser(at: i64, shift: u32) -> i64 {
    (at >> shift) + (at & ((1 << shift) - 1) != 0) as i64
}

/// A TIME_WAIT whose end is not known yet.
#[derive(Clone, Debug, Encode, Decode)]
struct Waiting {
    host: Address,
    from_ns: i64,
    facts: TimeWaitFacts,
}

impl Row for Waiting {
    /// In order of time runs hardly overlap, so that few of them are under way at once. Equal ones are interchangeable.
    type Key = (i64, u64, Address);
    fn key(&self) -> Self::Key {
        (self.from_ns, self.facts.start.place(), self.host)
    }
}

/// The instants asked for, and what has to wait for the end.
pub struct StateSpans {
    instants: Instants,
    /// Of all hosts otherwise.
    host: Option<Address>,
    busiest: bool,
    waits: Rows<Waiting>,
}

impl StateSpans {
    /// For the instants of `settings.states`; without any, for the first moment of 1970.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let query = settings.states.clone().unwrap_or_default();
        let instants = match (query.at_ns, query.every_ns) {
            (None, Some(step)) => Instants::Every(step.max(1)),
            (at, _) => Instants::One(at.unwrap_or_default()),
        };
        let StatesQuery { host, busiest, .. } = query;
        StateSpans { instants, host: host.map(Address::from), busiest, waits: Rows::new(settings.rows_in_memory) }
    }

    /// Which instants a span covers, if any, of a host that is asked for.
    #[must_use]
    pub fn covered(&self, host: Address, span: Span) -> Option<Covered> {
        let is_asked = self.host.is_none_or(|only| only == host);
        if is_asked { self.instants.covered(span) } else { None }
    }

    /// `host` waits in TIME_WAIT from `from_ns` on: the instants that covers, as far as its end is known. Else it is kept.
    #[must_use]
    pub fn time_wait(&mut self, host: Address, from_ns: i64, facts: &TimeWaitFacts) -> Option<Covered> {
        if let Some((mark, _)) = facts.ended {
            return self.covered(host, waiting(from_ns, (mark.ts_ns, mark.ts_ns)));
        }
        let latest_ns = latest_end(facts);
        if self.covered(host, waiting(from_ns, (latest_ns, latest_ns))).is_some() {
            self.waits.push(Waiting { host, from_ns, facts: facts.clone() });
        }
        None
    }

    /// Whether some were lost.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.waits.has_failed()
    }

    /// Both together.
    pub fn merge(&mut self, other: Self) {
        self.waits.merge(other.waits);
    }

    /// Every instant up to the last packet at which a host of those told apart, the busiest first, had a socket in a state;
    /// by host, instant, state.
    ///
    /// # Errors
    /// The temporary file cannot be written or read.
    pub fn finish(
        self,
        told: Vec<(Address, HostStates)>,
        lengths: &Lengths,
        capture_end_ns: i64,
    ) -> io::Result<Vec<StateCount>> {
        let StateSpans { instants, host, busiest, .. } = self;
        let hosts = told.into_iter().filter(|told| host.is_none_or(|only| only == told.0));
        let mut hosts: BTreeMap<_, _> = hosts.take(if busiest { 1 } else { usize::MAX }).collect();
        for waits in self.waits.sorted()?.read() {
            let Waiting { host, from_ns, facts } = waits?;
            let Some(states) = hosts.get_mut(&host) else { continue };
            let ends = wait_end(&facts, lengths, host, capture_end_ns);
            instants.covered(waiting(from_ns, ends)).into_iter().for_each(|covered| states.add(covered));
        }
        hosts.values_mut().for_each(HostStates::settle);
        let end = match instants {
            Instants::One(_) => 0,
            Instants::Every(step) => capture_end_ns.div_euclid(step),
        };
        let step = step(&hosts, end);
        let mut counts = Vec::new();
        for (host, states) in &hosts {
            let (host, of_host) = (host.to_string(), counts.len());
            states.tell((step, end), |state, index, (min, max)| {
                let (min, max) = (u64::try_from(min).unwrap_or(0), u64::try_from(max).unwrap_or(0));
                let at_ns = instants.at(index);
                counts.push(StateCount { host: host.clone(), at_ns, state: state.as_str(), min, max });
            });
            counts[of_host..].sort_by_key(|count| (count.at_ns, count.state));
        }
        Ok(counts)
    }
}

/// From which instant to the next, so that no more than [`MOST_INSTANTS`] and [`MOST_COUNTS`] are told, and none that a
/// host with many changes does not tell.
fn step(hosts: &BTreeMap<Address, HostStates>, end: i64) -> i64 {
    let first = hosts.values().filter_map(HostStates::first).min().unwrap_or(end);
    let series = hosts.values().map(HostStates::series).sum::<usize>();
    let most = (MOST_COUNTS / i64::try_from(series).unwrap_or(i64::MAX).max(1)).clamp(1, MOST_INSTANTS);
    let least = end.saturating_sub(first).max(0) / most + 1;
    let shift = hosts.values().map(|states| states.shift).max().unwrap_or(0);
    coarser(least, shift).saturating_mul(1 << shift)
}

const fn waiting(from_ns: i64, (to_min_ns, to_max_ns): (i64, i64)) -> Span {
    Span { state: State::TimeWait, from_ns, to_min_ns, to_max_ns, last_ns: from_ns }
}

/// No TIME_WAIT whose end is not known lasts longer, whatever its host's length.
fn latest_end(facts: &TimeWaitFacts) -> i64 {
    let timer_ns = facts.kernel_end_ns.map_or(i64::MIN, |ends| ends.saturating_add(LONGEST_NS));
    let latest_ns = facts.possibly_restarted_ns.max(facts.restarted_ns).saturating_add(2 * LONGEST_NS).max(timer_ns);
    let alive = facts.alive.map_or(i64::MIN, |mark| mark.ts_ns);
    latest_ns.max(alive).min(facts.gone.map_or(i64::MAX, |mark| mark.ts_ns))
}

/// When a TIME_WAIT ends, least and most, ns since 1970.
pub(super) fn wait_end(facts: &TimeWaitFacts, lengths: &Lengths, host: Address, capture_end_ns: i64) -> (i64, i64) {
    if let Some((mark, _)) = facts.ended {
        return (mark.ts_ns, mark.ts_ns);
    }
    let guess = estimate(facts, &lengths.of(host), capture_end_ns);
    let at = |age_ns: i64| facts.start.ts_ns.saturating_add(age_ns);
    let alive = facts.alive.map_or(i64::MIN, |mark| mark.ts_ns);
    let gone = facts.gone.map_or(i64::MAX, |mark| mark.ts_ns);
    let sooner = facts.may_have_ended_ns().unwrap_or(i64::MAX);
    let most = at(guess.model_high_ns).max(alive).min(gone);
    (at(guess.model_low_ns).min(sooner).max(alive).min(gone).min(most), most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::lengths::Length;
    use crate::record::Stack;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const HOST: Address = Address::v4([10, 0, 0, 1]);

    fn finished(spans: StateSpans, host: HostStates, end: i64) -> Vec<StateCount> {
        let lengths = Lengths::new(HashMap::new(), Length::of_stack(Stack::Linux));
        spans.finish(vec![(HOST, host)], &lengths, end).expect("nothing is on the disk")
    }

    fn told(settings: &Settings, spans: &[(State, i64, i64, i64)], end: i64) -> Vec<(i64, &'static str, u64, u64)> {
        let (all, mut host) = (StateSpans::new(settings), HostStates::default());
        for &(state, from_ns, to_min_ns, to_max_ns) in spans {
            let covered = all.covered(HOST, Span { state, from_ns, to_min_ns, to_max_ns, last_ns: to_max_ns });
            covered.into_iter().for_each(|covered| host.add(covered));
        }
        finished(all, host, end).into_iter().map(|c| (c.at_ns, c.state, c.min, c.max)).collect()
    }

    fn settings(at_ns: Option<i64>, every_ns: Option<i64>) -> Settings {
        Settings { states: Some(StatesQuery { at_ns, every_ns, ..StatesQuery::default() }), ..Settings::default() }
    }

    #[test]
    fn an_instant_is_covered_from_the_start_and_not_at_the_end() {
        for (at, expected) in [(9, None), (10, Some((1, 1))), (19, Some((1, 1))), (20, Some((0, 1))), (30, None)] {
            let got = told(&settings(Some(at), None), &[(State::Established, 10, 20, 30)], 100);
            assert_eq!(got.first().map(|&(_, _, min, max)| (min, max)), expected, "at {at}");
        }
    }

    /// Of a SYN that is refused nobody knows since when the port listened: no count, and no grid over fifty years.
    #[test]
    fn what_only_listens_is_not_counted() {
        let second = crate::settings::SECOND;
        let (from, to) = (1_700_000_000 * second, 1_700_000_009 * second);
        let spans = [(State::Listen, 0, from, from), (State::Closed, 0, to, to), (State::SynSent, from, to, to)];
        let got = told(&settings(None, Some(second)), &spans, to);
        assert_eq!(got.len(), 9);
        assert!(got.iter().all(|&(_, state, min, max)| (state, min, max) == ("SYN-SENT", 1, 1)));
    }

    #[test]
    fn a_grid_has_every_multiple_up_to_the_end() {
        let spans = [(State::Established, 5, i64::MAX, i64::MAX), (State::Established, 15, 25, 25)];
        let got = told(&settings(None, Some(10)), &spans, 40);
        let name = "ESTABLISHED";
        assert_eq!(got, [(10, name, 1, 1), (20, name, 2, 2), (30, name, 1, 1), (40, name, 1, 1)]);
    }

    #[test]
    fn a_clock_that_jumps_decades_does_not_fill_the_memory() {
        let spans = [(State::Established, 0, i64::MAX, i64::MAX)];
        let got = told(&settings(None, Some(1)), &spans, 1 << 60);
        assert!(got.len() as i64 <= MOST_INSTANTS + 1 && got.len() > 1000, "{}", got.len());
    }

    #[test]
    fn only_the_host_that_is_asked_for_or_the_busiest_is_told() {
        let other = Address::v4([10, 0, 0, 2]);
        let span = Span { state: State::Established, from_ns: 5, to_min_ns: 95, to_max_ns: 95, last_ns: 95 };
        let asked = |host: Option<Address>, busiest| {
            let query = StatesQuery { every_ns: Some(50), host: host.map(Address::ip), busiest, ..Default::default() };
            let all = StateSpans::new(&Settings { states: Some(query), ..Settings::default() });
            let mut told = vec![(other, HostStates::default()), (HOST, HostStates::default())];
            for (host, states) in &mut told {
                all.covered(*host, span).into_iter().for_each(|covered| states.add(covered));
            }
            let lengths = Lengths::new(HashMap::new(), Length::of_stack(Stack::Linux));
            let counts = all.finish(told, &lengths, 99).expect("nothing is on the disk");
            counts.into_iter().map(|count| count.host).collect::<Vec<_>>()
        };
        assert_eq!(asked(None, false), [HOST.to_string(), other.to_string()]);
        assert_eq!(asked(None, true), [other.to_string()], "which comes first");
        assert_eq!(asked(Some(HOST), false), [HOST.to_string()]);
    }

    fn spans() -> impl Strategy<Value = Vec<(bool, i64, i64, i64)>> {
        let span = (any::<bool>(), 0..2000_i64, 0..50_i64, 0..50_i64);
        prop::collection::vec(
            span.prop_map(|(open, from, least, more)| (open, from, from + least, from + least + more)),
            0..80,
        )
    }

    proptest! {
        /// However many changes there are, what is told of an instant is what covers it, in whatever order it came.
        #[test]
        fn what_is_told_is_what_covers_the_instant(spans in spans(), homes in prop::collection::vec(any::<bool>(), 80)) {
            let asked = settings(None, Some(3));
            let all = StateSpans::new(&asked);
            let [mut whole, mut left, mut right] = [(); 3].map(|()| HostStates::default());
            for (&(open, from_ns, to_min_ns, to_max_ns), &is_left) in spans.iter().zip(&homes) {
                let state = if open { State::Established } else { State::FinWait2 };
                if let Some(covered) = all.covered(HOST, Span { state, from_ns, to_min_ns, to_max_ns, last_ns: to_max_ns }) {
                    whole.add(covered);
                    if is_left { left.add(covered) } else { right.add(covered) }
                }
            }
            right.merge(left);
            let counts = finished(all, whole, 3000);
            prop_assert_eq!(format!("{counts:?}"), format!("{:?}", finished(StateSpans::new(&asked), right, 3000)));
            for count in &counts {
                let of = spans.iter().filter(|span| span.0 == (count.state == "ESTABLISHED") && span.1 <= count.at_ns);
                let (least, most) = (of.clone().filter(|s| s.2 > count.at_ns), of.filter(|s| s.3 > count.at_ns));
                prop_assert_eq!((count.min, count.max), (least.count() as u64, most.count() as u64));
            }
        }
    }

    #[test]
    fn a_modelled_time_wait_is_a_band_and_merges() {
        let second = crate::settings::SECOND;
        let mark = crate::record::Mark::new(second, 1, 0);
        let facts = TimeWaitFacts::new(mark);
        let asked = settings(None, Some(31 * second));
        let (mut left, mut right) = (StateSpans::new(&asked), StateSpans::new(&asked));
        assert!(left.time_wait(HOST, second, &facts).is_none() && right.time_wait(HOST, second, &facts).is_none());
        left.merge(right);
        let counts = finished(left, HostStates::default(), 100 * second);
        let got: Vec<_> = counts.iter().map(|c| (c.at_ns / second, c.state, c.min, c.max)).collect();
        assert_eq!(got, [(31, "TIME-WAIT", 2, 2), (62, "TIME-WAIT", 0, 2)]);
    }
}
