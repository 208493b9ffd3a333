//! A folder into which another program writes one capture file after the other: `tcpdump -C` or `-G`, dumpcap's ring.
//!
//! A file is over once the next one has begun: such programs close the one before. Files are taken in the order in which
//! they were last written, and each once: one that only grows after its turn is not read again, one that was begun anew
//! (`tcpdump -W`) is. What is no capture is no file of it, and a compressed copy of a file that was read (`-z gzip`)
//! neither.

use super::SourceError;
use super::source::cannot_open;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How often the folder is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Files remembered that are gone; beyond it they are forgotten.
const MOST_GONE: usize = 4096;
/// What tells a file from one of the same name: its header and its first packet's.
const BEGINNING: usize = 48;
/// Less is no header.
const LEAST: u64 = 24;

/// The first bytes of captures: pcap in both orders and three resolutions, pcapng, and what they are compressed as.
const MAGICS: &[&[u8]] = &[
    b"\xa1\xb2\xc3\xd4",
    b"\xd4\xc3\xb2\xa1",
    b"\xa1\xb2\x3c\x4d",
    b"\x4d\x3c\xb2\xa1",
    b"\xa1\xb2\xcd\x34",
    b"\x34\xcd\xb2\xa1",
    b"\x0a\x0d\x0d\x0a",
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
    b"\x04\x22\x4d\x18",
    b"\x02\x21\x4c\x18",
    b"\xfd7zXZ",
];

/// A file as it was seen.
#[derive(Clone, PartialEq, Eq)]
struct Seen {
    length: u64,
    modified: SystemTime,
    beginning: Vec<u8>,
}

impl Seen {
    /// `None` for what is no file, or cannot be read.
    fn of(path: &Path, metadata: &fs::Metadata) -> Option<Seen> {
        let mut beginning = Vec::new();
        File::open(path).ok()?.take(BEGINNING as u64).read_to_end(&mut beginning).ok()?;
        Some(Seen { length: metadata.len(), modified: metadata.modified().ok()?, beginning })
    }

    fn is_capture(&self) -> bool {
        self.length >= LEAST && MAGICS.iter().any(|magic| self.beginning.starts_with(magic))
    }

    /// Whether this file may be that one, grown.
    fn continues(&self, before: &Seen) -> bool {
        self.length >= before.length && self.beginning.starts_with(&before.beginning)
    }
}

/// The folder, and which of its files were read.
pub struct Folder {
    path: PathBuf,
    known: HashMap<PathBuf, Seen>,
    reading: Option<PathBuf>,
    looked: Option<Instant>,
    has_next: bool,
}

impl Folder {
    /// A folder whose files are all to be read.
    ///
    /// # Errors
    /// [`SourceError`] if it cannot be listed.
    pub fn open(path: &Path) -> Result<Folder, SourceError> {
        fs::read_dir(path).map_err(|error| cannot_open(path, &error))?;
        let path = path.to_owned();
        Ok(Folder { path, known: HashMap::new(), reading: None, looked: None, has_next: false })
    }

    /// Whether a file has begun that is to be read after the present one.
    pub fn has_next(&mut self) -> bool {
        if !self.has_next && self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            self.looked = Some(Instant::now());
            self.has_next = !self.unread().is_empty();
        }
        self.has_next
    }

    /// The next file, from now on the present one.
    pub fn next(&mut self) -> Option<PathBuf> {
        if let Some(before) = self.reading.take()
            && let Some(seen) = fs::metadata(&before).ok().and_then(|metadata| Seen::of(&before, &metadata))
        {
            self.known.insert(before, seen);
        }
        let (_, path, seen) = self.unread().into_iter().next()?;
        self.forget();
        (self.has_next, self.looked) = (false, None);
        self.known.insert(path.clone(), seen);
        self.reading = Some(path.clone());
        Some(path)
    }

    /// Captures that were not read, in the order in which they were last written.
    fn unread(&self) -> Vec<(SystemTime, PathBuf, Seen)> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let unread = entries.filter_map(|entry| {
            let path = entry.path();
            let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
            let before = self.known.get(&path);
            let is_same =
                |seen: &Seen| seen.length == metadata.len() && metadata.modified().is_ok_and(|m| m == seen.modified);
            if before.is_some_and(is_same) || self.is_copy(&path) || self.reading.as_ref() == Some(&path) {
                return None;
            }
            let seen = Seen::of(&path, &metadata).filter(Seen::is_capture)?;
            let is_new = before.is_none_or(|before| !seen.continues(before));
            is_new.then_some((seen.modified, path, seen))
        });
        let mut unread: Vec<_> = unread.collect();
        unread.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        unread
    }

    /// A file that was read, compressed.
    fn is_copy(&self, path: &Path) -> bool {
        let is_compressed =
            path.extension().is_some_and(|suffix| ["gz", "zst", "xz", "lz4"].iter().any(|s| suffix == *s));
        is_compressed && self.known.contains_key(&path.with_extension(""))
    }

    /// Files that are gone, once they are many.
    fn forget(&mut self) {
        if self.known.len() > MOST_GONE {
            self.known.retain(|path, _| path.exists());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(first: u8) -> Vec<u8> {
        let mut bytes = b"\xd4\xc3\xb2\xa1".to_vec();
        bytes.resize(24, 0);
        bytes.extend([first; 40]);
        bytes
    }

    fn written(folder: &Path, name: &str, bytes: &[u8], at_s: u64) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + at_s);
        File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
        path
    }

    #[test]
    fn files_are_taken_once_in_the_order_of_writing() {
        let (home, mut at) = (tempfile::tempdir().unwrap(), 0);
        let mut write = |name: &str, bytes: &[u8]| {
            at += 1;
            written(home.path(), name, bytes, at)
        };
        let mut folder = Folder::open(home.path()).unwrap();
        assert_eq!((folder.has_next(), folder.next()), (false, None));
        let ten = write("out10", &capture(1));
        let two = write("out2", &capture(2));
        write("notes.txt", b"nothing that a capture would begin with, and long enough");
        write("begun", b"\xd4\xc3\xb2\xa1");
        assert_eq!((folder.next(), folder.has_next()), (Some(ten.clone()), true));
        assert_eq!((folder.next(), folder.has_next()), (Some(two.clone()), false));
        // It grows while it is read, and even afterwards: it is not another file for that.
        write("out2", &[capture(2), vec![2; 9]].concat());
        folder.looked = None;
        assert!(!folder.has_next());
        let three = write("out3", &capture(3));
        assert_eq!(folder.next(), Some(three));
        write("out2", &[capture(2), vec![2; 99]].concat());
        write("out10.gz", b"\x1f\x8b and what follows, compressed by a program of tcpdump -z");
        assert_eq!(folder.next(), None);
        // Begun anew: tcpdump -W.
        let again = write("out10", &capture(4));
        assert_eq!((folder.has_next(), folder.next()), (true, Some(again)));
        fs::remove_file(two).unwrap();
        assert_eq!(folder.next(), None);
        let begun = write("begun", &capture(5));
        assert_eq!(folder.next(), Some(begun), "as soon as its header is there");
    }

    #[test]
    fn what_is_no_folder_is_said() {
        assert!(Folder::open(Path::new("/nowhere/at/all")).is_err());
    }
}
