//! Streams that come as they happen: a pipe that may be silent for hours, a file that grows.
//!
//! A reader of such a stream must be able to stop waiting. So the stream is read in a thread of its own, and [`Patient`]
//! gives `WouldBlock` when nothing came within its [`Patience`]; the window keeps what it has and is asked again.

use super::source::Stream;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// Bytes handed over at a time, at most.
const BUFFER: usize = 256 << 10;
/// Buffers under way between the two threads.
const BUFFERS: usize = 4;
/// How long to wait at the end of a file before looking whether it has grown.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How long a stream is waited for; shared with the one who waits, who may change it between two reads.
#[derive(Clone, Debug, Default)]
pub struct Patience {
    /// In microseconds; 0: until something comes.
    wait_us: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl Patience {
    /// From now on wait so long (at least a microsecond).
    pub fn set(&self, wait: Duration) {
        let wait_us = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX).max(1);
        self.wait_us.store(wait_us, Ordering::Relaxed);
    }

    /// A file that is followed ends where it ends now.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn wait(&self) -> Option<Duration> {
        match self.wait_us.load(Ordering::Relaxed) {
            0 => None,
            us => Some(Duration::from_micros(us)),
        }
    }
}

/// A stream with patience. Dropping it ends the thread as soon as the stream gives its next bytes.
pub struct Patient {
    full: Receiver<io::Result<Vec<u8>>>,
    buffer: Vec<u8>,
    at: usize,
    patience: Patience,
    is_over: bool,
}

impl Patient {
    /// Reads `stream` in a thread of its own.
    #[must_use]
    pub fn new(stream: Stream, patience: &Patience) -> Self {
        let (to_reader, full) = sync_channel(BUFFERS);
        let patience = patience.clone();
        let failed = to_reader.clone();
        let started = std::thread::Builder::new().name("pcapwatch-stream".to_owned());
        if let Err(error) = started.spawn(move || work(stream, &to_reader)) {
            // Cannot fail: there is room, and the other end is held.
            let _ = failed.send(Err(error));
        }
        Patient { full, buffer: Vec::new(), at: 0, patience, is_over: false }
    }

    /// The next buffer; empty at the end.
    fn receive(&self) -> io::Result<Vec<u8>> {
        let gone = || io::Error::other("the reading thread is gone");
        match self.patience.wait() {
            None => self.full.recv().map_err(|_| gone())?,
            Some(wait) => match self.full.recv_timeout(wait) {
                Ok(read) => read,
                Err(RecvTimeoutError::Timeout) => Err(io::ErrorKind::WouldBlock.into()),
                Err(RecvTimeoutError::Disconnected) => Err(gone()),
            },
        }
    }
}

impl Read for Patient {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.buffer.len() && !self.is_over {
            let next = self.receive();
            self.is_over = match &next {
                Ok(bytes) => bytes.is_empty(),
                Err(error) => error.kind() != io::ErrorKind::WouldBlock,
            };
            (self.buffer, self.at) = (next?, 0);
        }
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let count = rest.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        Ok(count)
    }
}

/// Reads until the end, an error, or until nobody listens any more.
fn work(mut stream: Stream, to_reader: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut buffer = vec![0; BUFFER];
        let read = match stream.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
            Ok(count) => {
                buffer.truncate(count);
                Ok(buffer)
            }
        };
        let is_last = !matches!(&read, Ok(bytes) if !bytes.is_empty());
        if to_reader.send(read).is_err() || is_last {
            return;
        }
    }
}

/// A file that grows: its end is not the end, until its [`Patience`] says so.
pub struct Following {
    /// The file.
    pub stream: Stream,
    /// Whose word counts.
    pub patience: Patience,
    /// Whether its writer has gone on to another file.
    pub is_left: Box<dyn FnMut() -> bool + Send>,
}

impl Read for Following {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            // Asked before reading, so that what was there when it was said is read.
            let is_over = self.patience.is_over() || (self.is_left)();
            let count = self.stream.read(into)?;
            if count > 0 || is_over || into.is_empty() {
                return Ok(count);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// A stream that gives each piece when it is sent.
    struct Sent(Receiver<Vec<u8>>);

    impl Read for Sent {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let piece = self.0.recv().unwrap_or_default();
            into[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn what_does_not_come_in_time_is_no_end() {
        let (pieces, sent) = sync_channel(4);
        let patience = Patience::default();
        let mut stream = Patient::new(Box::new(Sent(sent)), &patience);
        patience.set(Duration::from_millis(30));
        let begun = Instant::now();
        let nothing = stream.read(&mut [0; 8]).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        assert!(begun.elapsed() >= Duration::from_millis(30));
        pieces.send(b"abc".to_vec()).unwrap();
        patience.set(Duration::from_secs(60));
        let mut into = [0; 2];
        assert_eq!((stream.read(&mut into).unwrap(), into), (2, *b"ab"));
        assert_eq!(stream.read(&mut into).unwrap(), 1);
        drop(pieces);
        assert_eq!((stream.read(&mut into).unwrap(), stream.read(&mut into).unwrap()), (0, 0), "the end stays the end");
    }

    #[test]
    fn a_file_that_grows_ends_when_it_is_told_to() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let patience = Patience::default();
        let reader = Box::new(std::fs::File::open(file.path()).unwrap());
        let mut stream = Following { stream: reader, patience: patience.clone(), is_left: Box::new(|| false) };
        let late = patience.clone();
        let writer = std::thread::spawn(move || {
            std::thread::sleep(2 * LOOK_AGAIN);
            io::Write::write_all(&mut file, b"grown").unwrap();
            late.end();
        });
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        writer.join().unwrap();
        assert_eq!(all, b"grown");
    }
}
