//! What the blocks of a file have told so far, bounded whatever they say, and with what other files of its set say.

use super::options::{COMMENT, Options, text};
use crate::capture::facts::{CommentFacts, InterfaceFacts, NameFacts, PcapngFacts, Secret};
use crate::capture::order::Order;
use crate::capture::room::{Held, Kind, Room};
use crate::capture::unlisted::Beyond;
use std::sync::Arc;

/// Most interfaces, comments and names listed of one file; the rest is counted.
const MOST_INTERFACES: usize = 1000;
const MOST_COMMENTS: usize = 100;
const MOST_NAMES: usize = 1000;
/// Most blocks of secrets kept of a file, and most bytes of them in all.
const MOST_SECRETS: usize = 1000;
pub const MOST_SECRET_BYTES: usize = 1 << 20;
/// Most kinds of unknown blocks told apart.
const MOST_KINDS: usize = 32;

/// The facts of a file and of its interfaces.
#[derive(Debug, Default)]
pub struct Told {
    /// Of the file.
    pub facts: PcapngFacts,
    /// Of its interfaces, the first of them …
    pub interfaces: Vec<InterfaceFacts>,
    /// … and of the others.
    pub beyond: Beyond,
    /// Decryption secrets, the first of them.
    pub secrets: Vec<Secret>,
    /// Whether names of addresses are kept.
    pub keep_names: bool,
    /// What it takes of the room for all files.
    pub held: Arc<Held>,
    room: Arc<Room>,
}

impl Told {
    /// Nothing so far.
    #[must_use]
    pub fn new(keep_names: bool, room: &Arc<Room>) -> Told {
        Told { keep_names, held: Arc::new(Held::of(room)), room: Arc::clone(room), ..Told::default() }
    }

    /// Counts a block that is no packet.
    pub fn block(&mut self, kind: &str) {
        let blocks = &mut self.facts.blocks;
        if let Some(count) = blocks.get_mut(kind) {
            *count += 1;
        } else if blocks.len() < MOST_KINDS && (!kind.starts_with("unknown") || self.held.take(Kind::Blocks, 1, 0)) {
            blocks.insert(kind.to_owned(), 1);
        } else {
            *blocks.entry("unknown".to_owned()).or_default() += 1;
        }
    }

    /// Keeps the secrets of a block if there is room.
    pub fn secret(&mut self, kind: &'static str, bytes: &[u8]) {
        let kept = self.secrets.iter().map(|secret| secret.bytes.len()).sum::<usize>();
        let has_room = self.secrets.len() < MOST_SECRETS && kept + bytes.len() <= MOST_SECRET_BYTES;
        if has_room && self.held.take(Kind::Secrets, 1, bytes.len()) {
            self.secrets.push(Secret { kind, bytes: bytes.into() });
        }
    }

    /// Counts an interface, and keeps its facts if there is room, as there is for a file's first in any case.
    pub fn interface(&mut self, mut facts: InterfaceFacts) {
        let place = self.facts.interfaces as usize;
        self.facts.interfaces += 1;
        // None behind one that is not listed: the place in the list is the interface's number.
        let (is_first, is_next) = (place == 0, place == self.interfaces.len() && place < MOST_INTERFACES);
        let has_room = is_next && self.held.take(Kind::Interfaces, u64::from(!is_first), facts.text_bytes());
        if is_first && !has_room {
            let name = facts.name.take();
            facts.forget_texts();
            facts.name = name;
        }
        if is_first || has_room {
            self.interfaces.push(facts);
        } else {
            self.beyond.add(place, facts, || Held::of(&self.room));
        }
    }

    /// The facts of the interface of that place in the file.
    pub fn interface_at(&mut self, place: usize) -> Option<&mut InterfaceFacts> {
        self.interfaces.get_mut(place).or_else(|| self.beyond.get_mut(place))
    }

    /// The text of a section header, if there is room for it.
    pub fn section_text(&self, value: &[u8]) -> Option<String> {
        Some(text(value)).filter(|text| self.held.take(Kind::Sections, 1, text.len()))
    }

    /// Notes the comments among the options of a block of which nothing else is wanted.
    pub fn comments(&mut self, order: Order, list: &[u8], block: &'static str) {
        let mut options = Options::new(order, list);
        for (_, value) in options.by_ref().filter(|(code, _)| *code == COMMENT) {
            self.comment(block, None, value);
        }
        self.facts.broken_lists += u64::from(options.broken());
    }

    /// Counts a comment, and keeps it if there is room.
    pub fn comment(&mut self, block: &'static str, frame: Option<u64>, value: &[u8]) {
        let kept = self.facts.comment_texts.len();
        let is_next = kept as u64 == self.facts.comments && kept < MOST_COMMENTS;
        self.facts.comments += 1;
        if let Some(text) = is_next.then(|| text(value)).filter(|text| self.held.take(Kind::Comments, 1, text.len())) {
            self.facts.comment_texts.push(CommentFacts { block, frame, text });
        }
    }

    /// Counts a name, and keeps it if that was asked for and there is room.
    pub fn name(&mut self, address: &str, name: &[u8]) {
        let kept = self.facts.name_records.len();
        let is_next = self.keep_names && kept as u64 == self.facts.names && kept < MOST_NAMES;
        self.facts.names += 1;
        let name = is_next.then(|| text(name));
        if let Some(name) = name.filter(|name| self.held.take(Kind::Names, 1, address.len() + name.len())) {
            self.facts.name_records.push(NameFacts { address: address.to_owned(), name });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_bounded_and_counts_are_not() {
        let mut told = Told::new(true, &Arc::default());
        for n in 0..5000 {
            told.block(&format!("unknown_{n}"));
            told.interface(InterfaceFacts::default());
            told.comment("custom", None, b"text");
            told.name("10.0.0.1", b"name");
        }
        let facts = &told.facts;
        assert_eq!((facts.interfaces, facts.comments, facts.names), (5000, 5000, 5000));
        assert_eq!(facts.blocks.values().sum::<u64>(), 5000);
        assert_eq!((told.interfaces.len(), facts.comment_texts.len(), facts.name_records.len()), (1000, 100, 1000));
        assert_eq!(facts.blocks.len(), MOST_KINDS + 1);
    }

    #[test]
    fn secrets_are_kept_within_their_room() {
        let mut told = Told::default();
        (0..3000).for_each(|_| told.secret("tls_key_log", &vec![7; 400_000]));
        assert_eq!(told.secrets.len(), 2);
        (0..3000).for_each(|_| told.secret("tls_key_log", b"key"));
        assert_eq!(told.secrets.len(), MOST_SECRETS);
        assert!(!format!("{:?}", told.secrets).contains('7'), "never printed");
    }

    #[test]
    fn what_all_files_keep_is_bounded_and_a_file_has_its_first_interface() {
        let room = Arc::default();
        let text = || Some("x".repeat(200));
        let facts = || InterfaceFacts { name: text(), os: text(), ..InterfaceFacts::default() };
        let files: Vec<Told> = (0..300)
            .map(|_| {
                let mut told = Told::new(true, &room);
                for n in 0..1000_u64 {
                    told.interface(InterfaceFacts { link_type: n as u32, ..facts() });
                    told.comment("custom", None, &[b'c'; 200]);
                    told.name("10.0.0.1", &[b'n'; 200]);
                }
                told.secret("tls_key_log", &vec![7; 1 << 20]);
                (0..20).for_each(|n| told.block(&format!("unknown_{n}")));
                told
            })
            .collect();
        let total = |of: fn(&Told) -> usize| files.iter().map(of).sum::<usize>();
        assert_eq!(total(|told| told.interfaces.len()), 10_300);
        assert!(total(|told| told.interfaces.iter().map(InterfaceFacts::text_bytes).sum()) <= (4 << 20) + 300 * 200);
        assert!(files.iter().all(|told| !told.interfaces.is_empty() && told.interfaces[0].name == text()));
        assert_eq!(total(|told| told.facts.comment_texts.len()), 10_000);
        assert_eq!(total(|told| told.facts.name_records.len()), 10_000);
        assert_eq!(total(|told| told.secrets.len()), 16);
        assert!(total(|told| told.facts.blocks.len()) <= 1024 + 300);
        assert!(files.iter().all(|told| told.facts.interfaces == 1000 && told.facts.names == 1000));
        drop(files);
        let mut told = Told::new(true, &room);
        (0..1000).for_each(|_| told.interface(facts()));
        assert_eq!(told.interfaces.len(), 1000, "what the others had came back");
    }

    #[test]
    fn names_are_counted_and_not_kept_unless_asked_for() {
        let mut told = Told::default();
        told.name("10.0.0.1", b"name");
        assert_eq!((told.facts.names, told.facts.name_records.len()), (1, 0));
    }
}
