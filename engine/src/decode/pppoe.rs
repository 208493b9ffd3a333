//! PPP over Ethernet, session stage (RFC 2516 §4): behind an Ethernet type, or a link type of its own.

use super::NotAnalysed;
use super::layers::Layer;
use super::span::{Span, u8_at, u16_at};
use super::walk::{Next, Step};

/// `LINKTYPE_PPP_ETHER`: begins with this header.
pub const PPP_ETHER: u32 = 51;

const HEADER: usize = 6;
const VERSION_AND_TYPE: usize = 0;
const CODE: usize = 1;
const SESSION: usize = 2;
const LENGTH: usize = 4;

const VERSION_1_TYPE_1: u8 = 0x11;
const SESSION_DATA: u8 = 0;

/// A session's packet; discovery is only counted.
pub fn parse_pppoe(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let header = span.header::<HEADER>("pppoe_length")?;
    if u8_at(header, VERSION_AND_TYPE) != VERSION_1_TYPE_1 {
        return Err(NotAnalysed::Malformed("pppoe_version"));
    }
    if u8_at(header, CODE) != SESSION_DATA {
        return Err(NotAnalysed::Named("pppoe"));
    }
    let rest = span.after(HEADER).stated(u32::from(u16_at(header, LENGTH)));
    Ok(Step::inside(Layer::Pppoe(u16_at(header, SESSION)), Next::Ppp, rest))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ethernet, ipv4, kind, reaches, tcp};
    use super::*;

    /// Session 0x11 around an IPv4 packet.
    fn session() -> Vec<u8> {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        let length = (v4.len() as u16 + 2).to_be_bytes();
        [&[0x11, 0, 0, 0x11][..], &length, &[0, 0x21], &v4].concat()
    }

    #[test]
    fn a_session_is_read_behind_ethernet_and_by_itself() {
        reaches(1, &ethernet(&[0x8864], &session()), "pppoe 17");
        reaches(1, &ethernet(&[0x8100, 7, 0x8864], &session()), "vlan 7 / pppoe 17");
        reaches(PPP_ETHER, &session(), "pppoe 17");
        let mut padded = ethernet(&[0x8864], &session());
        padded.extend([0; 8]);
        reaches(1, &padded, "pppoe 17");
    }

    #[test]
    fn discovery_and_nonsense_are_counted() {
        let with = |at: usize, byte: u8| {
            let mut bytes = session();
            bytes[at] = byte;
            bytes
        };
        assert_eq!(kind(1, &ethernet(&[0x8863], &with(1, 9))), "pppoe");
        assert_eq!(kind(PPP_ETHER, &with(1, 9)), "pppoe");
        assert_eq!(kind(PPP_ETHER, &with(0, 0x21)), "malformed_pppoe_version");
        assert_eq!(kind(PPP_ETHER, &session()[..5]), "malformed_pppoe_length");
    }
}
