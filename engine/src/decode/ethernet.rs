//! Ethernet II (IEEE 802.3) and the VLAN tags (IEEE 802.1Q, 802.1ad) that may follow any header with an Ethernet type.

use super::NotAnalysed;
use super::layers::Layer;
use super::link::Frame;
use super::span::{Span, u16_at};
use super::walk::{Next, Step};
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
pub const MOST_TAGS: usize = 2;
/// Below this the field is not a type but the length of what follows, which begins with LLC (IEEE 802.3 §3.2.6).
const FIRST_TYPE: u16 = 0x0600;

/// An Ethernet frame, tags included.
#[inline]
pub fn parse_ethernet(span: Span<'_>) -> Result<Frame<'_>, NotAnalysed> {
    let header = span.header::<HEADER>("ethernet_length")?;
    parse_tags(u16_at(header, TYPE), span.after(HEADER))
}

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

/// The header of a frame inside something else, or of one that has no type.
pub fn parse_frame(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let header = span.header::<HEADER>("ethernet_length")?;
    Ok(typed(u16_at(header, TYPE), span.after(HEADER)))
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

/// What the field behind the addresses or a tag says.
fn typed(type_or_length: u16, rest: Span<'_>) -> Step<'_> {
    if type_or_length >= FIRST_TYPE {
        return Step::to(Next::EtherType(type_or_length), rest);
    }
    // What follows the stated length is padding; a length beyond the frame says nothing.
    let length = u32::from(type_or_length);
    Step::to(Next::Llc, if length <= rest.wire_len { rest.stated(length) } else { rest })
}
