//! What a reset was, and whether its receiver accepted it (semantics A7; RFC 9293 §3.10.7, RFC 5961 §3.2).

use super::endpoint::{Endpoint, STAYS_NS};
use super::seq;
use crate::decode::{Flags, Segment};
use crate::record::{ResetEffect, ResetKind, Role, State};

/// TTLs of one host's packets differ by no more than routes do.
const TTL_TOLERANCE: u8 = 2;

/// Whether a packet's TTL is that of the endpoint it claims to come from.
#[must_use]
pub fn has_ttl_of(endpoint: &Endpoint, segment: &Segment<'_>) -> bool {
    endpoint.ttl == 0 || endpoint.ttl.abs_diff(segment.ttl) <= TTL_TOLERANCE
}

/// What a reset answers: the peer's last segment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Provocation {
    /// Its acknowledgment number.
    pub ack: u32,
    /// Its flags.
    pub flags: Flags,
}

/// The kind of a reset sent by `sender` to `receiver`; `last` is what the receiver had sent last.
#[must_use]
pub fn kind(segment: &Segment<'_>, sender: &Endpoint, receiver: &Endpoint, last: Option<Provocation>) -> ResetKind {
    if is_refusal(segment, sender, receiver) || is_lone_refusal(segment, sender, receiver) {
        return ResetKind::Refused;
    }
    if !has_ttl_of(sender, segment) {
        return ResetKind::Injected;
    }
    let answers = last.is_some_and(|peer| peer.flags.has(Flags::ACK) && peer.ack == segment.seq);
    let has_ack = segment.flags.has(Flags::ACK);
    if has_ack && segment.seq == 0 && segment.window == 0 && last.is_some_and(|peer| !peer.flags.has(Flags::ACK)) {
        return ResetKind::NoState;
    }
    // Linux sends a bare one only as an answer (`tcp_v4_send_reset`); an abort carries ACK (`tcp_send_active_reset`).
    if has_ack || (segment.window != 0 && !answers) {
        return ResetKind::Abort;
    }
    if is_late(sender, receiver) || (!answers && is_just_closed(segment, sender, receiver)) {
        ResetKind::LateData
    } else {
        ResetKind::NoState
    }
}

/// Whether the sender closed so shortly before that its socket is still there, and answers nothing but late data so: where
/// what it answers was not captured. (`tcp_fin_timeout` is a number of seconds.)
fn is_just_closed(segment: &Segment<'_>, sender: &Endpoint, receiver: &Endpoint) -> bool {
    let since_ns = sender.fin.map(|fin| segment.ts_ns.saturating_sub(fin.mark.ts_ns));
    receiver.fin.is_none() && since_ns.is_some_and(|ns| (0..=STAYS_NS).contains(&ns))
}

/// Whether the receiver had sent data that the sender's FIN does not acknowledge: it reached a socket already closed.
fn is_late(sender: &Endpoint, receiver: &Endpoint) -> bool {
    let data_end = receiver.fin.map(|fin| fin.seq).or(receiver.next);
    sender.fin.is_some_and(|fin| fin.has_ack && data_end.is_some_and(|end| seq::lt(fin.ack, end)))
}

/// Whether nothing shows that a SYN was answered: who sent it has acknowledged nothing yet. (Where its SYN-ACK was not
/// captured, the state alone does not tell.)
fn awaits_answer(endpoint: &Endpoint) -> bool {
    endpoint.state == State::SynSent && endpoint.acked.is_none()
}

/// RST|ACK acknowledging just the SYN, from a side that never sent one (RFC 9293 §3.10.7.1).
fn is_refusal(segment: &Segment<'_>, sender: &Endpoint, receiver: &Endpoint) -> bool {
    let Some(isn) = receiver.isn else { return false };
    sender.isn.is_none()
        && awaits_answer(receiver)
        && segment.flags.has(Flags::ACK)
        && seq::lt(isn, segment.ack)
        && receiver.next.is_some_and(|next| seq::leq(segment.ack, next))
}

/// The same where the SYN itself was not captured: sequence number 0 answers a segment without ACK, from a side that has
/// sent nothing else, to one of which nothing is known.
fn is_lone_refusal(segment: &Segment<'_>, sender: &Endpoint, receiver: &Endpoint) -> bool {
    answers_unacknowledging(segment) && sender.next.is_none() && receiver.next.is_none() && receiver.acked.is_none()
}

/// RST|ACK with sequence number 0: who sends it has no socket, and what it answers was without ACK, as only a SYN is
/// (RFC 9293 §3.10.7.1).
#[must_use]
pub fn answers_unacknowledging(segment: &Segment<'_>) -> bool {
    segment.flags.has(Flags::RST) && segment.flags.has(Flags::ACK) && segment.seq == 0
}

/// Whether the receiver accepts a reset: only one that hits RCV.NXT exactly (RFC 5961 §3.2), as far as the capture
/// shows RCV.NXT. Linux also takes RCV.NXT − 1 once it has the peer's FIN. Where it holds no pure ACK of either side it may
/// be one of SYN, FIN and RST alone: then nothing tells how far the sender's data went.
#[must_use]
pub fn effect(
    segment: &Segment<'_>,
    sender: &Endpoint,
    receiver: &Endpoint,
    role_seen: bool,
    has_pure_ack: bool,
) -> ResetEffect {
    if awaits_answer(receiver) {
        let acks_syn = segment.flags.has(Flags::ACK) && receiver.isn.is_some_and(|isn| seq::lt(isn, segment.ack));
        return match receiver.next {
            Some(next) if acks_syn && seq::leq(segment.ack, next) => ResetEffect::Effective,
            // Of more than the SYN: it was answered, in what is missing.
            Some(_) if acks_syn && !has_pure_ack && segment.seq != 0 => ResetEffect::Unknown,
            _ => ResetEffect::Ineffective,
        };
    }
    if !role_seen {
        return ResetEffect::Unknown;
    }
    if sender.fin.is_some_and(|fin| seq::lt(fin.end(), segment.seq)) {
        return ResetEffect::Ineffective; // nobody sends more after his own FIN: it is another connection's
    }
    // RCV.NXT is what the receiver acknowledged, or already more: what was sent and has surely arrived in order.
    let mut points = [receiver.acked, sender.next, sender.stream.next_seq()].into_iter().flatten();
    let after_fin = sender.fin.is_some().then(|| seq::add(segment.seq, 1));
    if points.any(|rcv_nxt| rcv_nxt == segment.seq || Some(rcv_nxt) == after_fin) {
        return ResetEffect::Effective;
    }
    let may_be_due = if receiver.acked.is_none() {
        // No packet of the receiver tells, and the sender may have sent more than was captured; but one that is still
        // without an answer to its SYN sends a bare reset for an older socket only.
        sender.next.is_none() || sender.acked.is_some() || segment.flags.has(Flags::ACK)
    } else {
        !has_pure_ack && sender.next.or(receiver.acked).is_some_and(|known| seq::lt(known, segment.seq))
    };
    if may_be_due { ResetEffect::Unknown } else { ResetEffect::Ineffective }
}

/// Who sent the segment that a reset answers, if it answers one.
#[must_use]
pub const fn provoked_by(kind: ResetKind, sender: Role) -> Option<Role> {
    match kind {
        ResetKind::LateData | ResetKind::NoState | ResetKind::Refused => Some(sender.peer()),
        ResetKind::Abort | ResetKind::Injected => None,
    }
}
