//! Counts by instant, each on its own, in the order in which they come: what is fresh waits unsorted until there is enough of
//! it to be sorted in together, so that the cost does not depend on the order.

/// Fewest fresh instants that are sorted in together.
const FEWEST: usize = 4096;

/// How often each instant occurred.
#[derive(Clone, Debug, Default)]
pub struct Instants {
    /// Ascending.
    sorted: Vec<(i64, u64)>,
    fresh: Vec<i64>,
}

impl Instants {
    /// One more.
    pub fn add(&mut self, at: i64) {
        self.fresh.push(at);
        if self.fresh.len() >= FEWEST.max(self.sorted.len() / 4) {
            self.settle();
        }
    }

    /// Distinct instants, or a few more.
    #[must_use]
    pub fn at_most(&self) -> usize {
        self.sorted.len() + self.fresh.len()
    }

    /// Takes out what is before an instant; how many that were.
    pub fn drop_before(&mut self, at: i64) -> u64 {
        self.settle();
        let end = self.sorted.partition_point(|&(instant, _)| instant < at);
        self.sorted.drain(..end).map(|(_, count)| count).sum()
    }

    /// Both together.
    pub fn merge(&mut self, other: &Self) {
        self.settle();
        let mut theirs = other.clone();
        theirs.settle();
        self.join(theirs.sorted);
    }

    /// Every instant, ascending, and how often it occurred.
    #[must_use]
    pub fn all(&self) -> Vec<(i64, u64)> {
        let mut whole = self.clone();
        whole.settle();
        whole.sorted
    }

    fn settle(&mut self) {
        self.fresh.sort_unstable();
        let counted = self.fresh.chunk_by(|a, b| a == b).filter_map(|run| Some((*run.first()?, run.len() as u64)));
        let counted: Vec<(i64, u64)> = counted.collect();
        self.fresh.clear();
        self.join(counted);
    }

    #[allow(clippy::stable_sort_primitive, reason = "the stable sort merges two sorted runs in one pass")]
    fn join(&mut self, theirs: Vec<(i64, u64)>) {
        if theirs.is_empty() {
            return;
        }
        self.sorted.extend(theirs);
        self.sorted.sort();
        self.sorted.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 += later.1;
            }
            same
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn neither_order_nor_splitting_shows(instants in prop::collection::vec(-50..50_i64, 0..200), cut in 0..200_usize, from in -60..60_i64) {
            let mut expected: BTreeMap<i64, u64> = BTreeMap::new();
            instants.iter().for_each(|at| *expected.entry(*at).or_default() += 1);
            let (left, right) = instants.split_at(cut.min(instants.len()));
            let filled = |part: &[i64]| {
                let mut all = Instants::default();
                part.iter().for_each(|&at| all.add(at));
                all
            };
            let mut merged = filled(right);
            merged.merge(&filled(left));
            prop_assert_eq!(merged.all(), expected.clone().into_iter().collect::<Vec<_>>());
            let dropped = merged.drop_before(from);
            prop_assert_eq!(dropped, expected.range(..from).map(|(_, n)| n).sum::<u64>());
            prop_assert_eq!(merged.all(), expected.range(from..).map(|(at, n)| (*at, *n)).collect::<Vec<_>>());
        }
    }

    /// As at the end of a capture, when each partition hands in its own from the beginning: a second would be too long.
    #[test]
    fn many_runs_from_the_start_cost_no_more_than_one() {
        let mut all = Instants::default();
        let begun = std::time::Instant::now();
        for run in 0..64_i64 {
            (0..10_000).for_each(|at| all.add(at * 64 + run));
        }
        assert_eq!(all.all().len(), 640_000);
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    }
}
