//! The way in: files, folders and pipes as one rotated set of packets in order.

use super::compressed::Windows;
use super::error::SourceError;
use super::file::Filled;
use super::filter::Filter;
use super::gap::{Ended, Gap, MOST_TOLD, Missing, Steps, left_out};
use super::lanes::Behind;
use super::refused::{Refusal, is_named_as_capture};
use super::repeated::Identity;
use super::room::Room;
use super::source::{cannot_open, open_path};
use super::{Batch, Reading, View, bytes_in};
use crate::capture::facts::{FileFacts, LiveFacts, RepeatedFacts, UnlistedFacts};
use crate::settings::Settings;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Several capture files read as one, ordered by the earliest time among the first packets of each, ties by path.
///
/// Only one file is open at a time, however many there are, but where their times overlap: see [`merge`].
pub struct CaptureSet {
    members: Vec<Member>,
    /// When those begin that are in order of time, ascending.
    begins_ns: Arc<[i64]>,
    /// The member being read, alone.
    current: Option<usize>,
    /// The first member that was not begun.
    next: usize,
    /// Those being read beside each other.
    lanes: Vec<Lane>,
    /// Latest turn of a packet that was merged.
    merged_ns: i64,
    /// Files whose turn was before that when they were begun.
    late_files: u64,
    /// Not where one capture wrote the files: their order is known.
    merges_by_time: bool,
    is_interleaved: bool,
    filter: Filter,
    reading: Reading,
    next_ordinal: u64,
    /// Latest time of a packet that was read: that of a file without times which comes after.
    latest_ns: Option<i64>,
    /// The last file that ended.
    ended: Option<Ended>,
    /// In what steps files begin, if those are even.
    steps: Option<Steps>,
    gaps: Vec<Gap>,
    filtered_packets: u64,
    clock_steps_back: u64,
    ordered_packets: u64,
    repeated: Vec<RepeatedFacts>,
    bytes_read: Arc<AtomicU64>,
    bytes_total: u64,
    packets_read: Arc<AtomicU64>,
    landmarks: Vec<Landmark>,
    /// The number of the first member: those before it are not listed any more.
    first_file: u32,
    live: LiveFacts,
    /// The stream had nothing to give yet.
    is_waiting: bool,
}

/// A place from which a set can be read on: where a batch began.
#[derive(Clone, Copy, Debug)]
struct Landmark {
    file: usize,
    /// Packets of the file before it.
    packets: u64,
    offset: u64,
    /// Ordinal of the next packet.
    ordinal: u64,
    last_ns: i64,
    /// Of the set.
    latest_ns: Option<i64>,
}

/// Bytes between two landmarks of a file. A second look reads no more than this for nothing.
const LANDMARK_BYTES: u64 = 4 << 20;

/// What a set knows of its files so far.
#[derive(Clone, Debug, Default)]
pub struct SetFacts {
    /// The files, in the order in which they are read; [`super::Packet::file`] is the index.
    pub files: Vec<FileFacts>,
    /// What their interfaces tell that are not listed.
    pub unlisted: UnlistedFacts,
    /// Packets older than the one before them in the same file.
    pub clock_steps_back: u64,
    /// Packets of files with several interfaces that were put behind later ones of the file, which are earlier in time.
    pub ordered_packets: u64,
    /// Files that were given again, and read once.
    pub repeated: Vec<RepeatedFacts>,
    /// Files that were begun after packets later than their first ones, because [`merge::MOST_LANES`] others were being
    /// read: connections that are in them and in others may be split.
    pub late_files: u64,
    /// Packets that [`Settings::filter`] held back. They are counted in [`FileFacts::packets`].
    pub filtered_packets: u64,
    /// Times between files of which nothing was captured, the first [`MOST_TOLD`].
    pub gaps: Vec<Gap>,
    /// Of a capture that goes on.
    pub live: LiveFacts,
    /// The number of the first of `files`, in which [`super::Packet::file`] counts: those before it were removed.
    pub first_file: u32,
}

/// A path to look at, before it is known whether it is a capture.
struct Candidate {
    path: PathBuf,
    in_folder: bool,
}

impl CaptureSet {
    /// Opens files, folders (their capture files, by magic; not their subfolders) and `-` for stdin as one set.
    ///
    /// # Errors
    /// [`SourceError`] for a path that is missing, unreadable or no capture, and for a folder without captures.
    /// Within a folder, what is no capture is passed over; what is unreadable, or called as captures are, is listed with its
    /// problem.
    pub fn open(paths: &[PathBuf], settings: &Settings) -> Result<CaptureSet, SourceError> {
        let mut set = CaptureSet::empty(settings)?;
        let mut folders = Vec::new();
        let mut candidates = Vec::new();
        for path in paths {
            if path.as_os_str() != "-" && stat(path)?.is_dir() {
                let files = files_of(path)?;
                folders.push((path, candidates.len()..candidates.len() + files.len()));
                candidates.extend(files);
            } else {
                candidates.push(Candidate { path: path.clone(), in_folder: false });
            }
        }
        let only = candidates.len() == 1;
        set.reading.windows = if only { Windows::Any } else { Windows::AsFirst };
        let mut members = Vec::new();
        for candidate in &candidates {
            members.push(set.probe(candidate, only, settings)?);
        }
        for (folder, range) in folders {
            let mut found = members.get(range.clone()).unwrap_or_default().iter().flatten();
            if !found.any(|member| !matches!(member.origin, Origin::Nothing)) {
                return Err(no_captures(folder, range.len()));
            }
        }
        set.members = members.into_iter().flatten().collect();
        if set.members.is_empty() {
            return Err(SourceError::new("", "no capture was named; give a file, a folder or -"));
        }
        set.members.sort_by(|a, b| a.turn().cmp(&b.turn()));
        set.pass_over_repeated();
        set.begins_ns = begins_of(&set.members);
        set.steps = Steps::of(&set.begins_ns);
        set.merges_by_time = true;
        Ok(set)
    }

    /// A set of one stream, named `name`: a pipe, or bytes in memory.
    ///
    /// # Errors
    /// [`SourceError`] if the stream is no capture.
    pub fn from_reader(
        name: &str,
        stream: impl Read + Send + 'static,
        settings: &Settings,
    ) -> Result<CaptureSet, SourceError> {
        let mut set = CaptureSet::empty(settings)?;
        let room = &set.reading.room;
        let member = Member::from_stream(name, Box::new(stream), &set.bytes_read, (settings, room), false)?;
        set.members.push(member);
        Ok(set)
    }

    /// The same set once more, from its first packet: files are opened again, and of each stream there is what was
    /// kept, the first [`Settings::replay_bytes`] after decompression. Beyond them the stream ends, its
    /// [`FileFacts::problem`] saying that it was cut short. File indices, frame numbers and ordinals are the same.
    ///
    /// # Errors
    /// [`SourceError`] if a stream has too little kept for a file header.
    pub fn replay(&self, settings: &Settings) -> Result<CaptureSet, SourceError> {
        let mut set = CaptureSet::empty(settings)?;
        set.bytes_total = self.bytes_total;
        set.landmarks.clone_from(&self.landmarks);
        (set.merges_by_time, set.is_interleaved) = (self.merges_by_time, self.is_interleaved);
        (set.first_file, set.reading.orders) = (self.first_file, self.reading.orders);
        set.reading.windows = self.reading.windows;
        set.reading.room = Room::closed();
        for member in &self.members {
            set.members.push(member.replay(&set.bytes_read, &set.reading)?);
        }
        set.begins_ns = Arc::clone(&self.begins_ns);
        Ok(set)
    }

    /// Empties `batch` and fills it with the next packets: at most `max_packets` (at least one), as many as the buffer of a
    /// file holds, of several files only where their times overlap. `false` when there are none left.
    ///
    /// # Errors
    /// [`SourceError`] if a file that was there when the set was opened cannot be opened again.
    pub fn next_batch(&mut self, batch: &mut Batch, max_packets: usize) -> Result<bool, SourceError> {
        batch.packets.clear();
        batch.gaps.clear();
        batch.first_ordinal = self.next_ordinal;
        self.is_waiting = false;
        while batch.packets.is_empty() && !self.is_waiting {
            if !self.lanes.is_empty() {
                self.merge(batch, max_packets.max(1))?;
                continue;
            }
            let Some(current) = self.current.or_else(|| self.begin()) else { break };
            self.note_landmark(current);
            let is_over = self.fill(current, batch, max_packets.max(1), true)?;
            self.current = (!is_over).then_some(current);
            self.part(current, batch, is_over);
        }
        self.next_ordinal += batch.packets.len() as u64;
        self.packets_read.store(self.next_ordinal, Ordering::Relaxed);
        Ok(!batch.packets.is_empty())
    }

    /// Goes to a packet, or to one not long before it, as far as this set, or the one that it replays, has been there
    /// and the files allow it: plain pcap files do, others are read on from where they are. Never goes back.
    ///
    /// # Errors
    /// As [`CaptureSet::next_batch`].
    pub fn skip_to(&mut self, file: u32, frame: u64) -> Result<(), SourceError> {
        let (file, here) = (file.saturating_sub(self.first_file) as usize, self.next_ordinal);
        let end = self.landmarks.partition_point(|mark| (mark.file, mark.packets) < (file, frame));
        let known = self.landmarks.get(..end).unwrap_or_default().iter().rev();
        for &mark in known.take_while(|mark| mark.file == file && mark.ordinal > here) {
            let Some(member) = self.members.get_mut(mark.file) else { return Ok(()) };
            // At offset 0 it is opened when its turn comes.
            if mark.offset == 0 || member.open_at(&mark, &self.bytes_read, &self.reading)? {
                (self.current, self.next) = (Some(mark.file), mark.file + 1);
                (self.next_ordinal, self.latest_ns) = (mark.ordinal, mark.latest_ns);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Remembers where the next batch begins.
    fn note_landmark(&mut self, current: usize) {
        let Some(member) = self.members.get(current) else { return };
        let last = self.landmarks.last().filter(|mark| mark.file == current);
        let (packets, offset, last_ns) = member.open.as_ref().map_or((0, 0, 0), |file| file.position());
        let due = last.map_or(0, |mark| mark.offset + LANDMARK_BYTES);
        let is_new = |mark: &Landmark| (mark.file, mark.packets) < (current, packets);
        let is_new = self.landmarks.last().is_none_or(is_new);
        if is_new && offset >= due {
            let (file, ordinal, latest_ns) = (current, self.next_ordinal, self.latest_ns);
            self.landmarks.push(Landmark { file, packets, offset, ordinal, last_ns, latest_ns });
        }
    }

    /// What is known of the files so far; all there is to know once [`CaptureSet::next_batch`] gave `false`.
    #[must_use]
    pub fn facts(&self) -> SetFacts {
        let open = || self.members.iter().filter_map(|member| member.open.as_ref());
        let files: Vec<FileFacts> = self.members.iter().map(Member::facts).collect();
        let mut unlisted = self.reading.room.unlisted().clone();
        self.members.iter().zip(&files).for_each(|(member, facts)| member.note_unlisted(facts, &mut unlisted));
        SetFacts {
            unlisted: unlisted.told(&files),
            files,
            clock_steps_back: self.clock_steps_back + open().map(|file| file.clock_steps_back()).sum::<u64>(),
            ordered_packets: self.ordered_packets + open().map(|file| file.ordered_packets()).sum::<u64>(),
            repeated: self.repeated.clone(),
            late_files: self.late_files,
            filtered_packets: self.filtered_packets,
            gaps: self.gaps.clone(),
            live: self.live.clone(),
            first_file: self.first_file,
        }
    }

    /// Bytes read of all the files, and the bytes they have, both as stored (compressed). The latter is 0 for streams.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.bytes_read.load(Ordering::Relaxed), self.bytes_total)
    }

    fn empty(settings: &Settings) -> Result<CaptureSet, SourceError> {
        let filter = Filter::new(settings.filter.clone()).map_err(|why| SourceError::new("filter", why.to_string()))?;
        Ok(CaptureSet {
            members: Vec::new(),
            begins_ns: Arc::default(),
            current: None,
            next: 0,
            lanes: Vec::new(),
            merged_ns: i64::MIN,
            late_files: 0,
            merges_by_time: false,
            is_interleaved: false,
            filter,
            reading: Reading::new(settings),
            next_ordinal: 0,
            latest_ns: None,
            ended: None,
            steps: None,
            gaps: Vec::new(),
            filtered_packets: 0,
            clock_steps_back: 0,
            ordered_packets: 0,
            repeated: Vec::new(),
            bytes_read: Arc::default(),
            bytes_total: 0,
            packets_read: Arc::default(),
            landmarks: Vec::new(),
            first_file: 0,
            live: LiveFacts::default(),
            is_waiting: false,
        })
    }

    /// Leaves out what was given twice. Members are in order, so that copies, which begin alike, follow each other.
    fn pass_over_repeated(&mut self) {
        let mut kept: Vec<Member> = Vec::with_capacity(self.members.len());
        for member in std::mem::take(&mut self.members) {
            let alike = kept.iter().rev().take_while(|before| before.begins_ns == member.begins_ns);
            let same = alike.into_iter().find(|before| member.repeats(before));
            if let Some(same) = same {
                self.bytes_total -= member.identity.as_ref().map_or(0, Identity::length);
                self.repeated.push(RepeatedFacts { path: member.path, same_as: same.path.clone() });
            } else {
                kept.push(member);
            }
        }
        self.members = kept;
    }

    /// Looks at one file for its place in the order; `None` for what a folder holds beside captures.
    fn probe(&mut self, from: &Candidate, only: bool, settings: &Settings) -> Result<Option<Member>, SourceError> {
        let name = from.path.to_string_lossy();
        let regular = fs::metadata(&from.path).ok().filter(fs::Metadata::is_file).filter(|_| name != "-");
        let result = match regular {
            Some(_) if only => Member::from_path(&from.path, &self.bytes_read, &self.reading, from.in_folder, true),
            // Its bytes are counted when it is read.
            Some(_) => Member::from_path(&from.path, &Arc::default(), &self.reading, from.in_folder, false),
            None => open_path(&from.path).map_err(Refusal::Unreadable).and_then(|stream| {
                Member::from_stream(&name, stream, &self.bytes_read, (settings, &self.reading.room), !only)
            }),
        };
        match result {
            Ok(mut member) => {
                member.identity = regular.as_ref().map(Identity::new);
                if let Some(metadata) = regular.as_ref().filter(|_| !member.facts.compression.contains('+')) {
                    // It is not filled beyond what the file becomes: blocks of one byte that stands for 128 KiB.
                    member.window_bytes = member.window_bytes.min(metadata.len().saturating_mul(1 << 15));
                }
                self.bytes_total += regular.map_or(0, |metadata| metadata.len());
                Ok(Some(member))
            }
            Err(Refusal::NotACapture(_)) if from.in_folder && !is_named_as_capture(&name) => Ok(None),
            Err(Refusal::NotACapture(error) | Refusal::Unreadable(error)) if from.in_folder => {
                Ok(Some(Member::unreadable(&name, error)))
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Adds what the buffer of a member holds, read alone or beside others; true if the member ends with it.
    fn fill(&mut self, at: usize, batch: &mut Batch, max_packets: usize, is_alone: bool) -> Result<bool, SourceError> {
        let Some(member) = self.members.get_mut(at) else { return Ok(true) };
        let Some(file) = member.open(&self.bytes_read, &self.reading)? else { return Ok(true) };
        file.begin_after(self.latest_ns, Behind::new(Arc::clone(&self.begins_ns), at));
        let is_new = file.times().first_ns.is_none();
        let filled = file.fill(self.first_file + at as u32, batch, max_packets);
        let began_ns = file.times().first_ns.filter(|_| is_new);
        let before_ns = self.latest_ns;
        self.latest_ns = before_ns.max(batch.packets.last().map(|packet| packet.ts_ns));
        let held = batch.view.as_deref().map_or(&batch.data[..], View::bytes);
        self.filtered_packets += self.filter.retain(&mut batch.packets, |packet| bytes_in(held, packet));
        self.is_interleaved |= file.ordered_packets() > 0;
        self.is_waiting = filled == Filled::Waiting;
        let mut ended = None;
        if filled == Filled::End {
            self.clock_steps_back += file.clock_steps_back();
            self.ordered_packets += file.ordered_packets();
            ended = Some(Ended::new(at, file.times(), file.position().0, file.is_cut()));
            let is_overwritten = member.progress.as_ref().is_some_and(|progress| progress.get().is_overwritten);
            self.live.overwritten_files += u64::from(is_overwritten);
            member.close(&self.reading.room);
        }
        if let Some((from_ns, to_ns)) = before_ns.zip(began_ns).filter(|_| is_alone) {
            self.note_gap(at, (from_ns, to_ns), batch);
        }
        self.ended = ended.or(self.ended);
        Ok(filled == Filled::End)
    }

    /// Notes what is missing before the first packet of a member, if anything is.
    fn note_gap(&mut self, at: usize, (from_ns, to_ns): (i64, i64), batch: &mut Batch) {
        let Some(ended) = self.ended else { return };
        let (Some(before), Some(after)) = (self.members.get(ended.member), self.members.get(at)) else { return };
        let begins = before.begins_ns.zip(after.begins_ns);
        let steps = self.steps.zip(begins).map_or(0, |(steps, (from, to))| steps.skipped(from, to));
        // One that could not be read is as good as missing.
        let readable = self.members.iter().enumerate().filter(|(_, member)| !matches!(member.origin, Origin::Nothing));
        let is_between = |place, member: &Member| member.begins_ns.is_none() || (ended.member < place && place < at);
        let there = readable.map(|(place, member)| (member.path.as_str(), is_between(place, member)));
        let steps = steps.saturating_sub(there.clone().filter(|&(_, is_between)| is_between).count() as u64);
        let numbers = left_out(&before.path, &after.path, there);
        let missing = ended.missing(to_ns.saturating_sub(from_ns), numbers, steps);
        let Some((why, missing_files)) = missing else { return };
        let number = |member: usize| self.first_file + member as u32;
        let gap = Gap { after_file: number(ended.member), file: number(at), from_ns, to_ns, why, missing_files };
        // Even steps tell that files may be missing, not that they are.
        batch.gaps.extend((why != Missing::Steps).then_some(gap));
        if self.gaps.len() < MOST_TOLD {
            self.gaps.push(gap);
        }
    }
}

/// When the members begin that are put in order by that: they come first.
fn begins_of(members: &[Member]) -> Arc<[i64]> {
    members.iter().map_while(|member| member.begins_ns).collect()
}

fn stat(path: &Path) -> Result<fs::Metadata, SourceError> {
    fs::metadata(path).map_err(|error| cannot_open(path, &error))
}

/// The regular files of a folder, by name.
fn files_of(folder: &Path) -> Result<Vec<Candidate>, SourceError> {
    let entries = fs::read_dir(folder).map_err(|error| cannot_open(folder, &error))?;
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut files: Vec<PathBuf> = paths.filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files.into_iter().map(|path| Candidate { path, in_folder: true }).collect())
}

fn no_captures(folder: &Path, files: usize) -> SourceError {
    let message = format!("no capture among the {files} files of this folder; give a pcap or pcapng file");
    SourceError::new(folder.to_string_lossy(), message)
}

mod check;
mod gauge;
mod live;
mod member;
mod merge;
use member::{Member, Origin};
use merge::Lane;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
