//! Networks with equal addresses that only identifiers of one direction tell apart: MPLS labels, GTP endpoints, PPTP calls,
//! L2TP sessions.
//!
//! Such an identifier (a packet's *way*, [`Header::way`]) names a network and a direction, and nothing says which two
//! belong together; the way back may have none. So it is learned of each 4-tuple: the packets of one connection continue
//! each other's numbers, those of two networks do not. A [`Network`] is what was learned: the ways of either direction,
//! and how far either was shown. The first one of a 4-tuple keeps the plain key, each other has a key of its own
//! ([`Tunnel::of_network`](crate::record::Tunnel::of_network)).
//!
//! | a packet's numbers | its way in this direction | it goes to |
//! |---|---|---|
//! | continue a network's | one of its ways, or the first | that network |
//! | continue a network's | others were met before | that network: a handover, another path, another point |
//! | continue none, or it opens a connection | a network's | that network: packets are missing, or the 4-tuple is used again |
//! | the same | none at all, as one network's or several' | that of which one number goes on; a SYN to the only one, if its connection has ended |
//! | the same | unknown | a network of its own |
//!
//! A reset, and a copy of a packet, begin no network. Where no way is met in the first packets of a capture, none is looked at
//! until one comes; from then on all are: also a network without ways may have the same addresses. It depends on the
//! packets and their order alone.

use super::generations::Generations;
use super::pieces::end_of;
use crate::decode::{Captured, Flags, FlowKey, Header};
use crate::tcp::seq;

/// 4-tuples whose networks are remembered: beyond it those not met for longest are forgotten.
const MOST_FLOWS: usize = 65_536;
/// Of these, those of several networks, apart from the others: they are few, and forgetting one joins what was two.
const MOST_SHARED: usize = 16_384;
/// Networks of one 4-tuple; beyond it the one not met for longest is forgotten.
const MOST_NETWORKS: usize = 8;
/// Ways of a direction: of some paths, points or cells.
const MOST_WAYS: usize = 4;
/// Packets at the beginning of a capture that are looked at in any case: the first of a connection may have no way.
const TRIAL: u32 = 1024;
/// How far a number may be from what was shown to continue it: half a window as wide as most.
const NEAR: u32 = 1 << 23;

/// One direction in a network.
#[derive(Clone, Copy, Default)]
struct Side {
    /// The latest ways met, 0 for none at all; so many of them.
    ways: [u32; MOST_WAYS],
    met: usize,
    /// Its SYN's number.
    isn: Option<u32>,
    /// Up to here its packets showed it last.
    next: Option<u32>,
    /// Up to here the other side acknowledged it last: a window, or what the capture lost, is between the two.
    acked: Option<u32>,
    /// Up to here it was shown before the 4-tuple was used again: what answers the new SYN may still have these numbers.
    before: Option<u32>,
    /// Its FIN was met since the last opening.
    has_closed: bool,
}

impl Side {
    fn ways(&self) -> &[u32] {
        self.ways.get(..self.met.min(MOST_WAYS)).unwrap_or_default()
    }

    fn learn(&mut self, way: u32) {
        if self.ways().contains(&way) {
            return;
        }
        if let Some(slot) = self.ways.get_mut(self.met % MOST_WAYS) {
            *slot = way;
        }
        // The place of the oldest is the next one's.
        self.met = if self.met + 1 < 2 * MOST_WAYS { self.met + 1 } else { MOST_WAYS };
    }

    /// What was shown.
    fn ends(&self) -> impl Iterator<Item = u32> {
        self.next.into_iter().chain(self.acked)
    }

    /// How far a number is from what was shown.
    fn far(&self, number: u32) -> Option<u32> {
        self.ends().chain(self.before).map(|end| seq::diff(number, end).unsigned_abs()).min()
    }
}

/// What was learned of one network with this 4-tuple.
#[derive(Clone, Copy, Default)]
struct Network {
    number: u32,
    /// Of what the key's higher end sends, and of the lower one's.
    sides: [Side; 2],
    /// A reset was met since the last opening.
    was_reset: bool,
    /// The latest packet's ordinal.
    used: u64,
    /// Packets were left out since.
    sight: u32,
}

/// How well a packet goes with a network, the best first; but see [`order`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    /// Way and numbers are its own.
    Own,
    /// The numbers are, and nothing was known of this direction's way.
    First,
    /// The numbers are.
    Numbers,
    /// The way is.
    Way,
    /// What else a packet without a network of its own may be of.
    Any,
}

/// Whether the packet is a SYN, be it an answer to one.
fn opens(header: &Header) -> bool {
    header.flags.has(Flags::SYN) && !header.flags.has(Flags::RST)
}

impl Network {
    /// Its latest connection has: by both FINs, or a reset.
    fn has_ended(&self) -> bool {
        self.was_reset || self.sides.iter().all(|side| side.has_closed)
    }

    fn sides(&self, header: &Header) -> (&Side, &Side) {
        let [high, low] = &self.sides;
        if header.from_low { (low, high) } else { (high, low) }
    }

    fn sides_mut(&mut self, header: &Header) -> (&mut Side, &mut Side) {
        let [high, low] = &mut self.sides;
        if header.from_low { (low, high) } else { (high, low) }
    }

    /// How far the packet's numbers are from what both sides showed, as far as that is known.
    fn distances(&self, header: &Header) -> [Option<u32>; 2] {
        let (own, other) = self.sides(header);
        // A reset that answers a packet without an acknowledgment has no number of its own.
        let is_numbered = !header.flags.has(Flags::RST) || header.seq != 0;
        let far = own.far(header.seq).filter(|_| is_numbered);
        [far, other.far(header.ack).filter(|_| header.flags.has(Flags::ACK))]
    }

    /// Whether the packet continues what the network showed, and how far it is from that.
    fn continues(&self, header: &Header) -> Option<u64> {
        if self.sides.iter().all(|side| side.ends().next().is_none()) {
            return Some(u64::MAX); // a reset was all there was
        }
        if opens(header) {
            return self.has_opening(header).then_some(0);
        }
        let mut known = self.distances(header).into_iter().flatten().peekable();
        known.peek()?;
        known.try_fold(0, |sum, far| (far <= NEAR).then_some(sum + u64::from(far)))
    }

    /// The same of a SYN: sent again, the answer to the other side's, crossing it, or captured behind what follows it.
    fn has_opening(&self, header: &Header) -> bool {
        let (own, other) = self.sides(header);
        let acknowledges = |isn| {
            let is_sent = other.next.is_some_and(|next| seq::leq(header.ack, next));
            header.flags.has(Flags::ACK) && seq::lt(isn, header.ack) && is_sent
        };
        if own.isn.is_some() || other.isn.is_some_and(acknowledges) {
            return own.isn == Some(header.seq) || other.isn.is_some_and(acknowledges);
        }
        let is_crossing = other.isn.is_some() && !header.flags.has(Flags::ACK) && own.ends().next().is_none();
        let follows = |end: u32| end == seq::add(header.seq, 1) || end == end_of(header);
        is_crossing || own.ends().any(follows)
    }

    /// How well a packet goes with it; `has_ways` if the 4-tuple has any.
    fn matches(&self, header: &Header, has_ways: bool, sight: u32) -> Option<(Match, u64)> {
        let own = self.sides(header).0;
        let is_known = own.ways().contains(&header.way);
        if let Some(far) = self.continues(header) {
            let kind = if is_known {
                Match::Own
            } else if own.met == 0 {
                Match::First
            } else {
                Match::Numbers
            };
            return Some((kind, far));
        }
        let nearest = self.distances(header).into_iter().flatten().min().map_or(u64::MAX, u64::from);
        let is_out_of_sight = self.sight != sight && !opens(header);
        let may_follow = is_out_of_sight && (is_known || nearest <= u64::from(NEAR));
        if !has_ways || is_known && (header.way != 0 || self.may_be_own(header, nearest)) {
            Some((Match::Way, nearest))
        } else if header.flags.has(Flags::RST) || header.captured == Captured::Again || may_follow {
            Some((Match::Any, nearest))
        } else {
            None
        }
    }

    /// Of a packet that comes as this network's and others' do, without a way.
    fn may_be_own(&self, header: &Header, nearest: u64) -> bool {
        if opens(header) { self.has_ended() } else { nearest <= u64::from(NEAR) }
    }

    fn take(&mut self, header: &Header, sight: u32) {
        (self.used, self.sight) = (header.ordinal, sight);
        let (continues, flags) = (self.continues(header).is_some(), header.flags);
        if opens(header) && !continues {
            self.was_reset = false;
            for side in &mut self.sides {
                let before = side.next.or(side.acked).or(side.before);
                *side = Side { ways: side.ways, met: side.met, before, ..Side::default() };
            }
        }
        if flags.has(Flags::RST) || header.captured == Captured::Again {
            if continues {
                self.sides_mut(header).0.learn(header.way);
                self.was_reset |= flags.has(Flags::RST);
            }
            return;
        }
        let (own, other) = self.sides_mut(header);
        own.learn(header.way);
        own.next = Some(end_of(header));
        other.acked = if flags.has(Flags::ACK) { Some(header.ack) } else { other.acked };
        own.isn = if opens(header) { Some(header.seq) } else { own.isn };
        own.has_closed |= flags.has(Flags::FIN);
    }

    /// Whether any of its packets had a way.
    fn has_ways(&self) -> bool {
        self.sides.iter().any(|side| side.ways().iter().any(|&way| way != 0))
    }
}

/// The networks of a 4-tuple that has several.
#[derive(Default)]
struct Shared {
    list: Vec<Network>,
    /// How many there were.
    count: u32,
}

/// How near a packet is to a network. Numbers tell more than ways, which change, and which a connection shares with the next
/// one of its 4-tuple: Linux begins that some 65,000 further on.
const fn order(kind: Match, far: u64) -> (u8, u64) {
    match kind {
        Match::Own | Match::First | Match::Numbers => (0, far),
        Match::Way => (1, far),
        Match::Any => (2, far),
    }
}

/// Which of them a packet is of.
fn best(networks: &[Network], header: &Header, sight: u32) -> Option<usize> {
    let has_ways = header.way != 0 || networks.iter().any(Network::has_ways);
    let matching = networks.iter().enumerate().filter_map(|(at, network)| {
        let (kind, far) = network.matches(header, has_ways, sight)?;
        Some(((order(kind, far), kind, std::cmp::Reverse(network.used)), at))
    });
    let ((_, kind, _), at) = matching.min()?;
    // Of several it could open a connection of, it is told to be of none.
    let is_claimed = |network: &&Network| network.sides(header).0.ways().contains(&header.way);
    let is_ambiguous = || kind == Match::Way && opens(header) && networks.iter().filter(is_claimed).count() > 1;
    (!is_ambiguous()).then_some(at)
}

impl Shared {
    fn take(&mut self, header: &Header, sight: u32) -> u32 {
        let at = best(&self.list, header, sight).unwrap_or_else(|| self.begin());
        let Some(network) = self.list.get_mut(at) else { return 0 };
        network.take(header, sight);
        network.number
    }

    /// One more network; its place.
    fn begin(&mut self) -> usize {
        if self.list.len() >= MOST_NETWORKS
            && let Some((at, _)) = self.list.iter().enumerate().min_by_key(|(_, network)| network.used)
        {
            self.list.swap_remove(at);
        }
        self.list.push(Network { number: self.count, ..Network::default() });
        self.count = self.count.wrapping_add(1);
        self.list.len() - 1
    }
}

/// Finds out of which network packets are, in capture order.
pub struct Networks {
    /// All packets are to be looked at: a way was met, or it is the beginning. If not, those with a way; any other is left
    /// as it is.
    pub is_awake: bool,
    has_ways: bool,
    /// Packets before the first way.
    tried: u32,
    alone: Generations<FlowKey, Network>,
    shared: Generations<FlowKey, Shared>,
    /// How often packets were left out.
    sight: u32,
}

impl Networks {
    /// None known.
    pub fn new() -> Self {
        let (alone, shared) = (Generations::of(MOST_FLOWS / 2), Generations::of(MOST_SHARED / 2));
        Networks { is_awake: true, has_ways: false, tried: 0, alone, shared, sight: 0 }
    }

    /// Packets are left out here: numbers need not go on.
    pub fn lose_sight(&mut self) {
        self.sight += 1;
    }

    /// Gives the packet the key of its network.
    #[cold]
    #[inline(never)]
    pub fn look(&mut self, header: &mut Header) {
        self.has_ways |= header.way != 0;
        if !self.has_ways {
            self.tried = self.tried.saturating_add(1);
            if self.tried > TRIAL {
                self.alone = Generations::of(MOST_FLOWS / 2);
                self.is_awake = false;
                return;
            }
        }
        self.is_awake = true;
        let number = self.number(header);
        if number != 0 {
            header.key = header.key.within(header.key.tunnel().of_network(number));
            header.partition = header.key.partition() as u8;
        }
    }

    fn number(&mut self, header: &Header) -> u32 {
        if !self.shared.is_empty()
            && let Some(shared) = self.shared.touch(header.key)
        {
            return shared.take(header, self.sight);
        }
        let Some(network) = self.alone.touch(header.key) else {
            self.alone.place(header.key, Network::default()).take(header, self.sight);
            return 0;
        };
        if best(std::slice::from_ref(network), header, self.sight).is_some() {
            network.take(header, self.sight);
            return 0;
        }
        let shared = Shared { list: vec![*network], count: 1 };
        self.alone.remove(&header.key);
        self.shared.place(header.key, shared).take(header, self.sight)
    }
}

#[cfg(test)]
#[path = "networks_tests.rs"]
mod tests;
