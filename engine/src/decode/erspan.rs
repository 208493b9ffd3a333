//! ERSPAN, frames mirrored over GRE: types I and II (`draft-foschiano-erspan-03` §4.1, §4.2) and III (§4.3).

use super::NotAnalysed;
use super::layers::Layer;
use super::span::{Span, u16_at};
use super::walk::{Next, Step, protocol};

const HEADER_II: usize = 8;
const HEADER_III: usize = 12;
const SUBHEADER: usize = 8;
const SESSION: usize = 2;
const SESSION_BITS: u16 = 0x03ff;
const VLAN_BITS: u16 = 0x0fff;
/// Beside the session, what became of the frame's own tag: as 802.1Q, or ISL, it is here and no longer in the frame.
const TAG_BITS: u16 = 0x1800;
const TAG_ISL: u16 = 0x0800;
const TAG_8021Q: u16 = 0x1000;
const VERSION_SHIFT: u16 = 12;
const VERSION_II: u16 = 1;
const VERSION_III: u16 = 2;
/// Type III's last two bytes: what is mirrored, and whether a platform's own header follows.
const FLAGS: usize = 10;
const FRAME_TYPE_SHIFT: u16 = 10;
const FRAME_TYPE_BITS: u16 = 0x1f;
const HAS_SUBHEADER: u16 = 1;
/// Frame types: an Ethernet frame, an IP packet.
const ETHERNET: u16 = 0;
const IP: u16 = 2;

/// Type II, or type I, which has no header of its own and no sequence number in GRE's.
pub fn parse_erspan(is_numbered: bool, span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    if !is_numbered {
        return Ok(Step::inside(Layer::Erspan(None), Next::Ethernet, span));
    }
    let header = span.header::<HEADER_II>("erspan_length")?;
    if u16_at(header, 0) >> VERSION_SHIFT != VERSION_II {
        return Err(NotAnalysed::IpProtocol(protocol::GRE));
    }
    let session = u16_at(header, SESSION);
    let next = match session & TAG_BITS {
        TAG_ISL | TAG_8021Q => Next::Tagged(u16_at(header, 0) & VLAN_BITS),
        _ => Next::Ethernet,
    };
    Ok(Step::inside(Layer::Erspan(Some(session & SESSION_BITS)), next, span.after(HEADER_II)))
}

/// Type III.
pub fn parse_erspan_iii(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let header = span.header::<HEADER_III>("erspan_length")?;
    if u16_at(header, 0) >> VERSION_SHIFT != VERSION_III {
        return Err(NotAnalysed::IpProtocol(protocol::GRE));
    }
    let flags = u16_at(header, FLAGS);
    let next = match flags >> FRAME_TYPE_SHIFT & FRAME_TYPE_BITS {
        ETHERNET => Next::Ethernet,
        IP => Next::Ip,
        _ => return Err(NotAnalysed::IpProtocol(protocol::GRE)),
    };
    let more = if flags & HAS_SUBHEADER != 0 { SUBHEADER } else { 0 };
    let layer = Layer::Erspan(Some(u16_at(header, SESSION) & SESSION_BITS));
    Ok(Step::inside(layer, next, span.after(HEADER_III + more)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ethernet, ipv4, kind, reaches, tcp};

    /// In GRE, with `flags` for a sequence number.
    fn mirrored(flags: u8, kind: [u8; 2], header: &[u8], inside: &[u8]) -> Vec<u8> {
        let number: &[u8] = if flags == 0x10 { &[0, 0, 0, 1] } else { &[] };
        let gre = [&[flags, 0], &kind[..], number, header, inside].concat();
        ethernet(&[0x0800], &ipv4(47, 0, &gre))
    }

    fn frame() -> Vec<u8> {
        ethernet(&[0x0800], &ipv4(6, 0, &tcp(0x10, 0, &[])))
    }

    #[test]
    fn all_three_types() {
        reaches(1, &mirrored(0, [0x88, 0xbe], &[], &frame()), "erspan");
        reaches(1, &mirrored(0x10, [0x88, 0xbe], &[0x10, 5, 0x18, 0x64, 0, 0, 0, 0], &frame()), "erspan 100");
        for (tag, around) in [(0, "erspan 100"), (0x08, "erspan 100 / vlan 5"), (0x10, "erspan 100 / vlan 5")] {
            let header = [0x10, 5, tag, 0x64, 0, 0, 0, 0];
            reaches(1, &mirrored(0x10, [0x88, 0xbe], &header, &frame()), around);
        }
        let mut header = [0x20, 5, 0x08, 0x64, 0, 0, 0, 1, 0, 0, 0, 0];
        reaches(1, &mirrored(0x10, [0x22, 0xeb], &header, &frame()), "erspan 100");
        header[10..].copy_from_slice(&[0, 1]);
        let with_subheader = [&header[..], &[0xff; 8]].concat();
        reaches(1, &mirrored(0x10, [0x22, 0xeb], &with_subheader, &frame()), "erspan 100");
        header[10..].copy_from_slice(&[0x08, 0]);
        reaches(1, &mirrored(0x10, [0x22, 0xeb], &header, &frame()[14..]), "erspan 100");
    }

    #[test]
    fn what_is_none_is_counted_as_gre() {
        assert_eq!(kind(1, &mirrored(0x10, [0x88, 0xbe], &[0x30; 8], &frame())), "gre");
        assert_eq!(kind(1, &mirrored(0x10, [0x22, 0xeb], &[0x10; 12], &frame())), "gre");
        let infiniband = [0x20, 5, 0, 0, 0, 0, 0, 1, 0, 0, 0x04, 0];
        assert_eq!(kind(1, &mirrored(0x10, [0x22, 0xeb], &infiniband, &frame())), "gre");
        assert_eq!(kind(1, &mirrored(0x10, [0x88, 0xbe], &[0x10; 7], &[])), "malformed_erspan_length");
        assert_eq!(kind(1, &mirrored(0x10, [0x22, 0xeb], &[0x20; 11], &[])), "malformed_erspan_length");
    }
}
