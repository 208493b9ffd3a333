//! Many sorted runs as one.

use super::run::Run;
use super::{Row, Sorted};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io;
use std::sync::Arc;
use std::vec::IntoIter;

/// All rows of a table in order. A run is read only when its next row is due, which its list of chunks tells.
pub struct Merge<T: Row> {
    rows: Arc<Sorted<T>>,
    /// The next key of each source that has one: 0 is the rows in memory, 1 the first run …
    due: BinaryHeap<Reverse<(T::Key, usize)>>,
    /// The next of the rows in memory.
    at: usize,
    runs: Vec<Reading<T>>,
    buffer: bitcode::Buffer,
}

/// How far a run has been read.
struct Reading<T> {
    rows: IntoIter<T>,
    next_chunk: usize,
}

impl<T: Row> Merge<T> {
    pub(super) fn new(rows: Arc<Sorted<T>>) -> Self {
        let runs = rows.runs.iter().map(|_| Reading { rows: Vec::new().into_iter(), next_chunk: 0 }).collect();
        let kept = rows.kept.first().map(|row| Reverse((row.key(), 0)));
        let first_key = |(number, run): (usize, &Run<T::Key>)| Some(Reverse((run.first_key(0)?, number + 1)));
        let due = kept.into_iter().chain(rows.runs.iter().enumerate().filter_map(first_key)).collect();
        Merge { rows, due, at: 0, runs, buffer: bitcode::Buffer::new() }
    }

    /// Hands over the next row, moved once (it is near a kilobyte); `false` where there is none. After an error there
    /// are no more.
    ///
    /// # Errors
    /// The temporary file cannot be read.
    #[inline]
    pub fn step(&mut self, take: impl FnOnce(T)) -> io::Result<bool> {
        let Some(&Reverse((_, source))) = self.due.peek() else { return Ok(false) };
        let following = match self.take(source, take) {
            Ok(following) => following,
            Err(error) => {
                self.due.clear();
                return Err(error);
            }
        };
        match (self.due.peek_mut(), following) {
            (Some(mut top), Some(key)) => top.0.0 = key,
            (Some(top), None) => drop(PeekMut::pop(top)),
            (None, _) => {}
        }
        Ok(true)
    }

    /// The next row of a source goes to `take`; the key of the one after it.
    #[inline]
    fn take(&mut self, source: usize, take: impl FnOnce(T)) -> io::Result<Option<T::Key>> {
        let (Some(run), Some(reading)) = (
            source.checked_sub(1).and_then(|at| self.rows.runs.get(at)),
            source.checked_sub(1).and_then(|at| self.runs.get_mut(at)),
        ) else {
            self.rows.kept.get(self.at).cloned().map(take);
            self.at += 1;
            return Ok(self.rows.kept.get(self.at).map(Row::key));
        };
        if reading.rows.as_slice().is_empty() {
            reading.rows = run.read(reading.next_chunk, &mut self.buffer)?.into_iter();
            reading.next_chunk += 1;
        }
        reading.rows.next().map(take);
        let following = reading.rows.as_slice().first().map(Row::key);
        if following.is_none() {
            // The chunk's memory is not needed until the next one is due.
            reading.rows = Vec::new().into_iter();
        }
        Ok(following.or_else(|| run.first_key(reading.next_chunk)))
    }
}

/// Ends after an error.
impl<T: Row> Iterator for Merge<T> {
    type Item = io::Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut row = None;
        match self.step(|next| row = Some(next)) {
            Ok(_) => row.map(Ok),
            Err(error) => Some(Err(error)),
        }
    }
}
