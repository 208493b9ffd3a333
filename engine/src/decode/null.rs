//! BSD loopback: four bytes of address family in front of the IP header
//! (<https://www.tcpdump.org/linktypes/LINKTYPE_NULL.html>).
//!
//! `LINKTYPE_NULL` has them in the order of the capturing host, `LINKTYPE_LOOP` in network order. A family is a small
//! number, so whichever order makes it small is the right one.

use super::link::{Frame, bare};
use super::span::{Span, u32_at};
use super::{NotAnalysed, ethertype};

const HEADER: usize = 4;
const AF_INET: u32 = 2;
/// `AF_INET6` of Linux, `NetBSD` and `OpenBSD`, `FreeBSD`, macOS.
const AF_INET6: [u32; 4] = [10, 24, 28, 30];

/// A loopback packet.
pub fn parse_null(span: Span<'_>) -> Result<Frame<'_>, NotAnalysed> {
    let stored = u32_at(span.header::<HEADER>("null_length")?, 0);
    let family = stored.min(stored.swap_bytes());
    let rest = span.after(HEADER);
    match family {
        AF_INET => Ok(bare(ethertype::IPV4, rest)),
        _ if AF_INET6.contains(&family) => Ok(bare(ethertype::IPV6, rest)),
        _ => Err(NotAnalysed::Malformed("address_family")),
    }
}
