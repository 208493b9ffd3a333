//! A bounded number of keys kept apart, the rest totalled together, and the choice does not depend on who came first.
//!
//! Kept are the `limit` keys that are least by a fixed hash. A key among the least of all was among the least of any
//! part, so it was never dropped and its entry is whole; every other key ends in the overflow, entry and all. Hence
//! merging in any order, over any split of the connections, gives the same entries.

use hashbrown::HashMap;
use roaring::RoaringBitmap;
use std::collections::BTreeSet;

/// What entries must do.
pub trait Merge {
    /// Take in another's counts.
    fn merge(&mut self, other: Self);
}

/// A key with bytes to hash.
pub trait Key: Copy + Ord + std::hash::Hash {
    /// A fixed, well mixed hash: the same on every machine and run.
    fn fixed_hash(self) -> u64;
}

/// FNV-1a over the bytes, finished by splitmix64's mixer so that neighbouring addresses do not stay neighbours.
#[must_use]
pub fn fixed_hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let fnv =
        bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Entries that are dropped before they are taken into the overflow.
const MOST_FRESH: usize = 256;
/// Keys that were dropped: two of these many bits stand for each, so at most 16 MiB for however many. Of a million keys
/// one in five thousand others is taken for one of them, of ten millions one in fifty.
const DROPPED_BITS: u32 = 1 << 27;

/// Which keys were dropped, as far as it can be told in bounded room: none is missing, others may be taken for one. As it
/// depends on the keys alone, so does that.
#[derive(Clone, Debug, Default)]
pub struct Dropped(RoaringBitmap);

impl Dropped {
    fn bits(hash: u64) -> [u32; 2] {
        [hash as u32 % DROPPED_BITS, (hash >> 32) as u32 % DROPPED_BITS]
    }

    /// Whether a key may have been dropped.
    #[must_use]
    pub fn may_hold<K: Key>(&self, key: K) -> bool {
        Self::bits(key.fixed_hash()).iter().all(|&bit| self.0.contains(bit))
    }
}

/// The kept entries and the overflow.
#[derive(Clone, Debug)]
pub struct Kept<K, V> {
    limit: usize,
    /// Kept before all others.
    first: Option<K>,
    /// Boxed, as an entry has kilobytes: the table stays small, and merging gives room back entry by entry.
    entries: HashMap<K, Box<V>, foldhash::fast::RandomState>,
    order: BTreeSet<(u64, K)>,
    overflow: Option<Box<V>>,
    /// What was dropped last, and how many, before it is taken into the overflow: an overflow with thousands of buckets of
    /// time is not gone through for each.
    fresh: Option<Box<V>>,
    fresh_entries: usize,
    /// If anyone wants to know.
    dropped: Option<Dropped>,
}

impl<K: Key, V: Merge> Kept<K, V> {
    /// Nothing yet.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let entries = HashMap::with_hasher(foldhash::fast::RandomState::default());
        Kept {
            limit,
            first: None,
            entries,
            order: BTreeSet::new(),
            overflow: None,
            fresh: None,
            fresh_entries: 0,
            dropped: None,
        }
    }

    /// The same, which keeps this key before all others, and remembers which it dropped.
    #[must_use]
    pub fn remembering(limit: usize, first: Option<K>) -> Self {
        Kept { first, dropped: Some(Dropped::default()), ..Kept::new(limit.max(usize::from(first.is_some()))) }
    }

    /// Change the entry of a key (or the overflow, when the key is not kept), made new where absent.
    pub fn with(&mut self, key: K, new: impl Fn() -> V, change: impl FnOnce(&mut V)) {
        if let Some(entry) = self.entries.get_mut(&key) {
            return change(entry);
        }
        let mut value = Box::new(new());
        change(&mut value);
        self.add(key, value);
    }

    /// The entries, and the overflow, in any order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        let others = self.overflow.as_deref().into_iter().chain(self.fresh.as_deref());
        self.entries.values().map(|entry| &**entry).chain(others)
    }

    /// The same, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let others = self.overflow.as_deref_mut().into_iter().chain(self.fresh.as_deref_mut());
        self.entries.values_mut().map(|entry| &mut **entry).chain(others)
    }

    fn put(&mut self, key: K, value: Box<V>) {
        match self.entries.get_mut(&key) {
            Some(entry) => entry.merge(*value),
            None => self.add(key, value),
        }
    }

    /// A key without an entry gets one, and takes the place of the last if there are too many.
    fn add(&mut self, key: K, value: Box<V>) {
        let hash = if self.first == Some(key) { 0 } else { key.fixed_hash() };
        let rank = (hash, key);
        if self.entries.len() >= self.limit {
            // Of a flood of keys nearly each is dropped at once, without a place made for it.
            if self.order.last().is_none_or(|last| *last < rank) {
                return self.spill(hash, value);
            }
            if let Some((hash, last)) = self.order.pop_last()
                && let Some(value) = self.entries.remove(&last)
            {
                self.spill(hash, value);
            }
        }
        self.order.insert(rank);
        self.entries.insert(key, value);
    }

    fn spill(&mut self, hash: u64, value: Box<V>) {
        if let Some(dropped) = &mut self.dropped {
            dropped.0.extend(Dropped::bits(hash));
        }
        take_in(&mut self.fresh, value);
        self.fresh_entries += 1;
        if self.fresh_entries >= MOST_FRESH {
            self.settle();
        }
    }

    fn settle(&mut self) {
        if let Some(fresh) = self.fresh.take() {
            take_in(&mut self.overflow, fresh);
        }
        self.fresh_entries = 0;
    }

    /// Both together.
    pub fn merge(&mut self, other: Self) {
        for (key, value) in other.entries {
            self.put(key, value);
        }
        for overflow in other.overflow.into_iter().chain(other.fresh) {
            take_in(&mut self.overflow, overflow);
        }
        if let (Some(mine), Some(theirs)) = (&mut self.dropped, other.dropped) {
            mine.0 |= theirs.0;
        }
    }

    /// Which keys were dropped; none if it was not to be remembered.
    pub fn take_dropped(&mut self) -> Dropped {
        self.dropped.take().unwrap_or_default()
    }

    /// The entries in order of their keys, and the overflow.
    #[must_use]
    pub fn sorted(mut self) -> (Vec<(K, Box<V>)>, Option<V>) {
        self.settle();
        let mut entries: Vec<_> = self.entries.into_iter().collect();
        entries.sort_unstable_by_key(|&(key, _)| key);
        (entries, self.overflow.map(|v| *v))
    }
}

fn take_in<V: Merge>(overflow: &mut Option<Box<V>>, value: Box<V>) {
    match overflow {
        Some(overflow) => overflow.merge(*value),
        None => *overflow = Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Merge for u64 {
        fn merge(&mut self, other: Self) {
            *self += other;
        }
    }
    impl Key for u16 {
        fn fixed_hash(self) -> u64 {
            fixed_hash(self.to_be_bytes())
        }
    }

    fn counted(keys: &[u16]) -> Kept<u16, u64> {
        let mut kept = Kept::new(3);
        for &key in keys {
            kept.with(key, || 0, |n| *n += 1);
        }
        kept
    }

    #[test]
    fn the_first_is_kept_and_the_dropped_are_remembered() {
        let mut kept = Kept::remembering(3, Some(77));
        (0..1000_u16).for_each(|key| kept.with(key, || 0, |n: &mut u64| *n += 1));
        let dropped = kept.take_dropped();
        let (entries, overflow) = kept.sorted();
        let keys: Vec<u16> = entries.iter().map(|&(key, _)| key).collect();
        assert!(keys.contains(&77) && overflow == Some(997));
        let taken = (0..2000_u16).filter(|key| dropped.may_hold(*key)).count();
        assert!((0..1000_u16).all(|key| keys.contains(&key) || dropped.may_hold(key)));
        assert_eq!(taken, 997, "of 1,000 others none is taken for one of them");
    }

    proptest! {
        #[test]
        fn what_overflows_depends_on_the_keys_alone(keys in prop::collection::vec(0..9_u16, 0..40), cut in 0..40_usize) {
            let (left, right) = keys.split_at(cut.min(keys.len()));
            let mut merged = counted(right);
            merged.merge(counted(left));
            let (entries, overflow) = counted(&keys).sorted();
            for (key, n) in &entries {
                prop_assert_eq!(**n, keys.iter().filter(|k| *k == key).count() as u64);
            }
            prop_assert!(entries.len() <= 3);
            prop_assert_eq!((entries, overflow), merged.sorted());
        }
    }
}
