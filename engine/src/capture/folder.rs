//! A folder into which another program writes one capture file after the other: `tcpdump -C` or `-G`, dumpcap's ring.
//!
//! A file is over once the next one has begun: such programs close the one before. Files are taken in the order in which
//! they were last written, and each once: one that only grows after its turn is not read again, one that was begun anew
//! (`tcpdump -W`) is, the present one among them. What is no capture is no file of it, and a compressed copy of a file that
//! was read (`-z gzip`) neither. One that is gone, or begun anew, before its turn is counted as lost, and so is one that may
//! not be read.

use super::SourceError;
use super::growing::{Beginning, Shared};
use super::source::cannot_open;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How often the folder is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Files remembered that are gone; beyond it they are forgotten.
const MOST_GONE: usize = 4096;
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

/// What the name of a compressed copy ends with.
const COMPRESSED: &[&str] = &["gz", "zst", "xz", "lz4"];

/// A file as it was seen.
#[derive(Clone, PartialEq, Eq)]
struct Seen {
    length: u64,
    modified: SystemTime,
    beginning: Beginning,
}

/// A capture whose turn is to come.
struct Unread {
    path: PathBuf,
    seen: Seen,
    /// It is another content than the one that waited under its name.
    is_another: bool,
    /// It may not be read, so that nobody knows whether it is a capture.
    is_denied: bool,
}

/// The folder, and which of its files were read.
pub struct Folder {
    path: PathBuf,
    /// The only file that counts, where it is not the folder that is followed.
    only: Option<PathBuf>,
    known: HashMap<PathBuf, Seen>,
    reading: Option<(PathBuf, Shared)>,
    /// Found at the latest look.
    waiting: HashMap<PathBuf, Seen>,
    lost: u64,
    looked: Option<Instant>,
    /// Why the latest look saw nothing.
    error: Option<SourceError>,
}

impl Folder {
    /// A folder whose files are all to be read.
    ///
    /// # Errors
    /// [`SourceError`] if it cannot be listed.
    pub fn open(path: &Path) -> Result<Folder, SourceError> {
        fs::read_dir(path).map_err(|error| cannot_open(path, &error))?;
        let (known, waiting) = (HashMap::new(), HashMap::new());
        Ok(Folder {
            path: path.to_owned(),
            only: None,
            known,
            reading: None,
            waiting,
            lost: 0,
            looked: None,
            error: None,
        })
    }

    /// A file that is being read already, and whatever takes its place.
    #[must_use]
    pub fn of_file(path: &Path, progress: Shared) -> Folder {
        let (known, waiting) = (HashMap::new(), HashMap::new());
        let (only, reading) = (Some(path.to_owned()), Some((path.to_owned(), progress)));
        Folder { path: path.to_owned(), only, known, reading, waiting, lost: 0, looked: None, error: None }
    }

    /// Whether a file has begun that is to be read after the present one.
    pub fn has_next(&mut self) -> bool {
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
            self.look();
        }
        !self.waiting.is_empty()
    }

    /// The next file, to be given to [`Folder::begin`] once it is open or could not be opened, and how it begins.
    pub fn next(&mut self) -> Option<(PathBuf, Beginning)> {
        self.leave();
        self.has_next();
        let (path, _) = self.waiting.iter().min_by(|a, b| (a.1.modified, a.0).cmp(&(b.1.modified, b.0)))?;
        let (path, seen) = self.waiting.remove_entry(&path.clone())?;
        self.forget();
        let beginning = seen.beginning;
        // Nothing is read of it yet: whatever it changes to is another content.
        self.known.insert(path.clone(), Seen { beginning: Beginning::default(), ..seen });
        Some((path, beginning))
    }

    /// From now on the present file; without `progress` it could not be read, and is not offered again before it changes.
    pub fn begin(&mut self, path: PathBuf, progress: Option<Shared>) {
        let Some(progress) = progress else { return self.lost += 1 };
        self.known.remove(&path);
        self.reading = Some((path, progress));
    }

    /// Files that could not be read: most were gone, or begun anew, before their turn.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Why it could not be looked through the last time: it may come again, and is looked for.
    #[must_use]
    pub fn error(&self) -> Option<&SourceError> {
        self.error.as_ref()
    }

    /// The present file was read: as far as it was.
    fn leave(&mut self) {
        let Some((path, progress)) = self.reading.take() else { return };
        let progress = progress.get();
        if let (false, Some((length, modified))) = (progress.is_anew(), progress.seen) {
            self.known.insert(path, Seen { length, modified, beginning: progress.beginning });
        }
    }

    /// What is to be read by now; what was to be and cannot be any more is counted, and what may not be, once.
    fn look(&mut self) {
        self.looked = Some(Instant::now());
        let (denied, found): (Vec<_>, Vec<_>) = self.unread().into_iter().partition(|one| one.is_denied);
        self.lost += denied.len() as u64;
        self.known.extend(denied.into_iter().map(|one| (one.path, one.seen)));
        let others = found.iter().filter(|one| one.is_another).count();
        let found: HashMap<PathBuf, Seen> = found.into_iter().map(|one| (one.path, one.seen)).collect();
        let is_gone = |path: &&PathBuf| {
            !found.contains_key(*path) && !COMPRESSED.iter().any(|end| found.contains_key(&with_end(path, end)))
        };
        self.lost += (others + self.waiting.keys().filter(is_gone).count()) as u64;
        self.waiting = found;
    }

    /// Captures that were not read.
    fn unread(&mut self) -> Vec<Unread> {
        if let Some(only) = &self.only {
            return self.as_unread(only.clone()).into_iter().collect();
        }
        let listed = fs::read_dir(&self.path).map_err(|error| cannot_open(&self.path, &error));
        self.error = listed.as_ref().err().cloned();
        let entries = listed.into_iter().flatten().flatten();
        entries.filter_map(|entry| self.as_unread(entry.path())).collect()
    }

    fn as_unread(&self, path: PathBuf) -> Option<Unread> {
        let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        let (length, modified) = (metadata.len(), metadata.modified().ok()?);
        let is_as = |seen: &&Seen| (seen.length, seen.modified) == (length, modified);
        let (before, waiting) = (self.known.get(&path), self.waiting.get(&path));
        if before.as_ref().is_some_and(is_as) || length < LEAST || self.is_present(&path) || self.is_copy(&path) {
            return None;
        }
        if let Some(seen) = waiting.filter(is_as).cloned() {
            return Some(Unread { path, seen, is_another: false, is_denied: false });
        }
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && before.is_none() && waiting.is_none() => {
                let seen = Seen { length, modified, beginning: Beginning::default() };
                return Some(Unread { path, seen, is_another: false, is_denied: true });
            }
            opened => opened.ok()?,
        };
        let (beginning, bytes) = Beginning::read(file).ok()?;
        let is_capture = MAGICS.iter().any(|magic| bytes.starts_with(magic));
        // Of one without a packet nothing was read: it is begun only now.
        let goes_on =
            |seen: &Seen| length >= seen.length && !seen.beginning.is_header() && seen.beginning.goes_on_in(&bytes);
        let is_new = is_capture && !before.is_some_and(goes_on);
        let is_another = waiting.is_some_and(|seen| !seen.beginning.goes_on_in(&bytes));
        is_new.then_some(Unread { path, seen: Seen { length, modified, beginning }, is_another, is_denied: false })
    }

    /// Whether it is the file that is being read, with the content that is.
    fn is_present(&self, path: &Path) -> bool {
        self.reading.as_ref().is_some_and(|(reading, progress)| reading == path && !progress.get().is_anew())
    }

    /// A file that was read, compressed.
    fn is_copy(&self, path: &Path) -> bool {
        let is_compressed = path.extension().is_some_and(|suffix| COMPRESSED.iter().any(|end| suffix == *end));
        let plain = path.with_extension("");
        let is_reading = || self.reading.as_ref().is_some_and(|(reading, _)| *reading == plain);
        is_compressed && (self.known.contains_key(&plain) || is_reading())
    }

    /// Files that are gone, once they are many.
    fn forget(&mut self) {
        if self.known.len() > MOST_GONE {
            self.known.retain(|path, _| path.exists());
        }
    }
}

/// `a.pcap` as `a.pcap.gz`.
fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::growing::Growing;
    use std::io::Read;

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

    /// The next file, read to its end; an error of reading is one that was begun anew.
    fn read(folder: &mut Folder) -> Option<PathBuf> {
        let (path, beginning) = next(folder)?;
        let (mut stream, progress) = Growing::open(&path, beginning).unwrap();
        folder.begin(path.clone(), progress);
        stream.read_to_end(&mut Vec::new()).unwrap();
        Some(path)
    }

    fn next(folder: &mut Folder) -> Option<(PathBuf, Beginning)> {
        folder.leave();
        folder.looked = None;
        folder.next()
    }

    fn has_next(folder: &mut Folder) -> bool {
        folder.looked = None;
        folder.has_next()
    }

    #[test]
    fn a_folder_that_is_gone_says_so_until_it_is_there_again() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("captures");
        fs::create_dir(&path).unwrap();
        let mut folder = Folder::open(&path).unwrap();
        assert!(!has_next(&mut folder) && folder.error().is_none());
        fs::remove_dir(&path).unwrap();
        assert!(!has_next(&mut folder));
        let said = folder.error().map(ToString::to_string).unwrap_or_default();
        assert!(said.starts_with(&path.display().to_string()), "{said}");
        fs::create_dir(&path).unwrap();
        written(&path, "a", &capture(1), 1);
        assert!(has_next(&mut folder) && folder.error().is_none());
    }

    #[test]
    fn files_are_taken_once_in_the_order_of_writing() {
        let (home, mut at) = (tempfile::tempdir().unwrap(), 0);
        let mut write = |name: &str, bytes: &[u8]| {
            at += 1;
            written(home.path(), name, bytes, at)
        };
        let mut folder = Folder::open(home.path()).unwrap();
        assert_eq!((folder.has_next(), read(&mut folder)), (false, None));
        let ten = write("out10", &capture(1));
        let two = write("out2", &capture(2));
        write("notes.txt", b"nothing that a capture would begin with, and long enough");
        write("begun", b"\xd4\xc3\xb2\xa1");
        assert_eq!((read(&mut folder), has_next(&mut folder)), (Some(ten.clone()), true));
        assert_eq!((read(&mut folder), has_next(&mut folder)), (Some(two.clone()), false));
        // It grows while it is read, and even afterwards: it is not another file for that.
        write("out2", &[capture(2), vec![2; 9]].concat());
        assert!(!has_next(&mut folder));
        let three = write("out3", &capture(3));
        assert_eq!(read(&mut folder), Some(three));
        write("out2", &[capture(2), vec![2; 99]].concat());
        write("out10.gz", b"\x1f\x8b and what follows, compressed by a program of tcpdump -z");
        write("out3.gz", b"\x1f\x8b and what follows, while the plain one is the last that was read");
        assert_eq!(read(&mut folder), None);
        // Begun anew: tcpdump -W.
        let again = write("out10", &capture(4));
        assert_eq!((has_next(&mut folder), read(&mut folder)), (true, Some(again)));
        fs::remove_file(two).unwrap();
        assert_eq!(read(&mut folder), None);
        let begun = write("begun", &capture(5));
        assert_eq!(read(&mut folder), Some(begun), "as soon as its header is there");
        assert_eq!(folder.lost(), 0);
    }

    /// The present file is no exception, and what was there before its turn, and is not when it comes, is counted.
    #[test]
    fn what_is_begun_anew_is_read_anew() {
        let home = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(home.path()).unwrap();
        let same = written(home.path(), "same", &capture(1), 1);
        let (path, beginning) = next(&mut folder).unwrap();
        let (mut stream, progress) = Growing::open(&path, beginning).unwrap();
        folder.begin(path, progress);
        stream.read_exact(&mut [0; 30]).unwrap();
        written(home.path(), "same", &capture(2), 2);
        assert!(stream.read_to_end(&mut Vec::new()).is_err());
        assert_eq!((has_next(&mut folder), folder.lost()), (true, 0));
        assert_eq!((read(&mut folder), read(&mut folder)), (Some(same), None));
        // Two wait; before their turn one is gone and the other overwritten.
        written(home.path(), "ring0", &capture(3), 3);
        let gone = written(home.path(), "ring1", &capture(4), 4);
        assert!(has_next(&mut folder));
        let anew = written(home.path(), "ring0", &capture(5), 5);
        fs::remove_file(gone).unwrap();
        assert_eq!((read(&mut folder), read(&mut folder), folder.lost()), (Some(anew), None, 2));
    }

    /// What is begun anew between two looks is another file, and what could not be opened in its turn has another turn.
    #[test]
    fn a_file_that_could_not_be_read_is_not_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(home.path()).unwrap();
        let same = written(home.path(), "same", &capture(1), 1);
        let (path, beginning) = next(&mut folder).unwrap();
        written(home.path(), "same", &capture(2), 2);
        let (mut stream, _) = Growing::open(&path, beginning).unwrap();
        assert!(stream.read(&mut [0; 9]).is_err());
        folder.begin(path, None);
        assert_eq!((read(&mut folder), folder.lost()), (Some(same), 1));
        // One that waits and is compressed before its turn is not lost.
        let plain = written(home.path(), "late", &capture(3), 3);
        assert!(has_next(&mut folder));
        fs::remove_file(plain).unwrap();
        let compressed = written(home.path(), "late.gz", b"\x1f\x8b and what follows, compressed in the meantime", 4);
        assert_eq!((read(&mut folder), folder.lost()), (Some(compressed), 1));
    }

    #[test]
    fn what_is_no_folder_is_said() {
        assert!(Folder::open(Path::new("/nowhere/at/all")).is_err());
    }
}
