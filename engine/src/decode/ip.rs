//! What both versions of IP give, and the numbers of the protocols they carry.

use super::span::Span;
use crate::record::Address;

/// TCP's protocol number (<https://www.iana.org/assignments/protocol-numbers>).
pub const TCP: u8 = 6;

/// A whole IP packet that carries TCP.
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
