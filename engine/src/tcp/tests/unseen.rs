//! What is missing of a close, as far as what was captured shows it (semantics A3, A4; RFC 9293 §3.6).

use super::*;
use crate::record::{ActiveCloser, Close, CloserBasis};

/// Of the one connection: whether somebody may have closed, and whether somebody may wait.
fn check(lines: &[Line], close: Close, may_have: (bool, bool)) {
    situation(lines, |records| {
        let r = &records[0];
        let closer = if may_have.0 { ActiveCloser::Ambiguous } else { ActiveCloser::None };
        assert_eq!((r.close, r.active_closer, r.closer_basis), (close, closer, CloserBasis::NoClose), "{lines:?}");
        assert_eq!(r.may_wait_unseen, may_have.1, "{lines:?}");
        assert!(r.sides.iter().all(|side| side.time_wait.is_none()));
    });
}

/// A server's direction alone: 40 bytes, and an acknowledgment with this number.
fn server_only(number: i64) -> [Line; 3] {
    [(0.001, 's', SA, 0, 1, 0), (0.1, 's', P, 1, 28, 40), (1.1, 's', A, number, 29, 0)]
}

#[test]
fn a_number_behind_all_bytes_of_the_only_direction_may_be_a_fin() {
    check(&server_only(41), Close::Open, (false, false));
    check(&server_only(42), Close::Open, (false, true));
    check(&server_only(81), Close::Open, (false, true));
}

#[test]
fn a_reset_in_one_direction_does_not_say_that_nobody_had_waited() {
    let last = (0.0, 'c', A, 29, 42, 0);
    check(&[last], Close::Open, (false, true));
    check(&[last, (70.0, 'c', R, 29, 0, 0)], Close::Reset, (true, true));
    // Who is answered at once still had a socket.
    check(&[last, (0.001, 's', R, 42, 0, 0)], Close::Reset, (false, false));
}

#[test]
fn a_bare_resets_number_is_its_senders() {
    for (number, may_have) in [(28, false), (29, true)] {
        let lines = [
            (0.0, 'c', S, 0, 0, 0),
            (0.002, 'c', A, 1, 1, 0),
            (0.1, 'c', P, 1, 1, 27),
            (0.2, 'c', A, 28, 41, 0),
            (70.0, 'c', R, number, 0, 0),
        ];
        check(&lines, Close::Reset, (may_have, may_have));
    }
}

#[test]
fn of_a_half_close_begun_unseen_the_second_fin_may_be_lost() {
    let data = [(0.0, 's', P, 1, 30, 1200), (0.01, 'c', A, 30, 1201, 0)];
    let last = (0.1, 'c', A, 30, 1202, 0);
    check(&data, Close::Open, (false, false));
    check(&[data[0], data[1], last], Close::Open, (false, true));
    // Who still sends had not closed, so there is one FIN at the most.
    let client = [(0.02, 'c', P, 30, 1201, 5), (0.1, 'c', A, 35, 1202, 0)];
    check(&[&data[..], &client].concat(), Close::Open, (false, false));
}

#[test]
fn of_two_directions_one_that_hides_something_hides_no_time_wait() {
    let ack = |number| after_open(&[(0.1, 'c', P, 1, 1, 27), (0.2, 's', A, 1, number, 0)]);
    check(&ack(28), Close::Open, (false, false));
    check(&ack(29), Close::Open, (false, false));
    check(&ack(128), Close::Open, (false, false));
    // Nothing is known of the server but that it is there: all was lost between the client's SYN and its last ACK.
    let late = [(0.0, 'c', S, 0, 0, 0), (1.0, 's', A, 155, 38, 0), (1.001, 'c', A, 38, 155, 0)];
    check(&late, Close::Open, (false, true));
    // Both do: two FINs may be missing.
    let both = [(0.1, 'c', P, 1, 1, 27), (0.2, 's', A, 2, 29, 0), (0.3, 'c', A, 29, 2, 0)];
    check(&after_open(&both), Close::Open, (false, true));
}
