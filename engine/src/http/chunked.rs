//! The chunked transfer coding (RFC 9112 §7.1): where it ends and how many bytes it carries, across any cuts.

/// Longest chunk-size line or trailer section, as far as it is skipped; beyond it this is no chunked body.
const MAX_LINE_BYTES: u32 = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In the hex digits of a chunk size; `digits` seen.
    Size { value: u64, digits: u8 },
    /// In the rest of the size line: whitespace, extensions, CR.
    Extension { value: u64, skipped: u32 },
    /// In chunk data.
    Data { left: u64 },
    /// After chunk data, before its CRLF; whether CR was seen.
    DataEnd { cr: bool },
    /// In the trailer section; `line` bytes of the current line that are not CR.
    Trailer { line: u32, total: u32 },
}

/// The state of reading one chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunked(At);

/// What a read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All bytes belong to the body, and it goes on.
    More,
    /// The body ended with the last byte consumed.
    Done,
    /// Not chunked coding.
    Broken,
}

impl Default for Chunked {
    fn default() -> Self {
        Chunked(At::Size { value: 0, digits: 0 })
    }
}

impl Chunked {
    /// Reads from the start of `bytes`: how many belong to the body, how many of those are chunk data, and whether
    /// the body goes on. Chunk data costs O(1).
    pub fn read(&mut self, bytes: &[u8]) -> (usize, u64, Progress) {
        let (mut at, mut data) = (0, 0);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let (used, progress) = match self.0 {
                At::Data { left } => {
                    let take = left.min(rest.len() as u64);
                    data += take;
                    self.skip_data(take);
                    (take as usize, Progress::More)
                }
                At::Extension { value, skipped } => self.read_extension(rest, value, skipped),
                _ => (1, self.step(rest.first().copied().unwrap_or_default())),
            };
            at += used;
            if progress != Progress::More {
                return (at, data, progress);
            }
        }
        (at, data, Progress::More)
    }

    /// Passes over `len` missing bytes if they are chunk data; otherwise the place in the coding is lost.
    pub fn skip(&mut self, len: u64) -> bool {
        let inside = matches!(self.0, At::Data { left } if left >= len);
        if inside {
            self.skip_data(len);
        }
        inside
    }

    fn skip_data(&mut self, len: u64) {
        if let At::Data { left } = self.0 {
            let left = left.saturating_sub(len);
            self.0 = if left == 0 { At::DataEnd { cr: false } } else { At::Data { left } };
        }
    }

    /// Extensions are skipped to the line's end; a quoted string cannot hold one (RFC 9110 §5.6.4).
    fn read_extension(&mut self, rest: &[u8], value: u64, skipped: u32) -> (usize, Progress) {
        let newline = rest.iter().position(|&b| b == b'\n');
        let used = newline.map_or(rest.len(), |n| n.saturating_add(1));
        let skipped = skipped.saturating_add(u32::try_from(used).unwrap_or(u32::MAX));
        self.0 = match newline {
            None => At::Extension { value, skipped },
            Some(_) => after_size(value),
        };
        (used, if skipped > MAX_LINE_BYTES { Progress::Broken } else { Progress::More })
    }

    fn step(&mut self, byte: u8) -> Progress {
        let next = match (self.0, byte) {
            (At::Size { value, digits }, _) if byte.is_ascii_hexdigit() => add_digit(value, digits, byte),
            (At::Size { value, digits: 1.. }, b'\n') => Some(after_size(value)),
            (At::Size { value, digits: 1.. }, b'\r' | b';' | b' ' | b'\t') => Some(At::Extension { value, skipped: 0 }),
            (At::DataEnd { cr: false }, b'\r') => Some(At::DataEnd { cr: true }),
            (At::DataEnd { .. }, b'\n') => Some(At::Size { value: 0, digits: 0 }),
            (At::Trailer { line: 0, .. }, b'\n') => return Progress::Done,
            (At::Trailer { total, .. }, _) if total >= MAX_LINE_BYTES => None,
            (At::Trailer { total, .. }, b'\n') => Some(At::Trailer { line: 0, total: total.saturating_add(1) }),
            (At::Trailer { line, total }, b'\r') => Some(At::Trailer { line, total: total.saturating_add(1) }),
            (At::Trailer { line, total }, _) => {
                Some(At::Trailer { line: line.saturating_add(1), total: total.saturating_add(1) })
            }
            _ => None,
        };
        self.0 = next.unwrap_or(self.0);
        if next.is_some() { Progress::More } else { Progress::Broken }
    }
}

fn add_digit(value: u64, digits: u8, byte: u8) -> Option<At> {
    let digit = char::from(byte).to_digit(16)?;
    let value = value.checked_mul(16)?.checked_add(u64::from(digit))?;
    // Leading zeros are legal and do not overflow, so their number is bounded by itself.
    (digits < 64).then_some(At::Size { value, digits: digits.saturating_add(1) })
}

fn after_size(value: u64) -> At {
    if value == 0 { At::Trailer { line: 0, total: 0 } } else { At::Data { left: value } }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the whole at once and byte by byte, which must agree; (bytes used, data bytes, progress).
    fn read(body: &[u8]) -> (usize, u64, Progress) {
        let whole = Chunked::default().read(body);
        let (mut chunked, mut used, mut data, mut progress) = (Chunked::default(), 0, 0, Progress::More);
        for byte in body.chunks(1) {
            let (n, d, p) = chunked.read(byte);
            (used, data, progress) = (used + n, data + d, p);
            if p != Progress::More {
                break;
            }
        }
        assert_eq!(whole, (used, data, progress), "{}", body.escape_ascii());
        whole
    }

    #[test]
    fn bodies_end_where_rfc_9112_7_1_says() {
        let table: [(&[u8], usize, u64); 8] = [
            (b"0\r\n\r\nHTTP", 5, 0),
            (b"5\r\nhello\r\n0\r\n\r\nX", 15, 5),
            (b"A\r\n0123456789\r\n00\r\n\r\n", 21, 10),
            (b"1 ; a=\"b;c\"\r\nx\r\n0;last\r\n\r\n", 26, 1),
            (b"1\nx\n0\n\n", 7, 1),
            (b"0\r\nX: y\r\nZ:\r\n\r\nHTTP", 15, 0),
            (b"3\r\n\r\n\r\r\n0\r\n\r\n", 13, 3),
            (b"0\r\nX: y\n\n", 9, 0),
        ];
        for (body, used, data) in table {
            assert_eq!(read(body), (used, data, Progress::Done), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn unfinished_bodies_want_more() {
        for body in [&b""[..], b"5", b"5\r", b"5\r\nhel", b"5\r\nhello", b"5\r\nhello\r\n", b"0\r\n", b"0\r\nX: y\r\n"]
        {
            assert_eq!(read(body).2, Progress::More, "{}", body.escape_ascii());
        }
    }

    #[test]
    fn what_is_not_chunked_is_said_so() {
        for body in
            [&b"x"[..], b"\r\n", b"-5\r\n", b"5x", b"1\r\nxy", b"fffffffffffffffff\r\n", b"1\r\nx\r\r", b";\r\n"]
        {
            assert_eq!(read(body).2, Progress::Broken, "{}", body.escape_ascii());
        }
    }

    #[test]
    fn endless_lines_are_bounded() {
        let endless = vec![b'0'; 100];
        assert_eq!(read(&endless).2, Progress::Broken);
        let mut extension = b"5;".to_vec();
        extension.resize(MAX_LINE_BYTES as usize + 3, b'a');
        assert_eq!(Chunked::default().read(&extension).2, Progress::Broken);
        let mut trailer = b"0\r\n".to_vec();
        trailer.resize(MAX_LINE_BYTES as usize + 5, b'a');
        assert_eq!(Chunked::default().read(&trailer).2, Progress::Broken);
    }

    #[test]
    fn a_gap_is_passed_over_only_inside_chunk_data() {
        let mut chunked = Chunked::default();
        chunked.read(b"a\r\n01");
        assert!(chunked.skip(8));
        assert_eq!(chunked.read(b"\r\n0\r\n\r\n"), (7, 0, Progress::Done));
        let mut chunked = Chunked::default();
        chunked.read(b"a\r\n01");
        assert!(!chunked.skip(9));
        assert!(!Chunked::default().skip(1));
    }
}
