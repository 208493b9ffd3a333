//! What a capture file tells of itself; it goes into the Summary as it is.

use serde::Serialize;

/// One capture file.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FileFacts {
    /// Path as the user gave it, `-` for stdin.
    pub path: String,
    /// `pcap`, `pcap-ns`, `pcap-modified`, `pcapng`.
    pub format: &'static str,
    /// `none`, `gzip`, `zstd`, `lz4`, `xz`; two of them as `xz+gzip`, the outer one first.
    pub compression: String,
    /// Packets read from it.
    pub packets: u64,
    /// First packet's time.
    pub first_ns: Option<i64>,
    /// Last packet's time.
    pub last_ns: Option<i64>,
    /// Why reading stopped before its end, with the offset; `null` when it was read whole.
    pub problem: Option<String>,
    /// Its interfaces.
    pub interfaces: Vec<InterfaceFacts>,
}

/// One interface of a capture file.
#[derive(Clone, Debug, Default, Serialize)]
pub struct InterfaceFacts {
    /// Name, if the file tells.
    pub name: Option<String>,
    /// Link type number.
    pub link_type: u32,
    /// Snaplen; 0 = no limit.
    pub snaplen: u32,
    /// Packets received by the filter, per the file's statistics.
    pub received: Option<u64>,
    /// Packets dropped, per the file's statistics.
    pub dropped: Option<u64>,
}
