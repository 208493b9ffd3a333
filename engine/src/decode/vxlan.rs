//! VXLAN (RFC 7348 §5), with the group policy extension that some switches send (`draft-smith-vxlan-group-policy`).

use super::layers::Layer;
use super::span::{Span, u8_at, u32_at};
use super::walk::{Next, Step};

/// IANA's port.
pub const PORT: u16 = 4789;
/// The port of Linux before IANA gave one, still a default of some overlays.
pub const LINUX_PORT: u16 = 8472;

const HEADER: usize = 8;
const NETWORK: usize = 4;
const NETWORK_SHIFT: u32 = 8;
/// The network's id is valid; all other flags and reserved bytes are zero.
const PLAIN: u32 = 0x0800_0000;
/// With a policy: its flag, "don't learn", "applied", the group's id.
const POLICY: u32 = 0x8800_0000;
const POLICY_BITS: u32 = 0x0048_ffff;

/// The frame inside, if this is a header.
pub fn parse_vxlan(span: Span<'_>) -> Option<Step<'_>> {
    let header = span.bytes.first_chunk::<HEADER>()?;
    let flags = u32_at(header, 0);
    let is_header = flags == PLAIN || flags & !POLICY_BITS == POLICY;
    if !is_header || u8_at(header, HEADER - 1) != 0 {
        return None;
    }
    Some(Step::inside(Layer::Vxlan(u32_at(header, NETWORK) >> NETWORK_SHIFT), Next::Ethernet, span.after(HEADER)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ethernet, ipv4, kind, reaches, tcp, udp};

    fn frame(port: u16, header: &[u8]) -> Vec<u8> {
        let inner = ethernet(&[0x0800], &ipv4(6, 0, &tcp(0x10, 0, &[])));
        ethernet(&[0x0800], &udp(port, &[header, &inner].concat()))
    }

    #[test]
    fn both_ports_and_the_policy_extension() {
        let header = [8, 0, 0, 0, 0, 0x13, 0x89, 0];
        reaches(1, &frame(4789, &header), "vxlan vni 5001");
        reaches(1, &frame(8472, &header), "vxlan vni 5001");
        reaches(1, &frame(4789, &[0x88, 8, 0, 3, 0, 0x13, 0x89, 0]), "vxlan vni 5001");
    }

    #[test]
    fn tags_around_and_inside_are_named() {
        let inner = ethernet(&[0x8100, 7, 0x8100, 12, 0x0800], &ipv4(6, 0, &tcp(0x10, 0, &[])));
        let outer = udp(4789, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], &inner].concat());
        reaches(1, &ethernet(&[0x8100, 3, 0x0800], &outer), "vlan 3 / vxlan vni 1 / vlan 7.12");
    }

    #[test]
    fn reserved_bits_that_are_set_make_it_udp() {
        for header in
            [[0, 0, 0, 0, 0, 0, 1, 0], [8, 0, 0, 1, 0, 0, 1, 0], [8, 0, 0, 0, 0, 0, 1, 1], [12, 0, 0, 0, 0, 0, 1, 0]]
        {
            assert_eq!(kind(1, &frame(4789, &header)), "udp", "{header:x?}");
        }
    }
}
