//! Counts under the words of one of the contract's enums: an array while counting, words when told.

use super::summary::Counts;
use crate::record::{
    ActiveCloser, Announced, Close, CloserBasis, ConnectionOption, Holder, Protocol, Race, ResetBy, ResetKind,
    RoleBasis, Stack, TimeWaitBasis, TimeWaitEnd,
};
use std::marker::PhantomData;

/// An enum of the contract's words, as [`crate::words!`] declares it.
pub trait Word: Copy + 'static {
    /// Every variant in declaration order.
    const WORDS: &'static [Self];
    /// The variant's place in [`Self::WORDS`].
    fn place(self) -> usize;
    /// The contract's word.
    fn word(self) -> &'static str;
}

macro_rules! word {
    ($($name:ident),+ $(,)?) => { $(
        impl Word for $name {
            const WORDS: &'static [Self] = $name::ALL;
            fn place(self) -> usize { self as usize }
            fn word(self) -> &'static str { self.as_str() }
        }
    )+ };
}

word!(
    ActiveCloser,
    Announced,
    Close,
    CloserBasis,
    ConnectionOption,
    Holder,
    Protocol,
    Race,
    ResetBy,
    ResetKind,
    RoleBasis,
    Stack,
    TimeWaitBasis,
    TimeWaitEnd
);

/// More than any of the enums has variants.
const PLACES: usize = 12;

/// How often each word applied.
#[derive(Clone, Debug)]
pub struct Tally<W> {
    counts: [u64; PLACES],
    words: PhantomData<W>,
}

impl<W> Default for Tally<W> {
    fn default() -> Self {
        Tally { counts: [0; PLACES], words: PhantomData }
    }
}

impl<W: Word> Tally<W> {
    /// One more.
    pub fn add(&mut self, word: W) {
        self.add_many(word, 1);
    }

    /// `count` more.
    pub fn add_many(&mut self, word: W, count: u64) {
        if let Some(slot) = self.counts.get_mut(word.place()) {
            *slot += count;
        }
    }

    /// Both together.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
    }

    /// How often one applied.
    #[must_use]
    pub fn get(&self, word: W) -> u64 {
        self.counts.get(word.place()).copied().unwrap_or(0)
    }

    /// The words that applied at least once.
    #[must_use]
    pub fn counts(&self) -> Counts {
        W::WORDS.iter().map(|&w| (w.word(), self.get(w))).filter(|&(_, n)| n > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_a_place() {
        assert!(Stack::WORDS.len() <= PLACES && TimeWaitBasis::WORDS.len() <= PLACES && Close::WORDS.len() <= PLACES);
        let mut tally = Tally::default();
        for &basis in TimeWaitBasis::WORDS {
            tally.add(basis);
        }
        assert_eq!(tally.counts().len(), TimeWaitBasis::WORDS.len());
    }
}
