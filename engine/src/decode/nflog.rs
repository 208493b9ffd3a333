//! What netfilter logs: attributes, one of them the packet from its IP header on
//! (<https://www.tcpdump.org/linktypes/LINKTYPE_NFLOG.html>).

use super::NotAnalysed;
use super::span::Span;
use super::walk::{Next, Step};

/// `LINKTYPE_NFLOG`.
pub const NFLOG: u32 = 239;

/// Address family, version, resource.
const HEADER: usize = 4;
const VERSION: usize = 1;
/// An attribute's length, this included, and its type, both in the order of the host that captured.
const ATTRIBUTE: usize = 4;
const ALIGNMENT: usize = 4;
const PAYLOAD: u16 = 9;

/// The packet.
pub fn parse_nflog(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let header = span.header::<HEADER>("nflog_length")?;
    if header.get(VERSION) != Some(&0) {
        return Err(NotAnalysed::Malformed("nflog_version"));
    }
    let attributes = span.after(HEADER);
    // The file says its own byte order, not that of what was captured; the wrong one soon leads outside.
    let found = payload(attributes, u16::from_le_bytes).or_else(|| payload(attributes, u16::from_be_bytes));
    let truncated = span.bytes.len() < span.wire_len as usize;
    let reason = if truncated { NotAnalysed::Truncated } else { NotAnalysed::Malformed("nflog_attributes") };
    found.map(|rest| Step::to(Next::Ip, rest)).ok_or(reason)
}

/// The payload attribute. Each takes 4 bytes at least, so that this ends.
fn payload(mut rest: Span<'_>, order: fn([u8; 2]) -> u16) -> Option<Span<'_>> {
    loop {
        let &[l0, l1, t0, t1] = rest.bytes.first_chunk::<ATTRIBUTE>()?;
        let length = usize::from(order([l0, l1]));
        if length < ATTRIBUTE || length > rest.wire_len as usize {
            return None;
        }
        if order([t0, t1]) == PAYLOAD {
            return Some(rest.stated(length as u32).after(ATTRIBUTE));
        }
        rest = rest.after(length.next_multiple_of(ALIGNMENT));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ipv4, ipv6, kind, reaches, tcp};
    use super::*;

    /// A prefix of 3 bytes (padded), a mark, the packet, in the order that `bytes` gives.
    fn logged(family: u8, packet: &[u8], bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let attribute = |kind: u16, value: &[u8]| {
            let mut out = [bytes(value.len() as u16 + 4), bytes(kind)].concat();
            out.extend(value);
            out.resize(out.len().next_multiple_of(4), 0);
            out
        };
        [vec![family, 0, 0, 5], attribute(10, b"in\0"), attribute(3, &[0; 4]), attribute(9, packet)].concat()
    }

    #[test]
    fn both_families_in_either_order() {
        let (v4, v6) = (ipv4(6, 0, &tcp(0x10, 0, &[])), ipv6(6, &tcp(0x10, 0, &[])));
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            reaches(NFLOG, &logged(2, &v4, order), "");
            reaches(NFLOG, &logged(10, &v6, order), "");
        }
    }

    #[test]
    fn nonsense_is_malformed() {
        assert_eq!(kind(NFLOG, &[2, 0, 0]), "malformed_nflog_length");
        assert_eq!(kind(NFLOG, &[2, 1, 0, 0, 8, 0, 9, 0]), "malformed_nflog_version");
        assert_eq!(kind(NFLOG, &[2, 0, 0, 0]), "malformed_nflog_attributes");
        assert_eq!(kind(NFLOG, &[2, 0, 0, 0, 0, 0, 0, 0]), "malformed_nflog_attributes");
        assert_eq!(kind(NFLOG, &logged(2, &[], u16::to_le_bytes)), "malformed_raw_length");
    }
}
