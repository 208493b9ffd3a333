//! Interfaces that are not listed: their link types and their counts of drops are told all the same, in sums.

use super::facts::{FileFacts, InterfaceFacts, UnlistedFacts};
use super::room::{Held, Kind};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Most link types told apart, and most counts of drops that run on from file to file.
const MOST_LINK_TYPES: usize = 1000;
const MOST_RUNNING: usize = 65_536;
/// How the program begins whose first interface stands for the whole capture.
const OURS: &str = "pcapwatch ";

/// What a count of drops runs on under: the interface's name, and when the count began.
type Run = (u64, i64);

/// Such interfaces of a file that is being read.
#[derive(Debug, Default)]
pub struct Beyond {
    /// Of all of them.
    seen: UnlistedFacts,
    /// Those whose counts are followed, without their texts, by their place in the file; and what tells their names apart.
    followed: BTreeMap<usize, (u64, InterfaceFacts)>,
    /// There are others.
    is_part: bool,
    held: Option<Held>,
}

impl Beyond {
    /// The interface of that place is not listed.
    pub fn add(&mut self, place: usize, mut facts: InterfaceFacts, room: impl FnOnce() -> Held) {
        let name = key(facts.name.as_deref());
        facts.forget_texts();
        note_kind(&mut self.seen, facts.link_type, facts.read_as, facts.snaplen);
        if self.held.get_or_insert_with(room).take(Kind::Unlisted, 1, 0) {
            self.followed.insert(place, (name, facts));
        } else {
            self.is_part = true;
        }
    }

    /// The interface of that place, if it is followed.
    pub fn get_mut(&mut self, place: usize) -> Option<&mut InterfaceFacts> {
        self.followed.get_mut(&place).map(|(_, facts)| facts)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.followed.is_empty() && !self.is_part
    }
}

/// Those of all files.
#[derive(Clone, Debug, Default)]
pub struct Unlisted {
    facts: UnlistedFacts,
    /// The latest counts that run on from file to file.
    running: BTreeMap<Run, u64>,
}

impl Unlisted {
    /// Adds those of a file that has these facts.
    pub fn add(&mut self, beyond: &Beyond, file: &FileFacts) {
        for &(link_type, read_as) in &beyond.seen.link_types {
            note_kind(&mut self.facts, link_type, read_as, beyond.seen.snaplen);
        }
        let mut lacks = beyond.is_part;
        for (name, facts) in beyond.followed.values() {
            let facts = facts.clone().with_start_near(file.first_ns);
            self.facts.dropped_by_interface |= facts.dropped_by_interface.is_some_and(|number| number > 0);
            self.facts.dropped_by_system |= facts.dropped_by_system.is_some_and(|number| number > 0);
            lacks |= facts.dropped.is_none();
            self.count(facts.drops(), facts.counted_since_ns.map(|since_ns| (*name, since_ns)));
        }
        let application = file.pcapng.as_ref().and_then(|pcapng| pcapng.application.as_deref());
        let is_ours = application.is_some_and(|application| application.starts_with(OURS));
        let is_known = is_ours || file.interfaces.iter().any(|one| one.dropped.is_none());
        self.facts.uncounted_files += u64::from(lacks && !is_known);
    }

    fn count(&mut self, drops: u64, run: Option<Run>) {
        let has_room = self.running.len() < MOST_RUNNING;
        match run.filter(|run| has_room || self.running.contains_key(run)) {
            Some(run) => {
                let known = self.running.entry(run).or_default();
                *known = drops.max(*known);
            }
            None => self.facts.dropped = self.facts.dropped.saturating_add(drops),
        }
    }

    /// Whether the count of an interface whose file is not listed any more runs on here, where it is noted then.
    pub fn runs_on(&mut self, gone: &InterfaceFacts) -> bool {
        let known = run_of(gone).and_then(|run| self.running.get_mut(&run));
        known.map(|known| *known = gone.drops().max(*known)).is_some()
    }

    /// The sums: of drops what is beyond those that the listed interfaces tell.
    #[must_use]
    pub fn told(mut self, listed: &[FileFacts]) -> UnlistedFacts {
        if self.running.is_empty() {
            return self.facts;
        }
        let mut told = BTreeMap::<Run, u64>::new();
        for interface in listed.iter().flat_map(|file| &file.interfaces) {
            if let Some(run) = run_of(interface).filter(|run| self.running.contains_key(run)) {
                let most = told.entry(run).or_default();
                *most = interface.drops().max(*most);
            }
        }
        for (run, drops) in self.running {
            let more = drops.saturating_sub(told.get(&run).copied().unwrap_or(0));
            self.facts.dropped = self.facts.dropped.saturating_add(more);
        }
        self.facts
    }
}

fn run_of(interface: &InterfaceFacts) -> Option<Run> {
    interface.counted_since_ns.map(|since_ns| (key(interface.name.as_deref()), since_ns))
}

/// What tells a name apart, in eight bytes.
fn key(name: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

fn note_kind(facts: &mut UnlistedFacts, link_type: u32, read_as: Option<u32>, snaplen: u32) {
    if facts.link_types.len() < MOST_LINK_TYPES {
        facts.link_types.insert((link_type, read_as));
    }
    facts.snaplen = [facts.snaplen, snaplen].into_iter().filter(|&length| length > 0).min().unwrap_or(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, since_ns: Option<i64>, dropped: Option<u64>, lost_between: u64) -> InterfaceFacts {
        let (name, counted_since_ns) = (Some(name.to_owned()), since_ns);
        InterfaceFacts { name, counted_since_ns, dropped, lost_between, link_type: 1, ..InterfaceFacts::default() }
    }

    fn file(interfaces: Vec<InterfaceFacts>) -> FileFacts {
        FileFacts { interfaces, first_ns: Some(0), ..FileFacts::default() }
    }

    #[test]
    fn a_count_that_runs_on_counts_once_wherever_it_is_told() {
        let mut all = Unlisted::default();
        let listed = [file(vec![interface("a", Some(5), Some(10), 0)])];
        for (number, dropped) in [(0, 12), (1, 15), (2, 13)] {
            let mut beyond = Beyond::default();
            beyond.add(number, interface("a", Some(5), Some(dropped), 0), Held::default);
            beyond.add(7, interface("b", Some(5), Some(1), 0), Held::default);
            beyond.add(9, interface("c", None, None, 2), Held::default);
            all.add(&beyond, &listed[0]);
        }
        let told = all.clone().told(&listed);
        assert_eq!((told.dropped, told.uncounted_files), (5 + 1 + 3 * 2, 3), "15 of a, of which 10 are told");
        assert_eq!(told.link_types, [(1, None)].into());
        assert!(all.runs_on(&interface("b", Some(5), Some(4), 0)) && !all.runs_on(&interface("b", Some(6), None, 0)));
        assert_eq!(all.told(&[]).dropped, 15 + 4 + 3 * 2);
    }

    #[test]
    fn those_that_cannot_be_followed_are_said_to_have_no_count() {
        let (mut all, mut beyond) = (Unlisted::default(), Beyond::default());
        for place in 0..20_000 {
            let mut facts = interface("a", None, Some(1), 0);
            facts.snaplen = 96 + place as u32 % 3;
            beyond.add(place, facts, Held::default);
        }
        assert!(beyond.get_mut(5).is_some() && beyond.get_mut(19_000).is_none());
        all.add(&beyond, &file(vec![interface("first", None, Some(0), 0)]));
        let told = all.told(&[]);
        assert_eq!((told.dropped, told.uncounted_files, told.snaplen), (16_384, 1, 96));
    }
}
