//! Evidence of TIME_WAIT's length (semantics B1, B3, F4-F7, F10).

use super::*;
use crate::record::{Close, TimeWaitEnd};
use crate::tcp::time_wait::recycled_isn;

#[test]
fn vector_04_a_fin_repeated_and_acknowledged_restarts() {
    let lines = closed(&CLIENT_CLOSE, &[(21.003, 's', F, 1, 2, 0), (21.0031, 'c', A, 2, 2, 0)]);
    situation(&lines, |records| {
        let wait = wait_of(&records[0], Role::Client);
        assert_eq!((wait.restarts, wait.restarted_ns), (1, ns(21.0031)));
        assert_eq!(wait.alive.map(|m| m.frame()), Some(9));
        assert_eq!((wait.start.frame(), wait.gone), (7, None));
    });
}

#[test]
fn a_fin_repeated_and_not_answered_proves_nothing() {
    let lines = closed(&CLIENT_CLOSE, &[(21.0, 's', F, 1, 2, 0)]);
    situation(&lines, |records| {
        let wait = wait_of(&records[0], Role::Client);
        assert_eq!((wait.restarts, wait.alive, wait.gone), (0, None, None));
        assert_eq!(wait.possibly_restarted_ns, ns(21.0));
    });
}

#[test]
fn vector_05_a_bare_reset_shows_it_gone() {
    let lines = closed(&CLIENT_CLOSE, &[(71.003, 's', F, 1, 2, 0), (71.0031, 'c', R, 2, 0, 0)]);
    situation(&lines, |records| {
        assert_eq!(wait_of(&records[0], Role::Client).gone.map(|m| m.frame()), Some(9));
        assert_eq!(records[0].close, Close::Fin);
    });
}

#[test]
fn vector_05_not_if_a_middlebox_answers() {
    let lines = closed(&CLIENT_CLOSE, &[(71.003, 's', F, 1, 2, 0), (71.0031, 'C', R, 2, 0, 0)]);
    situation(&lines, |records| assert_eq!(wait_of(&records[0], Role::Client).gone, None));
}

/// A reuse of the 4-tuple: client ISN, server ISN, both relative to the first incarnation's.
fn reuse(at: f64, client: i64, server: i64) -> Vec<Line> {
    vec![
        (at, 'c', S, client, 0, 0),
        (at + 0.001, 's', SA, server, client + 1, 0),
        (at + 0.002, 'c', A, client + 1, server + 1, 0),
    ]
}

/// SND.NXT of the side that closed, relative to its ISN, plus Linux's step.
const RECYCLED: i64 = 2 + 65_537;

#[test]
fn vector_06_a_recycled_isn_is_exact() {
    situation(&closed(&SERVER_CLOSE, &reuse(31.003, 900_000, RECYCLED)), |records| {
        let [old, new] = records else { panic!("two connections") };
        let (mark, end) = wait_of(old, Role::Server).ended.expect("exact");
        assert_eq!((mark.ts_ns - wait_of(old, Role::Server).start.ts_ns, end), (ns(30.001), TimeWaitEnd::Reused));
        assert_eq!(new.reuse_of, Some((0, ns(30.0))));
        assert_eq!(new.close, Close::Open);
        // Its ISN follows the old sequence space and not the clock, which therefore says nothing of the host (U3).
        assert_eq!(wait_of(old, Role::Server).same_host, None);
    });
}

#[test]
fn vector_06_a_fresh_isn_bounds_from_above() {
    situation(&closed(&SERVER_CLOSE, &reuse(62.003, 900_000, 123_456_789)), |records| {
        let wait = wait_of(&records[0], Role::Server);
        assert_eq!((wait.ended, wait.gone.map(|m| m.ts_ns)), (None, Some(ns(62.004))));
        assert_eq!(records.len(), 2);
    });
}

#[test]
fn the_clients_own_syn_recycles_its_time_wait() {
    situation(&closed(&CLIENT_CLOSE, &reuse(2.503, RECYCLED, 77_777_777)), |records| {
        let (mark, end) = wait_of(&records[0], Role::Client).ended.expect("exact");
        assert_eq!((mark.frame(), end), (8, TimeWaitEnd::Reused));
    });
}

#[test]
fn recycled_isns_skip_zero() {
    assert_eq!(recycled_isn(u32::MAX - 65_536), 1);
}

#[test]
fn vector_07_challenged_killed_and_accepted_is_one_new_incarnation() {
    let lines = closed(
        &SERVER_CLOSE,
        &[
            (5.0, 'c', S, -500, 0, 0),   // an ISN below RCV.NXT: not acceptable
            (5.001, 's', A, 2, 2, 0),    // the challenge, with the old numbers
            (5.002, 'c', R, 2, 0, 0),    // no such connection here
            (5.010, 'c', S, -500, 0, 0), // the same SYN
            (5.011, 's', SA, 9_999_999, -499, 0),
            (5.012, 'c', A, -499, 10_000_000, 0),
        ],
    );
    situation(&lines, |records| {
        let [old, new] = records else { panic!("two connections, not {}", records.len()) };
        let wait = wait_of(old, Role::Server);
        assert_eq!(wait.ended.map(|(m, e)| (m.frame(), e)), Some((10, TimeWaitEnd::Killed)));
        assert_eq!(wait.alive.map(|m| m.frame()), Some(9));
        assert_eq!((new.syn_count, new.close), (2, Close::Open));
        assert_eq!(new.sides.each_ref().map(|s| s.state), [State::Established; 2]);
    });
}

#[test]
fn rfc1337_keeps_it_through_the_reset() {
    let lines = closed(
        &SERVER_CLOSE,
        &[
            (5.0, 'c', S, -500, 0, 0),
            (5.001, 's', A, 2, 2, 0),
            (5.002, 'c', R, 2, 0, 0),
            (6.0, 'c', S, -500, 0, 0),
            (6.001, 's', A, 2, 2, 0),
        ],
    );
    situation(&lines, |records| {
        let wait = wait_of(&records[0], Role::Server);
        assert_eq!((wait.ended, wait.possibly_killed), (None, None));
        assert_eq!(wait.alive.map(|m| m.frame()), Some(12));
    });
}

#[test]
fn a_reset_at_rcv_nxt_may_have_killed() {
    let lines = closed(&SERVER_CLOSE, &[(5.0, 'c', R, 2, 0, 0)]);
    situation(&lines, |records| {
        assert_eq!(wait_of(&records[0], Role::Server).possibly_killed.map(|m| m.frame()), Some(8));
    });
}

#[test]
fn vector_10_silence_proves_nothing() {
    situation(&closed(&CLIENT_CLOSE, &[]), |records| {
        let wait = wait_of(&records[0], Role::Client);
        assert_eq!((wait.alive, wait.gone, wait.ended, wait.possibly_killed), (None, None, None, None));
    });
}

#[test]
fn a_lost_last_ack_still_begins_it_at_the_peers_fin() {
    let lines = after_open(&[(1.0, 'c', F, 1, 1, 0), (1.1, 's', F, 1, 2, 0)]);
    situation(&lines, |records| {
        assert_eq!(wait_of(&records[0], Role::Client).start.ts_ns, ns(1.1));
        assert_eq!(records[0].sides[0].state_proved, State::FinWait1);
    });
}

#[test]
fn a_late_fin_whose_answer_was_not_captured_begins_none_for_certain() {
    let late = [(1.0, 'c', F, 1, 1, 0), (1.001, 's', A, 1, 2, 0), (9.0, 's', F, 1, 2, 0)];
    situation(&after_open(&late), |records| {
        assert!(records[0].sides.iter().all(|side| side.time_wait.is_none()));
        assert!(records[0].may_wait_unseen);
    });
    let again = [(9.2, 's', F, 1, 2, 0), (9.2001, 'c', A, 2, 2, 0)];
    situation(&after_open(&[&late[..], &again].concat()), |records| {
        assert_eq!(wait_of(&records[0], Role::Client).start.ts_ns, ns(9.2001));
    });
    // A second is soon enough for any FIN-WAIT-2, also where its beginning was not captured.
    for (fin, is_soon) in [(2.0, true), (2.001, false)] {
        situation(&after_open(&[(1.0, 'c', F, 1, 1, 0), (fin, 's', F, 1, 2, 0)]), |records| {
            assert_eq!(records[0].sides[0].time_wait.is_some(), is_soon);
            assert_eq!(records[0].may_wait_unseen, !is_soon);
        });
    }
}

#[test]
fn of_crossing_fins_one_acknowledgment_does_not_tell_who_waits() {
    for missing in [0, 1] {
        let acks = [(1.05, 's', A, 2, 2, 0), (1.06, 'c', A, 2, 2, 0)];
        let lines = [(1.0, 'c', F, 1, 1, 0), (1.01, 's', F, 1, 1, 0), acks[missing]];
        situation(&after_open(&lines), |records| {
            assert!(records[0].sides.iter().all(|side| side.time_wait.is_none()));
            assert!(records[0].may_wait_unseen);
        });
    }
}

#[test]
fn the_same_isn_long_after_a_complete_close_is_a_new_connection() {
    let lines = closed(
        &SERVER_CLOSE,
        &[(90.0, 'c', S, 0, 0, 0), (90.001, 's', SA, 7_000_000, 1, 0), (90.002, 'c', A, 1, 7_000_001, 0)],
    );
    situation(&lines, |records| {
        assert_eq!(records.len(), 2);
        let wait = wait_of(&records[0], Role::Server);
        assert_eq!((wait.alive, wait.restarts, wait.gone.map(|m| m.frame())), (None, 0, Some(9)));
    });
}

#[test]
fn many_incarnations_each_have_their_row() {
    let mut lines = Vec::new();
    for i in 0..50_i32 {
        let (t, isn) = (f64::from(i) * 2.0, i64::from(i) * 1_000_000);
        lines.extend(reuse(t, isn, isn + 7));
        lines.extend([
            (t + 0.01, 's', F, isn + 8, isn + 1, 0),
            (t + 0.02, 'c', F, isn + 1, isn + 9, 0),
            (t + 0.03, 's', A, isn + 9, isn + 2, 0),
        ]);
    }
    situation(&lines, |records| {
        assert_eq!(records.len(), 50);
        assert!(records.windows(2).all(|w| w[1].reuse_of.map(|r| r.0) == Some(w[0].ordinal)));
        assert!(records[..49].iter().all(|r| wait_of(r, Role::Server).gone.is_some()));
    });
}
