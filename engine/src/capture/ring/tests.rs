//! The ring on real interfaces, in network namespaces of the tests' own. They need root and `ip`; where that is not to be
//! had, each says so and is passed over.

use super::namespaces::{Pair, run, within};
use super::*;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;

const PORT: &str = "10.99.0.2:9999";

fn options(pair: &Pair, side: usize, interface: &str) -> RingOptions {
    let netns = Some(pair.names[side].clone());
    RingOptions { interface: interface.to_owned(), netns, ring_bytes: 8 << 20, ..RingOptions::default() }
}

fn open(pair: &Pair, side: usize, interface: &str) -> Ring {
    Ring::open(&options(pair, side, interface)).unwrap()
}

/// Sends datagrams of 8 bytes, each with its number, to a socket that is there, so that none is refused.
fn send(pair: &Pair, from: usize, to: &str, count: u64) {
    let listener = usize::from(to == PORT);
    let there = within(&pair.names[listener], || UdpSocket::bind(to).unwrap());
    let sender = within(&pair.names[from], || UdpSocket::bind("0.0.0.0:0").unwrap());
    for number in 0..count {
        sender.send_to(&number.to_be_bytes(), to).unwrap();
    }
    // A busy kernel delivers later than it sends.
    there.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    (0..count).take_while(|_| there.recv(&mut [0; 8]).is_ok()).for_each(drop);
}

/// Everything that came until now: packets with their bytes. The answers of ARP are left out.
fn drain(ring: &mut Ring) -> Vec<(Packet, Vec<u8>)> {
    ring.stop().unwrap();
    let mut all = Vec::new();
    let mut batch = Batch::default();
    while ring.next_batch(&mut batch, Duration::ZERO).unwrap() > 0 {
        all.extend(batch.packets.iter().map(|packet| (*packet, batch.bytes(packet).to_vec())));
    }
    all
}

fn udp(packets: &[(Packet, Vec<u8>)]) -> Vec<u64> {
    let ours = packets
        .iter()
        .filter(|(_, bytes)| bytes.len() >= 8 && bytes.windows(2).any(|two| two == 9999u16.to_be_bytes()));
    ours.map(|(_, bytes)| u64::from_be_bytes(*bytes.last_chunk().unwrap())).collect()
}

/// Programs as libpcap compiles them, through tcpdump.
fn compiled(link: &str, number: u32, expression: &str) -> BTreeMap<u32, Vec<Instruction>> {
    let done = Command::new("tcpdump").args(["-y", link, "-ddd", expression]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).unwrap();
    let instruction = |line: &str| {
        let mut numbers = line.split_whitespace().map(|word| word.parse::<u32>().unwrap());
        let mut next = || numbers.next().unwrap();
        (next() as u16, next() as u8, next() as u8, next())
    };
    BTreeMap::from([(number, text.lines().skip(1).map(instruction).collect())])
}

#[test]
fn a_packet_over_loopback_is_given_once() {
    let Some(pair) = Pair::new() else { return };
    for interface in ["lo", "any"] {
        let mut ring = open(&pair, 0, interface);
        send(&pair, 0, "127.0.0.1:9999", 10);
        let packets = drain(&mut ring);
        assert_eq!(udp(&packets), (0..10).collect::<Vec<_>>(), "{interface}");
        let counters = ring.counters().unwrap();
        assert_eq!(
            (counters.packets, counters.kernel_packets, counters.kernel_drops),
            (10, Some(10), Some(0)),
            "{interface}"
        );
    }
}

#[test]
fn packets_carry_their_order_time_and_length() {
    let Some(pair) = Pair::new() else { return };
    let mut ring = open(&pair, 1, "v0");
    let before = now_ns();
    send(&pair, 0, PORT, 100);
    let packets = drain(&mut ring);
    assert_eq!(udp(&packets), (0..100).collect::<Vec<_>>());
    assert!(packets.iter().map(|(packet, _)| packet.frame).eq(1..=packets.len() as u64));
    assert!(
        packets.iter().all(|(packet, bytes)| packet.original_len as usize == bytes.len() && packet.link == LinkType(1))
    );
    assert!(packets.iter().all(|(packet, _)| (before..now_ns()).contains(&packet.ts_ns)));
    assert_eq!(ring.interfaces()[0].name.as_deref(), Some("v0"));
}

#[test]
fn any_tells_its_interfaces_apart() {
    let Some(pair) = Pair::new() else { return };
    let mut ring = open(&pair, 1, "any");
    send(&pair, 0, PORT, 3);
    send(&pair, 1, "127.0.0.1:9999", 0);
    within(&pair.names[1], || {
        let socket = UdpSocket::bind("127.0.0.1:9999").unwrap();
        socket.send_to(&7u64.to_be_bytes(), "127.0.0.1:9999").unwrap();
    });
    let packets = drain(&mut ring);
    assert_eq!(udp(&packets), [0, 1, 2, 7]);
    let last = packets.last().unwrap().0;
    let names: Vec<_> = ring.interfaces().iter().map(|facts| facts.name.clone().unwrap()).collect();
    assert_eq!((names[0].as_str(), names[last.interface as usize].as_str()), ("any", "lo"));
    assert!(packets.iter().all(|(packet, _)| packet.link == LINUX_SLL2 && packet.interface > 0));
    assert!(names.contains(&"v0".to_owned()));
}

#[test]
fn a_tag_that_the_kernel_took_out_is_there_again() {
    let Some(pair) = Pair::new() else { return };
    let (mut ring, mut any) = (open(&pair, 1, "v0"), open(&pair, 1, "any"));
    let filter = compiled("EN10MB", 1, "vlan 5 and udp port 9999");
    let mut here = Ring::open(&RingOptions { filter, filter_here: true, ..options(&pair, 1, "v0") }).unwrap();
    let mut sender = within(&pair.names[0], || {
        let socket = PacketSocket::open(false).unwrap();
        socket.bind(socket.index_of("v0").unwrap()).unwrap();
        socket.into_file()
    });
    // The receiving kernel takes the tag out before any socket sees the frame.
    let frame = b"\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x01\x81\0\x20\x05\x08\0\x45\0\0\x24\0\0\0\0\x40\x11\0\0\
        \x0a\x62\0\x01\x0a\x62\0\x02\x27\x0f\x27\x0f\0\x10\0\0\0\0\0\0\0\0\0\x01";
    sender.write_all(frame).unwrap();
    let tagged = |packets: Vec<(Packet, Vec<u8>)>, at: usize| {
        let with = |bytes: &[u8]| bytes.get(at..at + 2) == Some(&[0x81, 0]);
        packets.into_iter().filter(|(_, bytes)| with(bytes)).collect::<Vec<_>>()
    };
    let seen = tagged(drain(&mut ring), 12);
    assert_eq!(seen.len(), 1);
    assert_eq!((&seen[0].1[..], seen[0].0.original_len as usize), (&frame[..], frame.len()), "as it was on the wire");
    let (given, counters) = (drain(&mut here), here.counters().unwrap());
    assert!(given.iter().all(|(_, bytes)| bytes[..] == frame[..]) && given.len() == 1, "{given:?}");
    assert_eq!(Some(counters.filtered + counters.packets), counters.kernel_packets);
    let seen = tagged(drain(&mut any), 0);
    assert_eq!(seen.len(), 1);
    assert_eq!((&seen[0].1[20..], seen[0].0.original_len as usize), (&frame[14..], frame.len() + 6));
}

#[test]
fn the_filter_is_run_by_the_kernel_on_links_and_cooked() {
    let Some(pair) = Pair::new() else { return };
    for (interface, link, number) in [("v0", "EN10MB", 1), ("any", "LINUX_SLL2", 276)] {
        let filter = compiled(link, number, "udp dst port 9999 and ip[ip[2:2] - 1] == 3");
        let mut ring = Ring::open(&RingOptions { filter, ..options(&pair, 1, interface) }).unwrap();
        send(&pair, 0, PORT, 6);
        assert_eq!(udp(&drain(&mut ring)), [3], "{interface}");
        let counters = ring.counters().unwrap();
        assert_eq!((counters.kernel_packets, counters.filtered), (Some(1), 0), "the rest never came to the ring");
    }
}

#[test]
fn a_filter_that_the_kernel_cannot_run_is_run_here() {
    let Some(pair) = Pair::new() else { return };
    // The length of the sender's address is in the cooked header and nowhere else.
    let filter = BTreeMap::from([(276, vec![(0x30, 0, 0, 11), (0x15, 0, 1, 6), (6, 0, 0, 9), (6, 0, 0, 0)])]);
    let mut ring = Ring::open(&RingOptions { filter, ..options(&pair, 1, "any") }).unwrap();
    send(&pair, 0, PORT, 6);
    assert_eq!(udp(&drain(&mut ring)).len(), 6);
    let none = BTreeMap::from([(113, vec![(6, 0, 0, 9)])]);
    let refused = Ring::open(&RingOptions { filter: none, ..options(&pair, 1, "any") }).err().unwrap();
    assert!(refused.to_string().contains("no program for its link type, 276"), "{refused}");
}

#[test]
fn a_snaplen_cuts_and_the_length_stays() {
    let Some(pair) = Pair::new() else { return };
    for interface in ["v0", "any"] {
        let mut ring = Ring::open(&RingOptions { snaplen: 40, ..options(&pair, 1, interface) }).unwrap();
        send(&pair, 0, PORT, 2);
        let packets = drain(&mut ring);
        let cut: Vec<_> = packets.iter().filter(|(packet, _)| packet.original_len > 40).collect();
        assert!(cut.len() >= 2 && cut.iter().all(|(packet, bytes)| bytes.len() == 40 && packet.captured_len == 40));
    }
}

#[test]
fn each_packet_is_given_or_counted_as_dropped() {
    let Some(pair) = Pair::new() else { return };
    let mut ring = Ring::open(&RingOptions { ring_bytes: 0, ..options(&pair, 1, "lo") }).unwrap();
    let sent = 20_000;
    within(&pair.names[1], || {
        let socket = UdpSocket::bind("127.0.0.1:9999").unwrap();
        for number in 0..sent {
            socket.send_to(&u64::to_be_bytes(number), "127.0.0.1:9999").unwrap();
        }
    });
    let given = drain(&mut ring).len() as u64;
    let counters = ring.counters().unwrap();
    let dropped = counters.kernel_drops.unwrap();
    assert_eq!(given + dropped, sent);
    assert_eq!((counters.packets, counters.kernel_packets), (given, Some(sent)));
    assert!(dropped > 0 && counters.ring_freezes > 0 && counters.damaged == 0, "{counters:?}");
    assert_eq!(ring.counters().unwrap(), counters, "counted once");
}

#[test]
fn a_packet_larger_than_a_frame_on_the_wire_is_whole() {
    let Some(pair) = Pair::new() else { return };
    let mut ring = open(&pair, 1, "v0");
    let listener = within(&pair.names[1], || TcpListener::bind(PORT).unwrap());
    let mut sender = within(&pair.names[0], || TcpStream::connect(PORT).unwrap());
    let mut receiver = listener.accept().unwrap().0;
    let sending = std::thread::spawn(move || sender.write_all(&vec![b'x'; 1 << 20]).unwrap());
    receiver.read_exact(&mut vec![0; 1 << 20]).unwrap();
    sending.join().unwrap();
    let packets = drain(&mut ring);
    let longest = packets.iter().map(|(packet, _)| packet.captured_len).max().unwrap();
    assert!(longest > 16_384, "the kernel hands segments over unsplit (GSO): {longest}");
    assert!(packets.iter().all(|(packet, _)| packet.captured_len == packet.original_len));
}

#[test]
fn an_interface_that_goes_down_and_up_goes_on() {
    let Some(pair) = Pair::new() else { return };
    let mut ring = open(&pair, 1, "v0");
    let mut batch = Batch::default();
    send(&pair, 0, PORT, 1);
    run(&format!("ip -n {} link set v0 down", pair.names[1]));
    let mut seen = Vec::new();
    for _ in 0..3 {
        ring.next_batch(&mut batch, Duration::from_millis(100)).unwrap();
        seen.extend(batch.packets.iter().map(|packet| (*packet, batch.bytes(packet).to_vec())));
    }
    run(&format!("ip -n {} link set v0 up", pair.names[1]));
    send(&pair, 0, PORT, 2);
    seen.extend(drain(&mut ring));
    assert_eq!(udp(&seen), [0, 0, 1]);
    assert_eq!(ring.counters().unwrap().interface_down, 1);
}

#[test]
fn an_interface_that_is_removed_ends_the_capture_with_its_reason() {
    let Some(pair) = Pair::new() else { return };
    let mut ring = open(&pair, 1, "v0");
    send(&pair, 0, PORT, 4);
    run(&format!("ip -n {} link del v0", pair.names[1]));
    let (mut batch, mut seen) = (Batch::default(), Vec::new());
    let error = loop {
        match ring.next_batch(&mut batch, Duration::from_millis(50)) {
            Ok(_) => seen.extend(batch.packets.iter().map(|packet| (*packet, batch.bytes(packet).to_vec()))),
            Err(error) => break error,
        }
    };
    assert_eq!(udp(&seen), [0, 1, 2, 3], "what came before is given first");
    assert!(error.to_string().starts_with("v0: the interface is gone"), "{error}");
}

#[test]
fn a_group_deals_each_packet_to_one() {
    let Some(pair) = Pair::new() else { return };
    let fanout = Some(Fanout { group: 77, mode: FanoutMode::RoundRobin });
    let grouped = RingOptions { fanout, ..options(&pair, 1, "v0") };
    let mut rings = [Ring::open(&grouped).unwrap(), Ring::open(&grouped).unwrap()];
    send(&pair, 0, PORT, 20);
    let mut dealt = rings.each_mut().map(|ring| udp(&drain(ring)));
    assert!(dealt.iter().all(|numbers| numbers.len() >= 8), "{dealt:?}");
    let mut all = std::mem::take(&mut dealt).concat();
    all.sort_unstable();
    assert_eq!(all, (0..20).collect::<Vec<_>>());
    let other = RingOptions { fanout: Some(Fanout { group: 77, mode: FanoutMode::Hash }), ..options(&pair, 1, "v0") };
    assert!(Ring::open(&other).err().unwrap().to_string().contains("the fanout group exists"));
}

#[test]
fn what_cannot_be_opened_says_what_to_do() {
    let Some(pair) = Pair::new() else { return };
    let error = Ring::open(&options(&pair, 0, "nosuch0")).err().unwrap().to_string();
    assert_eq!(error, "nosuch0: no such interface; `pcapwatch live --list` shows those there are");
    let error = Ring::open(&options(&pair, 0, "a-name-that-is-too-long-for-one")).err().unwrap().to_string();
    assert!(error.contains("no such interface"), "{error}");
    let elsewhere = RingOptions { netns: Some("no-such-namespace".to_owned()), ..RingOptions::default() };
    let error = Ring::open(&elsewhere).err().unwrap().to_string();
    assert!(error.contains("no such network namespace; `ip netns` lists"), "{error}");
    let unprivileged = std::thread::scope(|scope| {
        let without = scope.spawn(|| {
            caps::clear(None, caps::CapSet::Effective).unwrap();
            Ring::open(&RingOptions { interface: "lo".to_owned(), ..RingOptions::default() })
        });
        without.join().unwrap().err().unwrap().to_string()
    });
    assert!(
        unprivileged.starts_with("lo: no right to capture: run it with sudo, or once `sudo setcap cap_net_raw+ep /")
    );
    assert!(!unprivileged.contains('\n'));
}
