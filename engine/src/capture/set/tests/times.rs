//! Sets whose files overlap, and files whose clocks step.

use super::*;
use crate::capture::forge::{block, options};

/// 70 files of the same two hours: 64 are merged, the other six begin as one of those ends, and are counted.
#[test]
fn files_beyond_those_that_are_merged_are_counted() {
    let folder = Folder::new("late");
    let path = |n: u32| folder.write(&format!("{n:02}"), &pcap(&[(100 + n, b"x"), (1000 + n, b"y"), (2000 + n, b"z")]));
    let paths: Vec<PathBuf> = (0..70).map(path).collect();
    for (files, late) in [(64, 0), (65, 1), (70, 6)] {
        for most in [1, 7, 4096] {
            let mut set = CaptureSet::open(&paths[..files], &Settings::default()).unwrap();
            assert_eq!(drain(&mut set, most).len(), files * 3);
            assert_eq!(set.facts().late_files, late, "{files} files, {most} at a time");
            let again = drain(&mut set.replay(&Settings::default()).unwrap(), most);
            assert_eq!(again.len(), files * 3);
        }
    }
    let apart: Vec<PathBuf> =
        (0..70).map(|n| folder.write(&format!("a{n:02}"), &pcap(&[(n, b"x"), (n, b"y")]))).collect();
    let mut set = CaptureSet::open(&apart, &Settings::default()).unwrap();
    drain(&mut set, 7);
    assert_eq!(set.facts().late_files, 0, "files that follow each other");
}

/// What zstd stores as it is in one block, and says that it needs a window of so many times 2 to the 10 bytes.
fn stored(bytes: &[u8], log_kib: u8) -> Vec<u8> {
    let block = (bytes.len() as u32) << 3 | 1;
    [&[0x28, 0xb5, 0x2f, 0xfd, 0, log_kib << 3], &block.to_le_bytes()[..3], bytes].concat()
}

/// Three packets over half an hour, the first of so many bytes.
fn half_an_hour(n: u32, length: usize) -> Vec<u8> {
    pcap(&[(100 + n, &vec![b'x'; length]), (1000 + n, b"y"), (2000 + n, b"z")])
}

/// Nine files of one time, each with a window of 128 MiB: four are read beside each other. Small files do not fill theirs.
#[test]
fn files_whose_windows_are_beyond_memory_wait() {
    let folder = Folder::new("windows");
    for (length, log_kib, late) in [(5000, 17, 5), (5000, 16, 1), (5000, 15, 0), (1, 17, 0)] {
        let file = |n: u32| stored(&half_an_hour(n, length), log_kib);
        let paths: Vec<PathBuf> = (0..9).map(|n| folder.write(&format!("{length}-{log_kib}-{n}"), &file(n))).collect();
        for most in [1, 4096] {
            let mut set = CaptureSet::open(&paths, &Settings::default()).unwrap();
            assert_eq!(drain(&mut set, most).len(), 27);
            assert_eq!(set.facts().late_files, late, "windows of 2^{log_kib} KiB, {most} at a time");
            assert_eq!(drain(&mut set.replay(&Settings::default()).unwrap(), most).len(), 27);
        }
    }
}

/// A member that asks for more than the first said, and for more than usual, ends its file, unless it is the only one.
#[test]
fn a_later_window_is_not_beyond_the_first() {
    let folder = Folder::new("later-windows");
    let whole = half_an_hour(0, 1);
    let in_two = |log_kib: [u8; 2]| [stored(&whole[..50], log_kib[0]), stored(&whole[50..], log_kib[1])].concat();
    let other = folder.write("z", &half_an_hour(1, 1));
    for (log_kib, packets) in [([1, 13], 3), ([1, 14], 1), ([17, 17], 3), ([14, 1], 3)] {
        let path = folder.write("a", &in_two(log_kib));
        let mut set = CaptureSet::open(&[path.clone(), other.clone()], &Settings::default()).unwrap();
        assert_eq!(drain(&mut set, 9).len(), packets + 3, "{log_kib:?}");
        let problem = set.facts().files[0].problem.clone();
        assert_eq!(problem.is_some(), packets == 1);
        assert!(problem.is_none_or(|said| said.contains("more memory than is given")), "{log_kib:?}");
        let mut alone = CaptureSet::open(&[path], &Settings::default()).unwrap();
        assert_eq!(drain(&mut alone, 9).len(), 3);
    }
}

/// A tap whose first packet, or whose first few, say an hour too much is read beside the other all the same.
#[test]
fn a_wrong_time_at_the_start_does_not_hold_a_file_back() {
    let folder = Folder::new("late-start");
    let wrong = folder.write("a", &pcap(&[(3610, b"1"), (3611, b"2"), (12, b"3"), (30, b"4")]));
    let other = folder.write("b", &pcap(&[(11, b"5"), (20, b"6"), (40, b"7")]));
    for paths in [[&*wrong, &*other], [&*other, &*wrong]] {
        let mut set = open(&paths).unwrap();
        let order: Vec<u8> = drain(&mut set, 100).iter().map(|seen| seen.3[0] - b'0').collect();
        assert_eq!(order, [5, 1, 2, 3, 6, 4, 7]);
        assert_eq!(set.facts().clock_steps_back, 1);
    }
}

/// A pcapng of simple packets (`None`) and of others at so many seconds, each of one byte.
fn with_and_without_times(packets: &[(Option<u64>, u8)]) -> Vec<u8> {
    let order = Order::Little;
    let mut file = [section(order), interface(order, 1, 0, &[])].concat();
    for &(seconds, byte) in packets {
        let simple = || block(order, 3, &[&order.put32(1)[..], &[byte]].concat());
        file.extend(seconds.map_or_else(simple, |seconds| enhanced(order, 0, seconds * 1_000_000, &[byte], 1)));
    }
    file
}

/// Seconds and bytes of all packets.
fn seconds(set: &mut CaptureSet, most: usize) -> Vec<(i64, u8)> {
    drain(set, most).iter().map(|seen| (seen.2, seen.3[0])).collect()
}

#[test]
fn a_packet_without_a_time_has_that_of_the_one_before_and_the_first_that_of_the_one_after() {
    let file = with_and_without_times(&[(None, b'a'), (None, b'b'), (Some(50), b'c'), (None, b'd'), (Some(60), b'e')]);
    let expected = [(50, b'a'), (50, b'b'), (50, b'c'), (50, b'd'), (60, b'e')];
    for most in [1, 2, 100] {
        let mut set = CaptureSet::from_reader("x", Cursor::new(file.clone()), &Settings::default()).unwrap();
        assert_eq!(seconds(&mut set, most), expected);
        let facts = &set.facts().files[0];
        assert_eq!((facts.first_ns, facts.last_ns), (Some(50_000_000_000), Some(60_000_000_000)));
        assert_eq!(facts.pcapng.as_ref().unwrap().blocks["simple_packet"], 3, "counted once");
        assert_eq!(seconds(&mut set.replay(&Settings::default()).unwrap(), most), expected);
    }
}

#[test]
fn a_time_is_looked_for_within_a_megabyte() {
    for (before, first) in [(40_000, 50), (60_000, 0)] {
        let mut packets = vec![(None, b'a'); before];
        packets.push((Some(50), b'b'));
        let file = with_and_without_times(&packets);
        let mut set = CaptureSet::from_reader("x", Cursor::new(file), &Settings::default()).unwrap();
        assert_eq!(seconds(&mut set, 4096)[0], (first, b'a'), "{before}");
    }
}

/// Its packets come last, at the time of the latest before them; one that begins without times is put where they begin.
#[test]
fn files_without_times_in_a_set() {
    let folder = Folder::new("without-times");
    let none = folder.write("a", &with_and_without_times(&[(None, b'1'), (None, b'2')]));
    let begins = folder.write("b", &with_and_without_times(&[(None, b'3'), (Some(20), b'4')]));
    let third = folder.write("c", &pcap(&[(10, b"5"), (30, b"6")]));
    let expected = [(10, b'5'), (20, b'3'), (20, b'4'), (30, b'6'), (30, b'1'), (30, b'2')];
    for most in [1, 100] {
        let mut set = open(&[&none, &begins, &third]).unwrap();
        assert_eq!(seconds(&mut set, most), expected);
        let times: Vec<_> = set.facts().files.iter().map(|file| file.first_ns.map(|ns| ns / 1_000_000_000)).collect();
        assert_eq!(times, [Some(10), Some(20), None]);
        let mut again = set.replay(&Settings::default()).unwrap();
        again.skip_to(2, 1).unwrap();
        let rest = seconds_left(&mut again, most);
        assert!(expected.ends_with(&rest) && rest.ends_with(&expected[4..]), "{rest:?}");
    }
}

/// As [`seconds`], of a set that was sought in.
fn seconds_left(set: &mut CaptureSet, most: usize) -> Vec<(i64, u8)> {
    let (mut batch, mut seen) = (Batch::default(), Vec::new());
    while set.next_batch(&mut batch, most).unwrap() {
        seen.extend(batch.packets.iter().map(|p| (p.ts_ns / 1_000_000_000, batch.bytes(p)[0])));
    }
    seen
}

/// `dumpcap` writes microseconds, be the interface's resolution what it may; others write its ticks.
#[test]
fn the_start_of_statistics_is_read_in_the_unit_that_lies_near_the_packets() {
    let order = Order::Little;
    let now: i64 = 1_795_000_000_000_000_000;
    for (start, expected) in [(now / 1000, now), (now + 5, now + 5), (7, 7), (now / 1_000_000, now / 1_000_000)] {
        let ticks = start as u64;
        let time = [(ticks >> 32) as u32, ticks as u32].map(|half| order.put32(half)).concat();
        let list = options(order, &[(2, &time)]);
        let statistics = block(order, 5, &[&[0; 12][..], &list].concat());
        let packet = enhanced(order, 0, now as u64, b"x", 1);
        let file = [section(order), interface(order, 1, 0, &[(9, &[9])]), packet, statistics].concat();
        let mut set = CaptureSet::from_reader("x", Cursor::new(file), &Settings::default()).unwrap();
        drain(&mut set, 10);
        assert_eq!(set.facts().files[0].interfaces[0].counted_since_ns, Some(expected));
    }
}

#[test]
fn silences_of_more_than_an_hour_are_told() {
    let bytes = pcap(&[(100_000, b"a"), (103_600, b"b"), (107_201, b"c"), (0, b"d"), (86_400, b"e"), (86_401, b"f")]);
    let mut set = CaptureSet::from_reader("x", Cursor::new(bytes), &Settings::default()).unwrap();
    drain(&mut set, 10);
    let facts = set.facts();
    assert_eq!((facts.files[0].long_silences, facts.files[0].longest_silence_ns), (2, 86_400_000_000_000));
    assert_eq!(facts.clock_steps_back, 1);
}

#[test]
fn a_step_of_the_clock_and_back_is_no_silence() {
    for (times, silences, longest_s) in [
        (&[100_000, 0, 100_001][..], 0, 1),
        (&[100_000, 0, 99_999], 0, 0),
        (&[100_000, 0, 1, 50_000, 100_001], 1, 49_999),
        (&[100_000, 0, 110_000], 1, 10_000),
    ] {
        let packets: Vec<(u32, &[u8])> = times.iter().map(|&time| (time, &b"a"[..])).collect();
        let mut set = CaptureSet::from_reader("x", Cursor::new(pcap(&packets)), &Settings::default()).unwrap();
        drain(&mut set, 10);
        let file = &set.facts().files[0];
        assert_eq!((file.long_silences, file.longest_silence_ns / 1_000_000_000), (silences, longest_s), "{times:?}");
    }
}

#[test]
fn a_packet_from_the_future_does_not_hold_its_file_back() {
    let folder = Folder::new("future");
    let wrong = folder.write("a", &pcap(&[(10, b"1"), (4_000_000_000, b"2"), (12, b"3"), (30, b"4")]));
    let other = folder.write("b", &pcap(&[(11, b"5"), (20, b"6"), (40, b"7")]));
    let seen = drain(&mut open(&[&wrong, &other]).unwrap(), 100);
    let order: Vec<u8> = seen.iter().map(|seen| seen.3[0] - b'0').collect();
    assert_eq!(order, [1, 5, 2, 3, 6, 4, 7]);
}
