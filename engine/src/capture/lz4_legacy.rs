//! LZ4's legacy format (`lz4 -l`): a magic number, then blocks of 8 MiB, each behind its compressed length
//! (<https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>, "Legacy frame").

use super::source::Stream;
use std::io::{self, Read};

/// What begins a stream, and may begin the next one behind it.
const MAGIC: u32 = 0x184c_2102;
/// Bytes of a whole block.
const BLOCK: usize = 8 << 20;
/// The longest that a block of them can become (`LZ4_COMPRESSBOUND`).
const MOST_COMPRESSED: usize = BLOCK + BLOCK / 255 + 16;

/// The bytes of all blocks of a stream, which is cut in order only between two of them: nothing marks its end.
pub struct Lz4Blocks {
    stream: Stream,
    compressed: Vec<u8>,
    plain: Vec<u8>,
    /// What was read is `plain[at..end]`.
    at: usize,
    end: usize,
}

impl Lz4Blocks {
    /// Reads the blocks in `stream`.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        Lz4Blocks { stream, compressed: Vec::new(), plain: Vec::new(), at: 0, end: 0 }
    }

    /// The next four bytes as a number; `None` at the end of the stream.
    fn word(&mut self) -> io::Result<Option<u32>> {
        let mut bytes = Vec::with_capacity(4);
        self.stream.by_ref().take(4).read_to_end(&mut bytes)?;
        match bytes.first_chunk() {
            Some(word) => Ok(Some(u32::from_le_bytes(*word))),
            None if bytes.is_empty() => Ok(None),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Decompresses the next block; false at the end.
    fn next_block(&mut self) -> io::Result<bool> {
        let length = loop {
            match self.word()? {
                None => return Ok(false),
                Some(MAGIC) => {}
                Some(length) => break length as usize,
            }
        };
        if length > MOST_COMPRESSED {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("block of {length} bytes")));
        }
        self.compressed.resize(length, 0);
        self.stream.read_exact(&mut self.compressed)?;
        self.plain.resize(BLOCK, 0);
        let decompressed = lz4_flex::block::decompress_into(&self.compressed, &mut self.plain);
        (self.at, self.end) = (0, decompressed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?);
        Ok(true)
    }
}

impl Read for Lz4Blocks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.end {
            if into.is_empty() || !self.next_block()? {
                return Ok(0);
            }
        }
        let read = self.plain.get(self.at..self.end).unwrap_or_default().read(into)?;
        self.at += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// As `lz4 -l` writes them.
    fn stream(blocks: &[&[u8]]) -> Vec<u8> {
        let mut out = MAGIC.to_le_bytes().to_vec();
        for block in blocks {
            let compressed = lz4_flex::block::compress(block);
            out.extend((compressed.len() as u32).to_le_bytes());
            out.extend(compressed);
        }
        out
    }

    fn read(bytes: Vec<u8>) -> (Vec<u8>, Option<io::ErrorKind>) {
        let mut out = Vec::new();
        let ended = Lz4Blocks::new(Box::new(Cursor::new(bytes))).read_to_end(&mut out);
        (out, ended.err().map(|error| error.kind()))
    }

    #[test]
    fn blocks_and_streams_follow_each_other() {
        let large: Vec<u8> = (0..BLOCK as u32).map(|n| (n.wrapping_mul(n) >> 9) as u8).collect();
        let both = [stream(&[&large, b"tail"]), stream(&[b"more"])].concat();
        assert!(read(both) == ([&large[..], b"tail", b"more"].concat(), None));
        assert_eq!(read(stream(&[])), (Vec::new(), None));
    }

    #[test]
    fn what_is_cut_or_damaged_gives_the_blocks_before_it() {
        let whole = stream(&[b"first", &[9; 5000]]);
        let second = stream(&[b"first"]).len();
        for end in second + 1..whole.len() {
            assert_eq!(read(whole[..end].to_vec()), (b"first".to_vec(), Some(io::ErrorKind::UnexpectedEof)), "{end}");
        }
        let mut long = stream(&[b"first"]);
        long.extend(u32::MAX.to_le_bytes());
        assert_eq!(read(long), (b"first".to_vec(), Some(io::ErrorKind::InvalidData)));
        let mut expands = stream(&[]);
        let bomb = lz4_flex::block::compress(&vec![0; BLOCK + 1]);
        expands.extend((bomb.len() as u32).to_le_bytes());
        expands.extend(bomb);
        assert_eq!(read(expands), (Vec::new(), Some(io::ErrorKind::InvalidData)), "more than a block may hold");
    }
}
