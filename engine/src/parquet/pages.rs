//! A column of a row group as pages: its dictionary, if it has one, then all its cells.

use super::cells::{Cells, Dictionary, Presence};
use super::encoding::{deltas, hybrid, width_of};
use super::thrift;
use std::io;

/// Bytes below which compressing gains nothing.
const WORTH_PRESSING: usize = 128;
/// The least that zstd does.
const LEVEL: i32 = 1;

/// The format's numbers.
const PLAIN: i32 = 0;
const RLE: i32 = 3;
const DELTA_BINARY_PACKED: i32 = 5;
const RLE_DICTIONARY: i32 = 8;
const DATA_PAGE: i32 = 0;
const DICTIONARY_PAGE: i32 = 2;
const UNCOMPRESSED: i32 = 0;
const ZSTD: i32 = 6;

/// What the footer tells of a column of a row group. Offsets count from the row group's first byte.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    pub(super) encodings: Vec<i32>,
    pub(super) codec: i32,
    pub(super) values: i64,
    pub(super) nulls: i64,
    pub(super) uncompressed: i64,
    pub(super) compressed: i64,
    pub(super) dictionary_at: Option<i64>,
    pub(super) data_at: i64,
    /// Least and most, where wanted.
    pub(super) range: Option<(i64, i64)>,
}

/// Makes pages of cells, with room that is used again.
pub struct Press {
    zstd: zstd::bulk::Compressor<'static>,
    levels: Vec<u16>,
    body: Vec<u8>,
    pressed: Vec<u8>,
}

impl Press {
    /// # Errors
    /// There is no memory for zstd.
    pub fn new() -> io::Result<Self> {
        let zstd = zstd::bulk::Compressor::new(LEVEL)?;
        Ok(Press { zstd, levels: Vec::new(), body: Vec::new(), pressed: Vec::new() })
    }

    /// Appends the cells' pages to `out`, which began with the row group. `ascends`: least and most are wanted.
    ///
    /// # Errors
    /// zstd's.
    pub fn write(&mut self, cells: &Cells, ascends: bool, out: &mut Vec<u8>) -> io::Result<Chunk> {
        let mut chunk = Chunk::default();
        self.body.clear();
        match cells {
            Cells::Texts(cells) => {
                chunk.codec = codec_of(&cells.codes, &cells.dictionary);
                let encoding = self.dictionary(&cells.dictionary, &mut chunk, out)?;
                self.presence(&cells.presence, &mut chunk);
                self.coded(&cells.codes, &cells.dictionary);
                self.data(encoding, chunk, out)
            }
            Cells::Lists(cells) => {
                chunk.codec = codec_of(&cells.codes, &cells.dictionary);
                let encoding = self.dictionary(&cells.dictionary, &mut chunk, out)?;
                self.leveled(1, &cells.repetition);
                self.leveled(2, &cells.definition);
                chunk.values = cells.definition.len() as i64;
                chunk.nulls = chunk.values - cells.codes.len() as i64;
                self.coded(&cells.codes, &cells.dictionary);
                self.data(encoding, chunk, out)
            }
            Cells::Ints(cells) => {
                self.presence(&cells.presence, &mut chunk);
                chunk.range = if ascends { least_and_most(&cells.values) } else { None };
                let encoding = if cells.values.is_empty() { PLAIN } else { DELTA_BINARY_PACKED };
                if encoding != PLAIN {
                    deltas(&cells.values, &mut self.body);
                }
                // There is no more to be had of them: zstd takes 3 % off an instant's differences.
                chunk.codec = UNCOMPRESSED;
                self.data(encoding, chunk, out)
            }
            Cells::Doubles(cells) => {
                self.presence(&cells.presence, &mut chunk);
                self.body.reserve(8 * cells.values.len());
                cells.values.iter().for_each(|value| self.body.extend_from_slice(&value.to_le_bytes()));
                chunk.codec = codec(self.body.len());
                self.data(PLAIN, chunk, out)
            }
            Cells::Bools(cells) => {
                self.presence(&cells.presence, &mut chunk);
                let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit));
                self.body.extend(cells.values.chunks(8).map(byte));
                chunk.codec = codec(self.body.len());
                self.data(PLAIN, chunk, out)
            }
        }
    }

    /// Levels up to 2^`width` - 1, with their length in front.
    fn leveled(&mut self, width: u32, levels: &[u16]) {
        let from = self.body.len();
        self.body.extend_from_slice(&[0; 4]);
        hybrid(levels, width, &mut self.body);
        let len = (self.body.len() - from - 4) as u32;
        self.body[from..from + 4].copy_from_slice(&len.to_le_bytes());
    }

    fn presence(&mut self, presence: &Presence, chunk: &mut Chunk) {
        let mut levels = std::mem::take(&mut self.levels);
        presence.levels(&mut levels);
        self.leveled(1, &levels);
        chunk.values = levels.len() as i64;
        chunk.nulls = levels.iter().filter(|&&level| level == 0).count() as i64;
        self.levels = levels;
    }

    fn coded(&mut self, codes: &[u16], dictionary: &Dictionary) {
        if !codes.is_empty() {
            let width = width_of(dictionary.len());
            self.body.push(width as u8);
            hybrid(codes, width, &mut self.body);
        }
    }

    /// The dictionary's page, if there is anything in it; the encoding of what follows.
    fn dictionary(&mut self, dictionary: &Dictionary, chunk: &mut Chunk, out: &mut Vec<u8>) -> io::Result<i32> {
        if dictionary.is_empty() {
            return Ok(PLAIN);
        }
        chunk.dictionary_at = Some(out.len() as i64);
        chunk.encodings.push(PLAIN);
        self.body.extend_from_slice(&dictionary.bytes);
        self.page(DICTIONARY_PAGE, dictionary.len() as i32, PLAIN, chunk, out)?;
        self.body.clear();
        Ok(RLE_DICTIONARY)
    }

    fn data(&mut self, encoding: i32, mut chunk: Chunk, out: &mut Vec<u8>) -> io::Result<Chunk> {
        chunk.data_at = out.len() as i64;
        if !chunk.encodings.contains(&encoding) {
            chunk.encodings.push(encoding);
        }
        chunk.encodings.push(RLE);
        self.page(DATA_PAGE, chunk.values as i32, encoding, &mut chunk, out)?;
        Ok(chunk)
    }

    /// A header and what is in `body`.
    fn page(&mut self, kind: i32, values: i32, encoding: i32, chunk: &mut Chunk, out: &mut Vec<u8>) -> io::Result<()> {
        let body = if chunk.codec == ZSTD {
            let most = zstd::zstd_safe::compress_bound(self.body.len());
            self.pressed.resize(self.pressed.len().max(most), 0);
            let len = self.zstd.compress_to_buffer(&self.body, &mut self.pressed[..])?;
            &self.pressed[..len]
        } else {
            &self.body[..]
        };
        let from = out.len();
        thrift::write(out, |page| {
            page.i32(1, kind);
            page.i32(2, self.body.len() as i32);
            page.i32(3, body.len() as i32);
            if kind == DATA_PAGE {
                page.structure(5, |data| {
                    data.i32(1, values);
                    data.i32(2, encoding);
                    data.i32(3, RLE);
                    data.i32(4, RLE);
                });
            } else {
                page.structure(7, |dictionary| {
                    dictionary.i32(1, values);
                    dictionary.i32(2, encoding);
                });
            }
        });
        let header = (out.len() - from) as i64;
        out.extend_from_slice(body);
        chunk.uncompressed += header + self.body.len() as i64;
        chunk.compressed += header + body.len() as i64;
        Ok(())
    }
}

fn least_and_most(values: &[i64]) -> Option<(i64, i64)> {
    values.iter().copied().min().zip(values.iter().copied().max())
}

/// Codes that are all one are no bytes to speak of.
fn codec_of(codes: &[u16], dictionary: &Dictionary) -> i32 {
    codec(dictionary.bytes.len() + if dictionary.len() > 1 { codes.len() / 4 } else { 0 })
}

const fn codec(bytes: usize) -> i32 {
    if bytes < WORTH_PRESSING { UNCOMPRESSED } else { ZSTD }
}
