//! A packet captured at two points: what a mirror port shows of both its sides, or `mergecap` makes of two hosts' captures.
//!
//! What was captured first stays, the others are marked [`Captured::Again`]. A copy is told from a retransmission by what
//! only the same packet has: sequence numbers, flags, window, `TSval`, length, and the IP id, which a sender gives each
//! packet anew; and by when and where it was captured.
//!
//! Few captures are of two points. So packets are remembered only in trials: at the beginning, where another file or
//! interface is met, and now and then; all of them once a copy was found, or where files are read in turns. It depends on
//! the packets and their order alone. A copy that comes within four packets of its side the connection itself knows,
//! always: [`crate::tcp::endpoint::Endpoint::is_duplicate`].

use crate::decode::{Captured, Flags, Header};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::hash::BuildHasher;

/// Packets of a trial at the beginning, and where another file or interface is met.
const TRIAL: u64 = 1 << 14;
/// Packets of a trial now and then …
const SHORT_TRIAL: u64 = 2048;
/// … and from the beginning of one to that of the next.
const TRIAL_EVERY: u64 = 1 << 16;
/// Half of the packets that are remembered at most, and what is remembered at least.
const GENERATION: usize = 1 << 16;

/// A millisecond, ns.
const MS: u64 = 1_000_000;

/// What a packet has that its sender would not give a second one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Telling {
    /// An IP id; or it is a SYN, which no host sends again at once.
    Much,
    /// It occupies sequence space: to send that again takes a round trip at least.
    Little,
    /// Acknowledgments and resets may be sent twice, alike.
    Nothing,
}

impl Telling {
    fn of(header: &Header) -> Self {
        if header.ip_id.is_some_and(|id| id != 0) || header.flags.has(Flags::SYN) {
            Telling::Much
        } else if header.payload_len > 0 || header.flags.has(Flags::FIN) {
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
    file: u32,
    interface: u32,
    ttl: u8,
}

impl Sighting {
    const fn of(header: &Header) -> Self {
        Sighting { ts_ns: header.ts_ns, file: header.file, interface: header.interface, ttl: header.ttl }
    }

    /// How much earlier or later than another alike this may have been captured to be the same packet, ns. At another
    /// point, as much as networks take and clocks differ; with nothing to tell it by, half of what Linux waits at least
    /// before it sends again (`TCP_RTO_MIN`), or hardly anything if only the TTL differs, which may be a forger's.
    fn most_apart_ns(&self, other: &Sighting, telling: Telling) -> u64 {
        let is_elsewhere = self.file != other.file || self.interface != other.interface;
        let is_routed = self.ttl != other.ttl;
        match (telling, is_elsewhere, is_routed) {
            (Telling::Much, true, _) | (Telling::Much, _, true) => 500 * MS,
            (Telling::Much, false, false) => 20 * MS,
            (_, true, _) => 100 * MS,
            (_, false, true) => MS,
            (Telling::Little, false, false) => MS / 50,
            (Telling::Nothing, false, false) => 0,
        }
    }

    fn is_same_packet(&self, other: &Sighting, telling: Telling) -> bool {
        let most_apart_ns = self.most_apart_ns(other, telling);
        most_apart_ns > 0 && self.ts_ns.abs_diff(other.ts_ns) <= most_apart_ns
    }
}

/// Two generations, of which the older is dropped when the younger is full.
#[derive(Default)]
struct Memory {
    hasher: RandomState,
    young: HashMap<u64, Sighting, RandomState>,
    old: HashMap<u64, Sighting, RandomState>,
}

impl Memory {
    /// With a key of this process, so that who writes a capture cannot make two packets alike.
    fn print(&self, header: &Header) -> u64 {
        let Header { key, from_low, seq, ack, payload_len, options_print, flags, window, ip_id, .. } = header;
        self.hasher.hash_one((key, from_low, seq, ack, payload_len, options_print, flags.0, window, ip_id))
    }

    /// Whether it is a copy; if not, it is what others are compared with from now on.
    fn meet(&mut self, header: &Header) -> bool {
        let (print, now) = (self.print(header), Sighting::of(header));
        let seen = self.young.get(&print).or_else(|| self.old.get(&print));
        if seen.is_some_and(|seen| seen.is_same_packet(&now, Telling::of(header))) {
            return true;
        }
        if self.young.len() >= GENERATION {
            std::mem::swap(&mut self.old, &mut self.young);
            self.young.clear();
        }
        self.young.insert(print, now);
        false
    }
}

/// Looks for copies among packets in capture order.
pub struct Taps {
    memory: Memory,
    /// There are copies: everything is looked at from here on.
    is_sure: bool,
    /// The trial lasts until this ordinal.
    until: u64,
    /// The latest file, and the latest interface.
    place: (u32, u32),
}

impl Taps {
    /// None found yet.
    pub fn new() -> Self {
        Taps { memory: Memory::default(), is_sure: false, until: TRIAL, place: (0, 0) }
    }

    /// For whoever looks at a few packets only, of which any may be a copy.
    pub fn look_at_all(&mut self) {
        self.is_sure = true;
    }

    /// Marks the header if it is that of a copy.
    #[inline]
    pub fn look(&mut self, header: &mut Header) {
        if (header.file, header.interface) != self.place {
            self.move_to(header);
        }
        if self.is_sure || header.ordinal < self.until || header.ordinal % TRIAL_EVERY < SHORT_TRIAL {
            self.compare(header);
        }
    }

    #[cold]
    fn move_to(&mut self, header: &Header) {
        self.is_sure |= header.file < self.place.0;
        if header.file > self.place.0 || header.interface > self.place.1 {
            self.until = header.ordinal + TRIAL;
        }
        self.place = (header.file, header.interface);
    }

    #[inline(never)]
    fn compare(&mut self, header: &mut Header) {
        if self.memory.meet(header) {
            header.captured = Captured::Again;
            self.is_sure = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet with this number in its sender's sequence and IP header, at `us`.
    fn packet(number: u16, us: i64) -> Header {
        Header { seq: u32::from(number), ip_id: Some(number), ts_ns: us * 1000, ttl: 64, ..Header::default() }
    }

    /// Which of these are copies, as they come.
    fn copies(packets: &[Header]) -> Vec<usize> {
        let mut taps = Taps::new();
        let mark = |(at, packet): (usize, &Header)| {
            let mut header = Header { ordinal: at as u64, ..*packet };
            taps.look(&mut header);
            (header.captured == Captured::Again).then_some(at)
        };
        packets.iter().enumerate().filter_map(mark).collect()
    }

    /// How far apart a packet and a copy of it, with something else about it, may be: exactly that, and no microsecond more.
    fn reaches(most_us: i64, first: Header, change: impl Fn(&mut Header)) {
        for (us, is_copy) in [(most_us, true), (-most_us, true), (most_us + 1, false), (-most_us - 1, false)] {
            let mut second = Header { ts_ns: first.ts_ns + us * 1000, ..first };
            change(&mut second);
            assert_eq!(copies(&[first, second]), if is_copy { vec![1] } else { vec![] }, "{us} us");
        }
    }

    #[test]
    fn how_far_apart_copies_may_be() {
        let with_id = packet(7, 0);
        reaches(500_000, with_id, |copy| copy.ttl = 60);
        reaches(500_000, with_id, |copy| copy.interface = 1);
        reaches(500_000, with_id, |copy| copy.file = 1);
        reaches(20_000, with_id, |_| ());
        for ip_id in [Some(0), None] {
            let without = Header { ip_id, ..with_id };
            reaches(100_000, without, |copy| copy.interface = 1);
            reaches(100_000, without, |copy| copy.file = 1);
            reaches(1_000, without, |copy| copy.ttl = 60);
            assert_eq!(copies(&[without, without]), [0_usize; 0], "nothing tells");
            reaches(20, Header { payload_len: 1, ..without }, |_| ());
            let syn = Header { flags: Flags::SYN, ..without };
            reaches(20_000, syn, |_| ());
            reaches(500_000, syn, |copy| copy.ttl = 60);
        }
    }

    #[test]
    fn what_was_sent_anew_is_no_copy() {
        let sent = packet(7, 0);
        let anew: [fn(&mut Header); 5] = [
            |again| again.ip_id = Some(8),
            |again| again.options_print = 1,
            |again| again.ack = 1,
            |again| again.window = 1,
            |again| again.from_low = true,
        ];
        for change in anew {
            let mut again = Header { ttl: 60, ..sent };
            change(&mut again);
            assert_eq!(copies(&[sent, again]), [0_usize; 0]);
        }
    }

    #[test]
    fn among_as_many_packets_as_are_remembered() {
        let mut packets: Vec<Header> = (1..u16::MAX).map(|number| packet(number, i64::from(number))).collect();
        let copy = |number: u16| Header { ttl: 60, ..packet(number, 100_000) };
        packets.insert(1, copy(1)); // from here on all are remembered
        packets.extend([copy(3), copy(u16::MAX - 1)]);
        assert_eq!(copies(&packets), [1, packets.len() - 2, packets.len() - 1]);
    }

    #[test]
    fn where_nothing_told_of_copies_a_trial_does() {
        let plain = |number: u32| Header { seq: number, ts_ns: i64::from(number) * 1000, ..packet(7, 0) };
        let of_both = |number: u32| Header { file: number % 2, ..plain(number) };
        let of_two = |number: u32| Header { file: u32::from(number >= 90_000), ..plain(number) };
        for (what, kind, copied, expected) in [
            ("the trial was over, the next had not begun", &plain as &dyn Fn(u32) -> Header, 99_000, false),
            ("another file is another trial", &of_two, 90_500, true),
            ("files read in turns are remembered whole", &of_both, 99_000, true),
        ] {
            let mut packets: Vec<Header> = (0..100_000).map(kind).collect();
            packets.push(Header { ttl: 60, file: kind(99_999).file, ..plain(copied) });
            assert_eq!(copies(&packets).len(), usize::from(expected), "{what}");
        }
        let mut late: Vec<Header> = (0..1 << 17).map(plain).collect();
        late.extend((0..SHORT_TRIAL as u32).map(|number| plain((1 << 17) + number / 2)));
        assert_eq!(copies(&late).len() as u64, SHORT_TRIAL / 2, "now and then there is one");
    }
}
