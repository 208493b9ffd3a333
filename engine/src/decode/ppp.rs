//! PPP: its protocol field (RFC 1661 §2), and the link types that begin with it or with HDLC-like framing (RFC 1662).

use super::NotAnalysed;
use super::span::{Span, u8_at, u16_at};
use super::walk::{Next, Step};
use super::{chdlc, ethertype};

/// `LINKTYPE_PPP`: with framing or without.
pub const PPP: u32 = 9;
/// `LINKTYPE_PPP_HDLC`: PPP with framing, or Cisco's framing.
pub const PPP_HDLC: u32 = 50;
/// `LINKTYPE_PPP_PPPD`: a direction in place of the framing's address.
pub const PPP_PPPD: u32 = 166;
/// `LINKTYPE_PPP_WITH_DIR`: a direction in front of a PPP packet.
pub const PPP_WITH_DIRECTION: u32 = 204;

/// Address "all stations" and control "unnumbered information".
const FRAMING: [u8; 2] = [0xff, 0x03];
const CONTROL: usize = 1;

/// PPP protocol numbers (<https://www.iana.org/assignments/ppp-numbers>).
mod number {
    pub const IPV4: u16 = 0x0021;
    pub const IPV6: u16 = 0x0057;
    pub const MPLS: u16 = 0x0281;
    pub const MPLS_MULTICAST: u16 = 0x0283;
}

/// A packet that begins with the protocol field.
pub fn parse_protocol(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let first = span.header::<1>("ppp_length")?;
    // Protocol numbers are odd in their last byte and even in the one before, so that a compressed field tells itself.
    let (number, length) = match u8_at(first, 0) {
        short if short & 1 == 1 => (u16::from(short), 1),
        _ => (u16_at(span.header::<2>("ppp_length")?, 0), 2),
    };
    let next = match number {
        number::IPV4 => Next::EtherType(ethertype::IPV4),
        number::IPV6 => Next::EtherType(ethertype::IPV6),
        number::MPLS | number::MPLS_MULTICAST => Next::Mpls,
        other => return Err(NotAnalysed::Ppp(other)),
    };
    Ok(Step::to(next, span.after(length)))
}

/// A packet that begins with the framing or, where the link negotiated that away, with the protocol field.
pub fn parse_ppp(span: Span<'_>) -> Step<'_> {
    let rest = if span.bytes.starts_with(&FRAMING) { span.after(FRAMING.len()) } else { span };
    Step::to(Next::Ppp, rest)
}

/// A serial line's packet.
pub fn parse_ppp_hdlc(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    if chdlc::is_chdlc(span) { chdlc::parse_chdlc(span) } else { Ok(parse_ppp(span)) }
}

/// A packet behind a byte that says whether it was sent or received.
pub fn parse_ppp_with_direction(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    span.header::<1>("ppp_length")?;
    let rest = span.after(1);
    let is_control_alone = rest.bytes.first() == FRAMING.get(CONTROL);
    Ok(parse_ppp(if is_control_alone { rest.after(1) } else { rest }))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ipv4, ipv6, kind, reaches, tcp};
    use super::*;

    fn after(header: &[u8], inside: &[u8]) -> Vec<u8> {
        [header, inside].concat()
    }

    #[test]
    fn framing_and_compression_are_told_by_the_bytes() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        for header in [&[0xff, 3, 0, 0x21][..], &[0, 0x21], &[0x21], &[0xff, 3, 0x21]] {
            reaches(PPP, &after(header, &v4), "");
            reaches(PPP_HDLC, &after(header, &v4), "");
        }
        reaches(PPP, &after(&[0, 0x57], &ipv6(6, &tcp(0x10, 0, &[]))), "");
        reaches(PPP, &after(&[2, 0x81, 0, 1, 0x21, 64], &v4), "mpls 18");
    }

    #[test]
    fn a_direction_is_passed_over() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        for header in [&[0, 3, 0, 0x21][..], &[1, 3, 0, 0x21]] {
            reaches(PPP_PPPD, &after(header, &v4), "");
        }
        for header in [&[0, 0xff, 3, 0, 0x21][..], &[1, 0, 0x21], &[1, 0x21]] {
            reaches(PPP_WITH_DIRECTION, &after(header, &v4), "");
        }
    }

    #[test]
    fn other_protocols_are_counted_by_name() {
        let cases: [(&[u8], &str); 6] = [
            (&[0xff, 3, 0xc0, 0x21, 1, 1], "ppp_control"),
            (&[0x80, 0x21, 1, 1], "ppp_control"),
            (&[0x00, 0xfd, 1], "ppp_compressed"),
            (&[0x3d, 1], "ppp_multilink"),
            (&[0xff, 3], "malformed_ppp_length"),
            (&[0], "malformed_ppp_length"),
        ];
        for (bytes, word) in cases {
            assert_eq!(kind(PPP, bytes), word, "{bytes:x?}");
        }
        assert_eq!(kind(PPP_PPPD, &[]), "malformed_ppp_length");
    }
}
