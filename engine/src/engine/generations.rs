//! What is remembered of the newest of something without end: two generations, of which the older is dropped when the
//! younger is full. No order is kept, and nothing is looked through.

use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::hash::Hash;

/// A map that holds the newest entries: `generation` of them at least, twice as many at most.
pub struct Generations<K, V> {
    young: HashMap<K, V, RandomState>,
    old: HashMap<K, V, RandomState>,
    generation: usize,
}

impl<K: Eq + Hash, V> Generations<K, V> {
    /// Empty; it grows as entries come.
    pub fn of(generation: usize) -> Self {
        Generations { young: HashMap::default(), old: HashMap::default(), generation }
    }

    /// Nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    /// The entry, which is none the newer for it.
    pub fn look(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// The entry, which counts among the newest from now on.
    pub fn touch(&mut self, key: K) -> Option<&mut V> {
        if self.young.contains_key(&key) {
            return self.young.get_mut(&key);
        }
        let value = self.old.remove(&key)?;
        Some(self.place(key, value))
    }

    /// The newest entry, in place of one with the same key.
    pub fn place(&mut self, key: K, value: V) -> &mut V {
        if self.young.len() >= self.generation && !self.young.contains_key(&key) {
            std::mem::swap(&mut self.old, &mut self.young);
            self.young.clear();
        }
        self.young.entry(key).insert_entry(value).into_mut()
    }

    /// Forgets it.
    pub fn remove(&mut self, key: &K) {
        self.old.remove(key);
        self.young.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay() {
        let mut map = Generations::of(2);
        assert!(map.is_empty());
        (0..4).for_each(|key| *map.place(key, 0) += key);
        assert_eq!(
            (0..5).map(|key| map.look(&key).copied()).collect::<Vec<_>>(),
            [Some(0), Some(1), Some(2), Some(3), None]
        );
        map.place(4, 4);
        assert_eq!(
            (map.look(&0), map.look(&1), map.look(&2)),
            (None, None, Some(&2)),
            "the older generation went at once"
        );
    }

    #[test]
    fn what_is_touched_is_new() {
        let mut map = Generations::of(2);
        (0..3).for_each(|key| _ = map.place(key, key));
        assert_eq!(map.touch(0).copied(), Some(0));
        (3..5).for_each(|key| _ = map.place(key, key));
        assert_eq!((map.look(&0), map.look(&1)), (Some(&0), None));
        assert_eq!(map.touch(9), None);
    }

    #[test]
    fn one_key_one_value() {
        let mut map = Generations::of(1);
        map.place(1, 'a');
        map.place(2, 'b');
        map.place(2, 'c');
        assert_eq!((map.look(&1), map.look(&2)), (Some(&'a'), Some(&'c')), "put again, it drives nothing out");
        map.place(1, 'd');
        assert_eq!(map.touch(1).copied(), Some('d'), "not the one of the older generation");
        map.remove(&2);
        map.remove(&1);
        assert!(map.is_empty());
    }
}
