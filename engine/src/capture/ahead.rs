//! Reading ahead: a decompressor works in a thread of its own, so that a compressed capture takes the time of the
//! slower of the two, decompression or analysis, and not of both.
//!
//! The first bytes are read in the caller's thread: to look at a file for its place in a set costs no thread. Then
//! buffers of [`BUFFER`] bytes go full one way and empty the other; [`BUFFERS`] of them bound what is read ahead.

use super::source::Stream;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// Bytes handed over at a time.
const BUFFER: usize = 256 << 10;
/// Buffers under way between the two threads.
const BUFFERS: usize = 4;
/// Bytes asked of the decompressor at a time. Some lose what they had made for the same call when they meet damage:
/// so much may be missing before it. Each call of a decompressor pays for itself from about 8 KiB on.
pub const STEP: usize = 16 << 10;
/// Bytes read in the caller's thread before another is started.
const DIRECT: usize = 64 << 10;

/// A stream that is read ahead of its reader. Dropping it ends the thread as soon as the stream gives its next bytes.
pub struct Ahead {
    state: State,
}

enum State {
    /// In the caller's thread: the stream, and how many bytes it may still give there.
    Direct { stream: Stream, left: usize },
    /// In its own.
    Threaded(Line),
    /// The end, or the error that ended it, was given out.
    Over,
}

/// The reader's end of the line between the threads.
struct Line {
    full: Receiver<io::Result<Vec<u8>>>,
    empty: Sender<Vec<u8>>,
    buffer: Vec<u8>,
    at: usize,
}

impl Ahead {
    /// Reads `stream`, ahead once that pays.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        Ahead { state: State::Direct { stream, left: DIRECT } }
    }
}

impl Read for Ahead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let State::Direct { left: 0, .. } = self.state {
            self.state = match std::mem::replace(&mut self.state, State::Over) {
                State::Direct { stream, .. } => State::Threaded(Line::start(stream)?),
                other => other,
            };
        }
        let read = match &mut self.state {
            State::Direct { stream, left } => {
                read_step(stream, into).inspect(|read| *left = left.saturating_sub(*read))
            }
            State::Threaded(line) => line.read(into),
            State::Over => return Ok(0),
        };
        let interrupted = matches!(&read, Err(error) if error.kind() == io::ErrorKind::Interrupted);
        if !matches!(&read, Ok(1..)) && !interrupted && !into.is_empty() {
            self.state = State::Over;
        }
        read
    }
}

impl Line {
    fn start(stream: Stream) -> io::Result<Line> {
        let (to_reader, full) = sync_channel(BUFFERS);
        let (empty, from_reader) = channel();
        for _ in 0..BUFFERS {
            // Cannot fail: the other end is held below.
            let _ = empty.send(Vec::with_capacity(BUFFER));
        }
        std::thread::Builder::new()
            .name("pcapwatch-decompress".to_owned())
            .spawn(move || work(stream, &from_reader, &to_reader))?;
        Ok(Line { full, empty, buffer: Vec::new(), at: 0 })
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.buffer.len() {
            // The thread never goes without a word, unless it was killed by an abort that ends this one as well.
            let next = self.full.recv().map_err(|_| io::Error::other("the decompressing thread is gone"))??;
            if next.is_empty() {
                return Ok(0);
            }
            let done = std::mem::replace(&mut self.buffer, next);
            self.at = 0;
            // Without a reader the thread has ended, and needs no buffer.
            let _ = self.empty.send(done);
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

/// The thread: fills buffers until the stream ends, fails, or nobody wants them. An empty buffer says the end.
fn work(mut stream: Stream, empty: &Receiver<Vec<u8>>, full: &SyncSender<io::Result<Vec<u8>>>) {
    while let Ok(mut buffer) = empty.recv() {
        let ended = fill(&mut stream, &mut buffer);
        let some = !buffer.is_empty();
        if some && full.send(Ok(buffer)).is_err() {
            return;
        }
        match ended {
            Ok(false) => {}
            Ok(true) => return drop(full.send(Ok(Vec::new()))),
            Err(error) => return drop(full.send(Err(error))),
        }
    }
}

/// Fills a buffer, but does not wait for what is still to come where there is something: a capture that is piped in
/// while it is taken gives its packets as they come. Whether the stream is at its end.
fn fill(stream: &mut Stream, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut length = 0;
    buffer.resize(BUFFER, 0);
    let ended = loop {
        let room = buffer.get_mut(length..).unwrap_or_default();
        if room.is_empty() {
            break Ok(false);
        }
        match read_step(stream, room) {
            Ok(0) => break Ok(true),
            Ok(read) => {
                let asked = room.len().min(STEP);
                length += read;
                if read < asked {
                    break Ok(false);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    buffer.truncate(length);
    ended
}

/// One step of a decompressor. A panic in it is an error of the file, not of the program: the bytes are a stranger's.
fn read_step(stream: &mut Stream, into: &mut [u8]) -> io::Result<usize> {
    let step = into.len().min(STEP);
    let into = into.get_mut(..step).unwrap_or_default();
    catch_unwind(AssertUnwindSafe(|| stream.read(into)))
        .unwrap_or_else(|_| Err(io::Error::other("the decompressor gave up on these data")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    /// What a stream does once it has given its bytes.
    #[derive(Clone, Copy)]
    enum Then {
        End,
        Fail,
        Panic,
        Block,
    }

    /// Gives `left` counted bytes, then ends as told. `alive` is held until it is dropped.
    struct Scripted {
        left: usize,
        given: Arc<AtomicUsize>,
        then: Then,
        _alive: Arc<()>,
    }

    impl Read for Scripted {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = into.len().min(self.left).min(7000);
            let before = self.given.fetch_add(count, Ordering::SeqCst);
            for (place, byte) in into.iter_mut().take(count).enumerate() {
                *byte = (before + place) as u8;
            }
            self.left -= count;
            match (count, self.then) {
                (0, Then::Fail) => Err(io::Error::other("damaged")),
                (0, Then::Panic) => panic!("on purpose, by a test"),
                (0, Then::Block) => loop {
                    std::thread::park();
                },
                _ => Ok(count),
            }
        }
    }

    fn scripted(bytes: usize, then: Then) -> (Ahead, Arc<AtomicUsize>, Arc<()>) {
        let (given, alive) = (Arc::new(AtomicUsize::new(0)), Arc::new(()));
        let stream = Scripted { left: bytes, given: Arc::clone(&given), then, _alive: Arc::clone(&alive) };
        (Ahead::new(Box::new(stream)), given, alive)
    }

    fn wait_until(what: impl Fn() -> bool) {
        let began = Instant::now();
        while !what() {
            assert!(began.elapsed() < Duration::from_secs(20), "waited in vain");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn every_byte_arrives_in_order_and_once() {
        for length in [0, 1, DIRECT - 1, DIRECT, DIRECT + 1, DIRECT + BUFFER, DIRECT + 7 * BUFFER + 3] {
            let (mut ahead, _, _) = scripted(length, Then::End);
            let mut all = Vec::new();
            ahead.read_to_end(&mut all).unwrap();
            let expected: Vec<u8> = (0..length).map(|place| place as u8).collect();
            assert!(all == expected, "{length}");
            assert_eq!(ahead.read(&mut [0; 9]).unwrap(), 0, "the end stays the end");
        }
    }

    #[test]
    fn an_error_or_a_panic_comes_after_every_byte_before_it() {
        for length in [5, DIRECT + BUFFER + 5] {
            for (then, word) in [(Then::Fail, "damaged"), (Then::Panic, "the decompressor gave up on these data")] {
                let (mut ahead, ..) = scripted(length, then);
                let mut all = Vec::new();
                let error = ahead.read_to_end(&mut all).unwrap_err();
                assert_eq!((all.len(), error.to_string().as_str()), (length, word));
            }
        }
    }

    #[test]
    fn a_look_at_the_beginning_reads_little_and_starts_no_thread() {
        let (mut ahead, given, _) = scripted(1 << 30, Then::End);
        ahead.read_exact(&mut [0; 512]).unwrap();
        assert!(given.load(Ordering::SeqCst) <= STEP);
        assert!(matches!(ahead.state, State::Direct { .. }));
    }

    #[test]
    fn the_thread_waits_for_its_reader_and_ends_with_it() {
        let (mut ahead, given, alive) = scripted(1 << 30, Then::End);
        ahead.read_exact(&mut vec![0; DIRECT + 1]).unwrap();
        let bound = DIRECT + (BUFFERS + 2) * BUFFER;
        std::thread::sleep(Duration::from_millis(50));
        assert!(given.load(Ordering::SeqCst) <= bound, "no more is read ahead than the buffers hold");
        drop(ahead);
        wait_until(|| Arc::strong_count(&alive) == 1);
        assert!(given.load(Ordering::SeqCst) <= bound);
    }

    #[test]
    fn what_there_is_does_not_wait_for_what_is_still_to_come() {
        let (mut ahead, ..) = scripted(DIRECT + 7000, Then::Block);
        let (done, all) = channel();
        std::thread::spawn(move || done.send(ahead.read_exact(&mut vec![0; DIRECT + 7000]).is_ok()));
        assert!(all.recv_timeout(Duration::from_secs(20)).unwrap(), "of a pipe that is silent now");
    }

    #[test]
    fn dropping_a_reader_of_a_stream_that_hangs_does_not_hang() {
        let (mut ahead, given, _alive) = scripted(DIRECT + 7000, Then::Block);
        ahead.read_exact(&mut vec![0; DIRECT]).unwrap();
        ahead.state = match std::mem::replace(&mut ahead.state, State::Over) {
            State::Direct { stream, .. } => State::Threaded(Line::start(stream).unwrap()),
            other => other,
        };
        wait_until(|| given.load(Ordering::SeqCst) == DIRECT + 7000);
        let began = Instant::now();
        drop(ahead);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
