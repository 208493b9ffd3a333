//! Bytes that two taps show in different pieces.
//!
//! A host hands its network card segments of up to 64 KB to cut up, and puts together what comes in as well: a tap on the
//! host has the large segments, a tap beyond the card has the pieces. A piece has its own numbers, length and IP id, so it
//! is not *alike* anything. But a tap shows each byte once. What one tap shows for the first time, and another showed
//! before it, is a copy; what a tap shows again was sent again. Where both cut and join, another showed some of it: the
//! rest is new, and it was not sent again.
//!
//! What was sent again is cut as well: each point shows it again, in its own pieces. So whatever one shows again is *due*
//! at each point that comes after it, once, and is a copy there.
//!
//! It is asked of flows only of which a packet was found twice, alike, at two points ([`super::taps`]), among these
//! points, and only where one shows longer segments than the other: a packet that takes another way, or a forger's, has no
//! such point, and where nothing is cut, copies are alike. What a point showed is known from its first pair on. A packet
//! beside a tunnel that was taken for the tunnel's ([`super::copies`]) is itself of another point: no pair is needed.

use super::generations::Generations;
use crate::decode::{Captured, Flags, FlowKey, Header};
use crate::record::Tunnel;
use crate::tcp::seq;

/// Flows known to be captured at two points; beyond it those not met for longest are forgotten.
const MOST_FLOWS: usize = 16_384;
/// Points that see a direction; further ones are not looked at.
const MOST_PLACES: usize = 4;
/// How long a place counts that shows nothing any more: twice what copies may be apart.
const RECENT_NS: u64 = 1_000_000_000;
/// Holes remembered of what a place showed; beyond it nothing is known of what was before the oldest one's end.
const MOST_HOLES: usize = 32;
/// Ranges that are due in a direction; beyond it the oldest is, and reads as sent again.
const MOST_DUE: usize = 64;
/// How far a number may be from what a place showed to be of the same connection: half a window as wide as most.
const NEAR: u32 = 1 << 23;

/// The sequence number after what a segment occupies.
pub(super) fn end_of(header: &Header) -> u32 {
    let controls = u32::from(header.flags.has(Flags::SYN)) + u32::from(header.flags.has(Flags::FIN));
    seq::add(header.seq, header.payload_len + controls)
}

/// Whether a packet was captured beside the tunnel that it was taken for.
#[inline]
pub fn is_beside(header: &Header) -> bool {
    let Tunnel(tunnel) = header.tunnel();
    (tunnel | u64::from(header.tunnel_name)) != 0 && header.depth == 0
}

/// Where packets of one direction are captured; a TTL of 0 stands for the one that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: u32,
    pub interface: u32,
    /// Headers around it: in its tunnel, or beside it ([`super::copies`]).
    pub depth: u8,
    pub ttl: u8,
}

impl Place {
    pub const fn of(header: &Header) -> Self {
        Place { file: header.file, interface: header.interface, depth: header.depth, ttl: header.ttl }
    }

    /// Told apart by more than the TTL.
    pub const fn is_elsewhere(&self, other: &Place) -> bool {
        self.file != other.file || self.interface != other.interface || self.depth != other.depth
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
    /// It has shown a copy: packets come to it after they came to another place.
    follows: bool,
    /// From this number, …
    first: u32,
    /// … up to this one, …
    next: u32,
    /// … but not these, oldest first: lost before it, or to come.
    holes: Vec<(u32, u32)>,
}

impl Shown {
    const fn new(place: Place, first: u32, next: u32, at_ns: i64) -> Self {
        Shown { place, at_ns, longest: 0, follows: false, first, next, holes: Vec::new() }
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

/// Shown again by one place, and not yet by another that follows.
#[derive(Clone, Copy)]
struct Due {
    from: u32,
    to: u32,
    at_ns: i64,
    by: u8,
    of: u8,
}

impl Due {
    fn lies_in(&self, from: u32, to: u32) -> bool {
        seq::leq(from, self.from) && seq::leq(self.to, to)
    }
}

/// The places that see a direction, and what is due at them, oldest first.
#[derive(Default)]
struct Side {
    places: [Option<Shown>; MOST_PLACES],
    due: Vec<Due>,
}

impl Side {
    fn find(&self, place: Place) -> Option<u8> {
        let is_there = |shown: &Option<Shown>| shown.as_ref().is_some_and(|shown| shown.place.is(&place));
        self.places.iter().position(is_there).map(|number| number as u8)
    }

    fn at(&mut self, place: Place) -> Option<(u8, &mut Shown)> {
        let number = self.find(place)?;
        let shown = self.places.get_mut(usize::from(number))?.as_mut()?;
        shown.place.ttl = if place.ttl == 0 { shown.place.ttl } else { place.ttl };
        Some((number, shown))
    }

    /// This place sees it, and showed this.
    fn note(&mut self, place: Place, from: u32, to: u32, at_ns: i64) -> Option<(u8, &mut Shown)> {
        if self.find(place).is_none()
            && let Some(free) = self.places.iter_mut().find(|shown| shown.is_none())
        {
            *free = Some(Shown::new(place, from, to, at_ns));
        }
        let (number, shown) = self.at(place)?;
        shown.add(from, to);
        shown.at_ns = at_ns;
        Some((number, shown))
    }

    /// What another place, which shows longer or shorter segments, has lately shown of what is new at this one.
    fn shown_beside(&self, place: Place, longest: u32, at_ns: i64, (from, to): (u32, u32)) -> Captured {
        let is_beside = |shown: &&Shown| !shown.place.is(&place) && shown.longest != longest;
        let is_recent = |shown: &&Shown| shown.at_ns.abs_diff(at_ns) <= RECENT_NS;
        let beside = || self.places.iter().flatten().filter(is_beside).filter(is_recent);
        if beside().any(|shown| shown.has(from, to)) {
            Captured::Again
        } else if beside().any(|shown| shown.has_some(from, to)) {
            Captured::InParts
        } else {
            Captured::Once
        }
    }

    /// A place showed it again: those that follow will, too.
    #[cold]
    fn owe(&mut self, by: u8, at_ns: i64, (from, to): (u32, u32)) {
        for (of, shown) in (0..).zip(&self.places) {
            if of == by || !shown.as_ref().is_some_and(|shown| shown.follows) {
                continue;
            }
            if self.due.len() == MOST_DUE {
                self.due.remove(0);
            }
            self.due.push(Due { from, to, at_ns, by, of });
        }
    }

    /// Whether all of it was due at this place, by others that show longer or shorter segments. Then it is no longer: packets
    /// come in order, so the oldest is paid first.
    fn pay(&mut self, of: u8, at_ns: i64, (from, to): (u32, u32)) -> bool {
        if self.due.is_empty() {
            return false;
        }
        self.due.retain(|due| due.at_ns.abs_diff(at_ns) <= RECENT_NS);
        let shown = |number: u8| self.places.get(usize::from(number)).and_then(Option::as_ref);
        let longest = |number: u8| shown(number).map(|shown| shown.longest);
        let is_beside = |due: &Due| due.of == of && longest(due.by) != longest(of);
        let mut due = self.due.clone();
        let mut paid = from;
        while seq::lt(paid, to) {
            let has = |due: &Due| is_beside(due) && seq::leq(due.from, paid) && seq::lt(paid, due.to);
            let Some(oldest) = due.iter().position(has) else { return false };
            let whole = due.remove(oldest);
            let end = if seq::lt(whole.to, to) { whole.to } else { to };
            for (from, to) in [(end, whole.to), (whole.from, paid)] {
                if seq::lt(from, to) {
                    due.insert(oldest, Due { from, to, ..whole });
                }
            }
            paid = end;
        }
        due.truncate(MOST_DUE);
        self.due = due;
        true
    }
}

/// A flow that is captured at two points.
#[derive(Default)]
struct Twin {
    /// Of the key's lower end, and of its higher one.
    sides: [Side; 2],
    /// One of the points is beside a tunnel: the others are met as they come.
    is_beside: bool,
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

    /// The packet was captured at another point before, alike, at that time.
    pub fn pair(&mut self, header: &Header, other: Place, other_ns: i64) {
        let place = Place::of(header);
        if self.twins.look(&header.key).is_none() {
            self.twins.place(header.key, Twin::default());
        }
        let Some(twin) = self.twins.touch(header.key) else { return };
        if place == other {
            twin.lag_ns = twin.lag_ns.max(header.ts_ns.abs_diff(other_ns)).max(1);
            return;
        }
        let (from, to) = (header.seq, end_of(header));
        let [own, back] = &mut twin.sides;
        let (own, back) = if header.from_low { (back, own) } else { (own, back) };
        let numbers = [other, place].map(|seen| {
            if place.is_elsewhere(&other) && header.flags.has(Flags::ACK) {
                // What is acknowledged passed both before.
                back.note(seen.back(), header.ack, header.ack, header.ts_ns);
            }
            let (number, shown) = own.note(seen, from, to, header.ts_ns)?;
            shown.longest = shown.longest.max(header.payload_len);
            shown.follows |= seen == place;
            Some(number)
        });
        if !own.due.is_empty()
            && let [Some(by), Some(of)] = numbers
        {
            // If it was sent again, that was due here, and this is it.
            let is_paid = |due: &Due| (due.by, due.of, due.at_ns) == (by, of, other_ns) && due.lies_in(from, to);
            own.due.retain(|due| !is_paid(due));
        }
    }

    /// How far apart two packets of this flow may be captured if nothing but the time tells; 0 if that is not known.
    pub fn lag_ns(&self, key: &FlowKey) -> u64 {
        self.twins.look(key).map_or(0, |twin| twin.lag_ns)
    }

    /// What of a packet that nothing is like was shown by another place, and not by its own. It counts as shown.
    pub fn look(&mut self, header: &Header) -> Captured {
        let (from, to) = (header.seq, end_of(header));
        let is_alone = self.twins.is_empty() && !is_beside(header);
        if is_alone || from == to || header.flags.has(Flags::RST) {
            return header.captured;
        }
        let is_beside = is_beside(header);
        if is_beside && self.twins.look(&header.key).is_none() {
            self.twins.place(header.key, Twin::default());
        }
        let Some(twin) = self.twins.touch(header.key) else { return header.captured };
        twin.is_beside |= is_beside;
        let side = &mut twin.sides[usize::from(header.from_low)];
        if header.flags.has(Flags::SYN) {
            // Another connection, of which nothing was shown yet.
            *side = Side::default();
            return header.captured;
        }
        let place = Place::of(header);
        if twin.is_beside && side.find(place).is_none() {
            side.note(place, from, from, header.ts_ns);
        }
        let Some((number, own)) = side.at(place) else { return header.captured };
        own.at_ns = header.ts_ns;
        own.longest = own.longest.max(header.payload_len);
        let (is_known, is_new, has_some) = (own.is_known(from), own.lacks(from, to), own.has_some(from, to));
        let (longest, before) = (own.longest, (from, if seq::lt(to, own.next) { to } else { own.next }));
        own.add(from, to);
        if !is_known {
            return header.captured;
        }
        // What fills a hole may be what another has shown again. What comes at the end is not taken for it: where a packet
        // takes longer than its sender waits, it is the first one, and the other is still to come.
        let was_due = seq::lt(from, before.1) && side.pay(number, header.ts_ns, before);
        if has_some && !was_due {
            // Sent again, and shown by nobody before.
            side.owe(number, header.ts_ns, before);
            return header.captured;
        }
        if header.payload_len == 0 {
            return header.captured;
        }
        let shown = if is_new { side.shown_beside(place, longest, header.ts_ns, (from, to)) } else { Captured::Again };
        if shown == Captured::Once {
            return header.captured;
        }
        if let Some((_, own)) = side.at(place) {
            own.follows |= shown == Captured::Again;
        }
        shown
    }
}

#[cfg(test)]
#[path = "pieces_tests.rs"]
mod tests;
