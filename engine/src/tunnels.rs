//! The names of tunnels.
//!
//! A segment's key carries a number for what is around it. Where the headers say more, the name is read from them and
//! numbered: each different text once, at most [`MOST`] of them. A connection keeps the number of its first packet.

use crate::decode::Layers;
use crate::record::ConnectionRecord;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// Most names; a tunnel beyond is called by its VLAN tags alone.
const MOST: usize = 65_536;
/// Packets of a few tunnels come again and again.
const RECENT: usize = 8;

/// Numbers for names, from 1.
#[derive(Default)]
pub struct TunnelNames {
    numbers: HashMap<String, u32>,
    recent: Vec<(Layers, u32)>,
    next: usize,
    /// Packets in tunnels beyond [`MOST`].
    unnamed_packets: u64,
}

impl TunnelNames {
    /// The number of these layers' name; 0, and counted, where there are too many.
    pub fn number(&mut self, layers: &Layers) -> u32 {
        let number = self.known_or_new(layers);
        self.unnamed_packets += u64::from(number == 0);
        number
    }

    /// Packets that were given no name.
    #[must_use]
    pub const fn unnamed_packets(&self) -> u64 {
        self.unnamed_packets
    }

    fn known_or_new(&mut self, layers: &Layers) -> u32 {
        if let Some((_, number)) = self.recent.iter().find(|(other, _)| other == layers) {
            return *number;
        }
        let text = layers.text();
        let new = self.numbers.len() as u32 + 1;
        let number = match self.numbers.get(&text) {
            Some(&number) => number,
            None if self.numbers.len() >= MOST => 0,
            None => *self.numbers.entry(text).or_insert(new),
        };
        match self.recent.get_mut(self.next) {
            Some(slot) => *slot = (*layers, number),
            None => self.recent.push((*layers, number)),
        }
        self.next = (self.next + 1) % RECENT;
        number
    }

    /// The names by their numbers, and those of the connections.
    #[must_use]
    pub fn into_tunnels(self, of_connections: BTreeMap<u64, u32>) -> Tunnels {
        let mut names = vec![String::new(); self.numbers.len() + 1];
        for (text, number) in self.numbers {
            if let Some(slot) = names.get_mut(number as usize) {
                *slot = text;
            }
        }
        Tunnels { names, of_connections }
    }
}

/// What the connections' tunnels are called.
#[derive(Clone, Debug, Default)]
pub struct Tunnels {
    names: Vec<String>,
    /// By the connection's ordinal.
    of_connections: BTreeMap<u64, u32>,
}

impl Tunnels {
    /// What is around a connection's packets; `None` if nothing is.
    #[must_use]
    pub fn text(&self, record: &ConnectionRecord) -> Option<Cow<'_, str>> {
        let name = self.of_connections.get(&record.ordinal).and_then(|&number| self.names.get(number as usize));
        let name = name.filter(|name| !name.is_empty());
        name.map(|name| Cow::Borrowed(name.as_str())).or_else(|| record.tunnel.vlan_text().map(Cow::Owned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::TUNNEL_DEPTH;
    use crate::ledger::generated;
    use crate::record::Tunnel;
    use proptest::prelude::*;

    fn layers(vni: u32) -> Layers {
        let mut layers = Layers::new(TUNNEL_DEPTH);
        layers.push(crate::decode::Layer::Vxlan(vni)).unwrap();
        layers
    }

    #[test]
    fn a_name_has_one_number_however_many_came_between() {
        let mut names = TunnelNames::default();
        let first: Vec<u32> = (0..100).map(|vni| names.number(&layers(vni))).collect();
        assert_eq!(first, (1..=100).collect::<Vec<u32>>());
        assert_eq!((0..100).map(|vni| names.number(&layers(vni))).collect::<Vec<u32>>(), first);
        assert_eq!(names.recent.len(), RECENT);
    }

    #[test]
    fn names_are_bounded() {
        let mut names = TunnelNames::default();
        let most = MOST as u32;
        (0..most).for_each(|vni| assert_ne!(names.number(&layers(vni)), 0));
        assert_eq!((names.number(&layers(most)), names.number(&layers(most))), (0, 0), "one too many");
        assert_eq!((names.number(&layers(0)), names.numbers.len()), (1, MOST), "and the others stay");
        assert_eq!(names.unnamed_packets(), 2, "each packet without a name is counted, the remembered one too");
    }

    proptest! {
        /// A record's text is that of its own ordinal; without a name it is that of its VLAN tags.
        #[test]
        fn a_text_is_found_by_the_connection(records in generated::records()) {
            let Some(mut record) = records.into_iter().next() else { return Ok(()) };
            let mut names = TunnelNames::default();
            let number = names.number(&layers(5));
            let tunnels = names.into_tunnels(BTreeMap::from([(record.ordinal, number), (record.ordinal + 1, 0)]));
            assert_eq!(tunnels.text(&record).as_deref(), Some("vxlan vni 5"));
            record.ordinal += 2;
            record.tunnel = Tunnel::vlans(7, 12);
            assert_eq!(tunnels.text(&record).as_deref(), Some("vlan 7.12"));
            record.tunnel = Tunnel::default();
            assert_eq!(tunnels.text(&record), None);
        }
    }
}
