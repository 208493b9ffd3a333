//! Where bytes come from, before they are a capture: counted as read, and kept for a second reading where the source
//! cannot be opened again.

use super::error::SourceError;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A stream of bytes that can cross threads.
pub type Stream = Box<dyn Read + Send>;

/// Opens a path, or stdin for `-`.
///
/// # Errors
/// A [`SourceError`] in the user's terms.
pub fn open_path(path: &Path) -> Result<Stream, SourceError> {
    if path.as_os_str() == "-" {
        return open_stdin();
    }
    File::open(path).map(|file| Box::new(file) as Stream).map_err(|error| cannot_open(path, &error))
}

fn open_stdin() -> Result<Stream, SourceError> {
    let stdin = io::stdin();
    if io::IsTerminal::is_terminal(&stdin) {
        return Err(SourceError::new("-", "stdin is a terminal; pipe a capture in, as in `tcpdump -w - | …`"));
    }
    Ok(Box::new(stdin))
}

/// The system's refusal in words that say what to do.
#[must_use]
pub fn cannot_open(path: &Path, error: &io::Error) -> SourceError {
    let message = match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder; check the path".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied; run as a user who may read it".to_owned(),
        _ => format!("cannot be opened: {error}"),
    };
    SourceError::new(path.to_string_lossy(), message)
}

/// Counts the bytes that pass, for the progress of a whole set.
pub struct Counted {
    /// The stream.
    pub stream: Stream,
    /// Where its bytes are added.
    pub count: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(into)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// The beginning of a stream that cannot be opened again.
#[derive(Debug)]
pub struct Kept {
    bytes: Mutex<Vec<u8>>,
    limit: usize,
}

impl Kept {
    /// Keeps nothing yet, and never more than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Kept> {
        Arc::new(Kept { bytes: Mutex::new(Vec::new()), limit })
    }

    fn add(&self, bytes: &[u8]) {
        let mut kept = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let room = self.limit.saturating_sub(kept.len()).min(bytes.len());
        kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
    }

    fn copy(&self, at: usize, into: &mut [u8]) -> usize {
        let kept = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = kept.get(at..).unwrap_or_default();
        into.iter_mut().zip(rest).map(|(to, from)| *to = *from).count()
    }
}

/// Passes a stream on and keeps its beginning.
pub struct Keeping {
    /// The (decompressed) stream.
    pub stream: Stream,
    /// Where its beginning is kept.
    pub kept: Arc<Kept>,
}

impl Read for Keeping {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(into)?;
        self.kept.add(into.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// Reads what was kept.
pub struct Again {
    /// What was kept.
    pub kept: Arc<Kept>,
    /// How far it was read.
    pub at: usize,
}

impl Read for Again {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.kept.copy(self.at, into);
        self.at += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn only_the_beginning_is_kept() {
        let kept = Kept::new(5);
        let mut out = Vec::new();
        let mut stream = Keeping { stream: Box::new(&b"abcdefgh"[..]), kept: Arc::clone(&kept) };
        stream.read_to_end(&mut out).unwrap();
        let mut again = Vec::new();
        Again { kept, at: 0 }.read_to_end(&mut again).unwrap();
        assert_eq!((out, again), (b"abcdefgh".to_vec(), b"abcde".to_vec()));
    }
}
