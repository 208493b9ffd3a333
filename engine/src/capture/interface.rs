//! An interface as a [`Source`]: the ring, in the place of a file.

use super::facts::FileFacts;
use super::file::note_time;
use super::ring::{Ring, RingCounters, RingOptions};
use super::stream::{Came, Replay, Source, SourceCounters};
use super::{Batch, SetFacts, SourceError};
use std::time::{Duration, Instant};

/// How often the kernel is asked for its drops.
const COUNT_EVERY: Duration = Duration::from_millis(250);

/// Packets of an interface as they pass.
pub struct InterfaceSource {
    ring: Ring,
    /// As of the kernel, and when it was asked.
    counters: RingCounters,
    counted: Instant,
    /// What a file would tell.
    facts: FileFacts,
    clock_steps_back: u64,
    /// Packets that are still wanted.
    left: u64,
    is_closed: bool,
}

impl InterfaceSource {
    /// Opens the ring; packets come from now on, `most_packets` at most.
    ///
    /// # Errors
    /// As [`Ring::open`].
    pub fn open(options: &RingOptions, most_packets: Option<u64>) -> Result<Self, SourceError> {
        let ring = Ring::open(options)?;
        let facts = FileFacts {
            path: ring.name().to_owned(),
            format: "live",
            compression: "none".to_owned(),
            ..FileFacts::default()
        };
        Ok(InterfaceSource {
            ring,
            counters: RingCounters::default(),
            counted: Instant::now(),
            facts,
            clock_steps_back: 0,
            left: most_packets.unwrap_or(u64::MAX),
            is_closed: false,
        })
    }

    fn note(&mut self, batch: &mut Batch) {
        batch.packets.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= batch.packets.len() as u64;
        for packet in &batch.packets {
            let last_ns = self.facts.last_ns.unwrap_or_default();
            note_time(&mut self.facts, &mut self.clock_steps_back, last_ns, packet.ts_ns);
        }
        self.facts.packets += batch.packets.len() as u64;
    }

    /// Its drops, as far as the kernel still tells them: an interface that is gone has none to add.
    fn count(&mut self) {
        self.counters = self.ring.counters().unwrap_or(self.counters);
        self.counted = Instant::now();
    }
}

impl Source for InterfaceSource {
    fn next(&mut self, batch: &mut Batch, wait: Duration) -> Result<Came, SourceError> {
        if self.left == 0 {
            return Ok(Came::Over);
        }
        let taken = self.ring.next_batch(batch, wait);
        if self.counted.elapsed() >= COUNT_EVERY || self.is_closed || taken.is_err() {
            self.count();
        }
        if taken? == 0 {
            return Ok(if self.is_closed { Came::Over } else { Came::Nothing });
        }
        self.note(batch);
        Ok(Came::Packets)
    }

    fn facts(&self) -> SetFacts {
        let mut interfaces = self.ring.interfaces().to_vec();
        if let [one] = interfaces.as_mut_slice() {
            one.received = Some(self.counters.kernel_packets);
            one.dropped = Some(self.counters.kernel_drops);
            one.dropped_by_system = Some(self.counters.kernel_drops);
        }
        SetFacts {
            files: vec![FileFacts { interfaces, ..self.facts.clone() }],
            clock_steps_back: self.clock_steps_back,
            ..SetFacts::default()
        }
    }

    fn counters(&self) -> SourceCounters {
        SourceCounters {
            kernel_packets: Some(self.counters.kernel_packets),
            kernel_drops: Some(self.counters.kernel_drops),
            ring_losses: self.counters.ring_freezes,
            interface_down: self.counters.interface_down,
            ..SourceCounters::default()
        }
    }

    fn has_replay(&self) -> bool {
        false
    }

    fn replay(&mut self) -> Result<Box<dyn Replay>, SourceError> {
        Err(SourceError::new(self.ring.name(), "an interface's packets come once"))
    }

    fn close(&mut self) {
        // What cannot be stopped gives nothing more either.
        if self.ring.stop().is_err() {
            self.left = 0;
        }
        self.is_closed = true;
    }
}
