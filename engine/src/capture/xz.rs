//! xz streams one after the other, on the decoder of `lzma-rust2` that takes its input in pieces: its reader waits for a
//! whole chunk of LZMA2, up to 64 KiB that become 2 MiB, and of a stream that is cut within one gives nothing of it.

use super::source::Stream;
use lzma_rust2::{Action, Status, XzStream};
use std::io::{self, Read};

/// Compressed bytes read at a time.
const CHUNK: usize = 64 << 10;

/// The bytes of all streams, each as soon as it can be known.
pub struct XzStreams {
    stream: Stream,
    decoder: XzStream,
    input: Vec<u8>,
    /// What was read and not taken yet is `input[at..end]`.
    at: usize,
    end: usize,
    /// The compressed bytes were read to their end.
    ended: bool,
    /// The decoder has given what it could without being told so: telling it may lose that.
    drained: bool,
}

impl XzStreams {
    /// Reads the streams in `stream`, with no more memory than so many KiB.
    #[must_use]
    pub fn new(stream: Stream, most_kib: u32) -> Self {
        let decoder = XzStream::new_mem_limit(true, most_kib);
        XzStreams { stream, decoder, input: vec![0; CHUNK], at: 0, end: 0, ended: false, drained: false }
    }

    /// Reads on where everything was taken.
    fn refill(&mut self) -> io::Result<()> {
        if self.at == self.end && !self.ended {
            (self.at, self.end) = (0, self.stream.read(&mut self.input)?);
            self.ended = self.end == 0;
        }
        Ok(())
    }
}

impl Read for XzStreams {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !into.is_empty() {
            self.refill()?;
            let input = self.input.get(self.at..self.end).unwrap_or_default();
            let action = if self.drained { Action::Finish } else { Action::Run };
            let result = self.decoder.process(input, into, action)?;
            self.at += result.bytes_consumed;
            if result.bytes_produced > 0 || result.status == Status::StreamEnd {
                return Ok(result.bytes_produced);
            }
            if self.drained {
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
        assert!(read(both) == ([&plain()[..], b"more"].concat(), None));
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
