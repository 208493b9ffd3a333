//! How far apart copies may be, what tells them, and among how many packets.

use super::*;
use crate::decode::FlowKey;

/// A packet with this number in its sender's sequence and IP header, at `us`.
fn packet(number: u16, us: i64) -> Header {
    Header { seq: u32::from(number), ip_id: Some(number), ts_ns: us * 1000, ttl: 64, ..Header::default() }
}

/// Which of these are copies, as they come.
fn copies(packets: &[Header]) -> Vec<usize> {
    let mut taps = Taps::new();
    let mark = |(at, packet): (usize, &Header)| {
        let mut header = Header { ordinal: at as u64, ..*packet };
        let mut prints = [0; TOGETHER];
        taps.print(&[header], &mut prints);
        taps.look(&mut header, prints[0]);
        (header.captured == Captured::Again).then_some(at)
    };
    packets.iter().enumerate().filter_map(mark).collect()
}

/// How far apart a packet and a copy of it, with something else about it, may be: exactly that, and no microsecond more.
fn reaches(most_us: i64, first: Header, change: impl Fn(&mut Header)) {
    for (us, is_copy) in [(most_us, true), (-most_us, true), (most_us + 1, false), (-most_us - 1, false)] {
        let mut second = Header { ts_ns: first.ts_ns + us * 1000, ..first };
        change(&mut second);
        assert_eq!(copies(&[first, second]), if is_copy { vec![1] } else { vec![] }, "{us} us");
    }
}

#[test]
fn how_far_apart_copies_may_be() {
    let with_id = packet(7, 0);
    reaches(500_000, with_id, |copy| copy.ttl = 60);
    reaches(500_000, with_id, |copy| copy.interface = 1);
    reaches(500_000, with_id, |copy| copy.file = 1);
    reaches(20_000, with_id, |_| ());
    for ip_id in [Some(0), None] {
        let without = Header { ip_id, ..with_id };
        reaches(100_000, without, |copy| copy.interface = 1);
        reaches(100_000, without, |copy| copy.file = 1);
        reaches(1_000, without, |copy| copy.ttl = 60);
        assert_eq!(copies(&[without, without]), [0_usize; 0], "nothing tells");
        let little = |us: i64| Header { payload_len: 1, ts_ns: us * 1000, ..without };
        let told = [packet(9, 0), Header { ttl: 60, ..packet(9, 0) }];
        assert_eq!(copies(&[little(0), little(5)]), [0_usize; 0], "a retransmission on one host");
        assert_eq!(copies(&[told[0], told[1], little(0), little(20)]), [1, 3]);
        assert_eq!(copies(&[told[0], told[1], little(0), little(21)]), [1]);
        let syn = Header { flags: Flags::SYN, ..without };
        reaches(20_000, syn, |_| ());
        reaches(500_000, syn, |copy| copy.ttl = 60);
        let syn_ack = Header { flags: Flags(Flags::SYN.0 | Flags::ACK.0), ..without };
        assert_eq!(copies(&[syn_ack, syn_ack]), [0_usize; 0], "the timer's, and the answer to another SYN");
        reaches(500_000, syn_ack, |copy| copy.interface = 1);
        let fin = Header { flags: Flags(Flags::FIN.0 | Flags::ACK.0), ..without };
        assert_eq!(copies(&[fin, fin]), [0_usize; 0], "sent thrice at once");
    }
}

#[test]
fn a_syn_met_twice_tells_how_far_apart_its_flow_is_captured() {
    let ack = |us: i64| Header { ip_id: None, seq: 1, ts_ns: us * 1000, ttl: 64, ..Header::default() };
    let syn = |us: i64| Header { flags: Flags::SYN, seq: 0, ..ack(us) };
    assert_eq!(copies(&[syn(0), syn(300), ack(1_000), ack(1_599)]), [1, 3]);
    assert_eq!(copies(&[syn(0), syn(300), ack(1_000), ack(1_600)]), [1]);
    assert_eq!(copies(&[syn(0), syn(0), ack(1_000), ack(1_000), ack(1_001)]), [1, 3]);
    assert_eq!(copies(&[syn(0), ack(1_000), ack(1_599)]), [0_usize; 0]);
    let other = Header { key: FlowKey::default(), from_low: true, ..ack(1_599) };
    assert_eq!(copies(&[syn(0), syn(300), ack(1_000), other]), [1], "the other side's");
    assert_eq!(copies(&[syn(0), syn(19_000), ack(1_000), ack(20_999)]), [1, 3]);
    assert_eq!(copies(&[syn(0), syn(19_000), ack(1_000), ack(21_000)]), [1]);
}

#[test]
fn what_is_sent_again_is_kept_whichever_tap_shows_it_first() {
    let sent = |file: u32, number: u16, len: u32, us: i64| {
        let header = packet(number, us);
        Header { seq: 0, payload_len: len, file, ttl: 64 - file as u8, flags: Flags::ACK, ..header }
    };
    let opening = |file: u32| Header { flags: Flags::SYN, seq: u32::MAX, ..sent(file, 1, 0, 0) };
    let large = sent(0, 2, 2896, 10);
    let again = |file: u32| sent(file, 7, 1448, 90);
    assert_eq!(copies(&[opening(0), opening(1), large, again(0), again(1)]), [1, 4]);
    assert_eq!(copies(&[opening(0), opening(1), large, again(1), again(0)]), [1, 3], "the other one's is the copy");
}

#[test]
fn what_was_sent_anew_is_no_copy() {
    let sent = packet(7, 0);
    let anew: [fn(&mut Header); 5] = [
        |again| again.ip_id = Some(8),
        |again| again.options_print = 1,
        |again| again.ack = 1,
        |again| again.window = 1,
        |again| again.from_low = true,
    ];
    for change in anew {
        let mut again = Header { ttl: 60, ..sent };
        change(&mut again);
        assert_eq!(copies(&[sent, again]), [0_usize; 0]);
    }
}

#[test]
fn among_as_many_packets_as_are_remembered() {
    let mut packets: Vec<Header> = (1..u16::MAX).map(|number| packet(number, i64::from(number))).collect();
    let copy = |number: u16| Header { ttl: 60, ..packet(number, 100_000) };
    packets.insert(1, copy(1)); // from here on all are remembered
    packets.extend([copy(3), copy(u16::MAX - 1)]);
    assert_eq!(copies(&packets), [1, packets.len() - 2, packets.len() - 1]);
}

/// A packet with this number in its sequence, each a microsecond after the other.
fn numbered(number: u32) -> Header {
    Header { seq: number, ts_ns: i64::from(number) * 1000, ..packet(7, 0) }
}

/// The numbers, up to this one, whose packets are chosen to be remembered for longer, or those that are not.
fn chosen(below: u32, are_chosen: bool) -> Vec<u32> {
    (0..below).filter(|&number| is_chosen(&numbered(number)) == are_chosen).collect()
}

#[test]
fn a_first_copy_is_found_wherever_it_comes() {
    let total = 200_000;
    let routed = |number: u32| Header { ttl: 60, ..numbered(number) };
    let newest = total - RECENT as u32;
    let unchosen = *chosen(newest, false).last().expect("most are not");
    let some = chosen(newest, true);
    let oldest = some[some.len() - (REMEMBERED - RECENT) / CHOSEN as usize / 2];
    for (number, is_found) in [(total - 1, true), (newest, true), (unchosen, false), (oldest, true), (some[0], false)] {
        let mut packets: Vec<Header> = (0..total).map(numbered).collect();
        packets.push(routed(number));
        assert_eq!(copies(&packets).len(), usize::from(is_found), "{number}");
    }
}

#[test]
fn all_copies_of_a_mirror_that_begins_late_are_found() {
    let (total, from) = (120_000, 70_000);
    for (behind, most_missed) in [(1, 0), (RECENT as u32 - 1, 0), (RECENT as u32 + 4000, 4200), (45_000, 29_000)] {
        let mut packets = Vec::new();
        for number in 0..total {
            packets.push(numbered(number));
            if number >= from + behind {
                packets.push(Header { ttl: 60, ts_ns: numbered(number).ts_ns, ..numbered(number - behind) });
            }
        }
        let missed = total - from - behind - copies(&packets).len() as u32;
        assert!(missed <= most_missed, "{behind}: {missed}");
    }
}

#[test]
fn points_in_turns_are_remembered_whole() {
    let (total, behind) = (50_000, 30_000);
    let mut packets = Vec::new();
    for number in 0..total {
        packets.push(numbered(number));
        let late = number.checked_sub(behind).map(numbered);
        // Before its copies come the other point shows something of its own.
        let other = late.unwrap_or_else(|| Header { seq: u32::MAX - number, ..numbered(number) });
        packets.push(Header { interface: 1, ts_ns: numbered(number).ts_ns, ..other });
    }
    let copied = (total - behind) as usize;
    assert_eq!(copies(&packets).len(), copied, "each comes after 60,000 packets at most");
}

#[test]
fn one_of_sixteen_is_chosen() {
    for step in [1, 2, 1448, 1 << 16] {
        let number = (0..100_000_u32).filter(|at| is_chosen(&numbered(at.wrapping_mul(step)))).count();
        assert!((5_000..7_500).contains(&number), "{step}: {number}");
    }
}
