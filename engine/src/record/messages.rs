//! How many messages of each kind a connection carried.

use super::{ConnectionOption, Role};

/// Minor versions times effective options.
const KINDS: usize = 8;

/// (messages, those that let the connection persist).
type Count = (u32, u32);

/// Messages of one connection by sender, minor version and effective option. Nearly always a side's are all alike, so
/// those like its first are counted in place and only others have a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, bitcode::Encode, bitcode::Decode)]
pub struct MessageTally {
    first: [(u8, Count); 2],
    others: Option<Box<[[Count; KINDS]; 2]>>,
}

impl MessageTally {
    /// Counts one message.
    pub fn add(&mut self, sender: Role, version: u8, option: ConnectionOption, persistent: bool) {
        let kind = version.min(1) << 2 | option as u8;
        let [client, server] = &mut self.first;
        let first = if sender == Role::Client { client } else { server };
        if first.1.0 == 0 {
            first.0 = kind;
        }
        let count = if first.0 == kind {
            &mut first.1
        } else {
            let table = self.others.get_or_insert_default();
            &mut table[sender as usize][usize::from(kind) % KINDS]
        };
        *count = (count.0.saturating_add(1), count.1.saturating_add(u32::from(persistent)));
    }

    /// The same as [`MessageTally::iter`] in any order.
    pub fn each(&self, mut show: impl FnMut(Role, u8, ConnectionOption, u32, u32)) {
        if self.others.is_some() {
            self.iter().for_each(|(role, version, option, all, lasting)| show(role, version, option, all, lasting));
            return;
        }
        for (role, (kind, (all, lasting))) in [Role::Client, Role::Server].into_iter().zip(self.first) {
            if all > 0 {
                show(role, kind >> 2, ConnectionOption::ALL[usize::from(kind & 3)], all, lasting);
            }
        }
    }

    /// Sender, minor version, option, how many messages, and how many of those let the connection persist; only
    /// combinations that occurred, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Role, u8, ConnectionOption, u32, u32)> {
        let of = |role: Role, kind: usize| {
            let (alike, count) = self.first[role as usize];
            let count = match &self.others {
                _ if usize::from(alike) == kind => count,
                Some(table) => table[role as usize][kind],
                None => (0, 0),
            };
            (role, (kind >> 2) as u8, ConnectionOption::ALL[kind & 3], count.0, count.1)
        };
        let both = [Role::Client, Role::Server].into_iter();
        both.flat_map(move |role| (0..KINDS).map(move |kind| of(role, kind))).filter(|&(_, _, _, all, _)| all > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ConnectionOption::{Close, KeepAlive, None as Absent};
    use Role::{Client, Server};

    #[test]
    fn every_kind_is_counted_whatever_came_first() {
        let messages = [(Client, 1, Absent, true), (Server, 1, Close, false), (Client, 0, KeepAlive, true)];
        let mut turned = messages;
        turned.reverse();
        for order in [messages, turned] {
            let mut tally = MessageTally::default();
            for (sender, version, option, persistent) in order.into_iter().chain(order) {
                tally.add(sender, version, option, persistent);
            }
            let found: Vec<_> = tally.iter().collect();
            let expected = [(Client, 0, KeepAlive, 2, 2), (Client, 1, Absent, 2, 2), (Server, 1, Close, 2, 0)];
            assert_eq!(found, expected);
            let mut each = Vec::new();
            tally.each(|role, version, option, all, lasting| each.push((role, version, option, all, lasting)));
            assert_eq!(each, expected);
        }
        let mut alike = MessageTally::default();
        (0..3).for_each(|_| alike.add(Server, 1, Close, false));
        alike.each(|role, version, option, all, lasting| {
            assert_eq!((role, version, option, all, lasting), (Server, 1, Close, 3, 0));
        });
        {}
    }
}
