//! Cisco's HDLC framing: an address, a control byte, an Ethernet type
//! (<https://www.tcpdump.org/linktypes/LINKTYPE_C_HDLC.html>).

use super::NotAnalysed;
use super::span::{Span, u16_at};
use super::walk::{Next, Step};

/// `LINKTYPE_C_HDLC`.
pub const C_HDLC: u32 = 104;

const HEADER: usize = 4;
const TYPE: usize = 2;
/// Unicast and multicast.
const ADDRESSES: [u8; 2] = [0x0f, 0x8f];

/// Whether a packet of a serial line has this framing and not PPP's.
pub fn is_chdlc(span: Span<'_>) -> bool {
    matches!(span.bytes, [address, 0, ..] if ADDRESSES.contains(address))
}

/// A packet.
pub fn parse_chdlc(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let header = span.header::<HEADER>("chdlc_length")?;
    Ok(Step::to(Next::EtherType(u16_at(header, TYPE)), span.after(HEADER)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ipv4, ipv6, kind, reaches, tcp};
    use super::super::{NotAnalysed, ppp::PPP_HDLC};
    use super::*;

    #[test]
    fn a_packet_of_either_link_type_is_read() {
        let (v4, v6) = (ipv4(6, 0, &tcp(0x10, 0, &[])), ipv6(6, &tcp(0x10, 0, &[])));
        for (header, inside) in [([0x0f, 0, 8, 0], &v4), ([0x8f, 0, 0x86, 0xdd], &v6)] {
            let bytes = [&header[..], inside].concat();
            reaches(C_HDLC, &bytes, "");
            reaches(PPP_HDLC, &bytes, "");
        }
    }

    #[test]
    fn keepalives_are_counted() {
        let bytes = [&[0x8f, 0, 0x80, 0x35][..], &[0; 18]].concat();
        assert_eq!(kind(C_HDLC, &bytes), NotAnalysed::EtherType(0x8035).kind());
        assert_eq!(kind(C_HDLC, &[0x0f, 0, 8]), "malformed_chdlc_length");
    }
}
