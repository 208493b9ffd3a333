//! IPv6 and its extension headers (RFC 8200).

use super::NotAnalysed;
use super::ip::{Datagram, TCP};
use super::span::{Span, field, u8_at, u16_at};
use crate::record::Address;

const HEADER: usize = 40;
const VERSION: usize = 0;
const PAYLOAD_LENGTH: usize = 4;
const NEXT_HEADER: usize = 6;
const HOP_LIMIT: usize = 7;
const SOURCE: usize = 8;
const DESTINATION: usize = 24;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// Every extension header is at least this long, and a multiple of it.
const EXTENSION: usize = 8;
const EXTENSION_LENGTH: usize = 1;
const FRAGMENT_FIELD: usize = 2;
/// Offset and the more-fragments flag: zero in an "atomic" fragment, which is a whole packet (RFC 6946).
const FRAGMENT_BITS: u16 = 0xfff9;

/// A whole IPv6 packet that carries TCP.
#[inline]
pub fn parse_ipv6(span: Span<'_>) -> Result<Datagram<'_>, NotAnalysed> {
    let header = span.header::<HEADER>("ip_length")?;
    if u8_at(header, VERSION) >> 4 != 6 {
        return Err(NotAnalysed::Malformed("ip_version"));
    }
    // 0 is a packet above 64 KiB (RFC 2675; Linux's BIG TCP leaves even the option out): as long as the frame.
    let packet = match u32::from(u16_at(header, PAYLOAD_LENGTH)) {
        0 => span,
        stated => span.stated(HEADER as u32 + stated),
    };
    let rest = skip_extensions(u8_at(header, NEXT_HEADER), packet.after(HEADER))?;
    Ok(Datagram {
        src: Address(field(header, SOURCE)),
        dst: Address(field(header, DESTINATION)),
        ttl: u8_at(header, HOP_LIMIT),
        ip_id: None,
        rest,
    })
}

/// Passes over the extension headers up to TCP. Each takes eight bytes at least, so that this ends.
#[inline]
fn skip_extensions(mut next: u8, mut rest: Span<'_>) -> Result<Span<'_>, NotAnalysed> {
    while next != TCP {
        if !matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS) {
            return Err(NotAnalysed::IpProtocol(next));
        }
        let extension = rest.header::<EXTENSION>("ip_extension_length")?;
        if next == FRAGMENT && u16_at(extension, FRAGMENT_FIELD) & FRAGMENT_BITS != 0 {
            return Err(NotAnalysed::Fragment);
        }
        // A fragment header has no length: that byte is reserved.
        let more = if next == FRAGMENT { 0 } else { usize::from(u8_at(extension, EXTENSION_LENGTH)) };
        next = u8_at(extension, 0);
        rest = rest.after(EXTENSION * (1 + more));
    }
    Ok(rest)
}
