//! What the times of a file's packets say of its clock: steps back, and long silences.

use crate::capture::facts::FileFacts;

/// A file without packets for longer than this says so: the capture may have stood still.
const LONG_SILENCE_NS: u64 = 3600 * 1_000_000_000;

/// Notes a packet's time in the facts of its file: one that is older than the one before it, or much younger, is told; the
/// first of a file is neither. Gives the steps back of the clock, one or none. `last_ns` is the time of
/// the packet before, 0 for the first.
#[inline]
pub fn note_time(facts: &mut FileFacts, last_ns: &mut i64, ts_ns: i64) -> u64 {
    // A step back is, unsigned, a long way forward: one comparison finds both.
    let jumps = ts_ns.wrapping_sub(*last_ns) as u64 > LONG_SILENCE_NS;
    let steps_back = if jumps { note_jump(facts, ts_ns) } else { 0 };
    facts.first_ns.get_or_insert(ts_ns);
    facts.last_ns = Some(ts_ns);
    *last_ns = ts_ns;
    steps_back
}

#[cold]
fn note_jump(facts: &mut FileFacts, ts_ns: i64) -> u64 {
    let Some(last_ns) = facts.last_ns else { return 0 };
    if ts_ns < last_ns {
        facts.before_step_ns = facts.before_step_ns.max(Some(last_ns));
        return 1;
    }
    // One packet with a wrong time, or a clock that was put right again: the way back is no silence.
    let returns_to = facts.before_step_ns.filter(|&before| ts_ns.saturating_add(LONG_SILENCE_NS as i64) > before);
    let silence_ns = ts_ns.saturating_sub(returns_to.map_or(last_ns, |before| before.max(last_ns)));
    if silence_ns > LONG_SILENCE_NS as i64 {
        facts.long_silences += 1;
        facts.longest_silence_ns = facts.longest_silence_ns.max(silence_ns);
    }
    0
}
