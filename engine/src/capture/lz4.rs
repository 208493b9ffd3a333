//! LZ4 frames one after the other (<https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>), on `lz4_flex`,
//! which reads one at a time and takes a frame that is cut between two blocks for a whole one.

use super::source::Stream;
use lz4_flex::frame::{Error, FrameDecoder};
use std::io::{self, Read};

/// The bytes of all frames of a stream.
pub struct Lz4Frames {
    decoder: FrameDecoder<Watched>,
    /// Blocks were given out and the end mark was not reached.
    in_frame: bool,
}

/// The compressed bytes, counted, and whether they were read to their end.
struct Watched {
    stream: Stream,
    count: u64,
    ended: bool,
}

impl Read for Watched {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(into)?;
        self.count += read as u64;
        self.ended |= read == 0 && !into.is_empty();
        Ok(read)
    }
}

impl Lz4Frames {
    /// Reads the frames in `stream`.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        let watched = Watched { stream, count: 0, ended: false };
        Lz4Frames { decoder: FrameDecoder::new(watched), in_frame: false }
    }

    /// Passes over what a skippable frame holds.
    fn pass_over(&mut self, length: u64) -> io::Result<()> {
        let passed = io::copy(&mut self.decoder.get_mut().take(length), &mut io::sink())?;
        if passed == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// The length of the skippable frame that the decoder has come to, if that is what it says.
fn skippable(error: &io::Error) -> Option<u64> {
    match error.get_ref()?.downcast_ref()? {
        Error::SkippableFrame(length) => Some(u64::from(*length)),
        _ => None,
    }
}

impl Read for Lz4Frames {
    /// Nothing read means either the end mark of a frame, after which the next may come, or the end of the stream,
    /// which is in order only where no byte of another frame was read.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !into.is_empty() {
            let before = self.decoder.get_ref().count;
            let read = match self.decoder.read(into) {
                Ok(read) => read,
                Err(error) => {
                    let length = skippable(&error).ok_or(error)?;
                    self.pass_over(length)?;
                    continue;
                }
            };
            let compressed = self.decoder.get_ref();
            if read > 0 {
                self.in_frame = true;
                return Ok(read);
            }
            if !compressed.ended {
                self.in_frame = false;
            } else if self.in_frame || compressed.count != before {
                return Err(io::ErrorKind::UnexpectedEof.into());
            } else {
                return Ok(0);
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
        let ended = Lz4Frames::new(Box::new(Cursor::new(bytes))).read_to_end(&mut out);
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
    fn a_frame_cut_anywhere_gives_its_whole_blocks_and_says_that_it_was_cut() {
        let bytes = vec![9; 70_000];
        let first = frame(b"first", BlockMode::Independent);
        let whole = [&first[..], &frame(&bytes, BlockMode::Independent)].concat();
        for end in first.len() + 1..whole.len() {
            let (out, error) = read(whole[..end].to_vec());
            assert!(out.starts_with(b"first"), "{end}");
            assert_eq!(error, Some(io::ErrorKind::UnexpectedEof), "{end}");
        }
        assert_eq!(read(whole[..whole.len() - 12].to_vec()).0.len(), 5 + 65_536);
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
