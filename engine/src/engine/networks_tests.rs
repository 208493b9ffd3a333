use super::*;
use crate::record::{Address, Tunnel};
use proptest::prelude::*;

const CLIENT: (Address, u16) = (Address::v4([10, 0, 0, 1]), 40_000);
const SERVER: (Address, u16) = (Address::v4([10, 0, 0, 2]), 80);
const SYN: u16 = Flags::SYN.0;
const ACK: u16 = Flags::ACK.0;
const FIN: u16 = Flags::FIN.0 | ACK;
const RST: u16 = Flags::RST.0;

/// One network's connection: the ways to the server and back, and what both send next.
#[derive(Clone, Copy)]
struct Talk {
    ways: [u32; 2],
    next: [u32; 2],
}

impl Talk {
    fn new(ways: [u32; 2], isns: [u32; 2]) -> Self {
        Talk { ways, next: isns }
    }

    /// What one side sends; the server is side 1.
    fn send(&mut self, side: usize, flags: u16, payload_len: u32) -> Header {
        let ends = [(CLIENT, SERVER), (SERVER, CLIENT)][side];
        let (key, from_low) = FlowKey::directed(ends.0, ends.1, Tunnel(0));
        let ack = if flags & ACK == 0 { 0 } else { self.next[1 - side] };
        let (way, flags) = (self.ways[side], Flags(flags));
        let header = Header { key, from_low, way, flags, payload_len, seq: self.next[side], ack, ..Header::default() };
        self.next[side] = end_of(&header);
        header
    }

    fn handshake(&mut self) -> [Header; 3] {
        [self.send(0, SYN, 0), self.send(1, SYN | ACK, 0), self.send(0, ACK, 0)]
    }

    /// A request, a response, and the close by this side.
    fn rest(&mut self, first: usize) -> [Header; 6] {
        let data = [self.send(0, ACK, 30), self.send(1, ACK, 400)];
        let [fin, ack] = [self.send(first, FIN, 0), self.send(1 - first, ACK, 0)];
        [data[0], data[1], fin, ack, self.send(1 - first, FIN, 0), self.send(first, ACK, 0)]
    }
}

/// The number of each packet's network, in the order in which keys come.
fn numbers(packets: &[Header]) -> Vec<u32> {
    let mut networks = Networks::new();
    numbers_of(&mut networks, packets)
}

fn numbers_of(networks: &mut Networks, packets: &[Header]) -> Vec<u32> {
    let number = |(at, packet): (usize, &Header)| {
        let mut header = Header { ordinal: at as u64, ..*packet };
        if networks.is_awake || header.way != 0 {
            networks.look(&mut header);
            assert_eq!(
                usize::from(header.partition),
                if header.key == packet.key { 0 } else { header.key.partition() }
            );
        }
        (header.key.tunnel().0 >> 32) as u32
    };
    packets.iter().enumerate().map(number).collect()
}

/// Packet by packet in turns.
fn in_turns(one: &[Header], other: &[Header]) -> Vec<Header> {
    one.iter().zip(other).flat_map(|(a, b)| [*a, *b]).collect()
}

fn whole(mut talk: Talk) -> Vec<Header> {
    let opening = talk.handshake();
    opening.into_iter().chain(talk.rest(0)).collect()
}

const ONE: [u32; 2] = [1_000, 500_000_000];
const OTHER: [u32; 2] = [2_000_000_000, 3_000_000_000];

#[test]
fn one_connection_whatever_its_directions_carry() {
    for ways in [[5, 6], [5, 5], [5, 0], [0, 6]] {
        assert_eq!(numbers(&whole(Talk::new(ways, ONE))), [0; 9], "{ways:?}");
        let from_the_middle = &whole(Talk::new(ways, ONE))[3..];
        assert_eq!(numbers(from_the_middle), [0; 6], "{ways:?}");
        let one_sided: Vec<Header> = whole(Talk::new(ways, ONE)).into_iter().filter(|p| p.way == ways[0]).collect();
        assert!(numbers(&one_sided).iter().all(|&number| number == 0));
    }
}

#[test]
fn two_networks_at_one_time_are_two() {
    for (ways, other) in [([5, 6], [7, 8]), ([5, 0], [7, 0]), ([5, 6], [7, 6]), ([5, 6], [0, 0])] {
        let (a, b) = (whole(Talk::new(ways, ONE)), whole(Talk::new(other, OTHER)));
        assert_eq!(numbers(&in_turns(&a, &b)), [0, 1].repeat(9), "{ways:?} {other:?}");
        assert_eq!(numbers(&in_turns(&a[3..], &b[3..])), [0, 1].repeat(6), "{ways:?} {other:?} from the middle on");
    }
    let (a, b) = (whole(Talk::new([0, 5], ONE)), whole(Talk::new([0, 7], OTHER)));
    let packets = [a[..2].to_vec(), in_turns(&a[2..], &b[..7]), b[7..].to_vec()].concat();
    assert_eq!(numbers(&packets), [vec![0; 2], [0, 1].repeat(7), vec![1; 2]].concat(), "the openings have no way");
}

#[test]
fn a_network_without_ways_beside_one_that_has_them() {
    let (bare, labelled) = (whole(Talk::new([0, 0], ONE)), whole(Talk::new([5, 6], OTHER)));
    assert_eq!(numbers(&in_turns(&labelled, &bare)), [0, 1].repeat(9));
    let mut woken = vec![whole(Talk::new([9, 9], [1, 2]))[0]];
    woken[0].key = woken[0].key.within(Tunnel::vlans(3, 0));
    woken.extend(in_turns(&bare, &labelled));
    assert_eq!(numbers(&woken)[1..], [0, 1].repeat(9));
    assert_eq!(numbers(&in_turns(&bare, &labelled)), [0, 1].repeat(9));
    let another = whole(Talk::new([0, 0], OTHER));
    assert_eq!(numbers(&in_turns(&bare, &another)), [0; 18], "without ways there is one network");
}

#[test]
fn a_handover_is_the_same_connection() {
    let mut talk = Talk::new([5, 6], ONE);
    let mut packets = talk.handshake().to_vec();
    for ways in [[5, 7], [8, 7], [0, 7], [9, 10], [11, 12], [5, 6]] {
        talk.ways = ways;
        packets.extend([talk.send(0, ACK, 100), talk.send(1, ACK, 2_000_000)]);
    }
    packets.extend(talk.rest(1));
    assert_eq!(numbers(&packets), vec![0; packets.len()]);
    let other = whole(Talk::new([20, 21], OTHER));
    assert_eq!(numbers(&in_turns(&packets, &other)), [0, 1].repeat(9), "and another network stays another");
}

#[test]
fn a_window_is_between_what_is_sent_and_what_is_acknowledged() {
    let mut talk = Talk::new([5, 6], ONE);
    let mut packets = talk.handshake().to_vec();
    for way in 6..9 {
        talk.ways[1] = way;
        packets.extend((0..10).map(|_| talk.send(1, ACK, 3 << 20)));
        let acknowledgment = talk.send(0, ACK, 0);
        packets.push(Header { ack: acknowledgment.ack.wrapping_sub(25 << 20), ..acknowledgment });
    }
    assert_eq!(numbers(&packets), vec![0; packets.len()]);
}

#[test]
fn a_syn_sent_again_on_another_path_is_the_same() {
    let mut talk = Talk::new([5, 6], ONE);
    let syn = talk.send(0, SYN, 0);
    let again = Header { way: 7, ..syn };
    let answer = talk.send(1, SYN | ACK, 0);
    assert_eq!(numbers(&[syn, again, answer, Header { way: 8, ..answer }, talk.send(0, ACK, 0)]), [0; 5]);
    assert_eq!(numbers(&[answer, syn]), [0; 2], "captured in the other order");
    let other_answer = Header { seq: 99, way: 0, ..answer };
    assert_eq!(numbers(&[syn, Header { way: 0, ..answer }, other_answer]), [0; 3], "two numbers offered");
    let crossing = Header { flags: Flags(SYN), ack: 0, ..answer };
    assert_eq!(numbers(&[syn, crossing, Header { flags: Flags(SYN | ACK), ack: crossing.seq + 1, ..syn }]), [0; 3]);
    assert_eq!(numbers(&[syn, Header { way: 7, seq: 77, ..syn }]), [0, 1], "another SYN");
}

#[test]
fn a_4_tuple_used_again_is_its_networks() {
    let again = |ways| Talk::new(ways, OTHER);
    for (ways, then, number) in [([5, 6], [5, 6], 0), ([5, 0], [5, 0], 0), ([0, 6], [0, 6], 0), ([5, 6], [7, 6], 1)] {
        let mut packets = whole(Talk::new(ways, ONE));
        packets.extend(whole(again(then)));
        assert_eq!(numbers(&packets)[9..], [number; 9], "{ways:?} {then:?}");
    }
    // Of two networks that come without a way, or with the same, nobody knows whose is used again.
    for way in [0, 5] {
        let mut packets = [whole(Talk::new([way, 6], ONE)), whole(Talk::new([9, 8], OTHER))].concat();
        packets[9..]
            .iter_mut()
            .filter(|packet| packet.way == 9)
            .for_each(|packet| packet.way = if packet.seq == OTHER[0] { 9 } else { way });
        packets.extend(whole(Talk::new([way, 8], [4_000_000_000, 1_500_000_000])));
        assert_eq!(numbers(&packets), [[0; 9], [1; 9], [2; 9]].concat(), "{way}");
    }
    // The first has not ended: without a way, another SYN is another network's.
    let mut first = Talk::new([0, 6], ONE);
    let mut packets = first.handshake().to_vec();
    packets.extend(whole(again([0, 6])));
    packets.push(first.send(0, ACK, 10));
    assert_eq!(numbers(&packets), [[0; 3].to_vec(), vec![1; 9], vec![0]].concat());
}

#[test]
fn packets_that_are_missing_part_nothing() {
    let gap = 1 << 30;
    for ways in [[5, 6], [5, 0], [0, 6]] {
        let mut talk = Talk::new(ways, ONE);
        let mut packets = talk.handshake().to_vec();
        talk.next[1] += gap;
        packets.extend(talk.rest(0));
        assert_eq!(numbers(&packets), [0; 9], "{ways:?}");
    }
}

#[test]
fn resets_and_copies_begin_no_network() {
    let mut talk = Talk::new([5, 6], ONE);
    let opening = talk.handshake();
    let odd = Header { way: 77, seq: 3_333_333_333, ack: 0, ..opening[2] };
    let reset = Header { flags: Flags(RST), ..odd };
    let copy = Header { captured: Captured::Again, ..odd };
    assert_eq!(numbers(&[opening[0], opening[1], reset, copy, odd]), [0, 0, 0, 0, 1]);
    let refusal = Header { flags: Flags(RST | ACK), seq: 0, ack: opening[0].seq + 1, ..opening[1] };
    let another = Talk::new([7, 8], OTHER).send(0, SYN, 0);
    assert_eq!(numbers(&[opening[0], another, Header { way: 0, ..refusal }]), [0, 1, 0]);
    assert_eq!(numbers(&[reset, opening[0], opening[1]]), [0; 3], "a reset says nothing of those behind it");
}

#[test]
fn after_what_was_left_out_the_numbers_need_not_go_on() {
    let (mut one, mut other) = (Talk::new([5, 0], ONE), Talk::new([7, 0], OTHER));
    let mut networks = Networks::new();
    let opening = in_turns(&one.handshake(), &other.handshake());
    assert_eq!(numbers_of(&mut networks, &opening), [0, 1].repeat(3));
    networks.lose_sight();
    one.next = [one.next[0].wrapping_add(1 << 30), one.next[1].wrapping_add(1 << 30)];
    other.next = [other.next[0].wrapping_add(1 << 29), other.next[1].wrapping_add(1 << 29)];
    let after = in_turns(&one.rest(0), &other.rest(1));
    assert_eq!(numbers_of(&mut networks, &after), [0, 1].repeat(6));
}

#[test]
fn what_is_around_a_network_keeps_its_name() {
    let mut networks = Networks::new();
    let key_of = |networks: &mut Networks, tunnel: Tunnel, way: u32, isn: u32| {
        let syn = Talk::new([way, 0], [isn, 0]).send(0, SYN, 0);
        let mut header = Header { key: syn.key.within(tunnel), ..syn };
        networks.look(&mut header);
        header.key.tunnel()
    };
    let vlans = Tunnel::vlans(7, 12);
    assert_eq!(key_of(&mut networks, vlans, 5, 1), vlans);
    let other = key_of(&mut networks, vlans, 0, 2_000_000_000);
    assert_ne!(other, vlans);
    assert_eq!((other.vlan_text(), other.tags(), other.is_named()), (vlans.vlan_text(), 2, false));
    let hash = Tunnel(Tunnel::HASHED | 0x1234_5678_9abc);
    assert_eq!(key_of(&mut networks, hash, 5, 1), hash);
    let other = key_of(&mut networks, hash, 6, 2_000_000_000);
    assert!(other != hash && other.vlan_text().is_none() && !other.is_named());
    assert_eq!(key_of(&mut networks, hash, 6, 2_000_000_000), other);
}

#[test]
fn without_ways_nothing_is_looked_at_for_long() {
    let mut networks = Networks::new();
    let mut talk = Talk::new([0, 0], ONE);
    let mut packets = talk.handshake().to_vec();
    packets.extend((0..TRIAL).map(|_| talk.send(0, ACK, 1)));
    assert_eq!(numbers_of(&mut networks, &packets), vec![0; packets.len()]);
    assert!(!networks.is_awake && networks.alone.is_empty());
    let labelled = whole(Talk::new([5, 6], OTHER));
    assert_eq!(numbers_of(&mut networks, &labelled), [0; 9], "the first that is met");
    assert_eq!(numbers_of(&mut networks, &talk.rest(0)), [1; 6], "and the other one, from here on");
    assert!(networks.is_awake);
}

#[test]
fn memory_is_bounded() {
    let mut networks = Networks::new();
    let syn = |number: u32| Talk::new([number + 1, 0], [number * 100_000_000, 0]).send(0, SYN, 0);
    let many: Vec<Header> = (0..20).map(syn).collect();
    assert_eq!(numbers_of(&mut networks, &many), (0..20).collect::<Vec<u32>>());
    assert_eq!(networks.shared.look(&syn(0).key).map(|shared| shared.list.len()), Some(MOST_NETWORKS));
    assert_eq!(numbers_of(&mut networks, &many[12..]), (12..20).collect::<Vec<u32>>(), "the newest are known");
    assert_eq!(numbers_of(&mut networks, &many[..1]), [20], "the oldest are forgotten");
    let mut side = Side::default();
    (0..100).for_each(|way| side.learn(way));
    assert_eq!(side.ways().iter().sum::<u32>(), 96 + 97 + 98 + 99);
}

proptest! {
    /// Networks with far numbers, in any order of their packets: each connection is whole, and no two are one.
    #[test]
    fn each_connection_is_one_and_no_two_are(
        count in 2_usize..6,
        popped in prop::sample::select(vec![[false, false], [true, false], [false, true]]),
        order in prop::collection::vec(0_usize..6, 54),
        from in 0_usize..2,
        changes in any::<u32>(),
    ) {
        let talk = |at: usize| {
            let way = |side: usize| if popped[side] { 0 } else { (at * 2 + side + 1) as u32 };
            let isn = |side: u32| (at as u32 * 2 + side).wrapping_mul(300_000_000);
            let mut packets = whole(Talk::new([way(0), way(1)], [isn(0), isn(1)]));
            // From its data on another way.
            if changes >> at & 1 != 0 {
                packets[3..].iter_mut().filter(|packet| packet.way != 0).for_each(|packet| packet.way += 100);
            }
            // A network is known by the first packet that has a way.
            packets.split_off(if popped[0] { [1, 4][from] } else { [0, 3][from] })
        };
        let mut talks: Vec<std::vec::IntoIter<Header>> = (0..count).map(|at| talk(at).into_iter()).collect();
        let (mut packets, mut whose) = (Vec::new(), Vec::new());
        for at in order.into_iter().chain((0..count).cycle().take(count * 9)) {
            if let Some(packet) = talks.get_mut(at).and_then(Iterator::next) {
                packets.push(packet);
                whose.push(at);
            }
        }
        let mut of_talk = std::collections::BTreeMap::new();
        for (at, number) in whose.into_iter().zip(numbers(&packets)) {
            prop_assert_eq!(*of_talk.entry(at).or_insert(number), number);
        }
        let distinct: std::collections::BTreeSet<u32> = of_talk.values().copied().collect();
        prop_assert_eq!(distinct.len(), of_talk.len());
    }
}
