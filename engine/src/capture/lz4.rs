//! LZ4 streams one after the other (<https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>): frames, on `lz4_flex`,
//! which reads one at a time and takes one that is cut between two blocks for a whole one; skippable frames; and the
//! legacy format, see [`super::lz4_legacy`]. Of a block that is cut what was there of it is given, see [`super::lz4_torn`].

use super::lz4_legacy::Blocks;
use super::lz4_torn::{WINDOW, torn};
use super::source::Stream;
use lz4_flex::frame::FrameDecoder;
use std::io::{self, Read};

const FRAME: u32 = 0x184d_2204;
const LEGACY: u32 = 0x184c_2102;
/// Any of sixteen begins a frame that is skipped.
const SKIPPABLE: u32 = 0x184d_2a50;
const SKIPPABLE_BITS: u32 = 0xffff_fff0;
/// A frame's flags, behind its magic number.
const FLAGS: usize = 4;
const IS_INDEPENDENT: u8 = 0x20;
const HAS_SIZE: u8 = 0x08;
const HAS_DICTIONARY: u8 = 0x01;
/// A block's length, of which the highest bit says that it is not compressed.
const BLOCK_LENGTH: usize = 4;
const IS_PLAIN: u32 = 1 << 31;
/// In the place of a block's length.
const END_MARK: [u8; 4] = [0; 4];
/// The largest block.
const LARGEST: usize = 4 << 20;

/// Where a reader stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    InFrame,
    InLegacy,
}

/// The bytes of all streams.
pub struct Lz4Streams {
    decoder: FrameDecoder<Watched>,
    blocks: Blocks,
    state: State,
    /// In a frame whose blocks refer to those before them, the last bytes given.
    is_linked: bool,
    given: Vec<u8>,
    /// What there was of a block that was cut, to be given before that is said.
    torn: io::Cursor<Vec<u8>>,
}

/// The compressed bytes, with those read since a block was whole, and whether they were read to their end.
pub struct Watched {
    stream: Stream,
    /// Read, and put back.
    ahead: Vec<u8>,
    record: Vec<u8>,
    ended: bool,
}

impl Watched {
    /// The next four bytes as a number; `None` at the end of the stream.
    pub fn word(&mut self) -> io::Result<Option<u32>> {
        let (mut bytes, mut filled) = ([0; 4], 0);
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read(rest) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(u32::from_le_bytes(bytes)))
    }

    /// What was read so far is of no use any more.
    pub fn forget(&mut self) {
        self.record.clear();
    }

    /// Puts a word back.
    pub fn put_back(&mut self, word: u32) {
        self.ahead.clear();
        self.ahead.extend_from_slice(&word.to_le_bytes());
    }
}

impl Read for Watched {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = if self.ahead.is_empty() {
            self.stream.read(into)?
        } else {
            let read = self.ahead.as_slice().read(into)?;
            self.ahead.drain(..read);
            read
        };
        self.record.extend_from_slice(into.get(..read).unwrap_or_default());
        self.ended |= read == 0 && !into.is_empty();
        Ok(read)
    }
}

/// Whether a frame of some kind begins so.
pub const fn begins(word: u32) -> bool {
    word == FRAME || word == LEGACY || word & SKIPPABLE_BITS == SKIPPABLE
}

impl Lz4Streams {
    /// Reads the streams in `stream`.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        let watched = Watched { stream, ahead: Vec::new(), record: Vec::new(), ended: false };
        Lz4Streams {
            decoder: FrameDecoder::new(watched),
            blocks: Blocks::default(),
            state: State::Between,
            is_linked: false,
            given: Vec::new(),
            torn: io::Cursor::default(),
        }
    }

    /// What comes next; false at the end.
    fn begin(&mut self) -> io::Result<bool> {
        let source = self.decoder.get_mut();
        let Some(word) = source.word()? else { return Ok(false) };
        source.record.clear();
        match word {
            FRAME => {
                source.put_back(word);
                self.given.clear();
                self.state = State::InFrame;
            }
            LEGACY => self.state = State::InLegacy,
            word if begins(word) => {
                let length = u64::from(source.word()?.ok_or(io::ErrorKind::UnexpectedEof)?);
                // Not by way of the record, which would hold it.
                let passed = io::copy(&mut source.stream.by_ref().take(length), &mut io::sink())?;
                if passed < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "followed by what is no lz4")),
        }
        Ok(true)
    }

    /// Of a frame; nothing at its end, and of a block that is empty.
    fn read_frame(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let result = self.decoder.read(into);
        let source = self.decoder.get_mut();
        let (flags, blocks) = split_header(&source.record);
        match result {
            Ok(read) if read > 0 || !source.ended => {
                self.is_linked = flags.map_or(self.is_linked, |flags| flags & IS_INDEPENDENT == 0);
                if read == 0 && blocks.starts_with(&END_MARK) {
                    self.state = State::Between;
                }
                source.forget();
                if self.is_linked {
                    self.given.extend_from_slice(into.get(..read).unwrap_or_default());
                    self.given.drain(..self.given.len().saturating_sub(WINDOW));
                }
                Ok(read)
            }
            Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.torn = io::Cursor::new(torn_block(blocks, &self.given));
                source.forget();
                if self.torn.get_ref().is_empty() { Err(error) } else { Ok(0) }
            }
            Err(error) => Err(error),
        }
    }
}

/// What a frame's reader took, apart from the frame's header before it, if that is there: then its flags.
fn split_header(record: &[u8]) -> (Option<u8>, &[u8]) {
    if !record.starts_with(&FRAME.to_le_bytes()) {
        return (None, record);
    }
    let flags = record.get(FLAGS).copied().unwrap_or_default();
    let size = if flags & HAS_SIZE != 0 { 8 } else { 0 };
    let dictionary = if flags & HAS_DICTIONARY != 0 { 4 } else { 0 };
    // Flags, largest block, and the header's checksum.
    (Some(flags), record.get(FLAGS + 2 + size + dictionary + 1..).unwrap_or_default())
}

/// What a block held of which this and no more is there; before it that was given.
fn torn_block(bytes: &[u8], before: &[u8]) -> Vec<u8> {
    let Some((length, block)) = bytes.split_first_chunk::<BLOCK_LENGTH>() else { return Vec::new() };
    let length = u32::from_le_bytes(*length);
    // Behind a block there may be its checksum, cut.
    let block = block.get(..(length & !IS_PLAIN) as usize).unwrap_or(block);
    if length & IS_PLAIN != 0 { block.to_vec() } else { torn(block, before, LARGEST) }
}

impl Read for Lz4Streams {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !into.is_empty() {
            if !self.torn.get_ref().is_empty() {
                let read = self.torn.read(into)?;
                return if read > 0 { Ok(read) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            let read = match self.state {
                State::Between => {
                    if !self.begin()? {
                        return Ok(0);
                    }
                    0
                }
                State::InFrame => self.read_frame(into)?,
                State::InLegacy => {
                    let read = self.blocks.read(self.decoder.get_mut(), into)?;
                    if read == 0 {
                        self.state = State::Between;
                    }
                    read
                }
            };
            if read > 0 {
                return Ok(read);
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    use std::io::{Cursor, Write};

    /// A frame of blocks of 64 KiB, linked or not.
    fn frame(bytes: &[u8], mode: BlockMode) -> Vec<u8> {
        let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(mode).content_checksum(true);
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: Vec<u8>) -> (Vec<u8>, Option<io::ErrorKind>) {
        let mut out = Vec::new();
        let ended = Lz4Streams::new(Box::new(Cursor::new(bytes))).read_to_end(&mut out);
        (out, ended.err().map(|error| error.kind()))
    }

    #[test]
    fn frames_follow_each_other() {
        for mode in [BlockMode::Independent, BlockMode::Linked] {
            let bytes: Vec<u8> = (0..200_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
            let empty = frame(b"", mode);
            let both = [frame(&bytes, mode), empty, frame(b"more", mode)].concat();
            assert!(read(both) == ([&bytes[..], b"more"].concat(), None));
        }
    }

    #[test]
    fn a_frame_cut_anywhere_gives_what_was_there_and_says_that_it_was_cut() {
        let plain = super::super::lz4_torn::tests::lines(300_000);
        for mode in [BlockMode::Independent, BlockMode::Linked] {
            let whole = frame(&plain, mode);
            for parts in 1..60 {
                let (out, error) = read(whole[..whole.len() * parts / 60].to_vec());
                assert!(plain.starts_with(&out), "{parts}");
                assert_eq!(error, Some(io::ErrorKind::UnexpectedEof), "{parts}");
                assert!(out.len() + 3000 > plain.len() * parts / 60, "{parts}: {}", out.len());
            }
        }
    }

    #[test]
    fn an_empty_block_ends_nothing() {
        let whole = frame(b"one", BlockMode::Independent);
        let header = 7;
        for empty in [&[0, 0, 0, 0x80][..], &[1, 0, 0, 0, 0]] {
            let mut bytes = [&whole[..header], empty, empty, &whole[header..], &whole].concat();
            assert_eq!(read(bytes.clone()), (b"oneone".to_vec(), None), "{empty:?}");
            bytes.splice(bytes.len() - 8..bytes.len() - 8, empty.iter().copied());
            assert_eq!(read(bytes), (b"oneone".to_vec(), None), "{empty:?} before the end");
        }
    }

    #[test]
    fn the_legacy_format_before_and_after_frames() {
        let one = frame(b"one", BlockMode::Linked);
        let legacy = super::super::lz4_legacy::tests::stream(&[b"legacy", b" blocks "]);
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9];
        let all = [&legacy[..], &one, &legacy, &skippable, &legacy, &legacy].concat();
        let plain = b"legacy blocks onelegacy blocks legacy blocks legacy blocks ";
        assert_eq!(read(all.clone()), (plain.to_vec(), None));
        let (out, error) = read([&all[..], b"garbage!"].concat());
        assert_eq!((out.as_slice(), error), (&plain[..], Some(io::ErrorKind::InvalidData)));
        assert_eq!(read([&one[..], b"garbage!"].concat()), (b"one".to_vec(), Some(io::ErrorKind::InvalidData)));
    }

    #[test]
    fn a_frame_cut_anywhere_in_short_blocks() {
        let bytes = vec![9; 70_000];
        let first = frame(b"first", BlockMode::Independent);
        let whole = [&first[..], &frame(&bytes, BlockMode::Independent)].concat();
        for end in first.len() + 1..whole.len() {
            let (out, error) = read(whole[..end].to_vec());
            assert!(out.starts_with(b"first"), "{end}");
            assert_eq!(error, Some(io::ErrorKind::UnexpectedEof), "{end}");
        }
        assert!(read(whole[..whole.len() - 12].to_vec()).0.len() >= 5 + 65_536);
        assert_eq!(read(first), (b"first".to_vec(), None));
    }

    #[test]
    fn a_skippable_frame_is_passed_over_wherever_it_is() {
        let one = frame(b"one", BlockMode::Independent);
        let skippable = [0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9];
        let all = [&one[..], &skippable, &skippable, &one, &skippable].concat();
        assert_eq!(read(all.clone()), (b"oneone".to_vec(), None));
        let cut = all[..all.len() - 1].to_vec();
        assert_eq!(read(cut), (b"oneone".to_vec(), Some(io::ErrorKind::UnexpectedEof)));
    }

    #[test]
    fn a_damaged_frame_is_an_error() {
        let mut whole = frame(&[7; 1000], BlockMode::Independent);
        let last = whole.len() - 1;
        whole[last] ^= 1;
        assert_eq!(read(whole).1, Some(io::ErrorKind::InvalidData));
    }
}
