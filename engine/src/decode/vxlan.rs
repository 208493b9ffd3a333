//! VXLAN (RFC 7348 §5), with the group policy extension that some switches send (`draft-smith-vxlan-group-policy`).

use super::layers::Layer;
use super::span::{Span, u8_at, u16_at, u32_at};
use super::walk::{Next, Step};
use super::{ethertype, vlan};

/// IANA's port.
pub const PORT: u16 = 4789;
/// The port of Linux before IANA gave one, still a default of some overlays.
pub const LINUX_PORT: u16 = 8472;

const HEADER: usize = 8;
const NETWORK: usize = 4;
const NETWORK_SHIFT: u32 = 8;
/// The network's id is valid; most senders leave all other flags and reserved bytes zero.
const PLAIN: u32 = 0x0800_0000;
/// Of the frame inside.
const TYPE: usize = 12;

/// The frame inside, if this is a header.
pub fn parse_vxlan(span: Span<'_>) -> Option<Step<'_>> {
    let header = span.bytes.first_chunk::<HEADER>()?;
    let (flags, frame) = (u32_at(header, 0), span.after(HEADER));
    // The others are ignored (RFC 7348 §5), policies and groups stand there; then what is inside must tell that it is one.
    let is_plain = flags == PLAIN && u8_at(header, HEADER - 1) == 0;
    if flags & PLAIN == 0 || !is_plain && !may_carry_ip(frame.bytes) {
        return None;
    }
    Some(Step::inside(Layer::Vxlan(u32_at(header, NETWORK) >> NETWORK_SHIFT), Next::Ethernet, frame))
}

/// Whether a frame begins like one with IP in it.
pub fn may_carry_ip(frame: &[u8]) -> bool {
    let number = if frame.len() < TYPE + 2 { 0 } else { u16_at(frame, TYPE) };
    let is_passed_over = matches!(number, ethertype::VNTAG | ethertype::CISCO_METADATA);
    is_passed_over || matches!(number, ethertype::IPV4 | ethertype::IPV6) || vlan::TAG_TYPES.contains(&number)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ethernet, ipv4, kind, reaches, tcp, udp};

    fn frame(port: u16, header: &[u8]) -> Vec<u8> {
        let inner = ethernet(&[0x0800], &ipv4(6, 0, &tcp(0x10, 0, &[])));
        ethernet(&[0x0800], &udp(port, &[header, &inner].concat()))
    }

    #[test]
    fn both_ports_and_whatever_reserved_bits_say() {
        let header = [8, 0, 0, 0, 0, 0x13, 0x89, 0];
        reaches(1, &frame(4789, &header), "vxlan vni 5001");
        reaches(1, &frame(8472, &header), "vxlan vni 5001");
        for header in [[0x88, 8, 0, 3, 0, 0x13, 0x89, 0], [0xff; 8], [8, 0, 0, 1, 0, 0x13, 0x89, 1]] {
            let vni = u32::from_be_bytes([0, header[4], header[5], header[6]]);
            reaches(1, &frame(4789, &header), &format!("vxlan vni {vni}"));
        }
    }

    #[test]
    fn tags_around_and_inside_are_named() {
        let inner = ethernet(&[0x8100, 7, 0x8100, 12, 0x0800], &ipv4(6, 0, &tcp(0x10, 0, &[])));
        let outer = udp(4789, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], &inner].concat());
        reaches(1, &ethernet(&[0x8100, 3, 0x0800], &outer), "vlan 3 / vxlan vni 1 / vlan 7.12");
    }

    #[test]
    fn with_reserved_bits_a_frame_may_begin_with_any_tag() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        for types in [&[0x8926, 1, 2, 0x0800][..], &[0x8909, 0x0101, 1, 42, 0x0800]] {
            let inner = [&[0x88, 0, 0, 3, 0, 0, 1, 0][..], &ethernet(types, &v4)].concat();
            reaches(1, &ethernet(&[0x0800], &udp(4789, &inner)), "vxlan vni 1");
        }
    }

    #[test]
    fn without_a_network_it_is_udp() {
        for header in [[0, 0, 0, 0, 0, 0, 1, 0], [0xf7, 0, 0, 1, 0, 0, 1, 0]] {
            assert_eq!(kind(1, &frame(4789, &header)), "udp", "{header:x?}");
        }
    }
}
