//! A packet captured at two points: what a mirror port shows of both its sides, or `mergecap` makes of two hosts' captures.
//!
//! What was captured first stays, the others are marked [`Captured::Again`]. A copy is told from a retransmission by what
//! only the same packet has: sequence numbers, flags, window, `TSval`, length, and the IP id, which a sender gives each
//! packet anew; and by when and where it was captured.
//!
//! Few captures are of two points, and every packet may be the first of them to be met. So all are remembered, for
//! [`RECENT`] packets; and for [`REMEMBERED`] one of sixteen, or all of them: at the beginning, once one was met, and where the
//! packets of several points come in turns, whose clocks may differ. It depends on the packets and their order alone.

use super::clocks::Clocks;
use super::newest::Newest;
use super::openings::{Spot, spot};
use super::pieces::{Pieces, Place, is_beside};
use crate::capture::ClockFacts;
use crate::decode::{Captured, Flags, Header, OPTIONS_CUT};
use foldhash::fast::RandomState;
use std::hash::BuildHasher;

/// Packets from the beginning, and from where another point is met, that may be of a handshake of two points.
const ANSWERED: u64 = 1 << 14;

/// Packets that are remembered in any case.
const RECENT: usize = 1 << 13;
/// Packets that are remembered at the beginning, once one was met twice, and where two points are read in turns.
const REMEMBERED: usize = 1 << 16;
/// Before, one of so many is remembered for as long.
const CHOSEN: u32 = 16;

/// Headers whose prints are made together.
pub const TOGETHER: usize = 32;

/// A millisecond, ns.
const MS: u64 = 1_000_000;
/// How far apart two packets may be captured if nothing but an IP id, or being a SYN, tells them.
const ALIKE: u64 = 20 * MS;

/// What a packet has that its sender would not give a second one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Telling {
    /// An IP id; or it is a SYN, which no host sends again at once.
    Much,
    /// A SYN-ACK without one: its sender may send it by its timer and in answer to another SYN, at once.
    Answer,
    /// It carries payload: to send that again takes a round trip at least.
    Little,
    /// Acknowledgments and resets may be sent twice, alike; macOS sends a FIN thrice in 15 µs.
    Nothing,
}

#[inline]
fn has_id(header: &Header) -> bool {
    header.ip_id.is_some_and(|id| id != 0)
}

impl Telling {
    fn of(header: &Header) -> Self {
        let has_id = has_id(header);
        if header.flags.has(Flags::SYN) && !has_id {
            if header.flags.has(Flags::ACK) { Telling::Answer } else { Telling::Much }
        } else if has_id {
            Telling::Much
        } else if header.payload_len > 0 {
            Telling::Little
        } else {
            Telling::Nothing
        }
    }
}

/// When and where a packet was captured.
#[derive(Clone, Copy)]
struct Sighting {
    ts_ns: i64,
    place: Place,
    options_print: u32,
}

impl Sighting {
    const fn of(header: &Header) -> Self {
        Sighting { ts_ns: header.ts_ns, place: Place::of(header), options_print: header.options_print }
    }

    /// Whether the options allow it to be the same packet: taps cut at different lengths.
    const fn has_options_of(&self, other: &Sighting) -> bool {
        let (mine, theirs) = (self.options_print, other.options_print);
        mine == theirs || mine == OPTIONS_CUT || theirs == OPTIONS_CUT
    }

    const fn apart_ns(&self, other: &Sighting) -> u64 {
        self.ts_ns.abs_diff(other.ts_ns)
    }

    /// How much earlier or later than another alike this may have been captured to be the same packet, ns. At another
    /// point, as much as networks take and clocks differ; with nothing to tell it by, half of what Linux waits at least
    /// before it sends again (`TCP_RTO_MIN`), or hardly anything if only the TTL differs, which may be a forger's.
    fn most_apart_ns(&self, other: &Sighting, telling: Telling) -> u64 {
        let is_elsewhere = self.place.is_elsewhere(&other.place);
        let is_routed = self.place.ttl != other.place.ttl;
        match (telling, is_elsewhere, is_routed) {
            (Telling::Much | Telling::Answer, true, _) | (Telling::Much | Telling::Answer, _, true) => 500 * MS,
            (Telling::Much, false, false) => ALIKE,
            (_, true, _) => 100 * MS,
            (_, false, true) => MS,
            (Telling::Little, false, false) => MS / 50,
            (Telling::Answer | Telling::Nothing, false, false) => 0,
        }
    }
}

/// What was seen before that is alike.
enum Met {
    Nothing,
    /// The packet itself, at another point or time.
    Copied(Sighting),
    /// The packet itself for certain, at another point whose clock is too far from this one's to take it for a copy.
    TooFar(Sighting),
}

/// The newest packets by what they look like.
struct Memory {
    /// Of this process, so that who writes a capture cannot make two packets alike.
    keys: [u64; 9],
    recent: Newest<Sighting, RECENT>,
    /// The newest of those chosen, which are about as many times older.
    chosen: Newest<Sighting, { REMEMBERED / CHOSEN as usize }>,
    /// All of them, at the beginning and once there is a reason.
    all: Option<Newest<Sighting, REMEMBERED>>,
}

/// One packet of sixteen, and any copy of it: by what it has, not by its print, which is of this process.
#[inline]
fn is_chosen(header: &Header) -> bool {
    let mixed = header.seq ^ header.ack.rotate_left(16) ^ u32::from(header.ip_id.unwrap_or_default());
    mixed.wrapping_mul(0x9e37_79b1) < u32::MAX / CHOSEN
}

impl Memory {
    fn new() -> Self {
        let random = RandomState::default();
        let keys = std::array::from_fn(|at| random.hash_one(at));
        Memory { keys, recent: Newest::new(), chosen: Newest::new(), all: Some(Newest::new()) }
    }

    /// Whether it may have been met; if not, it is certain.
    #[inline]
    fn may_have(&self, header: &Header, print: u64) -> bool {
        match &self.all {
            Some(all) => all.may_have(print),
            None => self.recent.may_have(print) || is_chosen(header) && self.chosen.may_have(print),
        }
    }

    /// When and where a packet alike was seen last.
    fn find(&self, print: u64) -> Option<Sighting> {
        match &self.all {
            Some(all) => all.find(print),
            None => self.recent.find(print).or_else(|| self.chosen.find(print)),
        }
    }

    /// All are remembered for longer from here on.
    #[cold]
    fn remember_all(&mut self) {
        if self.all.is_some() {
            return;
        }
        let mut all = Newest::new();
        self.chosen.iter().chain(self.recent.iter()).for_each(|(print, sighting)| all.push(print, sighting));
        self.all = Some(all);
    }

    /// Fewer are from here on.
    #[cold]
    fn remember_fewer(&mut self) {
        let all = self.all.take();
        all.iter().flat_map(Newest::iter).for_each(|(print, sighting)| self.recent.push(print, sighting));
    }

    #[inline]
    fn push(&mut self, header: &Header, print: u64) {
        let sighting = Sighting::of(header);
        match &mut self.all {
            Some(all) => all.push(print, sighting),
            None => self.recent.push(print, sighting),
        }
        if is_chosen(header) {
            self.chosen.push(print, sighting);
        }
    }

    /// All that is alike in two captures of one packet, mixed into one word.
    #[inline]
    fn print(&self, header: &Header) -> u64 {
        let fold = |one: u64, other: u64| {
            let wide = u128::from(one) * u128::from(other);
            wide as u64 ^ (wide >> 64) as u64
        };
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let Header { key, seq, ack, payload_len, flags, window, .. } = header;
        // Where more tells, options need only not contradict it.
        let is_told = has_id(header) | flags.has(Flags::SYN);
        let options_print = if is_told { 0 } else { header.options_print };
        // That there is none the addresses tell.
        let ip_id = header.ip_id.unwrap_or_default();
        let (low, high, tunnel, ports) = key.words();
        let k = &self.keys;
        let numbers = fold(pair(*seq, *ack) ^ k[0], pair(ports, *payload_len) ^ k[1]);
        let rest = fold(pair(u32::from(ip_id), u32::from(header.from_low)) ^ k[2], tunnel ^ k[3]);
        let ends = fold(low[0] ^ k[4], low[1] ^ k[5]) ^ fold(high[0] ^ k[6], high[1] ^ k[7]);
        let last = pair(options_print, u32::from(flags.0) | u32::from(*window) << 16);
        fold(numbers ^ rest ^ ends ^ last, k[8])
    }
}

/// Looks for copies among packets in capture order.
pub struct Taps {
    memory: Memory,
    pieces: Pieces,
    clocks: Clocks,
    /// There are copies.
    is_sure: bool,
    /// All packets are remembered for good: there are, or points come in turns.
    remembers_all: bool,
    /// The beginning is over.
    is_under_way: bool,
    /// Handshakes are measured up to this ordinal.
    until: u64,
    /// The latest point.
    spot: Spot,
}

impl Taps {
    /// None found yet.
    pub fn new() -> Self {
        let (memory, pieces, clocks) = (Memory::new(), Pieces::new(), Clocks::new());
        let (is_sure, remembers_all, is_under_way) = (false, false, false);
        Taps { memory, pieces, clocks, is_sure, remembers_all, is_under_way, until: ANSWERED, spot: (0, 0) }
    }

    /// Points whose clocks differ.
    pub fn clocks(&self) -> Vec<ClockFacts> {
        self.clocks.found()
    }

    /// The prints of as many headers, to look for them with.
    #[inline]
    pub fn print(&self, headers: &[Header], prints: &mut [u64; TOGETHER]) {
        for (print, header) in prints.iter_mut().zip(headers) {
            *print = self.memory.print(header);
        }
        self.memory.recent.prepare(prints);
    }

    /// Marks the header if it is that of a copy.
    #[inline]
    pub fn look(&mut self, header: &mut Header, print: u64) {
        if spot(header.file, header.interface) != self.spot {
            self.move_to(header);
        }
        if !self.is_under_way && header.ordinal >= REMEMBERED as u64 {
            self.end_beginning();
        }
        if self.is_sure || self.memory.may_have(header, print) || is_beside(header) {
            return self.compare(header, print);
        }
        if header.ordinal < self.until {
            self.clocks.first(header);
        }
        self.memory.push(header, print);
    }

    #[cold]
    fn move_to(&mut self, header: &Header) {
        let before = std::mem::replace(&mut self.spot, spot(header.file, header.interface));
        self.until = header.ordinal + ANSWERED;
        if self.spot < before {
            self.remember_all();
        }
    }

    fn remember_all(&mut self) {
        self.remembers_all = true;
        self.memory.remember_all();
    }

    #[cold]
    fn end_beginning(&mut self) {
        self.is_under_way = true;
        if !self.remembers_all {
            self.memory.remember_fewer();
        }
    }

    /// What was seen before that is alike.
    fn meet(&self, header: &Header, print: u64) -> Met {
        let Some(first) = self.memory.find(print) else { return Met::Nothing };
        let (now, telling) = (Sighting::of(header), Telling::of(header));
        if !first.has_options_of(&now) {
            return Met::Nothing;
        }
        let apart_ns = first.apart_ns(&now);
        // On one host a retransmission may follow within microseconds: that alone tells of no second point.
        let is_told = self.is_sure || telling != Telling::Little || first.place != now.place;
        let most_ns = if is_told { first.most_apart_ns(&now, telling) } else { 0 };
        if most_ns > 0 && apart_ns <= most_ns || apart_ns < (2 * self.pieces.lag_ns(&header.key)).min(ALIKE) {
            return Met::Copied(first);
        }
        let is_told = first.place.is_elsewhere(&now.place) && has_id(header);
        if is_told { Met::TooFar(first) } else { Met::Nothing }
    }

    #[inline(never)]
    fn compare(&mut self, header: &mut Header, print: u64) {
        let met = self.meet(header, print);
        if let Met::Copied(first) | Met::TooFar(first) = &met
            && matches!(Telling::of(header), Telling::Much | Telling::Answer)
        {
            self.clocks.pair(header, first.place, first.ts_ns);
        }
        if !self.is_sure && (!matches!(met, Met::Nothing) || is_beside(header)) {
            self.is_sure = true;
            self.remember_all();
        }
        header.captured = match met {
            Met::Copied(first) => {
                self.pieces.pair(header, first.place, first.ts_ns);
                Captured::Again
            }
            Met::TooFar(_) | Met::Nothing => self.pieces.look(header),
        };
        // A copy is none that others are compared with: what is alike at its own place comes first there.
        if header.captured != Captured::Again {
            self.memory.push(header, print);
            if header.ordinal < self.until {
                self.clocks.first(header);
            }
        }
    }
}

#[cfg(test)]
#[path = "taps_tests.rs"]
mod tests;
