//! What the times of a file's packets say of its clock: steps back, and long silences.

use crate::capture::facts::FileFacts;

/// A file without packets for longer than this says so: the capture may have stood still.
const LONG_SILENCE_NS: u64 = 3600 * 1_000_000_000;

/// Notes a packet's time in the facts of its file: how long there was none before it; one that is older than the one before
/// it, or much younger, is told; the first of a file is neither. Gives the steps back of the clock, one or none. `last_ns` is the time of
/// the packet before, 0 for the first.
#[inline]
pub fn note_time(facts: &mut FileFacts, last_ns: &mut i64, ts_ns: i64) -> u64 {
    // A step back is, unsigned, a long way forward: one comparison finds both.
    let ahead_ns = ts_ns.wrapping_sub(*last_ns) as u64;
    let steps_back = if facts.first_ns.is_none() || ahead_ns > LONG_SILENCE_NS {
        note_jump(facts, ts_ns)
    } else {
        facts.longest_silence_ns = facts.longest_silence_ns.max(ahead_ns as i64);
        0
    };
    facts.last_ns = Some(ts_ns);
    *last_ns = ts_ns;
    steps_back
}

#[cold]
fn note_jump(facts: &mut FileFacts, ts_ns: i64) -> u64 {
    let Some(last_ns) = facts.last_ns else {
        facts.first_ns = Some(ts_ns);
        return 0;
    };
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
