//! Readers, decoder, defragmenter, the whole engine. A target panics if what must hold does not.

pub use crate::streams::{http, reassembler};

use pcapwatch_engine::capture::{Batch, CaptureSet, LinkType, Packet};
use pcapwatch_engine::decode::{
    Defragmenter, Header, NotAnalysed, Segment, TUNNEL_DEPTH, decode, decode_any, layers_around, parts_of,
};
use pcapwatch_engine::engine::read_all;
use pcapwatch_engine::settings::{SECOND, Settings, StatesQuery};
use std::io::Cursor;

const PCAP_MAGICS: [[u8; 4]; 6] = [
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0x4d, 0x3c, 0xb2, 0xa1],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0x34, 0xcd, 0xb2, 0xa1],
    [0xa1, 0xb2, 0xcd, 0x34],
];
const COMPRESSED_MAGICS: [&[u8]; 4] = [b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"\xfd7zXZ\0"];
/// Link types that are read, and one that is not.
const LINKS: [u32; 29] = [
    1, 0, 9, 12, 14, 50, 51, 101, 104, 105, 108, 113, 119, 127, 163, 166, 192, 204, 226, 228, 229, 239, 258, 276, 9999,
    100, 13, 109, 117,
];

/// The bytes after a magic that one of them chose, unless they begin with one of these already.
fn with_magic(data: &[u8], magics: &[&[u8]]) -> Vec<u8> {
    if magics.iter().any(|magic| data.starts_with(magic)) {
        return data.to_vec();
    }
    let Some((choice, rest)) = data.split_first() else { return Vec::new() };
    [magics[usize::from(*choice) % magics.len()], rest].concat()
}

/// The pcap reader, in all its byte orders and kinds.
pub fn pcap(data: &[u8]) {
    let magics = PCAP_MAGICS.each_ref().map(<[u8; 4]>::as_slice);
    read(with_magic(data, &magics));
}

/// The pcapng reader.
pub fn pcapng(data: &[u8]) {
    read(with_magic(data, &[b"\x0a\x0d\x0d\x0a"]));
}

/// The decompressors, and whatever comes out of them.
pub fn compressed(data: &[u8]) {
    read(with_magic(data, &COMPRESSED_MAGICS));
}

/// Reads a file to its end: each packet's bytes are in its batch, frames ascend but where interfaces were put in order, none
/// comes twice, and the file has as many as came.
fn read(bytes: Vec<u8>) {
    let settings = Settings { names: true, ..Settings::default() };
    let Ok(mut set) = CaptureSet::from_reader("fuzzed", Cursor::new(bytes), &settings) else { return };
    let mut batch = Batch::default();
    let (mut packets, mut frames) = (0, Vec::new());
    while set.next_batch(&mut batch, 100).expect("a stream is not opened again") {
        assert_eq!(batch.first_ordinal, packets);
        for packet in &batch.packets {
            assert_eq!(batch.bytes(packet).len(), packet.captured_len as usize);
            frames.push(packet.frame);
        }
        packets += batch.packets.len() as u64;
    }
    let facts = set.facts();
    assert_eq!(facts.files[0].packets, packets);
    assert_eq!(facts.ordered_packets == 0, frames.is_sorted());
    frames.sort_unstable();
    assert!(frames.first() != Some(&0) && frames.windows(2).all(|pair| pair[0] < pair[1]));
}

/// A packet of a link type that the first byte chose.
fn packet(choice: u8, bytes: &[u8]) -> Packet {
    let length = bytes.len() as u32;
    let link = LinkType(LINKS[usize::from(choice) % LINKS.len()]);
    let original_len = if choice & 0x80 == 0 { length } else { length + 1000 };
    Packet { frame: 1, captured_len: length, original_len, link, ..Packet::default() }
}

fn check_segment(header: &Header, bytes: &[u8]) {
    let segment = Segment::new(header, bytes);
    assert_eq!(segment.payload.len(), header.captured_len as usize);
    assert!(segment.payload.len() <= header.payload_len as usize);
    let _ = segment.options();
}

/// The decoder: a segment lies within its packet, as do the packets of an aggregate, and the fast path says what the long one does.
pub fn decoder(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    let packet = packet(*choice, bytes);
    let slow = decode_any(&packet, bytes, 7, TUNNEL_DEPTH);
    let mut fast = Header::default();
    match decode(&packet, bytes, 7, TUNNEL_DEPTH, &mut fast) {
        Ok(()) => {
            check_segment(&fast, bytes);
            assert_eq!(Ok(fast), slow);
        }
        Err(reason) => assert_eq!(Err(reason), slow),
    }
    let _ = layers_around(&packet, bytes, 16);
    if slow == Err(NotAnalysed::Aggregate) {
        for part in parts_of(&packet, bytes, TUNNEL_DEPTH).into_iter().flatten() {
            let bytes = &bytes[part.start..][..part.captured_len as usize];
            if let Ok(header) = decode_any(&Packet { start: 0, ..part }, bytes, 7, TUNNEL_DEPTH) {
                check_segment(&header, bytes);
            }
        }
    }
}

/// The defragmenter: packets that a length byte each divides, a millisecond apart; limits low enough to be reached.
pub fn fragments(data: &[u8]) {
    let settings = Settings { max_fragmented_datagrams: 4, max_fragment_bytes: 2048, ..Settings::default() };
    let mut defragmenter = Defragmenter::new(&settings);
    let mut rest = data;
    let (mut at, mut taken) = (0, 0);
    while let [choice, length, more @ ..] = rest {
        let (bytes, after) = more.split_at(usize::from(*length).min(more.len()));
        rest = after;
        at += 1;
        let packet = Packet { ts_ns: at * SECOND / 1000, frame: at as u64, ..packet(*choice, bytes) };
        if !matches!(decode_any(&packet, bytes, at as u64, TUNNEL_DEPTH), Err(NotAnalysed::Fragment)) {
            continue;
        }
        taken += 1;
        if let Ok(whole) = defragmenter.accept(&packet, bytes) {
            assert!(whole.packets <= taken);
            if let Ok(header) = whole.header(&packet, at as u64, 0) {
                check_segment(&header, &whole.bytes);
            }
            let _ = whole.layers_around();
        }
    }
    let counts = defragmenter.finish();
    assert!(counts.datagrams + counts.incomplete <= taken);
}

/// Any bytes as a file: a summary or a [`pcapwatch_engine::capture::SourceError`], and the same whatever the threads and batches.
pub fn engine(data: &[u8]) {
    let Some(one) = told(data, 1, 4096) else { return };
    // A second look costs a thread: it is taken at one input in eight, which the bytes choose.
    if data.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) & 7 == 0 {
        assert!(told(data, 2, 3).as_ref() == Some(&one), "threads or batches change the answer");
    }
}

/// What reaches the user, as text; `None` for a refusal, which is one line.
fn told(data: &[u8], threads: usize, batch_packets: usize) -> Option<String> {
    let settings = Settings {
        threads,
        batch_packets,
        keep_connections: true,
        keep_exchanges: true,
        names: true,
        max_connections: 10_000,
        states: Some(StatesQuery { at_ns: Some(1_700_000_000 * SECOND), ..StatesQuery::default() }),
        ..Settings::default()
    };
    let mut set = match CaptureSet::from_reader("fuzzed", Cursor::new(data.to_vec()), &settings) {
        Ok(set) => set,
        Err(error) => {
            assert_eq!(error.to_string().lines().count(), 1);
            return None;
        }
    };
    let outcome = read_all(&mut set, &settings, None).expect("a stream is not opened again").expect("nobody stops it");
    assert_eq!(outcome.connections.len() as u64, outcome.opened.len());
    let summary = serde_json::to_string(&outcome.summary).expect("a summary is JSON");
    let rows = (outcome.connections.to_vec().unwrap(), outcome.exchanges.to_vec().unwrap());
    Some(format!("{summary}{rows:?}"))
}
