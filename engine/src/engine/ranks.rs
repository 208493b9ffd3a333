//! Ordinals of the packets that opened a connection, ranked: the contract's `connection` numbers.

use roaring::RoaringTreemap;

/// Ordinals that share a count of those before them.
const BLOCK: u64 = 512;
const WORDS: usize = BLOCK as usize / 64;

/// A bit for each ordinal up to the last one that is set, and a count every [`BLOCK`]: a rank costs at most eight
/// popcounts whatever the size of the capture (a `RoaringTreemap` counts every container before it, for every row).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ranks {
    blocks: Vec<(u64, [u64; WORDS])>,
}

impl From<&RoaringTreemap> for Ranks {
    fn from(ordinals: &RoaringTreemap) -> Self {
        let blocks = ordinals.max().map_or(0, |last| last / BLOCK + 1);
        let mut ranks = Ranks { blocks: vec![(0, [0; WORDS]); usize::try_from(blocks).unwrap_or(0)] };
        for ordinal in ordinals {
            if let Some((_, words)) = ranks.blocks.get_mut((ordinal / BLOCK) as usize) {
                words[(ordinal % BLOCK / 64) as usize] |= 1 << (ordinal % 64);
            }
        }
        let mut before = 0;
        for (count, words) in &mut ranks.blocks {
            *count = before;
            before += words.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
        }
        ranks
    }
}

impl Ranks {
    /// How many are smaller, plus one.
    #[must_use]
    pub fn number(&self, ordinal: u64) -> u64 {
        let Some((before, words)) = self.blocks.get((ordinal / BLOCK) as usize) else {
            return self.len() + 1;
        };
        let word = (ordinal % BLOCK / 64) as usize;
        let full: u32 = words.iter().take(word).map(|word| word.count_ones()).sum();
        let part = (words[word] & ((1 << (ordinal % 64)) - 1)).count_ones();
        before + u64::from(full + part) + 1
    }

    /// The ordinal with a number, if there are so many.
    #[must_use]
    pub fn ordinal(&self, number: u64) -> Option<u64> {
        let wanted = number.checked_sub(1)?;
        let at = self.blocks.partition_point(|&(before, _)| before <= wanted).checked_sub(1)?;
        let (before, words) = self.blocks.get(at)?;
        let bits = words.iter().zip(0..).flat_map(|(&word, place)| set_bits(word).map(move |bit| place * 64 + bit));
        bits.skip((wanted - before) as usize).map(|bit| at as u64 * BLOCK + bit).next()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.blocks
            .last()
            .map_or(0, |(before, words)| before + words.iter().map(|word| u64::from(word.count_ones())).sum::<u64>())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

fn set_bits(word: u64) -> impl Iterator<Item = u64> {
    (0..64).filter(move |bit| word >> bit & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Numbers and ordinals are a sorted list's places and items, wherever they fall in words and blocks.
        #[test]
        fn ranks_are_places_in_the_sorted_list(ordinals in proptest::collection::btree_set(0_u64..3000, 0..200)) {
            let ranks = Ranks::from(&ordinals.iter().copied().collect::<RoaringTreemap>());
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
