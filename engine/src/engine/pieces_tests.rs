//! What is a copy in other pieces, and what was sent again.

use super::*;
use Captured::{Again, InParts, Once};

const MSS: u32 = 1000;

/// `len` bytes from `seq`, by the tap of this number.
fn data(tap: u32, seq: u32, len: u32) -> Header {
    Header { seq, payload_len: len, file: tap, ttl: 64 - tap as u8, flags: Flags::ACK, ..Header::default() }
}

/// Both taps have shown all up to 100, the first one in a large segment.
fn known() -> Pieces {
    let mut pieces = Pieces::new();
    let start = 100_u32.wrapping_sub(50 * MSS);
    let syn_ack = Header { flags: Flags::SYN, ..data(1, seq::add(start, u32::MAX), 0) };
    pieces.pair(&syn_ack, Place::of(&data(0, 0, 0)), -300_000);
    assert_eq!(pieces.look(&data(0, start, 50 * MSS)), Captured::Once);
    assert!((0..50).all(|piece| pieces.look(&data(1, seq::add(start, piece * MSS), MSS)) == Captured::Again));
    pieces
}

/// Which of these are copies.
fn copies(pieces: &mut Pieces, packets: &[Header]) -> Vec<bool> {
    assert!(packets.iter().all(|packet| packet.captured == Captured::Once));
    packets.iter().map(|packet| pieces.look(packet) == Captured::Again).collect()
}

#[test]
fn pieces_of_what_the_other_tap_showed() {
    let large = data(0, 100, 3 * MSS);
    let small = [data(1, 100, MSS), data(1, 100 + MSS, MSS), data(1, 100 + 2 * MSS, MSS)];
    let near_first = [large, small[0], small[1], small[2]];
    assert_eq!(copies(&mut known(), &near_first), [false, true, true, true]);
    let far_first = [small[0], small[1], small[2], large];
    assert_eq!(copies(&mut known(), &far_first), [false, false, false, true]);
    let mixed = [small[0], large, small[1], small[2]];
    assert_eq!(copies(&mut known(), &mixed), [false, false, true, true]);
}

#[test]
fn what_is_sent_again_is_no_copy_at_the_tap_that_showed_it() {
    let large = data(0, 100, 2 * MSS);
    let again = data(0, 100, MSS);
    // The first piece was lost between the taps: the far one shows a hole, which what is sent again fills.
    let far = [data(1, 100 + MSS, MSS), data(1, 100, MSS), data(1, 100, MSS)];
    let packets = [large, far[0], again, far[1], far[2]];
    assert_eq!(copies(&mut known(), &packets), [false, true, false, true, false]);
}

#[test]
fn what_is_cut_and_joined_elsewhere_was_not_sent_again() {
    let mut pieces = known();
    let large = [data(0, 100, 4 * MSS), data(0, 100 + 4 * MSS, 4 * MSS)];
    let joined = [data(1, 100, 3 * MSS), data(1, 100 + 3 * MSS, 3 * MSS), data(1, 100 + 6 * MSS, 2 * MSS)];
    let shown = [large[0], joined[0], joined[1], large[1], joined[2]].map(|packet| pieces.look(&packet));
    assert_eq!(shown, [Once, Again, InParts, InParts, Again]);
    // Sent again with something new behind it, by who showed it before.
    assert_eq!([data(0, 100 + 7 * MSS, 3 * MSS)].map(|packet| pieces.look(&packet)), [Once]);
    // A hole is nothing that was shown.
    let mut pieces = known();
    let around = [data(0, 100 + 5 * MSS, MSS), data(0, 100, MSS), data(1, 100 + MSS, 3 * MSS)];
    assert_eq!(around.map(|packet| pieces.look(&packet)), [Once, Once, Once]);
}

#[test]
fn holes_are_filled_from_their_start_or_their_end() {
    let mut shown = Shown::new(Place::of(&data(0, 0, 0)), 100, 100, 0);
    for from in (0..8).map(|at| 1400 + at * 100) {
        shown.add(from, from + 50);
    }
    assert_eq!((shown.holes[0], shown.holes[7]), ((100, 1400), (2050, 2100)));
    shown.add(100, 1350);
    shown.add(1340, 1360);
    shown.add(1390, 1410);
    assert_eq!(shown.holes[0], (1360, 1390));
    assert!(shown.has(1350, 1360) && !shown.has(1350, 1361) && shown.lacks(1389, 1395) && shown.has(1390, 1400));
    shown.add(1360, 1390);
    assert_eq!(shown.holes[0], (1450, 1500));
    shown.add(1440, 2110);
    assert_eq!((shown.holes.len(), shown.next), (0, 2150));
    assert!(shown.has(100, 2150) && !shown.has(100, 2151));
    shown.add(100 + 3 * NEAR, 200 + 3 * NEAR);
    assert!(!shown.has(100, 200) && shown.holes.is_empty());
}

#[test]
fn of_forgotten_holes_nothing_is_known() {
    let mut shown = Shown::new(Place::of(&data(0, 0, 0)), 100, 100, 0);
    for from in (0..=MOST_HOLES as u32).map(|at| 200 + at * 100) {
        shown.add(from, from + 50);
    }
    assert_eq!((shown.holes.len(), shown.first), (MOST_HOLES, 200));
    assert!(!shown.has(100, 150) && !shown.lacks(100, 150), "the forgotten one was never shown");
    assert!(shown.has(200, 250) && shown.lacks(250, 300));
}

#[test]
fn a_hole_of_both_is_filled_once() {
    let packets = [
        data(0, 100 + MSS, MSS),
        data(1, 100 + MSS, MSS),
        data(0, 100, MSS),
        data(1, 100, MSS),
        data(0, 100 + 2 * MSS, 0),
    ];
    assert_eq!(copies(&mut known(), &packets), [false, true, false, true, false]);
}

#[test]
fn a_fin_is_a_number_too() {
    let fin = |tap, seq, len| Header { flags: Flags(Flags::ACK.0 | Flags::FIN.0), ..data(tap, seq, len) };
    let packets = [fin(0, 100, 2 * MSS), data(1, 100, MSS), fin(1, 100 + MSS, MSS), fin(0, 100 + 2 * MSS, 0)];
    assert_eq!(copies(&mut known(), &packets), [false, true, true, false]);
}

#[test]
fn only_where_the_flow_was_found_twice() {
    let mut pieces = known();
    let elsewhere = data(2, 100, MSS);
    assert_eq!(copies(&mut pieces, &[data(0, 100, 2 * MSS), elsewhere]), [false, false], "a third way");
    let mut unknown = Pieces::new();
    assert_eq!(copies(&mut unknown, &[data(0, 100, 2 * MSS), data(1, 100, MSS)]), [false, false]);
    let by_ttl = Header { file: 0, ..data(1, 100, MSS) };
    assert_eq!(copies(&mut known(), &[data(0, 100, 2 * MSS), by_ttl]), [false, false], "another way's TTL");
}

#[test]
fn where_nothing_is_cut_copies_are_alike() {
    let mut pieces = Pieces::new();
    let (near, far) = (data(0, 100, MSS), data(1, 100, MSS));
    pieces.pair(&far, Place::of(&near), -300_000);
    let again = [data(0, 100 + MSS, MSS), data(1, 100 + MSS, MSS)];
    assert_eq!(copies(&mut pieces, &again), [false, false], "another packet, sent again on another way");
}

#[test]
fn what_was_before_the_first_pair_is_not_known() {
    let mut pieces = Pieces::new();
    assert_eq!(pieces.look(&data(0, 100, 9 * MSS)), Captured::Once);
    let ack = |tap| data(tap, 100 + 9 * MSS, 0);
    pieces.pair(&ack(1), Place::of(&ack(0)), -300_000);
    let packets = [data(1, 100 + MSS, MSS), data(0, 100 + 9 * MSS, 2 * MSS), data(1, 100, MSS)];
    assert_eq!(copies(&mut pieces, &packets), [false; 3], "it may never have been shown");
}

#[test]
fn a_place_that_shows_nothing_any_more_does_not_count() {
    let mut pieces = known();
    assert_eq!(pieces.look(&data(0, 100, 2 * MSS)), Captured::Once);
    let late = |ts_ns, seq| Header { ts_ns, ..data(1, seq, MSS) };
    assert_eq!(copies(&mut pieces, &[late(1_000_000_000, 100), late(1_000_000_001, 100 + MSS)]), [true, false]);
}

#[test]
fn a_syn_begins_anew() {
    let mut pieces = known();
    assert_eq!(pieces.look(&data(0, 100, 9 * MSS)), Captured::Once);
    assert_eq!(pieces.look(&Header { flags: Flags::SYN, ..data(0, 50, 0) }), Captured::Once);
    assert_eq!(copies(&mut pieces, &[data(0, 51, MSS), data(1, 51, MSS)]), [false, false]);
}

#[test]
fn numbers_far_away_are_another_connection() {
    let mut pieces = known();
    let far = 100 + 2 * NEAR;
    assert_eq!(
        copies(&mut pieces, &[data(0, 100, MSS), data(0, far, 2 * MSS), data(1, far, MSS), data(1, far + MSS, MSS)]),
        [false, false, false, true],
        "its own place must have shown something near"
    );
}

#[test]
fn an_acknowledgment_tells_of_the_other_direction() {
    let mut pieces = Pieces::new();
    let ack = Header { from_low: true, ack: 100, ttl: 50, ..data(1, 7, 0) };
    pieces.pair(&ack, Place::of(&Header { ttl: 49, ..data(0, 7, 0) }), -300_000);
    assert_eq!(copies(&mut pieces, &[data(0, 100, 2 * MSS), data(1, 100, MSS)]), [false, true]);
    let same_file = Header { file: 0, ..ack };
    let mut pieces = Pieces::new();
    pieces.pair(&same_file, Place::of(&Header { ttl: 49, ..data(0, 7, 0) }), -300_000);
    assert_eq!(copies(&mut pieces, &[data(0, 100, 2 * MSS), data(0, 100, MSS)]), [false, false]);
}

/// `count` pieces from `seq`, by the second tap.
fn cut(seq: u32, count: u32) -> Vec<Header> {
    (0..count).map(|piece| data(1, seq::add(seq, piece * MSS), MSS)).collect()
}

/// Asserts that the second tap shows copies only of what the first shows, and the first none.
fn follows(pieces: &mut Pieces, large: Header) {
    assert_eq!(copies(pieces, &[large]), [false]);
    let small = cut(large.seq, large.payload_len / MSS);
    assert_eq!(copies(pieces, &small), vec![true; small.len()]);
}

#[test]
fn what_is_sent_again_is_cut_again() {
    let mut pieces = known();
    for _ in 0..3 {
        follows(&mut pieces, data(0, 100, 4 * MSS));
    }
    // Two large segments of it, joined otherwise, and the pieces of both after them.
    assert_eq!(copies(&mut pieces, &[data(0, 100, 3 * MSS), data(0, 100 + 3 * MSS, MSS)]), [false, false]);
    assert_eq!(copies(&mut pieces, &cut(100, 4)), [true; 4]);
    // Twice before the pieces, of which one is lost on the way.
    assert_eq!(copies(&mut pieces, &[data(0, 100, 4 * MSS), data(0, 100, 4 * MSS)]), [false, false]);
    assert_eq!(copies(&mut pieces, &cut(100, 4)), [true; 4]);
    assert_eq!(copies(&mut pieces, &cut(100, 3)), [true; 3]);
}

#[test]
fn what_one_point_alone_shows_again_was_sent_again() {
    let mut pieces = known();
    follows(&mut pieces, data(0, 100, 4 * MSS));
    assert_eq!(copies(&mut pieces, &cut(100, 1)), [false], "the network's");
    follows(&mut pieces, data(0, 100, 4 * MSS));
    assert_eq!(copies(&mut pieces, &cut(100, 4)), [false; 4]);
    assert_eq!(copies(&mut pieces, &[data(0, 100, 4 * MSS)]), [false], "packets come to it first");
    assert_eq!(copies(&mut pieces, &[data(1, 99, MSS)]), [false], "more than was sent again");
    assert_eq!(copies(&mut pieces, &cut(100, 4)), [true; 4], "which takes nothing from what was");
}

#[test]
fn a_hole_is_filled_by_what_was_sent_again() {
    let mut pieces = known();
    assert_eq!(copies(&mut pieces, &[data(0, 100, 6 * MSS)]), [false]);
    assert_eq!(copies(&mut pieces, &[cut(100, 2), cut(100 + 5 * MSS, 1)].concat()), [true; 3]);
    follows(&mut pieces, data(0, 100 + MSS, 4 * MSS));
    assert_eq!(copies(&mut pieces, &cut(100 + 2 * MSS, 3)), [false; 3]);
    // What is at the end may be on its way, when it is sent again.
    let mut pieces = known();
    assert_eq!(copies(&mut pieces, &[data(0, 100, 3 * MSS), data(0, 100, 3 * MSS)]), [false, false]);
    assert_eq!(
        copies(&mut pieces, &[cut(100, 3), cut(100, 3), cut(100, 3)].concat()),
        [true, true, true, true, true, true, false, false, false]
    );
}

#[test]
fn old_and_new_bytes_in_one_segment() {
    let mut pieces = known();
    follows(&mut pieces, data(0, 100, 2 * MSS));
    let large = data(0, 100 + MSS, 3 * MSS);
    let middle = |at: u32| data(1, 100 + at, MSS);
    let small = [middle(MSS), middle(MSS + 500), middle(2 * MSS + 500), data(1, 100 + 3 * MSS + 500, 500)];
    assert_eq!(copies(&mut pieces, &[large]), [false]);
    assert_eq!(copies(&mut pieces, &small), [true, false, true, true], "one begins with what was shown twice");
    // Of new bytes the other may show a part: the rest is new, and it was sent again once.
    let end = 100 + 4 * MSS;
    assert_eq!(copies(&mut pieces, &[data(0, end - 3 * MSS, 3 * MSS + 500)]), [false]);
    assert_eq!(pieces.look(&data(1, end - MSS, 2 * MSS)), InParts);
}

#[test]
fn a_fin_sent_again_with_its_data() {
    let fin = |tap, seq, len| Header { flags: Flags(Flags::ACK.0 | Flags::FIN.0), ..data(tap, seq, len) };
    let once = [fin(0, 100, 2 * MSS), data(1, 100, MSS), fin(1, 100 + MSS, MSS)];
    assert_eq!(copies(&mut known(), &[once, once].concat()), [false, true, true, false, true, true]);
}

#[test]
fn a_copy_that_is_alike_is_no_longer_due() {
    let mut pieces = known();
    follows(&mut pieces, data(0, 100, 2 * MSS));
    let at = |header: Header, ts_ns| Header { ts_ns, ..header };
    for ts_ns in [1000, 2000] {
        assert_eq!(copies(&mut pieces, &[at(data(0, 100, MSS), ts_ns)]), [false]);
        pieces.pair(&at(data(1, 100, MSS), ts_ns + 500), Place::of(&data(0, 0, 0)), ts_ns);
    }
    assert_eq!(copies(&mut pieces, &[at(data(1, 100, MSS), 3000)]), [false]);
    // The copy of what was sent before, and late, pays nothing.
    let mut pieces = known();
    assert_eq!(copies(&mut pieces, &[data(0, 100, MSS), at(data(0, 100, 2 * MSS), 1000)]), [false, false]);
    pieces.pair(&at(data(1, 100, MSS), 2000), Place::of(&data(0, 0, 0)), 0);
    assert_eq!(copies(&mut pieces, &cut(100 + MSS, 1)), [true]);
    assert_eq!(copies(&mut pieces, &cut(100, 1)), [true]);
}

#[test]
fn what_comes_to_each_point_first_now_and_then() {
    let mut pieces = known();
    assert_eq!(copies(&mut pieces, &[cut(100, 3), vec![data(0, 100, 3 * MSS)]].concat()), [false, false, false, true]);
    assert_eq!(copies(&mut pieces, &[cut(100, 3), vec![data(0, 100, 3 * MSS)]].concat()), [false, false, false, true]);
    follows(&mut pieces, data(0, 100, 3 * MSS));
}

#[test]
fn three_points_of_which_one_has_the_pieces() {
    let mut pieces = known();
    let (first, second) = (data(0, 100, 3 * MSS), data(2, 100, 3 * MSS));
    let show = |pieces: &mut Pieces, ts_ns| {
        assert_eq!(copies(pieces, &[Header { ts_ns, ..first }]), [false]);
        pieces.pair(&Header { ts_ns: ts_ns + 5, ..second }, Place::of(&first), ts_ns);
        assert_eq!(copies(pieces, &cut(100, 3)), [true; 3]);
    };
    (0..3).for_each(|round| show(&mut pieces, round * 10));
    assert_eq!(copies(&mut pieces, &[second]), [false]);
    assert_eq!(copies(&mut pieces, &[cut(100, 3), cut(100, 3)].concat()), [true, true, true, false, false, false]);
}

#[test]
fn what_is_due_is_forgotten() {
    let at = |header: Header, ts_ns| Header { ts_ns, ..header };
    let mut pieces = known();
    follows(&mut pieces, data(0, 100, 2 * MSS));
    assert_eq!(copies(&mut pieces, &[data(0, 100, 2 * MSS)]), [false]);
    let late = [at(data(1, 100, MSS), RECENT_NS as i64), at(data(1, 100 + MSS, MSS), RECENT_NS as i64 + 1)];
    assert_eq!(copies(&mut pieces, &late), [true, false]);
    let mut pieces = known();
    let count = MOST_DUE as u32 + 1;
    follows(&mut pieces, data(0, 100, count * MSS));
    let again: Vec<_> = (0..count).map(|piece| data(0, 100 + piece * MSS, MSS)).collect();
    assert_eq!(copies(&mut pieces, &again), vec![false; again.len()]);
    assert_eq!(copies(&mut pieces, &cut(100, 2)), [false, true], "the newest ones are known");
}
