//! How a connection opens: SYNs, roles, the handshake as each side sees it.

use super::{Connection, pair, report};
use crate::decode::{Flags, Segment};
use crate::record::{Mark, Quality, Role, RoleBasis, State};
use crate::tcp::endpoint::Endpoint;
use crate::tcp::payload::{Payload, Sink};
use crate::tcp::reset;
use crate::tcp::seq;
use crate::tcp::stack;
use crate::tcp::state::Event;

impl<P: Payload> Connection<P> {
    /// SYN or SYN-ACK.
    pub(super) fn take_syn(&mut self, segment: &Segment<'_>, role: Role, mark: Mark, sink: &mut P::Sink) {
        let has_ack = segment.flags.has(Flags::ACK);
        let options = segment.options();
        let (end, peer) = pair(&mut self.ends, role);
        if end.isn.is_none() {
            end.stack = stack::guess(segment.ttl, options.order);
        }
        end.syn_count += 1;
        if end.isn.is_some_and(|isn| isn == segment.seq) {
            end.retransmits += 1;
        }
        let again = has_ack && self.established.is_none() && end.bytes == 0 && peer.acked.is_none();
        if end.isn.is_none() || (again && end.isn != Some(segment.seq)) {
            // The first, or a SYN-ACK with another ISN: the last one before the client answers is the one it may take up.
            end.next = None;
            end.isn = Some(segment.seq);
            end.window_scale = options.window_scale.unwrap_or(0).min(14);
            end.since_ns = segment.ts_ns;
            if end.bytes == 0 {
                end.stream.start(seq::add(segment.seq, 1));
            }
            self.quality.0 &= !Quality::MIDSTREAM;
            if !has_ack && self.role_basis != RoleBasis::Syn && role == Role::Client {
                self.role_basis = RoleBasis::Syn;
            }
        }
        if end.isn == Some(segment.seq) {
            end.syn = Some(mark);
        }
        end.sent_to(seq::add(segment.seq, 1));
        let (sent, received) =
            if has_ack { (Event::SendSynAck, Event::RecvSynAck) } else { (Event::SendSyn, Event::RecvSyn) };
        if has_ack {
            if let Some(syn) = peer.syn {
                end.rtt_ns = (segment.ts_ns - syn.ts_ns).max(0);
            }
            end.acknowledge(segment.ack, segment.ts_ns);
        }
        if self.established.is_some() {
            return; // a copy that comes too late to change anything
        }
        report(sink, end.open_event(sent));
        // The peer has it for certain only once it answers.
        report(sink, peer.open_assumed(received));
    }

    /// The payload tells the roles of a connection whose opening was not captured: turn it round if they were guessed wrong.
    pub(super) fn orient(&mut self, segment: &Segment<'_>, role: Role) {
        if matches!(self.role_basis, RoleBasis::Syn | RoleBasis::SynAck) {
            return;
        }
        let Some((sender, basis)) = P::role_of(segment.payload) else { return };
        if sender != role {
            self.names.swap(0, 1);
            self.client_is_low = !self.client_is_low;
            self.ends.swap(0, 1);
            self.said.swap(0, 1);
            self.history.flip();
            if let Some(reset) = &mut self.reset {
                reset.role = reset.role.peer();
            }
        }
        self.role_basis = basis;
    }

    /// The client's first answer to the SYN-ACK. One that acknowledges more, or closes, comes after it: it was not captured.
    pub(super) fn establish(&mut self, segment: &Segment<'_>, mark: Mark) {
        let [client, server] = &mut self.ends;
        if server.isn.is_some_and(|isn| segment.ack == seq::add(isn, 1)) && !segment.flags.has(Flags::FIN) {
            self.established = Some(mark);
            if let Some(syn_ack) = server.syn {
                client.rtt_ns = (mark.ts_ns - syn_ack.ts_ns).max(0);
            }
        }
    }
}

/// The first segment that acknowledges the peer's SYN and is no SYN-ACK itself: the peer is open if it arrives.
pub(super) fn acknowledge_syn<S: Sink>(
    end: &mut Endpoint,
    peer: &mut Endpoint,
    isn: u32,
    acked_before: Option<u32>,
    segment: &Segment<'_>,
    sink: &mut S,
) {
    if seq::leq(segment.ack, isn) {
        return;
    }
    if matches!(peer.opened().0, State::SynReceived | State::SynSent) {
        report(sink, peer.open_assumed(Event::RecvAckOfSyn));
    }
    if end.opened().0 == State::Listen {
        // Its SYN-ACK was not captured: whoever acknowledges a SYN and goes on is open.
        report(sink, end.open_event(Event::Found));
        end.since_ns = segment.ts_ns;
    }
    if end.opened().0 == State::SynSent {
        report(sink, end.open_assumed(Event::RecvSynAck));
    }
    hear_more(end, peer, acked_before, segment, sink);
    // Its sender proves that it had the SYN-ACK; and the peer proves this ACK by whatever it sends on top of it.
    if end.opened().1 == State::SynSent {
        report(sink, end.open_proved(Event::RecvSynAck));
    }
    if end.opened().1 == State::SynReceived && end.isn.is_some_and(|mine| peer.has_acked(seq::add(mine, 1))) {
        report(sink, end.open_proved(Event::RecvAckOfSyn));
    }
}

/// A segment that is no SYN-ACK, from a side of whose peer no SYN was captured: whoever goes on has had it. Of a server what
/// it acknowledges since proves it, and what it sends tells it (but for Fast Open's, RFC 7413).
pub(super) fn go_on_unheard<S: Sink>(
    end: &mut Endpoint,
    peer: &mut Endpoint,
    acked_before: Option<u32>,
    segment: &Segment<'_>,
    sink: &mut S,
) {
    if end.opened().0 == State::SynSent {
        report(sink, end.open_event(Event::RecvSynAck));
        if peer.opened().0 == State::Listen {
            report(sink, peer.open_event(Event::SendSynAck));
            report(sink, peer.open_assumed(Event::RecvAckOfSyn));
        }
    }
    if end.opened().0 == State::SynReceived && (segment.payload_len > 0 || segment.flags.has(Flags::FIN)) {
        report(sink, end.open_assumed(Event::RecvAckOfSyn));
    }
    hear_more(end, peer, acked_before, segment, sink);
}

/// Whoever acknowledges more than it did with its SYN-ACK has had what came after it, captured or not, and so has had an
/// ACK of it (RFC 9293 §3.10.7.4); and the peer had its SYN-ACK.
fn hear_more<S: Sink>(
    end: &mut Endpoint,
    peer: &mut Endpoint,
    acked_before: Option<u32>,
    segment: &Segment<'_>,
    sink: &mut S,
) {
    if !acked_before.is_some_and(|before| seq::lt(before, segment.ack)) {
        return;
    }
    if end.opened().0 == State::SynReceived {
        report(sink, end.open_assumed(Event::RecvAckOfSyn));
    }
    if end.opened().1 == State::SynReceived {
        report(sink, end.open_proved(Event::RecvAckOfSyn));
        if peer.opened().1 == State::SynSent {
            report(sink, peer.open_proved(Event::RecvSynAck));
        }
    }
}

/// The sender's role, as far as the first segment tells.
pub(super) fn sender_role<P: Payload>(segment: &Segment<'_>) -> (Role, RoleBasis) {
    if segment.flags.has(Flags::SYN) {
        return if segment.flags.has(Flags::ACK) {
            (Role::Server, RoleBasis::SynAck)
        } else {
            (Role::Client, RoleBasis::Syn)
        };
    }
    if let Some(told) = P::role_of(segment.payload) {
        return told;
    }
    if reset::answers_unacknowledging(segment) {
        return (Role::Server, RoleBasis::FirstPacket);
    }
    let (from, to) = (segment.source().1, segment.target().1);
    // A service port is registered (below 1024) or below every stack's ephemeral range, and the other one is not.
    let is_service = |port: u16, other: u16| (port < 1024 && other >= 1024) || (port < 10_000 && other >= 32_768);
    if is_service(from, to) {
        (Role::Server, RoleBasis::Port)
    } else if is_service(to, from) {
        (Role::Client, RoleBasis::Port)
    } else {
        (Role::Client, RoleBasis::FirstPacket)
    }
}
