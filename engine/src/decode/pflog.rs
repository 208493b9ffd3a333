//! The log of BSD's packet filter: which rule matched, then an IP packet
//! (<https://www.tcpdump.org/linktypes/LINKTYPE_PFLOG.html>).

use super::NotAnalysed;
use super::null::ethertype_of;
use super::span::{Span, u8_at};
use super::walk::{Next, Step};

/// `LINKTYPE_PFLOG`.
pub const PFLOG: u32 = 117;

const LENGTH: usize = 0;
const FAMILY: usize = 1;
/// The oldest header; later ones, and those of other systems, have more behind it (61, 69 and 100 bytes).
const LEAST: usize = 45;
/// The length is told without its padding.
const ALIGNMENT: usize = 4;

/// The packet behind.
pub fn parse_pflog(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let length = usize::from(u8_at(span.header::<1>("pflog_length")?, LENGTH));
    if length < LEAST {
        return Err(NotAnalysed::Malformed("pflog_length"));
    }
    let family = u8_at(span.header::<LEAST>("pflog_length")?, FAMILY);
    let rest = span.after(length.next_multiple_of(ALIGNMENT));
    Ok(Step::to(Next::EtherType(ethertype_of(family.into())?), rest))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ipv4, ipv6, kind, reaches, tcp};
    use super::*;

    fn logged(length: u8, family: u8, inside: &[u8]) -> Vec<u8> {
        let mut header = vec![length, family, 0, 0];
        header.extend(b"em0");
        header.resize(usize::from(length).next_multiple_of(4), 0);
        [&header, inside].concat()
    }

    #[test]
    fn the_headers_and_families_of_all_systems() {
        let (v4, v6) = (ipv4(6, 0, &tcp(0x10, 0, &[])), ipv6(6, &tcp(0x10, 0, &[])));
        for length in [45, 48, 61, 64, 69, 100] {
            reaches(PFLOG, &logged(length, 2, &v4), "");
            for family in [24, 28, 30] {
                reaches(PFLOG, &logged(length, family, &v6), "");
            }
        }
    }

    #[test]
    fn nonsense_is_malformed() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        assert_eq!(kind(PFLOG, &[]), "malformed_pflog_length");
        assert_eq!(kind(PFLOG, &logged(44, 2, &v4)), "malformed_pflog_length");
        assert_eq!(kind(PFLOG, &logged(61, 2, &v4)[..44]), "malformed_pflog_length");
        assert_eq!(kind(PFLOG, &logged(61, 18, &v4)), "malformed_address_family");
        assert_eq!(kind(PFLOG, &logged(61, 2, &[])), "malformed_ip_length");
    }
}
