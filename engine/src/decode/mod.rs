//! A packet's bytes into one TCP segment, or the reason why not.

use crate::record::{Address, Tunnel};

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
    /// TSval and TSecr (RFC 7323), if present.
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
    /// The option kinds in order, 4 bits each from the least significant (kind & 15), first 8 kinds: the stack's fingerprint.
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
    /// VLAN tags around the packet.
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
