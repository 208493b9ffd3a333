//! A bounded number of keys kept apart, the rest totalled together, and the choice does not depend on who came first.
//!
//! Kept are the `limit` keys that are least by a fixed hash. A key among the least of all was among the least of any
//! part, so it was never dropped and its entry is whole; every other key ends in the overflow, entry and all. Hence
//! merging in any order, over any split of the connections, gives the same entries.

use hashbrown::HashMap;
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

/// The kept entries and the overflow.
#[derive(Clone, Debug)]
pub struct Kept<K, V> {
    limit: usize,
    /// Boxed, as an entry has kilobytes: the table stays small, and merging gives room back entry by entry.
    entries: HashMap<K, Box<V>, foldhash::fast::RandomState>,
    order: BTreeSet<(u64, K)>,
    overflow: Option<Box<V>>,
}

impl<K: Key, V: Merge> Kept<K, V> {
    /// Nothing yet.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let entries = HashMap::with_hasher(foldhash::fast::RandomState::default());
        Kept { limit, entries, order: BTreeSet::new(), overflow: None }
    }

    /// Change the entry of a key (or the overflow, when the key is not kept), made new where absent.
    pub fn with(&mut self, key: K, new: impl Fn() -> V, change: impl FnOnce(&mut V)) {
        if let Some(entry) = self.entries.get_mut(&key) {
            return change(entry);
        }
        let mut value = Box::new(new());
        change(&mut value);
        self.put(key, value);
    }

    /// The entries, and the overflow, in any order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values().map(|entry| &**entry).chain(self.overflow.as_deref())
    }

    /// The same, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut().map(|entry| &mut **entry).chain(self.overflow.as_deref_mut())
    }

    fn put(&mut self, key: K, value: Box<V>) {
        if let Some(entry) = self.entries.get_mut(&key) {
            return entry.merge(*value);
        }
        self.order.insert((key.fixed_hash(), key));
        self.entries.insert(key, value);
        self.shed();
    }

    fn shed(&mut self) {
        while self.entries.len() > self.limit {
            let Some((_, key)) = self.order.pop_last() else { return };
            if let Some(value) = self.entries.remove(&key) {
                self.spill(value);
            }
        }
    }

    fn spill(&mut self, value: Box<V>) {
        match &mut self.overflow {
            Some(overflow) => overflow.merge(*value),
            None => self.overflow = Some(value),
        }
    }

    /// Both together.
    pub fn merge(&mut self, other: Self) {
        for (key, value) in other.entries {
            self.put(key, value);
        }
        if let Some(overflow) = other.overflow {
            self.spill(overflow);
        }
    }

    /// The entries in order of their keys, and the overflow.
    #[must_use]
    pub fn sorted(self) -> (Vec<(K, Box<V>)>, Option<V>) {
        let mut entries: Vec<_> = self.entries.into_iter().collect();
        entries.sort_unstable_by_key(|&(key, _)| key);
        (entries, self.overflow.map(|v| *v))
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
