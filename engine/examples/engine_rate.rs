//! The bare engine on one thread over a capture, and how fast it went: no Python, no report.
//!
//! ```text
//! cargo run --release --example engine_rate -- bench/data/short.pcap
//! {"packets":2000000,"connections":200000,"seconds":0.612345,"packets_per_s":3266132}
//! ```
#![forbid(unsafe_code)]

use pcapwatch_engine::engine::analyze;
use pcapwatch_engine::settings::Settings;
use std::path::PathBuf;
use std::time::Instant;

fn main() {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let settings = Settings { threads: 1, ..Settings::default() };
    let begun = Instant::now();
    let outcome = match analyze(&paths, &settings, None) {
        Ok(Some((outcome, _))) => outcome,
        Ok(None) => return, // only a progress callback stops an analysis, and there is none
        Err(problem) => {
            eprintln!("engine_rate: {problem}");
            std::process::exit(2);
        }
    };
    let seconds = begun.elapsed().as_secs_f64();
    let packets = outcome.summary.capture.packets;
    let connections = outcome.summary.totals.connections;
    let packets_per_s = (packets as f64 / seconds) as u64;
    println!(
        "{{\"packets\":{packets},\"connections\":{connections},\"seconds\":{seconds:.6},\"packets_per_s\":{packets_per_s}}}"
    );
}
