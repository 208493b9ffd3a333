//! The plain link types: which header is in front of the IP header (<https://www.tcpdump.org/linktypes.html>). The rest
//! are [`super::walk`]'s.

use super::ethernet;
use super::null;
use super::sll;
use super::span::{Span, u8_at};
use super::walk::{Next, Step};
use super::{NotAnalysed, ethertype};
use crate::capture::LinkType;
use crate::record::Tunnel;

const NULL: u32 = 0;
/// Ethernet's number.
pub const ETHERNET: u32 = 1;
/// What most captures are of.
pub const ETHERNET_LINK: LinkType = LinkType(ETHERNET);
/// `DLT_RAW` of most systems, which some tools write in place of `LINKTYPE_RAW`.
const RAW_DLT: u32 = 12;
/// `DLT_RAW` of `OpenBSD`.
const RAW_DLT_OPENBSD: u32 = 14;
const RAW: u32 = 101;
const LOOP: u32 = 108;
pub const LINUX_SLL: u32 = 113;
const IPV4: u32 = 228;
const IPV6: u32 = 229;
pub const LINUX_SLL2: u32 = 276;

/// What a link header says of what follows it.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The Ethernet type of what follows, also where the link has other numbers.
    pub ethertype: u16,
    /// VLAN tags that were in front.
    pub tunnel: Tunnel,
    /// What follows.
    pub rest: Span<'a>,
}

/// Takes the link header off.
#[inline]
pub fn parse_link(link: LinkType, span: Span<'_>) -> Result<Frame<'_>, NotAnalysed> {
    match link.0 {
        ETHERNET => ethernet::parse_ethernet(span),
        LINUX_SLL => sll::parse_sll(span),
        LINUX_SLL2 => sll::parse_sll2(span),
        NULL | LOOP => null::parse_null(span),
        RAW | RAW_DLT | RAW_DLT_OPENBSD => by_version(span),
        IPV4 => Ok(bare(ethertype::IPV4, span)),
        IPV6 => Ok(bare(ethertype::IPV6, span)),
        other => Err(NotAnalysed::LinkType(other)),
    }
}

/// Without a link header the first four bits tell the IP version.
fn by_version(span: Span<'_>) -> Result<Frame<'_>, NotAnalysed> {
    match u8_at(span.header::<1>("raw_length")?, 0) >> 4 {
        4 => Ok(bare(ethertype::IPV4, span)),
        6 => Ok(bare(ethertype::IPV6, span)),
        _ => Err(NotAnalysed::Malformed("ip_version")),
    }
}

/// The same, as a step among others.
pub fn by_version_step(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let frame = by_version(span)?;
    Ok(Step::to(Next::EtherType(frame.ethertype), frame.rest))
}

/// A packet that has no tags.
pub fn bare(ethertype: u16, rest: Span<'_>) -> Frame<'_> {
    Frame { ethertype, tunnel: Tunnel::default(), rest }
}
