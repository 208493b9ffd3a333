//! Teredo, IPv6 over UDP (RFC 4380 §5.1.1), with its authentication and origin indications.

use super::ethertype;
use super::layers::Layer;
use super::span::{Span, field, u8_at, u16_at};
use super::walk::{Next, Step};

/// The servers' port.
pub const PORT: u16 = 3544;

const AUTHENTICATION: u16 = 0x0001;
/// Up to the lengths of client id and value; then those, a nonce of 8 bytes and a confirmation byte.
const AUTHENTICATION_FIXED: usize = 13;
const ORIGIN: u16 = 0x0000;
const ORIGIN_LENGTH: usize = 8;

const IPV6_HEADER: usize = 40;
const PAYLOAD_LENGTH: usize = 4;
const ADDRESSES: [usize; 2] = [8, 24];
/// `2001:0::/32`.
const PREFIX: [u8; 4] = [0x20, 0x01, 0, 0];
const LINK_LOCAL: [u8; 2] = [0xfe, 0x80];

/// The IPv6 packet inside, if there is one that may be Teredo's.
pub fn parse_teredo(span: Span<'_>) -> Option<Step<'_>> {
    let mut rest = span;
    if u16_at(rest.bytes.first_chunk::<2>()?, 0) == AUTHENTICATION {
        let lengths = usize::from(*rest.bytes.get(2)?) + usize::from(*rest.bytes.get(3)?);
        rest = rest.after(AUTHENTICATION_FIXED + lengths);
    }
    if u16_at(rest.bytes.first_chunk::<2>()?, 0) == ORIGIN {
        rest = rest.after(ORIGIN_LENGTH);
    }
    is_teredo_packet(rest).then(|| Step::inside(Layer::Teredo, Next::EtherType(ethertype::IPV6), rest))
}

/// IPv6, exactly as long as the datagram, of an address that Teredo gives.
fn is_teredo_packet(span: Span<'_>) -> bool {
    let Some(header) = span.bytes.first_chunk::<IPV6_HEADER>() else { return false };
    let length = IPV6_HEADER as u32 + u32::from(u16_at(header, PAYLOAD_LENGTH));
    let given = |at| field(header, at) == PREFIX || field(header, at) == LINK_LOCAL;
    u8_at(header, 0) >> 4 == 6 && length == span.wire_len && ADDRESSES.into_iter().any(given)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ethernet, ipv6, kind, reaches, tcp, udp};

    fn packet() -> Vec<u8> {
        let mut bytes = ipv6(6, &tcp(0x10, 0, &[]));
        bytes[8..12].copy_from_slice(&[0x20, 1, 0, 0]);
        bytes
    }

    fn teredo(front: &[u8], packet: &[u8]) -> Vec<u8> {
        ethernet(&[0x0800], &udp(3544, &[front, packet].concat()))
    }

    #[test]
    fn packets_with_and_without_indications() {
        let authentication = [&[0, 1, 2, 1][..], &[9; 3], &[7; 8], &[0]].concat();
        let origin = [0, 0, 1, 2, 3, 4, 5, 6];
        reaches(1, &teredo(&[], &packet()), "teredo");
        reaches(1, &teredo(&authentication, &packet()), "teredo");
        reaches(1, &teredo(&origin, &packet()), "teredo");
        reaches(1, &teredo(&[&authentication[..], &origin].concat(), &packet()), "teredo");
    }

    #[test]
    fn the_other_direction_has_the_port_as_its_source() {
        let mut bytes = teredo(&[], &packet());
        bytes[14 + 20..14 + 24].copy_from_slice(&[0x0d, 0xd8, 0xc3, 0x50]);
        reaches(1, &bytes, "teredo");
    }

    #[test]
    fn other_addresses_or_lengths_make_it_udp() {
        assert_eq!(kind(1, &teredo(&[], &ipv6(6, &tcp(0x10, 0, &[])))), "udp");
        assert_eq!(kind(1, &teredo(&[], &[packet(), vec![0]].concat())), "udp");
        assert_eq!(kind(1, &teredo(&[0, 1, 200, 200], &packet())), "udp");
    }
}
