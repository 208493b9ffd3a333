//! Packets of a pcapng file's interfaces, put in order of time.
//!
//! Whoever captures on several interfaces writes what each of them had in turn: a quarter of a second of one, then the same
//! of another. Between two ports of a tap that is all of the requests before all of the answers.
//!
//! Each interface has a lane, in which its packets keep their order, and takes part with the earliest time that is known
//! to come in it, as files do that are read beside each other. What goes first depends on the packets alone, not on the
//! pieces that they are read in.

use super::facts::FileFacts;
use super::times::note_time;
use super::{Batch, Packet};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// How far the packet that was read last is ahead of those that are given, unless there are too many.
const WINDOW_NS: i64 = 2_000_000_000;
/// Most packets that wait, and most bytes of them; files that are read beside each other share those.
const MOST_PACKETS: usize = 65_536;
const MOST_BYTES: usize = 32 << 20;
/// The least share of the bytes.
const LEAST_BYTES: usize = MOST_BYTES / 64;
/// Bytes of a batch.
const BATCH_BYTES: usize = 256 << 10;

/// A packet that waits.
#[derive(Debug)]
struct Held {
    packet: Packet,
    bytes: Box<[u8]>,
    has_time: bool,
}

/// Packets of one interface, and when it is their turn: so many have the same one, the earliest time from the first on.
#[derive(Debug, Default)]
struct Lane {
    packets: VecDeque<Held>,
    turns: VecDeque<(i64, usize)>,
}

impl Lane {
    /// The time of its turn, and the packet's frame, which tells between equals.
    fn turn(&self) -> Option<(i64, u64)> {
        self.turns.front().zip(self.packets.front()).map(|(turn, held)| (turn.0, held.packet.frame))
    }

    /// Without a `time` of its own it has the turn of the one before it.
    fn push(&mut self, held: Held, time: Option<i64>) {
        let before = self.turns.back().map(|turn| turn.0);
        let (time, mut count) = (time.or(before).unwrap_or(held.packet.ts_ns), 1);
        while let Some(&(turn, packets)) = self.turns.back()
            && turn >= time
        {
            count += packets;
            self.turns.pop_back();
        }
        self.turns.push_back((time, count));
        self.packets.push_back(held);
    }

    fn pop(&mut self) -> Option<Held> {
        if let Some((_, count)) = self.turns.front_mut() {
            *count -= 1;
            if *count == 0 {
                self.turns.pop_front();
            }
        }
        self.packets.pop_front()
    }
}

/// The times at which the files behind this one in its set begin: those that come before it ends share its room. By times
/// alone, so that it does not matter how far each was read when.
#[derive(Clone, Debug, Default)]
pub struct Behind {
    begins_ns: Arc<[i64]>,
    next: usize,
}

impl Behind {
    /// Of the file with the number `member` in its set, the times ascending.
    pub fn new(begins_ns: Arc<[i64]>, member: usize) -> Self {
        Behind { begins_ns, next: member + 1 }
    }

    /// Bytes that may wait once packets of this time were read.
    fn share(&self, latest_ns: i64) -> usize {
        let others = self.begins_ns.get(self.next..).unwrap_or_default().partition_point(|&time| time <= latest_ns);
        (MOST_BYTES / (1 + others)).max(LEAST_BYTES)
    }
}

/// The lanes of a file, and what its packets' times say in the order in which they are given.
#[derive(Debug, Default)]
pub struct Lanes {
    by_interface: BTreeMap<u32, Lane>,
    /// The turn of each lane: time, frame, interface.
    turns: BTreeSet<(i64, u64, u32)>,
    waiting_packets: usize,
    waiting_bytes: usize,
    /// Most that may, with those that are read beside it, and the latest time so far.
    behind: Behind,
    share: usize,
    latest_ns: i64,
    /// Their turn has come.
    ready: VecDeque<Held>,
    /// The lane of the packet that was read last.
    latest: Option<u32>,
    /// The last two times of each interface.
    times: HashMap<u32, [i64; 2]>,
    /// The last frame of the file among those whose turn came.
    last_frame: u64,
    /// Packets that were given behind later ones of the file.
    pub ordered_packets: u64,
    /// Packets that were given behind one with a later time.
    pub clock_steps_back: u64,
    /// Of these, what concerns times.
    pub facts: FileFacts,
    last_ns: i64,
}

impl Lanes {
    /// For a file from which packets with these times were given before, the last of them at `last_ns`.
    #[must_use]
    pub fn new(facts: FileFacts, last_ns: i64, clock_steps_back: u64, behind: Behind) -> Lanes {
        let latest_ns = i64::MIN;
        Lanes {
            clock_steps_back,
            facts,
            last_ns,
            share: behind.share(latest_ns),
            behind,
            latest_ns,
            ..Lanes::default()
        }
    }

    /// Takes all packets out of `batch`, those of the frames `untimed` without a time of their own.
    pub fn take(&mut self, batch: &mut Batch, untimed: &[u64]) {
        for packet in &batch.packets {
            let has_time = untimed.binary_search(&packet.frame).is_err();
            self.push(Held { packet: *packet, bytes: batch.bytes(packet).into(), has_time });
        }
        batch.packets.clear();
        batch.view = None;
    }

    /// A packet without a time stays behind the one before it, and so does one that is far older than those before it of its
    /// own interface: one wrong time is not to hurry what comes after it.
    fn push(&mut self, held: Held) {
        let (own, ts_ns) = (held.packet.interface, held.packet.ts_ns);
        let is_wrong = held.has_time && self.is_far_back(own, ts_ns);
        let time = (held.has_time && !is_wrong).then_some(ts_ns);
        let number = self.latest.filter(|_| time.is_none()).unwrap_or(own);
        self.latest = Some(number);
        self.waiting_packets += 1;
        self.waiting_bytes += held.bytes.len();
        let now_ns = held.packet.ts_ns;
        if now_ns > self.latest_ns {
            (self.latest_ns, self.share) = (now_ns, self.behind.share(now_ns));
        }
        self.change(number, |lane| lane.push(held, time));
        while let Some(&(turn_ns, _, first)) = self.turns.first()
            && (turn_ns <= now_ns.saturating_sub(WINDOW_NS)
                || self.waiting_packets > MOST_PACKETS
                || self.waiting_bytes > self.share)
        {
            self.make_ready(first);
        }
    }

    /// Whether a time is older than the last two of its interface by more than is put in order.
    fn is_far_back(&mut self, interface: u32, ts_ns: i64) -> bool {
        if self.times.len() == MOST_PACKETS && !self.times.contains_key(&interface) {
            self.times.clear();
        }
        let times = self.times.entry(interface).or_insert([i64::MIN; 2]);
        let [before, last] = *times;
        *times = [last, ts_ns];
        ts_ns < before.min(last).saturating_sub(WINDOW_NS)
    }

    /// No more come: the turn of all that wait has come.
    pub fn end(&mut self) {
        while let Some(&(_, _, first)) = self.turns.first() {
            self.make_ready(first);
        }
    }

    /// Changes a lane, and its turn with it.
    fn change<T>(&mut self, number: u32, change: impl FnOnce(&mut Lane) -> T) -> T {
        let lane = self.by_interface.entry(number).or_default();
        let before = lane.turn();
        let changed = change(lane);
        let after = lane.turn();
        if before != after {
            let turn_of = |(time, frame)| (time, frame, number);
            before.map(turn_of).iter().for_each(|turn| _ = self.turns.remove(turn));
            self.turns.extend(after.map(turn_of));
        }
        if after.is_none() {
            self.by_interface.remove(&number);
        }
        changed
    }

    fn make_ready(&mut self, number: u32) {
        let Some(held) = self.change(number, Lane::pop) else { return };
        self.waiting_packets -= 1;
        self.waiting_bytes -= held.bytes.len();
        self.ordered_packets += u64::from(held.packet.frame < self.last_frame);
        self.last_frame = self.last_frame.max(held.packet.frame);
        if held.has_time {
            self.clock_steps_back += note_time(&mut self.facts, &mut self.last_ns, held.packet.ts_ns);
        }
        self.ready.push_back(held);
    }

    /// Whether there is a packet whose turn has come.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Fills an empty `batch` with packets whose turn has come, `most` or as many as it has room for.
    pub fn give(&mut self, batch: &mut Batch, most: usize) {
        batch.data.clear();
        batch.view = None;
        while batch.packets.len() < most
            && batch.data.len() < BATCH_BYTES
            && let Some(held) = self.ready.pop_front()
        {
            let start = batch.data.len();
            batch.data.extend_from_slice(&held.bytes);
            batch.packets.push(Packet { start, ..held.packet });
        }
    }
}

#[cfg(test)]
mod tests;
