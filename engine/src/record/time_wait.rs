//! What became of an endpoint's TIME_WAIT.

use super::{Mark, TimeWaitEnd};
use bitcode::{Decode, Encode};

/// What the wire proves of one endpoint's TIME_WAIT. Times are ns since 1970 UTC; ages count from `start`.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct TimeWaitFacts {
    /// When it began, as the tap saw it.
    pub start: Mark,
    /// SND.NXT of the waiting socket: a reuse that Linux recycles takes it + 65537 as its ISN.
    pub snd_nxt: u32,
    /// How far the endpoint's own clock may be from `start`, ns (one round trip tap–endpoint; 0 unknown or at the tap).
    pub start_uncertainty_ns: i64,
    /// Restarts proven by an answer, e.g. the ACK of FIN sent again.
    pub restarts: u32,
    /// Last moment the timer provably restarted (`start` if never).
    pub restarted_ns: i64,
    /// Last moment it may have restarted unanswered (a pure ACK at rcv_nxt, a FIN repeated at the end).
    pub possibly_restarted_ns: i64,
    /// Proven alive at this moment.
    pub alive: Option<Mark>,
    /// Proven gone at this moment.
    pub gone: Option<Mark>,
    /// Ended exactly at this moment by a reuse (L3) or a reset shown to have killed it.
    pub ended: Option<(Mark, TimeWaitEnd)>,
    /// A reset that kills it unless rfc1337 is set.
    pub possibly_killed: Option<Mark>,
    /// The ISN clock says that the host that came back is the same one (Linux, 64 ns ticks); `None` if not testable.
    pub same_host: Option<bool>,
    /// When its timer runs out, as the host's kernel told while it ran; the clock and the tap are then the host's own.
    pub kernel_end_ns: Option<i64>,
    /// From then on no listing of the host's kernel had it, though it must have been there if it was.
    pub unlisted_ns: Option<i64>,
    /// Of one that is `gone`: from then on something was not captured (a gap between files; the SYN of what came next), and
    /// it may have ended in it, by a reuse as well as by its timer.
    pub unseen_from_ns: Option<i64>,
}

impl TimeWaitFacts {
    /// It began; nothing more is known.
    #[must_use]
    pub const fn new(start: Mark) -> Self {
        TimeWaitFacts {
            start,
            snd_nxt: 0,
            start_uncertainty_ns: 0,
            restarts: 0,
            restarted_ns: start.ts_ns,
            possibly_restarted_ns: start.ts_ns,
            alive: None,
            gone: None,
            ended: None,
            possibly_killed: None,
            same_host: None,
            kernel_end_ns: None,
            unlisted_ns: None,
            unseen_from_ns: None,
        }
    }

    /// The reset that may have ended it, if nothing proved it alive since.
    #[must_use]
    pub fn kill(&self) -> Option<Mark> {
        self.possibly_killed.filter(|kill| self.alive.is_none_or(|alive| alive.ts_ns <= kill.ts_ns))
    }

    /// When something else than its timer may have ended it, at the earliest: such a reset, or what was not captured.
    #[must_use]
    pub fn may_have_ended_ns(&self) -> Option<i64> {
        self.kill().map(|kill| kill.ts_ns).into_iter().chain(self.unseen_from_ns).min()
    }
}
