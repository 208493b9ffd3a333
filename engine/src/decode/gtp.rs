//! GTP-U version 1, a mobile network's user plane (3GPP TS 29.281 §5); its extension headers are passed over.

use super::layers::Layer;
use super::span::{Span, u8_at, u16_at, u32_at};
use super::walk::{Next, Step, looks_like_ip};

/// The user plane's port.
pub const PORT: u16 = 2152;

const HEADER: usize = 8;
const FLAGS: usize = 0;
const MESSAGE: usize = 1;
const LENGTH: usize = 2;
const ENDPOINT: usize = 4;

/// Version 1 of GTP, not of its charging variant.
const VERSION: u8 = 0x30;
const VERSION_BITS: u8 = 0xf0;
const HAS_EXTENSIONS: u8 = 0x04;
/// Any of "extension header", "sequence number", "N-PDU number" adds all three fields.
const HAS_OPTIONS: u8 = 0x07;
const OPTIONS: usize = 4;
const NEXT_EXTENSION: usize = 3;
/// A user's packet; everything else is signalling.
const USER_DATA: u8 = 0xff;

/// The user's packet, if this is a header in front of one.
pub fn parse_gtp(span: Span<'_>) -> Option<Step<'_>> {
    let header = span.bytes.first_chunk::<HEADER>()?;
    let flags = u8_at(header, FLAGS);
    let length = u32::from(u16_at(header, LENGTH));
    let is_data = flags & VERSION_BITS == VERSION && u8_at(header, MESSAGE) == USER_DATA;
    let inside = span.after(HEADER);
    if !is_data || length > inside.wire_len {
        return None;
    }
    let rest = past_options(flags, inside.stated(length))?;
    looks_like_ip(rest).then(|| Step::inside(Layer::Gtp(u32_at(header, ENDPOINT)), Next::Ip, rest))
}

/// Passes over the optional fields and the extension headers. Each is 4 bytes at least, so that this ends.
fn past_options(flags: u8, span: Span<'_>) -> Option<Span<'_>> {
    if flags & HAS_OPTIONS == 0 {
        return Some(span);
    }
    let fields = span.bytes.first_chunk::<OPTIONS>()?;
    let mut next = if flags & HAS_EXTENSIONS != 0 { u8_at(fields, NEXT_EXTENSION) } else { 0 };
    let mut rest = span.after(OPTIONS);
    while next != 0 {
        let length = usize::from(*rest.bytes.first()?) * 4;
        next = *rest.bytes.get(length.checked_sub(1)?)?;
        rest = rest.after(length);
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ethernet, ipv4, ipv6, kind, reaches, tcp, udp};

    fn gtp(flags: u8, message: u8, optional: &[u8], inner: &[u8]) -> Vec<u8> {
        let length = ((optional.len() + inner.len()) as u16).to_be_bytes();
        let header = [flags, message, length[0], length[1], 0, 0, 0x1a, 0x2b];
        ethernet(&[0x0800], &udp(2152, &[&header[..], optional, inner].concat()))
    }

    #[test]
    fn user_packets_with_every_optional_field() {
        let (v4, v6) = (ipv4(6, 0, &tcp(0x10, 0, &[])), ipv6(6, &tcp(0x10, 0, &[])));
        reaches(1, &gtp(0x30, 0xff, &[], &v4), "gtp 0x1a2b");
        reaches(1, &gtp(0x30, 0xff, &[], &v6), "gtp 0x1a2b");
        reaches(1, &gtp(0x32, 0xff, &[0, 9, 0, 0], &v4), "gtp 0x1a2b");
        // A PDU session container (TS 38.415), then a PDCP number.
        let two = [0, 0, 0, 0x85, 1, 0x10, 9, 0xc0, 1, 0, 7, 0];
        reaches(1, &gtp(0x34, 0xff, &two, &v4), "gtp 0x1a2b");
        // Without the flag the field says nothing.
        reaches(1, &gtp(0x32, 0xff, &[0, 9, 0, 0x85], &v4), "gtp 0x1a2b");
    }

    #[test]
    fn signalling_and_nonsense_stay_udp() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        for (flags, message, optional) in [
            (0x30, 1, &[][..]),
            (0x20, 0xff, &[]),
            (0x50, 0xff, &[]),
            (0x34, 0xff, &[0, 0, 0, 0x85, 0]),
            (0x34, 0xff, &[0, 0, 0, 0x85, 200]),
        ] {
            assert_eq!(kind(1, &gtp(flags, message, optional, &v4)), "udp", "{flags:x} {message}");
        }
        assert_eq!(kind(1, &gtp(0x30, 0xff, &[], &[0x15; 40])), "udp");
        let mut longer = gtp(0x30, 0xff, &[], &v4);
        longer[14 + 28 + 3] += 1;
        assert_eq!(kind(1, &longer), "udp", "a length beyond the datagram");
    }
}
