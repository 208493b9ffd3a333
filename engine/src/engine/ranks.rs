//! Ordinals of the packets that opened a connection, ranked: the contract's `connection` numbers.

use roaring::{RoaringBitmap, RoaringTreemap};

/// The ordinals of the packets that opened a connection, as they come.
///
/// A capture that goes on for days opens more than can be remembered: [`Opened::forget`] keeps the numbers of those that
/// are still spoken of, and of the others only how many they were.
#[derive(Clone, Debug, Default)]
pub struct Opened {
    /// Those from `floor` on, but for the newest.
    recent: RoaringTreemap,
    newest: Newest,
    floor: u64,
    /// How many were forgotten or are in `kept`.
    before: u64,
    /// (ordinal, number), ascending.
    kept: Vec<(u64, u64)>,
}

impl Opened {
    /// One more.
    pub fn insert(&mut self, ordinal: u64) {
        // In the order of the capture, or nearly.
        if ordinal / Newest::ORDINALS != self.newest.chunk {
            self.settle();
            self.newest.chunk = ordinal / Newest::ORDINALS;
        }
        self.newest.insert(ordinal % Newest::ORDINALS);
    }

    /// The newest go to the others.
    fn settle(&mut self) {
        if let Some(newest) = self.newest.take() {
            self.recent |= newest;
        }
    }

    /// How many there were.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.before + self.recent.len() + self.newest.count
    }

    /// How many are remembered.
    #[must_use]
    pub fn remembered(&self) -> u64 {
        self.kept.len() as u64 + self.recent.len() + self.newest.count
    }

    /// Forgets all but these.
    pub fn forget(&mut self, but: &RoaringTreemap) {
        self.settle();
        let ranks = Ranks::from(self.clone());
        let end = self.recent.max().map_or(self.floor, |last| last + 1);
        let known = |ordinal: &u64| ranks.is_known(*ordinal);
        let kept = but.iter().filter(known).map(|ordinal| (ordinal, ranks.number(ordinal))).collect();
        *self = Opened { floor: end, before: self.len(), kept, ..Opened::default() };
    }
}

/// Those of one stretch of the capture, a bit each: so one more costs a few instructions and no search.
#[derive(Clone, Debug, Default)]
struct Newest {
    chunk: u64,
    bits: Vec<u8>,
    count: u64,
}

impl Newest {
    /// As many as one container of a bitmap has.
    const ORDINALS: u64 = 1 << 16;

    #[inline]
    fn insert(&mut self, place: u64) {
        if self.bits.is_empty() {
            self.bits.resize(Self::ORDINALS as usize / 8, 0);
        }
        if let Some(byte) = self.bits.get_mut(place as usize / 8) {
            let bit = 1 << (place % 8);
            self.count += u64::from(*byte & bit == 0);
            *byte |= bit;
        }
    }

    fn take(&mut self) -> Option<RoaringTreemap> {
        if self.count == 0 {
            return None;
        }
        let first = self.chunk * Self::ORDINALS;
        let bitmap = RoaringBitmap::from_lsb0_bytes(first as u32, &self.bits);
        self.bits.fill(0);
        self.count = 0;
        Some(RoaringTreemap::from_bitmaps([((first >> 32) as u32, bitmap)]))
    }
}

/// Ordinals that share a count of those before them.
const BLOCK: u64 = 512;
const WORDS: usize = BLOCK as usize / 64;

/// A bit for each ordinal up to the last one that is set, and a count every [`BLOCK`]: a rank costs at most eight
/// popcounts whatever the size of the capture (a `RoaringTreemap` counts every container before it, for every row).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ranks {
    blocks: Vec<(u64, [u64; WORDS])>,
    /// Blocks before the first, and what is known of them: (ordinal, number).
    first: u64,
    before: u64,
    kept: Vec<(u64, u64)>,
}

impl From<Opened> for Ranks {
    fn from(mut opened: Opened) -> Self {
        opened.settle();
        let first = opened.floor / BLOCK;
        let blocks = opened.recent.max().map_or(0, |last| last / BLOCK + 1 - first);
        let blocks = vec![(0, [0; WORDS]); usize::try_from(blocks).unwrap_or(0)];
        let mut ranks = Ranks { blocks, first, before: opened.before, kept: opened.kept };
        for ordinal in &opened.recent {
            if let Some((_, words)) = ranks.blocks.get_mut((ordinal / BLOCK - first) as usize) {
                words[(ordinal % BLOCK / 64) as usize] |= 1 << (ordinal % 64);
            }
        }
        ranks.count();
        ranks
    }
}

impl Ranks {
    /// Takes in those of another shard; nothing of either was forgotten.
    pub fn merge(&mut self, mut other: Ranks) {
        if self.blocks.len() < other.blocks.len() {
            std::mem::swap(self, &mut other);
        }
        for ((_, words), (_, others)) in self.blocks.iter_mut().zip(&other.blocks) {
            words.iter_mut().zip(others).for_each(|(word, other)| *word |= other);
        }
        self.count();
    }

    /// How many there are before each block.
    fn count(&mut self) {
        let mut before = self.before;
        for (count, words) in &mut self.blocks {
            *count = before;
            before += words.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
        }
    }

    /// How many are smaller, plus one.
    #[must_use]
    pub fn number(&self, ordinal: u64) -> u64 {
        if let Some((_, number)) = self.kept_by(ordinal) {
            return number;
        }
        let block = (ordinal / BLOCK).checked_sub(self.first).and_then(|block| self.blocks.get(block as usize));
        let Some((before, words)) = block else {
            return self.len() + 1;
        };
        let word = (ordinal % BLOCK / 64) as usize;
        let full: u32 = words.iter().take(word).map(|word| word.count_ones()).sum();
        let part = (words[word] & ((1 << (ordinal % 64)) - 1)).count_ones();
        before + u64::from(full + part) + 1
    }

    /// Whether the ordinal is one of them, and not forgotten.
    fn is_known(&self, ordinal: u64) -> bool {
        let block = (ordinal / BLOCK).checked_sub(self.first).and_then(|block| self.blocks.get(block as usize));
        let is_set = |words: &[u64; WORDS]| words[(ordinal % BLOCK / 64) as usize] >> (ordinal % 64) & 1 == 1;
        self.kept_by(ordinal).is_some() || block.is_some_and(|(_, words)| is_set(words))
    }

    fn kept_by(&self, ordinal: u64) -> Option<(u64, u64)> {
        let at = self.kept.binary_search_by_key(&ordinal, |&(kept, _)| kept).ok()?;
        self.kept.get(at).copied()
    }

    /// The ordinal with a number, if there are so many and it was not forgotten.
    #[must_use]
    pub fn ordinal(&self, number: u64) -> Option<u64> {
        if number <= self.before {
            let at = self.kept.binary_search_by_key(&number, |&(_, kept)| kept).ok()?;
            return self.kept.get(at).map(|&(ordinal, _)| ordinal);
        }
        let wanted = number - 1;
        let at = self.blocks.partition_point(|&(before, _)| before <= wanted).checked_sub(1)?;
        let (before, words) = self.blocks.get(at)?;
        let bits = words.iter().zip(0..).flat_map(|(&word, place)| set_bits(word).map(move |bit| place * 64 + bit));
        bits.skip((wanted - before) as usize).map(|bit| (self.first + at as u64) * BLOCK + bit).next()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.blocks.last().map_or(self.before, |(before, words)| {
            before + words.iter().map(|word| u64::from(word.count_ones())).sum::<u64>()
        })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn set_bits(word: u64) -> impl Iterator<Item = u64> {
    (0..64).filter(move |bit| word >> bit & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn opened(ordinals: impl IntoIterator<Item = u64>) -> Opened {
        let mut opened = Opened::default();
        ordinals.into_iter().for_each(|ordinal| opened.insert(ordinal));
        opened
    }

    proptest! {
        /// Whatever was forgotten on the way, those that are left have the numbers that they would have had.
        #[test]
        fn forgetting_changes_no_number(
            ordinals in proptest::collection::btree_set(0_u64..3000, 0..200),
            cuts in proptest::collection::btree_set(0_u64..3000, 0..4),
            wanted in proptest::collection::btree_set(0_u64..3000, 0..300),
        ) {
            let whole = Ranks::from(opened(ordinals.iter().copied()));
            let mut some = Opened::default();
            let mut from = 0;
            for cut in cuts {
                ordinals.range(from..cut).for_each(|&ordinal| some.insert(ordinal));
                some.forget(&wanted.iter().copied().collect());
                prop_assert!(some.remembered() <= wanted.len() as u64);
                from = cut;
            }
            ordinals.range(from..).for_each(|&ordinal| some.insert(ordinal));
            let ranks = Ranks::from(some.clone());
            prop_assert_eq!((some.len(), ranks.len()), (ordinals.len() as u64, ordinals.len() as u64));
            for &ordinal in ordinals.iter().filter(|ordinal| **ordinal >= from || wanted.contains(ordinal)) {
                prop_assert_eq!(ranks.number(ordinal), whole.number(ordinal));
                prop_assert_eq!(ranks.ordinal(ranks.number(ordinal)), Some(ordinal));
            }
        }

        /// Numbers and ordinals are a sorted list's places and items, wherever they fall in words and blocks.
        #[test]
        fn ranks_are_places_in_the_sorted_list(ordinals in proptest::collection::btree_set(0_u64..3000, 0..200)) {
            let ranks = Ranks::from(opened(ordinals.iter().copied()));
            prop_assert_eq!(ranks.len(), ordinals.len() as u64);
            for asked in 0..3100 {
                prop_assert_eq!(ranks.number(asked), ordinals.range(..asked).count() as u64 + 1);
            }
            let listed: Vec<u64> = (1..).map_while(|number| ranks.ordinal(number)).collect();
            prop_assert_eq!(listed, ordinals.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(ranks.ordinal(0), None);
        }
    }
}
