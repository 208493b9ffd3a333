//! A packet captured in its tunnel and beside it: what `tcpdump -i any` shows on a host that ends a tunnel or a VLAN.
//!
//! The copy with more around it is kept, whichever was captured first: only it says whose network the packet is of, so
//! that equal addresses of two networks stay apart. To know it, batches are held back until no packet of theirs can meet
//! its copy any more, after [`WINDOW_NS`] or [`WINDOW_PACKETS`]. Nothing is copied for that. Of captures of one Ethernet
//! interface no packet is looked at after the first [`TRIAL`], until a tunnel comes: only the newest batches wait, so that
//! what was captured just before the first packet in a tunnel can still be found.
//!
//! Once a flow's direction is known to be in a tunnel ([`super::inside`]), what is captured beside it alone goes to the
//! same connection: a packet whose bytes the tunnel showed in other pieces is a copy, any other is taken for the tunnel's.
//!
//! All of it depends on the packets and their order alone, never on where batches end.

use super::front::Decoded;
use super::generations::Generations;
use super::inside::{InTunnel, Inside, is_one_opening, is_refusal, opening_of};
use super::pieces::end_of;
use crate::decode::{Captured, Flags, FlowKey, Header, OPTIONS_CUT};
use crate::record::Tunnel;
use crate::tcp::endpoint::fingerprint;
use crate::tcp::seq;
use foldhash::fast::RandomState;
use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;

/// Longest time from one capture of a packet to the other. A kernel's own tunnel takes microseconds, one in user space or
/// behind a shaper milliseconds. A retransmission is later, and is itself in the tunnel and beside it.
pub(super) const WINDOW_NS: u64 = 20_000_000;
/// Most packets of any kind from one to the other, so that little is held back at any rate.
const WINDOW_PACKETS: u64 = 256;
/// Packets at the beginning of a capture that are watched in any case: where it has tunnels, one is seldom later.
const TRIAL: u64 = 4096;
/// Bytes held back beyond which all is let go: only packets of many megabytes come to that.
const MOST_HELD: usize = 64 << 20;
/// Most packets alike that are looked at: only a hostile capture has more of them in a window.
const MOST_ALIKE: usize = 64;
/// Directions of flows known to be in a tunnel; beyond it those not met for longest are forgotten.
const MOST_FLOWS: usize = 32_768;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Packets left out because a tunnel has them.
    pub beside_tunnels: u64,
    /// Packets met in two tunnels (or VLANs), each of which keeps its own.
    pub in_two_tunnels: u64,
}

/// A batch that waits.
struct Held {
    decoded: Decoded,
    /// Number of its first header over the whole capture.
    first: u64,
    /// Places of the copies in it.
    copies: Vec<u32>,
}

/// A packet that may meet its copy.
struct Item {
    print: u64,
    /// The number of the packet alike before it, one more; 0 for none.
    before: u64,
    is_copy: bool,
}

type Direction = (FlowKey, bool);

/// Holds batches back, and finds the copies in them.
pub struct Copies {
    /// There may be copies: what comes is watched. Before, only the first packets are.
    is_sure: bool,
    /// A tunnel was met: before, there is nothing to find.
    has_tunnels: bool,
    held: VecDeque<Held>,
    /// Number of the next header.
    next: u64,
    /// Number of the first one that may still meet its copy.
    oldest: u64,
    /// Those from `oldest` on, once there are tunnels.
    window: VecDeque<Item>,
    /// The latest packet in the window by what it looks like.
    prints: HashMap<u64, u64, RandomState>,
    /// Some packet was cut so that its options or window do not show what it looks like.
    has_cut: bool,
    hasher: RandomState,
    flows: Generations<Direction, Inside>,
    found: Found,
}

/// A flow's direction, whatever is around it.
fn direction(header: &Header) -> Direction {
    (header.key.within(Tunnel::default()), header.from_low)
}

/// Whether the snaplen cut what is behind its numbers: of two captures of a packet, that with more around it has less room.
const fn is_cut(header: &Header) -> bool {
    header.options_print == OPTIONS_CUT || header.is_window_cut
}

fn are_alike(a: &Header, b: &Header) -> bool {
    let says = |h: &Header| (h.seq, h.ack, h.payload_len, h.flags.0, h.ip_id, h.from_low);
    let is_any = |is: fn(&Header) -> bool| is(a) || is(b);
    says(a) == says(b)
        && (a.options_print == b.options_print || is_any(is_cut))
        && (a.window == b.window || is_any(|header| header.is_window_cut))
        && direction(a) == direction(b)
}

impl Copies {
    /// None found yet.
    pub fn new() -> Self {
        Copies {
            is_sure: false,
            has_tunnels: false,
            held: VecDeque::new(),
            next: 0,
            oldest: 0,
            window: VecDeque::new(),
            prints: HashMap::default(),
            has_cut: false,
            hasher: RandomState::default(),
            flows: Generations::of(MOST_FLOWS / 2),
            found: Found::default(),
        }
    }

    /// What was found so far.
    pub fn found(&self) -> Found {
        self.found
    }

    /// Takes a batch. From the header at `sure_from` on there may be copies; `end` is the ordinal after its last packet.
    pub fn push(&mut self, decoded: Decoded, sure_from: Option<usize>, end: u64) {
        let (first, segments) = (self.next, decoded.segments as u64);
        self.next += segments;
        self.held.push_back(Held { decoded, first, copies: Vec::new() });
        let sure_from = if self.is_sure { first } else { sure_from.map_or(self.next, |at| first + at as u64) };
        self.is_sure |= sure_from < self.next;
        let mut number = first;
        while number < self.next {
            if number >= sure_from || self.header(number).is_some_and(|header| header.ordinal < TRIAL) {
                self.step(number);
                number += 1;
            } else {
                number = sure_from;
            }
        }
        // Packets that are no segments end the wait, too.
        if self.has_tunnels {
            while self.header(self.oldest).is_some_and(|header| header.ordinal + WINDOW_PACKETS < end) {
                self.leave();
            }
        } else {
            self.pass_over(end);
        }
        if self.held.iter().map(|held| held.decoded.data.len()).sum::<usize>() > MOST_HELD {
            self.let_go();
        }
    }

    /// Where nothing was looked at yet, what is too old for a packet at `end` leaves at once.
    fn pass_over(&mut self, end: u64) {
        let is_old = |header: &Header| header.ordinal + WINDOW_PACKETS < end;
        for held in &self.held {
            let headers = held.decoded.headers.get(..held.decoded.segments).unwrap_or_default();
            let old = if headers.last().is_some_and(is_old) { headers.len() } else { headers.partition_point(is_old) };
            self.oldest = self.oldest.max(held.first + old as u64);
            if old < headers.len() {
                return;
            }
        }
    }

    /// Where no tunnel was met yet: batches whose packets are all older than a copy may be, judged by the newest. Only for
    /// who must not wait for more packets: times out of order make a difference here.
    pub fn let_old_go(&mut self) {
        if self.has_tunnels {
            return;
        }
        let Some(newest) = self.next.checked_sub(1).and_then(|last| self.header(last)).map(|header| header.ts_ns)
        else {
            return;
        };
        for held in &self.held {
            let headers = held.decoded.headers.get(..held.decoded.segments).unwrap_or_default();
            if headers.last().is_some_and(|header| newest.saturating_sub(header.ts_ns) <= WINDOW_NS.cast_signed()) {
                return;
            }
            self.oldest = self.oldest.max(held.first + headers.len() as u64);
        }
    }

    /// The oldest batch, once none of its packets can meet a copy, with the places of the copies in it.
    pub fn ready(&mut self) -> Option<(Decoded, Vec<u32>)> {
        let held = self.held.front()?;
        if held.first + held.decoded.segments as u64 > self.oldest {
            return None;
        }
        let mut held = self.held.pop_front()?;
        held.copies.sort_unstable();
        held.copies.dedup();
        Some((held.decoded, held.copies))
    }

    /// Nothing will come that could be a copy.
    pub fn let_go(&mut self) {
        while self.oldest < self.next {
            self.leave();
        }
    }

    fn place(&self, number: u64) -> Option<(usize, usize)> {
        let batch = self.held.partition_point(|held| held.first <= number).checked_sub(1)?;
        Some((batch, (number - self.held.get(batch)?.first) as usize))
    }

    fn header(&self, number: u64) -> Option<&Header> {
        let (batch, at) = self.place(number)?;
        self.held.get(batch)?.decoded.headers.get(at)
    }

    /// The next packet comes: what is too far from it leaves, and its copies are looked for.
    fn step(&mut self, number: u64) {
        let Some(&Header { ts_ns, ordinal, depth, .. }) = self.header(number) else { return };
        let is_far = |h: &Header| h.ts_ns.abs_diff(ts_ns) > WINDOW_NS || h.ordinal + WINDOW_PACKETS <= ordinal;
        while self.oldest < number && self.header(self.oldest).is_none_or(is_far) {
            self.leave();
        }
        if !self.has_tunnels {
            if depth == 0 {
                return;
            }
            self.has_tunnels = true;
            (self.oldest..number).for_each(|earlier| self.enter(earlier));
        }
        self.enter(number);
    }

    fn enter(&mut self, number: u64) {
        let Some(&header) = self.header(number) else { return };
        if is_cut(&header) && !self.has_cut {
            self.has_cut = true;
            self.print_again();
        }
        let print = self.print(&header);
        let before = self.prints.insert(print, number).map_or(0, |before| before + 1);
        self.window.push_back(Item { print, before, is_copy: false });
        if !self.flows.is_empty() {
            match self.flows.touch(direction(&header)) {
                Some(inside) if inside.depth == header.depth => inside.show(&header),
                None if header.depth > 0 => self.learn_by_other(&header),
                _ => {}
            }
        }
        if before > 0 {
            self.meet(number, &header, before);
        }
    }

    /// What captures of one packet have in common.
    fn print(&self, header: &Header) -> u64 {
        if !self.has_cut {
            return self.hasher.hash_one((direction(header), fingerprint(header)));
        }
        let uncut = Header { options_print: 0, window: 0, ..*header };
        self.hasher.hash_one((direction(header), fingerprint(&uncut)))
    }

    /// Those in the window look different from now on.
    #[cold]
    fn print_again(&mut self) {
        self.prints.clear();
        for (at, number) in (0..self.window.len()).zip(self.oldest..) {
            let Some(&header) = self.header(number) else { continue };
            let print = self.print(&header);
            let before = self.prints.insert(print, number).map_or(0, |before| before + 1);
            if let Some(item) = self.window.get_mut(at) {
                (item.print, item.before) = (print, before);
            }
        }
    }

    /// Compares a packet with those alike before it; the deeper is kept.
    #[cold]
    fn meet(&mut self, number: u64, header: &Header, before: u64) {
        let mut next = before;
        for _ in 0..MOST_ALIKE {
            let Some(other_number) = next.checked_sub(1).filter(|&n| n >= self.oldest) else { return };
            let Some(item) = self.window.get((other_number - self.oldest) as usize) else { return };
            next = item.before;
            let Some(&other) = self.header(other_number).filter(|_| !item.is_copy) else { continue };
            if !are_alike(&other, header) {
                continue;
            }
            match other.depth.cmp(&header.depth) {
                Ordering::Equal => {
                    self.found.in_two_tunnels += u64::from(other.key != header.key);
                }
                Ordering::Greater => return self.leave_out(number, &other, other_number),
                Ordering::Less => self.leave_out(other_number, header, number),
            }
        }
    }

    /// The packet is a copy of `deeper`.
    fn leave_out(&mut self, number: u64, deeper: &Header, deeper_number: u64) {
        self.drop_packet(number);
        if let Some((batch, at)) = self.place(deeper_number)
            && let Some(kept) = self.held.get_mut(batch).and_then(|held| held.decoded.headers.get_mut(at))
        {
            kept.captured = Captured::WithCopies;
        }
        let (tunnel, depth, direction) = (deeper.tunnel(), deeper.depth, direction(deeper));
        match self.flows.touch(direction) {
            Some(known) if known.depth == depth => known.is_ambiguous |= known.tunnel != tunnel,
            Some(known) if known.depth > depth => {}
            _ => self.learn(deeper),
        }
    }

    /// A packet of a tunnel in which the other direction is known to be.
    #[cold]
    fn learn_by_other(&mut self, header: &Header) {
        let (flow, from_low) = direction(header);
        let is_its = |other: &Inside| other.tunnel == header.tunnel() && !other.is_ambiguous;
        if self.flows.look(&(flow, !from_low)).is_some_and(is_its) {
            self.learn(header);
        }
    }

    /// The direction of this packet is in its tunnel, and so is the other one if it has packets there. What both have shown
    /// in it lately waits for what is beside it.
    #[cold]
    fn learn(&mut self, deeper: &Header) {
        let (flow, from_low) = direction(deeper);
        let mut sides = [None, None];
        if deeper.flags.has(Flags::SYN) {
            // Before it there is nothing of this connection.
            sides[usize::from(from_low)].insert(Inside::of(deeper)).show(deeper);
        } else {
            for number in self.oldest..self.oldest + self.window.len() as u64 {
                let Some(header) = self.header(number) else { continue };
                let (its_flow, side) = direction(header);
                if its_flow == flow && header.depth == deeper.depth && header.tunnel() == deeper.tunnel() {
                    sides[usize::from(side)].get_or_insert_with(|| Inside::of(header)).show(header);
                }
            }
        }
        for (side, inside) in [false, true].into_iter().zip(sides) {
            let is_new = side == from_low || self.flows.look(&(flow, side)).is_none();
            if let Some(inside) = inside.filter(|_| is_new) {
                self.flows.place((flow, side), inside);
            }
        }
    }

    fn drop_packet(&mut self, number: u64) {
        self.found.beside_tunnels += 1;
        if let Some((batch, at)) = self.place(number)
            && let Some(held) = self.held.get_mut(batch)
        {
            held.copies.push(at as u32);
        }
        if let Some(item) = number.checked_sub(self.oldest).and_then(|at| self.window.get_mut(at as usize)) {
            item.is_copy = true;
        }
    }

    /// The oldest packet leaves the window: it will meet no copy.
    fn leave(&mut self) {
        let number = self.oldest;
        if let Some(item) = self.window.front() {
            if self.prints.get(&item.print) == Some(&number) {
                let print = item.print;
                self.prints.remove(&print);
            }
            if !item.is_copy && !self.flows.is_empty() {
                self.judge_alone(number);
            }
        }
        self.window.pop_front();
        self.oldest += 1;
    }

    /// A packet that met none: of a flow known to be in a tunnel it may be its bytes in other pieces, or the only capture.
    fn judge_alone(&mut self, number: u64) {
        let Some(&header) = self.header(number) else { return };
        let direction = direction(&header);
        if header.flags.has(Flags::SYN) || is_refusal(&header) {
            return self.judge_opening(number, &header);
        }
        let Some(inside) = self.flows.touch(direction) else { return };
        if header.depth >= inside.depth || inside.is_ambiguous {
            return;
        }
        let shown = if header.payload_len > 0 { inside.shown(&header) } else { InTunnel::Nothing };
        if shown == InTunnel::Whole {
            return self.drop_packet(number);
        }
        // Numbers far from the tunnel's are another network's: two may have one 4-tuple at one time.
        if !inside.is_near(&header) {
            return;
        }
        let whose = (inside.tunnel, inside.name);
        self.take_inside(number, whose, shown == InTunnel::Part);
        if shown == InTunnel::Part {
            self.drop_pieces(number, &header);
        }
    }

    /// What the tunnel shows of a packet after it: its pieces, of which others were lost by the tunnel's tap.
    #[cold]
    fn drop_pieces(&mut self, number: u64, whole: &Header) {
        let (flow, end) = (direction(whole), end_of(whole));
        let is_piece = |piece: &Header| {
            let lies_in = || seq::leq(whole.seq, piece.seq) && seq::leq(end_of(piece), end);
            let is_own = piece.depth > whole.depth && piece.captured == Captured::Once && direction(piece) == flow;
            is_own && piece.payload_len > 0 && lies_in()
        };
        let mut dropped: Vec<(u32, u32)> = Vec::new();
        for later in 1..self.window.len() {
            let is_copy = self.window.get(later).is_none_or(|item| item.is_copy);
            let later = number + later as u64;
            let Some(piece) = self.header(later).filter(|piece| !is_copy && is_piece(piece)) else { continue };
            let (from, to) = (piece.seq, end_of(piece));
            // What is shown once more was sent again.
            if !dropped.iter().any(|&(start, end)| seq::lt(from, end) && seq::lt(start, to)) {
                dropped.push((from, to));
                self.drop_packet(later);
            }
        }
    }

    /// A SYN that met no copy: of a handshake of which the tunnel has another SYN, of either side, it is the tunnel's as well.
    fn judge_opening(&mut self, number: u64, header: &Header) {
        let (flow, from_low) = direction(header);
        let opening = opening_of(header);
        let is_deeper = |inside: &&Inside| header.depth < inside.depth && !inside.is_ambiguous;
        let is_its = |inside: &&Inside| is_one_opening(inside.opening, opening);
        let [own, other] = [from_low, !from_low].map(|side| self.flows.look(&(flow, side)).filter(is_deeper));
        if let Some(own) = own.filter(is_its) {
            // Sent again: the first one is in the tunnel.
            let whose = (own.tunnel, own.name);
            self.take_inside(number, whose, false);
        } else if let Some(other) = other.filter(is_its) {
            let (inside, whose) = (other.by_opening(header), (other.tunnel, other.name));
            self.flows.place((flow, from_low), inside);
            self.take_inside(number, whose, false);
        } else if header.flags.has(Flags::SYN) && own.is_some() {
            // Another connection, and its opening is not in the tunnel.
            self.flows.remove(&(flow, from_low));
        }
    }

    /// The packet is taken for one in the tunnel, of which some may have been shown before.
    fn take_inside(&mut self, number: u64, (tunnel, name): (Tunnel, u32), is_in_parts: bool) {
        if let Some((batch, at)) = self.place(number)
            && let Some(own) = self.held.get_mut(batch).and_then(|held| held.decoded.headers.get_mut(at))
        {
            own.key = own.key.within(tunnel);
            own.partition = own.key.partition() as u8;
            own.tunnel_name = name;
            own.captured = if is_in_parts { Captured::InParts } else { own.captured };
        }
    }
}
