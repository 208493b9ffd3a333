//! Since when and until when an endpoint was in its states: what `states` counts.
//!
//! A state is certain as long as nothing that was not captured can have ended it, and possible as long as something can have
//! kept it. Of a connection whose one direction only was captured each state that nothing excludes is possible, and certain
//! is what the captured side's acknowledgments prove: who acknowledges something new heard the other side, whose FIN is the
//! last that there is to hear.

use super::connection::Connection;
use super::endpoint::{Endpoint, STAYS_NS};
use super::payload::{Payload, Sink, Span};
use crate::record::{Address, Quality, Role, State};
use crate::settings::SECOND;

/// What a side may be in before it closes, and behind that.
const OPEN: &[State] = &[State::Established, State::CloseWait];
const CLOSING: &[State] = &[State::FinWait1, State::FinWait2, State::Closing, State::LastAck, State::TimeWait];

/// Until when sockets of a 4-tuple can be there that nothing follows.
pub(super) const UNFOLLOWED: [i64; 2] = [i64::MAX; 2];

/// The same where one side's is gone since then.
pub(super) const fn gone_one(role: Role, at_ns: i64) -> [i64; 2] {
    match role {
        Role::Client => [at_ns, i64::MAX],
        Role::Server => [i64::MAX, at_ns],
    }
}

/// How long after the last packet Linux may keep a socket that is neither open nor in TIME_WAIT, ns: a SYN is given up
/// after 134 s, a SYN-ACK after 63 s, an orphan's FIN after 107 s; an orphan in FIN-WAIT-2 goes after `tcp_fin_timeout`,
/// 60 s by default. The state is certain until the last packet and possible until then.
const fn patience_ns(state: State) -> Option<i64> {
    match state {
        State::SynSent => Some(134 * SECOND),
        State::SynReceived => Some(63 * SECOND),
        State::FinWait1 | State::Closing | State::LastAck => Some(107 * SECOND),
        State::TimeWait => Some(66 * SECOND),
        _ => None,
    }
}

/// Linux sends nothing again sooner (`TCP_RTO_MIN`).
const LEAST_RTO_NS: i64 = SECOND / 5;

impl<P: Payload> Connection<P> {
    /// The role in this connection of an end of the next one on its 4-tuple.
    pub(super) fn role_of(&self, name: (Address, u16)) -> Role {
        if self.names[0] == name { Role::Client } else { Role::Server }
    }

    /// The side of which nothing was captured, though the other has heard it. (Payload alone may be a Fast Open SYN's.)
    pub(super) fn unheard(&self) -> Option<Role> {
        let is_unheard = |role: &Role| {
            let [end, peer] = self.ends_of(*role);
            end.packets == 0 && peer.acked.is_some()
        };
        [Role::Client, Role::Server].into_iter().find(is_unheard)
    }

    /// A side leaves the state that it is in, then.
    #[cold]
    pub(super) fn leave_state(&self, side: Role, at_ns: i64, sink: &mut P::Sink) {
        let end = &self.ends[side as usize];
        let host = (side, self.names[side as usize].0);
        if self.unheard().is_some() {
            return self.possible(side, at_ns, |span| sink.span(host, span));
        }
        let (state, from_ns, last_ns) = (end.state, end.since_ns, at_ns);
        let missed_ns = self.missed_ns(side);
        let to_min_ns = self.stayed_until_ns(side, missed_ns.unwrap_or(at_ns)).max(from_ns);
        sink.span(host, Span { state, from_ns, to_min_ns, to_max_ns: at_ns, last_ns });
        for (state, from_ns) in self.after_unseen(side, to_min_ns, missed_ns) {
            sink.span(host, Span { state, from_ns, to_min_ns: from_ns, to_max_ns: at_ns, last_ns });
        }
    }

    /// Until when a side was surely in its state, which a packet of then or nothing ended. FIN-WAIT-2 may have been over
    /// before, without a packet, [`STAYS_NS`] after it began or acknowledged something for the last time. A FIN that was not
    /// sent again was acknowledged within [`LEAST_RTO_NS`], captured or not, and one that was is given up at last; who did not
    /// acknowledge it may not have had it. Nor is a handshake over that the server took no notice of: its accept queue may be full.
    fn stayed_until_ns(&self, side: Role, ended_ns: i64) -> i64 {
        let [end, peer] = self.ends_of(side);
        let certain_ns = match end.state {
            State::FinWait2 => end.acked_at_ns.unwrap_or(end.since_ns).max(end.since_ns).saturating_add(STAYS_NS),
            State::FinWait1 | State::Closing | State::LastAck => {
                let is_sent_once = end.fin.is_none_or(|fin| fin.repeats == 0);
                let stays_ns = if is_sent_once { LEAST_RTO_NS } else { patience_ns(end.state).unwrap_or_default() };
                end.since_ns.saturating_add(stays_ns)
            }
            State::CloseWait if peer.fin.is_some_and(|fin| fin.acked.is_none()) => end.since_ns,
            State::Established if is_unnoticed(end) => end.since_ns,
            _ => i64::MAX,
        };
        ended_ns.min(certain_ns)
    }

    /// Since when a side may be in another state because numbers behind the last that was captured, its own or its peer's, may be
    /// a FIN's: since it is in its state.
    fn missed_ns(&self, side: Role) -> Option<i64> {
        let is_missed = [Role::Client, Role::Server].into_iter().any(|role| self.hidden(role) > 0);
        is_missed.then_some(self.ends[side as usize].since_ns)
    }

    /// The states that a side may have gone to unseen, and since when: where its FIN or the peer's may have been missed, or the
    /// answer to a FIN that did not come again, behind the time that its state is certain for; and the one that it never left
    /// if the peer's FIN did not arrive.
    fn after_unseen(&self, side: Role, certain_ns: i64, missed_ns: Option<i64>) -> impl Iterator<Item = (State, i64)> {
        let state = self.ends[side as usize].state;
        let missed: &[State] = match (state, self.hidden(side) > 0) {
            (State::Established, true) => &[State::FinWait1, State::FinWait2],
            (State::Established, false) => &[State::CloseWait],
            (State::CloseWait, true) => &[State::LastAck],
            (State::FinWait1 | State::FinWait2, false) => &[State::Closing, State::TimeWait],
            _ => &[],
        };
        let end = &self.ends[side as usize];
        let other = match state {
            State::FinWait1 => Some(State::FinWait2),
            State::CloseWait if certain_ns == end.since_ns => Some(State::Established),
            State::Established if is_unnoticed(end) => Some(State::SynReceived),
            _ => None,
        };
        let other = other.map(|state| (state, certain_ns));
        missed_ns.into_iter().flat_map(|ns| missed.iter().map(move |&state| (state, ns))).chain(other)
    }

    /// The connection is over, or what there is of it was captured: `gone_ns` is since when the sockets of either side are
    /// gone for certain, because the next connection has their place.
    pub(super) fn finish_spans(&self, gone_ns: [i64; 2], sink: &mut P::Sink) {
        let is_unheard = self.unheard().is_some();
        for (side, gone_ns) in [Role::Client, Role::Server].into_iter().zip(gone_ns) {
            let end = &self.ends[side as usize];
            let host = (side, self.names[side as usize].0);
            match &end.time_wait {
                Some(wait) if end.state == State::TimeWait => sink.time_wait_span(host, end.since_ns, &wait.facts),
                _ if is_unheard => self.possible(side, gone_ns, |span| sink.span(host, span)),
                _ => self.rest(side, gone_ns, |span| sink.span(host, span)),
            }
        }
    }

    /// The state that a side was in last, and what may have followed it where a close may be missing.
    fn rest(&self, side: Role, gone_ns: i64, mut put: impl FnMut(Span)) {
        let end = &self.ends[side as usize];
        let (state, from_ns, last_ns) = (end.state, end.since_ns, self.last.ts_ns);
        let to_max_ns = self.most_ns(state, gone_ns);
        let is_end_missing = self.may_lack_close();
        let to_min_ns = match (state, to_max_ns) {
            // Whether it acknowledged the peer's FIN is not known: it may be none, from the beginning.
            (State::TimeWait, _) => from_ns,
            (_, i64::MAX) if !is_end_missing => self.stayed_until_ns(side, i64::MAX),
            _ => self.stayed_until_ns(side, self.missed_ns(side).unwrap_or(last_ns)).max(from_ns),
        };
        put(Span { state, from_ns, to_min_ns, to_max_ns, last_ns });
        let is_reset = state == State::Closed && self.effective_reset().is_some();
        let may_wait = is_end_missing && !is_reset && state != State::TimeWait;
        let waits = may_wait.then_some((State::TimeWait, last_ns));
        let unseen = self.after_unseen(side, to_min_ns, self.missed_ns(side));
        for (state, from_ns) in unseen.filter(|unseen| unseen.0 != State::TimeWait).chain(waits) {
            put(Span { state, from_ns, to_min_ns: from_ns, to_max_ns: self.most_ns(state, gone_ns), last_ns });
        }
    }

    /// Whether a FIN may be missing: in numbers behind the last that were captured, before the capture began, across the only
    /// one that was captured, or in the answer to one that did not come again.
    fn may_lack_close(&self) -> bool {
        let (active, basis, _) = self.closer();
        let is_answered = self.effective_reset().is_some();
        let is_unanswered = |end: &Endpoint| end.fin.is_some_and(|fin| fin.acked.is_none() && fin.repeats == 0);
        self.may_wait_unseen((active, basis))
            || (!is_answered && self.ends.iter().any(is_unanswered))
            || [Role::Client, Role::Server].into_iter().any(|role| self.hidden(role) > 0)
    }

    /// Until when a socket can be in a state behind the last packet.
    fn most_ns(&self, state: State, gone_ns: i64) -> i64 {
        patience_ns(state).map_or(gone_ns, |patience| self.last.ts_ns.saturating_add(patience).min(gone_ns))
    }

    /// The states that a side may have been in until `gone_ns`, since it is in the one that is assumed, where one direction
    /// only was captured.
    fn possible(&self, side: Role, gone_ns: i64, mut put: impl FnMut(Span)) {
        let [end, peer] = self.ends_of(side);
        let (state, from_ns) = (end.state, end.since_ns);
        let heard = if end.packets == 0 { peer } else { end };
        // Nothing new was to be heard behind the last FIN.
        let heard_ns = heard.acked_at_ns.unwrap_or(from_ns).max(from_ns).min(gone_ns);
        let mut may_be = |state: State, from_ns: i64, to_min_ns: i64| {
            // Who is not heard may close at any time.
            let to_max_ns =
                if end.packets == 0 && state != State::TimeWait { gone_ns } else { self.most_ns(state, gone_ns) };
            put(Span { state, from_ns, to_min_ns: to_min_ns.min(to_max_ns), to_max_ns, last_ns: self.last.ts_ns });
        };
        let is_midstream = self.quality.0 & Quality::MIDSTREAM != 0;
        match (state, end.packets == 0) {
            // Before the capture began, or in a packet behind which its own numbers go on.
            (State::Established, false) if (is_midstream && end.bytes == 0) || self.hidden(side) > 0 => {
                OPEN.iter().chain(CLOSING).for_each(|&state| may_be(state, from_ns, from_ns));
            }
            (State::Established, false) => {
                may_be(State::Established, from_ns, heard_ns);
                may_be(State::CloseWait, heard_ns, heard_ns);
            }
            (State::Established, true) if self.hidden(side.peer()) > 0 => {
                OPEN.iter().chain(CLOSING).for_each(|&state| may_be(state, from_ns, from_ns));
            }
            (State::Established, true) => {
                may_be(State::Established, from_ns, heard_ns);
                may_be(State::FinWait1, heard_ns, heard_ns);
                may_be(State::FinWait2, heard_ns, heard_ns);
            }
            // What it sent may have been answered at once.
            (State::SynSent | State::SynReceived, false) => {
                let sent_ns = end.syn.map_or(from_ns, |syn| syn.ts_ns.max(from_ns));
                may_be(state, from_ns, sent_ns);
                may_be(State::Established, sent_ns, sent_ns);
                may_be(State::CloseWait, sent_ns, sent_ns);
            }
            // It closed: first, second, or both at one time.
            (State::FinWait1, false) => {
                may_be(State::FinWait1, from_ns, from_ns);
                may_be(State::FinWait2, from_ns, from_ns);
                may_be(State::Closing, from_ns, from_ns);
                // Its last ACK may have been lost, as the row says, too: `unknown`.
                may_be(State::TimeWait, heard_ns, heard_ns);
                if heard_ns <= from_ns {
                    may_be(State::LastAck, from_ns, from_ns);
                }
            }
            // The other side closed: first, second, or both at one time.
            (State::CloseWait, true) => {
                may_be(State::CloseWait, from_ns, from_ns);
                may_be(State::Closing, from_ns, from_ns);
                may_be(State::TimeWait, from_ns, from_ns);
                may_be(State::LastAck, from_ns, from_ns);
            }
            _ => may_be(state, from_ns, from_ns),
        }
    }
}

/// Whether a server took no notice of a handshake's ACK, as one with a full accept queue: it sent its SYN-ACK again behind it, and
/// nothing since.
fn is_unnoticed(end: &Endpoint) -> bool {
    end.opened().1 == State::SynReceived && end.syn.is_some_and(|syn| syn.ts_ns > end.since_ns)
}
