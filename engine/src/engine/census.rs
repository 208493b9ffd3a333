//! The limit of connections, where several shards share it: whom to end, found together, without waiting for each
//! other.
//!
//! A single table can end its longest idle connection whenever one more comes. Shards that work side by side cannot
//! know whose is the longest idle; so they count. At every look (each [`super::front::LOOK_EVERY`] packets) a shard
//! says how many connections it has and in which stretches of packets the oldest were heard of last. Two looks later
//! all have said so, and each draws the same conclusion: of the connections that were there then, those last heard of
//! up to a certain stretch are too many. What was not heard of since ends.
//!
//! So what ends is always the longest idle of all shards together, and no connection ends while fewer than the limit
//! were heard of later. The answer depends on the packets alone. What it costs is that the limit is passed for a while:
//! by what can come in [`LAG`] stretches, the one that is not ended whole, and the one that goes on.

use super::front::LOOK_EVERY;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Looks from what is said to what follows of it: more than one shard may be ahead of another, as its inbox holds few
/// batches. So nobody waits, where batches are of the usual size.
pub const LAG: u64 = 2;

/// Connections beyond the limit that there may be.
#[cfg(test)]
pub const MOST_BEYOND: u64 = (LAG + 2) * LOOK_EVERY;

/// What the shards say at one look.
#[derive(Default)]
struct Round {
    said: usize,
    heard: usize,
    connections: u64,
    /// Stretches with the number of connections last heard of in them: the oldest of each shard.
    oldest: Vec<(u32, u32)>,
    verdict: Option<Verdict>,
}

/// What follows of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Connections of all shards then.
    pub connections: u64,
    /// What was last heard of in this stretch or before is too much.
    pub through: Option<u32>,
}

#[derive(Default)]
struct Rounds {
    /// Of which somebody still needs the verdict, from number `first` on.
    open: VecDeque<Round>,
    first: u64,
    is_closed: bool,
}

/// Where the shards of an engine count their connections together.
pub struct Census {
    shards: usize,
    limit: u64,
    rounds: Mutex<Rounds>,
    changed: Condvar,
}

impl Census {
    /// Of so many shards, which share this limit.
    pub fn new(shards: usize, limit: u64) -> Self {
        Census { shards, limit, rounds: Mutex::default(), changed: Condvar::new() }
    }

    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of its oldest connections a shard must name, if all had so many [`LAG`] looks ago: as many as there can
    /// be too many now. None, as a rule.
    pub fn wanted(&self, connections: u64) -> u64 {
        (connections + LAG * LOOK_EVERY).saturating_sub(self.limit)
    }

    /// A shard has so many connections in this round, which is the next of its own; `oldest` names as many as are
    /// wanted, or all.
    pub fn say(&self, round: u64, connections: u64, oldest: &[(u32, u32)]) {
        let mut rounds = self.rounds();
        let Some(at) = round.checked_sub(rounds.first) else { return };
        while rounds.open.len() as u64 <= at {
            rounds.open.push_back(Round::default());
        }
        if let Some(said) = rounds.open.get_mut(at as usize) {
            said.said += 1;
            said.connections += connections;
            said.oldest.extend_from_slice(oldest);
            if said.said == self.shards {
                said.verdict = Some(self.judge(said));
                self.changed.notify_all();
            }
        }
    }

    /// Stretches that can end whole without ending more than there are too many.
    fn judge(&self, round: &mut Round) -> Verdict {
        let mut left = round.connections.saturating_sub(self.limit);
        round.oldest.sort_unstable();
        let mut through = None;
        for same in round.oldest.chunk_by(|a, b| a.0 == b.0) {
            let count: u64 = same.iter().map(|&(_, count)| u64::from(count)).sum();
            if count > left {
                break;
            }
            left -= count;
            through = same.first().map(|&(stretch, _)| stretch);
        }
        Verdict { connections: round.connections, through }
    }

    /// What follows of that round, once all have said theirs: for each shard, once. None where nothing more is wanted.
    pub fn hear(&self, round: u64) -> Option<Verdict> {
        let mut rounds = self.rounds();
        loop {
            if rounds.is_closed {
                return None;
            }
            let at = round.checked_sub(rounds.first)? as usize;
            if let Some(said) = rounds.open.get_mut(at)
                && let Some(verdict) = said.verdict
            {
                said.heard += 1;
                while rounds.open.front().is_some_and(|oldest| oldest.heard == self.shards) {
                    rounds.open.pop_front();
                    rounds.first += 1;
                }
                return Some(verdict);
            }
            rounds = self.changed.wait(rounds).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nobody need wait any more.
    pub fn close(&self) {
        self.rounds().is_closed = true;
        self.changed.notify_all();
    }
}
