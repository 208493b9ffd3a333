//! What there is in an LZ4 block of which the end is missing
//! (<https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md>).
//!
//! A block is a row of sequences: literals, then a copy of what came before. It may have megabytes, and decompressors want
//! all of it. Any beginning of the row is a block, too, if literals end it.

/// How far back a copy may reach.
pub const WINDOW: usize = 64 << 10;
/// In a sequence's first byte, and in those behind it that go on with a length.
const LONG: usize = 15;
const LONGER: u8 = 255;
/// The distance of a copy.
const DISTANCE: usize = 2;

/// As much as can be known of a block, of `most` bytes at most, of which this is the beginning; `before` is what came
/// before it, where it refers to that.
pub fn torn(block: &[u8], before: &[u8], most: usize) -> Vec<u8> {
    let mut plain = vec![0; most];
    let length = lz4_flex::block::decompress_into_with_dict(&beginning(block), &mut plain, before);
    plain.truncate(length.unwrap_or_default());
    plain
}

/// The longest beginning that is a block: whole sequences, and the literals of the next.
fn beginning(block: &[u8]) -> Vec<u8> {
    let (mut at, mut literals) = (0, &block[..0]);
    while let Some(sequence) = Sequence::parse(block.get(at..).unwrap_or_default()) {
        literals = sequence.literals;
        let Some(length) = sequence.length else { break };
        literals = &[];
        at += length;
    }
    let mut out = block.get(..at).unwrap_or_default().to_vec();
    put_literals(&mut out, literals);
    out
}

/// A sequence, as far as it is there.
struct Sequence<'a> {
    literals: &'a [u8],
    /// Its bytes, where all are there.
    length: Option<usize>,
}

impl<'a> Sequence<'a> {
    /// None where not even the length of its literals is there.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (&token, mut rest) = bytes.split_first()?;
        let count = length(usize::from(token >> 4), &mut rest)?;
        let Some((literals, behind)) = rest.split_at_checked(count) else {
            return Some(Sequence { literals: rest, length: None });
        };
        let mut end = behind.get(DISTANCE..);
        let is_whole = end.as_mut().is_some_and(|rest| length(usize::from(token) & LONG, rest).is_some());
        let length = end.filter(|_| is_whole).map(|rest| bytes.len() - rest.len());
        Some(Sequence { literals, length })
    }
}

/// A length that begins so and may go on; none where it is cut.
fn length(begun: usize, rest: &mut &[u8]) -> Option<usize> {
    let mut length = begun;
    let mut goes_on = begun == LONG;
    while goes_on {
        let (&more, behind) = rest.split_first()?;
        length = length.saturating_add(usize::from(more));
        goes_on = more == LONGER;
        *rest = behind;
    }
    Some(length)
}

/// The sequence that ends a block.
fn put_literals(out: &mut Vec<u8>, literals: &[u8]) {
    let count = literals.len();
    out.push((count.min(LONG) as u8) << 4);
    if let Some(more) = count.checked_sub(LONG) {
        out.resize(out.len() + more / usize::from(LONGER), LONGER);
        out.push((more % usize::from(LONGER)) as u8);
    }
    out.extend_from_slice(literals);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lines alike but for their numbers.
    pub fn lines(length: usize) -> Vec<u8> {
        let line = |n: u32| format!("packet {} of {} with some words to copy\n", n.wrapping_mul(2_654_435_761), n % 97);
        (0..).flat_map(|n| line(n).into_bytes()).take(length).collect()
    }

    #[test]
    fn a_block_cut_anywhere_gives_a_beginning_without_what_was_cut_alone() {
        let incompressible: Vec<u8> = (0..5000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for plain in [lines(20_000), incompressible, vec![7; 9000], Vec::new()] {
            let block = lz4_flex::block::compress(&plain);
            let mut known = 0;
            for end in 0..=block.len() {
                let found = torn(&block[..end], &[], 32_000);
                assert!(plain.starts_with(&found), "{end}");
                assert!(found.len() >= known, "{end}: what was known stays known");
                known = found.len();
            }
            assert_eq!(known, plain.len());
        }
    }

    proptest! {
        /// Whatever the bytes say it ends, and gives no more than there may be.
        #[test]
        fn any_bytes_give_something_bounded(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(torn(&bytes, &[1; 100], 2000).len() <= 2000);
        }
    }
}
