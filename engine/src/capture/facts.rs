//! What a capture file tells of itself; it goes into the Summary as it is.
//!
//! Texts are the file's own, to be escaped by whoever shows them; each is cut to a length, each list to a number, and
//! what is beyond them is counted.

use super::room::Held;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One capture file.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FileFacts {
    /// Path as the user gave it, `-` for stdin.
    pub path: String,
    /// `pcap`, `pcap-ns`, `pcap-modified`, `pcap-aix`, `pcapng`.
    pub format: &'static str,
    /// `none`, `gzip`, `zstd`, `lz4`, `xz`; two of them as `xz+gzip`, the outer one first.
    pub compression: String,
    /// Packets read from it.
    pub packets: u64,
    /// First packet's time.
    pub first_ns: Option<i64>,
    /// Last packet's time.
    pub last_ns: Option<i64>,
    /// Times of more than an hour from one packet to the next.
    pub long_silences: u64,
    /// The longest time from one packet to the next, ns; 0 with fewer than two.
    pub longest_silence_ns: i64,
    /// The latest time before the clock stepped back: who comes back to there was not silent meanwhile.
    #[serde(skip)]
    pub before_step_ns: Option<i64>,
    /// Why reading stopped before its end, with the offset; `null` when it was read whole.
    pub problem: Option<String>,
    /// Its interfaces, the first 1000 of them, or fewer where those of all files are many: its first one always.
    pub interfaces: Vec<InterfaceFacts>,
    /// What only pcapng tells; `null` for the other formats.
    pub pcapng: Option<PcapngFacts>,
    /// Decryption secrets as they are, for other tools. In no report.
    #[serde(skip)]
    pub secrets: Vec<Secret>,
    /// What of this has its share in what all files may keep.
    #[serde(skip)]
    pub held: Option<Arc<Held>>,
}

/// The secrets of one block.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    /// The word for their type.
    pub kind: &'static str,
    /// What the block holds; every copy of the facts has the same bytes.
    pub bytes: Arc<[u8]>,
}

impl FileFacts {
    /// The same file, its packets' times as this one says.
    #[must_use]
    pub fn with_times_of(self, other: &FileFacts) -> FileFacts {
        let &FileFacts { first_ns, last_ns, long_silences, longest_silence_ns, before_step_ns, .. } = other;
        FileFacts { first_ns, last_ns, long_silences, longest_silence_ns, before_step_ns, ..self }
    }

    /// Whether some of its packets have no time.
    #[must_use]
    pub fn has_untimed(&self) -> bool {
        self.pcapng.as_ref().is_some_and(|facts| facts.blocks.contains_key("simple_packet"))
    }
}

/// Not to be printed by accident.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes)", self.kind, self.bytes.len())
    }
}

/// A file that was given again, and read once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RepeatedFacts {
    /// The path that was passed over.
    pub path: String,
    /// The path of the file that was read.
    pub same_as: String,
}

/// Two points of which one's clock is ahead of the other's, as packets show that both captured, or handshakes of which
/// each captured one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClockFacts {
    /// Index of the file whose clock is ahead, …
    pub file: u32,
    /// … and the interface in it.
    pub interface: u32,
    /// Index of the other file, …
    pub than_file: u32,
    /// … and its interface.
    pub than_interface: u32,
    /// By how much, ns. Of clocks that drift apart or were set: at one moment no more than this …
    pub at_least_ns: i64,
    /// … and at another no less than this.
    pub at_most_ns: i64,
    /// They do.
    pub changes: bool,
    /// Pairs of packets that show it …
    pub packets: u64,
    /// … or else, handshakes that do.
    pub handshakes: u64,
}

/// What a capture that went on here lost, beside what its files say. All zero where files were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LiveFacts {
    /// The capture goes on: what is told is of the moment, and more will come.
    pub goes_on: bool,
    /// Times that the interface was found down.
    pub interface_downs: u64,
    /// Times that the ring was full and stood still.
    pub ring_losses: u64,
    /// Packets that could not be written into files.
    pub unwritten_packets: u64,
    /// Why, the first time; `null` if all went well.
    pub write_error: Option<String>,
    /// Files that were written and are removed, because newer ones took their place. They are not among the files.
    pub removed_files: u64,
    /// Packets in those.
    pub removed_packets: u64,
    /// Files of earlier runs that were removed for the same reason.
    pub removed_earlier_files: u64,
    /// Times that the writer of a file that is followed began it anew while it was read: what was not read by then is lost.
    pub overwritten_files: u64,
    /// Files that are followed and could not be read: most were gone, or begun anew, before their turn.
    pub unread_files: u64,
    /// Why the folder that is followed could not be looked through the last time; `null` if it could.
    pub follow_error: Option<String>,
    /// Files that were read and followed by so many others that they are no longer listed.
    pub unlisted_files: u64,
    /// Packets in those.
    pub unlisted_packets: u64,
    /// Packets that those say were dropped when they were captured.
    pub unlisted_dropped: u64,
}

/// One interface of a capture file. Counters are the file's own statistics, of the whole capture and not of this file.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InterfaceFacts {
    /// Name, if the file tells.
    pub name: Option<String>,
    /// Link type number, as the file states it.
    pub link_type: u32,
    /// The link type that it was read as, where the user said so.
    pub read_as: Option<u32>,
    /// Snaplen; 0 = no limit.
    pub snaplen: u32,
    /// Packets received by the interface (`isb_ifrecv`).
    pub received: Option<u64>,
    /// Packets dropped: by the interface and by the system, together.
    pub dropped: Option<u64>,
    /// Of those, by the interface for lack of room (`isb_ifdrop`).
    pub dropped_by_interface: Option<u64>,
    /// Of those, by the operating system (`isb_osdrop`).
    pub dropped_by_system: Option<u64>,
    /// Packets that its capture filter let pass (`isb_filteraccept`).
    pub accepted: Option<u64>,
    /// Packets delivered to the capturing program (`isb_usrdeliv`).
    pub delivered: Option<u64>,
    /// Since when these statistics count (`isb_starttime`): the files of one rotated capture state the same.
    pub counted_since_ns: Option<i64>,
    /// The same, should it be in microseconds whatever the interface's resolution is: so `dumpcap` writes it.
    #[serde(skip)]
    pub counted_since_as_us_ns: Option<i64>,
    /// Packets lost just before others, as those say (`epb_dropcount`, and the obsolete packet block's count).
    pub lost_between: u64,
    /// Packets marked as received (`epb_flags`).
    pub inbound: u64,
    /// Packets marked as sent.
    pub outbound: u64,
    /// Description, if the file tells.
    pub description: Option<String>,
    /// Hardware, if the file tells.
    pub hardware: Option<String>,
    /// Operating system, if the file tells.
    pub os: Option<String>,
    /// Capture filter, if the file tells it as text.
    pub filter: Option<String>,
    /// `if_tsresol` as stated: 10 to the minus this many seconds a tick, 2 to the minus where its high bit is set.
    pub resolution: u8,
    /// Seconds added to every time (`if_tsoffset`).
    pub offset_s: i64,
}

/// What interfaces tell that are beyond those listed, of all files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UnlistedFacts {
    /// Their link types, as stated, and as read where the user said so.
    pub link_types: BTreeSet<(u32, Option<u32>)>,
    /// The least snaplen among them; 0 = no limit.
    pub snaplen: u32,
    /// Packets dropped, beyond what the listed ones tell of the same counts.
    pub dropped: u64,
    /// Some by the interfaces …
    pub dropped_by_interface: bool,
    /// … or by the operating system.
    pub dropped_by_system: bool,
    /// Files in which one of these has no count of drops that is known, and each listed one has.
    pub uncounted_files: u64,
}

/// How far the start of a capture may be from its file's first packet, at most: a year of rotated files.
const NEAR_NS: u64 = 365 * 86_400 * 1_000_000_000;

impl InterfaceFacts {
    /// Takes the start of the statistics as microseconds where only that lies near the packets of the file.
    #[must_use]
    pub fn with_start_near(mut self, first_ns: Option<i64>) -> Self {
        let is_near = |ns: Option<i64>| ns.zip(first_ns).is_some_and(|(ns, first)| ns.abs_diff(first) < NEAR_NS);
        if !is_near(self.counted_since_ns) && is_near(self.counted_since_as_us_ns) {
            self.counted_since_ns = self.counted_since_as_us_ns;
        }
        self
    }

    /// Packets dropped, or else those that its packets say were lost between them.
    #[must_use]
    pub fn drops(&self) -> u64 {
        self.dropped.unwrap_or(self.lost_between)
    }

    /// Bytes of its texts.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let texts = [&self.name, &self.description, &self.hardware, &self.os, &self.filter];
        texts.into_iter().flatten().map(String::len).sum()
    }

    /// Leaves its texts out.
    pub fn forget_texts(&mut self) {
        for text in [&mut self.name, &mut self.description, &mut self.hardware, &mut self.os, &mut self.filter] {
            *text = None;
        }
    }
}

/// What the blocks of a pcapng file say, packets aside.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PcapngFacts {
    /// Blocks by kind.
    pub blocks: BTreeMap<String, u64>,
    /// Interfaces, those beyond the list included.
    pub interfaces: u64,
    /// Option lists that reach beyond their block, or records that do.
    pub broken_lists: u64,
    /// Hardware of the capturing machine, per the first section that tells.
    pub hardware: Option<String>,
    /// Its operating system.
    pub os: Option<String>,
    /// The capturing program.
    pub application: Option<String>,
    /// Comments, those beyond the list included.
    pub comments: u64,
    /// The first 100 comments; fewer where all files have many.
    pub comment_texts: Vec<CommentFacts>,
    /// Names of addresses, those beyond the list included.
    pub names: u64,
    /// The first 1000 names, fewer where all files have many; none unless asked for.
    pub name_records: Vec<NameFacts>,
    /// Decryption secrets by type: counted, and not used. [`FileFacts::secrets`] has them.
    pub secrets: BTreeMap<&'static str, SecretFacts>,
}

/// A comment in a pcapng file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CommentFacts {
    /// The kind of block that it is in.
    pub block: &'static str,
    /// Its packet's frame number; `null` in other blocks.
    pub frame: Option<u64>,
    /// The text.
    pub text: String,
}

/// A name that a pcapng file gives an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NameFacts {
    /// IPv4, IPv6 or MAC address.
    pub address: String,
    /// The name.
    pub name: String,
}

/// Decryption secrets of one type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SecretFacts {
    /// Blocks.
    pub blocks: u64,
    /// Bytes of secrets in them.
    pub bytes: u64,
}
