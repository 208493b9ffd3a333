//! UDP (RFC 768), only to see whether a tunnel is inside. A port alone is no proof: each tunnel's file checks that the
//! bytes are its header, and what is none stays UDP.

use super::NotAnalysed;
use super::span::{Span, u16_at};
use super::walk::{Step, protocol};
use super::{geneve, gtp, l2tp, teredo, vxlan, vxlan_gpe};

/// Ports, length, checksum.
pub const HEADER: usize = 8;
const SOURCE_PORT: usize = 0;
const DESTINATION_PORT: usize = 2;
const LENGTH: usize = 4;

/// The tunnel inside.
pub fn parse_udp(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let counted = NotAnalysed::IpProtocol(protocol::UDP);
    let header = span.header::<HEADER>("udp_length").map_err(|_| counted)?;
    let payload = match u16_at(header, LENGTH) {
        0 => span.after(HEADER),
        length => span.after(HEADER).stated(u32::from(length).saturating_sub(HEADER as u32)),
    };
    inside(u16_at(header, SOURCE_PORT), u16_at(header, DESTINATION_PORT), payload).ok_or(counted)
}

/// Whether a datagram between these ports may be a tunnel's. A tunnel's source port is any, but Teredo's and L2TP's.
pub fn may_be_tunnel(source: u16, destination: u16) -> bool {
    const TUNNELS: [u16; 5] = [vxlan::PORT, vxlan::LINUX_PORT, vxlan_gpe::PORT, geneve::PORT, gtp::PORT];
    TUNNELS.contains(&destination) || [teredo::PORT, l2tp::PORT].iter().any(|port| [source, destination].contains(port))
}

fn inside(source: u16, destination: u16, payload: Span<'_>) -> Option<Step<'_>> {
    let of_destination = match destination {
        vxlan::PORT | vxlan::LINUX_PORT => vxlan::parse_vxlan(payload),
        vxlan_gpe::PORT => vxlan_gpe::parse_vxlan_gpe(payload),
        geneve::PORT => geneve::parse_geneve(payload),
        gtp::PORT => gtp::parse_gtp(payload),
        _ => None,
    };
    // The other end's port is any.
    let is_either = |port| [source, destination].contains(&port);
    let teredo = || is_either(teredo::PORT).then(|| teredo::parse_teredo(payload)).flatten();
    let l2tp = || is_either(l2tp::PORT).then(|| l2tp::parse_l2tp(payload)).flatten();
    of_destination.or_else(teredo).or_else(l2tp)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ethernet, ipv4, ipv6, kind, reaches, tcp, udp};
    use super::may_be_tunnel;

    #[test]
    fn a_port_alone_is_no_proof() {
        for port in [53, 4789, 8472, 6081, 2152, 3544, 1701, 4790] {
            for bytes in [&[][..], &[0; 60], &[0xff; 60], &[0x45; 7]] {
                assert_eq!(kind(1, &ethernet(&[0x0800], &udp(port, bytes))), "udp", "{port} {bytes:x?}");
            }
        }
    }

    #[test]
    fn what_looks_like_a_tunnel_and_holds_nonsense_is_udp() {
        let vxlan = [&[8, 0, 0, 0, 0, 0, 1, 0][..], &ethernet(&[0x0800], &[0xff; 40])].concat();
        assert_eq!(kind(1, &ethernet(&[0x0800], &udp(4789, &vxlan))), "udp");
        let inner = ethernet(&[0x0806], &[0; 28]);
        let arp = [&[8, 0, 0, 0, 0, 0, 1, 0][..], &inner].concat();
        assert_eq!(kind(1, &ethernet(&[0x0800], &udp(4789, &arp))), "arp", "what a tunnel holds is named");
    }

    #[test]
    fn a_header_that_is_cut_or_short_is_udp() {
        let whole = udp(4789, &[8, 0, 0, 0, 0, 0, 1, 0]);
        for end in 20..whole.len() {
            let mut cut = whole[..end].to_vec();
            cut[2..4].copy_from_slice(&(end as u16).to_be_bytes());
            assert_eq!(kind(228, &cut), "udp", "cut at {end}");
        }
        assert_eq!(kind(229, &ipv6(17, &tcp(0, 0, &[])[..8])), "udp");
        assert_eq!(kind(228, &ipv4(17, 0, &[])), "udp");
    }

    #[test]
    fn another_tunnels_port_at_the_other_end_hides_none() {
        let inside = [&[0, 2, 0, 12, 0, 3, 0, 0x21][..], &ipv4(6, 0, &tcp(0x10, 0, &[]))].concat();
        for port in [4789_u16, 8472, 4790, 6081, 2152, 3544] {
            let mut bytes = ethernet(&[0x0800], &udp(port, &inside));
            bytes[14 + 20..14 + 22].copy_from_slice(&1701_u16.to_be_bytes());
            reaches(1, &bytes, "l2tp 12.3");
        }
    }

    #[test]
    fn ports_that_a_tunnel_may_have() {
        assert!(may_be_tunnel(50_000, 4789) && may_be_tunnel(3544, 50_000) && may_be_tunnel(50_000, 3544));
        assert!(may_be_tunnel(1701, 1701) && may_be_tunnel(1701, 50_000) && may_be_tunnel(50_000, 1701));
        assert!(!may_be_tunnel(4789, 50_000) && !may_be_tunnel(53, 53));
    }
}
