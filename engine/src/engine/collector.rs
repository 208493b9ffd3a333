//! What one shard makes of its segments: the payload reader it hands to `tcp`, and the sink that takes the facts.

use super::gaps::{ANSWER_NS, Gaps, forget_silence};
use crate::http::{ExchangeSink, HttpFlow, HttpLimits, RecentHeads, Sniff, SpareRoom, sniff};
use crate::ledger::kernel::KernelLedger;
use crate::ledger::{Ledger, StateSpans};
use crate::record::{Address, ConnectionRecord, Exchange, HttpFacts, Quality, Role, RoleBasis, TimeWaitFacts};
use crate::rows::Rows;
use crate::settings::Settings;
use crate::tcp::payload::{Payload, Sink, Span};
use crate::tcp::state::Anomaly;
use crate::tcp::stepped;
use crate::tcp::stream::Piece;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The payload reader of [`crate::tcp`], as [`crate::http`] provides it.
#[derive(Clone)]
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
    fn is_over(&self) -> bool {
        self.0.is_over()
    }
    fn kept_bytes(&self) -> usize {
        self.0.kept_bytes()
    }
    fn kept_requests(&self) -> usize {
        self.0.kept_requests()
    }
    fn give_up(&mut self, sink: &mut Collector) -> bool {
        self.0.give_up(&mut sink.exchanges)
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
pub(super) struct Exchanges {
    wanted: bool,
    pub(super) kept: Rows<Exchange>,
    texts: Texts,
    recent: RecentHeads,
    spare: SpareRoom,
    /// What the connection at hand keeps may have changed.
    is_kept_changed: bool,
    pub(super) long_heads: u64,
}

/// Texts kept for when they come again: a capture has few different User-Agent and Server headers.
const TEXTS: usize = 64;

/// The last text of each of [`TEXTS`] classes, beside its bytes.
struct Texts([Option<Text>; TEXTS]);

type Text = (Box<[u8]>, Arc<str>);

impl Texts {
    fn get(&mut self, value: &[u8]) -> Arc<str> {
        let ends = value.len() ^ value.iter().rev().take(2).fold(0, |mixed, &byte| mixed << 3 ^ usize::from(byte));
        let Some(slot) = self.0.get_mut(ends % TEXTS) else { return crate::http::text(value).into() };
        match slot {
            Some((bytes, text)) if **bytes == *value => Arc::clone(text),
            _ => {
                let text: Arc<str> = crate::http::text(value).into();
                *slot = (value.len() <= crate::http::MAX_TEXT_BYTES).then(|| (value.into(), Arc::clone(&text)));
                text
            }
        }
    }
}

impl ExchangeSink for Exchanges {
    fn wanted(&self) -> bool {
        self.wanted
    }
    fn exchange(&mut self, exchange: Exchange) {
        self.kept.push(exchange);
    }
    fn recent(&mut self) -> &mut RecentHeads {
        &mut self.recent
    }
    fn spare(&mut self) -> &mut SpareRoom {
        &mut self.spare
    }
    fn note_kept(&mut self) {
        self.is_kept_changed = true;
    }
    #[cold]
    fn long_head(&mut self) {
        self.long_heads += 1;
    }
    fn text(&mut self, value: &[u8]) -> Arc<str> {
        self.texts.get(value)
    }
}

/// Takes the facts of one shard.
pub struct Collector {
    pub(super) ledger: Ledger,
    pub(super) exchanges: Exchanges,
    keep_connections: bool,
    pub(super) connections: Rows<ConnectionRecord>,
    /// The names of their tunnels.
    pub(super) tunnels: BTreeMap<u64, u32>,
    pub(super) spans: Option<StateSpans>,
    pub(super) kernel: KernelLedger,
    pub(super) anomalies: BTreeMap<Anomaly, u64>,
    pub(super) duplicates: u64,
    pub(super) overflow_bytes: u64,
    pub(super) given_up_bytes: u64,
    pub(super) evicted: u64,
    /// Of what nothing was captured.
    pub(super) gaps: Gaps,
    /// Of a provisional answer: an attempt that began later may still be answered.
    decided_ns: Option<i64>,
}

impl Collector {
    pub(super) fn new(settings: &Settings) -> Self {
        Collector {
            ledger: Ledger::new(settings),
            exchanges: Exchanges {
                wanted: settings.keep_exchanges,
                kept: Rows::new(settings.rows_in_memory),
                texts: Texts([const { None }; TEXTS]),
                recent: RecentHeads::default(),
                spare: SpareRoom::default(),
                is_kept_changed: false,
                long_heads: 0,
            },
            keep_connections: settings.keep_connections,
            connections: Rows::new(settings.rows_in_memory),
            tunnels: BTreeMap::new(),
            spans: settings.states.as_ref().map(|_| StateSpans::new(settings)),
            kernel: KernelLedger::new(settings),
            anomalies: BTreeMap::new(),
            duplicates: 0,
            overflow_bytes: 0,
            given_up_bytes: 0,
            evicted: 0,
            gaps: Gaps::default(),
            decided_ns: None,
        }
    }

    /// A copy of the totals as of now, which keeps no rows, and tells no states.
    pub(super) fn totals(&self, settings: &Settings, now_ns: Option<i64>) -> Self {
        let without_rows =
            Settings { keep_connections: false, keep_exchanges: false, states: None, ..settings.clone() };
        let mut copy = Collector {
            ledger: self.ledger.clone(),
            anomalies: self.anomalies.clone(),
            duplicates: self.duplicates,
            overflow_bytes: self.overflow_bytes,
            given_up_bytes: self.given_up_bytes,
            evicted: self.evicted,
            kernel: self.kernel.provisional(),
            gaps: self.gaps.clone(),
            decided_ns: now_ns.map(|now| now.saturating_sub(ANSWER_NS)),
            ..Collector::new(&without_rows)
        };
        copy.exchanges.long_heads = self.exchanges.long_heads;
        copy
    }

    /// A connection that opened has a tunnel with a name.
    #[cold]
    pub(super) fn name_tunnel(&mut self, ordinal: u64, number: u32) {
        if self.keep_connections {
            self.tunnels.insert(ordinal, number);
        }
    }

    /// Whether rows were lost.
    pub(super) fn has_failed(&self) -> bool {
        self.connections.has_failed()
            || self.exchanges.kept.has_failed()
            || self.spans.as_ref().is_some_and(StateSpans::has_failed)
    }

    pub(super) fn merge(&mut self, other: Collector) {
        self.ledger.merge(other.ledger);
        self.exchanges.kept.merge(other.exchanges.kept);
        self.connections.merge(other.connections);
        self.tunnels.extend(other.tunnels);
        if let (Some(mine), Some(theirs)) = (&mut self.spans, other.spans) {
            mine.merge(theirs);
        }
        self.kernel.merge(other.kernel);
        for (anomaly, count) in other.anomalies {
            *self.anomalies.entry(anomaly).or_default() += count;
        }
        self.duplicates += other.duplicates;
        self.overflow_bytes += other.overflow_bytes;
        self.given_up_bytes += other.given_up_bytes;
        self.exchanges.long_heads += other.exchanges.long_heads;
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
    fn span(&mut self, (role, host): (Role, Address), mut span: Span) {
        self.gaps.heed_span(&mut span);
        if let Some(covered) = self.spans.as_ref().and_then(|spans| spans.covered(host, span)) {
            self.ledger.states(role, host, covered);
        }
    }
    fn time_wait_span(&mut self, (role, host): (Role, Address), from_ns: i64, facts: &TimeWaitFacts) {
        let mut facts = facts.clone();
        self.gaps.heed_wait(&mut facts);
        if let Some(covered) = self.spans.as_mut().and_then(|spans| spans.time_wait(host, from_ns, &facts)) {
            self.ledger.states(role, host, covered);
        }
    }
    fn connection(&mut self, mut record: ConnectionRecord) {
        stepped::forget_negative(&mut record);
        self.gaps.heed(&mut record);
        if self.decided_ns.is_some_and(|decided| record.first.ts_ns > decided) {
            forget_silence(&mut record);
        }
        self.evicted += u64::from(record.quality.0 & Quality::EVICTED != 0);
        self.kernel.hold(&mut record);
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
    fn note_kept(&mut self) {
        self.exchanges.is_kept_changed = true;
    }
    #[inline]
    fn take_kept(&mut self) -> bool {
        let is_changed = self.exchanges.is_kept_changed;
        if is_changed {
            self.exchanges.is_kept_changed = false;
        }
        is_changed
    }
    fn given_up(&mut self, bytes: u64) {
        self.given_up_bytes += bytes;
    }
}
