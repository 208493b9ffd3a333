//! Datagrams cut by hand.

use super::super::tests::{PAYLOAD, ethernet, ipv4, ipv6, packet, tcp, udp};
use super::super::{Segment, TUNNEL_DEPTH, decode_any as decode_nested};
use super::queue::OVERHEAD;
use super::*;
use crate::settings::SECOND;
use proptest::prelude::*;

mod frames;

/// A TCP segment of 20 + `extra` + 5 bytes.
fn segment_bytes() -> Vec<u8> {
    tcp(0x10, 0, &[1; 12])
}

/// A fragment of an IPv4 datagram: from `offset`, `inside`, more to come or not.
fn v4(id: u16, protocol: u8, offset: usize, more: bool, inside: &[u8]) -> Vec<u8> {
    let mut bytes = ipv4(protocol, 0, inside);
    bytes[4..6].copy_from_slice(&id.to_be_bytes());
    let field = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
    bytes[6..8].copy_from_slice(&field.to_be_bytes());
    bytes
}

fn v6(id: u32, next: u8, offset: usize, more: bool, inside: &[u8]) -> Vec<u8> {
    let field = (offset as u16 | u16::from(more)).to_be_bytes();
    ipv6(44, &[&[next, 0][..], &field, &id.to_be_bytes(), inside].concat())
}

/// A datagram in pieces of `size` bytes, in order.
fn cut(size: usize, whole: &[u8], one: impl Fn(usize, bool, &[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    let last = whole.len().div_ceil(size) - 1;
    whole.chunks(size).enumerate().map(|(at, part)| one(at * size, at < last, part)).collect()
}

/// A view of fragments that come 1 ms apart.
struct Bench {
    defragmenter: Defragmenter,
    now_ns: i64,
}

impl Bench {
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        Bench { defragmenter: Defragmenter::new(&settings), now_ns: 0 }
    }

    /// What a packet of raw IP leads to: what is around the segment, or why there is none.
    fn give(&mut self, bytes: &[u8]) -> Result<String, String> {
        self.give_link(101, bytes, bytes.len())
    }

    fn give_link(&mut self, link: u32, bytes: &[u8], original: usize) -> Result<String, String> {
        self.now_ns += SECOND / 1000;
        let packet = Packet { ts_ns: self.now_ns, ..packet(link, original) };
        let plain = decode_nested(&packet, bytes, 0, TUNNEL_DEPTH).map(|_| ());
        assert_eq!(plain, Err(NotAnalysed::Fragment), "only fragments come here");
        let whole = self.defragmenter.accept(&packet, bytes).map_err(|reason| reason.kind().into_owned())?;
        let header = whole.header(&packet, 7, 0).map_err(|reason| reason.kind().into_owned())?;
        assert_eq!((header.ordinal, header.ts_ns, header.target().1), (7, self.now_ns, 80));
        let segment = Segment::new(&header, &whole.bytes);
        assert_eq!(segment.payload_len, 5);
        assert!(PAYLOAD.starts_with(segment.payload));
        Ok(whole.layers_around().text())
    }

    fn counts(&mut self) -> FragmentCounts {
        self.defragmenter.finish()
    }
}

const WAITING: &str = "fragment";

#[test]
fn fragments_of_both_versions_in_any_order() {
    let segment = segment_bytes();
    let datagrams = [
        cut(16, &segment, |at, more, part| v4(9, 6, at, more, part)),
        cut(24, &segment, |at, more, part| v6(9, 6, at, more, part)),
    ];
    for fragments in datagrams {
        for first in 0..fragments.len() {
            let mut bench = Bench::new(|_| ());
            let mut order = fragments.clone();
            order.rotate_left(first);
            let (last, before) = order.split_last().unwrap();
            before.iter().for_each(|bytes| assert_eq!(bench.give(bytes), Err(WAITING.into())));
            assert_eq!(bench.give(last), Ok(String::new()));
            let joined = fragments.len() as u64 - 1;
            assert_eq!(bench.counts(), FragmentCounts { datagrams: 1, joined, ..FragmentCounts::default() });
        }
    }
}

#[test]
fn the_same_fragment_again_is_passed_over() {
    let fragments = cut(16, &segment_bytes(), |at, more, part| v4(9, 6, at, more, part));
    let mut bench = Bench::new(|_| ());
    for bytes in [&fragments[0], &fragments[1], &fragments[0], &fragments[1]] {
        assert_eq!(bench.give(bytes), Err(WAITING.into()));
    }
    // Within what is there: nothing new, as Linux has it.
    let inner = v4(9, 6, 8, true, &segment_bytes()[8..24]);
    assert_eq!(bench.give(&inner), Err(WAITING.into()));
    assert_eq!(bench.give(&fragments[2]), Ok(String::new()));
    let counts = bench.counts();
    assert_eq!((counts.datagrams, counts.joined, counts.overlapping), (1, 2, 0));
}

#[test]
fn a_partial_overlap_or_two_ends_make_the_datagram_worthless() {
    let segment = segment_bytes();
    let one = |at, more, bytes: &[u8]| v4(9, 6, at, more, bytes);
    let two = |at, more, bytes: &[u8]| v6(9, 6, at, more, bytes);
    let cases = [
        [one(0, true, &segment[..16]), one(8, true, &segment[8..32])],
        [one(8, true, &segment[8..24]), one(0, true, &segment[..16])],
        [one(0, true, &segment[..8]), one(0, true, &segment[..16])],
        [one(16, false, &segment[16..]), one(24, false, &segment[24..32])],
        [one(16, false, &segment[16..32]), one(32, true, &segment[..8])],
        [one(24, true, &segment[..8]), one(16, false, &segment[..8])],
        [two(0, true, &segment[..24]), two(8, true, &segment[8..32])],
    ];
    for (number, fragments) in cases.iter().enumerate() {
        let mut bench = Bench::new(|_| ());
        fragments.iter().for_each(|bytes| assert_eq!(bench.give(bytes), Err(WAITING.into())));
        let counts = bench.counts();
        assert_eq!(counts, FragmentCounts { overlapping: 1, ..FragmentCounts::default() }, "case {number}");
    }
}

/// As `inet_frag_queue_insert`: a run is what came in order at the end; what came between is a run of its own.
#[test]
fn what_lies_in_two_adjoining_runs_is_an_overlap() {
    let segment = segment_bytes();
    let one = |at: usize, to: usize| v4(9, 6, at, to < segment.len(), &segment[at..to]);
    let cases: [(&[(usize, usize)], u64); 4] = [
        (&[(0, 16), (16, 32), (8, 24)], 0),
        (&[(16, 32), (0, 16), (8, 24)], 1),
        (&[(16, 32), (0, 16), (0, 32)], 1),
        (&[(16, 24), (24, 32), (0, 16), (16, 32)], 0),
    ];
    for (fragments, overlapping) in cases {
        let mut bench = Bench::new(|_| ());
        fragments.iter().for_each(|&(at, to)| assert_eq!(bench.give(&one(at, to)), Err(WAITING.into())));
        let last = bench.give(&one(32, segment.len()));
        assert_eq!((last.is_ok(), bench.counts().overlapping), (overlapping == 0, overlapping), "{fragments:?}");
    }
}

/// RFC 8200 §4.5, as `ipv6frag_thdr_truncated`: what is sent again in whole is then no overlap.
#[test]
fn a_first_fragment_of_ipv6_that_ends_within_the_header_is_ignored() {
    let segment = segment_bytes();
    for (first, counts) in [(16, (1, 0)), (24, (0, 1))] {
        let mut bench = Bench::new(|_| ());
        let one = |at: usize, to: usize| v6(9, 6, at, to < segment.len(), &segment[at..to]);
        assert_eq!(bench.give(&one(0, first)), Err(WAITING.into()));
        assert_eq!(bench.give(&one(0, 32)), Err(WAITING.into()));
        let last = bench.give(&one(32, segment.len()));
        assert_eq!(last.is_ok(), first == 16);
        let found = bench.counts();
        assert_eq!((found.datagrams, found.overlapping), counts, "{first}");
    }
}

#[test]
fn identification_addresses_and_tunnel_tell_datagrams_apart() {
    let segment = segment_bytes();
    let first = v4(9, 6, 0, true, &segment[..16]);
    let rest = |id| v4(id, 6, 16, false, &segment[16..]);
    let mut other_source = rest(9);
    other_source[12] = 11;
    let mut bench = Bench::new(|_| ());
    for bytes in [&first, &rest(10), &other_source, &v4(9, 47, 16, false, &segment[16..])] {
        assert_eq!(bench.give(bytes), Err(WAITING.into()));
    }
    let tagged = ethernet(&[0x8100, 5, 0x0800], &rest(9));
    assert_eq!(bench.give_link(1, &tagged, tagged.len()), Err(WAITING.into()), "another VLAN");
    let plain = ethernet(&[0x0800], &rest(9));
    assert_eq!(bench.give_link(1, &plain, plain.len()), Ok(String::new()));
    assert_eq!(bench.counts().incomplete, 4);
}

#[test]
fn tunnels_around_and_inside_fragments() {
    let inner = ipv4(6, 0, &segment_bytes());
    let gre = [&[0x20, 0, 8, 0, 0, 0, 0, 42][..], &inner].concat();
    let mut bench = Bench::new(|_| ());
    let outer_cut = cut(24, &gre, |at, more, part| v4(1, 47, at, more, part));
    let (last, before) = outer_cut.split_last().unwrap();
    before.iter().for_each(|bytes| assert_eq!(bench.give(bytes), Err(WAITING.into())));
    assert_eq!(bench.give(last), Ok("gre 0x2a".into()));

    let inner_cut = cut(24, &segment_bytes(), |at, more, part| v4(2, 6, at, more, part));
    let ipip: Vec<Vec<u8>> = inner_cut.iter().map(|bytes| ipv4(4, 0, bytes)).collect();
    assert_eq!(bench.give(&ipip[1]), Err(WAITING.into()));
    assert_eq!(bench.give(&ipip[0]), Ok("ipip".into()));

    // Both: a fragment in a tunnel whose own packets are fragmented.
    let mut packets = Vec::new();
    for (id, bytes) in inner_cut.iter().enumerate() {
        packets.extend(cut(24, bytes, |at, more, part| v4(50 + id as u16, 4, at, more, part)));
    }
    let (last, before) = packets.split_last().unwrap();
    before.iter().for_each(|bytes| assert_eq!(bench.give(bytes), Err(WAITING.into())));
    assert_eq!(bench.give(last), Ok("ipip".into()));
    let counts = bench.counts();
    assert_eq!((counts.datagrams, counts.incomplete), (3, 0));
    assert_eq!(counts.joined as usize, before.len() + outer_cut.len() - 1 + 1);
}

#[test]
fn what_cannot_lead_to_tcp_is_counted_and_not_kept() {
    let mut bench = Bench::new(|_| ());
    assert_eq!(bench.give(&v4(9, 1, 0, true, &[8; 16])), Err("icmp".into()));
    assert_eq!(bench.give(&v6(9, 58, 8, false, &[8; 16])), Err("icmpv6".into()));
    let datagram = udp(53, &[0; 40])[20..].to_vec();
    let fragments = cut(16, &datagram, |at, more, part| v4(9, 17, at, more, part));
    fragments.iter().for_each(|bytes| assert_eq!(bench.give(bytes), Err("udp".into())));
    assert_eq!((bench.defragmenter.queues.len(), bench.defragmenter.bytes), (0, 0), "all of it has come");
    assert_eq!(bench.give(&fragments[0]), Err("udp".into()));
    assert!(bench.defragmenter.bytes <= OVERHEAD);
    assert_eq!(bench.counts(), FragmentCounts::default(), "nobody misses it");
}

#[test]
fn a_udp_tunnel_in_pieces() {
    let inner = ethernet(&[0x0800], &ipv4(6, 0, &segment_bytes()));
    let datagram = udp(4789, &[&[8, 0, 0, 0, 0, 0, 5, 0][..], &inner].concat())[20..].to_vec();
    let fragments = cut(48, &datagram, |at, more, part| v4(9, 17, at, more, part));
    let mut bench = Bench::new(|_| ());
    let (first, rest) = fragments.split_first().unwrap();
    rest.iter().for_each(|bytes| assert_eq!(bench.give(bytes), Err(WAITING.into())));
    assert_eq!(bench.give(first), Ok("vxlan vni 5".into()));
}

#[test]
fn a_fragment_cut_by_the_snaplen_keeps_the_length() {
    let segment = segment_bytes();
    let first = v4(9, 6, 0, true, &segment[..32]);
    let last = v4(9, 6, 32, false, &segment[32..]);
    let mut bench = Bench::new(|_| ());
    assert_eq!(bench.give_link(101, &first[..44], first.len()), Err(WAITING.into()));
    assert_eq!(bench.give_link(101, &last[..20], last.len()), Ok(String::new()));
}

#[test]
fn lengths_that_no_datagram_has_are_malformed() {
    let mut bench = Bench::new(|_| ());
    for bytes in [
        v4(9, 6, 0, true, &[]),
        v6(9, 6, 65_528, false, &[0; 8]),
        v4(9, 6, 0, true, &[0; 7]),
        v6(9, 6, 0, true, &[0; 9]),
    ] {
        assert_eq!(bench.give(&bytes), Err("malformed_fragment_length".into()));
    }
    assert_eq!(bench.counts(), FragmentCounts::default());
}

/// `ip_frag_queue` and `ip_frag_reasm`, each told by a kernel's answer in a namespace.
#[test]
fn what_linux_throws_away_is_not_put_together() {
    let segment = segment_bytes();
    let one = |at: usize, to: usize, more: bool| v4(9, 6, at, more, &segment[at..to]);
    let end = segment.len();
    let empty = v4(9, 6, 16, true, &[]);
    let far = v4(9, 6, 65_528, true, &[0; 64]);
    let cases = [
        // Empty: what was there is gone.
        ([one(0, 16, true), empty, one(16, end, false)], (1, 1)),
        // One within a run says where the datagram ends; what goes on behind it contradicts.
        ([one(0, 32, true), one(16, 32, false), one(32, end, false)], (1, 0)),
        // One too far, after which every last one ends too early.
        ([one(0, 16, true), far, one(16, end, false)], (1, 0)),
    ];
    for (number, (fragments, (overlapping, incomplete))) in cases.iter().enumerate() {
        let mut bench = Bench::new(|_| ());
        assert!(fragments.iter().all(|bytes| bench.give(bytes).is_err()), "case {number}");
        let expected = FragmentCounts { overlapping: *overlapping, incomplete: *incomplete, ..Default::default() };
        assert_eq!(bench.counts(), expected, "case {number}");
    }
    // Longer than IPv4 has room for.
    let mut bench = Bench::new(|_| ());
    for at in [0, 32_760] {
        assert_eq!(bench.give(&v4(9, 6, at, true, &vec![0; 32_760])), Err(WAITING.into()));
    }
    assert_eq!(bench.give(&v4(9, 6, 65_520, false, &[0; 8])), Err("malformed_fragment_length".into()));
    assert_eq!(bench.counts(), FragmentCounts { overlapping: 1, ..FragmentCounts::default() });
}

#[test]
fn linux_trims_an_ipv4_fragment_to_whole_units() {
    let segment = segment_bytes();
    let mut bench = Bench::new(|_| ());
    assert_eq!(bench.give(&v4(9, 6, 0, true, &segment[..19])), Err(WAITING.into()));
    assert_eq!(bench.give(&v4(9, 6, 16, false, &segment[16..])), Ok(String::new()));
}

#[test]
fn what_does_not_come_in_time_is_given_up() {
    let segment = segment_bytes();
    let (first, last) = (v4(9, 6, 0, true, &segment[..16]), v4(9, 6, 16, false, &segment[16..]));
    for (wait_ns, expected) in
        [(29 * SECOND, Ok(String::new())), (31 * SECOND, Err(WAITING.into())), (-31 * SECOND, Err(WAITING.into()))]
    {
        let mut bench = Bench::new(|_| ());
        assert_eq!(bench.give(&first), Err(WAITING.into()));
        bench.now_ns += wait_ns;
        assert_eq!(bench.give(&last), expected, "{wait_ns} ns");
        let incomplete = if expected.is_ok() { 0 } else { 2 };
        assert_eq!(bench.counts().incomplete, incomplete, "{wait_ns} ns");
    }
}

#[test]
fn limits_give_up_the_longest_idle() {
    let segment = segment_bytes();
    let first = |id| v4(id, 6, 0, true, &segment[..16]);
    let last = |id| v4(id, 6, 16, false, &segment[16..]);
    let mut bench = Bench::new(|settings| settings.max_fragmented_datagrams = 2);
    for id in [1, 2, 1, 3] {
        assert_eq!(bench.give(&first(id)), Err(WAITING.into()));
    }
    assert_eq!(bench.give(&last(2)), Err(WAITING.into()), "2 was idle for longer than 1, which its duplicate touched");
    assert_eq!(bench.give(&last(3)), Ok(String::new()));
    let counts = bench.counts();
    assert_eq!((counts.evicted, counts.incomplete, counts.datagrams), (2, 1, 1));

    let mut bench = Bench::new(|settings| settings.max_fragment_bytes = 3 * (2 * OVERHEAD + 16));
    for id in 0..100 {
        assert_eq!(bench.give(&first(id)), Err(WAITING.into()));
        assert!(bench.defragmenter.bytes <= bench.defragmenter.most_bytes);
    }
    assert_eq!(bench.counts(), FragmentCounts { evicted: 97, incomplete: 3, ..FragmentCounts::default() });
}

proptest! {
    /// Any fragments in any order: the books balance, the limits hold, and no bytes come out that did not go in.
    #[test]
    fn any_fragments_stay_within_bounds(
        list in prop::collection::vec((0u16..3, 0usize..6, 1usize..6, any::<bool>(), any::<bool>(), 0i64..20), 0..60),
    ) {
        let mut bench = Bench::new(|settings| {
            settings.max_fragmented_datagrams = 2;
            settings.max_fragment_bytes = 2000;
        });
        for (id, offset, units, more, version_6, wait_s) in list {
            let inside = vec![0x50; units * 8];
            let bytes = if version_6 {
                v6(u32::from(id), 6, offset * 8, more, &inside)
            } else {
                v4(id, 6, offset * 8, more, &inside)
            };
            let packet = Packet { ts_ns: bench.now_ns, ..packet(101, bytes.len()) };
            bench.now_ns += wait_s * SECOND;
            if decode_nested(&packet, &bytes, 0, TUNNEL_DEPTH).err() != Some(NotAnalysed::Fragment) {
                continue;
            }
            if let Ok(whole) = bench.defragmenter.accept(&packet, &bytes) {
                prop_assert_eq!(whole.bytes.len(), whole.wire_len as usize);
                prop_assert!(whole.bytes.iter().all(|&byte| byte == 0x50));
            }
            let held: usize = bench.defragmenter.queues.values().map(|queue| queue.held).sum();
            prop_assert_eq!(held, bench.defragmenter.bytes);
            prop_assert!(held <= 2000 && bench.defragmenter.queues.len() <= 2);
            prop_assert_eq!(bench.defragmenter.idle.len(), bench.defragmenter.queues.len());
        }
        bench.counts();
        prop_assert_eq!(bench.defragmenter.bytes, 0);
    }
}

/// Options for the destination may stand behind an authentication header, and a fragment header behind them.
#[test]
fn fragments_behind_an_authentication_header() {
    let one = |offset: usize, more: bool, part: &[u8]| {
        let field = (offset as u16 | u16::from(more)).to_be_bytes();
        let fragment = [&[6, 0][..], &field, &[0, 0, 0, 9], part].concat();
        let options = [&[44, 0, 1, 4, 0, 0, 0, 0][..], &fragment].concat();
        ipv6(51, &[&[60, 2][..], &[0; 14], &options].concat())
    };
    let mut bench = Bench::new(|_| ());
    let pieces = cut(24, &segment_bytes(), one);
    assert_eq!(bench.give(&pieces[0]), Err(WAITING.into()));
    assert_eq!(bench.give(&pieces[1]), Ok("ah".into()));
}

/// The second of two taps shows what was put together before: nothing of it is missing.
#[test]
fn fragments_of_two_points_are_missed_once() {
    let pieces = cut(16, &segment_bytes(), |at, more, part| v4(9, 6, at, more, part));
    let mut bench = Bench::new(|_| ());
    for piece in &pieces[..2] {
        assert_eq!((bench.give(piece), bench.give(piece)), (Err(WAITING.into()), Err(WAITING.into())));
    }
    assert_eq!((bench.give(&pieces[2]), bench.give(&pieces[2])), (Ok(String::new()), Err(WAITING.into())));
    bench.now_ns += SECOND;
    assert_eq!(bench.give(&v4(9, 6, 0, true, &[0; 16])), Err(WAITING.into()), "an id that comes again");
    let counts = bench.counts();
    assert_eq!((counts.datagrams, counts.incomplete), (1, 1), "nothing of the one before is in it");
    let mut later = Bench::new(|_| ());
    pieces.iter().for_each(|piece| _ = later.give(piece));
    later.now_ns += SECOND;
    assert_eq!(later.give(&pieces[0]), Err(WAITING.into()));
    assert_eq!(later.counts().incomplete, 1);
}
