//! The TCP state machine as a table (RFC 9293 §3.3.2, figure 5).
//!
//! # Theory
//!
//! A connection is two machines, one per endpoint, and one table serves both: it knows no client and no server, only
//! "I sent" and "I received". An observer never sees a machine, only segments between two of them. So each endpoint is
//! run twice:
//!
//! * **assumed**: a segment seen at the tap counts as received at once. This is what a kernel's own table shows, give or
//!   take the way from the tap.
//! * **proved**: a segment counts as received when the endpoint's own later segment acknowledges it.
//!
//! The order in which events are fed is the *causal* one, not the order of capture ([`super::close`]): a FIN that
//! acknowledges the peer's FIN came after it, whatever the tap saw first.
//!
//! Who closes first (RFC 9293 §3.6) passes FIN-WAIT-1, FIN-WAIT-2 and TIME-WAIT; the other side passes CLOSE-WAIT and
//! LAST-ACK. Both pass CLOSING and TIME-WAIT when the FINs cross (§3.6, case 3).
//!
//! A pair in [`TRANSITIONS`] moves; a pair in [`NO_OPS`] is legal and keeps the state; every other pair keeps the state
//! and is counted as an anomaly: the capture lost something, or somebody forged something.

use crate::record::State;
use crate::words;

words! {
    /// What an endpoint did or learned.
    Event {
        /// It sent a SYN without ACK.
        SendSyn = "send_syn",
        /// It received a SYN without ACK.
        RecvSyn = "recv_syn",
        /// It sent a SYN-ACK.
        SendSynAck = "send_syn_ack",
        /// It received a SYN-ACK.
        RecvSynAck = "recv_syn_ack",
        /// Its SYN was acknowledged by a segment that is no SYN-ACK.
        RecvAckOfSyn = "recv_ack_of_syn",
        /// It was already open when the capture began.
        Found = "found",
        /// It sent its FIN.
        SendFin = "send_fin",
        /// Its FIN was acknowledged.
        RecvAckOfFin = "recv_ack_of_fin",
        /// It received the peer's FIN.
        RecvFin = "recv_fin",
        /// It sent a reset.
        SendRst = "send_rst",
        /// It received a reset that it accepts.
        RecvRst = "recv_rst",
        /// Its timer ran out: 2 MSL, or the patience of an orphan.
        Timeout = "timeout",
    }
}

use Event::{
    Found, RecvAckOfFin, RecvAckOfSyn, RecvFin, RecvRst, RecvSyn, RecvSynAck, SendFin, SendRst, SendSyn, SendSynAck,
    Timeout,
};
use State::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived, SynSent, TimeWait,
};

/// `state × event → state`. A row reads: in this state, when this happens, go there.
pub const TRANSITIONS: &[(State, Event, State)] = &[
    // Opening (§3.5).
    (Closed, SendSyn, SynSent),
    (Closed, SendSynAck, SynReceived), // the SYN itself was not captured
    (Closed, Found, Established),      // mid-stream pick-up
    (Listen, SendSynAck, SynReceived),
    (Listen, SendSyn, SynSent), // split handshake: the server answers with a SYN of its own
    (Listen, Found, Established),
    (Listen, SendRst, Closed), // refused: nobody listened
    (SynSent, RecvSynAck, Established),
    (SynSent, RecvSyn, SynReceived),      // simultaneous open: SYNs crossed
    (SynSent, SendSynAck, SynReceived),   // it answers a crossing SYN, so it has received it
    (Established, SendSyn, SynSent),      // a SYN repeated: the SYN-ACK did not arrive, or not yet
    (SynSent, RecvAckOfSyn, Established), // the SYN-ACK was not captured
    (SynSent, SendFin, FinWait1),         // likewise, and the first thing seen is the close
    (SynSent, RecvFin, CloseWait),
    (SynReceived, RecvAckOfSyn, Established),
    (SynReceived, RecvSynAck, Established), // simultaneous open: the SYN-ACK acknowledges ours
    (SynReceived, SendFin, FinWait1),       // CLOSE call before the handshake ends (§3.10.4)
    (SynReceived, RecvFin, CloseWait),
    // Closing first (§3.6, case 1).
    (Established, SendFin, FinWait1),
    (FinWait1, RecvAckOfFin, FinWait2),
    (FinWait2, RecvFin, TimeWait),
    // Closing second (§3.6, case 2).
    (Established, RecvFin, CloseWait),
    (CloseWait, SendFin, LastAck),
    (LastAck, RecvAckOfFin, Closed),
    // Closing at once (§3.6, case 3).
    (FinWait1, RecvFin, Closing),
    (Closing, RecvAckOfFin, TimeWait),
    // Resets (§3.5.3): whoever sends one, or accepts one, is done.
    (SynSent, SendRst, Closed),
    (SynReceived, SendRst, Closed),
    (Established, SendRst, Closed),
    (FinWait1, SendRst, Closed),
    (FinWait2, SendRst, Closed),
    (CloseWait, SendRst, Closed),
    (Closing, SendRst, Closed),
    (LastAck, SendRst, Closed),
    (TimeWait, SendRst, Closed), // a waiting socket sends none: it was gone before the peer's FIN came
    (SynSent, RecvRst, Closed),
    (SynReceived, RecvRst, Closed),
    (Established, RecvRst, Closed),
    (FinWait1, RecvRst, Closed),
    (FinWait2, RecvRst, Closed),
    (CloseWait, RecvRst, Closed),
    (Closing, RecvRst, Closed),
    (LastAck, RecvRst, Closed),
    (TimeWait, RecvRst, Closed), // unless net.ipv4.tcp_rfc1337 is 1: `time_wait` decides whether it is fed
    // Timers.
    (TimeWait, Timeout, Closed), // 2 MSL
    (FinWait2, Timeout, Closed), // Linux: tcp_fin_timeout, an orphan only
    (SynSent, Timeout, Closed),
    (SynReceived, Timeout, Closed),
    (FinWait1, Timeout, Closed), // an orphan whose FIN is never acknowledged
    (Closing, Timeout, Closed),
    (LastAck, Timeout, Closed),
];

/// Legal pairs that change nothing: repetitions, and what the state has already taken into account.
pub const NO_OPS: &[(State, Event)] = &[
    (SynSent, SendSyn),          // retransmission
    (Listen, RecvSyn),           // the answer decides
    (Listen, RecvRst),           // ignored (§3.10.7.2)
    (Closed, SendRst),           // the answer of no socket
    (Closed, RecvRst),           // already gone
    (Closed, RecvSyn),           // the answer decides
    (SynReceived, SendSynAck),   // retransmission, and the second half of a simultaneous open
    (SynReceived, RecvSyn),      // retransmission
    (Established, RecvSynAck),   // retransmitted SYN-ACK
    (Established, SendSynAck),   // the handshake's ACK was seen before, or lost on its way
    (Established, RecvAckOfSyn), // already counted
    (Established, RecvSyn),      // the peer's SYN, captured late or answered by a challenge ACK (RFC 5961 §4)
    (Established, Found),
    (TimeWait, RecvFin),  // the peer repeats its FIN: the timer restarts (§3.10.7.4)
    (CloseWait, RecvFin), // retransmission
    (Closing, RecvFin),   // retransmission
    (LastAck, RecvFin),   // retransmission
];

const STATES: usize = State::ALL.len();
const EVENTS: usize = Event::ALL.len();

/// One cell of the compiled table.
#[derive(Clone, Copy)]
enum Cell {
    Go(State),
    Stay,
    Anomaly,
}

/// [`TRANSITIONS`] and [`NO_OPS`] as an array, made at compile time.
static TABLE: [[Cell; EVENTS]; STATES] = {
    let mut table = [[Cell::Anomaly; EVENTS]; STATES];
    let mut i = 0;
    while i < NO_OPS.len() {
        let (state, event) = NO_OPS[i];
        table[state as usize][event as usize] = Cell::Stay;
        i += 1;
    }
    let mut i = 0;
    while i < TRANSITIONS.len() {
        let (state, event, next) = TRANSITIONS[i];
        table[state as usize][event as usize] = Cell::Go(next);
        i += 1;
    }
    table
};

/// A pair that the table does not know. The state is kept; the pair is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Anomaly(pub State, pub Event);

/// The state after an event.
///
/// # Errors
/// [`Anomaly`] for a pair that is neither a transition nor a named no-op; the caller keeps the state.
pub fn next(state: State, event: Event) -> Result<State, Anomaly> {
    match TABLE[state as usize][event as usize] {
        Cell::Go(to) => Ok(to),
        Cell::Stay => Ok(state),
        Cell::Anomaly => Err(Anomaly(state, event)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_pair_is_one_of_transition_no_op_or_anomaly() {
        let moves: HashSet<_> = TRANSITIONS.iter().map(|&(s, e, _)| (s, e)).collect();
        let stays: HashSet<_> = NO_OPS.iter().copied().collect();
        assert_eq!((moves.len(), stays.len()), (TRANSITIONS.len(), NO_OPS.len()), "a pair is listed twice");
        assert!(moves.is_disjoint(&stays));
        for &state in State::ALL {
            for &event in Event::ALL {
                let listed = TRANSITIONS.iter().find(|&&(s, e, _)| (s, e) == (state, event)).map(|t| t.2);
                let expected = match (listed, stays.contains(&(state, event))) {
                    (Some(to), _) => Ok(to),
                    (None, true) => Ok(state),
                    (None, false) => Err(Anomaly(state, event)),
                };
                assert_eq!(next(state, event), expected, "{state} × {event}");
            }
        }
    }

    /// A row of the walks below: the events of one life, and the states passed.
    fn walk(from: State, events: &[Event]) -> Vec<State> {
        events
            .iter()
            .scan(from, |state, &event| {
                *state = next(*state, event).expect("a legal life has no anomaly");
                Some(*state)
            })
            .collect()
    }

    #[test]
    fn active_close_of_rfc_9293_figure_12() {
        assert_eq!(
            walk(Established, &[SendFin, RecvAckOfFin, RecvFin, Timeout]),
            [FinWait1, FinWait2, TimeWait, Closed]
        );
    }

    #[test]
    fn passive_close_of_rfc_9293_figure_12() {
        assert_eq!(walk(Established, &[RecvFin, SendFin, RecvAckOfFin]), [CloseWait, LastAck, Closed]);
    }

    #[test]
    fn simultaneous_close_of_rfc_9293_figure_13() {
        assert_eq!(
            walk(Established, &[SendFin, RecvFin, RecvAckOfFin, Timeout]),
            [FinWait1, Closing, TimeWait, Closed]
        );
    }

    #[test]
    fn three_way_handshake_of_both_sides() {
        assert_eq!(walk(Closed, &[SendSyn, RecvSynAck]), [SynSent, Established]);
        assert_eq!(walk(Listen, &[RecvSyn, SendSynAck, RecvAckOfSyn]), [Listen, SynReceived, Established]);
    }

    #[test]
    fn simultaneous_open_of_rfc_9293_figure_8() {
        assert_eq!(
            walk(Closed, &[SendSyn, RecvSyn, SendSynAck, RecvSynAck]),
            [SynSent, SynReceived, SynReceived, Established]
        );
    }

    #[test]
    fn time_wait_from_fin_wait_2_restarts_and_ends() {
        assert_eq!(walk(FinWait2, &[RecvFin, RecvFin, Timeout]), [TimeWait, TimeWait, Closed]);
    }

    #[test]
    fn a_reset_closes_every_synchronized_state() {
        for state in [SynReceived, Established, FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWait] {
            assert_eq!(next(state, RecvRst), Ok(Closed));
        }
    }
}
