//! Times between the files of a set of which nothing was captured: files that are missing, or were cut.

use super::facts::FileFacts;

/// Such a time: packets were captured before it and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The last packet before it, ns since 1970 UTC.
    pub from_ns: i64,
    /// The first one after it.
    pub to_ns: i64,
}

/// Shorter ones are none …
const LEAST_NS: i64 = 100_000_000;
/// … nor such as are not longer than so many times what lies between two packets of the file on the average …
const INTERVALS: i64 = 10;
/// … and than twice the longest silence in it: it may have been silent, not missing.
const SILENCES: i64 = 2;

/// How long nothing came in a file, as a rule and at the most.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    interval_ns: i64,
    silence_ns: i64,
}

impl Pace {
    /// Of so many packets with these times.
    #[must_use]
    pub fn of(times: &FileFacts, packets: u64) -> Pace {
        let span_ns = times.last_ns.zip(times.first_ns).map_or(0, |(last, first)| last.saturating_sub(first).max(0));
        let intervals = i64::try_from(packets.saturating_sub(1).max(1)).unwrap_or(i64::MAX);
        Pace { interval_ns: span_ns / intervals, silence_ns: times.longest_silence_ns }
    }

    /// What lies between the file's last packet and the next file's first, if that is more than silence.
    #[must_use]
    pub fn gap(self, from_ns: i64, to_ns: i64) -> Option<Gap> {
        let silence_ns = self.interval_ns.saturating_mul(INTERVALS).max(self.silence_ns.saturating_mul(SILENCES));
        let length_ns = to_ns.saturating_sub(from_ns);
        (length_ns >= LEAST_NS && length_ns > silence_ns).then_some(Gap { from_ns, to_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// What follows a file of so many packets within so many ms, silent for `silence_ms` at the most, `ms` after it.
    fn is_gap(packets: u64, span_ms: i64, silence_ms: i64, ms: i64) -> bool {
        let longest_silence_ns = silence_ms * MS;
        let (first_ns, last_ns) = (Some(0), Some(span_ms * MS));
        let times = FileFacts { first_ns, last_ns, longest_silence_ns, ..FileFacts::default() };
        Pace::of(&times, packets).gap(span_ms * MS, (span_ms + ms) * MS).is_some()
    }

    #[test]
    fn what_the_file_does_not_do_itself_is_missing() {
        assert!(is_gap(1_000, 1_000, 10, 100));
        assert!(!is_gap(1_000, 1_000, 10, 99), "too short to be told from a pause");
        assert!(!is_gap(1_000, 1_000, 60, 120), "it paused for half of that itself");
        assert!(!is_gap(100, 1_000, 20, 101), "ten packets' time");
        assert!(is_gap(1, 0, 0, 100) && !is_gap(1, 0, 0, -100));
    }
}
