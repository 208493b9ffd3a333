//! What a watched kernel's listings told of its TIME_WAITs, kept when the listings themselves are gone.
//!
//! A connection is finished minutes after its TIME_WAIT was over. Of each socket the last listing that had it is kept
//! until then, and when the kernel was read: so the timer that was told stays with its TIME_WAIT, and it stays known which
//! ones no listing had while they must have been there.

use super::kernel::{End, TOLERANCE_NS, Table, is_covered_by, timer_holds};
use crate::record::{Address, TimeWaitFacts};
use crate::settings::SECOND;
use std::collections::{HashMap, HashSet, VecDeque};

/// Sockets remembered at most; each takes about 150 bytes, and only where a host is watched. Of one more the timer is not
/// kept, and from then on none counts as never listed.
const MOST_LISTED: usize = 1 << 18;
/// A connection is forgotten at most this much later than its time without packets asks for.
const LATE_NS: i64 = 60 * SECOND;
/// So long a TIME_WAIT that the kernel keeps is listed for sure: half of Linux's.
const SURE_NS: i64 = 30 * SECOND;

/// The last listing that had a socket, and when its timer ends, as one of them told it while it ran: what is left of a
/// timer is told somewhere between the clock before a listing and after it, so the newest of those that were quick.
#[derive(Clone, Copy, Debug)]
struct Last {
    reading: (i64, i64),
    told: (i64, i64),
    ends_ns: i64,
    /// None of them had it while its timer ran.
    was_over: bool,
}

impl Last {
    fn took_ns(&self) -> i64 {
        self.told.1.saturating_sub(self.told.0)
    }

    /// The same socket once more; a timer that was restarted ends at another time, one that is over does not end later
    /// because it fires late.
    fn and(self, newer: Last) -> Last {
        let unsure_ns = self.took_ns().saturating_add(newer.took_ns()).saturating_add(TOLERANCE_NS);
        let is_same = !self.was_over && (self.ends_ns - newer.ends_ns).abs() <= unsure_ns;
        let is_slow = newer.took_ns() > self.took_ns().saturating_add(TOLERANCE_NS);
        let best = if newer.was_over || (is_same && is_slow) { self } else { newer };
        Last { reading: newer.reading, ..best }
    }
}

/// What all listings so far told.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    /// So long a socket is remembered after its timer ran out.
    keep_ns: i64,
    own: HashSet<Address>,
    reads: VecDeque<(i64, i64)>,
    sockets: HashMap<(End, End), Last>,
    /// How many were left when they were last looked through.
    left: usize,
    is_incomplete: bool,
}

impl Listed {
    /// For connections that are forgotten after so long without packets.
    pub(super) fn new(idle_expiry_ns: i64) -> Self {
        Listed { keep_ns: idle_expiry_ns.saturating_add(LATE_NS), ..Listed::default() }
    }

    /// One more listing. A clock that steps back begins anew.
    pub(super) fn take(&mut self, table: &Table) {
        if self.reads.back().is_some_and(|last| last.0 > table.read_ns.0) {
            *self = Listed { keep_ns: self.keep_ns, is_incomplete: self.is_incomplete, ..Listed::default() };
        }
        self.own.clone_from(&table.own);
        self.reads.push_back(table.read_ns);
        self.forget_old(table.read_ns.0);
        for &(ends, ends_ns) in &table.waits {
            let was_over = table.was_over(ends_ns);
            let newest = Last { reading: table.read_ns, told: table.read_ns, ends_ns, was_over };
            if let Some(known) = self.sockets.get_mut(&ends) {
                *known = known.and(newest);
            } else if self.sockets.len() < MOST_LISTED {
                self.sockets.insert(ends, newest);
            } else {
                self.is_incomplete = true;
            }
        }
    }

    /// A socket goes after the readings that had it: none of those that are left can be one that it is missing in.
    fn forget_old(&mut self, now_ns: i64) {
        let old_ns = now_ns.saturating_sub(self.keep_ns);
        while self.reads.front().is_some_and(|read| read.0 < old_ns.saturating_add(LATE_NS / 2)) {
            self.reads.pop_front();
        }
        if self.sockets.len() >= (2 * self.left).clamp(1024, MOST_LISTED) {
            self.sockets.retain(|_, last| last.ends_ns >= old_ns);
            self.left = self.sockets.len();
        }
    }

    /// Whether the kernel was read between these moments.
    fn was_read(&self, from_ns: i64, to_ns: i64) -> bool {
        let next = self.reads.partition_point(|read| read.0 <= from_ns);
        self.reads.get(next).is_some_and(|read| read.1 < to_ns)
    }

    /// When its timer ran out, as it was last told: if nothing may have restarted it since, and no later listing is
    /// without it before that.
    pub(super) fn end_of(&self, ends: (End, End), facts: &TimeWaitFacts) -> Option<i64> {
        let last = self.own_timer(ends, facts)?;
        (!self.has_vanished(last)).then_some(last.ends_ns)
    }

    /// The last listing that had it, if a later one was without it before its timer ran out: something ended it.
    pub(super) fn gone_since(&self, ends: (End, End), facts: &TimeWaitFacts) -> Option<i64> {
        let last = self.own_timer(ends, facts)?;
        self.has_vanished(last).then_some(last.reading.0)
    }

    /// The last listing of this very TIME_WAIT, whose timer was told while it ran and which nothing may have restarted since.
    fn own_timer(&self, ends: (End, End), facts: &TimeWaitFacts) -> Option<&Last> {
        let is_its_own = |last: &&Last| is_covered_by(last.reading, facts) && timer_holds(last.told, facts);
        self.sockets.get(&ends).filter(|last| !last.was_over).filter(is_its_own)
    }

    fn has_vanished(&self, last: &Last) -> bool {
        self.was_read(last.reading.1, last.ends_ns.saturating_sub(TOLERANCE_NS))
    }

    /// Whether the kernel was read while it must have been there, and never listed it.
    pub(super) fn never_had(&self, ends: (End, End), facts: &TimeWaitFacts) -> bool {
        let began_ns = facts.start.ts_ns.saturating_add(facts.start_uncertainty_ns + TOLERANCE_NS);
        let marks = [facts.ended.map(|(mark, _)| mark), facts.gone, facts.possibly_killed];
        let sure_ns = facts.start.ts_ns.saturating_add(SURE_NS);
        let until_ns = marks.into_iter().flatten().map(|mark| mark.ts_ns).fold(sure_ns, i64::min) - TOLERANCE_NS;
        let is_own = !self.is_incomplete && self.own.contains(&ends.0.0);
        let had = |last: &Last| last.reading.1 >= facts.start.ts_ns - facts.start_uncertainty_ns - TOLERANCE_NS;
        is_own && self.was_read(began_ns, until_ns) && !self.sockets.get(&ends).is_some_and(had)
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.sockets.len()
    }

    /// Nobody asks for it any more; a socket that began later stays.
    pub(super) fn forget(&mut self, ends: (End, End), facts: &TimeWaitFacts) {
        if self.sockets.get(&ends).is_some_and(|last| is_covered_by(last.reading, facts)) {
            self.sockets.remove(&ends);
        }
    }
}
