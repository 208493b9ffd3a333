//! Compression, recognised by its magic and undone: gzip, zstd, lz4 and xz, members one after the other, and one kind
//! inside another.
//!
//! What a stranger compressed may be cut, damaged, or a few bytes that become terabytes. Each decompressor streams, its
//! window is bounded, an expansion beyond all captures ends the file, and what came before is kept.

use super::ahead::{Ahead, STEP};
use super::gzip::GzipMembers;
use super::lz4::Lz4Streams;
use super::source::{Counted, Stream};
use super::xz::XzStreams;
use std::io::{self, BufReader, Cursor, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes handed to a decompressor at a time.
const COMPRESSED_CHUNK: usize = 128 << 10;
/// How often compression may be undone: a `.pcap.gz` in an `.xz` is met, more is taken for an attack.
const DEEPEST: usize = 2;
/// Longest magic looked at.
const MAGIC: usize = 6;
/// log2 of the largest window of zstd: what `zstd -d` takes by default (128 MiB), and less for what is inside another.
const ZSTD_WINDOW_LOG: [u32; DEEPEST] = [27, 25];
/// Most memory of xz in KiB: the 64 MiB dictionary of `xz -9` …
const XZ_WINDOW_KIB: u32 = 64 << 10;
/// … and the decompressor's own.
const XZ_OWN_KIB: u32 = 4 << 10;
/// log2 of the window that every file may have: zstd's up to level 19, xz's up to level 6.
const USUAL_WINDOW_LOG: u32 = 23;
/// How many times the compressed bytes may become before it is taken for a bomb. Packets differ in their times, so that
/// no capture comes near: deflate's own bound is 1032, and a flood of one packet compresses 100 times.
const MOST_EXPANSION: u64 = 4096;
/// What is said of it.
const BOMB: &str = "this is a decompression bomb";
/// From how many bytes on that is asked: the first blocks of a good file may be all zeros.
const EXPANSION_FROM: u64 = 256 << 20;

/// The kinds, with the word for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Gzip,
    Zstd,
    Lz4,
    Xz,
}

impl Kind {
    /// By the first bytes of a stream.
    fn recognise(head: &[u8]) -> Option<Kind> {
        match head {
            [0x1f, 0x8b, ..] => Some(Kind::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Kind::Zstd),
            [0x04, 0x22, 0x4d, 0x18, ..] | [0x02, 0x21, 0x4c, 0x18, ..] => Some(Kind::Lz4),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Kind::Xz),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Kind::Gzip => "gzip",
            Kind::Zstd => "zstd",
            Kind::Lz4 => "lz4",
            Kind::Xz => "xz",
        }
    }

    /// The stream without this compression, every member of it; `depth` is 0 for the outermost. No member may have a
    /// window of more than `most_log` says, as a power of two.
    fn undo(self, stream: Stream, depth: usize, most_log: u32) -> io::Result<Stream> {
        let error = Arc::default();
        let most = if depth == 0 { COMPRESSED_CHUNK } else { STEP };
        let held = Held { stream, most, error: Arc::clone(&error), is_over: false };
        let input = BufReader::with_capacity(COMPRESSED_CHUNK, held);
        let plain: Stream = match self {
            Kind::Gzip => Box::new(GzipMembers::new(Box::new(input))),
            Kind::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(input)?;
                decoder
                    .window_log_max(most_log.min(ZSTD_WINDOW_LOG.get(depth).copied().unwrap_or(ZSTD_WINDOW_LOG[1])))?;
                Box::new(decoder)
            }
            Kind::Lz4 => Box::new(Lz4Streams::new(Box::new(input))),
            Kind::Xz => {
                let most_kib = 1 << most_log.saturating_sub(10).min(31);
                Box::new(XzStreams::new(Box::new(input), XZ_WINDOW_KIB.min(most_kib) + XZ_OWN_KIB))
            }
        };
        Ok(Box::new(Named { stream: plain, kind: self, held: error }))
    }
}

/// A stream whose compression was undone.
pub struct Plain {
    pub stream: Stream,
    /// `none`, `gzip`, `zstd`, `lz4`, `xz`, or two of them as `xz+gzip`, the outer one first.
    pub compression: String,
    /// What their windows may take, in bytes.
    pub window_bytes: u64,
}

/// Which windows the members of a stream may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Windows {
    /// Any that is not beyond memory: nothing else is read beside it.
    #[default]
    Any,
    /// Of more than 8 MiB, those that the first asks for: so much can be told of it before.
    AsFirst,
}

impl Windows {
    /// The most, as a power of two, where the first asks for so many bytes.
    fn most_log(self, first: u64) -> u32 {
        match self {
            Windows::Any => u32::MAX,
            Windows::AsFirst => first.max(1 << USUAL_WINDOW_LOG).next_power_of_two().ilog2(),
        }
    }
}

/// A stream whose compression, if any, was recognised by its magic and is undone in a thread of its own.
///
/// # Errors
/// A decompressor's that cannot start; the stream's own come when it is read.
pub fn decompressed(stream: Stream, windows: Windows) -> io::Result<Plain> {
    let count = Arc::<AtomicU64>::default();
    let (mut kind, mut stream) = recognise(Box::new(Counted { stream, count: Arc::clone(&count) }));
    let (mut words, mut window_bytes) = (Vec::new(), 0);
    while let (Some(found), true) = (kind, words.len() < DEEPEST) {
        let (head, whole) = peek(stream);
        let first = window::window_bytes(found, &head);
        window_bytes += first.map_or(0, |first| first.max(1 << USUAL_WINDOW_LOG));
        let plain = found.undo(whole, words.len(), windows.most_log(first.unwrap_or_default()))?;
        words.push(found.word());
        // Each, as much may come out of one and be passed over in the next.
        let bounded = Bounded { stream: plain, compressed: Arc::clone(&count), plain: 0 };
        (kind, stream) = recognise(Box::new(bounded));
    }
    if words.is_empty() {
        return Ok(Plain { stream, compression: "none".to_owned(), window_bytes });
    }
    let ahead = Box::new(Ahead::new(stream));
    Ok(Plain { stream: ahead, compression: words.join("+"), window_bytes })
}

/// The first bytes of a stream, and all of it, with the error that ended them, if one did.
fn peek(mut stream: Stream) -> (Vec<u8>, Stream) {
    let mut head = Vec::with_capacity(window::HEADER);
    let read = stream.by_ref().take(window::HEADER as u64).read_to_end(&mut head);
    let rest: Stream = match read {
        Ok(_) => stream,
        Err(error) => Box::new(Failed(Some(error))),
    };
    (head.clone(), Box::new(Cursor::new(head).chain(rest)))
}

/// Looks at the first bytes of a stream and puts them back, with the error that ended them, if one did. Skippable frames
/// (RFC 8878 §3.1.2), which zstd and lz4 have in common, are passed over: what follows them says which it is.
fn recognise(mut stream: Stream) -> (Option<Kind>, Stream) {
    let mut has_skipped = false;
    loop {
        let mut head = Vec::with_capacity(MAGIC);
        let read = stream.by_ref().take(MAGIC as u64).read_to_end(&mut head);
        let read = match (read, head.as_slice()) {
            (Ok(_), &[0x50..=0x5f, 0x2a, 0x4d, 0x18, low, high]) => match pass_over([low, high], &mut stream) {
                Ok(()) => {
                    has_skipped = true;
                    continue;
                }
                Err(error) => Err(error),
            },
            (read, _) => read,
        };
        let kind = Kind::recognise(&head).or((has_skipped && !head.is_empty()).then_some(Kind::Zstd));
        let head = Cursor::new(head);
        return match read {
            Err(error) => (None, Box::new(head.chain(Failed(Some(error))))),
            Ok(_) => (kind, Box::new(head.chain(stream))),
        };
    }
}

/// Passes over the rest of a skippable frame, of whose length the lower half was read.
fn pass_over([first, second]: [u8; 2], stream: &mut Stream) -> io::Result<()> {
    let cut = || name(Kind::Zstd, &io::ErrorKind::UnexpectedEof.into());
    let mut rest = Vec::new();
    stream.by_ref().take(2).read_to_end(&mut rest)?;
    let &[third, fourth] = rest.as_slice() else { return Err(cut()) };
    let length = u64::from(u32::from_le_bytes([first, second, third, fourth]));
    let passed = io::copy(&mut stream.by_ref().take(length), &mut io::sink())?;
    if passed == length { Ok(()) } else { Err(cut()) }
}

/// A stream that fails, once.
struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// The error that ended what a decompressor reads.
type HeldError = Arc<Mutex<Option<io::Error>>>;

/// Holds an error back: to the decompressor behind it the stream is cut there, so that it gives all that it has first.
struct Held {
    stream: Stream,
    /// Bytes asked of it at a time.
    most: usize,
    error: HeldError,
    is_over: bool,
}

impl Read for Held {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.is_over {
            return Ok(0);
        }
        let most = into.len().min(self.most);
        match self.stream.read(into.get_mut(..most).unwrap_or_default()) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                self.is_over = true;
                Ok(0)
            }
            read => read,
        }
    }
}

/// Says of a decompressor's errors which compression it is that is cut or damaged, or what ended what it reads.
struct Named {
    stream: Stream,
    kind: Kind,
    held: HeldError,
}

impl Read for Named {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(into);
        let interrupted = matches!(&read, Err(error) if error.kind() == io::ErrorKind::Interrupted);
        if matches!(read, Ok(1..)) || into.is_empty() || interrupted {
            return read;
        }
        match self.held.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => read.map_err(|error| name(self.kind, &error)),
        }
    }
}

fn name(kind: Kind, error: &io::Error) -> io::Error {
    let word = kind.word();
    let text = match error.kind() {
        io::ErrorKind::UnexpectedEof => format!("the {word} data are cut short"),
        // zstd has no kind of its own for it.
        kind if kind == io::ErrorKind::OutOfMemory || error.to_string().contains("too much memory") => {
            format!("the {word} data need more memory than is given to them ({error}); decompress them first")
        }
        // xz with a chain of filters, which nobody makes of captures but by hand.
        _ if error.to_string().contains("supported") => {
            format!("the {word} data are packed in a way that is not read ({error}); decompress them first")
        }
        _ => format!("the {word} data are damaged ({error})"),
    };
    io::Error::new(error.kind(), text)
}

/// Ends a stream whose few compressed bytes become too many.
struct Bounded {
    stream: Stream,
    /// Bytes read of the file.
    compressed: Arc<AtomicU64>,
    /// Bytes given.
    plain: u64,
}

impl Read for Bounded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(into)?;
        self.plain += read as u64;
        let compressed = self.compressed.load(Ordering::Relaxed).max(1);
        if self.plain > EXPANSION_FROM && self.plain / compressed > MOST_EXPANSION {
            return Err(io::Error::other(format!(
                "expanded more than {MOST_EXPANSION} times: no capture does, {BOMB}"
            )));
        }
        Ok(read)
    }
}

mod window;

#[cfg(test)]
mod tests;
