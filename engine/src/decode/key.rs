//! The 4-tuple of a segment as a key that does not depend on direction.

use crate::record::{Address, Tunnel};
use std::hash::{Hash, Hasher};

/// How many independent parts the 4-tuples are split into.
pub const PARTITIONS: usize = 64;

/// The two ends of a flow in an order that does not depend on direction, and the tunnel around it: in 44 bytes, so that a
/// place of the flow table is one cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowKey {
    low: Address,
    high: Address,
    /// The tunnel's number, its upper half first.
    tunnel: [u32; 2],
    low_port: u16,
    high_port: u16,
}

/// Three whole words instead of arrays of bytes and small integers one by one: every packet is looked up.
impl Hash for FlowKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.low.0));
        state.write_u128(u128::from_ne_bytes(self.high.0));
        let ports = u64::from(self.low_port) << 16 | u64::from(self.high_port);
        state.write_u64(self.tunnel().0.rotate_left(32) ^ ports);
    }
}

const fn halves(tunnel: Tunnel) -> [u32; 2] {
    [(tunnel.0 >> 32) as u32, tunnel.0 as u32]
}

impl FlowKey {
    /// Of either direction.
    #[must_use]
    pub fn new(one: (Address, u16), other: (Address, u16), tunnel: Tunnel) -> Self {
        FlowKey::directed(one, other, tunnel).0
    }

    /// The key of what `source` sends to `target`, and whether the source is the key's lower end.
    #[inline]
    #[must_use]
    pub fn directed(source: (Address, u16), target: (Address, u16), tunnel: Tunnel) -> (Self, bool) {
        let from_low = source <= target;
        let (low, high) = if from_low { (source, target) } else { (target, source) };
        (FlowKey { low: low.0, high: high.0, tunnel: halves(tunnel), low_port: low.1, high_port: high.1 }, from_low)
    }

    /// The same of IPv4 ends without anything around them.
    #[inline]
    #[must_use]
    pub fn plain(source: (u32, u16), target: (u32, u16)) -> (Self, bool) {
        let word = |(address, port): (u32, u16)| u64::from(address) << 16 | u64::from(port);
        let (source, target) = (word(source), word(target));
        let from_low = source <= target;
        let (low, high) = if from_low { (source, target) } else { (target, source) };
        let address = |word: u64| Address::v4(((word >> 16) as u32).to_be_bytes());
        let (low_port, high_port) = (low as u16, high as u16);
        (FlowKey { low: address(low), high: address(high), tunnel: [0; 2], low_port, high_port }, from_low)
    }

    /// The lower end.
    #[inline]
    #[must_use]
    pub const fn low(&self) -> (Address, u16) {
        (self.low, self.low_port)
    }

    /// The higher end.
    #[inline]
    #[must_use]
    pub const fn high(&self) -> (Address, u16) {
        (self.high, self.high_port)
    }

    /// What is around the flow.
    #[must_use]
    pub const fn tunnel(&self) -> Tunnel {
        let [high, low] = self.tunnel;
        Tunnel((high as u64) << 32 | low as u64)
    }

    /// The same ends with something else around them.
    #[must_use]
    pub const fn within(self, tunnel: Tunnel) -> Self {
        FlowKey { tunnel: halves(tunnel.key()), ..self }
    }

    /// Which partition it falls into: the same on every machine and in every run.
    #[inline]
    #[must_use]
    pub fn partition(&self) -> usize {
        let word = |a: &Address| {
            let whole = u128::from_le_bytes(a.0);
            whole as u64 ^ (whole >> 64) as u64
        };
        let ports = u64::from(self.low_port) << 16 | u64::from(self.high_port);
        let mixed = word(&self.low)
            .rotate_left(29)
            .wrapping_add(word(&self.high))
            .wrapping_add(ports << 20)
            .wrapping_add(self.tunnel().0)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 58) as usize
    }
}
