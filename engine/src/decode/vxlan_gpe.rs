//! VXLAN whose header says what is inside (`draft-ietf-nvo3-vxlan-gpe`, §3).

use super::ethertype;
use super::layers::Layer;
use super::span::{Span, u8_at, u32_at};
use super::vxlan::may_carry_ip;
use super::walk::{Next, Step, looks_like_ip};

/// IANA's port.
pub const PORT: u16 = 4790;

const HEADER: usize = 8;
const FLAGS: usize = 0;
const NEXT_PROTOCOL: usize = 3;
const NETWORK: usize = 4;
const NETWORK_SHIFT: u32 = 8;

/// The network's id is valid.
const HAS_NETWORK: u8 = 0x08;
/// The next protocol is told; without it a frame is inside, as in VXLAN.
const HAS_PROTOCOL: u8 = 0x04;
const VERSION_BITS: u8 = 0x30;

/// Next protocols.
mod number {
    pub const IPV4: u8 = 1;
    pub const IPV6: u8 = 2;
    pub const ETHERNET: u8 = 3;
    pub const NSH: u8 = 4;
}

/// What is inside, if this is a header of version 0.
pub fn parse_vxlan_gpe(span: Span<'_>) -> Option<Step<'_>> {
    let header = span.bytes.first_chunk::<HEADER>()?;
    let flags = u8_at(header, FLAGS);
    if flags & (HAS_NETWORK | VERSION_BITS) != HAS_NETWORK {
        return None;
    }
    let inside = span.after(HEADER);
    let next = match u8_at(header, NEXT_PROTOCOL) {
        _ if flags & HAS_PROTOCOL == 0 && may_carry_ip(inside.bytes) => Next::Ethernet,
        _ if flags & HAS_PROTOCOL == 0 => return None,
        number::IPV4 | number::IPV6 if looks_like_ip(inside) => Next::Ip,
        number::ETHERNET => Next::Ethernet,
        number::NSH => Next::EtherType(ethertype::NSH),
        _ => return None,
    };
    Some(Step::inside(Layer::Vxlan(u32_at(header, NETWORK) >> NETWORK_SHIFT), next, inside))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ethernet, ipv4, ipv6, kind, reaches, tcp, udp};

    fn over_udp(header: [u8; 8], inside: &[u8]) -> Vec<u8> {
        ethernet(&[0x0800], &udp(4790, &[&header[..], inside].concat()))
    }

    fn gpe(flags: u8, next: u8, inside: &[u8]) -> Vec<u8> {
        over_udp([flags, 0, 0, next, 0, 0x13, 0x89, 0], inside)
    }

    #[test]
    fn every_next_protocol_that_is_read() {
        let (v4, v6) = (ipv4(6, 0, &tcp(0x10, 0, &[])), ipv6(6, &tcp(0x10, 0, &[])));
        reaches(1, &gpe(0x0c, 1, &v4), "vxlan vni 5001");
        reaches(1, &gpe(0x0c, 2, &v6), "vxlan vni 5001");
        let tagged = ethernet(&[0x8100, 7, 0x0800], &v4);
        reaches(1, &gpe(0x0c, 3, &tagged), "vxlan vni 5001 / vlan 7");
        reaches(1, &gpe(0x08, 0, &tagged), "vxlan vni 5001 / vlan 7");
    }

    #[test]
    fn service_headers_are_counted() {
        assert_eq!(kind(1, &gpe(0x0c, 4, &[0x0f, 0xc6, 1, 3, 0, 0, 1, 255])), "nsh");
    }

    #[test]
    fn anything_else_is_udp() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        for (flags, next) in [(0x04, 1), (0x1c, 1), (0x2c, 1), (0x0c, 0), (0x0c, 5), (0x0c, 0xff)] {
            assert_eq!(kind(1, &gpe(flags, next, &v4)), "udp", "{flags:x} {next}");
        }
        assert_eq!(kind(1, &gpe(0x0c, 1, &[0x15; 40])), "udp", "no IP");
        assert_eq!(kind(1, &gpe(0x0c, 3, &[0; 13])), "udp", "no frame");
    }
}
