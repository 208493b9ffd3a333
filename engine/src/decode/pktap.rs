//! macOS's packet tap: which process and interface, then a packet of another link type
//! (<https://www.tcpdump.org/linktypes/LINKTYPE_PKTAP.html>).

use super::NotAnalysed;
use super::span::{Span, field};
use super::walk::{Step, named_link};

/// `LINKTYPE_PKTAP`.
pub const PKTAP: u32 = 258;

/// Length of the header, kind of the record, link type; numbers are in the capturing host's order.
const HEADER: usize = 12;
const RECORD: usize = 4;
const LINK: usize = 8;
const PACKET: u32 = 1;
/// The header of today has 156 bytes.
const LONGEST: u32 = 4096;

/// A header's numbers. A length is small, so whichever order makes it small is the right one.
fn number(header: &[u8; HEADER], at: usize) -> u32 {
    let little = u32::from_le_bytes(field(header, 0));
    let stored = u32::from_le_bytes(field(header, at));
    if little <= little.swap_bytes() { stored } else { stored.swap_bytes() }
}

/// The link type of the packet behind.
pub fn link_behind(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|header| number(header, LINK))
}

/// The packet behind.
pub fn parse_pktap(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let header = span.header::<HEADER>("pktap_length")?;
    let length = number(header, 0);
    if !(HEADER as u32..=LONGEST).contains(&length) {
        return Err(NotAnalysed::Malformed("pktap_length"));
    }
    if number(header, RECORD) != PACKET {
        return Err(NotAnalysed::Named("pktap_no_packet"));
    }
    named_link(number(header, LINK), span.after(length as usize))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ethernet, ipv4, kind, reaches, tcp};
    use super::*;

    fn behind(length: u32, record: u32, link: u32, order: fn(u32) -> [u8; 4]) -> Vec<u8> {
        let mut header = [order(length), order(record), order(link)].concat();
        header.resize(156, 0);
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        let inside = if link == 1 { ethernet(&[0x8100, 7, 0x0800], &v4) } else { v4 };
        [header, inside].concat()
    }

    #[test]
    fn ethernet_and_raw_ip_in_either_order() {
        for order in [u32::to_le_bytes, u32::to_be_bytes] {
            reaches(PKTAP, &behind(156, 1, 1, order), "vlan 7");
            reaches(PKTAP, &behind(156, 1, 12, order), "");
        }
    }

    #[test]
    fn what_is_no_packet_is_counted() {
        assert_eq!(kind(PKTAP, &behind(156, 0, 1, u32::to_le_bytes)), "pktap_no_packet");
        assert_eq!(kind(PKTAP, &behind(156, 1, 258, u32::to_le_bytes)), "link_type_258");
        assert_eq!(kind(PKTAP, &behind(8, 1, 1, u32::to_le_bytes)), "malformed_pktap_length");
        assert_eq!(kind(PKTAP, &behind(0x0101_0101, 1, 1, u32::to_le_bytes)), "malformed_pktap_length");
        assert_eq!(kind(PKTAP, &[156, 0, 0]), "malformed_pktap_length");
    }
}
