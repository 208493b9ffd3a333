//! Files that were written, read again: by the engine's own reader, and by Wireshark's where it is installed.

use super::*;
use crate::capture::{CaptureSet, LinkType, Packet};
use crate::settings::Settings;
use proptest::prelude::*;
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};

const START_NS: i64 = 1_795_260_599_123_456_789;

fn interface(name: &str, link_type: u32) -> InterfaceFacts {
    InterfaceFacts {
        name: Some(name.to_owned()),
        link_type,
        snaplen: 262_144,
        resolution: 9,
        ..InterfaceFacts::default()
    }
}

/// A batch of packets of these lengths, each filled with its number, from the given interface.
fn batch(lengths: &[usize], from: u32) -> Batch {
    let mut batch = Batch::default();
    for (number, &length) in lengths.iter().enumerate() {
        let start = batch.data.len();
        batch.data.resize(start + length, number as u8);
        let (captured_len, original_len) = (length as u32, length as u32 + 7);
        let ts_ns = START_NS + TICK.fetch_add(1, Ordering::Relaxed);
        let packet = Packet {
            ts_ns,
            start,
            captured_len,
            original_len,
            interface: from,
            link: LinkType(1),
            ..Packet::default()
        };
        batch.packets.push(packet);
    }
    batch
}

/// Time goes on from packet to packet, through all batches: files are read in the order of their first packets.
static TICK: AtomicI64 = AtomicI64::new(0);

const COUNTED: Statistics =
    Statistics { since_ns: START_NS, until_ns: 0, accepted: Some(12), dropped: Some(2), delivered: 10 };

fn writer(folder: &Path, rotate_bytes: u64, keep: usize) -> Writer {
    let filter = Some("tcp port 80".to_owned());
    let options = WriteOptions { folder: folder.to_owned(), rotate_bytes, keep, interface: "eth0".to_owned(), filter };
    Writer::create(options, &[interface("eth0", 1)]).unwrap()
}

/// A packet as (file, frame, time, interface, original length, length, what it is filled with).
type Row = (u32, u64, i64, u32, u32, usize, u8);

/// Every packet of a folder, and the facts of its files.
fn read(folder: &Path) -> (Vec<Row>, Vec<FileFacts>) {
    let mut set = CaptureSet::open(&[folder.to_owned()], &Settings::default()).unwrap();
    let (mut batch, mut rows) = (Batch::default(), Vec::new());
    while set.next_batch(&mut batch, 100).unwrap() {
        rows.extend(rows_of(&batch));
    }
    (rows, set.facts().files)
}

fn rows_of(batch: &Batch) -> impl Iterator<Item = Row> {
    let row = |p: &Packet| {
        let bytes = batch.bytes(p);
        let filled = bytes.first().copied().unwrap_or(0);
        assert!(bytes.iter().all(|&byte| byte == filled), "the bytes of one packet");
        (p.file, p.frame, p.ts_ns, p.interface, p.original_len, bytes.len(), filled)
    };
    batch.packets.iter().map(row)
}

fn same_facts(told: &[FileFacts], read: &[FileFacts]) {
    assert_eq!(told.len(), read.len());
    for (told, read) in told.iter().zip(read) {
        assert_eq!(serde_json::to_value(told).unwrap(), serde_json::to_value(read).unwrap());
    }
}

#[test]
fn what_is_written_is_read_again_and_told_as_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), 0, 0);
    let mut first = batch(&[0, 1, 2, 3, 4, 60, 1514, 70_000], 0);
    let mut second = batch(&[64, 65], 1);
    second.packets[1].ts_ns += 2 * 3600 * 1_000_000_000;
    writer.write(&mut first, &[], COUNTED);
    writer.write(&mut second, &[interface("eth0", 1), interface("wlan0", 1)], COUNTED);
    writer.finish(COUNTED);
    let (rows, facts) = read(folder.path());
    assert_eq!(rows, rows_of(&first).chain(rows_of(&second)).collect::<Vec<_>>());
    same_facts(&writer.files(), &facts);
    let told = &facts[0].interfaces[0];
    assert_eq!((told.accepted, told.dropped_by_system, told.delivered), (Some(12), Some(2), Some(10)));
    assert_eq!((told.filter.as_deref(), facts[0].long_silences), (Some("tcp port 80"), 1));
    assert_eq!(facts[0].interfaces[1].name.as_deref(), Some("wlan0"));
    let counters = writer.counters();
    let bytes = fs::metadata(&facts[0].path).unwrap().len();
    assert_eq!((counters.packets, counters.unwritten, counters.bytes, &counters.error), (10, 0, bytes, &None));
}

#[test]
fn wireshark_reads_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), 0, 0);
    writer.write(&mut batch(&[60, 1514, 61], 0), &[], COUNTED);
    writer.finish(COUNTED);
    let path = writer.files()[0].path.clone();
    let Ok(done) = Command::new("capinfos").args(["-M", "-T", "-m", "-c", "-o", "-e", &path]).output() else {
        eprintln!("passed over: needs capinfos (wireshark-common)");
        return;
    };
    let text = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && text.contains(",3,"), "{text}");
    let long = Command::new("capinfos").arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&long.stdout).into_owned();
    for line in ["Name = eth0", "Time resolution = 0x09", "Filter string = tcp port 80", "Number of stat entries = 1"] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn files_end_in_time_and_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), 10_000, 3);
    let mut written = Vec::new();
    for _ in 0..20 {
        let mut next = batch(&[900; 7], 0);
        writer.write(&mut next, &[], COUNTED);
        written.extend(rows_of(&next));
    }
    writer.finish(COUNTED);
    let (rows, facts) = read(folder.path());
    let files = writer.files();
    let first = writer.first();
    assert_eq!((writer.paths().len(), files.len()), (3, 3));
    same_facts(&files, &facts);
    let expected: Vec<Row> = written
        .into_iter()
        .filter(|row| row.0 >= first)
        .map(|row| (row.0 - first, row.1, row.2, row.3, row.4, row.5, row.6))
        .collect();
    assert_eq!(rows, expected, "the newest, without a hole");
    assert!(facts.iter().all(|file| fs::metadata(&file.path).unwrap().len() <= 10_000));
    let counters = writer.counters();
    assert_eq!((counters.files - counters.removed, counters.packets), (3, 140));
    assert_eq!(writer.lost().removed_packets, 140 - rows.len() as u64, "what is gone is counted");
}

#[test]
fn files_of_an_earlier_run_count_and_go_first() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut earlier = writer(folder.path(), 10_000, 0);
        earlier.write(&mut batch(&[900; 20], 0), &[], COUNTED);
        earlier.finish(COUNTED);
    }
    let others = ["eth1_00001_20201121T113000Z.pcapng", "eth0_00001_mine.pcapng", "eth0_00002_20201121T113000Z.pcapng"];
    fs::write(folder.path().join(others[0]), "another interface's").unwrap();
    fs::write(folder.path().join(others[1]), "somebody's").unwrap();
    fs::create_dir(folder.path().join(others[2])).unwrap();
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
    names.sort();
    let mut now = writer(folder.path(), 10_000, 3);
    assert_eq!(now.counters().removed_earlier, names.len() as u64 - 3 - 2, "one of the three is this run's");
    now.write(&mut batch(&[900; 50], 0), &[], COUNTED);
    now.finish(COUNTED);
    let earlier = |one: &FileFacts| names.iter().any(|name| Path::new(&one.path).file_name() == Some(name));
    assert_eq!((now.files().len(), now.files().iter().filter(|one| earlier(one)).count()), (3, 0));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert!(others.iter().all(|other| left.contains(&(*other).into())), "{left:?}");
    assert_eq!(left.len(), 3 + others.len());
    let last = now.files()[2].path.clone();
    assert!(
        names.iter().all(|name| !name.to_string_lossy().ends_with("Z.pcapng")
            || name.to_string_lossy().starts_with("eth1")
            || Path::new(&last).file_name().is_some_and(|file| name.as_os_str() < file)),
        "names go on: {last}"
    );
    assert_eq!((now.lost().removed_files > 0, now.lost().write_error), (true, None));
}

#[test]
fn a_packet_larger_than_a_file_has_one_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), 1000, 0);
    writer.write(&mut batch(&[60, 5000, 60], 0), &[], COUNTED);
    writer.finish(COUNTED);
    let (rows, facts) = read(folder.path());
    assert_eq!((rows.len(), facts.len()), (3, 3));
}

#[test]
fn what_is_there_can_be_read_at_any_moment() {
    let (folder, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut writer = writer(folder.path(), 50_000, 0);
    let mut count = 0;
    for _ in 0..12 {
        writer.write(&mut batch(&[333; 20], 0), &[], COUNTED);
        count += 20;
        for file in fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), copies.path().join(file.file_name())).unwrap();
        }
        let (rows, facts) = read(copies.path());
        assert_eq!(rows.len(), count);
        assert!(facts.iter().all(|file| file.problem.is_none()), "no block is cut short");
    }
}

#[test]
fn what_cannot_be_begun_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("file");
    fs::write(&in_the_way, "").unwrap();
    let options = WriteOptions { folder: in_the_way.join("below"), ..WriteOptions::default() };
    let error = Writer::create(options, &[interface("eth0", 1)]).err().unwrap().to_string();
    assert!(error.contains("file/below: ") && !error.contains('\n'), "{error}");
}

/// A file system of its own, of so many bytes, until it is dropped.
#[cfg(target_os = "linux")]
struct SmallDisk(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl SmallDisk {
    fn new(bytes: u32) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(folder.path()).output();
        if done.is_ok_and(|done| done.status.success()) {
            return Some(SmallDisk(folder));
        }
        eprintln!("passed over: a small file system needs root");
        None
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).output());
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_told_and_what_was_written_stays_whole() {
    let Some(disk) = SmallDisk::new(256 << 10) else { return };
    let folder = disk.0.path().join("packets");
    let filler = disk.0.path().join("filler");
    fs::write(&filler, vec![1; 128 << 10]).unwrap();
    let mut writer = writer(&folder, 40_000, 0);
    let mut written = Vec::new();
    for _ in 0..40 {
        let mut next = batch(&[1000; 10], 0);
        let before = writer.counters().packets;
        writer.write(&mut next, &[], COUNTED);
        let now = writer.counters().packets;
        written.extend(rows_of(&next).take((now - before) as usize));
    }
    let full = writer.counters().clone();
    assert!(full.error.as_deref().unwrap().contains("No space left on device"), "{full:?}");
    assert!(full.unwritten > 100 && full.packets + full.unwritten == 400, "{full:?}");
    let (rows, facts) = read(&folder);
    assert_eq!(rows, written);
    assert!(facts.iter().all(|file| file.problem.is_none()), "{facts:?}");
    let lost = writer.lost();
    assert_eq!((lost.unwritten_packets, &lost.write_error), (full.unwritten, &full.error));
    let Written { error, unwritten, .. } = writer.written();
    assert_eq!((error, unwritten), (full.error.clone(), full.unwritten));
    fs::remove_file(&filler).unwrap();
    let mut next = batch(&[1000; 10], 0);
    writer.write(&mut next, &[], COUNTED);
    writer.finish(COUNTED);
    written.extend(rows_of(&next));
    let (rows, facts) = read(&folder);
    assert_eq!(rows, written, "there is room again");
    let Written { error, unwritten, .. } = writer.written();
    assert_eq!((error, unwritten), (None, full.unwritten), "and what is missing stays known");
    let lost: u64 = facts.iter().flat_map(|file| &file.interfaces).map(|interface| interface.lost_between).sum();
    assert_eq!((lost, writer.counters().unwritten), (full.unwritten, full.unwritten), "the gap is told in the file");
    same_facts(&writer.files(), &facts);
}

#[test]
#[cfg(target_os = "linux")]
fn what_finds_no_room_at_all_leaves_no_empty_file_and_is_nowhere() {
    let Some(disk) = SmallDisk::new(64 << 10) else { return };
    let folder = disk.0.path().join("packets");
    let mut writer = writer(&folder, 16_000, 0);
    let mut places = Vec::new();
    for _ in 0..20 {
        let mut next = batch(&[1000; 10], 0);
        writer.write(&mut next, &[], COUNTED);
        places.extend(next.packets.iter().map(|packet| packet.file));
    }
    writer.finish(COUNTED);
    let files = writer.files();
    let lengths: Vec<u64> = fs::read_dir(&folder).unwrap().map(|one| one.unwrap().metadata().unwrap().len()).collect();
    assert!(!lengths.contains(&0), "{lengths:?}");
    assert_eq!((lengths.len(), writer.counters().files), (files.len(), files.len() as u64));
    let nowhere = places.iter().filter(|&&file| file == NOWHERE).count() as u64;
    assert_eq!((nowhere, nowhere > 0), (writer.counters().unwritten, true));
    assert_eq!(files.iter().map(|file| file.packets).sum::<u64>(), 200 - nowhere);
    assert!(files.iter().all(|file| file.interfaces[0].dropped == Some(2)), "known, wherever there was room to say it");
}

#[test]
fn drops_are_known_while_a_file_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), 0, 0);
    writer.write(&mut batch(&[60], 0), &[], COUNTED);
    assert_eq!(writer.files()[0].interfaces[0].dropped, Some(2));
    let now = Statistics { dropped: Some(7), ..COUNTED };
    assert_eq!(writer.files_as_of(&now)[0].interfaces[0].dropped, Some(7), "those since the last packet, too");
}

proptest! {
    /// Whatever the lengths, the sizes of files and how packets fall into batches: every packet is where it was said to be.
    #[test]
    fn every_packet_is_in_its_file_and_frame(
        batches in proptest::collection::vec(proptest::collection::vec(0usize..3000, 0..12), 1..12),
        rotate in prop_oneof![Just(0u64), 500u64..20_000],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path(), rotate, 0);
        let mut written = Vec::new();
        for lengths in &batches {
            let mut next = batch(lengths, 0);
            writer.write(&mut next, &[], COUNTED);
            written.extend(rows_of(&next));
        }
        writer.finish(COUNTED);
        let (rows, facts) = read(folder.path());
        prop_assert_eq!(rows, written);
        same_facts(&writer.files(), &facts);
    }
}
