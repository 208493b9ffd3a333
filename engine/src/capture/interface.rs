//! An interface as a [`Source`]: what its packets are taken with, and the files they are written to, if they are.

use super::facts::{FileFacts, LiveFacts};
#[cfg(target_os = "linux")]
use super::privilege::drop_privileges;
#[cfg(target_os = "linux")]
use super::ring::{Ring, RingOptions};
use super::stream::{Came, Packets, Replay, Source, SourceCounters};
use super::tap::{Tap, TapCounters};
use super::times::note_time;
use super::write::{WriteOptions, Writer};
use super::{Batch, CaptureSet, SetFacts, SourceError};
use crate::settings::Settings;
#[cfg(target_os = "linux")]
use serde::Deserialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often the kernel is asked for its drops.
const COUNT_EVERY: Duration = Duration::from_millis(250);

/// What the user chooses.
#[cfg(target_os = "linux")]
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InterfaceOptions {
    /// Of the ring.
    pub ring: RingOptions,
    /// Of the files, if packets are to be kept.
    pub write: Option<WriteOptions>,
    /// Give up all rights once the ring is open: for a program of its own, not for a library in another's.
    pub drop_privileges: bool,
    /// Who to be afterwards, by name, where root would stay root: without it whoever called sudo.
    pub user: Option<String>,
}

#[cfg(target_os = "linux")]
impl InterfaceOptions {
    /// Opens the interface, gives up rights if it is to, and begins the files, which belong to who is left.
    ///
    /// # Errors
    /// [`SourceError`] if one of these cannot be done.
    pub fn open(self, most_packets: Option<u64>) -> Result<Box<dyn Source>, SourceError> {
        let mut source = InterfaceSource::new(Box::new(Ring::open(&self.ring)?), most_packets);
        if self.drop_privileges {
            drop_privileges(self.user.as_deref(), &[])?;
        }
        if let Some(options) = self.write {
            source.write(options)?;
        }
        Ok(Box::new(source))
    }
}

/// Packets of an interface as they pass.
pub struct InterfaceSource {
    tap: Box<dyn Tap>,
    writer: Option<Writer>,
    /// As of the kernel, and when it was asked.
    counters: TapCounters,
    counted: Instant,
    /// What a file would tell, where none is written.
    facts: FileFacts,
    last_ns: i64,
    /// The file of the last packet.
    file: u32,
    clock_steps_back: u64,
    /// Packets that are still wanted.
    left: u64,
    is_closed: bool,
}

impl InterfaceSource {
    /// Packets come from now on, `most_packets` at most.
    #[must_use]
    pub fn new(tap: Box<dyn Tap>, most_packets: Option<u64>) -> Self {
        let facts = FileFacts {
            path: tap.name().to_owned(),
            format: "live",
            compression: "none".to_owned(),
            ..FileFacts::default()
        };
        InterfaceSource {
            tap,
            writer: None,
            counters: TapCounters::default(),
            counted: Instant::now(),
            facts,
            last_ns: 0,
            file: 0,
            clock_steps_back: 0,
            left: most_packets.unwrap_or(u64::MAX),
            is_closed: false,
        }
    }

    /// Writes what comes from now on into files, too; the packets' places are then those in the files.
    ///
    /// # Errors
    /// As [`Writer::create`].
    pub fn write(&mut self, options: WriteOptions) -> Result<(), SourceError> {
        self.writer = Some(Writer::create(options, self.tap.interfaces())?);
        Ok(())
    }

    fn note(&mut self, batch: &mut Batch) {
        batch.packets.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= batch.packets.len() as u64;
        if let Some(writer) = &mut self.writer {
            writer.write(batch, self.tap.interfaces(), self.tap.statistics());
        }
        for packet in &batch.packets {
            if packet.file != self.file {
                // Steps are those within a file, as whoever reads the files will find them.
                (self.file, self.last_ns, self.facts.last_ns) = (packet.file, 0, None);
            }
            self.clock_steps_back += note_time(&mut self.facts, &mut self.last_ns, packet.ts_ns);
        }
        self.facts.packets += batch.packets.len() as u64;
    }

    /// Its drops, as far as the kernel still tells them: an interface that is gone has none to add.
    fn count(&mut self) {
        self.counters = self.tap.counters().unwrap_or(self.counters);
        self.counted = Instant::now();
    }

    /// Whether all that was wanted was given; the files are then complete.
    fn is_over(&mut self, taken: usize) -> bool {
        let is_over = self.left == 0 || (self.is_closed && taken == 0);
        if is_over && let Some(writer) = &mut self.writer {
            writer.finish(self.tap.statistics());
        }
        is_over
    }

    fn unwritten(&self) -> FileFacts {
        let mut interfaces = self.tap.interfaces().to_vec();
        // The counts are of the whole capture, which the first stands for.
        if let Some(first) = interfaces.first_mut() {
            first.received = self.counters.kernel_packets;
            first.dropped = self.counters.kernel_drops;
            first.dropped_by_system = self.counters.kernel_drops;
        }
        FileFacts { interfaces, ..self.facts.clone() }
    }
}

impl Source for InterfaceSource {
    fn next(&mut self, batch: &mut Batch, wait: Duration) -> Result<Came, SourceError> {
        if self.is_over(1) {
            return Ok(Came::Over);
        }
        let taken = self.tap.next_batch(batch, wait);
        if self.counted.elapsed() >= COUNT_EVERY || self.is_closed || taken.is_err() {
            self.count();
        }
        let taken = taken?;
        if taken == 0 {
            return Ok(if self.is_over(taken) { Came::Over } else { Came::Nothing });
        }
        self.note(batch);
        Ok(Came::Packets)
    }

    fn facts(&self) -> SetFacts {
        let lost = self.writer.as_ref().map(Writer::lost).unwrap_or_default();
        let mut files = match &self.writer {
            Some(writer) => writer.files_as_of(&self.tap.statistics()),
            None => vec![self.unwritten()],
        };
        if files.is_empty() {
            // None found room, or is left: what was counted stands for them.
            files.push(FileFacts { packets: lost.unwritten_packets, ..self.unwritten() });
        }
        let TapCounters { interface_down, ring_freezes, .. } = self.counters;
        let live = LiveFacts { interface_downs: interface_down, ring_losses: ring_freezes, ..lost };
        SetFacts {
            files,
            clock_steps_back: self.clock_steps_back,
            live,
            first_file: self.first_file(),
            ..SetFacts::default()
        }
    }

    fn counters(&self) -> SourceCounters {
        SourceCounters {
            kernel_packets: self.counters.kernel_packets,
            kernel_drops: self.counters.kernel_drops,
            ring_losses: self.counters.ring_freezes,
            interface_down: self.counters.interface_down,
            written: self.writer.as_ref().map(Writer::written).unwrap_or_default(),
        }
    }

    fn first_file(&self) -> u32 {
        self.writer.as_ref().map_or(0, Writer::first)
    }

    fn has_replay(&self) -> bool {
        self.writer.is_some()
    }

    fn replay(&mut self) -> Result<Box<dyn Replay>, SourceError> {
        let paths = self.writer.as_ref().map(Writer::paths).unwrap_or_default();
        Ok(Box::new(WrittenFiles { first: self.first_file(), paths }))
    }

    fn close(&mut self) {
        // What cannot be stopped gives nothing more either.
        if self.tap.stop().is_err() {
            self.left = 0;
        }
        self.is_closed = true;
    }
}

/// Files that were written and are still there.
struct WrittenFiles {
    /// The place of the first among all that were.
    first: u32,
    paths: Vec<PathBuf>,
}

impl Replay for WrittenFiles {
    fn again(&self, settings: &Settings) -> Result<Box<dyn Packets>, SourceError> {
        // The filter did its work in the kernel.
        let settings = Settings { filter: std::collections::BTreeMap::new(), ..settings.clone() };
        let set = CaptureSet::open_in_order(&self.paths, &settings)?;
        Ok(Box::new(Renumbered { set, first: self.first }))
    }
}

/// A set that begins with a later file than the first.
struct Renumbered {
    set: CaptureSet,
    first: u32,
}

impl Packets for Renumbered {
    fn next_batch(&mut self, batch: &mut Batch, max_packets: usize) -> Result<bool, SourceError> {
        let more = self.set.next_batch(batch, max_packets)?;
        batch.packets.iter_mut().for_each(|packet| packet.file += self.first);
        Ok(more)
    }

    fn skip_to(&mut self, file: u32, frame: u64) -> Result<(), SourceError> {
        self.set.skip_to(file.saturating_sub(self.first), frame)
    }

    fn check(&self) -> Result<(), SourceError> {
        self.set.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::facts::InterfaceFacts;
    use crate::capture::fed::{Fed, FedOptions, FedTap, open};
    use crate::capture::write::Statistics;

    /// Packets that are fed, by a kernel that dropped seven more.
    struct Dropping(FedTap);

    impl Tap for Dropping {
        fn name(&self) -> &str {
            self.0.name()
        }

        fn interfaces(&self) -> &[InterfaceFacts] {
            self.0.interfaces()
        }

        fn next_batch(&mut self, batch: &mut Batch, wait: Duration) -> Result<usize, SourceError> {
            self.0.next_batch(batch, wait)
        }

        fn stop(&mut self) -> Result<(), SourceError> {
            self.0.stop()
        }

        fn counters(&mut self) -> Result<TapCounters, SourceError> {
            let counters = self.0.counters()?;
            Ok(TapCounters { kernel_drops: Some(7), kernel_packets: Some(counters.packets + 7), ..counters })
        }

        fn statistics(&self) -> Statistics {
            Statistics { dropped: Some(7), ..self.0.statistics() }
        }
    }

    fn packet(ts_ns: i64) -> Fed {
        (ts_ns, vec![0; 100], 100)
    }

    /// Nothing more can be written, and `keep` took away what was: what was dropped is told nevertheless.
    #[test]
    fn drops_are_told_where_no_file_is_left() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("packets");
        let (feeder, tap) = open(FedOptions { interface: "en0".to_owned(), link_type: 1, snaplen: 100 });
        let mut source = InterfaceSource::new(Box::new(Dropping(tap)), None);
        source
            .write(WriteOptions { folder: folder.clone(), rotate_bytes: 300, keep: 1, ..WriteOptions::default() })
            .unwrap();
        let mut batch = Batch::default();
        assert!(feeder.feed(vec![packet(1)]));
        source.next(&mut batch, Duration::ZERO).unwrap();
        assert_eq!(source.facts().files[0].interfaces[0].dropped, Some(7));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(feeder.feed((2..9).map(packet).collect()));
        source.next(&mut batch, Duration::ZERO).unwrap();
        source.close();
        while source.next(&mut batch, Duration::ZERO).unwrap() != Came::Over {}
        let facts = source.facts();
        let [only] = facts.files.as_slice() else { panic!("{:?}", facts.files) };
        assert_eq!((only.path.as_str(), only.format, only.packets), ("en0", "live", facts.live.unwritten_packets));
        assert_eq!((only.interfaces[0].dropped, only.interfaces[0].received), (Some(7), Some(15)));
        assert_eq!(facts.live.removed_packets + facts.live.unwritten_packets, 8);
    }
}
