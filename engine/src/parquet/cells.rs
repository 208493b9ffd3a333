//! The cells of one column of a row group, gathered row by row in the form in which they will be written.

use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Most rows of a row group: codes have 16 bits, and each row may have a text of its own.
pub const MOST_ROWS: usize = 1 << 16;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Whole numbers.
    Int,
    /// Ns since 1970 UTC.
    Instant,
    /// Seconds.
    Seconds,
    /// Yes or no.
    Bool,
    /// Lists of UTF-8; never null.
    Words,
}

/// Which rows have a cell, as runs.
#[derive(Debug, Default)]
pub struct Presence {
    runs: Vec<(bool, u32)>,
}

impl Presence {
    #[inline]
    fn push(&mut self, is_there: bool) {
        match self.runs.last_mut() {
            Some((last, count)) if *last == is_there => *count += 1,
            _ => self.runs.push((is_there, 1)),
        }
    }

    /// As definition levels, 0 or 1.
    pub fn levels(&self, out: &mut Vec<u16>) {
        out.clear();
        self.runs
            .iter()
            .for_each(|&(is_there, count)| out.extend(std::iter::repeat_n(u16::from(is_there), count as usize)));
    }
}

/// Different texts, each written once.
#[derive(Debug, Default)]
pub struct Dictionary {
    codes: HashMap<Box<[u8]>, u16, RandomState>,
    /// The one asked for last: most rows have their neighbour's.
    last: Vec<u8>,
    last_code: Option<u16>,
    /// Each with its length in front, as a dictionary page has them.
    pub(super) bytes: Vec<u8>,
}

impl Dictionary {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// The code of what `key` stands for; `write` says its text where it is new.
    #[inline]
    fn code(&mut self, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) -> u16 {
        match self.last_code {
            Some(code) if self.last == key => code,
            _ => self.code_of_another(key, write),
        }
    }

    fn code_of_another(&mut self, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) -> u16 {
        let code = self.codes.get(key).copied().unwrap_or_else(|| {
            let code = self.codes.len() as u16;
            let from = self.bytes.len();
            self.bytes.extend_from_slice(&[0; 4]);
            write(&mut self.bytes);
            let len = (self.bytes.len() - from - 4) as u32;
            self.bytes[from..from + 4].copy_from_slice(&len.to_le_bytes());
            self.codes.insert(key.into(), code);
            code
        });
        self.last.clear();
        self.last.extend_from_slice(key);
        self.last_code = Some(code);
        code
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// All of them, in the order of their codes.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let mut rest = &self.bytes[..];
        let mut texts = Vec::with_capacity(self.len());
        while let Some((len, after)) = rest.split_first_chunk() {
            let (text, next) = after.split_at(after.len().min(u32::from_le_bytes(*len) as usize));
            texts.push(String::from_utf8_lossy(text).into_owned());
            rest = next;
        }
        texts
    }

    /// Puts others in their places, as many; cells that differed may be alike then.
    pub fn put_for(&mut self, texts: &[String]) {
        debug_assert_eq!(texts.len(), self.len(), "each has one in its place");
        self.bytes.clear();
        for text in texts {
            self.bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
            self.bytes.extend_from_slice(text.as_bytes());
        }
    }

    fn clear(&mut self) {
        self.codes.clear();
        self.bytes.clear();
        self.last_code = None;
    }
}

/// Text by code.
#[derive(Debug, Default)]
pub struct Texts {
    pub(super) presence: Presence,
    /// The different ones.
    pub dictionary: Dictionary,
    pub(super) codes: Vec<u16>,
    /// The word pushed last.
    word: Option<&'static str>,
    scratch: String,
}

impl Texts {
    /// One more cell.
    #[inline]
    pub fn push(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.push_keyed(text.as_bytes(), |out| out.extend_from_slice(text.as_bytes())),
            None => self.presence.push(false),
        }
    }

    /// One more cell, of a word that is most often the very one of the row before.
    #[inline]
    pub fn push_word(&mut self, word: Option<&'static str>) {
        match (word, self.word, self.dictionary.last_code) {
            (Some(word), Some(last), Some(code)) if std::ptr::eq(word, last) => {
                self.presence.push(true);
                self.codes.push(code);
            }
            _ => self.push(word),
        }
        self.word = word;
    }

    /// A cell whose text, UTF-8, is known by something shorter to make; keys of a column are all of one sort.
    #[inline]
    pub fn push_keyed(&mut self, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        self.presence.push(true);
        self.codes.push(self.dictionary.code(key, write));
    }

    /// A cell that `write` puts together.
    ///
    /// # Errors
    /// What `write` gives; there is no cell then.
    pub fn push_written<E>(&mut self, write: impl FnOnce(&mut String) -> Result<(), E>) -> Result<(), E> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let written = write(&mut scratch).map(|()| self.push(Some(&scratch)));
        self.scratch = scratch;
        written
    }
}

/// Values as they are.
#[derive(Debug)]
pub struct Plain<T> {
    pub(super) presence: Presence,
    pub(super) values: Vec<T>,
}

impl<T> Default for Plain<T> {
    fn default() -> Self {
        Plain { presence: Presence::default(), values: Vec::new() }
    }
}

impl<T> Plain<T> {
    /// One more cell.
    #[inline]
    pub fn push(&mut self, value: Option<T>) {
        self.presence.push(value.is_some());
        self.values.extend(value);
    }
}

/// Lists of words.
#[derive(Debug, Default)]
pub struct Lists {
    /// 1 for an empty list, 3 for an item (0 would be no list, 2 no item).
    pub(super) definition: Vec<u16>,
    /// 0 for a row's first.
    pub(super) repetition: Vec<u16>,
    pub(super) dictionary: Dictionary,
    pub(super) codes: Vec<u16>,
}

impl Lists {
    /// One more cell.
    pub fn push(&mut self, words: impl Iterator<Item = &'static str>) {
        let before = self.codes.len();
        for word in words {
            self.repetition.push(u16::from(self.codes.len() > before));
            self.definition.push(3);
            self.codes.push(self.dictionary.code(word.as_bytes(), |out| out.extend_from_slice(word.as_bytes())));
        }
        if self.codes.len() == before {
            self.repetition.push(0);
            self.definition.push(1);
        }
    }
}

/// One column's cells.
#[derive(Debug)]
pub enum Cells {
    /// Of [`Kind::Text`].
    Texts(Texts),
    /// Of [`Kind::Int`] and [`Kind::Instant`].
    Ints(Plain<i64>),
    /// Of [`Kind::Seconds`].
    Doubles(Plain<f64>),
    /// Of [`Kind::Bool`].
    Bools(Plain<bool>),
    /// Of [`Kind::Words`].
    Lists(Lists),
}

impl Cells {
    /// None yet.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text => Cells::Texts(Texts::default()),
            Kind::Int | Kind::Instant => Cells::Ints(Plain::default()),
            Kind::Seconds => Cells::Doubles(Plain::default()),
            Kind::Bool => Cells::Bools(Plain::default()),
            Kind::Words => Cells::Lists(Lists::default()),
        }
    }

    /// Bytes of different texts.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        match self {
            Cells::Texts(Texts { dictionary, .. }) | Cells::Lists(Lists { dictionary, .. }) => dictionary.bytes.len(),
            _ => 0,
        }
    }

    /// None any more; their room is used again.
    pub fn clear(&mut self) {
        fn none<T>(cells: &mut Plain<T>) {
            cells.presence.runs.clear();
            cells.values.clear();
        }
        match self {
            Cells::Texts(cells) => {
                cells.presence.runs.clear();
                cells.codes.clear();
                cells.dictionary.clear();
            }
            Cells::Ints(cells) => none(cells),
            Cells::Doubles(cells) => none(cells),
            Cells::Bools(cells) => none(cells),
            Cells::Lists(cells) => {
                cells.definition.clear();
                cells.repetition.clear();
                cells.codes.clear();
                cells.dictionary.clear();
            }
        }
    }
}
