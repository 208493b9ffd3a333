//! Sets that are read while they come, and files that were written meanwhile.

use super::{CaptureSet, Member, Origin};
use crate::capture::error::SourceError;
use crate::capture::facts::InterfaceFacts;
use crate::capture::file::CaptureFile;
use crate::capture::gap::Ended;
use crate::capture::growing::{Beginning, Growing, Shared};
use crate::capture::patience::{Following, Patience};
use crate::capture::source::{Kept, Stream, open_path};
use crate::settings::Settings;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long the header of a file is waited for, whose first bytes are there.
const OPENING: Duration = Duration::from_secs(1);
/// Files that are listed, of those that were read one after the other; the oldest are totalled.
const MOST_LISTED: usize = 1000;

impl CaptureSet {
    /// Files and pipes (`-`) to be read as they come, one after the other as they are named; the last file is not over at
    /// its end if it is to be followed. With `patience` [`CaptureSet::next_batch`] may give `false` for now, see
    /// [`CaptureSet::is_waiting`]. Nothing is kept of a pipe.
    ///
    /// # Errors
    /// [`SourceError`] for a path that is missing, unreadable or no capture.
    pub fn open_live(
        paths: &[PathBuf],
        settings: &Settings,
        follow: bool,
        patience: &Patience,
    ) -> Result<CaptureSet, SourceError> {
        let mut set = CaptureSet::empty(settings)?;
        (set.reading.patience, set.reading.orders) = (Some(patience.clone()), false);
        for (path, left) in paths.iter().zip((0..paths.len()).rev()) {
            let (stream, progress) =
                if follow && left == 0 { followed(path, patience)? } else { (open_path(path)?, None) };
            let name = path.to_string_lossy();
            let file = CaptureFile::open(&name, stream, &set.bytes_read, None, &set.reading)?;
            let is_file = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
            let origin = if is_file { Origin::Path(path.clone()) } else { Origin::Stream(Kept::new(0)) };
            let (path, facts, window_bytes) = (name.into_owned(), file.facts(), file.window_bytes);
            set.members.push(Member {
                path,
                origin,
                in_folder: false,
                identity: None,
                begins_ns: None,
                window_bytes,
                facts,
                open: Some(Box::new(file)),
                torn: None,
                progress,
            });
        }
        Ok(set)
    }

    /// No file yet: each is [`CaptureSet::go_on_with`]'s.
    ///
    /// # Errors
    /// [`SourceError`] for a filter that is none.
    pub fn open_followed(settings: &Settings, patience: &Patience) -> Result<CaptureSet, SourceError> {
        let mut set = CaptureSet::empty(settings)?;
        (set.reading.patience, set.reading.orders) = (Some(patience.clone()), false);
        Ok(set)
    }

    /// How far the last file was read, if it is one that is followed.
    #[must_use]
    pub fn progress_of_last(&self) -> Option<Shared> {
        self.members.last().and_then(|member| member.progress.clone())
    }

    /// Another file behind those that were read, if it still has that beginning; it is over once `is_left` says so. How far it
    /// is read, `None` if it is no capture.
    pub fn go_on_with(
        &mut self,
        path: &Path,
        beginning: Beginning,
        is_left: Box<dyn FnMut() -> bool + Send>,
    ) -> Option<Shared> {
        let patience = self.reading.patience.clone()?;
        let (stream, progress) = Growing::open(path, beginning).ok()?;
        patience.set(OPENING);
        let stream = Box::new(Following { stream, patience, is_left });
        let name = path.to_string_lossy();
        let file = CaptureFile::open(&name, stream, &self.bytes_read, None, &self.reading).ok()?;
        let (facts, window_bytes, open) = (file.facts(), file.window_bytes, Some(Box::new(file)));
        let (path, origin, torn) = (name.into_owned(), Origin::Path(path.to_owned()), None);
        let (in_folder, identity, begins_ns, given) = (true, None, None, progress.clone());
        self.members.push(Member {
            path,
            origin,
            in_folder,
            identity,
            begins_ns,
            window_bytes,
            facts,
            open,
            torn,
            progress: given,
        });
        self.shorten();
        progress
    }

    /// The number of the first file that is listed.
    #[must_use]
    pub fn first_file(&self) -> u32 {
        self.first_file
    }

    /// Packets dropped as the interface of a file that is no longer listed says, unless a later file has the same count run on.
    fn only_there(&self, gone: &InterfaceFacts) -> u64 {
        let runs_on =
            |later: &InterfaceFacts| later.name == gone.name && later.counted_since_ns == gone.counted_since_ns;
        let mut later = self.members.iter().flat_map(|member| &member.facts.interfaces);
        match (gone.dropped, gone.counted_since_ns) {
            (Some(1..), Some(_)) if later.any(runs_on) || self.reading.room.runs_on(gone) => 0,
            _ => gone.drops(),
        }
    }

    /// Totals the oldest files, once they are many: they have been read.
    fn shorten(&mut self) {
        while self.members.len() > MOST_LISTED && self.next > 0 && self.current != Some(0) {
            let facts = self.members.remove(0).facts();
            self.live.unlisted_files += 1;
            self.live.unlisted_packets += facts.packets;
            self.live.unlisted_dropped += facts.interfaces.iter().map(|one| self.only_there(one)).sum::<u64>();
            self.first_file += 1;
            self.next -= 1;
            self.current = self.current.map(|current| current - 1);
            self.ended = self.ended.and_then(Ended::behind_one_less);
            self.landmarks.retain(|mark| mark.file > 0);
            self.landmarks.iter_mut().for_each(|mark| mark.file -= 1);
        }
    }

    /// Whether the last `false` of [`CaptureSet::next_batch`] was no end: there is nothing yet.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// Whether some of it came once and cannot be opened again.
    #[must_use]
    pub fn has_streams(&self) -> bool {
        self.members.iter().any(|member| matches!(member.origin, Origin::Stream(_)))
    }

    /// Files that one capture wrote, in the order in which it did. One that cannot be read any more keeps its place.
    ///
    /// # Errors
    /// [`SourceError`] for a filter that is none.
    pub fn open_in_order(paths: &[PathBuf], settings: &Settings) -> Result<CaptureSet, SourceError> {
        let mut set = CaptureSet::empty(settings)?;
        set.reading.orders = false;
        for path in paths {
            let opened = Member::from_path(path, &Arc::default(), &set.reading, true, false);
            let gone = |refusal| Member::unreadable(&path.to_string_lossy(), SourceError::from(refusal));
            set.members.push(opened.unwrap_or_else(gone));
        }
        Ok(set)
    }
}

/// A path as a stream that has no end of its own, and how far it is read, if it is a file.
fn followed(path: &Path, patience: &Patience) -> Result<(Stream, Option<Shared>), SourceError> {
    let (stream, progress) = Growing::open(path, Beginning::default())?;
    let given = progress.clone();
    let is_left = Box::new(move || given.as_ref().is_some_and(|progress| progress.get().is_anew()));
    Ok((Box::new(Following { stream, patience: patience.clone(), is_left }), progress))
}
