//! Where one life of a 4-tuple ends and the next begins (semantics A1, A2), and what the change proves of the old one.
//!
//! A SYN with a new ISN opens a new incarnation; the same ISN is a retransmission. The old one is kept beside the new
//! until the answer decides its fate: a SYN-ACK shows how its TIME_WAIT ended, an ACK of the old numbers shows it alive.

use super::connection::{Connection, mark};
use super::endpoint::{Endpoint, Fin};
use super::payload::Payload;
use super::reset;
use super::seq;
use super::spans::gone_one;
use crate::decode::{Flags, Segment};
use crate::record::{ResetKind, Role};
use crate::settings::SECOND;

/// What a segment is to the connection that holds its 4-tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// A segment of it.
    Here,
    /// The first of a new incarnation.
    Next,
    /// A segment of the incarnation before, which is not over after all.
    Before,
}

/// What a segment did to the question of a predecessor's fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Open,
    /// It answers it.
    Settled,
    /// It carries the old one's numbers (a challenge, or the reset in answer to one) and changes nothing in the new one.
    OfOld,
}

/// Opening segments captured out of order lie no further apart than this.
const REORDER_NS: i64 = 3 * SECOND;

/// Decides which incarnation a segment belongs to.
#[must_use]
pub fn belongs<P: Payload>(connection: &Connection<P>, segment: &Segment<'_>) -> Belongs {
    let role = connection.sender(segment);
    let (end, peer) = (&connection.ends[role as usize], &connection.ends[role.peer() as usize]);
    let flags = segment.flags;
    if flags.has(Flags::SYN) && !flags.has(Flags::RST) {
        return match end.isn {
            // A stack that gives the same ISN again: no retransmission follows a complete close by so much.
            Some(isn) if isn == segment.seq && is_new_opening(connection, segment) => Belongs::Next,
            Some(isn) if isn == segment.seq => Belongs::Here,
            Some(_) if flags.has(Flags::ACK) && answers(segment, peer.isn, peer.next) => Belongs::Here,
            Some(_) => Belongs::Next,
            None if is_late_opening(connection, segment, role) => Belongs::Here,
            None => Belongs::Next,
        };
    }
    if is_of_predecessor(connection, segment, role) {
        return Belongs::Before;
    }
    let is_far = |end: &Endpoint, seq, acked| !end.is_near(seq, acked);
    if connection.is_over()
        && segment.payload_len > 0
        && is_far(end, segment.seq, peer.acked)
        && (is_refused(connection, role) || is_far(peer, segment.ack, end.acked))
    {
        return Belongs::Next; // the new handshake was not captured
    }
    if is_behind_fin(connection, segment) {
        return Belongs::Next; // nor was it here
    }
    Belongs::Here
}

/// Whether a segment's numbers lie behind a FIN: nobody sends anything after his own, nor acknowledges more of the peer's
/// (RFC 9293 3.6). A socket in TIME_WAIT gives its port's next owner an ISN that is not far from its own
/// ([`super::time_wait::recycled_isn`]), and so does the ISN clock: distance tells nothing. Either number tells, where both are
/// ahead of all that is known by more than a FIN that may be missing: a FIN that a box put in is no end.
#[inline]
#[must_use]
pub fn is_behind_fin<P: Payload>(connection: &Connection<P>, segment: &Segment<'_>) -> bool {
    if connection.is_open_for_certain() {
        return false;
    }
    let role = connection.sender(segment);
    let (end, peer) = (&connection.ends[role as usize], &connection.ends[role.peer() as usize]);
    let behind = |fin: &Option<Fin>, number| fin.is_some_and(|fin| seq::lt(fin.end(), number));
    let [own, peers] = [behind(&end.fin, segment.seq), behind(&peer.fin, segment.ack)];
    if !(own || peers) || !segment.flags.has(Flags::ACK) || segment.flags.has(Flags::RST) {
        return false;
    }
    let ahead = |known: Option<u32>, number| known.is_none_or(|known| seq::lt(seq::add(known, 1), number));
    ahead(end.next, segment.seq) && ahead(peer.next, segment.ack)
}

/// Whether the peer sent no more than a refusal, whose sequence number 0 is nobody's: an acknowledgment tells nothing.
fn is_refused<P: Payload>(connection: &Connection<P>, role: Role) -> bool {
    role == Role::Client && connection.reset.is_some_and(|reset| reset.kind == ResetKind::Refused)
}

fn is_new_opening<P: Payload>(connection: &Connection<P>, segment: &Segment<'_>) -> bool {
    let closed = connection.ends.iter().all(|end| end.fin.is_some()) && connection.is_over();
    closed && !segment.flags.has(Flags::ACK) && segment.ts_ns - connection.last.ts_ns > SECOND
}

/// Whether a SYN-ACK acknowledges the peer's SYN (and no more than it sent with it).
fn answers(syn_ack: &Segment<'_>, peer_isn: Option<u32>, peer_next: Option<u32>) -> bool {
    peer_isn.is_some_and(|isn| seq::lt(isn, syn_ack.ack)) && peer_next.is_some_and(|next| seq::leq(syn_ack.ack, next))
}

/// A SYN or SYN-ACK of a side whose own was not captured yet: the answer, a crossing SYN, or one that the tap shows late.
fn is_late_opening<P: Payload>(connection: &Connection<P>, segment: &Segment<'_>, role: Role) -> bool {
    let (end, peer) = (&connection.ends[role as usize], &connection.ends[role.peer() as usize]);
    let first_byte = seq::add(segment.seq, 1);
    if segment.flags.has(Flags::ACK) && (end.next.is_none() || peer.isn.is_some()) {
        return answers(segment, peer.isn, peer.next) || (peer.isn.is_none() && peer.first_seq == segment.ack);
    }
    let young = segment.ts_ns - connection.first.ts_ns < REORDER_NS;
    let continues = end.next.is_some() && end.first_seq == first_byte;
    let acknowledged = peer.acked == Some(first_byte);
    let crossing = end.next.is_none_or(|_| end.acked.is_some()) && peer.isn.is_some() && peer.acked.is_none();
    young && (continues || acknowledged || crossing)
}

/// Whether a plain segment continues the predecessor while the new SYN has no answer: it has that one's numbers. Of the side
/// that was asked a pure ACK may be a challenge of the SYN (semantics A2), unless its peer has gone on with the predecessor:
/// who has sent a SYN does not, so the SYN was another's (RFC 5961 §4).
fn is_of_predecessor<P: Payload>(connection: &Connection<P>, segment: &Segment<'_>, role: Role) -> bool {
    let Some(old) = &connection.predecessor else { return false };
    let new = &connection.ends[role as usize];
    if segment.flags.has(Flags::RST) || old.is_over() || new.next.is_some_and(|next| next == segment.seq) {
        return false;
    }
    let opener = &connection.ends[Role::Client as usize];
    if role == Role::Server && segment.flags.has(Flags::ACK) && answers(segment, opener.isn, opener.next) {
        return false; // it acknowledges the new SYN: the SYN-ACK was not captured
    }
    let end = &old.ends[old.sender(segment) as usize];
    let is_near = end.next.is_some_and(|next| seq::diff(segment.seq, next).unsigned_abs() <= 1 << 20);
    let has_space = segment.payload_len > 0 || segment.flags.has(Flags::FIN);
    let goes_on = role == Role::Client || old.last.ts_ns > connection.first.ts_ns;
    is_near && (has_space || goes_on)
}

impl<P: Payload> Connection<P> {
    /// Takes the place of `old`, whose next incarnation `segment` has just opened. The old one stays beside this until
    /// its fate is known; what is over already is returned, for its room.
    pub fn follow(&mut self, mut old: Box<Self>, segment: &Segment<'_>, sink: &mut P::Sink) -> Option<Box<Self>> {
        self.reuse_of = Some((old.ordinal, segment.ts_ns - old.last.ts_ns));
        self.follows = Some([old.first, old.last]);
        // What begins now may end a wait whose beginning was not captured.
        old.conclude_time_wait();
        if !segment.flags.has(Flags::SYN) {
            for role in [Role::Client, Role::Server] {
                old.give_way_unseen(role, segment);
            }
            old.finish_followed([segment.ts_ns; 2], sink);
            return Some(old);
        }
        // The SYN that went unanswered leaves the question of the incarnation before it open.
        let undecided = old.predecessor.take();
        if segment.flags.has(Flags::ACK) {
            old.close_by_answer(segment, self);
            if let Some(mut undecided) = undecided {
                undecided.finish_followed([segment.ts_ns; 2], sink);
            }
            old.finish_followed([segment.ts_ns; 2], sink);
            return Some(old);
        }
        old.note_own_syn(segment);
        let (predecessor, over) = if let Some(mut undecided) = undecided {
            old.finish_followed(gone_one(old.sender(segment), segment.ts_ns), sink);
            undecided.note_own_syn(segment);
            (undecided, Some(old))
        } else {
            (old, None)
        };
        self.ends[0].isn_recycled = predecessor.is_recycled_by(segment);
        self.predecessor = Some(predecessor);
        over
    }

    /// Whether the sender's new ISN continues its old TIME_WAIT.
    fn is_recycled_by(&self, syn: &Segment<'_>) -> bool {
        let end = &self.ends[self.sender(syn) as usize];
        end.time_wait.as_ref().is_some_and(|wait| super::time_wait::recycled_isn(wait.facts.snd_nxt) == syn.seq)
    }

    /// U3, L3: the sender of a new SYN no longer waits.
    fn note_own_syn(&mut self, syn: &Segment<'_>) {
        let role = self.sender(syn);
        let end = &mut self.ends[role as usize];
        let clock = end.clock((syn.seq, syn.ts_ns));
        if let Some(wait) = &mut end.time_wait {
            wait.succeeded(mark(syn), syn.seq, clock);
        }
    }

    /// U2, L3: the sender of a SYN-ACK no longer waits. Its own packet is what is timed, as the one that began the wait was.
    fn close_by_answer(&mut self, syn_ack: &Segment<'_>, next: &mut Connection<P>) {
        let role = self.sender(syn_ack);
        let end = &mut self.ends[role as usize];
        let clock = end.clock((syn_ack.seq, syn_ack.ts_ns));
        let answering = next.sender(syn_ack);
        if let Some(wait) = &mut end.time_wait {
            next.ends[answering as usize].isn_recycled =
                super::time_wait::recycled_isn(wait.facts.snd_nxt) == syn_ack.seq;
            wait.succeeded(mark(syn_ack), syn_ack.seq, clock);
        }
        // Its SYN may not have been captured.
        self.give_way_unseen(role.peer(), syn_ack);
    }

    /// The next connection has the place of a side's wait, though its SYN-ACK was not captured: its first byte tells.
    fn give_way(&mut self, role: Role, segment: &Segment<'_>, first_byte: u32) {
        let isn = first_byte.wrapping_sub(1);
        match &mut self.ends[role as usize].time_wait {
            Some(wait) if isn == super::time_wait::recycled_isn(wait.facts.snd_nxt) => {
                wait.succeeded(mark(segment), isn, None);
            }
            _ => self.give_way_unseen(role, segment),
        }
    }

    /// A side's wait is over by now, whatever ended it: the next connection has its place.
    fn give_way_unseen(&mut self, role: Role, segment: &Segment<'_>) {
        if let Some(wait) = &mut self.ends[role as usize].time_wait {
            wait.succeeded_unseen(mark(segment));
        }
    }

    /// What a segment says of the predecessor, while the answer to the new SYN is awaited.
    pub fn settle_predecessor(&mut self, segment: &Segment<'_>, sink: &mut P::Sink) -> Fate {
        let Some(mut old) = self.predecessor.take() else { return Fate::Settled };
        let role = self.sender(segment);
        let fate = match role {
            Role::Client => old.hear_opener(self, segment, sink),
            Role::Server => old.hear_answer(self, segment),
        };
        self.predecessor = Some(old);
        fate
    }

    /// The opener of the new incarnation speaks again: a RST in answer to a challenge kills what is left of the old one.
    fn hear_opener(&mut self, new: &Connection<P>, segment: &Segment<'_>, sink: &mut P::Sink) -> Fate {
        let role = self.sender(segment);
        let continues = new.ends[0].next == Some(segment.seq);
        // With ACK it aborts the new one (RFC 9293 §3.10.7.3).
        if segment.flags.has(Flags::RST) && !segment.flags.has(Flags::ACK) && !continues {
            let mark = mark(segment);
            if let Some(wait) = &mut self.ends[role.peer() as usize].time_wait {
                wait.reset_by_peer(mark, segment.seq);
            } else {
                self.take_reset(segment, role, mark);
                self.settle(mark, role, sink);
            }
            return Fate::OfOld;
        }
        // Anything but its SYN again means that the handshake went on unseen.
        if !segment.flags.has(Flags::ACK) || segment.flags.has(Flags::SYN) {
            return Fate::Open;
        }
        if new.ends[0].isn.is_some_and(|isn| seq::lt(isn, segment.seq)) {
            self.give_way(role.peer(), segment, segment.ack);
        }
        Fate::Settled
    }

    /// The other side answers: SYN-ACK (accepted), ACK (a challenge: the old one lives), RST (nothing there).
    fn hear_answer(&mut self, new: &mut Connection<P>, segment: &Segment<'_>) -> Fate {
        let role = self.sender(segment);
        let own = reset::has_ttl_of(&self.ends[role as usize], segment);
        if segment.flags.has(Flags::SYN) {
            self.close_by_answer(segment, new);
            return Fate::Settled;
        }
        let wait = &mut self.ends[role as usize].time_wait;
        if segment.flags.has(Flags::RST) {
            if let (Some(wait), true) = (wait, own) {
                wait.gone(mark(segment));
            }
            return Fate::Settled;
        }
        if answers(segment, new.ends[0].isn, new.ends[0].next) {
            self.give_way(role, segment, segment.seq); // it acknowledges the new SYN: the SYN-ACK was not captured
            return Fate::Settled;
        }
        if let Some(wait) = wait {
            wait.challenged(mark(segment), segment.seq, segment.ack);
        }
        Fate::OfOld
    }
}
