//! The hosts that are told apart: those that matter, whichever they are among many.
//!
//! What matters of a host is known only at the end, and an entry must be whole, in whatever order parts are merged. So far
//! more hosts are kept than are told, and what they did as clients apart from what they did as servers: a server of a
//! million addresses is one of few servers, a scanner of a million one of few clients. Connections that neither side put
//! anything into are apart from the others, too: addresses that are forged, or tried one after the other, have no more.
//! Each of the tables keeps the addresses that are least by a fixed hash where even that is too many ([`super::kept`]). A
//! host that one of them keeps is whole if each other one has it, too, or has never dropped it. What was dropped of its
//! connections that were empty may be missing, of which there was no TIME_WAIT: one forged SYN with a server's own address
//! must not hide it.

use super::hosts::HostLedger;
use super::kept::{Kept, Merge};
use crate::record::{Address, ConnectionRecord, Role};
use crate::settings::Settings;
use std::cmp::Reverse;

/// Whether neither side put anything into a connection: of a SYN flood, of a scan.
#[must_use]
pub fn is_empty(record: &ConnectionRecord) -> bool {
    record.sides.iter().all(|side| side.bytes == 0 && side.fin.is_none() && side.time_wait.is_none())
}

/// Of each kind so many times as many are kept as are told,
const TIMES: usize = 4;
/// but no more than this, unless more are told.
const MOST: usize = 40_000;

const KINDS: usize = 4;
/// Of those the first, of connections with something in them.
const FILLED: usize = 2;

/// Everything that hosts did.
#[derive(Clone, Debug)]
pub struct Hosts {
    /// By role, those of connections with something in them first.
    kinds: [Kept<Address, HostLedger>; KINDS],
    /// Told in any case.
    first: Option<Address>,
}

/// Hosts in order of their addresses, and all others together.
pub type Told = (Vec<(Address, Box<HostLedger>)>, Option<HostLedger>);

impl Hosts {
    /// None yet.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let most = settings.max_pairs;
        let first = settings.states.as_ref().and_then(|states| states.host).map(Address::from);
        Hosts::keeping(most.saturating_mul(TIMES).min(MOST).max(most), first)
    }

    fn keeping(limit: usize, first: Option<Address>) -> Self {
        Hosts { kinds: std::array::from_fn(|_| Kept::remembering(limit, first)), first }
    }

    /// What a host did in a role changes, by a connection that is empty or not.
    pub fn with(&mut self, role: Role, is_empty: bool, address: Address, change: impl FnOnce(&mut HostLedger)) {
        let kind = role as usize + FILLED * usize::from(is_empty);
        self.kinds[kind].with(address, HostLedger::default, change);
    }

    /// Both together.
    pub fn merge(&mut self, other: Self) {
        for (mine, theirs) in self.kinds.iter_mut().zip(other.kinds) {
            mine.merge(theirs);
        }
    }

    /// The `most` hosts that matter most: by TIME_WAITs entered, then connections, then address.
    #[must_use]
    pub fn told(self, most: usize) -> Told {
        let first = self.first;
        let (mut whole, mut other) = self.joined();
        if whole.len() > most {
            let rank = |(address, host): &(Address, Box<HostLedger>)| {
                (Reverse((Some(*address) == first, host.weight())), *address)
            };
            whole.sort_by_cached_key(rank);
            add_all(&mut other, whole.drain(most..).map(|(_, host)| *host));
            whole.sort_unstable_by_key(|&(address, _)| address);
        }
        (whole, other)
    }

    /// Every host of which all is known but for empty connections.
    fn joined(mut self) -> Told {
        let dropped = self.kinds.each_mut().map(Kept::take_dropped);
        let (mut all, mut other) = (Vec::new(), None);
        for (kind, kept) in self.kinds.into_iter().enumerate() {
            let (hosts, others) = kept.sorted();
            all.extend(hosts.into_iter().map(|(address, host)| (address, kind, host)));
            add_all(&mut other, others.into_iter());
        }
        all.sort_by_key(|&(address, ..)| address);
        let mut whole: Vec<(Address, Box<HostLedger>)> = Vec::with_capacity(all.len());
        let mut halves = Vec::new();
        let mut all = all.into_iter().peekable();
        while let Some((address, kind, mut host)) = all.next() {
            let mut is_kept = [false; KINDS];
            is_kept[kind] = true;
            while let Some((_, kind, more)) = all.next_if(|next| next.0 == address) {
                is_kept[kind] = true;
                host.merge(*more);
            }
            let filled = is_kept.iter().zip(&dropped).take(FILLED);
            let is_half = filled.into_iter().any(|(is_kept, dropped)| !is_kept && dropped.may_hold(address));
            if is_half && Some(address) != self.first {
                halves.push(*host);
            } else {
                whole.push((address, host));
            }
        }
        add_all(&mut other, halves.into_iter());
        (whole, other)
    }
}

/// Some at a time, as [`super::kept`] does.
fn add_all(other: &mut Option<HostLedger>, hosts: impl Iterator<Item = HostLedger>) {
    let mut fresh = None;
    for (count, host) in hosts.enumerate() {
        add(&mut fresh, host);
        if count % 256 == 255 {
            fresh.take().into_iter().for_each(|some| add(other, some));
        }
    }
    fresh.into_iter().for_each(|some| add(other, some));
}

fn add(other: &mut Option<HostLedger>, host: HostLedger) {
    match other {
        Some(other) => other.merge(host),
        None => *other = Some(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::law_tests::plain;
    use proptest::prelude::*;

    type Weighed = (Address, (u64, u64));

    fn address(number: u16) -> Address {
        let [high, low] = number.to_be_bytes();
        Address::v4([10, 0, high, low])
    }

    /// Of connections, client and server each.
    fn hosts(limit: usize, first: Option<u16>, connections: &[(u16, u16)]) -> Hosts {
        let mut hosts = Hosts::keeping(limit, first.map(address));
        for &(client, server) in connections {
            for (role, number) in [(Role::Client, client), (Role::Server, server)] {
                hosts.with(role, client % 3 == 0, address(number), |host| host.add(role, &plain(0).sides[0], 0, 0));
            }
        }
        hosts
    }

    /// Each with its TIME_WAITs and connections, and the connections of the others.
    fn told(hosts: Hosts, most: usize) -> (Vec<Weighed>, u64) {
        let (whole, other) = hosts.told(most);
        let weights = whole.iter().map(|(address, host)| (*address, host.weight()));
        (weights.collect(), other.map_or(0, |host| host.weight().1))
    }

    /// The server of a thousand clients, and the one client of a thousand servers, whatever their hashes.
    #[test]
    fn the_one_beside_many_is_told() {
        for one in 2000..2050 {
            let of_many: Vec<_> = (0..1000).map(|many| (many, one)).collect();
            let to_many: Vec<_> = (0..1000).map(|many| (one, many)).collect();
            for connections in [of_many, to_many] {
                let (whole, other) = told(hosts(40, None, &connections), 1);
                assert_eq!((whole, other), (vec![(address(one), (0, 1000))], 1000));
            }
        }
    }

    /// One that was dropped as a client is not told as the server that it is, too: half an entry would be a lie. Only what
    /// was empty may be missing: here that of clients whose number is a multiple of three.
    #[test]
    fn half_an_entry_is_none() {
        let mut connections: Vec<_> = (0..1000).map(|many| (many, 2000)).collect();
        connections.extend((0..1000).map(|server| (3000, server)));
        let (whole, other) = told(hosts(40, Some(999), &connections), 2000);
        assert!(whole.contains(&(address(999), (0, 2))), "which is to be told in any case");
        for &(at, (_, n)) in &whole {
            let possible = if at == address(2000) {
                666..=1000
            } else if at == address(3000) {
                1..=1000
            } else {
                1..=2
            };
            assert!(possible.contains(&n), "{n}");
        }
        assert_eq!(whole.iter().map(|told| told.1.1).sum::<u64>() + other, 4000);
    }

    proptest! {
        #[test]
        fn who_is_told_depends_on_no_order(
            connections in prop::collection::vec((0..30_u16, 20..50_u16), 0..80),
            homes in prop::collection::vec(0..3_usize, 80),
            first in prop::option::of(0..50_u16),
            (limit, most) in (0..20_usize, 0..30_usize),
        ) {
            let whole = told(hosts(limit, first, &connections), most);
            let part = |home: usize| {
                let here = connections.iter().zip(&homes).filter(|(_, at)| **at == home).map(|(pair, _)| *pair);
                hosts(limit, first, &here.collect::<Vec<_>>())
            };
            let mut merged = part(2);
            merged.merge(part(0));
            merged.merge(part(1));
            prop_assert_eq!(&told(merged, most), &whole);
            for (at, (_, n)) in &whole.0 {
                let sides = connections.iter().flat_map(|pair| [(pair.0, pair), (pair.1, pair)]);
                let all = sides.filter(|(one, _)| address(*one) == *at);
                let filled = all.clone().filter(|(_, pair)| pair.0 % 3 != 0).count() as u64;
                prop_assert!((filled..=all.count() as u64).contains(n));
            }
            prop_assert_eq!(whole.0.iter().map(|told| told.1.1).sum::<u64>() + whole.1, 2 * connections.len() as u64);
        }
    }
}
