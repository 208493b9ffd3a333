//! Nanoseconds per packet of reading and of decoding: this engine beside the crates that do the same, in one run.
//!
//! ```text
//! cargo run --release -p pcapwatch-engine --example parse_cost
//! ```
//!
//! Each line is the best of several passes over the same capture in memory, 200,000 Ethernet frames of TCP, half of
//! them without payload and half with 512 bytes, half with timestamps, so that neither side is spared a path.

use etherparse::{LaxSlicedPacket, TransportSlice};
use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{Block, LegacyPcapReader, PcapBlockOwned, PcapError, PcapNGReader};
use pcapwatch_engine::capture::{Batch, CaptureSet};
use pcapwatch_engine::decode::{Header, TUNNEL_DEPTH, decode};
use pcapwatch_engine::settings::Settings;
use std::hint::black_box;
use std::io::Cursor;
use std::time::Instant;

const PACKETS: u32 = 200_000;
/// Packets of a batch: 1.3 MB of them, so that what was read is still in the cache when it is decoded.
const BATCH: usize = 4000;
const PASSES: usize = 9;
const BUFFER: usize = 256 << 10;

fn main() {
    let frames: Vec<Vec<u8>> = (0..PACKETS).map(frame).collect();
    let pcap: &'static [u8] = pcap_file(&frames).leak();
    let pcapng: &'static [u8] = pcapng_file(&frames).leak();
    println!("{:<52} {:>9}", "best of several passes", "ns/packet");
    report("read pcap, pcap-parser", || pcap_parser_records(LegacyPcapReader::new(BUFFER, Cursor::new(pcap)).unwrap()));
    report("read pcap, this engine", || records(pcap, |batch| batch.packets.len() as u32));
    report("read pcapng, pcap-parser", || pcap_parser_records(PcapNGReader::new(BUFFER, Cursor::new(pcapng)).unwrap()));
    report("read pcapng, this engine", || records(pcapng, |batch| batch.packets.len() as u32));
    let batch = first_batch(pcap);
    let rounds = PACKETS / BATCH as u32;
    let etherparse_batch = || batch.packets.iter().map(|packet| etherparse_segment(batch.bytes(packet))).sum::<u32>();
    report("decode, etherparse LaxSlicedPacket", || (0..rounds).map(|_| etherparse_batch()).sum());
    report("decode, this engine", || (0..rounds).map(|_| segments(&batch)).sum());
    report("read and decode pcap, this engine", || records(pcap, segments));
    report("read and decode pcapng, this engine", || records(pcapng, segments));
}

/// Times `work`, which gives how many packets it saw.
fn report(name: &str, mut work: impl FnMut() -> u32) {
    let mut best = f64::INFINITY;
    for _ in 0..PASSES {
        let begin = Instant::now();
        assert_eq!(black_box(work()), PACKETS, "{name} must see every packet");
        best = best.min(begin.elapsed().as_nanos() as f64 / f64::from(PACKETS));
    }
    println!("{name:<52} {best:>9.1}");
}

/// The batch that the engine would be handed, packets copied out, as the engine's own lines have it.
fn pcap_parser_records(mut reader: impl PcapReaderIterator) -> u32 {
    let mut data = Vec::new();
    let mut packets = Vec::new();
    let mut count = 0;
    loop {
        match reader.next() {
            Ok((offset, block)) => {
                if let Some((time, bytes)) = pcap_parser_packet(&block) {
                    packets.push((time, data.len(), bytes.len()));
                    data.extend_from_slice(bytes);
                    count += 1;
                }
                reader.consume(offset);
            }
            Err(PcapError::Incomplete(_)) => reader.refill().unwrap(),
            Err(_) => return count,
        }
        if packets.len() >= BATCH {
            black_box((&packets, &data));
            packets.clear();
            data.clear();
        }
    }
}

fn pcap_parser_packet<'a>(block: &'a PcapBlockOwned<'_>) -> Option<(u64, &'a [u8])> {
    match block {
        PcapBlockOwned::Legacy(b) => Some((u64::from(b.ts_sec) * 1_000_000 + u64::from(b.ts_usec), b.data)),
        PcapBlockOwned::NG(Block::EnhancedPacket(b)) => {
            Some((u64::from(b.ts_high) << 32 | u64::from(b.ts_low), b.data.get(..b.caplen as usize)?))
        }
        _ => None,
    }
}

/// What a segment needs of `etherparse`: addresses, ports, sequence numbers, flags, options and payload.
fn etherparse_segment(frame: &[u8]) -> u32 {
    let Ok(packet) = LaxSlicedPacket::from_ethernet(frame) else {
        return 0;
    };
    let Some(TransportSlice::Tcp(tcp)) = &packet.transport else {
        return 0;
    };
    black_box((&packet.net, tcp.source_port(), tcp.destination_port(), tcp.sequence_number()));
    black_box((tcp.acknowledgment_number(), tcp.fin(), tcp.syn(), tcp.rst(), tcp.ack(), tcp.window_size()));
    for option in tcp.options_iterator() {
        black_box(&option);
    }
    black_box(tcp.payload());
    1
}

/// Reads a whole capture and gives the sum of what `each` counts in its batches.
fn records(file: &'static [u8], each: impl Fn(&Batch) -> u32) -> u32 {
    let settings = Settings { replay_bytes: 0, ..Settings::default() };
    let mut set = CaptureSet::from_reader("memory", Cursor::new(file), &settings).unwrap();
    let mut batch = Batch::default();
    let mut count = 0;
    while set.next_batch(&mut batch, BATCH).unwrap() {
        count += each(black_box(&batch));
    }
    count
}

fn first_batch(file: &'static [u8]) -> Batch {
    let mut batch = Batch::default();
    let mut set = CaptureSet::from_reader("memory", Cursor::new(file), &Settings::default()).unwrap();
    set.next_batch(&mut batch, BATCH).unwrap();
    batch
}

fn segments(batch: &Batch) -> u32 {
    let mut headers = vec![Header::default(); batch.packets.len()];
    let pairs = batch.packets.iter().zip(&mut headers);
    let decoded = pairs.map(|(packet, header)| decode(packet, batch.bytes(packet), 0, TUNNEL_DEPTH, header));
    let count = decoded.flatten().count() as u32;
    black_box(&headers);
    count
}

/// An Ethernet frame of IPv4 and TCP; `number` varies ports, sequence, payload and options.
fn frame(number: u32) -> Vec<u8> {
    let payload = if number.is_multiple_of(2) { 0 } else { 512 };
    let options: &[u8] = if number % 4 < 2 { &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2] } else { &[] };
    let total = (40 + options.len() + payload) as u16;
    let mut out = vec![2; 12];
    out.extend([8, 0, 0x45, 0]);
    out.extend(total.to_be_bytes());
    out.extend([0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    out.extend((number as u16).to_be_bytes());
    out.extend([0, 80]);
    out.extend(number.to_be_bytes());
    out.extend([0, 0, 0, 1, ((20 + options.len()) << 2) as u8, 0x18, 1, 0, 0, 0, 0, 0]);
    out.extend(options);
    out.resize(out.len() + payload, b'x');
    out
}

fn pcap_file(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut out = [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 262_144, 1].map(u32::to_le_bytes).concat();
    for (second, frame) in (0u32..).zip(frames) {
        let length = frame.len() as u32;
        out.extend([second, 0, length, length].map(u32::to_le_bytes).concat());
        out.extend(frame);
    }
    out
}

fn pcapng_file(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut out = [0x0a0d_0d0au32, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28].map(u32::to_le_bytes).concat();
    out.extend([1u32, 20, 1, 262_144, 20].map(u32::to_le_bytes).concat());
    for (second, frame) in (0u32..).zip(frames) {
        let length = frame.len() as u32;
        let padded = frame.len().next_multiple_of(4);
        let block = 32 + padded as u32;
        out.extend([6, block, 0, 0, second, length, length].map(u32::to_le_bytes).concat());
        out.extend(frame);
        out.resize(out.len() + padded - frame.len(), 0);
        out.extend(block.to_le_bytes());
    }
    out
}
