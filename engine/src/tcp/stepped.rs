//! Clocks that stepped back: what ended before it began was not measured.
//!
//! A capture's times are its host's wall clock, which may be set while it captures. The order of packets in the file
//! still tells who closed and what followed what; only the lengths of time across such a step are unknown.

use crate::record::{ConnectionRecord, Mark, TimeWaitFacts};

/// Forgets every length of time that came out negative, and the evidence for a TIME_WAIT that is older than it.
pub fn forget_negative(record: &mut ConnectionRecord) {
    let lengths = [
        &mut record.handshake_rtt_ns,
        &mut record.half_close_ns,
        &mut record.idle_before_close_ns,
        &mut record.http.longest_reuse_gap_ns,
    ];
    for length in lengths {
        *length = length.filter(|&ns| ns >= 0);
    }
    record.sides.iter_mut().filter_map(|side| side.time_wait.as_mut()).for_each(forget_older);
}

/// Evidence is of a time after the start, or is none.
fn forget_older(facts: &mut TimeWaitFacts) {
    let start_ns = facts.start.ts_ns;
    let later = |mark: &Mark| mark.ts_ns >= start_ns;
    facts.ended = facts.ended.filter(|(mark, _)| later(mark));
    for mark in [&mut facts.alive, &mut facts.gone, &mut facts.possibly_killed] {
        *mark = mark.filter(later);
    }
    facts.restarted_ns = facts.restarted_ns.max(start_ns);
    facts.possibly_restarted_ns = facts.possibly_restarted_ns.max(start_ns);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::TimeWaitEnd;

    fn at(ts_ns: i64) -> Mark {
        Mark::default().at(ts_ns)
    }

    /// A TIME_WAIT that began at 100 s with every piece of evidence at `ts_ns`.
    fn facts(ts_ns: i64) -> TimeWaitFacts {
        TimeWaitFacts {
            restarted_ns: ts_ns,
            possibly_restarted_ns: ts_ns,
            alive: Some(at(ts_ns)),
            gone: Some(at(ts_ns)),
            ended: Some((at(ts_ns), TimeWaitEnd::Reused)),
            possibly_killed: Some(at(ts_ns)),
            ..TimeWaitFacts::new(at(100))
        }
    }

    #[test]
    fn evidence_from_before_the_start_is_none() {
        let mut older = facts(99);
        forget_older(&mut older);
        let none = TimeWaitFacts { alive: None, gone: None, ended: None, possibly_killed: None, ..facts(100) };
        assert_eq!(older, none);
        for ts_ns in [100, 101] {
            let mut later = facts(ts_ns);
            forget_older(&mut later);
            assert_eq!(later, facts(ts_ns));
        }
    }
}
