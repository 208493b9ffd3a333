//! Generic routing encapsulation (RFC 2784, RFC 2890): version 0. Version 1 is [`super::pptp`]'s.

use super::NotAnalysed;
use super::layers::Layer;
use super::span::{Span, u16_at, u32_at};
use super::walk::{Next, Step, protocol};
use super::{erspan, ppp, pptp};

const HEADER: usize = 4;
const PROTOCOL: usize = 2;

const CHECKSUM: u16 = 0x8000;
/// RFC 1701's source route, which nobody sends.
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
pub const SEQUENCE: u16 = 0x1000;
const VERSION: u16 = 0x0007;
/// Each optional field.
pub const FIELD: usize = 4;

/// Protocol types that are no Ethernet type of their own on a wire.
mod kind {
    /// "Transparent Ethernet bridging": a frame (RFC 7637 §3.2).
    pub const ETHERNET: u16 = 0x6558;
    pub const PPP: u16 = 0x880b;
    pub const ERSPAN: u16 = 0x88be;
    pub const ERSPAN_III: u16 = 0x22eb;
}

/// Any GRE packet.
pub fn parse_gre(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let header = span.header::<HEADER>("gre_length")?;
    let (flags, kind) = (u16_at(header, 0), u16_at(header, PROTOCOL));
    match flags & VERSION {
        0 if flags & ROUTING == 0 => parse_version_0(flags, kind, span.after(HEADER)),
        1 if kind == kind::PPP && flags & KEY != 0 => pptp::parse_pptp(flags, span.after(HEADER)),
        _ => Err(NotAnalysed::IpProtocol(protocol::GRE)),
    }
}

fn parse_version_0(flags: u16, kind: u16, mut rest: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    if flags & CHECKSUM != 0 {
        rest = rest.after(FIELD);
    }
    let mut key = None;
    if flags & KEY != 0 {
        key = Some(u32_at(rest.header::<FIELD>("gre_length")?, 0));
        rest = rest.after(FIELD);
    }
    let is_numbered = flags & SEQUENCE != 0;
    if is_numbered {
        rest = rest.after(FIELD);
    }
    let next = match kind {
        kind::ERSPAN => return erspan::parse_erspan(is_numbered, rest),
        kind::ERSPAN_III => return erspan::parse_erspan_iii(rest),
        kind::ETHERNET => Next::Ethernet,
        kind::PPP => return Ok(Step { layer: Some(Layer::Gre(key)), ..ppp::parse_ppp(rest) }),
        other => Next::EtherType(other),
    };
    Ok(Step::inside(Layer::Gre(key), next, rest))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ethernet, ipv4, ipv6, kind, reaches, tcp};

    fn gre(header: &[u8], inside: &[u8]) -> Vec<u8> {
        ethernet(&[0x0800], &ipv4(47, 0, &[header, inside].concat()))
    }

    #[test]
    fn every_optional_field_of_version_0() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        reaches(1, &gre(&[0, 0, 8, 0], &v4), "gre");
        reaches(1, &gre(&[0x80, 0, 8, 0, 1, 2, 0, 0], &v4), "gre");
        reaches(1, &gre(&[0x20, 0, 8, 0, 0, 0, 0, 42], &v4), "gre 0x2a");
        reaches(1, &gre(&[0x10, 0, 8, 0, 0, 0, 0, 9], &v4), "gre");
        reaches(1, &gre(&[0xb0, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 42, 0, 0, 0, 9], &v4), "gre 0x2a");
        reaches(1, &gre(&[0, 0, 0x86, 0xdd], &ipv6(6, &tcp(0x10, 0, &[]))), "gre");
    }

    #[test]
    fn frames_and_ppp_inside() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        reaches(1, &gre(&[0, 0, 0x65, 0x58], &ethernet(&[0x8100, 5, 0x0800], &v4)), "gre / vlan 5");
        reaches(1, &gre(&[0, 0, 0x88, 0x47, 0, 1, 0x21, 64], &v4), "gre / mpls 18");
        reaches(1, &gre(&[0, 0, 0x88, 0x0b, 0, 0x21], &v4), "gre");
        reaches(1, &gre(&[0, 0, 0x88, 0x0b, 0xff, 3, 0, 0x21], &v4), "gre");
        let over_v6 = ipv6(47, &[&[0, 0, 8, 0][..], &v4].concat());
        reaches(1, &ethernet(&[0x86dd], &over_v6), "gre");
    }

    #[test]
    fn what_is_not_analysed_is_counted() {
        assert_eq!(kind(1, &gre(&[0x40, 0, 8, 0], &[0; 40])), "gre", "source route");
        assert_eq!(kind(1, &gre(&[0, 2, 8, 0], &[0; 40])), "gre", "version 2");
        assert_eq!(kind(1, &gre(&[0, 0, 8, 6], &[0; 28])), "arp");
        assert_eq!(kind(1, &gre(&[0, 0, 8], &[])), "malformed_gre_length");
        assert_eq!(kind(1, &gre(&[0x20, 0, 8, 0, 1], &[])), "malformed_gre_length");
    }
}
