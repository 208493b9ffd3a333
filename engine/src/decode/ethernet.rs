//! Ethernet II (IEEE 802.3) and the VLAN tags (IEEE 802.1Q, 802.1ad) that may follow any header with an Ethernet type.

use super::NotAnalysed;
use super::link::Frame;
use super::span::{Span, u16_at};
use crate::record::Tunnel;

const HEADER: usize = 14;
const TYPE: usize = 12;

const TAG: usize = 4;
const TAG_CONTROL: usize = 0;
const TAG_TYPE: usize = 2;
const VLAN_ID_BITS: u16 = 0x0fff;
/// The tag types: 802.1Q, 802.1ad's service tag, and its predecessor of the same use.
const TAG_TYPES: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// How many tags a flow's key holds; a packet with more is not analysed.
const MOST_TAGS: usize = 2;

/// An Ethernet frame, tags included.
#[inline]
pub fn parse_ethernet(span: Span<'_>) -> Result<Frame<'_>, NotAnalysed> {
    let header = span.header::<HEADER>("ethernet_length")?;
    parse_tags(u16_at(header, TYPE), span.after(HEADER))
}

/// Takes VLAN tags off, if `ethertype` says that there are any.
#[inline]
pub fn parse_tags(mut ethertype: u16, mut rest: Span<'_>) -> Result<Frame<'_>, NotAnalysed> {
    let mut ids = [0u32; MOST_TAGS];
    for id in &mut ids {
        if !TAG_TYPES.contains(&ethertype) {
            break;
        }
        let tag = rest.header::<TAG>("vlan_length")?;
        *id = tunnel_half(u16_at(tag, TAG_CONTROL) & VLAN_ID_BITS);
        ethertype = u16_at(tag, TAG_TYPE);
        rest = rest.after(TAG);
    }
    let [outer, inner] = ids;
    Ok(Frame { ethertype, tunnel: Tunnel(outer << 16 | inner), rest })
}

/// Id + 1, or 0 for none: id 0 marks a frame that has a priority and belongs to no VLAN (802.1Q §9.6), so that a
/// flow whose one direction carries such tags keeps one key.
fn tunnel_half(id: u16) -> u32 {
    if id == 0 { 0 } else { u32::from(id) + 1 }
}
