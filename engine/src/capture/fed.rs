//! Packets that another program takes from an interface and feeds: scapy's socket, where there is no ring.

use super::facts::InterfaceFacts;
use super::tap::{Tap, TapCounters};
use super::write::{Statistics, now_ns};
use super::{Batch, LinkType, Packet, SourceError};
use serde::Deserialize;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// What is fed.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FedOptions {
    /// Name of the interface.
    pub interface: String,
    /// Link type of its packets.
    pub link_type: u32,
    /// Most bytes of a packet.
    pub snaplen: u32,
}

impl Default for FedOptions {
    fn default() -> Self {
        FedOptions { interface: String::new(), link_type: 1, snaplen: 262_144 }
    }
}

/// A packet as it is fed: capture time in ns since 1970 UTC, its bytes, their number on the wire.
pub type Fed = (i64, Vec<u8>, u32);

/// Batches that wait; whoever feeds more waits, and the system drops what it has no room for meanwhile.
const WAITING: usize = 64;
/// Nanoseconds, in pcapng's terms.
const NANOSECONDS: u8 = 9;

/// The end that is fed.
pub struct Feeder(SyncSender<Vec<Fed>>);

impl Feeder {
    /// Gives packets, waiting while too many wait already; `false` if nobody takes them any more.
    #[must_use]
    pub fn feed(&self, packets: Vec<Fed>) -> bool {
        // None at all would read as the end.
        packets.is_empty() || self.0.send(packets).is_ok()
    }
}

/// The end that packets are taken from.
pub struct FedTap {
    facts: [InterfaceFacts; 1],
    receiver: Receiver<Vec<Fed>>,
    counters: TapCounters,
    since_ns: i64,
    is_stopped: bool,
}

/// Both ends.
#[must_use]
pub fn open(options: FedOptions) -> (Feeder, FedTap) {
    let (sender, receiver) = sync_channel(WAITING);
    let FedOptions { interface, link_type, snaplen } = options;
    let name = Some(interface);
    let facts = InterfaceFacts { name, link_type, snaplen, resolution: NANOSECONDS, ..InterfaceFacts::default() };
    let counters = TapCounters::default();
    (Feeder(sender), FedTap { facts: [facts], receiver, counters, since_ns: now_ns(), is_stopped: false })
}

impl FedTap {
    fn push(&self, (ts_ns, mut bytes, original_len): Fed, batch: &mut Batch) {
        let [facts] = &self.facts;
        bytes.truncate(facts.snaplen as usize);
        let captured_len = bytes.len() as u32;
        let frame = self.counters.packets + batch.packets.len() as u64 + 1;
        let (start, link) = (batch.data.len(), LinkType(facts.link_type));
        let original_len = original_len.max(captured_len);
        batch.data.extend_from_slice(&bytes);
        batch.packets.push(Packet { ts_ns, frame, start, captured_len, original_len, file: 0, interface: 0, link });
    }
}

impl Tap for FedTap {
    fn name(&self) -> &str {
        let [facts] = &self.facts;
        facts.name.as_deref().unwrap_or_default()
    }

    fn interfaces(&self) -> &[InterfaceFacts] {
        &self.facts
    }

    fn next_batch(&mut self, batch: &mut Batch, wait: Duration) -> Result<usize, SourceError> {
        batch.packets.clear();
        batch.data.clear();
        batch.first_ordinal = self.counters.packets;
        let wait = if self.is_stopped { Duration::ZERO } else { wait };
        match self.receiver.recv_timeout(wait) {
            Ok(fed) => fed.into_iter().for_each(|packet| self.push(packet, batch)),
            Err(RecvTimeoutError::Timeout) => {}
            // Nobody feeds any more, as after a stop.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(wait),
        }
        self.counters.packets += batch.packets.len() as u64;
        self.counters.bytes += batch.data.len() as u64;
        Ok(batch.packets.len())
    }

    fn stop(&mut self) -> Result<(), SourceError> {
        self.is_stopped = true;
        Ok(())
    }

    fn counters(&mut self) -> Result<TapCounters, SourceError> {
        Ok(self.counters)
    }

    fn statistics(&self) -> Statistics {
        let TapCounters { packets: delivered, kernel_packets: accepted, kernel_drops: dropped, .. } = self.counters;
        Statistics { since_ns: self.since_ns, until_ns: now_ns(), accepted, dropped, delivered }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fed_is_given_in_order_and_all_of_it_after_a_stop() {
        let options = FedOptions { interface: "en0".to_owned(), link_type: 1, snaplen: 3 };
        let (feeder, mut tap) = open(options);
        assert!(feeder.feed(vec![(5, vec![1, 2, 3, 4], 4), (6, vec![], 9)]) && feeder.feed(vec![(7, vec![9], 0)]));
        tap.stop().unwrap();
        let (mut batch, mut seen) = (Batch::default(), Vec::new());
        while tap.next_batch(&mut batch, Duration::ZERO).unwrap() > 0 {
            seen.extend(batch.packets.iter().map(|p| (p.frame, p.ts_ns, p.original_len, batch.bytes(p).to_vec())));
        }
        assert_eq!(seen, [(1, 5, 4, vec![1, 2, 3]), (2, 6, 9, vec![]), (3, 7, 1, vec![9])]);
        assert_eq!((tap.statistics().delivered, tap.statistics().dropped, tap.name()), (3, None, "en0"));
        drop(tap);
        assert!(!feeder.feed(vec![(8, vec![1], 1)]), "nobody takes them any more");
    }
}
