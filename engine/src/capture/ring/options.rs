//! What the user chooses of a ring.

use super::Instruction;
use super::SourceError;
use nix::sched::{CloneFlags, setns};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;

/// Options of [`super::Ring::open`]; an absent field keeps its default.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RingOptions {
    /// Name of the interface; `any` for all of them.
    pub interface: String,
    /// Most bytes kept of a packet; 0 for 262,144, as tcpdump.
    pub snaplen: u32,
    /// Bytes of the ring, rounded to whole blocks of at most 1 MiB.
    pub ring_bytes: u64,
    /// After this long a block is handed over that is not full, ms.
    pub block_timeout_ms: u32,
    /// Packets for other hosts too.
    pub promiscuous: bool,
    /// Share the packets with other sockets.
    pub fanout: Option<Fanout>,
    /// As [`crate::settings::Settings::filter`]: a program by link type, run in the kernel.
    pub filter: BTreeMap<u32, Vec<Instruction>>,
    /// Run the filter here instead, on packets as they were on the wire: the kernel runs it before a VLAN tag is put back,
    /// so that one that speaks of tags would miss them.
    pub filter_here: bool,
    /// Network namespace, by its name (`ip netns`) or its path; `None` for this one.
    pub netns: Option<String>,
}

/// A group of sockets among which the kernel deals the packets.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Fanout {
    /// Number of the group; every socket of the group names the same.
    pub group: u16,
    /// How packets are dealt.
    pub mode: FanoutMode,
}

/// How packets are dealt in a group (packet(7), `PACKET_FANOUT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FanoutMode {
    /// By the flow's hash: both directions of a connection to the same socket.
    Hash = 0,
    /// One after the other: tears connections apart.
    RoundRobin = 1,
    /// By the CPU on which a packet came.
    Cpu = 2,
    /// To the next socket when one is full.
    Rollover = 3,
    /// By the receive queue of the network card.
    QueueMapping = 5,
}

/// What tcpdump keeps of a packet by default.
const WHOLE: u32 = 262_144;
const LEAST_BLOCK: u64 = 64 << 10;
const LARGEST_BLOCK: u64 = 1 << 20;
/// Below this many blocks a ring gets smaller ones, so that one is filled while another is read.
const BLOCKS: u64 = 8;

impl Default for RingOptions {
    fn default() -> Self {
        RingOptions {
            interface: super::ANY.to_owned(),
            snaplen: WHOLE,
            ring_bytes: 64 << 20,
            block_timeout_ms: 50,
            promiscuous: true,
            fanout: None,
            filter: BTreeMap::new(),
            filter_here: false,
            netns: None,
        }
    }
}

impl RingOptions {
    pub(super) fn snaplen(&self) -> u32 {
        if self.snaplen == 0 { WHOLE } else { self.snaplen.min(WHOLE) }
    }

    /// (blocks, bytes of each): at least two of 64 KiB, at most what the kernel's `int` holds.
    pub(super) fn sizes(&self) -> (u32, u32) {
        let wanted = self.ring_bytes.clamp(2 * LEAST_BLOCK, i32::MAX as u64);
        let block = (wanted / BLOCKS).clamp(LEAST_BLOCK, LARGEST_BLOCK).next_power_of_two().min(LARGEST_BLOCK);
        let block = if wanted / block < 2 { LEAST_BLOCK } else { block };
        ((wanted / block) as u32, block as u32)
    }
}

/// Moves this thread to a network namespace.
pub(super) fn enter(path: &str) -> Result<(), SourceError> {
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => SourceError::new(path, "no such network namespace; `ip netns` lists those there are"),
        _ => SourceError::new(path, format!("the network namespace cannot be opened: {error}; run with sudo")),
    })?;
    setns(file, CloneFlags::CLONE_NEWNET).map_err(|error| {
        SourceError::new(path, format!("the network namespace cannot be entered: {error}; run with sudo"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_has_at_least_two_blocks_and_no_more_than_was_asked_for() {
        for bytes in [0, 1, 65_536, 131_072, 200_000, 1 << 20, 3 << 20, 64 << 20, 1 << 40] {
            let (blocks, block) = RingOptions { ring_bytes: bytes, ..RingOptions::default() }.sizes();
            let whole = u64::from(blocks) * u64::from(block);
            assert!(blocks >= 2 && block.is_power_of_two() && block >= 4096, "{bytes}");
            assert!(whole <= bytes.max(131_072), "{bytes} {whole}");
        }
        assert_eq!(RingOptions::default().sizes(), (64, 1 << 20));
    }

    #[test]
    fn options_come_as_json_and_unknown_ones_are_refused() {
        let text = r#"{"interface": "eth0", "fanout": {"group": 7, "mode": "hash"}, "filter": {"1": [[6, 0, 0, 96]]}}"#;
        let options: RingOptions = serde_json::from_str(text).unwrap();
        assert_eq!((options.interface.as_str(), options.fanout.unwrap().mode), ("eth0", FanoutMode::Hash));
        assert!(serde_json::from_str::<RingOptions>(r#"{"snap": 5}"#).is_err());
    }
}
