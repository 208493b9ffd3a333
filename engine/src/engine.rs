//! The only wiring: capture → decode → tcp → http → ledger, the same for a file, a pipe and an interface.
//!
//! The 4-tuples are split into [`PARTITIONS`]; each shard (thread) owns whole partitions with their flow tables and one
//! ledger, sees every packet of a batch and takes those of its own. Totals merge by the ledger's law, so the answer does
//! not depend on the number of shards, nor on where batches end.

use crate::capture::{Batch, CaptureSet, Packet, SourceError};
use crate::decode::{Defragmenter, NotAnalysed, Segment, decode_nested, tunnel_text};
use crate::http::{ExchangeSink, HttpFlow, HttpLimits, Sniff, sniff};
use crate::ledger::summary::{CaptureFacts, Summary};
use crate::ledger::{Finished, Ledger, Lengths, StateSpans};
use crate::record::{Address, ConnectionRecord, Exchange, HttpFacts, Quality, Role, RoleBasis, State, TimeWaitFacts};
use crate::settings::Settings;
use crate::tcp::connection::Connection;
use crate::tcp::flow_table::{FlowKey, FlowTable, PARTITIONS};
use crate::tcp::payload::{Payload, Sink};
use crate::tcp::state::Anomaly;
use crate::tcp::stream::Piece;
use crate::tunnels::Tunnels;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Called between batches with bytes read and bytes in all (0 if unknown); false stops the analysis.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// The payload reader of [`crate::tcp`], as [`crate::http`] provides it.
pub struct Reader(HttpFlow);

impl Payload for Reader {
    type Sink = Collector;

    fn new(settings: &Settings, connection: u64) -> Self {
        Reader(HttpFlow::new(HttpLimits::from(settings), connection))
    }
    fn feed(&mut self, role: Role, piece: Piece<'_>, sink: &mut Collector) {
        self.0.feed(role, piece, &mut sink.exchanges);
    }
    fn fin(&mut self, role: Role, sink: &mut Collector) {
        self.0.fin(role, &mut sink.exchanges);
    }
    fn finish(mut self, sink: &mut Collector) -> HttpFacts {
        self.0.finish(&mut sink.exchanges)
    }
    fn role_of(payload: &[u8]) -> Option<(Role, RoleBasis)> {
        match sniff(payload) {
            Sniff::Request => Some((Role::Client, RoleBasis::Http)),
            Sniff::Response => Some((Role::Server, RoleBasis::Http)),
            Sniff::TlsClientHello => Some((Role::Client, RoleBasis::Tls)),
            Sniff::TlsServerHello => Some((Role::Server, RoleBasis::Tls)),
            Sniff::H2Preface => Some((Role::Client, RoleBasis::Http)),
            Sniff::Tls | Sniff::Other | Sniff::NeedMore => None,
        }
    }
}

/// Exchanges, if anyone wants them.
struct Exchanges {
    wanted: bool,
    kept: Vec<Exchange>,
}

impl ExchangeSink for Exchanges {
    fn wanted(&self) -> bool {
        self.wanted
    }
    fn exchange(&mut self, exchange: Exchange) {
        self.kept.push(exchange);
    }
}

/// Takes the facts of one shard.
pub struct Collector {
    ledger: Ledger,
    exchanges: Exchanges,
    keep_connections: bool,
    connections: Vec<ConnectionRecord>,
    tunnels: Tunnels,
    spans: Option<StateSpans>,
    anomalies: BTreeMap<Anomaly, u64>,
    duplicates: u64,
    overflow_bytes: u64,
    evicted: u64,
}

impl Collector {
    fn new(settings: &Settings) -> Self {
        Collector {
            ledger: Ledger::new(settings),
            exchanges: Exchanges { wanted: settings.keep_exchanges, kept: Vec::new() },
            keep_connections: settings.keep_connections,
            connections: Vec::new(),
            tunnels: Tunnels::new(settings.keep_connections),
            spans: settings.states.as_ref().map(|_| StateSpans::new(settings)),
            anomalies: BTreeMap::new(),
            duplicates: 0,
            overflow_bytes: 0,
            evicted: 0,
        }
    }

    fn merge(&mut self, other: Collector) {
        self.ledger.merge(other.ledger);
        self.exchanges.kept.extend(other.exchanges.kept);
        self.connections.extend(other.connections);
        self.tunnels.merge(other.tunnels);
        if let (Some(mine), Some(theirs)) = (&mut self.spans, other.spans) {
            mine.merge(theirs);
        }
        for (anomaly, count) in other.anomalies {
            *self.anomalies.entry(anomaly).or_default() += count;
        }
        self.duplicates += other.duplicates;
        self.overflow_bytes += other.overflow_bytes;
        self.evicted += other.evicted;
    }
}

impl Sink for Collector {
    fn anomaly(&mut self, anomaly: Anomaly) {
        *self.anomalies.entry(anomaly).or_default() += 1;
    }
    fn wants_spans(&self) -> bool {
        self.spans.is_some()
    }
    fn span(&mut self, host: Address, state: State, from_ns: i64, to_min_ns: i64, to_max_ns: i64) {
        if let Some(spans) = &mut self.spans {
            spans.span(host, state, from_ns, to_min_ns, to_max_ns);
        }
    }
    fn time_wait_span(&mut self, host: Address, from_ns: i64, facts: &TimeWaitFacts) {
        if let Some(spans) = &mut self.spans {
            spans.span_time_wait(host, from_ns, facts);
        }
    }
    fn connection(&mut self, record: ConnectionRecord) {
        self.evicted += u64::from(record.quality.0 & Quality::EVICTED != 0);
        self.ledger.connection(&record);
        if self.keep_connections {
            self.connections.push(record);
        }
    }
    fn duplicate(&mut self) {
        self.duplicates += 1;
    }
    fn overflow(&mut self, bytes: u64) {
        self.overflow_bytes += bytes;
    }
}

/// Counts of packets, whatever became of them.
#[derive(Default)]
struct Packets {
    facts: CaptureFacts,
    not_analysed: BTreeMap<NotAnalysed, u64>,
    offloaded: BTreeMap<Address, u64>,
}

impl Packets {
    fn note(&mut self, packet: &Packet, decoded: &Result<Segment<'_>, NotAnalysed>) {
        let facts = &mut self.facts;
        facts.packets += 1;
        facts.captured_bytes += u64::from(packet.captured_len);
        facts.original_bytes += u64::from(packet.original_len);
        facts.cut_packets += u64::from(packet.captured_len < packet.original_len);
        let ts = packet.ts_ns;
        facts.first_ns = Some(facts.first_ns.map_or(ts, |first| first.min(ts)));
        facts.last_ns = Some(facts.last_ns.map_or(ts, |last| last.max(ts)));
        match decoded {
            Ok(segment) => {
                facts.segments += 1;
                if segment.checksum_offloaded {
                    *self.offloaded.entry(segment.src).or_default() += 1;
                }
            }
            Err(reason) => *self.not_analysed.entry(*reason).or_default() += 1,
        }
    }

    /// Fragments that were counted as such have come to a datagram.
    fn joined(&mut self, packets: u64) {
        let fragments = self.not_analysed.entry(NotAnalysed::Fragment).or_default();
        *fragments = fragments.saturating_sub(packets);
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
        self.not_analysed.retain(|_, count| *count > 0);
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

/// The partitions of one thread.
struct Shard {
    tables: Vec<(usize, FlowTable<Reader>)>,
    slots: [u8; PARTITIONS],
    collector: Collector,
    ordinals: Vec<u64>,
    latest_ns: i64,
    /// Every shard puts every datagram together, and takes those of its own connections.
    defragmenter: Defragmenter,
    /// Packet counts; only the first shard's are kept.
    packets: Option<Packets>,
}

/// No table of this shard.
const ELSEWHERE: u8 = u8::MAX;

impl Shard {
    fn new(index: usize, shards: usize, settings: &Settings) -> Self {
        let mut slots = [ELSEWHERE; PARTITIONS];
        let mut tables = Vec::new();
        for (partition, slot) in slots.iter_mut().enumerate().filter(|(p, _)| p % shards == index) {
            *slot = tables.len() as u8;
            tables.push((partition, FlowTable::new(settings)));
        }
        Shard {
            tables,
            slots,
            collector: Collector::new(settings),
            ordinals: Vec::new(),
            latest_ns: i64::MIN,
            defragmenter: Defragmenter::new(settings),
            packets: (index == 0).then(Packets::default),
        }
    }

    /// Takes the packets of a batch that are its own, and of those only the ones in `mask` if there is one.
    fn feed(
        &mut self,
        batch: &Batch,
        mask: Option<&[bool]>,
        settings: &Settings,
        watch: &mut impl FnMut(&Segment<'_>, &Connection<Reader>),
    ) {
        for (index, packet) in batch.packets.iter().enumerate() {
            if mask.is_some_and(|mask| mask.get(index) != Some(&true)) {
                continue;
            }
            let ordinal = batch.first_ordinal + index as u64;
            let bytes = batch.bytes(packet);
            let decoded = decode_nested(packet, bytes, ordinal, settings.max_tunnel_depth);
            if matches!(decoded, Err(NotAnalysed::Fragment)) {
                self.take_fragment(packet, bytes, ordinal, settings, watch);
            } else {
                self.take(packet, &decoded, || tunnel_text(packet, bytes, settings.max_tunnel_depth), settings, watch);
            }
        }
        let before = self.latest_ns.saturating_sub(settings.idle_expiry_ns);
        for (_, table) in &mut self.tables {
            table.expire(before, &mut self.collector);
        }
    }

    /// Takes what became of a packet; `name` reads the name of the tunnel that it is in.
    #[inline]
    fn take(
        &mut self,
        packet: &Packet,
        decoded: &Result<Segment<'_>, NotAnalysed>,
        name: impl FnOnce() -> Option<String>,
        settings: &Settings,
        watch: &mut impl FnMut(&Segment<'_>, &Connection<Reader>),
    ) {
        if let Some(packets) = &mut self.packets {
            packets.note(packet, decoded);
        }
        self.latest_ns = self.latest_ns.max(packet.ts_ns);
        let Ok(segment) = decoded else { return };
        let key = FlowKey::of(segment);
        let Some((_, table)) = self.tables.get_mut(self.slots[key.partition()] as usize) else { return };
        if table.accept(key, segment, settings, &mut self.collector, &mut |c| watch(segment, c)) {
            self.ordinals.push(segment.ordinal);
            self.collector.tunnels.opened(segment.ordinal, segment.tunnel, name);
        }
    }

    fn finish(&mut self) {
        for (_, table) in &mut self.tables {
            table.finish(&mut self.collector);
        }
    }
}

/// Batches that may wait for each worker.
const BATCHES_AHEAD: usize = 8;

/// A worker: its shard takes what is its own of every batch.
fn take(shard: &mut Shard, batches: &Receiver<Arc<Batch>>, settings: &Settings) {
    for batch in batches {
        shard.feed(&batch, None, settings, &mut |_, _| ());
    }
}

/// The oldest batch once it must be through every worker, for its buffers; else a new one.
fn reusable(under_way: &mut VecDeque<Arc<Batch>>) -> Batch {
    let oldest = if under_way.len() > BATCHES_AHEAD + 1 { under_way.pop_front() } else { None };
    oldest.and_then(Arc::into_inner).unwrap_or_default()
}

/// Capture in, facts out.
pub struct Engine {
    settings: Settings,
    shards: Vec<Shard>,
}

impl Engine {
    /// With `settings.threads` shards.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let count = settings.threads.clamp(1, PARTITIONS);
        let shards = (0..count).map(|index| Shard::new(index, count, settings)).collect();
        Engine { settings: settings.clone(), shards }
    }

    /// Takes every batch that `next` fills, until it gives false: one after the other with a single shard; with more,
    /// each shard works in a thread of its own and this one reads ahead.
    fn feed_all<E>(&mut self, mut next: impl FnMut(&mut Batch) -> Result<bool, E>) -> Result<(), E> {
        let settings = &self.settings;
        if let [only] = self.shards.as_mut_slice() {
            let mut batch = Batch::default();
            while next(&mut batch)? {
                only.feed(&batch, None, settings, &mut |_, _| ());
            }
            return Ok(());
        }
        std::thread::scope(|scope| {
            let work = |shard| {
                let (sender, batches) = sync_channel(BATCHES_AHEAD);
                scope.spawn(move || take(shard, &batches, settings));
                sender
            };
            let workers: Vec<SyncSender<Arc<Batch>>> = self.shards.iter_mut().map(work).collect();
            let mut under_way = VecDeque::new();
            let mut batch = Batch::default();
            while next(&mut batch)? {
                let shared = Arc::new(batch);
                // A worker that is gone has panicked, and the scope passes that on.
                let _ = workers.iter().try_for_each(|worker| worker.send(Arc::clone(&shared)));
                under_way.push_back(shared);
                batch = reusable(&mut under_way);
            }
            Ok(())
        })
    }

    /// Takes a batch of consecutive packets in this thread, of those the ones in `mask`, showing each segment with its connection after it.
    pub fn feed_watching(
        &mut self,
        batch: &Batch,
        mask: Option<&[bool]>,
        watch: &mut impl FnMut(&Segment<'_>, &Connection<Reader>),
    ) {
        for shard in &mut self.shards {
            shard.feed(batch, mask, &self.settings, watch);
        }
    }

    /// Nothing more will come. `capture` says what the files told of themselves.
    #[must_use]
    pub fn finish(mut self, capture: crate::capture::SetFacts) -> Outcome {
        let mut ordinals = Vec::new();
        let mut facts = CaptureFacts::default();
        let mut collector: Option<Collector> = None;
        for mut shard in self.shards.drain(..) {
            shard.finish();
            ordinals.append(&mut shard.ordinals);
            if let Some(packets) = shard.packets.take() {
                facts = packets.into_facts();
                facts.fragments = shard.defragmenter.finish();
            }
            match &mut collector {
                None => collector = Some(shard.collector),
                Some(all) => all.merge(shard.collector),
            }
        }
        ordinals.sort_unstable();
        let mut collector = collector.unwrap_or_else(|| Collector::new(&self.settings));
        facts.files = capture.files;
        facts.clock_steps_back = capture.clock_steps_back;
        facts.duplicates = collector.duplicates;
        facts.evicted_connections = collector.evicted;
        facts.reassembly_overflows = collector.overflow_bytes;
        for (Anomaly(state, event), count) in std::mem::take(&mut collector.anomalies) {
            facts.anomalies.insert(format!("{state} {event}"), count);
        }
        self.conclude(collector, facts, ordinals)
    }

    fn conclude(self, mut collector: Collector, facts: CaptureFacts, ordinals: Vec<u64>) -> Outcome {
        let capture_end_ns = facts.last_ns.unwrap_or_default();
        let number_of = |ordinal| number(&ordinals, ordinal);
        let Finished { mut summary, lengths } = collector.ledger.finish(&self.settings, facts, number_of);
        if let Some(spans) = collector.spans {
            summary.states = spans.finish(&lengths, capture_end_ns);
        }
        collector.connections.sort_unstable_by_key(|record| record.ordinal);
        collector.exchanges.kept.sort_by_key(|exchange| (exchange.connection, exchange.index));
        Outcome {
            summary,
            connections: collector.connections,
            tunnels: collector.tunnels,
            exchanges: collector.exchanges.kept,
            lengths,
            capture_end_ns,
            ordinals,
        }
    }
}

/// The rank of an ordinal, from 1: the contract's `connection`.
fn number(ordinals: &[u64], ordinal: u64) -> u64 {
    ordinals.partition_point(|&o| o < ordinal) as u64 + 1
}

/// What an analysis found.
pub struct Outcome {
    /// For the report.
    pub summary: Summary,
    /// One per connection, in order of first packet, if kept.
    pub connections: Vec<ConnectionRecord>,
    /// The names of their tunnels.
    pub tunnels: Tunnels,
    /// In order of connection and index, if kept.
    pub exchanges: Vec<Exchange>,
    /// How long each host holds TIME_WAIT, for what was not observed.
    pub lengths: Lengths,
    /// Latest packet, ns since 1970 UTC.
    pub capture_end_ns: i64,
    /// Ordinals of the first packets, ascending.
    pub ordinals: Vec<u64>,
}

impl Outcome {
    /// The contract's `connection` number of an ordinal.
    #[must_use]
    pub fn number(&self, ordinal: u64) -> u64 {
        number(&self.ordinals, ordinal)
    }
}

/// Reads a whole set. `None` if `progress` asked to stop.
///
/// # Errors
/// [`SourceError`] if a file cannot be opened again.
pub fn read_all(
    set: &mut CaptureSet,
    settings: &Settings,
    progress: Option<Progress<'_>>,
) -> Result<Option<Outcome>, SourceError> {
    let mut engine = Engine::new(settings);
    let mut progress = progress;
    let mut stopped = false;
    engine.feed_all(|batch| {
        let more = set.next_batch(batch, settings.batch_packets)?;
        let (done, total) = set.progress();
        stopped = more && progress.as_mut().is_some_and(|report| !report(done, total));
        Ok::<_, SourceError>(more && !stopped)
    })?;
    Ok((!stopped).then(|| engine.finish(set.facts())))
}

/// Opens, reads and concludes; the set is returned for a second look ([`crate::ladder`]).
///
/// # Errors
/// [`SourceError`] names the file, the offset and what to do.
pub fn analyze(
    paths: &[PathBuf],
    settings: &Settings,
    progress: Option<Progress<'_>>,
) -> Result<Option<(Outcome, CaptureSet)>, SourceError> {
    let mut set = CaptureSet::open(paths, settings)?;
    let outcome = read_all(&mut set, settings, progress)?;
    Ok(outcome.map(|outcome| (outcome, set)))
}

mod fragments;
#[cfg(test)]
mod tests;
