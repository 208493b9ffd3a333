//! Captured bytes, and how many there were on the wire.

use super::NotAnalysed;

/// The rest of a packet from some header on. A snaplen cuts what is captured, never what was sent, so both lengths
/// travel together: a header that was sent but not captured is [`NotAnalysed::Truncated`], one that was never sent
/// is [`NotAnalysed::Malformed`].
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// What was captured.
    pub bytes: &'a [u8],
    /// How long it was on the wire.
    pub wire_len: u32,
}

impl<'a> Span<'a> {
    /// The first `N` bytes, if they were captured; `name` says which header this is when they were never sent.
    #[inline]
    pub fn header<const N: usize>(self, name: &'static str) -> Result<&'a [u8; N], NotAnalysed> {
        match self.bytes.first_chunk() {
            Some(header) => Ok(header),
            None if (self.wire_len as usize) < N => Err(NotAnalysed::Malformed(name)),
            None => Err(NotAnalysed::Truncated),
        }
    }

    /// What follows the first `length` bytes, or nothing where those are more than there is.
    #[inline]
    #[must_use]
    pub fn after(self, length: usize) -> Span<'a> {
        let bytes = self.bytes.get(length..).unwrap_or_default();
        Span { bytes, wire_len: self.wire_len.saturating_sub(length as u32) }
    }

    /// Exactly the first `wire_len` bytes as a header states it, which drops padding. It may state more than the file
    /// says was sent: some tools that cut packets also cut that number, and the header is the better witness.
    #[inline]
    #[must_use]
    pub fn stated(self, wire_len: u32) -> Span<'a> {
        let bytes = self.bytes.get(..wire_len as usize).unwrap_or(self.bytes);
        Span { bytes, wire_len }
    }
}

/// `N` bytes of a header at `at`; zeros where it ends before, which a constant `at` within it never does.
#[inline]
#[must_use]
pub fn field<const N: usize>(header: &[u8], at: usize) -> [u8; N] {
    header.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

/// Two bytes of a header at `at`, in network order.
#[inline]
#[must_use]
pub fn u16_at(header: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(field(header, at))
}

/// Four bytes of a header at `at`, in network order.
#[inline]
#[must_use]
pub fn u32_at(header: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(field(header, at))
}

/// One byte of a header at `at`.
#[inline]
#[must_use]
pub fn u8_at(header: &[u8], at: usize) -> u8 {
    header.get(at).copied().unwrap_or(0)
}
