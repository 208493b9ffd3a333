//! The memory that a decompressor will take: what the first header of a stream says of its window.

use super::Kind;

/// Bytes that a header may have: those of zstd 18, those of xz before its dictionary some 40.
pub const HEADER: usize = 64;
/// LZMA2 among xz's filters.
const LZMA2: u64 = 0x21;

/// The window in bytes of what begins so, 0 where the header does not tell; `None` for kinds that have none to speak of.
pub fn window_bytes(kind: Kind, head: &[u8]) -> Option<u64> {
    match kind {
        Kind::Zstd => Some(zstd_window(head).unwrap_or_default()),
        Kind::Xz => Some(xz_dictionary(head).unwrap_or_default()),
        Kind::Gzip | Kind::Lz4 => None,
    }
}

/// RFC 8878 §3.1.1.1: a window of its own, or the content's size where that is one segment.
fn zstd_window(head: &[u8]) -> Option<u64> {
    let (&descriptor, rest) = head.get(4..)?.split_first()?;
    if descriptor & 0x20 == 0 {
        let &window = rest.first()?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    let rest = rest.get([0, 1, 2, 4][usize::from(descriptor & 3)]..)?;
    let length = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let size = rest.get(..length)?.iter().rev().fold(0, |size, &byte| size << 8 | u64::from(byte));
    Some(if length == 2 { size + 256 } else { size })
}

/// The .xz file format §3.1 and §5.3.1: the stream's header, then the block's with its filters, LZMA2 the last.
fn xz_dictionary(head: &[u8]) -> Option<u64> {
    let (&flags, mut rest) = head.get(13..)?.split_first()?;
    for has_size in [flags & 0x40 != 0, flags & 0x80 != 0] {
        if has_size {
            (_, rest) = number(rest)?;
        }
    }
    for _ in 0..=flags & 3 {
        let (filter, after) = number(rest)?;
        let (length, after) = number(after)?;
        let properties = after.get(..usize::try_from(length).ok()?)?;
        if filter == LZMA2 {
            let &bits = properties.first().filter(|&&bits| bits <= 40)?;
            return Some(if bits == 40 { u64::from(u32::MAX) } else { u64::from(2 | bits & 1) << (bits / 2 + 11) });
        }
        rest = after.get(properties.len()..)?;
    }
    None
}

/// A number in groups of seven bits, the lowest first (§1.2), and what follows it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = 1 + bytes.iter().take(9).position(|byte| byte & 0x80 == 0)?;
    let (number, rest) = bytes.split_at_checked(length)?;
    Some((number.iter().rev().fold(0, |sum, &byte| sum << 7 | u64::from(byte & 0x7f)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zstd_says_its_window() {
        let window = |rest: &[u8]| window_bytes(Kind::Zstd, &[&[0x28, 0xb5, 0x2f, 0xfd][..], rest].concat()).unwrap();
        assert_eq!(window(&[0x04, 0x88]), 128 << 20, "zstd --long=27");
        assert_eq!(window(&[0x00, 0x58]), 2 << 20, "zstd -3 of a pipe");
        assert_eq!(window(&[0x00, 0x59]), (2 << 20) + (2 << 20) / 8);
        assert_eq!(window(&[0x24, 100]), 100, "of one segment");
        assert_eq!(window(&[0x64, 0, 1]), 512);
        assert_eq!(window(&[0xa7, 9, 9, 9, 9, 0, 0, 0, 4]), 64 << 20, "behind a dictionary's number");
        assert_eq!(window(&[0xe4, 0, 0, 0, 0, 1, 0, 0, 0]), 1 << 32);
        for cut in [&[][..], &[0], &[0x24], &[0x64, 0]] {
            assert_eq!(window(cut), 0);
        }
    }

    #[test]
    fn xz_says_its_dictionary() {
        let window =
            |block: &[u8]| window_bytes(Kind::Xz, &[&b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46"[..], block].concat()).unwrap();
        assert_eq!(window(&[2, 0, 0x21, 1, 0x16]), 8 << 20, "xz -6");
        assert_eq!(window(&[2, 0, 0x21, 1, 0x1c]), 64 << 20, "xz -9");
        assert_eq!(window(&[3, 0xc0, 0x80, 1, 0x80, 0x80, 4, 0x21, 1, 0x17]), 12 << 20, "sizes before it");
        assert_eq!(window(&[3, 1, 3, 1, 0, 0x21, 1, 40]), 0xffff_ffff, "behind a delta filter");
        for wrong in [&[2, 0, 0x21, 1, 41][..], &[2, 0, 0x21, 0xff], &[2, 0, 4, 0], &[2]] {
            assert_eq!(window(wrong), 0);
        }
        assert_eq!(window(&[2, 0, 0x21, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), 0);
    }
}
