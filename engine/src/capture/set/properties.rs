//! What must hold of any bytes at all, in pieces of any length.

use super::*;
use crate::capture::forge::{Pieces, block, enhanced, interface, options, pcap_header, pcap_record, section};
use crate::capture::order::Order;
use crate::decode::decode_any;
use proptest::collection::vec;
use proptest::prelude::*;
use std::io::Cursor;

/// Frame, time, bytes, original length.
type Seen = (u64, i64, Vec<u8>, u32);

/// Everything read, decoded on the way, and what the file told, how it ended included; `None` if refused.
fn read(stream: impl Read + Send + 'static, max_packets: usize) -> Option<(Vec<Seen>, String)> {
    let mut set = CaptureSet::from_reader("x", stream, &Settings::default()).ok()?;
    let mut batch = Batch::default();
    let mut packets = Vec::new();
    while set.next_batch(&mut batch, max_packets).expect("only opening a file can fail") {
        for packet in &batch.packets {
            let bytes = batch.bytes(packet);
            assert_eq!(bytes.len(), packet.captured_len as usize);
            let _ = decode_any(packet, bytes, 0, crate::decode::TUNNEL_DEPTH);
            packets.push((packet.frame, packet.ts_ns, bytes.to_vec(), packet.original_len));
        }
    }
    Some((packets, serde_json::to_string(&set.facts().files).expect("facts are plain")))
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Little), Just(Order::Big)]
}

/// A well-formed pcap of any layout.
fn any_pcap() -> impl Strategy<Value = Vec<u8>> {
    let magic = prop_oneof![Just((0xa1b2_c3d4, 0)), Just((0xa1b2_3c4d, 0)), Just((0xa1b2_cd34, 8))];
    let packets = vec((any::<u32>(), vec(any::<u8>(), 0..90), any::<u32>()), 0..12);
    (order(), magic, any::<u32>(), packets).prop_map(|(order, (magic, extra), snaplen, packets)| {
        let mut file = pcap_header(order, magic, snaplen, 1);
        for (seconds, bytes, original) in packets {
            file.extend(pcap_record(order, (seconds, 9), &bytes, original, extra));
        }
        file
    })
}

/// Kinds of blocks, the packets of other kinds among them.
const KINDS: [u32; 12] = [0, 1, 2, 3, 4, 5, 6, 9, 10, 0x0bad, 0x4000_0bad, 0x8000_0001];

/// A pcapng of any blocks in well-formed frames; what is in them may be nonsense.
fn any_pcapng() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![
        (any::<u16>(), 0u32..2000, vec(any::<u8>(), 0..9)).prop_map(|(link, snaplen, value)| (0, link, snaplen, value)),
        (any::<u16>(), any::<u32>(), vec(any::<u8>(), 0..60)).prop_map(|(a, b, bytes)| (1, a, b, bytes)),
        (0u16..12, any::<u32>(), vec(any::<u8>(), 0..60)).prop_map(|(kind, _, bytes)| (2, kind, 0, bytes)),
        Just((3, 0, 0, Vec::new())),
    ];
    (order(), vec(body, 0..12)).prop_map(|(order, blocks)| {
        let mut file = [section(order), interface(order, 1, 0, &[])].concat();
        for (kind, a, b, bytes) in blocks {
            file.extend(match kind {
                0 => interface(order, a, b, &[(9, &bytes), (2, &bytes)]),
                1 => enhanced(order, u32::from(a) % 3, u64::from(b) << 20, &bytes, b),
                2 => block(
                    order,
                    KINDS[a as usize % KINDS.len()],
                    &[&bytes[..], &options(order, &[(4, &[1; 8])])].concat(),
                ),
                _ => section(order),
            });
        }
        file
    })
}

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![any_pcap(), any_pcapng()]
}

proptest! {
    /// A stream in pieces of any lengths gives the packets and the facts of the whole, in batches of any size: no block is
    /// counted twice for being come to twice.
    #[test]
    fn any_pieces_give_the_same_packets(
        file in any_file(),
        lengths in vec(1usize..50, 1..9),
        max_packets in 1usize..9,
    ) {
        let pieces = Pieces { bytes: Cursor::new(file.clone()), lengths: lengths.into_iter().cycle() };
        let whole = read(Cursor::new(file), 1000);
        prop_assert!(whole.is_some());
        prop_assert_eq!(read(pieces, max_packets), whole);
    }

    /// A file cut anywhere gives a beginning of its packets, in the file's order or by time, or is refused. Where no packet is left that has a time, those
    /// without have none.
    #[test]
    fn a_cut_file_gives_a_beginning(file in any_file(), cut in any::<prop::sample::Index>()) {
        let (mut whole, _) = read(Cursor::new(file.clone()), 1000).unwrap();
        let cut = cut.index(file.len());
        if let Some((mut packets, _)) = read(Cursor::new(file[..cut].to_vec()), 1000) {
            whole.sort_by_key(|seen| seen.0);
            packets.sort_by_key(|seen| seen.0);
            let has_times = packets.iter().any(|seen| seen.1 != 0);
            let untimed =
                |packets: &[Seen]| packets.iter().map(|seen| (seen.0, 0, seen.2.clone(), seen.3)).collect::<Vec<_>>();
            prop_assert!(whole.starts_with(&packets) || !has_times && untimed(&whole).starts_with(&packets));
        }
    }

    /// A file with any bytes changed gives packets or a refusal, never a panic.
    #[test]
    fn changed_bytes_never_panic(
        mut file in any_file(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..9),
    ) {
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        read(Cursor::new(file), 1000);
    }

    /// Any bytes behind any magic give packets or a refusal, never a panic.
    #[test]
    fn any_bytes_never_panic(magic in 0usize..8, bytes in vec(any::<u8>(), 0..300)) {
        const MAGICS: [&[u8]; 8] = [
            b"", b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1", b"\x34\xcd\xb2\xa1",
            b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0", b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd",
        ];
        read(Cursor::new([MAGICS[magic], &bytes].concat()), 1000);
    }
}
