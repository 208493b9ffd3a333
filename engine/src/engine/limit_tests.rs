//! The limit of connections: in how many parts it is kept, and how near a part's longest idle is to the longest idle of all.

use super::tests::frame;
use super::*;
use crate::capture::forge;
use crate::decode::{FlowKey, PARTITIONS};
use std::collections::VecDeque;

const SERVER: (u32, u16) = (0x0a00_0002, 80);

fn limited(max_connections: usize) -> Settings {
    Settings { max_connections, keep_connections: true, ..Settings::default() }
}

#[test]
fn a_small_limit_is_kept_in_one_part_and_the_default_in_all() {
    let cases = [(1, 1), (10, 1), (2047, 1), (2048, 2), (65_535, 32), (65_536, 64), (250_000, 64), (1 << 40, 64)];
    for (limit, expected) in cases {
        assert_eq!(parts(&limited(limit)), expected, "{limit}");
    }
    assert_eq!(parts(&Settings::default()), PARTITIONS);
}

/// Tuples of random clients, the same in every run.
fn random_clients() -> impl Iterator<Item = (u32, u16)> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 32) as u32, state as u16)
    })
}

/// Of a flood of new connections beyond the limit: the greatest share of those that stay which had been idle for longer
/// than the one ended.
fn farthest_from_the_longest_idle(limit: usize) -> f64 {
    let count = parts(&limited(limit));
    let share = limit.div_ceil(count);
    let mut held = vec![VecDeque::new(); count];
    let mut farthest = 0.0_f64;
    for (now, client) in random_clients().take(5 * limit).enumerate() {
        let part = FlowKey::plain(client, SERVER).0.partition() % count;
        if held[part].len() >= share {
            let ended: usize = held[part].pop_front().expect("a part that is full");
            if now % 101 == 0 {
                let older: usize = held.iter().map(|one| one.partition_point(|&at| at < ended)).sum();
                let all: usize = held.iter().map(VecDeque::len).sum();
                farthest = farthest.max(older as f64 / all as f64);
            }
        }
        held[part].push_back(now);
    }
    farthest
}

#[test]
fn what_is_evicted_is_among_the_longest_idle_of_all() {
    for (limit, most) in [(2000, 0.0), (65_536, 0.12), (250_000, 0.06)] {
        let farthest = farthest_from_the_longest_idle(limit);
        assert!(farthest <= most, "of {limit}: {farthest}");
    }
}

/// A SYN of this client.
fn syn(client: (u32, u16)) -> Vec<u8> {
    let mut bytes = frame(client.1, true, 0x02, 1);
    bytes[26..30].copy_from_slice(&client.0.to_be_bytes());
    bytes
}

#[test]
fn tuples_chosen_for_one_part_push_out_nobody_else() {
    let settings = limited(65_536);
    let count = parts(&settings);
    let part = |client: (u32, u16)| FlowKey::plain(client, SERVER).0.partition() % count;
    let bystanders = random_clients().filter(|&client| part(client) != 7).take(3000);
    let hostile = random_clients().skip(1 << 20).filter(|&client| part(client) == 7).take(3000);
    let packets: Vec<Vec<u8>> = bystanders.chain(hostile).map(syn).collect();
    let packets: Vec<(u32, &[u8])> = packets.iter().map(|bytes| (1, &bytes[..])).collect();
    let mut set =
        CaptureSet::from_reader("x", std::io::Cursor::new(forge::pcap(&packets)), &settings).expect("a capture");
    let outcome = read_all(&mut set, &settings, None).expect("a capture").expect("nobody stops it");
    assert_eq!(outcome.summary.totals.connections, 6000);
    let is_evicted = |record: &ConnectionRecord| record.quality.0 & crate::record::Quality::EVICTED != 0;
    let rows = outcome.connections.to_vec().expect("rows");
    let evicted: Vec<usize> = (0..rows.len()).filter(|&at| is_evicted(&rows[at])).collect();
    assert_eq!(evicted, (3000..6000 - 1024).collect::<Vec<_>>(), "its own, from the longest idle on");
}
