use super::*;
use crate::decode::PARTITIONS;
use crate::settings::{SECOND, StatesQuery};
use crate::tcp::connection::usual::long_way;

fn fixture(name: &str) -> Vec<PathBuf> {
    vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures")).join(name)]
}

fn settings(threads: usize, batch_packets: usize) -> Settings {
    Settings {
        threads,
        batch_packets,
        keep_connections: true,
        keep_exchanges: true,
        states: Some(StatesQuery { every_ns: Some(SECOND), ..StatesQuery::default() }),
        ..Settings::default()
    }
}

fn outcome(name: &str, settings: &Settings) -> Outcome {
    let (outcome, _) = analyze(&fixture(name), settings, None).expect("a capture").expect("nobody stops it");
    outcome
}

fn names(outcome: &Outcome) -> Vec<Option<String>> {
    let connections = outcome.connections.to_vec().expect("rows");
    connections.iter().map(|record| outcome.tunnels.text(record).map(String::from)).collect()
}

/// Everything that reaches the user, as text.
fn told(outcome: &Outcome) -> [String; 4] {
    [
        serde_json::to_string_pretty(&outcome.summary).expect("JSON"),
        format!("{:#?}", outcome.connections.to_vec().expect("rows")),
        format!("{:#?}", outcome.exchanges.to_vec().expect("rows")),
        format!("{:?} {} {:?}", outcome.opened, outcome.capture_end_ns, names(outcome)),
    ]
}

/// Reused 4-tuples, both legs of a proxy, a set of rotated files, aborts, cut packets, VLAN tags, IPv6, a tunnel in
/// fragments, a tunnel and what is beside it.
const FIXTURES: [&str; 9] = [
    "reuse-at-ages",
    "proxy-both-legs",
    "rotated",
    "abort-by-server",
    "snaplen-96",
    "vlan",
    "ipv6",
    "vxlan-fragments",
    "vxlan-any",
];

#[test]
fn neither_threads_nor_batches_change_the_answer() {
    for name in FIXTURES {
        let expected = told(&outcome(name, &settings(1, 65_536)));
        for threads in [1, 2, 5, PARTITIONS] {
            for batch_packets in [1, 7, 65_536] {
                let found = told(&outcome(name, &settings(threads, batch_packets)));
                assert!(found == expected, "{name} with {threads} threads, batches of {batch_packets}");
            }
        }
    }
}

/// The short way of usual segments is a short way: every fixture has the same answer when all of its segments go the long
/// way, and its connections are the same after each of them.
#[test]
fn the_short_way_and_the_long_way_end_alike() {
    let folders = std::fs::read_dir(&fixture("")[0]).expect("fixtures");
    let mut names: Vec<String> = folders.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.retain(|name| fixture(name)[0].join("truth.json").is_file());
    assert!(names.len() > 50, "the fixtures are here");
    for name in names {
        let alone = settings(1, 4096);
        let (short, long) = (told(&outcome(&name, &alone)), long_way::throughout(|| told(&outcome(&name, &alone))));
        assert!(short == long, "{name}");
    }
}

#[test]
fn rows_that_waited_on_the_disk_are_the_same() {
    for name in FIXTURES {
        let in_memory = outcome(name, &settings(1, 4096));
        let expected = told(&in_memory);
        for (threads, rows_in_memory) in [(1, 0), (1, 3), (2, 1), (5, 2)] {
            let spilt = outcome(name, &Settings { rows_in_memory, ..settings(threads, 4096) });
            assert!(told(&spilt) == expected, "{name} with {threads} threads, {rows_in_memory} rows in memory");
            for number in 0..=spilt.opened.len() + 1 {
                let [found, wanted] = [&spilt, &in_memory].map(|outcome| outcome.connection(number).expect("rows"));
                assert_eq!(format!("{found:?}"), format!("{wanted:?}"), "{name}: connection {number}");
                assert_eq!(found.is_some(), (1..=spilt.opened.len()).contains(&number));
            }
        }
    }
}

#[test]
fn more_threads_than_partitions_are_no_error() {
    let expected = told(&outcome("vlan", &settings(1, 4096)));
    assert_eq!(told(&outcome("vlan", &settings(PARTITIONS + 1, 4096))), expected);
    assert_eq!(told(&outcome("vlan", &settings(0, 4096))), expected);
}

#[test]
fn rows_and_totals_count_the_same_things() {
    for name in FIXTURES {
        let outcome = outcome(name, &settings(2, 100));
        let connections = outcome.connections.to_vec().expect("rows");
        let numbers: Vec<u64> = connections.iter().map(|record| outcome.number(record.ordinal)).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{name}");
        assert_eq!(outcome.summary.totals.connections, numbers.len() as u64, "{name}");
        let requests: u32 = connections.iter().map(|record| record.http.requests).sum();
        let exchanges = outcome.exchanges.to_vec().expect("rows");
        let rows = exchanges.iter().filter(|exchange| exchange.request.is_some()).count();
        assert_eq!(rows, requests as usize, "{name}");
    }
}

#[test]
fn rows_are_kept_only_when_asked_for() {
    let outcome = outcome("proxy-both-legs", &Settings::default());
    assert!(outcome.summary.totals.connections > 0);
    assert!(outcome.connections.is_empty() && outcome.exchanges.is_empty() && outcome.summary.states.is_empty());
}

#[test]
fn progress_ends_at_the_whole_and_can_stop() {
    let mut calls = Vec::new();
    let mut note = |done, total, packets| {
        calls.push((done, total, packets));
        true
    };
    let all = analyze(&fixture("vlan"), &settings(1, 3), Some(&mut note)).expect("a capture");
    let packets = all.expect("not stopped").0.summary.capture.packets;
    let bytes = std::fs::metadata(fixture("vlan/capture.pcap").remove(0)).expect("a file").len();
    assert!(
        calls.len() > 2 && calls.is_sorted() && calls.last() == Some(&(bytes, bytes, packets)),
        "{calls:?} of {bytes}"
    );
    let stopped = analyze(&fixture("vlan"), &settings(1, 3), Some(&mut |_, _, _| false)).expect("a capture");
    assert!(stopped.is_none());
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    let error = analyze(&fixture("nowhere.pcap"), &Settings::default(), None).err().expect("no such file");
    assert!(error.to_string().contains("nowhere.pcap"), "{error}");
}

/// A bare segment from or to port 80.
pub(super) fn frame(port: u16, from_client: bool, flags: u8, seq: u32) -> Vec<u8> {
    let (source, target) = if from_client { (port, 80) } else { (80, port) };
    let mut out = vec![2; 12];
    out.extend([8, 0, 0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0]);
    out.extend(if from_client { [10, 0, 0, 1, 10, 0, 0, 2] } else { [10, 0, 0, 2, 10, 0, 0, 1] });
    out.extend(source.to_be_bytes());
    out.extend(target.to_be_bytes());
    out.extend(seq.to_be_bytes());
    out.extend([0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    out
}

/// Connections are forgotten by the number of packets, not by the batches that these happen to come in: a clock that jumps
/// within a batch, and the pieces of a pipe, must not change the answer.
#[test]
fn how_the_bytes_come_does_not_change_what_is_forgotten() {
    let opened: Vec<Vec<u8>> = (0..12_000_u32)
        .map(|n| {
            let port = 1000 + (n % 700) as u16;
            let flags = if n / 700 % 2 == 0 { 0x02 } else { 0x14 };
            frame(port, flags == 0x02, flags, n / 1400)
        })
        .collect();
    // Every 1,500th packet is of two hours later.
    let second = |n: usize| n as u32 / 100 + if n.is_multiple_of(1500) { 7200 } else { 0 };
    let packets: Vec<(u32, &[u8])> = opened.iter().enumerate().map(|(n, bytes)| (second(n), &bytes[..])).collect();
    let file = crate::capture::forge::pcap(&packets);
    let answer = |lengths: Vec<usize>, threads: usize, batch_packets: usize| {
        let settings = Settings { max_connections: 640, ..settings(threads, batch_packets) };
        let bytes = std::io::Cursor::new(file.clone());
        let pieces = crate::capture::forge::Pieces { bytes, lengths: lengths.into_iter().cycle() };
        let mut set = CaptureSet::from_reader("x", pieces, &settings).expect("a capture");
        told(&read_all(&mut set, &settings, None).expect("a capture").expect("nobody stops it"))
    };
    let expected = answer(vec![1 << 20], 1, 65_536);
    for (lengths, threads, batch_packets) in
        [(vec![77, 3000], 1, 65_536), (vec![1 << 20], 1, 7), (vec![5000, 60], 2, 500)]
    {
        assert!(answer(lengths.clone(), threads, batch_packets) == expected, "{lengths:?} {threads} {batch_packets}");
    }
}
