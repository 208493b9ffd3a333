//! Connections of the whole capture by each of the contract's words.

use super::summary::{Summary, Totals};
use super::tally::Tally;
use crate::record::{ActiveCloser, Close, CloserBasis, ConnectionRecord, Holder, Protocol, Quality, Race, Tunnel};
use std::collections::BTreeMap;

/// `time_wait_holder` of a record. Nobody waits where no FIN was sent. Where the other FIN may be missing from the capture
/// ([`ConnectionRecord::may_wait_unseen`]) it may be either side. Where a FIN was captured only as it was sent again, or
/// not at all, the two may have crossed: then whoever sent it waits, too.
#[must_use]
pub fn holder(record: &ConnectionRecord) -> Holder {
    match record.sides.each_ref().map(|side| side.time_wait.is_some()) {
        [true, true] => Holder::Both,
        [true, false] | [false, true]
            if record.closer_basis == CloserBasis::RetransmissionOnly || record.quality.0 & Quality::ONE_SIDED != 0 =>
        {
            Holder::Unknown
        }
        [true, false] => Holder::Client,
        [false, true] => Holder::Server,
        [false, false] if record.may_wait_unseen => Holder::Unknown,
        [false, false] => Holder::None,
    }
}

/// What the payload was; a connection without any is `empty`.
#[must_use]
pub fn protocol(record: &ConnectionRecord) -> Protocol {
    record.http.protocol.unwrap_or(Protocol::Empty)
}

/// Whether it is an attempt of which what waits for an answer was not sent again: the SYN, or the SYN-ACK.
#[must_use]
pub fn is_unrepeated(record: &ConnectionRecord) -> bool {
    let [client, server] = &record.sides;
    match record.close {
        Close::Unanswered => client.packets <= 1,
        Close::HalfOpen => server.packets <= 1,
        _ => false,
    }
}

/// Running totals.
#[derive(Clone, Debug, Default)]
pub struct TotalsLedger {
    connections: u64,
    close: Tally<Close>,
    closer: Tally<ActiveCloser>,
    basis: Tally<CloserBasis>,
    holder: Tally<Holder>,
    protocol: Tally<Protocol>,
    race: Tally<Race>,
    without_acks: Tally<Close>,
    unrepeated: Tally<Close>,
    quality: BTreeMap<&'static str, u64>,
    one_sided_in_tunnels: u64,
}

impl TotalsLedger {
    /// One more connection.
    pub fn add(&mut self, record: &ConnectionRecord) {
        self.connections += 1;
        self.close.add(record.close);
        self.closer.add(record.active_closer);
        self.basis.add(record.closer_basis);
        self.holder.add(holder(record));
        self.protocol.add(protocol(record));
        if let Some(race) = record.race {
            self.race.add(race);
        }
        if !record.history.has(b'a') {
            self.without_acks.add(record.close);
        }
        if is_unrepeated(record) {
            self.unrepeated.add(record.close);
        }
        if record.quality != Quality(0) {
            record.quality.words().for_each(|word| *self.quality.entry(word).or_default() += 1);
            let is_one_sided = record.quality.0 & Quality::ONE_SIDED != 0;
            self.one_sided_in_tunnels += u64::from(is_one_sided && record.tunnel.key() != Tunnel(0));
        }
    }

    /// Both together.
    pub fn merge(&mut self, other: &Self) {
        self.connections += other.connections;
        self.close.merge(&other.close);
        self.closer.merge(&other.closer);
        self.basis.merge(&other.basis);
        self.holder.merge(&other.holder);
        self.protocol.merge(&other.protocol);
        self.race.merge(&other.race);
        self.without_acks.merge(&other.without_acks);
        self.unrepeated.merge(&other.unrepeated);
        for (word, count) in &other.quality {
            *self.quality.entry(word).or_default() += count;
        }
        self.one_sided_in_tunnels += other.one_sided_in_tunnels;
    }

    /// Into the Summary; `time_wait_basis` is the hosts' to tell.
    pub fn finish(self, summary: &mut Summary) {
        summary.totals = Totals {
            connections: self.connections,
            close: self.close.counts(),
            active_closer: self.closer.counts(),
            closer_basis: self.basis.counts(),
            time_wait_holder: self.holder.counts(),
            time_wait_basis: summary.totals.time_wait_basis.clone(),
            protocol: self.protocol.counts(),
            race: self.race.counts(),
            without_acks: self.without_acks.counts(),
            unrepeated: self.unrepeated.counts(),
        };
        summary.capture.connection_quality = self.quality;
        summary.capture.one_sided_in_tunnels = self.one_sided_in_tunnels;
    }
}
