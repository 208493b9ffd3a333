//! VLAN tags (IEEE 802.1Q, 802.1ad), which may follow any header with an Ethernet type.

use super::NotAnalysed;
use super::ethernet::typed;
use super::ethertype;
use super::layers::Layer;
use super::link::Frame;
use super::span::{Span, u16_at};
use super::walk::Step;
use crate::record::Tunnel;

const TAG: usize = 4;
const TAG_CONTROL: usize = 0;
const TAG_TYPE: usize = 2;
const VLAN_ID_BITS: u16 = 0x0fff;
/// The tag types: 802.1Q, 802.1ad's service tag, and its predecessor of the same use.
pub const TAG_TYPES: [u16; 3] = [ethertype::VLAN, ethertype::SERVICE_VLAN, ethertype::OLD_SERVICE_VLAN];
/// How many tags a flow's key holds; a packet with more is not analysed.
pub const MOST_TAGS: usize = 2;

/// Takes VLAN tags off, if `ethertype` says that there are any.
#[inline]
pub fn parse_tags(mut ethertype: u16, mut rest: Span<'_>) -> Result<Frame<'_>, NotAnalysed> {
    let mut ids = [0u16; MOST_TAGS];
    for id in &mut ids {
        if !TAG_TYPES.contains(&ethertype) {
            break;
        }
        let tag = rest.header::<TAG>("vlan_length")?;
        *id = u16_at(tag, TAG_CONTROL) & VLAN_ID_BITS;
        ethertype = u16_at(tag, TAG_TYPE);
        rest = rest.after(TAG);
    }
    let [outer, inner] = ids;
    Ok(Frame { ethertype, tunnel: Tunnel::vlans(outer, inner), rest })
}

/// The tag in front, if `ethertype` says that there is one.
pub fn parse_tag(ethertype: u16, rest: Span<'_>) -> Result<Option<Step<'_>>, NotAnalysed> {
    if !TAG_TYPES.contains(&ethertype) {
        return Ok(None);
    }
    let tag = rest.header::<TAG>("vlan_length")?;
    let layer = Layer::Vlan(u16_at(tag, TAG_CONTROL) & VLAN_ID_BITS);
    Ok(Some(Step { layer: Some(layer), ..typed(u16_at(tag, TAG_TYPE), rest.after(TAG)) }))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ethernet, ipv4, kind, reaches, tcp};

    #[test]
    fn every_tag_type_and_two_of_them() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        for tag in [0x8100, 0x88a8, 0x9100] {
            reaches(1, &ethernet(&[tag, 7, 0x0800], &v4), "vlan 7");
            reaches(1, &ethernet(&[tag, 7, 0x8100, 12, 0x0800], &v4), "vlan 7.12");
        }
    }

    #[test]
    fn the_priority_is_no_part_of_the_id_and_id_0_no_vlan() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        reaches(1, &ethernet(&[0x8100, 0xf007, 0x0800], &v4), "vlan 7");
        reaches(1, &ethernet(&[0x8100, 0xe000, 0x0800], &v4), "");
    }

    #[test]
    fn three_tags_and_short_ones_are_counted() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        let three = ethernet(&[0x8100, 1, 0x8100, 2, 0x8100, 3, 0x0800], &v4);
        assert_eq!(kind(1, &three), "vlan_deeper_than_two");
        assert_eq!(kind(1, &ethernet(&[0x8100, 1], &[])), "malformed_vlan_length");
        assert_eq!(kind(1, &ethernet(&[0x8100, 1, 0x0806], &[0; 28])), "arp");
    }
}
