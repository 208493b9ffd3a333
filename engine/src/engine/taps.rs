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

use super::clocks::Clocks;
use super::generations::Generations;
use super::pieces::{Pieces, Place};
use crate::capture::ClockFacts;
use crate::decode::{Captured, Flags, FlowKey, Header, OPTIONS_CUT};
use foldhash::fast::RandomState;
use std::hash::BuildHasher;

/// Packets of a trial at the beginning, and where another file or interface is met.
const TRIAL: u64 = 1 << 14;
/// Packets of a trial now and then …
const SHORT_TRIAL: u64 = 2048;
/// … and from the beginning of one to that of the next.
const TRIAL_EVERY: u64 = 1 << 16;
/// Packets that are remembered at least; twice as many at most.
const REMEMBERED: usize = 1 << 16;

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

impl Telling {
    fn of(header: &Header) -> Self {
        let has_id = header.ip_id.is_some_and(|id| id != 0);
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
    hasher: RandomState,
    seen: Generations<u64, Sighting>,
}

impl Memory {
    /// With a key of this process, so that who writes a capture cannot make two packets alike.
    fn print(&self, header: &Header) -> u64 {
        let Header { key, from_low, seq, ack, payload_len, flags, window, ip_id, .. } = header;
        // Where more tells, options need only not contradict it.
        let is_told = matches!(Telling::of(header), Telling::Much | Telling::Answer);
        let options_print = if is_told { 0 } else { header.options_print };
        self.hasher.hash_one((key, from_low, seq, ack, payload_len, options_print, flags.0, window, ip_id))
    }

    /// Where and when it was captured before, if it is a copy; if not, it is what others are compared with from now on.
    /// `lag_ns` tells how far apart captures of this flow's packets are that look alike.
    fn meet(&mut self, header: &Header, lag_ns: impl Fn(&FlowKey) -> u64) -> Met {
        let (print, now, telling) = (self.print(header), Sighting::of(header), Telling::of(header));
        let mut met = Met::Nothing;
        if let Some(first) = self.seen.look(&print).filter(|first| first.has_options_of(&now)) {
            let apart_ns = first.apart_ns(&now);
            let most_ns = first.most_apart_ns(&now, telling);
            if most_ns > 0 && apart_ns <= most_ns || apart_ns < (2 * lag_ns(&header.key)).min(ALIKE) {
                return Met::Copied(*first);
            }
            if first.place.is_elsewhere(&now.place) && header.ip_id.is_some_and(|id| id != 0) {
                met = Met::TooFar(*first);
            }
        }
        self.seen.place(print, now);
        met
    }

    /// What is alike at its own place comes first there: it is no copy of a copy.
    fn forget(&mut self, header: &Header) {
        self.seen.remove(&self.print(header));
    }
}

/// Looks for copies among packets in capture order.
pub struct Taps {
    memory: Memory,
    pieces: Pieces,
    clocks: Clocks,
    /// There are copies: everything is looked at from here on.
    is_sure: bool,
    /// The trial lasts until this ordinal.
    until: u64,
    /// Which of the short trials was the last.
    trial: u64,
    /// The latest file, and the latest interface.
    place: (u32, u32),
    /// There was another before.
    has_moved: bool,
}

impl Taps {
    /// None found yet.
    pub fn new() -> Self {
        let memory = Memory { hasher: RandomState::default(), seen: Generations::of(REMEMBERED) };
        let (pieces, clocks) = (Pieces::new(), Clocks::new());
        Taps { memory, pieces, clocks, is_sure: false, until: TRIAL, trial: 0, place: (0, 0), has_moved: false }
    }

    /// For whoever looks at a few packets only, of which any may be a copy.
    pub fn look_at_all(&mut self) {
        self.is_sure = true;
    }

    /// Points whose clocks differ.
    pub fn clocks(&self) -> Vec<ClockFacts> {
        self.clocks.found()
    }

    /// Marks the header if it is that of a copy.
    #[inline]
    pub fn look(&mut self, header: &mut Header) {
        if (header.file, header.interface) != self.place {
            self.move_to(header);
        }
        if self.is_sure || header.ordinal < self.until {
            self.compare(header);
        } else if header.ordinal % TRIAL_EVERY < SHORT_TRIAL {
            self.try_again(header.ordinal / TRIAL_EVERY);
            self.compare(header);
        }
    }

    /// A short trial begins with nothing: what the last one had is [`TRIAL_EVERY`] packets old, and out of the cache.
    fn try_again(&mut self, trial: u64) {
        if self.trial != trial {
            self.trial = trial;
            self.memory.seen = Generations::of(REMEMBERED);
        }
    }

    #[cold]
    fn move_to(&mut self, header: &Header) {
        self.is_sure |= header.file < self.place.0;
        if header.file > self.place.0 || header.interface > self.place.1 {
            self.until = header.ordinal + TRIAL;
        }
        self.place = (header.file, header.interface);
        self.has_moved = true;
    }

    #[inline(never)]
    fn compare(&mut self, header: &mut Header) {
        let met = self.memory.meet(header, |key| self.pieces.lag_ns(key));
        if let Met::Copied(first) | Met::TooFar(first) = &met
            && matches!(Telling::of(header), Telling::Much | Telling::Answer)
        {
            self.clocks.pair(header, first.place, first.ts_ns);
        }
        header.captured = match met {
            Met::Copied(first) => {
                self.pieces.pair(header, first.place, first.apart_ns(&Sighting::of(header)));
                self.is_sure = true;
                Captured::Again
            }
            Met::TooFar(_) | Met::Nothing => self.pieces.look(header),
        };
        if matches!(met, Met::TooFar(_) | Met::Nothing) && header.captured == Captured::Again {
            self.memory.forget(header);
        }
        // The first ones may be all of one point, and those that answer them come later.
        if (self.has_moved || header.ordinal < TRIAL) && header.captured != Captured::Again {
            self.clocks.first(header);
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
            let syn_ack = Header { flags: Flags(Flags::SYN.0 | Flags::ACK.0), ..without };
            assert_eq!(copies(&[syn_ack, syn_ack]), [0_usize; 0], "the timer's, and the answer to another SYN");
            reaches(500_000, syn_ack, |copy| copy.interface = 1);
            let fin = Header { flags: Flags(Flags::FIN.0 | Flags::ACK.0), ..without };
            assert_eq!(copies(&[fin, fin]), [0_usize; 0], "sent thrice at once");
        }
    }

    #[test]
    fn a_syn_met_twice_tells_how_far_apart_its_flow_is_captured() {
        let ack = |us: i64| Header { ip_id: None, seq: 1, ts_ns: us * 1000, ttl: 64, ..Header::default() };
        let syn = |us: i64| Header { flags: Flags::SYN, seq: 0, ..ack(us) };
        assert_eq!(copies(&[syn(0), syn(300), ack(1_000), ack(1_599)]), [1, 3]);
        assert_eq!(copies(&[syn(0), syn(300), ack(1_000), ack(1_600)]), [1]);
        assert_eq!(copies(&[syn(0), syn(0), ack(1_000), ack(1_000), ack(1_001)]), [1, 3]);
        assert_eq!(copies(&[syn(0), ack(1_000), ack(1_599)]), [0_usize; 0]);
        let other = Header { key: FlowKey::default(), from_low: true, ..ack(1_599) };
        assert_eq!(copies(&[syn(0), syn(300), ack(1_000), other]), [1], "the other side's");
        assert_eq!(copies(&[syn(0), syn(19_000), ack(1_000), ack(20_999)]), [1, 3]);
        assert_eq!(copies(&[syn(0), syn(19_000), ack(1_000), ack(21_000)]), [1]);
    }

    #[test]
    fn what_is_sent_again_is_kept_whichever_tap_shows_it_first() {
        let sent = |file: u32, number: u16, len: u32, us: i64| {
            let header = packet(number, us);
            Header { seq: 0, payload_len: len, file, ttl: 64 - file as u8, flags: Flags::ACK, ..header }
        };
        let opening = |file: u32| Header { flags: Flags::SYN, seq: u32::MAX, ..sent(file, 1, 0, 0) };
        let large = sent(0, 2, 2896, 10);
        let again = |file: u32| sent(file, 7, 1448, 90);
        assert_eq!(copies(&[opening(0), opening(1), large, again(0), again(1)]), [1, 4]);
        assert_eq!(copies(&[opening(0), opening(1), large, again(1), again(0)]), [1, 3], "the other one's is the copy");
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
