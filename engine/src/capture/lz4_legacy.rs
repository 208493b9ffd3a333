//! LZ4's legacy format (`lz4 -l`): a magic number, then blocks of 8 MiB, each behind its compressed length
//! (<https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>, "Legacy frame").

use super::lz4::{Watched, begins};
use super::lz4_torn::torn;
use std::io::{self, Read};

/// Bytes of a whole block.
const BLOCK: usize = 8 << 20;
/// The longest that a block of them can become (`LZ4_COMPRESSBOUND`).
const MOST_COMPRESSED: usize = BLOCK + BLOCK / 255 + 16;

/// The bytes of all blocks of a stream, which is cut in order only between two of them: nothing marks its end.
#[derive(Default)]
pub struct Blocks {
    compressed: Vec<u8>,
    plain: Vec<u8>,
    /// What was read is `plain[at..end]`.
    at: usize,
    end: usize,
    is_cut: bool,
}

impl Blocks {
    /// Decompresses the next block, or what there is of it; false at the end, which another stream may follow.
    fn next_block(&mut self, source: &mut Watched) -> io::Result<bool> {
        if self.is_cut {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(word) = source.word()? else { return Ok(false) };
        if begins(word) {
            source.put_back(word);
            return Ok(false);
        }
        let length = word as usize;
        if length > MOST_COMPRESSED {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("block of {length} bytes")));
        }
        self.compressed.clear();
        source.take(length as u64).read_to_end(&mut self.compressed)?;
        source.forget();
        self.is_cut = self.compressed.len() < length;
        self.at = 0;
        if self.is_cut {
            self.plain = torn(&self.compressed, &[], BLOCK);
            self.end = self.plain.len();
            return Ok(true);
        }
        self.plain.resize(BLOCK, 0);
        let decompressed = lz4_flex::block::decompress_into(&self.compressed, &mut self.plain);
        self.end = 0;
        self.end = decompressed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(true)
    }

    /// Reads on in `source`.
    pub fn read(&mut self, source: &mut Watched, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.end {
            if into.is_empty() || !self.next_block(source)? {
                return Ok(0);
            }
        }
        let read = self.plain.get(self.at..self.end).unwrap_or_default().read(into)?;
        self.at += read;
        Ok(read)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::lz4::Lz4Streams;
    use super::*;
    use std::io::Cursor;

    /// As `lz4 -l` writes them.
    pub fn stream(blocks: &[&[u8]]) -> Vec<u8> {
        let mut out = 0x184c_2102_u32.to_le_bytes().to_vec();
        for block in blocks {
            let compressed = lz4_flex::block::compress(block);
            out.extend((compressed.len() as u32).to_le_bytes());
            out.extend(compressed);
        }
        out
    }

    fn read(bytes: Vec<u8>) -> (Vec<u8>, Option<io::ErrorKind>) {
        let mut out = Vec::new();
        let ended = Lz4Streams::new(Box::new(Cursor::new(bytes))).read_to_end(&mut out);
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
    fn what_is_cut_or_damaged_gives_what_was_there_before() {
        let text = super::super::lz4_torn::tests::lines(50_000);
        let whole = stream(&[b"first", &text]);
        let second = stream(&[b"first"]).len();
        for end in second + 1..whole.len() {
            let (out, error) = read(whole[..end].to_vec());
            assert!(out.strip_prefix(b"first").is_some_and(|rest| text.starts_with(rest)), "{end}");
            assert!(out.len() + 3000 > text.len() * (end - second) / (whole.len() - second), "{end}");
            assert_eq!(error, Some(io::ErrorKind::UnexpectedEof), "{end}");
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
