//! The short way for nearly every segment: the next of its side, in a connection that goes as connections go.
//!
//! What the long way ([`Connection::accept`]) would ask again for each segment is known here, and what is to be done is
//! done by the same functions. Whatever differs in anything goes the long way; a test holds the two against each other.

use super::ending::take_fin;
use super::opening::acknowledge_syn;
use super::{Connection, pair};
use crate::decode::{Captured, Flags, Segment};
use crate::record::{Mark, Role, RoleBasis, State};
use crate::settings::Settings;
use crate::tcp::close;
use crate::tcp::endpoint::Endpoint;
use crate::tcp::history::Past;
use crate::tcp::payload::Payload;
use crate::tcp::reset::Provocation;
use crate::tcp::seq;
use crate::tcp::stream::Piece;

/// How a connection has gone so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// One way or another.
    Any,
    /// Both sides are open, and all but the server's having heard the client's ACK is certain.
    Opened,
    /// Both sides are open for certain and nothing speaks of an end: what holds for most of a connection's life.
    Steady,
    /// The same until one side closed, or both; nobody waits in TIME_WAIT yet.
    Closing,
    /// The same until somebody waits in TIME_WAIT, and no packet since.
    Over,
}

impl Course {
    pub(super) const ALL: &[Course] = &[Course::Any, Course::Opened, Course::Steady, Course::Closing, Course::Over];
}

impl<P: Payload> Connection<P> {
    /// Takes a segment the short way; false, and nothing is changed, where it must go the long way.
    #[inline]
    pub(super) fn take_usual(
        &mut self,
        segment: &Segment<'_>,
        role: Role,
        mark: Mark,
        settings: &Settings,
        sink: &mut P::Sink,
    ) -> bool {
        let marks = segment.flags.0 & (Flags::SYN.0 | Flags::FIN.0 | Flags::RST.0 | Flags::ACK.0);
        #[cfg(test)]
        if long_way::is_taken() {
            return false;
        }
        let is_next = self.ends[role as usize].next == Some(segment.seq)
            && segment.window != 0
            && segment.captured != Captured::WithCopies;
        match self.course {
            Course::Opened | Course::Steady if is_next && marks == Flags::ACK.0 => {
                self.take_steady(segment, role, mark, settings, sink)
            }
            Course::Steady | Course::Closing if is_next && segment.payload_len == 0 => {
                self.take_closing(segment, marks, role, mark, sink)
            }
            _ => false,
        }
    }

    /// Payload, all of it captured and read at once, or an acknowledgment.
    #[inline]
    fn take_steady(
        &mut self,
        segment: &Segment<'_>,
        role: Role,
        mark: Mark,
        settings: &Settings,
        sink: &mut P::Sink,
    ) -> bool {
        let length = segment.payload_len;
        if length > 0 {
            let end = &mut self.ends[role as usize];
            if self.payload.is_none() && (self.http.is_some() || self.role_basis != RoleBasis::Syn) {
                return false;
            }
            if end.isn.is_none() || segment.payload.len() as u32 != length || !end.stream.go_on(segment.seq, length) {
                return false;
            }
            let reader = self.payload.get_or_insert_with(|| P::new(settings, self.ordinal));
            end.next = Some(seq::add(segment.seq, length));
            end.bytes += u64::from(length);
            self.last_payload_ns = Some(segment.ts_ns);
            reader.feed(role, Piece::Data { bytes: segment.payload, seq: segment.seq, ack: segment.ack, mark }, sink);
        }
        self.note_usual(segment, role, mark);
        let is_real = self.take_plain_ack(segment, role);
        if is_real && self.course == Course::Opened && role == Role::Server {
            self.prove_opening(segment, sink);
        }
        true
    }

    /// The server speaks: what it acknowledges may prove that it heard the client's ACK, see [`acknowledge_syn`].
    fn prove_opening(&mut self, segment: &Segment<'_>, sink: &mut P::Sink) {
        let [client, server] = &mut self.ends;
        if let Some(isn) = client.isn {
            acknowledge_syn(server, client, isn, None, segment, sink);
            server.proved = server.opened().1;
            self.course = if server.proved == State::Established { Course::Steady } else { Course::Opened };
        }
    }

    /// A FIN, the first of its side, or an acknowledgment after the other side's.
    fn take_closing(&mut self, segment: &Segment<'_>, marks: u16, role: Role, mark: Mark, sink: &mut P::Sink) -> bool {
        let is_fin = marks == Flags::FIN.0 | Flags::ACK.0;
        let (end, peer) = pair(&mut self.ends, role);
        if (marks != Flags::ACK.0 && !is_fin) || (is_fin && end.fin.is_some()) {
            return false;
        }
        if is_fin {
            take_fin(end, peer, segment, segment.seq, mark);
            self.is_straight &= end.fin.is_some_and(|fin| fin.acked.is_none());
            self.note_close(mark);
        }
        self.note_usual(segment, role, mark);
        if self.ends[role as usize].fin.is_some() {
            self.finish_stream(role, sink);
        }
        self.take_closing_ack(segment, role, mark);
        self.settle_closing(mark, role, sink);
        true
    }

    /// The part of [`Connection::take_ack`] that can concern a connection that is open; whether the number can be real.
    #[inline]
    pub(super) fn take_plain_ack(&mut self, segment: &Segment<'_>, role: Role) -> bool {
        let (end, peer) = pair(&mut self.ends, role);
        let is_real = end.is_near_ack(segment.ack, peer);
        if is_real {
            end.acknowledge(segment.ack, segment.ts_ns);
            peer.stream.acked(segment.ack);
        }
        is_real
    }

    /// What the long way leaves behind it.
    pub(super) fn find_course(&mut self) {
        (self.course, self.is_straight) = (Course::Any, false);
        if self.established.is_none() || self.reset.is_some() {
            return;
        }
        let [client, server] = &self.ends;
        let is_open = |end: &Endpoint| {
            (end.state, end.proved) == end.opened()
                && end.state == State::Established
                && end.fin.is_none()
                && end.reset.is_none()
                && end.stream.next_seq().is_some()
                && end.ttl != 0
        };
        let is_open = is_open(client) && is_open(server);
        self.course = match (client.proved, server.proved) {
            (State::Established, State::Established) if is_open => Course::Steady,
            (State::Established, State::SynReceived) if is_open => Course::Opened,
            _ => Course::Any,
        };
        self.is_straight = self.course == Course::Opened && self.has_just_opened();
    }

    /// Whether all that an open connection has seen is a SYN, a SYN-ACK and an ACK, in this order, that fit each other.
    fn has_just_opened(&self) -> bool {
        let [client, server] = &self.ends;
        let has_begun = |end: &Endpoint, peer: &Endpoint, history: &Past| {
            let after_syn = end.isn.map(|isn| seq::add(isn, 1));
            end.isn == Some(end.first_seq)
                && (end.syn_count, end.bytes, end.retransmits) == (1, 0, 0)
                && (end.next, end.stream.next_seq(), peer.acked) == (after_syn, after_syn, after_syn)
                && (end.stream.has_acked, Some(end.stream.acked)) == (true, after_syn)
                && history.counts == [0; 3]
        };
        let way_ns = |later: Option<Mark>, before: Option<Mark>| {
            later.zip(before).map(|(later, before)| later.ts_ns.wrapping_sub(before.ts_ns))
        };
        let [past, peers] = &self.history.past;
        (client.packets, server.packets, self.role_basis) == (2, 1, RoleBasis::Syn)
            && has_begun(client, server, past)
            && has_begun(server, client, peers)
            && (client.syn, self.established) == (Some(self.first), Some(self.last))
            && way_ns(self.established, server.syn) == Some(client.rtt_ns)
            && way_ns(server.syn, client.syn) == Some(server.rtt_ns)
            && (self.ineffective_resets, self.sent_before_reset, self.challenge_ack) == (0, 0, None)
    }

    /// Whether it has gone the usual way to its end and rested since: then nearly everything follows from a few packets,
    /// and nothing is unlike [`super::packed`] expects it.
    pub(super) fn has_gone_straight(&self, response_end: Option<Mark>) -> bool {
        let [client, server] = &self.ends;
        let is_done = |end: &Endpoint, peer: &Endpoint, said: Option<Provocation>| {
            end.acked == peer.next && said.map(|said| said.ack) == end.acked && u32::try_from(end.bytes).is_ok()
        };
        let closed = [State::TimeWait, State::Closed];
        self.is_straight
            && self.course == Course::Over
            && (closed == [client.state, server.state] || closed == [server.state, client.state])
            && is_done(client, server, self.said[0])
            && is_done(server, client, self.said[1])
            && response_end.is_none_or(|end| Some(end.ts_ns) == self.last_payload_ns)
    }

    /// What is noted of any packet.
    #[inline]
    fn note_usual(&mut self, segment: &Segment<'_>, role: Role, mark: Mark) {
        self.is_straight &= mark.ts_ns >= self.last.ts_ns;
        self.last = mark.at(mark.ts_ns.max(self.last.ts_ns));
        self.history.packet(role, segment);
        self.said[role as usize] = Some(Provocation { ack: segment.ack, flags: segment.flags });
        let end = &mut self.ends[role as usize];
        end.packets += 1;
        (end.window, end.ip_id) = (segment.window, segment.ip_id.unwrap_or(0));
    }

    /// As [`Connection::take_plain_ack`], where it may acknowledge a FIN.
    fn take_closing_ack(&mut self, segment: &Segment<'_>, role: Role, mark: Mark) {
        let (end, peer) = pair(&mut self.ends, role);
        if !end.is_near_ack(segment.ack, peer) {
            return;
        }
        end.acknowledge(segment.ack, segment.ts_ns);
        peer.stream.acked(segment.ack);
        let sent = end.next.unwrap_or(segment.seq);
        if let Some(fin) = &mut peer.fin {
            fin.hear_ack(segment.ack, mark, sent);
        }
    }

    /// As [`Connection::settle`], of sides that were open before they closed.
    fn settle_closing(&mut self, mark: Mark, role: Role, sink: &mut P::Sink) {
        for side in [Role::Client, Role::Server] {
            let (end, peer) = pair(&mut self.ends, side);
            let states = close::states_from_open(end, peer);
            self.go_to(side, states, mark, role, sink);
        }
        let is_waiting = self.ends.iter().any(|end| end.time_wait.is_some());
        self.course = if is_waiting { Course::Over } else { Course::Closing };
    }
}

/// For tests: whether everything goes the long way in this thread.
#[cfg(test)]
pub(crate) mod long_way {
    use std::cell::Cell;

    thread_local!(static ALWAYS: Cell<bool> = const { Cell::new(false) });

    pub(crate) fn is_taken() -> bool {
        ALWAYS.get()
    }

    /// Whatever happens in `run` goes the long way.
    pub(crate) fn throughout<T>(run: impl FnOnce() -> T) -> T {
        ALWAYS.set(true);
        let result = run();
        ALWAYS.set(false);
        result
    }
}
