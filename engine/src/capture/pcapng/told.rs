//! What the blocks of a file have told so far, bounded whatever they say.

use super::options::{COMMENT, Options, text};
use crate::capture::facts::{CommentFacts, InterfaceFacts, NameFacts, PcapngFacts, Secret};
use crate::capture::order::Order;

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
    /// Of its interfaces, the first of them.
    pub interfaces: Vec<InterfaceFacts>,
    /// Decryption secrets, the first of them.
    pub secrets: Vec<Secret>,
    /// Whether names of addresses are kept.
    pub keep_names: bool,
}

impl Told {
    /// Counts a block that is no packet.
    pub fn block(&mut self, kind: &str) {
        let blocks = &mut self.facts.blocks;
        if let Some(count) = blocks.get_mut(kind) {
            *count += 1;
        } else if blocks.len() < MOST_KINDS {
            blocks.insert(kind.to_owned(), 1);
        } else {
            *blocks.entry("unknown".to_owned()).or_default() += 1;
        }
    }

    /// Keeps the secrets of a block if there is room.
    pub fn secret(&mut self, kind: &'static str, bytes: &[u8]) {
        let kept = self.secrets.iter().map(|secret| secret.bytes.len()).sum::<usize>();
        if self.secrets.len() < MOST_SECRETS && kept + bytes.len() <= MOST_SECRET_BYTES {
            self.secrets.push(Secret { kind, bytes: bytes.to_vec() });
        }
    }

    /// Counts an interface, and keeps its facts if there is room.
    pub fn interface(&mut self, facts: InterfaceFacts) {
        self.facts.interfaces += 1;
        if self.interfaces.len() < MOST_INTERFACES {
            self.interfaces.push(facts);
        }
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
        self.facts.comments += 1;
        if self.facts.comment_texts.len() < MOST_COMMENTS {
            self.facts.comment_texts.push(CommentFacts { block, frame, text: text(value) });
        }
    }

    /// Counts a name, and keeps it if that was asked for and there is room.
    pub fn name(&mut self, address: &str, name: &[u8]) {
        self.facts.names += 1;
        if self.keep_names && self.facts.name_records.len() < MOST_NAMES {
            self.facts.name_records.push(NameFacts { address: address.to_owned(), name: text(name) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_bounded_and_counts_are_not() {
        let mut told = Told { keep_names: true, ..Told::default() };
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
    fn names_are_counted_and_not_kept_unless_asked_for() {
        let mut told = Told::default();
        told.name("10.0.0.1", b"name");
        assert_eq!((told.facts.names, told.facts.name_records.len()), (1, 0));
    }
}
