//! One host's TIME_WAITs: how many, what proves their ends, how many at once.
//!
//! Counting them over time takes kilobytes, and of many hosts that each have one or two there are many: the first few
//! of a host are kept as they came. Nothing depends on the order in which they are counted, so it does not show.

use super::evidence::Evidence;
use super::histogram::Histogram;
use super::instants::Instants;
use super::kernel::Timers;
use super::lengths::{Case, LONGEST_NS, Length, MS};
use super::summary::{EvidenceFacts, HostTimeWait, Occupancy};
use super::tally::Tally;
use super::timeline::{Held, Timeline, peak, thinned};
use crate::record::{Mark, Stack, TimeWaitBasis, TimeWaitEnd, TimeWaitFacts};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// TIME_WAITs of a host kept as they came.
const FEW: usize = 8;
/// Buckets of the occupancy of a host: 100 ms wide for the first quarter of an hour, then wider.
const OCCUPANCY_BUCKETS: usize = 8192;
/// Samples of the occupancy that are told.
const OCCUPANCY_SAMPLES: usize = 120;
/// Silent cases kept by the millisecond before those that no capture end can censor any more are put together.
const SILENT_CASES: usize = 8192;
/// Stands for every restart so early that the capture outlasted the longest TIME_WAIT.
const LONG_AGO_MS: i64 = i64::MIN / MS;

/// The TIME_WAITs of a host, however few.
#[derive(Clone, Debug)]
pub enum Waits {
    /// As they came.
    Few(Vec<Wait>),
    /// Counted.
    Many(Box<TimeWaits>),
}

impl Default for Waits {
    fn default() -> Self {
        Waits::Few(Vec::new())
    }
}

impl Waits {
    /// One more, of a connection that ended at `last_ns`.
    pub fn add(&mut self, facts: &TimeWaitFacts, last_ns: i64, horizon_ns: i64) {
        match self {
            Waits::Many(waits) => waits.add(facts, last_ns, horizon_ns),
            Waits::Few(_) => self.put(Wait::of(facts, last_ns), horizon_ns),
        }
    }

    fn put(&mut self, wait: Wait, horizon_ns: i64) {
        match self {
            Waits::Few(few) if few.len() < FEW => {
                if few.len() == few.capacity() {
                    few.reserve_exact(few.len().max(1));
                }
                few.push(wait);
            }
            Waits::Few(few) => {
                let mut waits = Box::new(counted(few, horizon_ns));
                wait.add_to(&mut waits, horizon_ns);
                *self = Waits::Many(waits);
            }
            Waits::Many(waits) => wait.add_to(waits, horizon_ns),
        }
    }

    /// Both together.
    pub fn merge(&mut self, other: Self) {
        match (&mut *self, other) {
            (_, Waits::Few(few)) => few.into_iter().for_each(|wait| self.put(wait, LONGEST_NS)),
            (Waits::Many(mine), Waits::Many(theirs)) => mine.merge(&theirs),
            (Waits::Few(mine), Waits::Many(mut theirs)) => {
                mine.iter().for_each(|wait| wait.add_to(&mut theirs, LONGEST_NS));
                *self = Waits::Many(theirs);
            }
        }
    }

    /// How many.
    #[must_use]
    pub fn entered(&self) -> u64 {
        match self {
            Waits::Few(few) => few.len() as u64,
            Waits::Many(waits) => waits.entered,
        }
    }

    /// All of them counted; `None` without any.
    #[must_use]
    pub fn whole(&self) -> Option<Cow<'_, TimeWaits>> {
        match self {
            Waits::Few(few) if few.is_empty() => None,
            Waits::Few(few) => Some(Cow::Owned(counted(few, LONGEST_NS))),
            Waits::Many(waits) => Some(Cow::Borrowed(waits)),
        }
    }
}

fn counted(few: &[Wait], horizon_ns: i64) -> TimeWaits {
    let mut waits = TimeWaits::default();
    few.iter().for_each(|wait| wait.add_to(&mut waits, horizon_ns));
    waits
}

/// One TIME_WAIT, as far as it is counted, of a connection that ended at `last_ns`.
#[derive(Clone, Debug)]
pub enum Wait {
    /// Nothing was proven of its end.
    Silent {
        /// See [`TimeWaitFacts`].
        start_ns: i64,
        /// Likewise.
        restarted_ns: i64,
        /// Likewise.
        possibly_restarted_ns: i64,
        /// The connection's last packet.
        last_ns: i64,
        /// Restarts proven.
        restarts: u32,
    },
    /// Something was.
    Told(Box<(TimeWaitFacts, i64)>),
}

impl Wait {
    fn of(facts: &TimeWaitFacts, last_ns: i64) -> Wait {
        let (start_ns, restarts) = (facts.start.ts_ns, facts.restarts);
        let (restarted_ns, possibly_restarted_ns) = (facts.restarted_ns, facts.possibly_restarted_ns);
        let silent = Wait::Silent { start_ns, restarted_ns, possibly_restarted_ns, last_ns, restarts };
        // As that is all that is kept of it, nothing else may be there to be lost; see the test.
        let bare = TimeWaitFacts { start: facts.start, snd_nxt: facts.snd_nxt, ..silent.facts() };
        if (TimeWaitFacts { start_uncertainty_ns: facts.start_uncertainty_ns, ..bare }) == *facts {
            return silent;
        }
        Wait::Told(Box::new((facts.clone(), last_ns)))
    }

    fn facts(&self) -> TimeWaitFacts {
        match *self {
            Wait::Silent { start_ns, restarted_ns, possibly_restarted_ns, restarts, .. } => TimeWaitFacts {
                restarts,
                restarted_ns,
                possibly_restarted_ns,
                ..TimeWaitFacts::new(Mark::new(start_ns, 0, 0))
            },
            Wait::Told(ref told) => told.0.clone(),
        }
    }

    fn add_to(&self, waits: &mut TimeWaits, horizon_ns: i64) {
        match self {
            Wait::Told(told) => waits.add(&told.0, told.1, horizon_ns),
            Wait::Silent { last_ns, .. } => waits.add(&self.facts(), *last_ns, horizon_ns),
        }
    }
}

/// A host's TIME_WAITs.
#[derive(Clone, Debug)]
pub struct TimeWaits {
    entered: u64,
    restarts: u64,
    /// By the millisecond of the last possible restart.
    silent: Instants,
    /// Those of them that are so old that no capture end censors them.
    long_silent: u64,
    /// All others.
    cases: BTreeMap<Case, u64>,
    latest_ms: i64,
    /// Beyond this age no TIME_WAIT is told from any other; see [`horizon_ns`].
    horizon_ns: i64,
    prune_at: usize,
    exact: Histogram,
    evidence: Evidence,
    timers: Option<Timers>,
    timeline: Timeline,
}

impl Default for TimeWaits {
    fn default() -> Self {
        TimeWaits {
            entered: 0,
            restarts: 0,
            silent: Instants::default(),
            long_silent: 0,
            cases: BTreeMap::new(),
            latest_ms: i64::MIN,
            horizon_ns: LONGEST_NS,
            prune_at: SILENT_CASES,
            exact: Histogram::default(),
            evidence: Evidence::default(),
            timers: None,
            timeline: Timeline::new(OCCUPANCY_BUCKETS),
        }
    }
}

impl TimeWaits {
    fn add(&mut self, facts: &TimeWaitFacts, last_ns: i64, horizon_ns: i64) {
        self.horizon_ns = horizon_ns;
        self.entered += 1;
        self.restarts += u64::from(facts.restarts);
        self.latest_ms = self.latest_ms.max(last_ns.div_euclid(MS));
        self.add_case(Case::of(facts));
        self.prune();
        if let Some((mark, _)) = facts.ended {
            self.exact.add(mark.ts_ns.saturating_sub(facts.start.ts_ns));
        }
        self.evidence.add(facts);
        self.timers = Timers::of(facts).into_iter().chain(self.timers).reduce(Timers::and);
        self.timeline.enter(facts.start.ts_ns);
        self.timeline.leave_time_wait(facts);
    }

    fn add_case(&mut self, case: Case) {
        match case {
            Case::Silent(restarted_ms) => self.silent.add(restarted_ms),
            other => *self.cases.entry(other).or_default() += 1,
        }
    }

    /// Cases so old that every capture end and every length judges them alike become one.
    fn prune(&mut self) {
        if self.silent.at_most() + self.cases.len() < self.prune_at {
            return;
        }
        let long_ago_ms = self.latest_ms.saturating_sub(self.horizon_ns / MS);
        self.long_silent += self.silent.drop_before(long_ago_ms);
        for (case, n) in std::mem::take(&mut self.cases) {
            let kept = match case {
                Case::Alive { alive_ms, restarted_ms } if restarted_ms < long_ago_ms => {
                    Case::Alive { alive_ms, restarted_ms: LONG_AGO_MS }
                }
                other => other,
            };
            *self.cases.entry(kept).or_default() += n;
        }
        self.prune_at = ((self.silent.at_most() + self.cases.len()) * 2).max(SILENT_CASES);
    }

    fn merge(&mut self, other: &Self) {
        self.entered += other.entered;
        self.restarts += other.restarts;
        self.latest_ms = self.latest_ms.max(other.latest_ms);
        self.horizon_ns = self.horizon_ns.max(other.horizon_ns);
        self.silent.merge(&other.silent);
        self.long_silent += other.long_silent;
        for (&case, n) in &other.cases {
            *self.cases.entry(case).or_default() += n;
        }
        self.prune();
        self.exact.merge(&other.exact);
        self.evidence.merge(&other.evidence);
        self.timers = self.timers.into_iter().chain(other.timers).reduce(Timers::and);
        self.timeline.merge(&other.timeline);
    }

    /// The length that they prove, or the stack's default.
    #[must_use]
    pub fn length(&self, stack: Stack) -> Length {
        self.timers.map_or_else(|| self.evidence.length(stack), |timers| timers.length(stack))
    }

    /// What the Summary tells, of `one_host` or of all that are not kept apart.
    #[must_use]
    pub fn finish(&self, one_host: bool, length: &Length, end_ns: i64) -> HostTimeWait {
        let (mut basis, mut end) = (Tally::<TimeWaitBasis>::default(), Tally::<TimeWaitEnd>::default());
        let silent = self.silent.all().into_iter().map(|(ms, n)| (Case::Silent(ms), n));
        let old = (Case::Silent(LONG_AGO_MS), self.long_silent);
        let others = self.cases.iter().map(|(&case, &n)| (case, n));
        for (case, n) in silent.chain([old]).chain(others) {
            let judged = case.judge(length, end_ns);
            basis.add_many(judged.0, n);
            end.add_many(judged.1, n);
        }
        let held = self.timeline.finish(length, end_ns);
        let (top, last) = (peak(&held), held.last().copied().unwrap_or_default());
        let told = |h: &Held| Occupancy { ns: h.ns, min: h.min, max: h.max };
        HostTimeWait {
            entered: self.entered,
            basis: basis.counts(),
            end: end.counts(),
            restarts: self.restarts,
            exact: self.exact.distribution(),
            length: length.facts(),
            evidence: if one_host { self.evidence.facts() } else { EvidenceFacts::default() },
            at_end: (last.min, last.max),
            peak: (top.min, top.max),
            peak_ns: top.ns,
            peak_step_ns: self.timeline.width_ns(),
            occupancy: thinned(&held, OCCUPANCY_SAMPLES).iter().map(told).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::law_tests::silent;
    use crate::settings::SECOND;

    /// Few and many, in one go or in parts, tell the same.
    #[test]
    fn how_many_are_kept_as_they_came_does_not_show() {
        let facts = |second: i64| {
            let record = silent(0, 1_700_000_000 * SECOND + second * SECOND);
            let mut facts = record.sides[0].time_wait.clone().expect("it waits");
            facts.gone = (second % 3 == 0).then(|| facts.start.at(facts.start.ts_ns + 61 * SECOND));
            facts.restarts = (second % 4) as u32;
            facts
        };
        let told = |waits: &Waits| {
            let whole = waits.whole().expect("some");
            let length = whole.length(Stack::Linux);
            serde_json::to_string(&whole.finish(true, &length, 1_700_000_100 * SECOND)).expect("JSON")
        };
        for count in [1, 2, FEW, FEW + 1, 3 * FEW] {
            let mut whole = Box::new(TimeWaits::default());
            let [mut waits, mut left, mut right] = [const { Waits::Few(Vec::new()) }; 3];
            for second in 0..count as i64 {
                whole.add(&facts(second), second, LONGEST_NS);
                waits.add(&facts(second), second, LONGEST_NS);
                let part = if second % 5 < 2 { &mut left } else { &mut right };
                part.add(&facts(second), second, LONGEST_NS);
            }
            let expected = told(&Waits::Many(whole));
            assert_eq!(told(&waits), expected, "{count}");
            let mut merged = right.clone();
            merged.merge(left.clone());
            left.merge(right);
            assert_eq!((told(&merged), told(&left)), (expected.clone(), expected), "{count}");
        }
    }
}
