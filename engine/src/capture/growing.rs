//! A file that another program still writes, and may begin anew in its place: `tcpdump -G` without a pattern in its name,
//! `-C` with `-W`.
//!
//! Its beginning tells one content from another, since it holds the time of the first packet. It is looked at after each
//! read: bytes that were read before the file was found begun anew are the old content's, and what followed them is lost.

use super::source::{Stream, cannot_open};
use super::{SourceError, repeated::place};
use std::fs::{self, File, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Bytes that tell a content from another of the same name: in pcapng the first packet stands behind descriptions.
const BEGINNING: usize = 1024;
/// Where a file has no packet yet: a header alone is any content's.
const HEADER: usize = 24;

/// The beginning of a content, as far as it was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beginning {
    length: usize,
    hash: u64,
}

impl Beginning {
    /// Of the first bytes of a file.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Beginning {
        let bytes = bytes.get(..BEGINNING).unwrap_or(bytes);
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Beginning { length: bytes.len(), hash: hasher.finish() }
    }

    /// Of a file, with those bytes.
    ///
    /// # Errors
    /// The system's.
    pub fn read(file: impl Read) -> io::Result<(Beginning, Vec<u8>)> {
        let mut bytes = Vec::new();
        file.take(BEGINNING as u64).read_to_end(&mut bytes)?;
        Ok((Beginning::of(&bytes), bytes))
    }

    /// Whether a content that begins with these bytes may be this one, grown.
    #[must_use]
    pub fn goes_on_in(&self, bytes: &[u8]) -> bool {
        self.length == 0 || bytes.get(..self.length).is_some_and(|same| Beginning::of(same) == *self)
    }

    /// Whether there is no packet in it.
    #[must_use]
    pub fn is_header(&self) -> bool {
        self.length <= HEADER
    }
}

/// How far a file was read, and whether what its name stands for by now is something else.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Its beginning, as far as it was there.
    pub beginning: Beginning,
    /// Bytes read.
    pub read: u64,
    /// Bytes that it had, and when it was last written, at the latest look.
    pub seen: Option<(u64, SystemTime)>,
    /// Its writer began it anew in its place: what was not read by then is lost.
    pub is_overwritten: bool,
    /// Another file took its name. This one is read to its end.
    pub is_replaced: bool,
}

impl Progress {
    /// Whether the name stands for a content that was not read.
    #[must_use]
    pub fn is_anew(&self) -> bool {
        self.is_overwritten || self.is_replaced
    }
}

/// A [`Progress`] as the one who reads and those who watch share it.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<Mutex<Progress>>);

impl Shared {
    /// As it stands.
    pub fn get(&self) -> Progress {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the file for another reading, if it still holds what was read.
    ///
    /// # Errors
    /// [`SourceError`] if it does not, or cannot be opened.
    pub fn check(&self, path: &Path) -> Result<(), SourceError> {
        let file = File::open(path).map_err(|error| cannot_open(path, &error))?;
        let known = self.get().beginning;
        match Beginning::read(file) {
            Ok((_, bytes)) if known.goes_on_in(&bytes) => Ok(()),
            _ => Err(SourceError::new(path.to_string_lossy(), "its writer has begun it anew since it was read")),
        }
    }
}

/// The file as a stream. Its end is the end for now; an error says that it was begun anew.
pub struct Growing {
    path: PathBuf,
    file: File,
    shared: Shared,
}

impl Growing {
    /// A path as a stream, with its progress if it is a regular file; `-` is stdin. A content that does not go on from
    /// `beginning` is another one, begun anew.
    ///
    /// # Errors
    /// [`SourceError`] in the user's terms.
    pub fn open(path: &Path, beginning: Beginning) -> Result<(Stream, Option<Shared>), SourceError> {
        if path.as_os_str() == "-" || !fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
            return Ok((super::source::open_path(path)?, None));
        }
        let file = File::open(path).map_err(|error| cannot_open(path, &error))?;
        let shared = Shared(Arc::new(Mutex::new(Progress { beginning, ..Progress::default() })));
        let growing = Growing { path: path.to_owned(), file, shared: shared.clone() };
        Ok((Box::new(growing), Some(shared)))
    }

    /// Looks at the file after `count` more bytes of it were read; `false` if they may be another content's.
    fn is_the_same(&mut self, count: usize) -> io::Result<bool> {
        let metadata = self.file.metadata()?;
        let at = self.file.stream_position()?;
        self.file.rewind()?;
        let (beginning, bytes) = Beginning::read(&self.file)?;
        self.file.seek(SeekFrom::Start(at))?;
        let mut progress = self.shared.lock();
        let read = progress.read + count as u64;
        let is_same = progress.beginning.goes_on_in(&bytes);
        if metadata.len() >= read && is_same {
            (progress.beginning, progress.read) = (beginning, read);
            progress.seen = metadata.modified().ok().map(|modified| (metadata.len(), modified));
            return Ok(true);
        }
        // No packet was read of it and none is lost; an empty file gets the next header at once, mostly the same.
        let is_header = count == 0 && progress.read > 0 && progress.beginning.is_header();
        progress.is_replaced |= is_header && !is_same && !bytes.is_empty();
        progress.is_overwritten = !is_header;
        Ok(is_header)
    }

    /// At the end: goes over to the file that has taken the name, if that is a longer copy of this one.
    fn follow_the_name(&mut self) -> io::Result<()> {
        let Ok(named) = fs::metadata(&self.path) else { return Ok(()) };
        if !is_another(&named, &self.file.metadata()?) {
            return Ok(());
        }
        let mut file = File::open(&self.path)?;
        let (_, bytes) = Beginning::read(&file)?;
        let mut progress = self.shared.lock();
        if named.len() >= progress.read && !progress.beginning.is_header() && progress.beginning.goes_on_in(&bytes) {
            file.seek(SeekFrom::Start(progress.read))?;
            self.file = file;
        } else {
            progress.is_replaced = true;
        }
        Ok(())
    }
}

/// Whether these are two files; `false` where the system does not tell.
fn is_another(one: &Metadata, other: &Metadata) -> bool {
    place(one).is_some() && place(one) != place(other)
}

impl Read for Growing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        if !self.is_the_same(count)? {
            return Err(io::Error::other("its writer began the file anew; what it held from there on is lost"));
        }
        if count == 0 && !into.is_empty() {
            self.follow_the_name()?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn content(of: u8, length: usize) -> Vec<u8> {
        vec![of; length]
    }

    fn read(stream: &mut Stream) -> io::Result<Vec<u8>> {
        let mut into = vec![0; 4096];
        let count = stream.read(&mut into)?;
        into.truncate(count);
        Ok(into)
    }

    /// Shrunk, or grown again beyond what was read: no byte of the new content is taken for the old one's.
    #[test]
    fn a_file_that_is_begun_anew_in_its_place_is_noticed() {
        for length in [0, 40, 100, 3000] {
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(file.path(), content(1, 100)).unwrap();
            let (mut stream, shared) = Growing::open(file.path(), Beginning::default()).unwrap();
            assert_eq!(read(&mut stream).unwrap(), content(1, 100));
            assert_eq!(read(&mut stream).unwrap().len(), 0);
            fs::write(file.path(), content(2, length)).unwrap();
            assert!(read(&mut stream).unwrap_err().to_string().contains("began the file anew"), "{length}");
            let progress = shared.unwrap().get();
            assert!((progress.is_overwritten, progress.read) == (true, 100) && progress.is_anew());
        }
    }

    /// Seconds without packets, of `tcpdump -G 1` without a pattern: a header again and again, and then a packet.
    #[test]
    fn a_header_that_is_written_again_is_no_loss() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content(1, HEADER)).unwrap();
        let (mut stream, shared) = Growing::open(file.path(), Beginning::default()).unwrap();
        for (length, expected) in [(HEADER, HEADER), (0, 0), (HEADER, 0), (100, 100 - HEADER)] {
            fs::write(file.path(), content(1, length)).unwrap();
            assert_eq!(read(&mut stream).unwrap().len(), expected);
        }
        let shared = shared.unwrap();
        assert!(!shared.get().is_anew());
        let (mut stream, shared) = Growing::open(file.path(), Beginning::default()).unwrap();
        fs::write(file.path(), content(1, HEADER)).unwrap();
        assert_eq!(read(&mut stream).unwrap().len(), HEADER);
        fs::write(file.path(), content(2, HEADER)).unwrap();
        assert_eq!(read(&mut stream).unwrap().len(), 0);
        let progress = shared.unwrap().get();
        assert_eq!((progress.is_replaced, progress.is_overwritten), (true, false));
    }

    #[test]
    fn growth_is_none() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&content(1, 10)).unwrap();
        let (mut stream, shared) = Growing::open(file.path(), Beginning::default()).unwrap();
        for expected in [10, 0] {
            assert_eq!(read(&mut stream).unwrap().len(), expected);
        }
        file.write_all(&content(3, 2000)).unwrap();
        assert_eq!(read(&mut stream).unwrap(), content(3, 2000));
        let shared = shared.unwrap();
        assert!((shared.get().read, shared.get().is_anew()) == (2010, false) && shared.check(file.path()).is_ok());
        fs::write(file.path(), content(4, 5000)).unwrap();
        assert!(shared.check(file.path()).unwrap_err().to_string().contains("begun it anew"));
    }

    /// A copy that is renamed over the file, as rsync makes them, goes on where the old one ended; another file does not.
    #[test]
    fn the_name_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, new) = (folder.path().join("a.pcap"), folder.path().join("new"));
        fs::write(&path, content(1, 100)).unwrap();
        let (mut stream, shared) = Growing::open(&path, Beginning::default()).unwrap();
        assert_eq!(read(&mut stream).unwrap().len(), 100);
        fs::write(&new, content(1, 150)).unwrap();
        fs::rename(&new, &path).unwrap();
        assert_eq!(read(&mut stream).unwrap().len(), 0);
        assert_eq!(read(&mut stream).unwrap().len(), 50);
        fs::write(&new, content(2, 500)).unwrap();
        fs::rename(&new, &path).unwrap();
        assert_eq!(read(&mut stream).unwrap().len(), 0);
        let progress = shared.unwrap().get();
        assert_eq!((progress.is_replaced, progress.is_overwritten), (true, false));
    }
}
