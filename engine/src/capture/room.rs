//! What the files of a set keep together of what they tell of themselves: bounded, however many they are.
//!
//! Each file takes from it while it is read, so that those that are read first have most. What a file took comes back once
//! nobody has its facts any more.

use super::facts::InterfaceFacts;
use super::unlisted::Unlisted;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is kept of files.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Interfaces that are listed, beyond the first of each file, and the texts of all.
    Interfaces,
    /// Comments.
    Comments,
    /// Names of addresses.
    Names,
    /// Hardware and operating systems of sections.
    Sections,
    /// Kinds of unknown blocks that are told apart.
    Blocks,
    /// Secrets.
    Secrets,
    /// Interfaces that are not listed, of files that are being read.
    Unlisted,
}

const KINDS: usize = 7;

/// Items and bytes of each kind.
type Amounts = [(u64, u64); KINDS];

/// The most of each kind. What one file may have of texts fits, so that a file alone is told as far as its own bounds go.
const MOST: Amounts = [
    (10_000, 4 << 20),
    (10_000, 2 << 20),
    (10_000, 2 << 20),
    (u64::MAX, 2 << 20),
    (1024, 0),
    (10_000, 16 << 20),
    (16_384, 0),
];

/// What is left for the files of a set, and what is known of interfaces that found no place.
#[derive(Debug)]
pub struct Room {
    left: Mutex<Amounts>,
    unlisted: Mutex<Unlisted>,
}

impl Default for Room {
    fn default() -> Self {
        Room { left: Mutex::new(MOST), unlisted: Mutex::default() }
    }
}

impl Room {
    /// None, for files of which the packets alone are wanted.
    #[must_use]
    pub fn closed() -> Arc<Room> {
        Arc::new(Room { left: Mutex::default(), unlisted: Mutex::default() })
    }

    /// What is known of the unlisted interfaces of files that were read to their end.
    pub fn unlisted(&self) -> MutexGuard<'_, Unlisted> {
        locked(&self.unlisted)
    }

    /// Whether a count of drops runs on in an unlisted interface, where it is noted then.
    pub fn runs_on(&self, gone: &InterfaceFacts) -> bool {
        self.unlisted().runs_on(gone)
    }
}

/// What a file took.
#[derive(Debug, Default)]
pub struct Held {
    room: Arc<Room>,
    taken: Mutex<Amounts>,
}

impl Held {
    /// Nothing yet.
    #[must_use]
    pub fn of(room: &Arc<Room>) -> Held {
        Held { room: Arc::clone(room), taken: Mutex::default() }
    }

    /// Takes so many items of a kind, and so many bytes, if there is room for all of it.
    #[must_use]
    pub fn take(&self, kind: Kind, items: u64, bytes: usize) -> bool {
        let (mut left, bytes) = (locked(&self.room.left), bytes as u64);
        let Some((items_left, bytes_left)) = left.get_mut(kind as usize) else { return false };
        if *items_left < items || *bytes_left < bytes {
            return false;
        }
        *items_left -= items;
        *bytes_left -= bytes;
        if let Some(taken) = locked(&self.taken).get_mut(kind as usize) {
            *taken = (taken.0 + items, taken.1 + bytes);
        }
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (mut left, taken) = (locked(&self.room.left), locked(&self.taken));
        for (left, taken) in left.iter_mut().zip(taken.iter()) {
            *left = (left.0 + taken.0, left.1 + taken.1);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_missing_until_it_is_let_go() {
        let room = Arc::default();
        let (one, other) = (Held::of(&room), Held::of(&room));
        assert!(one.take(Kind::Comments, 9_999, 5) && !other.take(Kind::Comments, 2, 0));
        assert!(other.take(Kind::Comments, 1, 7) && !other.take(Kind::Comments, 1, 0));
        assert!(!other.take(Kind::Comments, 0, (2 << 20) - 11) && other.take(Kind::Comments, 0, (2 << 20) - 12));
        drop(one);
        assert!(other.take(Kind::Comments, 9_999, 5) && !other.take(Kind::Comments, 1, 0));
        assert!(other.take(Kind::Names, 10_000, 0), "each kind has its own");
        assert!(!Held::of(&Room::closed()).take(Kind::Names, 1, 0));
    }
}
