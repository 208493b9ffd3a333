//! Every field of a connection at rest, once, each beside what it is expected to be.
//!
//! One walk serves both directions, so what is written is what is read. An expectation rests only on fields that the
//! walk has passed. The expectations are those of a connection that two FINs closed: its last packets fix nearly all.

use super::tape::Tape;
use crate::decode::Flags;
use crate::record::{
    HttpFacts, Letters, Mark, ResetBy, ResetEffect, ResetFacts, ResetKind, Role, RoleBasis, Stack, State, TimeWaitEnd,
};
use crate::tcp::connection::usual::Course;
use crate::tcp::connection::{Connection, pair};
use crate::tcp::endpoint::{Endpoint, Fin};
use crate::tcp::payload::Payload;
use crate::tcp::reset::Provocation;
use crate::tcp::seq;
use crate::tcp::state::Event;
use crate::tcp::time_wait::{Probe, TimeWait};

/// The HTTP facts that differ between connections that are otherwise alike: where the last request and response are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HttpMarks {
    request: Option<Mark>,
    request_ack: u32,
    /// Where the last response ended.
    pub(super) response_end: Option<Mark>,
}

impl HttpMarks {
    /// Takes them out of the facts.
    pub(super) fn take(facts: &mut HttpFacts) -> Self {
        HttpMarks {
            request: facts.last_request.take(),
            request_ack: std::mem::take(&mut facts.last_request_ack),
            response_end: facts.last_response_end.take(),
        }
    }

    /// Puts them in again.
    pub(super) fn give(self, facts: HttpFacts) -> HttpFacts {
        HttpFacts {
            last_request: self.request,
            last_request_ack: self.request_ack,
            last_response_end: self.response_end,
            ..facts
        }
    }
}

/// Goes through all of it. Reading, `connection` has its ordinal and first mark, and nothing else.
pub(super) fn walk<P: Payload, T: Tape>(connection: &mut Connection<P>, http: &mut HttpMarks, tape: &mut T) {
    walk_kept(connection, tape);
    for role in [Role::Client, Role::Server] {
        let (end, said) = (&mut connection.ends[role as usize], &mut connection.said[role as usize]);
        walk_end(end, said, tape);
    }
    walk_marks(connection, http, tape);
    for role in [Role::Client, Role::Server] {
        walk_fin(connection, role, tape);
    }
    walk_reset(connection, tape);
    walk_closing(connection, tape);
    for role in [Role::Client, Role::Server] {
        let last_ns = connection.last.ts_ns;
        let (end, peer) = pair(&mut connection.ends, role);
        walk_acked(end, peer, last_ns, tape);
    }
    for role in [Role::Client, Role::Server] {
        let last_ns = connection.last.ts_ns;
        let (end, peer) = pair(&mut connection.ends, role);
        walk_sequence(end, peer, last_ns, tape);
        walk_said(&mut connection.said[role as usize], end, tape);
        let past = &mut connection.history.past[role as usize];
        let first_fin = end.fin.as_ref().map_or(0, |fin| fin.seq);
        let expected = [end.isn.unwrap_or(0), first_fin, end.next.unwrap_or(0)];
        for (bit, (last, expected)) in past.last.iter_mut().zip(expected).enumerate() {
            odd(tape, last, if past.seen >> bit & 1 == 1 { expected } else { 0 });
        }
        for (count, expected) in past.counts.iter_mut().zip([0, end.retransmits, 0]) {
            odd(tape, count, expected);
        }
        walk_time_wait(end, peer, tape);
    }
}

/// What stands for itself.
fn walk_kept<P: Payload, T: Tape>(c: &mut Connection<P>, tape: &mut T) {
    flag(tape, &mut c.client_is_low);
    flag(tape, &mut c.has_close);
    flag(tape, &mut c.is_straight);
    let course = c.course as u8;
    let course = [1, 2, 4].map(|bit| if tape.bit(course & bit != 0) { bit } else { 0 });
    if T::READS {
        c.course = of(Course::ALL, course.iter().map(|&bit| u64::from(bit)).sum()).unwrap_or(Course::Any);
    }
    let seen = c.history.past.each_ref().map(|past| u64::from(past.seen));
    let seen = tape.short(seen[0] | seen[1] << 8);
    let basis = tape.short(u64::from(c.quality.0) | (c.role_basis as u64) << 8);
    let mut words = c.history.letters.words();
    for (at, word) in words.iter_mut().enumerate() {
        // The first sixteen letters and how many there are; more are rare.
        let is_kept = at < 4 || at == 7;
        *word = if is_kept { tape.word(*word) } else { tape.odd(u64::from(*word)) as u32 };
    }
    if T::READS {
        (c.history.past[0].seen, c.history.past[1].seen) = (seen as u8, (seen >> 8) as u8);
        c.quality.0 = basis as u8;
        c.role_basis = of(RoleBasis::ALL, basis >> 8).unwrap_or(c.role_basis);
        c.history.letters = Letters::of_words(words);
    }
}

/// A side's own numbers.
fn walk_end<T: Tape>(end: &mut Endpoint, said: &mut Option<Provocation>, tape: &mut T) {
    let has_isn = tape.bit(end.isn.is_some());
    flag(tape, &mut end.isn_recycled);
    let base = tape.word(end.isn.unwrap_or(end.first_seq));
    odd(tape, &mut end.first_seq, base);
    let has_next = tape.bit(end.next.is_some());
    let next = tape.word(end.next.unwrap_or(0));
    let has_acked = tape.bit(end.acked.is_some());
    flag(tape, &mut end.stream.started);
    flag(tape, &mut end.stream.has_acked);
    let has_said = tape.bit(said.is_some());
    let states = [end.state, end.proved, end.open.0, end.open.1];
    let states = tape.short(states.iter().rev().fold(0, |all, &state| all << 4 | state as u64));
    let look = u64::from(end.ttl) | u64::from(end.window_scale) << 8 | (end.stack as u64) << 12;
    let look = tape.short(look);
    let window = tape.short(u64::from(end.window));
    let packets = tape.short(end.packets);
    let retransmits = tape.short(u64::from(end.retransmits));
    if T::READS {
        (end.isn, end.next) = (has_isn.then_some(base), has_next.then_some(next));
        (end.acked, end.acked_at_ns) = (has_acked.then_some(0), has_acked.then_some(0));
        *said = has_said.then(Provocation::default);
        let state = |place: u32| of(State::ALL, states >> (4 * place) & 15).unwrap_or(State::Closed);
        (end.state, end.proved, end.open) = (state(0), state(1), (state(2), state(3)));
        (end.ttl, end.window_scale) = (look as u8, (look >> 8 & 15) as u8);
        end.stack = of(Stack::ALL, look >> 12).unwrap_or(Stack::Unknown);
        (end.window, end.packets, end.retransmits) = (window as u16, packets, retransmits as u32);
    }
}

/// The packets that fix all others.
fn walk_marks<P: Payload, T: Tape>(c: &mut Connection<P>, http: &mut HttpMarks, tape: &mut T) {
    let first = c.first;
    mark(tape, &mut c.established, first);
    mark(tape, &mut c.ends[1].syn, first);
    for end in &mut c.ends {
        let fin = end.fin.as_ref();
        let (mut sent, mut acked) = (fin.map(|fin| fin.mark), fin.and_then(|fin| fin.acked));
        mark(tape, &mut sent, first);
        mark(tape, &mut acked, first);
        if T::READS {
            end.fin = sent.map(|mark| Fin { acked, ..Fin::of(mark) });
        }
    }
    mark(tape, &mut http.request, first);
    http.request_ack = tape.word(http.request_ack);
    let has_payload = tape.bit(c.last_payload_ns.is_some());
    let payload_ns = c.last_payload_ns.unwrap_or(first.ts_ns).wrapping_sub(first.ts_ns);
    let payload_ns = first.ts_ns.wrapping_add(tape.time(payload_ns as u64) as i64);
    let mut answer = http.response_end;
    let place = tape.place(answer.map_or(0, |mark| apart(mark.place(), first.place())));
    let answer_ns = tape.odd(answer.map_or(0, |mark| mark.ts_ns.wrapping_sub(payload_ns)) as u64) as i64;
    let reuse = tape.place(c.reuse_of.map_or(0, |(ordinal, _)| c.ordinal.wrapping_sub(ordinal)));
    let gap_ns = tape.time(c.reuse_of.map_or(0, |(_, gap_ns)| gap_ns) as u64) as i64;
    if T::READS {
        c.last_payload_ns = has_payload.then_some(payload_ns);
        let place = distance(place).map(|distance| first.place().wrapping_add(distance));
        answer = place.and_then(|place| Mark::at_place(payload_ns.wrapping_add(answer_ns), place));
        http.response_end = answer;
        c.reuse_of = (reuse > 0).then(|| (c.ordinal.wrapping_sub(reuse), gap_ns));
    }
    walk_predecessor(c, tape);
}

/// Where the incarnation before began, and where its last packet was: as long before the first as the reuse tells.
fn walk_predecessor<P: Payload, T: Tape>(c: &mut Connection<P>, tape: &mut T) {
    let first = c.first;
    let last_ns = first.ts_ns.wrapping_sub(c.reuse_of.map_or(0, |(_, gap_ns)| gap_ns));
    let [begun, last] = c.follows.unwrap_or([Mark::default(); 2]);
    let has = c.follows.is_some();
    let back = |mark: Mark| if has { apart(first.place(), mark.place()) } else { 0 };
    let (begun_place, last_place) = (tape.place(back(begun)), tape.place(back(last)));
    let length_ns = tape.time(if has { last_ns.wrapping_sub(begun.ts_ns) as u64 } else { 0 }) as i64;
    let off_ns = tape.odd(if has { last.ts_ns.wrapping_sub(last_ns) as u64 } else { 0 }) as i64;
    if T::READS && begun_place > 0 {
        let at = |back: u64, ns: i64| Mark::at_place(ns, first.place().wrapping_sub(distance(back)?));
        let marks = at(begun_place, last_ns.wrapping_sub(length_ns)).zip(at(last_place, last_ns.wrapping_add(off_ns)));
        c.follows = marks.map(|(begun, last)| [begun, last]);
    }
}

/// What is known of a side's FIN beside its packet and its acknowledgment.
fn walk_fin<P: Payload, T: Tape>(c: &mut Connection<P>, role: Role, tape: &mut T) {
    let (end, peer) = pair(&mut c.ends, role);
    let (next, peer_next) = (end.next.unwrap_or(0), peer.next.unwrap_or(0));
    let Some(fin) = &mut end.fin else { return };
    odd(tape, &mut fin.seq, next.wrapping_sub(1));
    for number in [&mut fin.ack, &mut fin.peer_next_when_acked] {
        let behind = tape.short(u64::from(peer_next.wrapping_sub(*number)));
        if T::READS {
            *number = peer_next.wrapping_sub(behind as u32);
        }
    }
    let flags = [fin.is_second, !fin.has_ack, fin.is_sent_again];
    let repeats = flags.into_iter().fold(u64::from(fin.repeats), |all, flag| all << 1 | u64::from(flag));
    let repeats = tape.odd(repeats);
    if T::READS {
        (fin.repeats, fin.is_second) = ((repeats >> 3) as u32, repeats & 4 != 0);
        (fin.has_ack, fin.is_sent_again) = (repeats & 2 == 0, repeats & 1 == 1);
    }
}

/// A reset, if there was one.
fn walk_reset<P: Payload, T: Tape>(c: &mut Connection<P>, tape: &mut T) {
    let mut place = c.reset.map(|reset| reset.mark);
    odd_mark(tape, &mut place, None);
    odd(tape, &mut c.ineffective_resets, 0);
    odd(tape, &mut c.sent_before_reset, 0);
    let challenge = tape.odd(c.challenge_ack.map_or(0, |ack| u64::from(ack) + 1));
    if T::READS {
        c.challenge_ack = challenge.checked_sub(1).map(|ack| ack as u32);
    }
    let Some(mark) = place else { return };
    let facts = c.reset.map_or(0, |reset| {
        let provoked_by = reset.provoked_by.map_or(2, |role| role as u64);
        let kind = (reset.kind as u64) << 4 | (reset.effect as u64) << 8 | provoked_by << 12;
        u64::from(reset.seq) << 32 | u64::from(reset.flags.0) << 16 | kind | (reset.by as u64) << 2 | reset.role as u64
    });
    let facts = tape.odd(facts);
    if T::READS {
        c.reset = Some(ResetFacts {
            mark,
            by: of(ResetBy::ALL, facts >> 2 & 3).unwrap_or(ResetBy::Client),
            role: role(facts & 1),
            kind: of(ResetKind::ALL, facts >> 4 & 15).unwrap_or(ResetKind::Abort),
            effect: of(ResetEffect::ALL, facts >> 8 & 15).unwrap_or(ResetEffect::Unknown),
            provoked_by: (facts >> 12 & 15 < 2).then_some(role(facts >> 12 & 1)),
            flags: Flags((facts >> 16) as u16),
            seq: (facts >> 32) as u32,
        });
    }
}

/// The last packet, and the silence before the first that closed.
fn walk_closing<P: Payload, T: Tape>(c: &mut Connection<P>, tape: &mut T) {
    let [client, server] = &c.ends;
    let fins = [&client.fin, &server.fin];
    let acked = |fin: &Option<Fin>| fin.as_ref().and_then(|fin| fin.acked);
    let latest = acked(fins[0]).max(acked(fins[1]));
    let mut last = Some(c.last);
    odd_mark(tape, &mut last, latest.or(Some(c.first)));
    c.last = last.unwrap_or(c.last);
    let closing = match fins.map(|fin| fin.as_ref().map(|fin| fin.mark)) {
        [Some(one), Some(other)] => Some(one.min(other)),
        [one, other] => one.or(other).or(c.reset.map(|reset| reset.mark)),
    };
    let silence_ns = closing.zip(c.last_payload_ns).map(|(mark, last_ns)| mark.ts_ns.wrapping_sub(last_ns));
    odd_length(tape, &mut c.idle_before_close_ns, silence_ns);
    let mut syn = c.ends[0].syn;
    odd_mark(tape, &mut syn, c.ends[0].isn.map(|_| c.first));
    c.ends[0].syn = syn;
    let [client, server] = &mut c.ends;
    let way = |later: Option<Mark>, before: Option<Mark>| {
        later.zip(before).map_or(0, |(later, before)| later.ts_ns.wrapping_sub(before.ts_ns))
    };
    odd_ns(tape, &mut client.rtt_ns, way(c.established, server.syn));
    odd_ns(tape, &mut server.rtt_ns, way(server.syn, client.syn));
}

/// When a side's FIN was acknowledged; without one, the last packet.
fn fin_acked_ns(end: &Endpoint, last_ns: i64) -> i64 {
    end.fin.as_ref().and_then(|fin| fin.acked).map_or(last_ns, |mark| mark.ts_ns)
}

/// What a side acknowledged, and when.
fn walk_acked<T: Tape>(end: &mut Endpoint, peer: &Endpoint, last_ns: i64, tape: &mut T) {
    if let (Some(acked), Some(at_ns)) = (&mut end.acked, &mut end.acked_at_ns) {
        odd(tape, acked, peer.next.unwrap_or(0));
        odd_ns(tape, at_ns, fin_acked_ns(peer, last_ns));
    }
}

/// Sequence space, and what follows from it.
fn walk_sequence<T: Tape>(end: &mut Endpoint, peer: &Endpoint, last_ns: i64, tape: &mut T) {
    let since_ns = match end.state {
        State::Listen => 0,
        State::TimeWait => peer.fin.as_ref().map_or(last_ns, |fin| fin.mark.ts_ns),
        _ => fin_acked_ns(end, last_ns),
    };
    odd_ns(tape, &mut end.since_ns, since_ns);
    let (next, base) = (end.next.unwrap_or(0), end.isn.unwrap_or(end.first_seq));
    let marks = u32::from(end.isn.is_some()) + u32::from(end.fin.is_some());
    let bytes = u64::from(next.wrapping_sub(base).wrapping_sub(marks));
    let more = tape.odd(end.bytes.wrapping_sub(bytes));
    if T::READS {
        end.bytes = bytes.wrapping_add(more);
    }
    odd(tape, &mut end.stream.next, end.fin.as_ref().map_or(next, |fin| fin.seq));
    let stream_acked = if end.stream.has_acked { peer.acked.unwrap_or(next) } else { 0 };
    odd(tape, &mut end.stream.acked, stream_acked);
    odd(tape, &mut end.syn_count, u32::from(end.isn.is_some()));
    let reset = tape.odd(end.reset.map_or(0, |event| event as u64 + 1));
    if T::READS {
        end.reset = reset.checked_sub(1).and_then(|place| of(Event::ALL, place));
    }
}

/// The last segment that a side sent.
fn walk_said<T: Tape>(said: &mut Option<Provocation>, end: &Endpoint, tape: &mut T) {
    let Some(said) = said else { return };
    let flags = tape.short(u64::from(said.flags.0));
    if T::READS {
        said.flags = Flags(flags as u16);
    }
    let expected = if said.flags.has(Flags::ACK) { end.acked.unwrap_or(0) } else { 0 };
    odd(tape, &mut said.ack, expected);
}

/// A TIME_WAIT begins with the acknowledgment of the peer's FIN.
fn walk_time_wait<T: Tape>(end: &mut Endpoint, peer: &Endpoint, tape: &mut T) {
    let mut start = end.time_wait.as_ref().map(|wait| wait.facts.start);
    let expected = if end.state == State::TimeWait { peer.fin.as_ref().and_then(|fin| fin.acked) } else { None };
    odd_mark(tape, &mut start, expected);
    let Some(start) = start else { return };
    let wait = end.time_wait.get_or_insert_with(|| TimeWait::new(start, 0, 0, 0));
    let after = |fin: &Option<Fin>| fin.as_ref().map_or(0, Fin::end);
    odd(tape, &mut wait.facts.snd_nxt, after(&end.fin));
    odd(tape, &mut wait.rcv_nxt, after(&peer.fin));
    let facts = &mut wait.facts;
    odd_ns(tape, &mut facts.start_uncertainty_ns, 0);
    odd(tape, &mut facts.restarts, 0);
    odd_ns(tape, &mut facts.restarted_ns, start.ts_ns);
    odd_ns(tape, &mut facts.possibly_restarted_ns, facts.restarted_ns);
    for evidence in [&mut facts.alive, &mut facts.gone, &mut facts.possibly_killed] {
        odd_mark(tape, evidence, None);
    }
    let mut ended = facts.ended.map(|(mark, _)| mark);
    odd_mark(tape, &mut ended, None);
    let how = tape.odd(facts.ended.map_or(0, |(_, how)| how as u64));
    let same_host = tape.odd(facts.same_host.map_or(0, |same| 1 + u64::from(same)));
    let probe = tape.odd(wait.probe.map_or(0, |probe| u64::from(probe.ack) + 1));
    let challenge = tape.odd(wait.challenge_ack.map_or(0, |ack| u64::from(ack) + 1));
    if T::READS {
        facts.ended = ended.zip(of(TimeWaitEnd::ALL, how));
        facts.same_host = same_host.checked_sub(1).map(|same| same == 1);
        wait.probe = probe.checked_sub(1).map(|ack| Probe { ack: ack as u32 });
        wait.challenge_ack = challenge.checked_sub(1).map(|ack| ack as u32);
    }
}

fn of<W: Copy>(all: &[W], place: u64) -> Option<W> {
    all.get(place as usize).copied()
}

const fn role(place: u64) -> Role {
    if place == 0 { Role::Client } else { Role::Server }
}

#[inline]
fn flag<T: Tape>(tape: &mut T, value: &mut bool) {
    *value = tape.bit(*value);
}

/// A number that is nearly always the expected one.
#[inline]
fn odd<T: Tape>(tape: &mut T, value: &mut u32, expected: u32) {
    // As a signed distance, so that a little less is small in the long form as well.
    let off = tape.odd(i64::from(seq::diff(*value, expected)) as u64);
    if T::READS {
        *value = expected.wrapping_add(off as u32);
    }
}

/// The same of a time.
#[inline]
fn odd_ns<T: Tape>(tape: &mut T, value: &mut i64, expected: i64) {
    let off = tape.odd(value.wrapping_sub(expected) as u64);
    if T::READS {
        *value = expected.wrapping_add(off as i64);
    }
}

/// The same of a length of time that may be unknown.
#[inline]
fn odd_length<T: Tape>(tape: &mut T, value: &mut Option<i64>, expected: Option<i64>) {
    let differs = tape.odd(u64::from(value.is_some() != expected.is_some())) == 1;
    let mut ns = value.or(expected).unwrap_or(0);
    odd_ns(tape, &mut ns, expected.unwrap_or(0));
    if T::READS {
        *value = (expected.is_some() != differs).then_some(ns);
    }
}

/// The same of a packet, or none.
#[inline]
fn odd_mark<T: Tape>(tape: &mut T, value: &mut Option<Mark>, expected: Option<Mark>) {
    let parts = |mark: Option<Mark>| mark.map_or((0, 0), |mark| (mark.place(), mark.ts_ns));
    let ((place, ts_ns), (expected_place, expected_ns)) = (parts(*value), parts(expected));
    let place = tape.odd(place.wrapping_sub(expected_place));
    let ts_ns = tape.odd(ts_ns.wrapping_sub(expected_ns) as u64) as i64;
    if T::READS {
        *value = Mark::at_place(expected_ns.wrapping_add(ts_ns), expected_place.wrapping_add(place));
    }
}

/// Stands for the place just before another, since 0 stands for none: no two files are so far apart.
const JUST_BEFORE: u64 = 1 << 63;

/// How far a place is behind another, and one: 0 is left for none. Where interfaces were put in order of time, the first
/// packet of a connection may stand behind others of it in the file.
#[inline]
const fn apart(place: u64, first: u64) -> u64 {
    match place.wrapping_sub(first).wrapping_add(1) {
        0 => JUST_BEFORE,
        apart => apart,
    }
}

/// The distance back again; none for none.
#[inline]
const fn distance(apart: u64) -> Option<u64> {
    match apart {
        0 => None,
        JUST_BEFORE => Some(u64::MAX),
        apart => Some(apart - 1),
    }
}

/// A packet, or none, after the first.
#[inline]
fn mark<T: Tape>(tape: &mut T, value: &mut Option<Mark>, first: Mark) {
    let (place, ns) = value.map_or((0, 0), |mark| {
        let place = apart(mark.place(), first.place());
        (place, mark.ts_ns.wrapping_sub(first.ts_ns) as u64)
    });
    let (place, ns) = (tape.place(place), tape.time(ns));
    if T::READS {
        let place = distance(place).map(|distance| first.place().wrapping_add(distance));
        *value = place.and_then(|place| Mark::at_place(first.ts_ns.wrapping_add(ns as i64), place));
    }
}
