//! BSD's interface of packets before and after `IPsec`: address family, security association, flags, then an IP packet
//! (<https://www.tcpdump.org/linktypes.html>: `LINKTYPE_ENC`).

use super::NotAnalysed;
use super::null::{either_order, ethertype_of};
use super::span::Span;
use super::walk::{Next, Step};

/// `LINKTYPE_ENC`.
pub const ENC: u32 = 109;
/// `DLT_ENC` of `OpenBSD`, which its own tools write in place of it.
pub const ENC_OPENBSD: u32 = 13;

const HEADER: usize = 12;

/// The packet behind.
pub fn parse_enc(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let header = span.header::<HEADER>("enc_length")?;
    let ethertype = ethertype_of(either_order(header))?;
    Ok(Step::to(Next::EtherType(ethertype), span.after(HEADER)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ipv4, ipv6, kind, reaches, tcp};
    use super::*;

    fn behind(family: [u8; 4], inside: &[u8]) -> Vec<u8> {
        [&family[..], &[0, 0, 0x10, 1, 0, 0x0c, 0, 0], inside].concat()
    }

    #[test]
    fn both_families_in_either_order() {
        let (v4, v6) = (ipv4(6, 0, &tcp(0x10, 0, &[])), ipv6(6, &tcp(0x10, 0, &[])));
        for link in [ENC, ENC_OPENBSD] {
            for order in [u32::to_le_bytes, u32::to_be_bytes] {
                reaches(link, &behind(order(2), &v4), "");
                reaches(link, &behind(order(24), &v6), "");
                reaches(link, &behind(order(28), &v6), "");
            }
        }
    }

    #[test]
    fn an_association_in_tunnel_mode_has_its_outer_header() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        reaches(ENC, &behind([2, 0, 0, 0], &ipv4(4, 0, &v4)), "ipip");
    }

    #[test]
    fn nonsense_is_malformed() {
        assert_eq!(kind(ENC, &behind([3, 0, 0, 0], &[])), "malformed_address_family");
        assert_eq!(kind(ENC, &behind([2, 0, 0, 0], &[])[..11]), "malformed_enc_length");
    }
}
