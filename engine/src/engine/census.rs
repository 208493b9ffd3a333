//! The limits of connections and of what they keep, where several shards share them: whose connections to end, and which
//! to give up what they keep, found together.
//!
//! A single table can end its longest idle connection whenever one more comes. Shards that work side by side cannot
//! know whose is the longest idle; so they count. At every look (each [`super::front::LOOK_EVERY`] packets) a shard
//! says how many connections it has and in which stretches of packets the oldest were heard of last. Two looks later
//! all have said so, and each draws the same conclusion: of the connections that were there then, those last heard of
//! up to a certain stretch are too many. What was not heard of since ends.
//!
//! So what ends is always the longest idle of all shards together, and no connection ends while fewer than the limit
//! were heard of later. The answer depends on the packets alone. What it costs is that the limit is passed for a while:
//! by what can come in [`LAG`] stretches, the one that is not ended whole, and the one that goes on. Nobody waits for
//! another.
//!
//! What connections keep cannot wait so long: all of it may be kept by connections that are heard of all the time. Where
//! the limit may be near, which follows from what all said two looks ago and can have come since, the shards meet at the
//! look itself, and whoever is idle for longest of all gives up what is too much. So the limit is passed by what can come
//! in the stretch that goes on.

use super::front::{LOOK_BYTES, LOOK_EVERY};
use super::meeting::Meeting;
use crate::decode::PARTITIONS;
use crate::http::WAITING_BYTES;
use crate::settings::Settings;
use crate::tcp::flow_table::{MORE_REQUESTS, Turn};
use crate::tcp::stream::RUN_BYTES;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Looks from what is said to what follows of it: more than one shard may be ahead of another, as its inbox holds few
/// batches. So nobody waits, where batches are of the usual size.
pub const LAG: u64 = 2;

/// Connections beyond the limit that there may be.
#[cfg(test)]
pub const MOST_BEYOND: u64 = (LAG + 2) * LOOK_EVERY;

/// Bytes by which all that is kept can grow in a stretch: what was captured, and what keeping that takes.
pub const MORE_KEPT: u64 = {
    let runs = LOOK_EVERY as usize * RUN_BYTES;
    let requests = PARTITIONS * MORE_REQUESTS * WAITING_BYTES;
    LOOK_BYTES + (runs + requests) as u64
};

/// What the shards say at one look.
#[derive(Default)]
struct Round {
    said: usize,
    heard: usize,
    connections: u64,
    kept_bytes: u64,
    /// Stretches with the number of connections last heard of in them: the oldest of each shard.
    oldest: Vec<(u32, u32)>,
    verdict: Option<Verdict>,
}

/// What follows of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Connections of all shards then.
    pub connections: u64,
    /// What they kept.
    pub kept_bytes: u64,
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

/// Where the shards of an engine count together.
pub struct Census {
    shards: usize,
    limit: u64,
    rounds: Mutex<Rounds>,
    changed: Condvar,
    kept_limit: u64,
    /// What each keeps, and then by whom.
    totals: Meeting<u64>,
    oldest_kept: Meeting<(Turn, u64)>,
}

impl Census {
    /// Of so many shards, which share these limits.
    pub fn new(shards: usize, settings: &Settings) -> Self {
        Census {
            shards,
            limit: settings.max_connections as u64,
            rounds: Mutex::default(),
            changed: Condvar::new(),
            kept_limit: settings.max_kept_bytes as u64,
            totals: Meeting::new(shards),
            oldest_kept: Meeting::new(shards),
        }
    }

    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of its oldest connections a shard must name, if all had so many [`LAG`] looks ago: as many as there can
    /// be too many now. None, as a rule.
    pub fn wanted(&self, connections: u64) -> u64 {
        (connections + LAG * LOOK_EVERY).saturating_sub(self.limit)
    }

    /// Whether the shards must meet, if all kept so much [`LAG`] looks ago.
    pub const fn is_kept_limit_near(&self, kept_bytes: u64) -> bool {
        kept_bytes + LAG * MORE_KEPT > self.kept_limit
    }

    /// What all keep is too much by so many bytes, if this shard keeps so many.
    pub fn too_much(&self, kept_bytes: u64) -> u64 {
        let all = self.totals.hold([kept_bytes]).map_or(0, |all| all.iter().sum());
        all.saturating_sub(self.kept_limit)
    }

    /// Up to whose turn all give up what they keep so that it is not: each shard names those of its own that are idle for
    /// longest and keep so much, or all. As many as needed.
    pub fn last_to_give_up(&self, too_much: u64, oldest: Vec<(Turn, u64)>) -> Option<Turn> {
        let oldest = self.oldest_kept.hold(oldest)?;
        let mut left = too_much;
        let needed = oldest.iter().take_while(|(_, bytes)| {
            let is_needed = left > 0;
            left = left.saturating_sub(*bytes);
            is_needed
        });
        needed.last().map(|&(turn, _)| turn)
    }

    /// A shard has so many connections in this round, which is the next of its own, and they keep so much; `oldest` names
    /// as many as are wanted, or all.
    pub fn say(&self, round: u64, connections: u64, kept_bytes: u64, oldest: &[(u32, u32)]) {
        let mut rounds = self.rounds();
        let Some(at) = round.checked_sub(rounds.first) else { return };
        while rounds.open.len() as u64 <= at {
            rounds.open.push_back(Round::default());
        }
        if let Some(said) = rounds.open.get_mut(at as usize) {
            said.said += 1;
            said.connections += connections;
            said.kept_bytes += kept_bytes;
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
        Verdict { connections: round.connections, kept_bytes: round.kept_bytes, through }
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
        self.totals.close();
        self.oldest_kept.close();
    }
}
