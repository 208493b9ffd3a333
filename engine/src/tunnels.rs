//! The names of tunnels, for the connections that are kept.
//!
//! A segment carries a number for what is around it. Where that number is a hash, or says less than the headers do, the
//! name is read from the headers of the connection's first packet, once, and kept here: one entry for each row of the
//! `connections` table at most, and each different text once.

use crate::record::{ConnectionRecord, Tunnel};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Names by connection.
#[derive(Clone, Debug, Default)]
pub struct Tunnels {
    wanted: bool,
    /// By the connection's ordinal.
    names: BTreeMap<u64, Arc<str>>,
    texts: BTreeSet<Arc<str>>,
}

impl Tunnels {
    /// Empty; keeps nothing unless `wanted`.
    #[must_use]
    pub fn new(wanted: bool) -> Self {
        Tunnels { wanted, ..Tunnels::default() }
    }

    /// A connection opened inside `tunnel`; `read` gives the name from the headers, if that is needed.
    #[inline]
    pub fn opened(&mut self, ordinal: u64, tunnel: Tunnel, read: impl FnOnce() -> Option<String>) {
        if self.wanted && tunnel.is_named() {
            self.keep(ordinal, read());
        }
    }

    #[cold]
    fn keep(&mut self, ordinal: u64, name: Option<String>) {
        let Some(name) = name else { return };
        let text = self.texts.get(name.as_str()).cloned().unwrap_or_else(|| Arc::from(name));
        self.texts.insert(Arc::clone(&text));
        self.names.insert(ordinal, text);
    }

    /// Those of another shard, whose connections are others.
    pub fn merge(&mut self, other: Tunnels) {
        self.names.extend(other.names);
        self.texts.extend(other.texts);
    }

    /// What is around a connection's packets; `None` if nothing is.
    #[must_use]
    pub fn text(&self, record: &ConnectionRecord) -> Option<Cow<'_, str>> {
        let name = self.names.get(&record.ordinal).filter(|_| record.tunnel.is_named());
        name.map(|name| Cow::Borrowed(&**name)).or_else(|| record.tunnel.vlan_text().map(Cow::Owned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::generated;
    use proptest::prelude::*;

    const NAMED: Tunnel = Tunnel(Tunnel::NAMED);

    #[test]
    fn a_name_is_read_once_and_only_where_the_number_does_not_say_it() {
        let mut tunnels = Tunnels::new(true);
        tunnels.opened(1, Tunnel::vlans(7, 0), || panic!("a tag is its own name"));
        tunnels.opened(2, NAMED, || Some("gre".into()));
        tunnels.opened(3, NAMED, || Some("gre".into()));
        tunnels.opened(4, NAMED, || None);
        assert_eq!((tunnels.names.len(), tunnels.texts.len()), (2, 1));
        let mut unwanted = Tunnels::new(false);
        unwanted.opened(1, NAMED, || panic!("nobody reads it"));
    }

    proptest! {
        /// A record's text is its own, wherever it was kept.
        #[test]
        fn texts_survive_merging(records in generated::records()) {
            let Some(mut record) = records.into_iter().next() else { return Ok(()) };
            let (mut one, mut other) = (Tunnels::new(true), Tunnels::new(true));
            one.opened(record.ordinal, NAMED, || Some("vxlan vni 5".into()));
            other.opened(record.ordinal + 1, NAMED, || Some("gre".into()));
            other.merge(one);
            record.tunnel = NAMED;
            assert_eq!(other.text(&record).as_deref(), Some("vxlan vni 5"));
            record.tunnel = Tunnel::vlans(7, 12);
            assert_eq!(other.text(&record).as_deref(), Some("vlan 7.12"));
            record.tunnel = Tunnel::default();
            assert_eq!(other.text(&record), None);
        }
    }
}
