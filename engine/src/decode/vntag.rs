//! Cisco's VN-Tag, which names the virtual ports of a frame (the proposal before IEEE 802.1BR, as Wireshark reads it):
//! passed over wherever tags may be. Its ports are another pair in each direction, and no network's.

use super::NotAnalysed;
use super::ethernet::typed;
use super::span::{Span, u16_at};
use super::walk::Step;

const TAG: usize = 6;
/// Behind direction, flags and both ports.
const TYPE: usize = 4;

/// What follows the tag.
pub fn parse_vntag(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let tag = span.header::<TAG>("vntag_length")?;
    Ok(typed(u16_at(tag, TYPE), span.after(TAG)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ethernet, ipv4, ipv6, kind, reaches, tcp};

    #[test]
    fn it_is_passed_over_among_tags() {
        let (v4, v6) = (ipv4(6, 0, &tcp(0x10, 0, &[])), ipv6(6, &tcp(0x10, 0, &[])));
        reaches(1, &ethernet(&[0x8926, 0x8001, 0x0002, 0x0800], &v4), "");
        reaches(1, &ethernet(&[0x8926, 1, 2, 0x8100, 7, 0x86dd], &v6), "vlan 7");
        reaches(1, &ethernet(&[0x88a8, 7, 0x8926, 1, 2, 0x8100, 12, 0x0800], &v4), "vlan 7.12");
        let llc = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &v4].concat();
        reaches(1, &ethernet(&[0x8926, 1, 2, llc.len() as u16], &llc), "");
    }

    #[test]
    fn more_than_there_may_be_and_short_ones_are_counted() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        assert_eq!(kind(1, &ethernet(&[0x8926, 1, 2, 0x8926, 1, 2, 0x8926, 1, 2, 0x0800], &v4)), "vntag");
        let three = [0x8100, 1, 0x8926, 1, 2, 0x8100, 2, 0x8100, 3, 0x0800];
        assert_eq!(kind(1, &ethernet(&three, &v4)), "vlan_deeper_than_two");
        assert_eq!(kind(1, &ethernet(&[0x8926, 1, 2], &[])), "malformed_vntag_length");
        assert_eq!(kind(1, &ethernet(&[0x8926, 1, 2, 0x0806], &[0; 28])), "arp");
    }
}
