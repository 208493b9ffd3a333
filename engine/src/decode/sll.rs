//! Linux cooked capture, what `tcpdump -i any` writes: the link header of every interface replaced by one of these.
//! Version 1: <https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html>, version 2: `…_SLL2.html`.

use super::NotAnalysed;
use super::ethernet::parse_tags;
use super::link::Frame;
use super::span::{Span, u16_at};

const SLL_HEADER: usize = 16;
const SLL_PROTOCOL: usize = 14;

const SLL2_HEADER: usize = 20;
const SLL2_PROTOCOL: usize = 0;

/// A version 1 packet.
pub fn parse_sll(span: Span<'_>) -> Result<Frame<'_>, NotAnalysed> {
    let header = span.header::<SLL_HEADER>("sll_length")?;
    parse_tags(u16_at(header, SLL_PROTOCOL), span.after(SLL_HEADER))
}

/// A version 2 packet.
pub fn parse_sll2(span: Span<'_>) -> Result<Frame<'_>, NotAnalysed> {
    let header = span.header::<SLL2_HEADER>("sll2_length")?;
    parse_tags(u16_at(header, SLL2_PROTOCOL), span.after(SLL2_HEADER))
}
