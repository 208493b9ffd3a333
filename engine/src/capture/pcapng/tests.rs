//! pcapng files put together block by block.

use super::*;
use crate::capture::forge::{block, enhanced, interface, options, section};

/// What a packet says, with its bytes.
type Read = (Option<i64>, Vec<u8>, u32, u32, u32);

/// Everything a file holds, its interfaces, and how it ended.
fn read(file: Vec<u8>) -> (Vec<Read>, Vec<InterfaceFacts>, Option<String>) {
    let mut input = Window::new(Box::new(std::io::Cursor::new(file)));
    let mut reader = Pcapng::open(&mut input).unwrap();
    let mut packets = Vec::new();
    let problem = loop {
        match reader.next(&mut input) {
            Ok(Some(r)) => packets.push((r.ts_ns, r.bytes.to_vec(), r.original_len, r.interface, r.link.0)),
            Ok(None) => break None,
            Err(stop) => break Some(stop.to_string()),
        }
    };
    (packets, reader.interfaces, problem)
}

/// A section of one Ethernet interface without options.
fn start(order: Order) -> Vec<u8> {
    [section(order), interface(order, 1, 0, &[])].concat()
}

#[test]
fn sections_differ_in_byte_order_interfaces_and_resolution() {
    let mut file = Vec::new();
    for (order, link) in [(Order::Little, 1), (Order::Big, 113)] {
        file.extend(section(order));
        file.extend(interface(order, link, 0, &[(2, b"eth0"), (9, &[9])]));
        file.extend(interface(order, 101, 96, &[(14, &order.put64(5))]));
        file.extend(enhanced(order, 1, 1 << 32, b"abcde", 1500));
        file.extend(enhanced(order, 0, 7, b"", 3));
    }
    let (packets, interfaces, problem) = read(file);
    let second = Some((1 << 32) * 1000 + 5_000_000_000);
    let expected = vec![
        (second, b"abcde".to_vec(), 1500, 1, 101),
        (Some(7), Vec::new(), 3, 0, 1),
        (second, b"abcde".to_vec(), 1500, 3, 101),
        (Some(7), Vec::new(), 3, 2, 113),
    ];
    assert_eq!((packets, problem), (expected, None));
    let facts: Vec<_> = interfaces.iter().map(|i| (i.name.as_deref(), i.link_type, i.snaplen)).collect();
    assert_eq!(facts, [(Some("eth0"), 1, 0), (None, 101, 96), (Some("eth0"), 113, 0), (None, 101, 96)]);
}

#[test]
fn simple_packets_are_cut_to_the_snaplen_and_have_no_time() {
    for order in [Order::Little, Order::Big] {
        let mut file = [section(order), interface(order, 1, 6, &[])].concat();
        file.extend(block(order, SIMPLE_PACKET, &[&order.put32(99)[..], b"abcdef"].concat()));
        file.extend(block(order, SIMPLE_PACKET, &[&order.put32(3)[..], b"xyz"].concat()));
        let (packets, _, problem) = read(file);
        let expected = vec![(None, b"abcdef".to_vec(), 99, 0, 1), (None, b"xyz".to_vec(), 3, 0, 1)];
        assert_eq!((packets, problem), (expected, None));
    }
}

#[test]
fn obsolete_packets_are_read() {
    let order = Order::Big;
    let fields = [0x0000_0042, 0, 9, 2, 60].map(|v| order.put32(v)).concat();
    let file = [start(order), block(order, OBSOLETE_PACKET, &[&fields[..], b"hi"].concat())].concat();
    assert_eq!(read(file).0, vec![(Some(9000), b"hi".to_vec(), 60, 0, 1)]);
}

#[test]
fn statistics_reach_their_interface() {
    let order = Order::Little;
    let statistics =
        |list: &[(u16, &[u8])]| block(order, INTERFACE_STATISTICS, &[vec![0; 12], options(order, list)].concat());
    let count = |n: u64| n.to_le_bytes();
    let mut file = start(order);
    file.extend(statistics(&[(4, &count(10)), (5, &count(1))]));
    file.extend(statistics(&[(4, &count(20)), (5, &count(2)), (7, &count(3))]));
    let (_, interfaces, problem) = read(file);
    assert_eq!((interfaces[0].received, interfaces[0].dropped, problem), (Some(20), Some(5), None));
}

#[test]
fn unknown_blocks_are_skipped_by_length() {
    let order = Order::Little;
    let mut file = start(order);
    file.extend(block(order, 0x0000_0bad, &vec![7; 300_000]));
    file.extend(enhanced(order, 0, 1, b"x", 1));
    assert_eq!(read(file).0.len(), 1);
}

#[test]
fn nonsense_stops_the_file_and_keeps_what_was_read() {
    let order = Order::Little;
    let mut twisted = enhanced(order, 0, 1, b"x", 1);
    let end = twisted.len() - 1;
    twisted[end] = 1;
    let mut long = enhanced(order, 0, 1, b"x", 1);
    long[20..24].copy_from_slice(&300_000u32.to_le_bytes());
    let mut beyond = enhanced(order, 0, 1, b"x", 1);
    beyond[20..24].copy_from_slice(&200u32.to_le_bytes());
    let cases = [
        (twisted, "block length 36 at its start, 16777252 at its end"),
        (long, "captured length 300000 is above 262144"),
        (beyond, "packet of 200 bytes in a block of 24"),
        (enhanced(order, 1, 1, b"x", 1), "packet of interface 1, not described"),
        ([0x0bad_u32.to_le_bytes(), 8u32.to_le_bytes()].concat(), "block length 8"),
        ([6u32.to_le_bytes(), u32::MAX.to_le_bytes()].concat(), "block length 4294967295"),
    ];
    for (bad, why) in cases {
        let mut file = start(order);
        file.extend(enhanced(order, 0, 1, b"good", 4));
        let offset = file.len();
        file.extend(bad);
        let (packets, _, problem) = read(file);
        assert_eq!((packets.len(), problem), (1, Some(format!("corrupt record at offset {offset}: {why}"))));
    }
}

#[test]
fn a_skipped_block_may_be_cut_short_too() {
    let mut file = start(Order::Big);
    let offset = file.len();
    file.extend([0x0bad_u32.to_be_bytes(), 0xffff_fff0_u32.to_be_bytes()].concat());
    assert_eq!(read(file).2, Some(format!("cut short in the record at offset {offset}")));
}

#[test]
fn interfaces_are_bounded() {
    let order = Order::Little;
    let mut file = section(order);
    for _ in 0..=MOST_INTERFACES {
        file.extend(interface(order, 1, 0, &[]));
    }
    let (_, interfaces, problem) = read(file);
    assert_eq!(interfaces.len(), MOST_INTERFACES);
    assert!(problem.unwrap().ends_with("more than 65536 interfaces"));
}
