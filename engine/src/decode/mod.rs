//! A packet's bytes into one TCP segment, or the reason why not.
//!
//! ```text
//! link ──► Ethernet, SLL, null ──► IPv4, IPv6 ──► TCP          the plain path
//!          VLAN tags               extensions     options
//!
//! link ──► PPP, 802.11, PPI … ──► IP ──► MPLS, GRE, VXLAN … ──► … ──► IP ──► TCP     [`walk`]: everything else
//! fragments of one datagram ──► [`Defragmenter`] ──► the walk goes on inside
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
mod chdlc;
mod erspan;
mod ethernet;
mod fragments;
mod geneve;
mod gre;
mod gtp;
mod ieee80211;
mod ip;
mod ipnet;
mod ipv4;
mod ipv6;
mod kind;
mod layers;
mod link;
mod llc;
mod mpls;
mod nflog;
mod null;
mod pktap;
mod ppi;
mod ppp;
mod pppoe;
mod prism;
mod radiotap;
mod sll;
mod span;
mod tcp;
mod teredo;
mod udp;
mod vxlan;
mod walk;

use crate::capture::Packet;
use crate::record::{Address, Tunnel};
pub use fragments::{Defragmenter, FragmentCounts, Whole};
use ip::Datagram;
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
    pub const LLDP: u16 = 0x88cc;
}

/// Encapsulations around one packet that are taken off, unless [`crate::settings::Settings`] says another number.
pub const TUNNEL_DEPTH: u8 = 4;

/// Decodes one packet; `ordinal` is its position over the whole set of files. Up to [`TUNNEL_DEPTH`] encapsulations.
///
/// # Errors
/// As [`decode_nested`].
#[inline]
pub fn decode<'a>(packet: &Packet, bytes: &'a [u8], ordinal: u64) -> Result<Segment<'a>, NotAnalysed> {
    decode_nested(packet, bytes, ordinal, TUNNEL_DEPTH)
}

/// Decodes one packet inside up to `most_depth` encapsulations: the plain path, and where that gives up, the walk.
///
/// # Errors
/// [`NotAnalysed`], to be counted: this is no whole TCP segment, or not readable as one. [`NotAnalysed::Fragment`] is
/// for a [`Defragmenter`] first.
#[inline]
pub fn decode_nested<'a>(
    packet: &Packet,
    bytes: &'a [u8],
    ordinal: u64,
    most_depth: u8,
) -> Result<Segment<'a>, NotAnalysed> {
    let span = sent(packet, bytes);
    let give_up = |reason| decode_wrapped(packet, span, ordinal, most_depth, reason);
    let frame = match parse_link(packet.link, span) {
        Ok(frame) => frame,
        Err(reason) => return give_up(reason),
    };
    let parsed = match frame.ethertype {
        ethertype::IPV4 => ipv4::parse_ipv4(frame.rest),
        ethertype::IPV6 => ipv6::parse_ipv6(frame.rest),
        other => return give_up(NotAnalysed::EtherType(other)),
    };
    match parsed {
        Ok(datagram) => segment(packet, ordinal, &datagram, frame.tunnel),
        Err(reason) => give_up(reason),
    }
}

/// What is around a packet, as the `tunnel` column shows it; `None` for nothing.
#[cold]
#[must_use]
pub fn tunnel_text(packet: &Packet, bytes: &[u8], most_depth: u8) -> Option<String> {
    let mut walk = Walk::of_packet(packet.link.0, sent(packet, bytes), most_depth);
    // As far as it comes: a fragment's own headers are around it, too.
    let _ = walk.run();
    Some(walk.layers().text()).filter(|text| !text.is_empty())
}

/// The bytes with the length they had on the wire. Some tools write an original length below the captured one.
#[inline]
fn sent<'a>(packet: &Packet, bytes: &'a [u8]) -> Span<'a> {
    Span { bytes, wire_len: packet.original_len.max(bytes.len() as u32) }
}

/// Any other link header, and headers inside headers; `reason` is what ended the plain path.
#[cold]
#[inline(never)]
fn decode_wrapped<'a>(
    packet: &Packet,
    span: Span<'a>,
    ordinal: u64,
    most_depth: u8,
    reason: NotAnalysed,
) -> Result<Segment<'a>, NotAnalysed> {
    if !matches!(reason, NotAnalysed::LinkType(_) | NotAnalysed::EtherType(_) | NotAnalysed::IpProtocol(_)) {
        return Err(reason);
    }
    let mut walk = Walk::of_packet(packet.link.0, span, most_depth);
    let datagram = walk.run()?;
    segment(packet, ordinal, &datagram, walk.layers().tunnel()).map_err(|reason| walk.judge(reason))
}

/// The TCP segment inside an IP packet.
#[inline]
fn segment<'a>(
    packet: &Packet,
    ordinal: u64,
    datagram: &Datagram<'a>,
    tunnel: Tunnel,
) -> Result<Segment<'a>, NotAnalysed> {
    let header = tcp::parse_tcp(datagram.rest)?;
    let opens_or_closes = header.flags.0 & (Flags::SYN.0 | Flags::FIN.0) != 0;
    Ok(Segment {
        ordinal,
        ts_ns: packet.ts_ns,
        frame: packet.frame,
        file: packet.file,
        interface: packet.interface,
        src: datagram.src,
        dst: datagram.dst,
        src_port: header.ports.0,
        dst_port: header.ports.1,
        tunnel,
        ttl: datagram.ttl,
        ip_id: datagram.ip_id,
        seq: header.seq,
        ack: header.ack,
        flags: header.flags,
        window: header.window,
        options: header.options,
        checksum_offloaded: opens_or_closes && header.checksum == datagram.pseudo_header_sum(),
        payload: header.payload.bytes,
        payload_len: header.payload.wire_len,
    })
}

/// TCP header flags, the 12 low bits of the 13th and 14th header byte (RFC 9293 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// One TCP segment as the wire carried it.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Position of the packet over the whole set of files.
    pub ordinal: u64,
    /// Capture time, ns since 1970 UTC.
    pub ts_ns: i64,
    /// Frame number in its file, from 1.
    pub frame: u64,
    /// Index of the file.
    pub file: u32,
    /// Interface within the file.
    pub interface: u32,
    /// Source address.
    pub src: Address,
    /// Destination address.
    pub dst: Address,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// What is around the packet.
    pub tunnel: Tunnel,
    /// IPv4 TTL or IPv6 hop limit.
    pub ttl: u8,
    /// IPv4 identification; `None` for IPv6.
    pub ip_id: Option<u16>,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number (meaningful with ACK).
    pub ack: u32,
    /// Flags.
    pub flags: Flags,
    /// Window field, unscaled.
    pub window: u16,
    /// Options that are evidence.
    pub options: Options,
    /// On a SYN or FIN: the checksum field holds the pseudo-header's sum, uncomplemented, as a Linux host leaves it for
    /// its network card to complete. So the capture was taken on the sender (by chance: one packet in 65,536).
    pub checksum_offloaded: bool,
    /// Payload bytes that were captured (may be fewer than `payload_len`).
    pub payload: &'a [u8],
    /// Payload length on the wire, from the IP length.
    pub payload_len: u32,
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
    /// A fragment of an IP packet whose other fragments have not all been captured.
    Fragment,
    /// The capture cut the packet before the end of the TCP header.
    Truncated,
    /// A header that contradicts itself; the text names which.
    Malformed(&'static str),
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
