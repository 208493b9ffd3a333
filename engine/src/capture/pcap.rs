//! pcap, the classic format: one file header, then records of one interface
//! (<https://www.tcpdump.org/manpages/pcap-savefile.5.html>, draft-ietf-opsawg-pcap).
//!
//! The header's magic tells the byte order and which of three layouts the records have:
//!
//! | magic | fraction of a second in | record header |
//! |---|---|---|
//! | `a1b2c3d4` | microseconds | 16 bytes |
//! | `a1b23c4d` | nanoseconds | 16 bytes |
//! | `a1b2cd34` | microseconds | 24 bytes: A. Kuznetzov's modified libpcap added interface, protocol and packet type |
//!
//! AIX's tools write the first one with version 2.2, nanoseconds, and interface types of RFC 1573 as link types.
//!
//! Files that were put one behind the other (`cat`, `>>`) are read on behind each header, and zeros, which a crash leaves
//! behind what was written, end a file: read as records both would be packets of years ago or to come.

use super::error::Stop;
use super::order::Order;
use super::window::Window;
use super::{LinkType, Packet, Reading, Record, sane_length};
use crate::capture::facts::InterfaceFacts;
use std::hint::black_box;

/// Bytes of the file header.
pub const FILE_HEADER: usize = 24;
const VERSION: usize = 4;
const SNAPLEN: usize = 16;
const LINK_TYPE: usize = 20;
/// Version 2.2 is AIX's where the link type is one of these, which no other writer of that version has: interface types
/// of RFC 1573, and what they are (as in Wireshark's `wiretap/libpcap.c`).
const AIX_VERSION: [u16; 2] = [2, 2];
const AIX_LINK_TYPES: [(u32, u32); 4] = [(6, 1), (9, 6), (15, 10), (24, 0)];
/// The bits of the link-type field that are the link type; above them are flags on the frame check sequence.
const LINK_TYPE_BITS: u32 = 0x03ff_ffff;

const SECONDS: usize = 0;
const FRACTION: usize = 4;
const CAPTURED_LENGTH: usize = 8;
const ORIGINAL_LENGTH: usize = 12;
const RECORD_HEADER: usize = 16;
const MODIFIED_RECORD_HEADER: usize = 24;

/// What a magic number tells of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    order: Order,
    format: &'static str,
    fraction_ns: i64,
    record_header: usize,
}

impl Layout {
    /// From the first four bytes; `None` if they are no pcap magic.
    fn recognise(head: &[u8]) -> Option<Layout> {
        [Order::Little, Order::Big].into_iter().find_map(|order| {
            let (format, fraction_ns, record_header) = match order.u32(head, 0) {
                0xa1b2_c3d4 => ("pcap", 1000, RECORD_HEADER),
                0xa1b2_3c4d => ("pcap-ns", 1, RECORD_HEADER),
                0xa1b2_cd34 => ("pcap-modified", 1000, MODIFIED_RECORD_HEADER),
                _ => return None,
            };
            Some(Layout { order, format, fraction_ns, record_header })
        })
    }

    /// Of a whole header, with its link type.
    fn read(header: &[u8]) -> Option<(Layout, LinkType)> {
        let layout = Layout::recognise(header)?;
        let stated = layout.order.u32(header, LINK_TYPE) & LINK_TYPE_BITS;
        let version = [layout.order.u16(header, VERSION), layout.order.u16(header, VERSION + 2)];
        let aix = AIX_LINK_TYPES.iter().find(|(theirs, _)| *theirs == stated);
        match aix.filter(|_| layout.format == "pcap" && version == AIX_VERSION) {
            Some((_, link)) => Some((Layout { format: "pcap-aix", fraction_ns: 1, ..layout }, LinkType(*link))),
            None => Some((layout, LinkType(stated))),
        }
    }
}

/// Whether a file that begins so is pcap.
#[must_use]
pub fn is_pcap(head: &[u8]) -> bool {
    Layout::recognise(head).is_some()
}

/// The state of reading one pcap file: all of it comes from the file header.
#[derive(Debug)]
pub struct Pcap {
    layout: Layout,
    header: [u8; FILE_HEADER],
    link: LinkType,
    longest: u32,
    /// `pcap`, `pcap-ns`, `pcap-modified` or `pcap-aix`.
    pub format: &'static str,
    /// The one interface.
    pub interface: Box<InterfaceFacts>,
}

impl Pcap {
    /// Reads the file header.
    ///
    /// # Errors
    /// A [`Stop`] if the header is cut short or is none of pcap.
    pub fn open(input: &mut Window, reading: &Reading) -> Result<Pcap, Stop> {
        let header = input.take(FILE_HEADER)?.and_then(<[u8]>::first_chunk).ok_or(Stop::CutShort { offset: 0 })?;
        let (layout, stated) = Layout::read(header).ok_or_else(|| Stop::corrupt(0, "no pcap magic"))?;
        let (header, snaplen) = (*header, layout.order.u32(header, SNAPLEN));
        let (link, interface) = reading.interface(stated, snaplen);
        let (longest, format) = (sane_length(snaplen), layout.format);
        Ok(Pcap { layout, header, link, longest, format, interface: Box::new(interface) })
    }

    /// The next record; `None` at the end of the file.
    ///
    /// # Errors
    /// A [`Stop`] where the file ends within a record or a record is corrupt.
    #[inline]
    pub fn next<'w>(&mut self, input: &'w mut Window) -> Result<Option<Record<'w>>, Stop> {
        let Layout { order, fraction_ns, record_header, .. } = self.layout;
        let (offset, ts_ns, captured, original_len) = loop {
            let offset = input.offset();
            let header = input.peek(record_header)?;
            if header.len() < record_header {
                return if header.is_empty() { Ok(None) } else { Err(Stop::CutShort { offset }) };
            }
            let ts_ns = i64::from(order.u32(header, SECONDS)) * 1_000_000_000
                + i64::from(order.u32(header, FRACTION)) * fraction_ns;
            let captured = order.u32(header, CAPTURED_LENGTH);
            if captured > 0 || !self.pass_over(input)? {
                let original_len = order.u32(input.peek(record_header)?, ORIGINAL_LENGTH);
                break (offset, ts_ns, captured, original_len);
            }
        };
        if captured > self.longest {
            return Err(too_long(offset, captured, self.longest));
        }
        let record = input.take(record_header + captured as usize)?.ok_or(Stop::CutShort { offset })?;
        let bytes = record.get(record_header..).unwrap_or_default();
        Ok(Some(Record { ts_ns: Some(ts_ns), bytes, original_len, interface: 0, link: self.link }))
    }
}

impl Pcap {
    /// Passes over the header of a file that was put behind this one; false where a packet of no bytes is.
    ///
    /// # Errors
    /// A [`Stop`] where the header is of another kind of capture, or there is nothing but zeros.
    #[cold]
    fn pass_over(&mut self, input: &mut Window) -> Result<bool, Stop> {
        let offset = input.offset();
        let begin = input.peek(FILE_HEADER)?;
        if begin.get(..RECORD_HEADER).is_some_and(|begin| begin.iter().all(|&byte| byte == 0)) {
            return Err(Stop::corrupt(offset, "zeros, as a crash leaves behind what was written"));
        }
        // Its time zone and accuracy, which all write as 0, stand where a record has its lengths.
        let is_other = |at: usize| begin.get(at..at + 4) != self.header.get(at..at + 4);
        if !is_pcap(begin) || begin.get(8..RECORD_HEADER) != Some(&[0; 8]) {
            return Ok(false);
        }
        let snaplen = match begin.len() {
            FILE_HEADER if is_other(0) || is_other(VERSION) || is_other(LINK_TYPE) => {
                let why = "another kind of capture begins here; put files together with `mergecap -a`";
                return Err(Stop::corrupt(offset, why));
            }
            FILE_HEADER => self.layout.order.u32(begin, SNAPLEN),
            _ => return Err(Stop::CutShort { offset }),
        };
        self.longest = self.longest.max(sane_length(snaplen));
        input.skip(FILE_HEADER as u64)
    }

    /// Reads the whole records at the start of `bytes` into `packets`, until those are `most`; how many bytes that used.
    /// It stops where [`Pcap::next`] has to look: at a record that is not all there, or that is none.
    ///
    /// `bytes` lie at `place` in the batch, and `first` is what the next packet has in common with all of the file.
    pub fn scan(&self, bytes: &[u8], place: usize, first: Packet, packets: &mut Vec<Packet>, most: usize) -> usize {
        let Layout { order, fraction_ns, record_header, .. } = self.layout;
        let is_big = order == Order::Big;
        let number = |word: [u8; 4]| if is_big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) };
        let (mut at, mut frame, mut seen) = (0, first.frame, 0);
        while packets.len() < most
            && let Some(&[s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, o0, o1, o2, o3]) =
                bytes.get(at..).and_then(|rest| rest.first_chunk())
        {
            let captured_len = number([c0, c1, c2, c3]);
            let start = at + record_header;
            let end = start + captured_len as usize;
            // One of no bytes may be no record.
            if captured_len > self.longest || end > bytes.len() || captured_len == 0 {
                break;
            }
            seen ^= look_ahead(bytes, at, packets, place + start);
            let seconds = i64::from(number([s0, s1, s2, s3]));
            packets.push(Packet {
                ts_ns: seconds * 1_000_000_000 + i64::from(number([f0, f1, f2, f3])) * fraction_ns,
                frame,
                start: place + start,
                captured_len,
                original_len: number([o0, o1, o2, o3]),
                link: self.link,
                ..first
            });
            frame += 1;
            at = end;
        }
        // So that the compiler believes in the looks.
        black_box(seen);
        at
    }
}

/// Records from a packet to the one after it that is looked at; a multiple of the usual distances between like ones.
const AHEAD: usize = 12;
/// Bytes of so many records from which on the processor does not find the next headers by itself.
const SPARSE: usize = 256 * AHEAD;

/// Looks where the headers of the packet [`AHEAD`] records on will be if the next ones are as long as the last ones were, so
/// that the pages of a mapped file and their cache lines are on their way: each record is found through the one before,
/// and would be waited for. `start` is this packet's place, to compare with those before.
#[inline]
fn look_ahead(bytes: &[u8], at: usize, packets: &[Packet], start: usize) -> u8 {
    let before = packets.len().checked_sub(AHEAD).and_then(|before| packets.get(before));
    let stride = before.map_or(0, |before| start.saturating_sub(before.start));
    if stride < SPARSE {
        return 0;
    }
    let there = bytes.get(at + stride..).and_then(<[u8]>::first_chunk::<128>);
    there.map_or(0, |lines| lines[0] ^ lines[64])
}

/// A captured length that no interface gives: the file is damaged, and so is everything after.
#[cold]
pub fn too_long(offset: u64, captured: u32, longest: u32) -> Stop {
    Stop::corrupt(offset, format!("captured length {captured} is above {longest}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::forge::{pcap_header, pcap_record};

    /// Time, bytes, original length.
    type Read = (i64, Vec<u8>, u32);

    /// Everything a file holds, and how it ended.
    fn read(file: Vec<u8>) -> (Vec<Read>, Option<String>) {
        let mut input = Window::new(Box::new(std::io::Cursor::new(file)));
        let mut pcap = Pcap::open(&mut input, &Reading::default()).unwrap();
        let mut packets = Vec::new();
        loop {
            match pcap.next(&mut input) {
                Ok(Some(r)) => packets.push((r.ts_ns.unwrap(), r.bytes.to_vec(), r.original_len)),
                Ok(None) => return (packets, None),
                Err(stop) => return (packets, Some(stop.to_string())),
            }
        }
    }

    #[test]
    fn every_magic_in_both_orders() {
        for order in [Order::Little, Order::Big] {
            for (magic, extra, unit) in [(0xa1b2_c3d4, 0, 1000), (0xa1b2_3c4d, 0, 1), (0xa1b2_cd34, 8, 1000)] {
                let mut file = pcap_header(order, magic, 65535, 113);
                file.extend(pcap_record(order, (7, 5), b"abc", 60, extra));
                file.extend(pcap_record(order, (4_000_000_000, 999_999), b"", 0, extra));
                let expected = vec![
                    (7_000_000_000 + 5 * unit, b"abc".to_vec(), 60),
                    (4_000_000_000_000_000_000 + 999_999 * unit, Vec::new(), 0),
                ];
                assert_eq!(read(file), (expected, None), "{order:?} {magic:x}");
            }
        }
    }

    #[test]
    fn the_file_header_names_link_and_snaplen_without_the_fcs_flags() {
        let file = pcap_header(Order::Big, 0xa1b2_c3d4, 96, 0x5400_0001);
        let mut input = Window::new(Box::new(std::io::Cursor::new(file)));
        let pcap = Pcap::open(&mut input, &Reading::default()).unwrap();
        assert_eq!((pcap.interface.link_type, pcap.interface.snaplen, pcap.format), (1, 96, "pcap"));
    }

    #[test]
    fn aix_has_nanoseconds_and_link_types_of_its_own() {
        for order in [Order::Little, Order::Big] {
            for (version, stated, expected) in [
                (2, 6, (1, "pcap-aix", 7)),
                (2, 24, (0, "pcap-aix", 7)),
                (2, 1, (1, "pcap", 7000)),
                (4, 6, (6, "pcap", 7000)),
            ] {
                let mut file = pcap_header(order, 0xa1b2_c3d4, 96, stated);
                file[6..8].copy_from_slice(&if order == Order::Little { [version, 0] } else { [0, version] });
                file.extend(pcap_record(order, (0, 7), b"abc", 3, 0));
                let mut input = Window::new(Box::new(std::io::Cursor::new(file)));
                let mut pcap = Pcap::open(&mut input, &Reading::default()).unwrap();
                let at_ns = pcap.next(&mut input).unwrap().unwrap().ts_ns.unwrap();
                assert_eq!((pcap.interface.link_type, pcap.format, at_ns), expected);
            }
        }
    }

    #[test]
    fn the_last_record_may_be_cut_anywhere() {
        let mut whole = pcap_header(Order::Little, 0xa1b2_c3d4, 65535, 1);
        whole.extend(pcap_record(Order::Little, (1, 0), b"first", 5, 0));
        let second = whole.len();
        whole.extend(pcap_record(Order::Little, (2, 0), b"second", 6, 0));
        for end in second + 1..whole.len() {
            let (packets, problem) = read(whole[..end].to_vec());
            assert_eq!(packets.len(), 1);
            assert_eq!(problem, Some(format!("cut short in the record at offset {second}")));
        }
        assert_eq!(read(whole[..second].to_vec()).1, None);
    }

    #[test]
    fn files_one_behind_the_other_are_read_on() {
        for order in [Order::Little, Order::Big] {
            for (magic, extra) in [(0xa1b2_c3d4, 0), (0xa1b2_3c4d, 0), (0xa1b2_cd34, 8)] {
                let one = |seconds, snaplen, link| {
                    let mut file = pcap_header(order, magic, snaplen, link);
                    file.extend(pcap_record(order, (seconds, 0), b"abc", 3, extra));
                    file
                };
                let all = [one(1, 96, 1), pcap_header(order, magic, 96, 1), one(2, 65535, 1)].concat();
                let (packets, problem) = read(all.clone());
                assert_eq!(
                    (packets.iter().map(|p| p.0).collect::<Vec<_>>(), problem),
                    (vec![1_000_000_000, 2_000_000_000], None)
                );
                let turned = if order == Order::Big { Order::Little } else { Order::Big };
                for other in [one(3, 96, 113), pcap_header(turned, magic, 96, 1)] {
                    let (packets, problem) = read([all.clone(), other].concat());
                    assert_eq!((packets.len(), problem.unwrap().contains("another kind of capture")), (2, true));
                }
                let (packets, problem) = read([&all[..], &pcap_header(order, magic, 96, 1)[..20]].concat());
                assert_eq!((packets.len(), problem.unwrap().contains("cut short")), (2, true));
            }
        }
    }

    #[test]
    fn zeros_end_a_file_and_an_empty_packet_does_not() {
        let mut file = pcap_header(Order::Little, 0xa1b2_c3d4, 96, 1);
        file.extend(pcap_record(Order::Little, (0, 0), b"", 60, 0));
        file.extend(pcap_record(Order::Little, (7, 0), b"", 0, 0));
        let end = file.len();
        file.extend([0; 64]);
        let (packets, problem) = read(file);
        assert_eq!(packets.iter().map(|p| (p.0, p.2)).collect::<Vec<_>>(), [(0, 60), (7_000_000_000, 0)]);
        assert_eq!(
            problem,
            Some(format!("corrupt record at offset {end}: zeros, as a crash leaves behind what was written"))
        );
    }

    #[test]
    fn an_absurd_length_stops_the_file() {
        let mut file = pcap_header(Order::Little, 0xa1b2_c3d4, 65535, 1);
        file.extend(pcap_record(Order::Little, (1, 0), b"first", 5, 0));
        let mut bad = pcap_record(Order::Little, (1, 0), b"", 5, 0);
        bad[8..12].copy_from_slice(&262_145u32.to_le_bytes());
        file.extend(bad);
        let (packets, problem) = read(file);
        assert_eq!(packets.len(), 1);
        assert_eq!(problem.unwrap(), "corrupt record at offset 45: captured length 262145 is above 262144");
    }
}
