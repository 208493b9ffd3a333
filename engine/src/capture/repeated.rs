//! A file given twice, under one name or two, is read once: its packets would pass for retransmissions.

use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes compared at the beginning and at the end of files of one length.
const COMPARED: u64 = 64 << 10;

/// What tells a file on disk from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Device and inode, where the system has them.
    place: Option<(u64, u64)>,
    length: u64,
}

impl Identity {
    /// Of an existing file.
    #[must_use]
    pub fn new(metadata: &Metadata) -> Identity {
        Identity { place: place(metadata), length: metadata.len() }
    }

    /// Bytes on disk.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether two files are one, or copies: the same inode, or the same length, beginning and end. Captures carry the
    /// time of every packet, so that two of one length that agree in both are one capture.
    #[must_use]
    pub fn same(&self, path: &Path, other: &Identity, other_path: &Path) -> bool {
        if self.place.is_some() && self.place == other.place {
            return true;
        }
        self.length == other.length
            && edges(path, self.length).is_some_and(|mine| edges(other_path, other.length) == Some(mine))
    }
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "other systems have neither")]
pub(super) fn place(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
pub(super) fn place(_: &Metadata) -> Option<(u64, u64)> {
    None
}

/// The first and the last bytes of a file; `None` if it cannot be read any more.
fn edges(path: &Path, length: u64) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    file.by_ref().take(COMPARED).read_to_end(&mut bytes).ok()?;
    file.seek(SeekFrom::Start(length.saturating_sub(COMPARED))).ok()?;
    file.take(COMPARED).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::forge::{Folder, pcap};
    use std::path::PathBuf;

    fn same(a: &PathBuf, b: &PathBuf) -> bool {
        let identity = |path: &PathBuf| Identity::new(&std::fs::metadata(path).unwrap());
        identity(a).same(a, &identity(b), b)
    }

    #[test]
    fn copies_and_links_are_the_same_and_other_captures_are_not() {
        let folder = Folder::new("same");
        let one = folder.write("one", &pcap(&[(1, b"first"), (2, &vec![7; 200_000])]));
        let copy = folder.write("copy", &pcap(&[(1, b"first"), (2, &vec![7; 200_000])]));
        let shorter = folder.write("shorter", &pcap(&[(1, b"first"), (2, &vec![7; 199_999])]));
        let start = folder.write("start", &pcap(&[(9, b"first"), (2, &vec![7; 200_000])]));
        let mut bytes = pcap(&[(1, b"first"), (2, &vec![7; 200_000])]);
        *bytes.last_mut().unwrap() = 8;
        let end = folder.write("end", &bytes);
        let link = folder.0.join("link");
        std::fs::hard_link(&one, &link).unwrap();
        assert!(same(&one, &one) && same(&one, &copy) && same(&one, &link));
        assert!(!same(&one, &shorter) && !same(&one, &start) && !same(&one, &end));
    }
}
