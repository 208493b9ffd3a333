//! gzip members one after the other (RFC 1952 §2.2), and zeros behind them, which tapes and copies of whole blocks leave.

use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, Read};

/// A member's first byte.
const MAGIC: u8 = 0x1f;

/// The bytes of all members.
pub struct GzipMembers {
    member: GzDecoder<Box<dyn BufRead + Send>>,
}

impl GzipMembers {
    /// Reads the members in `stream`.
    #[must_use]
    pub fn new(stream: Box<dyn BufRead + Send>) -> Self {
        GzipMembers { member: GzDecoder::new(stream) }
    }

    /// Goes to the next member; false if there is none.
    fn advance(&mut self) -> io::Result<bool> {
        let stream = self.member.get_mut();
        loop {
            let ahead = stream.fill_buf()?;
            let zeros = ahead.iter().take_while(|&&byte| byte == 0).count();
            match ahead.get(zeros) {
                None if zeros == 0 => return Ok(false),
                None => stream.consume(zeros),
                Some(&MAGIC) => {
                    stream.consume(zeros);
                    break;
                }
                Some(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "followed by what is no gzip")),
            }
        }
        let stream = std::mem::replace(stream, Box::new(io::empty()));
        self.member = GzDecoder::new(stream);
        Ok(true)
    }
}

impl Read for GzipMembers {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.member.read(into)?;
            if read > 0 || into.is_empty() || !self.advance()? {
                return Ok(read);
            }
        }
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
}
