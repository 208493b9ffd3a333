//! One connection (one incarnation of a 4-tuple): segments in, facts out.

use super::close;
use super::endpoint::{Endpoint, Fin};
use super::history::{Counted, History};
use super::payload::{Payload, Sink};
use super::reset::{self, Provocation};
use super::seq;
use super::stack;
use super::state::{Anomaly, Event};
use super::stream::Piece;
use super::time_wait::TimeWait;
use crate::decode::{Flags, Segment};
use crate::record::{
    Address, Mark, Quality, ResetBy, ResetEffect, ResetFacts, ResetKind, Role, RoleBasis, State, Tunnel,
};
use crate::settings::Settings;

/// One incarnation of a 4-tuple.
#[derive(Debug)]
pub struct Connection<P> {
    /// Position of its first packet over the whole capture.
    pub ordinal: u64,
    /// Client and server addresses and ports.
    pub names: [(Address, u16); 2],
    /// VLAN tags.
    pub tunnel: Tunnel,
    /// How the roles are known.
    pub role_basis: RoleBasis,
    /// Client and server.
    pub ends: [Endpoint; 2],
    /// First packet.
    pub first: Mark,
    /// Last packet.
    pub last: Mark,
    /// The ACK that completed the handshake.
    pub established: Option<Mark>,
    /// The first effective reset, or the first of any effect.
    pub reset: Option<ResetFacts>,
    /// Resets without effect.
    pub ineffective_resets: u32,
    /// Letters.
    pub history: History,
    /// Last payload byte of either side.
    pub last_payload_ns: Option<i64>,
    /// Last payload byte to first FIN or RST.
    pub idle_before_close_ns: Option<i64>,
    /// A FIN or a reset was seen.
    has_close: bool,
    /// The incarnation before: its ordinal, and ns since its last packet.
    pub reuse_of: Option<(u64, i64)>,
    /// The incarnation before, while its fate depends on the answer to this one's SYN.
    pub predecessor: Option<Box<Connection<P>>>,
    /// What goes wrong with the capture.
    pub quality: Quality,
    /// The next stage's reader, once there was payload.
    pub payload: Option<P>,
    /// Acknowledgment number of a challenge that answered the SYN with the numbers of an older incarnation.
    challenge_ack: Option<u32>,
    /// How far the reset's sender had sent before it.
    sent_before_reset: u32,
    said: [Option<Provocation>; 2],
}

pub(super) const fn mark(segment: &Segment<'_>) -> Mark {
    Mark { ts_ns: segment.ts_ns, frame: segment.frame, file: segment.file }
}

impl<P: Payload> Connection<P> {
    /// Opens a record for `segment`, the first of a new incarnation. Roles follow from it as far as it tells.
    #[must_use]
    pub fn open(segment: &Segment<'_>, settings: &Settings) -> Self {
        let (sender, role_basis) = sender_role::<P>(segment);
        let (source, target) = ((segment.src, segment.src_port), (segment.dst, segment.dst_port));
        let opening = segment.flags.has(Flags::SYN);
        let start = |role| match (opening, role) {
            (true, Role::Server) => State::Listen,
            _ => State::Closed,
        };
        let limit = settings.max_reassembly_bytes;
        let mut connection = Connection {
            ordinal: segment.ordinal,
            names: if sender == Role::Client { [source, target] } else { [target, source] },
            tunnel: segment.tunnel,
            role_basis,
            ends: [Endpoint::new(start(Role::Client), limit), Endpoint::new(start(Role::Server), limit)],
            first: mark(segment),
            last: mark(segment),
            established: None,
            reset: None,
            ineffective_resets: 0,
            history: History::begun_by(sender),
            last_payload_ns: None,
            idle_before_close_ns: None,
            has_close: false,
            challenge_ack: None,
            reuse_of: None,
            predecessor: None,
            quality: Quality(if opening { 0 } else { Quality::MIDSTREAM }),
            payload: None,
            sent_before_reset: 0,
            said: [None; 2],
        };
        if !opening && !segment.flags.has(Flags::RST) {
            for end in &mut connection.ends {
                let _ = end.open_event(Event::Found);
                end.since_ns = segment.ts_ns;
            }
        } else if opening && sender == Role::Server {
            // Only the SYN-ACK was captured: the client must have sent the SYN.
            let _ = connection.ends[0].open_event(Event::SendSyn);
            connection.ends[0].since_ns = segment.ts_ns;
        }
        connection
    }

    /// Which role sends from this address and port.
    #[must_use]
    pub fn role_of(&self, source: (Address, u16)) -> Role {
        if self.names[0] == source { Role::Client } else { Role::Server }
    }

    /// Takes one segment of this connection.
    pub fn accept(&mut self, segment: &Segment<'_>, settings: &Settings, sink: &mut P::Sink) {
        let source = (segment.src, segment.src_port);
        let mut role = self.role_of(source);
        if self.ends[role as usize].is_duplicate(segment) {
            self.quality.0 |= Quality::DUPLICATES;
            sink.duplicate();
            return;
        }
        let mark = mark(segment);
        if self.is_of_older(segment, role) {
            self.note_older(segment, role, mark);
            return;
        }
        self.last = Mark { ts_ns: mark.ts_ns.max(self.last.ts_ns), ..mark };
        self.note_packet(segment, role);
        self.observe_time_wait(segment, role, mark);
        if segment.flags.has(Flags::RST) {
            self.take_reset(segment, role, mark);
        } else {
            self.contradict_reset(segment, role);
            if segment.flags.has(Flags::SYN) {
                self.take_syn(segment, role, mark, sink);
            }
            self.take_sequence(segment, role, mark, settings, sink);
            role = self.role_of(source); // the payload may have turned the roles round
            if segment.flags.has(Flags::ACK) {
                self.take_ack(segment, role, mark, sink);
            }
        }
        self.said[role as usize] = Some(Provocation { ack: segment.ack, flags: segment.flags });
        self.settle(mark, role, sink);
    }

    /// Whether a segment carries the numbers of an older incarnation (semantics A2, last row): an ACK that does not
    /// acknowledge the SYN it answers, or the reset that answers this challenge.
    fn is_of_older(&self, segment: &Segment<'_>, role: Role) -> bool {
        let [client, server] = &self.ends;
        let (Some(isn), None) = (client.isn, server.isn) else { return false };
        match role {
            Role::Server => {
                let acks_syn = seq::lt(isn, segment.ack) && client.next.is_some_and(|next| seq::leq(segment.ack, next));
                segment.flags.has(Flags::ACK)
                    && segment.flags.0 & (Flags::SYN.0 | Flags::RST.0 | Flags::FIN.0) == 0
                    && segment.payload_len == 0
                    && !acks_syn
            }
            Role::Client => segment.flags.has(Flags::RST) && self.challenge_ack == Some(segment.seq),
        }
    }

    /// Counts such a segment: it is part of this attempt and says nothing of its sequence space.
    fn note_older(&mut self, segment: &Segment<'_>, role: Role, mark: Mark) {
        self.last = mark;
        self.note_packet(segment, role);
        if role == Role::Server {
            self.challenge_ack = Some(segment.ack);
            return;
        }
        self.ineffective_resets += 1;
        self.reset.get_or_insert(ResetFacts {
            mark,
            by: ResetBy::Client,
            role,
            kind: ResetKind::NoState,
            effect: ResetEffect::Ineffective,
            provoked_by: Some(role.peer()),
            flags: segment.flags,
        });
    }

    fn note_packet(&mut self, segment: &Segment<'_>, role: Role) {
        let end = &mut self.ends[role as usize];
        if end.packets == 0 {
            end.first_seq = segment.seq;
        }
        if end.ttl == 0 && !segment.flags.has(Flags::RST) {
            end.ttl = segment.ttl;
        }
        end.packets += 1;
        if segment.flags.has(Flags::SYN) && end.isn.is_none() {
            end.stack = stack::guess(segment);
        }
        if (segment.payload.len() as u32) < segment.payload_len {
            self.quality.0 |= Quality::TRUNCATED;
        }
        self.note_history(segment, role);
        self.ends[role as usize].window = segment.window;
    }

    /// Zeek's letters for a segment.
    fn note_history(&mut self, segment: &Segment<'_>, role: Role) {
        let gone = self.history.has_reset(role) || self.ends[role.peer() as usize].fin.is_some();
        self.history.packet(role, segment);
        // A window of zero means nothing with or after a reset, and once the peer will send no more.
        if segment.window == 0 && !segment.flags.has(Flags::RST) && !gone {
            self.history.counted(role, Counted::ZeroWindow);
        }
    }

    /// SYN or SYN-ACK.
    fn take_syn(&mut self, segment: &Segment<'_>, role: Role, mark: Mark, sink: &mut P::Sink) {
        let has_ack = segment.flags.has(Flags::ACK);
        let (end, peer) = pair(&mut self.ends, role);
        end.syn_count += 1;
        if end.isn.is_some_and(|isn| isn == segment.seq) {
            end.retransmits += 1;
        }
        let again = has_ack && self.established.is_none() && end.bytes == 0 && peer.acked.is_none();
        if end.isn.is_none() || (again && end.isn != Some(segment.seq)) {
            // The first, or a SYN-ACK with another ISN: the last one before the client answers is the one it may take up.
            end.next = None;
            end.isn = Some(segment.seq);
            end.window_scale = segment.options.window_scale.unwrap_or(0).min(14);
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
            end.acknowledge(segment.ack);
        }
        if self.established.is_some() {
            return; // a copy that comes too late to change anything
        }
        report(sink, end.open_event(sent));
        // The peer has it for certain only once it answers.
        report(sink, peer.open_assumed(received));
    }

    /// Payload and FIN: what occupies sequence space.
    fn take_sequence(
        &mut self,
        segment: &Segment<'_>,
        role: Role,
        mark: Mark,
        settings: &Settings,
        sink: &mut P::Sink,
    ) {
        let syn = u32::from(segment.flags.has(Flags::SYN));
        let seq = seq::add(segment.seq, syn);
        let end_seq = seq::add(seq, segment.payload_len);
        let (end, peer) = pair(&mut self.ends, role);
        let is_probe = syn == 0
            && segment.payload_len <= 1
            && !segment.flags.has(Flags::FIN)
            && end.next.is_some_and(|next| seq::add(seq, 1) == next);
        if is_probe || !end.is_near(seq, peer.acked) {
            return;
        }
        let continues = end.next == Some(seq);
        if segment.payload_len > 0 {
            self.last_payload_ns = Some(segment.ts_ns);
            self.take_payload(segment, seq, role, mark, settings, sink);
        }
        let role = self.role_of((segment.src, segment.src_port));
        let (end, peer) = pair(&mut self.ends, role);
        end.sent_to(end_seq);
        if segment.flags.has(Flags::FIN) {
            take_fin(end, peer, segment, end_seq, mark);
            self.note_close(mark);
        } else if segment.payload_len == 0 && !continues && end.fin.is_none() && end.stream.next_seq().is_none() {
            end.stream.start(seq);
        }
        self.finish_stream(role, sink);
    }

    fn take_payload(
        &mut self,
        segment: &Segment<'_>,
        seq: u32,
        role: Role,
        mark: Mark,
        settings: &Settings,
        sink: &mut P::Sink,
    ) {
        if self.payload.is_none() {
            self.orient(segment, role);
        }
        let role = self.role_of((segment.src, segment.src_port));
        let payload = self.payload.get_or_insert_with(|| P::new(settings, self.ordinal));
        let (quality, history) = (&mut self.quality, &mut self.history);
        let (end, peer) = pair(&mut self.ends, role);
        let pushed = end.stream.push(seq, segment.payload, segment.payload_len, mark, segment.ack, &mut |piece| {
            note_gap(&piece, role, peer, quality, history);
            payload.feed(role, piece, sink);
        });
        end.bytes += u64::from(pushed.new_bytes);
        if pushed.retransmitted {
            end.retransmits += 1;
            self.history.counted(role, Counted::Retransmission);
        }
        if pushed.out_of_order {
            self.quality.0 |= Quality::REORDERED;
        }
        if pushed.overflow_bytes > 0 {
            sink.overflow(pushed.overflow_bytes);
        }
    }

    /// Tells the reader that a stream is complete, once it has reached the FIN.
    fn finish_stream(&mut self, role: Role, sink: &mut P::Sink) {
        let end = &self.ends[role as usize];
        if let (Some(fin), Some(payload)) = (&end.fin, &mut self.payload)
            && end.stream.next_seq() == Some(fin.seq)
        {
            payload.fin(role, sink);
        }
    }

    /// The payload tells the roles of a connection whose opening was not captured: turn it round if they were guessed wrong.
    fn orient(&mut self, segment: &Segment<'_>, role: Role) {
        if matches!(self.role_basis, RoleBasis::Syn | RoleBasis::SynAck) {
            return;
        }
        let Some((sender, basis)) = P::role_of(segment.payload) else { return };
        if sender != role {
            self.names.swap(0, 1);
            self.ends.swap(0, 1);
            self.said.swap(0, 1);
            self.history.flip();
            if let Some(reset) = &mut self.reset {
                reset.role = reset.role.peer();
            }
        }
        self.role_basis = basis;
    }

    fn take_ack(&mut self, segment: &Segment<'_>, role: Role, mark: Mark, sink: &mut P::Sink) {
        let is_syn = segment.flags.has(Flags::SYN);
        let (end, peer) = pair(&mut self.ends, role);
        if !end.is_near_ack(segment.ack, peer) {
            return;
        }
        end.acknowledge(segment.ack);
        peer.stream.acked(segment.ack);
        if let (false, Some(isn)) = (is_syn, peer.isn) {
            acknowledge_syn(end, peer, isn, segment, sink);
        }
        if role == Role::Client && !is_syn && self.established.is_none() && self.ends[1].isn.is_some() {
            self.establish(segment, mark);
        }
        let (end, peer) = pair(&mut self.ends, role);
        let sent = end.next.unwrap_or(segment.seq);
        if let Some(fin) = &mut peer.fin
            && fin.acked.is_none()
            && seq::leq(fin.end(), segment.ack)
        {
            fin.acked = Some(mark);
            fin.peer_next_when_acked = sent;
        }
    }

    /// The first FIN or reset: how long there had been silence.
    fn note_close(&mut self, mark: Mark) {
        if !std::mem::replace(&mut self.has_close, true) {
            self.idle_before_close_ns = self.last_payload_ns.map(|last| mark.ts_ns - last);
        }
    }

    fn establish(&mut self, segment: &Segment<'_>, mark: Mark) {
        let [client, server] = &mut self.ends;
        if server.isn.is_some_and(|isn| seq::lt(isn, segment.ack)) {
            self.established = Some(mark);
            if let Some(syn_ack) = server.syn {
                client.rtt_ns = (mark.ts_ns - syn_ack.ts_ns).max(0);
            }
        }
    }

    pub(super) fn take_reset(&mut self, segment: &Segment<'_>, role: Role, mark: Mark) {
        let (end, peer) = pair(&mut self.ends, role);
        let kind = reset::kind(segment, end, peer, self.said[role.peer() as usize]);
        let both_seen = peer.packets > 0 || end.packets > 1;
        let effect = reset::effect(segment, end, peer, both_seen);
        let is_over = end.is_over() && peer.is_over() && end.packets + peer.packets > 1;
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
    fn contradict_reset(&mut self, segment: &Segment<'_>, role: Role) {
        let Some(reset) = self.reset else { return };
        let (end, peer) = pair(&mut self.ends, role);
        let advances = segment.payload_len > 0 || segment.flags.0 & (Flags::SYN.0 | Flags::FIN.0) != 0;
        let goes_on = if role == reset.role {
            // Its own sender still talks.
            advances && end.next.is_none_or(|next| seq::leq(next, segment.seq))
        } else {
            // The receiver acknowledges what was sent after it.
            segment.flags.has(Flags::ACK)
                && peer.next.is_some_and(|next| seq::leq(segment.ack, next))
                && seq::lt(self.sent_before_reset, segment.ack)
        };
        if goes_on {
            self.ineffective_resets += u32::from(reset.effect != ResetEffect::Ineffective);
            self.reset = Some(ResetFacts { effect: ResetEffect::Ineffective, ..reset });
            end.reset = None;
            peer.reset = None;
            if end.fin.is_none() && peer.fin.is_none() {
                (self.has_close, self.idle_before_close_ns) = (false, None);
            }
        }
    }

    /// What a segment says of a TIME_WAIT of either side, before it changes anything else.
    fn observe_time_wait(&mut self, segment: &Segment<'_>, role: Role, mark: Mark) {
        let (end, peer) = pair(&mut self.ends, role);
        if end.time_wait.is_none() && peer.time_wait.is_none() {
            return;
        }
        let flags = segment.flags;
        let own_ttl = reset::has_ttl_of(end, segment);
        let is_bare = !flags.has(Flags::ACK);
        if let Some(wait) = &mut end.time_wait {
            if flags.has(Flags::RST) {
                if is_bare {
                    wait.answered_by_reset(mark, segment.seq, own_ttl);
                }
            } else if flags.has(Flags::FIN) && wait.is_refuted_by(seq::add(segment.seq, segment.payload_len + 1)) {
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

    /// Brings both endpoints' states up to date with what is now known, and begins a TIME_WAIT that follows.
    pub(super) fn settle(&mut self, mark: Mark, role: Role, sink: &mut P::Sink) {
        for side in [Role::Client, Role::Server] {
            let (end, peer) = pair(&mut self.ends, side);
            let (assumed, proved, anomaly) = close::states(end, peer);
            end.proved = proved;
            if assumed != end.state {
                if let Some(pair) = anomaly {
                    sink.anomaly(pair);
                }
                if sink.wants_spans() {
                    sink.span(self.names[side as usize].0, end.state, end.since_ns, mark.ts_ns, mark.ts_ns);
                }
                (end.state, end.since_ns) = (assumed, mark.ts_ns);
            }
            if end.state == State::TimeWait && end.time_wait.is_none() {
                begin_time_wait(end, peer, mark, role == side);
            }
        }
    }

    /// Whether both sides are done, so that only evidence of TIME_WAIT or a new incarnation can follow.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ends.iter().all(Endpoint::is_over)
    }
}

/// Both ends, the one of `role` first.
pub(super) fn pair(ends: &mut [Endpoint; 2], role: Role) -> (&mut Endpoint, &mut Endpoint) {
    let [client, server] = ends;
    if role == Role::Client { (client, server) } else { (server, client) }
}

fn report<S: Sink>(sink: &mut S, result: Result<(), Anomaly>) {
    if let Err(anomaly) = result {
        sink.anomaly(anomaly);
    }
}

/// Notes bytes that the peer acknowledged and the capture does not hold; not where the snaplen cut them.
pub(super) fn note_gap(piece: &Piece<'_>, role: Role, peer: &Endpoint, quality: &mut Quality, history: &mut History) {
    if let Piece::Gap { len, seq, .. } = piece
        && quality.0 & Quality::TRUNCATED == 0
        && peer.has_acked(seq::add(*seq, *len as u32))
    {
        quality.0 |= Quality::GAP;
        history.counted(role, Counted::Gap);
    }
}

/// First FIN, or one more.
fn take_fin(end: &mut Endpoint, peer: &Endpoint, segment: &Segment<'_>, seq: u32, mark: Mark) {
    let fin_end = seq::add(seq, 1);
    match &mut end.fin {
        Some(fin) if fin.seq == seq => {
            fin.repeats += 1;
            fin.acked = None; // so its acknowledgment did not arrive, or not yet
            end.retransmits += u32::from(segment.payload_len == 0);
        }
        Some(_) => {}
        None => {
            let seen = peer.has_acked(fin_end);
            end.fin = Some(Fin {
                mark,
                seq,
                ack: if segment.flags.has(Flags::ACK) { segment.ack } else { end.acked.unwrap_or_default() },
                acked: seen.then_some(mark),
                peer_next_when_acked: peer.next.unwrap_or_default(),
                acked_before_seen: seen,
                repeats: 0,
            });
        }
    }
    end.sent_to(fin_end);
}

/// The first segment that acknowledges the peer's SYN and is no SYN-ACK itself: the peer is open if it arrives.
fn acknowledge_syn<S: Sink>(end: &mut Endpoint, peer: &mut Endpoint, isn: u32, segment: &Segment<'_>, sink: &mut S) {
    if seq::leq(segment.ack, isn) {
        return;
    }
    if matches!(peer.opened().0, State::SynReceived | State::SynSent) {
        report(sink, peer.open_assumed(Event::RecvAckOfSyn));
    }
    if end.opened().0 == State::SynSent {
        report(sink, end.open_assumed(Event::RecvSynAck));
    }
    // Its sender proves that it had the SYN-ACK; and the peer proves this ACK by whatever it sends on top of it.
    if end.opened().1 == State::SynSent {
        report(sink, end.open_proved(Event::RecvSynAck));
    }
    if end.opened().1 == State::SynReceived && end.isn.is_some_and(|mine| peer.has_acked(seq::add(mine, 1))) {
        report(sink, end.open_proved(Event::RecvAckOfSyn));
    }
}

/// TIME_WAIT starts when the endpoint acknowledges the peer's FIN; from CLOSING, when the ACK of its own arrives.
fn begin_time_wait(end: &mut Endpoint, peer: &Endpoint, mark: Mark, sent_now: bool) {
    let (Some(mine), Some(theirs)) = (end.fin, peer.fin) else { return };
    if !end.has_acked(theirs.end()) {
        return;
    }
    let uncertainty_ns = if sent_now { 0 } else { end.rtt_ns };
    end.time_wait = Some(Box::new(TimeWait::new(mark, uncertainty_ns, mine.end(), theirs.end())));
}

/// The sender's role, as far as the first segment tells.
fn sender_role<P: Payload>(segment: &Segment<'_>) -> (Role, RoleBasis) {
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
    let (from, to) = (segment.src_port, segment.dst_port);
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
