//! Counts over time in bounded room: buckets of one width, which doubles when there would be too many.
//!
//! The width is always the least `base · 2^k` at which the distinct buckets number no more than the limit. That is a
//! property of the set of instants alone, so the order of adding and merging does not show.
//!
//! Every pair of addresses has several of these, so that they are most of a ledger's memory: a bucket has eight bytes,
//! and a quarter more are made room for at a time, not twice as many.

/// Counts by bucket of time.
#[derive(Clone, Debug)]
pub struct SparseBuckets {
    width_ns: i64,
    limit: usize,
    slots: Slots,
}

/// (index, count), ascending; a bucket stays once counted.
#[derive(Clone, Debug)]
enum Slots {
    /// Indices count from `origin`, which is [`HALF`] before the first that came.
    Narrow { origin: i64, slots: Vec<(u32, u32)> },
    /// Where 32 bits do not do: instants years apart, or four milliards in one bucket.
    Wide(Vec<(i64, u64)>),
}

/// As far before the first index as after it there is room.
const HALF: i64 = 1 << 31;

impl Slots {
    const NONE: Slots = Slots::Narrow { origin: 0, slots: Vec::new() };

    fn len(&self) -> usize {
        match self {
            Slots::Narrow { slots, .. } => slots.len(),
            Slots::Wide(slots) => slots.len(),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (i64, u64)> + '_ {
        let (origin, narrow, wide) = match self {
            Slots::Narrow { origin, slots } => (*origin, &slots[..], &[][..]),
            Slots::Wide(slots) => (0, &[][..], &slots[..]),
        };
        let narrow = narrow.iter().map(move |&(over, count)| (origin + i64::from(over), u64::from(count)));
        narrow.chain(wide.iter().copied())
    }

    /// One more in the newest bucket, if `is_in` says so of its index.
    #[inline]
    fn add_to_newest(&mut self, is_in: impl FnOnce(i64) -> bool) -> bool {
        match self {
            Slots::Narrow { origin, slots } => match slots.last_mut() {
                Some((over, count)) if *count < u32::MAX && is_in(*origin + i64::from(*over)) => *count += 1,
                _ => return false,
            },
            Slots::Wide(slots) => match slots.last_mut() {
                Some((index, count)) if is_in(*index) => *count += 1,
                _ => return false,
            },
        }
        true
    }

    fn put(&mut self, index: i64, count: u64) {
        if let Slots::Narrow { origin, slots } = self {
            if slots.is_empty() {
                *origin = index.saturating_sub(HALF);
            }
            if put_narrow(*origin, slots, index, count).is_some() {
                return;
            }
        }
        self.put_wide(index, count);
    }

    #[cold]
    fn put_wide(&mut self, index: i64, count: u64) {
        if let Slots::Narrow { .. } = self {
            *self = Slots::Wide(self.iter().collect());
        }
        if let Slots::Wide(slots) = self {
            match place(slots, index) {
                Ok(at) => slots[at].1 += count,
                Err(at) => slots.insert(at, (index, count)),
            }
        }
    }

    /// Both, of buckets of the same width.
    fn joined(self, other: &Slots) -> Slots {
        if let (Slots::Narrow { origin, slots }, Slots::Narrow { origin: beyond, slots: others }) = (&self, other)
            && let Some(joined) = joined_narrow(slots, others, beyond.saturating_sub(*origin))
        {
            return Slots::Narrow { origin: *origin, slots: joined };
        }
        let mut joined = self;
        other.iter().for_each(|(index, count)| joined.put(index, count));
        joined
    }

    /// Buckets of twice the width.
    fn halve(&mut self) {
        if let Slots::Narrow { origin, slots } = self
            && slots.last().is_none_or(|slot| slot.0 < u32::MAX)
            && u32::try_from(slots.iter().map(|slot| u64::from(slot.1)).sum::<u64>()).is_ok()
        {
            let odd = origin.rem_euclid(2) as u32;
            *origin = origin.div_euclid(2);
            slots.iter_mut().for_each(|slot| slot.0 = u32::midpoint(slot.0, odd));
            return add_up(slots);
        }
        let halved = std::mem::replace(self, Slots::NONE);
        halved.iter().for_each(|(index, count)| self.put(index.div_euclid(2), count));
    }
}

/// `None` where it does not fit.
fn put_narrow(origin: i64, slots: &mut Vec<(u32, u32)>, index: i64, count: u64) -> Option<()> {
    let over = u32::try_from(index.checked_sub(origin)?).ok()?;
    let count = u32::try_from(count).ok()?;
    match place(slots, over) {
        Ok(at) => slots[at].1 = slots[at].1.checked_add(count)?,
        Err(at) => {
            if slots.len() == slots.capacity() {
                slots.reserve_exact((slots.len() / 4).max(4));
            }
            slots.insert(at, (over, count));
        }
    }
    Some(())
}

/// Of neighbours of one index one. No branch tells them apart: which are is not to be guessed.
fn add_up(slots: &mut Vec<(u32, u32)>) {
    let mut kept = 0;
    for at in 0..slots.len() {
        let (index, count) = slots[at];
        let last = slots[kept];
        let is_next = u32::from(last.0 != index);
        kept += is_next as usize;
        slots[kept] = (index, if at == 0 { count } else { count + last.1 * (1 - is_next) });
    }
    slots.truncate(kept + 1);
}

/// Two ascending lists as one, of which the other's indices count from `beyond` further on. `None` where it does not fit.
fn joined_narrow(slots: &[(u32, u32)], others: &[(u32, u32)], beyond: i64) -> Option<Vec<(u32, u32)>> {
    let moved = |slot: &(u32, u32)| u32::try_from(i64::from(slot.0).checked_add(beyond)?).ok();
    // What lies between its ends fits, too.
    for end in [others.first(), others.last()] {
        end.map_or(Some(0), moved)?;
    }
    let moved = |over: u32| over.wrapping_add(beyond as u32);
    let mut joined = Vec::with_capacity(slots.len() + others.len());
    let (mut at, mut at_other) = (0, 0);
    // No branch tells which is next: that is not to be guessed.
    while let (Some(&(over, count)), Some(&(other, more))) = (slots.get(at), others.get(at_other)) {
        let other = moved(other);
        let (is_next, is_other_next) = (over <= other, other <= over);
        let sum = u64::from(count) * u64::from(is_next) + u64::from(more) * u64::from(is_other_next);
        joined.push((over.min(other), u32::try_from(sum).ok()?));
        at += usize::from(is_next);
        at_other += usize::from(is_other_next);
    }
    joined.extend_from_slice(slots.get(at..)?);
    joined.extend(others.get(at_other..)?.iter().map(|&(other, count)| (moved(other), count)));
    Some(joined)
}

/// Where an index is, or would be. Records come nearly in order of time, so it is looked for among the last ones first.
#[inline]
fn place<I: Ord + Copy, N>(slots: &[(I, N)], index: I) -> Result<usize, usize> {
    for (at, slot) in slots.iter().enumerate().rev().take(3) {
        if slot.0 <= index {
            return if slot.0 == index { Ok(at) } else { Err(at + 1) };
        }
    }
    slots.binary_search_by_key(&index, |slot| slot.0)
}

impl SparseBuckets {
    /// None yet. `limit` is at least 2: instants before and after 1970 never share a bucket.
    #[must_use]
    pub fn new(base_ns: i64, limit: usize) -> Self {
        SparseBuckets { width_ns: base_ns.max(1), limit: limit.max(2), slots: Slots::NONE }
    }

    /// The present width, ns.
    #[must_use]
    pub fn width_ns(&self) -> i64 {
        self.width_ns
    }

    /// The (start ns, count) of every bucket, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (i64, u64)> + '_ {
        self.slots.iter().map(|(index, n)| (index.saturating_mul(self.width_ns), n))
    }

    /// One more at an instant.
    #[inline]
    pub fn add(&mut self, at_ns: i64) {
        // Most fall into the newest bucket, which takes no division to see.
        let width_ns = self.width_ns;
        let is_in = |index: i64| {
            at_ns.checked_sub(index.wrapping_mul(width_ns)).is_some_and(|since_ns| (0..width_ns).contains(&since_ns))
        };
        if !self.slots.add_to_newest(is_in) {
            self.add_elsewhere(at_ns);
        }
    }

    fn add_elsewhere(&mut self, at_ns: i64) {
        self.slots.put(at_ns.div_euclid(self.width_ns), 1);
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
        let mine = std::mem::replace(&mut self.slots, Slots::NONE);
        self.slots = mine.joined(&theirs.slots);
        self.fit();
    }

    fn fit(&mut self) {
        while self.slots.len() > self.limit && self.width_ns <= i64::MAX / 2 {
            self.double();
        }
    }

    fn double(&mut self) {
        self.width_ns *= 2;
        self.slots.halve();
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

    /// Mostly near each other, now and then so far apart that 32 bits do not do.
    fn instant() -> impl Strategy<Value = i64> {
        prop_oneof![40 => -3000..3000_i64, 1 => any::<i64>(), 1 => (1_i64 << 35)..(1 << 37)]
    }

    /// A count beyond 32 bits is whole, and the buckets beside it stay.
    #[test]
    fn four_milliards_in_one_bucket() {
        let mut buckets = filled(&[0, 10]);
        for _ in 0..2 {
            buckets.slots.put(1, u64::from(u32::MAX));
        }
        buckets.add(15);
        assert_eq!(buckets.iter().collect::<Vec<_>>(), [(0, 1), (10, 2 + 2 * u64::from(u32::MAX))]);
    }

    proptest! {
        #[test]
        fn neither_order_nor_splitting_shows(instants in prop::collection::vec(instant(), 0..60), cut in 0..60_usize) {
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
