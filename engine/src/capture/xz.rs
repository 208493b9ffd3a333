//! xz streams one after the other, on the decoder of `lzma-rust2` that takes its input in pieces: its reader waits for a
//! whole chunk of LZMA2, up to 64 KiB that become 2 MiB, and of a stream that is cut within one gives nothing of it.

use super::source::Stream;
use lzma_rust2::{Action, Status, XzStream};
use std::io::{self, Read};

/// Compressed bytes read at a time.
const CHUNK: usize = 64 << 10;

/// Compressed bytes given to the decoder at a time: what it had made of those in which it meets damage is lost. So few
/// cost 2 to 6 % of its time.
const PIECE: usize = 16;
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
    /// What ended them, to be said once what came before it was given.
    failed: Option<io::Error>,
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
            failed: None,
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

    /// Decodes one piece, of which nothing may come yet; `None` at the end.
    fn step(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        if self.is_between && !self.advance()? {
            return Ok(None);
        }
        self.refill()?;
        let piece = self.input.get(self.at..self.end.min(self.at + PIECE)).unwrap_or_default();
        let action = if self.drained { Action::Finish } else { Action::Run };
        let before = self.decoder.total_out();
        let result = match self.decoder.process(piece, into, action) {
            Ok(result) => result,
            Err(error) => {
                self.failed = Some(error);
                return Ok(Some((self.decoder.total_out() - before) as usize));
            }
        };
        self.at += result.bytes_consumed;
        self.is_between = result.status == Status::StreamEnd;
        if result.bytes_produced == 0 {
            if self.drained && !self.is_between {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.drained = self.ended;
        }
        Ok(Some(result.bytes_produced))
    }
}

impl Read for XzStreams {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut given = 0;
        while let Some(room) = into.get_mut(given..).filter(|room| !room.is_empty()) {
            // What there is does not wait for what is still to come.
            if self.failed.is_some() || (given > 0 && self.at == self.end) {
                break;
            }
            match self.step(room) {
                Ok(Some(count)) => given += count,
                Ok(None) => break,
                Err(error) => self.failed = Some(error),
            }
        }
        match self.failed.take_if(|_| given == 0) {
            Some(error) => Err(error),
            None => Ok(given),
        }
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

    /// Of `bytes`, given to the decoder one by one, what came out before it said that they are damaged.
    fn one_by_one(bytes: &[u8]) -> Vec<u8> {
        let (mut decoder, mut out, mut at) = (XzStream::new_mem_limit(false, 68 << 10), Vec::new(), 0);
        let mut room = [0; 4096];
        while let Some(byte) = bytes.get(at..(at + 1).min(bytes.len())) {
            let Ok(result) = decoder.process(byte, &mut room, Action::Run) else { break };
            out.extend_from_slice(&room[..result.bytes_produced]);
            at += result.bytes_consumed;
            if result.status == Status::StreamEnd || byte.is_empty() && result.bytes_produced == 0 {
                break;
            }
        }
        out
    }

    #[test]
    fn of_a_damaged_stream_all_is_given_but_what_its_last_bytes_held() {
        let noise: Vec<u8> =
            (0..60_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 ^ (n / 7) as u8).collect();
        for plain in [plain(), noise] {
            let whole = packed(&plain);
            for parts in 1..20 {
                let at = whole.len() * parts / 20;
                let mut flipped = whole.clone();
                flipped[at] ^= 0x10;
                let mut zeros = whole.clone();
                zeros[at..].fill(0);
                for (what, damaged) in [("flipped", flipped), ("zeros", zeros)] {
                    let (out, error) = read(damaged.clone());
                    let most = one_by_one(&damaged);
                    assert!(error.is_some() && most.starts_with(&out), "{what} {parts}");
                    // One of its bytes holds fifty.
                    assert!(out.len() + 50 * 2 * PIECE > most.len(), "{what} {parts}: {} of {}", out.len(), most.len());
                }
            }
        }
    }
}
