//! One connection (one incarnation of a 4-tuple): segments in, facts out.

mod ending;
mod kept;
mod opening;
pub mod packed;
mod room;
pub(crate) mod usual;

use self::ending::{begin_time_wait, take_fin};
use self::opening::{acknowledge_syn, go_on_unheard};
use self::usual::Course;
use super::close;
use super::endpoint::Endpoint;
use super::history::{Counted, History};
use super::payload::{Payload, Sink};
use super::reset::Provocation;
use super::seq;
use super::state::Anomaly;
use super::stream::Piece;
use crate::decode::{Captured, Flags, Header, Segment};
use crate::record::{
    Address, HttpFacts, Mark, Quality, ResetBy, ResetEffect, ResetFacts, ResetKind, Role, RoleBasis, State, Tunnel,
};
use crate::settings::Settings;

/// One incarnation of a 4-tuple.
#[derive(Clone, Debug)]
pub struct Connection<P> {
    /// Position of its first packet over the whole capture.
    pub ordinal: u64,
    /// Client and server addresses and ports.
    pub names: [(Address, u16); 2],
    /// VLAN tags.
    pub tunnel: Tunnel,
    /// The client is the lower end of the flow's key: one comparison tells a segment's sender.
    client_is_low: bool,
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
    course: Course,
    /// It has gone the usual way from its SYN on.
    is_straight: bool,
    /// The incarnation before: its ordinal, and ns since its last packet.
    pub reuse_of: Option<(u64, i64)>,
    /// Its first and last packet by then.
    pub follows: Option<[Mark; 2]>,
    /// The incarnation before, while its fate depends on the answer to this one's SYN.
    pub predecessor: Option<Box<Connection<P>>>,
    /// What goes wrong with the capture.
    pub quality: Quality,
    /// The next stage's reader, once there was payload and until it is over.
    pub payload: Option<P>,
    /// What the reader found, once it is over.
    pub(super) http: Option<HttpFacts>,
    /// Acknowledgment number of a challenge that answered the SYN with the numbers of an older incarnation.
    challenge_ack: Option<u32>,
    /// How far the reset's sender had sent before it.
    sent_before_reset: u32,
    said: [Option<Provocation>; 2],
}

pub(super) const fn mark(segment: &Header) -> Mark {
    Mark::new(segment.ts_ns, segment.frame, segment.file)
}

impl<P: Payload> Connection<P> {
    /// Which role sent a segment of this 4-tuple.
    #[inline]
    #[must_use]
    pub fn sender(&self, header: &Header) -> Role {
        if header.from_low == self.client_is_low { Role::Client } else { Role::Server }
    }

    /// Takes one segment of this connection.
    pub fn accept(&mut self, segment: &Segment<'_>, settings: &Settings, sink: &mut P::Sink) {
        let role = self.sender(segment);
        let mark = mark(segment);
        if !self.take_usual(segment, role, mark, settings, sink) {
            self.take_any(segment, role, mark, settings, sink);
        }
    }

    /// Takes a segment the long way.
    #[inline(never)]
    fn take_any(&mut self, segment: &Segment<'_>, role: Role, mark: Mark, settings: &Settings, sink: &mut P::Sink) {
        let mut role = role;
        // What comes this way may be odd, and what is straight is laid to rest without a look for that.
        self.is_straight = false;
        let marked = segment.flags.0 & (Flags::SYN.0 | Flags::FIN.0 | Flags::RST.0 | Flags::ACK.0);
        // What is not steady goes through every step; what is, only through those that can concern it.
        let is_plain = self.course == Course::Steady && marked == Flags::ACK.0;
        if !is_plain && self.is_of_older(segment, role) {
            return self.note_older(segment, role, mark);
        }
        self.quality.0 |= if segment.captured == Captured::WithCopies { Quality::DUPLICATES } else { 0 };
        self.last = mark.at(mark.ts_ns.max(self.last.ts_ns));
        self.note_packet(segment, role);
        if !is_plain {
            self.take_mark(segment, role, mark, sink);
        }
        if !segment.flags.has(Flags::RST) {
            self.take_sequence(segment, role, mark, settings, sink);
            if is_plain {
                self.take_plain_ack(segment, role);
            } else {
                role = self.sender(segment); // the payload may have turned the roles round
                if segment.flags.has(Flags::ACK) {
                    self.take_ack(segment, role, mark, sink);
                }
            }
        }
        self.said[role as usize] = Some(Provocation { ack: segment.ack, flags: segment.flags });
        self.ends[role as usize].ip_id = segment.ip_id.unwrap_or(0);
        if !is_plain {
            self.settle(mark, role, sink);
            self.find_course();
        }
    }

    /// One of its packets was captured once more.
    pub fn note_duplicate(&mut self) {
        self.quality.0 |= Quality::DUPLICATES;
    }

    /// What a segment says before its sequence space is looked at: of a TIME_WAIT, as a reset, as a SYN.
    fn take_mark(&mut self, segment: &Segment<'_>, role: Role, mark: Mark, sink: &mut P::Sink) {
        self.observe_time_wait(segment, role, mark);
        if segment.flags.has(Flags::RST) {
            self.take_reset(segment, role, mark);
        } else {
            self.contradict_reset(segment, role);
            if segment.flags.has(Flags::SYN) {
                self.take_syn(segment, role, mark, sink);
            }
        }
    }

    /// Whether a segment carries the numbers of an older incarnation (semantics A2, last row): an ACK that does not
    /// acknowledge the SYN it answers, or the reset that answers this challenge. Not once the client has acknowledged
    /// something: it had the SYN-ACK, captured or not, and a challenge answers a SYN that is still without one.
    fn is_of_older(&self, segment: &Segment<'_>, role: Role) -> bool {
        let [client, server] = &self.ends;
        let (Some(isn), None, None) = (client.isn, server.isn, client.acked) else { return false };
        match role {
            Role::Server => {
                let acks_syn = seq::lt(isn, segment.ack) && client.next.is_some_and(|next| seq::leq(segment.ack, next));
                segment.flags.has(Flags::ACK)
                    && segment.flags.0 & (Flags::SYN.0 | Flags::RST.0 | Flags::FIN.0) == 0
                    && segment.payload_len == 0
                    && !acks_syn
            }
            // RFC 9293 §3.10.7.3: SEQ=SEG.ACK, and no ACK of its own.
            Role::Client => {
                segment.flags.0 & (Flags::RST.0 | Flags::ACK.0) == Flags::RST.0
                    && self.challenge_ack == Some(segment.seq)
            }
        }
    }

    /// Counts such a segment: it is part of this attempt and says nothing of its sequence space.
    #[cold]
    fn note_older(&mut self, segment: &Segment<'_>, role: Role, mark: Mark) {
        self.course = Course::Any; // the server's SYN was not captured
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
            seq: segment.seq,
        });
    }

    fn note_packet(&mut self, segment: &Segment<'_>, role: Role) {
        let end = &mut self.ends[role as usize];
        if end.packets == 0 {
            // A SYN-ACK captured before it told where this side begins.
            end.first_seq = end.stream.next_seq().unwrap_or(segment.seq);
        }
        if end.ttl == 0 && !segment.flags.has(Flags::RST) {
            end.ttl = segment.ttl;
        }
        end.packets += 1;
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
        if segment.window == 0 && !segment.is_window_cut && !segment.flags.has(Flags::RST) && !gone {
            self.history.counted(role, Counted::ZeroWindow);
        }
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
        let continues = end.next == Some(seq);
        if !continues {
            let is_small = syn == 0 && segment.payload_len <= 1 && !segment.flags.has(Flags::FIN);
            let is_probe = is_small && end.next.is_some_and(|next| seq::add(seq, 1) == next);
            if is_probe || !end.is_near(seq, peer.acked) {
                return;
            }
            if is_small && end.next.is_none() && segment.payload_len == 0 {
                end.compare_first(Some(seq), peer.acked);
            }
        }
        if segment.payload_len > 0 {
            self.last_payload_ns = Some(segment.ts_ns);
            self.take_payload(segment, seq, role, mark, settings, sink);
        }
        let role = self.sender(segment);
        let (end, peer) = pair(&mut self.ends, role);
        end.sent_to(end_seq);
        if segment.flags.has(Flags::FIN) {
            take_fin(end, peer, segment, end_seq, mark);
            self.note_close(mark);
        } else if segment.payload_len == 0 && !continues && end.fin.is_none() && end.stream.next_seq().is_none() {
            end.stream.start(seq);
        }
        if self.ends[role as usize].fin.is_some() {
            self.finish_stream(role, sink);
        }
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
        let is_late = self.http.is_some();
        if self.payload.is_none() && !is_late {
            self.orient(segment, role);
        }
        let role = self.sender(segment);
        let mut reader = (!is_late).then(|| self.payload.get_or_insert_with(|| P::new(settings, self.ordinal)));
        let (quality, history) = (&mut self.quality, &mut self.history);
        let (end, peer) = pair(&mut self.ends, role);
        let before = end.take_before_first(seq, segment.payload_len);
        let pushed = end.stream.push(seq, segment.payload, segment.payload_len, mark, segment.ack, &mut |piece| {
            note_gap(&piece, role, peer, quality, history);
            if let Some(reader) = &mut reader {
                reader.feed(role, piece, sink);
            }
        });
        end.bytes += u64::from(pushed.new_bytes) + u64::from(before);
        if pushed.retransmitted && before < segment.payload_len && segment.captured != Captured::InParts {
            end.retransmits += 1;
            self.history.counted(role, Counted::Retransmission);
        }
        if pushed.out_of_order || before > 0 {
            self.quality.0 |= Quality::REORDERED;
        }
        if pushed.overflow_bytes > 0 {
            self.quality.0 |= Quality::GAP;
            sink.overflow(pushed.overflow_bytes);
        }
        if pushed.kept {
            sink.note_kept();
        }
    }

    /// Tells the reader that a stream is complete, once it has reached the FIN.
    fn finish_stream(&mut self, role: Role, sink: &mut P::Sink) {
        let end = &self.ends[role as usize];
        if let (Some(fin), Some(payload)) = (&end.fin, &mut self.payload)
            && end.stream.next_seq() == Some(fin.seq)
        {
            payload.fin(role, sink);
            if payload.is_over() && self.ends.iter().all(|end| end.fin.is_some()) {
                // What waits out a TIME_WAIT need not keep its reader.
                self.http = self.payload.take().map(|payload| payload.finish(sink));
            }
        }
    }

    fn take_ack(&mut self, segment: &Segment<'_>, role: Role, mark: Mark, sink: &mut P::Sink) {
        let is_syn = segment.flags.has(Flags::SYN);
        let (end, peer) = pair(&mut self.ends, role);
        if !end.is_near_ack(segment.ack, peer) {
            return;
        }
        let before = end.acked;
        end.acknowledge(segment.ack, segment.ts_ns);
        if before.is_none() && !is_syn {
            peer.compare_first(peer.next, end.acked);
        }
        if is_syn && peer.packets == 0 && peer.stream.next_seq().is_none() {
            peer.stream.start(segment.ack);
        }
        peer.stream.acked(segment.ack);
        match peer.isn {
            Some(isn) if !is_syn => acknowledge_syn(end, peer, isn, before, segment, sink),
            None if !is_syn => go_on_unheard(end, peer, before, segment, sink),
            _ => {}
        }
        if role == Role::Client && !is_syn && self.established.is_none() && self.ends[1].isn.is_some() {
            self.establish(segment, mark);
        }
        let (end, peer) = pair(&mut self.ends, role);
        let sent = end.next.unwrap_or(segment.seq);
        if let Some(fin) = &mut peer.fin {
            fin.hear_ack(segment.ack, mark, sent);
        }
    }

    /// Brings both endpoints' states up to date with what is now known, and begins a TIME_WAIT that follows.
    #[inline]
    pub(super) fn settle(&mut self, mark: Mark, role: Role, sink: &mut P::Sink) {
        let is_closing = |end: &Endpoint| end.fin.is_some() || end.reset.is_some();
        if self.ends.iter().any(is_closing) {
            return self.settle_changes(mark, role, sink);
        }
        for side in [Role::Client, Role::Server] {
            let opened = self.ends[side as usize].opened();
            self.go_to(side, opened, mark, role, sink);
        }
    }

    fn settle_changes(&mut self, mark: Mark, role: Role, sink: &mut P::Sink) {
        for side in [Role::Client, Role::Server] {
            let (end, peer) = pair(&mut self.ends, side);
            let (assumed, proved, anomaly) = close::states(end, peer);
            if let Some(pair) = anomaly.filter(|_| assumed != end.state) {
                sink.anomaly(pair);
            }
            self.go_to(side, (assumed, proved), mark, role, sink);
        }
    }

    /// A side's states are now these; `role` sent the packet that shows it.
    #[inline]
    fn go_to(&mut self, side: Role, (assumed, proved): (State, State), mark: Mark, role: Role, sink: &mut P::Sink) {
        let end = &mut self.ends[side as usize];
        end.proved = proved;
        if assumed != end.state {
            if sink.wants_spans() {
                self.leave_state(side, mark.ts_ns, sink);
            }
            let end = &mut self.ends[side as usize];
            (end.state, end.since_ns) = (assumed, mark.ts_ns);
        }
        let (end, peer) = pair(&mut self.ends, side);
        if end.state == State::TimeWait && end.time_wait.is_none() {
            begin_time_wait(end, peer, mark, role == side);
        }
    }

    /// Packets were left out on purpose: whatever comes next is near what was seen, of each side that has not closed.
    pub fn lose_sight(&mut self) {
        self.course = Course::Any;
        for role in [Role::Client, Role::Server] {
            let (end, peer) = pair(&mut self.ends, role);
            if end.fin.is_none() {
                (end.next, peer.acked) = (None, None);
                end.stream.lose_sight();
            }
        }
    }

    /// Whether nothing speaks of an end so far, as in nearly every segment's.
    #[inline]
    #[must_use]
    pub const fn is_open_for_certain(&self) -> bool {
        matches!(self.course, Course::Opened | Course::Steady)
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
