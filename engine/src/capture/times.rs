//! What the times of a file's packets say of its clock: steps back, and long silences.

use crate::capture::facts::FileFacts;

/// A file without packets for longer than this says so: the capture may have stood still.
const LONG_SILENCE_NS: u64 = 3600 * 1_000_000_000;

/// Notes the times of a file's next packets in its facts: how long there was none before one; one that is older than the one
/// before it, or much younger, is told; the first of a file is neither. Gives the steps back of the clock. `last_ns` is the
/// time of the packet before, 0 for the first.
#[inline]
pub fn note_times(facts: &mut FileFacts, last_ns: &mut i64, times: impl Iterator<Item = i64>) -> u64 {
    let mut steps_back = 0;
    let mut unusual_ns = unusual_ns(facts);
    let mut before_ns = *last_ns;
    for ts_ns in times {
        // A step back is, unsigned, a long way forward: one comparison finds all that is to be noted.
        if ts_ns.wrapping_sub(before_ns) as u64 >= unusual_ns {
            steps_back += note_unusual(facts, before_ns, ts_ns);
            unusual_ns = self::unusual_ns(facts);
        }
        before_ns = ts_ns;
    }
    if facts.first_ns.is_some() {
        (facts.last_ns, *last_ns) = (Some(before_ns), before_ns);
    }
    steps_back
}

/// The same of one packet.
#[inline]
pub fn note_time(facts: &mut FileFacts, last_ns: &mut i64, ts_ns: i64) -> u64 {
    note_times(facts, last_ns, std::iter::once(ts_ns))
}

/// The least time from the packet before that is to be noted: any of the first, else one that is the longest so far, or long.
#[inline]
fn unusual_ns(facts: &FileFacts) -> u64 {
    if facts.first_ns.is_none() { 0 } else { (facts.longest_silence_ns as u64).min(LONG_SILENCE_NS) + 1 }
}

#[cold]
fn note_unusual(facts: &mut FileFacts, last_ns: i64, ts_ns: i64) -> u64 {
    if facts.first_ns.is_none() {
        facts.first_ns = Some(ts_ns);
        return 0;
    }
    if ts_ns < last_ns {
        facts.before_step_ns = facts.before_step_ns.max(Some(last_ns));
        return 1;
    }
    // One packet with a wrong time, or a clock that was put right again: the way back is no silence.
    let returns_to = facts.before_step_ns.filter(|&before| ts_ns.saturating_add(LONG_SILENCE_NS as i64) > before);
    let silence_ns = ts_ns.saturating_sub(returns_to.map_or(last_ns, |before| before.max(last_ns)));
    facts.long_silences += u64::from(silence_ns > LONG_SILENCE_NS as i64);
    facts.longest_silence_ns = facts.longest_silence_ns.max(silence_ns);
    0
}
