//! What is no capture, in the words of whoever gave it.

use super::error::{SourceError, Stop};
use super::pcap::is_pcap;
use super::pcapng::is_pcapng;
use std::borrow::Cow;

/// Why a file was not opened. In a folder the first is passed over unless its name is a capture's, the second is reported.
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

/// What captures are called; digits may follow (`tcpdump -C`), and the name of a compression.
const CAPTURES: &[&str] = &[".pcap", ".pcapng", ".cap", ".ntar", ".dmp", ".snoop", ".etl", ".erf"];
const COMPRESSIONS: &[&str] = &[".gz", ".bz2", ".xz", ".zst", ".lz4", ".lzma", ".lz", ".lzo", ".z", ".zip", ".7z"];

/// Whether a file is called as captures are: one that is none must not be missing without a word.
#[must_use]
pub fn is_named_as_capture(path: &str) -> bool {
    let name = path.to_ascii_lowercase();
    ends_as_capture(without_compression(&name).trim_end_matches(|digit: char| digit.is_ascii_digit()))
}

/// A path without the name of its compression.
#[must_use]
pub fn without_compression(path: &str) -> &str {
    COMPRESSIONS.iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path)
}

/// Whether a path ends as those of captures do.
#[must_use]
pub fn ends_as_capture(path: &str) -> bool {
    CAPTURES.iter().any(|end| path.ends_with(end))
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
            looks_like(path, head)
        )
    };
    SourceError::new(path, message).at(0)
}

const COMPRESSED_AGAIN: &str = "it is compressed more than twice (decompress it first)";

/// Formats that are taken for captures, by where their magic is: read by Wireshark's tools, or to be unpacked.
const OTHERS: &[(usize, &[u8], &str)] = &[
    (0, b"snoop\0\0\0", "it is a snoop file (convert it with `editcap -F pcap`)"),
    (0, b"NetScaler ", "it is a NetScaler trace (convert it with `editcap -F pcap`)"),
    (0, b"GMBU", "it is a Network Monitor capture (convert it with `editcap -F pcap`)"),
    (0, b"RTSS", "it is a Network Monitor capture (convert it with `editcap -F pcap`)"),
    (0, b"TRSNIFF data", "it is a Sniffer capture (convert it with `editcap -F pcap`)"),
    (0, b"XCP\0", "it is a Sniffer capture (convert it with `editcap -F pcap`)"),
    (0, b"btsnoop\0", "it is a capture of Bluetooth, which has no TCP"),
    (0, b"\x7fver", "it is an OmniPeek capture (convert it with `editcap -F pcap`)"),
    (0, b"BZh", "it is compressed with bzip2 (decompress it first)"),
    (0, b"\x1f\x9d", "it is compressed with compress (decompress it first)"),
    (0, b"\x89LZO", "it is compressed with lzop (decompress it first)"),
    (0, b"LZIP", "it is compressed with lzip (decompress it first)"),
    (0, b"\x5d\0\0", "it may be compressed with lzma (decompress it first)"),
    (0, b"PK\x03\x04", "it is a zip archive (extract it first)"),
    (0, b"7z\xbc\xaf\x27\x1c", "it is a 7z archive (extract it first)"),
    (0, b"Rar!\x1a\x07", "it is a rar archive (extract it first)"),
    (257, b"ustar", "it is a tar archive (extract it first, and give the folder)"),
    (0, b"\x1f\x8b", COMPRESSED_AGAIN),
    (0, b"\x28\xb5\x2f\xfd", COMPRESSED_AGAIN),
    (0, b"\x04\x22\x4d\x18", COMPRESSED_AGAIN),
    (0, b"\x02\x21\x4c\x18", COMPRESSED_AGAIN),
    (0, b"\xfd7zXZ\0", COMPRESSED_AGAIN),
    (0, b"\x7fELF", "it is a program"),
    (0, b"\xff\xfe", "it looks like text in UTF-16, as PowerShell's `>` writes (capture with `-w FILE`)"),
];

/// Those without a magic, by the end of their names.
const NAMED: &[(&str, &str)] = &[
    (".etl", "it may be a Windows event trace (convert it with `etl2pcapng` or `pktmon etl2pcap`)"),
    (".erf", "it may be an ERF capture (convert it with `editcap -F pcap`)"),
];

fn looks_like(path: &str, head: &[u8]) -> Cow<'static, str> {
    let begins = |&&(at, magic, _): &&(usize, &[u8], &str)| head.get(at..).is_some_and(|head| head.starts_with(magic));
    let is_text = |bytes: &[u8]| bytes.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    let ends = |&&(end, _): &&(&str, &str)| path.to_ascii_lowercase().ends_with(end);
    let behind = (1..head.len()).find(|&at| head.get(at..).is_some_and(|rest| is_pcap(rest) || is_pcapng(rest)));
    if let Some((_, _, what)) = OTHERS.iter().find(begins) {
        return (*what).into();
    }
    if let Some(at) = behind.filter(|&at| head.get(..at).is_some_and(is_text)) {
        return format!("a capture begins behind {at} bytes of text (take them off: `tail -c +{}`)", at + 1).into();
    }
    if is_text(head) {
        return "it looks like text".into();
    }
    NAMED.iter().find(ends).map_or("its first bytes are no known magic", |(_, what)| what).into()
}
