//! A file that is cut by somebody else at any moment of its analysis gives a report or one line: never a crash, whatever is
//! mapped at that moment.
#![cfg(target_os = "linux")]

use pcapwatch_engine::engine::analyze;
use pcapwatch_engine::settings::Settings;
use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Bytes of the capture: several views of a mapping.
const SIZE: usize = 40 << 20;
const ROUNDS: u32 = 24;

/// One connection's segments of 1,400 bytes, Ethernet and IPv4, as pcap.
fn capture() -> Vec<u8> {
    let mut file =
        [0xa1b2_c3d4u32.to_le_bytes(), [2, 0, 4, 0], [0; 4], [0; 4], 65_535u32.to_le_bytes(), [1, 0, 0, 0]].concat();
    let mut seq = 1u32;
    while file.len() < SIZE {
        let mut frame = vec![0; 12];
        frame.extend([
            8, 0, 0x45, 0, 0x05, 0xa0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x9c, 0x40, 0, 80,
        ]);
        frame.extend(seq.to_be_bytes());
        frame.extend([0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
        frame.resize(14 + 0x05a0, b'x');
        seq += 1400;
        for field in [1_767_225_600 + seq / 10_000_000, 0, frame.len() as u32, frame.len() as u32] {
            file.extend(field.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

/// A file of its own, gone at the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Both ways out are met: what is noticed in time ends the file with its reason, what is not is an error.
#[test]
fn a_file_cut_at_any_moment_is_a_report_or_one_line() {
    let bytes = capture();
    let scratch = Scratch(std::env::temp_dir().join(format!("pcapwatch-cut-{}.pcap", std::process::id())));
    let whole = Instant::now();
    fs::write(&scratch.0, &bytes).unwrap();
    let settings = Settings { threads: 2, batch_packets: 64, ..Settings::default() };
    let run = || analyze(std::slice::from_ref(&scratch.0), &settings, None);
    let packets = run().unwrap().unwrap().0.summary.capture.packets;
    assert!(whole.elapsed() < Duration::from_secs(60));
    let (cut, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for round in 0..ROUNDS {
        fs::write(&scratch.0, &bytes).unwrap();
        let file = OpenOptions::new().write(true).open(&scratch.0).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_micros(u64::from(round) * 700));
                file.set_len(u64::from(round % 4) * 3_000_001).unwrap();
            });
            match run() {
                Ok(outcome) => {
                    let capture = outcome.unwrap().0.summary.capture;
                    assert_eq!(capture.segments, capture.packets, "no zeros were taken for packets");
                    assert!(capture.packets <= packets);
                    cut.fetch_add(usize::from(capture.files[0].problem.is_some()), Ordering::Relaxed);
                }
                Err(error) => {
                    assert!(!error.to_string().contains('\n'), "{error}");
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    let (cut, ended) = (cut.into_inner(), ended.into_inner());
    assert!(cut + ended > 0, "no round met the file while it was read");
}
