//! What handshakes say of two points' clocks, of which each may have captured one direction only, as the ports of a tap do.
//!
//! A SYN-ACK follows the SYN that it answers, and the ACK of it follows the SYN-ACK. So a point that has the SYN-ACK before
//! another has the SYN is behind it, by no less than the time between those two and no more than that to the ACK; one that
//! has it after the ACK is ahead.

use super::generations::Generations;
use crate::decode::{Flags, FlowKey, Header};

/// A file, and an interface of it: what has a clock.
pub type Spot = (u32, u32);

/// Where a packet was captured: the interfaces of `-i any` have one clock.
pub const fn spot(file: u32, interface: u32) -> Spot {
    (file, interface & 0xffff)
}

/// Handshakes whose other packets are awaited; beyond it those not met for longest are forgotten.
const MOST_OPEN: usize = 16_384;

/// By how much the clock of the point that has the SYN-ACK is ahead of that of the point that has the rest, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    pub of: Spot,
    pub than: Spot,
    pub least: i64,
    pub most: i64,
}

/// A packet of a handshake.
#[derive(Clone, Copy)]
struct Seen {
    spot: Spot,
    ts_ns: i64,
    from_low: bool,
    seq: u32,
    ack: u32,
}

impl Seen {
    const fn of(header: &Header) -> Self {
        let Header { file, interface, ts_ns, from_low, seq, ack, .. } = *header;
        Seen { spot: spot(file, interface), ts_ns, from_low, seq, ack }
    }

    /// Sent again, or by a later connection?
    const fn is_like(&self, other: &Seen) -> bool {
        self.from_low == other.from_low && self.seq == other.seq
    }
}

/// The newest handshake of a flow, as far as it was met. The clocks put its packets in an order that need not be theirs.
#[derive(Clone, Copy, Default)]
struct Opening {
    syn: Option<Seen>,
    syn_ack: Option<Seen>,
    /// The client's first packet after its SYN.
    then: Option<Seen>,
}

impl Opening {
    /// Takes the first packet of each kind: the first SYN-ACK that was sent is after the first SYN, whichever were lost.
    fn take(&mut self, seen: Seen, flags: Flags) {
        let is_new = |known: Option<Seen>| known.is_none_or(|known| !known.is_like(&seen));
        match (flags.has(Flags::SYN), flags.has(Flags::ACK)) {
            (true, false) if is_new(self.syn) => (self.syn, self.then) = (Some(seen), None),
            (true, true) if is_new(self.syn_ack) => self.syn_ack = Some(seen),
            (false, true) if self.is_of_client(&seen) && self.then.is_none() => self.then = Some(seen),
            _ => {}
        }
    }

    fn is_of_client(&self, seen: &Seen) -> bool {
        let client = self.syn.map(|syn| syn.from_low).or(self.syn_ack.map(|syn_ack| !syn_ack.from_low));
        client == Some(seen.from_low)
    }

    /// All three, if they are of one handshake.
    fn whole(&self) -> Option<[Seen; 3]> {
        let (syn, syn_ack, then) = (self.syn?, self.syn_ack?, self.then?);
        let is_one = syn_ack.ack == syn.seq.wrapping_add(1)
            && then.ack == syn_ack.seq.wrapping_add(1)
            && syn_ack.from_low != syn.from_low;
        is_one.then_some([syn, syn_ack, then])
    }
}

/// The handshakes of many flows.
pub struct Openings(Generations<FlowKey, Opening>);

impl Openings {
    /// None met yet.
    pub fn new() -> Self {
        Openings(Generations::of(MOST_OPEN / 2))
    }

    /// Takes a packet, and gives what its handshake says once that is complete.
    pub fn take(&mut self, header: &Header) -> Option<Measured> {
        if header.flags.has(Flags::RST) {
            return None;
        }
        if !header.flags.has(Flags::SYN) && self.0.look(&header.key).is_none() {
            return None;
        }
        if self.0.touch(header.key).is_none() {
            self.0.place(header.key, Opening::default());
        }
        let opening = self.0.touch(header.key)?;
        opening.take(Seen::of(header), header.flags);
        let [syn, syn_ack, then] = opening.whole()?;
        self.0.remove(&header.key);
        let is_across = syn.spot == then.spot && syn.spot != syn_ack.spot;
        is_across.then(|| Measured {
            of: syn_ack.spot,
            than: syn.spot,
            least: syn_ack.ts_ns.saturating_sub(then.ts_ns),
            most: syn_ack.ts_ns.saturating_sub(syn.ts_ns),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYN_ACK: Flags = Flags(Flags::SYN.0 | Flags::ACK.0);

    /// A handshake: SYN and ACK at one point, SYN-ACK at another; times in ns.
    fn handshake(syn_ns: i64, syn_ack_ns: i64, then_ns: i64) -> Vec<Header> {
        let client = Header { from_low: true, flags: Flags::SYN, seq: 7, ts_ns: syn_ns, ..Header::default() };
        let server = Header { flags: SYN_ACK, seq: 90, ack: 8, interface: 1, ts_ns: syn_ack_ns, ..Header::default() };
        let then = Header { flags: Flags::ACK, seq: 8, ack: 91, ts_ns: then_ns, ..client };
        let mut packets = vec![client, server, then];
        packets.sort_by_key(|packet| packet.ts_ns);
        packets
    }

    fn found(packets: &[Header]) -> Vec<(i64, i64)> {
        let mut openings = Openings::new();
        let measured = packets.iter().filter_map(|header| openings.take(header));
        measured
            .map(|measured| {
                assert_eq!((measured.of, measured.than), ((0, 1), (0, 0)));
                (measured.least, measured.most)
            })
            .collect()
    }

    #[test]
    fn a_handshake_bounds_it_whichever_clock_is_ahead() {
        assert_eq!(found(&handshake(10, 15, 30)), [(-15, 5)], "clocks that agree: none is within");
        assert_eq!(found(&handshake(110, 15, 130)), [(-115, -95)], "answered before it was asked");
        assert_eq!(found(&handshake(10, 115, 30)), [(85, 105)], "acknowledged before it was sent");
    }

    #[test]
    fn what_is_no_one_handshake_says_nothing() {
        let whole = handshake(10, 15, 30);
        for left_out in 0..3 {
            let rest: Vec<_> = whole.iter().enumerate().filter(|&(at, _)| at != left_out).map(|(_, p)| *p).collect();
            assert_eq!(found(&rest), [], "without {left_out}");
        }
        let changes: [fn(&mut Vec<Header>); 5] = [
            |packets| packets[1].ack += 1,
            |packets| packets[2].ack += 1,
            |packets| packets[1].interface = 0,
            |packets| packets[2].interface = 2,
            |packets| packets[2].flags = Flags(Flags::RST.0 | Flags::ACK.0),
        ];
        for change in changes {
            let mut packets = whole.clone();
            change(&mut packets);
            assert_eq!(found(&packets), []);
        }
    }

    #[test]
    fn the_first_of_those_sent_again_counts_and_a_later_connection_is_another() {
        let mut packets = handshake(10, 15, 30);
        packets.insert(1, Header { ts_ns: 12, ..packets[0] });
        packets.insert(3, Header { ts_ns: 16, ..packets[2] });
        assert_eq!(found(&packets), [(-15, 5)]);
        let later = handshake(1010, 1015, 1030).into_iter().map(|packet| Header {
            seq: packet.seq + 1000,
            ack: if packet.ack == 0 { 0 } else { packet.ack + 1000 },
            ..packet
        });
        packets.extend(later);
        assert_eq!(found(&packets), [(-15, 5), (-15, 5)]);
    }

    #[test]
    fn a_port_used_again_before_the_rest_came_is_the_newest_connection() {
        let mut packets = handshake(10, 15, 30);
        packets.insert(0, Header { seq: 3, ts_ns: 1, ..packets[0] });
        assert_eq!(found(&packets), [(-15, 5)]);
    }
}
