//! The two forms of a connection at rest, each written and read value by value.

use super::{HttpMarks, Packed, walk};
use crate::tcp::connection::Connection;
use crate::tcp::payload::Payload;

/// Takes each value, or gives it back: what comes out is what went in.
pub(super) trait Tape {
    /// Whether it gives.
    const READS: bool;
    /// A yes or no.
    fn bit(&mut self, value: bool) -> bool;
    /// A time that is kept, ns.
    fn time(&mut self, value: u64) -> u64;
    /// A packet's place that is kept, as packets after another.
    fn place(&mut self, value: u64) -> u64;
    /// 32 bits that are kept.
    fn word(&mut self, value: u32) -> u32;
    /// A small number that is kept.
    fn short(&mut self, value: u64) -> u64;
    /// How far something is from what it is expected to be: nearly always 0.
    fn odd(&mut self, value: u64) -> u64;
}

/// Where the next value of each kind goes.
#[derive(Default)]
struct Next {
    bit: u32,
    time: usize,
    place: usize,
    word: usize,
    short: usize,
}

fn advance(at: &mut usize) -> usize {
    let before = *at;
    *at += 1;
    before
}

#[inline]
fn read<N: Copy + Default>(places: &[N], at: usize) -> N {
    places.get(at).copied().unwrap_or_default()
}

/// Writes the fixed places; that nothing is odd is looked at unless it is `SURE`.
pub(super) struct ShortWriter<'a, const SURE: bool> {
    into: &'a mut Packed,
    next: Next,
    bits: u32,
    /// Not 0 once something did not fit.
    excess: u64,
}

impl<'a, const SURE: bool> ShortWriter<'a, SURE> {
    pub(super) fn new(into: &'a mut Packed) -> Self {
        ShortWriter { into, next: Next::default(), bits: 0, excess: 0 }
    }

    /// Whether everything fitted.
    pub(super) fn finish(self) -> bool {
        self.into.bits = self.bits;
        self.excess == 0
    }
}

impl<const SURE: bool> Tape for ShortWriter<'_, SURE> {
    const READS: bool = false;

    #[inline]
    fn bit(&mut self, value: bool) -> bool {
        self.bits |= u32::from(value) << self.next.bit;
        self.next.bit += 1;
        value
    }
    #[inline]
    fn time(&mut self, value: u64) -> u64 {
        let at = advance(&mut self.next.time);
        let (low, high) = &mut self.into.times;
        if let (Some(low), Some(high)) = (low.get_mut(at), high.get_mut(at)) {
            (*low, *high) = (value as u32, (value >> 32) as u8);
        }
        self.excess |= value >> 40;
        value
    }
    #[inline]
    fn place(&mut self, value: u64) -> u64 {
        let at = advance(&mut self.next.place);
        let (low, high) = &mut self.into.places;
        if let (Some(low), Some(high)) = (low.get_mut(at), high.get_mut(at)) {
            (*low, *high) = (value as u16, (value >> 16) as u8);
        }
        self.excess |= value >> 24;
        value
    }
    #[inline]
    fn word(&mut self, value: u32) -> u32 {
        if let Some(word) = self.into.words.get_mut(advance(&mut self.next.word)) {
            *word = value;
        }
        value
    }
    #[inline]
    fn short(&mut self, value: u64) -> u64 {
        if let Some(short) = self.into.shorts.get_mut(advance(&mut self.next.short)) {
            *short = value as u16;
        }
        self.excess |= value >> 16;
        value
    }
    #[inline]
    fn odd(&mut self, value: u64) -> u64 {
        if !SURE {
            self.excess |= value;
        }
        value
    }
}

/// Reads the fixed places.
pub(super) struct ShortReader<'a> {
    from: &'a Packed,
    next: Next,
}

impl<'a> ShortReader<'a> {
    pub(super) fn new(from: &'a Packed) -> Self {
        ShortReader { from, next: Next::default() }
    }
}

impl Tape for ShortReader<'_> {
    const READS: bool = true;

    #[inline]
    fn bit(&mut self, _: bool) -> bool {
        let value = self.from.bits >> self.next.bit & 1 == 1;
        self.next.bit += 1;
        value
    }
    #[inline]
    fn time(&mut self, _: u64) -> u64 {
        let at = advance(&mut self.next.time);
        let (low, high) = &self.from.times;
        u64::from(read(high, at)) << 32 | u64::from(read(low, at))
    }
    #[inline]
    fn place(&mut self, _: u64) -> u64 {
        let at = advance(&mut self.next.place);
        let (low, high) = &self.from.places;
        u64::from(read(high, at)) << 16 | u64::from(read(low, at))
    }
    #[inline]
    fn word(&mut self, _: u32) -> u32 {
        read(&self.from.words, advance(&mut self.next.word))
    }
    #[inline]
    fn short(&mut self, _: u64) -> u64 {
        u64::from(read(&self.from.shorts, advance(&mut self.next.short)))
    }
    #[inline]
    fn odd(&mut self, _: u64) -> u64 {
        0
    }
}

/// Writes every value as bytes of seven bits (LEB128, small negative ones small), but for the bits.
pub(super) struct LongWriter(Vec<u8>);

impl LongWriter {
    #[cold]
    pub(super) fn write<P: Payload>(connection: &mut Connection<P>, marks: &mut HttpMarks) -> Box<[u8]> {
        let mut writer = LongWriter(Vec::with_capacity(256));
        walk(connection, marks, &mut writer);
        writer.0.into_boxed_slice()
    }

    fn put(&mut self, value: u64) -> u64 {
        let signed = value as i64;
        let mut rest = (signed << 1 ^ signed >> 63) as u64;
        while rest >= 0x80 {
            self.0.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
        value
    }
}

impl Tape for LongWriter {
    const READS: bool = false;

    fn bit(&mut self, value: bool) -> bool {
        value
    }
    fn time(&mut self, value: u64) -> u64 {
        self.put(value)
    }
    fn place(&mut self, value: u64) -> u64 {
        self.put(value)
    }
    fn word(&mut self, value: u32) -> u32 {
        self.put(u64::from(value)) as u32
    }
    fn short(&mut self, value: u64) -> u64 {
        self.put(value)
    }
    fn odd(&mut self, value: u64) -> u64 {
        self.put(value)
    }
}

/// Reads them again.
pub(super) struct LongReader<'a> {
    bits: u32,
    bytes: std::slice::Iter<'a, u8>,
}

impl<'a> LongReader<'a> {
    pub(super) fn new(bits: u32, bytes: &'a [u8]) -> Self {
        LongReader { bits, bytes: bytes.iter() }
    }

    fn get(&mut self) -> u64 {
        let (mut value, mut shift) = (0_u64, 0);
        for &byte in self.bytes.by_ref() {
            value |= u64::from(byte & 0x7f) << shift;
            shift = (shift + 7).min(63);
            if byte < 0x80 {
                break;
            }
        }
        (value >> 1) ^ (value & 1).wrapping_neg()
    }
}

impl Tape for LongReader<'_> {
    const READS: bool = true;

    fn bit(&mut self, _: bool) -> bool {
        let value = self.bits & 1 == 1;
        self.bits >>= 1;
        value
    }
    fn time(&mut self, _: u64) -> u64 {
        self.get()
    }
    fn place(&mut self, _: u64) -> u64 {
        self.get()
    }
    fn word(&mut self, _: u32) -> u32 {
        self.get() as u32
    }
    fn short(&mut self, _: u64) -> u64 {
        self.get()
    }
    fn odd(&mut self, _: u64) -> u64 {
        self.get()
    }
}
