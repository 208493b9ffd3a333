//! Where the shards of an engine put something together, each waiting until all have come.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A place to meet, again and again.
pub struct Meeting<T> {
    shards: usize,
    talk: Mutex<Talk<T>>,
    changed: Condvar,
}

struct Talk<T> {
    /// Of those who are there.
    said: Vec<T>,
    present: usize,
    /// What the last meeting came to, and how many there were. It stays until all have come to the next.
    outcome: Arc<[T]>,
    held: u64,
    is_closed: bool,
}

impl<T: Ord> Meeting<T> {
    /// Of so many shards.
    pub fn new(shards: usize) -> Self {
        let talk = Talk { said: Vec::new(), present: 0, outcome: Arc::new([]), held: 0, is_closed: false };
        Meeting { shards, talk: Mutex::new(talk), changed: Condvar::new() }
    }

    fn talk(&self) -> MutexGuard<'_, Talk<T>> {
        self.talk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all say together, in order; none where nothing more is wanted.
    pub fn hold(&self, own: impl IntoIterator<Item = T>) -> Option<Arc<[T]>> {
        let mut talk = self.talk();
        talk.said.extend(own);
        talk.present += 1;
        if talk.present == self.shards {
            let mut said = std::mem::take(&mut talk.said);
            said.sort_unstable();
            (talk.present, talk.outcome) = (0, said.into());
            talk.held += 1;
            self.changed.notify_all();
            return Some(Arc::clone(&talk.outcome));
        }
        let held = talk.held;
        while talk.held == held && !talk.is_closed {
            talk = self.changed.wait(talk).unwrap_or_else(PoisonError::into_inner);
        }
        (talk.held > held).then(|| Arc::clone(&talk.outcome))
    }

    /// Nobody need wait any more.
    pub fn close(&self) {
        self.talk().is_closed = true;
        self.changed.notify_all();
    }
}
