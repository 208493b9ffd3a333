//! IPv6 and its extension headers (RFC 8200).

use super::NotAnalysed;
use super::ip::{Datagram, Ends, IpPacket, Place, TCP};
use super::span::{Span, field, u8_at, u16_at, u32_at};
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

const MORE_FRAGMENTS: u16 = 0x0001;
const OFFSET_BITS: u16 = 0xfff8;
const FRAGMENT_ID: usize = 4;

/// A whole IPv6 packet that carries TCP.
#[inline]
pub fn parse_ipv6(span: Span<'_>) -> Result<Datagram<'_>, NotAnalysed> {
    let (header, rest) = open(span)?;
    let upper = skip_extensions(u8_at(header, NEXT_HEADER), rest)?;
    if upper.fragment.is_some() {
        return Err(NotAnalysed::Fragment);
    }
    if upper.protocol != TCP {
        return Err(NotAnalysed::IpProtocol(upper.protocol));
    }
    let (src, dst) = addresses(header)?;
    Ok(Datagram { src, dst, ttl: u8_at(header, HOP_LIMIT), ip_id: None, rest: upper.rest })
}

/// Any IPv6 packet.
pub fn parse_any_ipv6(span: Span<'_>) -> Result<IpPacket<'_>, NotAnalysed> {
    let (header, rest) = open(span)?;
    let upper = skip_extensions(u8_at(header, NEXT_HEADER), rest)?;
    let (src, dst) = addresses(header)?;
    let ends = Ends { src, dst, ttl: u8_at(header, HOP_LIMIT), ip_id: None };
    Ok(IpPacket { ends, protocol: upper.protocol, fragment: upper.fragment, rest: upper.rest })
}

/// From whom to whom. Those that stand for IPv4 addresses (`::ffff:0:0/96`) are of no packet on the wire, whose flow would be
/// IPv4's: Linux drops what comes from one (`ip6_rcv_core`).
#[inline]
fn addresses(header: &[u8; HEADER]) -> Result<(Address, Address), NotAnalysed> {
    let [src, dst] = [SOURCE, DESTINATION].map(|at| Address(field(header, at)));
    if src.is_v4() || dst.is_v4() { Err(NotAnalysed::Malformed("ip_mapped_address")) } else { Ok((src, dst)) }
}

/// The fixed header, and what follows it.
#[inline]
fn open(span: Span<'_>) -> Result<(&[u8; HEADER], Span<'_>), NotAnalysed> {
    let header = span.header::<HEADER>("ip_length")?;
    if u8_at(header, VERSION) >> 4 != 6 {
        return Err(NotAnalysed::Malformed("ip_version"));
    }
    // 0 is a packet above 64 KiB (RFC 2675; Linux's BIG TCP leaves even the option out): as long as the frame.
    let packet = match u32::from(u16_at(header, PAYLOAD_LENGTH)) {
        0 => span,
        stated => span.stated(HEADER as u32 + stated),
    };
    Ok((header, packet.after(HEADER)))
}

/// What comes after the extension headers.
#[derive(Clone, Copy, Debug)]
pub struct Upper<'a> {
    /// Its protocol.
    pub protocol: u8,
    /// Where it belongs, if it is not whole.
    pub fragment: Option<Place>,
    /// The bytes.
    pub rest: Span<'a>,
}

/// Passes over the extension headers up to what is none, or to a fragment. Each takes eight bytes at least, so that
/// this ends.
#[inline]
pub fn skip_extensions(mut next: u8, mut rest: Span<'_>) -> Result<Upper<'_>, NotAnalysed> {
    while matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS) {
        let extension = rest.header::<EXTENSION>("ip_extension_length")?;
        let is_fragment = next == FRAGMENT;
        // A fragment header has no length: that byte is reserved.
        let more = if is_fragment { 0 } else { usize::from(u8_at(extension, EXTENSION_LENGTH)) };
        next = u8_at(extension, 0);
        rest = rest.after(EXTENSION * (1 + more));
        let bits = u16_at(extension, FRAGMENT_FIELD);
        if is_fragment && bits & FRAGMENT_BITS != 0 {
            let (offset, more) = (u32::from(bits & OFFSET_BITS), bits & MORE_FRAGMENTS != 0);
            let place = Place { id: u32_at(extension, FRAGMENT_ID), offset, more };
            return Ok(Upper { protocol: next, fragment: Some(place), rest });
        }
    }
    Ok(Upper { protocol: next, fragment: None, rest })
}
