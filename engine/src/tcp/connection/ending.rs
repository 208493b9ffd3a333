//! How a connection ends: FINs, resets, and what later segments say of a TIME_WAIT.

use super::usual::Course;
use super::{Connection, pair};
use crate::decode::{Captured, Flags, Segment};
use crate::record::{Mark, ResetBy, ResetEffect, ResetFacts, ResetKind, Role, State};
use crate::tcp::endpoint::{Endpoint, Fin};
use crate::tcp::payload::Payload;
use crate::tcp::reset;
use crate::tcp::seq;
use crate::tcp::state::Event;
use crate::tcp::time_wait::TimeWait;

impl<P: Payload> Connection<P> {
    /// The first FIN or reset: how long there had been silence.
    pub(super) fn note_close(&mut self, mark: Mark) {
        if !std::mem::replace(&mut self.has_close, true) {
            self.idle_before_close_ns = self.last_payload_ns.map(|last| mark.ts_ns - last);
        }
    }

    pub(in crate::tcp) fn take_reset(&mut self, segment: &Segment<'_>, role: Role, mark: Mark) {
        // It may come from the incarnation after this one, so not through `accept`.
        self.course = Course::Any;
        let (end, peer) = pair(&mut self.ends, role);
        let kind = reset::kind(segment, end, peer, self.said[role.peer() as usize]);
        let both_seen = peer.packets > 0 || end.packets > 1;
        let effect = reset::effect(segment, end, peer, both_seen, self.history.has_pure_ack());
        let is_over = end.is_over() && peer.is_over() && end.packets + peer.packets > 1;
        let heard = kind == ResetKind::Abort && peer.packets > 0 && segment.flags.has(Flags::ACK);
        if heard && end.is_near_ack(segment.ack, peer) {
            end.acknowledge(segment.ack, segment.ts_ns);
        }
        let facts = ResetFacts {
            mark,
            by: match (kind, role) {
                (ResetKind::Injected, _) => ResetBy::Middlebox,
                (_, Role::Client) => ResetBy::Client,
                (_, Role::Server) => ResetBy::Server,
            },
            role,
            kind,
            effect,
            provoked_by: reset::provoked_by(kind, role),
            flags: segment.flags,
            seq: segment.seq,
        };
        if effect == ResetEffect::Ineffective {
            self.ineffective_resets += 1;
        }
        let better =
            self.reset.is_none_or(|old| old.effect == ResetEffect::Ineffective && effect != ResetEffect::Ineffective);
        if is_over {
            return;
        }
        // A stack that resets uses its own numbers: one that misses was not sent by it, or came too late to matter.
        let missed = effect == ResetEffect::Ineffective;
        if end.time_wait.is_some() || peer.time_wait.is_some() {
            // The close is complete: a late answer ends the side that still repeats its FIN, not the connection.
            if !missed && peer.time_wait.is_none() {
                peer.reset.get_or_insert(Event::RecvRst);
            }
            return;
        }
        if !missed && kind != ResetKind::Injected {
            end.reset.get_or_insert(Event::SendRst);
        }
        if !missed && peer.state != State::TimeWait {
            peer.reset.get_or_insert(Event::RecvRst);
        }
        if better {
            self.sent_before_reset = end.next.unwrap_or(segment.seq);
            self.reset = Some(facts);
            if !missed {
                self.note_close(mark);
            }
        }
    }

    /// The flow goes on after a reset that looked effective: it was not (an injected one, or one that never arrived).
    #[inline]
    pub(super) fn contradict_reset(&mut self, segment: &Segment<'_>, role: Role) {
        if let Some(reset) = self.reset {
            self.doubt_reset(reset, segment, role);
        }
    }

    fn doubt_reset(&mut self, reset: ResetFacts, segment: &Segment<'_>, role: Role) {
        let (end, peer) = pair(&mut self.ends, role);
        let advances = segment.payload_len > 0 || segment.flags.0 & (Flags::SYN.0 | Flags::FIN.0) != 0;
        let goes_on = if role == reset.role {
            // Its own sender still talks; where it was the first packet no number is known to be older, if the other side has
            // gone on since.
            let is_new = |next| (reset.mark == self.first && peer.packets > 0) || seq::leq(next, segment.seq);
            advances && end.next.is_none_or(is_new)
        } else {
            // The receiver acknowledges what was sent after it.
            segment.flags.has(Flags::ACK)
                && peer.next.is_some_and(|next| seq::leq(segment.ack, next))
                && seq::lt(self.sent_before_reset, segment.ack)
        };
        if goes_on {
            self.ineffective_resets += u32::from(reset.effect != ResetEffect::Ineffective);
            self.reset = Some(ResetFacts { effect: ResetEffect::Ineffective, ..reset });
            for side in [&mut *end, &mut *peer] {
                side.reset = None;
                if side.opened().0 == State::Closed {
                    // The capture begins with the reset: only now is it known that there was something to end.
                    let _ = side.open_event(Event::Found);
                    side.since_ns = segment.ts_ns;
                }
            }
            if end.fin.is_none() && peer.fin.is_none() {
                (self.has_close, self.idle_before_close_ns) = (false, None);
            }
        }
    }

    /// What a segment says of a TIME_WAIT of either side, before it changes anything else.
    #[inline]
    pub(super) fn observe_time_wait(&mut self, segment: &Segment<'_>, role: Role, mark: Mark) {
        if self.ends.iter().any(|end| end.time_wait.is_some()) {
            self.hear_in_time_wait(segment, role, mark);
        }
    }

    fn hear_in_time_wait(&mut self, segment: &Segment<'_>, role: Role, mark: Mark) {
        let (end, peer) = pair(&mut self.ends, role);
        let flags = segment.flags;
        let own_ttl = reset::has_ttl_of(end, segment);
        let is_bare = !flags.has(Flags::ACK);
        if let Some(wait) = &mut end.time_wait {
            if flags.has(Flags::RST) {
                if is_bare {
                    wait.answered_by_reset(mark, segment.seq, own_ttl);
                }
            } else if flags.has(Flags::FIN) && wait.is_refuted_by(segment) {
                end.time_wait = None;
                if let Some(fin) = &mut end.fin {
                    fin.acked = None;
                }
            } else if flags.has(Flags::ACK) && segment.payload_len == 0 && !flags.has(Flags::SYN) {
                wait.acknowledged(mark);
            }
        }
        if let Some(wait) = &mut peer.time_wait {
            if flags.has(Flags::RST) {
                wait.reset_by_peer(mark, segment.seq);
            } else if flags.has(Flags::FIN) || segment.payload_len > 0 || flags.has(Flags::SYN) {
                wait.probed(mark, segment.ack);
            } else if seq::lt(segment.seq, wait.rcv_nxt) {
                wait.probed(mark, segment.ack); // a keepalive: below the window, so an ACK is due
            } else if segment.seq == wait.rcv_nxt {
                wait.may_restart(mark);
            }
        }
    }
}

/// Beside the round trip to the tap: what a busy host takes to act. Far below every retransmission timer (200 ms).
const ACK_IN_FLIGHT_NS: i64 = 1_000_000;

/// A FIN captured no later than this after its acknowledgment was reordered by the tap. Whoever has closed acknowledges a
/// FIN at once, and the shortest timer that sends it again, Linux's tail loss probe, takes two round trips and 2 ms.
const REORDER_NS: i64 = 1_000_000;
/// A tap shows a packet no later than this behind the others; within it the IP id may tell that it was not sent again.
const MOST_REORDERED_NS: i64 = 100_000_000;

/// Whether a FIN whose acknowledgment was captured before it was sent before, in a packet that the tap missed: so unless it
/// came too soon for that, or its IP id is the one after that of the packet captured before it, so that none is missing.
fn is_sent_again(end: &Endpoint, peer: &Endpoint, segment: &Segment<'_>) -> bool {
    let since_ns = peer.acked_at_ns.map_or(0, |at| segment.ts_ns.saturating_sub(at));
    let is_next = end.ip_id != 0 && segment.ip_id == Some(end.ip_id.wrapping_add(1));
    since_ns > if is_next { MOST_REORDERED_NS } else { REORDER_NS }
}

/// First FIN, or one more.
pub(super) fn take_fin(end: &mut Endpoint, peer: &Endpoint, segment: &Segment<'_>, seq: u32, mark: Mark) {
    let fin_end = seq::add(seq, 1);
    match &mut end.fin {
        // The FIN that another point showed in another piece.
        Some(fin) if fin.seq == seq && segment.captured == Captured::InParts => {}
        Some(fin) if fin.seq == seq => {
            fin.repeats += 1;
            // Its acknowledgment was lost, unless it can still have been on its way (semantics A4); a copy with numbers
            // from before says nothing.
            let arrives_ns = end.rtt_ns.saturating_add(ACK_IN_FLIGHT_NS);
            let is_copy = end.acked.is_some_and(|acked| seq::lt(segment.ack, acked));
            fin.acked = fin.acked.filter(|ack| is_copy || mark.ts_ns.saturating_sub(ack.ts_ns) <= arrives_ns);
            end.retransmits += u32::from(segment.payload_len == 0);
        }
        Some(_) => {}
        None => {
            let has_ack = segment.flags.has(Flags::ACK);
            let seen = peer.has_acked(fin_end);
            let had = |theirs: &Fin| theirs.acked.is_some() && seq::leq(theirs.peer_next_when_acked, seq);
            let passed = end.next.is_some_and(|next| seq::leq(fin_end, next));
            let is_sent_again = passed || (seen && is_sent_again(end, peer, segment));
            end.fin = Some(Fin {
                mark,
                seq,
                ack: if has_ack { segment.ack } else { end.acked.unwrap_or_default() },
                has_ack: has_ack || end.acked.is_some(),
                acked: seen.then_some(mark),
                peer_next_when_acked: peer.next.unwrap_or_default(),
                is_sent_again,
                is_second: is_sent_again && end.retransmits == 0 && peer.fin.as_ref().is_some_and(had),
                repeats: 0,
            });
        }
    }
    end.sent_to(fin_end);
}

/// TIME_WAIT starts when the endpoint acknowledges the peer's FIN; from CLOSING, when the ACK of its own arrives.
pub(super) fn begin_time_wait(end: &mut Endpoint, peer: &Endpoint, mark: Mark, sent_now: bool) {
    let (Some(mine), Some(theirs)) = (&end.fin, &peer.fin) else { return };
    if !end.has_acked(theirs.end()) {
        return;
    }
    let uncertainty_ns = if sent_now { 0 } else { end.rtt_ns };
    if theirs.is_sent_again && theirs.mark == mark {
        end.time_wait = Some(question_wait(end, mine, theirs, uncertainty_ns));
    } else {
        end.time_wait = Some(TimeWait::new(mark, uncertainty_ns, mine.end(), theirs.end()));
    }
}

/// The same where a FIN sent again is all that was captured of it: if its own was acknowledged before, it waits since it
/// acknowledged the first, and this one is a question to it.
#[cold]
fn question_wait(end: &Endpoint, mine: &Fin, theirs: &Fin, uncertainty_ns: i64) -> TimeWait {
    let mark = theirs.mark;
    let Some(acked) = mine.acked.filter(|&acked| acked != mark) else {
        return TimeWait::new(mark, uncertainty_ns, mine.end(), theirs.end());
    };
    let since_ns = acked.ts_ns.max(end.acked_at_ns.unwrap_or(acked.ts_ns));
    let mut wait = TimeWait::new(mark.at(since_ns), uncertainty_ns, mine.end(), theirs.end());
    wait.probed(mark, theirs.ack);
    wait
}
