//! What is known of one direction of a flow that is in a tunnel and was captured beside it, too: whose it is, and which
//! bytes the tunnel showed lately. Of what is beside the tunnel and like no packet of it, that tells copies in other
//! pieces (segmentation is left to the network card, or done before the tunnel) from the only capture of something.

use super::copies::WINDOW_NS;
use super::pieces::end_of;
use crate::decode::{Flags, Header};
use crate::record::Tunnel;
use crate::tcp::seq;

/// How far a packet's sequence number may be from the tunnel's furthest byte to be of the same connection: half a window
/// as wide as most (RFC 7323 allows a gigabyte; other connections' numbers are anywhere).
const NEAR: u32 = 1 << 23;
/// Ranges remembered of what the tunnel showed lately: one, and one more for each hole and each half of the window.
const MOST_RANGES: usize = 64;

/// Bytes that came one after the other.
#[derive(Clone, Copy)]
struct Range {
    from: u32,
    to: u32,
    /// Time of the first of its packets, and of the last.
    since_ns: i64,
    until_ns: i64,
}

/// How much of a packet beside the tunnel the tunnel has, about the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InTunnel {
    /// All: it is a copy.
    Whole,
    /// Some: it has what the tunnel's tap lost.
    Part,
    /// Nothing.
    Nothing,
}

/// One direction.
pub struct Inside {
    pub tunnel: Tunnel,
    /// The tunnel's name, by its number.
    pub name: u32,
    pub depth: u8,
    /// It was found in another tunnel as well: then nothing is certain of a packet beside them.
    pub is_ambiguous: bool,
    /// The latest handshake of which it showed this direction's SYN.
    pub opening: Option<[u32; 2]>,
    /// The sequence number after the furthest byte shown.
    sent: u32,
    /// Oldest first.
    ranges: Vec<Range>,
}

/// What a SYN and its answer, be it a refusal, have in common: the number after that of who opens, or one behind data that it
/// sent with it, of which the other may acknowledge as much as it likes (RFC 7413): from this number to that one.
pub fn opening_of(header: &Header) -> Option<[u32; 2]> {
    let is_answer = header.flags.has(Flags::ACK);
    let numbers = if is_answer { [header.ack; 2] } else { [seq::add(header.seq, 1), end_of(header)] };
    (header.flags.has(Flags::SYN) || is_refusal(header)).then_some(numbers)
}

/// The answer of a port that nobody listens on (RFC 9293 §3.5.2).
pub const fn is_refusal(header: &Header) -> bool {
    header.flags.has(Flags::RST) && header.flags.has(Flags::ACK) && header.seq == 0
}

/// Whether two SYNs are of one handshake.
pub fn is_one_opening(one: Option<[u32; 2]>, other: Option<[u32; 2]>) -> bool {
    one.zip(other).is_some_and(|(one, other)| seq::leq(one[0], other[1]) && seq::leq(other[0], one[1]))
}

impl Inside {
    /// Known by this packet of the tunnel, which is not shown yet.
    pub fn of(header: &Header) -> Self {
        Inside {
            tunnel: header.tunnel(),
            name: header.tunnel_name,
            depth: header.depth,
            is_ambiguous: false,
            opening: None,
            sent: end_of(header),
            ranges: Vec::new(),
        }
    }

    /// Known by a SYN beside the tunnel that belongs to a handshake in it, of which this is the other direction.
    pub fn by_opening(&self, header: &Header) -> Self {
        Inside { sent: end_of(header), ranges: Vec::new(), ..*self }
    }

    /// A packet of the tunnel.
    pub fn show(&mut self, header: &Header) {
        let (from, to, at_ns) = (header.seq, end_of(header), header.ts_ns);
        let has_another = || self.opening.is_some() && !is_one_opening(self.opening, opening_of(header));
        let is_another = header.flags.has(Flags::SYN) && (has_another() || !self.is_near(header));
        if is_another {
            // The next connection of the 4-tuple, whose numbers are anywhere.
            self.ranges.clear();
        }
        if is_another || seq::lt(self.sent, to) {
            self.sent = to;
        }
        self.opening = opening_of(header).or(self.opening);
        if from == to {
            return;
        }
        match self.ranges.last_mut() {
            // Short enough that its age is known.
            Some(range) if range.to == from && at_ns.abs_diff(range.since_ns) <= WINDOW_NS / 2 => {
                (range.to, range.until_ns) = (to, at_ns);
            }
            _ => {
                // What waits to be judged may itself be a window old.
                self.ranges.retain(|range| range.until_ns.abs_diff(at_ns) <= 3 * WINDOW_NS);
                if self.ranges.len() == MOST_RANGES {
                    self.ranges.remove(0);
                }
                self.ranges.push(Range { from, to, since_ns: at_ns, until_ns: at_ns });
            }
        }
    }

    /// Whether a packet may be of the same connection, by its number.
    pub fn is_near(&self, header: &Header) -> bool {
        seq::diff(header.seq, self.sent).unsigned_abs() <= NEAR
    }

    /// What of a packet beside the tunnel the tunnel showed.
    pub fn shown(&self, header: &Header) -> InTunnel {
        let (from, to, window) = (header.seq, end_of(header), WINDOW_NS.cast_signed());
        let is_recent = |range: &&Range| {
            range.since_ns.saturating_sub(window) <= header.ts_ns
                && header.ts_ns <= range.until_ns.saturating_add(window)
        };
        let overlapping = |range: &&Range| is_recent(range) && seq::lt(range.from, to) && seq::lt(from, range.to);
        let ranges = || self.ranges.iter().filter(overlapping);
        let mut at = from;
        while let Some(range) = ranges().find(|range| seq::leq(range.from, at) && seq::lt(at, range.to)) {
            at = range.to;
            if seq::leq(to, at) {
                return InTunnel::Whole;
            }
        }
        if ranges().next().is_some() { InTunnel::Part } else { InTunnel::Nothing }
    }
}
