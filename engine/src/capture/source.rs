//! Where bytes come from, before they are a capture: counted as read, decompressed by magic, and kept for a second
//! reading where the source cannot be opened again.

use super::error::SourceError;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes handed to a decompressor at a time.
const COMPRESSED_CHUNK: usize = 128 << 10;
/// Longest magic looked at.
const MAGIC: usize = 4;
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: [u8; MAGIC] = [0x28, 0xb5, 0x2f, 0xfd];
/// The last three bytes of a zstd skippable frame's magic; the first is 0x50 to 0x5f (RFC 8878 §3.1.2).
const ZSTD_SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];

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

/// A stream whose compression, if any, was recognised by its magic and is undone: the stream and the word for it.
///
/// # Errors
/// The stream's own, or the decompressor's that cannot start.
pub fn decompressed(mut stream: Stream) -> io::Result<(Stream, &'static str)> {
    let mut head = Vec::with_capacity(MAGIC);
    stream.by_ref().take(MAGIC as u64).read_to_end(&mut head)?;
    let gzip = head.starts_with(GZIP);
    let zstd = head == ZSTD || (head.ends_with(ZSTD_SKIPPABLE) && head.first().is_some_and(|b| b & 0xf0 == 0x50));
    let whole = Cursor::new(head).chain(stream);
    let buffered = |whole| BufReader::with_capacity(COMPRESSED_CHUNK, whole);
    Ok(match (gzip, zstd) {
        (true, _) => (Box::new(flate2::bufread::MultiGzDecoder::new(buffered(whole))), "gzip"),
        (_, true) => (Box::new(zstd::Decoder::with_buffer(buffered(whole))?), "zstd"),
        _ => (Box::new(whole), "none"),
    })
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
    use std::io::Write;

    fn unpack(bytes: Vec<u8>) -> (Vec<u8>, &'static str) {
        let (mut stream, word) = decompressed(Box::new(Cursor::new(bytes))).unwrap();
        let mut out = Vec::new();
        stream.read_to_end(&mut out).unwrap();
        (out, word)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compression_is_recognised_by_magic_and_members_are_joined() {
        assert_eq!(unpack(b"plain".to_vec()), (b"plain".to_vec(), "none"));
        assert_eq!(unpack(vec![0x1f]), (vec![0x1f], "none"));
        assert_eq!(unpack([gzip(b"one "), gzip(b"two")].concat()), (b"one two".to_vec(), "gzip"));
        let frames = [zstd::encode_all(&b"one "[..], 1).unwrap(), zstd::encode_all(&b"two"[..], 1).unwrap()].concat();
        assert_eq!(unpack(frames.clone()), (b"one two".to_vec(), "zstd"));
        let skippable = [&[0x51, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..], &frames].concat();
        assert_eq!(unpack(skippable), (b"one two".to_vec(), "zstd"));
    }

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
