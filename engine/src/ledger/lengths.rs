//! How long TIME_WAIT lasts (semantics B4): one host's length, and what it and the wire say of one endpoint's.
//!
//! Rows and totals must agree, so both judge the same [`Case`]: ages in whole milliseconds, and nothing of absolute
//! time but whether the capture outlasted the modelled end.

use crate::record::{Address, Stack, TimeWaitBasis, TimeWaitEnd, TimeWaitFacts};
use crate::settings::{SECOND, Settings, TimeWaitRule};
use std::collections::HashMap;

/// The longest TIME_WAIT that is reckoned with. RFC 9293's is 240 s; beyond an hour nothing is told apart.
pub const LONGEST_NS: i64 = 3600 * SECOND;
/// One millisecond in nanoseconds.
pub const MS: i64 = 1_000_000;

/// A host's TIME_WAIT length and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// Shortest, ns.
    pub low_ns: i64,
    /// Longest, ns.
    pub high_ns: i64,
    /// Who says so.
    pub source: LengthSource,
    /// The stack the host looks like.
    pub stack: Stack,
}

crate::words! {
    /// Where a length comes from.
    LengthSource { /// The user stated it.
        Flag = "flag", /// The population of this capture's TIME_WAITs proves it.
        Evidence = "evidence", /// The host's kernel told its timers.
        Kernel = "kernel", /// The stack's default.
        Default = "default" }
}

impl Length {
    /// The default of a stack (semantics B). An unknown stack is treated as Linux, and `stack` says that it is unknown.
    #[must_use]
    pub fn of_stack(stack: Stack) -> Length {
        let (low_s, high_ms) = match stack {
            Stack::Linux | Stack::Unknown => (60, 65_200),
            Stack::FreeBsd | Stack::Solaris => (60, 60_500),
            Stack::Darwin => (30, 30_500),
            Stack::Windows => (120, 240_000),
        };
        Length { low_ns: low_s * SECOND, high_ns: high_ms * MS, source: LengthSource::Default, stack }
    }

    /// As the user stated it, kept between 0 and [`LONGEST_NS`].
    #[must_use]
    pub fn of_rule(rule: &TimeWaitRule, stack: Stack) -> Length {
        let low_ns = rule.low_ns.clamp(0, LONGEST_NS);
        Length { low_ns, high_ns: rule.high_ns.clamp(low_ns, LONGEST_NS), source: LengthSource::Flag, stack }
    }
}

/// The length of every host.
#[derive(Clone, Debug)]
pub struct Lengths {
    known: HashMap<Address, Length>,
    other: Length,
}

impl Lengths {
    /// The hosts' lengths, and the one for every host that is not kept apart (see `max_pairs`).
    #[must_use]
    pub fn new(known: HashMap<Address, Length>, other: Length) -> Self {
        Lengths { known, other }
    }

    /// One host's.
    #[must_use]
    pub fn of(&self, address: Address) -> Length {
        self.known.get(&address).copied().unwrap_or(self.other)
    }

    /// Of hosts that are not kept apart.
    #[must_use]
    pub fn other(&self) -> Length {
        self.other
    }
}

/// The user's rule for a host: the most specific prefix, the first of equals. `None` as host: only a rule for every host.
#[must_use]
pub fn rule_for(settings: &Settings, host: Option<Address>) -> Option<&TimeWaitRule> {
    most_specific(&settings.time_wait, |rule| (rule.address, rule.prefix), host)
}

/// The rule for a host: of those whose prefix (address and bits) holds it the longest, the first of equals.
pub fn most_specific<R>(
    rules: &[R],
    prefix_of: impl Fn(&R) -> (Option<std::net::IpAddr>, u8),
    host: Option<Address>,
) -> Option<&R> {
    let specificity = |rule: &&R| match prefix_of(rule) {
        (None, _) => -1,
        (Some(_), bits) => i32::from(bits),
    };
    let applies = |rule: &&R| match (prefix_of(rule), host) {
        ((None, _), _) => true,
        ((Some(_), _), None) => false,
        ((Some(prefix), bits), Some(host)) => in_prefix(host.ip(), prefix.to_canonical(), bits),
    };
    let most = rules.iter().filter(applies).map(|rule| specificity(&rule)).max()?;
    rules.iter().filter(applies).find(|rule| specificity(rule) == most)
}

fn in_prefix(host: std::net::IpAddr, prefix: std::net::IpAddr, bits: u8) -> bool {
    use std::net::IpAddr::{V4, V6};
    match (host, prefix) {
        (V4(a), V4(b)) => equal_above(u128::from(a.to_bits() ^ b.to_bits()), 32, bits),
        (V6(a), V6(b)) => equal_above(a.to_bits() ^ b.to_bits(), 128, bits),
        _ => false,
    }
}

fn equal_above(difference: u128, width: u32, bits: u8) -> bool {
    difference.checked_shr(width.saturating_sub(u32::from(bits))).unwrap_or(0) == 0
}

/// One endpoint's TIME_WAIT as far as its basis depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Case {
    /// Ended exactly, by a reuse or a reset.
    Ended(TimeWaitEnd),
    /// The kernel told when its timer runs out.
    Kernel,
    /// A reset may have ended it and nothing was proven after.
    PossiblyKilled,
    /// Proven gone: the ages, ms.
    Gone {
        /// Proven alive at, since the last moment it may have restarted.
        alive_ms: Option<i64>,
        /// Since the last moment it provably restarted.
        gone_ms: i64,
        /// A reset before `gone` explains the end, or it may lie in what was not captured.
        explained: bool,
    },
    /// Proven alive, and nothing more.
    Alive {
        /// At this age since the last moment it may have restarted, ms.
        alive_ms: i64,
        /// That moment, ms since 1970.
        restarted_ms: i64,
    },
    /// Nothing was proven; the last moment it may have restarted, ms since 1970.
    Silent(i64),
}

impl Case {
    /// The case of one endpoint. Ages are kept within 0 and [`LONGEST_NS`] (+1 ms).
    #[must_use]
    pub fn of(facts: &TimeWaitFacts) -> Case {
        let age_ms = |at: i64, since: i64| at.saturating_sub(since).clamp(0, LONGEST_NS + MS) / MS;
        match (facts.ended, facts.kill(), facts.alive, facts.gone) {
            (Some((_, end)), ..) => Case::Ended(end),
            (None, Some(_), _, None) => Case::PossiblyKilled,
            (None, None, _, None) if facts.kernel_end_ns.is_some() => Case::Kernel,
            (None, _, None, None) => Case::Silent(facts.possibly_restarted_ns.div_euclid(MS)),
            (None, _, Some(alive), None) => Case::Alive {
                alive_ms: age_ms(alive.ts_ns, facts.possibly_restarted_ns),
                restarted_ms: facts.possibly_restarted_ns.div_euclid(MS),
            },
            (None, _, alive, Some(gone)) => Case::Gone {
                alive_ms: alive.map(|m| age_ms(m.ts_ns, facts.possibly_restarted_ns)),
                gone_ms: age_ms(gone.ts_ns, facts.restarted_ns),
                explained: facts.may_have_ended_ns().is_some(),
            },
        }
    }

    /// Basis and end, given the host's length and the time of the last packet.
    ///
    /// Only what is certain contradicts a length: gone at an age (from the last *proven* restart) below its least, or
    /// alive at an age (from the last *possible* restart) above its most.
    #[must_use]
    pub fn judge(self, length: &Length, capture_end_ns: i64) -> (TimeWaitBasis, TimeWaitEnd) {
        let (low_ms, high_ms) = (length.low_ns / MS, length.high_ns / MS);
        let censored = |restarted_ms: i64| capture_end_ns.div_euclid(MS) < restarted_ms.saturating_add(high_ms);
        let late = |alive_ms: Option<i64>| alive_ms.is_some_and(|age| age > high_ms);
        let unknown = TimeWaitEnd::Unknown;
        match self {
            Case::Ended(end) => (TimeWaitBasis::ObservedExact, end),
            Case::PossiblyKilled => (TimeWaitBasis::PossiblyKilled, unknown),
            Case::Kernel => (TimeWaitBasis::Kernel, unknown),
            Case::Silent(restarted_ms) if censored(restarted_ms) => (TimeWaitBasis::Censored, unknown),
            // Silence proves no end: that its timer ran out is the model's word, so the cause stays unknown.
            Case::Silent(_) => (TimeWaitBasis::Model, unknown),
            Case::Alive { alive_ms, .. } if late(Some(alive_ms)) => (TimeWaitBasis::ModelRejected, unknown),
            Case::Alive { restarted_ms, .. } if censored(restarted_ms) => (TimeWaitBasis::Censored, unknown),
            Case::Alive { .. } => (TimeWaitBasis::LowerOnly, unknown),
            Case::Gone { alive_ms, gone_ms, explained } => {
                let end = if explained { unknown } else { TimeWaitEnd::Expired };
                match alive_ms {
                    _ if late(alive_ms) || (!explained && gone_ms < low_ms) => (TimeWaitBasis::ModelRejected, unknown),
                    Some(_) => (TimeWaitBasis::ObservedInterval, end),
                    None => (TimeWaitBasis::UpperOnly, end),
                }
            }
        }
    }
}

/// The estimate of one endpoint's TIME_WAIT; ages in ns from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Proven alive at this age; `None` unknown.
    pub lower_ns: Option<i64>,
    /// Proven gone by this age; `None` unknown.
    pub upper_ns: Option<i64>,
    /// The estimate; `None` when the evidence allows none.
    pub point_ns: Option<i64>,
    /// The model's least: last proven restart + the host's least length.
    pub model_low_ns: i64,
    /// The model's most: last possible restart + the host's greatest length.
    pub model_high_ns: i64,
    /// What the estimate rests on.
    pub basis: TimeWaitBasis,
    /// What ended it.
    pub end: TimeWaitEnd,
}

/// What the wire and the host's length say of one TIME_WAIT; `capture_end_ns` is the time of the last packet.
#[must_use]
pub fn estimate(facts: &TimeWaitFacts, length: &Length, capture_end_ns: i64) -> Estimate {
    let (basis, end) = Case::of(facts).judge(length, capture_end_ns);
    let age = |at_ns: i64| at_ns.saturating_sub(facts.start.ts_ns);
    let told = facts.kernel_end_ns.filter(|_| basis == TimeWaitBasis::Kernel).map(age);
    let model_low_ns = told.unwrap_or_else(|| age(facts.restarted_ns).saturating_add(length.low_ns));
    let model_high_ns = match told {
        Some(ends) => ends.saturating_add(super::kernel::TIMER_SLACK_NS),
        None => age(facts.possibly_restarted_ns).saturating_add(length.high_ns),
    };
    let exact = facts.ended.map(|(mark, _)| age(mark.ts_ns));
    let lower_ns = exact.or(facts.alive.map(|mark| age(mark.ts_ns)));
    let upper_ns = exact.or(facts.gone.map(|mark| age(mark.ts_ns)));
    let clipped = model_low_ns.max(lower_ns.unwrap_or(i64::MIN)).min(upper_ns.unwrap_or(i64::MAX));
    let point_ns = match basis {
        TimeWaitBasis::ObservedExact => exact,
        TimeWaitBasis::Censored | TimeWaitBasis::ModelRejected | TimeWaitBasis::PossiblyKilled => None,
        _ => Some(clipped),
    };
    Estimate { lower_ns, upper_ns, point_ns, model_low_ns, model_high_ns, basis, end }
}

#[cfg(test)]
#[path = "lengths_tests.rs"]
mod tests;
