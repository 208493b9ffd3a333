//! Every compression, whole, cut, damaged, nested and hostile.

use super::*;
use std::io::Write;

/// As much as is there, the word, and the error that ended it.
fn unpack(bytes: Vec<u8>) -> (Vec<u8>, String, Option<String>) {
    let Plain { mut stream, compression: word, .. } = decompressed(Box::new(Cursor::new(bytes)), Windows::Any).unwrap();
    let mut out = Vec::new();
    let error = stream.read_to_end(&mut out).err().map(|error| error.to_string());
    (out, word, error)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// With a checksum, as `zstd` writes it: without one, damage may go unseen.
fn zstandard(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};
    let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_checksums(true);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A compression's word and compressor.
type Packer = (&'static str, fn(&[u8]) -> Vec<u8>);

const KINDS: [Packer; 4] = [("gzip", gzip), ("zstd", zstandard), ("lz4", lz4), ("xz", xz)];

/// Bytes that do not compress to nothing.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 7u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 26) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn what_is_not_compressed_passes() {
    for plain in [&b""[..], &[0x1f], &[0xfd, b'7', b'z', b'X', b'Z'], b"plain"] {
        assert_eq!(unpack(plain.to_vec()), (plain.to_vec(), "none".to_owned(), None));
    }
}

#[test]
fn compression_is_recognised_by_magic_and_members_are_joined() {
    for (word, pack) in KINDS {
        assert_eq!(unpack([pack(b"one "), pack(b"two")].concat()), (b"one two".to_vec(), word.to_owned(), None));
    }
}

#[test]
fn what_follows_skippable_frames_says_which_compression_it_is() {
    let skippable = [0x51, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9];
    for (word, pack) in [("zstd", zstandard as fn(&[u8]) -> Vec<u8>), ("lz4", lz4)] {
        let whole = [&skippable[..], &skippable, &pack(b"one"), &skippable, &pack(b"two")].concat();
        assert_eq!(unpack(whole), (b"onetwo".to_vec(), word.to_owned(), None));
    }
    assert_eq!(unpack(skippable.to_vec()), (Vec::new(), "none".to_owned(), None));
    for end in 6..skippable.len() {
        let error = unpack(skippable[..end].to_vec()).2;
        assert_eq!(error.as_deref(), Some("the zstd data are cut short"), "{end}");
    }
}

#[test]
fn one_compression_may_be_inside_another_and_no_more() {
    for (outer, pack) in KINDS {
        for (inner, pack_inner) in KINDS {
            let both = pack(&pack_inner(b"capture"));
            assert_eq!(unpack(both.clone()), (b"capture".to_vec(), format!("{outer}+{inner}"), None));
            let (left, word, error) = unpack(gzip(&both));
            assert_eq!((left, word, error), (pack_inner(b"capture"), format!("gzip+{outer}"), None));
        }
    }
}

#[test]
fn a_stream_cut_anywhere_gives_a_beginning_and_says_so() {
    let plain = noise(300_000);
    for (word, pack) in KINDS {
        let whole = pack(&plain);
        assert_eq!(unpack(whole.clone()).0.len(), plain.len());
        for end in [MAGIC, 20, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
            let (out, found, error) = unpack(whole[..end].to_vec());
            assert!(plain.starts_with(&out), "{word} {end}");
            assert_eq!(found, word);
            assert_eq!(error, Some(format!("the {word} data are cut short")), "{word} {end}");
        }
        let (out, ..) = unpack(whole[..whole.len() / 2].to_vec());
        // All but the block that was cut: lz4 has blocks of 64 KiB here.
        assert!(out.len() + 80_000 > plain.len() / 2, "{word}: {} bytes of what came before the cut", out.len());
    }
}

#[test]
fn a_damaged_stream_gives_what_came_before_and_says_so() {
    let plain = noise(1_000_000);
    for (word, pack) in KINDS {
        let mut bytes = pack(&plain);
        let half = bytes.len() / 2;
        bytes[half..half + 64].fill(0xff);
        let (out, found, error) = unpack(bytes);
        let start = format!("the {word} data are damaged (");
        assert!(error.is_some_and(|error| error.starts_with(&start) && !error.contains('\n')), "{word}");
        assert_eq!(found, word);
        let same = out.iter().zip(&plain).take_while(|(a, b)| a == b).count();
        assert!(same > plain.len() / 4, "{word}: {same}");
    }
}

/// What one compression gives of these bytes, and the error that ended it.
fn undone(word: &str, bytes: Vec<u8>) -> (Vec<u8>, Option<String>) {
    let kind = [Kind::Gzip, Kind::Zstd, Kind::Lz4, Kind::Xz].into_iter().find(|kind| kind.word() == word).unwrap();
    let mut out = Vec::new();
    let ended = kind.undo(Box::new(Cursor::new(bytes)), 0, u32::MAX).unwrap().read_to_end(&mut out);
    (out, ended.err().map(|error| error.to_string()))
}

#[test]
fn what_is_inside_a_stream_that_is_cut_or_damaged_gives_all_that_came_out_of_it() {
    let plain = noise(300_000);
    for (outer, pack) in KINDS {
        for (inner, pack_inner) in KINDS {
            let whole = pack(&pack_inner(&plain));
            let mut damaged = whole.clone();
            damaged[whole.len() * 3 / 5..].fill(0xff);
            for (is_cut, bytes) in [(true, whole[..whole.len() * 3 / 5].to_vec()), (false, damaged)] {
                let (between, why) = undone(outer, bytes.clone());
                let (expected, _) = undone(inner, between);
                let (out, _, error) = unpack(bytes);
                // zstd loses what a call had given when it meets damage, and so by its length.
                let most_lost = if is_cut { 0 } else { 2 * STEP };
                assert!(expected.starts_with(&out) && expected.len() <= out.len() + most_lost, "{inner} in {outer}");
                // What came of the damage may be seen by the inner one first.
                assert!(error.is_some() && (error == why || !is_cut), "{inner} in {outer}: {error:?}");
            }
        }
    }
}

#[test]
fn a_small_stream_that_is_damaged_is_read_up_to_there() {
    let plain = noise(9000);
    for (word, pack) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("xz", xz)] {
        let mut bytes = pack(&plain);
        let most = bytes.len() - 32;
        bytes[most..].fill(0);
        let (out, found, error) = unpack(bytes);
        let same = out.iter().zip(&plain).take_while(|(a, b)| a == b).count();
        assert!(same > 8900 && found == word && error.is_some(), "{word}: {same}");
    }
}

#[test]
fn a_dictionary_too_large_is_refused_before_it_is_allocated() {
    let mut bytes = xz(b"small");
    // The block header is at 12: size, flags, filter 0x21, size of properties 1, the dictionary's size as 2^n: 4 GiB.
    assert_eq!(&bytes[12..16], &[2, 0, 0x21, 1]);
    bytes[16] = 40;
    let crc = flate2_crc(&bytes[12..20]);
    bytes[20..24].copy_from_slice(&crc.to_le_bytes());
    let (out, _, error) = unpack(bytes);
    assert_eq!((out.len(), error.unwrap().starts_with("the xz data need more memory")), (0, true));
}

fn flate2_crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Reads a stream to its end, keeping nothing; the error that ended it.
fn drain(mut stream: Stream) -> Option<String> {
    io::copy(&mut stream, &mut io::sink()).err().map(|error| error.to_string())
}

#[test]
fn a_bomb_ends_early() {
    // 64 MiB of zeros in a few bytes, 64 times over, and that compressed again: 4 GiB in about a kilobyte.
    let zeros = vec![0; 64 << 20];
    for (word, pack) in KINDS {
        let charge = gzip(&pack(&zeros).repeat(64));
        let error = drain(decompressed(Box::new(Cursor::new(charge)), Windows::Any).unwrap().stream);
        let error = error.unwrap_or_default();
        assert!(error.ends_with("this is a decompression bomb"), "{word}: {error:?}");
    }
    // Zeros that are passed over behind what is inside.
    for (word, pack) in KINDS {
        let charge = [zstandard(&pack(b"capture")), zstandard(&zeros).repeat(64)].concat();
        let mut out = Vec::new();
        let error = decompressed(Box::new(Cursor::new(charge)), Windows::Any).unwrap().stream.read_to_end(&mut out);
        let expected = if matches!(word, "gzip" | "xz") { "this is a decompression bomb" } else { ")" };
        assert!(error.is_err_and(|error| error.to_string().ends_with(expected)), "{word}");
        assert_eq!(out, b"capture", "{word}");
    }
}
