//! IP datagrams put together from their fragments (RFC 791 §3.2, RFC 8200 §4.5), within bounds of time, number and bytes.
//!
//! Overlaps are resolved as Linux does (`inet_frag_queue_insert` since 4.19, RFC 5722 for IPv6): a fragment that brings
//! nothing new is passed over, one that overlaps in part makes the whole datagram worthless, and so do two that disagree
//! on where it ends, one that is empty, and in IPv4 one that reaches further than a datagram can. A first fragment of IPv6
//! that ends within the header of TCP or UDP is ignored (RFC 8200 §4.5). A datagram of which some fragment was cut by the
//! snaplen is known as far as its bytes go, with the length that it had.
//!
//! What cannot lead to TCP is not stored. Of a UDP datagram only the first fragment has the ports: once it is there and
//! no tunnel's, the rest are counted and not kept.

mod counts;

use super::ip::{Ends, Place, TCP};
use super::layers::Layers;
use super::span::{Span, u16_at};
use super::walk::{Piece, Walk, protocol};
use super::{Header, NotAnalysed, ipv6, segment_header, sent, tcp, udp};
use crate::capture::Packet;
use crate::record::{Address, Tunnel};
use crate::settings::Settings;
pub use counts::FragmentCounts;
use std::collections::BTreeMap;

/// The longest datagram.
const LONGEST: u32 = 65_535;
/// The same without IPv4's header.
const LONGEST_V4: u32 = LONGEST - 20;
/// All fragments but the last are multiples of it.
const UNIT: u32 = 8;
/// What a stored fragment takes beside its bytes, roughly.
const OVERHEAD: usize = 96;

/// Whose fragments belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    src: Address,
    dst: Address,
    id: u32,
    /// Part of the key of IPv4 only (RFC 8200 §4.5).
    protocol: Option<u8>,
    tunnel: Tunnel,
}

impl Key {
    fn of(piece: &Piece<'_>, layers: &Layers) -> Self {
        let Ends { src, dst, ip_id, .. } = piece.ends;
        let tunnel = layers.tunnel().key();
        Key { src, dst, id: piece.place.id, protocol: ip_id.map(|_| piece.protocol), tunnel }
    }
}

struct Held {
    wire_len: u32,
    bytes: Vec<u8>,
}

/// What the first fragment says of the datagram.
#[derive(Clone, Copy)]
struct Head {
    ends: Ends,
    protocol: u8,
    layers: Layers,
}

/// A datagram under way.
struct Queue {
    head: Option<Head>,
    /// By offset; none overlaps another.
    pieces: BTreeMap<u32, Held>,
    /// Where each run of pieces begins and ends, as Linux keeps them: only a piece that goes on from the end of all lengthens
    /// one, and any other is a run of its own, be it adjoining or not.
    runs: BTreeMap<u32, u32>,
    /// Bytes of the datagram that are there.
    present: u32,
    /// Bytes of memory that they take.
    held: usize,
    /// Where it ends, once its last fragment is there.
    end: Option<u32>,
    first_ns: i64,
    /// Its place among the idle.
    touched: u64,
    packets: u64,
    /// Nothing that is analysed: fragments are only counted.
    is_ignored: bool,
}

/// Where a new fragment stands to those that are there.
enum Fit {
    New,
    Known,
    Overlap,
}

impl Queue {
    fn new(ts_ns: i64) -> Self {
        Queue {
            head: None,
            pieces: BTreeMap::new(),
            runs: BTreeMap::new(),
            present: 0,
            held: OVERHEAD,
            end: None,
            first_ns: ts_ns,
            touched: 0,
            packets: 0,
            is_ignored: false,
        }
    }

    fn fit(&self, from: u32, to: u32, more: bool) -> Fit {
        let furthest = self.furthest();
        let contradicts = match self.end {
            Some(end) => to > end || !more && to != end,
            None => !more && to < furthest,
        };
        if contradicts {
            return Fit::Overlap;
        }
        if to > furthest {
            return if from < furthest { Fit::Overlap } else { Fit::New };
        }
        // What lies within one run is known; what reaches over its edge is not, even into a run that adjoins.
        match self.runs.range(..=from).next_back() {
            Some((_, &end)) if to <= end => Fit::Known,
            Some((_, &end)) if from < end => Fit::Overlap,
            _ if self.runs.range(from..to).next().is_some() => Fit::Overlap,
            _ => Fit::New,
        }
    }

    /// Where the last piece so far ends.
    fn furthest(&self) -> u32 {
        self.pieces.last_key_value().map_or(0, |(&at, held)| at + held.wire_len)
    }

    fn insert(&mut self, piece: &Piece<'_>, layers: &Layers, wire_len: u32) {
        let Place { offset, more, .. } = piece.place;
        if offset == 0 {
            self.head = Some(Head { ends: piece.ends, protocol: piece.protocol, layers: *layers });
        }
        if !more {
            self.end = Some(offset + wire_len);
        }
        match self.runs.last_entry() {
            Some(mut last) if *last.get() == offset => *last.get_mut() += wire_len,
            _ => _ = self.runs.insert(offset, offset + wire_len),
        }
        self.present += wire_len;
        let bytes = piece.rest.stated(wire_len).bytes.to_vec();
        self.held += bytes.len() + OVERHEAD;
        self.pieces.insert(offset, Held { wire_len, bytes });
    }

    fn is_complete(&self) -> bool {
        self.end.is_some_and(|end| self.present >= end)
    }

    /// The bytes from the start as far as they were captured.
    fn into_whole(self) -> Option<Whole> {
        let Head { ends, protocol, layers } = self.head?;
        let mut bytes = Vec::with_capacity(self.end? as usize);
        for held in self.pieces.into_values() {
            bytes.extend_from_slice(&held.bytes);
            if held.bytes.len() < held.wire_len as usize {
                break;
            }
        }
        Some(Whole { ends, protocol, layers, bytes, wire_len: self.end?, packets: self.packets })
    }
}

/// A datagram put together.
pub struct Whole {
    ends: Ends,
    protocol: u8,
    layers: Layers,
    /// What it carries.
    pub bytes: Vec<u8>,
    wire_len: u32,
    /// Packets that it came in.
    pub packets: u64,
}

impl Whole {
    /// Its segment's header, marked with the packet that completed it; its bytes are to begin at `start` of the batch's.
    ///
    /// # Errors
    /// As [`super::decode`].
    pub fn header(&self, packet: &Packet, ordinal: u64, start: usize) -> Result<Header, NotAnalysed> {
        let mut walk = self.walk();
        let datagram = walk.run()?;
        let found = segment_header(packet, ordinal, &datagram, walk.layers().around(), &self.bytes, start);
        found.map_err(|reason| walk.judge(reason))
    }

    /// The headers around it.
    #[must_use]
    pub fn layers_around(&self) -> Layers {
        let mut walk = self.walk();
        let _ = walk.run();
        *walk.layers()
    }

    fn walk(&self) -> Walk<'_> {
        let rest = Span { bytes: &self.bytes, wire_len: self.wire_len };
        Walk::of_datagram(self.ends, self.protocol, rest, &self.layers)
    }
}

/// Puts datagrams together. Everything it does depends on the fragments it is given and on nothing else.
pub struct Defragmenter {
    queues: BTreeMap<Key, Queue>,
    /// Longest idle first.
    idle: BTreeMap<u64, Key>,
    clock: u64,
    bytes: usize,
    most_depth: u8,
    most_datagrams: usize,
    most_bytes: usize,
    timeout_ns: i64,
    counts: FragmentCounts,
}

impl Defragmenter {
    /// With the limits of `settings`.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Defragmenter {
            queues: BTreeMap::new(),
            idle: BTreeMap::new(),
            clock: 0,
            bytes: 0,
            most_depth: settings.max_tunnel_depth,
            most_datagrams: settings.max_fragmented_datagrams,
            most_bytes: settings.max_fragment_bytes,
            timeout_ns: settings.fragment_timeout_ns,
            counts: FragmentCounts::default(),
        }
    }

    /// Takes a packet that [`super::decode`] called a fragment; gives the datagram that it completes, if any.
    ///
    /// # Errors
    /// [`NotAnalysed`], to be counted: it completes none, or carries nothing that is analysed.
    #[cold]
    pub fn accept(&mut self, packet: &Packet, bytes: &[u8]) -> Result<Whole, NotAnalysed> {
        let mut walk = Walk::of_packet(packet.link.0, sent(packet, bytes), self.most_depth);
        let found = walk.run().map(|_| ());
        let Some(piece) = walk.piece() else { return Err(found.err().unwrap_or(NotAnalysed::Fragment)) };
        let mut whole = self.add(piece, walk.layers(), packet.ts_ns, 1)?;
        // What was in pieces may have pieces inside. Each time another layer is around them, so that this ends.
        loop {
            let mut walk = whole.walk();
            let _ = walk.run();
            let Some(inner) = walk.piece() else { break };
            whole = self.add(inner, walk.layers(), packet.ts_ns, whole.packets)?;
        }
        self.counts.datagrams += 1;
        self.counts.joined += whole.packets - 1;
        Ok(whole)
    }

    /// Counts of all so far, and of those that will not be completed any more.
    pub fn finish(&mut self) -> FragmentCounts {
        while let Some((_, key)) = self.idle.pop_first() {
            self.counts.incomplete += u64::from(self.remove(&key));
        }
        self.counts
    }

    /// What [`Defragmenter::finish`] would say now.
    #[must_use]
    pub fn provisional(&self) -> FragmentCounts {
        let waiting = self.queues.values().filter(|queue| !queue.is_ignored).count() as u64;
        FragmentCounts { incomplete: self.counts.incomplete + waiting, ..self.counts }
    }

    /// Takes one fragment that `packets` packets brought.
    fn add(&mut self, piece: &Piece<'_>, layers: &Layers, ts_ns: i64, packets: u64) -> Result<Whole, NotAnalysed> {
        let wire_len = checked_length(piece)?;
        if lacks_header(piece) {
            return Err(NotAnalysed::Fragment);
        }
        let key = Key::of(piece, layers);
        self.expire(&key, ts_ns);
        let before = self.take(&key);
        if wire_len == 0 {
            self.counts.overlapping += u64::from(before.is_some_and(|queue| !queue.is_ignored));
            return Err(NotAnalysed::Malformed("fragment_length"));
        }
        let mut queue = before.unwrap_or_else(|| Queue::new(ts_ns));
        queue.packets += packets;
        if starts_ignored(piece) {
            queue.is_ignored = true;
            queue.pieces.clear();
            queue.runs.clear();
            queue.held = OVERHEAD;
        }
        if queue.is_ignored {
            queue.note(piece, wire_len);
            if !queue.is_complete() {
                self.put(key, queue);
            }
            return Err(NotAnalysed::IpProtocol(piece.protocol));
        }
        let to = piece.place.offset + wire_len;
        match queue.fit(piece.place.offset, to, piece.place.more) {
            Fit::New => queue.insert(piece, layers, wire_len),
            Fit::Known => {
                // It may say where the datagram ends all the same; it completes none.
                queue.packets -= packets;
                queue.end = queue.end.or((!piece.place.more).then_some(to));
                self.put(key, queue);
                return Err(NotAnalysed::Fragment);
            }
            Fit::Overlap => {
                self.counts.overlapping += 1;
                return Err(NotAnalysed::Fragment);
            }
        }
        if !queue.is_complete() {
            self.put(key, queue);
            return Err(NotAnalysed::Fragment);
        }
        if piece.ends.ip_id.is_some() && queue.furthest() > LONGEST_V4 {
            self.counts.overlapping += 1;
            return Err(NotAnalysed::Malformed("fragment_length"));
        }
        queue.into_whole().ok_or(NotAnalysed::Fragment)
    }

    fn take(&mut self, key: &Key) -> Option<Queue> {
        let queue = self.queues.remove(key)?;
        self.idle.remove(&queue.touched);
        self.bytes -= queue.held;
        Some(queue)
    }

    /// Puts a queue back as the least idle; the longest idle go where there are too many.
    fn put(&mut self, key: Key, mut queue: Queue) {
        self.clock += 1;
        queue.touched = self.clock;
        self.bytes += queue.held;
        self.idle.insert(self.clock, key);
        self.queues.insert(key, queue);
        while self.queues.len() > self.most_datagrams || self.bytes > self.most_bytes {
            let Some((_, oldest)) = self.idle.pop_first() else { return };
            self.counts.evicted += u64::from(self.remove(&oldest));
        }
    }

    /// Forgets what waited for too long: of the longest idle, and of the datagram that is looked for.
    fn expire(&mut self, key: &Key, ts_ns: i64) {
        // A clock that steps back far is as good as one that went on.
        let (timeout, is_over) =
            (self.timeout_ns, |q: &Queue, t: i64| ts_ns.saturating_sub(q.first_ns).saturating_abs() > t);
        while let Some((&touched, &oldest)) = self.idle.first_key_value() {
            if !self.queues.get(&oldest).is_some_and(|queue| is_over(queue, timeout)) {
                break;
            }
            self.idle.remove(&touched);
            self.counts.incomplete += u64::from(self.remove(&oldest));
        }
        if self.queues.get(key).is_some_and(|queue| is_over(queue, timeout)) {
            self.counts.incomplete += u64::from(self.remove(key));
        }
    }

    /// Whether there was one that anyone would have missed.
    fn remove(&mut self, key: &Key) -> bool {
        self.take(key).is_some_and(|queue| !queue.is_ignored)
    }
}

impl Queue {
    /// Counts a fragment without storing it, to know when the last has come.
    fn note(&mut self, piece: &Piece<'_>, wire_len: u32) {
        self.present = self.present.saturating_add(wire_len);
        if !piece.place.more {
            self.end = Some(piece.place.offset + wire_len);
        }
    }
}

/// How much of the datagram a fragment is, if it may be one; an empty one ends those before it (`ip_frag_queue`).
fn checked_length(piece: &Piece<'_>) -> Result<u32, NotAnalysed> {
    let is_v4 = piece.ends.ip_id.is_some();
    if !may_lead_to_tcp(piece.protocol, is_v4) {
        return Err(NotAnalysed::IpProtocol(piece.protocol));
    }
    let mut length = piece.rest.wire_len;
    if piece.place.more && is_v4 {
        // As Linux does (`ip_frag_queue`); for IPv6 such a fragment is an error (RFC 8200 §4.5).
        length -= length % UNIT;
    }
    let is_odd = piece.place.more && !length.is_multiple_of(UNIT);
    // IPv4's that reaches too far waits with the others: what it completes is worthless (`ip_frag_reasm`).
    let is_too_far = length > LONGEST || !is_v4 && piece.place.offset + length > LONGEST;
    if is_odd || is_too_far {
        return Err(NotAnalysed::Malformed("fragment_length"));
    }
    Ok(length)
}

/// Whether this is a first fragment of IPv6 that ends before the header of what it carries does. As Linux does
/// (`ipv6frag_thdr_truncated`): one whose extension headers do not end is taken.
fn lacks_header(piece: &Piece<'_>) -> bool {
    if piece.ends.ip_id.is_some() || piece.place.offset > 0 {
        return false;
    }
    let Ok(upper) = ipv6::skip_extensions(piece.protocol, piece.rest) else { return false };
    let least = match upper.protocol {
        TCP => tcp::HEADER as u32,
        protocol::UDP => udp::HEADER as u32,
        _ => 1,
    };
    upper.fragment.is_none() && upper.rest.wire_len < least
}

fn may_lead_to_tcp(number: u8, is_v4: bool) -> bool {
    match number {
        TCP | protocol::IPV4 | protocol::UDP | protocol::IPV6 | protocol::GRE | protocol::AH | protocol::MPLS => true,
        protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => !is_v4,
        _ => false,
    }
}

/// Whether this is the start of a UDP datagram that is no tunnel's.
fn starts_ignored(piece: &Piece<'_>) -> bool {
    let ports = piece.rest.bytes;
    piece.protocol == protocol::UDP
        && piece.place.offset == 0
        && ports.len() >= 4
        && !udp::may_be_tunnel(u16_at(ports, 0), u16_at(ports, 2))
}

#[cfg(test)]
mod tests;
