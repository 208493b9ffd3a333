//! What the population of a host's TIME_WAITs proves of their common length (semantics B4), and the length that follows.

use super::histogram::{bucket_high, bucket_low, bucket_of};
use super::lengths::{LONGEST_NS, Length, LengthSource, MS};
use super::summary::EvidenceFacts;
use super::turnbull::turnbull;
use crate::record::{Stack, TimeWaitFacts};
use crate::settings::SECOND;
use std::collections::BTreeMap;

/// A Linux timer may fire this much late (semantics B: 5.1 s at HZ=100): alive at age `a` proves a length above `a − SLACK`.
pub const SLACK_NS: i64 = 5_200 * MS;
/// The longest default of any stack (RFC 9293's 2 MSL): the upper end where only "longer than the default" is proven.
pub const LONGEST_DEFAULT_NS: i64 = 240 * SECOND;

/// Ages at which a host's TIME_WAITs were proven alive and gone, counted from the restarts.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    alive_max_ns: Option<i64>,
    gone_min_ns: Option<i64>,
    alive: u64,
    gone: u64,
    /// Samples by (alive, gone) age in histogram buckets of ms.
    classes: BTreeMap<(Option<u16>, Option<u16>), u64>,
}

/// Fewest waits seen gone before they say how long a host waits.
const FEWEST_GONE: u64 = 2;

impl Evidence {
    /// One more TIME_WAIT.
    ///
    /// Alive counts from the last *possible* restart and gone from the last *proven* one, so that neither claims too much.
    /// A reuse or a kill says only that it was alive then; gone counts only where nothing else explains the end.
    pub fn add(&mut self, facts: &TimeWaitFacts) {
        let alive_at = facts.ended.map(|(mark, _)| mark).into_iter().chain(facts.alive).map(|mark| mark.ts_ns).max();
        let alive_ns = alive_at.map(|at| at.saturating_sub(facts.possibly_restarted_ns)).filter(|&age| age > 0);
        let nothing_else = facts.ended.is_none() && facts.possibly_killed.is_none() && facts.unseen_from_ns.is_none();
        let unexplained = nothing_else && facts.same_host != Some(false);
        let gone_at = facts.gone.filter(|_| unexplained);
        let gone_ns = gone_at.map(|mark| mark.ts_ns.saturating_sub(facts.restarted_ns).clamp(0, LONGEST_NS));
        let alive_ns = alive_ns.map(|age| age.min(LONGEST_NS));
        self.put(alive_ns, gone_ns);
    }

    fn put(&mut self, alive_ns: Option<i64>, gone_ns: Option<i64>) {
        if alive_ns.is_none() && gone_ns.is_none() {
            return;
        }
        self.alive += u64::from(alive_ns.is_some());
        self.gone += u64::from(gone_ns.is_some());
        self.alive_max_ns = self.alive_max_ns.max(alive_ns);
        self.gone_min_ns = least(self.gone_min_ns, gone_ns);
        let class = |age: i64| bucket_of((age / MS) as u64);
        *self.classes.entry((alive_ns.map(class), gone_ns.map(class))).or_default() += 1;
    }

    /// Both together.
    pub fn merge(&mut self, other: &Self) {
        self.alive += other.alive;
        self.gone += other.gone;
        self.alive_max_ns = self.alive_max_ns.max(other.alive_max_ns);
        self.gone_min_ns = least(self.gone_min_ns, other.gone_min_ns);
        for (&class, n) in &other.classes {
            *self.classes.entry(class).or_default() += n;
        }
    }

    /// The length that the evidence gives or the stack's default, whichever the evidence allows.
    ///
    /// The evidence's greatest is never below an age at which one was proven alive: a timer late by the slack is no
    /// contradiction.
    #[must_use]
    pub fn length(&self, stack: Stack) -> Length {
        let default = Length::of_stack(stack);
        let of = |low_ns: i64, high_ns: i64| Length { low_ns, high_ns, source: LengthSource::Evidence, stack };
        let low_ns = self.alive_max_ns.map_or(0, |age| (age - SLACK_NS).max(0));
        let alive_ns = self.alive_max_ns.unwrap_or(0);
        // One sample may be another host behind the same address, or a wait cut short: it replaces no default.
        match self.gone_min_ns.filter(|_| self.gone >= FEWEST_GONE) {
            Some(gone) if low_ns >= gone || self.is_mixed(default) => default,
            Some(gone) if low_ns > 0 && gone <= low_ns.saturating_mul(3) / 2 => of(low_ns, gone.max(alive_ns)),
            Some(gone) if gone < default.low_ns || alive_ns > default.high_ns => of(low_ns, gone.max(alive_ns)),
            None if alive_ns > default.high_ns => of(low_ns, alive_ns.max(LONGEST_DEFAULT_NS)),
            _ => default,
        }
    }

    /// Some were gone earlier than the default allows and others alive for longer than that: hosts behind one address, or
    /// waits cut short (the bucket cap), so no one length fits and the few say nothing of the rest.
    fn is_mixed(&self, default: Length) -> bool {
        matches!((self.alive_max_ns, self.gone_min_ns), (Some(alive), Some(gone)) if gone < default.low_ns && gone < alive)
    }

    /// What the Summary tells.
    #[must_use]
    pub fn facts(&self) -> EvidenceFacts {
        let low_ns = self.alive_max_ns.map(|age| age - SLACK_NS);
        let apart = matches!((low_ns, self.gone_min_ns), (Some(low), Some(gone)) if low.max(0) >= gone);
        let contradictory = apart || self.is_mixed(Length::of_stack(Stack::Linux));
        EvidenceFacts {
            alive_max_ns: self.alive_max_ns,
            gone_min_ns: self.gone_min_ns,
            alive: self.alive,
            gone: self.gone,
            turnbull: if contradictory { turnbull(&self.samples()) } else { Vec::new() },
        }
    }

    /// The samples as `(low, high]` of the length, ns: alive at its bucket's least, less the slack; gone at its greatest.
    fn samples(&self) -> Vec<(i64, i64, u64)> {
        let ns = |ms: u64| (ms as i64).saturating_mul(MS);
        let low = |class: Option<u16>| class.map_or(0, |c| (ns(bucket_low(c)) - SLACK_NS).max(0));
        let high = |class: Option<u16>| class.map_or(i64::MAX, |c| ns(bucket_high(c) + 1));
        self.classes.iter().map(|(&(alive, gone), &n)| (low(alive), high(gone), n)).collect()
    }
}

fn least(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a.into_iter().chain(b).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(alive_s: &[i64], gone_s: &[i64]) -> Evidence {
        let mut evidence = Evidence::default();
        for s in alive_s {
            evidence.put(Some(s * SECOND), None);
        }
        for s in gone_s {
            evidence.put(None, Some(s * SECOND));
        }
        evidence
    }

    fn bounds(evidence: &Evidence) -> (LengthSource, i64, i64) {
        let length = evidence.length(Stack::Linux);
        (length.source, length.low_ns / MS, length.high_ns / MS)
    }

    #[test]
    fn two_near_bounds_replace_the_default() {
        assert_eq!(bounds(&of(&[10, 59], &[62, 70])), (LengthSource::Evidence, 53_800, 62_000));
        assert_eq!(bounds(&of(&[29], &[31, 32])), (LengthSource::Evidence, 23_800, 31_000));
    }

    #[test]
    fn far_bounds_that_agree_leave_the_default() {
        assert_eq!(bounds(&of(&[20], &[62])), (LengthSource::Default, 60_000, 65_200));
        assert_eq!(bounds(&of(&[], &[])), (LengthSource::Default, 60_000, 65_200));
    }

    #[test]
    fn one_bound_that_contradicts_the_default_wins_unless_it_is_a_single_sample() {
        assert_eq!(bounds(&of(&[], &[31, 31])), (LengthSource::Evidence, 0, 31_000));
        assert_eq!(bounds(&of(&[], &[5])), (LengthSource::Default, 60_000, 65_200));
        assert_eq!(bounds(&of(&[100], &[])), (LengthSource::Evidence, 94_800, 240_000));
    }

    #[test]
    fn bounds_that_contradict_each_other_are_told_as_a_distribution() {
        let evidence = of(&[59, 59, 58], &[31, 31, 62]);
        assert_eq!(bounds(&evidence).0, LengthSource::Default);
        let told = evidence.facts().turnbull;
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told.iter().map(|t| t.2).sum::<u32>(), 1_000_000);
        assert!(of(&[59], &[62]).facts().turnbull.is_empty());
    }
}
