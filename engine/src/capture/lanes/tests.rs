//! Files of several interfaces, written in lumps, and what is given of them.

use super::*;
use crate::capture::CaptureSet;
use crate::capture::forge::{Pieces, block, enhanced, interface, section};
use crate::capture::order::Order;
use crate::settings::Settings;
use std::io::Cursor;

const ORDER: Order = Order::Little;
const MS: i64 = 1_000_000;

/// A file of so many interfaces, and packets of one byte, their number: interface, milliseconds; `None` for a simple packet.
fn file(interfaces: usize, packets: &[(u32, Option<i64>)]) -> Vec<u8> {
    let mut bytes = section(ORDER);
    (0..interfaces).for_each(|_| bytes.extend(interface(ORDER, 1, 0, &[])));
    packets_of(packets).for_each(|packet| bytes.extend(packet));
    bytes
}

fn packets_of(packets: &[(u32, Option<i64>)]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (1..).zip(packets).map(|(number, &(interface, ms))| match ms {
        Some(ms) => enhanced(ORDER, interface, (ms * 1000).cast_unsigned(), &[number], 1),
        None => block(ORDER, 3, &[&ORDER.put32(1)[..], &[number]].concat()),
    })
}

/// The frames in the order in which they are given, `most` at a time, out of pieces of `piece` bytes, and the set.
fn given(bytes: Vec<u8>, piece: usize, most: usize) -> (Vec<u64>, CaptureSet) {
    let stream = Pieces { bytes: Cursor::new(bytes), lengths: vec![piece].into_iter().cycle() };
    let mut set = CaptureSet::from_reader("x", stream, &Settings::default()).unwrap();
    let frames = drained(&mut set, most);
    (frames, set)
}

fn drained(set: &mut CaptureSet, most: usize) -> Vec<u64> {
    let (mut batch, mut frames) = (Batch::default(), Vec::new());
    while set.next_batch(&mut batch, most).unwrap() {
        assert!(batch.packets.len() <= most && batch.first_ordinal == frames.len() as u64);
        frames.extend(batch.packets.iter().map(|packet| packet.frame));
    }
    frames
}

/// What is given of these packets, whatever pieces and batches they come in; packets put in order, and steps back.
fn order_of(interfaces: usize, packets: &[(u32, Option<i64>)]) -> (Vec<u64>, u64, u64) {
    let bytes = file(interfaces, packets);
    let (frames, set) = given(bytes.clone(), 1 << 20, 4096);
    for (piece, most) in [(1, 1), (7, 3), (100, 4096), (1 << 20, 1), (1 << 20, 2)] {
        assert_eq!(given(bytes.clone(), piece, most).0, frames, "pieces of {piece}, {most} at a time");
    }
    let again = drained(&mut set.replay(&Settings::default()).unwrap(), 5);
    assert_eq!(again, frames);
    let facts = set.facts();
    assert_eq!(facts.files[0].packets, packets.len() as u64);
    assert_eq!(set.is_interleaved(), facts.ordered_packets > 0);
    (frames, facts.ordered_packets, facts.clock_steps_back)
}

fn timed(packets: &[(u32, i64)]) -> Vec<(u32, Option<i64>)> {
    packets.iter().map(|&(interface, ms)| (interface, Some(ms))).collect()
}

#[test]
fn lumps_of_two_interfaces_are_put_in_order() {
    let lumps = timed(&[(0, 1), (0, 3), (0, 5), (1, 2), (1, 4), (1, 6), (0, 7), (0, 9), (1, 8)]);
    assert_eq!(order_of(2, &lumps), (vec![1, 4, 2, 5, 3, 6, 7, 9, 8], 3, 0));
    let (_, set) = given(file(2, &lumps), 1 << 20, 100);
    let facts = &set.facts().files[0];
    assert_eq!((facts.first_ns, facts.last_ns), (Some(MS), Some(9 * MS)));
}

#[test]
fn of_the_same_time_is_first_what_the_file_has_first() {
    let packets = timed(&[(1, 5), (0, 5), (1, 5), (0, 5), (0, 6), (1, 6)]);
    assert_eq!(order_of(2, &packets), (vec![1, 2, 3, 4, 5, 6], 0, 0));
}

/// The second is later than the third, by a wrong clock or its capturer: an interface's packets stay as they are.
#[test]
fn an_interface_keeps_its_own_order() {
    let packets = timed(&[(0, 1), (0, 900), (0, 3), (1, 2), (1, 4), (0, 5)]);
    assert_eq!(order_of(2, &packets), (vec![1, 4, 2, 3, 5, 6], 2, 1));
}

#[test]
fn one_interface_is_left_alone() {
    let packets = timed(&[(0, 5), (0, 1), (0, 3), (0, 2)]);
    assert_eq!(order_of(1, &packets), (vec![1, 2, 3, 4], 0, 2));
}

/// What was given before the second interface was described is given; what comes behind it is put in order.
#[test]
fn order_begins_where_a_second_interface_does() {
    let mut bytes = file(1, &timed(&[(0, 7), (0, 8)]));
    bytes.extend(interface(ORDER, 1, 0, &[]));
    packets_of(&timed(&[(0, 9), (1, 3), (1, 4)])).for_each(|packet| bytes.extend(packet));
    for (piece, most) in [(1, 1), (9, 2), (1 << 20, 1), (1 << 20, 2), (1 << 20, 4096)] {
        let (frames, set) = given(bytes.clone(), piece, most);
        assert_eq!(frames, [1, 2, 4, 5, 3], "pieces of {piece}, {most} at a time");
        assert_eq!((set.facts().ordered_packets, set.facts().clock_steps_back), (1, 1));
    }
}

/// Three seconds of one interface before those of the other: what was given is given, what is late is counted.
#[test]
fn beyond_the_window_packets_are_late_and_counted() {
    let packets = timed(&[(0, 0), (0, 900), (0, 2000), (0, 3000), (1, 100), (1, 1000), (1, 2900)]);
    assert_eq!(order_of(2, &packets), (vec![1, 2, 5, 6, 3, 7, 4], 2, 1));
}

/// A time an hour ahead, alone in its interface, holds up nothing but itself.
#[test]
fn a_wrong_time_holds_up_no_other_packet() {
    let packets = timed(&[(0, 1), (1, 3_600_000), (0, 3), (0, 4), (1, 2), (0, 6), (0, 5000), (1, 4500)]);
    let (frames, _, steps) = order_of(2, &packets);
    assert_eq!((frames, steps), (vec![1, 2, 5, 3, 4, 6, 8, 7], 1));
}

/// One time of 1970 among good ones: its packet stays where it is, and hurries none behind it.
#[test]
fn a_time_far_back_hurries_no_other_packet() {
    let packets = [5000, 5001, 5002, 5003, 0, 5004, 5006, 5005, 5007];
    let packets: Vec<_> = packets.iter().enumerate().map(|(at, &ms)| (at as u32 % 2, ms)).collect();
    assert_eq!(order_of(2, &timed(&packets)), (vec![1, 2, 3, 4, 5, 6, 8, 7, 9], 1, 1));
}

#[test]
fn a_packet_without_a_time_stays_behind_the_one_before_it() {
    let packets = [(0, Some(1)), (0, Some(5)), (1, Some(2)), (0, None), (1, Some(6)), (0, None)];
    assert_eq!(order_of(2, &packets), (vec![1, 3, 4, 2, 5, 6], 1, 0));
    let none = [(0, None), (0, None), (1, Some(3)), (0, Some(2))];
    assert_eq!(order_of(2, &none).0, [1, 2, 4, 3], "with the next of their interface");
}

/// Packets of a second, more than may wait, are given as they must be; what waits stays bounded.
#[test]
fn what_waits_is_bounded_in_packets_and_in_bytes() {
    for (packets, length) in [(MOST_PACKETS * 2, 1), (100, 1 << 20)] {
        let mut lanes = Lanes::new(FileFacts::default(), 0, 0, Behind::default());
        for number in 0..packets {
            let interface = u32::from(number >= packets / 2);
            let packet = Packet { frame: number as u64 + 1, ts_ns: number as i64, interface, ..Packet::default() };
            lanes.push(Held { packet, bytes: vec![0; length].into(), has_time: true });
            assert!(lanes.waiting_packets <= MOST_PACKETS && lanes.waiting_bytes <= MOST_BYTES);
        }
        assert_eq!(lanes.waiting_packets, MOST_PACKETS.min(MOST_BYTES / length), "and all that may does");
        lanes.end();
        assert_eq!((lanes.ready.len(), lanes.waiting_packets, lanes.waiting_bytes), (packets, 0, 0));
        assert!(lanes.by_interface.is_empty() && lanes.turns.is_empty());
    }
}

/// Of files that begin while one goes on each takes its share; those before it, and those that begin later, do not count.
#[test]
fn files_of_the_same_time_share_what_may_wait() {
    let begins: Arc<[i64]> = [0, 0, 10, 20, 30].into();
    let share = |member, latest_ns| MOST_BYTES / Behind::new(Arc::clone(&begins), member).share(latest_ns);
    assert_eq!([share(0, -1), share(0, 0), share(0, 9), share(0, 10), share(0, 99)], [1, 2, 2, 3, 5]);
    assert_eq!([share(3, 25), share(3, 30), share(4, 99), share(7, 99)], [1, 2, 1, 1]);
    let many: Arc<[i64]> = vec![0; 100].into();
    assert_eq!(Behind::new(many, 0).share(0), LEAST_BYTES);
    let mut lanes = Lanes::new(FileFacts::default(), 0, 0, Behind::new([0, 50, 50, 50].into(), 0));
    for number in 0..100 {
        let packet = Packet { frame: number + 1, ts_ns: number as i64, ..Packet::default() };
        lanes.push(Held { packet, bytes: vec![0; 1 << 20].into(), has_time: true });
    }
    assert_eq!(lanes.waiting_bytes, MOST_BYTES / 4);
}

/// A filter takes out of what is in order, and packets that it takes out have told their times.
#[test]
fn a_filter_holds_packets_back_of_what_is_in_order() {
    let program = vec![(0x30, 0, 0, 0), (0x15, 1, 0, 3), (0x6, 0, 0, 0), (0x6, 0, 0, 1)];
    let settings = Settings { filter: [(1, program)].into(), ..Settings::default() };
    let bytes = file(2, &timed(&[(0, 1), (0, 3), (1, 2), (1, 4)]));
    let mut set = CaptureSet::from_reader("x", Cursor::new(bytes), &settings).unwrap();
    assert_eq!(drained(&mut set, 1), [3]);
    assert_eq!((set.facts().filtered_packets, set.facts().ordered_packets), (3, 1));
}
