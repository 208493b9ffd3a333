//! What is said of fragments beside the packets that they became.

use serde::Serialize;

/// What became of fragments, in datagrams (and 802.11 frames) but for `joined`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FragmentCounts {
    /// Put together.
    pub datagrams: u64,
    /// Packets in those, apart from the one of each that completed it.
    pub joined: u64,
    /// Given up because fragments overlapped in part, disagreed on the length, were empty, or made more than a datagram.
    pub overlapping: u64,
    /// Given up because a fragment did not come in time, or at all.
    pub incomplete: u64,
    /// Given up for the limits on number and bytes, the longest idle first.
    pub evicted: u64,
}
