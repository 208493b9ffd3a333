//! L2TP version 2, PPP over UDP (RFC 2661 §3.1). Its control messages, and version 3, stay UDP.

use super::layers::Layer;
use super::ppp;
use super::span::{Span, u8_at, u16_at};
use super::walk::Step;

/// Of either end: who answers may do so from another port (RFC 2661 §8.1).
pub const PORT: u16 = 1701;

const FLAGS: usize = 2;
const CONTROL: u16 = 0x8000;
const HAS_LENGTH: u16 = 0x4000;
const HAS_SEQUENCE: u16 = 0x0800;
const HAS_OFFSET: u16 = 0x0200;
const VERSION_BITS: u16 = 0x000f;
/// To be sent as 0, and to be ignored; but on this port there are more clients of other services than reserved bits in use.
const RESERVED: u16 = 0x34f0;
const VERSION: u16 = 2;

const LENGTH: usize = 2;
const IDENTIFIERS: usize = 4;
const SESSION: usize = 2;
const SEQUENCE: usize = 4;
const OFFSET: usize = 2;

/// The session's packet, if this is a header in front of one.
pub fn parse_l2tp(span: Span<'_>) -> Option<Step<'_>> {
    let flags = u16_at(span.bytes.first_chunk::<FLAGS>()?, 0);
    if flags & VERSION_BITS != VERSION || flags & (CONTROL | RESERVED) != 0 {
        return None;
    }
    let message = if flags & HAS_LENGTH == 0 { span } else { stated(span)? };
    let rest = message.after(if flags & HAS_LENGTH == 0 { FLAGS } else { FLAGS + LENGTH });
    let identifiers = rest.bytes.first_chunk::<IDENTIFIERS>()?;
    let (tunnel, session) = (u16_at(identifiers, 0), u16_at(identifiers, SESSION));
    // 0 is who has no number yet: control messages alone (RFC 2661 §3.1).
    if tunnel == 0 || session == 0 {
        return None;
    }
    let numbered = if flags & HAS_SEQUENCE == 0 { 0 } else { SEQUENCE };
    let rest = past_offset(flags, rest.after(IDENTIFIERS + numbered))?;
    let inside = ppp::parse_ppp(rest);
    may_be_protocol(inside.rest.bytes).then_some(Step { layer: Some(Layer::L2tp(tunnel, session)), ..inside })
}

/// As long as the header says, which is no longer than the datagram.
fn stated(span: Span<'_>) -> Option<Span<'_>> {
    let header = span.bytes.first_chunk::<{ FLAGS + LENGTH }>()?;
    let length = u32::from(u16_at(header, FLAGS));
    (length <= span.wire_len).then(|| span.stated(length))
}

/// Passes over the padding that the header tells, and the field that tells it.
fn past_offset(flags: u16, rest: Span<'_>) -> Option<Span<'_>> {
    if flags & HAS_OFFSET == 0 {
        return Some(rest);
    }
    let padding = u16_at(rest.bytes.first_chunk::<OFFSET>()?, 0);
    Some(rest.after(OFFSET + usize::from(padding)))
}

/// A PPP protocol number is odd, and even in its upper byte (RFC 1661 §2).
fn may_be_protocol(bytes: &[u8]) -> bool {
    let (first, second) = (u8_at(bytes, 0), u8_at(bytes, 1));
    !bytes.is_empty() && (first & 1 == 1 || second & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{decode, ethernet, ipv4, ipv6, kind, packet, reaches, tcp, udp};

    /// In front of a packet of IPv4 in PPP with framing; `optional` goes behind the identifiers.
    fn l2tp(flags: u16, length: Option<u16>, optional: &[u8], inside: &[u8]) -> Vec<u8> {
        let length = length.map(u16::to_be_bytes).map_or(vec![], |length| length.to_vec());
        let message = [&flags.to_be_bytes()[..], &length, &[0, 12, 0, 3], optional, inside].concat();
        ethernet(&[0x0800], &udp(1701, &message))
    }

    fn framed() -> Vec<u8> {
        [&[0xff, 3, 0, 0x21][..], &ipv4(6, 0, &tcp(0x10, 0, &[]))].concat()
    }

    #[test]
    fn sessions_with_every_optional_field() {
        let inside = framed();
        let whole = inside.len() as u16;
        reaches(1, &l2tp(0x0002, None, &[], &inside), "l2tp 12.3");
        reaches(1, &l2tp(0x0002, None, &[], &inside[2..]), "l2tp 12.3");
        reaches(1, &l2tp(0x4002, Some(whole + 8), &[], &inside), "l2tp 12.3");
        reaches(1, &l2tp(0x0802, None, &[0, 1, 0, 0], &inside), "l2tp 12.3");
        reaches(1, &l2tp(0x0202, None, &[0, 0], &inside), "l2tp 12.3");
        reaches(1, &l2tp(0x0202, None, &[0, 3, 9, 9, 9], &inside), "l2tp 12.3");
        let every = [0, 1, 0, 2, 0, 2, 9, 9];
        reaches(1, &l2tp(0x4b02, Some(whole + 16), &every, &inside), "l2tp 12.3");
        let v6 = [&[0, 0x57][..], &ipv6(6, &tcp(0x10, 0, &[]))].concat();
        reaches(1, &l2tp(0x0002, None, &[], &v6), "l2tp 12.3");
    }

    #[test]
    fn the_other_direction_has_the_port_as_its_source() {
        let mut bytes = l2tp(0x0002, None, &[], &framed());
        bytes[14 + 20..14 + 24].copy_from_slice(&[0x06, 0xa5, 0xc3, 0x50]);
        reaches(1, &bytes, "l2tp 12.3");
    }

    #[test]
    fn what_follows_the_stated_length_is_padding() {
        let inside = framed();
        let bytes = l2tp(0x4002, Some(inside.len() as u16 + 8), &[], &[&inside[..], &[0; 6]].concat());
        assert_eq!(decode(&packet(1, bytes.len()), &bytes, 0).unwrap().payload_len, 5);
    }

    #[test]
    fn what_a_session_holds_is_named() {
        assert_eq!(kind(1, &l2tp(0x0002, None, &[], &[0xff, 3, 0xc0, 0x21, 1, 1, 0, 4])), "ppp_control");
        assert_eq!(kind(1, &l2tp(0x0002, None, &[], &[0, 0xfd, 0x90, 1])), "ppp_compressed");
    }

    #[test]
    fn control_messages_and_nonsense_stay_udp() {
        let inside = framed();
        let whole = inside.len() as u16 + 8;
        for (flags, length, optional, what) in [
            (0xc802, Some(whole + 4), &[0, 1, 0, 0][..], "control"),
            (0x0001, None, &[], "L2F"),
            (0x0003, None, &[], "version 3"),
            (0x2402, None, &[], "an answer of NTP"),
            (0x4002, Some(whole + 1), &[], "longer than the datagram"),
            (0x4002, Some(6), &[], "shorter than its header"),
            (0x0202, None, &[4, 0], "padding beyond the datagram"),
            (0x0002, None, &[4, 4], "no PPP protocol"),
        ] {
            assert_eq!(kind(1, &l2tp(flags, length, optional, &inside)), "udp", "{what}");
        }
        for identifiers in [[0, 0, 0, 3], [0, 12, 0, 0]] {
            let mut bytes = l2tp(0x0002, None, &[], &inside);
            bytes[14 + 28 + 2..14 + 28 + 6].copy_from_slice(&identifiers);
            assert_eq!(kind(1, &bytes), "udp", "{identifiers:?}");
        }
        assert_eq!(kind(1, &l2tp(0x0002, None, &[], &[0, 0x21, 0x15, 0x15])), "udp", "no IP");
    }
}
