//! One side of a connection: what it sent, what it acknowledged, and the state that follows.

use super::seq;
use super::state::{self, Anomaly, Event};
use super::stream::Stream;
use super::time_wait::TimeWait;
use crate::decode::Header;
use crate::record::{Mark, Stack, State};
use crate::settings::SECOND;

/// How long a socket that sent its FIN is surely still there: an orphan leaves FIN-WAIT-2 without a packet after
/// `tcp_fin_timeout`, 60 s by default, often lowered to 5 or 10 s, and a number of seconds in any case; an open descriptor
/// never does.
pub(super) const STAYS_NS: i64 = SECOND;

/// A side's first captured FIN.
#[derive(Clone, Copy, Debug)]
pub struct Fin {
    /// The packet.
    pub mark: Mark,
    /// Its sequence number (after any payload it carries).
    pub seq: u32,
    /// Acknowledgment number it carried: what its sender had received when it closed.
    pub ack: u32,
    /// It carried one, or its sender had before: not so in a SYN's segment (RFC 1644).
    pub has_ack: bool,
    /// The first segment of the peer that acknowledges it.
    pub acked: Option<Mark>,
    /// How far the peer had sent when it acknowledged: once this side acknowledges beyond, it has that segment.
    pub peer_next_when_acked: u32,
    /// Only a retransmission was captured: its sender had gone on after it, or its peer had acknowledged it, in packets
    /// captured before it, and the tap's reordering does not explain that.
    pub is_sent_again: bool,
    /// Though that is so, its sender had acknowledged the peer's before it closed: in an earlier packet that counts no further
    /// than to this FIN. What is sent again does so at any time: then nothing is known.
    pub is_second: bool,
    /// How often it was sent again.
    pub repeats: u32,
}

impl Fin {
    /// Of which nothing is known but its packet.
    #[must_use]
    pub const fn of(mark: Mark) -> Self {
        Fin {
            mark,
            seq: 0,
            ack: 0,
            has_ack: false,
            acked: None,
            peer_next_when_acked: 0,
            is_sent_again: false,
            is_second: false,
            repeats: 0,
        }
    }

    /// Whether its sender had everything up to this number of the peer's.
    #[must_use]
    pub const fn acks(&self, number: u32) -> bool {
        self.has_ack && seq::leq(number, self.ack)
    }

    /// Sequence number after the FIN: `seq + 1`.
    #[must_use]
    pub const fn end(&self) -> u32 {
        seq::add(self.seq, 1)
    }

    /// The peer, which had sent so far, acknowledged up to `ack`.
    #[inline]
    pub fn hear_ack(&mut self, ack: u32, mark: Mark, peer_sent: u32) {
        if self.acked.is_none() && seq::leq(self.end(), ack) {
            (self.acked, self.peer_next_when_acked) = (Some(mark), peer_sent);
        }
    }
}

/// All that tells one packet of a side from the next. Nothing of any packet is 0 in all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Print {
    numbers: u64,
    extent: u64,
    rest: u64,
}

impl Print {
    #[inline]
    fn of(header: &Header) -> Self {
        Print {
            numbers: u64::from(header.seq) << 32 | u64::from(header.ack),
            extent: u64::from(header.payload_len) << 32 | u64::from(header.options_print),
            rest: 1 << 63
                | u64::from(header.flags.0) << 48
                | u64::from(header.window) << 32
                | u64::from(header.ip_id.unwrap_or(0)),
        }
    }
}

/// All that tells one packet of a side from the next, mixed into one word.
#[must_use]
pub fn fingerprint(header: &Header) -> u64 {
    let Print { numbers, extent, rest } = Print::of(header);
    let mix = |a: u64, b: u64| {
        let wide = u128::from(a) * u128::from(b);
        (wide as u64) ^ (wide >> 64) as u64
    };
    mix(mix(numbers ^ 0x9e37_79b9_7f4a_7c15, extent ^ 0xd6e8_feb8_6659_fd93), rest ^ 0xa076_1d64_78bd_642f)
}

/// One side of a connection.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The bytes it sent.
    pub stream: Stream,
    /// Assumed state.
    pub state: State,
    /// Proved state.
    pub proved: State,
    /// Assumed and proved state before any close event.
    pub(super) open: (State, State),
    /// Since when the assumed state holds, ns.
    pub since_ns: i64,
    /// Initial sequence number, if its SYN was captured.
    pub isn: Option<u32>,
    /// The ISN was taken from a recycled TIME_WAIT, so it does not follow the ISN clock.
    pub isn_recycled: bool,
    /// When the (last) SYN or SYN-ACK was sent.
    pub syn: Option<Mark>,
    /// SYN or SYN-ACK transmissions.
    pub syn_count: u32,
    /// Sequence number after the furthest thing sent (SND.NXT), once something was sent.
    pub next: Option<u32>,
    /// Sequence number of the first captured segment, or of one that belongs before it.
    pub first_seq: u32,
    /// Highest acknowledgment sent (RCV.NXT as proved).
    pub acked: Option<u32>,
    /// When it first sent that, ns.
    pub acked_at_ns: Option<i64>,
    /// First FIN.
    pub fin: Option<Fin>,
    /// It sent, or accepted, a reset.
    pub reset: Option<Event>,
    /// Last window field, unscaled.
    pub window: u16,
    /// Window scale of its SYN.
    pub window_scale: u8,
    /// Packets sent.
    pub packets: u64,
    /// Distinct payload bytes.
    pub bytes: u64,
    /// Segments sent again.
    pub retransmits: u32,
    /// TTL of the first packet that is no reset (an injector may be the first to speak); 0 before.
    pub ttl: u8,
    /// Guessed stack.
    pub stack: Stack,
    /// Round trip between tap and endpoint, ns, from the handshake; 0 if unknown.
    pub rtt_ns: i64,
    /// Its TIME_WAIT.
    pub time_wait: Option<TimeWait>,
    /// IP id of its last packet, for one that comes soon; 0 if it had none, and after a rest.
    pub(super) ip_id: u16,
}

impl Endpoint {
    /// A side of which nothing is known but the state it starts in.
    #[must_use]
    pub fn new(start: State, max_reassembly_bytes: usize) -> Self {
        Endpoint {
            stream: Stream::new(max_reassembly_bytes),
            state: start,
            proved: start,
            open: (start, start),
            since_ns: 0,
            isn: None,
            isn_recycled: false,
            syn: None,
            syn_count: 0,
            next: None,
            first_seq: 0,
            acked: None,
            acked_at_ns: None,
            fin: None,
            reset: None,
            window: 0,
            window_scale: 0,
            packets: 0,
            bytes: 0,
            retransmits: 0,
            ttl: 0,
            stack: Stack::Unknown,
            rtt_ns: 0,
            time_wait: None,
            ip_id: 0,
        }
    }

    /// The same in place. Every field is named, so that none that is added is forgotten.
    pub(super) fn clear(&mut self) {
        let start = State::Closed;
        let Endpoint {
            stream,
            state,
            proved,
            open,
            since_ns,
            isn,
            isn_recycled,
            syn,
            syn_count,
            next,
            first_seq,
            acked,
            acked_at_ns,
            fin,
            reset,
            window,
            window_scale,
            packets,
            bytes,
            retransmits,
            ttl,
            stack,
            rtt_ns,
            time_wait,
            ip_id,
        } = self;
        stream.lose_sight();
        (*state, *proved, *open, *since_ns) = (start, start, (start, start), 0);
        (*isn, *isn_recycled, *syn, *syn_count) = (None, false, None, 0);
        (*next, *first_seq, *acked, *acked_at_ns) = (None, 0, None, None);
        (*fin, *reset, *time_wait) = (None, None, None);
        (*window, *window_scale, *packets, *bytes, *retransmits) = (0, 0, 0, 0, 0);
        (*ttl, *stack, *rtt_ns) = (0, Stack::Unknown, 0);
        *ip_id = 0;
    }

    /// It is in this state, and was in no other.
    pub(super) fn begin(&mut self, start: State) {
        (self.state, self.proved, self.open) = (start, start, (start, start));
    }

    /// Whether a segment with this sequence number can belong here: within 16 MiB of what was sent or acknowledged.
    #[must_use]
    pub fn is_near(&self, seq: u32, peer_acked: Option<u32>) -> bool {
        const REACH: u32 = 1 << 24;
        let near = |point: Option<u32>| point.is_some_and(|p| seq::diff(seq, p).unsigned_abs() <= REACH);
        (self.next.is_none() && peer_acked.is_none()) || near(self.next) || near(peer_acked)
    }

    /// Whether an acknowledgment of `peer`'s sequence space can be real: near what either knows of it.
    #[must_use]
    pub fn is_near_ack(&self, ack: u32, peer: &Endpoint) -> bool {
        peer.is_near(ack, self.acked)
    }

    /// Both ISNs of this side with their times, if both follow the ISN clock: Linux's, and not taken from a TIME_WAIT.
    #[must_use]
    pub fn clock(&self, after: (u32, i64)) -> Option<((u32, i64), (u32, i64))> {
        let usable = !self.isn_recycled && self.stack == Stack::Linux && self.syn_count == 1;
        let before = self.isn.filter(|_| usable)?;
        Some(((before, self.syn?.ts_ns), after))
    }

    /// Whether this side is done: closed, waiting, or never there.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Closed | State::TimeWait | State::Listen)
    }

    /// Of a segment of a side whose SYN was not captured: the bytes before the first captured one, which are new although
    /// the stream began after them.
    #[inline]
    pub fn take_before_first(&mut self, seq: u32, len: u32) -> u32 {
        if self.isn.is_some() || self.stream.next_seq().is_none() || !seq::lt(seq, self.first_seq) {
            return 0;
        }
        let before = seq::ahead(self.first_seq, seq).min(len);
        self.first_seq = seq;
        before
    }

    /// Of a side met in the middle: its first number, and what its peer had acknowledged when that was first heard. One number
    /// before it is that of a keep-alive or a probe of a closed window (RFC 9293 §3.8.4, §3.8.6.1): no byte is missing there.
    pub fn compare_first(&mut self, first: Option<u32>, acked: Option<u32>) {
        let Some((first, acked)) = first.zip(acked) else { return };
        let has_more = self.isn.is_some() || self.bytes > 0 || self.fin.is_some() || self.stream.waits();
        if seq::add(first, 1) == acked && !has_more {
            self.stream.start(acked);
            self.sent_to(acked);
        }
    }

    /// Sequence space up to `end` was sent.
    pub fn sent_to(&mut self, end: u32) {
        self.next = Some(self.next.map_or(end, |next| seq::max(next, end)));
    }

    /// Everything up to `ack` was received.
    pub fn acknowledge(&mut self, ack: u32, at_ns: i64) {
        if self.acked.is_none_or(|acked| seq::lt(acked, ack)) {
            (self.acked, self.acked_at_ns) = (Some(ack), Some(at_ns));
        }
    }

    /// Whether this side has acknowledged the peer's sequence space up to `end`.
    #[must_use]
    pub fn has_acked(&self, end: u32) -> bool {
        self.acked.is_some_and(|acked| seq::leq(end, acked))
    }

    /// Feeds an event of the opening to both views.
    ///
    /// # Errors
    /// The pair that the table does not know; that view keeps its state.
    pub fn open_event(&mut self, event: Event) -> Result<(), Anomaly> {
        self.open_assumed(event).and(self.open_proved(event))
    }

    /// Feeds an event of the opening to the assumed view.
    ///
    /// # Errors
    /// The pair that the table does not know; the state is kept.
    pub fn open_assumed(&mut self, event: Event) -> Result<(), Anomaly> {
        self.open.0 = state::next(self.open.0, event)?;
        Ok(())
    }

    /// Feeds an event of the opening to the proved view.
    ///
    /// # Errors
    /// The pair that the table does not know; the state is kept.
    pub fn open_proved(&mut self, event: Event) -> Result<(), Anomaly> {
        self.open.1 = state::next(self.open.1, event)?;
        Ok(())
    }

    /// The states before any close event: (assumed, proved).
    #[must_use]
    pub const fn opened(&self) -> (State, State) {
        self.open
    }
}
