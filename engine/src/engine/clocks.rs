//! Whether two points' clocks agree, by the packets that both captured.
//!
//! A packet that goes from A to B is captured later at B, and one that goes back is captured later at A: a network or a
//! queue makes either delay longer, never negative. So where packets of both directions of a flow are captured first at
//! the same point, its clock is behind the other's: by no less than the latest pair of the one direction allows, by no
//! more than the earliest pair of the other, whichever of the two directions leads from the one to the other.
//!
//! Mirrors that deliver both directions to both points, each a little late, would look so by their slowest packets. So
//! packets of the two directions are counted in turns: nearly all must show it, where clocks that agree show it by half.
//!
//! Asked of pairs only that are one packet for certain: with an IP id, or of an opening. Those too far apart to be
//! removed as copies count as well, if an IP id tells.
//!
//! Points that have no packet in common, one direction each, are measured by handshakes: [`super::openings`].

use super::agreed::{Bound, Bounds, Said};
use super::generations::Generations;
use super::openings::{Openings, Spot, spot};
use super::pieces::Place;
use crate::capture::ClockFacts;
use crate::decode::{FlowKey, Header};
use std::collections::{BTreeMap, BTreeSet};

/// Flows of which both directions are awaited; beyond it those not met for longest are forgotten.
const MOST_FLOWS: usize = 16_384;
/// Pairs of points that are measured.
const MOST_PAIRS: usize = 64;
/// Less is not told: a host's own points (bridges, mirrors) show a packet some microseconds apart, what comes into a router
/// and leaves it again some hundred, and a network card tells of packets by as many at a time.
const LEAST_NS: i64 = 1_000_000;
/// Pairs of packets that must show it …
const LEAST_PAIRS: u64 = 4;
/// … and of eight that are counted, so many.
const OF_EIGHT: u64 = 7;

/// How much later the higher spot captured packets of one direction, at least and at most, ns.
#[derive(Clone, Copy)]
struct Lag {
    least: i64,
    most: i64,
}

/// A flow that both spots capture.
#[derive(Default)]
struct Flow {
    /// Of the key's lower end, and of its higher one.
    sides: [Option<Lag>; 2],
    /// Whose turn was the last.
    turn: usize,
}

/// By how much the clock of the higher spot is ahead of that of the lower one, ns.
#[derive(Clone, Copy)]
struct Ahead {
    least: i64,
    most: i64,
    /// Pairs of packets (or handshakes) counted, and of those, where the higher spot is later, and where it is earlier.
    pairs: u64,
    later: u64,
    earlier: u64,
}

impl Default for Ahead {
    fn default() -> Self {
        Ahead { least: i64::MIN, most: i64::MAX, pairs: 0, later: 0, earlier: 0 }
    }
}

impl Ahead {
    /// One more bound of it.
    fn bound(&mut self, least: i64, most: i64) {
        (self.least, self.most) = (self.least.max(least), self.most.min(most));
    }

    /// One direction's turn, in which the higher spot was later by that much, at least and at most.
    fn turn(&mut self, least: i64, most: i64) {
        self.pairs += 1;
        self.later += u64::from(least >= LEAST_NS);
        self.earlier += u64::from(most <= -LEAST_NS);
    }

    /// Whether so many pairs prove it.
    const fn is_shown(&self, by: u64) -> bool {
        by >= LEAST_PAIRS && 8 * by >= OF_EIGHT * self.pairs
    }

    /// The facts, if the one clock is ahead of the other for certain.
    fn told(self, (low, high): (Spot, Spot)) -> Option<ClockFacts> {
        let (is_ahead, is_behind) = (self.is_shown(self.later), self.is_shown(self.earlier));
        // Where every flow's bounds hold for all, they are the clocks'; else the clocks drift apart, or were set.
        let changes = self.least.saturating_sub(self.most) >= LEAST_NS;
        let (least, most) = (self.least.min(self.most), self.least.max(self.most));
        let (from, than, at_least_ns, at_most_ns, packets) = match (is_ahead, is_behind) {
            (true, _) if most >= LEAST_NS => (high, low, least, most, self.later),
            (_, true) if least <= -LEAST_NS => (low, high, -most, -least, self.earlier),
            _ => return None,
        };
        let ((file, interface), (than_file, than_interface)) = (from, than);
        let handshakes = 0;
        // Of clocks that agree for a while it may be less than nothing.
        let at_least_ns = at_least_ns.max(0);
        Some(ClockFacts {
            file,
            interface,
            than_file,
            than_interface,
            at_least_ns,
            at_most_ns,
            changes,
            packets,
            handshakes,
        })
    }
}

/// What handshakes say of two spots' clocks: by how much the higher one's is ahead, ns.
#[derive(Default)]
struct Handshakes {
    bounds: Bounds,
    /// All of them, and those by which the higher spot is later, and earlier, for certain.
    all: Ahead,
}

impl Handshakes {
    fn take(&mut self, bound: Bound) {
        self.bounds.push(bound);
        self.all.turn(bound.least, bound.most);
    }

    fn told(&self, spots: (Spot, Spot)) -> Option<ClockFacts> {
        let (least, most) = match self.bounds.say() {
            Said::One(bound) => (bound.least, bound.most),
            // As bounds of which none holds for all.
            Said::Changes(once, again) => (again, once),
            Said::Nothing => return None,
        };
        let facts = Ahead { least, most, ..self.all }.told(spots)?;
        Some(ClockFacts { packets: 0, handshakes: facts.packets, ..facts })
    }
}

/// What packets met at two points say of these points' clocks.
pub struct Clocks {
    flows: Generations<(FlowKey, Spot, Spot), Flow>,
    openings: Openings,
    /// By packets that both spots have.
    found: BTreeMap<(Spot, Spot), Ahead>,
    /// By handshakes of which each has a part.
    by_handshakes: BTreeMap<(Spot, Spot), Handshakes>,
}

impl Clocks {
    /// Nothing known yet.
    pub fn new() -> Self {
        let (flows, openings) = (Generations::of(MOST_FLOWS / 2), Openings::new());
        Clocks { flows, openings, found: BTreeMap::new(), by_handshakes: BTreeMap::new() }
    }

    /// The packet was captured elsewhere before, at this time.
    pub fn pair(&mut self, header: &Header, other: Place, other_ns: i64) {
        let spots = [spot(header.file, header.interface), spot(other.file, other.interface)];
        let (low, high, lag) = match spots {
            [here, there] if there < here => (there, here, header.ts_ns.saturating_sub(other_ns)),
            [here, there] => (here, there, other_ns.saturating_sub(header.ts_ns)),
        };
        if low == high {
            return;
        }
        let name = (header.key, low, high);
        if self.flows.touch(name).is_none() {
            self.flows.place(name, Flow::default());
        }
        let Some(flow) = self.flows.touch(name) else { return };
        let side = usize::from(header.from_low);
        let is_first = flow.sides[side].is_none();
        let known = flow.sides[side].unwrap_or(Lag { least: lag, most: lag });
        flow.sides[side] = Some(Lag { least: known.least.min(lag), most: known.most.max(lag) });
        let is_turn = std::mem::replace(&mut flow.turn, side) != side;
        let [Some(one), Some(other)] = flow.sides else { return };
        if let Some(known) = entry(&mut self.found, (low, high)) {
            known.bound(one.most.min(other.most), one.least.max(other.least));
            if is_first {
                // The other direction's turn before this one: of a flow of one pair each it is half of what there is.
                let before = flow.sides[1 - side].unwrap_or(Lag { least: 0, most: 0 });
                known.turn(before.least, before.most);
            }
            if is_turn {
                known.turn(lag, lag);
            }
        }
    }

    /// The packet is no copy: the first of its kind, which may be of a handshake.
    pub fn first(&mut self, header: &Header) {
        let Some(measured) = self.openings.take(header) else { return };
        let (spots, least, most) = if measured.of < measured.than {
            ((measured.of, measured.than), measured.most.saturating_neg(), measured.least.saturating_neg())
        } else {
            ((measured.than, measured.of), measured.least, measured.most)
        };
        if let Some(known) = entry(&mut self.by_handshakes, spots) {
            known.take(Bound { least, most });
        }
    }

    /// Points whose clocks differ for certain, in their order.
    pub fn found(&self) -> Vec<ClockFacts> {
        let all: BTreeSet<_> = self.found.keys().chain(self.by_handshakes.keys()).collect();
        let by_packets = |spots| self.found.get(spots).and_then(|ahead| ahead.told(*spots));
        let by_handshakes = |spots| self.by_handshakes.get(spots).and_then(|handshakes| handshakes.told(*spots));
        all.into_iter().filter_map(|spots| by_packets(spots).or_else(|| by_handshakes(spots))).collect()
    }
}

/// What is known of two spots, if there is room for it.
fn entry<T: Default>(all: &mut BTreeMap<(Spot, Spot), T>, spots: (Spot, Spot)) -> Option<&mut T> {
    let has_room = all.len() < MOST_PAIRS || all.contains_key(&spots);
    has_room.then(|| all.entry(spots).or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Tunnel;

    const MS: i64 = 1_000_000;

    /// What is found of packets of one flow: whether the lower end sent them, and when the files 0 and 1 have them, ns.
    fn found(packets: &[(bool, i64, i64)]) -> Vec<ClockFacts> {
        let mut clocks = Clocks::new();
        for &(from_low, first_ns, second_ns) in packets {
            let header = |file, ts_ns| Header { ts_ns, file, from_low, ..Header::default() };
            // Whichever is read first.
            let (first, second) = (header(0, first_ns), header(1, second_ns));
            let (early, late) = if second_ns < first_ns { (second, first) } else { (first, second) };
            clocks.pair(&late, Place::of(&early), early.ts_ns);
        }
        clocks.found()
    }

    /// The one file's clock is ahead of the other's.
    fn ahead(file: u32, at_least_ns: i64, at_most_ns: i64, changes: bool, packets: u64) -> Vec<ClockFacts> {
        let than_file = 1 - file;
        vec![ClockFacts { file, than_file, at_least_ns, at_most_ns, changes, packets, ..ClockFacts::default() }]
    }

    /// Three packets each way between points 2 ms apart, the second one's clock ahead by this; queues make some later.
    fn talk(ahead_ns: i64) -> Vec<(bool, i64, i64)> {
        let queued = [0, MS, 5 * MS];
        let turns = |late| [(true, 0, 2 * MS + late + ahead_ns), (false, 2 * MS + late, ahead_ns)];
        queued.into_iter().flat_map(turns).collect()
    }

    #[test]
    fn clocks_that_agree_are_not_told() {
        assert_eq!(found(&talk(0)), []);
        assert_eq!(found(&talk(2 * MS + LEAST_NS - 1)), [], "the way takes 2 ms: no more than that shows");
        assert_eq!(found(&talk(-2 * MS)), []);
    }

    #[test]
    fn mirrors_that_are_late_are_no_clocks() {
        // Both directions at both points, up to 0.3 ms later at either, or at the second one.
        for late_us in [[0, 300, -300, 200, -250, 50], [0, 300, 10, 200, 90, 50]] {
            let packets: Vec<_> = (0..60).map(|at| (at % 2 == 0, 0, 1000 * late_us[at / 2 % 6])).collect();
            assert_eq!(found(&packets), [], "{late_us:?}");
        }
    }

    #[test]
    fn more_data_than_acknowledgments_is_no_sign() {
        let packets: Vec<_> = (0..99).map(|at| if at % 33 == 32 { (false, MS, 0) } else { (true, 0, MS) }).collect();
        assert_eq!(found(&packets), []);
    }

    #[test]
    fn a_packet_that_queued_for_longer_than_clocks_differ_hides_nothing() {
        let mut packets: Vec<_> = (0..6).flat_map(|_| talk(80 * MS)).collect();
        packets.insert(9, (false, 200 * MS, 80 * MS));
        assert_eq!(found(&packets), ahead(1, 78 * MS, 82 * MS, false, 35));
    }

    #[test]
    fn packets_of_both_directions_bound_it() {
        let packets = talk(80 * MS);
        assert_eq!(found(&packets[..3]), [], "three pairs do not show it");
        assert_eq!(found(&packets), ahead(1, 78 * MS, 82 * MS, false, 6));
        assert_eq!(found(&talk(-80 * MS)), ahead(0, 78 * MS, 82 * MS, false, 6));
    }

    /// All that is certain where packets have no IP id: each flow's first direction is one way later, its second the other.
    #[test]
    fn openings_alone_of_clocks_that_agree_show_nothing() {
        for ahead_ns in [0, 2 * MS, -2 * MS] {
            let mut clocks = Clocks::new();
            for at in 0..40_u16 {
                for (from_low, first_ns, second_ns) in
                    [(true, 0, 4 * MS + ahead_ns), (false, 9 * MS, 5 * MS + ahead_ns)]
                {
                    let place = |file| Place { file, interface: 0, depth: 0, ttl: 0 };
                    let (file, ts_ns, other, other_ns) =
                        if first_ns < second_ns { (1, second_ns, 0, first_ns) } else { (0, first_ns, 1, second_ns) };
                    let mut header = Header { ts_ns, file, from_low, ..Header::default() };
                    header.key = header.key.within(Tunnel::vlans(1 + at, 0));
                    clocks.pair(&header, place(other), other_ns);
                }
            }
            assert_eq!(clocks.found(), [], "{ahead_ns}");
        }
    }

    #[test]
    fn one_direction_shows_nothing() {
        let packets: Vec<_> = (0..9).map(|at| (true, at, at + 80 * MS)).collect();
        assert_eq!(found(&packets), []);
    }

    #[test]
    fn clocks_that_drift_are_told_with_both_ends() {
        let packets: Vec<_> = [20, 20, 40, 60].iter().flat_map(|&ms| talk(ms * MS)).collect();
        let mut clocks = Clocks::new();
        for (at, &(from_low, first_ns, second_ns)) in packets.iter().enumerate() {
            // Each conversation is another flow.
            let mut flow = Header { from_low, file: 1, ts_ns: second_ns, ..Header::default() };
            flow.key = flow.key.within(Tunnel::vlans(1 + at as u16 / 6, 0));
            clocks.pair(&flow, Place { file: 0, interface: 0, depth: 0, ttl: 0 }, first_ns);
        }
        assert_eq!(clocks.found(), ahead(1, 22 * MS, 58 * MS, true, 24));
    }

    #[test]
    fn one_point_has_one_clock() {
        let mut clocks = Clocks::new();
        for from_low in [false, true, false, true, false, true] {
            let header = Header { from_low, ts_ns: 80 * MS, ttl: 63, ..Header::default() };
            clocks.pair(&header, Place { ttl: 64, ..Place::of(&header) }, 0);
        }
        assert_eq!(clocks.found(), []);
    }

    #[test]
    fn pairs_of_points_are_bounded() {
        let mut clocks = Clocks::new();
        for file in 1..=2 * MOST_PAIRS as u32 {
            for from_low in [false, true, false, true, false, true] {
                let header = Header { from_low, file, ts_ns: 80 * MS, ..Header::default() };
                clocks.pair(&header, Place { file: 0, interface: 0, depth: 0, ttl: 0 }, 0);
            }
        }
        assert_eq!(clocks.found().len(), MOST_PAIRS);
    }
}
