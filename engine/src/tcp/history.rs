//! Zeek's `history` string: the life of a connection in letters, upper case for the originator (client).
//!
//! `S` SYN, `H` SYN-ACK, `A` pure ACK, `D` payload, `F` FIN, `R` RST, `I` SYN|RST and other contradictions: each the first
//! time per direction. `G` gap, `T` retransmitted payload, `W` zero window: at the 1st, 10th, 100th … time, as Zeek does.
//! `^` in front: the roles were turned round.

use crate::record::Role;

const LETTERS: &[u8; 9] = b"shadfrgtw";
const ONCE: usize = 6;
const CAPACITY: usize = 30;

/// Letters in order, in place.
#[derive(Clone, Copy, Debug, Default)]
pub struct History {
    text: [u8; CAPACITY],
    len: u8,
    /// Per direction, one bit for each letter of the first six already written.
    seen: [u8; 2],
    /// Per direction, how often each counted letter happened.
    counts: [[u32; 3]; 2],
    flipped: bool,
}

impl History {
    /// Notes an event, by its lower-case letter, of the side `role`.
    pub fn note(&mut self, role: Role, letter: u8) {
        let Some(index) = LETTERS.iter().position(|&l| l == letter) else { return };
        let side = role as usize;
        let write = if index < ONCE {
            let first = self.seen[side] & (1 << index) == 0;
            self.seen[side] |= 1 << index;
            first
        } else {
            let count = &mut self.counts[side][index - ONCE];
            *count = count.saturating_add(1);
            is_power_of_ten(*count)
        };
        if write {
            self.push(if role == Role::Client { letter.to_ascii_uppercase() } else { letter });
        }
    }

    fn push(&mut self, letter: u8) {
        if let Some(slot) = self.text.get_mut(self.len as usize) {
            *slot = letter;
            self.len += 1;
        }
    }

    /// The roles turn out to be the other way round.
    pub fn flip(&mut self) {
        self.seen.swap(0, 1);
        self.counts.swap(0, 1);
        self.flipped = !self.flipped;
        for letter in &mut self.text[..self.len as usize] {
            *letter ^= 0x20;
        }
    }

    /// The string, with `^` in front if the roles were turned.
    #[must_use]
    pub fn text(&self) -> Box<str> {
        let letters = std::str::from_utf8(&self.text[..self.len as usize]).unwrap_or_default();
        if self.flipped { format!("^{letters}").into() } else { letters.into() }
    }
}

const fn is_power_of_ten(n: u32) -> bool {
    matches!(n, 1 | 10 | 100 | 1_000 | 10_000 | 100_000 | 1_000_000 | 10_000_000 | 100_000_000 | 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_written_once_per_direction_and_counted_ones_at_powers_of_ten() {
        let mut h = History::default();
        for (role, letter) in [(Role::Client, b's'), (Role::Server, b'h'), (Role::Client, b'a'), (Role::Client, b's')] {
            h.note(role, letter);
        }
        for _ in 0..11 {
            h.note(Role::Server, b't');
        }
        assert_eq!(&*h.text(), "ShAtt");
        h.flip();
        assert_eq!(&*h.text(), "^sHaTT");
    }

    #[test]
    fn a_full_string_takes_no_more() {
        let mut h = History::default();
        for role in [Role::Client, Role::Server] {
            for &letter in LETTERS {
                (0..1_000_000).for_each(|_| h.note(role, letter));
            }
        }
        assert_eq!(h.text().len(), CAPACITY);
    }
}
