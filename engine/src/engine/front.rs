//! The first half of the way, done once for each packet whoever does it: decoded, counted, and handed to the shard that
//! owns its 4-tuple.

use super::copies::Copies;
use super::networks::Networks;
use super::retries::Retries;
use super::taps::{TOGETHER, Taps};
use crate::capture::{Batch, ClockFacts, Gap, LinkType, Packet, View};
use crate::decode::{
    Defragmenter, ETHERNET, Header, NotAnalysed, PARTITIONS, Segment, decode, decode_any, frame_sent, layers_around,
    parts_of,
};
use crate::ledger::summary::CaptureFacts;
use crate::record::Address;
use crate::settings::Settings;
use crate::tunnels::TunnelNames;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The segments of one batch, the bytes that they point into, and whose they are.
#[derive(Default)]
pub struct Decoded {
    /// The batch's bytes: those of its view, if it has one, and these behind them.
    pub data: Vec<u8>,
    /// Dropped as soon as nobody needs it: what is mapped counts as the process's memory.
    pub view: Option<Arc<View>>,
    /// Those of its segments first, in capture order; what is left of an earlier batch after them.
    pub headers: Vec<Header>,
    /// How many those are.
    pub segments: usize,
    /// For each shard, the places of its own in `headers`.
    pub shards: Vec<Vec<u32>>,
    /// Some segment has an identifier of its direction alone.
    pub has_ways: bool,
    /// When to look for idle connections, and for too many: before the header at this place, with the time of the latest packet before it.
    pub looks: Vec<(u32, i64)>,
    /// Of what was before the first header nothing was captured.
    pub gaps: Vec<Gap>,
}

impl Decoded {
    /// The segment of one of the headers.
    #[inline]
    pub fn segment<'a>(&'a self, header: &'a Header) -> Segment<'a> {
        let Some(view) = self.view.as_deref() else { return Segment::new(header, &self.data) };
        // What was put together has headers before its payload, so that this does not begin where the view ends.
        match (header.payload_start as usize).checked_sub(view.length()) {
            None | Some(0) => Segment::new(header, view.bytes()),
            Some(behind) => Segment::at(header, &self.data, behind),
        }
    }
}

/// Packets from one look for idle connections, for too many and for what they keep, to the next. By their number over the whole
/// capture, so that it does not show where batches end: how the bytes of a pipe come must not change the answer.
pub const LOOK_EVERY: u64 = 4096;
/// The next look comes sooner where so many bytes were captured: about as many as the batches have that workers may be
/// ahead of each other, so that they need not wait.
pub const LOOK_BYTES: u64 = 16 << 20;

/// When the next look is due.
#[derive(Default)]
struct NextLook {
    ordinal: u64,
    bytes: u64,
}

impl NextLook {
    /// Whether it is before this packet.
    #[inline]
    fn is_due(&mut self, ordinal: u64, packet: &Packet) -> bool {
        let is_due = ordinal >= self.ordinal || self.bytes >= LOOK_BYTES;
        if is_due {
            *self = NextLook { ordinal: ordinal + LOOK_EVERY, bytes: 0 };
        }
        self.bytes += u64::from(packet.captured_len);
        is_due
    }
}

/// Whether a packet may have been captured a second time with something else around it. One Ethernet interface shows each
/// packet once, as far as nothing is in a tunnel.
#[inline]
fn may_have_copies(packet: &Packet, header: &Header) -> bool {
    let LinkType(link) = packet.link;
    (link ^ ETHERNET) | packet.interface | packet.file | u32::from(header.depth) != 0
}

/// Decodes batches and deals their segments out.
pub struct Front {
    /// Which shard owns a partition.
    shard_of: [u8; PARTITIONS],
    shards: usize,
    packets: Packets,
    /// Time of the latest packet so far, ns.
    latest_ns: i64,
    next_look: NextLook,
    most_depth: u8,
    /// The names of tunnels met.
    pub names: TunnelNames,
    defragmenter: Defragmenter,
    /// What was captured in its tunnel and beside it; none where all copies are to be kept.
    copies: Option<Copies>,
    /// What was captured at two points; none there, too.
    taps: Option<Taps>,
    /// What of equal addresses only identifiers of one direction tell apart.
    networks: Networks,
    /// 802.11 frames that may be sent again; none where all copies are to be kept.
    retries: Option<Retries>,
    /// A decoded batch that no copies are looked for in.
    passing: Option<Decoded>,
    /// The bytes of datagrams put together in this batch.
    joined: Vec<u8>,
}

impl Front {
    /// For so many shards, from 1 to [`PARTITIONS`].
    pub fn new(shards: usize, settings: &Settings) -> Self {
        let shard_of = std::array::from_fn(|partition| (partition % shards) as u8);
        Front {
            shard_of,
            shards,
            packets: Packets::default(),
            latest_ns: i64::MIN,
            next_look: NextLook::default(),
            most_depth: settings.max_tunnel_depth,
            names: TunnelNames::default(),
            defragmenter: Defragmenter::new(settings),
            copies: (!settings.keep_duplicates).then(Copies::new),
            taps: (!settings.keep_duplicates).then(Taps::new),
            networks: Networks::new(),
            retries: (!settings.keep_duplicates).then(Retries::new),
            passing: None,
            joined: Vec::new(),
        }
    }

    /// Takes a batch of consecutive packets, of those the ones in `mask` if there is one. Its bytes change places with
    /// the ones in `into`, whose buffers are used. [`Front::ready`] has what can be worked on.
    pub fn decode(&mut self, batch: &mut Batch, mask: Option<&[bool]>, mut into: Decoded) {
        let Decoded { headers, shards, looks, has_ways, .. } = &mut into;
        looks.clear();
        *has_ways = false;
        if headers.len() < batch.packets.len() {
            headers.resize(batch.packets.len(), Header::default());
        }
        shards.resize_with(self.shards, Vec::new);
        shards.iter_mut().for_each(Vec::clear);
        self.packets.count(batch);
        let mut segments = 0;
        let mut sure_from = None;
        let held = batch.view.as_ref().map_or(batch.data.len(), |view| view.length());
        for (index, packet) in batch.packets.iter().enumerate() {
            let ordinal = batch.first_ordinal + index as u64 + self.packets.facts.aggregated;
            if self.next_look.is_due(ordinal, packet) {
                looks.push((segments as u32, self.latest_ns));
            }
            self.latest_ns = self.latest_ns.max(packet.ts_ns);
            if mask.is_some_and(|mask| mask.get(index) != Some(&true)) {
                continue;
            }
            let Some(header) = headers.get_mut(segments) else { break };
            let bytes = batch.bytes(packet);
            match decode(packet, bytes, ordinal, self.most_depth, header) {
                Ok(()) => {
                    if packet.link != LinkType(ETHERNET) && self.is_sent_again(packet, bytes) {
                        continue;
                    }
                    segments += 1;
                    if sure_from.is_none() && may_have_copies(packet, header) {
                        sure_from = Some(segments - 1);
                    }
                    if header.tunnel_name != 0 {
                        *has_ways |= header.way != 0;
                        self.name(packet, bytes, header);
                    }
                }
                Err(NotAnalysed::Aggregate) => {
                    if self.is_sent_again(packet, bytes) {
                        continue;
                    }
                    let parts = self.unfold(packet, bytes, ordinal, held);
                    sure_from = sure_from.or((!parts.is_empty()).then_some(segments));
                    *has_ways |= parts.iter().any(|part| part.way != 0);
                    // Room stays for a segment of each packet behind.
                    let room = segments + parts.len() + batch.packets.len() - index;
                    headers.resize(room.max(headers.len()), Header::default());
                    headers.iter_mut().skip(segments).zip(&parts).for_each(|(header, part)| *header = *part);
                    segments += parts.len();
                }
                Err(reason) => {
                    if self.take_rare(reason, packet, bytes, ordinal, held, header) {
                        segments += 1;
                        *has_ways |= header.way != 0;
                    }
                }
            }
        }
        batch.data.append(&mut self.joined);
        into.segments = segments;
        std::mem::swap(&mut batch.data, &mut into.data);
        into.gaps.clone_from(&batch.gaps);
        into.view = batch.view.take();
        let end = batch.first_ordinal + batch.packets.len() as u64 + self.packets.facts.aggregated;
        match &mut self.copies {
            Some(copies) => copies.push(into, sure_from, end),
            None => self.passing = Some(into),
        }
    }

    /// The next batch to work on, dealt out; none until more is decoded.
    pub fn ready(&mut self) -> Option<Decoded> {
        let (mut decoded, copies) = match &mut self.copies {
            Some(copies) => copies.ready()?,
            None => (self.passing.take()?, Vec::new()),
        };
        let Decoded { headers, segments, shards, has_ways, .. } = &mut decoded;
        self.deal(headers.get_mut(..*segments).unwrap_or_default(), &copies, *has_ways, shards);
        Some(decoded)
    }

    /// What waits for a tunnel that may come is ready, where it is too old for that by its time.
    pub fn let_old_go(&mut self) {
        if let Some(copies) = &mut self.copies {
            copies.let_old_go();
        }
    }

    /// No packet will come that belongs to those held back: all of them are ready.
    pub fn let_go(&mut self) {
        if let Some(copies) = &mut self.copies {
            copies.let_go();
        }
    }

    /// The packets that come next do not follow those before.
    pub fn lose_sight(&mut self) {
        self.networks.lose_sight();
    }

    #[cold]
    fn name(&mut self, packet: &Packet, bytes: &[u8], header: &mut Header) {
        header.tunnel_name = self.names.number(&layers_around(packet, bytes, self.most_depth));
    }

    /// Whether it is an 802.11 frame that was sent, and captured, before.
    #[cold]
    fn is_sent_again(&mut self, packet: &Packet, bytes: &[u8]) -> bool {
        let Some(retries) = &mut self.retries else { return false };
        let sent = frame_sent(packet, bytes, self.most_depth);
        let is_known = sent.is_some_and(|(sent, begin)| retries.look(&sent, begin, packet.ts_ns));
        if is_known {
            self.packets.pass_over(NotAnalysed::Named("ieee80211_retry"));
        }
        is_known
    }

    /// Takes the packets of an aggregate, each with an ordinal of its own: their segments.
    #[cold]
    fn unfold(&mut self, packet: &Packet, bytes: &[u8], ordinal: u64, held: usize) -> Vec<Header> {
        let mut headers = Vec::new();
        let parts = parts_of(packet, bytes, self.most_depth);
        self.packets.facts.aggregated += parts.len().saturating_sub(1) as u64;
        for (part, ordinal) in parts.into_iter().zip(ordinal..) {
            let part = match part {
                Ok(part) => part,
                Err(reason) => {
                    self.packets.pass_over(reason);
                    continue;
                }
            };
            let at = part.start - packet.start;
            let bytes = bytes.get(at..).and_then(|rest| rest.get(..part.captured_len as usize)).unwrap_or_default();
            let mut header = Header::default();
            // Not `decode`, which is to stay in line where every packet passes.
            let is_segment = match decode_any(&part, bytes, ordinal, self.most_depth) {
                Ok(found) => {
                    header = found;
                    if header.tunnel_name != 0 {
                        self.name(&part, bytes, &mut header);
                    }
                    true
                }
                Err(reason) => self.take_rare(reason, &part, bytes, ordinal, held, &mut header),
            };
            if is_segment {
                headers.push(header);
            }
        }
        headers
    }

    /// Takes what is no segment by itself; whether it completed one, in `header`.
    #[cold]
    fn take_rare(
        &mut self,
        reason: NotAnalysed,
        packet: &Packet,
        bytes: &[u8],
        ordinal: u64,
        held: usize,
        header: &mut Header,
    ) -> bool {
        if reason != NotAnalysed::Fragment {
            self.packets.pass_over(reason);
            return false;
        }
        self.join(packet, bytes, ordinal, held + self.joined.len(), header)
    }

    /// Takes a fragment; whether it completed a packet with a segment, whose bytes are then at `start`.
    fn join(&mut self, packet: &Packet, bytes: &[u8], ordinal: u64, start: usize, header: &mut Header) -> bool {
        let mut whole = match self.defragmenter.accept(packet, bytes) {
            Ok(whole) => whole,
            Err(reason) => {
                self.packets.pass_over(reason);
                return false;
            }
        };
        self.packets.joined(whole.packets - 1);
        match whole.header(packet, ordinal, start) {
            Ok(found) => {
                *header = found;
                if header.tunnel_name != 0 {
                    header.tunnel_name = self.names.number(&whole.layers_around());
                }
                self.joined.append(&mut whole.bytes);
                true
            }
            Err(reason) => {
                self.packets.pass_over(reason);
                false
            }
        }
    }

    /// All but those at the places `left_out`, which ascend.
    fn deal(&mut self, headers: &mut [Header], left_out: &[u32], has_ways: bool, shards: &mut [Vec<u32>]) {
        // For the whole batch: what is asked in vain is left as it is.
        let has_networks = has_ways | self.networks.is_awake;
        self.packets.facts.segments += headers.len() as u64;
        let mut left_out = left_out.iter().copied().peekable();
        let mut places = 0_u32..;
        let mut prints = [0; TOGETHER];
        for headers in headers.chunks_mut(TOGETHER) {
            if let Some(taps) = &self.taps {
                taps.print(headers, &mut prints);
            }
            for ((header, print), at) in headers.iter_mut().zip(prints).zip(&mut places) {
                if header.checksum_offloaded {
                    self.packets.note_offload(header.source().0);
                }
                if left_out.next_if_eq(&at).is_some() {
                    continue;
                }
                if let Some(taps) = &mut self.taps {
                    taps.look(header, print);
                }
                if has_networks {
                    self.networks.look(header);
                }
                let owner = usize::from(self.shard_of[usize::from(header.partition) % PARTITIONS]);
                if let Some(list) = shards.get_mut(owner) {
                    list.push(at);
                }
            }
        }
    }

    /// What was counted so far.
    pub fn facts(&self) -> CaptureFacts {
        let (fragments, unnamed_tunnel_packets) = (self.defragmenter.provisional(), self.names.unnamed_packets());
        CaptureFacts { unnamed_tunnel_packets, fragments, clocks: self.clocks(), ..self.packets.clone().into_facts() }
    }

    fn clocks(&self) -> Vec<ClockFacts> {
        self.taps.as_ref().map(Taps::clocks).unwrap_or_default()
    }

    /// What was counted.
    pub fn into_facts(mut self) -> (CaptureFacts, TunnelNames) {
        let fragments = self.defragmenter.finish();
        let unnamed_tunnel_packets = self.names.unnamed_packets();
        let found = self.copies.as_ref().map(Copies::found).unwrap_or_default();
        let facts = CaptureFacts {
            unnamed_tunnel_packets,
            fragments,
            beside_tunnels: found.beside_tunnels,
            in_two_tunnels: found.in_two_tunnels,
            clocks: self.clocks(),
            ..self.packets.into_facts()
        };
        (facts, self.names)
    }
}

/// Most senders told apart in looking for the one that captured.
const MOST_OFFLOADERS: usize = 4096;

/// Counts of packets, whatever became of them.
#[derive(Clone, Default)]
struct Packets {
    facts: CaptureFacts,
    not_analysed: BTreeMap<NotAnalysed, u64>,
    offloaded: BTreeMap<Address, u64>,
}

impl Packets {
    fn count(&mut self, batch: &Batch) {
        let facts = &mut self.facts;
        let Some(first) = batch.packets.first() else { return };
        facts.packets += batch.packets.len() as u64;
        let start = facts.first_ns.zip(facts.last_ns).unwrap_or((first.ts_ns, first.ts_ns));
        let (first_ns, last_ns) = batch.packets.iter().fold(start, |(first_ns, last_ns), packet| {
            facts.captured_bytes += u64::from(packet.captured_len);
            facts.original_bytes += u64::from(packet.original_len);
            facts.cut_packets += u64::from(packet.captured_len < packet.original_len);
            (first_ns.min(packet.ts_ns), last_ns.max(packet.ts_ns))
        });
        (facts.first_ns, facts.last_ns) = (Some(first_ns), Some(last_ns));
    }

    #[cold]
    fn pass_over(&mut self, reason: NotAnalysed) {
        *self.not_analysed.entry(reason).or_default() += 1;
    }

    /// Fragments that were counted as such have come to a datagram.
    fn joined(&mut self, packets: u64) {
        let fragments = self.not_analysed.entry(NotAnalysed::Fragment).or_default();
        *fragments = fragments.saturating_sub(packets);
        if *fragments == 0 {
            self.not_analysed.remove(&NotAnalysed::Fragment);
        }
    }

    fn note_offload(&mut self, sender: Address) {
        if let Some(count) = self.offloaded.get_mut(&sender) {
            *count += 1;
        } else if self.offloaded.len() < MOST_OFFLOADERS {
            self.offloaded.insert(sender, 1);
        }
    }
    /// The address that left most of its checksums to the network card: the capture was taken there.
    fn capture_host(&self) -> Option<String> {
        let most = self.offloaded.iter().max_by_key(|&(address, count)| (count, std::cmp::Reverse(address)))?;
        // Between virtual machines both ends may leave theirs: then nothing tells which end it was.
        let others: u64 = self.offloaded.values().sum::<u64>() - most.1;
        (*most.1 >= 2 && others * 10 < *most.1).then(|| most.0.to_string())
    }

    fn into_facts(mut self) -> CaptureFacts {
        self.facts.capture_host = self.capture_host();
        for (reason, count) in self.not_analysed {
            let by_kind = if matches!(reason, NotAnalysed::Malformed(_)) {
                &mut self.facts.malformed
            } else {
                &mut self.facts.not_analysed
            };
            *by_kind.entry(reason.kind().into_owned()).or_default() += count;
        }
        self.facts
    }
}
