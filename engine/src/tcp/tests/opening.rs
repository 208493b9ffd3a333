//! Opening: handshakes, their failures, and captures that begin in the middle (semantics A1, A2).

use super::*;
use crate::record::{Close, Quality, ResetKind};

#[test]
fn a_handshake_opens_both() {
    let facts = run_from(&OPEN, BASES[0]);
    let r = &facts.records[0];
    assert_eq!((r.close, r.role_basis, r.handshake_rtt_ns), (Close::Open, RoleBasis::Syn, Some(ns(0.002))));
    assert_eq!(r.sides.each_ref().map(|s| s.state), [State::Established; 2]);
    assert_eq!(r.sides.each_ref().map(|s| s.state_proved), [State::Established, State::SynReceived]);
    assert_eq!(r.history.to_string(), "ShA");
    assert!(facts.anomalies.is_empty());
}

#[test]
fn a_syn_without_answer() {
    let lines = [(0.0, 'c', S, 0, 0, 0), (1.0, 'c', S, 0, 0, 0), (3.0, 'c', S, 0, 0, 0)];
    situation(&lines, |records| {
        let [r] = records else { panic!("a repeated SYN is the same connection") };
        assert_eq!((r.close, r.syn_count, r.quality), (Close::Unanswered, 3, Quality(0)));
        assert_eq!(r.sides.each_ref().map(|s| s.state), [State::SynSent, State::Listen]);
    });
}

/// Of one direction alone: a client acknowledges a SYN-ACK that it has had; a server that acknowledges more than the SYN
/// has had the client's ACK, and what it sends says so.
#[test]
fn whoever_goes_on_is_open_though_the_other_direction_is_missing() {
    use State::{Established, Listen, SynReceived, SynSent};
    let (syn, syn_ack) = ((0.0, 'c', S, 0, 0, 0), (0.1, 's', SA, 0, 1, 0));
    let cases = [
        (vec![syn], [(SynSent, SynSent), (Listen, Listen)], Close::Unanswered),
        (vec![syn, (0.2, 'c', A, 1, 1, 0)], [(Established, Established), (Established, SynReceived)], Close::Open),
        (vec![syn_ack], [(Established, SynSent), (SynReceived, SynReceived)], Close::HalfOpen),
        (vec![syn_ack, syn_ack], [(Established, SynSent), (SynReceived, SynReceived)], Close::HalfOpen),
        (vec![syn_ack, (0.2, 's', P, 1, 1, 9)], [(Established, SynSent), (Established, SynReceived)], Close::Open),
        (vec![syn_ack, (0.2, 's', A, 1, 30, 0)], [(Established, Established); 2], Close::Open),
        (vec![syn, syn_ack, (0.2, 's', A, 1, 30, 0)], [(Established, Established); 2], Close::Open),
    ];
    for (lines, states, close) in cases {
        situation(&lines, |records| {
            let [r] = records else { panic!("one connection: {lines:?}") };
            assert_eq!(r.sides.each_ref().map(|s| (s.state, s.state_proved)), states, "{lines:?}");
            assert_eq!(r.close, close, "{lines:?}");
        });
    }
}

#[test]
fn a_refusal() {
    situation(&[(0.0, 'c', S, 0, 0, 0), (0.1, 's', RA, -5000, 1, 0)], |records| {
        let r = &records[0];
        assert_eq!((r.close, r.reset.map(|x| x.kind)), (Close::Refused, Some(ResetKind::Refused)));
        assert_eq!(r.sides.each_ref().map(|s| s.state), [State::Closed; 2]);
    });
}

/// Data far from the refused attempt's numbers belongs to a connection whose handshake was not captured, whatever it
/// acknowledges: the refusal had no number of its own. Near ones are the same connection's, which the reset did not end.
#[test]
fn data_after_a_refusal_is_the_next_connection_s_unless_it_goes_on_from_it() {
    for (seq, bytes) in [(900_000_000, vec![0, 28]), (1, vec![28])] {
        let lines = [(0.0, 'c', S, 0, 0, 0), (0.1, 's', RA, -5000, 1, 0), (9.0, 'c', A, seq, -5000, 28)];
        situation(&lines, |records| {
            assert_eq!(records.iter().map(|r| r.sides[0].bytes).collect::<Vec<_>>(), bytes);
            assert_eq!(records.last().is_some_and(|r| r.close == Close::Open), records.len() == 2);
        });
    }
}

/// Whichever packet of the handshake the capture lost, the side that closed first waits, and the other does not.
#[test]
fn a_lost_packet_of_the_handshake_changes_nothing_in_the_close() {
    for (close, holder) in [(&SERVER_CLOSE, Role::Server), (&CLIENT_CLOSE, Role::Client)] {
        for lost in 0..OPEN.len() {
            let mut lines = [&OPEN[..], &[(0.5, 'c', P, 1, 1, 0), (0.6, 's', A, 1, 1, 0)], close].concat();
            lines.remove(lost);
            situation(&lines, |records| {
                let [r] = records else { panic!("one connection without packet {lost}") };
                let waits = r.sides.each_ref().map(|side| side.time_wait.is_some());
                assert_eq!(waits, [holder == Role::Client, holder == Role::Server], "without packet {lost}");
                assert_eq!(r.sides[holder as usize].state, State::TimeWait, "without packet {lost}");
                assert_eq!(r.sides[holder.peer() as usize].state, State::Closed, "without packet {lost}");
            });
        }
    }
}

#[test]
fn a_silent_client_leaves_it_half_open() {
    situation(&[(0.0, 'c', S, 0, 0, 0), (0.1, 's', SA, 0, 1, 0), (1.1, 's', SA, 0, 1, 0)], |records| {
        assert_eq!(records[0].close, Close::HalfOpen);
        assert_eq!(records[0].sides[1].state, State::SynReceived);
    });
}

#[test]
fn crossing_syns_open_one_connection() {
    let lines = [(0.0, 'c', S, 0, 0, 0), (0.01, 's', S, 0, 0, 0), (0.05, 'c', SA, 0, 1, 0), (0.06, 's', SA, 0, 1, 0)];
    situation(&lines, |records| {
        let [r] = records else { panic!("one connection, not {}", records.len()) };
        assert_eq!(r.sides.each_ref().map(|s| s.state), [State::Established; 2]);
    });
}

#[test]
fn data_before_the_syn_in_the_capture_is_the_same_connection() {
    let lines =
        [(0.0, 's', SA, 0, 1, 0), (0.0001, 'c', S, 0, 0, 0), (0.001, 'c', P, 1, 1, 10), (0.0011, 'c', A, 1, 1, 0)];
    situation(&lines, |records| {
        let [r] = records else { panic!("one connection, not {}", records.len()) };
        assert_eq!((r.sides[0].bytes, r.role_basis), (10, RoleBasis::Syn));
    });
}

#[test]
fn a_capture_that_begins_midway_knows_the_service_by_its_port() {
    situation(&[(0.0, 's', P, 100, 50, 10), (0.1, 'c', A, 50, 110, 0)], |records| {
        let r = &records[0];
        assert_eq!((r.server.1, r.role_basis, r.close), (80, RoleBasis::Port, Close::Open));
        assert_eq!(r.quality.0 & Quality::MIDSTREAM, Quality::MIDSTREAM);
    });
}

#[test]
fn a_syn_with_data_that_is_not_accepted_is_sent_again() {
    let lines = [(0.0, 'c', S, 0, 0, 20), (0.1, 's', SA, 0, 1, 0), (0.2, 'c', P, 1, 1, 20), (0.3, 's', A, 1, 21, 0)];
    situation(&lines, |records| {
        assert_eq!((records[0].sides[0].bytes, records[0].sides[0].retransmits), (20, 1));
        assert_eq!(records.len(), 1);
    });
}

#[test]
fn a_stale_half_open_peer_is_reset_and_the_new_one_opens() {
    let lines = after_open(&[
        (100.0, 'c', S, 800_000, 0, 0),
        (100.001, 's', A, 1, 1, 0), // it still thinks the old one is open
        (100.002, 'c', R, 1, 0, 0),
        (101.0, 'c', S, 800_000, 0, 0),
        (101.001, 's', SA, 3_000_000, 800_001, 0),
        (101.002, 'c', A, 800_001, 3_000_001, 0),
    ]);
    situation(&lines, |records| {
        let [old, new] = records else { panic!("two connections, not {}", records.len()) };
        assert_eq!(new.close, Close::Open);
        assert_eq!(new.sides.each_ref().map(|s| s.state), [State::Established; 2]);
        assert_eq!((old.close, old.reset.map(|x| x.kind)), (Close::Reset, Some(ResetKind::NoState)));
    });
}

#[test]
fn bytes_before_the_first_captured_one_are_new_where_the_opening_is_missing() {
    // The tap shows the second segment first; its repetition is still one.
    let lines = [(0.0, 'c', P, 11, 1, 20), (0.001, 'c', P, 1, 1, 10), (0.002, 'c', P, 1, 1, 10)];
    situation(&lines, |records| {
        let side = &records[0].sides[0];
        assert_eq!((side.bytes, side.retransmits), (30, 1));
    });
}

#[test]
fn bytes_after_a_fin_that_was_captured_first_count_once() {
    let lines = [(0.0, 's', F, 1001, 1, 0), (0.001, 's', P, 1, 1, 1000)];
    situation(&lines, |records| {
        let bytes: u64 = records[0].sides.iter().map(|side| side.bytes).sum();
        assert_eq!(bytes, 1000);
    });
}
