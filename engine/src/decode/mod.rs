//! A packet's bytes into one TCP segment, or the reason why not.
//!
//! ```text
//! link ──► Ethernet, SLL, null ──► IPv4, IPv6 ──► TCP
//!          VLAN tags               extensions     options
//! ```
//!
//! One protocol per file, each with the offsets of its fields. A [`span::Span`] carries the captured bytes with their
//! length on the wire, so that a packet cut by the snaplen keeps its sequence arithmetic. Checksums are not verified:
//! offload makes them wrong in every capture taken on the sender.
//!
//! # Why not `etherparse`
//! It would have to be surrounded: it does not know BSD loopback nor the second Linux cooked header, takes a TCP header
//! that the snaplen cut in its options for no TCP at all, and does not know a packet's length on the wire, which the
//! sequence arithmetic of cut and offloaded packets rests on. And it takes 35 ns a packet beside 15 here, by
//! `cargo run --release -p pcapwatch-engine --example parse_cost`; reading and decoding together have about 40.

mod ethernet;
mod ip;
mod ipv4;
mod ipv6;
mod key;
mod kind;
mod link;
mod null;
mod plain;
mod segment;
mod sll;
mod span;
mod tcp;

pub use key::{FlowKey, PARTITIONS};
pub use segment::{Header, Segment};

use crate::capture::Packet;
use link::parse_link;
use span::Span;

/// Ethernet types (<https://www.iana.org/assignments/ieee-802-numbers>).
mod ethertype {
    pub const IPV4: u16 = 0x0800;
    pub const IPV6: u16 = 0x86dd;
}

/// Decodes one packet into `header`, where it is to stay; `ordinal` is its position over the whole set of files.
///
/// # Errors
/// [`NotAnalysed`], to be counted: this is no whole TCP segment, or not readable as one.
#[inline]
pub fn decode(packet: &Packet, bytes: &[u8], ordinal: u64, header: &mut Header) -> Result<(), NotAnalysed> {
    if packet.link == link::ETHERNET_LINK && plain::decode_plain(packet, bytes, ordinal, header) {
        return Ok(());
    }
    decode_rare(packet, bytes, ordinal, header)
}

#[cold]
#[inline(never)]
fn decode_rare(packet: &Packet, bytes: &[u8], ordinal: u64, header: &mut Header) -> Result<(), NotAnalysed> {
    *header = decode_any(packet, bytes, ordinal)?;
    Ok(())
}

/// The long way: any link type, tags, extension headers, and packets that are no TCP at all.
///
/// # Errors
/// As [`decode`].
pub fn decode_any(packet: &Packet, bytes: &[u8], ordinal: u64) -> Result<Header, NotAnalysed> {
    // Some tools write an original length below the captured one.
    let wire_len = packet.original_len.max(bytes.len() as u32);
    let frame = parse_link(packet.link, Span { bytes, wire_len })?;
    let datagram = match frame.ethertype {
        ethertype::IPV4 => ipv4::parse_ipv4(frame.rest)?,
        ethertype::IPV6 => ipv6::parse_ipv6(frame.rest)?,
        other => return Err(NotAnalysed::EtherType(other)),
    };
    let tcp = tcp::parse_tcp(datagram.rest)?;
    let opens_or_closes = tcp.flags.0 & (Flags::SYN.0 | Flags::FIN.0) != 0;
    let (source, target) = ((datagram.src, tcp.ports.0), (datagram.dst, tcp.ports.1));
    let (key, from_low) = FlowKey::directed(source, target, frame.tunnel);
    let captured_headers = datagram.rest.bytes.len().min(tcp.header_len);
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
        payload_start: (packet.start + offset_in(bytes, datagram.rest.bytes) + captured_headers) as u32,
        captured_len: tcp.payload.bytes.len() as u32,
        options_print: tcp::options_print(tcp.options),
        ip_id: datagram.ip_id,
        flags: tcp.flags,
        window: tcp.window,
        ttl: datagram.ttl,
        options_len: tcp.options.len() as u8,
        from_low,
        checksum_offloaded: opens_or_closes && tcp.checksum == datagram.pseudo_header_sum(),
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
    /// An Ethernet type that is not IP (ARP, LLDP, MPLS …).
    EtherType(u16),
    /// An IP protocol that is not TCP (UDP, ICMP, GRE …).
    IpProtocol(u8),
    /// An IP fragment other than a whole packet.
    Fragment,
    /// The capture cut the packet before the end of the TCP header.
    Truncated,
    /// A header that contradicts itself; the text names which.
    Malformed(&'static str),
}

#[cfg(test)]
mod tests;
