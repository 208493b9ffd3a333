//! Reading what may never come: a pipe that stands still must not keep an interrupt waiting.

use pcapwatch_engine::capture::{CaptureSet, SourceError};
use pcapwatch_engine::engine::{self, Outcome};
use pcapwatch_engine::settings::Settings;
use pyo3::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// After an interrupt the analysis has this long to end by itself; one that waits for bytes is left behind.
const GRACE: Duration = Duration::from_secs(1);

/// What an analysis comes to; none where it was told to stop.
pub type Found = Result<Option<(Outcome, CaptureSet)>, SourceError>;

/// How far the analysis is, and whether to stop.
#[derive(Default)]
struct Told {
    done: AtomicU64,
    total: AtomicU64,
    packets: AtomicU64,
    stop: AtomicBool,
}

impl Told {
    fn note(&self, done: u64, total: u64, packets: u64) -> bool {
        self.done.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        self.packets.store(packets, Ordering::Relaxed);
        !self.stop.load(Ordering::Relaxed)
    }

    fn read(&self) -> (u64, u64, u64) {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        (read(&self.done), read(&self.total), read(&self.packets))
    }
}

/// Whether reading this may take for ever: standard input, a named pipe, a device.
pub fn may_stand_still(path: &Path) -> bool {
    path.as_os_str() == "-" || path.metadata().is_ok_and(|data| !data.is_file() && !data.is_dir())
}

/// Analyses in a thread of its own, while this one looks every `pace` at Python; what `look` raises ends both.
pub fn analyze(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    settings: &Settings,
    pace: Duration,
    look: impl Fn(Python<'_>, (u64, u64, u64)) -> PyResult<()>,
) -> PyResult<Found> {
    let told = Arc::new(Told::default());
    let (sender, finished) = sync_channel(1);
    let (theirs, settings) = (Arc::clone(&told), settings.clone());
    let work = move || {
        let mut report = |done, total, packets| theirs.note(done, total, packets);
        // Nobody may be waiting any more.
        let _ = sender.send(engine::analyze(&paths, &settings, Some(&mut report)));
    };
    let thread = std::thread::Builder::new().name("analysis".to_owned()).spawn(work)?;
    // In a mutex for the interpreter's sake, which wants what is used without its lock to be shared safely.
    let finished = Mutex::new(finished);
    let wait =
        |most: Duration| py.detach(|| finished.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(most));
    loop {
        match wait(pace) {
            Ok(found) => {
                look(py, told.read())?;
                return Ok(found);
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Err(raised) = look(py, told.read()) {
                    told.stop.store(true, Ordering::Relaxed);
                    let _ = wait(GRACE);
                    return Err(raised);
                }
            }
            // It panicked: so does this.
            Err(RecvTimeoutError::Disconnected) => match thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => return Ok(Ok(None)),
            },
        }
    }
}
