//! Solaris's IP observability: which zones and interfaces, then an IP packet
//! (<https://www.tcpdump.org/linktypes/LINKTYPE_IPNET.html>).

use super::NotAnalysed;
use super::ethertype;
use super::span::{Span, u8_at};
use super::walk::{Next, Step};

/// `LINKTYPE_IPNET`.
pub const IPNET: u32 = 226;

const HEADER: usize = 24;
const VERSION: usize = 0;
const FAMILY: usize = 1;
/// Solaris's address families.
const AF_INET: u8 = 2;
const AF_INET6: u8 = 26;

/// The packet behind.
pub fn parse_ipnet(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let header = span.header::<HEADER>("ipnet_length")?;
    if u8_at(header, VERSION) != 1 {
        return Err(NotAnalysed::Malformed("ipnet_version"));
    }
    let ethertype = match u8_at(header, FAMILY) {
        AF_INET => ethertype::IPV4,
        AF_INET6 => ethertype::IPV6,
        _ => return Err(NotAnalysed::Malformed("address_family")),
    };
    Ok(Step::to(Next::EtherType(ethertype), span.after(HEADER)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ipv4, ipv6, kind, reaches, tcp};
    use super::*;

    fn behind(version: u8, family: u8, inside: &[u8]) -> Vec<u8> {
        let mut header = vec![version, family];
        header.resize(HEADER, 0);
        [&header, inside].concat()
    }

    #[test]
    fn both_families() {
        reaches(IPNET, &behind(1, 2, &ipv4(6, 0, &tcp(0x10, 0, &[]))), "");
        reaches(IPNET, &behind(1, 26, &ipv6(6, &tcp(0x10, 0, &[]))), "");
    }

    #[test]
    fn nonsense_is_malformed() {
        assert_eq!(kind(IPNET, &behind(2, 2, &[])), "malformed_ipnet_version");
        assert_eq!(kind(IPNET, &behind(1, 3, &[])), "malformed_address_family");
        assert_eq!(kind(IPNET, &behind(1, 2, &[])[..23]), "malformed_ipnet_length");
    }
}
