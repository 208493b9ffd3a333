//! One capture file: recognised by its magic, read record by record, its facts kept.

use super::compressed::{Plain, decompressed};
use super::error::{SourceError, Stop};
use super::lanes::{Behind, Lanes};
use super::patience::Patient;
use super::pcap::{self, Pcap};
use super::pcapng::{self, Pcapng};
use super::refused::{Refusal, header_error, not_a_capture};
use super::source::{Counted, Keeping, Kept, Stream};
use super::times::{note_time, note_times};
use super::unlisted::Beyond;
use super::view::Mapping;
use super::window::Window;
use super::{Batch, Packet, Reading, Record};
use crate::capture::facts::FileFacts;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Bytes looked at to recognise a format.
const HEAD: usize = 512;

/// Bytes of a record, on average, from which on mapping a file costs less than copying it: most of it is not looked at. Of
/// short records every line is, and a copy brings it into the cache in less time than faults and misses do.
const SPARSE: u64 = 512;

/// A capture file being read.
pub struct CaptureFile {
    input: Window,
    format: Format,
    ending: Ending,
    facts: FileFacts,
    clock_steps_back: u64,
    /// Time of the last packet: its own, or the one that was taken for it.
    last_ns: i64,
    /// A first packet without a time has had the file searched for one.
    has_looked_ahead: bool,
    /// What it may be mapped by, and where the bytes are counted.
    mappable: Option<(Mapping, Arc<AtomicU64>)>,
    /// The latest records were long.
    is_sparse: bool,
    /// Frames of the latest packets without a time.
    untimed: Vec<u64>,
    /// Of several interfaces.
    lanes: Option<Box<Lanes>>,
    /// What comes behind it in its set.
    behind: Behind,
    /// What its decompressors take, as their first headers say.
    pub window_bytes: u64,
}

/// Why no more packets were added to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// There are as many as asked for.
    Most,
    /// More can be read once those in the buffer are handed over.
    Buffer,
    /// More may come; the stream has nothing to give yet.
    Waiting,
    /// There are no more.
    End,
}

/// First packets of a file that are looked at for its place among others, and the bytes within which they are.
const PACKETS_TO_ORDER_BY: usize = 64;
const BYTES_TO_ORDER_BY: u64 = 64 << 10;

/// Bytes that are searched for a time where the first packet has none.
const LOOK_AHEAD: usize = 1 << 20;

/// What a file's facts say of its packets so far.
struct Noted {
    packets: u64,
    /// Nothing but times.
    times: FileFacts,
    clock_steps_back: u64,
    latest_ns: i64,
}

impl Noted {
    /// For the packets behind these.
    fn lanes(self, behind: Behind) -> Lanes {
        Lanes::new(self.times, self.latest_ns, self.clock_steps_back, behind)
    }
}

enum Step {
    Packet(Packet),
    Refill,
    End,
}

enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

impl Format {
    /// Frames before the next packet that are no packets.
    #[inline]
    fn other_frames(&self) -> u64 {
        match self {
            Format::Pcap(_) => 0,
            Format::Pcapng(reader) => reader.other_frames,
        }
    }
}

/// Whether reading is over, and if it ended before the file did, why.
#[derive(Default)]
struct Ending {
    reached: bool,
    problem: Option<String>,
}

impl CaptureFile {
    /// Recognises compression and format, and reads the file header. `count` gets the bytes read, `kept` the
    /// beginning of the decompressed bytes.
    ///
    /// # Errors
    /// A [`Refusal`] if this is no capture, or ends within its header.
    pub fn open(
        path: &str,
        stream: Stream,
        count: &Arc<AtomicU64>,
        kept: Option<Arc<Kept>>,
        reading: &Reading,
    ) -> Result<Self, Refusal> {
        let counted = Box::new(Counted { stream, count: Arc::clone(count) });
        let Plain { stream, compression, window_bytes } = decompressed(counted, reading.windows)
            .map_err(|error| Refusal::Unreadable(SourceError::new(path, format!("cannot be read: {error}"))))?;
        let stream = match kept {
            Some(kept) => Box::new(Keeping { stream, kept }),
            None => stream,
        };
        let stream = match &reading.patience {
            Some(patience) => Box::new(Patient::new(stream, patience)),
            None => stream,
        };
        let mut input = Window::new(stream);
        let format = open_format(path, &mut input, &compression, reading)?;
        let word = match &format {
            Format::Pcap(reader) => reader.format,
            Format::Pcapng(_) => "pcapng",
        };
        let facts = FileFacts { path: path.to_owned(), format: word, compression, ..FileFacts::default() };
        let ending = Ending::default();
        let (mappable, is_sparse, has_looked_ahead) = (None, false, false);
        let (clock_steps_back, last_ns) = (0, 0);
        Ok(CaptureFile {
            input,
            format,
            ending,
            facts,
            clock_steps_back,
            last_ns,
            has_looked_ahead,
            mappable,
            is_sparse,
            untimed: Vec::new(),
            lanes: None,
            behind: Behind::default(),
            window_bytes,
        })
    }

    /// Goes over to `mapping`, of the file that the stream is, when its packets turn out to be long.
    pub fn may_map(&mut self, mapping: Mapping, count: &Arc<AtomicU64>) {
        if self.facts.compression == "none" {
            self.mappable = Some((mapping, Arc::clone(count)));
        }
    }

    /// The earliest time among the first packets, which are gone then: one of them may have a wrong time, and be the first.
    pub fn begins_ns(&mut self) -> Option<i64> {
        let mut least = self.first_ns();
        for _ in 0..PACKETS_TO_ORDER_BY {
            let Read::Record(record) = read(&mut self.format, &mut self.input, &mut self.ending) else { break };
            least = least.into_iter().chain(record.ts_ns).min();
            if self.input.offset() > BYTES_TO_ORDER_BY {
                break;
            }
        }
        least
    }

    /// Time of the first packet, which is left to be read, or of the first that has one; `None` if there is none.
    pub fn first_ns(&mut self) -> Option<i64> {
        let Read::Record(Record { ts_ns: first_ns, .. }) = read(&mut self.format, &mut self.input, &mut self.ending)
        else {
            return None;
        };
        self.put_back();
        first_ns.or_else(|| self.time_ahead())
    }

    /// Puts the last packet back, which comes again.
    fn put_back(&mut self) {
        self.input.put_back();
        if let Format::Pcapng(reader) = &mut self.format {
            reader.put_back();
        }
    }

    /// The time of the first packet from here on that has one, as far as is looked.
    #[cold]
    fn time_ahead(&mut self) -> Option<i64> {
        let Format::Pcapng(reader) = &self.format else { return None };
        reader.first_time_ns(self.input.look_ahead(LOOK_AHEAD))
    }

    /// Its place in its set: the time for packets without one before the first that has one, should the file have none near
    /// its start, and what comes behind it.
    pub fn begin_after(&mut self, latest_ns: Option<i64>, behind: Behind) {
        if self.facts.packets > 0 {
            return;
        }
        self.behind = behind;
        self.last_ns = latest_ns.unwrap_or(self.last_ns);
    }

    /// Fills an empty batch with the next packets, `most` at most, as many as the buffer holds: maybe none. Packets of several
    /// interfaces come in order of time.
    pub fn fill(&mut self, file: u32, batch: &mut Batch, most: usize) -> Filled {
        if self.lanes.as_ref().is_some_and(|lanes| lanes.is_ready()) {
            return self.give(batch, most);
        }
        let before = self.noted();
        let filled = self.read_on(file, &mut batch.packets, most);
        self.hand_over(batch);
        if matches!(&self.format, Format::Pcapng(reader) if reader.is_in_order_from(before.packets)) {
            let lanes = self.lanes.get_or_insert_with(|| Box::new(before.lanes(self.behind.clone())));
            lanes.take(batch, &self.untimed);
            if filled == Filled::End {
                lanes.end();
            }
            return self.give(batch, most);
        }
        filled
    }

    /// Fills an empty batch with packets that are in order.
    #[cold]
    fn give(&mut self, batch: &mut Batch, most: usize) -> Filled {
        let Some(lanes) = &mut self.lanes else { return Filled::End };
        lanes.give(batch, most);
        if lanes.is_ready() || !self.ending.reached { Filled::Most } else { Filled::End }
    }

    /// Adds to `packets` what the buffer holds, until they are `most`, and says what stopped that. `file` is the index that
    /// goes into each. What was added stays in its place until [`CaptureFile::hand_over`].
    ///
    /// A packet without a time (pcapng's simple packets) takes that of the packet before it; before the first packet that
    /// has one, that one's.
    fn read_on(&mut self, file: u32, packets: &mut Vec<Packet>, most: usize) -> Filled {
        self.untimed.clear();
        let (before, offset) = (self.noted(), self.input.offset());
        let filled = self.fill_unsure(file, packets, most);
        let length = (self.input.offset() - offset) / (packets.len() as u64).max(1);
        self.is_sparse = length > SPARSE;
        match self.input.cut_at(offset) {
            None => filled,
            Some(end) => self.take_back(packets, end, &before),
        }
    }

    /// The same, of a file that may have been cut under it.
    fn fill_unsure(&mut self, file: u32, packets: &mut Vec<Packet>, most: usize) -> Filled {
        while packets.len() < most {
            if let Format::Pcap(reader) = &self.format
                && !self.ending.reached
            {
                let (bytes, place) = self.input.unread();
                let before = packets.len();
                let first = Packet { file, frame: self.facts.packets + 1, ..Packet::default() };
                let used = reader.scan(bytes, place, first, packets, most);
                self.input.pass(used);
                self.facts.packets += (packets.len() - before) as u64;
                self.note_times(packets.get(before..).unwrap_or_default());
                if packets.len() >= most {
                    break;
                }
            }
            if !packets.is_empty() {
                self.input.pin();
            }
            match self.next(file) {
                Step::Packet(packet) => packets.push(packet),
                Step::Refill if self.input.is_waiting() => return Filled::Waiting,
                Step::Refill => return Filled::Buffer,
                Step::End => return Filled::End,
            }
        }
        Filled::Most
    }

    /// Takes packets out again that lie behind the end of a file that was cut, and ends it.
    #[cold]
    fn take_back(&mut self, packets: &mut Vec<Packet>, end: u64, before: &Noted) -> Filled {
        let is_lost = |packet: &Packet| self.input.offset_of(packet.start) + u64::from(packet.captured_len) > end;
        packets.truncate(packets.iter().position(is_lost).unwrap_or(packets.len()));
        self.note_again(before);
        self.facts.packets += packets.len() as u64;
        self.note_times(packets);
        self.ending = Ending { reached: true, problem: Some(Stop::CutMeanwhile { offset: end }.to_string()) };
        Filled::End
    }

    /// The next packet, one by one.
    fn next(&mut self, file: u32) -> Step {
        let (ts_ns, place, length, original_len, interface, link) =
            match read(&mut self.format, &mut self.input, &mut self.ending) {
                Read::Record(r) => {
                    (r.ts_ns, r.bytes.as_ptr().addr(), r.bytes.len(), r.original_len, r.interface, r.link)
                }
                Read::Refill => return Step::Refill,
                Read::End => return Step::End,
            };
        if ts_ns.is_none() && self.facts.first_ns.is_none() && !self.has_looked_ahead {
            self.put_back();
            self.has_looked_ahead = true;
            self.last_ns = self.time_ahead().unwrap_or(self.last_ns);
            return self.next(file);
        }
        self.facts.packets += 1;
        let frame = self.facts.packets + self.format.other_frames();
        match ts_ns {
            Some(ts_ns) => {
                self.clock_steps_back += note_time(&mut self.facts, &mut self.last_ns, ts_ns);
            }
            None => self.untimed.push(frame),
        }
        Step::Packet(Packet {
            ts_ns: self.last_ns,
            frame,
            // An empty packet's bytes may lie nowhere.
            start: if length == 0 { 0 } else { place - self.input.base() },
            captured_len: length as u32,
            original_len,
            file,
            interface,
            link,
        })
    }

    fn note_times(&mut self, packets: &[Packet]) {
        let times = packets.iter().map(|packet| packet.ts_ns);
        self.clock_steps_back += note_times(&mut self.facts, &mut self.last_ns, times);
    }

    fn noted(&self) -> Noted {
        let times = FileFacts::default().with_times_of(&self.facts);
        let (clock_steps_back, latest_ns) = (self.clock_steps_back, self.last_ns);
        Noted { packets: self.facts.packets, times, clock_steps_back, latest_ns }
    }

    fn note_again(&mut self, noted: &Noted) {
        // The rest of the facts is put in when they are asked for.
        let rest = FileFacts { packets: noted.packets, ..std::mem::take(&mut self.facts) };
        self.facts = rest.with_times_of(&noted.times);
        (self.clock_steps_back, self.last_ns) = (noted.clock_steps_back, noted.latest_ns);
    }

    /// Gives the bytes of the packets away in `batch`, whose buffer is used for the next ones, or in a view.
    fn hand_over(&mut self, batch: &mut Batch) {
        batch.view = self.input.hand_over(&mut batch.data);
        if let Some((mapping, count)) = self.mappable.take_if(|_| self.is_sparse) {
            self.input.map(mapping, count);
        }
    }

    /// Whether bytes were lost under packets of the latest batches.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        self.input.is_torn()
    }

    /// What is known of the file so far.
    #[must_use]
    pub fn facts(&self) -> FileFacts {
        let (pcapng, interfaces, secrets, held) = match &self.format {
            Format::Pcap(reader) => (None, vec![(*reader.interface).clone()], Vec::new(), None),
            Format::Pcapng(reader) => {
                let (facts, interfaces) = reader.facts();
                let interfaces = interfaces.into_iter().map(|one| one.with_start_near(self.facts.first_ns)).collect();
                (Some(facts), interfaces, reader.secrets().to_vec(), Some(reader.held()))
            }
        };
        let problem = self.ending.problem.clone();
        let facts = FileFacts { problem, interfaces, pcapng, secrets, held, ..self.facts.clone() };
        facts.with_times_of(self.times())
    }

    /// Its interfaces that are not listed, if there are any.
    #[must_use]
    pub fn beyond(&self) -> Option<&Beyond> {
        let Format::Pcapng(reader) = &self.format else { return None };
        Some(reader.beyond()).filter(|beyond| !beyond.is_empty())
    }

    /// Of its facts, those on the times of its packets so far.
    #[must_use]
    pub fn times(&self) -> &FileFacts {
        self.lanes.as_ref().map_or(&self.facts, |lanes| &lanes.facts)
    }

    /// Whether it ended before its end.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.ending.problem.is_some()
    }

    /// Packets read, where the next record begins in the (decompressed) stream, and the time of the last packet.
    #[must_use]
    pub fn position(&self) -> (u64, u64, i64) {
        (self.facts.packets, self.input.offset(), self.last_ns)
    }

    /// Whether reading can go on at any record: nothing has to be known of those before.
    #[must_use]
    pub fn is_seekable(&self) -> bool {
        self.facts.compression == "none" && matches!(self.format, Format::Pcap(_))
    }

    /// Goes on with a stream of the same file that stands at `offset`, after so many packets.
    pub fn go_on_with(&mut self, stream: Stream, packets: u64, offset: u64, last_ns: i64) {
        self.input = Window::at(stream, offset);
        self.mappable = None;
        self.facts.packets = packets;
        self.last_ns = last_ns;
    }

    /// Packets so far that were older than the one before them.
    #[must_use]
    pub fn clock_steps_back(&self) -> u64 {
        self.lanes.as_ref().map_or(self.clock_steps_back, |lanes| lanes.clock_steps_back)
    }

    /// Packets so far that were given behind later ones of the file, in order of time.
    #[must_use]
    pub fn ordered_packets(&self) -> u64 {
        self.lanes.as_ref().map_or(0, |lanes| lanes.ordered_packets)
    }
}

/// What reading a record came to.
enum Read<'w> {
    Record(Record<'w>),
    Refill,
    End,
}

/// The next record; once there is none, never again.
#[inline]
fn read<'w>(format: &mut Format, input: &'w mut Window, ending: &mut Ending) -> Read<'w> {
    if ending.reached {
        return Read::End;
    }
    let record = match format {
        Format::Pcap(reader) => reader.next(input),
        Format::Pcapng(reader) => reader.next(input),
    };
    match record {
        Ok(Some(record)) => return Read::Record(record),
        Ok(None) => {}
        Err(Stop::Refill) => return Read::Refill,
        Err(stop) => ending.problem = Some(stop.to_string()),
    }
    ending.reached = true;
    Read::End
}

fn open_format(path: &str, input: &mut Window, compression: &str, reading: &Reading) -> Result<Format, Refusal> {
    let refuse = |stop: &Stop| Refusal::Unreadable(header_error(path, stop));
    // No more than is needed: on a quiet interface the rest may be long in coming.
    let head = input.peek(pcap::FILE_HEADER).map_err(|stop| refuse(&stop))?;
    if pcap::is_pcap(head) {
        return Pcap::open(input, reading).map(Format::Pcap).map_err(|stop| refuse(&stop));
    }
    if pcapng::is_pcapng(head) {
        return Pcapng::open(input, reading).map(Format::Pcapng).map_err(|stop| refuse(&stop));
    }
    let head = input.peek(HEAD).map_err(|stop| refuse(&stop))?;
    Err(Refusal::NotACapture(not_a_capture(path, head, compression)))
}
