//! Every truncation of every fixture gives a report or a refusal of one line: no panic, none in more than 5 s, none in
//! more than 200 MB.

use pcapwatch_engine::capture::CaptureSet;
use pcapwatch_engine::engine::read_all;
use pcapwatch_engine::settings::Settings;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A file up to this long is cut at every byte, a longer one at [`CUTS`] places.
const SMALL: usize = 4096;
const CUTS: usize = 300;
const LONGEST: Duration = Duration::from_secs(5);
const MOST_KIB: u64 = 200 << 10;

/// The captures in a folder and below, in order of path.
fn captures(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(captures(&path));
        } else if [".pcap", ".pcapng", ".gz", ".zst", ".lz4", ".xz"].iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Where to cut: everywhere, or all through the first 64 bytes and evenly after.
fn cuts(length: usize) -> Vec<usize> {
    if length <= SMALL {
        return (0..=length).collect();
    }
    let spread = (0..CUTS).map(|n| 64 + n * (length - 64) / CUTS);
    (0..64).chain(spread).chain([length - 1, length]).collect()
}

/// Packets of what is read, or `None` if it is refused, which takes one line.
fn analyze(bytes: &[u8], what: &str) -> Option<u64> {
    let settings = Settings { keep_connections: true, keep_exchanges: true, ..Settings::default() };
    let begun = Instant::now();
    let packets = match CaptureSet::from_reader("cut", Cursor::new(bytes.to_vec()), &settings) {
        Err(error) => {
            assert_eq!(error.to_string().lines().count(), 1, "{what}: {error}");
            None
        }
        Ok(mut set) => {
            let outcome = read_all(&mut set, &settings, None).unwrap().unwrap();
            assert!(outcome.summary.totals.connections <= outcome.summary.capture.packets, "{what}");
            serde_json::to_string(&outcome.summary).unwrap();
            Some(outcome.summary.capture.packets)
        }
    };
    assert!(begun.elapsed() < LONGEST, "{what}");
    packets
}

/// The most memory this process had; `None` where there is no `/proc`.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").parse().ok()
}

/// What a shorter beginning tells is never more than what a longer one does.
fn cut_everywhere(folder: &Path) {
    let files = captures(folder);
    assert!(!files.is_empty(), "no capture in {}", folder.display());
    for path in files {
        let whole = std::fs::read(&path).unwrap();
        let mut before = None;
        for cut in cuts(whole.len()) {
            let what = format!("{} cut at {cut}", path.display());
            let packets = analyze(&whole[..cut], &what);
            assert!(packets >= before, "{what}: {packets:?} after {before:?}");
            before = packets;
        }
    }
    assert!(peak_kib().is_none_or(|kib| kib < MOST_KIB), "{:?} KiB", peak_kib());
}

#[test]
fn every_truncation_of_every_fixture_is_a_report_or_one_line() {
    cut_everywhere(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures"));
}

#[test]
fn every_truncation_of_every_hostile_capture_is_a_report_or_one_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures/hostile");
    if !folder.is_dir() {
        eprintln!("skipped: no folder ../shared/captures beside the project");
        return;
    }
    cut_everywhere(&folder);
}
