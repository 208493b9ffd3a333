//! A distribution in little room: exact count, least and most; the rest in buckets 1/32 of an octave wide.

use super::summary::Distribution;

/// Sub-buckets per octave, as a power of two: a bucket is at most 1/32 (3.1 %) of its value wide.
const SUB_BITS: u32 = 5;

/// The bucket of a value: values below 64 have one each, above that 32 per octave.
#[must_use]
pub fn bucket_of(value: u64) -> u16 {
    let octave = (64 - SUB_BITS).saturating_sub(value.leading_zeros() + 1);
    ((octave << SUB_BITS) + (value >> octave) as u32) as u16
}

/// The least value of a bucket.
#[must_use]
pub fn bucket_low(bucket: u16) -> u64 {
    let index = u32::from(bucket);
    let octave = (index >> SUB_BITS).saturating_sub(1);
    u64::from(index - (octave << SUB_BITS)).checked_shl(octave).unwrap_or(u64::MAX)
}

/// The greatest value of a bucket.
#[must_use]
pub fn bucket_high(bucket: u16) -> u64 {
    bucket_low(bucket.saturating_add(1)).wrapping_sub(1)
}

const PER_OCTAVE: usize = 1 << SUB_BITS;
/// Rows of [`PER_OCTAVE`] buckets that a 64-bit value can fall into.
const ROWS: usize = 64;

/// Durations counted by bucket. An octave has room once it has a sample; which row of the counts is its, is looked up
/// without a search.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// For each octave, its row + 1; 0 where it has none.
    rows: [u8; ROWS],
    counts: Vec<[u64; PER_OCTAVE]>,
    range: Option<(i64, i64)>,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { rows: [0; ROWS], counts: Vec::new(), range: None }
    }
}

impl Histogram {
    /// One more duration, ns. A negative one (a clock that stepped back) counts in the lowest bucket and shows as the least.
    pub fn add(&mut self, value_ns: i64) {
        self.put(bucket_of(value_ns.max(0) as u64), 1);
        self.widen((value_ns, value_ns));
    }

    /// Both together.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in other.buckets() {
            self.put(bucket, count);
        }
        if let Some(range) = other.range {
            self.widen(range);
        }
    }

    fn put(&mut self, bucket: u16, count: u64) {
        let row = &mut self.rows[usize::from(bucket >> SUB_BITS) % ROWS];
        if *row == 0 {
            // A row is a quarter of a kilobyte, and most distributions have two or three.
            self.counts.reserve_exact(1);
            self.counts.push([0; PER_OCTAVE]);
            *row = self.counts.len() as u8;
        }
        if let Some(counts) = self.counts.get_mut(usize::from(*row) - 1) {
            counts[usize::from(bucket) % PER_OCTAVE] += count;
        }
    }

    /// The buckets that hold samples, ascending, with how many.
    fn buckets(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let of = |(octave, &row): (usize, &u8)| {
            let counts = usize::from(row).checked_sub(1).and_then(|at| self.counts.get(at));
            let first = (octave * PER_OCTAVE) as u16;
            counts.into_iter().flat_map(move |counts| (first..).zip(counts.iter().copied()))
        };
        self.rows.iter().enumerate().flat_map(of).filter(|&(_, count)| count > 0)
    }

    fn widen(&mut self, (low, high): (i64, i64)) {
        self.range = Some(self.range.map_or((low, high), |(a, b)| (a.min(low), b.max(high))));
    }

    /// Samples.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.as_flattened().iter().sum()
    }

    /// What the Summary tells; `None` without samples.
    #[must_use]
    pub fn distribution(&self) -> Option<Distribution> {
        let (min_ns, max_ns) = self.range?;
        let count = self.count();
        Some(Distribution {
            count,
            min_ns,
            max_ns,
            p50_ns: self.quantile(count, 50),
            p90_ns: self.quantile(count, 90),
            p99_ns: self.quantile(count, 99),
        })
    }

    /// The middle of the bucket that holds the sample of rank ⌈percent · count⌉, kept between least and most.
    fn quantile(&self, count: u64, percent: u64) -> i64 {
        let rank = (u128::from(count) * u128::from(percent)).div_ceil(100) as u64;
        let (min, max) = self.range.unwrap_or_default();
        let mut seen = 0;
        for (bucket, n) in self.buckets() {
            seen += n;
            if seen >= rank {
                let (low, high) = (bucket_low(bucket), bucket_high(bucket));
                return ((low + (high - low) / 2) as i64).clamp(min, max);
            }
        }
        max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_values_are_exact_and_octaves_join() {
        for value in 0..4096_u64 {
            let bucket = bucket_of(value);
            assert!(bucket_low(bucket) <= value && value <= bucket_high(bucket), "{value}");
            assert!(value >= 64 || bucket_low(bucket) == bucket_high(bucket));
        }
    }

    #[test]
    fn one_sample_is_its_own_every_quantile() {
        let mut histogram = Histogram::default();
        histogram.add(60_020_000_000);
        let told = histogram.distribution().unwrap();
        assert_eq!(
            (told.min_ns, told.p50_ns, told.p99_ns, told.count),
            (60_020_000_000, 60_020_000_000, 60_020_000_000, 1)
        );
    }

    proptest! {
        #[test]
        fn a_bucket_is_at_most_a_32nd_of_its_value(value in 64..=i64::MAX as u64) {
            let (low, high) = (bucket_low(bucket_of(value)), bucket_high(bucket_of(value)));
            prop_assert!(low <= value && value <= high);
            prop_assert!((high - low) <= low / 32);
        }

        #[test]
        fn quantiles_stand_within_a_bucket_of_the_sorted_list(mut values in prop::collection::vec(0..1_i64 << 40, 1..200)) {
            let mut histogram = Histogram::default();
            for &v in &values {
                histogram.add(v);
            }
            values.sort_unstable();
            let told = histogram.distribution().unwrap();
            let median = values[values.len().div_ceil(2) - 1];
            prop_assert!((told.p50_ns - median).abs() <= median / 32 + 1);
            prop_assert_eq!(told.max_ns, *values.last().unwrap());
        }
    }
}
