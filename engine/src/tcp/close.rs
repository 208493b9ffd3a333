//! Who closed, causally; and the states that follow from it (semantics A3, A4).
//!
//! Order of capture is not order of events: a tap may show the passive side's FIN first. What decides is each side's
//! *first* FIN and what it acknowledges. The close events of an endpoint are therefore put in causal order and run
//! through the table from the state in which the close found it, whenever one of them becomes known. There are at most
//! four, so this costs nothing that could be measured.

use super::endpoint::{Endpoint, Fin};
use super::seq;
use super::state::{self, Anomaly, Event};
use crate::record::{ActiveCloser, CloserBasis, Mark, Role, State};

/// Which reading of the wire is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Assumed,
    Proved,
}

/// How two FINs relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Mine came first: the peer's acknowledges it.
    Mine,
    /// The peer's came first: mine acknowledges it.
    Theirs,
    /// Neither acknowledges the other: they crossed.
    Crossed,
    /// Mine was captured only as a retransmission, whose acknowledgment came later and decides nothing.
    Undecided,
}

/// The causal order of two first FINs.
#[must_use]
pub fn order(mine: &Fin, theirs: &Fin) -> Order {
    let they_ack = theirs.acks(mine.end());
    let i_ack = mine.acks(theirs.end());
    match (they_ack, i_ack) {
        (true, false) => Order::Mine,
        (false, true) if mine.is_sent_again && !mine.is_second => Order::Undecided,
        (false, true) => Order::Theirs,
        (false, false) => Order::Crossed,
        // Each acknowledges the other: one of the two is a retransmission whose first was not captured. The one that
        // is known to have been sent before is that one, and it came first.
        (true, true) if mine.is_sent_again && !theirs.is_sent_again => Order::Mine,
        (true, true) if theirs.is_sent_again && !mine.is_sent_again => Order::Theirs,
        (true, true) => Order::Undecided,
    }
}

/// The close events of `me` in causal order; `None` where fewer apply.
fn events(me: &Endpoint, peer: &Endpoint, view: View) -> [Option<Event>; 4] {
    let received = peer.fin.as_ref().filter(|fin| view == View::Assumed || me.has_acked(fin.end()));
    let recv_fin = received.map(|_| Event::RecvFin);
    let Some(mine) = &me.fin else { return [recv_fin, me.reset, None, None] };
    let knows_ack = mine.acked.is_some() && (view == View::Assumed || proves_ack_of_fin(me, mine, received));
    let acked = knows_ack.then_some(Event::RecvAckOfFin);
    let sent = Some(Event::SendFin);
    match received.map(|theirs| order(mine, theirs)) {
        // Undecided: this side came second or at the same time. Only the peer's TIME_WAIT is certain.
        Some(Order::Theirs | Order::Undecided) => [recv_fin, sent, acked, me.reset],
        Some(Order::Crossed) => [sent, recv_fin, acked, me.reset],
        Some(Order::Mine) | None => [sent, acked, recv_fin, me.reset],
    }
}

/// Whether `me`'s own segments prove that it received the acknowledgment of its FIN: it acknowledged something that
/// the peer sent with or after it.
fn proves_ack_of_fin(me: &Endpoint, mine: &Fin, received: Option<&Fin>) -> bool {
    let by_fin = received.is_some_and(|theirs| theirs.acks(mine.end()));
    let by_data = me.acked.is_some_and(|acked| seq::lt(mine.peer_next_when_acked, acked));
    by_fin || (by_data && mine.peer_next_when_acked != mine.end())
}

/// The states (assumed, proved) of an endpoint that both views take for open before the FINs, and that no reset ended: what
/// [`run`] makes of [`events`], at once.
#[must_use]
pub fn states_from_open(me: &Endpoint, peer: &Endpoint) -> (State, State) {
    let theirs = peer.fin.as_ref();
    let certain = theirs.filter(|fin| me.has_acked(fin.end()));
    let Some(mine) = &me.fin else {
        let after = |fin: Option<&Fin>| if fin.is_some() { State::CloseWait } else { State::Established };
        return (after(theirs), after(certain));
    };
    let order = theirs.map(|theirs| order(mine, theirs));
    let is_acked = mine.acked.is_some();
    let is_proved = is_acked && proves_ack_of_fin(me, mine, certain);
    (after_fin(order, is_acked), after_fin(order.filter(|_| certain.is_some()), is_proved))
}

/// The state of an endpoint that sent its FIN while open: in what order the peer's came, if it did, and whether its own is
/// acknowledged.
const fn after_fin(order: Option<Order>, is_acked: bool) -> State {
    match (order, is_acked) {
        (None, false) => State::FinWait1,
        (None, true) => State::FinWait2,
        (Some(Order::Mine | Order::Crossed), false) => State::Closing,
        (Some(Order::Mine | Order::Crossed), true) => State::TimeWait,
        (Some(Order::Theirs | Order::Undecided), false) => State::LastAck,
        (Some(Order::Theirs | Order::Undecided), true) => State::Closed,
    }
}

fn run(from: State, events: [Option<Event>; 4]) -> (State, Option<Anomaly>) {
    let mut state = from;
    let mut anomaly = None;
    for event in events {
        let Some(event) = event else { continue };
        match state::next(state, event) {
            Ok(to) => state = to,
            Err(pair) => anomaly = Some(pair),
        }
    }
    (state, anomaly)
}

/// The states of `me` now: (assumed, proved), and a pair that the table does not know, if the events hold one.
#[must_use]
pub fn states(me: &Endpoint, peer: &Endpoint) -> (State, State, Option<Anomaly>) {
    let (open, open_proved) = me.opened();
    if me.fin.is_none() && peer.fin.is_none() && me.reset.is_none() {
        return (open, open_proved, None); // no close event: almost every segment
    }
    if me.opened() == (State::Established, State::Established) && me.reset.is_none() {
        let (assumed, proved) = states_from_open(me, peer);
        return (assumed, proved, None);
    }
    let (known, certain) = (events(me, peer, View::Assumed), events(me, peer, View::Proved));
    let (assumed, anomaly) = run(open, known);
    let proved = if (open, known) == (open_proved, certain) { assumed } else { run(open_proved, certain).0 };
    (assumed, proved, anomaly)
}

/// Who closed, why it is known, and the packet that did it. Resets are the caller's.
#[must_use]
pub fn closer(ends: &[Endpoint; 2]) -> (ActiveCloser, CloserBasis, Option<Mark>) {
    let [client, server] = ends;
    match (&client.fin, &server.fin) {
        (None, None) => (ActiveCloser::None, CloserBasis::NoClose, None),
        (Some(fin), None) => (ActiveCloser::Client, CloserBasis::SingleFin, Some(fin.mark)),
        (None, Some(fin)) => (ActiveCloser::Server, CloserBasis::SingleFin, Some(fin.mark)),
        (Some(c), Some(s)) => match (order(c, s), order(s, c)) {
            (Order::Undecided, _) | (_, Order::Undecided) => {
                (ActiveCloser::Ambiguous, CloserBasis::RetransmissionOnly, None)
            }
            (Order::Mine, _) => (ActiveCloser::Client, CloserBasis::Acknowledged, Some(c.mark)),
            (Order::Theirs, _) => (ActiveCloser::Server, CloserBasis::Acknowledged, Some(s.mark)),
            (Order::Crossed, _) => (ActiveCloser::Both, CloserBasis::Crossed, Some(c.mark.min(s.mark))),
        },
    }
}

/// As the active closer's word for a role.
#[must_use]
pub const fn active(role: Role) -> ActiveCloser {
    match role {
        Role::Client => ActiveCloser::Client,
        Role::Server => ActiveCloser::Server,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Event::{RecvAckOfFin, RecvFin, SendFin};

    /// The short way from an open connection ends where the table does, for every order of events.
    #[test]
    fn states_after_a_fin_are_the_tables() {
        for is_acked in [false, true] {
            let acked = is_acked.then_some(RecvAckOfFin);
            let orders = [
                (None, [Some(SendFin), acked, None, None]),
                (Some(Order::Mine), [Some(SendFin), acked, Some(RecvFin), None]),
                (Some(Order::Crossed), [Some(SendFin), Some(RecvFin), acked, None]),
                (Some(Order::Theirs), [Some(RecvFin), Some(SendFin), acked, None]),
                (Some(Order::Undecided), [Some(RecvFin), Some(SendFin), acked, None]),
            ];
            for (order, events) in orders {
                let expected = (after_fin(order, is_acked), None);
                assert_eq!(run(State::Established, events), expected, "{order:?} {is_acked}");
            }
        }
    }
}
