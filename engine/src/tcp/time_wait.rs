//! What a passive observer can prove of a TIME_WAIT (semantics B1, B3).
//!
//! A socket in TIME_WAIT is silent, so silence proves nothing. But whatever makes it answer shows it:
//!
//! * it **re-acknowledges** an old segment (L1) or challenges a SYN (L2): alive at that moment;
//! * a new connection on its 4-tuple takes the ISN **old SND.NXT + 65537** (L3): only `tcp_timewait_state_process` and
//!   `tcp_twsk_unique` of Linux do that, so it was alive and ended right then: an exact length;
//! * it answers an old segment with a bare **RST** (U1), accepts a SYN with another ISN (U2), or itself opens a new
//!   connection with one (U3): gone by then;
//! * a **RST** that hits RCV.NXT exactly kills it if `tcp_rfc1337` is 0 (U4): possibly killed, and killed for certain if
//!   the next SYN is accepted with a fresh ISN.

use super::seq;
use crate::decode::Segment;
use crate::record::{Mark, TimeWaitEnd, TimeWaitFacts};

/// Linux: `tw_snd_nxt + 65535 + 2`, and never 0 (`tcp_timewait_state_process`, `tcp_twsk_unique`).
const RECYCLE_STEP: u32 = 65_537;

/// The ISN that Linux gives a connection which takes over a socket in TIME_WAIT.
#[must_use]
pub const fn recycled_isn(old_snd_nxt: u32) -> u32 {
    let isn = old_snd_nxt.wrapping_add(RECYCLE_STEP);
    if isn == 0 { 1 } else { isn }
}

/// Linux ISNs advance by one each 64 ns for one 4-tuple (`secure_tcp_seq`: a keyed hash plus `ktime_get_real_ns() >> 6`).
const ISN_TICK_NS: i64 = 64;
/// Sequence numbers that connections which were not captured took …
const MOST_BETWEEN: i32 = 1 << 22;
/// … and a time in which the clock goes much farther.
const FARTHER_NS: i64 = MOST_BETWEEN as i64 * ISN_TICK_NS * 4;
/// The ISN clock's period, 274.9 s.
const ISN_PERIOD_NS: i64 = ISN_TICK_NS << 32;
/// How far clock and capture may disagree: measured 0.3 ms, and the way to the tap.
const ISN_TOLERANCE_NS: i64 = 1_000_000;

/// A disagreement that no delay between host and tap explains.
const ISN_OTHER_CLOCK_NS: i64 = 250_000_000;

/// Whether two ISNs of one 4-tuple were given by the same host's clock; `None` between certainty and its opposite.
#[must_use]
pub const fn same_isn_clock(before: (u32, i64), after: (u32, i64)) -> Option<bool> {
    let ticks = after.0.wrapping_sub(before.0) as i64 * ISN_TICK_NS;
    let elapsed = after.1 - before.1;
    let error = (ticks - elapsed).rem_euclid(ISN_PERIOD_NS);
    let apart = if error < ISN_PERIOD_NS - error { error } else { ISN_PERIOD_NS - error };
    match apart {
        ..=ISN_TOLERANCE_NS => Some(true),
        ISN_OTHER_CLOCK_NS.. => Some(false),
        _ => None,
    }
}

/// Alive, reset and gone within this time: that the timer ran out just then is not believed. A challenged SYN is sent again
/// within about 8 ms, or by its retransmission timer.
const KILL_WINDOW_NS: i64 = 3_500_000_000;

/// A segment that reached the endpoint while it (maybe) waits, and has not been answered yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    /// Its acknowledgment number: the sequence number of a bare RST in answer to it.
    pub(super) ack: u32,
}

/// The evidence gathered on one endpoint's TIME_WAIT.
#[derive(Clone, Debug)]
pub struct TimeWait {
    /// The facts so far.
    pub facts: TimeWaitFacts,
    /// RCV.NXT of the waiting socket.
    pub rcv_nxt: u32,
    pub(super) probe: Option<Probe>,
    pub(super) challenge_ack: Option<u32>,
}

impl TimeWait {
    /// The endpoint entered TIME_WAIT with `start`. `uncertainty_ns`: the round trip between tap and endpoint.
    #[must_use]
    pub fn new(start: Mark, uncertainty_ns: i64, snd_nxt: u32, rcv_nxt: u32) -> Self {
        let facts = TimeWaitFacts { snd_nxt, start_uncertainty_ns: uncertainty_ns, ..TimeWaitFacts::new(start) };
        TimeWait { facts, rcv_nxt, probe: None, challenge_ack: None }
    }

    /// The peer sent a FIN, data, a keepalive or a SYN-ACK once more: an ACK is due, and restarts the timer.
    pub fn probed(&mut self, mark: Mark, ack: u32) {
        self.probe = Some(Probe { ack });
        self.may_restart(mark);
    }

    /// The peer sent something that restarts the timer without an answer (a pure ACK at RCV.NXT).
    pub fn may_restart(&mut self, mark: Mark) {
        if self.is_open() {
            self.facts.possibly_restarted_ns = self.facts.possibly_restarted_ns.max(mark.ts_ns);
        }
    }

    /// The endpoint sent an ACK of its old connection. It proves life only as an answer (L1).
    pub fn acknowledged(&mut self, mark: Mark) {
        if self.probe.take().is_none() || !self.is_open() {
            return;
        }
        self.facts.alive = Some(mark);
        self.facts.restarts += 1;
        // Timed by its own packet, as the start was: then the way to the tap cancels out.
        self.facts.restarted_ns = mark.ts_ns;
        self.facts.possibly_restarted_ns = self.facts.possibly_restarted_ns.max(mark.ts_ns);
    }

    /// The endpoint challenged a SYN with the old connection's numbers (L2): alive, timer unchanged.
    pub fn challenged(&mut self, mark: Mark, seq: u32, ack: u32) {
        if self.is_open() && seq == self.facts.snd_nxt && ack == self.rcv_nxt {
            self.facts.alive = Some(mark);
            self.challenge_ack = Some(ack);
            self.facts.possibly_killed = None;
        }
    }

    /// The endpoint sent a bare RST: the answer of a host that has no such socket (U1), if it answers an old segment.
    pub fn answered_by_reset(&mut self, mark: Mark, seq: u32, from_endpoint: bool) {
        if from_endpoint && self.probe.is_some_and(|probe| probe.ack == seq) {
            self.gone(mark);
        }
    }

    /// The peer sent a RST (U4). One at RCV.NXT, or in answer to the challenge, ends it unless rfc1337 is set.
    pub fn reset_by_peer(&mut self, mark: Mark, seq: u32) {
        if self.is_open() && (seq == self.rcv_nxt || self.challenge_ack == Some(seq)) {
            self.facts.possibly_killed.get_or_insert(mark);
        }
    }

    /// A SYN of a new connection was accepted, or sent, with `isn`; `clock` holds both ISNs with their times if known.
    pub fn succeeded(&mut self, syn: Mark, isn: u32, clock: Option<((u32, i64), (u32, i64))>) {
        if !self.is_open() {
            return;
        }
        if isn == recycled_isn(self.facts.snd_nxt) {
            self.facts.ended = Some((syn, TimeWaitEnd::Reused));
            self.facts.possibly_killed = None;
        } else if let Some(kill) = self.facts.possibly_killed.filter(|&kill| self.is_killed_by(kill, syn)) {
            self.facts.possibly_killed = None;
            self.facts.ended = Some((kill, TimeWaitEnd::Killed));
        } else if self.is_step_missing(isn, syn) {
            self.succeeded_unseen(syn);
        } else {
            self.gone(syn);
        }
        // A recycled ISN continues the old sequence space, not the clock.
        let clock = clock.filter(|_| isn != recycled_isn(self.facts.snd_nxt));
        self.facts.same_host = clock.and_then(|(before, after)| same_isn_clock(before, after));
    }

    /// A segment of a new connection whose SYN was not captured: it ended somehow since it was last heard of.
    pub fn succeeded_unseen(&mut self, segment: Mark) {
        if self.is_open() {
            let heard_ns = self.facts.alive.map_or(self.facts.restarted_ns, |alive| alive.ts_ns);
            self.facts.unseen_from_ns = Some(heard_ns.max(self.facts.restarted_ns));
            self.gone(segment);
        }
    }

    /// Whether a connection between was not captured, which took it over: the ISN is near beyond the one that it would have
    /// got, where the clock of ISNs has gone much farther.
    fn is_step_missing(&self, isn: u32, syn: Mark) -> bool {
        let beyond = seq::diff(isn, recycled_isn(self.facts.snd_nxt));
        (1..=MOST_BETWEEN).contains(&beyond) && syn.ts_ns - self.facts.restarted_ns >= FARTHER_NS
    }

    /// Whether a reset must have ended it: it was proven alive just before, and a SYN is accepted just after.
    fn is_killed_by(&self, kill: Mark, accepted: Mark) -> bool {
        let alive = self.facts.alive.is_some_and(|alive| kill.ts_ns - alive.ts_ns <= KILL_WINDOW_NS);
        alive && accepted.ts_ns - kill.ts_ns <= KILL_WINDOW_NS
    }

    /// It no longer exists at this moment.
    pub fn gone(&mut self, mark: Mark) {
        if self.is_open() {
            self.facts.gone = Some(mark);
        }
    }

    /// Whether a FIN of the endpoint shows that it had not been in TIME_WAIT: it sends it again, and acknowledges the
    /// peer's in it, so the ACK of its own was lost. A late copy of its first FIN acknowledges less and shows nothing.
    #[must_use]
    pub fn is_refuted_by(&self, fin: &Segment<'_>) -> bool {
        let end = seq::add(fin.seq, fin.payload_len + 1);
        let again = seq::leq(end, self.facts.snd_nxt) && seq::leq(self.rcv_nxt, fin.ack);
        again && self.facts.alive.is_none() && self.is_open()
    }

    /// Whether nothing is known of its end yet.
    const fn is_open(&self) -> bool {
        self.facts.ended.is_none() && self.facts.gone.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::SECOND;

    const fn at(s: i64) -> Mark {
        Mark::new(s * SECOND, s as u64 + 1, 0)
    }

    fn waiting() -> TimeWait {
        TimeWait::new(at(0), 0, 1000, 2000)
    }

    #[test]
    fn recycled_isn_is_never_zero() {
        assert_eq!(recycled_isn(1000), 66_537);
        assert_eq!(recycled_isn(0u32.wrapping_sub(RECYCLE_STEP)), 1);
    }

    #[test]
    fn isn_clock_agrees_across_its_period_and_refuses_others() {
        let isn = |ns: i64| (ns / ISN_TICK_NS) as u32;
        for elapsed in [SECOND, 60 * SECOND, 274 * SECOND, 275 * SECOND, 1000 * SECOND] {
            for (off, same) in [(0, Some(true)), (5_000_000, None), (SECOND, Some(false))] {
                let after = (isn(elapsed + off).wrapping_add(7), elapsed);
                assert_eq!(same_isn_clock((7, 0), after), same, "{elapsed} {off}");
            }
        }
    }

    #[test]
    fn an_ack_without_a_probe_proves_nothing() {
        let mut tw = waiting();
        tw.acknowledged(at(5));
        assert_eq!(tw.facts, waiting().facts);
    }

    #[test]
    fn an_answered_probe_restarts_and_an_unanswered_one_may_have() {
        let mut tw = waiting();
        tw.probed(at(20), 1000);
        tw.acknowledged(at(21));
        tw.probed(at(30), 1000);
        assert_eq!((tw.facts.restarts, tw.facts.alive), (1, Some(at(21))));
        assert_eq!((tw.facts.restarted_ns, tw.facts.possibly_restarted_ns), (21 * SECOND, 30 * SECOND));
    }

    #[test]
    fn a_bare_reset_shows_it_gone_only_in_answer_and_only_from_the_endpoint() {
        for (ack, seq, own, gone) in [(1000, 1000, true, true), (1000, 1001, true, false), (1000, 1000, false, false)] {
            let mut tw = waiting();
            tw.probed(at(70), ack);
            tw.answered_by_reset(at(70), seq, own);
            assert_eq!(tw.facts.gone.is_some(), gone);
        }
    }

    #[test]
    fn a_kill_is_certain_once_a_fresh_isn_follows() {
        let mut tw = waiting();
        tw.challenged(at(3), 1000, 2000);
        tw.reset_by_peer(at(4), 2000);
        assert_eq!(tw.facts.possibly_killed, Some(at(4)));
        tw.succeeded(at(5), 77, None);
        assert_eq!(tw.facts.ended, Some((at(4), TimeWaitEnd::Killed)));
    }

    #[test]
    fn a_reset_long_before_the_next_connection_only_may_have_killed() {
        let mut tw = waiting();
        tw.reset_by_peer(at(45), 2000);
        tw.succeeded(at(75), 77, None);
        assert_eq!((tw.facts.ended, tw.facts.gone, tw.facts.possibly_killed), (None, Some(at(75)), Some(at(45))));
    }

    #[test]
    fn a_second_challenge_shows_that_the_reset_did_not_kill() {
        let mut tw = waiting();
        tw.challenged(at(3), 1000, 2000);
        tw.reset_by_peer(at(4), 2000);
        tw.challenged(at(5), 1000, 2000);
        assert_eq!((tw.facts.possibly_killed, tw.facts.alive), (None, Some(at(5))));
    }

    #[test]
    fn reuse_is_exact_and_a_fresh_isn_only_bounds() {
        let mut exact = waiting();
        exact.succeeded(at(30), 66_537, None);
        assert_eq!(exact.facts.ended, Some((at(30), TimeWaitEnd::Reused)));
        let mut bound = waiting();
        bound.succeeded(at(61), 5, None);
        assert_eq!((bound.facts.ended, bound.facts.gone), (None, Some(at(61))));
    }
}
