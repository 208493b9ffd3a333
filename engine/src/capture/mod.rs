//! Where packets come from: files, folders, rotated sets, a pipe; plain or compressed; pcap or pcapng.
//!
//! ```text
//! CaptureSet ──► CaptureFile ──► Pcap │ Pcapng ──► Window ──► source
//! many files     one file,       one format:       exact      bytes: counted,
//! in order       its facts       records           runs       decompressed ahead, kept
//! ```
//!
//! [`CaptureSet`] is the way in. It fills a [`Batch`] that the caller owns and hands back, so that reading allocates
//! nothing per packet. Plain `read()` fills the window, but of a plain file of long packets: that is looked at where the page
//! cache has it, in views of a mapping (`mapping.rs` says what happens when it shrinks meanwhile).
//!
//! Files are hostile: every length is checked before anything is allocated for it. The first record that contradicts
//! itself stops its file, says at which offset, and keeps what came before.
//!
//! # Why not `pcap-parser`
//! It reads the same formats, and is the crate to use where this is not needed: (1) the modified pcap in big-endian
//! order, which it refuses; (2) records of any length up to a bound of ours: its window is fixed, and a caller must
//! grow it for each longer record, before knowing whether the length is nonsense; (3) blocks of unknown kind passed
//! over without being held in memory. It is slower, too, most of all on pcapng, where it builds a list of options for
//! every packet: 27 ns a packet for pcap and 48 for pcapng, beside 21 and 28 here, by
//! `cargo run --release -p pcapwatch-engine --example parse_cost`.
mod ahead;
mod compressed;
mod error;
mod facts;
pub mod fed;
mod file;
pub mod filter;
mod folder;
mod gap;
mod growing;
mod gzip;
pub mod interface;
#[cfg(unix)]
pub mod interfaces;
mod lanes;
mod lz4;
mod lz4_legacy;
mod lz4_torn;
#[cfg(target_os = "linux")]
mod mapping;
mod order;
mod patience;
mod pcap;
mod pcapng;
#[cfg(target_os = "linux")]
pub mod privilege;
pub mod recent;
mod refused;
mod repeated;
#[cfg(target_os = "linux")]
pub mod ring;
mod room;
mod set;
mod source;
pub mod stream;
pub mod tap;
mod times;
mod unlisted;
mod view;
mod window;
pub mod write;
mod xz;

#[cfg(test)]
pub(crate) mod forge;

pub use error::SourceError;
pub use facts::{
    ClockFacts, CommentFacts, FileFacts, InterfaceFacts, LiveFacts, NameFacts, PcapngFacts, RepeatedFacts, Secret,
    SecretFacts, UnlistedFacts,
};
pub use gap::{Gap, Missing};
pub use set::{CaptureSet, SetFacts};
pub use view::View;

use crate::settings::Settings;
use compressed::Windows;
use patience::Patience;
use room::Room;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A data-link type as the capture file states it (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkType(pub u32);

/// One captured packet: where its bytes are in the batch, and what the file says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// Capture time, ns since 1970 UTC.
    pub ts_ns: i64,
    /// Frame number within its file, from 1, as Wireshark counts.
    pub frame: u64,
    /// Offset of the packet's bytes in those of the batch.
    pub start: usize,
    /// Bytes captured.
    pub captured_len: u32,
    /// Bytes the packet had on the wire.
    pub original_len: u32,
    /// Index into the capture's list of files.
    pub file: u32,
    /// Interface within the file (pcapng), 0 for pcap.
    pub interface: u32,
    /// Link type of that interface.
    pub link: LinkType,
}

/// A run of consecutive packets that owns its bytes, so that it can cross threads and be reused.
#[derive(Default, Debug)]
pub struct Batch {
    /// Position of the first packet over the whole set of files, from 0.
    pub first_ordinal: u64,
    /// The packets, in capture order.
    pub packets: Vec<Packet>,
    /// The bytes the packets point into, unless there is a view.
    pub data: Vec<u8>,
    /// Instead of `data`, where the file is mapped.
    pub view: Option<Arc<View>>,
    /// Of what was before the first packet nothing was captured.
    pub gaps: Vec<Gap>,
}

impl Batch {
    /// The captured bytes of one of this batch's packets; none for a packet of another batch.
    #[inline]
    #[must_use]
    pub fn bytes(&self, packet: &Packet) -> &[u8] {
        let held = self.view.as_deref().map_or(&self.data[..], View::bytes);
        bytes_in(held, packet)
    }
}

#[inline]
fn bytes_in<'h>(held: &'h [u8], packet: &Packet) -> &'h [u8] {
    held.get(packet.start..).and_then(|rest| rest.get(..packet.captured_len as usize)).unwrap_or_default()
}

/// A packet as its format gives it, its bytes still in the window.
struct Record<'w> {
    /// `None` where the format has no time (pcapng's simple packets).
    ts_ns: Option<i64>,
    bytes: &'w [u8],
    original_len: u32,
    interface: u32,
    link: LinkType,
}

/// What the user chose for the reading of files.
#[derive(Clone, Debug, Default)]
struct Reading {
    /// Link types that are read as others.
    link_types: BTreeMap<u32, u32>,
    /// Whether the names of name resolution blocks are kept.
    names: bool,
    /// How long a stream that comes as it happens is waited for; `None`: until it ends.
    patience: Option<Patience>,
    /// Whether the packets of several interfaces are put in order of time: not while they come, nor where they came in order.
    orders: bool,
    /// What decompressors may take.
    windows: Windows,
    /// What is left of what all files may keep of what they tell.
    room: Arc<Room>,
}

impl Reading {
    fn new(settings: &Settings) -> Self {
        Reading {
            link_types: settings.link_types.clone(),
            names: settings.names,
            patience: None,
            orders: true,
            windows: Windows::Any,
            room: Arc::default(),
        }
    }

    /// The same, for packets alone: nothing is kept of what files tell.
    fn of_packets(&self) -> Self {
        Reading { room: Room::closed(), ..self.clone() }
    }

    /// The link type to read an interface's packets as, and the first of its facts.
    fn interface(&self, stated: LinkType, snaplen: u32) -> (LinkType, InterfaceFacts) {
        let read_as = self.link_types.get(&stated.0).copied();
        let facts = InterfaceFacts { link_type: stated.0, read_as, snaplen, ..InterfaceFacts::default() };
        (LinkType(read_as.unwrap_or(stated.0)), facts)
    }
}

/// Longest packet believed, whatever snaplen a file states: bounds what a hostile file can make us allocate.
const LONGEST_PACKET: u32 = 16 << 20;
/// Longest packet of common tools (`tcpdump`'s and Wireshark's largest snaplen): believed even above a stated snaplen.
const COMMON_LONGEST: u32 = 256 << 10;

/// The captured length above which a record is taken for damaged.
fn sane_length(snaplen: u32) -> u32 {
    snaplen.clamp(COMMON_LONGEST, LONGEST_PACKET)
}
