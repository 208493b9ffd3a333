//! Counts over time in bounded room: buckets of one width, which doubles when there would be too many.
//!
//! The width is always the least `base · 2^k` at which the distinct buckets number no more than the limit. That is a
//! property of the set of instants alone, so the order of adding and merging does not show.

/// Counts by bucket of time.
#[derive(Clone, Debug)]
pub struct SparseBuckets {
    width_ns: i64,
    limit: usize,
    /// (index, count), ascending; a bucket stays once counted.
    counts: Vec<(i64, u64)>,
}

impl SparseBuckets {
    /// None yet. `limit` is at least 2: instants before and after 1970 never share a bucket.
    #[must_use]
    pub fn new(base_ns: i64, limit: usize) -> Self {
        SparseBuckets { width_ns: base_ns.max(1), limit: limit.max(2), counts: Vec::new() }
    }

    /// The present width, ns.
    #[must_use]
    pub fn width_ns(&self) -> i64 {
        self.width_ns
    }

    /// The (start ns, count) of every bucket, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (i64, u64)> + '_ {
        self.counts.iter().map(|&(index, n)| (index.saturating_mul(self.width_ns), n))
    }

    /// One more at an instant.
    #[inline]
    pub fn add(&mut self, at_ns: i64) {
        // Most fall into the newest bucket, which takes no division to see.
        if let Some((index, count)) = self.counts.last_mut()
            && let Some(since_ns) = at_ns.checked_sub(index.wrapping_mul(self.width_ns))
            && (0..self.width_ns).contains(&since_ns)
        {
            *count += 1;
            return;
        }
        self.add_elsewhere(at_ns);
    }

    fn add_elsewhere(&mut self, at_ns: i64) {
        self.put(at_ns.div_euclid(self.width_ns), 1);
        self.fit();
    }

    /// Both together.
    pub fn merge(&mut self, other: &Self) {
        let mut theirs = other.clone();
        while self.width_ns < theirs.width_ns {
            self.double();
        }
        while theirs.width_ns < self.width_ns {
            theirs.double();
        }
        let mine = std::mem::take(&mut self.counts);
        self.counts.reserve_exact(mine.len().max(theirs.counts.len()));
        let (mut mine, mut theirs) = (mine.into_iter().peekable(), theirs.counts.into_iter().peekable());
        loop {
            let next = match (mine.peek(), theirs.peek()) {
                (Some(a), Some(b)) if a.0 <= b.0 => mine.next(),
                (_, Some(_)) => theirs.next(),
                (_, None) => mine.next(),
            };
            let Some((index, count)) = next else { break };
            self.put(index, count);
        }
        self.fit();
    }

    /// Records come nearly in order of time, so the bucket is looked for among the last ones first.
    #[inline]
    fn put(&mut self, index: i64, count: u64) {
        let newest = self.counts.iter_mut().rev().take(3);
        let mut is_last = true;
        for slot in newest {
            if slot.0 == index {
                slot.1 += count;
                return;
            }
            if slot.0 < index {
                break;
            }
            is_last = false;
        }
        if is_last {
            self.counts.push((index, count));
        } else {
            self.put_before(index, count);
        }
    }

    fn put_before(&mut self, index: i64, count: u64) {
        match self.counts.binary_search_by_key(&index, |&(i, _)| i) {
            Ok(at) => {
                if let Some(slot) = self.counts.get_mut(at) {
                    slot.1 += count;
                }
            }
            Err(at) => self.counts.insert(at, (index, count)),
        }
    }

    fn fit(&mut self) {
        while self.counts.len() > self.limit && self.width_ns <= i64::MAX / 2 {
            self.double();
        }
    }

    fn double(&mut self) {
        self.width_ns *= 2;
        for slot in &mut self.counts {
            slot.0 = slot.0.div_euclid(2);
        }
        self.counts.dedup_by(|later, kept| {
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

    fn filled(instants: &[i64]) -> SparseBuckets {
        let mut buckets = SparseBuckets::new(10, 8);
        for &at in instants {
            buckets.add(at);
        }
        buckets
    }

    #[test]
    fn the_width_is_the_least_that_fits() {
        let buckets = filled(&[0, 10, 20, 30, 40, 50, 60, 70, 80]);
        assert_eq!(buckets.width_ns(), 20);
        assert_eq!(buckets.iter().collect::<Vec<_>>(), [(0, 2), (20, 2), (40, 2), (60, 2), (80, 1)]);
    }

    #[test]
    fn the_ends_of_time_fit() {
        let buckets = filled(&[i64::MIN, i64::MAX, 0, -1]);
        assert_eq!(buckets.iter().map(|(_, n)| n).sum::<u64>(), 4);
    }

    proptest! {
        #[test]
        fn neither_order_nor_splitting_shows(instants in prop::collection::vec(-3000..3000_i64, 0..60), cut in 0..60_usize) {
            let whole = filled(&instants);
            let (left, right) = instants.split_at(cut.min(instants.len()));
            let mut merged = filled(right);
            merged.merge(&filled(left));
            let mut backwards = instants.clone();
            backwards.reverse();
            for other in [merged, filled(&backwards)] {
                prop_assert_eq!(other.width_ns(), whole.width_ns());
                prop_assert_eq!(other.iter().collect::<Vec<_>>(), whole.iter().collect::<Vec<_>>());
            }
        }
    }
}
