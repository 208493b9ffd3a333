//! IP datagrams put together from their fragments (RFC 791 §3.2, RFC 8200 §4.5), and 802.11 frames (IEEE 802.11-2020 §10.5), within
//! bounds of time, number and bytes.
//!
//! Overlaps are resolved as Linux does (`inet_frag_queue_insert` since 4.19, RFC 5722 for IPv6): a fragment that brings
//! nothing new is passed over, one that overlaps in part makes the whole datagram worthless, and so do two that disagree
//! on where it ends, one that is empty, and in IPv4 one that reaches further than a datagram can. A first fragment of IPv6
//! that ends within the header of TCP or UDP is ignored (RFC 8200 §4.5). A datagram of which some fragment was cut by the
//! snaplen is known as far as its bytes go, with the length that it had.
//!
//! What cannot lead to TCP is not stored. Of a UDP datagram only the first fragment has the ports: once it is there and
//! no tunnel's, the rest are counted and not kept.
//!
//! An 802.11 frame's fragments come in order, the next when the one before is acknowledged; what comes twice was sent again.
//! Their numbers come again after 4,096 frames, so that they belong together for two seconds only, as in Linux
//! (`ieee80211_reassemble_find`).

mod counts;
mod queue;

use super::ieee80211::{FrameKey, FramePlace};
use super::ip::{Ends, TCP};
use super::layers::Layers;
use super::span::{Span, u16_at};
use super::walk::{Piece, Stop, Walk, protocol};
use super::{Header, NotAnalysed, ipv6, segment_header, sent, tcp, udp};
use crate::capture::Packet;
use crate::record::{Address, Tunnel};
use crate::settings::Settings;
pub use counts::FragmentCounts;
use queue::{Extent, Fit, Head, Queue};
use std::collections::{BTreeMap, VecDeque};

/// The longest datagram.
const LONGEST: u32 = 65_535;
/// The same without IPv4's header.
const LONGEST_V4: u32 = LONGEST - 20;
/// All fragments but the last are multiples of it.
const UNIT: u32 = 8;
/// How long after a datagram its fragments may come from another point of capture, ns: as long as other packets may.
const AGAIN_NS: i64 = 500_000_000;

/// How long fragments of an 802.11 frame belong together, ns.
const FRAME_NS: i64 = 2_000_000_000;

/// Whose fragments belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Datagram {
        src: Address,
        dst: Address,
        id: u32,
        /// Part of the key of IPv4 only (RFC 8200 §4.5).
        protocol: Option<u8>,
        tunnel: Tunnel,
    },
    /// Wherever it was captured: another point, or the next file, shows the same fragments.
    Frame(FrameKey),
}

impl Key {
    fn of(piece: &Piece<'_>, layers: &Layers) -> Self {
        let Ends { src, dst, ip_id, .. } = piece.ends;
        let tunnel = layers.tunnel().key();
        Key::Datagram { src, dst, id: piece.place.id, protocol: ip_id.map(|_| piece.protocol), tunnel }
    }
}

/// A packet put together.
pub struct Whole {
    head: Head,
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
        self.head.walk(rest)
    }
}

/// Puts datagrams together. Everything it does depends on the fragments it is given and on nothing else.
pub struct Defragmenter {
    queues: BTreeMap<Key, Queue>,
    /// Longest idle first.
    idle: BTreeMap<u64, Key>,
    clock: u64,
    bytes: usize,
    /// What was put together, and when: the newest, as many as may be under way.
    done: BTreeMap<Key, i64>,
    done_order: VecDeque<Key>,
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
            done: BTreeMap::new(),
            done_order: VecDeque::new(),
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
        let mut whole = match walk.stop() {
            Some(Stop::Datagram(piece)) => self.add(piece, walk.layers(), packet.ts_ns, 1)?,
            Some(Stop::Frame(place, rest)) => self.add_frame(place, *rest, walk.layers(), packet.ts_ns)?,
            _ => return Err(found.err().unwrap_or(NotAnalysed::Fragment)),
        };
        // What was in pieces may have pieces inside. Each time another layer is around them, so that this ends.
        loop {
            let mut walk = whole.walk();
            let _ = walk.run();
            let Some(Stop::Datagram(inner)) = walk.stop() else { break };
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
        let waiting = self.queues.values().filter(|queue| queue.is_missed()).count() as u64;
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
            self.counts.overlapping += u64::from(before.is_some_and(|queue| queue.is_missed()));
            return Err(NotAnalysed::Malformed("fragment_length"));
        }
        let mut queue = before.unwrap_or_else(|| Queue::new(ts_ns, self.is_again(&key, ts_ns)));
        queue.packets += packets;
        if starts_ignored(piece) {
            queue.ignore();
        }
        let from = piece.place.offset;
        let extent = Extent { from, to: from + wire_len, more: piece.place.more };
        if queue.is_ignored {
            queue.note(extent);
            if !queue.is_complete() {
                self.put(key, queue);
            }
            return Err(NotAnalysed::IpProtocol(piece.protocol));
        }
        match queue.fit(extent) {
            Fit::New => queue.insert(extent, piece.rest, || Head::Datagram(piece.ends, piece.protocol, *layers)),
            Fit::Known => {
                queue.packets -= packets;
                queue.note_end(extent);
                self.put(key, queue);
                return Err(NotAnalysed::Fragment);
            }
            Fit::Overlap => {
                self.counts.overlapping += 1;
                return Err(NotAnalysed::Fragment);
            }
        }
        let is_too_long = piece.ends.ip_id.is_some() && queue.furthest() > LONGEST_V4;
        self.complete(key, queue, is_too_long, ts_ns)
    }

    /// Takes a fragment of an 802.11 frame.
    fn add_frame(
        &mut self,
        place: &FramePlace,
        rest: Span<'_>,
        layers: &Layers,
        ts_ns: i64,
    ) -> Result<Whole, NotAnalysed> {
        if rest.wire_len == 0 || rest.wire_len > LONGEST {
            return Err(NotAnalysed::Malformed("fragment_length"));
        }
        let key = Key::Frame(place.frame);
        self.expire(&key, ts_ns);
        let mut before = self.take(&key);
        let is_first = place.number == 0;
        if before.as_ref().is_some_and(|queue| {
            let is_old = ts_ns.saturating_sub(queue.first_ns).saturating_abs() > FRAME_NS;
            // What begins alike is the same one, sent again or shown by another receiver.
            is_old || is_first && !queue.begins_with(rest.bytes)
        }) {
            self.counts.incomplete += u64::from(before.take().is_some_and(|queue| queue.is_missed()));
        }
        let mut queue = match before {
            None if is_first => Queue::new(ts_ns, self.is_again(&key, ts_ns)),
            Some(queue) if usize::from(place.number) == queue.count() => queue,
            // Sent again, or one between them was not captured.
            other => {
                if let Some(queue) = other {
                    self.put(key, queue);
                }
                return Err(NotAnalysed::Fragment);
            }
        };
        queue.packets += 1;
        let from = queue.furthest();
        let extent = Extent { from, to: from + rest.wire_len, more: place.more };
        queue.insert(extent, rest, || Head::Frame { in_mesh: place.in_mesh, layers: *layers });
        let is_too_long = queue.furthest() > LONGEST;
        self.complete(key, queue, is_too_long, ts_ns)
    }

    /// What a queue has become.
    fn complete(&mut self, key: Key, queue: Queue, is_too_long: bool, ts_ns: i64) -> Result<Whole, NotAnalysed> {
        if !queue.is_complete() {
            self.put(key, queue);
            return Err(NotAnalysed::Fragment);
        }
        if is_too_long {
            self.counts.overlapping += 1;
            return Err(NotAnalysed::Malformed("fragment_length"));
        }
        let packets = queue.packets;
        let (head, wire_len, bytes) = queue.into_whole().ok_or(NotAnalysed::Fragment)?;
        if self.done.insert(key, ts_ns).is_none() {
            self.done_order.push_back(key);
        }
        if self.done_order.len() > self.most_datagrams
            && let Some(oldest) = self.done_order.pop_front()
        {
            self.done.remove(&oldest);
        }
        Ok(Whole { head, bytes, wire_len, packets })
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
        // What another point left of a packet that was put together must not become part of the next one of that number.
        let is_left = |queue: &Queue| queue.is_again && is_over(queue, AGAIN_NS);
        if self.queues.get(key).is_some_and(|queue| is_over(queue, timeout) || is_left(queue)) {
            self.counts.incomplete += u64::from(self.remove(key));
        }
    }

    /// Whether there was one that anyone would have missed.
    fn remove(&mut self, key: &Key) -> bool {
        self.take(key).is_some_and(|queue| queue.is_missed())
    }

    /// Whether this is of a packet that was just put together: another point of capture shows its fragments, too.
    fn is_again(&self, key: &Key, ts_ns: i64) -> bool {
        self.done.get(key).is_some_and(|&done_ns| ts_ns.saturating_sub(done_ns).saturating_abs() <= AGAIN_NS)
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
        protocol::HOP_BY_HOP | protocol::ROUTING | protocol::FRAGMENT | protocol::DESTINATION_OPTIONS => !is_v4,
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
