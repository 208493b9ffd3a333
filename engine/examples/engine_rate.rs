//! The bare engine over a capture, on one thread or `--threads N`, and how fast it went: no Python, no report.
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
    let mut args: Vec<_> = std::env::args_os().skip(1).collect();
    let mut threads = 1;
    if args.first().is_some_and(|first| first == "--threads") {
        threads = args.get(1).and_then(|n| n.to_str()?.parse().ok()).unwrap_or(1);
        args.drain(..args.len().min(2));
    }
    let paths: Vec<PathBuf> = args.into_iter().map(PathBuf::from).collect();
    let settings = Settings { threads, ..Settings::default() };
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
