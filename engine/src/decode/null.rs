//! BSD loopback: four bytes of address family in front of the IP header
//! (<https://www.tcpdump.org/linktypes/LINKTYPE_NULL.html>).
//!
//! `LINKTYPE_NULL` has them in the order of the capturing host, `LINKTYPE_LOOP` in network order. A family is a small
//! number, so whichever order makes it small is the right one.

use super::link::{Frame, bare};
use super::span::{Span, u32_at};
use super::{NotAnalysed, ethertype};

/// `LINKTYPE_NULL`.
pub const NULL: u32 = 0;
/// `LINKTYPE_LOOP`.
pub const LOOP: u32 = 108;

const HEADER: usize = 4;
const AF_INET: u32 = 2;
/// `AF_INET6` of Linux, `NetBSD` and `OpenBSD`, `FreeBSD`, macOS.
const AF_INET6: [u32; 4] = [10, 24, 28, 30];

/// A loopback packet.
pub fn parse_null(span: Span<'_>) -> Result<Frame<'_>, NotAnalysed> {
    let family = either_order(span.header::<HEADER>("null_length")?);
    Ok(bare(ethertype_of(family)?, span.after(HEADER)))
}

/// The family that a header begins with.
pub fn either_order(header: &[u8]) -> u32 {
    let stored = u32_at(header, 0);
    stored.min(stored.swap_bytes())
}

/// What an address family of any system but Solaris says.
pub fn ethertype_of(family: u32) -> Result<u16, NotAnalysed> {
    match family {
        AF_INET => Ok(ethertype::IPV4),
        _ if AF_INET6.contains(&family) => Ok(ethertype::IPV6),
        _ => Err(NotAnalysed::Malformed("address_family")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ipv4, ipv6, kind, reaches, tcp};
    use super::*;

    #[test]
    fn the_families_of_all_systems_in_either_order() {
        for link in [NULL, LOOP] {
            for family in [AF_INET.to_be_bytes(), AF_INET.to_le_bytes()] {
                reaches(link, &[&family[..], &ipv4(6, 0, &tcp(0x10, 0, &[]))].concat(), "");
            }
            for family in AF_INET6.iter().flat_map(|family| [family.to_be_bytes(), family.to_le_bytes()]) {
                reaches(link, &[&family[..], &ipv6(6, &tcp(0x10, 0, &[]))].concat(), "");
            }
        }
    }

    #[test]
    fn another_family_and_a_short_header_are_malformed() {
        assert_eq!(kind(NULL, &[7, 0, 0, 0]), "malformed_address_family");
        assert_eq!(kind(LOOP, &[0, 0, 2]), "malformed_null_length");
    }
}
