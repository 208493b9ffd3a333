//! The newest files stay, the oldest go, those of earlier runs first.

use super::{Writer, naming};
use crate::capture::SourceError;
use std::fs;
use std::io;
use std::path::PathBuf;

impl Writer {
    /// The files of earlier runs, of which those count that stand between the newest and `keep`.
    pub(super) fn look_for_earlier(&mut self) {
        let entries = fs::read_dir(&self.options.folder).into_iter().flatten().flatten();
        let named = entries.filter_map(|entry| {
            let (number, begun) = naming::parse(&self.options.interface, entry.file_name().to_str()?)?;
            // A link is somebody's own doing, and what it leads to as well.
            entry.file_type().ok()?.is_file().then(|| (begun, number, entry.path()))
        });
        let mut named: Vec<_> = named.collect();
        named.sort_unstable();
        self.numbered = named.iter().map(|&(_, number, _)| number).max().unwrap_or(0);
        if self.options.keep > 0 {
            self.earlier = named.into_iter().map(|(_, _, path)| path).collect();
        }
    }

    /// Takes away the oldest file there is, of an earlier run or of this one.
    pub(super) fn remove_oldest(&mut self) {
        let (path, packets) = match (self.earlier.pop_front(), self.done.front()) {
            (Some(path), _) => (path, None),
            (None, Some(facts)) => (PathBuf::from(&facts.path), Some(facts.packets)),
            (None, None) => return,
        };
        if packets.is_some() {
            self.done.pop_front();
            self.removed += 1;
        }
        match (fs::remove_file(&path), packets) {
            (Err(error), _) if error.kind() != io::ErrorKind::NotFound => {
                let error = SourceError::new(path.to_string_lossy(), format!("cannot be removed (--keep): {error}"));
                self.counters.error.get_or_insert_with(|| error.to_string());
            }
            // Somebody else took it away, or this did.
            (_, Some(packets)) => {
                self.counters.removed += 1;
                self.counters.removed_packets += packets;
            }
            (_, None) => self.counters.removed_earlier += 1,
        }
    }
}
