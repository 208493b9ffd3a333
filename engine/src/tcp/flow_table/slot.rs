//! A place of the flow table: whose it is, and its neighbours in the chain of last packets.

use crate::decode::FlowKey;
use crate::tcp::connection::Connection;

/// Beside a place: the slot is in the other chain.
const PARKED: u32 = 1 << 31;

/// One cache line.
#[repr(align(64))]
pub(super) struct Slot<P> {
    pub(super) key: FlowKey,
    /// In which stretch of packets its last one was, see [`super::ages::Ages`].
    pub(super) heard: u32,
    /// None while it rests, at the same place of `FlowTable::resting`.
    pub(super) connection: Option<Box<Connection<P>>>,
    pub(super) newer: u32,
    /// With [`PARKED`] in the chain of those that are open and idle for long, see [`super::FlowTable::expire`].
    pub(super) older_and_parked: u32,
}

impl<P> Slot<P> {
    pub(super) const fn older(&self) -> u32 {
        self.older_and_parked & !PARKED
    }

    pub(super) const fn is_parked(&self) -> bool {
        self.older_and_parked & PARKED != 0
    }

    pub(super) fn set_older(&mut self, older: u32) {
        self.older_and_parked = older | self.older_and_parked & PARKED;
    }

    pub(super) fn park(&mut self, is_parked: bool) {
        self.older_and_parked = self.older() | if is_parked { PARKED } else { 0 };
    }
}

const _: () = assert!(size_of::<Slot<()>>() == 64);
