//! One TCP segment: what its headers tell, and the bytes that go with it.

use super::key::FlowKey;
use super::tcp::parse_options;
use super::{Flags, Options};
use crate::record::{Address, Tunnel};
use std::ops::Deref;

/// A packet as one of several captures of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Captured {
    /// The only one, as far as is known.
    #[default]
    Once,
    /// The one that is kept: others were captured with less around them, and left out.
    WithCopies,
    /// A copy of one captured before, at another point.
    Again,
    /// New at its point, and some of its bytes were captured before at another: its sender did not send these again.
    InParts,
}

/// What the headers of one segment tell: two cache lines, without a reference, so that it can wait for its turn apart
/// from the packet's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Both ends, and what is around them.
    pub key: FlowKey,
    /// Position of the packet over the whole set of files.
    pub ordinal: u64,
    /// Capture time, ns since 1970 UTC.
    pub ts_ns: i64,
    /// Frame number in its file, from 1.
    pub frame: u64,
    /// Index of the file.
    pub file: u32,
    /// Interface within the file in the lower half; of `-i any` in the upper one that which the packet says.
    pub interface: u32,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number (meaningful with ACK).
    pub ack: u32,
    /// Payload length on the wire, from the IP length.
    pub payload_len: u32,
    /// Where the captured payload begins in the batch's bytes; the captured options are right before it.
    pub payload_start: u32,
    /// Payload bytes that were captured (may be fewer than `payload_len`).
    pub captured_len: u32,
    /// Of the options, what tells one packet from the next: `TSval`, and the first SACK block's right edge;
    /// [`super::OPTIONS_CUT`] where the snaplen cut it off.
    pub options_print: u32,
    /// What its tunnel is called: a number that [`crate::tunnels`] gives out, 0 for no name beside the key's.
    pub tunnel_name: u32,
    /// The innermost identifier around it that is its direction's alone, as a number; 0 for none.
    pub way: u32,
    /// IPv4 identification; `None` for IPv6.
    pub ip_id: Option<u16>,
    /// Flags.
    pub flags: Flags,
    /// Window field, unscaled; 0 where it was not captured.
    pub window: u16,
    /// IPv4 TTL or IPv6 hop limit.
    pub ttl: u8,
    /// Option bytes that were captured.
    pub options_len: u8,
    /// The partition of its key.
    pub partition: u8,
    /// Headers of tunnels and tags around it.
    pub depth: u8,
    /// Whether it was captured more than once, which [`crate::engine`] finds out.
    pub captured: Captured,
    /// The sender is the key's lower end.
    pub from_low: bool,
    /// The snaplen cut the header before the window's end.
    pub is_window_cut: bool,
    /// On a SYN or FIN: the checksum field holds the pseudo-header's sum, uncomplemented, as a Linux host leaves it for
    /// its network card to complete. So the capture was taken on the sender (by chance: one packet in 65,536).
    pub checksum_offloaded: bool,
}

impl Header {
    /// The sender's address and port.
    #[inline]
    #[must_use]
    pub const fn source(&self) -> (Address, u16) {
        if self.from_low { self.key.low() } else { self.key.high() }
    }

    /// The receiver's address and port.
    #[inline]
    #[must_use]
    pub const fn target(&self) -> (Address, u16) {
        if self.from_low { self.key.high() } else { self.key.low() }
    }

    /// What is around the packet.
    #[must_use]
    pub const fn tunnel(&self) -> Tunnel {
        self.key.tunnel()
    }
}

/// A segment with its bytes; the fields of its [`Header`] are its own.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    header: &'a Header,
    /// What the payload lies in, and where.
    data: &'a [u8],
    from: usize,
    /// Payload bytes that were captured (may be fewer than [`Header::payload_len`]).
    pub payload: &'a [u8],
}

impl Deref for Segment<'_> {
    type Target = Header;

    #[inline]
    fn deref(&self) -> &Header {
        self.header
    }
}

impl<'a> Segment<'a> {
    /// The segment whose header this is; `data` are the bytes of the batch that it was decoded from.
    #[inline]
    #[must_use]
    pub fn new(header: &'a Header, data: &'a [u8]) -> Self {
        Segment::at(header, data, header.payload_start as usize)
    }

    /// The same, of a payload that begins at `from` of `data`.
    #[inline]
    #[must_use]
    pub fn at(header: &'a Header, data: &'a [u8], from: usize) -> Self {
        let payload = if header.captured_len == 0 { &[] } else { slice(data, from, header.captured_len as usize) };
        Segment { header, data, from, payload }
    }

    /// The options, read now: hardly any segment but a SYN is asked for them.
    #[must_use]
    pub fn options(&self) -> Options {
        let length = usize::from(self.options_len);
        parse_options(slice(self.data, self.from.wrapping_sub(length), length))
    }
}

#[inline]
fn slice(data: &[u8], from: usize, length: usize) -> &[u8] {
    data.get(from..).and_then(|rest| rest.get(..length)).unwrap_or_default()
}
