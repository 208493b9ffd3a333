//! The blocks of a pcapng file as it is written (draft-ietf-opsawg-pcapng): little-endian, times in nanoseconds.

use super::Statistics;
use crate::capture::facts::InterfaceFacts;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Type, length, and the length again.
const AROUND: usize = 12;
/// Interface, time, captured and original length.
const PACKET_FIELDS: usize = 20;

const SHB_OS: u16 = 3;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const IF_FILTER: u16 = 11;
const IF_OS: u16 = 12;
const ISB_STARTTIME: u16 = 2;
const ISB_ENDTIME: u16 = 3;
const ISB_FILTERACCEPT: u16 = 6;
const ISB_OSDROP: u16 = 7;
const ISB_USRDELIV: u16 = 8;
const EPB_DROPCOUNT: u16 = 4;
/// The first byte of `if_filter` where the rest is text.
const FILTER_TEXT: u8 = 0;
const NANOSECONDS: u8 = 9;

/// What an enhanced packet block says.
#[derive(Clone, Copy)]
pub struct PacketBlock<'b> {
    /// Number of its interface in the file.
    pub interface: u32,
    /// ns since 1970 UTC.
    pub ts_ns: i64,
    /// The captured bytes.
    pub bytes: &'b [u8],
    /// Bytes on the wire.
    pub original_len: u32,
    /// Packets lost just before this one.
    pub lost: u64,
}

impl PacketBlock<'_> {
    /// Bytes of the block.
    pub fn length(&self) -> u64 {
        (AROUND + PACKET_FIELDS + self.bytes.len().next_multiple_of(4)) as u64 + if self.lost > 0 { 16 } else { 0 }
    }

    /// Appends the block.
    #[inline]
    pub fn append(&self, out: &mut Vec<u8>) {
        let length = self.length() as u32;
        let ticks = self.ts_ns as u64;
        let fields = [
            ENHANCED_PACKET,
            length,
            self.interface,
            (ticks >> 32) as u32,
            ticks as u32,
            self.bytes.len() as u32,
            self.original_len,
        ];
        fields.iter().for_each(|field| out.extend_from_slice(&field.to_le_bytes()));
        out.extend_from_slice(self.bytes);
        out.extend_from_slice(
            [0u8; 3].get(..self.bytes.len().next_multiple_of(4) - self.bytes.len()).unwrap_or_default(),
        );
        if self.lost > 0 {
            option(EPB_DROPCOUNT, &self.lost.to_le_bytes(), out);
            out.extend_from_slice(&[0; 4]);
        }
        out.extend_from_slice(&length.to_le_bytes());
    }
}

/// Appends a section header: who wrote the file.
pub fn append_section(os: &str, application: &str, out: &mut Vec<u8>) {
    block(SECTION_HEADER, out, |out| {
        out.extend_from_slice(&BYTE_ORDER_MAGIC.to_le_bytes());
        // Version 1.0, and a section of unknown length.
        out.extend_from_slice(&[1, 0, 0, 0]);
        out.extend_from_slice(&(-1i64).to_le_bytes());
        option(SHB_OS, os.as_bytes(), out);
        option(SHB_USERAPPL, application.as_bytes(), out);
        out.extend_from_slice(&[0; 4]);
    });
}

/// Appends an interface description.
pub fn append_interface(facts: &InterfaceFacts, out: &mut Vec<u8>) {
    block(INTERFACE_DESCRIPTION, out, |out| {
        out.extend_from_slice(&(facts.link_type as u16).to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&facts.snaplen.to_le_bytes());
        facts.name.iter().for_each(|name| option(IF_NAME, name.as_bytes(), out));
        option(IF_TSRESOL, &[NANOSECONDS], out);
        facts.filter.iter().for_each(|filter| option(IF_FILTER, &[&[FILTER_TEXT], filter.as_bytes()].concat(), out));
        facts.os.iter().for_each(|os| option(IF_OS, os.as_bytes(), out));
        out.extend_from_slice(&[0; 4]);
    });
}

/// Appends the statistics of the first interface, which stands for the whole capture.
pub fn append_statistics(statistics: &Statistics, out: &mut Vec<u8>) {
    block(INTERFACE_STATISTICS, out, |out| {
        out.extend_from_slice(&0u32.to_le_bytes());
        out.extend_from_slice(&time(statistics.until_ns));
        option(ISB_STARTTIME, &time(statistics.since_ns), out);
        option(ISB_ENDTIME, &time(statistics.until_ns), out);
        let known = [(ISB_FILTERACCEPT, statistics.accepted), (ISB_OSDROP, statistics.dropped)];
        known.iter().for_each(|&(code, count)| count.iter().for_each(|count| option(code, &count.to_le_bytes(), out)));
        option(ISB_USRDELIV, &statistics.delivered.to_le_bytes(), out);
        out.extend_from_slice(&[0; 4]);
    });
}

/// Bytes of a statistics block, at most.
pub const STATISTICS_BYTES: u64 = (AROUND + 12 + 5 * 12 + 4) as u64;

/// A time: the high half comes first.
fn time(ns: i64) -> [u8; 8] {
    let ticks = ns as u64;
    let mut out = [0; 8];
    let halves = [(ticks >> 32) as u32, ticks as u32];
    out.iter_mut().zip(halves.iter().flat_map(|half| half.to_le_bytes())).for_each(|(to, from)| *to = from);
    out
}

fn block(kind: u32, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = ((out.len() - start + 4) as u32).to_le_bytes();
    out.extend_from_slice(&length);
    out.get_mut(start + 4..start + 8).into_iter().for_each(|place| place.copy_from_slice(&length));
}

fn option(code: u16, value: &[u8], out: &mut Vec<u8>) {
    // No value of ours is long; one that were would be cut, never the length wrong.
    let value = value.get(..value.len().min(4096)).unwrap_or_default();
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    out.resize(out.len() + value.len().next_multiple_of(4) - value.len(), 0);
}
