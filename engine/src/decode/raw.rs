//! No link header: IP of the version that its first four bits say, or that the link type says
//! (<https://www.tcpdump.org/linktypes.html>: `LINKTYPE_RAW`, `…_IPV4`, `…_IPV6`).

use super::link::{Frame, bare};
use super::span::{Span, u8_at};
use super::walk::{Next, Step};
use super::{NotAnalysed, ethertype};

/// Either version.
pub const RAW: u32 = 101;
/// `DLT_RAW` of most systems, which some tools write in place of it.
pub const RAW_DLT: u32 = 12;
/// `DLT_RAW` of `OpenBSD`.
pub const RAW_DLT_OPENBSD: u32 = 14;
/// IPv4 only.
pub const IPV4: u32 = 228;
/// IPv6 only.
pub const IPV6: u32 = 229;

/// Either version.
pub fn parse_raw(span: Span<'_>) -> Result<Frame<'_>, NotAnalysed> {
    match u8_at(span.header::<1>("raw_length")?, 0) >> 4 {
        4 => Ok(bare(ethertype::IPV4, span)),
        6 => Ok(bare(ethertype::IPV6, span)),
        _ => Err(NotAnalysed::Malformed("ip_version")),
    }
}

/// The same, as a step among others.
pub fn parse_raw_step(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let frame = parse_raw(span)?;
    Ok(Step::to(Next::EtherType(frame.ethertype), frame.rest))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ipv4, ipv6, kind, reaches, tcp};
    use super::*;

    #[test]
    fn the_first_bits_tell_the_version() {
        for link in [RAW, RAW_DLT, RAW_DLT_OPENBSD] {
            reaches(link, &ipv4(6, 0, &tcp(0x10, 0, &[])), "");
            reaches(link, &ipv6(6, &tcp(0x10, 0, &[])), "");
            assert_eq!(kind(link, &[0x50; 40]), "malformed_ip_version");
            assert_eq!(kind(link, &[]), "malformed_raw_length");
        }
    }

    #[test]
    fn a_link_type_of_one_version_holds_no_other() {
        reaches(IPV4, &ipv4(6, 0, &tcp(0x10, 0, &[])), "");
        reaches(IPV6, &ipv6(6, &tcp(0x10, 0, &[])), "");
        assert!(kind(IPV4, &ipv6(6, &tcp(0x10, 0, &[]))).starts_with("malformed_"));
        assert!(kind(IPV6, &ipv4(6, 0, &tcp(0x10, 0, &[]))).starts_with("malformed_"));
    }
}
