//! What a connection hands its payload to: the next stage, which `tcp` does not know by name.

use super::state::Anomaly;
use super::stream::Piece;
use crate::record::{Address, ConnectionRecord, HttpFacts, Role, RoleBasis, State, TimeWaitFacts};
use crate::settings::Settings;

/// Reads the two byte streams of one connection.
pub trait Payload {
    /// Where its results go.
    type Sink: Sink;

    /// For the connection whose first packet has this ordinal.
    fn new(settings: &Settings, connection: u64) -> Self;
    /// The next piece of one side's stream, in order.
    fn feed(&mut self, role: Role, piece: Piece<'_>, sink: &mut Self::Sink);
    /// The side's stream is complete.
    fn fin(&mut self, role: Role, sink: &mut Self::Sink);
    /// Whether nothing that may still come can change what it found.
    fn is_over(&self) -> bool;
    /// Bytes it keeps for what is still to come.
    fn kept_bytes(&self) -> usize;
    /// Messages among them, each of which may take far more than it had on the wire.
    fn kept_requests(&self) -> usize;
    /// Gives them up; whether bytes of a stream were among them, so that its reading goes on as after a gap.
    fn give_up(&mut self, sink: &mut Self::Sink) -> bool;
    /// Nothing more will come.
    fn finish(self, sink: &mut Self::Sink) -> HttpFacts;
    /// Which side sends such a payload first, if it tells.
    fn role_of(payload: &[u8]) -> Option<(Role, RoleBasis)>;
}

/// An endpoint was in `state` from `from_ns` (included) to somewhere between `to_min_ns` and `to_max_ns` (excluded).
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Which.
    pub state: State,
    /// ns since 1970 UTC, as the others.
    pub from_ns: i64,
    /// It was in it until then at least.
    pub to_min_ns: i64,
    /// No longer than until then.
    pub to_max_ns: i64,
    /// The last packet of its connection by the end of the span.
    pub last_ns: i64,
}

/// Takes what the connections produce.
pub trait Sink {
    /// A pair of state and event that the table does not know.
    fn anomaly(&mut self, anomaly: Anomaly);
    /// Whether [`Sink::span`] is wanted.
    fn wants_spans(&self) -> bool;
    /// An endpoint was in a state.
    fn span(&mut self, host: (Role, Address), span: Span);
    /// An endpoint waits in TIME_WAIT since `from_ns`; its end follows from the facts and the host's length.
    fn time_wait_span(&mut self, host: (Role, Address), from_ns: i64, facts: &TimeWaitFacts);
    /// A finished connection.
    fn connection(&mut self, record: ConnectionRecord);
    /// A duplicate packet was removed.
    fn duplicate(&mut self);
    /// Bytes of holes were no longer waited for.
    fn overflow(&mut self, bytes: u64);
    /// What the connection at hand keeps may have changed.
    fn note_kept(&mut self);
    /// Whether that was said since this was asked.
    fn take_kept(&mut self) -> bool;
    /// Bytes kept for a connection were given up, to stay within the limit of all.
    fn given_up(&mut self, bytes: u64);
}
