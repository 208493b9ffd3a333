//! Sets of files, folders and streams.

use super::*;
use crate::capture::forge::{Folder, enhanced, interface, pcap, section};
use crate::capture::order::Order;
use std::io::{Cursor, Write};

mod mapped;
mod room;
mod times;

/// What tells one packet from another: file, frame, time in seconds, bytes.
type Seen = (u32, u64, i64, Vec<u8>);

/// Reads a set to its end, `max_packets` at a time, checking the ordinals on the way.
fn drain(set: &mut CaptureSet, max_packets: usize) -> Vec<Seen> {
    let mut batch = Batch::default();
    let mut seen = Vec::new();
    while set.next_batch(&mut batch, max_packets).unwrap() {
        assert_eq!(batch.first_ordinal, seen.len() as u64);
        assert!(batch.packets.len() <= max_packets);
        let packets = batch.packets.iter();
        seen.extend(packets.map(|p| (p.file, p.frame, p.ts_ns / 1_000_000_000, batch.bytes(p).to_vec())));
    }
    seen
}

fn open(paths: &[&Path]) -> Result<CaptureSet, SourceError> {
    let paths: Vec<PathBuf> = paths.iter().map(|&path| path.to_owned()).collect();
    CaptureSet::open(&paths, &Settings::default())
}

fn refusal(paths: &[&Path]) -> String {
    let error = open(paths).err().unwrap();
    error.to_string().replace(&error.path, "PATH")
}

fn names(set: &CaptureSet) -> Vec<String> {
    let name = |path: &str| Path::new(path).file_name().unwrap().to_string_lossy().into_owned();
    set.facts().files.iter().map(|file| name(&file.path)).collect()
}

#[test]
fn files_are_ordered_by_their_first_packet_then_by_path() {
    let folder = Folder::new("order");
    let late = folder.write("a", &pcap(&[(30, b"late")]));
    let tie = folder.write("c", &pcap(&[(10, b"tie")]));
    let early = folder.write("b", &pcap(&[(10, b"one"), (20, b"two")]));
    let none = folder.write("0", &pcap(&[]));
    let mut set = open(&[&none, &late, &tie, &early]).unwrap();
    assert_eq!(names(&set), ["b", "c", "a", "0"]);
    let expected = vec![
        (0, 1, 10, b"one".to_vec()),
        (1, 1, 10, b"tie".to_vec()),
        (0, 2, 20, b"two".to_vec()),
        (2, 1, 30, b"late".to_vec()),
    ];
    assert_eq!(drain(&mut set, 1), expected);
    assert_eq!(drain(&mut open(&[&none, &late, &tie, &early]).unwrap(), 100), expected);
    let facts = set.facts();
    assert_eq!(facts.files.iter().map(|file| file.packets).collect::<Vec<_>>(), [2, 1, 1, 0]);
    assert_eq!((facts.files[0].first_ns, facts.files[0].last_ns), (Some(10_000_000_000), Some(20_000_000_000)));
    let (read, total) = set.progress();
    assert_eq!(read, total);
}

#[test]
fn files_whose_times_overlap_are_merged() {
    let folder = Folder::new("overlap");
    let at = |times: &[u32], name: &str| {
        let packets: Vec<(u32, &[u8])> = times.iter().map(|&time| (time, name.as_bytes())).collect();
        folder.write(name, &pcap(&packets))
    };
    let names = [
        at(&[10, 20, 30, 90, 91], "a"),
        at(&[15, 25, 26], "b"),
        at(&[18, 40], "c"),
        at(&[95, 99], "d"),
        at(&[96, 97, 98, 120], "e"),
    ];
    let paths: Vec<&Path> = names.iter().map(PathBuf::as_path).collect();
    for most in [1, 2, 100] {
        let mut set = open(&paths).unwrap();
        let seen = drain(&mut set, most);
        let times: Vec<i64> = seen.iter().map(|seen| seen.2).collect();
        assert_eq!(times, [10, 15, 18, 20, 25, 26, 30, 40, 90, 91, 95, 96, 97, 98, 99, 120], "{most}");
        assert!(seen.iter().all(|(file, _, _, bytes)| bytes == &[b'a' + *file as u8]));
        let frames = |file| seen.iter().filter(|seen| seen.0 == file).map(|seen| seen.1).collect::<Vec<_>>();
        assert_eq!((frames(0), frames(4)), (vec![1, 2, 3, 4, 5], vec![1, 2, 3, 4]));
        assert!(set.is_interleaved());
        let again = drain(&mut set.replay(&Settings::default()).unwrap(), most);
        assert_eq!(again, seen, "a second look sees the same");
    }
}

#[test]
fn more_files_than_are_read_beside_each_other_lose_nothing() {
    let folder = Folder::new("many-overlaps");
    let paths: Vec<PathBuf> =
        (0..30).map(|n| folder.write(&format!("{n:02}"), &pcap(&[(n, b"x"), (100 + n, b"y")]))).collect();
    let mut set = CaptureSet::open(&paths, &Settings::default()).unwrap();
    let seen = drain(&mut set, 7);
    assert_eq!(seen.len(), 60);
    assert_eq!(set.facts().files.iter().map(|file| file.packets).sum::<u64>(), 60);
}

#[test]
fn a_folder_is_its_captures_by_magic() {
    let folder = Folder::new("folder");
    folder.write("notes.txt", b"not a capture");
    folder.write("empty", b"");
    folder.write("one.whatever", &pcap(&[(1, b"x")]));
    folder.write("broken", &pcap(&[])[..20]);
    fs::create_dir_all(folder.0.join("sub")).unwrap();
    let mut set = open(&[&folder.0]).unwrap();
    assert_eq!(drain(&mut set, 10).len(), 1);
    assert_eq!(names(&set), ["one.whatever", "broken"]);
    let problem = set.facts().files[1].problem.clone().unwrap();
    assert_eq!(problem, "the file header is cut short; copy the capture again");
}

#[test]
fn what_is_no_capture_is_refused_in_one_line() {
    let folder = Folder::new("refused");
    let other = Folder::new("refused-folder");
    other.write("notes", b"text");
    let advice = "give a pcap or pcapng file, as `tcpdump -w` writes";
    let cases = [
        (
            folder.write("text", b"hello\n"),
            format!("PATH: not a packet capture: it looks like text; {advice} (offset 0)"),
        ),
        (folder.write("empty", b""), format!("PATH: empty, 0 bytes; {advice} (offset 0)")),
        (
            folder.write("bytes", &[0, 1, 2]),
            format!("PATH: not a packet capture: its first bytes are no known magic; {advice} (offset 0)"),
        ),
        (
            folder.write("bz2", b"BZh91AY"),
            format!(
                "PATH: not a packet capture: it is compressed with bzip2 (decompress it first); {advice} (offset 0)"
            ),
        ),
        (
            folder.write("tar", &[&[0; 257][..], b"ustar"].concat()),
            format!(
                "PATH: not a packet capture: it is a tar archive (extract it first, and give the folder); {advice} (offset 0)"
            ),
        ),
        (
            folder.write("banner", &[&b"tcpdump: listening on any\n"[..], &pcap(&[])].concat()),
            format!(
                "PATH: not a packet capture: a capture begins behind 26 bytes of text (take them off: `tail -c +27`); \
                 {advice} (offset 0)"
            ),
        ),
        (
            folder.write("trace.ETL", &[0, 0, 2, 0, 9]),
            format!(
                "PATH: not a packet capture: it may be a Windows event trace (convert it with `etl2pcapng` or \
                 `pktmon etl2pcap`); {advice} (offset 0)"
            ),
        ),
        (
            folder.write("cut", &pcap(&[])[..23]),
            "PATH: the file header is cut short; copy the capture again (offset 0)".to_owned(),
        ),
        (folder.0.join("absent"), "PATH: no such file or folder; check the path".to_owned()),
        (other.0.clone(), "PATH: no capture among the 1 files of this folder; give a pcap or pcapng file".to_owned()),
    ];
    let good = folder.write("good", &pcap(&[(1, b"x")]));
    for (path, line) in cases {
        assert_eq!(refusal(&[&path]), line);
        assert_eq!(refusal(&[&good, &path]), line, "one bad file among good ones is the user's mistake too");
    }
    assert_eq!(refusal(&[]).matches('\n').count(), 0);
}

#[test]
fn a_cut_file_gives_what_came_before_and_the_next_file_goes_on() {
    let folder = Folder::new("cut");
    let whole = pcap(&[(1, b"first"), (2, b"second")]);
    let cut = folder.write("cut", &whole[..whole.len() - 1]);
    let next = folder.write("next", &pcap(&[(3, b"third")]));
    let mut set = open(&[&cut, &next]).unwrap();
    assert_eq!(drain(&mut set, 10), vec![(0, 1, 1, b"first".to_vec()), (1, 1, 3, b"third".to_vec())]);
    assert_eq!(set.facts().files[0].problem.as_deref(), Some("cut short in the record at offset 45"));
    assert_eq!(set.facts().files[1].problem, None);
}

#[test]
fn compressed_files_read_as_plain_and_may_be_cut_too() {
    let plain = pcap(&[(1, b"first"), (2, b"second")]);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&plain).unwrap();
    let gzip = encoder.finish().unwrap();
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    for (word, packed) in [("gzip", gzip), ("zstd", zstd)] {
        let cut = packed[..packed.len() - 12].to_vec();
        let mut set = CaptureSet::from_reader("x", Cursor::new(packed), &Settings::default()).unwrap();
        assert_eq!(drain(&mut set, 10).len(), 2);
        assert_eq!((set.facts().files[0].compression.as_str(), set.facts().files[0].problem.as_deref()), (word, None));
        if let Ok(mut set) = CaptureSet::from_reader("x", Cursor::new(cut), &Settings::default()) {
            drain(&mut set, 10);
            assert!(set.facts().files[0].problem.is_some(), "{word}");
        }
    }
}

#[test]
fn a_stream_can_be_read_again_as_far_as_it_was_kept() {
    let bytes = pcap(&[(1, b"first"), (2, b"second")]);
    let whole = Settings::default();
    let mut set = CaptureSet::from_reader("-", Cursor::new(bytes.clone()), &whole).unwrap();
    let seen = drain(&mut set, 10);
    assert_eq!(drain(&mut set.replay(&whole).unwrap(), 10), seen);

    let partly = Settings { replay_bytes: 50, ..Settings::default() };
    let mut set = CaptureSet::from_reader("-", Cursor::new(bytes), &partly).unwrap();
    assert_eq!(drain(&mut set, 10), seen);
    let mut again = set.replay(&partly).unwrap();
    assert_eq!(drain(&mut again, 10), seen[..1]);
    assert_eq!(again.facts().files[0].problem.as_deref(), Some("cut short in the record at offset 45"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_named_by_a_path_is_read_once_and_kept() {
    let folder = Folder::new("pipe");
    let file = folder.write("later", &pcap(&[(9, b"later")]));
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&pcap(&[(1, b"first"), (2, b"second")])).unwrap();
    drop(writer);
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&reader);
    let path = PathBuf::from(format!("/dev/fd/{descriptor}"));
    let mut set = open(&[&file, &path]).unwrap();
    let seen = drain(&mut set, 10);
    assert_eq!(seen.iter().map(|packet| packet.2).collect::<Vec<_>>(), [1, 2, 9]);
    assert_eq!(drain(&mut set.replay(&Settings::default()).unwrap(), 10), seen);
}

#[test]
fn files_are_read_again_in_the_same_order() {
    let folder = Folder::new("again");
    let b = folder.write("b", &pcap(&[(1, b"first")]));
    let a = folder.write("a", &pcap(&[(2, b"second")]));
    let mut set = open(&[&a, &b]).unwrap();
    let seen = drain(&mut set, 10);
    assert_eq!(drain(&mut set.replay(&Settings::default()).unwrap(), 10), seen);
}

#[test]
fn a_filter_holds_packets_back_and_counts_them() {
    // `ld [0]; jeq 'b', 1, 0; ret 0; ret 1` on the first byte.
    let program = vec![(0x30, 0, 0, 0), (0x15, 1, 0, u32::from(b'b')), (0x6, 0, 0, 0), (0x6, 0, 0, 1)];
    let settings = Settings { filter: [(1, program)].into(), ..Settings::default() };
    let bytes = pcap(&[(1, b"a"), (2, b"b"), (3, b"c"), (4, b"b")]);
    let mut set = CaptureSet::from_reader("x", Cursor::new(bytes), &settings).unwrap();
    let frames: Vec<_> = drain(&mut set, 10).into_iter().map(|(_, frame, ..)| frame).collect();
    assert_eq!(frames, [2, 4], "frame numbers are those of the file");
    assert_eq!((set.facts().filtered_packets, set.facts().files[0].packets), (2, 4));
    let bad = Settings { filter: [(1, Vec::new())].into(), ..Settings::default() };
    assert!(CaptureSet::from_reader("x", Cursor::new(pcap(&[])), &bad).is_err());
}

#[test]
fn clock_steps_back_are_counted_within_files_only() {
    let folder = Folder::new("clock");
    let one = folder.write("one", &pcap(&[(5, b"a"), (4, b"b"), (4, b"c"), (9, b"d"), (8, b"e")]));
    let two = folder.write("two", &pcap(&[(6, b"f")]));
    let mut set = open(&[&one, &two]).unwrap();
    drain(&mut set, 10);
    assert_eq!(set.facts().clock_steps_back, 2);
}

#[test]
fn a_file_given_twice_is_read_once_and_told() {
    let folder = Folder::new("twice");
    let one = folder.write("one", &pcap(&[(5, b"a"), (6, b"b")]));
    let other = folder.write("other", &pcap(&[(5, b"a"), (7, b"b")]));
    let copy = folder.write("copy", &pcap(&[(5, b"a"), (6, b"b")]));
    let empty = folder.write("empty", &pcap(&[]));
    let empty_too = folder.write("empty too", &pcap(&[]));
    let mut set = open(&[&one, &one, &other, &copy, &empty, &empty_too]).unwrap();
    assert_eq!(drain(&mut set, 10).len(), 4);
    assert_eq!(names(&set), ["copy", "other", "empty", "empty too"], "files without packets repeat nothing");
    let facts = set.facts();
    let repeated: Vec<_> = facts.repeated.iter().map(|file| (file.path.as_str(), file.same_as.as_str())).collect();
    let [one, copy] = [&one, &copy].map(|path| path.to_str().unwrap());
    assert_eq!(repeated, [(one, copy), (one, copy)]);
    let (read, total) = set.progress();
    assert_eq!(read, total);
}

#[test]
fn a_rotated_set_may_mix_compressions_and_formats() {
    let folder = Folder::new("mixed");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&pcap(&[(1, b"first")])).unwrap();
    folder.write("d.pcap", &encoder.finish().unwrap());
    folder.write("c.pcap", &zstd::encode_all(&pcap(&[(2, b"second")])[..], 1).unwrap());
    let order = Order::Big;
    let pcapng = [section(order), interface(order, 1, 0, &[]), enhanced(order, 0, 3_000_000, b"third", 5)].concat();
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(&pcapng).unwrap();
    folder.write("b.pcap", &encoder.finish().unwrap());
    let options = lzma_rust2::XzOptions::with_preset(0);
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    encoder.write_all(&pcap(&[(4, b"fourth")])).unwrap();
    folder.write("a.pcap", &encoder.finish().unwrap());
    let mut set = open(&[&folder.0]).unwrap();
    let times: Vec<_> = drain(&mut set, 10).into_iter().map(|packet| packet.2).collect();
    assert_eq!(times, [1, 2, 3, 4]);
    let facts = set.facts();
    let words: Vec<_> = facts.files.iter().map(|file| file.compression.as_str()).collect();
    assert_eq!(words, ["gzip", "zstd", "lz4", "xz"]);
}

#[test]
fn a_link_type_is_read_as_the_user_says() {
    let order = Order::Little;
    let packet = crate::capture::forge::pcap_record(order, (1, 0), b"x", 1, 0);
    let pcap = [crate::capture::forge::pcap_header(order, 0xa1b2_c3d4, 0, 147), packet].concat();
    let pcapng = [
        section(order),
        interface(order, 147, 0, &[]),
        interface(order, 1, 0, &[]),
        enhanced(order, 0, 1, b"x", 1),
        enhanced(order, 1, 1, b"x", 1),
    ];
    let settings = Settings { link_types: [(147, 101), (1, 113)].into(), ..Settings::default() };
    for (file, expected) in [(pcap, vec![101]), (pcapng.concat(), vec![101, 113])] {
        let mut set = CaptureSet::from_reader("x", Cursor::new(file), &settings).unwrap();
        let mut batch = Batch::default();
        assert!(set.next_batch(&mut batch, 10).unwrap());
        assert_eq!(batch.packets.iter().map(|packet| packet.link.0).collect::<Vec<_>>(), expected);
        let interface = &set.facts().files[0].interfaces[0];
        assert_eq!((interface.link_type, interface.read_as), (147, Some(101)), "both are told");
    }
}

#[test]
fn frames_are_numbered_as_wireshark_does() {
    // tshark 4.0 gives a frame number to a journal entry, to custom blocks of both kinds and to sysdig's events, and none to
    // blocks of local use, secrets and names.
    let order = Order::Little;
    let packet = enhanced(order, 0, 1, b"x", 1);
    let mut bytes = [section(order), interface(order, 1, 0, &[]), packet.clone()].concat();
    for (kind, body) in [(9, &b"MESSAGE=hi\n"[..]), (0x0bad, &[0; 4]), (0x4000_0bad, &[0; 4]), (0x204, &[0; 32])] {
        bytes.extend(crate::capture::forge::block(order, kind, body));
    }
    bytes.extend(packet.clone());
    for (kind, body) in [(0x8000_0001, &b""[..]), (10, &[0; 8]), (4, &[0; 4])] {
        bytes.extend(crate::capture::forge::block(order, kind, body));
    }
    bytes.extend(packet);
    let mut set = CaptureSet::from_reader("x", Cursor::new(bytes), &Settings::default()).unwrap();
    let frames: Vec<_> = drain(&mut set, 10).into_iter().map(|(_, frame, ..)| frame).collect();
    assert_eq!((frames, set.facts().files[0].packets), (vec![1, 6, 7], 3));
}

#[test]
fn a_packet_without_a_time_takes_the_one_before() {
    let order = Order::Little;
    let mut bytes = [section(order), interface(order, 1, 0, &[])].concat();
    bytes.extend(enhanced(order, 0, 7_000_000, b"timed", 5));
    bytes.extend(crate::capture::forge::block(order, 3, &[&order.put32(4)[..], b"none"].concat()));
    let mut set = CaptureSet::from_reader("x", Cursor::new(bytes), &Settings::default()).unwrap();
    assert_eq!(drain(&mut set, 10), vec![(0, 1, 7, b"timed".to_vec()), (0, 2, 7, b"none".to_vec())]);
}

#[test]
fn a_batch_is_bounded_in_bytes() {
    let large = vec![7; 200_000];
    let packets: Vec<(u32, &[u8])> = (0..100).map(|second| (second, &large[..])).collect();
    let mut set = CaptureSet::from_reader("x", Cursor::new(pcap(&packets)), &Settings::default()).unwrap();
    let mut batch = Batch::default();
    let mut packets = 0;
    while set.next_batch(&mut batch, 1000).unwrap() {
        packets += batch.packets.len();
        assert!(batch.packets.iter().all(|packet| batch.bytes(packet) == large));
        assert!(batch.data.capacity() <= 1 << 20, "{}", batch.data.capacity());
    }
    assert_eq!(packets, 100);
}

#[test]
fn a_buffer_that_one_long_packet_needed_is_not_kept() {
    let long = vec![7; 10 << 20];
    let mut file = crate::capture::forge::pcap_header(Order::Little, 0xa1b2_c3d4, u32::MAX, 1);
    for bytes in [&long[..], b"short", b"short"] {
        file.extend(crate::capture::forge::pcap_record(Order::Little, (1, 0), bytes, bytes.len() as u32, 0));
    }
    let mut set = CaptureSet::from_reader("x", Cursor::new(file), &Settings::default()).unwrap();
    let mut batch = Batch::default();
    let mut capacities = Vec::new();
    while set.next_batch(&mut batch, 1).unwrap() {
        capacities.push(batch.data.capacity());
    }
    assert!(capacities.len() == 3 && capacities[0] >= long.len() && capacities[2] <= 1 << 20, "{capacities:?}");
}

#[test]
fn a_replay_goes_to_a_packet_without_reading_what_is_before() {
    let folder = Folder::new("skip");
    let long = vec![7; 60_000];
    let packets: Vec<(u32, &[u8])> = (0..300).map(|second| (second, &long[..])).collect();
    let later: Vec<(u32, &[u8])> = (0..300).map(|second| (1000 + second, &long[..])).collect();
    let paths = [folder.write("a", &pcap(&packets)), folder.write("b", &pcap(&later))];
    let mut set = open(&[&paths[0], &paths[1]]).unwrap();
    let whole = drain(&mut set, 100);
    for (file, frame) in [(0, 1), (0, 250), (1, 1), (1, 299)] {
        let mut again = set.replay(&Settings::default()).unwrap();
        again.skip_to(file, frame).unwrap();
        let mut batch = Batch::default();
        assert!(again.next_batch(&mut batch, 100).unwrap());
        let first = batch.packets[0];
        let skipped = usize::try_from(batch.first_ordinal).unwrap();
        assert_eq!((first.file, first.frame), (whole[skipped].0, whole[skipped].1));
        assert_eq!(first.ts_ns / 1_000_000_000, whole[skipped].2);
        let distance = u64::from(file) * 300 + frame - batch.first_ordinal;
        assert!((1..=80).contains(&distance), "frame {frame} of file {file} is {distance} packets on");
        again.skip_to(0, 1).unwrap();
        let ordinal = batch.first_ordinal + batch.packets.len() as u64;
        if again.next_batch(&mut batch, 100).unwrap() {
            assert_eq!(batch.first_ordinal, ordinal, "it never goes back");
        }
    }
}

/// Of a mapped file that shrinks under its reader, what is left whole is read, and the reason said. (Packets this long
/// have it mapped from the second batch on.)
#[test]
fn a_file_truncated_while_it_is_read_ends_with_its_reason() {
    let folder = Folder::new("shrinks");
    let long = vec![7; 60_000];
    let packets: Vec<(u32, &[u8])> = (0..100).map(|second| (second, &long[..])).collect();
    let path = folder.write("a", &pcap(&packets));
    let mut set = open(&[&path]).unwrap();
    let mut batch = Batch::default();
    assert!(set.next_batch(&mut batch, 2).unwrap());
    let mut read = batch.packets.len();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1_000_000).unwrap();
    while set.next_batch(&mut batch, 100).unwrap() {
        read += batch.packets.len();
    }
    let whole = (1_000_000 - 24) / (16 + long.len());
    assert_eq!(read, whole);
    let problem = set.facts().files[0].problem.clone().unwrap();
    #[cfg(target_os = "linux")]
    assert_eq!(problem, "cut at offset 1000000 while it was read");
    assert_eq!(
        set.facts().files[0].last_ns,
        Some((whole as i64 - 1) * 1_000_000_000),
        "no zeros were taken for packets"
    );
    assert_eq!(set.facts().clock_steps_back, 0);
    set.check().unwrap();
}
