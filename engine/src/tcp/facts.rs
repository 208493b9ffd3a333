//! A finished connection as plain facts.

use super::close;
use super::connection::{Connection, note_gap, pair};
use super::endpoint::{Endpoint, STAYS_NS};
use super::history::Counted;
use super::payload::{Payload, Sink};
use super::seq;
use super::spans::{UNFOLLOWED, gone_one};
use super::stream::Piece;
use super::time_wait::TimeWait;
use super::unseen::{lacks_before_fin, lacks_up_to};
use crate::record::{
    ActiveCloser, Close, CloserBasis, ConnectionRecord, Mark, Quality, Race, ResetEffect, ResetFacts, ResetKind, Role,
    Side, State,
};

impl<P: Payload> Connection<P> {
    /// Ends the connection: its facts go to the sink, and those of a predecessor still undecided before them. What
    /// remains is empty.
    pub fn finish(&mut self, sink: &mut P::Sink) {
        self.finish_followed(UNFOLLOWED, sink);
    }

    /// The same of one that is followed: since when the sockets of either side are gone for certain, ns.
    pub(super) fn finish_followed(&mut self, gone_ns: [i64; 2], sink: &mut P::Sink) {
        if let Some(mut predecessor) = self.predecessor.take() {
            let opener = predecessor.role_of(self.names[0]);
            predecessor.finish_followed(gone_one(opener, self.first.ts_ns), sink);
        }
        self.finish_payload(sink);
        self.conclude_time_wait();
        if sink.wants_spans() {
            self.finish_spans(gone_ns, sink);
        }
        sink.connection(self.record());
    }

    /// Flushes what waits for reassembly and ends the reader, whose facts are then there.
    fn finish_payload(&mut self, sink: &mut P::Sink) {
        let mut reader = self.payload.take();
        if reader.is_none() && self.http.is_none() {
            return self.note_acked_gap();
        }
        let (quality, history) = (&mut self.quality, &mut self.history);
        for role in [Role::Client, Role::Server] {
            let (end, peer) = pair(&mut self.ends, role);
            let reached = end.stream.next_seq();
            let mut deliver = |piece: Piece<'_>| {
                note_gap(&piece, role, peer, quality, history);
                if let Some(reader) = &mut reader {
                    reader.feed(role, piece, sink);
                }
            };
            match end.fin {
                Some(fin) => end.stream.finish_at(fin.seq, fin.mark, &mut deliver),
                None => end.stream.finish(&mut deliver),
            }
            if let Some(fin) = end.fin
                && reached != Some(fin.seq)
                && end.stream.next_seq() == Some(fin.seq)
                && let Some(reader) = &mut reader
            {
                reader.fin(role, sink);
            }
        }
        self.note_acked_gap();
        if let Some(reader) = reader {
            self.http = Some(reader.finish(sink));
        }
    }

    /// The peer acknowledged what was never captured.
    fn note_acked_gap(&mut self) {
        let [client, server] = &self.ends;
        for (role, end, peer) in [(Role::Client, client, server), (Role::Server, server, client)] {
            if end.packets > 0 && (lacks_up_to(end, peer.acked) || lacks_before_fin(end, peer.acked)) {
                self.quality.0 |= Quality::GAP;
                self.history.counted(role, Counted::Gap);
            }
        }
        if self.unheard().is_some() {
            self.quality.0 |= Quality::ONE_SIDED;
        }
    }

    /// An endpoint that must be waiting although its last ACK was not captured: from the peer's FIN on, if the peer did
    /// not have to repeat it, and it came soon enough to find its FIN-WAIT-2 whatever `tcp_fin_timeout` is there. Where the
    /// FINs crossed and the peer's was not acknowledged, the peer may wait as well.
    pub(super) fn conclude_time_wait(&mut self) {
        for role in [Role::Client, Role::Server] {
            let (end, peer) = pair(&mut self.ends, role);
            if end.state != State::TimeWait || end.time_wait.is_some() {
                continue;
            }
            if let (Some(mine), Some(theirs)) = (end.fin, peer.fin)
                && theirs.repeats == 0
                && theirs.mark.ts_ns.saturating_sub(mine.mark.ts_ns) <= STAYS_NS
                && peer.state != State::Closing
            {
                let start = theirs.mark.at(end.since_ns);
                end.time_wait = Some(TimeWait::new(start, end.rtt_ns, mine.end(), theirs.end()));
            }
        }
    }

    fn record(&mut self) -> ConnectionRecord {
        let close = self.close();
        let (active_closer, closer_basis, closer) = self.closer();
        let race = self.race();
        let half_close_ns = match &self.ends {
            [Endpoint { fin: Some(c), .. }, Endpoint { fin: Some(s), .. }] if close != Close::Simultaneous => {
                let from_client_ns = s.mark.ts_ns - c.mark.ts_ns;
                Some(match active_closer {
                    ActiveCloser::Client => from_client_ns,
                    ActiveCloser::Server => -from_client_ns,
                    _ => from_client_ns.abs(),
                })
            }
            _ => None,
        };
        let handshake_rtt_ns =
            self.established.zip(self.ends[0].syn).map(|(done, syn)| done.ts_ns - syn.ts_ns).filter(|&rtt| rtt >= 0);
        ConnectionRecord {
            ordinal: self.ordinal,
            client: self.names[0],
            server: self.names[1],
            role_basis: self.role_basis,
            tunnel: self.tunnel,
            first: self.first,
            last: self.last,
            handshake_rtt_ns,
            history: self.history.letters(),
            close,
            active_closer,
            closer_basis,
            closer,
            reset: self.reset,
            ineffective_resets: self.ineffective_resets,
            half_close_ns,
            idle_before_close_ns: self.idle_before_close_ns,
            reuse_of: self.reuse_of,
            predecessor: self.follows,
            syn_count: self.ends[0].syn_count,
            race,
            http: self.http.take().unwrap_or_default(),
            quality: self.quality,
            may_wait_unseen: self.may_wait_unseen((active_closer, closer_basis)),
            sides: [side(&self.ends[0]), side(&self.ends[1])],
        }
    }

    /// The first reset that is not known to have failed.
    pub(super) fn effective_reset(&self) -> Option<ResetFacts> {
        self.reset.filter(|reset| reset.effect != ResetEffect::Ineffective)
    }

    pub(super) fn close(&self) -> Close {
        let [client, server] = &self.ends;
        let reset = self.effective_reset();
        match (client.fin, server.fin, reset) {
            (None, None, Some(reset)) if reset.kind == ResetKind::Refused => Close::Refused,
            (None, None, Some(_)) => Close::Reset,
            (_, _, Some(_)) => Close::ResetAfterFin,
            (Some(c), Some(s), None) if close::order(&c, &s) == close::Order::Crossed => Close::Simultaneous,
            (Some(_), Some(_), None) => Close::Fin,
            (None, None, None) => self.openness(),
            (_, _, None) => Close::HalfClosed,
        }
    }

    /// How far a connection without a close got.
    fn openness(&self) -> Close {
        let [client, server] = &self.ends;
        if client.isn.is_some() && server.next.is_none() && client.acked.is_none() {
            Close::Unanswered
        } else if server.opened().0 == State::SynReceived && self.established.is_none() && client.acked.is_none() {
            Close::HalfOpen
        } else {
            Close::Open
        }
    }

    pub(super) fn closer(&self) -> (ActiveCloser, CloserBasis, Option<Mark>) {
        let by_fin = close::closer(&self.ends);
        match self.effective_reset() {
            Some(reset) if by_fin.0 == ActiveCloser::None && reset.kind == ResetKind::Abort => {
                let [other, aborting] = [reset.role.peer(), reset.role].map(|role| &self.ends[role as usize]);
                // Its peer's FIN may have come before, in what was not captured.
                if other.packets == 0 || lacks_up_to(other, aborting.acked) {
                    return (ActiveCloser::Ambiguous, CloserBasis::Abort, None);
                }
                (close::active(reset.role), CloserBasis::Abort, Some(reset.mark))
            }
            _ if by_fin.1 == CloserBasis::SingleFin && !self.is_first_fin_captured() => {
                (ActiveCloser::Ambiguous, CloserBasis::SingleFin, None)
            }
            _ if by_fin.1 == CloserBasis::NoClose && self.hides_close() => {
                (ActiveCloser::Ambiguous, CloserBasis::NoClose, None)
            }
            _ => by_fin,
        }
    }

    /// A request that the server's close overtook, or that ignored it (semantics D4).
    fn race(&self) -> Option<Race> {
        let [client, server] = &self.ends;
        let fin = server.fin?;
        let reset = self.effective_reset()?;
        let http = self.http.as_ref()?;
        let unheard = client.next.is_some_and(|next| seq::lt(fin.ack, next)) && http.unprocessed > 0;
        if !unheard || reset.role != Role::Server || !matches!(reset.kind, ResetKind::LateData | ResetKind::NoState) {
            return None;
        }
        http.last_request?;
        Some(if seq::lt(http.last_request_ack, fin.end()) { Race::KeepaliveRace } else { Race::StaleReuse })
    }
}

fn side(end: &Endpoint) -> Side {
    Side {
        packets: end.packets,
        bytes: end.bytes,
        retransmits: end.retransmits,
        state: end.state,
        state_proved: end.proved,
        fin: end.fin.as_ref().map(|fin| fin.mark),
        stack: end.stack,
        ttl: end.ttl,
        time_wait: end.time_wait.as_ref().map(|wait| wait.facts.clone()),
    }
}
