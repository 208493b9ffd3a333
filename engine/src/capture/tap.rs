//! What an interface's packets are taken with: the ring, or what Python feeds.

use super::facts::InterfaceFacts;
use super::write::Statistics;
use super::{Batch, SourceError};
use serde::Serialize;
use std::time::Duration;

/// What happened to the packets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TapCounters {
    /// Packets given.
    pub packets: u64,
    /// Bytes given.
    pub bytes: u64,
    /// Packets that passed the kernel's filter, those dropped included; `null` where the system does not tell.
    pub kernel_packets: Option<u64>,
    /// Of them, those for which there was no room.
    pub kernel_drops: Option<u64>,
    /// Times the ring was full and stood still.
    pub ring_freezes: u64,
    /// Packets whose place in the ring made no sense; none were ever seen.
    pub damaged: u64,
    /// Packets that the filter held back here, because the kernel could not run it.
    pub filtered: u64,
    /// Times the interface was found down.
    pub interface_down: u64,
}

/// Takes an interface's packets.
pub trait Tap: Send {
    /// Name of the interface as given.
    fn name(&self) -> &str;

    /// The interfaces met so far; [`super::Packet::interface`] is the place in it. The first stands for the whole capture.
    fn interfaces(&self) -> &[InterfaceFacts];

    /// Empties `batch` and fills it with the next packets, waiting up to `wait` for some; says how many they are. After
    /// [`Tap::stop`], 0 means that there are no more.
    ///
    /// # Errors
    /// [`SourceError`] when there are no more for another reason, such as that the interface is gone; what came before was
    /// given.
    fn next_batch(&mut self, batch: &mut Batch, wait: Duration) -> Result<usize, SourceError>;

    /// No packet that comes after this is given; [`Tap::next_batch`] gives those that came before.
    ///
    /// # Errors
    /// [`SourceError`] if the system refuses.
    fn stop(&mut self) -> Result<(), SourceError>;

    /// What happened so far, as the system tells it now.
    ///
    /// # Errors
    /// [`SourceError`] if the system does not say.
    fn counters(&mut self) -> Result<TapCounters, SourceError>;

    /// The same for the files that are written, as of when the counters were last asked for.
    fn statistics(&self) -> Statistics;
}
