//! Logical link control (IEEE 802.2) and the subnetwork access protocol over it (RFC 1042); over ATM (RFC 2684 §5.1) by itself.

use super::NotAnalysed;
use super::span::{Span, field, u16_at};
use super::walk::{Next, Step};

/// `LINKTYPE_ATM_RFC1483`.
pub const ATM_RFC1483: u32 = 100;

/// Both service access points, control, organisation, type.
const HEADER: usize = 8;
const ORGANISATION: usize = 3;
const TYPE: usize = 6;
/// SNAP's access points, and "unnumbered information".
const SNAP: [u8; 3] = [0xaa, 0xaa, 0x03];
/// The organisations under which the type is an Ethernet type: RFC 1042's, and IEEE 802.1H's for bridges.
const ETHERNET_TYPES: [[u8; 3]; 2] = [[0, 0, 0], [0, 0, 0xf8]];

/// A packet behind LLC, if SNAP says its Ethernet type.
pub fn parse_llc(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let start = span.bytes.get(..ORGANISATION).unwrap_or(span.bytes);
    if !SNAP.starts_with(start) {
        // Spanning tree, IS-IS, NetBEUI …: counted under "llc" as every type below 0x0600.
        return Err(NotAnalysed::EtherType(0));
    }
    let header = span.header::<HEADER>("llc_length")?;
    if !ETHERNET_TYPES.contains(&field(header, ORGANISATION)) {
        return Err(NotAnalysed::EtherType(0));
    }
    Ok(Step::to(Next::EtherType(u16_at(header, TYPE)), span.after(HEADER)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ipv4, kind, reaches, tcp, whole};

    /// An 802.3 frame with LLC: the field behind the addresses is a length.
    fn frame(llc: &[u8], inside: &[u8]) -> Vec<u8> {
        let length = (llc.len() + inside.len()) as u16;
        [&[0xee; 12][..], &length.to_be_bytes(), llc, inside].concat()
    }

    const SNAP_IPV4: [u8; 8] = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];

    #[test]
    fn snap_names_the_ethernet_type() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        reaches(1, &frame(&SNAP_IPV4, &v4), "");
        reaches(1, &frame(&[0xaa, 0xaa, 3, 0, 0, 0xf8, 8, 0], &v4), "");
        reaches(super::ATM_RFC1483, &[&SNAP_IPV4[..], &v4].concat(), "");
    }

    #[test]
    fn padding_after_the_stated_length_is_no_payload() {
        let mut bytes = frame(&SNAP_IPV4, &ipv4(6, 0, &tcp(0x10, 0, &[])));
        bytes.extend([0; 9]);
        assert_eq!(whole(1, &bytes).unwrap().payload_len, 5);
    }

    #[test]
    fn anything_else_is_counted_as_llc() {
        assert_eq!(kind(1, &frame(&[0x42, 0x42, 3], &[0; 35])), "llc", "spanning tree");
        assert_eq!(kind(1, &frame(&[0xaa, 0xaa, 3, 0, 0, 0xc, 8, 0], &[0; 35])), "llc", "another organisation");
        assert_eq!(kind(1, &frame(&[0xaa, 0xaa, 3, 0], &[])), "malformed_llc_length");
        assert_eq!(kind(1, &frame(&[0xaa, 0xaa, 3, 0, 0, 0, 8, 6], &[0; 28])), "arp");
        assert_eq!(kind(1, &frame(&[0xaa, 0xaa, 3, 0, 0, 0, 0, 6], &[0; 28])), "llc", "a type that is none");
    }

    #[test]
    fn a_frame_that_states_more_than_was_sent_is_read_as_far_as_it_goes() {
        let mut bytes = frame(&SNAP_IPV4, &ipv4(6, 0, &tcp(0x10, 0, &[])));
        bytes[12..14].copy_from_slice(&1500u16.to_be_bytes());
        reaches(1, &bytes, "");
    }
}
