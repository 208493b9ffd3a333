//! pcapng files put together block by block.

use super::*;
use crate::capture::forge::{block, enhanced, interface, options, section};

/// What a packet says, with its bytes.
type Read = (Option<i64>, Vec<u8>, u32, u32, u32);

/// Everything a file holds, its interfaces, and how it ended.
fn read(file: Vec<u8>) -> (Vec<Read>, Vec<InterfaceFacts>, Option<String>) {
    let mut input = Window::new(Box::new(std::io::Cursor::new(file)));
    let mut reader = Pcapng::open(&mut input, &Reading::default()).unwrap();
    let mut packets = Vec::new();
    let problem = loop {
        match reader.next(&mut input) {
            Ok(Some(r)) => packets.push((r.ts_ns, r.bytes.to_vec(), r.original_len, r.interface, r.link.0)),
            Ok(None) => break None,
            Err(stop) => break Some(stop.to_string()),
        }
    };
    (packets, reader.facts().1, problem)
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
    // Of an interface without a snaplen any length is believed that a block can have.
    let cases = [
        (twisted, "block length 36 at its start, 16777252 at its end"),
        (long, "packet of 300000 bytes in a block of 24"),
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
fn interfaces_are_bounded_in_a_section_and_listed_up_to_a_number() {
    let order = Order::Little;
    let mut file = section(order);
    for _ in 0..=MOST_INTERFACES {
        file.extend(interface(order, 1, 0, &[]));
    }
    let (_, interfaces, problem) = read(file);
    assert_eq!(interfaces.len(), 1000);
    assert!(problem.unwrap().ends_with("more than 65536 interfaces in a section"));
}

#[test]
fn packets_of_interfaces_beyond_the_list_are_read() {
    let order = Order::Big;
    let mut file = section(order);
    for _ in 0..2000 {
        file.extend(interface(order, 1, 0, &[]));
    }
    file.extend(enhanced(order, 1999, 5, b"x", 1));
    file.extend(section(order));
    file.extend(interface(order, 101, 0, &[]));
    file.extend(enhanced(order, 0, 6, b"y", 1));
    let (packets, _, problem) = read(file);
    let expected = vec![(Some(5000), b"x".to_vec(), 1, 1999, 1), (Some(6000), b"y".to_vec(), 1, 2000, 101)];
    assert_eq!((packets, problem), (expected, None));
}

/// An enhanced packet block with options.
fn with_options(order: Order, bytes: &[u8], list: &[(u16, &[u8])]) -> Vec<u8> {
    let fields = [0, 0, 1, bytes.len() as u32, bytes.len() as u32].map(|v| order.put32(v)).concat();
    let mut body = [&fields[..], bytes].concat();
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend(options(order, list));
    block(order, ENHANCED_PACKET, &body)
}

/// The facts of a whole file.
fn facts(file: Vec<u8>) -> (PcapngFacts, Vec<InterfaceFacts>) {
    let mut input = Window::new(Box::new(std::io::Cursor::new(file)));
    let mut reader = Pcapng::open(&mut input, &Reading { names: true, ..Reading::default() }).unwrap();
    while reader.next(&mut input).unwrap().is_some() {}
    reader.facts()
}

#[test]
fn options_of_packets_are_told() {
    for order in [Order::Little, Order::Big] {
        let (inbound, outbound) = (order.put32(0x0004_0001), order.put32(2));
        let lost = order.put64(7);
        let mut file = start(order);
        file.extend(enhanced(order, 0, 1, b"plain", 5));
        file.extend(with_options(order, b"abc", &[(1, b"look here"), (2, &inbound), (4, &lost)]));
        file.extend(with_options(order, b"abcd", &[(2, &outbound)]));
        for drops in [3, u16::MAX] {
            let fields = [&[0; 2][..], &order.put16(drops), &[0, 9, 0, 60].map(|v| order.put32(v)).concat()];
            file.extend(block(order, OBSOLETE_PACKET, &fields.concat()));
        }
        let (facts, interfaces) = facts(file);
        let comment = crate::capture::facts::CommentFacts { block: "packet", frame: Some(2), text: "look here".into() };
        assert_eq!((facts.comments, facts.comment_texts), (1, vec![comment]));
        let interface = &interfaces[0];
        assert_eq!((interface.inbound, interface.outbound, interface.lost_between), (1, 1, 7 + 3));
    }
}

/// Type and bytes of the secrets that are kept.
fn kept_secrets(file: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut input = Window::new(Box::new(std::io::Cursor::new(file.to_vec())));
    let mut reader = Pcapng::open(&mut input, &Reading::default()).unwrap();
    while reader.next(&mut input).unwrap().is_some() {}
    reader.secrets().iter().map(|secret| (secret.kind, secret.bytes.to_vec())).collect()
}

#[test]
fn every_kind_of_block_is_counted() {
    for order in [Order::Little, Order::Big] {
        let mut file = start(order);
        let comment = options(order, &[(1, b"of one session")]);
        let secrets = [&order.put32(0x544c_534b)[..], &order.put32(5), b"hello\0\0\0", &comment].concat();
        file.extend(block(order, DECRYPTION_SECRETS, &secrets));
        file.extend(block(order, DECRYPTION_SECRETS, &[order.put32(0x1234), order.put32(500)].concat()));
        file.extend(block(order, DECRYPTION_SECRETS, &[]));
        file.extend(block(order, SYSTEMD_JOURNAL, b"__REALTIME_TIMESTAMP=1\n"));
        file.extend(block(order, CUSTOM, &order.put32(32_473)));
        file.extend(block(order, CUSTOM_NOT_COPIED, &order.put32(32_473)));
        file.extend(block(order, 0x8000_0001, b"of someone's own"));
        file.extend(block(order, NAME_RESOLUTION, &options(order, &[(1, b"\x0a\0\0\x01host\0")])));
        file.extend(block(order, INTERFACE_STATISTICS, &[0; 12]));
        file.extend(enhanced(order, 0, 1, b"x", 1));
        let (facts, _) = facts(file.clone());
        let blocks: Vec<_> = facts.blocks.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
        let expected = [
            ("custom", 1),
            ("custom_not_copied", 1),
            ("decryption_secrets", 2),
            ("enhanced_packet", 1),
            ("interface_description", 1),
            ("interface_statistics", 1),
            ("name_resolution", 1),
            ("section_header", 1),
            ("systemd_journal", 1),
            ("unknown_0x80000001", 1),
        ];
        assert_eq!(blocks, expected);
        let secret = |blocks, bytes| crate::capture::facts::SecretFacts { blocks, bytes };
        assert_eq!(facts.secrets, [("tls_key_log", secret(1, 5)), ("unknown", secret(1, 0))].into());
        assert_eq!((facts.comments, facts.comment_texts[0].block), (1, "decryption_secrets"));
        assert_eq!(kept_secrets(&file), [("tls_key_log", b"hello".to_vec())]);
        assert_eq!(facts.broken_lists, 1, "500 bytes of secrets in a block without any");
        assert_eq!((facts.name_records[0].address.as_str(), facts.names), ("10.0.0.1", 1));
    }
}

#[test]
fn a_packet_that_is_put_back_is_told_once() {
    let order = Order::Little;
    let file = [start(order), with_options(order, b"abc", &[(1, b"once")]), enhanced(order, 0, 2, b"x", 1)].concat();
    let mut input = Window::new(Box::new(std::io::Cursor::new(file)));
    let mut reader = Pcapng::open(&mut input, &Reading::default()).unwrap();
    assert!(reader.next(&mut input).unwrap().is_some());
    input.put_back();
    reader.put_back();
    while reader.next(&mut input).unwrap().is_some() {}
    let (facts, _) = reader.facts();
    assert_eq!((facts.comments, facts.blocks["enhanced_packet"]), (1, 2));
}

#[test]
fn the_first_section_that_tells_says_who_captured() {
    let order = Order::Big;
    let header = |list: &[(u16, &[u8])]| {
        let fixed = [&order.put32(0x1a2b_3c4d)[..], &order.put16(1), &order.put16(0), &[0xff; 8]].concat();
        block(order, SECTION_HEADER, &[fixed, options(order, list)].concat())
    };
    let first = header(&[(1, b"a comment"), (3, b"Linux 6.1"), (4, b"dumpcap")]);
    let second = header(&[(2, b"x86"), (4, b"mergecap")]);
    let (facts, _) = facts([first, second].concat());
    let told = [&facts.hardware, &facts.os, &facts.application].map(|text| text.as_deref().unwrap());
    assert_eq!((told, facts.comments), (["x86", "Linux 6.1", "dumpcap"], 1));
}
