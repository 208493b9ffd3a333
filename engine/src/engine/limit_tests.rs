//! The limit of connections: kept exactly where it is small, by agreement of all shards where it is great.

use super::census::{LAG, MOST_BEYOND, Verdict};
use super::front::LOOK_EVERY;
use super::tests::frame;
use super::*;
use crate::capture::forge;
use crate::decode::{FlowKey, PARTITIONS};
use std::collections::BTreeMap;

pub(super) const SERVER: (u32, u16) = (0x0a00_0002, 80);
/// The least limit that shards share.
const SHARED: usize = 1 << 17;

pub(super) type Client = (u32, u16);

fn limited(max_connections: usize) -> Settings {
    Settings { max_connections, keep_connections: true, keep_duplicates: true, ..Settings::default() }
}

#[test]
fn a_small_limit_is_kept_in_one_part_and_the_default_in_all() {
    for (limit, expected) in [(1, 1), (SHARED - 1, 1), (SHARED, 64), (250_000, 64), (1 << 40, 64)] {
        assert_eq!(parts(&limited(limit)), expected, "{limit}");
    }
    for (max_kept_bytes, expected) in [(0, 1), ((128 << 20) - 1, 1), (128 << 20, 64), (1 << 40, 64)] {
        assert_eq!(parts(&Settings { max_kept_bytes, ..Settings::default() }), expected, "{max_kept_bytes}");
    }
    assert_eq!(parts(&Settings::default()), PARTITIONS);
}

/// Random numbers, the same in every run.
pub(super) fn dice() -> impl Iterator<Item = u64> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    })
}

pub(super) fn client(number: u64) -> Client {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 32) as u32 | 1 << 31, mixed as u16)
}

/// A SYN of each, one after another.
fn syns(clients: &[Client]) -> Vec<u8> {
    let syn = |client: &Client| {
        let mut bytes = frame(client.1, true, 0x02, 1);
        bytes[26..30].copy_from_slice(&client.0.to_be_bytes());
        bytes
    };
    let packets: Vec<Vec<u8>> = clients.iter().map(syn).collect();
    let packets: Vec<(u32, &[u8])> = packets.iter().map(|bytes| (1, &bytes[..])).collect();
    forge::pcap(&packets)
}

/// Place of the first packet of each connection, and of its last one if it was evicted.
type Lives = BTreeMap<usize, Option<usize>>;

fn lives(capture: &[u8], settings: &Settings) -> Lives {
    let reader = std::io::Cursor::new(capture.to_vec());
    let mut set = CaptureSet::from_reader("x", reader, settings).expect("a capture");
    let outcome = read_all(&mut set, settings, None).expect("a capture").expect("nobody stops it");
    let rows = outcome.connections.to_vec().expect("rows");
    let is_evicted = |record: &ConnectionRecord| record.quality.0 & crate::record::Quality::EVICTED != 0;
    assert_eq!(outcome.summary.capture.evicted_connections, rows.iter().filter(|row| is_evicted(row)).count() as u64);
    let place = |mark: crate::record::Mark| mark.frame() as usize - 1;
    rows.iter().map(|row| (place(row.first), is_evicted(row).then(|| place(row.last)))).collect()
}

/// The rule, told once more: at each look all connections that are there are written down, and two looks later as many
/// stretches of the longest idle ones end as are too many, but for what was heard of since.
fn expected(clients: &[Client], limit: usize) -> Lives {
    let stretch = LOOK_EVERY as usize;
    // Of each: the places of its first packet and of its last.
    let mut held = BTreeMap::<Client, (usize, usize)>::new();
    let (mut lives, mut noted) = (Lives::new(), Vec::new());
    for (now, &client) in clients.iter().enumerate() {
        if now % stretch == 0 {
            if let Some(then) = noted.len().checked_sub(LAG as usize).and_then(|at| noted.get(at)) {
                let then: &Vec<usize> = then;
                let mut left = then.len().saturating_sub(limit);
                let mut through = 0;
                for same in then.chunk_by(|a, b| a / stretch == b / stretch).take_while(|same| {
                    let fits = same.len() <= left;
                    left -= if fits { same.len() } else { 0 };
                    fits
                }) {
                    through = same[0] / stretch * stretch + stretch;
                }
                let of_those = held.len();
                held.retain(|_, &mut (first, last)| {
                    let stays = last >= through;
                    if !stays {
                        lives.insert(first, Some(last));
                    }
                    stays
                });
                assert!(held.len() == of_those || held.len() >= limit, "whoever ends, so many were heard of later");
            }
            let mut lasts: Vec<usize> = held.values().map(|&(_, last)| last).collect();
            lasts.sort_unstable();
            noted.push(lasts);
        }
        held.entry(client).and_modify(|(_, last)| *last = now).or_insert((now, now));
        assert!(held.len() <= limit + MOST_BEYOND as usize);
    }
    lives.extend(held.values().map(|&(first, _)| (first, None)));
    lives
}

#[test]
fn shards_agree_on_the_longest_idle_of_all() {
    // A flood, and within it clients that are heard of again: some before they would be ended, some after.
    let clients: Vec<Client> = (0_u64..260_000)
        .zip(dice())
        .map(|(at, dice)| client(if dice % 3 == 0 { at.saturating_sub(dice >> 8 & 0x3_ffff) } else { at }))
        .collect();
    let (capture, expected) = (syns(&clients), expected(&clients, SHARED));
    assert!(expected.values().filter(|life| life.is_some()).count() > 20_000);
    for (threads, batch_packets) in [(1, 2048), (2, 2048), (3, 500), (5, 30_000)] {
        let settings = Settings { threads, batch_packets, ..limited(SHARED) };
        assert!(lives(&capture, &settings) == expected, "{threads} threads, batches of {batch_packets}");
    }
}

#[test]
fn tuples_chosen_for_one_shard_push_out_nobody_else_sooner() {
    let part = |client: Client| FlowKey::plain(client, SERVER).0.partition();
    let bystanders = (0..50_000).map(client).filter(|&client| part(client) != 7);
    let hostile = (50_000..).map(client).filter(|&client| part(client) == 7).take(20_000);
    let clients: Vec<Client> = bystanders.chain(hostile).collect();
    assert!(clients.len() > 64_000);
    let settings = Settings { threads: 2, ..limited(SHARED) };
    assert!(lives(&syns(&clients), &settings).values().all(Option::is_none), "there is room for all");
}

#[test]
fn whole_stretches_end_and_never_too_much() {
    let judged = |said: [&[(u32, u32)]; 2], connections: u64| {
        let census = Census::new(2, &limited(1000));
        for oldest in said {
            census.say(0, connections / 2, 21, oldest);
        }
        census.hear(0)
    };
    for (connections, through) in
        [(900, None), (1000, None), (1010, None), (1020, Some(3)), (1034, Some(3)), (1036, Some(5))]
    {
        let verdict = judged([&[(3, 12), (5, 16), (9, 50)], &[(3, 8), (9, 50)]], connections);
        assert_eq!(verdict, Some(Verdict { connections, kept_bytes: 42, through }), "{connections}");
    }
}

#[test]
fn nobody_waits_for_what_does_not_come() {
    let census = Census::new(2, &limited(1000));
    census.say(0, 7, 0, &[]);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| census.hear(0));
        census.close();
        assert_eq!(waiting.join().expect("no panic"), None);
    });
    let census = Census::new(1, &limited(1000));
    for round in 0..5000 {
        census.say(round, round, 0, &[]);
        assert_eq!(census.hear(round), Some(Verdict { connections: round, kept_bytes: 0, through: None }));
    }
}
