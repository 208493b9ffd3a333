use super::drawing::{MAX_SUMMARY, flag_names, hide_query, start_line};
use super::*;
use crate::capture::CaptureSet;
use crate::decode::Flags;
use crate::engine::{analyze, read_all};
use std::path::PathBuf;

/// The ladders of some connections of a fixture.
fn ladders(name: &str, numbers: &[u64]) -> Vec<Ladder> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures")).join(name);
    let settings = Settings { keep_connections: true, ..Settings::default() };
    let (outcome, set) = analyze(&[path], &settings, None).expect("a capture").expect("nobody stops it");
    let target = |number: &u64| {
        let record = outcome.connection(*number).expect("rows").expect("a connection");
        Target { connection: *number, sight: (&record).into() }
    };
    let targets: Vec<Target> = numbers.iter().map(target).collect();
    draw(&set, &targets, MAX_ROWS, &outcome, &settings).expect("the file again")
}

fn ladder(name: &str, number: u64) -> Ladder {
    ladders(name, &[number]).remove(0)
}

/// Flags, payload bytes, and both states after each row.
fn steps(ladder: &Ladder) -> Vec<(String, u32, State, State)> {
    ladder.rows.iter().map(|row| (row.flags.clone(), row.len, row.client_state, row.server_state)).collect()
}

fn notes(ladder: &Ladder) -> Vec<(u64, &str)> {
    ladder.rows.iter().flat_map(|row| row.notes.iter().map(|note| (row.frame, note.as_str()))).collect()
}

#[test]
fn a_close_by_the_server_is_drawn_step_by_step() {
    use State::{CloseWait, Closed, Established, FinWait1, LastAck, Listen, SynReceived, SynSent, TimeWait};
    let ladder = ladder("proxy-http10-back", 1);
    assert_eq!(ladder.server, "10.77.2.2:80");
    let expected = [
        ("SYN", 0, SynSent, Listen),
        ("SYN,ACK", 0, Established, SynReceived),
        ("ACK", 0, Established, Established),
        ("PSH,ACK", 92, Established, Established),
        ("ACK", 0, Established, Established),
        ("PSH,ACK", 148, Established, Established),
        ("ACK", 0, Established, Established),
        ("FIN,ACK", 0, CloseWait, FinWait1),
        ("FIN,ACK", 0, LastAck, TimeWait),
        ("ACK", 0, Closed, TimeWait),
    ];
    let expected: Vec<_> = expected.map(|(flags, len, client, server)| (flags.to_owned(), len, client, server)).into();
    assert_eq!(steps(&ladder), expected);
    assert_eq!(notes(&ladder), [(8, "active closer"), (9, "server enters TIME-WAIT")]);
    assert_eq!(ladder.rows[3].summary.as_deref(), Some("GET / HTTP/1.0, Connection: close"));
    assert_eq!((ladder.omitted, ladder.time_wait.len()), (0, 1));
    assert_eq!(ladder.time_wait[0].holder, Role::Server);
}

#[test]
fn sequence_numbers_count_from_the_first_seen() {
    for name in ["proxy-http10-back", "sequence-wrap"] {
        let ladder = ladder(name, 1);
        assert_eq!((ladder.rows[0].seq, ladder.rows[0].ack), (0, None), "{name}");
        assert_eq!((ladder.rows[1].seq, ladder.rows[1].ack), (0, Some(1)), "{name}");
        assert_eq!((ladder.rows[2].seq, ladder.rows[2].ack), (1, Some(1)), "{name}");
        let sent = |from| ladder.rows.iter().filter(|row| row.from == from).map(|row| row.len).sum::<u32>();
        let last = ladder.rows.last().expect("the ACK of the last FIN");
        assert_eq!(last.ack, Some(sent(last.from.peer()) + 2), "{name}: bytes, SYN and FIN");
    }
}

#[test]
fn what_flags_do_not_say_is_noted() {
    let restarted = ladder("time-wait-restarted", 1);
    let again = notes(&restarted).into_iter().filter(|(_, note)| *note == "retransmission").count();
    assert_eq!((again, restarted.time_wait[0].restarts), (6, 6));
    let aborted = ladder("abort-by-client", 1);
    assert!(notes(&aborted).iter().any(|(_, note)| *note == "reset: abort, effective"), "{:?}", notes(&aborted));
    assert!(aborted.time_wait.is_empty());
}

#[test]
fn a_reused_tuple_gives_each_of_its_connections_its_own_rows() {
    let both = ladders("reuse-at-ages", &[7, 1]);
    assert_eq!(both.iter().map(|ladder| ladder.connection).collect::<Vec<_>>(), [7, 1]);
    assert_eq!(both[0].client, both[1].client);
    assert_eq!(both[1].rows.len(), 10);
    assert!(both[0].rows[0].frame > both[1].rows[9].frame);
    assert_eq!(both[0].rows[0].flags, "SYN");
    assert_eq!((both[1].time_wait[0].basis, both[1].time_wait[0].end), ("observed_exact", "reused"));
}

#[test]
fn a_query_string_is_hidden() {
    let head = b"GET /login?token=secret&x=? HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n";
    assert_eq!(start_line(head).as_deref(), Some("GET /login?… HTTP/1.1, Connection: Keep-Alive"));
    assert_eq!(hide_query("GET /a?b"), "GET /a?…");
    assert_eq!(hide_query("GET /a HTTP/1.1"), "GET /a HTTP/1.1");
}

#[test]
fn only_the_head_of_a_message_is_quoted() {
    assert_eq!(start_line(b"HTTP/1.1 200 OK\r\n\r\nConnection: close\r\n").as_deref(), Some("HTTP/1.1 200 OK"));
    assert_eq!(start_line(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), None);
    assert_eq!(start_line(b""), None);
    let long = format!("GET /{} HTTP/1.1\r\nConnection: {}\r\n\r\n", "é".repeat(500), "x".repeat(500));
    let told = start_line(long.as_bytes()).expect("a request");
    assert_eq!(told.chars().count(), MAX_SUMMARY + ", Connection: ".len() + 40);
}

#[test]
fn flags_are_named_in_the_field_s_order() {
    assert_eq!(flag_names(Flags(0x12)), "SYN,ACK");
    assert_eq!(flag_names(Flags(0x19)), "FIN,PSH,ACK");
    assert_eq!(flag_names(Flags(0x14)), "RST,ACK");
    assert_eq!(flag_names(Flags(0)), "");
}

/// An Ethernet frame between 10.0.0.1:40000 (which sends it if `by_client`) and 10.0.0.2:80.
fn segment(by_client: bool, flags: u8, (seq, ack): (u32, u32), payload: &[u8]) -> Vec<u8> {
    let (client, server) = (([10, 0, 0, 1], 40_000_u16), ([10, 0, 0, 2], 80_u16));
    let (from, to) = if by_client { (client, server) } else { (server, client) };
    let ip = [0x45, 0, 0, 40 + payload.len() as u8, 0, 0, 0x40, 0, 64, 6, 0, 0];
    let ports = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
    let numbers = [seq.to_be_bytes(), ack.to_be_bytes()].concat();
    [&[0; 12][..], &[8, 0], &ip, &from.0, &to.0, &ports, &numbers, &[0x50, flags, 1, 0, 0, 0, 0, 0], payload].concat()
}

/// While a new SYN waits for its answer, the incarnation before may still send: its data is drawn in its own ladder, and
/// that of the new one begins with the SYN and goes on with the answer, drawn alone or with the other.
#[test]
fn late_data_of_the_incarnation_before_is_not_the_younger_s() {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    let frames = [
        segment(true, SYN, (1000, 0), b""),
        segment(false, SYN | ACK, (5000, 1001), b""),
        segment(true, ACK, (1001, 5001), b"asked"),
        segment(true, SYN, (900_000_000, 0), b""),
        segment(false, ACK, (5001, 1006), b"late"),
        segment(false, SYN | ACK, (70_000_000, 900_000_001), b""),
        segment(true, ACK, (900_000_001, 70_000_001), b""),
    ];
    let packets: Vec<(u32, &[u8])> = (1..).zip(frames.iter().map(|bytes| &bytes[..])).collect();
    let settings = Settings { keep_connections: true, ..Settings::default() };
    let stream = std::io::Cursor::new(crate::capture::forge::pcap(&packets));
    let mut set = CaptureSet::from_reader("-", stream, &settings).expect("a capture");
    let outcome = read_all(&mut set, &settings, None).expect("a capture").expect("nobody stops it");
    let records = outcome.connections.to_vec().expect("rows");
    for wanted in [&[2][..], &[1, 2], &[2, 1]] {
        let target = |&number: &u64| Target { connection: number, sight: (&records[number as usize - 1]).into() };
        let targets: Vec<Target> = wanted.iter().map(target).collect();
        let drawn = draw(&set, &targets, MAX_ROWS, &outcome, &settings).expect("ladders");
        for ladder in drawn {
            let rows: Vec<u64> = ladder.rows.iter().map(|row| row.frame).collect();
            assert_eq!(rows, if ladder.connection == 1 { vec![1, 2, 3, 5] } else { vec![4, 6, 7] }, "{wanted:?}");
        }
    }
}

/// An Ethernet frame with the segment of `index`: one byte from 10.0.0.1:40000 to 10.0.0.2:80.
fn frame(index: u32) -> Vec<u8> {
    let ip = [0x45, 0, 0, 41, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    let ports = [0x9c, 0x40, 0, 80];
    let rest = [0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0, b'x'];
    [&[0; 12][..], &[8, 0], &ip, &ports, &index.to_be_bytes(), &rest].concat()
}

#[test]
fn a_long_connection_keeps_its_first_and_last_rows_and_counts_the_others() {
    let frames: Vec<Vec<u8>> = (0..MAX_ROWS as u32 + 50).map(frame).collect();
    let packets: Vec<(u32, &[u8])> = frames.iter().map(|bytes| (1, &bytes[..])).collect();
    let settings = Settings { keep_connections: true, batch_packets: 7, ..Settings::default() };
    let stream = std::io::Cursor::new(crate::capture::forge::pcap(&packets));
    let mut set = CaptureSet::from_reader("-", stream, &settings).expect("a capture");
    let outcome = read_all(&mut set, &settings, None).expect("a capture").expect("nobody stops it");
    let [record] = &outcome.connections.to_vec().expect("rows")[..] else { panic!("one connection") };
    let target = Target { connection: 1, sight: record.into() };
    let ladder = draw(&set, &[target], MAX_ROWS, &outcome, &settings).expect("a ladder").remove(0);
    assert_eq!((ladder.rows.len(), ladder.omitted, ladder.omitted_after), (MAX_ROWS, 50, MAX_ROWS / 2));
    assert_eq!(ladder.rows[MAX_ROWS / 2 - 1].frame, MAX_ROWS as u64 / 2);
    assert_eq!(ladder.rows[MAX_ROWS / 2].frame, MAX_ROWS as u64 / 2 + 51);
    assert_eq!((ladder.client.as_str(), ladder.server.as_str()), ("10.0.0.1:40000", "10.0.0.2:80"));
}

/// A connection far longer than what is drawn of it, with another of the same host in its middle, and a close: segments
/// of 30,000 bytes, so that far more than the largest window lies between what is read of it.
fn long_capture() -> Vec<u8> {
    let mut frames = vec![
        segment(true, 2, (1000, 0), b""),
        segment(false, 18, (5000, 1001), b""),
        segment(true, 16, (1001, 5001), b"asked"),
    ];
    let payload = [b'x'; 100];
    frames.extend((0..100_000_u32).map(|index| segment(false, 16, (5001 + 100 * index * 30, 1006), &payload)));
    let last = 5001 + 100 * 30 * 100_000_u32;
    frames.push(segment(false, 17, (last, 1006), b""));
    frames.push(segment(true, 17, (1006, last.wrapping_add(1)), b""));
    frames.push(segment(false, 16, (last.wrapping_add(1), 1007), b""));
    let mut other = frame(7);
    other[34..36].copy_from_slice(&[0x11, 0x11]);
    frames.insert(50_000, other);
    let packets: Vec<(u32, &[u8])> = (1..).zip(frames.iter().map(|bytes| &bytes[..])).collect();
    crate::capture::forge::pcap(&packets)
}

/// The middle of a long connection is not read, the close is drawn with the states that it leads to, whatever else is
/// drawn at the same time, and nothing is lost of what is.
#[test]
fn a_long_connection_is_drawn_without_its_middle() {
    let folder = crate::capture::forge::Folder::new("long");
    let path = folder.write("long.pcap", &long_capture());
    let settings = Settings { keep_connections: true, ..Settings::default() };
    let (outcome, set) = analyze(&[path], &settings, None).expect("a capture").expect("nobody stops it");
    let records = outcome.connections.to_vec().expect("rows");
    for wanted in [&[1][..], &[1, 2], &[2, 1]] {
        let target = |&number: &u64| Target { connection: number, sight: (&records[number as usize - 1]).into() };
        let targets: Vec<Target> = wanted.iter().map(target).collect();
        for ladder in draw(&set, &targets, MAX_ROWS, &outcome, &settings).expect("ladders") {
            if ladder.connection == 2 {
                assert_eq!((ladder.rows.len(), ladder.rows[0].frame, ladder.omitted), (1, 50_001, 0));
                continue;
            }
            let frames: Vec<u64> = ladder.rows.iter().map(|row| row.frame).collect();
            let expected: Vec<u64> = (1..=200).chain(100_007 - 199..=100_007).collect();
            assert_eq!(frames, expected, "{wanted:?}");
            assert_eq!((ladder.omitted, ladder.omitted_after), (100_006 - 400, 200));
            let states: Vec<_> = ladder.rows.iter().map(|row| (row.client_state, row.server_state)).collect();
            assert_eq!(states[396], (State::Established, State::Established));
            assert_eq!(
                states[397..],
                [
                    (State::CloseWait, State::FinWait1),
                    (State::LastAck, State::TimeWait),
                    (State::Closed, State::TimeWait)
                ]
            );
            assert_eq!(notes(&ladder), [(100_005, "active closer"), (100_006, "server enters TIME-WAIT")]);
        }
    }
}

/// A side that closes in the middle that is not read has closed in what is drawn behind it; and one whose packets lie too
/// unevenly is read as a whole, so that as many rows as can be are drawn.
#[test]
fn a_close_in_the_middle_is_known_behind_it_and_uneven_ones_are_read_whole() {
    let mut frames = vec![
        segment(true, 2, (1000, 0), b""),
        segment(false, 18, (5000, 1001), b""),
        segment(true, 16, (1001, 5001), b""),
        segment(true, 17, (1001, 5001), b""),
        segment(false, 16, (5001, 1002), b""),
    ];
    let payload = [b'x'; 100];
    frames.extend((0..100_000_u32).map(|index| segment(false, 16, (5001 + 100 * index, 1002), &payload)));
    let fin = frames.split_off(3);
    let mut even = frames.clone();
    even.extend((0..50_000_u32).map(|index| segment(false, 16, (5001 + 100 * index, 1001), &payload)));
    even.push(fin[0].clone());
    even.push(fin[1].clone());
    even.extend((50_000..100_000_u32).map(|index| segment(false, 16, (5001 + 100 * index, 1002), &payload)));
    // 5,000 packets in the middle of those of others.
    let mut other = frame(7);
    other[34..36].copy_from_slice(&[0x11, 0x11]);
    let mut uneven = frames.clone();
    uneven.extend(std::iter::repeat_n(other.clone(), 60_000));
    uneven.extend((0..5000_u32).map(|index| segment(false, 16, (5001 + 100 * index, 1001), &payload)));
    uneven.extend(std::iter::repeat_n(other, 60_000));
    uneven.push(segment(false, 17, (505_001, 1001), b""));
    for (name, frames, rows) in [("even", even, 400), ("uneven", uneven, 400)] {
        let folder = crate::capture::forge::Folder::new(name);
        let packets: Vec<(u32, &[u8])> = (1..).zip(frames.iter().map(|bytes| &bytes[..])).collect();
        let path = folder.write("long.pcap", &crate::capture::forge::pcap(&packets));
        let settings = Settings { keep_connections: true, ..Settings::default() };
        let (outcome, set) = analyze(&[path], &settings, None).expect("a capture").expect("nobody stops it");
        let record = outcome.connection(1).expect("rows").expect("a connection");
        let targets = [Target { connection: 1, sight: (&record).into() }];
        let ladder = draw(&set, &targets, MAX_ROWS, &outcome, &settings).expect("a ladder").remove(0);
        assert_eq!((ladder.rows.len(), ladder.omitted_after), (rows, rows / 2), "{name}");
        let last = ladder.rows.last().expect("rows");
        let expected =
            if name == "even" { (State::FinWait2, State::CloseWait) } else { (State::CloseWait, State::FinWait1) };
        assert_eq!((last.client_state, last.server_state), expected, "{name}");
        let sides = record.sides.each_ref().map(|side| side.state);
        assert_eq!([last.client_state, last.server_state], sides, "{name}: as the first look says");
    }
}
