//! Bytes that nobody sent in good faith: every link type, every encapsulation, any bytes, any nest.

use super::tests::{PAYLOAD, decode, ethernet, ipv4, ipv6, packet, tcp, tunnel_text, udp};
use super::*;
use super::{Header, decode_any as decode_nested};
use crate::settings::Settings;
use proptest::prelude::*;
use std::time::Instant;

/// Every link type that is read, and three that are not.
const LINKS: [u32; 33] = [
    0,
    1,
    9,
    12,
    13,
    14,
    50,
    51,
    100,
    101,
    104,
    105,
    108,
    109,
    113,
    117,
    119,
    127,
    163,
    166,
    192,
    204,
    226,
    228,
    229,
    239,
    258,
    276,
    2,
    147,
    187,
    300,
    u32::MAX,
];

/// Link type and bytes of a segment inside each kind of header.
fn samples() -> Vec<(u32, Vec<u8>)> {
    let segment = tcp(0x12, 0, &[2, 4, 5, 0xb4, 1, 3, 3, 7]);
    let (v4, v6) = (ipv4(6, 0, &segment), ipv6(6, &segment));
    let frame = ethernet(&[0x0800], &v4);
    let in_front = |header: &[u8], inside: &[u8]| [header, inside].concat();
    let over_udp = |port, header: &[u8], inside: &[u8]| ethernet(&[0x0800], &udp(port, &in_front(header, inside)));
    let over_ip =
        |number, header: &[u8], inside: &[u8]| ethernet(&[0x0800], &ipv4(number, 0, &in_front(header, inside)));
    let length = |inside: &[u8], more: u16| (inside.len() as u16 + more).to_be_bytes();
    let pppoe = [&[0x11, 0, 0, 9][..], &length(&v4, 2), &[0, 0x21], &v4].concat();
    let gtp = [&[0x34, 0xff][..], &length(&v4, 8), &[0, 0, 0, 9, 0, 0, 0, 0x85, 1, 0, 0, 0]].concat();
    let mut teredo = v6.clone();
    teredo[8..12].copy_from_slice(&[0x20, 1, 0, 0]);
    let wifi = in_front(&[&[0x88, 1][..], &[0; 24], &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]].concat(), &v4);
    let mesh = [&[0x88, 3][..], &[0; 29], &[1, 0, 9, 0, 0, 0, 1]].concat();
    vec![
        (9, in_front(&[0xff, 3, 0, 0x21], &v4)),
        (50, in_front(&[0x0f, 0, 8, 0], &v4)),
        (51, pppoe.clone()),
        (100, in_front(&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &v4)),
        (105, wifi.clone()),
        (105, in_front(&mesh, &in_front(&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &v4))),
        (127, in_front(&[0, 0, 17, 0, 3, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 0], &wifi)),
        (192, in_front(&[0, 0, 14, 0, 105, 0, 0, 0, 1, 0, 2, 0, 9, 9], &wifi)),
        (239, [&[2, 0, 0, 0][..], &(v4.len() as u16 + 4).to_le_bytes(), &[9, 0], &v4].concat()),
        (109, in_front(&[2, 0, 0, 0, 0, 0, 0, 9, 0, 4, 0, 0], &v4)),
        (117, in_front(&[&[61, 24][..], &[0; 62]].concat(), &v6)),
        (1, ethernet(&[0x8100, 7, 0x8864], &pppoe)),
        (1, ethernet(&[0x8926, 1, 2, 0x8909, 0x0101, 1, 42, 0x8100, 7, 0x0800], &v4)),
        (1, ethernet(&[0x8847], &in_front(&[0, 1, 0x21, 64, 0, 0, 0, 0], &frame))),
        (1, over_ip(47, &[0xb0, 0, 0x65, 0x58, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1], &frame)),
        (1, over_ip(47, &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 9, 0, 0, 0, 0], &frame)),
        (1, over_ip(47, &[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0], &frame)),
        (1, over_udp(4789, &[8, 0, 0, 0, 0, 0, 9, 0], &ethernet(&[0x8100, 7, 0x86dd], &v6))),
        (1, over_udp(4790, &[0x0c, 0, 0, 2, 0, 0, 9, 0], &v6)),
        (1, over_udp(6081, &[1, 0, 0x65, 0x58, 0, 0, 9, 0, 0, 0, 0, 0], &frame)),
        (1, over_udp(2152, &gtp, &v4)),
        (1, over_udp(1701, &[0x0a, 2, 0, 12, 0, 3, 0, 1, 0, 0, 0, 1, 9, 0xff, 3, 0, 0x21], &v4)),
        (1, over_udp(3544, &[0, 0, 1, 2, 3, 4, 5, 6], &teredo)),
        (1, over_ip(4, &[], &ipv4(41, 0, &ipv6(51, &in_front(&[6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9], &segment))))),
    ]
}

#[test]
fn every_sample_leads_to_its_segment() {
    for (link, bytes) in samples() {
        let header =
            decode(&packet(link, bytes.len()), &bytes, 0).unwrap_or_else(|e| panic!("{link}: {e:?}, {bytes:x?}"));
        assert_eq!((Segment::new(&header, &bytes).payload, header.target().1), (PAYLOAD, 80));
    }
}

#[test]
fn a_sample_cut_anywhere_is_a_segment_or_a_reason() {
    for (link, bytes) in samples() {
        for end in 0..bytes.len() {
            let cut = &bytes[..end];
            let as_sent = decode(&packet(link, end), cut, 0).map(|header| header.captured_len as usize);
            assert!(as_sent.is_err() || as_sent.is_ok_and(|length| length <= PAYLOAD.len()), "{link} cut at {end}");
            if let Ok(segment) = decode(&packet(link, bytes.len()), cut, 0) {
                assert_eq!(segment.payload_len, 5, "{link}: a snaplen of {end} does not change what was sent");
            }
        }
    }
}

/// 10,000 headers of each kind that may hold itself, which must be given up at once.
#[test]
fn a_nest_of_ten_thousand_headers_is_bounded() {
    // A length of 0 is "as long as the frame".
    let v4 =
        |protocol: u8| [&[0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0][..], &[10, 0, 0, 1, 10, 0, 0, 2]].concat();
    let v6 = |next: u8| [&[0x60, 0, 0, 0, 0, 0, next, 64][..], &[0x20; 32]].concat();
    let address = [0xee; 12];
    let gre = [&v4(47)[..], &[0, 0, 8, 0]].concat();
    let bridged = [&[0, 0, 0x65, 0x58][..], &address, &[8, 0], &v4(47)].concat();
    let vxlan = [&address[..], &[8, 0], &v4(17), &[0, 9, 0x12, 0xb5, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 9, 0]].concat();
    let llc = [&[0xaa, 0xaa, 3, 0, 0, 0, 0x81, 0][..], &[0, 7, 0, 200]].concat();
    let labels = [&[0, 1, 0x21, 64][..], &address, &[0x88, 0x47]].concat();
    let nests: [(u32, Vec<u8>, Vec<u8>, &str); 14] = [
        (101, vec![], v4(4), "tunnel_depth"),
        (101, vec![], v6(41), "tunnel_depth"),
        (101, vec![], gre, "tunnel_depth"),
        (101, v4(47), bridged, "tunnel_depth"),
        (1, vec![], vxlan, "tunnel_depth"),
        (101, v4(51), vec![51, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9], "tunnel_depth"),
        (1, [&address[..], &[0x88, 0x47]].concat(), labels, "tunnel_depth"),
        (1, [&address[..], &[0x88, 0x47]].concat(), vec![0, 1, 0x20, 64], "malformed_mpls_stack"),
        (1, [&address[..], &[0x81, 0]].concat(), vec![0, 7, 0x81, 0], "vlan_deeper_than_two"),
        (1, [&address[..], &[0x89, 0x26]].concat(), vec![0, 1, 0, 2, 0x89, 0x26], "vntag"),
        (1, [&address[..], &[0x89, 9]].concat(), vec![1, 1, 0, 1, 0, 9, 0x89, 9], "cisco_metadata"),
        (1, [&address[..], &[0, 200]].concat(), llc, "vlan_deeper_than_two"),
        (101, v6(0), vec![0, 0, 0, 0, 0, 0, 0, 0], "malformed_ip_extension_length"),
        (192, vec![], vec![0, 0, 8, 0, 192, 0, 0, 0], "link_type_192"),
    ];
    let begin = Instant::now();
    for (link, front, header, word) in nests {
        let bytes = [front, header.repeat(10_000)].concat();
        let packet = packet(link, bytes.len());
        for most_depth in [0, TUNNEL_DEPTH, u8::MAX] {
            let reason = decode_nested(&packet, &bytes, 0, most_depth).unwrap_err();
            assert_eq!(reason.kind(), word, "{link} {header:x?}");
        }
        let _ = tunnel_text(&packet, &bytes, u8::MAX);
    }
    assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
}

#[test]
fn the_depth_is_what_the_setting_says() {
    let nest = |depth: usize| (0..depth).fold(ipv4(6, 0, &tcp(0x10, 0, &[])), |inside, _| ipv4(4, 0, &inside));
    for depth in 0..6 {
        let bytes = nest(depth);
        for most in 0..6u8 {
            let found = decode_nested(&packet(228, bytes.len()), &bytes, 0, most).map(|_| ());
            let expected = if depth > usize::from(most) { Err(NotAnalysed::Named("tunnel_depth")) } else { Ok(()) };
            assert_eq!(found, expected, "{depth} layers, at most {most}");
        }
    }
}

/// Whatever decode and the defragmenter make of a packet, within bounds.
fn survives(link: u32, bytes: &[u8], original_len: usize, most_depth: u8) -> Result<(), TestCaseError> {
    let packet = packet(link, original_len);
    let within = |header: &Header| Segment::new(header, bytes).payload.len() == header.captured_len as usize;
    match decode_nested(&packet, bytes, 0, most_depth) {
        Ok(segment) => prop_assert!(within(&segment)),
        Err(reason) => prop_assert!(!reason.kind().is_empty()),
    }
    let _ = tunnel_text(&packet, bytes, most_depth);
    for part in parts_of(&packet, bytes, most_depth).into_iter().flatten() {
        let end = part.start + part.captured_len as usize;
        prop_assert!(bytes.get(part.start..end).is_some() && part.captured_len <= part.original_len);
    }
    let mut defragmenter = Defragmenter::new(&Settings { max_tunnel_depth: most_depth, ..Settings::default() });
    if let Ok(whole) = defragmenter.accept(&packet, bytes) {
        let _ = (whole.header(&packet, 0, 0), whole.layers_around());
    }
    Ok(())
}

proptest! {
    /// Any bytes of any link type give a segment within them, or a reason.
    #[test]
    fn any_bytes_of_any_link_type(
        link in prop::sample::select(LINKS.to_vec()),
        bytes in prop::collection::vec(any::<u8>(), 0..160),
        original_len in any::<u32>(),
        most_depth in any::<u8>(),
    ) {
        survives(link, &bytes, original_len as usize, most_depth)?;
    }

    /// A few bytes of a real packet changed, and its end cut or repeated.
    #[test]
    fn changed_samples(
        sample in prop::sample::select(samples()),
        changes in prop::collection::vec((0usize..140, any::<u8>()), 0..6),
        end in 0usize..200,
        original_len in 0usize..400,
        other_link in prop::option::of(prop::sample::select(LINKS.to_vec())),
    ) {
        let (link, mut bytes) = sample;
        for (at, byte) in changes {
            if let Some(slot) = bytes.get_mut(at) {
                *slot = byte;
            }
        }
        bytes.truncate(end);
        survives(other_link.unwrap_or(link), &bytes, original_len, TUNNEL_DEPTH)?;
    }
}
