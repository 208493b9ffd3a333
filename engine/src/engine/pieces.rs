//! Bytes that two taps show in different pieces.
//!
//! A host hands its network card segments of up to 64 KB to cut up, and puts together what comes in as well: a tap on the
//! host has the large segments, a tap beyond the card has the pieces. A piece has its own numbers, length and IP id, so it
//! is not *alike* anything. But a tap shows each byte once. What one tap shows for the first time, and another showed
//! before it, is a copy; what a tap shows again was sent again. Where both cut and join, another showed some of it: the
//! rest is new, and it was not sent again.
//!
//! It is asked of flows only of which a packet was found twice, alike, at two points ([`super::taps`]), among these
//! points, and only where one shows longer segments than the other: a packet that takes another way, or a forger's, has no
//! such point, and where nothing is cut, copies are alike. What a point showed is known from its first pair on.

use super::generations::Generations;
use crate::decode::{Captured, Flags, FlowKey, Header};
use crate::tcp::seq;

/// Flows known to be captured at two points; beyond it those not met for longest are forgotten.
const MOST_FLOWS: usize = 16_384;
/// Points that see a direction; further ones are not looked at.
const MOST_PLACES: usize = 4;
/// How long a place counts that shows nothing any more: twice what copies may be apart.
const RECENT_NS: u64 = 1_000_000_000;
/// Holes remembered of what a place showed; beyond it nothing is known of what was before the oldest one's end.
const MOST_HOLES: usize = 32;
/// How far a number may be from what a place showed to be of the same connection: half a window as wide as most.
const NEAR: u32 = 1 << 23;

/// The sequence number after what a segment occupies.
pub(super) fn end_of(header: &Header) -> u32 {
    let controls = u32::from(header.flags.has(Flags::SYN)) + u32::from(header.flags.has(Flags::FIN));
    seq::add(header.seq, header.payload_len + controls)
}

/// Where packets of one direction are captured; a TTL of 0 stands for the one that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: u32,
    pub interface: u32,
    pub ttl: u8,
}

impl Place {
    pub const fn of(header: &Header) -> Self {
        Place { file: header.file, interface: header.interface, ttl: header.ttl }
    }

    /// Told apart by more than the TTL.
    pub const fn is_elsewhere(&self, other: &Place) -> bool {
        self.file != other.file || self.interface != other.interface
    }

    /// The same place for packets of the other direction.
    const fn back(&self) -> Self {
        Place { ttl: 0, ..*self }
    }

    fn is(&self, other: &Place) -> bool {
        !self.is_elsewhere(other) && (self.ttl == other.ttl || self.ttl == 0 || other.ttl == 0)
    }
}

/// What a place showed of a direction.
#[derive(Clone, Debug)]
struct Shown {
    place: Place,
    /// When it last did, ns.
    at_ns: i64,
    /// Payload of its longest segment.
    longest: u32,
    /// From this number, …
    first: u32,
    /// … up to this one, …
    next: u32,
    /// … but not these, oldest first: lost before it, or to come.
    holes: Vec<(u32, u32)>,
}

impl Shown {
    const fn new(place: Place, first: u32, next: u32, at_ns: i64) -> Self {
        Shown { place, at_ns, longest: 0, first, next, holes: Vec::new() }
    }

    fn is_near(&self, from: u32) -> bool {
        seq::diff(from, self.next).unsigned_abs() <= NEAR
    }

    fn is_known(&self, from: u32) -> bool {
        self.is_near(from) && seq::leq(self.first, from)
    }

    /// All of it.
    fn has(&self, from: u32, to: u32) -> bool {
        let overlaps = |&(start, end): &(u32, u32)| seq::lt(start, to) && seq::lt(from, end);
        self.is_known(from) && seq::leq(to, self.next) && !self.holes.iter().any(overlaps)
    }

    /// Some of it.
    fn has_some(&self, from: u32, to: u32) -> bool {
        if !self.is_near(from) {
            return false;
        }
        let (from, to) = (seq::max(from, self.first), if seq::lt(to, self.next) { to } else { self.next });
        let lies_in = |&(start, end): &(u32, u32)| seq::leq(start, from) && seq::leq(to, end);
        seq::lt(from, to) && !self.holes.iter().any(lies_in)
    }

    /// Something of it is new here.
    fn lacks(&self, from: u32, to: u32) -> bool {
        self.is_known(from) && !self.has(from, to)
    }

    fn add(&mut self, from: u32, to: u32) {
        if !self.is_near(from) {
            self.holes.clear();
            (self.first, self.next) = (from, to);
        } else if seq::lt(self.next, from) {
            if self.holes.len() == MOST_HOLES {
                self.first = self.holes.remove(0).1;
            }
            self.holes.push((self.next, from));
        } else if !self.holes.is_empty() {
            self.fill(from, to);
        }
        self.next = seq::max(self.next, to);
    }

    #[cold]
    fn fill(&mut self, from: u32, to: u32) {
        for hole in &mut self.holes {
            let is_at_start = seq::leq(from, hole.0) && seq::lt(hole.0, to);
            let is_at_end = seq::lt(from, hole.1) && seq::leq(hole.1, to);
            // What fills the middle leaves the rest: fillings come in order.
            match (is_at_start, is_at_end) {
                (_, true) if seq::lt(hole.0, from) => hole.1 = from,
                (true, _) => hole.0 = seq::max(hole.0, to),
                _ => {}
            }
        }
        self.holes.retain(|&(start, end)| seq::lt(start, end));
    }
}

/// The places that see a direction.
#[derive(Default)]
struct Side([Option<Shown>; MOST_PLACES]);

impl Side {
    fn at(&mut self, place: Place) -> Option<&mut Shown> {
        let shown = self.0.iter_mut().flatten().find(|shown| shown.place.is(&place))?;
        shown.place.ttl = if place.ttl == 0 { shown.place.ttl } else { place.ttl };
        Some(shown)
    }

    /// This place sees it, and showed this.
    fn note(&mut self, place: Place, from: u32, to: u32, at_ns: i64) -> Option<&mut Shown> {
        if self.at(place).is_none()
            && let Some(free) = self.0.iter_mut().find(|shown| shown.is_none())
        {
            *free = Some(Shown::new(place, from, to, at_ns));
        }
        let shown = self.at(place)?;
        shown.add(from, to);
        shown.at_ns = at_ns;
        Some(shown)
    }

    /// What another place, which shows longer or shorter segments, has lately shown of what is new at this one.
    fn shown_beside(&self, place: Place, longest: u32, at_ns: i64, (from, to): (u32, u32)) -> Captured {
        let is_beside = |shown: &&Shown| !shown.place.is(&place) && shown.longest != longest;
        let is_recent = |shown: &&Shown| shown.at_ns.abs_diff(at_ns) <= RECENT_NS;
        let beside = || self.0.iter().flatten().filter(is_beside).filter(is_recent);
        if beside().any(|shown| shown.has(from, to)) {
            Captured::Again
        } else if beside().any(|shown| shown.has_some(from, to)) {
            Captured::InParts
        } else {
            Captured::Once
        }
    }
}

/// A flow that is captured at two points.
#[derive(Default)]
struct Twin {
    /// Of the key's lower end, and of its higher one.
    sides: [Side; 2],
    /// Longest time between two captures of one packet that nothing tells apart but the time, ns.
    lag_ns: u64,
}

/// Looks for copies in other pieces.
pub struct Pieces {
    twins: Generations<FlowKey, Twin>,
}

impl Pieces {
    /// None known.
    pub fn new() -> Self {
        Pieces { twins: Generations::of(MOST_FLOWS / 2) }
    }

    /// The packet was captured at another point before, alike, so much earlier or later.
    pub fn pair(&mut self, header: &Header, other: Place, apart_ns: u64) {
        let place = Place::of(header);
        if self.twins.look(&header.key).is_none() {
            self.twins.place(header.key, Twin::default());
        }
        let Some(twin) = self.twins.touch(header.key) else { return };
        if place == other {
            twin.lag_ns = twin.lag_ns.max(apart_ns).max(1);
            return;
        }
        for seen in [other, place] {
            let own = &mut twin.sides[usize::from(header.from_low)];
            if let Some(shown) = own.note(seen, header.seq, end_of(header), header.ts_ns) {
                shown.longest = shown.longest.max(header.payload_len);
            }
            if place.is_elsewhere(&other) && header.flags.has(Flags::ACK) {
                // What is acknowledged passed both before.
                twin.sides[usize::from(!header.from_low)].note(seen.back(), header.ack, header.ack, header.ts_ns);
            }
        }
    }

    /// How far apart two packets of this flow may be captured if nothing but the time tells; 0 if that is not known.
    pub fn lag_ns(&self, key: &FlowKey) -> u64 {
        self.twins.look(key).map_or(0, |twin| twin.lag_ns)
    }

    /// What of a packet that nothing is like was shown by another place, and not by its own. It counts as shown.
    pub fn look(&mut self, header: &Header) -> Captured {
        let (from, to) = (header.seq, end_of(header));
        if self.twins.is_empty() || from == to || header.flags.has(Flags::RST) {
            return header.captured;
        }
        let Some(twin) = self.twins.touch(header.key) else { return header.captured };
        let side = &mut twin.sides[usize::from(header.from_low)];
        if header.flags.has(Flags::SYN) {
            // Another connection, of which nothing was shown yet.
            *side = Side::default();
            return header.captured;
        }
        let place = Place::of(header);
        let Some(own) = side.at(place) else { return header.captured };
        own.at_ns = header.ts_ns;
        own.longest = own.longest.max(header.payload_len);
        let (is_new_here, has_some) = (own.lacks(from, to), own.has_some(from, to));
        own.add(from, to);
        let longest = own.longest;
        if !is_new_here || header.payload_len == 0 {
            return header.captured;
        }
        match side.shown_beside(place, longest, header.ts_ns, (from, to)) {
            Captured::Once => header.captured,
            // Some of it was sent again.
            Captured::InParts if has_some => header.captured,
            shown => shown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Captured::{Again, InParts, Once};

    const MSS: u32 = 1000;

    /// `len` bytes from `seq`, by the tap of this number.
    fn data(tap: u32, seq: u32, len: u32) -> Header {
        Header { seq, payload_len: len, file: tap, ttl: 64 - tap as u8, flags: Flags::ACK, ..Header::default() }
    }

    /// Both taps have shown all up to 100, the first one in a large segment.
    fn known() -> Pieces {
        let mut pieces = Pieces::new();
        let start = 100_u32.wrapping_sub(50 * MSS);
        let syn_ack = Header { flags: Flags::SYN, ..data(1, seq::add(start, u32::MAX), 0) };
        pieces.pair(&syn_ack, Place::of(&data(0, 0, 0)), 300_000);
        assert_eq!(pieces.look(&data(0, start, 50 * MSS)), Captured::Once);
        assert!((0..50).all(|piece| pieces.look(&data(1, seq::add(start, piece * MSS), MSS)) == Captured::Again));
        pieces
    }

    /// Which of these are copies.
    fn copies(pieces: &mut Pieces, packets: &[Header]) -> Vec<bool> {
        assert!(packets.iter().all(|packet| packet.captured == Captured::Once));
        packets.iter().map(|packet| pieces.look(packet) == Captured::Again).collect()
    }

    #[test]
    fn pieces_of_what_the_other_tap_showed() {
        let large = data(0, 100, 3 * MSS);
        let small = [data(1, 100, MSS), data(1, 100 + MSS, MSS), data(1, 100 + 2 * MSS, MSS)];
        let near_first = [large, small[0], small[1], small[2]];
        assert_eq!(copies(&mut known(), &near_first), [false, true, true, true]);
        let far_first = [small[0], small[1], small[2], large];
        assert_eq!(copies(&mut known(), &far_first), [false, false, false, true]);
        let mixed = [small[0], large, small[1], small[2]];
        assert_eq!(copies(&mut known(), &mixed), [false, false, true, true]);
    }

    #[test]
    fn what_is_sent_again_is_no_copy_at_the_tap_that_showed_it() {
        let large = data(0, 100, 2 * MSS);
        let again = data(0, 100, MSS);
        // The first piece was lost between the taps: the far one shows a hole, which what is sent again fills.
        let far = [data(1, 100 + MSS, MSS), data(1, 100, MSS), data(1, 100, MSS)];
        let packets = [large, far[0], again, far[1], far[2]];
        assert_eq!(copies(&mut known(), &packets), [false, true, false, true, false]);
    }

    #[test]
    fn what_is_cut_and_joined_elsewhere_was_not_sent_again() {
        let mut pieces = known();
        let large = [data(0, 100, 4 * MSS), data(0, 100 + 4 * MSS, 4 * MSS)];
        let joined = [data(1, 100, 3 * MSS), data(1, 100 + 3 * MSS, 3 * MSS), data(1, 100 + 6 * MSS, 2 * MSS)];
        let shown = [large[0], joined[0], joined[1], large[1], joined[2]].map(|packet| pieces.look(&packet));
        assert_eq!(shown, [Once, Again, InParts, InParts, Again]);
        // Sent again with something new behind it, by who showed it before.
        assert_eq!([data(0, 100 + 7 * MSS, 3 * MSS)].map(|packet| pieces.look(&packet)), [Once]);
        // A hole is nothing that was shown.
        let mut pieces = known();
        let around = [data(0, 100 + 5 * MSS, MSS), data(0, 100, MSS), data(1, 100 + MSS, 3 * MSS)];
        assert_eq!(around.map(|packet| pieces.look(&packet)), [Once, Once, Once]);
    }

    #[test]
    fn holes_are_filled_from_their_start_or_their_end() {
        let mut shown = Shown::new(Place::of(&data(0, 0, 0)), 100, 100, 0);
        for from in (0..8).map(|at| 1400 + at * 100) {
            shown.add(from, from + 50);
        }
        assert_eq!((shown.holes[0], shown.holes[7]), ((100, 1400), (2050, 2100)));
        shown.add(100, 1350);
        shown.add(1340, 1360);
        shown.add(1390, 1410);
        assert_eq!(shown.holes[0], (1360, 1390));
        assert!(shown.has(1350, 1360) && !shown.has(1350, 1361) && shown.lacks(1389, 1395) && shown.has(1390, 1400));
        shown.add(1360, 1390);
        assert_eq!(shown.holes[0], (1450, 1500));
        shown.add(1440, 2110);
        assert_eq!((shown.holes.len(), shown.next), (0, 2150));
        assert!(shown.has(100, 2150) && !shown.has(100, 2151));
        shown.add(100 + 3 * NEAR, 200 + 3 * NEAR);
        assert!(!shown.has(100, 200) && shown.holes.is_empty());
    }

    #[test]
    fn of_forgotten_holes_nothing_is_known() {
        let mut shown = Shown::new(Place::of(&data(0, 0, 0)), 100, 100, 0);
        for from in (0..=MOST_HOLES as u32).map(|at| 200 + at * 100) {
            shown.add(from, from + 50);
        }
        assert_eq!((shown.holes.len(), shown.first), (MOST_HOLES, 200));
        assert!(!shown.has(100, 150) && !shown.lacks(100, 150), "the forgotten one was never shown");
        assert!(shown.has(200, 250) && shown.lacks(250, 300));
    }

    #[test]
    fn a_hole_of_both_is_filled_once() {
        let packets = [
            data(0, 100 + MSS, MSS),
            data(1, 100 + MSS, MSS),
            data(0, 100, MSS),
            data(1, 100, MSS),
            data(0, 100 + 2 * MSS, 0),
        ];
        assert_eq!(copies(&mut known(), &packets), [false, true, false, true, false]);
    }

    #[test]
    fn a_fin_is_a_number_too() {
        let fin = |tap, seq, len| Header { flags: Flags(Flags::ACK.0 | Flags::FIN.0), ..data(tap, seq, len) };
        let packets = [fin(0, 100, 2 * MSS), data(1, 100, MSS), fin(1, 100 + MSS, MSS), fin(0, 100 + 2 * MSS, 0)];
        assert_eq!(copies(&mut known(), &packets), [false, true, true, false]);
    }

    #[test]
    fn only_where_the_flow_was_found_twice() {
        let mut pieces = known();
        let elsewhere = data(2, 100, MSS);
        assert_eq!(copies(&mut pieces, &[data(0, 100, 2 * MSS), elsewhere]), [false, false], "a third way");
        let mut unknown = Pieces::new();
        assert_eq!(copies(&mut unknown, &[data(0, 100, 2 * MSS), data(1, 100, MSS)]), [false, false]);
        let by_ttl = Header { file: 0, ..data(1, 100, MSS) };
        assert_eq!(copies(&mut known(), &[data(0, 100, 2 * MSS), by_ttl]), [false, false], "another way's TTL");
    }

    #[test]
    fn where_nothing_is_cut_copies_are_alike() {
        let mut pieces = Pieces::new();
        let (near, far) = (data(0, 100, MSS), data(1, 100, MSS));
        pieces.pair(&far, Place::of(&near), 300_000);
        let again = [data(0, 100 + MSS, MSS), data(1, 100 + MSS, MSS)];
        assert_eq!(copies(&mut pieces, &again), [false, false], "another packet, sent again on another way");
    }

    #[test]
    fn what_was_before_the_first_pair_is_not_known() {
        let mut pieces = Pieces::new();
        assert_eq!(pieces.look(&data(0, 100, 9 * MSS)), Captured::Once);
        let ack = |tap| data(tap, 100 + 9 * MSS, 0);
        pieces.pair(&ack(1), Place::of(&ack(0)), 300_000);
        let packets = [data(1, 100 + MSS, MSS), data(0, 100 + 9 * MSS, 2 * MSS), data(1, 100, MSS)];
        assert_eq!(copies(&mut pieces, &packets), [false; 3], "it may never have been shown");
    }

    #[test]
    fn a_place_that_shows_nothing_any_more_does_not_count() {
        let mut pieces = known();
        assert_eq!(pieces.look(&data(0, 100, 2 * MSS)), Captured::Once);
        let late = |ts_ns, seq| Header { ts_ns, ..data(1, seq, MSS) };
        assert_eq!(copies(&mut pieces, &[late(1_000_000_000, 100), late(1_000_000_001, 100 + MSS)]), [true, false]);
    }

    #[test]
    fn a_syn_begins_anew() {
        let mut pieces = known();
        assert_eq!(pieces.look(&data(0, 100, 9 * MSS)), Captured::Once);
        assert_eq!(pieces.look(&Header { flags: Flags::SYN, ..data(0, 50, 0) }), Captured::Once);
        assert_eq!(copies(&mut pieces, &[data(0, 51, MSS), data(1, 51, MSS)]), [false, false]);
    }

    #[test]
    fn numbers_far_away_are_another_connection() {
        let mut pieces = known();
        let far = 100 + 2 * NEAR;
        assert_eq!(
            copies(
                &mut pieces,
                &[data(0, 100, MSS), data(0, far, 2 * MSS), data(1, far, MSS), data(1, far + MSS, MSS)]
            ),
            [false, false, false, true],
            "its own place must have shown something near"
        );
    }

    #[test]
    fn an_acknowledgment_tells_of_the_other_direction() {
        let mut pieces = Pieces::new();
        let ack = Header { from_low: true, ack: 100, ttl: 50, ..data(1, 7, 0) };
        pieces.pair(&ack, Place::of(&Header { ttl: 49, ..data(0, 7, 0) }), 300_000);
        assert_eq!(copies(&mut pieces, &[data(0, 100, 2 * MSS), data(1, 100, MSS)]), [false, true]);
        let same_file = Header { file: 0, ..ack };
        let mut pieces = Pieces::new();
        pieces.pair(&same_file, Place::of(&Header { ttl: 49, ..data(0, 7, 0) }), 300_000);
        assert_eq!(copies(&mut pieces, &[data(0, 100, 2 * MSS), data(0, 100, MSS)]), [false, false]);
    }
}
