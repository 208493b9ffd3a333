//! One address: what it opened and accepted, what it looks like, and its TIME_WAITs.

use super::evidence::{Evidence, LONGEST_DEFAULT_NS};
use super::histogram::Histogram;
use super::instants::Instants;
use super::kept::{Key, Merge, fixed_hash};
use super::kernel::Timers;
use super::lengths::{Case, LONGEST_NS, Length, MS, rule_for};
use super::summary::{HostFacts, HostTimeWait, LengthFacts, Occupancy};
use super::tally::Tally;
use super::timeline::{Timeline, peak, thinned};
use crate::record::{Address, Role, Side, Stack, TimeWaitBasis, TimeWaitEnd, TimeWaitFacts};
use crate::settings::Settings;
use std::collections::BTreeMap;

/// Buckets of the occupancy of a host: 100 ms wide for the first quarter of an hour, then wider.
const OCCUPANCY_BUCKETS: usize = 8192;
/// Samples of the occupancy that are told.
const OCCUPANCY_SAMPLES: usize = 120;
/// Silent cases kept by the millisecond before those that no capture end can censor any more are put together.
const SILENT_CASES: usize = 8192;
/// Stands for every restart so early that the capture outlasted the longest TIME_WAIT.
const LONG_AGO_MS: i64 = i64::MIN / MS;

/// The age beyond which TIME_WAITs need not be told apart: a connection that is forgotten has no evidence of more. At
/// least the longest default of any stack, or what the user states.
#[must_use]
pub fn horizon_ns(settings: &Settings) -> i64 {
    let stated = settings.time_wait.iter().map(|rule| rule.high_ns).max().unwrap_or(0);
    settings.idle_expiry_ns.max(LONGEST_DEFAULT_NS).max(stated).min(LONGEST_NS)
}

impl Key for Address {
    fn fixed_hash(self) -> u64 {
        fixed_hash(self.0)
    }
}

/// Running totals of one address.
#[derive(Clone, Debug, Default)]
pub struct HostLedger {
    as_client: u64,
    as_server: u64,
    stacks: Tally<Stack>,
    time_wait: Option<Box<TimeWaits>>,
}

impl HostLedger {
    /// One side of a finished connection that ended at `last_ns`.
    pub fn add(&mut self, role: Role, side: &Side, last_ns: i64, horizon_ns: i64) {
        match role {
            Role::Client => self.as_client += 1,
            Role::Server => self.as_server += 1,
        }
        if side.packets > 0 {
            self.stacks.add(side.stack);
        }
        if let Some(facts) = &side.time_wait {
            self.time_wait.get_or_insert_default().add(facts, last_ns, horizon_ns);
        }
    }

    /// The most frequent guess, unrecognised ones aside; the first in the order of [`Stack`] of equals.
    fn stack(&self) -> Stack {
        let known = Stack::ALL.iter().copied().filter(|&s| s != Stack::Unknown && self.stacks.get(s) > 0);
        known.rev().max_by_key(|&s| self.stacks.get(s)).unwrap_or(Stack::Unknown)
    }

    /// The length of this host's TIME_WAITs; `None` as address stands for the hosts that are not kept apart, whose
    /// evidence belongs to no one of them.
    #[must_use]
    pub fn length(&self, settings: &Settings, address: Option<Address>) -> Length {
        let stack = if address.is_some() { self.stack() } else { Stack::Unknown };
        match (rule_for(settings, address), &self.time_wait) {
            (Some(rule), _) => Length::of_rule(rule, stack),
            (None, Some(waits)) if address.is_some() => {
                waits.timers.map_or_else(|| waits.evidence.length(stack), |timers| timers.length(stack))
            }
            (None, _) => Length::of_stack(stack),
        }
    }

    /// What the Summary tells. `end_ns` is the time of the last packet.
    #[must_use]
    pub fn finish(self, address: Option<Address>, length: &Length, end_ns: i64) -> HostFacts {
        HostFacts {
            address: address.map(|a| a.to_string()),
            as_client: self.as_client,
            as_server: self.as_server,
            stack: address.map(|_| self.stack()),
            time_wait: self.time_wait.map(|waits| waits.finish(address.is_some(), length, end_ns)),
        }
    }
}

impl Merge for HostLedger {
    fn merge(&mut self, other: Self) {
        self.as_client += other.as_client;
        self.as_server += other.as_server;
        self.stacks.merge(&other.stacks);
        match (&mut self.time_wait, other.time_wait) {
            (Some(mine), Some(theirs)) => mine.merge(&theirs),
            (mine @ None, theirs) => *mine = theirs,
            (Some(_), None) => {}
        }
    }
}

/// A host's TIME_WAITs.
#[derive(Clone, Debug)]
struct TimeWaits {
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

    fn finish(&self, one_host: bool, length: &Length, end_ns: i64) -> HostTimeWait {
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
        let told = |h: &super::timeline::Held| Occupancy { ns: h.ns, min: h.min, max: h.max };
        HostTimeWait {
            entered: self.entered,
            basis: basis.counts(),
            end: end.counts(),
            restarts: self.restarts,
            exact: self.exact.distribution(),
            length: length.facts(),
            evidence: if one_host { self.evidence.facts() } else { super::summary::EvidenceFacts::default() },
            at_end: (last.min, last.max),
            peak: (top.min, top.max),
            peak_ns: top.ns,
            peak_step_ns: self.timeline.width_ns(),
            occupancy: thinned(&held, OCCUPANCY_SAMPLES).iter().map(told).collect(),
        }
    }
}

impl Length {
    /// What the Summary tells.
    #[must_use]
    pub fn facts(&self) -> LengthFacts {
        LengthFacts {
            low_ns: self.low_ns,
            high_ns: self.high_ns,
            source: self.source.as_str(),
            stack: Some(self.stack),
        }
    }
}
