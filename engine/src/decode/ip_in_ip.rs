//! IP packets in IP packets, without a header of their own between: the four pairs of versions (RFC 2003, RFC 2473,
//! RFC 4213 §3).

use super::ethertype;
use super::layers::Layer;
use super::span::Span;
use super::walk::{Next, Step};

/// The inner packet of protocol 4.
pub fn step_into_v4(outer_is_v4: bool, rest: Span<'_>) -> Step<'_> {
    Step::inside(if outer_is_v4 { Layer::IpIp } else { Layer::FourInSix }, Next::EtherType(ethertype::IPV4), rest)
}

/// The inner packet of protocol 41.
pub fn step_into_v6(outer_is_v4: bool, rest: Span<'_>) -> Step<'_> {
    Step::inside(if outer_is_v4 { Layer::SixInFour } else { Layer::SixInSix }, Next::EtherType(ethertype::IPV6), rest)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ethernet, ipv4, ipv6, kind, reaches, tcp};

    #[test]
    fn every_pair_of_versions() {
        let (v4, v6) = (ipv4(6, 0, &tcp(0x10, 0, &[])), ipv6(6, &tcp(0x10, 0, &[])));
        reaches(1, &ethernet(&[0x0800], &ipv4(4, 0, &v4)), "ipip");
        reaches(1, &ethernet(&[0x0800], &ipv4(41, 0, &v6)), "6in4");
        reaches(1, &ethernet(&[0x86dd], &ipv6(4, &v4)), "4in6");
        reaches(1, &ethernet(&[0x86dd], &ipv6(41, &v6)), "6in6");
        reaches(1, &ethernet(&[0x0800], &ipv4(4, 0, &ipv4(41, 0, &v6))), "ipip / 6in4");
    }

    #[test]
    fn another_version_inside_is_malformed_and_another_protocol_counted() {
        let (v4, v6) = (ipv4(6, 0, &tcp(0x10, 0, &[])), ipv6(6, &tcp(0x10, 0, &[])));
        assert!(kind(1, &ethernet(&[0x0800], &ipv4(4, 0, &v6))).starts_with("malformed_"));
        assert!(kind(1, &ethernet(&[0x0800], &ipv4(41, 0, &v4))).starts_with("malformed_"));
        assert_eq!(kind(1, &ethernet(&[0x0800], &ipv4(4, 0, &ipv4(1, 0, &[0; 8])))), "icmp");
    }
}
