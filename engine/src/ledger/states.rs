//! Socket states of every host at chosen instants: what `netstat` would have counted there.
//!
//! Each connection hands in spans: an endpoint was in a state from one moment to somewhere between two others. A span adds
//! one to every instant it covers, kept as differences, so a long span costs two entries. A TIME_WAIT whose end nothing
//! shows lasts as long as its host's do, which is known only at the end.

use super::lengths::{Lengths, estimate};
use super::summary::StateCount;
use crate::record::{Address, State, TimeWaitFacts};
use crate::settings::{Settings, StatesQuery};
use std::collections::BTreeMap;

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

    const fn last(self) -> i64 {
        match self {
            Instants::One(_) => 1,
            Instants::Every(_) => i64::MAX,
        }
    }
}

/// Instants told at most. A finer grid over a longer span (a hostile clock that jumps decades) is told at every second,
/// third … instant only.
const MOST_INSTANTS: i64 = 100_000;
/// Most counts told in all: of many hosts in many states each gets a coarser grid.
const MOST_COUNTS: i64 = 1_000_000;

/// Differences of (least, most) by instant.
type Changes = BTreeMap<i64, (i64, i64)>;

/// States over time.
#[derive(Clone, Debug)]
pub struct StateSpans {
    instants: Instants,
    changes: BTreeMap<(Address, State), Changes>,
    waits: Vec<(Address, i64, TimeWaitFacts)>,
}

impl StateSpans {
    /// For the instants of `settings.states`; without any, for the first moment of 1970.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let query = settings.states.clone().unwrap_or(StatesQuery { at_ns: None, every_ns: None });
        let instants = match (query.at_ns, query.every_ns) {
            (None, Some(step)) => Instants::Every(step.max(1)),
            (at, _) => Instants::One(at.unwrap_or_default()),
        };
        StateSpans { instants, changes: BTreeMap::new(), waits: Vec::new() }
    }

    /// `host` had a socket in `state` from `from_ns` (included) to between `to_min_ns` and `to_max_ns` (excluded).
    /// One that is closed, or listens for all clients, is no socket of a connection.
    pub fn span(&mut self, host: Address, state: State, from_ns: i64, to_min_ns: i64, to_max_ns: i64) {
        if matches!(state, State::Closed | State::Listen) {
            return;
        }
        let from = self.instants.from(from_ns);
        let to_min = self.instants.from(to_min_ns).max(from);
        let to_max = self.instants.from(to_max_ns).max(to_min);
        if from == to_max || from >= self.instants.last() {
            return;
        }
        let changes = self.changes.entry((host, state)).or_default();
        let mut change = |at: i64, min: i64, max: i64| {
            let slot = changes.entry(at).or_default();
            *slot = (slot.0 + min, slot.1 + max);
        };
        change(from, 1, 1);
        change(to_min, -1, 0);
        change(to_max, 0, -1);
    }

    /// `host` waits in TIME_WAIT from `from_ns` on.
    pub fn span_time_wait(&mut self, host: Address, from_ns: i64, facts: &TimeWaitFacts) {
        self.waits.push((host, from_ns, facts.clone()));
    }

    /// Both together.
    pub fn merge(&mut self, other: Self) {
        for (key, theirs) in other.changes {
            let mine = self.changes.entry(key).or_default();
            for (at, (min, max)) in theirs {
                let slot = mine.entry(at).or_default();
                *slot = (slot.0 + min, slot.1 + max);
            }
        }
        self.waits.extend(other.waits);
    }

    /// Every instant up to the last packet at which a host had a socket in a state, by host, instant, state.
    #[must_use]
    pub fn finish(mut self, lengths: &Lengths, capture_end_ns: i64) -> Vec<StateCount> {
        for (host, from_ns, facts) in std::mem::take(&mut self.waits) {
            let (min, max) = wait_end(&facts, lengths, host, capture_end_ns);
            self.span(host, State::TimeWait, from_ns, min, max);
        }
        let end = match self.instants {
            Instants::One(_) => 0,
            Instants::Every(step) => capture_end_ns.div_euclid(step),
        };
        let first = self.changes.values().filter_map(|changes| changes.keys().next()).min().copied().unwrap_or(end);
        let series = i64::try_from(self.changes.len()).unwrap_or(i64::MAX).max(1);
        let most = (MOST_COUNTS / series).clamp(1, MOST_INSTANTS);
        let step = end.saturating_sub(first).max(0) / most + 1;
        let mut counts = Vec::new();
        for ((host, state), changes) in &self.changes {
            tell(&mut counts, self.instants, (*host, *state), changes, (step, end));
        }
        counts.sort_by(|a, b| (&a.0, a.1.at_ns, a.1.state).cmp(&(&b.0, b.1.at_ns, b.1.state)));
        counts.into_iter().map(|(_, count)| count).collect()
    }
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
    let killed = facts.possibly_killed.map_or(i64::MAX, |mark| mark.ts_ns);
    let most = at(guess.model_high_ns).max(alive).min(gone);
    (at(guess.model_low_ns).min(killed).max(alive).min(gone).min(most), most)
}

fn tell(
    counts: &mut Vec<(Address, StateCount)>,
    instants: Instants,
    (host, state): (Address, State),
    changes: &Changes,
    (step, end): (i64, i64),
) {
    let (mut min, mut max) = (0, 0);
    let mut steps = changes.iter().peekable();
    while let Some((&from, &(least, most))) = steps.next() {
        (min, max) = (min + least, max + most);
        let to = steps.peek().map_or(from.saturating_add(1), |(next, _)| **next).min(end.saturating_add(1));
        if max <= 0 {
            continue;
        }
        let first = from.saturating_add((step - from.rem_euclid(step)) % step);
        for index in (first..to).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
            let (min, max) = (u64::try_from(min).unwrap_or(0), u64::try_from(max).unwrap_or(0));
            let at_ns = instants.at(index);
            counts.push((host, StateCount { host: host.to_string(), at_ns, state: state.as_str(), min, max }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::lengths::Length;
    use crate::record::Stack;
    use std::collections::HashMap;

    const HOST: Address = Address::v4([10, 0, 0, 1]);

    fn told(settings: &Settings, spans: &[(State, i64, i64, i64)], end: i64) -> Vec<(i64, &'static str, u64, u64)> {
        let mut all = StateSpans::new(settings);
        for &(state, from, min, max) in spans {
            all.span(HOST, state, from, min, max);
        }
        let lengths = Lengths::new(HashMap::new(), Length::of_stack(Stack::Linux));
        all.finish(&lengths, end).into_iter().map(|c| (c.at_ns, c.state, c.min, c.max)).collect()
    }

    fn settings(at_ns: Option<i64>, every_ns: Option<i64>) -> Settings {
        Settings { states: Some(StatesQuery { at_ns, every_ns }), ..Settings::default() }
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
    fn a_modelled_time_wait_is_a_band_and_merges() {
        let second = crate::settings::SECOND;
        let mark = crate::record::Mark::new(second, 1, 0);
        let facts = TimeWaitFacts {
            start: mark,
            start_uncertainty_ns: 0,
            snd_nxt: 0,
            restarts: 0,
            restarted_ns: second,
            possibly_restarted_ns: second,
            alive: None,
            gone: None,
            ended: None,
            possibly_killed: None,
            same_host: None,
            kernel_end_ns: None,
            unlisted_ns: None,
        };
        let asked = settings(None, Some(31 * second));
        let (mut left, mut right) = (StateSpans::new(&asked), StateSpans::new(&asked));
        left.span_time_wait(HOST, second, &facts);
        right.span_time_wait(HOST, second, &facts);
        left.merge(right);
        let counts = left.finish(&Lengths::new(HashMap::new(), Length::of_stack(Stack::Linux)), 100 * second);
        let got: Vec<_> = counts.iter().map(|c| (c.at_ns / second, c.state, c.min, c.max)).collect();
        assert_eq!(got, [(31, "TIME-WAIT", 2, 2), (62, "TIME-WAIT", 0, 2)]);
    }
}
