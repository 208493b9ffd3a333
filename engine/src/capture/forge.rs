//! Capture files put together byte by byte, for the tests of this room.

use super::order::Order;

impl Order {
    /// Two bytes in this order.
    pub fn put16(self, value: u16) -> [u8; 2] {
        match self {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        }
    }

    /// Four bytes in this order.
    pub fn put32(self, value: u32) -> [u8; 4] {
        match self {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        }
    }

    /// Eight bytes in this order.
    pub fn put64(self, value: u64) -> [u8; 8] {
        match self {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        }
    }
}

/// A pcap file header.
pub fn pcap_header(order: Order, magic: u32, snaplen: u32, link: u32) -> Vec<u8> {
    let mut out = order.put32(magic).to_vec();
    out.extend(order.put16(2));
    out.extend(order.put16(4));
    out.extend([0; 8]);
    out.extend(order.put32(snaplen));
    out.extend(order.put32(link));
    out
}

/// A pcap record at (seconds, fraction), with `extra` bytes more of header.
pub fn pcap_record(order: Order, at: (u32, u32), bytes: &[u8], original: u32, extra: usize) -> Vec<u8> {
    let mut out = [at.0, at.1, bytes.len() as u32, original].map(|v| order.put32(v)).concat();
    out.extend(vec![0; extra]);
    out.extend(bytes);
    out
}

/// A whole little-endian microsecond pcap of Ethernet frames, one for each (seconds, bytes).
pub fn pcap(packets: &[(u32, &[u8])]) -> Vec<u8> {
    let mut out = pcap_header(Order::Little, 0xa1b2_c3d4, 262_144, 1);
    for (seconds, bytes) in packets {
        out.extend(pcap_record(Order::Little, (*seconds, 0), bytes, bytes.len() as u32, 0));
    }
    out
}

/// Where each record of a little-endian pcap ends.
pub fn record_ends(file: &[u8]) -> impl Iterator<Item = usize> {
    let length = |at: usize| Some(u32::from_le_bytes(*file.get(at + 8..)?.first_chunk()?) as usize);
    std::iter::successors(Some(24), move |&at| Some(at + 16 + length(at)?)).skip(1)
}

/// Any pcapng block: its body is padded to 32 bits.
pub fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let length = order.put32(padded as u32 + 12);
    let mut out = [order.put32(kind), length].concat();
    out.extend(body);
    out.resize(8 + padded, 0);
    out.extend(length);
    out
}

/// Options, closed by the end-of-options mark.
pub fn options(order: Order, list: &[(u16, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (code, value) in list {
        out.extend(order.put16(*code));
        out.extend(order.put16(value.len() as u16));
        out.extend(*value);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out.extend([0; 4]);
    out
}

/// A section header block of unknown section length.
pub fn section(order: Order) -> Vec<u8> {
    let mut body = order.put32(0x1a2b_3c4d).to_vec();
    body.extend(order.put16(1));
    body.extend(order.put16(0));
    body.extend([0xff; 8]);
    block(order, 0x0a0d_0d0a, &body)
}

/// An interface description block.
pub fn interface(order: Order, link: u16, snaplen: u32, list: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = order.put16(link).to_vec();
    body.extend([0; 2]);
    body.extend(order.put32(snaplen));
    body.extend(options(order, list));
    block(order, 1, &body)
}

/// An enhanced packet block.
pub fn enhanced(order: Order, interface: u32, ticks: u64, bytes: &[u8], original: u32) -> Vec<u8> {
    let fields = [interface, (ticks >> 32) as u32, ticks as u32, bytes.len() as u32, original];
    let mut body = fields.map(|v| order.put32(v)).concat();
    body.extend(bytes);
    block(order, 6, &body)
}

/// A stream that comes in pieces of the given lengths, again and again.
pub struct Pieces {
    /// What the stream holds.
    pub bytes: std::io::Cursor<Vec<u8>>,
    /// Lengths of the pieces, each at least 1.
    pub lengths: std::iter::Cycle<std::vec::IntoIter<usize>>,
}

impl std::io::Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let length = self.lengths.next().unwrap_or(1).clamp(1, into.len().max(1));
        let into = into.get_mut(..length).unwrap_or_default();
        self.bytes.read(into)
    }
}

/// A folder of its own for one test, removed when the test ends.
pub struct Folder(pub std::path::PathBuf);

impl Folder {
    /// An empty folder; `name` is that of the test.
    pub fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("pcapwatch-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> std::path::PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
