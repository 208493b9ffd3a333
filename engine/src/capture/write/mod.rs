//! Packets into pcapng files while they are captured: a folder of files of bounded size, the oldest of which go.
//!
//! Each file is complete in itself: section, interfaces by name, packets, and at its end how many packets the kernel
//! dropped. Whole blocks are written, so that a file can be read at any moment; after a crash at most the last block is
//! cut short. When the disk is full, what was written stays whole, the packets that found no room are counted and told in
//! the next one that does (`epb_dropcount`), a file that not even its header found room in is taken away again, and the
//! capture goes on.
//!
//! `keep` is of the folder: files of earlier runs, by their names of the same interface, count among the newest that stay.
//! Whoever runs this as a service has a bound for the disk, and not one for each start.

mod again;
mod blocks;
mod keeping;
pub(super) mod naming;

#[cfg(test)]
mod tests;

use super::facts::{FileFacts, InterfaceFacts, LiveFacts, PcapngFacts};
use super::source::cannot_open;
use super::stream::Written;
use super::times::note_time;
use super::{Batch, SourceError};
pub use again::write_again;
use blocks::{PacketBlock, STATISTICS_BYTES, append_interface, append_section, append_statistics};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the user chooses of the files.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WriteOptions {
    /// The folder, made if it is not there.
    pub folder: PathBuf,
    /// A file ends before it is larger than this; 0: there is one file.
    pub rotate_bytes: u64,
    /// Files that stay, the newest; 0: all.
    pub keep: usize,
    /// The interface, which the files are named after.
    pub interface: String,
    /// The capture filter as text, to be told in the files.
    pub filter: Option<String>,
}

impl Default for WriteOptions {
    fn default() -> Self {
        let interface = "capture".to_owned();
        WriteOptions { folder: PathBuf::new(), rotate_bytes: 0, keep: 0, interface, filter: None }
    }
}

/// What the capture counted, for the end of each file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Since when, ns since 1970 UTC.
    pub since_ns: i64,
    /// Until when.
    pub until_ns: i64,
    /// Packets that passed the filter, those dropped included; `None` where the kernel does not tell.
    pub accepted: Option<u64>,
    /// Packets that the kernel dropped; `None` where it does not tell.
    pub dropped: Option<u64>,
    /// Packets that came here.
    pub delivered: u64,
}

/// How the writing goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WriterCounters {
    /// Files begun, those of which not even the header could be written left out.
    pub files: u64,
    /// Files of this run that were removed, because newer ones took their place, and the packets in them.
    pub removed: u64,
    /// Packets in those.
    pub removed_packets: u64,
    /// Files of earlier runs that were removed for the same reason.
    pub removed_earlier: u64,
    /// Bytes written, those of removed files included.
    pub bytes: u64,
    /// Packets written.
    pub packets: u64,
    /// Packets that could not be written.
    pub unwritten: u64,
    /// Why, the first time; `null` while all went well.
    pub error: Option<String>,
    /// The last packets could not be written.
    pub is_failing: bool,
}

/// Writes packets into files.
pub struct Writer {
    options: WriteOptions,
    interfaces: Vec<InterfaceFacts>,
    open: Option<OpenFile>,
    /// Those before that are still there, the oldest first.
    done: VecDeque<FileFacts>,
    /// The number of the first of them: so many are removed.
    removed: u32,
    /// Files of earlier runs in the folder, the oldest first, as far as they count.
    earlier: VecDeque<PathBuf>,
    /// The highest number of those: names go on from there.
    numbered: u32,
    counters: WriterCounters,
    /// Packets that were lost since the last one that was written.
    lost: u64,
    /// The same when the buffer was last written.
    lost_before: u64,
    /// No file could be begun for this batch.
    stuck: bool,
    statistics: Statistics,
}

/// The file that is being written.
struct OpenFile {
    number: u32,
    file: File,
    /// Whole blocks that are in the file.
    bytes: u64,
    /// Whole blocks that are not yet.
    buffer: Vec<u8>,
    facts: FileFacts,
    last_ns: i64,
    /// What was true when the buffer was empty, to go back to when it cannot be written.
    written: (FileFacts, i64),
}

/// The number of the file of packets that could not be written: there is none.
pub const NOWHERE: u32 = u32::MAX;
/// Bytes gathered before they are written.
const BUFFER: usize = 1 << 20;
const OS: &str = std::env::consts::OS;
const APPLICATION: &str = concat!("pcapwatch ", env!("CARGO_PKG_VERSION"));

impl Writer {
    /// Makes the folder and begins the first file, so that what cannot work is said before anything is captured.
    /// `interfaces` are those of the capture, of which the first stands for the whole of it.
    ///
    /// # Errors
    /// [`SourceError`] if the folder or the file cannot be made.
    pub fn create(options: WriteOptions, interfaces: &[InterfaceFacts]) -> Result<Writer, SourceError> {
        fs::create_dir_all(&options.folder).map_err(|error| cannot_write(&options.folder, &error))?;
        let mut writer = Writer {
            interfaces: Vec::new(),
            open: None,
            done: VecDeque::new(),
            removed: 0,
            earlier: VecDeque::new(),
            numbered: 0,
            counters: WriterCounters::default(),
            lost: 0,
            lost_before: 0,
            stuck: false,
            statistics: Statistics::default(),
            options,
        };
        writer.meet(interfaces);
        writer.look_for_earlier();
        writer.begin().and_then(|()| writer.flush()).map_err(|error| cannot_write(&writer.options.folder, &error))?;
        Ok(writer)
    }

    /// Writes a batch, and gives each of its packets the file and frame in which it is now. `interfaces` are those of the
    /// capture so far; [`super::Packet::interface`] is the place in it. A packet that could not be written is [`NOWHERE`].
    pub fn write(&mut self, batch: &mut Batch, interfaces: &[InterfaceFacts], statistics: Statistics) {
        self.meet(interfaces);
        self.statistics = statistics;
        self.stuck = false;
        let Batch { packets, data, .. } = batch;
        // Where the packets begin that are still in the buffer.
        let mut buffered = 0;
        for at in 0..packets.len() {
            let Some(packet) = packets.get(at).copied() else { break };
            let bytes = data.get(packet.start..).and_then(|rest| rest.get(..packet.captured_len as usize));
            let (interface, original_len) = (packet.interface, packet.original_len);
            let lost = self.lost;
            let block =
                PacketBlock { interface, ts_ns: packet.ts_ns, bytes: bytes.unwrap_or_default(), original_len, lost };
            if !self.has_room(block.length()) {
                self.settle(packets.get_mut(buffered..at).unwrap_or_default());
                buffered = at;
                self.rotate(block.length());
            }
            let place = self.append(&block);
            packets.get_mut(at).into_iter().for_each(|packet| (packet.file, packet.frame) = place);
        }
        self.settle(packets.get_mut(buffered..).unwrap_or_default());
    }

    /// Ends the last file.
    pub fn finish(&mut self, statistics: Statistics) {
        self.statistics = statistics;
        self.end_file();
    }

    /// How the writing goes.
    #[must_use]
    pub fn counters(&self) -> &WriterCounters {
        &self.counters
    }

    /// The same as a source tells it.
    #[must_use]
    pub fn written(&self) -> Written {
        let WriterCounters { files, bytes, unwritten, ref error, is_failing, .. } = self.counters;
        Written { files, bytes, unwritten, error: error.clone().filter(|_| is_failing) }
    }

    /// The files that are there, as a reader will tell of them. The first is number [`Writer::first`] of all that were
    /// written, in which [`super::Packet::file`] counts.
    #[must_use]
    pub fn files(&self) -> Vec<FileFacts> {
        self.done.iter().cloned().chain(self.open.as_ref().map(|open| self.told(open, 0))).collect()
    }

    /// The same, with what was counted until now: packets are dropped also while none can be written.
    #[must_use]
    pub fn files_as_of(&self, statistics: &Statistics) -> Vec<FileFacts> {
        let mut files = self.files();
        files.last_mut().into_iter().for_each(|facts| note_statistics(facts, statistics));
        files
    }

    /// The number of the first file that is there: those before it are removed.
    #[must_use]
    pub fn first(&self) -> u32 {
        self.removed
    }

    /// The paths of [`Writer::files`].
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        let files = self.done.iter().chain(self.open.as_ref().map(|open| &open.facts));
        files.map(|facts| PathBuf::from(&facts.path)).collect()
    }

    /// What of the packets is not in the files.
    #[must_use]
    pub fn lost(&self) -> LiveFacts {
        let WriterCounters { removed, removed_packets, removed_earlier, unwritten, ref error, .. } = self.counters;
        LiveFacts {
            unwritten_packets: unwritten,
            write_error: error.clone(),
            removed_files: removed,
            removed_packets,
            removed_earlier_files: removed_earlier,
            ..LiveFacts::default()
        }
    }

    fn meet(&mut self, interfaces: &[InterfaceFacts]) {
        let os = Some(OS.to_owned());
        let new = interfaces.get(self.interfaces.len()..).unwrap_or_default();
        let filter = &self.options.filter;
        let described =
            |facts: &InterfaceFacts| InterfaceFacts { os: os.clone(), filter: filter.clone(), ..facts.clone() };
        self.interfaces.extend(new.iter().map(described));
    }

    /// Whether a block fits into the file and the buffer. A file holds at least one packet, however large.
    fn has_room(&self, length: u64) -> bool {
        let Some(open) = &self.open else { return false };
        let full = self.options.rotate_bytes;
        let size = open.bytes + open.buffer.len() as u64 + length + STATISTICS_BYTES;
        (full == 0 || open.facts.packets == 0 || size <= full) && open.buffer.len() < BUFFER
    }

    /// Makes room: the buffer is empty, so that only the file can be full, or there is none.
    fn rotate(&mut self, length: u64) {
        if self.stuck || self.has_room(length) {
            return;
        }
        self.end_file();
        if let Err(error) = self.begin() {
            self.stuck = true;
            self.note(&error);
        }
    }

    /// Adds a block to the buffer and says in which file and frame it is.
    fn append(&mut self, block: &PacketBlock<'_>) -> (u32, u64) {
        let Some(open) = &mut self.open else {
            self.lost += 1;
            self.lost_before = self.lost;
            self.counters.unwritten += 1;
            return (NOWHERE, 1);
        };
        open.describe(&self.interfaces);
        block.append(&mut open.buffer);
        let interface = open.facts.interfaces.get_mut(block.interface as usize);
        interface.into_iter().for_each(|facts| facts.lost_between += block.lost);
        self.lost = 0;
        open.facts.packets += 1;
        note_time(&mut open.facts, &mut open.last_ns, block.ts_ns);
        (open.number, open.facts.packets)
    }

    /// Writes the buffer, in which are these packets. If that fails they are nowhere.
    fn settle(&mut self, packets: &mut [super::Packet]) {
        let Err(error) = self.flush() else { return };
        self.note(&error);
        packets.iter_mut().for_each(|packet| (packet.file, packet.frame) = (NOWHERE, 1));
    }

    fn note(&mut self, error: &io::Error) {
        let folder = &self.options.folder;
        self.counters.is_failing = true;
        self.counters.error.get_or_insert_with(|| cannot_write(folder, error).to_string());
    }

    /// Writes the buffer. On an error the file is cut back to its last whole block, and what the buffer held is lost.
    fn flush(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let length = open.buffer.len() as u64;
        let added = open.facts.packets - open.written.0.packets;
        match open.file.write_all(&open.buffer) {
            Ok(()) => {
                self.counters.files += u64::from(open.bytes == 0 && length > 0);
                open.bytes += length;
                open.buffer.clear();
                open.written = (open.facts.clone(), open.last_ns);
                self.counters.bytes += length;
                self.counters.packets += added;
                self.counters.is_failing &= added == 0;
                self.lost_before = self.lost;
                Ok(())
            }
            Err(error) => {
                open.go_back();
                self.lost = self.lost_before + added;
                self.lost_before = self.lost;
                self.counters.unwritten += added;
                Err(error)
            }
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        while self.options.keep > 0 && self.earlier.len() + self.done.len() >= self.options.keep {
            self.remove_oldest();
        }
        let number = self.removed + self.done.len() as u32;
        let name = naming::name(&self.options.interface, self.numbered.saturating_add(number + 1), now_ns());
        let path = self.options.folder.join(name);
        let file = new_file(&path)?;
        let pcapng = PcapngFacts {
            os: Some(OS.to_owned()),
            application: Some(APPLICATION.to_owned()),
            ..PcapngFacts::default()
        };
        let path = path.to_string_lossy().into_owned();
        let compression = "none".to_owned();
        let facts = FileFacts { path, format: "pcapng", compression, pcapng: Some(pcapng), ..FileFacts::default() };
        let mut open = OpenFile {
            number,
            file,
            bytes: 0,
            buffer: Vec::with_capacity(BUFFER),
            written: (facts.clone(), 0),
            facts,
            last_ns: 0,
        };
        open.describe(&self.interfaces);
        self.open = Some(open);
        Ok(())
    }

    /// Writes what is left and the statistics, and removes what is beyond the files to keep.
    fn end_file(&mut self) {
        self.statistics.until_ns = now_ns();
        if let Err(error) = self.flush() {
            self.note(&error);
        }
        let statistics = self.statistics;
        self.open.iter_mut().for_each(|open| append_statistics(&statistics, &mut open.buffer));
        let told = self.flush();
        if let Err(error) = &told {
            self.note(error);
        }
        let Some(open) = self.open.take() else { return };
        if open.bytes == 0 {
            // Nothing found room in it; what is empty tells nobody anything. Where even this fails, it stays so.
            drop(fs::remove_file(&open.facts.path));
            return;
        }
        let facts = self.told(&open, u64::from(told.is_ok()));
        self.done.push_back(facts);
    }

    /// The facts of a file as its reader will tell them once it is ended; `statistics` is how many such blocks it has.
    /// What was dropped is known meanwhile, and where there is no room for that block.
    fn told(&self, open: &OpenFile, statistics: u64) -> FileFacts {
        let mut facts = open.facts.clone();
        note_statistics(&mut facts, &self.statistics);
        let interfaces = facts.interfaces.len() as u64;
        let kinds = [
            ("section_header", 1),
            ("interface_description", interfaces),
            ("enhanced_packet", facts.packets),
            ("interface_statistics", statistics),
        ];
        if let Some(pcapng) = &mut facts.pcapng {
            pcapng.interfaces = interfaces;
            pcapng.blocks.extend(
                kinds.into_iter().filter(|(_, count)| *count > 0).map(|(kind, count)| (kind.to_owned(), count)),
            );
        }
        facts
    }
}

/// What the whole capture counted, for which its first interface stands.
fn note_statistics(facts: &mut FileFacts, counted: &Statistics) {
    let Some(first) = facts.interfaces.first_mut() else { return };
    (first.accepted, first.delivered) = (counted.accepted, Some(counted.delivered));
    (first.dropped, first.dropped_by_system) = (counted.dropped, counted.dropped);
    first.counted_since_ns = Some(counted.since_ns);
}

impl OpenFile {
    /// Describes the interfaces that are not yet, behind the section that a file begins with.
    fn describe(&mut self, interfaces: &[InterfaceFacts]) {
        if self.bytes == 0 && self.buffer.is_empty() {
            append_section(OS, APPLICATION, &mut self.buffer);
        }
        for facts in interfaces.get(self.facts.interfaces.len()..).unwrap_or_default() {
            append_interface(facts, &mut self.buffer);
            self.facts.interfaces.push(facts.clone());
        }
    }

    /// Cuts the file back to its last whole block, and forgets what is in the buffer.
    fn go_back(&mut self) {
        // Where even this fails, the reader finds a last block that is cut short.
        let cut = self.file.set_len(self.bytes);
        drop(cut.and_then(|()| self.file.seek(SeekFrom::Start(self.bytes))));
        self.buffer.clear();
        (self.facts, self.last_ns) = self.written.clone();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end_file();
    }
}

/// A file of its own: never one that is there, and readable by its owner alone, as packets hold secrets.
fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn cannot_write(path: &Path, error: &io::Error) -> SourceError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            SourceError::new(path.to_string_lossy(), format!("packets cannot be written: {error}"))
        }
        io::ErrorKind::PermissionDenied => {
            SourceError::new(path.to_string_lossy(), "permission denied; name a folder that you may write to")
        }
        _ => cannot_open(path, error),
    }
}

/// The clock of the system, ns since 1970 UTC.
pub(super) fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
}
