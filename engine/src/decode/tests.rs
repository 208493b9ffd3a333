//! Packets put together header by header.

use super::*;
use crate::capture::LinkType;
use crate::record::{Address, Tunnel};
use proptest::prelude::*;

/// The header of one packet.
pub(super) fn decode(packet: &Packet, bytes: &[u8], ordinal: u64) -> Result<Header, NotAnalysed> {
    let mut header = Header::default();
    super::decode(packet, bytes, ordinal, TUNNEL_DEPTH, &mut header).map(|()| header)
}

pub(super) const PAYLOAD: &[u8] = b"GET /";

/// A TCP header with `options`, and [`PAYLOAD`].
pub(super) fn tcp(flags: u8, checksum: u16, options: &[u8]) -> Vec<u8> {
    let offset = (20 + options.len() as u8) << 2;
    let mut out = vec![0x82, 0x35, 0, 80, 1, 2, 3, 4, 5, 6, 7, 8, offset, flags, 0x10, 0x20];
    out.extend(checksum.to_be_bytes());
    out.extend([0, 0]);
    out.extend(options);
    out.extend(PAYLOAD);
    out
}

/// An IPv4 header of `options` bytes more than 20, with its total length right.
pub(super) fn ipv4(protocol: u8, options: usize, inside: &[u8]) -> Vec<u8> {
    let total = (20 + options + inside.len()) as u16;
    let mut out = vec![0x45 + (options / 4) as u8, 0];
    out.extend(total.to_be_bytes());
    out.extend([0xab, 0xcd, 0x40, 0, 63, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    out.extend(vec![1; options]);
    out.extend(inside);
    out
}

pub(super) fn ipv6(next: u8, inside: &[u8]) -> Vec<u8> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend((inside.len() as u16).to_be_bytes());
    out.extend([next, 62]);
    out.extend([0x20; 16]);
    out.extend([0x30; 16]);
    out.extend(inside);
    out
}

pub(super) fn ethernet(types: &[u16], inside: &[u8]) -> Vec<u8> {
    let mut out = vec![0xee; 12];
    out.extend(types.iter().flat_map(|field| field.to_be_bytes()));
    out.extend(inside);
    out
}

pub(super) fn packet(link: u32, original_len: usize) -> Packet {
    Packet {
        ts_ns: 9,
        frame: 3,
        start: 0,
        captured_len: 0,
        original_len: original_len as u32,
        file: 1,
        interface: 2,
        link: LinkType(link),
    }
}

/// Decodes bytes that were captured whole.
pub(super) fn whole(link: u32, bytes: &[u8]) -> Result<Header, NotAnalysed> {
    decode(&packet(link, bytes.len()), bytes, 77)
}

pub(super) fn kind(link: u32, bytes: &[u8]) -> String {
    whole(link, bytes).expect_err("not to be analysed").kind().into_owned()
}

/// An IPv4 packet with a UDP datagram to `port`.
pub(super) fn udp(port: u16, inside: &[u8]) -> Vec<u8> {
    let length = (inside.len() as u16 + 8).to_be_bytes();
    let header = [&[0xc3, 0x50][..], &port.to_be_bytes(), &length, &[0, 0]].concat();
    ipv4(17, 0, &[&header, inside].concat())
}

/// What is around a packet, as text.
pub(super) fn tunnel_text(packet: &Packet, bytes: &[u8], most_depth: u8) -> String {
    layers_around(packet, bytes, most_depth).text()
}

/// The bytes lead to the segment that [`tcp`] makes, and `text` names what is around it.
pub(super) fn reaches(link: u32, bytes: &[u8], text: &str) {
    let header = whole(link, bytes).unwrap_or_else(|reason| panic!("link {link}: {reason:?}"));
    assert_eq!((Segment::new(&header, bytes).payload, header.payload_len), (PAYLOAD, 5), "link {link}, {text}");
    assert_eq!((header.source().1, header.target().1, header.seq), (0x8235, 80, 0x0102_0304), "link {link}, {text}");
    assert_eq!(tunnel_text(&packet(link, bytes.len()), bytes, TUNNEL_DEPTH), text, "link {link}");
    let is_named = text.split(" / ").any(|name| !name.is_empty() && !name.starts_with("vlan"));
    assert_eq!(header.tunnel_name != 0, is_named, "link {link}, {text}");
}

#[test]
fn every_field_of_a_segment() {
    let bytes = ethernet(&[0x0800], &ipv4(6, 8, &tcp(0x18, 0, &[2, 4, 5, 0xb4])));
    let header = whole(1, &bytes).unwrap();
    let s = Segment::new(&header, &bytes);
    assert_eq!((s.ordinal, s.ts_ns, s.frame, s.file, s.interface), (77, 9, 3, 1, 2));
    assert_eq!(s.source(), (Address::v4([10, 0, 0, 1]), 0x8235));
    assert_eq!(s.target(), (Address::v4([10, 0, 0, 2]), 80));
    assert_eq!((s.tunnel(), s.ttl, s.ip_id), (Tunnel(0), 63, Some(0xabcd)));
    assert_eq!((s.seq, s.ack, s.window), (0x0102_0304, 0x0506_0708, 0x1020));
    assert_eq!((s.flags, s.options().mss), (Flags(0x18), Some(1460)));
    assert_eq!((s.payload, s.payload_len), (PAYLOAD, 5));
}

/// IPv6 at 68 bytes, IPv4 with a VLAN tag at 54: numbers and flags are there, and what is not must not read as zero.
#[test]
fn a_header_that_the_snaplen_cut_behind_its_flags_is_taken() {
    let segment = tcp(0x12, 0, &[2, 4, 5, 0xb4]);
    let cases = [
        (ethernet(&[0x86dd], &ipv6(6, &segment)), 54),
        (ethernet(&[0x0800], &ipv4(6, 0, &segment)), 34),
        (ethernet(&[0x8100, 7, 0x0800], &ipv4(6, 0, &segment)), 38),
    ];
    for (bytes, tcp_at) in cases {
        for captured in tcp_at..tcp_at + 24 {
            let found = decode(&packet(1, bytes.len()), &bytes[..captured], 77);
            if captured < tcp_at + 14 {
                assert_eq!(found, Err(NotAnalysed::Truncated), "{captured}");
                continue;
            }
            let header = found.unwrap();
            let cut = &bytes[..captured];
            assert_eq!((header.seq, header.ack, header.flags), (0x0102_0304, 0x0506_0708, Flags(0x12)));
            assert_eq!((header.payload_len, header.captured_len), (5, 0));
            let window = if captured < tcp_at + 16 { 0 } else { 0x1020 };
            assert_eq!((header.window, header.is_window_cut), (window, window == 0), "{captured}");
            assert!(!header.checksum_offloaded || captured >= tcp_at + 18);
            let options = Segment::new(&header, cut).options();
            assert_eq!((options.mss, usize::from(header.options_len)), (None, captured.saturating_sub(tcp_at + 20)));
        }
    }
    let too_short = ipv4(6, 0, &[0; 16]);
    assert_eq!(decode(&packet(228, 36), &too_short[..36], 0).unwrap_err().kind(), "malformed_tcp_length");
}

#[test]
fn every_link_type_reaches_the_segment() {
    let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
    let v6 = ipv6(6, &tcp(0x10, 0, &[]));
    let sll = |version: &[u8], inside: &[u8]| [version, inside].concat();
    let sll1 = [0, 4, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0];
    let mut sll2 = [0; 20];
    sll2[..2].copy_from_slice(&[0x86, 0xdd]);
    let family = |bytes: [u8; 4], inside: &[u8]| [&bytes[..], inside].concat();
    let cases = [
        (0, family([2, 0, 0, 0], &v4)),
        (0, family([0, 0, 0, 2], &v4)),
        (0, family([10, 0, 0, 0], &v6)),
        (0, family([0, 0, 0, 24], &v6)),
        (0, family([28, 0, 0, 0], &v6)),
        (108, family([0, 0, 0, 30], &v6)),
        (1, ethernet(&[0x0800], &v4)),
        (1, ethernet(&[0x86dd], &v6)),
        (12, v4.clone()),
        (14, v6.clone()),
        (101, v4.clone()),
        (101, v6.clone()),
        (113, sll(&sll1, &v4)),
        (276, sll(&sll2, &v6)),
        (228, v4),
        (229, v6),
    ];
    for (link, bytes) in cases {
        let header = whole(link, &bytes).unwrap_or_else(|reason| panic!("link {link}: {reason:?}"));
        let payload = Segment::new(&header, &bytes).payload;
        assert_eq!((payload, header.payload_len, header.target().1), (PAYLOAD, 5, 80), "link {link}");
    }
}

#[test]
fn tags_are_part_of_the_flow() {
    let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
    let cases: &[(&[u16], u64)] = &[
        (&[0x0800], 0),
        (&[0x8100, 0xe005, 0x0800], 6 << 16),
        (&[0x88a8, 5, 0x8100, 9, 0x0800], (6 << 16) + 10),
        (&[0x9100, 5, 0x9100, 9, 0x0800], (6 << 16) + 10),
        (&[0x8100, 0xe000, 0x0800], 0),
    ];
    for (types, tunnel) in cases {
        assert_eq!(whole(1, &ethernet(types, &v4)).unwrap().tunnel(), Tunnel(*tunnel), "{types:x?}");
    }
    let mut sll = vec![0; 14];
    sll.extend([0x8100u16, 7, 0x0800].map(u16::to_be_bytes).concat());
    sll.extend(&v4);
    assert_eq!(whole(113, &sll).unwrap().tunnel(), Tunnel(8 << 16));
    let deep = ethernet(&[0x8100, 1, 0x8100, 2, 0x8100, 3, 0x0800], &v4);
    assert_eq!(kind(1, &deep), "vlan_deeper_than_two");
}

#[test]
fn what_is_not_analysed_is_named() {
    let segment = tcp(0x10, 0, &[]);
    let v4 = ipv4(6, 0, &segment);
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = v4.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    let cases = [
        (147, Vec::new(), "link_type_147"),
        (1, ethernet(&[0x0806], &[0; 28]), "arp"),
        (1, ethernet(&[0x0026], &[0; 38]), "llc"),
        (1, vec![0; 13], "malformed_ethernet_length"),
        (1, ethernet(&[0x8100], &[0]), "malformed_vlan_length"),
        (113, vec![0; 15], "malformed_sll_length"),
        (276, vec![0; 19], "malformed_sll2_length"),
        (0, vec![7, 0, 0, 0], "malformed_address_family"),
        (0, vec![2, 0, 0], "malformed_null_length"),
        (101, vec![0x50], "malformed_ip_version"),
        (101, Vec::new(), "malformed_raw_length"),
        (228, ipv6(6, &segment), "malformed_ip_version"),
        (229, v4.clone(), "malformed_ip_version"),
        (228, vec![0x45; 19], "malformed_ip_length"),
        (228, with(0, &[0x44]), "malformed_ip_header_length"),
        (228, with(2, &[0, 19]), "malformed_ip_total_length"),
        (228, with(2, &[0, 39]), "malformed_tcp_length"),
        (228, with(6, &[0x20, 0]), "fragment"),
        (228, with(6, &[0, 1]), "fragment"),
        (228, with(9, &[17]), "udp"),
        (228, with(9, &[1]), "icmp"),
        (228, with(32, &[0x40]), "malformed_tcp_header_length"),
        (228, with(32, &[0xf0]), "malformed_tcp_header_length"),
        (229, ipv6(58, &[0; 8]), "icmpv6"),
        (229, ipv6(0, &[6, 0, 0, 0]), "malformed_ip_extension_length"),
        (229, ipv6(44, &[6, 0, 0, 1, 0, 0, 0, 0]), "fragment"),
        (229, ipv6(44, &[6, 0, 0, 8, 0, 0, 0, 0]), "fragment"),
    ];
    for (link, bytes, word) in cases {
        assert_eq!(kind(link, &bytes), word);
    }
}

#[test]
fn extension_headers_are_passed_over() {
    let mut inside = vec![43, 0, 0, 0, 0, 0, 0, 0];
    inside.extend([60, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    inside.extend([44, 0, 0, 0, 0, 0, 0, 0]);
    inside.extend([6, 0xff, 0, 6, 1, 2, 3, 4]);
    inside.extend(tcp(0x10, 0, &[]));
    let bytes = ipv6(0, &inside);
    let header = whole(229, &bytes).unwrap();
    let payload = Segment::new(&header, &bytes).payload;
    assert_eq!((payload, header.payload_len, header.ttl, header.ip_id), (PAYLOAD, 5, 62, None));
}

#[test]
fn padding_is_no_payload() {
    let mut frame = ethernet(&[0x0800], &ipv4(6, 0, &tcp(0x10, 0, &[])));
    frame.resize(frame.len() + 7, 0);
    assert_eq!(Segment::new(&whole(1, &frame).unwrap(), &frame).payload, PAYLOAD);
    let mut frame = ethernet(&[0x86dd], &ipv6(6, &tcp(0x10, 0, &[])));
    frame.resize(frame.len() + 7, 0);
    assert_eq!(Segment::new(&whole(1, &frame).unwrap(), &frame).payload, PAYLOAD);
}

#[test]
fn a_length_of_zero_means_to_the_end_of_the_frame() {
    let mut v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
    v4[2..4].fill(0);
    let mut v6 = ipv6(6, &tcp(0x10, 0, &[]));
    v6[4..6].fill(0);
    for (link, bytes) in [(228, v4), (229, v6)] {
        let header = decode(&packet(link, bytes.len() + 70_000), &bytes, 0).unwrap();
        let segment = Segment::new(&header, &bytes);
        assert_eq!((segment.payload, segment.payload_len), (PAYLOAD, 70_005));
    }
}

#[test]
fn a_cut_packet_keeps_its_length_on_the_wire() {
    let options = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    let bytes = ethernet(&[0x0800], &ipv4(6, 0, &tcp(0x10, 0, &options)));
    let headers = 14 + 20 + 20;
    for end in 0..bytes.len() {
        let result = decode(&packet(1, bytes.len()), &bytes[..end], 0);
        if end < 14 + 20 + 14 {
            assert_eq!(result.unwrap_err(), NotAnalysed::Truncated, "cut at {end}");
            continue;
        }
        let header = result.unwrap();
        let segment = Segment::new(&header, &bytes[..end]);
        assert_eq!((segment.payload_len, segment.seq), (5, 0x0102_0304), "cut at {end}");
        assert_eq!(segment.payload, &PAYLOAD[..end.saturating_sub(headers + 12)]);
        let stamps = (end >= headers + 12).then_some((1, 2));
        assert_eq!(segment.options().timestamps, stamps, "cut at {end}");
    }
}

#[test]
fn an_original_length_that_is_too_small_harms_nothing() {
    let bytes = ethernet(&[0x0800], &ipv4(6, 0, &tcp(0x10, 0, &[])));
    assert_eq!(decode(&packet(1, 0), &bytes, 0).unwrap().payload_len, 5);
    assert_eq!(decode(&packet(1, 56), &bytes[..56], 0).unwrap().payload_len, 5, "a tool that cut both");
}

#[test]
fn offload_is_seen_on_syn_and_fin_only() {
    // 10.0.0.1 + 10.0.0.2 + protocol + 25 bytes of TCP.
    let sum = 0x0a00 + 1 + 0x0a00 + 2 + 6 + 25;
    for (flags, checksum, expected) in [
        (0x02, sum, true),
        (0x12, sum, true),
        (0x11, sum, true),
        (0x10, sum, false),
        (0x02, !sum, false),
        (0x02, 0, false),
    ] {
        let bytes = ipv4(6, 0, &tcp(flags, checksum, &[]));
        assert_eq!(whole(228, &bytes).unwrap().checksum_offloaded, expected, "{flags:x} {checksum:x}");
    }
    // 8 × 0x2020 + 8 × 0x3030 = 0x28280, folded, + 6 + 25.
    let bytes = ipv6(6, &tcp(0x02, 0x8282 + 6 + 25, &[]));
    assert!(whole(229, &bytes).unwrap().checksum_offloaded);
}

proptest! {
    /// Any bytes of any link type give a segment within them, or a reason.
    #[test]
    fn any_bytes_decode_without_panic(
        link in prop::sample::select(vec![0u32, 1, 12, 101, 108, 113, 228, 229, 276, 9]),
        bytes in prop::collection::vec(any::<u8>(), 0..120),
        original_len in any::<u32>(),
    ) {
        match decode(&packet(link, original_len as usize), &bytes, 0) {
            Ok(header) => prop_assert_eq!(Segment::new(&header, &bytes).payload.len(), header.captured_len as usize),
            Err(reason) => prop_assert!(!reason.kind().is_empty()),
        }
    }

    /// A segment with any bytes changed never panics, and its payload is never longer than the wire's.
    #[test]
    fn changed_headers_decode_without_panic(
        changes in prop::collection::vec((0usize..90, any::<u8>()), 0..6),
        v6 in any::<bool>(),
    ) {
        let inside = tcp(0x12, 0, &[2, 4, 5, 0xb4, 1, 3, 3, 7]);
        let (ethertype, packet) = if v6 { (0x86dd, ipv6(6, &inside)) } else { (0x0800, ipv4(6, 4, &inside)) };
        let mut bytes = ethernet(&[ethertype], &packet);
        for (at, byte) in changes {
            if let Some(slot) = bytes.get_mut(at) {
                *slot = byte;
            }
        }
        if let Ok(header) = whole(1, &bytes) {
            prop_assert!(header.captured_len <= header.payload_len);
            prop_assert_eq!(Segment::new(&header, &bytes).payload.len(), header.captured_len as usize);
        }
    }

    /// What goes the short way comes out as it would of the long one; cut, padded and damaged packets too.
    #[test]
    fn the_short_way_ends_where_the_long_one_does(
        flags in 0u8..64,
        checksum in prop_oneof![Just(0x0a00u16 + 1 + 0x0a00 + 2 + 6 + 37), any::<u16>()],
        timestamps in any::<bool>(),
        changes in prop::collection::vec((12usize..70, any::<u8>()), 0..3),
        cut in 30usize..90,
        start in 0usize..9,
    ) {
        let options: &[u8] = if timestamps { &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2] } else { &[2, 4, 5, 0xb4] };
        let mut bytes = ethernet(&[0x0800], &ipv4(6, 0, &tcp(flags, checksum, options)));
        for (at, byte) in changes {
            if let Some(slot) = bytes.get_mut(at) {
                *slot = byte;
            }
        }
        let whole = packet(1, bytes.len());
        bytes.truncate(cut);
        let packet = Packet { start, ..whole };
        let mut header = Header::default();
        if plain::decode_plain(&packet, &bytes, 5, &mut header) {
            prop_assert_eq!(decode_any(&packet, &bytes, 5, TUNNEL_DEPTH), Ok(header));
        }
    }
}

/// `::ffff:10.0.0.1` is how IPv4's 10.0.0.1 is kept: a packet from or to it would be of that host's connections.
#[test]
fn ipv6_packets_of_ipv4_addresses_are_no_packets() {
    let segment = tcp(0x10, 0, &[]);
    for (at, inside) in [
        (8, ipv6(6, &segment)),
        (24, ipv6(6, &segment)),
        (8, ipv6(60, &[&[6, 0, 1, 4, 0, 0, 0, 0], &segment[..]].concat())),
    ] {
        let mut bytes = inside;
        assert!(whole(101, &bytes).is_ok());
        bytes[at..at + 12].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
        assert_eq!(kind(101, &bytes), "malformed_ip_mapped_address");
        assert_eq!(kind(1, &ethernet(&[0x86dd], &bytes)), "malformed_ip_mapped_address");
    }
}
