//! What a capture may lack of a close: FINs before its first packet, in a direction that it does not have, or behind the
//! last of a side's numbers that it holds. What is concluded then is no more than what is left proves.

use super::connection::Connection;
use super::endpoint::{Endpoint, Fin};
use super::payload::Payload;
use super::seq;
use crate::decode::Flags;
use crate::record::{ActiveCloser, Close, CloserBasis, Quality, ResetEffect, ResetFacts, ResetKind, Role, State};

impl<P: Payload> Connection<P> {
    /// Whether the only FIN captured is the first of the two: not where the other side may have closed before, or at the same
    /// time, in the direction that was not captured, before the capture began, or in what shows itself to be missing.
    pub(super) fn is_first_fin_captured(&self) -> bool {
        let [client, server] = &self.ends;
        let is_open = |role: Role, isn: Option<u32>| {
            let [end, peer] = self.ends_of(role);
            let had = peer.fin.filter(|fin| fin.has_ack).map(|fin| fin.ack);
            let may_cross = self.hidden(role) > 0 && !had_fin_before(end, peer);
            end.fin.is_none() && !lacks_up_to(end, had) && !may_cross && (end.bytes > 0 || isn.is_some())
        };
        !self.is_one_sided() && (is_open(Role::Client, client.isn.or(server.isn)) || is_open(Role::Server, server.isn))
    }

    /// Whether a TIME_WAIT may have begun that is not in the capture: one of the two FINs that it takes may be missing, or
    /// both. So where the missing one may have come first, and where its sender's packets or their acknowledgments show that
    /// something after its last captured byte was sent. A reset that was accepted ends both sides; in a capture of one
    /// direction that may have been after the wait, and so may the answer of a host that has no such socket any more.
    pub(super) fn may_wait_unseen(&self, (active, basis): (ActiveCloser, CloserBasis)) -> bool {
        let ends_it = |reset: ResetFacts| reset.effect == ResetEffect::Effective && reset.kind != ResetKind::NoState;
        let is_reset = self.reset.is_some_and(ends_it);
        if is_reset && !self.is_one_sided() {
            return false;
        }
        let hides_fin = |role: Role| {
            let [end, peer] = self.ends_of(role);
            peer.fin.is_some() && end.fin.is_none() && self.hidden(role) > 0
        };
        // Its peer's FIN came again and again: was there no answer, or was it not captured? And of FINs that crossed the
        // acknowledgments are missing, not the closes.
        let is_unproven =
            |end: &Endpoint| end.time_wait.is_none() && matches!(end.state, State::TimeWait | State::Closing);
        (active == ActiveCloser::Ambiguous && basis != CloserBasis::NoClose)
            || hides_fin(Role::Client)
            || hides_fin(Role::Server)
            || self.ends.iter().any(is_unproven)
            || self.has_outlived_answer()
            || self.may_both_have_closed()
    }

    /// Where no FIN was captured, whether two may be missing: each side's before the capture began, in the direction that it
    /// does not have, or behind what it holds. Where only acknowledgments are there a reset of a socket that is no more
    /// answers somebody who still had one; in one direction nobody knows what it answers, and how long after.
    fn may_both_have_closed(&self) -> bool {
        let [client, server] = &self.ends;
        if client.fin.is_some() || server.fin.is_some() {
            return false;
        }
        let is_midstream = self.quality.0 & Quality::MIDSTREAM != 0;
        // Who still sends had not closed before; nor had who is captured from its beginning on, so that its numbers are known.
        let was_over = |end: &Endpoint| end.isn.is_none() && end.bytes == 0 && (is_midstream || end.next.is_none());
        let hidden = [Role::Client, Role::Server].map(|role| self.hidden(role) > 0);
        (was_over(client) || hidden[0])
            && (was_over(server) || hidden[1])
            && (hidden != [false; 2] || self.reset.is_none() || self.is_one_sided())
    }

    /// Where the answer of a host that has no such socket any more is all that ends it, whether somebody may have closed before:
    /// both sides in what is missing, or one with a single number behind all its bytes, which is a FIN's (or one byte's).
    /// What is still open in the capture nobody has closed in it, whatever it may lack.
    pub(super) fn hides_close(&self) -> bool {
        let is_answered = self.reset.is_some_and(|reset| reset.kind == ResetKind::NoState);
        if self.close() != Close::Reset || !is_answered {
            return false;
        }
        let hidden = [Role::Client, Role::Server].map(|role| self.hidden(role));
        (hidden != [0; 2] || self.is_one_sided()) && (hidden.contains(&1) || self.may_both_have_closed())
    }

    fn is_one_sided(&self) -> bool {
        self.quality.0 & Quality::ONE_SIDED != 0
    }

    /// Whether a host without the socket answered the peer's FIN when that was not the first time it came: the first may
    /// have met a socket, which then waited and is over.
    fn has_outlived_answer(&self) -> bool {
        let Some(reset) = self.reset.filter(|reset| reset.kind == ResetKind::NoState) else { return false };
        let [end, peer] = self.ends_of(reset.role);
        end.fin.is_some() && peer.fin.is_some_and(|fin| fin.repeats > 0)
    }

    /// How much a side sent behind all that was captured of it, as far as the other acknowledged it or its own numbers say
    /// so: also that of a bare reset, which is what the segment that it answers acknowledged.
    pub(super) fn hidden(&self, role: Role) -> u32 {
        let [end, peer] = self.ends_of(role);
        let is_own = |reset: &ResetFacts| {
            let is_answer = reset.kind == ResetKind::NoState && !reset.flags.has(Flags::ACK);
            reset.role == role && is_answer && end.is_near(reset.seq, peer.acked)
        };
        let answered = self.effective_reset().filter(is_own).map(|reset| reset.seq);
        let lacked = [peer.acked, end.next, answered].map(|number| numbers_lacked(end, number));
        lacked.into_iter().fold(0, u32::max)
    }

    /// Both ends, the one of `role` first.
    pub(super) fn ends_of(&self, role: Role) -> [&Endpoint; 2] {
        [role, role.peer()].map(|role| &self.ends[role as usize])
    }
}

/// How much of a side's sequence space up to this number is not in the capture, after all that is.
fn numbers_lacked(end: &Endpoint, number: Option<u32>) -> u32 {
    let reached = end.fin.as_ref().map(Fin::end).or_else(|| end.stream.next_seq()).or(end.next);
    reached.zip(number).map_or(0, |(reached, number)| seq::ahead(number, reached))
}

/// Whether something of it is not.
pub(super) fn lacks_up_to(end: &Endpoint, number: Option<u32>) -> bool {
    numbers_lacked(end, number) > 0
}

/// Whether something before its FIN is not, of what was acknowledged.
pub(super) fn lacks_before_fin(end: &Endpoint, acked: Option<u32>) -> bool {
    let hole = end.stream.next_seq().zip(end.fin).filter(|&(next, fin)| seq::lt(next, fin.seq));
    hole.zip(acked).is_some_and(|((next, _), acked)| seq::lt(next, acked))
}

/// Whether a side had the other's FIN before it sent what is missing of it: the packet that acknowledges the FIN counts no
/// further than what was captured. What is sent again does so at any time: of a side that did nothing is known.
fn had_fin_before(end: &Endpoint, peer: &Endpoint) -> bool {
    let told = peer.fin.filter(|fin| fin.acked.is_some() && end.retransmits == 0).map(|fin| fin.peer_next_when_acked);
    told.is_some_and(|told| !lacks_up_to(end, Some(told)))
}
