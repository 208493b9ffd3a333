//! Two of Parquet's encodings: runs and bits for small numbers, differences for large ones.

use super::thrift::{varint, zigzag};

/// Values that are packed together.
const GROUP: usize = 8;
/// Differences in a block, and the parts of a block that have a width each.
const BLOCK: usize = 128;
const PARTS: usize = 4;
const PART: usize = BLOCK / PARTS;

/// Bits that the largest of so many codes takes; one at least, as readers of a width of 0 differ.
#[must_use]
pub fn width_of(codes: usize) -> u32 {
    (usize::BITS - codes.saturating_sub(1).leading_zeros()).max(1)
}

/// The RLE / bit-packing hybrid: values below 2^`width` (1 to 16) as runs of at least eight, what lies between as bits.
pub fn hybrid(values: &[u16], width: u32, out: &mut Vec<u8>) {
    let (mut packed_from, mut at) = (0, 0);
    while let Some(&value) = values.get(at) {
        let run = values[at..].iter().take_while(|&&other| other == value).count();
        if run >= GROUP {
            pack(&values[packed_from..at], width, out);
            varint(out, (run as u64) << 1);
            out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
            at += run;
            packed_from = at;
        } else {
            // Only the last group may be filled up.
            at = (at + GROUP).min(values.len());
        }
    }
    pack(&values[packed_from..], width, out);
}

fn pack(values: &[u16], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    varint(out, (values.len().div_ceil(GROUP) as u64) << 1 | 1);
    for group in values.chunks(GROUP) {
        let bits = group.iter().rev().fold(0_u128, |bits, &value| bits << width | u128::from(value));
        out.extend_from_slice(&bits.to_le_bytes()[..width as usize]);
    }
}

/// `DELTA_BINARY_PACKED`: the first value, then differences in as few bits as each 32 of them need.
pub fn deltas(values: &[i64], out: &mut Vec<u8>) {
    varint(out, BLOCK as u64);
    varint(out, PARTS as u64);
    varint(out, values.len() as u64);
    zigzag(out, values.first().copied().unwrap_or(0));
    let mut block = [0_i64; BLOCK];
    for ends in values.windows(BLOCK + 1).step_by(BLOCK) {
        write_block(ends, &mut block, out);
    }
    let whole = values.len().saturating_sub(1) / BLOCK * BLOCK;
    if let Some(ends) = values.get(whole..).filter(|ends| ends.len() > 1) {
        write_block(ends, &mut block, out);
    }
}

/// The differences between neighbours of `ends`.
fn write_block(ends: &[i64], block: &mut [i64; BLOCK], out: &mut Vec<u8>) {
    let len = ends.len() - 1;
    let mut least = i64::MAX;
    for (slot, pair) in block.iter_mut().zip(ends.windows(2)) {
        *slot = pair[1].wrapping_sub(pair[0]);
        least = least.min(*slot);
    }
    zigzag(out, least);
    let widths = out.len();
    out.extend_from_slice(&[0; PARTS]);
    let parts = block[..len].chunks(PART);
    for (number, part) in parts.enumerate() {
        let over = |difference: &i64| difference.wrapping_sub(least) as u64;
        let width = 64 - part.iter().fold(0, |all, one| all | over(one)).leading_zeros();
        out[widths + number] = width as u8;
        let mut bits = Bits { out, held: 0, count: 0 };
        part.iter().for_each(|one| bits.push(over(one), width));
        // The last part is filled up.
        (part.len()..PART).for_each(|_| bits.push(0, width));
    }
}

/// Bits that have not made eight bytes yet.
struct Bits<'o> {
    out: &'o mut Vec<u8>,
    held: u128,
    count: u32,
}

impl Bits<'_> {
    #[inline]
    fn push(&mut self, value: u64, width: u32) {
        self.held |= u128::from(value) << self.count;
        self.count += width;
        if self.count >= 64 {
            self.out.extend_from_slice(&(self.held as u64).to_le_bytes());
            self.held >>= 64;
            self.count -= 64;
        }
    }
}

/// A part is 32 values, so that what is left is whole bytes.
impl Drop for Bits<'_> {
    fn drop(&mut self) {
        self.out.extend_from_slice(&self.held.to_le_bytes()[..self.count as usize / 8]);
    }
}
