//! Files whose times overlap, such as those of two taps, are read beside each other, the earliest packet first.
//!
//! A file that is read alone is not slowed by it: once a packet is later than the next file's first, both become lanes.
//! A lane holds a buffer of its file and takes part with the earliest time that is still to come in it, so that one
//! packet with a wrong time does not hold its file back.

use super::member::Member;
use super::{Batch, CaptureSet, SourceError};
use crate::capture::Packet;

/// Most files read beside each other; further ones come as soon as one ends …
pub const MOST_LANES: usize = 64;
/// … and most memory of their decompressors: of what zstd makes at the most 128 MiB, of xz 64 MiB each.
const MOST_WINDOW_BYTES: u64 = 512 << 20;
/// Packets asked of a file at a time.
const LANE_PACKETS: usize = 4096;
/// Bytes of a merged batch.
const MERGED_BYTES: usize = 256 << 10;

/// One of several files that are read beside each other.
pub struct Lane {
    member: usize,
    batch: Batch,
    /// For each packet, the earliest time from it on.
    earliest: Vec<i64>,
    /// The next packet.
    at: usize,
    /// Nothing comes after these.
    is_over: bool,
}

/// For each packet, the earliest time from it on.
fn earliest_from(packets: &[Packet]) -> Vec<i64> {
    let mut least = i64::MAX;
    let mut so_far = |packet: &Packet| {
        least = least.min(packet.ts_ns);
        least
    };
    let mut times: Vec<i64> = packets.iter().rev().map(&mut so_far).collect();
    times.reverse();
    times
}

impl Lane {
    fn new(member: usize, batch: Batch, is_over: bool) -> Lane {
        let earliest = earliest_from(&batch.packets);
        Lane { member, batch, earliest, at: 0, is_over }
    }

    /// The time of its turn; `None` when it has nothing ready.
    fn turn(&self) -> Option<(i64, usize)> {
        self.earliest.get(self.at).map(|&time| (time, self.member))
    }

    /// Moves packets into `batch` while it has room and their turn is not after `until`; gives the last one's time.
    fn hand_over(&mut self, until: (i64, usize), batch: &mut Batch, max_packets: usize) -> Option<i64> {
        let mut last_ns = None;
        while let Some(turn) = self.turn().filter(|&turn| turn <= until && has_room(batch, max_packets)) {
            let Some(packet) = self.batch.packets.get(self.at) else { break };
            let start = batch.data.len();
            batch.data.extend_from_slice(self.batch.bytes(packet));
            batch.packets.push(Packet { start, ..*packet });
            self.at += 1;
            last_ns = Some(turn.0);
        }
        last_ns
    }
}

fn has_room(batch: &Batch, max_packets: usize) -> bool {
    batch.packets.len() < max_packets && batch.data.len() < MERGED_BYTES
}

impl CaptureSet {
    /// Whether files overlapped, so that the order of packets is not that of files.
    #[must_use]
    pub fn is_interleaved(&self) -> bool {
        self.is_interleaved
    }

    /// The next member's turn.
    pub(super) fn begin(&mut self) -> Option<usize> {
        let next = Some(self.next).filter(|&next| next < self.members.len());
        let is_late = self.upcoming().is_some_and(|(time, _)| time < self.merged_ns);
        self.late_files += u64::from(is_late);
        self.next += usize::from(next.is_some());
        next
    }

    /// The time and the place of the next file's first packets.
    fn upcoming(&self) -> Option<(i64, usize)> {
        let member = self.members.get(self.next).filter(|_| self.merges_by_time)?;
        member.begins_ns.map(|time| (time, self.next))
    }

    /// Where the member that was read alone comes to packets later than the next file's first, the rest of the batch is
    /// left for merging.
    pub(super) fn part(&mut self, member: usize, batch: &mut Batch, is_over: bool) {
        let Some((upcoming_ns, _)) = self.upcoming() else { return };
        // A look at the times alone: nearly always none is later.
        if batch.packets.iter().all(|packet| packet.ts_ns <= upcoming_ns) {
            return;
        }
        let earliest = earliest_from(&batch.packets);
        let rest = earliest.partition_point(|&time| time <= upcoming_ns);
        if rest >= batch.packets.len() {
            return;
        }
        let packets = batch.packets.split_off(rest);
        let left = Batch { packets, data: batch.data.clone(), view: batch.view.clone(), ..Batch::default() };
        self.lanes.push(Lane::new(member, left, is_over));
        self.current = None;
        self.is_interleaved = true;
    }

    /// Fills `batch` with the next packets of the lanes.
    pub(super) fn merge(&mut self, batch: &mut Batch, max_packets: usize) -> Result<(), SourceError> {
        batch.data.clear();
        batch.view = None;
        while has_room(batch, max_packets) {
            self.refill()?;
            if let [_] = self.lanes.as_slice()
                && batch.packets.is_empty()
                && self.is_alone()
            {
                self.go_on_alone(batch, max_packets);
                return Ok(());
            }
            let Some(first) = (0..self.lanes.len()).min_by_key(|&at| self.lanes.get(at).and_then(Lane::turn)) else {
                return Ok(());
            };
            let turn = self.lanes.get(first).and_then(Lane::turn);
            let has_place = self.has_place();
            if self.upcoming().is_some_and(|upcoming| Some(upcoming) < turn) && has_place {
                let lane = self.begin().map(|member| Lane::new(member, Batch::default(), false));
                self.lanes.extend(lane);
                continue;
            }
            let others = self.lanes.iter().filter_map(Lane::turn).filter(|other| Some(*other) != turn);
            let upcoming = self.upcoming().filter(|_| has_place);
            let until = others.chain(upcoming).min().unwrap_or((i64::MAX, usize::MAX));
            if let Some(lane) = self.lanes.get_mut(first) {
                self.merged_ns = self.merged_ns.max(lane.hand_over(until, batch, max_packets).unwrap_or(i64::MIN));
            }
        }
        Ok(())
    }

    /// Whether the next file may be read beside the others.
    fn has_place(&self) -> bool {
        let window = |member| self.members.get(member).map_or(0, |member: &Member| member.window_bytes);
        let windows: u64 = self.lanes.iter().map(|lane| window(lane.member)).sum();
        self.lanes.len() < MOST_LANES && windows.saturating_add(window(self.next)) <= MOST_WINDOW_BYTES
    }

    /// Reads on where a lane is empty, and ends those that are over.
    fn refill(&mut self) -> Result<(), SourceError> {
        let mut lanes = std::mem::take(&mut self.lanes);
        for lane in &mut lanes {
            while lane.turn().is_none() && !lane.is_over {
                lane.batch.packets.clear();
                lane.is_over = self.fill(lane.member, &mut lane.batch, LANE_PACKETS, false)?;
                (lane.earliest, lane.at) = (earliest_from(&lane.batch.packets), 0);
            }
        }
        lanes.retain(|lane| lane.turn().is_some());
        self.lanes = lanes;
        Ok(())
    }

    /// Whether the only lane ends before the next file begins, as far as it was read.
    fn is_alone(&self) -> bool {
        let last = self.lanes.first().and_then(|lane| lane.batch.packets.get(lane.at..));
        let latest = last.and_then(|rest| rest.iter().map(|packet| packet.ts_ns).max());
        self.upcoming().is_none_or(|(upcoming, _)| latest.is_none_or(|latest| latest <= upcoming))
    }

    /// The only lane's file is read alone again: what it holds is handed over as it is.
    fn go_on_alone(&mut self, batch: &mut Batch, max_packets: usize) {
        let Some(mut lane) = self.lanes.pop() else { return };
        let until = (i64::MAX, usize::MAX);
        self.merged_ns = self.merged_ns.max(lane.hand_over(until, batch, max_packets).unwrap_or(i64::MIN));
        if lane.turn().is_some() {
            self.lanes.push(lane);
        } else if !lane.is_over {
            self.current = Some(lane.member);
        }
    }
}
