//! The encodings read back by readers that are written after the format's text, plainly. Whole files are read by pyarrow
//! in `tests/test_parquet.py`.

use super::encoding::{deltas, hybrid, width_of};
use super::*;
use proptest::prelude::*;

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().expect("a byte");
        self.0 = rest;
        first
    }

    fn varint(&mut self) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = self.byte();
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }

    fn zigzag(&mut self) -> i64 {
        let value = self.varint();
        (value >> 1) as i64 ^ -((value & 1) as i64)
    }

    /// Numbers of `width` bits, least bit first.
    fn bits(&mut self, count: usize, width: usize) -> Vec<u64> {
        let (bytes, rest) = self.0.split_at(count * width / 8);
        self.0 = rest;
        let bit = |at: usize| u64::from(bytes[at / 8] >> (at % 8) & 1);
        (0..count).map(|number| (0..width).map(|place| bit(number * width + place) << place).sum()).collect()
    }
}

fn read_hybrid(bytes: &[u8], width: usize, count: usize) -> Vec<u16> {
    let mut bytes = Bytes(bytes);
    let mut values = Vec::new();
    while values.len() < count {
        let header = bytes.varint();
        if header & 1 == 1 {
            values.extend(bytes.bits((header >> 1) as usize * 8, width).iter().map(|&value| value as u16));
        } else {
            let value: u16 = (0..width.div_ceil(8)).map(|place| u16::from(bytes.byte()) << (8 * place)).sum();
            values.extend(std::iter::repeat_n(value, (header >> 1) as usize));
        }
    }
    assert!(bytes.0.is_empty() && values.len() < count + 8, "filled up by less than a group");
    values.truncate(count);
    values
}

fn read_deltas(bytes: &[u8]) -> Vec<i64> {
    let mut bytes = Bytes(bytes);
    let (block, parts, count) = (bytes.varint() as usize, bytes.varint() as usize, bytes.varint() as usize);
    let mut values = vec![bytes.zigzag()];
    while values.len() < count {
        let least = bytes.zigzag();
        let widths: Vec<u8> = (0..parts).map(|_| bytes.byte()).collect();
        for width in widths {
            if values.len() >= count {
                assert_eq!(width, 0, "of a part that is not there");
                continue;
            }
            for over in bytes.bits(block / parts, width.into()) {
                let before = *values.last().expect("the first");
                values.push(before.wrapping_add(least).wrapping_add(over as i64));
            }
        }
    }
    assert!(bytes.0.is_empty(), "nothing is left");
    values.truncate(count);
    values
}

/// Values in runs of various lengths.
fn in_runs(most: u16) -> impl Strategy<Value = Vec<u16>> {
    let runs = prop::collection::vec((0..=most, prop_oneof![Just(1_usize), 1..40_usize]), 0..60);
    runs.prop_map(|runs| runs.into_iter().flat_map(|(value, len)| std::iter::repeat_n(value, len)).collect())
}

proptest! {
    /// What is written as runs and bits is read again, whatever the runs and the width.
    #[test]
    fn runs_and_bits_are_read_again((width, values) in (1_u32..=16).prop_flat_map(|width| {
        (Just(width), in_runs(((1_u32 << width) - 1) as u16))
    })) {
        let mut out = Vec::new();
        hybrid(&values, width, &mut out);
        prop_assert_eq!(read_hybrid(&out, width as usize, values.len()), values);
    }

    /// So are differences, from none to those that leave the range of a number, over several blocks.
    #[test]
    fn differences_are_read_again(values in prop_oneof![
        prop::collection::vec(any::<i64>(), 1..300),
        prop::collection::vec(0_i64..1000, 1..600),
        (any::<i64>(), 1_usize..400).prop_map(|(value, count)| vec![value; count]),
    ]) {
        let mut out = Vec::new();
        deltas(&values, &mut out);
        prop_assert_eq!(read_deltas(&out), values);
    }
}

/// Codes of n texts are 0 to n - 1.
#[test]
fn a_width_holds_the_largest_code() {
    let widths: Vec<u32> = [0, 1, 2, 3, 4, 5, 256, 257, 65_536].into_iter().map(width_of).collect();
    assert_eq!(widths, [1, 1, 1, 2, 2, 3, 8, 9, 16]);
}

/// A text's code is found again by its key, in whatever order; what is put in its place keeps its code.
#[test]
fn a_dictionary_has_each_text_once() {
    let mut cells = cells::Texts::default();
    for text in ["a", "a", "bc", "a", "", "bc"] {
        cells.push(Some(text));
    }
    cells.push(None);
    assert_eq!(cells.codes, [0, 0, 1, 0, 2, 1]);
    assert_eq!(cells.dictionary.texts(), ["a", "bc", ""]);
    cells.dictionary.put_for(&["x".to_owned(), String::new(), "yz".to_owned()]);
    cells.push(Some("bc"));
    assert_eq!(
        (cells.codes.last(), cells.dictionary.texts()),
        (Some(&1), vec!["x".to_owned(), String::new(), "yz".to_owned()])
    );
}

/// The bytes of a row group are the sum of what its columns tell, and offsets point to where pages begin.
#[test]
fn offsets_are_where_pages_begin() {
    let mut texts = Cells::new(Kind::Text);
    let mut numbers = Cells::new(Kind::Int);
    if let (Cells::Texts(texts), Cells::Ints(numbers)) = (&mut texts, &mut numbers) {
        for row in 0..10_000_i64 {
            texts.push((row % 3 > 0).then_some(if row % 2 == 0 { "even" } else { "odd" }));
            numbers.push((row % 5 > 0).then_some(row * row));
        }
    }
    let mut press = Press::new().expect("memory");
    let mut out = Vec::new();
    let chunks: Vec<Chunk> = [&texts, &numbers].map(|cells| press.write(cells, true, &mut out).expect("zstd")).to_vec();
    assert_eq!(chunks.iter().map(|chunk| chunk.compressed as usize).sum::<usize>(), out.len());
    assert_eq!((chunks[0].dictionary_at, chunks[0].nulls, chunks[0].values), (Some(0), 3334, 10_000));
    assert_eq!((chunks[1].dictionary_at, chunks[1].data_at), (None, chunks[0].compressed));
    assert_eq!(chunks[1].range, Some((1, 9999 * 9999)));
}
