//! The fuzzer of stable Rust: the corpus as it is, then what becomes of it by seeded mutation, each input within a time
//! and the whole within a room.
//!
//! ```text
//! cargo run --release --no-default-features --bin mutate -- --seconds 30 [--seed N] [--target NAME] FOLDER…
//! cargo run --release --no-default-features --bin mutate -- --target engine --seed N --only I FOLDER…   # one again
//! ```
#![forbid(unsafe_code)]

use pcapwatch_fuzz::mutation::{Random, mutated};
use pcapwatch_fuzz::{TARGETS, Target};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// No input takes longer.
const LONGEST: Duration = Duration::from_secs(5);
/// The process, with the corpus in it, never holds more.
const MOST_KIB: u64 = 200 << 10;

struct Arguments {
    seconds: u64,
    seed: u64,
    only: Option<u64>,
    target: Option<String>,
    folders: Vec<PathBuf>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut found = Arguments { seconds: 30, seed: 1, only: None, target: None, folders: Vec::new() };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--seconds" => found.seconds = words.next()?.parse().ok()?,
                "--seed" => found.seed = words.next()?.parse().ok()?,
                "--only" => found.only = Some(words.next()?.parse().ok()?),
                "--target" => found.target = Some(words.next()?),
                folder => found.folders.push(folder.into()),
            }
        }
        Some(found)
    }
}

/// What is under way, for the watch over the time.
#[derive(Default)]
struct Now {
    name: Mutex<String>,
    begun_ms: AtomicU64,
}

fn main() {
    let Some(arguments) = Arguments::parse(std::env::args().skip(1)) else {
        eprintln!("mutate [--seconds N] [--seed N] [--target NAME] [--only I] FOLDER…");
        exit(2);
    };
    let corpus = read_corpus(&arguments.folders);
    assert!(!corpus.is_empty(), "no file in the folders given");
    let begun = Instant::now();
    let now = Arc::new(Now::default());
    watch(Arc::clone(&now), begun);
    let wanted = |target: &&Target| arguments.target.as_deref().is_none_or(|name| name == target.0);
    let chosen: Vec<&Target> = TARGETS.iter().filter(wanted).collect();
    assert!(!chosen.is_empty(), "no such target");
    let each = Duration::from_secs(arguments.seconds) / chosen.len() as u32;
    for target in chosen {
        run(*target, &corpus, &arguments, each, &now, begun);
    }
    println!("nothing found; {} KiB at the peak", peak_kib());
}

/// Ends the process if an input takes too long: a loop without end can only be stopped from outside.
fn watch(now: Arc<Now>, begun: Instant) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(250));
            let since = Duration::from_millis(now.begun_ms.load(Ordering::Relaxed));
            if begun.elapsed().saturating_sub(since) > LONGEST {
                eprintln!("longer than {LONGEST:?}: {}", now.name.lock().unwrap_or_else(PoisonError::into_inner));
                exit(1);
            }
        }
    });
}

/// The corpus as it is, then input 0, 1, 2 … of the seed until the time is over.
fn run(target: Target, corpus: &[Vec<u8>], arguments: &Arguments, time: Duration, now: &Now, begun: Instant) {
    let (name, _) = target;
    let until = Instant::now() + time;
    if arguments.only.is_none() {
        for (at, bytes) in corpus.iter().enumerate() {
            try_one(target, bytes, format!("{name}: file {at} of the corpus"), now, begun);
        }
    }
    let mut tried = 0;
    let mut at = arguments.only.unwrap_or(0);
    while arguments.only.map_or_else(|| Instant::now() < until, |_| tried == 0) {
        let bytes = mutated(corpus, &mut Random::new(arguments.seed.wrapping_mul(1 << 32).wrapping_add(at)));
        let again = format!("{name}: to repeat: --target {name} --seed {} --only {at}", arguments.seed);
        try_one(target, &bytes, again, now, begun);
        tried += 1;
        at += 1;
    }
    println!("{name}: {} of the corpus and {tried} mutated, seed {}", corpus.len(), arguments.seed);
}

fn try_one(target: Target, bytes: &[u8], what: String, now: &Now, begun: Instant) {
    now.begun_ms.store(begun.elapsed().as_millis() as u64, Ordering::Relaxed);
    now.name.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&what);
    let panicked = catch_unwind(|| target.1(bytes)).is_err();
    let kib = peak_kib();
    if panicked || kib > MOST_KIB {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(target.0);
        let _ = std::fs::create_dir_all(kept.parent().unwrap_or(&kept));
        let _ = std::fs::write(&kept, bytes);
        eprintln!("{}: {what}\nthe input: {}", if panicked { "panic" } else { "above 200 MiB" }, kept.display());
        exit(1);
    }
}

/// The most memory this process had; 0 where there is no `/proc`.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// Every capture of the folders and what is in them, in order of name; those above 256 KiB are cut there.
fn read_corpus(folders: &[PathBuf]) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    folders.iter().for_each(|folder| collect(folder, &mut files));
    files.sort();
    let read = files.iter().filter_map(|path| std::fs::read(path).ok());
    read.map(|bytes| bytes.into_iter().take(256 << 10).collect()).collect()
}

fn collect(path: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(path) else { return into.extend(is_capture(path).then(|| path.to_owned())) };
    entries.filter_map(Result::ok).for_each(|entry| collect(&entry.path(), into));
}

/// By its name; a fixture's folder holds texts, too.
fn is_capture(path: &Path) -> bool {
    path.is_file() && path.file_name().is_some_and(|name| name.to_string_lossy().contains("cap"))
}
