//! One address: what it opened and accepted, what it looks like, and its TIME_WAITs.

use super::evidence::LONGEST_DEFAULT_NS;
use super::kept::{Key, Merge, fixed_hash};
use super::lengths::{LONGEST_NS, Length, rule_for};
use super::states::{Covered, HostStates};
use super::summary::{HostFacts, LengthFacts};
use super::tally::Tally;
use super::waits::Waits;
use crate::record::{Address, Role, Side, Stack};
use crate::settings::Settings;
use std::cmp::Reverse;

/// The age beyond which TIME_WAITs need not be told apart: a connection that is forgotten has no evidence of more. At
/// least the longest default of any stack, or what the user states.
#[must_use]
pub fn horizon_ns(settings: &Settings) -> i64 {
    let stated = settings.time_wait.iter().map(|rule| rule.high_ns).max().unwrap_or(0);
    settings.idle_expiry_ns.max(LONGEST_DEFAULT_NS).max(stated).min(LONGEST_NS)
}

impl Key for Address {
    fn fixed_hash(self) -> u64 {
        fixed_hash(self.0)
    }
}

/// Running totals of one address.
#[derive(Clone, Debug, Default)]
pub struct HostLedger {
    as_client: u64,
    as_server: u64,
    stacks: Tally<Stack>,
    waits: Waits,
    /// If they are asked for.
    states: Option<Box<HostStates>>,
}

impl HostLedger {
    /// One side of a finished connection that ended at `last_ns`.
    pub fn add(&mut self, role: Role, side: &Side, last_ns: i64, horizon_ns: i64) {
        match role {
            Role::Client => self.as_client += 1,
            Role::Server => self.as_server += 1,
        }
        if side.packets > 0 {
            self.stacks.add(side.stack);
        }
        if let Some(facts) = &side.time_wait {
            self.waits.add(facts, last_ns, horizon_ns);
        }
    }

    /// It was in a state at some of the instants that are asked for.
    pub fn states(&mut self, covered: Covered) {
        self.states.get_or_insert_default().add(covered);
    }

    /// What makes one host matter more than another: TIME_WAITs entered, then connections.
    #[must_use]
    pub fn weight(&self) -> (u64, u64) {
        (self.waits.entered(), self.as_client + self.as_server)
    }

    /// The most frequent guess, unrecognised ones aside; the first in the order of [`Stack`] of equals.
    fn stack(&self) -> Stack {
        let known = Stack::ALL.iter().copied().filter(|&s| s != Stack::Unknown && self.stacks.get(s) > 0);
        known.rev().max_by_key(|&s| self.stacks.get(s)).unwrap_or(Stack::Unknown)
    }

    /// The length of this host's TIME_WAITs; `None` as address stands for the hosts that are not kept apart, whose
    /// evidence belongs to no one of them.
    #[must_use]
    pub fn length(&self, settings: &Settings, address: Option<Address>) -> Length {
        let stack = if address.is_some() { self.stack() } else { Stack::Unknown };
        match (rule_for(settings, address), self.waits.whole()) {
            (Some(rule), _) => Length::of_rule(rule, stack),
            (None, Some(waits)) if address.is_some() => waits.length(stack),
            (None, _) => Length::of_stack(stack),
        }
    }

    /// What the Summary tells. `end_ns` is the time of the last packet.
    #[must_use]
    pub fn finish(self, address: Option<Address>, length: &Length, end_ns: i64) -> HostFacts {
        HostFacts {
            address: address.map(|a| a.to_string()),
            as_client: self.as_client,
            as_server: self.as_server,
            stack: address.map(|_| self.stack()),
            time_wait: self.waits.whole().map(|waits| waits.finish(address.is_some(), length, end_ns)),
        }
    }
}

/// The states of all, the host that matters most first.
pub fn take_states(hosts: &mut [(Address, Box<HostLedger>)]) -> Vec<(Address, HostStates)> {
    let mut order: Vec<_> = hosts.iter_mut().map(|(address, host)| (Reverse(host.weight()), *address, host)).collect();
    order.sort_unstable_by_key(|&(weight, address, _)| (weight, address));
    let states = |host: &mut HostLedger| host.states.take().map(|states| *states).unwrap_or_default();
    order.into_iter().map(|(_, address, host)| (address, states(host))).collect()
}

impl Merge for HostLedger {
    fn merge(&mut self, other: Self) {
        self.as_client += other.as_client;
        self.as_server += other.as_server;
        self.stacks.merge(&other.stacks);
        self.waits.merge(other.waits);
        match (&mut self.states, other.states) {
            (Some(mine), Some(theirs)) => mine.merge(*theirs),
            (mine @ None, theirs) => *mine = theirs,
            (Some(_), None) => {}
        }
    }
}

impl Length {
    /// What the Summary tells.
    #[must_use]
    pub fn facts(&self) -> LengthFacts {
        LengthFacts {
            low_ns: self.low_ns,
            high_ns: self.high_ns,
            source: self.source.as_str(),
            stack: Some(self.stack),
        }
    }
}
