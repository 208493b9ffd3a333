//! gzip members one after the other (RFC 1952 §2.2), and zeros behind them, which tapes and copies of whole blocks leave.

use flate2::{Crc, Decompress, FlushDecompress, Status};
use std::io::{self, BufRead, Read};

/// How a member begins: the magic number, and deflate.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// Flags: what follows the fixed part of a header.
const HAS_SUM: u8 = 0x02;
const HAS_EXTRA: u8 = 0x04;
const HAS_NAME: u8 = 0x08;
const HAS_COMMENT: u8 = 0x10;

/// Where a reader stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Body,
    Trailer,
    Between,
}

/// The bytes of all members. Not by `flate2`'s own reader, which of a call that meets damage gives nothing, nor in zlib's
/// own gzip mode, which was slower where measured.
pub struct GzipMembers {
    stream: Box<dyn BufRead + Send>,
    member: Decompress,
    sum: Crc,
    state: State,
    /// What ended them, to be said once what came before it was given.
    failed: Option<io::Error>,
}

impl GzipMembers {
    /// Reads the members in `stream`.
    #[must_use]
    pub fn new(stream: Box<dyn BufRead + Send>) -> Self {
        let (member, sum) = (Decompress::new(false), Crc::new());
        GzipMembers { stream, member, sum, state: State::Header, failed: None }
    }

    /// Goes to the next member; false if there is none.
    fn advance(&mut self) -> io::Result<bool> {
        loop {
            let ahead = self.stream.fill_buf()?;
            let zeros = ahead.iter().take_while(|&&byte| byte == 0).count();
            match ahead.get(zeros) {
                None if zeros == 0 => return Ok(false),
                None => self.stream.consume(zeros),
                Some(first) if *first == MAGIC[0] => {
                    self.stream.consume(zeros);
                    break;
                }
                Some(_) => return Err(damaged("followed by what is no gzip")),
            }
        }
        (self.member, self.sum) = (Decompress::new(false), Crc::new());
        Ok(true)
    }

    fn take<const COUNT: usize>(&mut self) -> io::Result<[u8; COUNT]> {
        let mut bytes = [0; COUNT];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Passes over a header.
    fn header(&mut self) -> io::Result<()> {
        let [first, second, method, flags, ..] = self.take::<10>()?;
        if [first, second, method] != MAGIC {
            return Err(damaged("no gzip header"));
        }
        if flags & HAS_EXTRA != 0 {
            let length = u16::from_le_bytes(self.take()?);
            self.pass_over(u64::from(length))?;
        }
        for text in [HAS_NAME, HAS_COMMENT] {
            while flags & text != 0 && self.take()? != [0] {}
        }
        if flags & HAS_SUM != 0 { self.pass_over(2) } else { Ok(()) }
    }

    fn pass_over(&mut self, length: u64) -> io::Result<()> {
        let passed = io::copy(&mut self.stream.by_ref().take(length), &mut io::sink())?;
        if passed == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// What comes of the bytes that are there, perhaps nothing yet.
    fn body(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let ahead = self.stream.fill_buf()?;
        let is_end = ahead.is_empty();
        let flush = if is_end { FlushDecompress::Finish } else { FlushDecompress::None };
        let (total_in, total_out) = (self.member.total_in(), self.member.total_out());
        let result = self.member.decompress(ahead, into, flush);
        let taken = (self.member.total_in() - total_in) as usize;
        let given = (self.member.total_out() - total_out) as usize;
        self.stream.consume(taken);
        self.sum.update(into.get(..given).unwrap_or_default());
        match result {
            Ok(Status::StreamEnd) => self.state = State::Trailer,
            Ok(_) if given > 0 || taken > 0 => {}
            Ok(_) if is_end => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Err(damaged("the decompressor stands still")),
            Err(error) => self.failed = Some(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
        Ok(given)
    }

    /// Holds what was given to the sum and the length behind it.
    fn trailer(&mut self) -> io::Result<()> {
        let sum = u32::from_le_bytes(self.take()?);
        let length = u32::from_le_bytes(self.take()?);
        if sum == self.sum.sum() && length == self.sum.amount() {
            Ok(())
        } else {
            Err(damaged("its checksum does not fit"))
        }
    }
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl Read for GzipMembers {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !into.is_empty() {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            match self.state {
                State::Header => {
                    self.header()?;
                    self.state = State::Body;
                }
                State::Body => {
                    let given = self.body(into)?;
                    if given > 0 {
                        return Ok(given);
                    }
                }
                State::Trailer => {
                    self.trailer()?;
                    self.state = State::Between;
                }
                State::Between => {
                    if !self.advance()? {
                        return Ok(0);
                    }
                    self.state = State::Header;
                }
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Through a buffer so small that it ends anywhere.
    fn read(bytes: Vec<u8>) -> (Vec<u8>, Option<io::ErrorKind>) {
        let mut out = Vec::new();
        let buffered = io::BufReader::with_capacity(3, io::Cursor::new(bytes));
        let ended = GzipMembers::new(Box::new(buffered)).read_to_end(&mut out);
        (out, ended.err().map(|error| error.kind()))
    }

    #[test]
    fn zeros_between_members_and_behind_them_are_passed_over() {
        let [one, none, more] = [packed(b"one "), packed(b""), packed(b"more")];
        let all = [&one[..], &none, &[0; 512], &more, &[0; 513]].concat();
        assert_eq!(read(all.clone()), (b"one more".to_vec(), None));
        let behind = [&all[..], b"garbage"].concat();
        assert_eq!(read(behind), (b"one more".to_vec(), Some(io::ErrorKind::InvalidData)));
        let cut = [&one[..], &more[..more.len() - 1]].concat();
        assert_eq!(read(cut), (b"one more".to_vec(), Some(io::ErrorKind::UnexpectedEof)));
    }

    /// What comes out before the damage is met.
    fn byte_by_byte(bytes: &[u8]) -> Vec<u8> {
        let (mut member, mut out) = (Decompress::new(false), vec![0; 1 << 14]);
        for byte in bytes[10..].chunks(1) {
            let given = member.total_out() as usize;
            if member.decompress(byte, &mut out[given..], FlushDecompress::None).is_err() {
                break;
            }
        }
        out.truncate(member.total_out() as usize);
        out
    }

    fn read_at_once(bytes: Vec<u8>) -> (Vec<u8>, Option<io::ErrorKind>) {
        let (mut out, mut members) = (vec![0; 1 << 14], GzipMembers::new(Box::new(io::Cursor::new(bytes))));
        let given = members.read(&mut out).unwrap();
        out.truncate(given);
        (out, members.read(&mut [0]).err().map(|error| error.kind()))
    }

    #[test]
    fn of_a_damaged_member_all_is_given_that_precedes_the_damage() {
        let mut state = 7u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let plain: Vec<u8> = std::iter::repeat_with(next).take(9000).collect();
        let whole = packed(&plain);
        for at in (100..whole.len() - 8).step_by(500) {
            let mut damaged = whole.clone();
            damaged[at..].fill(0xff);
            let most = byte_by_byte(&damaged);
            let (out, error) = read_at_once(damaged);
            assert!(out == most && error.is_some(), "{at}: {} of {}", out.len(), most.len());
            // What does not compress takes about as much in it.
            assert!(out.iter().zip(&plain).take_while(|(a, b)| a == b).count() + 300 > at * 9 / 10, "{at}");
        }
        let mut wrong_sum = whole;
        let last = wrong_sum.len() - 6;
        wrong_sum[last] ^= 1;
        assert!(read(wrong_sum) == (plain, Some(io::ErrorKind::InvalidData)));
    }

    #[test]
    fn a_header_with_everything_is_passed_over() {
        let mut encoder = flate2::GzBuilder::new()
            .extra([7; 300])
            .filename("name")
            .comment("a comment")
            .write(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"bytes").unwrap();
        let whole = encoder.finish().unwrap();
        assert_eq!(read([&whole[..], &whole].concat()), (b"bytesbytes".to_vec(), None));
        for end in 3..whole.len() {
            assert_eq!(read(whole[..end].to_vec()).1, Some(io::ErrorKind::UnexpectedEof), "{end}");
        }
    }
}
