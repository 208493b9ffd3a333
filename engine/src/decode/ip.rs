//! What both versions of IP give, and the numbers of the protocols they carry.

use super::span::Span;
use crate::record::Address;

/// TCP's protocol number (<https://www.iana.org/assignments/protocol-numbers>).
pub const TCP: u8 = 6;

/// A whole IP packet that carries TCP, or is read as if it did.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Source address.
    pub src: Address,
    /// Destination address.
    pub dst: Address,
    /// TTL or hop limit.
    pub ttl: u8,
    /// IPv4 identification.
    pub ip_id: Option<u16>,
    /// The TCP segment.
    pub rest: Span<'a>,
}

/// What identifies one IP packet's ends, for layers below TCP.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Source address.
    pub src: Address,
    /// Destination address.
    pub dst: Address,
    /// TTL or hop limit.
    pub ttl: u8,
    /// IPv4 identification; so `None` is IPv6.
    pub ip_id: Option<u16>,
}

/// Where a fragment belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Identification: 16 bits of IPv4, 32 of IPv6.
    pub id: u32,
    /// Bytes of the datagram in front of it.
    pub offset: u32,
    /// Whether it is not the last.
    pub more: bool,
}

/// An IP packet, whatever it carries.
#[derive(Clone, Copy, Debug)]
pub struct IpPacket<'a> {
    /// Its ends.
    pub ends: Ends,
    /// What it carries.
    pub protocol: u8,
    /// Where it belongs, if it is not whole.
    pub fragment: Option<Place>,
    /// What is inside.
    pub rest: Span<'a>,
}

impl Datagram<'_> {
    /// The one's complement sum over the pseudo-header, folded, not complemented (RFC 9293 §3.1, RFC 8200 §8.1).
    #[must_use]
    pub fn pseudo_header_sum(&self) -> u16 {
        let mut sum = u64::from(TCP) + u64::from(self.rest.wire_len >> 16) + u64::from(self.rest.wire_len & 0xffff);
        for address in [self.src, self.dst] {
            let skip = if self.ip_id.is_some() { 12 } else { 0 };
            let (words, _) = address.0.as_chunks::<2>();
            sum += words.iter().skip(skip / 2).map(|&word| u64::from(u16::from_be_bytes(word))).sum::<u64>();
        }
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        sum as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pseudo_header_is_that_of_the_version() {
        let rest = Span { bytes: &[], wire_len: 40 };
        let v4 = Datagram {
            src: Address::v4([10, 0, 0, 1]),
            dst: Address::v4([10, 0, 0, 2]),
            ttl: 64,
            ip_id: Some(0),
            rest,
        };
        assert_eq!(v4.pseudo_header_sum(), 0x0a00 + 1 + 0x0a00 + 2 + 6 + 40);
        let v6 = Datagram { src: Address([0xff; 16]), dst: Address([0; 16]), ip_id: None, ..v4 };
        assert_eq!(v6.pseudo_header_sum(), 6 + 40, "eight words of ones are zero in one's complement");
    }
}
