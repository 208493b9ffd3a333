//! The limit of what connections keep, where shards share it: the longest idle of all give up, by agreement.

use super::front::{LOOK_BYTES, LOOK_EVERY};
use super::limit_tests::{Client, SERVER, client, dice};
use super::meeting::Meeting;
use super::tests::frame;
use super::*;
use crate::capture::forge;
use crate::decode::FlowKey;
use crate::tcp::flow_table::MORE_REQUESTS;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Read};
use std::time::Duration;

/// The least limit that shards share.
const SHARED: usize = 128 << 20;
const PIECE: usize = 60_000;
/// What a piece of its own takes beyond a hole.
const KEPT: u64 = PIECE as u64 + 128;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// What a client sends.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Syn,
    Ack,
    /// The piece of that number, beyond a hole and behind another.
    Piece(u32),
    /// So many requests.
    Requests(usize),
}

impl Sent {
    fn packet(self, (address, port): Client) -> Vec<u8> {
        let (flags, seq, payload) = match self {
            Sent::Syn => (0x02, 0, Vec::new()),
            Sent::Ack => (0x10, 1, Vec::new()),
            Sent::Piece(number) => (0x10, 1000 + number * 100_000, vec![b'z'; PIECE]),
            Sent::Requests(count) => (0x18, 1, REQUEST.repeat(count)),
        };
        let mut bytes = frame(port, true, flags, seq);
        bytes[16..18].copy_from_slice(&(40 + payload.len() as u16).to_be_bytes());
        bytes[26..30].copy_from_slice(&address.to_be_bytes());
        bytes.extend(payload);
        bytes
    }
}

/// A capture of these, made as it is read, by a clock that steps back now and then: who is idle for longest is not its affair.
struct Capture {
    steps: Arc<[(Client, Sent)]>,
    at: usize,
    made: VecDeque<u8>,
}

impl Capture {
    fn of(steps: &Arc<[(Client, Sent)]>) -> Self {
        Capture { steps: Arc::clone(steps), at: 0, made: forge::pcap(&[]).into() }
    }
}

impl Read for Capture {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.made.is_empty()
            && let Some(&(client, sent)) = self.steps.get(self.at)
        {
            let header = forge::pcap(&[]).len();
            let mut record = forge::pcap(&[(1, &sent.packet(client))]).split_off(header);
            record[..4].copy_from_slice(&(100_000 - self.at as u32 / 500).to_le_bytes());
            record[4..8].copy_from_slice(&(self.at as u32 % 500).to_le_bytes());
            self.made = record.into();
            self.at += 1;
        }
        self.made.read(buffer)
    }
}

fn answer(steps: &Arc<[(Client, Sent)]>, settings: &Settings) -> Outcome {
    let mut set = CaptureSet::from_reader("x", Capture::of(steps), settings).expect("a capture");
    read_all(&mut set, settings, None).expect("a capture").expect("nobody stops it")
}

fn settings(threads: usize, batch_packets: usize) -> Settings {
    let shared =
        Settings { max_kept_bytes: SHARED, keep_connections: true, keep_duplicates: true, ..Settings::default() };
    Settings { threads, batch_packets, ..shared }
}

/// Places in the capture where connections begin that gave up something, and how many bytes in all.
type GivenUp = (BTreeSet<usize>, u64);

fn given_up(steps: &Arc<[(Client, Sent)]>, settings: &Settings) -> GivenUp {
    let outcome = answer(steps, settings);
    let rows = outcome.connections.to_vec().expect("rows");
    let of_gap = rows.iter().filter(|row| row.quality.0 & crate::record::Quality::GAP != 0);
    (of_gap.map(|row| row.first.frame() as usize - 1).collect(), outcome.summary.capture.kept_overflows)
}

/// Of a client: the places of its first and its last packet, and pieces kept.
#[derive(Clone, Copy)]
struct Keeps {
    first: usize,
    last: usize,
    pieces: u64,
}

/// The longest idle give up until what all keep is within the limit.
fn give_up(held: &mut BTreeMap<Client, Keeps>, limit: usize, given_up: &mut GivenUp) {
    let mut by_last: Vec<&mut Keeps> = held.values_mut().filter(|keeps| keeps.pieces > 0).collect();
    by_last.sort_unstable_by_key(|keeps| keeps.last);
    let mut all: u64 = by_last.iter().map(|keeps| keeps.pieces * KEPT).sum();
    assert!(all < limit as u64 + LOOK_BYTES + KEPT * 300, "no more than a stretch brings");
    for keeps in by_last {
        if all <= limit as u64 {
            return;
        }
        all -= keeps.pieces * KEPT;
        given_up.0.insert(keeps.first);
        given_up.1 += keeps.pieces * KEPT;
        keeps.pieces = 0;
    }
}

/// The rule, told once more: shared, that is looked at now and then, and else whenever there is more.
fn expected(steps: &[(Client, Sent)], limit: usize) -> GivenUp {
    let (mut held, mut given_up) = (BTreeMap::<Client, Keeps>::new(), GivenUp::default());
    let (mut packets, mut bytes) = (0, 0);
    for (now, &(client, sent)) in steps.iter().enumerate() {
        if packets == LOOK_EVERY || bytes >= LOOK_BYTES {
            (packets, bytes) = (0, 0);
            give_up(&mut held, limit, &mut given_up);
        }
        packets += 1;
        bytes += sent.packet(client).len() as u64;
        let keeps = held.entry(client).or_insert(Keeps { first: now, last: now, pieces: 0 });
        keeps.last = now;
        keeps.pieces += u64::from(matches!(sent, Sent::Piece(_)));
        if limit < SHARED {
            give_up(&mut held, limit, &mut given_up);
        }
    }
    given_up
}

/// Clients that send pieces, each no more than a direction may keep, and are heard of without any.
fn traffic(steps: usize, clients: u64) -> Arc<[(Client, Sent)]> {
    let mut pieces = BTreeMap::<Client, u32>::new();
    let steps = dice().take(steps).map(|dice| {
        // The later half of the clients come later, and some are heard of all the time.
        let number = if dice % 4 == 0 { dice >> 8 & 7 } else { (dice >> 8) % clients };
        let client = client(number);
        let sent = match pieces.get_mut(&client) {
            None => Sent::Syn,
            Some(number) if dice % 3 > 0 && *number < 17 => {
                *number += 1;
                Sent::Piece(*number - 1)
            }
            Some(_) => Sent::Ack,
        };
        pieces.entry(client).or_default();
        (client, sent)
    });
    steps.collect()
}

#[test]
fn shards_agree_on_who_gives_up_what_it_keeps() {
    let steps = traffic(6000, 300);
    let expected = expected(&steps, SHARED);
    assert!((30..150).contains(&expected.0.len()), "{}", expected.0.len());
    for (threads, batch_packets) in [(1, 2048), (2, 2048), (3, 50), (5, 30_000)] {
        let settings = settings(threads, batch_packets);
        assert_eq!(given_up(&steps, &settings), expected, "{threads} threads, batches of {batch_packets}");
    }
}

#[test]
fn a_table_of_its_own_keeps_the_limit_at_any_time() {
    let steps = traffic(1200, 60);
    let limit = 12 << 20;
    let expected = expected(&steps, limit);
    assert!((20..60).contains(&expected.0.len()), "{}", expected.0.len());
    let settings = Settings { max_kept_bytes: limit, ..settings(2, 100) };
    assert_eq!(given_up(&steps, &settings), expected);
}

#[test]
fn those_of_one_part_may_keep_all_there_is() {
    let of_seven = (0..).map(client).filter(|&client| FlowKey::plain(client, SERVER).0.partition() == 7);
    let steps: Arc<[(Client, Sent)]> = of_seven
        .take(120)
        .flat_map(|client| std::iter::once((client, Sent::Syn)).chain((0..17).map(move |n| (client, Sent::Piece(n)))))
        .collect();
    assert!(120 * 17 * KEPT < SHARED as u64);
    assert_eq!(given_up(&steps, &settings(2, 2048)), GivenUp::default(), "there is room for all");
}

#[test]
fn a_flood_of_requests_pushes_out_its_own_part_alone() {
    let part = |client: Client| FlowKey::plain(client, SERVER).0.partition();
    let each = 80;
    let begun = |clients: Vec<Client>| -> Vec<(Client, Sent)> {
        clients.into_iter().flat_map(|client| [(client, Sent::Syn), (client, Sent::Requests(each))]).collect()
    };
    let hostile = |count| begun((0..).map(client).filter(|&client| part(client) == 7).take(count).collect());
    let bystanders = begun((0..200).map(client).filter(|&client| part(client) != 7).collect());
    let bytes = |steps: Vec<(Client, Sent)>| {
        let steps: Arc<[(Client, Sent)]> = steps.into();
        let all = [(1, 2048), (2, 100)]
            .map(|(threads, batch)| answer(&steps, &settings(threads, batch)).summary.capture.kept_overflows);
        assert_eq!(all[0], all[1]);
        all[0]
    };
    let room = MORE_REQUESTS / each;
    assert_eq!(bytes(hostile(room)), 0);
    let one = bytes(hostile(room + 1));
    assert!(one > 30_000, "80 requests of 27 bytes: {one}");
    assert_eq!(bytes([bystanders.clone(), hostile(60)].concat()), (60 - room as u64) * one);
    // In the next stretch as many more may wait.
    let rest = (0..LOOK_EVERY).map(|n| (client(10_000 + n), Sent::Syn)).collect();
    assert_eq!(bytes([hostile(room), rest, hostile(2 * room).split_off(2 * room)].concat()), 0);
}

#[test]
fn all_meet_and_nobody_waits_for_who_does_not_come() {
    let meeting = Meeting::new(3);
    std::thread::scope(|scope| {
        let talk = |own: u64| {
            let meeting = &meeting;
            move || (0..2000).map(|n| meeting.hold([own * 10_000 + n]).expect("all come")).collect::<Vec<_>>()
        };
        let told = [scope.spawn(talk(3)), scope.spawn(talk(1)), scope.spawn(talk(2))];
        for told in told.map(|thread| thread.join().expect("no panic")) {
            for (n, heard) in (0_u64..).zip(told) {
                assert_eq!(*heard, [10_000 + n, 20_000 + n, 30_000 + n]);
            }
        }
        let waits = scope.spawn(|| meeting.hold([1]));
        std::thread::sleep(Duration::from_millis(20));
        assert!(!waits.is_finished());
        meeting.close();
        assert_eq!(waits.join().expect("no panic"), None);
    });
}
