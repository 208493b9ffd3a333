//! Times between the files of a set of which nothing was captured: files that are missing, or were cut.
//!
//! Silence alone proves none: where a job runs once in ten seconds and each file holds ten seconds, between any two there
//! is none. So something else must tell: the numbers in the files' names, or a file that was cut. Where files begin in even
//! steps and some are left out, they may be missing.

use super::facts::FileFacts;
use super::write::naming;
use serde::Serialize;

crate::words! {
    /// Why packets are missing between two files.
    Missing { /// The numbers in their names leave some out.
        Numbers = "numbers", /// The first one was cut.
        Cut = "cut", /// The files of the set begin in even steps, of which these leave some out: they may be missing.
        Steps = "steps" }
}

/// A time of which nothing was captured, between packets of two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Index of the file that ended last before it.
    pub after_file: u32,
    /// Index of the one that begins behind it.
    pub file: u32,
    /// The last packet before it, ns since 1970 UTC.
    pub from_ns: i64,
    /// The first one after it.
    pub to_ns: i64,
    /// Why it is known.
    pub why: Missing,
    /// Files that are missing; 0 if that is not known.
    pub missing_files: u64,
}

/// Gaps that are told of a capture.
pub const MOST_TOLD: usize = 1000;
/// Where only the steps tell, shorter ones are none …
const LEAST_NS: i64 = 100_000_000;
/// … nor such as are not longer than so many times what lies between two packets of the file on the average …
const INTERVALS: i64 = 10;
/// … and than so many times the longest silence in it.
const SILENCES: i64 = 4;
/// Steps from which on they are even, where three of four differ from the median by no more than a fourth.
const FEWEST_STEPS: usize = 3;

/// A file of the set that ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ended {
    /// Its place in the set.
    pub member: usize,
    /// It was cut.
    pub is_cut: bool,
    /// How long nothing came in it, as a rule …
    interval_ns: i64,
    /// … and at the most.
    silence_ns: i64,
}

impl Ended {
    /// The file in this place, with so many packets of these times.
    #[must_use]
    pub fn new(member: usize, times: &FileFacts, packets: u64, is_cut: bool) -> Ended {
        let span_ns = times.last_ns.zip(times.first_ns).map_or(0, |(last, first)| last.saturating_sub(first).max(0));
        let intervals = i64::try_from(packets.saturating_sub(1).max(1)).unwrap_or(i64::MAX);
        Ended { member, is_cut, interval_ns: span_ns / intervals, silence_ns: times.longest_silence_ns }
    }

    /// The same once the first of the set's places is gone; `None` if it was that one.
    #[must_use]
    pub fn behind_one_less(self) -> Option<Ended> {
        Some(Ended { member: self.member.checked_sub(1)?, ..self })
    }

    /// Why what follows it after so long is no silence, and how many files are missing: `left_out` by the numbers in names, if
    /// those tell; `skipped` by the steps in which files begin.
    #[must_use]
    pub fn missing(&self, length_ns: i64, left_out: Option<u64>, skipped: u64) -> Option<(Missing, u64)> {
        if length_ns <= 0 {
            return None;
        }
        match (left_out, skipped) {
            (Some(ROUND), _) => Some((Missing::Numbers, 0)),
            (Some(missing @ 1..), _) => Some((Missing::Numbers, missing)),
            _ if self.is_cut => Some((Missing::Cut, 0)),
            (None, 1..) if self.is_unlike(length_ns) => Some((Missing::Steps, 0)),
            _ => None,
        }
    }

    /// Whether it is longer than the silences of the file itself are.
    fn is_unlike(&self, length_ns: i64) -> bool {
        let (interval_ns, silence_ns) = (self.interval_ns.saturating_mul(INTERVALS), self.silence_ns);
        length_ns >= LEAST_NS && length_ns > interval_ns.max(silence_ns.saturating_mul(SILENCES))
    }
}

/// The even steps in which files begin, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Their median …
    median_ns: i64,
    /// … and how far from it they are, twice.
    slack_ns: i64,
}

impl Steps {
    /// Those of a set, if they are even.
    #[must_use]
    pub fn of(begins_ns: &[i64]) -> Option<Steps> {
        let mut steps: Vec<i64> = begins_ns.windows(2).filter_map(|pair| pair[1].checked_sub(pair[0])).collect();
        steps.sort_unstable();
        let is_known = |&median: &i64| median > 0 && steps.len() >= FEWEST_STEPS;
        let median_ns = steps.get(steps.len() / 2).copied().filter(is_known)?;
        let off = |step: &i64| step.saturating_sub(median_ns).saturating_abs();
        let even: Vec<i64> = steps.iter().map(off).filter(|off| off.saturating_mul(4) <= median_ns).collect();
        let slack_ns = even.iter().max().map_or(0, |most| most.saturating_mul(2)).min(median_ns / 8);
        (4 * even.len() >= 3 * steps.len()).then_some(Steps { median_ns, slack_ns })
    }

    /// How many files should have begun between two: none where the second does not keep step, as after a quiet time, when
    /// `tcpdump -G` waits for a packet.
    #[must_use]
    pub fn skipped(self, from_ns: i64, to_ns: i64) -> u64 {
        let between_ns = to_ns.saturating_sub(from_ns);
        let steps = between_ns.saturating_add(self.median_ns / 2) / self.median_ns;
        let off_ns = between_ns.saturating_sub(steps.saturating_mul(self.median_ns)).saturating_abs();
        if off_ns <= self.slack_ns { u64::try_from(steps - 1).unwrap_or(0) } else { 0 }
    }
}

/// Files that are missing where a ring went round: so many that their number is not known.
const ROUND: u64 = u64::MAX;

/// How many files the numbers in two names leave out that are not among those that are `there`, each with whether it has a
/// place between the two; `None` where they tell nothing. None where one is the next of the other: then nothing is missing,
/// however long nothing came.
///
/// `dumpcap` counts on, and from 1 at each start. `tcpdump -C` begins again at 0 when a ring goes round: then files of it are
/// missing where the number is the same, in a compressed file and in the one that was begun beside it, or where those from 0
/// on are not there.
pub fn left_out<'p>(before: &str, after: &str, there: impl Iterator<Item = (&'p str, bool)>) -> Option<u64> {
    let ((stem, one), (other_stem, other)) = numbered(before).zip(numbered(after))?;
    let is_ring = super::refused::ends_as_capture(stem);
    if stem != other_stem || (other <= one && !is_ring) {
        return None;
    }
    if other == one {
        // The same file begun anew is followed as it is.
        return (before != after).then_some(ROUND);
    }
    let range = if other < one { 0..other } else { one + 1..other };
    // Of a ring each number is there once: where a clock was set back it may have another place.
    let is_left = |&(path, is_between): &(&str, bool)| {
        (is_ring || is_between) && numbered(path).is_some_and(|(name, number)| name == stem && range.contains(&number))
    };
    let missing = match range.end - range.start {
        0 => 0,
        all => all.saturating_sub(there.filter(is_left).count() as u64),
    };
    match (other < one, missing) {
        (true, 0) => None,
        (true, _) => Some(ROUND),
        (false, missing) => Some(missing),
    }
}

/// A name without the number that `tcpdump -C` (`x.pcap7`), `dumpcap -b` (`x_00007_20261122120000.pcapng`) or this program
/// gave it, and that. Other numbers are dates, times, ports, whatever the user wanted.
fn numbered(path: &str) -> Option<(&str, u64)> {
    let plain = super::refused::without_compression(path);
    if let Some(found) = plain.rsplit_once('.').and_then(|(stem, _)| in_ring(stem)) {
        return Some(found);
    }
    let bare = plain.trim_end_matches(|digit: char| digit.is_ascii_digit());
    let digits = plain.get(bare.len()..).unwrap_or_default();
    // The first one of `tcpdump -C` has none.
    let number = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    super::refused::ends_as_capture(bare).then_some((bare, number))
}

/// The number before the date, and what is before it.
fn in_ring(stem: &str) -> Option<(&str, u64)> {
    if let Some((stem, number, _)) = naming::numbered(stem) {
        return Some((stem, number.parse().ok()?));
    }
    let (stem, date) = stem.rsplit_once('_')?;
    let (stem, number) = stem.rsplit_once('_')?;
    let are_digits = |text: &str, least: usize| text.len() >= least && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_ring = date.len() == 14 && are_digits(date, 14) && are_digits(number, 5);
    Some((stem, number.parse().ok()?)).filter(|_| is_ring)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// Why what follows a file of 1,000 packets in 1 s, silent for `silence_ms` at the most, `ms` after it is missing.
    fn missing(silence_ms: i64, ms: i64, left_out: Option<u64>, is_cut: bool, skipped: u64) -> Option<(Missing, u64)> {
        let longest_silence_ns = silence_ms * MS;
        let (first_ns, last_ns) = (Some(0), Some(1000 * MS));
        let times = FileFacts { first_ns, last_ns, longest_silence_ns, ..FileFacts::default() };
        Ended::new(0, &times, 1000, is_cut).missing(ms * MS, left_out, skipped)
    }

    #[test]
    fn silence_alone_is_no_gap() {
        assert_eq!(missing(10, 100_000, None, false, 0), None);
        assert_eq!(missing(10, 100_000, Some(0), false, 9), None, "the next one of a ring");
        for ms in [1, 100] {
            assert_eq!(missing(10, ms, Some(2), false, 0), Some((Missing::Numbers, 2)));
            assert_eq!(missing(10, ms, Some(ROUND), false, 0), Some((Missing::Numbers, 0)));
            assert_eq!(missing(10, ms, Some(0), true, 0), Some((Missing::Cut, 0)));
        }
        assert_eq!(missing(10, 0, Some(2), true, 1), None, "no time between");
        assert_eq!(missing(10, 100, None, false, 1), Some((Missing::Steps, 0)));
    }

    #[test]
    fn what_the_file_does_itself_are_no_steps() {
        assert_eq!(missing(10, 99, None, false, 1), None, "too short to be told from a pause");
        assert_eq!(missing(60, 230, None, false, 1), None, "it paused for a quarter of that itself");
        assert_eq!(missing(60, 250, None, false, 1), Some((Missing::Steps, 0)));
    }

    #[test]
    fn steps_are_even_but_for_what_is_missing() {
        let of = |all: &[i64]| Steps::of(&all.iter().map(|second| second * 1000 * MS).collect::<Vec<i64>>());
        assert_eq!(of(&[0, 10, 40]), None, "two steps");
        assert_eq!(of(&[0, 3, 20, 22, 50]), None);
        assert_eq!(of(&[0, 0, 0, 0]), None);
        let exact = of(&[0, 10, 20, 40, 50]).expect("even");
        let told = |steps: Steps| [10, 19, 20, 21, 24, 31].map(|to| steps.skipped(0, to * 1000 * MS));
        assert_eq!(told(exact), [0, 0, 1, 0, 0, 0]);
        let loose = of(&[0, 20, 40, 61, 80, 100]).expect("even");
        assert_eq!([40, 42, 43, 60].map(|to| loose.skipped(0, to * 1000 * MS)), [1, 1, 0, 2]);
        assert_eq!(exact.skipped(i64::MAX, i64::MIN), 0);
    }

    #[test]
    fn names_have_numbers_of_two_kinds() {
        // The last one is not between.
        let all = ["x_00002_20261122222935.pcap", "x_00001_20261122222930.pcap", "x.pcap3"];
        for (before, after, expected) in [
            ("x.pcap", "x.pcap1", Some(0)),
            ("x.pcap", "x.pcap2", Some(1)),
            ("x.pcap2", "x.pcap5", Some(1)),
            ("d/x.pcap07.gz", "d/x.pcap10.zst", Some(2)),
            ("x_00003_20261122222934.pcap", "x_00005_20261122222936.pcap.gz", Some(1)),
            ("x_00001_20261122222930.pcap", "x_00003_20261122222934.pcap", Some(0)),
            ("x.pcap9", "x.pcap0", None),
            ("x.pcap09", "x.pcap01", Some(ROUND)),
            ("x.pcap9", "x.pcap", None),
            ("y_00009_20261122222935.pcap", "y_00003_20261122222930.pcap", None),
            ("x.pcap2.gz", "x.pcap2", Some(ROUND)),
            ("x.pcap2", "x.pcap2", None),
            ("x.pcap1", "y.pcap3", None),
            ("x-004312.pcap", "x-004324.pcap", None),
            ("port80.pcap", "port443.pcap", None),
            ("node1/x.pcap", "node5/x.pcap", None),
            ("x_1_5.pcap", "x_1_9.pcap", None),
            ("eth0_00001_20261122T222930Z.pcapng", "eth0_00004_20261122T222933Z.pcapng.zst", Some(2)),
            ("eth0_00001_2026T1122222930Z.pcapng", "eth0_00004_2026T1122222933Z.pcapng", None),
            ("x_00001_20261122222930.pcap", "x_00001_20261122223930.pcap", None),
            ("x.pcap99999999999999999999", "x.pcap1", None),
        ] {
            assert_eq!(left_out(before, after, all.into_iter().zip([true, true, false])), expected, "{before} {after}");
        }
    }
}
