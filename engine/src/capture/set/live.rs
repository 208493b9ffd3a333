//! Sets that are read while they come, and files that were written meanwhile.

use super::{CaptureSet, Member, Origin};
use crate::capture::error::SourceError;
use crate::capture::file::CaptureFile;
use crate::capture::patience::{Following, Patience};
use crate::capture::source::{Kept, open_path};
use crate::settings::Settings;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long the header of a file is waited for, whose first bytes are there.
const OPENING: Duration = Duration::from_secs(1);

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
        set.reading.patience = Some(patience.clone());
        for (path, left) in paths.iter().zip((0..paths.len()).rev()) {
            let stream = open_path(path)?;
            let stream = if follow && left == 0 {
                Box::new(Following { stream, patience: patience.clone(), is_left: Box::new(|| false) })
            } else {
                stream
            };
            let name = path.to_string_lossy();
            let file = CaptureFile::open(&name, stream, &set.bytes_read, None, &set.reading)?;
            let is_file = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
            let origin = if is_file { Origin::Path(path.clone()) } else { Origin::Stream(Kept::new(0)) };
            let (path, facts) = (name.into_owned(), file.facts());
            set.members.push(Member {
                path,
                origin,
                in_folder: false,
                identity: None,
                begins_ns: None,
                facts,
                open: Some(Box::new(file)),
                torn: None,
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
        set.reading.patience = Some(patience.clone());
        Ok(set)
    }

    /// Another file behind those that were read; it is over once `is_left` says so. `false` if it is no capture.
    pub fn go_on_with(&mut self, path: &Path, is_left: Box<dyn FnMut() -> bool + Send>) -> bool {
        let (Some(patience), Ok(stream)) = (self.reading.patience.clone(), open_path(path)) else { return false };
        patience.set(OPENING);
        let stream = Box::new(Following { stream, patience, is_left });
        let name = path.to_string_lossy();
        let Ok(file) = CaptureFile::open(&name, stream, &self.bytes_read, None, &self.reading) else { return false };
        let (facts, open) = (file.facts(), Some(Box::new(file)));
        let (path, origin) = (name.into_owned(), Origin::Path(path.to_owned()));
        let member = Member { path, origin, in_folder: true, identity: None, begins_ns: None, facts, open, torn: None };
        self.members.push(member);
        true
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
        for path in paths {
            let opened = Member::from_path(path, &Arc::default(), &set.reading, true, false);
            let gone = |refusal| Member::unreadable(&path.to_string_lossy(), SourceError::from(refusal));
            set.members.push(opened.unwrap_or_else(gone));
        }
        Ok(set)
    }
}
