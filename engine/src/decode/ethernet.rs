//! Ethernet II (IEEE 802.3), and its frames with a length in place of the type.

use super::NotAnalysed;
use super::link::Frame;
use super::span::{Span, u16_at};
use super::vlan::parse_tags;
use super::walk::{Next, Step};

/// Its link type.
pub const ETHERNET: u32 = 1;

const HEADER: usize = 14;
const TYPE: usize = 12;

/// Below this the field is not a type but the length of what follows, which begins with LLC (IEEE 802.3 §3.2.6).
const FIRST_TYPE: u16 = 0x0600;

/// An Ethernet frame, tags included.
#[inline]
pub fn parse_ethernet(span: Span<'_>) -> Result<Frame<'_>, NotAnalysed> {
    let header = span.header::<HEADER>("ethernet_length")?;
    parse_tags(u16_at(header, TYPE), span.after(HEADER))
}

/// The header of a frame inside something else, or of one that has no type.
pub fn parse_frame(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let header = span.header::<HEADER>("ethernet_length")?;
    Ok(typed(u16_at(header, TYPE), span.after(HEADER)))
}

/// What the field behind the addresses or a tag says.
pub fn typed(type_or_length: u16, rest: Span<'_>) -> Step<'_> {
    if type_or_length >= FIRST_TYPE {
        return Step::to(Next::EtherType(type_or_length), rest);
    }
    // What follows the stated length is padding; a length beyond the frame says nothing.
    let length = u32::from(type_or_length);
    Step::to(Next::Llc, if length <= rest.wire_len { rest.stated(length) } else { rest })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ethernet, ipv4, ipv6, kind, reaches, tcp};
    use super::*;

    #[test]
    fn the_type_leads_on() {
        reaches(ETHERNET, &ethernet(&[0x0800], &ipv4(6, 0, &tcp(0x10, 0, &[]))), "");
        reaches(ETHERNET, &ethernet(&[0x86dd], &ipv6(6, &tcp(0x10, 0, &[]))), "");
    }

    #[test]
    fn short_frames_and_other_types_are_counted() {
        assert_eq!(kind(ETHERNET, &[0; 13]), "malformed_ethernet_length");
        assert_eq!(kind(ETHERNET, &ethernet(&[0x0806], &[0; 28])), "arp");
        assert_eq!(kind(ETHERNET, &ethernet(&[0x05ff], &[0x42; 40])), "llc", "the greatest length");
    }
}
