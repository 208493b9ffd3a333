//! The only wiring: capture → decode → tcp → http → ledger, the same for a file, a pipe and an interface.
//!
//! ```text
//! CaptureSet ──► front ──► shard 0: flow table of its 4-tuples ──► collector: ledger, rows
//!                decode    shard 1: …                                        │ merge
//!                          shard n: …                                        ▼ Outcome
//! ```
//!
//! The 4-tuples are dealt to the shards by a fixed hash; each has a flow table and a ledger. What they must know of each
//! other, whose connections are idle for longest where there are too many or too much is kept, they tell the [`census`].
//! Totals merge by the ledger's law, so the answer does not depend on the number of shards, nor on where batches end.
//! [`workers`] says how threads share the work.

mod agreed;
mod census;
mod clocks;
mod collector;
mod copies;
mod front;
mod gaps;
mod generations;
mod inside;
pub mod live;
mod meeting;
mod networks;
mod newest;
mod openings;
mod pieces;
mod ranks;
mod retries;
mod shard;
mod taps;
mod workers;

pub use collector::{Collector, Reader};
use ranks::Opened;
pub use ranks::Ranks;

use crate::capture::{Batch, CaptureSet, Gap, SetFacts, SourceError};
use crate::decode::Segment;
use crate::ledger::summary::{CaptureFacts, Summary};
use crate::ledger::{Finished, Lengths};
use crate::record::{ConnectionRecord, Exchange};
use crate::rows::Sorted;
use crate::settings::{HostTable, Settings};
use crate::tcp::connection::Connection;
use crate::tcp::flow_table::{Held, parts};
use crate::tcp::state::Anomaly;
use crate::tunnels::{TunnelNames, Tunnels};
use census::Census;
use front::{Decoded, Front};
use shard::Shard;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Called now and then with bytes read, bytes in all (0 if unknown) and packets read; false stops the analysis.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64, u64) -> bool;

/// Numbers of connections that a live capture remembers before it forgets what it can: beyond the examples and all that
/// fit into the tables.
const NUMBERS: u64 = 1 << 20;

/// Capture in, facts out.
pub struct Engine {
    settings: Settings,
    front: Front,
    shards: Vec<Shard>,
    decoded: Decoded,
}

impl Engine {
    /// For one thread: with one shard.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Engine::of(1, settings)
    }

    /// With so many shards, which must be fed in threads of their own.
    fn of(count: usize, settings: &Settings) -> Self {
        let census = (parts(settings) > 1).then(|| Arc::new(Census::new(count, settings)));
        let shards = (0..count).map(|index| Shard::new(index, census.clone(), settings)).collect();
        Engine { settings: settings.clone(), front: Front::new(count, settings), shards, decoded: Decoded::default() }
    }

    /// Takes a batch of consecutive packets in this thread, of those the ones in `mask`, showing each segment with its
    /// connection after it. The batch's bytes are taken out of it.
    pub fn feed_watching(
        &mut self,
        batch: &mut Batch,
        mask: Option<&[bool]>,
        watch: &mut impl FnMut(&Segment<'_>, &Connection<Reader>),
    ) {
        self.front.decode(batch, mask, std::mem::take(&mut self.decoded));
        self.work_watching(watch);
    }

    /// Works on what has waited long enough for copies, by the packets' times.
    pub fn let_old_go_watching(&mut self, watch: &mut impl FnMut(&Segment<'_>, &Connection<Reader>)) {
        self.front.let_old_go();
        self.work_watching(watch);
    }

    /// Works on what waits for copies from other interfaces: no packet will come soon.
    pub fn let_go_watching(&mut self, watch: &mut impl FnMut(&Segment<'_>, &Connection<Reader>)) {
        self.front.let_go();
        self.work_watching(watch);
    }

    /// Packets are left out on purpose before the next batch: what goes on is taken up wherever it is by then.
    pub fn lose_sight(&mut self, watch: &mut impl FnMut(&Segment<'_>, &Connection<Reader>)) {
        self.let_go_watching(watch);
        self.front.lose_sight();
        self.shards.iter_mut().for_each(Shard::lose_sight);
    }

    fn work_watching(&mut self, watch: &mut impl FnMut(&Segment<'_>, &Connection<Reader>)) {
        while let Some(decoded) = self.front.ready() {
            for shard in &mut self.shards {
                shard.feed(&decoded, &self.settings, watch);
            }
            self.decoded = decoded;
        }
    }

    /// Lays what comes, and what was finished a moment ago (see `watched_hosts`), beside these tables from now on.
    pub fn hold_against(&mut self, tables: &[HostTable]) {
        for shard in &mut self.shards {
            shard.collector.kernel.replace(tables);
        }
    }

    /// Nothing more will come. `capture` says what the files told of themselves.
    ///
    /// # Errors
    /// [`SourceError`] if rows did not fit into the temporary file.
    pub fn finish(mut self, capture: SetFacts) -> Result<Outcome, SourceError> {
        self.let_go_watching(&mut |_, _| ());
        let mut ranks = Vec::new();
        let collectors = self.shards.drain(..).map(|mut shard| {
            shard.finish(&self.settings);
            ranks.extend(shard.ranks);
            shard.collector
        });
        let collector = merged(collectors, &self.settings);
        let (facts, names) = self.front.into_facts();
        let totals = Totals { collector, held: Vec::new(), facts, names, opened: Vec::new(), ranks };
        totals.conclude(capture, &self.settings, None)
    }

    /// What [`Engine::finish`] would make its answer of now, apart from rows: a copy, to be concluded elsewhere while
    /// this goes on. It costs what the ledger and the connections in the tables cost to copy; they are ended there, too. An
    /// attempt that began less than 3 s before `now_ns` is open: it may still be answered.
    #[must_use]
    pub fn provisional(&self, now_ns: Option<i64>) -> Totals {
        let mut held = Vec::new();
        let collectors = self.shards.iter().map(|shard| {
            let (collector, table) = shard.provisional(&self.settings, now_ns);
            held.push(table);
            collector
        });
        let collector = merged(collectors, &self.settings);
        let opened = self.shards.iter().map(|shard| shard.opened.clone()).collect();
        let (facts, names) = (self.front.facts(), TunnelNames::default());
        Totals { collector, held, facts, names, opened, ranks: Vec::new() }
    }
}

impl Engine {
    /// Forgets the numbers of connections that nobody will ask for, where there are many. Only where there is one shard
    /// and no rows are kept; it does not show.
    fn forget_numbers(&mut self) {
        let keeps_rows = self.settings.keep_connections || self.settings.keep_exchanges;
        if let ([shard], false) = (self.shards.as_mut_slice(), keeps_rows)
            && shard.opened.remembered() >= NUMBERS
        {
            shard.forget_numbers();
        }
    }

    /// Forgets the examples whose packets were in files before this one, which are removed.
    fn forget_files(&mut self, first: u32) {
        for shard in &mut self.shards {
            shard.collector.ledger.forget_files(first);
        }
    }

    /// Connections so far, those of them in the tables, and those ended for lack of room.
    fn connections(&self) -> (u64, u64, u64) {
        self.shards.iter().fold((0, 0, 0), |(opened, tracked, evicted), shard| {
            (opened + shard.opened.len(), tracked + shard.tracked(), evicted + shard.collector.evicted)
        })
    }
}

fn merged(collectors: impl Iterator<Item = Collector>, settings: &Settings) -> Collector {
    let all = collectors.reduce(|mut all, one| {
        all.merge(one);
        all
    });
    all.unwrap_or_else(|| Collector::new(settings))
}

/// The facts of all shards, from which an answer is made.
pub struct Totals {
    collector: Collector,
    /// Connections that are still to be ended, of a capture that goes on.
    held: Vec<Held<Reader>>,
    facts: CaptureFacts,
    names: TunnelNames,
    /// The numbers of their connections: of a capture that goes on they are ranked where its answer is made, not where
    /// packets wait.
    opened: Vec<Opened>,
    /// Of shards that are finished.
    ranks: Vec<Ranks>,
}

impl Totals {
    /// The answer. What is over by `now_ns` is; without it, by the last packet.
    ///
    /// # Errors
    /// [`SourceError`] if rows did not fit into the temporary file.
    pub fn conclude(self, capture: SetFacts, settings: &Settings, now_ns: Option<i64>) -> Result<Outcome, SourceError> {
        let Totals { mut collector, held, mut facts, names, opened, ranks } = self;
        let ranked = ranks.into_iter().chain(opened.into_iter().map(Ranks::from)).reduce(|mut all, one| {
            all.merge(one);
            all
        });
        let opened = ranked.unwrap_or_default();
        held.into_iter().for_each(|table| table.finish(&mut collector));
        facts.files = capture.files;
        facts.unlisted = capture.unlisted;
        facts.live = capture.live;
        facts.repeated_files = capture.repeated;
        facts.settle_span();
        (facts.clock_steps_back, facts.late_files) = (capture.clock_steps_back, capture.late_files);
        facts.settle_clocks(capture.first_file);
        let first = capture.first_file;
        let told =
            |gap: Gap| Some(Gap { after_file: gap.after_file.checked_sub(first)?, file: gap.file - first, ..gap });
        facts.gaps = capture.gaps.into_iter().filter_map(told).collect();
        facts.ordered_packets = capture.ordered_packets;
        facts.duplicates = collector.duplicates + facts.beside_tunnels;
        facts.evicted_connections = collector.evicted;
        facts.reassembly_overflows = collector.overflow_bytes;
        facts.kept_overflows = collector.given_up_bytes;
        facts.long_heads = collector.exchanges.long_heads;
        for (Anomaly(state, event), count) in std::mem::take(&mut collector.anomalies) {
            facts.anomalies.insert(format!("{state} {event}"), count);
        }
        let capture_end_ns = facts.last_ns.max(facts.last_ns.and(now_ns)).unwrap_or_default();
        let connections = collector.connections.sorted().map_err(|error| rows_error(&error))?;
        let exchanges = collector.exchanges.kept.sorted().map_err(|error| rows_error(&error))?;
        let number_of = |ordinal| opened.number(ordinal);
        collector.ledger.forget_files(capture.first_file);
        let Finished { mut summary, lengths, states } =
            collector.ledger.finish(settings, facts, capture_end_ns, number_of);
        if let Some(spans) = collector.spans {
            summary.states = spans.finish(states, &lengths, capture_end_ns).map_err(|error| rows_error(&error))?;
        }
        let is_untimed = summary.capture.is_untimed();
        if is_untimed {
            summary.forget_lengths();
        }
        let span = summary.capture.first_ns.zip(summary.capture.last_ns);
        summary.kernel = collector.kernel.finish(&lengths, span, capture_end_ns);
        let tunnels = names.into_tunnels(collector.tunnels);
        let first_file = capture.first_file;
        Ok(Outcome {
            summary,
            connections,
            tunnels,
            exchanges,
            lengths,
            capture_end_ns,
            opened,
            first_file,
            is_untimed,
        })
    }
}

/// Rows that cannot be written or read again, in one line.
#[must_use]
pub fn rows_error(error: &io::Error) -> SourceError {
    let folder = std::env::temp_dir().display().to_string();
    let message = format!("temporary file for the table's rows: {error}; set TMPDIR to a folder with room");
    SourceError::new(folder, message)
}

/// What an analysis found.
pub struct Outcome {
    /// For the report.
    pub summary: Summary,
    /// One per connection, in order of first packet, if kept.
    pub connections: Arc<Sorted<ConnectionRecord>>,
    /// What their tunnels are called.
    pub tunnels: Tunnels,
    /// In order of connection and index, if kept.
    pub exchanges: Arc<Sorted<Exchange>>,
    /// How long each host holds TIME_WAIT, for what was not observed.
    pub lengths: Lengths,
    /// Latest packet, ns since 1970 UTC.
    pub capture_end_ns: i64,
    /// Ordinals of the first packets.
    pub opened: Ranks,
    /// The number of the first file in the Summary: those before it were removed (`live --keep`).
    pub first_file: u32,
    /// No packet had a time: instants and lengths in rows say nothing.
    pub is_untimed: bool,
}

impl Outcome {
    /// The kept record of a connection by its number.
    ///
    /// # Errors
    /// [`SourceError`] if the temporary file of the rows cannot be read.
    pub fn connection(&self, number: u64) -> Result<Option<ConnectionRecord>, SourceError> {
        let Some(ordinal) = self.opened.ordinal(number) else { return Ok(None) };
        self.connections.find(ordinal).map_err(|error| rows_error(&error))
    }

    /// The contract's `connection` number of an ordinal.
    #[must_use]
    pub fn number(&self, ordinal: u64) -> u64 {
        self.opened.number(ordinal)
    }
}

/// Reads a whole set. `None` if `progress` asked to stop.
///
/// # Errors
/// [`SourceError`] if a file cannot be opened again, or rows do not fit into the temporary file.
pub fn read_all(
    set: &mut CaptureSet,
    settings: &Settings,
    progress: Option<Progress<'_>>,
) -> Result<Option<Outcome>, SourceError> {
    let mut engine = Engine::of(settings.threads.clamp(1, parts(settings)), settings);
    let mut progress = progress;
    let mut go_on = |done, total, packets| progress.as_mut().is_none_or(|report| report(done, total, packets));
    let Engine { front, shards, .. } = &mut engine;
    let wanted = workers::run(set, front, shards, settings, &mut go_on)?;
    set.check()?;
    wanted.then(|| engine.finish(set.facts())).transpose()
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

#[cfg(test)]
mod kept_tests;
#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod tests;
