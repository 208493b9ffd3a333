//! Where packets come from: files, folders, rotated sets, a pipe; plain or compressed; pcap or pcapng.

/// A data-link type as the capture file states it (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkType(pub u32);

/// One captured packet: where its bytes are in the batch, and what the file says of it.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// Capture time, ns since 1970 UTC.
    pub ts_ns: i64,
    /// Frame number within its file, from 1, as Wireshark counts.
    pub frame: u64,
    /// Offset of the packet's bytes in [`Batch::data`].
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
    /// The bytes the packets point into.
    pub data: Vec<u8>,
}

impl Batch {
    /// The captured bytes of one of this batch's packets.
    #[must_use]
    pub fn bytes(&self, packet: &Packet) -> &[u8] {
        &self.data[packet.start..packet.start + packet.captured_len as usize]
    }
}
