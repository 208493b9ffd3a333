//! The first half of the way, done once for each packet whoever does it: decoded, counted, and handed to the shard that
//! owns its 4-tuple.

use crate::capture::{Batch, Packet};
use crate::decode::{Header, NotAnalysed, PARTITIONS, decode};
use crate::ledger::summary::CaptureFacts;
use crate::record::Address;
use std::collections::BTreeMap;

/// The segments of one batch by shard, each in capture order, and the bytes that they point into.
#[derive(Default)]
pub struct Decoded {
    /// The batch's bytes.
    pub data: Vec<u8>,
    /// One list per shard.
    pub shards: Vec<Vec<Header>>,
    /// Time of the latest packet so far, ns.
    pub latest_ns: i64,
}

/// Decodes batches and deals their segments out.
pub struct Front {
    /// Which shard owns a partition.
    shard_of: [u8; PARTITIONS],
    shards: usize,
    packets: Packets,
    latest_ns: i64,
}

impl Front {
    /// For so many shards, from 1 to [`PARTITIONS`].
    pub fn new(shards: usize) -> Self {
        let shard_of = std::array::from_fn(|partition| (partition % shards) as u8);
        Front { shard_of, shards, packets: Packets::default(), latest_ns: i64::MIN }
    }

    /// Takes a batch of consecutive packets, of those the ones in `mask` if there is one. Its bytes change places with
    /// the ones in `into`, which are reused.
    pub fn decode(&mut self, batch: &mut Batch, mask: Option<&[bool]>, into: &mut Decoded) {
        into.shards.resize_with(self.shards, Vec::new);
        into.shards.iter_mut().for_each(Vec::clear);
        self.packets.count(batch);
        for (index, packet) in batch.packets.iter().enumerate() {
            self.latest_ns = self.latest_ns.max(packet.ts_ns);
            if mask.is_some_and(|mask| mask.get(index) != Some(&true)) {
                continue;
            }
            match decode(packet, batch.bytes(packet), batch.first_ordinal + index as u64) {
                Ok(header) => self.deal(header, into),
                Err(reason) => self.packets.pass_over(reason),
            }
        }
        std::mem::swap(&mut batch.data, &mut into.data);
        into.latest_ns = self.latest_ns;
    }

    #[inline]
    fn deal(&mut self, header: Header, into: &mut Decoded) {
        self.packets.facts.segments += 1;
        if header.checksum_offloaded {
            self.packets.note_offload(header.source().0);
        }
        let shard = usize::from(self.shard_of[header.key.partition() % PARTITIONS]);
        if let Some(list) = into.shards.get_mut(shard) {
            list.push(header);
        }
    }

    /// What was counted.
    pub fn into_facts(self) -> CaptureFacts {
        self.packets.into_facts()
    }
}

/// Most senders told apart in looking for the one that captured.
const MOST_OFFLOADERS: usize = 4096;

/// Counts of packets, whatever became of them.
#[derive(Default)]
struct Packets {
    facts: CaptureFacts,
    not_analysed: BTreeMap<NotAnalysed, u64>,
    offloaded: BTreeMap<Address, u64>,
}

impl Packets {
    fn count(&mut self, batch: &Batch) {
        let facts = &mut self.facts;
        facts.packets += batch.packets.len() as u64;
        let sum = |of: fn(&Packet) -> u64| batch.packets.iter().map(of).sum::<u64>();
        facts.captured_bytes += sum(|packet| u64::from(packet.captured_len));
        facts.original_bytes += sum(|packet| u64::from(packet.original_len));
        facts.cut_packets += sum(|packet| u64::from(packet.captured_len < packet.original_len));
        let times = batch.packets.iter().map(|packet| packet.ts_ns);
        facts.first_ns = times.clone().chain(facts.first_ns).min();
        facts.last_ns = times.chain(facts.last_ns).max();
    }

    #[cold]
    fn pass_over(&mut self, reason: NotAnalysed) {
        *self.not_analysed.entry(reason).or_default() += 1;
    }

    fn note_offload(&mut self, sender: Address) {
        if let Some(count) = self.offloaded.get_mut(&sender) {
            *count += 1;
        } else if self.offloaded.len() < MOST_OFFLOADERS {
            self.offloaded.insert(sender, 1);
        }
    }
    /// The address that left most of its checksums to the network card: the capture was taken there.
    fn capture_host(&self) -> Option<String> {
        let most = self.offloaded.iter().max_by_key(|&(address, count)| (count, std::cmp::Reverse(address)))?;
        // Between virtual machines both ends may leave theirs: then nothing tells which end it was.
        let others: u64 = self.offloaded.values().sum::<u64>() - most.1;
        (*most.1 >= 2 && others * 10 < *most.1).then(|| most.0.to_string())
    }

    fn into_facts(mut self) -> CaptureFacts {
        self.facts.capture_host = self.capture_host();
        for (reason, count) in self.not_analysed {
            let by_kind = if matches!(reason, NotAnalysed::Malformed(_)) {
                &mut self.facts.malformed
            } else {
                &mut self.facts.not_analysed
            };
            *by_kind.entry(reason.kind().into_owned()).or_default() += count;
        }
        self.facts
    }
}
