//! Sets whose files are mapped.

use super::*;

/// A mapped file reads as the same bytes do from a stream: every batch size, records across the ends of views, the last
/// one cut; and all of its bytes are counted once.
#[test]
fn a_mapped_file_reads_as_a_stream_does() {
    let folder = Folder::new("mapped");
    let packets: Vec<(u32, Vec<u8>)> =
        (0..3000u32).map(|n| (n, vec![n as u8; 100 + (n as usize * 7919) % 16_000])).collect();
    let packets: Vec<(u32, &[u8])> = packets.iter().map(|(second, bytes)| (*second, &bytes[..])).collect();
    let mut bytes = pcap(&packets);
    bytes.truncate(bytes.len() - 5);
    let path = folder.write("a", &bytes);
    let mut stream = CaptureSet::from_reader("x", Cursor::new(bytes), &Settings::default()).unwrap();
    let expected = drain(&mut stream, 100);
    let problem = stream.facts().files[0].problem.clone();
    assert!(problem.is_some());
    for most in [1, 7, 4096] {
        let mut set = open(&[&path]).unwrap();
        assert!(drain(&mut set, most) == expected, "{most} at a time");
        assert_eq!(set.facts().files[0].problem, problem);
        let (read, total) = set.progress();
        assert_eq!(read, total);
        let mut batch = Batch::default();
        let mut again = open(&[&path]).unwrap();
        let mut is_mapped = false;
        while again.next_batch(&mut batch, most).unwrap() {
            is_mapped |= batch.view.is_some();
        }
        assert_eq!(is_mapped, cfg!(target_os = "linux"));
    }
}

/// A file that is cut within its last page, after its packets were given out and before they were looked at: nobody meets
/// a page that is gone, and yet there are zeros in the last packet.
#[cfg(target_os = "linux")]
#[test]
fn a_packet_that_a_cut_filled_with_zeros_is_no_packet() {
    let folder = Folder::new("zeros");
    let long = vec![7; 60_000];
    let packets: Vec<(u32, &[u8])> = (0..100).map(|second| (second, &long[..])).collect();
    let bytes = pcap(&packets);
    for kept in [0, 1, 900] {
        let path = folder.write("a", &bytes);
        let mut set = open(&[&path]).unwrap();
        let mut batch = Batch::default();
        let mut read = 0;
        while set.next_batch(&mut batch, 50).unwrap() {
            read += batch.packets.len();
            if read == packets.len() {
                let length = (bytes.len() - 900 + kept) as u64;
                fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
                let last = batch.bytes(batch.packets.last().unwrap());
                assert_eq!(last.contains(&0), kept < 900);
            }
        }
        drop(batch);
        assert_eq!(set.check().is_err(), kept < 900, "{kept}");
    }
}

/// Bytes that go while a packet that was given out is used are an error of the whole reading: zeros stood in for them.
#[cfg(target_os = "linux")]
#[test]
fn a_packet_whose_bytes_went_is_no_packet() {
    let folder = Folder::new("went");
    let long = vec![7; 60_000];
    let packets: Vec<(u32, &[u8])> = (0..100).map(|second| (second, &long[..])).collect();
    let path = folder.write("a", &pcap(&packets));
    let mut set = open(&[&path]).unwrap();
    let mut batch = Batch::default();
    for _ in 0..2 {
        assert!(set.next_batch(&mut batch, 50).unwrap());
    }
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert!(batch.packets.iter().all(|packet| batch.bytes(packet).iter().all(|&byte| byte == 0)));
    let error = set.check().unwrap_err().to_string();
    assert!(error.contains("was cut, or could not be read, while it was analysed"), "{error}");
}
