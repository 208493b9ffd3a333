//! Per-packet information: notes in front of a packet of another link type
//! (<https://www.tcpdump.org/linktypes/LINKTYPE_PPI.html>).

use super::NotAnalysed;
use super::ieee80211::{BAD_FRAME, Extras, IEEE802_11, parse_ieee80211};
use super::span::{Span, u16_at, u32_at};
use super::walk::{Step, named_link};

/// `LINKTYPE_PPI`.
pub const PPI: u32 = 192;

const HEADER: usize = 8;
const LENGTH: usize = 2;
const LINK: usize = 4;

/// A field's type and length, then the field; all numbers are least significant byte first.
const FIELD: usize = 4;
/// The field of an 802.11 receiver: a timer of 8 bytes, then flags.
const IEEE802_11_COMMON: u16 = 2;
const FLAGS: usize = 8;
const HAS_CHECK: u16 = 1;
const BAD_CHECK: u16 = 4;

/// The packet behind.
pub fn parse_ppi(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let header = span.header::<HEADER>("ppi_length")?;
    let length = usize::from(u16_at(header, LENGTH).swap_bytes());
    if u16_at(header, 0) >> 8 != 0 || length < HEADER {
        return Err(NotAnalysed::Malformed("ppi_length"));
    }
    let rest = span.after(length);
    match u32_at(header, LINK).swap_bytes() {
        IEEE802_11 => {
            let flags = flags(span.bytes.get(HEADER..length).unwrap_or_default());
            if flags & BAD_CHECK != 0 {
                return Err(NotAnalysed::Named(BAD_FRAME));
            }
            parse_ieee80211(rest, Extras { has_check: flags & HAS_CHECK != 0, is_padded: false })
        }
        other => named_link(other, rest),
    }
}

/// What a receiver's field says. Each field takes 4 bytes at least, so that this ends.
fn flags(mut fields: &[u8]) -> u16 {
    while fields.len() >= FIELD {
        let (kind, length) = (u16_at(fields, 0).swap_bytes(), usize::from(u16_at(fields, 2).swap_bytes()));
        if kind == IEEE802_11_COMMON {
            return u16_at(fields, FIELD + FLAGS).swap_bytes();
        }
        fields = fields.get(FIELD + length..).unwrap_or_default();
    }
    0
}

#[cfg(test)]
mod tests {
    use super::super::ieee80211::tests::frame;
    use super::super::tests::{ethernet, ipv4, kind, reaches, tcp};
    use super::*;

    fn behind(link: u8, fields: &[u8], inside: &[u8]) -> Vec<u8> {
        let length = (HEADER + fields.len()) as u8;
        [&[0, 0, length, 0, link, 0, 0, 0][..], fields, inside].concat()
    }

    #[test]
    fn ethernet_and_802_11_inside() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        reaches(PPI, &behind(1, &[], &ethernet(&[0x8100, 7, 0x0800], &v4)), "vlan 7");
        reaches(PPI, &behind(105, &[], &frame(0x88, 1, 26)), "");
        let location = [0x32, 0x75, 2, 0, 9, 9];
        let common = [&[2, 0, 20, 0][..], &[0; 8], &[1, 0], &[0; 10]].concat();
        let checked = [&frame(0x88, 1, 26)[..], &[1, 2, 3, 4]].concat();
        reaches(PPI, &behind(105, &[&location[..], &common].concat(), &checked), "");
        assert_eq!(flags(&[&location[..], &common].concat()), HAS_CHECK);
        let damaged = [&[2, 0, 20, 0][..], &[0; 8], &[5, 0], &[0; 10]].concat();
        assert_eq!(kind(PPI, &behind(105, &damaged, &checked)), BAD_FRAME);
    }

    #[test]
    fn no_header_in_a_header_of_its_kind() {
        assert_eq!(kind(PPI, &behind(192, &[], &behind(1, &[], &[]))), "link_type_192");
        assert_eq!(kind(PPI, &behind(147, &[], &[0; 40])), "link_type_147");
    }

    #[test]
    fn lengths_that_cannot_be_are_malformed() {
        assert_eq!(kind(PPI, &[0, 0, 7, 0, 1, 0, 0, 0]), "malformed_ppi_length");
        assert_eq!(kind(PPI, &[1, 0, 8, 0, 1, 0, 0, 0]), "malformed_ppi_length");
        assert_eq!(kind(PPI, &[0, 0, 8]), "malformed_ppi_length");
    }
}
