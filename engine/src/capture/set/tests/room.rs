//! What all files keep together.

use super::*;
use crate::capture::forge::{block, options};
use crate::capture::stream::{Came, Source, StreamSource};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

const INTERFACES: u32 = 12;
const FILES: u32 = 1200;

/// A file as dumpcap writes it: its counts of drops go on from the files before.
fn counted(number: u32) -> Vec<u8> {
    let order = Order::Little;
    let mut out = section(order);
    for name in (0..INTERFACES).map(|place| format!("if{place}")) {
        out.extend(interface(order, 1, 0, &[(2, name.as_bytes())]));
    }
    out.extend(enhanced(order, INTERFACES - 1, u64::from(number) * 1_000_000, b"packet", 6));
    let since = [order.put32(0), order.put32(7)].concat();
    for place in 0..INTERFACES {
        let list = options(order, &[(2, &since), (7, &order.put64(u64::from(number)))]);
        out.extend(block(order, 5, &[&order.put32(place)[..], &[0; 8], &list].concat()));
    }
    out
}

/// The latest count of each interface among those listed, and what those tell that are not, together.
fn drops(facts: &SetFacts) -> u64 {
    let mut latest = BTreeMap::new();
    for one in facts.files.iter().flat_map(|file| &file.interfaces) {
        let most = latest.entry(&one.name).or_insert(0);
        *most = one.drops().max(*most);
    }
    latest.values().sum::<u64>() + facts.unlisted.dropped
}

/// Of files that are read one after the other those that are no longer listed give back what they had.
#[test]
fn what_a_removed_file_kept_is_there_for_the_next() {
    let folder = Folder::new("room");
    for number in 0..FILES {
        let path = folder.write(&format!("{number:04}"), &counted(number));
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(number.into());
        fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    }
    let mut source = StreamSource::open(std::slice::from_ref(&folder.0), &Settings::default(), true, None).unwrap();
    let (mut batch, mut packets) = (Batch::default(), 0);
    for _ in 0..20 * FILES {
        if source.next(&mut batch, Duration::from_millis(1)).unwrap() == Came::Packets {
            packets += batch.packets.len();
        } else if packets == FILES as usize {
            break;
        }
    }
    let facts = source.facts();
    let listed: Vec<usize> = facts.files.iter().map(|file| file.interfaces.len()).collect();
    assert_eq!((packets, listed.len(), facts.live.unlisted_files), (1200, 1000, 200));
    assert_eq!((listed[0], listed[750], listed[999]), (12, 1, 12), "the 950th found no room, the last one does");
    assert!(listed.iter().sum::<usize>() <= 11_000);
    assert_eq!((drops(&facts), facts.live.unlisted_dropped), (12 * 1199, 0));
}
