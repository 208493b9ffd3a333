//! The real captures of `../shared/captures`, made by others: read in place, skipped where the folder is absent.
//!
//! Packet counts are what `capinfos -c` (Wireshark 4) prints for each file.

use pcapwatch_engine::capture::{Batch, CaptureSet, SetFacts};
use pcapwatch_engine::decode::{TUNNEL_DEPTH, decode_any};
use pcapwatch_engine::settings::Settings;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Of the folder itself.
const CAPTURES: &[(&str, u64)] = &[
    ("bug-5437-02-input.pcap", 60),
    ("decode-sll2-02-input.pcap", 159),
    ("fin_retransmission.pcap", 5),
    ("handshake-reorder.pcap", 14),
    ("http-connect-simple-input.pcap", 16),
    ("http-range-multiflows-input.pcap", 614),
    ("methods.pcap", 655),
    ("miss_end_data.pcap", 9),
    ("mixed-vlan-mpls.pcap", 47),
    ("nanosecs_big_endian.pcap", 10),
    ("out-of-order.pcap", 3214),
    ("pcapng-example.pcapng", 159),
    ("pipelined-requests.pcap", 49),
    ("rst-inject-rae.pcap", 9),
    ("simple_http_download.onesided.nosyn.pcap", 11),
    ("split-handshake-4whs.pcap", 7),
    ("sumstat.pcap", 4544),
    ("tcp-fastopen-10-syn-data-ignore-input.pcap", 52),
    ("tcp-rst-unacked-stream-07-http-input.pcap", 7),
    ("truncated-header.pcap", 24),
];

/// Of `pcapng-suite/output_le` and `pcapng-suite/output_be`, which hold the same in both byte orders.
const SUITE: &[(&str, u64)] = &[
    ("advanced/test100.pcapng", 5),
    ("advanced/test101.pcapng", 4),
    ("advanced/test102.pcapng", 5),
    ("basic/test001.pcapng", 4),
    ("basic/test002.pcapng", 0),
    ("basic/test003.pcapng", 0),
    ("basic/test004.pcapng", 4),
    ("basic/test005.pcapng", 4),
    ("basic/test006.pcapng", 5),
    ("basic/test007.pcapng", 1),
    ("basic/test008.pcapng", 4),
    ("basic/test009.pcapng", 2),
    ("basic/test010.pcapng", 4),
    ("basic/test011.pcapng", 4),
    ("basic/test012.pcapng", 4),
    ("basic/test013.pcapng", 0),
    ("basic/test014.pcapng", 0),
    ("basic/test015.pcapng", 0),
    ("basic/test016.pcapng", 4),
    ("basic/test017.pcapng", 0),
    ("basic/test018.pcapng", 4),
    ("difficult/test200.pcapng", 0),
    ("difficult/test201.pcapng", 4),
    ("difficult/test202.pcapng", 8),
];

/// Of `hostile`: those that have not one packet. `None`: capinfos does not know the link type, and does not count.
const HOSTILE_NOT_ONE: &[(&str, Option<u64>)] = &[
    ("arp-oobr.pcap", Some(2282)),
    ("bgp-infinite-loop.pcap", Some(5)),
    ("brcm-tag.pcap", None),
    ("dccp_options-oobr.pcap", Some(8)),
    ("decnet-shorthdr-oobr.pcap", Some(15)),
    ("dsa-high-vid.pcap", None),
    ("edsa.pcap", None),
    ("esis_snpa_asan-3.pcap", Some(2)),
    ("esis_snpa_asan-5.pcap", Some(2)),
    ("gre-heapoverflow-1.pcap", Some(2)),
    ("hncp_prefix-oobr.pcap", Some(3)),
    ("hoobr_bfd_print.pcap", Some(3)),
    ("hoobr_juniper3.pcap", None),
    ("hoobr_lookup_nsap.pcap", Some(9)),
    ("hoobr_nfs_xid_map_enter.pcap", Some(9)),
    ("icmp-icmp_print-oobr-1.pcap", Some(3)),
    ("icmp6_mobileprefix_asan.pcap", Some(2)),
    ("ieee802.11_tim_ie_oobr.pcap", Some(4)),
    ("ipv6-bad-version.pcap", Some(4)),
    ("isakmp-ikev1_n_print-oobr.pcap", Some(3)),
    ("isakmp-various-oobr.pcap", Some(2)),
    ("isis-infinite-loop.pcap", Some(5)),
    ("kday6.pcap", None),
    ("l2tp-avp-overflow.pcap", Some(20)),
    ("lisp_invalid.pcap", Some(2)),
    ("lmp-lmp_print_data_link_subobjs-oobr.pcap", Some(2)),
    ("mobility_opt_asan.pcap", Some(2)),
    ("mobility_opt_asan_3.pcap", Some(2)),
    ("mobility_opt_asan_7.pcap", Some(2)),
    ("nfs-attr-oobr.pcap", Some(48)),
    ("olsr-oobr-2.pcap", Some(3)),
    ("ospf6_print_lshdr-oobr.pcap", Some(15)),
    ("q933-heapoverflow-2.pcap", Some(17)),
    ("quic_handshake_truncated.pcap", Some(18)),
    ("rsvp-infinite-loop.pcap", Some(5)),
    ("rx_serviceid_oobr.pcap", Some(3)),
    ("scps_invalid.pcap", Some(2)),
    ("smb_data_print-segv.pcap", Some(4)),
    ("stp-heapoverflow-2.pcap", Some(14)),
    ("stp-heapoverflow-4.pcap", Some(14)),
    ("timestamp_invalid_micro.pcap", Some(3)),
    ("vrrp-vrrp_print-oobr.pcap", Some(3)),
    ("vtp_asan-3.pcap", None),
    ("wb-oobr.pcap", Some(6)),
];

/// The folder, or `None` with a word on why the test is skipped.
fn captures() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    let there = folder.is_dir();
    if !there {
        eprintln!("skipped: no folder ../shared/captures beside the project");
    }
    there.then_some(folder)
}

/// Reads and decodes a file to its end: what is known of it, and its packets by kind (`tcp` for segments).
fn read(path: &Path) -> (SetFacts, BTreeMap<String, u64>) {
    let mut set = CaptureSet::open(&[path.to_owned()], &Settings::default()).unwrap();
    let mut batch = Batch::default();
    let mut kinds = BTreeMap::new();
    while set.next_batch(&mut batch, 1000).unwrap() {
        for (packet, ordinal) in batch.packets.iter().zip(batch.first_ordinal..) {
            let decoded = decode_any(packet, batch.bytes(packet), ordinal, TUNNEL_DEPTH);
            let kind = decoded.map_or_else(|reason| reason.kind().into_owned(), |_| "tcp".to_owned());
            *kinds.entry(kind).or_default() += 1;
        }
    }
    (set.facts(), kinds)
}

fn packets(path: &Path) -> u64 {
    let (facts, kinds) = read(path);
    assert_eq!(facts.files.len(), 1);
    assert_eq!(kinds.values().sum::<u64>(), facts.files[0].packets, "{}", path.display());
    facts.files[0].packets
}

#[test]
fn every_capture_has_the_packets_that_capinfos_counts() {
    let Some(folder) = captures() else { return };
    for (name, expected) in CAPTURES {
        assert_eq!(packets(&folder.join(name)), *expected, "{name}");
    }
}

#[test]
fn the_pcapng_suite_reads_in_both_byte_orders() {
    let Some(folder) = captures() else { return };
    for order in ["output_le", "output_be"] {
        for (name, expected) in SUITE {
            assert_eq!(packets(&folder.join("pcapng-suite").join(order).join(name)), *expected, "{order} {name}");
        }
    }
    assert_eq!(packets(&folder.join("pcapng-suite/empty.pcap")), 0);
}

/// Blocks of a pcapng file by type, counted by the plainest walk over it.
fn blocks_of(bytes: &[u8]) -> BTreeMap<String, u64> {
    let mut is_big = false;
    let mut rest = bytes;
    let mut found = BTreeMap::new();
    while let [t0, t1, t2, t3, l0, l1, l2, l3, more @ ..] = rest {
        if [*t0, *t1, *t2, *t3] == [0x0a, 0x0d, 0x0d, 0x0a] {
            is_big = more.starts_with(&[0x1a, 0x2b, 0x3c, 0x4d]);
        }
        let number = |word| if is_big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) };
        let word = match number([*t0, *t1, *t2, *t3]) {
            0x0a0d_0d0a => "section_header".to_owned(),
            1 => "interface_description".to_owned(),
            2 => "obsolete_packet".to_owned(),
            3 => "simple_packet".to_owned(),
            4 => "name_resolution".to_owned(),
            5 => "interface_statistics".to_owned(),
            6 => "enhanced_packet".to_owned(),
            0x0bad => "custom".to_owned(),
            0x4000_0bad => "custom_not_copied".to_owned(),
            other => format!("unknown_0x{other:08x}"),
        };
        *found.entry(word).or_default() += 1;
        rest = &rest[number([*l0, *l1, *l2, *l3]) as usize..];
    }
    found
}

#[test]
fn every_block_of_the_pcapng_suite_is_counted_and_the_byte_order_changes_nothing() {
    let Some(folder) = captures() else { return };
    for (name, expected) in SUITE {
        let told = ["output_le", "output_be"].map(|order| {
            let path = folder.join("pcapng-suite").join(order).join(name);
            let file = read(&path).0.files.remove(0);
            let facts = file.pcapng.clone().unwrap();
            assert_eq!(facts.blocks, blocks_of(&std::fs::read(&path).unwrap()), "{order} {name}");
            assert_eq!((facts.broken_lists, &file.problem), (0, &None), "{order} {name}");
            let packets = facts.blocks.iter().filter(|(kind, _)| kind.ends_with("_packet"));
            assert_eq!(packets.map(|(_, count)| count).sum::<u64>(), *expected, "{order} {name}");
            serde_json::to_string(&(facts, file.interfaces, file.first_ns, file.last_ns)).unwrap()
        });
        assert_eq!(told[0], told[1], "{name}");
    }
}

#[test]
fn the_suite_s_file_of_all_blocks_tells_what_its_description_says() {
    // tests/test102.lua of hadrielk/pcapng-test-generator: "All block types, intermixed".
    let Some(folder) = captures() else { return };
    let path = folder.join("pcapng-suite/output_be/advanced/test102.pcapng");
    let settings = Settings { names: true, ..Settings::default() };
    let mut set = CaptureSet::open(&[path], &settings).unwrap();
    while set.next_batch(&mut Batch::default(), 100).unwrap() {}
    let file = set.facts().files.remove(0);
    let facts = file.pcapng.unwrap();
    let texts = [&facts.hardware, &facts.os, &facts.application].map(|text| text.as_deref().unwrap());
    assert_eq!(texts, ["Apple MBP", "OS-X 10.10.5", "pcap_writer.lua"]);
    let interfaces: Vec<_> =
        file.interfaces.iter().map(|i| (i.name.as_deref().unwrap(), i.link_type, i.snaplen)).collect();
    let expected = [("eth0", 1, 96), ("null1", 0, 0), ("silly!\r\nethernet interface 2", 1, 0)];
    assert_eq!(interfaces, expected);
    let counters = |n: usize| {
        let i = &file.interfaces[n];
        [i.received, i.dropped_by_interface, i.accepted, i.dropped_by_system, i.delivered, i.dropped]
    };
    assert_eq!(counters(0), [Some(100), Some(1), Some(9), Some(42), Some(6), Some(43)]);
    assert_eq!(counters(1), [None; 6]);
    assert_eq!(counters(2), [None, Some(10), Some(42), None, None, Some(10)]);
    // timestamp = 0x0004c397_64ca47aa microseconds.
    let since = Some(0x0004_c397_64ca_47aa * 1000);
    let told: Vec<_> = file.interfaces.iter().map(|i| i.counted_since_ns).collect();
    assert_eq!(told, [since, None, since]);
    let names: Vec<_> = facts.name_records.iter().map(|r| format!("{} {}", r.address, r.name)).collect();
    let expected = [
        "192.168.1.2 a",
        "192.168.1.2 example.com",
        "192.168.1.8 example.com",
        "fc01:dead::beef example.com",
        "10.1.2.3 example.org",
        "192.168.1.2 example.net",
        "192.168.1.2 qux.example.com",
        "192.168.1.3 bar.example.com",
        "fc01:feed::beef bar.example.net",
        "fc01:dead::beef foo.example.com",
        "10.1.2.4 bar.example.org",
    ];
    assert_eq!(names, expected);
    let comments: Vec<_> = facts.comment_texts.iter().map(|c| (c.block, c.text.as_str())).collect();
    let expected = [
        ("section_header", "test102"),
        ("name_resolution", "test102 NRB"),
        ("interface_statistics", "test102 ISB-2"),
        ("interface_statistics", "test102 ISB-0"),
        ("name_resolution", "test102 NRB"),
    ];
    assert_eq!(comments, expected);
}

#[test]
fn hostile_captures_give_their_packets() {
    let Some(folder) = captures() else { return };
    let others: BTreeMap<_, _> = HOSTILE_NOT_ONE.iter().copied().collect();
    for entry in std::fs::read_dir(folder.join("hostile")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let count = packets(&path);
        let expected = others.get(name.as_str()).copied().unwrap_or(Some(1));
        assert_eq!(count, expected.unwrap_or(count), "{name}");
    }
}

#[test]
fn a_file_that_ends_within_a_record_says_so() {
    let Some(folder) = captures() else { return };
    let (facts, _) = read(&folder.join("out-of-order.pcap"));
    assert_eq!(facts.files[0].problem.as_deref(), Some("cut short in the record at offset 2235594"));
}

#[test]
fn a_folder_is_one_set_in_order_of_time() {
    let Some(folder) = captures() else { return };
    let (facts, kinds) = read(&folder);
    assert_eq!(facts.files.len(), CAPTURES.len());
    assert_eq!(kinds.values().sum::<u64>(), CAPTURES.iter().map(|(_, packets)| packets).sum::<u64>());
    assert!(facts.files.is_sorted_by_key(|file| file.first_ns));
}

#[test]
fn a_capture_cut_at_every_byte_of_its_first_kilobyte_is_a_beginning() {
    let Some(folder) = captures() else { return };
    for name in ["sumstat.pcap", "nanosecs_big_endian.pcap", "pcapng-example.pcapng"] {
        let whole = std::fs::read(folder.join(name)).unwrap();
        let mut before = 0;
        for end in 0..1024.min(whole.len()) {
            let bytes = std::io::Cursor::new(whole[..end].to_vec());
            let Ok(mut set) = CaptureSet::from_reader(name, bytes, &Settings::default()) else {
                assert_eq!(before, 0, "{name} cut at {end}");
                continue;
            };
            while set.next_batch(&mut Batch::default(), 10).unwrap() {}
            let file = set.facts().files.remove(0);
            assert!(file.packets >= before && file.packets <= before + 1, "{name} cut at {end}");
            before = file.packets;
        }
        assert!(before > 0, "{name}");
    }
}
