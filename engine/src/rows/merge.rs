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
    /// The first key that is not wanted any more.
    until: Option<T::Key>,
    /// What the next row will be instead.
    failure: Option<io::Error>,
    buffer: bitcode::Buffer,
}

/// How far a run has been read.
struct Reading<T> {
    rows: IntoIter<T>,
    next_chunk: usize,
}

impl<T> Reading<T> {
    fn from(next_chunk: usize) -> Self {
        Reading { rows: Vec::new().into_iter(), next_chunk }
    }
}

impl<T: Row> Merge<T> {
    /// The rows from key `from` on (`None`: from the first) to before `until`.
    pub(super) fn new(rows: Arc<Sorted<T>>, from: Option<T::Key>, until: Option<T::Key>) -> Self {
        let at = from.map_or(0, |from| rows.kept.partition_point(|row| row.key() < from));
        let first_chunk = |run: &Run<T::Key>| from.and_then(|from| run.chunk_of(from)).unwrap_or(0);
        let runs: Vec<Reading<T>> = rows.runs.iter().map(|run| Reading::from(first_chunk(run))).collect();
        let kept = rows.kept.get(at).map(|row| Reverse((row.key(), 0)));
        let first_key = |(number, run): (usize, &Run<T::Key>)| {
            Some(Reverse((run.first_key(runs.get(number)?.next_chunk)?, number + 1)))
        };
        let due = kept.into_iter().chain(rows.runs.iter().enumerate().filter_map(first_key)).collect();
        let mut merge = Merge { rows, due, at, runs, until, failure: None, buffer: bitcode::Buffer::new() };
        merge.skip_to(from);
        merge
    }

    /// Leaves out the rows before `from` with which its chunks begin.
    fn skip_to(&mut self, from: Option<T::Key>) {
        while let (Some(&Reverse((key, _))), Some(from)) = (self.due.peek(), from)
            && key < from
            && self.until.is_none_or(|until| key < until)
        {
            self.failure = self.next().and_then(Result::err);
        }
    }

    /// The next row of a source, and the key of the one after it.
    #[inline]
    fn take(&mut self, source: usize) -> io::Result<(Option<T>, Option<T::Key>)> {
        let (Some(run), Some(reading)) = (
            source.checked_sub(1).and_then(|at| self.rows.runs.get(at)),
            source.checked_sub(1).and_then(|at| self.runs.get_mut(at)),
        ) else {
            self.at += 1;
            let following = self.rows.kept.get(self.at).map(Row::key);
            return Ok((self.rows.kept.get(self.at - 1).cloned(), following));
        };
        if reading.rows.as_slice().is_empty() {
            reading.rows = run.read(reading.next_chunk, &mut self.buffer)?.into_iter();
            reading.next_chunk += 1;
        }
        let row = reading.rows.next();
        let following = reading.rows.as_slice().first().map(Row::key);
        if following.is_none() {
            // The chunk's memory is not needed until the next one is due.
            reading.rows = Vec::new().into_iter();
        }
        Ok((row, following.or_else(|| run.first_key(reading.next_chunk))))
    }
}

/// Ends after an error.
impl<T: Row> Iterator for Merge<T> {
    type Item = io::Result<T>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failure.take() {
            return Some(Err(error));
        }
        let &Reverse((key, source)) = self.due.peek()?;
        if self.until.is_some_and(|until| until <= key) {
            return None;
        }
        match self.take(source) {
            Ok((row, following)) => {
                match (self.due.peek_mut(), following) {
                    (Some(mut top), Some(key)) => top.0.0 = key,
                    (Some(top), None) => drop(PeekMut::pop(top)),
                    (None, _) => {}
                }
                row.map(Ok)
            }
            Err(error) => {
                self.due.clear();
                Some(Err(error))
            }
        }
    }
}
