//! One file of a set: how it is opened, and opened again.

use super::Landmark;
use crate::capture::Reading;
use crate::capture::error::SourceError;
use crate::capture::facts::FileFacts;
use crate::capture::file::CaptureFile;
use crate::capture::growing::Shared;
use crate::capture::refused::Refusal;
use crate::capture::repeated::Identity;
use crate::capture::room::Room;
use crate::capture::source::{Again, Kept, Stream, cannot_open};
use crate::capture::unlisted::Unlisted;
use crate::capture::view::Mapping;
use crate::settings::Settings;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// One file of a set.
pub(super) struct Member {
    pub(super) path: String,
    pub(super) origin: Origin,
    pub(super) in_folder: bool,
    /// What tells a regular file from others.
    pub(super) identity: Option<Identity>,
    /// The earliest time among its first packets, one of which may have a wrong one; `None` where it did not matter, or
    /// there are none.
    pub(super) begins_ns: Option<i64>,
    /// What its decompressors take of memory while it is read.
    pub(super) window_bytes: u64,
    /// As far as known; the open file knows better.
    pub(super) facts: FileFacts,
    pub(super) open: Option<Box<CaptureFile>>,
    /// Of a file that may be mapped: whether bytes were lost under a packet.
    pub(super) torn: Option<Arc<AtomicBool>>,
    /// Of a file that is followed: how far it was read.
    pub(super) progress: Option<Shared>,
}

/// How to read a member again.
#[derive(Clone)]
pub(super) enum Origin {
    /// Opened when its turn comes, and as often as wanted.
    Path(PathBuf),
    /// A stream that comes once; what was kept of it.
    Stream(Arc<Kept>),
    /// A file of a folder that cannot be read at all; only its facts are here.
    Nothing,
}

impl Member {
    /// A file by its path, open from its start if `stay_open`.
    pub(super) fn from_path(
        path: &Path,
        count: &Arc<AtomicU64>,
        reading: &Reading,
        in_folder: bool,
        stay_open: bool,
    ) -> Result<Member, Refusal> {
        // What one that is closed again tells is kept when its turn comes.
        let looking = (!stay_open).then(|| reading.of_packets());
        let reading = looking.as_ref().unwrap_or(reading);
        let name = path.to_string_lossy().into_owned();
        let stream = File::open(path).map_err(|error| Refusal::Unreadable(cannot_open(path, &error)))?;
        let mappable = stream.try_clone().ok().filter(|_| stay_open);
        let mut file = Box::new(CaptureFile::open(&name, Box::new(stream), count, None, reading)?);
        let mapping = mappable.map(Mapping::new);
        let torn = mapping.as_ref().map(Mapping::torn);
        if let Some(mapping) = mapping {
            file.may_map(mapping, count);
        }
        let (facts, window_bytes) = (file.facts(), file.window_bytes);
        // One that is closed again can be read from.
        let begins_ns = if stay_open { None } else { file.begins_ns() };
        let (origin, open) = (Origin::Path(path.to_owned()), stay_open.then_some(file));
        let (identity, progress) = (None, None);
        Ok(Member { path: name, origin, in_folder, identity, begins_ns, window_bytes, facts, open, torn, progress })
    }

    /// A stream that comes once. Its first packet is waited for only if it must be put in `order`.
    pub(super) fn from_stream(
        name: &str,
        stream: Stream,
        count: &Arc<AtomicU64>,
        (settings, room): (&Settings, &Arc<Room>),
        order: bool,
    ) -> Result<Member, Refusal> {
        let kept = Kept::new(settings.replay_bytes);
        let reading = Reading { room: Arc::clone(room), ..Reading::new(settings) };
        let mut file = Box::new(CaptureFile::open(name, stream, count, Some(Arc::clone(&kept)), &reading)?);
        let (facts, window_bytes) = (file.facts(), file.window_bytes);
        let begins_ns = if order { file.first_ns() } else { None };
        Ok(Member {
            path: name.to_owned(),
            origin: Origin::Stream(kept),
            in_folder: false,
            identity: None,
            begins_ns,
            window_bytes,
            facts,
            open: Some(file),
            torn: None,
            progress: None,
        })
    }

    /// A file of a folder that may be a capture and cannot be read.
    pub(super) fn unreadable(name: &str, error: SourceError) -> Member {
        let facts = FileFacts { path: name.to_owned(), problem: Some(error.message), ..FileFacts::default() };
        let (path, origin, in_folder, identity) = (name.to_owned(), Origin::Nothing, true, None);
        let (begins_ns, window_bytes, open, torn, progress) = (None, 0, None, None, None);
        Member { path, origin, in_folder, identity, begins_ns, window_bytes, facts, open, torn, progress }
    }

    pub(super) fn replay(&self, count: &Arc<AtomicU64>, reading: &Reading) -> Result<Member, SourceError> {
        let open = match &self.origin {
            Origin::Stream(kept) => {
                let again = Box::new(Again { kept: Arc::clone(kept), at: 0 });
                Some(Box::new(CaptureFile::open(&self.path, again, count, None, reading)?))
            }
            Origin::Path(_) | Origin::Nothing => None,
        };
        // What it tells beside its packets is told.
        let problem = self.facts.problem.clone();
        let facts = FileFacts { path: self.path.clone(), problem, ..FileFacts::default() };
        let (path, origin, in_folder) = (self.path.clone(), self.origin.clone(), self.in_folder);
        let (begins_ns, window_bytes, progress) = (self.begins_ns, self.window_bytes, self.progress.clone());
        let (identity, torn) = (None, None);
        Ok(Member { path, origin, in_folder, identity, begins_ns, window_bytes, facts, open, torn, progress })
    }

    /// Whether this is a file with packets that `before` is, too.
    pub(super) fn repeats(&self, before: &Member) -> bool {
        let (Some(mine), Some(other)) = (&self.identity, &before.identity) else { return false };
        self.begins_ns.is_some() && mine.same(Path::new(&self.path), other, Path::new(&before.path))
    }

    /// The key of the order; a file without packets comes last.
    pub(super) fn turn(&self) -> (bool, Option<i64>, &str) {
        (self.begins_ns.is_none(), self.begins_ns, &self.path)
    }

    pub(super) fn facts(&self) -> FileFacts {
        self.open.as_ref().map_or_else(|| self.facts.clone(), |file| file.facts())
    }

    /// The file, opened if it is not yet; `None` if it is to be passed over.
    pub(super) fn open(
        &mut self,
        count: &Arc<AtomicU64>,
        reading: &Reading,
    ) -> Result<Option<&mut CaptureFile>, SourceError> {
        if let (None, Origin::Path(path)) = (&self.open, &self.origin) {
            if let Some(Err(error)) = self.progress.as_ref().map(|progress| progress.check(path)) {
                // Other packets than those that were read are no use.
                self.facts.problem = Some(error.message);
                return Ok(None);
            }
            match Member::from_path(path, count, reading, self.in_folder, true) {
                Ok(again) => (self.open, self.torn) = (again.open, again.torn),
                Err(refusal) => self.vanished(refusal.into())?,
            }
        }
        Ok(self.open.as_deref_mut())
    }

    /// Opens the file at a landmark; `false` if it is of a kind that must be read from its start.
    pub(super) fn open_at(
        &mut self,
        mark: &Landmark,
        count: &Arc<AtomicU64>,
        reading: &Reading,
    ) -> Result<bool, SourceError> {
        let Some(file) = self.open(count, reading)? else { return Ok(false) };
        if !file.is_seekable() {
            return Ok(false);
        }
        let Origin::Path(path) = &self.origin else { return Ok(false) };
        let mut stream = File::open(path).map_err(|error| cannot_open(path, &error))?;
        stream.seek(SeekFrom::Start(mark.offset)).map_err(|error| cannot_open(path, &error))?;
        if let Some(file) = &mut self.open {
            file.go_on_with(Box::new(stream), mark.packets, mark.offset, mark.last_ns);
        }
        Ok(true)
    }

    /// The file was there when the set was opened, and is not now.
    pub(super) fn vanished(&mut self, error: SourceError) -> Result<(), SourceError> {
        if !self.in_folder {
            return Err(error);
        }
        self.begins_ns = None;
        self.facts.problem = Some(error.message);
        Ok(())
    }

    pub(super) fn close(&mut self, room: &Room) {
        self.facts = self.facts();
        self.note_unlisted(&self.facts, &mut room.unlisted());
        self.open = None;
    }

    /// Adds the unlisted interfaces of an open file that has these facts.
    pub(super) fn note_unlisted(&self, facts: &FileFacts, all: &mut Unlisted) {
        if let Some(beyond) = self.open.as_ref().and_then(|file| file.beyond()) {
            all.add(beyond, facts);
        }
    }
}
