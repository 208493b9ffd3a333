//! IPv4 (RFC 791).

use super::NotAnalysed;
use super::ip::{Datagram, Ends, IpPacket, Place, TCP};
use super::span::{Span, field, u8_at, u16_at};
use crate::record::Address;

const HEADER: usize = 20;
const VERSION_AND_LENGTH: usize = 0;
const TOTAL_LENGTH: usize = 2;
const IDENTIFICATION: usize = 4;
const FRAGMENT: usize = 6;
const TTL: usize = 8;
const PROTOCOL: usize = 9;
const SOURCE: usize = 12;
const DESTINATION: usize = 16;

/// More fragments, and the offset: all zero in a whole packet.
const FRAGMENT_BITS: u16 = 0x3fff;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_BITS: u16 = 0x1fff;
/// What an offset counts.
const OFFSET_UNIT: u32 = 8;

/// A whole IPv4 packet that carries TCP.
#[inline]
pub fn parse_ipv4(span: Span<'_>) -> Result<Datagram<'_>, NotAnalysed> {
    let (header, rest) = open(span)?;
    if u16_at(header, FRAGMENT) & FRAGMENT_BITS != 0 {
        return Err(NotAnalysed::Fragment);
    }
    let protocol = u8_at(header, PROTOCOL);
    if protocol != TCP {
        return Err(NotAnalysed::IpProtocol(protocol));
    }
    Ok(Datagram {
        src: Address::v4(field(header, SOURCE)),
        dst: Address::v4(field(header, DESTINATION)),
        ttl: u8_at(header, TTL),
        ip_id: Some(u16_at(header, IDENTIFICATION)),
        rest,
    })
}

/// Any IPv4 packet.
pub fn parse_any_ipv4(span: Span<'_>) -> Result<IpPacket<'_>, NotAnalysed> {
    let (header, rest) = open(span)?;
    let bits = u16_at(header, FRAGMENT);
    let place = Place {
        id: u32::from(u16_at(header, IDENTIFICATION)),
        offset: u32::from(bits & OFFSET_BITS) * OFFSET_UNIT,
        more: bits & MORE_FRAGMENTS != 0,
    };
    let ends = Ends {
        src: Address::v4(field(header, SOURCE)),
        dst: Address::v4(field(header, DESTINATION)),
        ttl: u8_at(header, TTL),
        ip_id: Some(u16_at(header, IDENTIFICATION)),
    };
    let fragment = (bits & FRAGMENT_BITS != 0).then_some(place);
    Ok(IpPacket { ends, protocol: u8_at(header, PROTOCOL), fragment, rest })
}

/// The fixed header, and what follows header and options.
#[inline]
fn open(span: Span<'_>) -> Result<(&[u8; HEADER], Span<'_>), NotAnalysed> {
    let header = span.header::<HEADER>("ip_length")?;
    let version_and_length = u8_at(header, VERSION_AND_LENGTH);
    let header_length = usize::from(version_and_length & 0x0f) * 4;
    if version_and_length >> 4 != 4 {
        return Err(NotAnalysed::Malformed("ip_version"));
    }
    if header_length < HEADER {
        return Err(NotAnalysed::Malformed("ip_header_length"));
    }
    // 0 is what segmentation offload leaves for the card to fill in: the packet is as long as the frame.
    let packet = match u32::from(u16_at(header, TOTAL_LENGTH)) {
        0 => span,
        stated => span.stated(stated),
    };
    if (packet.wire_len as usize) < header_length {
        return Err(NotAnalysed::Malformed("ip_total_length"));
    }
    Ok((header, packet.after(header_length)))
}
