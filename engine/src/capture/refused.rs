//! What is no capture, in the words of whoever gave it.

use super::error::{SourceError, Stop};

/// Why a file was not opened. In a folder the first is passed over, the second is reported.
#[derive(Debug)]
pub enum Refusal {
    /// It is something else.
    NotACapture(SourceError),
    /// It may be a capture, and cannot be read.
    Unreadable(SourceError),
}

impl From<Refusal> for SourceError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotACapture(error) | Refusal::Unreadable(error) => error,
        }
    }
}

/// A header that cannot be read, and what to do.
#[must_use]
pub fn header_error(path: &str, stop: &Stop) -> SourceError {
    let message = match stop {
        Stop::CutShort { .. } | Stop::CutMeanwhile { .. } => {
            "the file header is cut short; copy the capture again".to_owned()
        }
        Stop::Corrupt { why, .. } => {
            format!("the file header is corrupt: {why}; copy the capture again")
        }
        Stop::Unreadable { error, .. } => format!("cannot be read: {error}"),
        Stop::Refill => stop.to_string(),
    };
    SourceError::new(path, message).at(stop.offset())
}

/// Says what the file looks like instead, and what to give.
#[must_use]
pub fn not_a_capture(path: &str, head: &[u8], compression: &str) -> SourceError {
    let inside = if compression == "none" { "" } else { " once decompressed" };
    let message = if head.is_empty() {
        format!("empty{inside}, 0 bytes; give a pcap or pcapng file, as `tcpdump -w` writes")
    } else {
        format!(
            "not a packet capture{inside}: {}; give a pcap or pcapng file, as `tcpdump -w` writes",
            looks_like(head)
        )
    };
    SourceError::new(path, message).at(0)
}

const COMPRESSED_AGAIN: &str = "it is compressed more than twice (decompress it first)";

/// Formats that are taken for captures by mistake, by their magic.
const OTHERS: &[(&[u8], &str)] = &[
    (b"snoop\0\0\0", "it is a snoop file (convert it with `editcap -F pcap`)"),
    (b"BZh", "it is compressed with bzip2 (decompress it first)"),
    (b"\x02\x21\x4c\x18", COMPRESSED_AGAIN),
    (b"PK\x03\x04", "it is a zip archive (extract it first)"),
    (b"\x1f\x8b", COMPRESSED_AGAIN),
    (b"\x28\xb5\x2f\xfd", COMPRESSED_AGAIN),
    (b"\x04\x22\x4d\x18", COMPRESSED_AGAIN),
    (b"\xfd7zXZ\0", COMPRESSED_AGAIN),
    (b"\x7fELF", "it is a program"),
];

fn looks_like(head: &[u8]) -> &'static str {
    let known = OTHERS.iter().find(|(magic, _)| head.starts_with(magic));
    let is_text = || head.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    match known {
        Some((_, what)) => what,
        None if is_text() => "it looks like text",
        None => "its first bytes are no known magic",
    }
}
