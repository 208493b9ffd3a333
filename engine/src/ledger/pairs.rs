//! One client's connections to one service.

use super::buckets::SparseBuckets;
use super::exemplar::Exemplars;
use super::histogram::Histogram;
use super::kept::{Key, Merge, fixed_hash};
use super::lengths::Length;
use super::persistence::Persistence;
use super::ports::Ports;
use super::summary::PairFacts;
use super::tally::Tally;
use super::totals::{holder, is_unrepeated, protocol};
use crate::record::{
    ActiveCloser, Address, Close, ConnectionRecord, Holder, Protocol, Quality, ResetBy, ResetEffect, ResetKind, Role,
    RoleBasis,
};
use std::collections::BTreeMap;

/// Client address, server address, server port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PairKey {
    /// Client address.
    pub client: Address,
    /// Server address.
    pub server: Address,
    /// Server port.
    pub port: u16,
}

impl PairKey {
    /// Of a connection.
    #[must_use]
    pub fn of(record: &ConnectionRecord) -> Self {
        PairKey { client: record.client.0, server: record.server.0, port: record.server.1 }
    }
}

impl Key for PairKey {
    fn fixed_hash(self) -> u64 {
        fixed_hash(self.client.0.into_iter().chain(self.server.0).chain(self.port.to_be_bytes()))
    }
}

/// Running totals of a pair.
#[derive(Clone, Debug, Default)]
pub struct PairLedger {
    connections: u64,
    close: Tally<Close>,
    closer: Tally<ActiveCloser>,
    holder: Tally<Holder>,
    resets: BTreeMap<(ResetBy, ResetKind), u64>,
    empty_resets: u64,
    unrepeated: Tally<Close>,
    role_basis: Tally<RoleBasis>,
    protocol: Tally<Protocol>,
    span_ns: Option<(i64, i64)>,
    bytes: [u64; 2],
    retransmits: u64,
    handshake_rtt: Histogram,
    half_close: Histogram,
    ports: Ports,
    http: Persistence,
    exemplars: Exemplars,
}

/// Whether the client reset it where its SYN ended, all of it was captured from that on, and neither side sent a byte.
fn is_empty_reset(record: &ConnectionRecord) -> bool {
    let is_whole = record.role_basis == RoleBasis::Syn && record.quality.0 & (Quality::GAP | Quality::ONE_SIDED) == 0;
    let by_client = record.reset.is_some_and(|reset| {
        (reset.role, reset.kind, reset.effect) == (Role::Client, ResetKind::Abort, ResetEffect::Effective)
    });
    record.close == Close::Reset && by_client && is_whole && record.sides.iter().all(|side| side.bytes == 0)
}

impl PairLedger {
    /// Of a client whose port range is stated, or not; with examples from this file on.
    #[must_use]
    pub fn within(range: Option<(u16, u16)>, first_file: u32) -> Self {
        PairLedger { ports: Ports::within(range), exemplars: Exemplars::from_file(first_file), ..PairLedger::default() }
    }

    /// How many there are.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// When connections were opened.
    #[must_use]
    pub fn opened(&self) -> &SparseBuckets {
        self.ports.opened()
    }

    /// The ordinals of its examples.
    pub fn exemplars(&self) -> impl Iterator<Item = u64> + '_ {
        self.exemplars.ordinals()
    }

    /// Examples whose packets were in files before this one are forgotten.
    pub fn forget_files(&mut self, first: u32) {
        self.exemplars.forget_files(first);
    }

    /// One more connection.
    pub fn add(&mut self, record: &ConnectionRecord) {
        self.connections += 1;
        self.close.add(record.close);
        self.closer.add(record.active_closer);
        self.holder.add(holder(record));
        self.role_basis.add(record.role_basis);
        self.protocol.add(protocol(record));
        if let Some(reset) = record.reset.filter(|reset| reset.effect != ResetEffect::Ineffective) {
            *self.resets.entry((reset.by, reset.kind)).or_default() += 1;
        }
        self.empty_resets += u64::from(is_empty_reset(record));
        if is_unrepeated(record) {
            self.unrepeated.add(record.close);
        }
        self.widen((record.first.ts_ns, record.last.ts_ns));
        for (total, side) in self.bytes.iter_mut().zip(&record.sides) {
            *total += side.bytes;
            self.retransmits += u64::from(side.retransmits);
        }
        if let Some(rtt) = record.handshake_rtt_ns {
            self.handshake_rtt.add(rtt);
        }
        if let Some(half_close) = record.half_close_ns {
            self.half_close.add(half_close);
        }
        self.ports.add(record);
        self.http.add(record);
        self.exemplars.add(record);
    }

    fn widen(&mut self, (first, last): (i64, i64)) {
        self.span_ns = Some(self.span_ns.map_or((first, last), |(from, to)| (from.min(first), to.max(last))));
    }

    /// For the Summary; no key for those that are not kept apart. `length` is the client's TIME_WAIT.
    pub fn finish(
        self,
        key: Option<PairKey>,
        length: &Length,
        end_ns: i64,
        number_of: &impl Fn(u64) -> u64,
    ) -> PairFacts {
        let (first_ns, last_ns) = self.span_ns.unwrap_or_default();
        let http = self.http.finish(key.is_some());
        let limit = http.max_requests.as_ref().map(|most| most.requests);
        let [client_bytes, server_bytes] = self.bytes;
        PairFacts {
            client: key.map(|key| key.client.to_string()),
            server: key.map(|key| key.server.to_string()),
            server_port: key.map_or(0, |key| key.port),
            connections: self.connections,
            close: self.close.counts(),
            active_closer: self.closer.counts(),
            time_wait_holder: self.holder.counts(),
            empty_resets: self.empty_resets,
            unrepeated: self.unrepeated.counts(),
            resets: self.resets.into_iter().map(|((by, kind), n)| (format!("{by} {kind}"), n)).collect(),
            role_basis: self.role_basis.counts(),
            protocol: self.protocol.counts(),
            first_ns,
            last_ns,
            client_bytes,
            server_bytes,
            retransmits: self.retransmits,
            handshake_rtt: self.handshake_rtt.distribution(),
            ports: self.ports.finish(key.is_some(), length, end_ns),
            http,
            half_close: self.half_close.distribution(),
            exemplars: self.exemplars.finish(limit, number_of),
        }
    }
}

impl Merge for PairLedger {
    fn merge(&mut self, other: Self) {
        self.connections += other.connections;
        self.close.merge(&other.close);
        self.closer.merge(&other.closer);
        self.holder.merge(&other.holder);
        for (key, count) in other.resets {
            *self.resets.entry(key).or_default() += count;
        }
        self.empty_resets += other.empty_resets;
        self.unrepeated.merge(&other.unrepeated);
        self.role_basis.merge(&other.role_basis);
        self.protocol.merge(&other.protocol);
        if let Some(span) = other.span_ns {
            self.widen(span);
        }
        for (mine, theirs) in self.bytes.iter_mut().zip(other.bytes) {
            *mine += theirs;
        }
        self.retransmits += other.retransmits;
        self.handshake_rtt.merge(&other.handshake_rtt);
        self.half_close.merge(&other.half_close);
        self.ports.merge(&other.ports);
        self.http.merge(other.http);
        self.exemplars.merge(other.exemplars);
    }
}
