//! What must not be concluded across a time of which nothing was captured ([`Gap`]).
//!
//! A 4-tuple may have been used again in it, and its TIME_WAIT have ended by that; a FIN sent again may have restarted
//! one; an attempt just before it may have had its answer.

use crate::capture::Gap;
use crate::record::{Close, ConnectionRecord, TimeWaitFacts};
use crate::settings::SECOND;
use crate::tcp::payload::Span;

/// How long an attempt is not called unanswered where nothing was captured after it, ns: RFC 6298 (2.1, 5.5) sends a SYN
/// again after 1 s and once more 2 s later, so that by then two SYNs stayed without an answer.
pub const ANSWER_NS: i64 = 3 * SECOND;
/// Gaps that are remembered: of a set with more, those that are longest ago are forgotten.
const MOST: usize = 1 << 16;

/// The gaps so far, in order of time.
#[derive(Clone, Debug, Default)]
pub struct Gaps(Vec<Gap>);

impl Gaps {
    /// One more, later than all before.
    pub fn push(&mut self, gap: Gap) {
        if self.0.len() >= MOST {
            self.0.drain(..MOST / 2);
        }
        self.0.push(gap);
    }

    /// Takes from a finished connection what a gap made uncertain.
    pub fn heed(&self, record: &mut ConnectionRecord) {
        if self.0.is_empty() {
            return;
        }
        record.sides.iter_mut().filter_map(|side| side.time_wait.as_mut()).for_each(|facts| self.heed_wait(facts));
        let is_cut_off = |gap: Gap| record.first.ts_ns > gap.from_ns.saturating_sub(ANSWER_NS);
        if self.next_after(record.last.ts_ns).is_some_and(is_cut_off) {
            forget_silence(record);
        }
    }

    /// The same of a TIME_WAIT alone.
    pub fn heed_wait(&self, facts: &mut TimeWaitFacts) {
        if let Some(alive) = facts.alive
            && let Some(gap) = self.last_before(alive.ts_ns)
            && gap.to_ns > facts.possibly_restarted_ns
        {
            facts.possibly_restarted_ns = gap.to_ns;
        }
        let since_ns = facts.alive.map_or(facts.restarted_ns, |mark| mark.ts_ns.max(facts.restarted_ns));
        let gap = facts.gone.zip(self.next_after(since_ns));
        let gap_ns = gap.filter(|(gone, gap)| gap.from_ns < gone.ts_ns).map(|(_, gap)| gap.from_ns);
        facts.unseen_from_ns = facts.unseen_from_ns.into_iter().chain(gap_ns).min();
    }

    /// What nothing ended in the capture may have ended in a gap.
    pub fn heed_span(&self, span: &mut Span) {
        if let Some(gap) = self.next_after(span.last_ns) {
            span.to_min_ns = span.to_min_ns.min(gap.from_ns.max(span.from_ns));
        }
    }

    /// The first one that begins then or later.
    fn next_after(&self, at_ns: i64) -> Option<Gap> {
        self.0.get(self.0.partition_point(|gap| gap.from_ns < at_ns)).copied()
    }

    /// The last one that is over by then.
    fn last_before(&self, at_ns: i64) -> Option<Gap> {
        let over = self.0.partition_point(|gap| gap.to_ns <= at_ns);
        over.checked_sub(1).and_then(|at| self.0.get(at)).copied()
    }
}

/// A handshake under way is an open connection so far: nobody has failed to answer yet.
pub fn forget_silence(record: &mut ConnectionRecord) {
    if matches!(record.close, Close::Unanswered | Close::HalfOpen) {
        record.close = Close::Open;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Missing;
    use crate::ledger::law_tests::plain;
    use crate::record::Mark;

    fn at(seconds: i64) -> Mark {
        Mark::new(seconds * SECOND, 1, 0)
    }

    /// Nothing was captured from 20 to 30 s and from 40 to 50 s.
    fn gaps() -> Gaps {
        let mut gaps = Gaps::default();
        for (from, to) in [(20, 30), (40, 50)] {
            let (from_ns, to_ns) = (from * SECOND, to * SECOND);
            gaps.push(Gap { after_file: 0, file: 1, from_ns, to_ns, why: Missing::Cut, missing_files: 0 });
        }
        gaps
    }

    #[test]
    fn an_end_behind_a_gap_may_have_been_in_it() {
        let told = |start: i64, alive: Option<i64>, gone: Option<i64>| {
            let mut facts = TimeWaitFacts { alive: alive.map(at), gone: gone.map(at), ..TimeWaitFacts::new(at(start)) };
            gaps().heed_wait(&mut facts);
            facts.unseen_from_ns.map(|ns| ns / SECOND)
        };
        assert_eq!(told(10, None, Some(35)), Some(20));
        assert_eq!(told(10, None, Some(60)), Some(20), "in the first or in the second");
        assert_eq!(told(10, Some(32), Some(60)), Some(40), "it outlived the first");
        assert_eq!(told(20, None, Some(30)), Some(20), "from its last packet to its first");
        for (start, alive, gone) in
            [(10, None, Some(20)), (31, None, Some(40)), (10, Some(51), Some(60)), (10, None, None)]
        {
            assert_eq!(told(start, alive, gone), None, "{start} {alive:?} {gone:?}");
        }
    }

    #[test]
    fn it_may_have_restarted_in_a_gap() {
        for (restarted, alive, expected) in [(10, 35, 30), (32, 35, 32), (10, 19, 10), (10, 60, 50)] {
            let mut facts = TimeWaitFacts {
                alive: Some(at(alive)),
                possibly_restarted_ns: restarted * SECOND,
                ..TimeWaitFacts::new(at(10))
            };
            gaps().heed_wait(&mut facts);
            assert_eq!(facts.possibly_restarted_ns, expected * SECOND, "{restarted} {alive}");
        }
    }

    #[test]
    fn an_attempt_just_before_a_gap_may_have_been_answered() {
        for (first, last, expected) in [
            (18, 18, Close::Open),
            (18, 20, Close::Open),
            (17, 20, Close::Unanswered),
            (19, 30, Close::Unanswered),
            (10, 10, Close::Unanswered),
            (55, 55, Close::Unanswered),
        ] {
            let (first, last) = (at(first), at(last));
            let mut record = ConnectionRecord { first, last, close: Close::Unanswered, ..plain(0) };
            gaps().heed(&mut record);
            assert_eq!(record.close, expected, "{first:?} {last:?}");
        }
    }
}
