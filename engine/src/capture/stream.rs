//! What comes as it happens, as the engine takes it: a batch now, none yet, or none any more.

use super::folder::Folder;
use super::patience::Patience;
use super::{Batch, CaptureSet, SetFacts, SourceError};
use crate::settings::Settings;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What waiting for packets came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// The batch has some.
    Packets,
    /// None within the time.
    Nothing,
    /// There will be no more.
    Over,
}

/// What a source knows of packets that it did not give, and of those it wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SourceCounters {
    /// Packets that the kernel had for this capture, those it dropped among them; `null` where it does not tell.
    pub kernel_packets: Option<u64>,
    /// Packets that the kernel dropped for lack of room.
    pub kernel_drops: Option<u64>,
    /// Times that the kernel found the whole ring full.
    pub ring_losses: u64,
    /// Times that the interface was found down.
    pub interface_down: u64,
    /// What was written.
    pub written: Written,
}

/// The files that a capture leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Files begun.
    pub files: u64,
    /// Bytes in all of them.
    pub bytes: u64,
    /// Packets that found no room.
    pub unwritten: u64,
    /// Why nothing is written now; `null` if packets are.
    pub error: Option<String>,
}

/// Where a live engine's packets come from.
pub trait Source: Send {
    /// Empties `batch` and fills it with the next packets, waiting for them no longer than `wait`.
    ///
    /// # Errors
    /// [`SourceError`] for what ends the capture before its time.
    fn next(&mut self, batch: &mut Batch, wait: Duration) -> Result<Came, SourceError>;

    /// What is known of the files, or of the interfaces in the place of one.
    fn facts(&self) -> SetFacts;

    /// The number of the first file that is still there, where files are written and removed again.
    fn first_file(&self) -> u32 {
        0
    }

    /// What was lost and what was written.
    fn counters(&self) -> SourceCounters;

    /// Whether its packets lie in files, from which [`Source::replay`] reads them again.
    fn has_replay(&self) -> bool;

    /// The packets once more.
    ///
    /// # Errors
    /// [`SourceError`] if they cannot be read again.
    fn replay(&mut self) -> Result<Box<dyn Replay>, SourceError>;

    /// No more is wanted than what came by now: that is still given, then it is over.
    fn close(&mut self);
}

/// Packets that can be read again.
pub trait Replay: Send {
    /// A pass from the first packet there is.
    ///
    /// # Errors
    /// [`SourceError`] if a file cannot be read again.
    fn again(&self, settings: &Settings) -> Result<Box<dyn Packets>, SourceError>;
}

/// One pass over packets, as [`CaptureSet`] makes it.
pub trait Packets {
    /// As [`CaptureSet::next_batch`].
    ///
    /// # Errors
    /// As there.
    fn next_batch(&mut self, batch: &mut Batch, max_packets: usize) -> Result<bool, SourceError>;

    /// As [`CaptureSet::skip_to`].
    ///
    /// # Errors
    /// As there.
    fn skip_to(&mut self, file: u32, frame: u64) -> Result<(), SourceError>;

    /// As [`CaptureSet::check`].
    ///
    /// # Errors
    /// As there.
    fn check(&self) -> Result<(), SourceError> {
        Ok(())
    }

    /// As [`CaptureSet::is_interleaved`]: what one capture took is not.
    fn is_interleaved(&self) -> bool {
        false
    }
}

impl Packets for CaptureSet {
    fn next_batch(&mut self, batch: &mut Batch, max_packets: usize) -> Result<bool, SourceError> {
        CaptureSet::next_batch(self, batch, max_packets)
    }

    fn skip_to(&mut self, file: u32, frame: u64) -> Result<(), SourceError> {
        CaptureSet::skip_to(self, file, frame)
    }

    fn check(&self) -> Result<(), SourceError> {
        CaptureSet::check(self)
    }

    fn is_interleaved(&self) -> bool {
        CaptureSet::is_interleaved(self)
    }
}

impl Replay for CaptureSet {
    fn again(&self, settings: &Settings) -> Result<Box<dyn Packets>, SourceError> {
        Ok(Box::new(self.replay(settings)?))
    }
}

/// A pipe, a file that may still grow, or a folder that may.
pub struct StreamSource {
    set: CaptureSet,
    folder: Option<Arc<Mutex<Folder>>>,
    patience: Patience,
    settings: Settings,
    /// Packets that are still wanted.
    left: u64,
}

impl StreamSource {
    /// Opens a pipe (`-`), or a file; its end is the end, unless it is to be followed, and so is the packet number
    /// `most_packets`. Waits for the file's header. A folder that is followed goes on with each file that begins in it.
    ///
    /// # Errors
    /// As [`CaptureSet::open`].
    pub fn open(
        paths: &[PathBuf],
        settings: &Settings,
        follow: bool,
        most_packets: Option<u64>,
    ) -> Result<Self, SourceError> {
        let (patience, settings) = (Patience::default(), settings.clone());
        let left = most_packets.unwrap_or(u64::MAX);
        if let ([path], true) = (paths, follow)
            && path.is_dir()
        {
            let set = CaptureSet::open_followed(&settings, &patience)?;
            let folder = Some(Arc::new(Mutex::new(Folder::open(path)?)));
            return Ok(StreamSource { set, folder, patience, settings, left });
        }
        let set = CaptureSet::open_live(paths, &settings, follow, &patience)?;
        let last = paths.last().zip(set.progress_of_last());
        let folder = last.map(|(path, progress)| Arc::new(Mutex::new(Folder::of_file(path, progress))));
        Ok(StreamSource { set, folder, patience, settings, left })
    }

    /// Goes on with the folder's next file; waits a little if there is none.
    fn go_on(&mut self, folder: &Arc<Mutex<Folder>>, wait: Duration) {
        let mut known = locked(folder);
        let next = if known.has_next() { known.next() } else { None };
        drop(known);
        let Some((path, beginning)) = next else { return std::thread::sleep(wait) };
        let followed = Arc::clone(folder);
        let is_left = move || locked(&followed).has_next();
        let progress = self.set.go_on_with(&path, beginning, Box::new(is_left));
        locked(folder).begin(path, progress);
    }
}

fn locked(folder: &Mutex<Folder>) -> MutexGuard<'_, Folder> {
    folder.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Source for StreamSource {
    fn next(&mut self, batch: &mut Batch, wait: Duration) -> Result<Came, SourceError> {
        self.patience.set(wait);
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.settings.batch_packets);
        if most == 0 {
            return Ok(Came::Over);
        }
        if self.set.next_batch(batch, most)? {
            self.left -= batch.packets.len() as u64;
            return Ok(Came::Packets);
        }
        if self.set.is_waiting() {
            return Ok(Came::Nothing);
        }
        let Some(folder) = self.folder.clone() else { return Ok(Came::Over) };
        self.go_on(&folder, wait);
        Ok(Came::Nothing)
    }

    fn facts(&self) -> SetFacts {
        let mut facts = self.set.facts();
        if let Some(folder) = &self.folder {
            let folder = locked(folder);
            facts.live.unread_files = folder.lost();
            facts.live.follow_error = folder.error().map(ToString::to_string);
        }
        facts
    }

    fn first_file(&self) -> u32 {
        self.set.first_file()
    }

    fn counters(&self) -> SourceCounters {
        SourceCounters::default()
    }

    fn has_replay(&self) -> bool {
        !self.set.has_streams()
    }

    fn replay(&mut self) -> Result<Box<dyn Replay>, SourceError> {
        Ok(Box::new(self.set.replay(&self.settings)?))
    }

    fn close(&mut self) {
        self.patience.end();
        self.left = 0;
    }
}
