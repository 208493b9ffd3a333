//! Closing: who was first, and in which states the sides end (semantics A3-A8, F1-F4, F8, F9).

use super::*;
use crate::record::{ActiveCloser, Close, CloserBasis, Quality, ResetBy, ResetEffect, ResetKind};

#[test]
fn vector_01_client_closes_and_waits_from_its_last_ack() {
    situation(&closed(&CLIENT_CLOSE, &[]), |records| {
        let [r] = records else { panic!("one connection") };
        assert_eq!(
            (r.close, r.active_closer, r.closer_basis),
            (Close::Fin, ActiveCloser::Client, CloserBasis::Acknowledged)
        );
        assert_eq!(r.closer.map(|m| m.frame()), Some(4));
        let wait = wait_of(r, Role::Client);
        assert_eq!((wait.start.frame(), wait.start_uncertainty_ns, wait.restarts), (7, 0, 0));
        assert!(r.sides[1].time_wait.is_none());
        assert_eq!(r.sides.each_ref().map(|s| s.state), [State::TimeWait, State::Closed]);
        assert_eq!(r.sides.each_ref().map(|s| s.state_proved), [State::TimeWait, State::LastAck]);
    });
}

#[test]
fn three_segment_close_is_the_same() {
    let lines = after_open(&[(1.0, 's', F, 1, 1, 0), (1.1, 'c', F, 1, 2, 0), (1.2, 's', A, 2, 2, 0)]);
    situation(&lines, |records| {
        assert_eq!(records[0].active_closer, ActiveCloser::Server);
        assert_eq!(wait_of(&records[0], Role::Server).start.frame(), 6);
        assert_eq!(records[0].sides.each_ref().map(|s| s.state), [State::Closed, State::TimeWait]);
    });
}

#[test]
fn vector_02_crossing_fins_make_both_wait() {
    let lines = after_open(&[
        (1.0, 'c', F, 1, 1, 0),
        (1.001, 's', F, 1, 1, 0),
        (1.050, 'c', A, 2, 2, 0),
        (1.051, 's', A, 2, 2, 0),
    ]);
    situation(&lines, |records| {
        let [r] = records else { panic!("one connection") };
        assert_eq!(
            (r.close, r.active_closer, r.closer_basis),
            (Close::Simultaneous, ActiveCloser::Both, CloserBasis::Crossed)
        );
        assert_eq!(r.sides.each_ref().map(|s| s.state), [State::TimeWait, State::TimeWait]);
        // From CLOSING it starts when the ACK of the own FIN arrives: not before the tap saw it.
        assert_eq!(wait_of(r, Role::Client).start.frame(), 7);
        assert!(wait_of(r, Role::Client).start_uncertainty_ns > 0);
        // The server's own ACK of the FIN is captured last: only then has it both.
        assert_eq!(wait_of(r, Role::Server).start.frame(), 7);
    });
}

#[test]
fn vector_03_a_fin_captured_first_is_not_the_first_fin() {
    let lines = after_open(&[
        (1.000, 's', F, 1, 2, 0), // acknowledges the client's FIN, which the tap shows later
        (1.0001, 'c', F, 1, 1, 0),
        (1.001, 'c', A, 2, 2, 0),
    ]);
    situation(&lines, |records| {
        assert_eq!(records[0].active_closer, ActiveCloser::Client);
        assert_eq!(records[0].sides.each_ref().map(|s| s.state), [State::TimeWait, State::Closed]);
        assert_eq!(wait_of(&records[0], Role::Client).start.frame(), 6);
    });
}

#[test]
fn only_a_retransmitted_fin_is_ambiguous() {
    let lines = after_open(&[
        (1.0, 's', F, 1, 1, 0), // does not acknowledge the client's FIN
        (1.1, 's', A, 2, 2, 0), // but this does: the client's first FIN was lost by the capture
        (1.3, 'c', F, 1, 2, 0),
    ]);
    situation(&lines, |records| {
        assert_eq!(records[0].active_closer, ActiveCloser::Ambiguous);
        assert_eq!(records[0].closer_basis, CloserBasis::RetransmissionOnly);
    });
}

#[test]
fn a_fin_captured_just_after_its_acknowledgment_is_no_retransmission() {
    let lines = after_open(&[(1.0, 's', F, 1, 1, 0), (1.0001, 's', A, 2, 2, 0), (1.0002, 'c', F, 1, 2, 0)]);
    situation(&lines, |records| {
        assert_eq!(records[0].active_closer, ActiveCloser::Server);
        assert!(records[0].sides[0].time_wait.is_none() && records[0].sides[1].time_wait.is_some());
    });
}

#[test]
fn only_the_certain_wait_is_told_of_an_ambiguous_close() {
    let lines =
        after_open(&[(1.0, 's', F, 1, 1, 0), (1.1, 's', A, 2, 2, 0), (1.3, 'c', F, 1, 2, 0), (1.4, 's', A, 2, 2, 0)]);
    situation(&lines, |records| {
        assert_eq!(records[0].sides.each_ref().map(|s| s.time_wait.is_some()), [false, true]);
    });
}

#[test]
fn a_late_copy_of_the_closers_fin_does_not_end_its_wait() {
    let lines = closed(&SERVER_CLOSE, &[(1.0085, 's', F, 1, 1, 0)]);
    situation(&lines, |records| {
        assert_eq!(wait_of(&records[0], Role::Server).start.frame(), 7);
        assert_eq!(records[0].sides.each_ref().map(|s| s.state), [State::Closed, State::TimeWait]);
    });
}

#[test]
fn one_direction_does_not_tell_who_closed() {
    let lines = [
        (0.0, 'c', S, 0, 0, 0),
        (0.002, 'c', A, 1, 1, 0),
        (1.0, 'c', P, 1, 1, 100),
        (1.1, 'c', F, 101, 202, 0),
        (1.2, 'c', A, 102, 203, 0),
    ];
    situation(&lines, |records| {
        assert_eq!(
            (records[0].active_closer, records[0].closer_basis),
            (ActiveCloser::Ambiguous, CloserBasis::SingleFin)
        );
    });
}

#[test]
fn one_fin_leaves_the_connection_half_closed() {
    let lines = after_open(&[
        (1.0, 'c', F, 1, 1, 0),
        (1.1, 's', A, 1, 2, 0),
        (1.2, 's', P, 1, 2, 100),
        (1.3, 'c', A, 2, 101, 0),
    ]);
    situation(&lines, |records| {
        let r = &records[0];
        assert_eq!((r.close, r.closer_basis), (Close::HalfClosed, CloserBasis::SingleFin));
        assert_eq!(r.sides.each_ref().map(|s| s.state), [State::FinWait2, State::CloseWait]);
        assert_eq!(r.sides[1].bytes, 100);
        // The client acknowledged data sent after the ACK of its FIN: it has that ACK.
        assert_eq!(r.sides[0].state_proved, State::FinWait2);
    });
}

#[test]
fn an_unacknowledged_fin_proves_only_fin_wait_1() {
    situation(&after_open(&[(1.0, 'c', F, 1, 1, 0), (1.1, 's', A, 1, 2, 0)]), |records| {
        assert_eq!(records[0].sides[0].state, State::FinWait2);
        assert_eq!(records[0].sides[0].state_proved, State::FinWait1);
    });
}

#[test]
fn vector_08_reset_on_late_data() {
    let lines = after_open(&[
        (1.0, 'c', F, 1, 1, 0),
        (1.1, 's', A, 1, 2, 0),
        (1.2, 's', P, 1, 2, 100),
        (1.2001, 'c', R, 2, 0, 0),
    ]);
    situation(&lines, |records| {
        let r = &records[0];
        let reset = r.reset.expect("a reset");
        assert_eq!(
            (reset.kind, reset.by, reset.effect),
            (ResetKind::LateData, ResetBy::Client, ResetEffect::Effective)
        );
        assert_eq!(reset.provoked_by, Some(Role::Server));
        assert_eq!((r.close, r.active_closer), (Close::ResetAfterFin, ActiveCloser::Client));
        assert!(r.sides.iter().all(|s| s.time_wait.is_none() && s.state == State::Closed));
    });
}

#[test]
fn vector_09_a_reset_that_misses_has_no_effect() {
    let lines = after_open(&[
        (1.0, 'c', P, 1, 1, 100),
        (1.1, 's', A, 1, 101, 0),
        (1.2, 'c', R, 150, 0, 0), // in the window, not at RCV.NXT
        (1.3, 'c', P, 101, 1, 100),
        (1.4, 's', A, 1, 201, 0),
    ]);
    situation(&lines, |records| {
        let r = &records[0];
        assert_eq!((r.close, r.ineffective_resets), (Close::Open, 1));
        assert_eq!(r.reset.map(|x| x.effect), Some(ResetEffect::Ineffective));
        assert_eq!(r.sides.each_ref().map(|s| s.state), [State::Established; 2]);
    });
}

#[test]
fn a_forged_reset_that_hits_is_refuted_by_the_flow_going_on() {
    let lines = after_open(&[
        (1.0, 'c', P, 1, 1, 100),
        (1.1, 's', A, 1, 101, 0),
        (1.2, 'C', R, 101, 0, 0),
        (1.3, 'c', P, 101, 1, 100),
        (1.4, 's', A, 1, 201, 0),
    ]);
    situation(&lines, |records| {
        let r = &records[0];
        let reset = r.reset.expect("a reset");
        assert_eq!(
            (reset.kind, reset.by, reset.effect),
            (ResetKind::Injected, ResetBy::Middlebox, ResetEffect::Ineffective)
        );
        assert_eq!(r.close, Close::Open);
    });
}

#[test]
fn an_abort_names_its_sender() {
    let lines = after_open(&[(1.0, 'c', P, 1, 1, 100), (1.1, 's', RA, 1, 101, 0)]);
    situation(&lines, |records| {
        let r = &records[0];
        assert_eq!(
            (r.close, r.active_closer, r.closer_basis),
            (Close::Reset, ActiveCloser::Server, CloserBasis::Abort)
        );
        assert_eq!(r.idle_before_close_ns, Some(ns(0.1)));
        assert!(r.sides.iter().all(|s| s.time_wait.is_none()));
    });
}

#[test]
fn a_keepalive_is_neither_data_nor_activity() {
    let lines = after_open(&[
        (1.0, 'c', P, 1, 1, 100),
        (1.1, 's', A, 1, 101, 0),
        (30.0, 'c', A, 100, 1, 0),
        (30.1, 's', A, 1, 101, 0),
        (31.0, 'c', A, 100, 1, 1), // with one byte of garbage, as some stacks send
        (40.0, 'c', F, 101, 1, 0),
    ]);
    situation(&lines, |records| {
        assert_eq!(records[0].sides[0].bytes, 100);
        assert_eq!(records[0].sides[0].retransmits, 0);
        assert_eq!(records[0].idle_before_close_ns, Some(ns(39.0)));
        assert_eq!(records[0].quality, Quality(0));
    });
}

#[test]
fn a_fin_that_arrives_before_missing_data_counts_at_its_place() {
    let lines = after_open(&[
        (1.0, 's', F, 101, 1, 0), // the data before it comes later
        (1.01, 's', P, 1, 1, 100),
        (1.02, 'c', A, 1, 102, 0),
        (1.03, 'c', F, 1, 102, 0),
        (1.04, 's', A, 102, 2, 0),
    ]);
    situation(&lines, |records| {
        assert_eq!(records[0].active_closer, ActiveCloser::Server);
        assert_eq!(records[0].sides[1].bytes, 100);
        assert_eq!(wait_of(&records[0], Role::Server).start.frame(), 8);
    });
}

#[test]
fn a_fin_repeated_while_its_acknowledgment_is_on_its_way_is_acknowledged() {
    let lines = after_open(&[
        (1.0, 'c', F, 1, 1, 0),
        (1.00001, 's', F, 1, 1, 0),
        (1.00002, 's', F, 1, 2, 0),
        (1.00003, 'c', F, 1, 2, 0), // sent before the one above arrived
        (1.00005, 'c', A, 2, 2, 0), // the answer to it: already waiting
        (1.00006, 's', A, 2, 2, 0),
    ]);
    situation(&lines, |records| {
        let wait = wait_of(&records[0], Role::Client);
        assert_eq!((records[0].close, wait.start.frame()), (Close::Simultaneous, 7));
    });
}

#[test]
fn a_fin_repeated_by_its_timer_was_not_acknowledged() {
    let lines = after_open(&[(1.0, 'c', F, 1, 1, 0), (1.001, 's', A, 1, 2, 0), (1.2, 'c', F, 1, 1, 0)]);
    situation(&lines, |records| assert_eq!(records[0].sides[0].state, State::FinWait1));
}

#[test]
fn a_refuted_reset_is_not_the_close_that_ended_the_silence() {
    let lines = after_open(&[
        (1.0, 'c', P, 1, 1, 10),
        (2.0, 'S', R, 1, 0, 0),
        (2.1, 's', P, 1, 11, 5), // its supposed sender goes on
        (2.2, 'c', F, 11, 6, 0),
    ]);
    situation(&lines, |records| assert_eq!(records[0].idle_before_close_ns, Some(100_000_000)));
}
