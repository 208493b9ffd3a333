//! xz streams one after the other, on the decoder of `lzma-rust2` that takes its input in pieces: its reader waits for a
//! whole chunk of LZMA2, up to 64 KiB that become 2 MiB, and of a stream that is cut within one gives nothing of it.

use super::source::Stream;
use lzma_rust2::{Action, Status, XzStream};
use std::io::{self, Read};

/// Compressed bytes read at a time.
const CHUNK: usize = 64 << 10;

/// Bytes decompressed at a time: what precedes damage by less than that is lost with it.
const STEP: usize = 4 << 10;
/// A stream's first byte.
const MAGIC: u8 = 0xfd;

/// The bytes of all streams, each as soon as it can be known.
pub struct XzStreams {
    stream: Stream,
    decoder: XzStream,
    most_kib: u32,
    input: Vec<u8>,
    /// What was read and not taken yet is `input[at..end]`.
    at: usize,
    end: usize,
    /// The compressed bytes were read to their end.
    ended: bool,
    /// The decoder has given what it could without being told so: telling it may lose that.
    drained: bool,
    /// A stream has ended, and another may begin.
    is_between: bool,
}

impl XzStreams {
    /// Reads the streams in `stream`, with no more memory than so many KiB.
    #[must_use]
    pub fn new(stream: Stream, most_kib: u32) -> Self {
        XzStreams {
            stream,
            decoder: XzStream::new_mem_limit(false, most_kib),
            most_kib,
            input: vec![0; CHUNK],
            at: 0,
            end: 0,
            ended: false,
            drained: false,
            is_between: false,
        }
    }

    /// Reads on where everything was taken.
    fn refill(&mut self) -> io::Result<()> {
        if self.at == self.end && !self.ended {
            (self.at, self.end) = (0, self.stream.read(&mut self.input)?);
            self.ended = self.end == 0;
        }
        Ok(())
    }

    /// Passes over padding to the next stream; false if there is none.
    fn advance(&mut self) -> io::Result<bool> {
        loop {
            self.refill()?;
            let ahead = self.input.get(self.at..self.end).unwrap_or_default();
            let zeros = ahead.iter().take_while(|&&byte| byte == 0).count();
            self.at += zeros;
            match self.input.get(self.at..self.end).unwrap_or_default().first() {
                None if self.ended => return Ok(false),
                None => {}
                Some(&MAGIC) => break,
                Some(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "followed by what is no xz")),
            }
        }
        self.decoder = XzStream::new_mem_limit(false, self.most_kib);
        (self.drained, self.is_between) = (false, false);
        Ok(true)
    }
}

impl Read for XzStreams {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(STEP);
        let into = into.get_mut(..most).unwrap_or_default();
        while !into.is_empty() {
            if self.is_between && !self.advance()? {
                return Ok(0);
            }
            self.refill()?;
            let input = self.input.get(self.at..self.end).unwrap_or_default();
            let action = if self.drained { Action::Finish } else { Action::Run };
            let result = self.decoder.process(input, into, action)?;
            self.at += result.bytes_consumed;
            self.is_between = result.status == Status::StreamEnd;
            if result.bytes_produced > 0 {
                return Ok(result.bytes_produced);
            }
            if self.drained && !self.is_between {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.drained = self.ended;
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};

    /// Bytes that compress some fifty times, so that one chunk holds all of them.
    fn plain() -> Vec<u8> {
        (0..40_000u32).flat_map(|n| (n / 50).wrapping_mul(2_654_435_761).to_be_bytes()).collect()
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: Vec<u8>) -> (Vec<u8>, Option<io::ErrorKind>) {
        let mut out = Vec::new();
        let ended = XzStreams::new(Box::new(Cursor::new(bytes)), 68 << 10).read_to_end(&mut out);
        (out, ended.err().map(|error| error.kind()))
    }

    #[test]
    fn streams_follow_each_other_with_padding_between() {
        let both = [&packed(&plain())[..], &[0; 8], &packed(b"more")].concat();
        assert!(read(both.clone()) == ([&plain()[..], b"more"].concat(), None));
        let behind = [&both[..], &[0; 4], b"garbage!"].concat();
        assert!(read(behind) == ([&plain()[..], b"more"].concat(), Some(io::ErrorKind::InvalidData)));
    }

    #[test]
    fn a_chunk_that_is_cut_gives_what_came_before_the_cut() {
        let (plain, packed) = (plain(), packed(&plain()));
        for parts in 1..20 {
            let (out, error) = read(packed[..packed.len() * parts / 20].to_vec());
            assert!(plain.starts_with(&out) && error == Some(io::ErrorKind::UnexpectedEof), "{parts}");
            assert!(out.len() + plain.len() / 10 > plain.len() * parts / 20, "{parts}: {}", out.len());
        }
    }
}
