//! The plain link types: which header is in front of the IP header (<https://www.tcpdump.org/linktypes.html>). The rest
//! are [`super::walk`]'s.

use super::span::Span;
use super::{NotAnalysed, ethernet, ethertype, null, raw, sll};
use crate::capture::LinkType;
use crate::record::Tunnel;

/// What most captures are of.
pub const ETHERNET_LINK: LinkType = LinkType(ethernet::ETHERNET);

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
        ethernet::ETHERNET => ethernet::parse_ethernet(span),
        sll::LINUX_SLL => sll::parse_sll(span),
        sll::LINUX_SLL2 => sll::parse_sll2(span),
        null::NULL | null::LOOP => null::parse_null(span),
        raw::RAW | raw::RAW_DLT | raw::RAW_DLT_OPENBSD => raw::parse_raw(span),
        raw::IPV4 => Ok(bare(ethertype::IPV4, span)),
        raw::IPV6 => Ok(bare(ethertype::IPV6, span)),
        other => Err(NotAnalysed::LinkType(other)),
    }
}

/// A packet that has no tags.
pub fn bare(ethertype: u16, rest: Span<'_>) -> Frame<'_> {
    Frame { ethertype, tunnel: Tunnel::default(), rest }
}
