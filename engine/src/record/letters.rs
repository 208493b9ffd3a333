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
