//! The short way for what nearly every packet is: a whole TCP segment in IPv4 without options in Ethernet without tags.
//!
//! Its headers have fixed places, so their length is checked once. Whatever differs in anything goes the long way, and
//! a property test holds the two against each other.

use super::key::FlowKey;
use super::tcp::options_print;
use super::{Captured, Flags, Header};
use crate::capture::Packet;

const ETHERTYPE: usize = 12;
const IP: usize = 14;
const TOTAL_LENGTH: usize = IP + 2;
const IDENTIFICATION: usize = IP + 4;
const FRAGMENT: usize = IP + 6;
const TTL: usize = IP + 8;
const SOURCE: usize = IP + 12;
const DESTINATION: usize = IP + 16;
const TCP: usize = IP + 20;
const SEQUENCE: usize = TCP + 4;
const ACKNOWLEDGMENT: usize = TCP + 8;
const OFFSET_AND_FLAGS: usize = TCP + 12;
const WINDOW: usize = TCP + 14;
const CHECKSUM: usize = TCP + 16;
const HEADERS: usize = TCP + 20;

/// Version 4 and a header of five words.
const PLAIN_IPV4: u8 = 0x45;
const MORE_FRAGMENTS_AND_OFFSET: u16 = 0x3fff;

/// Decodes a plain Ethernet packet, or gives false for one that must go the long way. (The header is built where it is to
/// stay: two cache lines are not moved for nothing.)
#[inline]
pub fn decode_plain(packet: &Packet, bytes: &[u8], ordinal: u64, header: &mut Header) -> bool {
    let Some(h) = bytes.first_chunk::<HEADERS>() else { return false };
    let offset_and_flags = u16_at(h, OFFSET_AND_FLAGS);
    let total = usize::from(u16_at(h, TOTAL_LENGTH));
    let tcp_header = usize::from(offset_and_flags >> 12) * 4;
    let flags = Flags(offset_and_flags & 0x0fff);
    let is_plain = u16_at(h, ETHERTYPE) == super::ethertype::IPV4
        && h[IP] == PLAIN_IPV4
        && h[IP + 9] == super::ip::TCP
        && u16_at(h, FRAGMENT) & MORE_FRAGMENTS_AND_OFFSET == 0
        && tcp_header >= 20
        && 20 + tcp_header <= total;
    let payload_at = TCP + tcp_header;
    if !is_plain || payload_at > bytes.len() {
        return false;
    }
    let payload_len = total - 20 - tcp_header;
    let (key, from_low) =
        FlowKey::plain((u32_at(h, SOURCE), u16_at(h, TCP)), (u32_at(h, DESTINATION), u16_at(h, TCP + 2)));
    let options = bytes.get(HEADERS..payload_at).unwrap_or_default();
    let opens_or_closes = flags.0 & (Flags::SYN.0 | Flags::FIN.0) != 0;
    *header = Header {
        partition: key.partition() as u8,
        key,
        ordinal,
        ts_ns: packet.ts_ns,
        frame: packet.frame,
        file: packet.file,
        interface: packet.interface,
        seq: u32_at(h, SEQUENCE),
        ack: u32_at(h, ACKNOWLEDGMENT),
        payload_len: payload_len as u32,
        payload_start: (packet.start + payload_at) as u32,
        captured_len: payload_len.min(bytes.len() - payload_at) as u32,
        options_print: options_print(options),
        tunnel_name: 0,
        way: 0,
        depth: 0,
        captured: Captured::Once,
        ip_id: Some(u16_at(h, IDENTIFICATION)),
        flags,
        window: u16_at(h, WINDOW),
        is_window_cut: false,
        ttl: h[TTL],
        options_len: options.len() as u8,
        from_low,
        checksum_offloaded: opens_or_closes && u16_at(h, CHECKSUM) == pseudo_header_sum(h, total - 20),
    };
    true
}

/// As [`super::ip::Datagram::pseudo_header_sum`], of addresses in their places.
fn pseudo_header_sum(h: &[u8; HEADERS], tcp_len: usize) -> u16 {
    let words = (SOURCE..TCP).step_by(2).map(|at| u32::from(u16_at(h, at)));
    let sum = words.sum::<u32>() + u32::from(super::ip::TCP) + tcp_len as u32;
    let folded = (sum >> 16) + (sum & 0xffff);
    ((folded >> 16) + (folded & 0xffff)) as u16
}

const fn u16_at(h: &[u8; HEADERS], at: usize) -> u16 {
    u16::from_be_bytes([h[at], h[at + 1]])
}

const fn u32_at(h: &[u8; HEADERS], at: usize) -> u32 {
    u32::from_be_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]])
}
