//! GENEVE (RFC 8926 §3.4); its options are passed over.

use super::ethertype;
use super::layers::Layer;
use super::span::{Span, u8_at, u16_at, u32_at};
use super::walk::{Next, Step};

/// IANA's port.
pub const PORT: u16 = 6081;

const HEADER: usize = 8;
const VERSION_AND_LENGTH: usize = 0;
const PROTOCOL: usize = 2;
const NETWORK: usize = 4;

/// Version 0; the other bits are the options' length in 4 bytes.
const VERSION_BITS: u8 = 0xc0;
const LENGTH_BITS: u8 = 0x3f;
/// A frame, as GRE has it.
const ETHERNET: u16 = 0x6558;

/// What is inside, if this is a header.
pub fn parse_geneve(span: Span<'_>) -> Option<Step<'_>> {
    let header = span.bytes.first_chunk::<HEADER>()?;
    let version_and_length = u8_at(header, VERSION_AND_LENGTH);
    // Flags and reserved bits do not matter (RFC 8926 §3.4: ignored on receipt).
    if version_and_length & VERSION_BITS != 0 {
        return None;
    }
    let next = match u16_at(header, PROTOCOL) {
        ETHERNET => Next::Ethernet,
        ip @ (ethertype::IPV4 | ethertype::IPV6) => Next::EtherType(ip),
        _ => return None,
    };
    let options = usize::from(version_and_length & LENGTH_BITS) * 4;
    Some(Step::inside(Layer::Geneve(u32_at(header, NETWORK) >> 8), next, span.after(HEADER + options)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ethernet, ipv4, ipv6, kind, reaches, tcp, udp};

    fn inside(header: &[u8], inner: &[u8]) -> Vec<u8> {
        ethernet(&[0x0800], &udp(6081, &[header, inner].concat()))
    }

    #[test]
    fn frames_and_ip_with_and_without_options() {
        let (v4, v6) = (ipv4(6, 0, &tcp(0x10, 0, &[])), ipv6(6, &tcp(0x10, 0, &[])));
        reaches(1, &inside(&[0, 0, 0x65, 0x58, 0, 0, 77, 0], &ethernet(&[0x0800], &v4)), "geneve vni 77");
        reaches(1, &inside(&[0, 0, 8, 0, 0, 0, 77, 0], &v4), "geneve vni 77");
        reaches(1, &inside(&[0, 0x40, 0x86, 0xdd, 0, 0, 77, 0], &v6), "geneve vni 77");
        reaches(1, &inside(&[0, 0xff, 0x86, 0xdd, 0, 0, 77, 9], &v6), "geneve vni 77");
        let options = [2, 0, 8, 0, 0, 0, 77, 0, 1, 8, 0x80, 1, 0xde, 0xad, 0xbe, 0xef];
        reaches(1, &inside(&options, &v4), "geneve vni 77");
    }

    #[test]
    fn another_version_or_protocol_makes_it_udp() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        for header in [[0x40, 0, 8, 0, 0, 0, 1, 0], [0, 0, 8, 6, 0, 0, 1, 0]] {
            assert_eq!(kind(1, &inside(&header, &v4)), "udp", "{header:x?}");
        }
    }

    #[test]
    fn options_longer_than_the_packet_make_it_udp() {
        assert_eq!(kind(1, &inside(&[0x3f, 0, 8, 0, 0, 0, 1, 0], &ipv4(6, 0, &tcp(0x10, 0, &[])))), "udp");
    }
}
