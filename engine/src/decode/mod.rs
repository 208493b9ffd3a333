//! A packet's bytes into one TCP segment, or the reason why not.
//!
//! ```text
//! link ──► Ethernet, SLL, null ──► IPv4, IPv6 ──► TCP          the plain path
//!          VLAN tags               extensions     options
//!
//! link ──► PPP, 802.11, PPI … ──► IP ──► MPLS, GRE, VXLAN … ──► … ──► IP ──► TCP     [`walk`]: everything else
//! fragments of one datagram ──► [`Defragmenter`] ──► the walk goes on inside
//! packets of one 802.11 frame ──► [`parts_of`] ──► each is decoded
//! ```
//!
//! The plain path is what almost every packet takes; it gives up at the first header it does not know, and the walk
//! begins again from the link header. One protocol per file, each with the offsets of its fields. A [`span::Span`] carries the captured bytes with their
//! length on the wire, so that a packet cut by the snaplen keeps its sequence arithmetic. Checksums are not verified:
//! offload makes them wrong in every capture taken on the sender.
//!
//! # Why not `etherparse`
//! It would have to be surrounded: it does not know BSD loopback nor the second Linux cooked header, takes a TCP header
//! that the snaplen cut in its options for no TCP at all, and does not know a packet's length on the wire, which the
//! sequence arithmetic of cut and offloaded packets rests on. And it takes 35 ns a packet beside 15 here, by
//! `cargo run --release -p pcapwatch-engine --example parse_cost`; reading and decoding together have about 40.

mod ah;
mod amsdu;
mod avs;
mod chdlc;
mod cisco_metadata;
mod enc;
mod erspan;
mod ethernet;
mod fragments;
mod geneve;
mod gre;
mod gtp;
mod ieee80211;
mod ip;
mod ip_in_ip;
mod ipnet;
mod ipv4;
mod ipv6;
mod key;
mod kind;
mod l2tp;
mod layers;
mod link;
mod llc;
mod mesh;
mod mpls;
mod nflog;
mod null;
mod pflog;
mod pktap;
mod plain;
mod ppi;
mod ppp;
mod pppoe;
mod pptp;
mod prism;
mod radiotap;
mod raw;
mod segment;
mod sll;
mod span;
mod tcp;
mod teredo;
mod udp;
mod vlan;
mod vntag;
mod vxlan;
mod vxlan_gpe;
mod walk;

pub use amsdu::parts_of;
pub use ieee80211::{FrameKey, Sent};
pub use key::{FlowKey, PARTITIONS};
pub use segment::{Captured, Header, Segment};
pub use tcp::OPTIONS_CUT;

use crate::capture::Packet;
use crate::record::Tunnel;
pub use ethernet::ETHERNET;
pub use fragments::{Defragmenter, FragmentCounts, Whole};
use ip::Datagram;
pub use layers::{Around, Layer, Layers};
use link::parse_link;
use span::Span;
use walk::Walk;

/// Ethernet types (<https://www.iana.org/assignments/ieee-802-numbers>).
mod ethertype {
    pub const IPV4: u16 = 0x0800;
    pub const ARP: u16 = 0x0806;
    pub const VLAN: u16 = 0x8100;
    pub const IPV6: u16 = 0x86dd;
    pub const MPLS: u16 = 0x8847;
    pub const MPLS_MULTICAST: u16 = 0x8848;
    pub const PPPOE: u16 = 0x8864;
    pub const SERVICE_VLAN: u16 = 0x88a8;
    pub const CISCO_METADATA: u16 = 0x8909;
    pub const VNTAG: u16 = 0x8926;
    pub const LLDP: u16 = 0x88cc;
    pub const NSH: u16 = 0x894f;
    pub const OLD_SERVICE_VLAN: u16 = 0x9100;
}

/// Encapsulations around one packet that are taken off, unless [`crate::settings::Settings`] says another number.
pub const TUNNEL_DEPTH: u8 = 4;

/// Decodes one packet into `header`, where it is to stay, inside up to `most_depth` encapsulations; `ordinal` is its
/// position over the whole set of files.
///
/// # Errors
/// [`NotAnalysed`], to be counted: this is no whole TCP segment, or not readable as one. [`NotAnalysed::Fragment`] is
/// for a [`Defragmenter`] first, [`NotAnalysed::Aggregate`] for [`parts_of`].
#[inline]
pub fn decode(
    packet: &Packet,
    bytes: &[u8],
    ordinal: u64,
    most_depth: u8,
    header: &mut Header,
) -> Result<(), NotAnalysed> {
    if packet.link == link::ETHERNET_LINK && plain::decode_plain(packet, bytes, ordinal, header) {
        return Ok(());
    }
    decode_rare(packet, bytes, ordinal, most_depth, header)
}

#[cold]
#[inline(never)]
fn decode_rare(
    packet: &Packet,
    bytes: &[u8],
    ordinal: u64,
    most_depth: u8,
    header: &mut Header,
) -> Result<(), NotAnalysed> {
    *header = decode_any(packet, bytes, ordinal, most_depth)?;
    Ok(())
}

/// The long way: any link type, tags, extension headers, tunnels, and packets that are no TCP at all.
///
/// # Errors
/// As [`decode`].
pub fn decode_any(packet: &Packet, bytes: &[u8], ordinal: u64, most_depth: u8) -> Result<Header, NotAnalysed> {
    let mut header = decode_layers(packet, bytes, ordinal, most_depth)?;
    header.interface |= inner_interface(packet, bytes);
    Ok(header)
}

/// The interface that the link header says, beside that of the file; 0 where it says none.
fn inner_interface(packet: &Packet, bytes: &[u8]) -> u32 {
    sll::interface_of(packet.link.0, bytes).map_or(0, |interface| (interface ^ interface >> 16) << 16)
}

fn decode_layers(packet: &Packet, bytes: &[u8], ordinal: u64, most_depth: u8) -> Result<Header, NotAnalysed> {
    let span = sent(packet, bytes);
    let (datagram, tunnel) = match parse_common(packet, span) {
        Ok(found) => found,
        Err(NotAnalysed::LinkType(_) | NotAnalysed::EtherType(_) | NotAnalysed::IpProtocol(_)) => {
            let mut walk = Walk::of_packet(packet.link.0, span, most_depth);
            let datagram = walk.run()?;
            let found = segment_header(packet, ordinal, &datagram, walk.layers().around(), bytes, packet.start);
            return found.map_err(|reason| walk.judge(reason));
        }
        Err(reason) => return Err(reason),
    };
    let around = Around { tunnel, depth: tunnel.tags(), way: 0 };
    segment_header(packet, ordinal, &datagram, around, bytes, packet.start)
}

/// One common link header, its tags, one IP header.
fn parse_common<'a>(packet: &Packet, span: Span<'a>) -> Result<(Datagram<'a>, Tunnel), NotAnalysed> {
    let frame = parse_link(packet.link, span)?;
    let datagram = match frame.ethertype {
        ethertype::IPV4 => ipv4::parse_ipv4(frame.rest)?,
        ethertype::IPV6 => ipv6::parse_ipv6(frame.rest)?,
        other => return Err(NotAnalysed::EtherType(other)),
    };
    Ok((datagram, frame.tunnel))
}

/// The 802.11 frame around a packet, as its sender counts it, and what it begins with.
#[must_use]
pub fn frame_sent<'a>(packet: &Packet, bytes: &'a [u8], most_depth: u8) -> Option<(Sent, &'a [u8])> {
    let link = packet.link.0;
    let framed = match link {
        sll::LINUX_SLL | sll::LINUX_SLL2 => sll::link_behind(link, bytes)?,
        pktap::PKTAP => pktap::link_behind(bytes)?,
        _ => link,
    };
    if !IN_THE_AIR.contains(&framed) {
        return None;
    }
    let mut walk = Walk::of_packet(link, sent(packet, bytes), most_depth);
    let _ = walk.run();
    walk.sent().map(|(sent, rest)| (sent, ieee80211::telling(rest)))
}

/// Link types of which captures of the air are.
const IN_THE_AIR: [u32; 5] =
    [ieee80211::IEEE802_11, prism::IEEE802_11_PRISM, radiotap::IEEE802_11_RADIOTAP, avs::IEEE802_11_AVS, ppi::PPI];

/// The headers around a packet.
#[must_use]
pub fn layers_around(packet: &Packet, bytes: &[u8], most_depth: u8) -> Layers {
    let mut walk = Walk::of_packet(packet.link.0, sent(packet, bytes), most_depth);
    // As far as it comes: a fragment's own headers are around it, too.
    let _ = walk.run();
    *walk.layers()
}

/// The bytes with the length they had on the wire. Some tools write an original length below the captured one.
#[inline]
fn sent<'a>(packet: &Packet, bytes: &'a [u8]) -> Span<'a> {
    Span { bytes, wire_len: packet.original_len.max(bytes.len() as u32) }
}

/// What the TCP segment inside an IP packet tells, with what is around it; `bytes`, which it lies in, begin at `start` of the batch's.
fn segment_header(
    packet: &Packet,
    ordinal: u64,
    datagram: &Datagram<'_>,
    Around { tunnel, depth, way }: Around,
    bytes: &[u8],
    start: usize,
) -> Result<Header, NotAnalysed> {
    let tcp = tcp::parse_tcp(datagram.rest)?;
    let opens_or_closes = tcp.flags.0 & (Flags::SYN.0 | Flags::FIN.0) != 0;
    let (source, target) = ((datagram.src, tcp.ports.0), (datagram.dst, tcp.ports.1));
    let (key, from_low) = FlowKey::directed(source, target, tunnel.key());
    let captured_headers = datagram.rest.bytes.len().min(tcp.len);
    Ok(Header {
        partition: key.partition() as u8,
        key,
        ordinal,
        ts_ns: packet.ts_ns,
        frame: packet.frame,
        file: packet.file,
        interface: packet.interface,
        seq: tcp.seq,
        ack: tcp.ack,
        payload_len: tcp.payload.wire_len,
        payload_start: (start + offset_in(bytes, datagram.rest.bytes) + captured_headers) as u32,
        captured_len: tcp.payload.bytes.len() as u32,
        options_print: tcp.options_print(),
        tunnel_name: if tunnel.is_named() { u32::MAX } else { 0 },
        way,
        depth,
        captured: Captured::Once,
        ip_id: datagram.ip_id,
        flags: tcp.flags,
        window: tcp.window.unwrap_or(0),
        is_window_cut: tcp.window.is_none(),
        ttl: datagram.ttl,
        options_len: tcp.options.len() as u8,
        from_low,
        checksum_offloaded: opens_or_closes && tcp.checksum == Some(datagram.pseudo_header_sum()),
    })
}

/// Where `part` begins in the slice it was cut from.
fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr().saturating_sub(whole.as_ptr().addr())
}

/// TCP header flags, the 12 low bits of the 13th and 14th header byte (RFC 9293 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bitcode::Encode, bitcode::Decode)]
pub struct Flags(pub u16);

impl Flags {
    /// No more data from sender.
    pub const FIN: Flags = Flags(0x001);
    /// Synchronize sequence numbers.
    pub const SYN: Flags = Flags(0x002);
    /// Reset the connection.
    pub const RST: Flags = Flags(0x004);
    /// Push.
    pub const PSH: Flags = Flags(0x008);
    /// The acknowledgment field is significant.
    pub const ACK: Flags = Flags(0x010);

    /// Whether every flag of `other` is set.
    #[must_use]
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The TCP options that are evidence; everything else only shapes [`Options::order`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `TSval` and `TSecr` (RFC 7323), if present.
    pub timestamps: Option<(u32, u32)>,
    /// Maximum segment size (SYN only).
    pub mss: Option<u16>,
    /// Window scale shift (SYN only).
    pub window_scale: Option<u8>,
    /// SACK permitted (SYN only).
    pub sack_permitted: bool,
    /// SACK blocks (RFC 2018), `sack_count` of them valid.
    pub sack: [(u32, u32); 4],
    /// How many of `sack` are valid.
    pub sack_count: u8,
    /// The option kinds in order, 4 bits each from the least significant (kind & 15), first 8 kinds: the stack's
    /// fingerprint.
    pub order: u32,
}

/// Why a packet did not become a [`Segment`]. Counted by [`NotAnalysed::kind`], never raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NotAnalysed {
    /// A link type this build does not read.
    LinkType(u32),
    /// An Ethernet type that is not IP, nor leads to it (ARP, LLDP …).
    EtherType(u16),
    /// A PPP protocol that is not IP, nor leads to it (its control protocols, compression …).
    Ppp(u16),
    /// An IP protocol that is not TCP, nor leads to it (UDP, ICMP, ESP …).
    IpProtocol(u8),
    /// Something else that is read only so far as to name it (`encrypted`, `tunnel_depth`, `ieee80211_control` …).
    Named(&'static str),
    /// A fragment of an IP packet, or of an 802.11 frame, whose other fragments have not all been captured.
    Fragment,
    /// Several packets in one 802.11 frame, of which none can be told.
    Aggregate,
    /// The capture cut the packet before the end of the TCP header.
    Truncated,
    /// A header that contradicts itself; the text names which.
    Malformed(&'static str),
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
