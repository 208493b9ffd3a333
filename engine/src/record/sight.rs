//! Where a connection is in the capture, and what it came to: all that a second look needs to know beforehand.

use super::{Address, ConnectionRecord, Mark, TimeWaitFacts, Tunnel};

/// A finished connection as a second look finds it again.
#[derive(Clone, Debug, PartialEq)]
pub struct Sight {
    /// Ordinal of its first packet.
    pub ordinal: u64,
    /// Both ends, client first.
    pub ends: [(Address, u16); 2],
    /// VLAN tags.
    pub tunnel: Tunnel,
    /// First packet.
    pub first: Mark,
    /// Last packet.
    pub last: Mark,
    /// Its packets, of both sides.
    pub packets: u64,
    /// The packet that closed.
    pub closer: Option<Mark>,
    /// First and last packet of the incarnation before, when this one began: what is late of it, or answers it, is told
    /// from this one's packets only by one who has seen it.
    pub predecessor: Option<[Mark; 2]>,
    /// What the first look found of each side's TIME_WAIT.
    pub waits: [Option<TimeWaitFacts>; 2],
}

impl From<&ConnectionRecord> for Sight {
    fn from(record: &ConnectionRecord) -> Self {
        Sight {
            ordinal: record.ordinal,
            ends: [record.client, record.server],
            tunnel: record.tunnel,
            first: record.first,
            last: record.last,
            packets: record.sides.iter().map(|side| side.packets).sum(),
            closer: record.closer,
            predecessor: record.predecessor,
            waits: record.sides.each_ref().map(|side| side.time_wait.clone()),
        }
    }
}
