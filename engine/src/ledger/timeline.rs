//! How many of something are held at once, over time, as a [least, most] band.
//!
//! What enters and leaves is counted in buckets of time; a count is told for the end of each bucket. A TIME_WAIT whose
//! end is modelled leaves at `restart + length`, and the length is known only when the ledger is finished: until then
//! its restart is kept, apart for each class of the ages between which its end is proven to lie.

use super::buckets::SparseBuckets;
use super::histogram::{bucket_high, bucket_low, bucket_of};
use super::kernel::TIMER_SLACK_NS;
use super::lengths::{LONGEST_NS, Length, MS};
use crate::record::TimeWaitFacts;
use std::collections::BTreeMap;

/// Width of a bucket while there are few: what is counted at the end of each is then exact at every instant.
pub const BUCKET_NS: i64 = MS / 1000;

/// Ages (as histogram buckets of ms) between which an end is proven to lie.
type Between = (Option<u16>, Option<u16>);

/// How many are held, over time.
#[derive(Clone, Debug)]
pub struct Timeline {
    limit: usize,
    enter: SparseBuckets,
    leave: SparseBuckets,
    leave_min: SparseBuckets,
    leave_max: SparseBuckets,
    modelled_min: BTreeMap<Between, SparseBuckets>,
    modelled_max: BTreeMap<Between, SparseBuckets>,
    /// When those of them that are proven gone were, by the same classes: exact where the model lets them be there still.
    gone: BTreeMap<Between, SparseBuckets>,
}

/// By how much the counts change in a bucket of time.
struct Change {
    bucket: i64,
    min: i64,
    max: i64,
}

/// The count at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Instant, ns since 1970.
    pub ns: i64,
    /// Least.
    pub min: u64,
    /// Most.
    pub max: u64,
}

impl Timeline {
    /// Empty, with at most `limit` buckets of each kind.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let buckets = SparseBuckets::new(BUCKET_NS, limit);
        Timeline {
            limit,
            enter: buckets.clone(),
            leave: buckets.clone(),
            leave_min: buckets.clone(),
            leave_max: buckets,
            modelled_min: BTreeMap::new(),
            modelled_max: BTreeMap::new(),
            gone: BTreeMap::new(),
        }
    }

    /// One enters.
    pub fn enter(&mut self, at_ns: i64) {
        self.enter.add(at_ns);
    }

    /// One leaves, provably then.
    pub fn leave(&mut self, at_ns: i64) {
        self.leave.add(at_ns);
    }

    /// One may have left then and never shows again.
    pub fn leave_min(&mut self, at_ns: i64) {
        self.leave_min.add(at_ns);
    }

    /// One that entered before leaves as its TIME_WAIT ends.
    pub fn leave_time_wait(&mut self, facts: &TimeWaitFacts) {
        if let Some((mark, _)) = facts.ended {
            return self.leave(mark.ts_ns);
        }
        let sooner_ns = facts.may_have_ended_ns();
        // What the wire shows may be another host's behind this address: it stays possible.
        let unlisted_ns = facts.unlisted_ns.filter(|since_ns| facts.alive.is_none_or(|alive| alive.ts_ns <= *since_ns));
        if let Some(since_ns) = unlisted_ns {
            self.leave_min(sooner_ns.map_or(since_ns, |sooner| since_ns.min(sooner)));
            return self.modelled(false, facts);
        }
        if let (Some(ends_ns), None, None) = (facts.kernel_end_ns, sooner_ns, facts.gone) {
            self.leave_min(ends_ns);
            return self.leave_max.add(ends_ns.saturating_add(TIMER_SLACK_NS));
        }
        match sooner_ns {
            Some(sooner) => self.leave_min(sooner),
            None => self.modelled(true, facts),
        }
        self.modelled(false, facts);
    }

    fn modelled(&mut self, least: bool, facts: &TimeWaitFacts) {
        let since = if least { facts.restarted_ns } else { facts.possibly_restarted_ns };
        let age = |at_ns: i64| bucket_of((at_ns.saturating_sub(since).clamp(0, LONGEST_NS) / MS) as u64);
        let between = (facts.alive.map(|m| age(m.ts_ns)), facts.gone.map(|m| age(m.ts_ns)));
        let (limit, side) = (self.limit, if least { &mut self.modelled_min } else { &mut self.modelled_max });
        side.entry(between).or_insert_with(|| SparseBuckets::new(BUCKET_NS, limit)).add(since);
        if let (Some(gone), false) = (facts.gone, least) {
            self.gone.entry(between).or_insert_with(|| SparseBuckets::new(BUCKET_NS, limit)).add(gone.ts_ns);
        }
    }

    /// Both together.
    pub fn merge(&mut self, other: &Self) {
        self.enter.merge(&other.enter);
        self.leave.merge(&other.leave);
        self.leave_min.merge(&other.leave_min);
        self.leave_max.merge(&other.leave_max);
        merge_classes(&mut self.modelled_min, &other.modelled_min);
        merge_classes(&mut self.modelled_max, &other.modelled_max);
        merge_classes(&mut self.gone, &other.gone);
    }

    /// The band up to the last packet, at every instant where it changes, ascending; the last is the count at the end.
    #[must_use]
    pub fn finish(&self, length: &Length, end_ns: i64) -> Vec<Held> {
        let mut changes: Vec<Change> = Vec::new();
        // All on the grid of the widest: where some are told to the microsecond and others to the second, what enters
        // and leaves at once would seem to be held meanwhile, or to leave before it came.
        let width_ns = self.width_ns();
        let mut change = |at_ns: i64, min: i64, max: i64| {
            changes.push(Change { bucket: at_ns.div_euclid(width_ns), min, max });
        };
        by_the_end(&self.enter, 0, end_ns, |at, n| change(at, n, n));
        by_the_end(&self.leave, 0, end_ns, |at, n| change(at, -n, -n));
        by_the_end(&self.leave_min, 0, end_ns, |at, n| change(at, -n, 0));
        by_the_end(&self.leave_max, self.leave_max.width_ns() - 1, end_ns, |at, n| change(at, 0, -n));
        for (&(alive, gone), buckets) in &self.modelled_min {
            let age = clipped(length.low_ns, alive.map(bucket_low), gone.map(bucket_low));
            by_the_end(buckets, age, end_ns, |at, n| change(at, -n, 0));
        }
        for (&(alive, gone), buckets) in &self.modelled_max {
            let is_sooner = gone.is_some_and(|gone| clipped(i64::MAX, None, Some(bucket_low(gone))) <= length.high_ns);
            if let Some(exact) = self.gone.get(&(alive, gone)).filter(|_| is_sooner) {
                // What shows it is in the capture.
                let shown = exact.iter().filter(|&(at, _)| at <= end_ns);
                let last = |at: i64| at.saturating_add(exact.width_ns() - 1).min(end_ns);
                shown.for_each(|(at, n)| change(last(at), 0, -(n as i64)));
                continue;
            }
            let age = clipped(length.high_ns, alive.map(bucket_high), gone.map(bucket_high));
            by_the_end(buckets, age.saturating_add(buckets.width_ns() - 1), end_ns, |at, n| change(at, 0, -n));
        }
        // Runs that ascend, one behind the other, which take next to nothing to sort.
        changes.sort_by_key(|change| change.bucket);
        running(&changes, width_ns, end_ns)
    }

    /// The band is told for the ends of buckets of this width, ns.
    #[must_use]
    pub fn width_ns(&self) -> i64 {
        let all = [&self.enter, &self.leave, &self.leave_min, &self.leave_max].into_iter();
        let all = all.chain(self.modelled_min.values()).chain(self.modelled_max.values()).chain(self.gone.values());
        all.map(SparseBuckets::width_ns).max().unwrap_or(BUCKET_NS)
    }
}

fn merge_classes(mine: &mut BTreeMap<Between, SparseBuckets>, theirs: &BTreeMap<Between, SparseBuckets>) {
    for (&between, buckets) in theirs {
        match mine.get_mut(&between) {
            Some(known) => known.merge(buckets),
            None => {
                mine.insert(between, buckets.clone());
            }
        }
    }
}

/// The age at which one leaves: its host's length, but not while proven alive and not after proven gone.
fn clipped(length_ns: i64, alive_ms: Option<u64>, gone_ms: Option<u64>) -> i64 {
    let ns = |ms: u64| (ms as i64).saturating_mul(MS);
    length_ns.max(alive_ms.map_or(i64::MIN, ns)).min(gone_ms.map_or(i64::MAX, ns))
}

/// What happens by the end of the capture, `age_ns` after what is counted.
fn by_the_end(buckets: &SparseBuckets, age_ns: i64, end_ns: i64, mut change: impl FnMut(i64, i64)) {
    let all = buckets.iter().map(|(at, n)| (at.saturating_add(age_ns), n as i64));
    all.filter(|&(at, _)| at <= end_ns).for_each(|(at, n)| change(at, n));
}

/// Sums of the changes, told for the end of each bucket. What is modelled may be a bucket out of step, so neither count is
/// let below zero nor least above most.
fn running(changes: &[Change], width_ns: i64, end_ns: i64) -> Vec<Held> {
    let mut sum = (0, 0);
    let told = changes.chunk_by(|a, b| a.bucket == b.bucket).map(|same| {
        sum = same.iter().fold(sum, |sum, change| (sum.0 + change.min, sum.1 + change.max));
        let bucket = same.first().map_or(0, |change| change.bucket);
        let ns = bucket.saturating_add(1).saturating_mul(width_ns).min(end_ns);
        let most = sum.1.max(0) as u64;
        Held { ns, min: (sum.0.max(0) as u64).min(most), max: most }
    });
    told.collect()
}

/// The highest count: no less than the greatest least and no more than the greatest most, at the instant of the latter, the
/// earliest of equals. Where anything entered, one was held at that moment, even if all left before the end of their bucket.
#[must_use]
pub fn peak(held: &[Held]) -> Held {
    let (top, proven) = (peak_of(held), held.iter().map(|h| h.min).max().unwrap_or_default());
    let one = u64::from(!held.is_empty());
    Held { ns: top.ns, min: proven.max(one), max: top.max.max(one) }
}

/// At most `most` samples of the band: of each slot of equal width the highest, so that no peak is lost.
#[must_use]
pub fn thinned(held: &[Held], most: usize) -> Vec<Held> {
    let (Some(first), Some(last)) = (held.first(), held.last()) else { return Vec::new() };
    if held.len() <= most {
        return held.to_vec();
    }
    let span = i128::from(last.ns) - i128::from(first.ns) + 1;
    let slot = |h: &Held| (i128::from(h.ns) - i128::from(first.ns)) * most as i128 / span;
    held.chunk_by(|a, b| slot(a) == slot(b)).map(peak_of).collect()
}

fn peak_of(slot: &[Held]) -> Held {
    let first = slot.first().copied().unwrap_or_default();
    slot.iter().fold(first, |best, next| if (next.max, next.min) > (best.max, best.min) { *next } else { best })
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
