//! How many connections of a table were last heard of in which stretch of packets.
//!
//! A stretch is what lies between two looks at the limit of connections, [`crate::engine`]'s affair: the same packets
//! in every table. So tables that share a limit can agree on a stretch up to which all of them end what they have.

use super::{FlowTable, NONE};
use crate::record::Quality;
use crate::tcp::payload::Payload;
use std::collections::{BTreeMap, VecDeque};

/// Stretches whose counts lie in a row; of those before only the ones that have any are listed.
const RECENT: usize = 1024;

/// Counts of connections by the stretch of their last packets.
#[derive(Default)]
pub struct Ages {
    /// The stretch that goes on.
    now: u32,
    /// Of the newest stretches, from `first` to `now`.
    recent: VecDeque<u32>,
    first: u32,
    /// Of those before.
    before: BTreeMap<u32, u32>,
}

impl Ages {
    /// The stretch that goes on.
    #[inline]
    pub(super) const fn now(&self) -> u32 {
        self.now
    }

    /// A new stretch begins.
    pub(super) fn turn(&mut self) {
        if self.recent.is_empty() {
            self.recent.push_back(0);
        }
        self.now += 1;
        self.recent.push_back(0);
        if self.recent.len() > RECENT
            && let Some(count) = self.recent.pop_front()
        {
            if count > 0 {
                self.before.insert(self.first, count);
            }
            self.first += 1;
        }
    }

    /// A connection was heard of.
    #[inline]
    pub(super) fn count(&mut self) {
        match self.recent.back_mut() {
            Some(count) => *count += 1,
            None => self.recent.push_back(1),
        }
    }

    /// One last heard of in that stretch is heard of again, or is gone.
    #[inline]
    pub(super) fn discount(&mut self, stretch: u32) {
        match stretch.checked_sub(self.first).and_then(|at| self.recent.get_mut(at as usize)) {
            Some(count) => *count -= 1,
            None => self.discount_before(stretch),
        }
    }

    #[cold]
    fn discount_before(&mut self, stretch: u32) {
        if let Some(count) = self.before.get_mut(&stretch) {
            *count -= 1;
            if *count == 0 {
                self.before.remove(&stretch);
            }
        }
    }

    /// The oldest stretches with the number of connections last heard of in each, so many of them that there are
    /// `wanted` connections at least, or all.
    pub(super) fn oldest(&self, wanted: u64) -> Vec<(u32, u32)> {
        let before = self.before.iter().map(|(&stretch, &count)| (stretch, count));
        let recent = (self.first..).zip(self.recent.iter().copied()).filter(|&(_, count)| count > 0);
        let mut counted = 0;
        let is_wanted = |&(_, count): &(u32, u32)| {
            let is_short = counted < wanted;
            counted += u64::from(count);
            is_short
        };
        before.chain(recent).take_while(is_wanted).collect()
    }
}

impl<P: Payload> FlowTable<P> {
    /// Ends the longest idle connection.
    pub(super) fn evict(&mut self, sink: &mut P::Sink) {
        let at = self.oldest();
        if at == NONE {
            return;
        }
        self.evicted += 1;
        if let Some(mut connection) = self.remove(at) {
            connection.quality.0 |= Quality::EVICTED;
            connection.finish(sink);
            self.spare.push(connection);
        }
    }

    /// Another stretch of packets begins.
    pub fn turn(&mut self) {
        self.ages.turn();
        self.kept.turn();
    }

    /// The oldest stretches with the number of connections last heard of in each: so many that there are `wanted`
    /// connections at least, or all.
    #[must_use]
    pub fn oldest_heard(&self, wanted: u64) -> Vec<(u32, u32)> {
        self.ages.oldest(wanted)
    }

    /// Ends the connections that were last heard of in that stretch or before.
    pub fn evict_through(&mut self, stretch: u32, sink: &mut P::Sink) {
        while self.slots.get(self.oldest() as usize).is_some_and(|slot| slot.heard <= stretch) {
            self.evict(sink);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever comes and goes, the counts are those of a plain list.
        #[test]
        fn counts_are_those_of_a_list(steps in prop::collection::vec((0_u8..4, any::<u16>()), 0..6000)) {
            let (mut ages, mut list) = (Ages::default(), Vec::new());
            for (kind, dice) in steps {
                match kind {
                    0 => {
                        ages.count();
                        list.push(ages.now());
                    }
                    1 if !list.is_empty() => ages.discount(list.swap_remove(usize::from(dice) % list.len())),
                    _ => ages.turn(),
                }
            }
            let mut counts = BTreeMap::<u32, u32>::new();
            list.iter().for_each(|&stretch| *counts.entry(stretch).or_default() += 1);
            prop_assert_eq!(ages.oldest(u64::MAX), counts.clone().into_iter().collect::<Vec<_>>());
            let (mut least, mut sum) = (Vec::new(), 0);
            for (stretch, count) in counts {
                if sum < 5 {
                    least.push((stretch, count));
                }
                sum += count;
            }
            prop_assert_eq!(ages.oldest(5), least);
        }
    }
}
