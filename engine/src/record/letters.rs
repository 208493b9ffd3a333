//! Zeek's letters in place: a string of bounded length that costs no allocation.

use super::Role;
use std::fmt;

const CAPACITY: usize = 30;

/// Zeek's `history` letters, upper case for the originator (client).
#[derive(Clone, Copy, Default, PartialEq, Eq, bitcode::Encode, bitcode::Decode)]
pub struct Letters {
    text: [u8; CAPACITY],
    len: u8,
    turned: bool,
}

impl Letters {
    /// Of a connection whose first packet this side sent.
    #[must_use]
    pub fn begun_by(role: Role) -> Self {
        Letters { turned: role == Role::Server, ..Letters::default() }
    }

    /// Adds a lower-case letter for a side; once it is full, no more.
    pub fn push(&mut self, role: Role, letter: u8) {
        if let Some(slot) = self.text.get_mut(usize::from(self.len)) {
            *slot = if role == Role::Client { letter.to_ascii_uppercase() } else { letter };
            self.len += 1;
        }
    }

    /// Whether a letter was written for either side.
    #[must_use]
    pub fn has(&self, letter: u8) -> bool {
        self.text.iter().take(usize::from(self.len)).any(|one| one.eq_ignore_ascii_case(&letter))
    }

    /// All of it in eight words: the text's first 28 letters, then the rest with length and turn.
    #[must_use]
    pub fn words(&self) -> [u32; 8] {
        let mut bytes = [0; CAPACITY + 2];
        let (text, rest) = bytes.split_at_mut(CAPACITY);
        text.copy_from_slice(&self.text);
        rest.copy_from_slice(&[self.len, u8::from(self.turned)]);
        let (words, _) = bytes.as_chunks::<4>();
        std::array::from_fn(|at| u32::from_le_bytes(words[at]))
    }

    /// From [`Letters::words`].
    #[must_use]
    pub fn of_words(words: [u32; 8]) -> Self {
        let mut bytes = [0; CAPACITY + 2];
        let (places, _) = bytes.as_chunks_mut::<4>();
        for (place, word) in places.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        let mut text = [0; CAPACITY];
        text.copy_from_slice(&bytes[..CAPACITY]);
        Letters { text, len: bytes[CAPACITY].min(CAPACITY as u8), turned: bytes[CAPACITY + 1] != 0 }
    }

    /// The roles turn out to be the other way round.
    pub fn flip(&mut self) {
        self.turned = !self.turned;
        self.text.iter_mut().take(usize::from(self.len)).for_each(|letter| *letter ^= 0x20);
    }
}

/// With `^` in front if the responder spoke first.
impl fmt::Display for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = self.text.get(..usize::from(self.len)).unwrap_or_default();
        f.write_str(if self.turned { "^" } else { "" })?;
        f.write_str(std::str::from_utf8(letters).unwrap_or_default())
    }
}

impl fmt::Debug for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight words hold it all, up to a full string and who spoke first.
    #[test]
    fn words_give_the_same_letters_again() {
        let mut letters = Letters::begun_by(Role::Server);
        for count in 0..40_u8 {
            assert_eq!(Letters::of_words(letters.words()), letters);
            letters.push(if count % 3 == 0 { Role::Client } else { Role::Server }, b'a' + count % 26);
        }
        letters.flip();
        assert_eq!(Letters::of_words(letters.words()).to_string(), letters.to_string());
    }
}
