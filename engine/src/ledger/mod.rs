//! Running totals that merge: a summary of two halves merged equals the summary of the whole.
//!
//! ```text
//! ConnectionRecord ──► pairs  (client, server, port): closers, ports, persistence, exemplars
//!                  └─► hosts  address: TIME_WAITs, their evidence and lengths, occupancy
//! ```
//!
//! Only integers are added, so no order of adding shows; what does not fit in bounded room is chosen by the keys alone
//! ([`kept`], [`apart`]) or put into wider buckets ([`buckets`]).

mod apart;
pub mod buckets;
pub mod evidence;
pub mod exemplar;
pub mod histogram;
pub mod hosts;
pub mod idle;
pub mod instants;
pub mod kept;
pub mod kernel;
mod lengths;
mod listed;
pub mod pairs;
pub mod persistence;
pub mod ports;
pub mod services;
mod states;
pub mod summary;
pub mod tally;
pub mod timeline;
mod totals;
pub mod turnbull;
mod untimed;
mod waits;

pub use lengths::{Estimate, Length, LengthSource, Lengths, estimate};
pub use states::{Covered, HostStates, StateSpans};
pub use totals::holder as time_wait_holder;

use crate::record::{Address, ConnectionRecord, Role};
use crate::settings::{PortRule, Settings};
use apart::Hosts;
use hosts::horizon_ns;
use kept::Kept;
use pairs::{PairKey, PairLedger};
use std::collections::HashMap;
use summary::{CaptureFacts, Summary};
use totals::TotalsLedger;

/// Totals of finished connections.
#[derive(Clone, Debug)]
pub struct Ledger {
    totals: TotalsLedger,
    pairs: Kept<PairKey, PairLedger>,
    hosts: Hosts,
    horizon_ns: i64,
    port_ranges: Vec<PortRule>,
    /// The first file that is still there.
    first_file: u32,
}

/// What a ledger tells at the end.
pub struct Finished {
    /// Everything the report needs.
    pub summary: Summary,
    /// How long each host holds TIME_WAIT, for what was not observed.
    pub lengths: Lengths,
    /// The states of the hosts told apart, the one that matters most first.
    pub states: Vec<(Address, HostStates)>,
}

impl Ledger {
    /// Empty.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Ledger {
            totals: TotalsLedger::default(),
            pairs: Kept::new(settings.max_pairs),
            hosts: Hosts::new(settings),
            horizon_ns: horizon_ns(settings),
            port_ranges: settings.port_ranges.clone(),
            first_file: 0,
        }
    }

    /// One more connection.
    pub fn connection(&mut self, record: &ConnectionRecord) {
        self.totals.add(record);
        let (horizon_ns, first_file, is_empty) = (self.horizon_ns, self.first_file, apart::is_empty(record));
        let new_pair = || PairLedger::within(ports::stated_range(&self.port_ranges, record.client.0), first_file);
        self.pairs.with(PairKey::of(record), new_pair, |pair| pair.add(record));
        for (role, (address, _)) in [(Role::Client, record.client), (Role::Server, record.server)] {
            let side = &record.sides[role as usize];
            self.hosts.with(role, is_empty, address, |host| host.add(role, side, record.last.ts_ns, horizon_ns));
        }
    }

    /// A host was in a state at some of the instants that are asked for.
    pub fn states(&mut self, role: Role, host: Address, covered: Covered) {
        // Whether a connection has anything in it shows only at its end; a flood's never gets further than this.
        self.hosts.with(role, covered.is_opening(), host, |host| host.states(covered));
    }

    /// The ordinals of all that are kept as examples.
    pub fn exemplars(&self) -> impl Iterator<Item = u64> + '_ {
        self.pairs.values().flat_map(PairLedger::exemplars)
    }

    /// Files before this one are gone: examples are of what is still there, and say their files from this one on.
    pub fn forget_files(&mut self, first: u32) {
        if first > 0 {
            self.first_file = first;
            self.pairs.values_mut().for_each(|pair| pair.forget_files(first));
        }
    }

    /// Both together.
    pub fn merge(&mut self, other: Ledger) {
        self.totals.merge(&other.totals);
        self.pairs.merge(other.pairs);
        self.hosts.merge(other.hosts);
    }

    /// The Summary, as it is at `end_ns`. `number_of` gives the contract's number of a connection by its ordinal.
    pub fn finish(
        self,
        settings: &Settings,
        capture: CaptureFacts,
        end_ns: i64,
        number_of: impl Fn(u64) -> u64,
    ) -> Finished {
        let (mut hosts, other_hosts) = self.hosts.told(settings.max_pairs);
        let states = if settings.states.is_some() { hosts::take_states(&mut hosts) } else { Vec::new() };
        let other = other_hosts.clone().unwrap_or_default().length(settings, None);
        let known: HashMap<Address, Length> = hosts.iter().map(|(a, h)| (*a, h.length(settings, Some(*a)))).collect();
        let lengths = Lengths::new(known, other);
        let (pairs, other_pairs) = self.pairs.sorted();
        let mut summary = Summary { capture, ..Summary::default() };
        summary.capture.overflow_connections = other_pairs.as_ref().map_or(0, PairLedger::connections);
        self.totals.finish(&mut summary);
        for (address, host) in hosts {
            let length = lengths.of(address);
            let told = host.finish(Some(address), &length, end_ns);
            let basis = told.time_wait.as_ref().map(|wait| &wait.basis);
            add_counts(&mut summary.totals.time_wait_basis, basis);
            summary.hosts.push(told);
        }
        if let Some(host) = other_hosts {
            let told = host.finish(None, &other, end_ns);
            add_counts(&mut summary.totals.time_wait_basis, told.time_wait.as_ref().map(|wait| &wait.basis));
            summary.hosts.push(told);
        }
        let tell = |key: Option<PairKey>, pair: PairLedger| {
            let length = key.map_or(other, |key| lengths.of(key.client));
            pair.finish(key, &length, end_ns, &number_of)
        };
        summary.services = services::services(&pairs);
        summary.pairs = pairs.into_iter().map(|(key, pair)| tell(Some(key), *pair)).collect();
        summary.pairs.extend(other_pairs.map(|pair| tell(None, pair)));
        Finished { summary, lengths, states }
    }
}

fn add_counts(total: &mut summary::Counts, part: Option<&summary::Counts>) {
    for (word, count) in part.into_iter().flatten() {
        *total.entry(word).or_default() += count;
    }
}

#[cfg(test)]
pub(crate) mod generated;
#[cfg(test)]
#[path = "law_tests.rs"]
pub(crate) mod law_tests;
