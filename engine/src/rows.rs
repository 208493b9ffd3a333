//! Rows of a table in the order of their keys, whatever the order they come in and however many they are, in bounded
//! memory.
//!
//! A connection's row is known when the connection ends, its place in the table (`connection`: the order of *first*
//! packets) and its TIME_WAIT estimates only when the capture does. So each shard keeps its rows as they come; whenever
//! there are `rows_in_memory` of them it sorts them and appends them as one run to an unnamed temporary file
//! ([`run`]). At the end the runs of all shards are merged by key ([`merge`]), as often as the table is read. What comes
//! out does not depend on how many shards or runs there were; a small capture never touches the disk.
//!
//! Memory: `rows_in_memory` rows a shard while reading, more where they are very many; while merging [`run::CHUNK_ROWS`] rows of each run that is under
//! way, and a few bytes for every chunk on the disk.

mod merge;
mod run;

pub use merge::Merge;

use crate::record::{ConnectionRecord, Exchange};
use run::{Run, RunFile};
use std::io;
use std::sync::Arc;

/// What can wait in a run.
pub trait Row: Clone + bitcode::Encode + bitcode::DecodeOwned {
    /// What rows are ordered by; no two rows of a table share one.
    type Key: Ord + Copy;
    /// This row's.
    fn key(&self) -> Self::Key;
}

/// Runs of one length. What a worker keeps should stay in its cache (a row is near a kilobyte), and what is kept of the
/// runs while they are merged should not grow as fast as the table: with `n` rows both grow as the root of `n`.
const RUNS_ALIKE: usize = 128;

/// Takes rows in any order.
pub struct Rows<T: Row> {
    in_memory: usize,
    /// Rows of the next run: `in_memory`, and as many more for every [`RUNS_ALIKE`] runs.
    run_len: usize,
    kept: Vec<T>,
    file: Option<RunFile>,
    runs: Vec<Run<T::Key>>,
    /// What kept a run from being written; rows after it are dropped, and [`Rows::sorted`] says so.
    failure: Option<io::Error>,
}

impl<T: Row> Rows<T> {
    /// With so many rows in memory, or more where they are very many ([`RUNS_ALIKE`]).
    #[must_use]
    pub fn new(in_memory: usize) -> Self {
        let in_memory = in_memory.max(1);
        Rows { in_memory, run_len: in_memory, kept: Vec::new(), file: None, runs: Vec::new(), failure: None }
    }

    /// One more row.
    pub fn push(&mut self, row: T) {
        if self.kept.len() >= self.run_len {
            self.failure = self.failure.take().or_else(|| self.write_run().err());
            self.kept.clear();
        }
        self.kept.push(row);
    }

    /// Whether rows were lost, so that [`Rows::sorted`] will be an error whatever comes.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    #[cold]
    fn write_run(&mut self) -> io::Result<()> {
        // Rows are large: their keys are sorted, and each row is then moved once.
        self.kept.sort_by_cached_key(Row::key);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(RunFile::create()?),
        };
        self.runs.push(file.append(&self.kept)?);
        self.run_len = self.in_memory * (1 + self.runs.len() / RUNS_ALIKE);
        Ok(())
    }

    /// Takes what another shard has. Rows in memory stay there, so a merge of all shards' never writes.
    pub fn merge(&mut self, other: Self) {
        self.kept.extend(other.kept);
        self.runs.extend(other.runs);
        self.failure = self.failure.take().or(other.failure);
    }

    /// Nothing more will come.
    ///
    /// # Errors
    /// What kept a run from being written, e.g. that the disk is full.
    pub fn sorted(mut self) -> io::Result<Arc<Sorted<T>>> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        self.kept.sort_by_cached_key(Row::key);
        Ok(Arc::new(Sorted { kept: self.kept, runs: self.runs }))
    }
}

/// All rows of a table, to be read in order as often as wanted.
pub struct Sorted<T: Row> {
    kept: Vec<T>,
    runs: Vec<Run<T::Key>>,
}

impl<T: Row> Sorted<T> {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len() + self.runs.iter().map(Run::len).sum::<usize>()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them in order of their keys.
    #[must_use]
    pub fn read(self: &Arc<Self>) -> Merge<T> {
        Merge::new(Arc::clone(self))
    }

    /// All of them at once.
    ///
    /// # Errors
    /// The temporary file cannot be read.
    pub fn to_vec(self: &Arc<Self>) -> io::Result<Vec<T>> {
        self.read().collect()
    }

    /// The row with a key.
    ///
    /// # Errors
    /// The temporary file cannot be read.
    pub fn find(&self, key: T::Key) -> io::Result<Option<T>> {
        if let Ok(at) = self.kept.binary_search_by_key(&key, Row::key) {
            return Ok(self.kept.get(at).cloned());
        }
        for run in &self.runs {
            let Some(chunk) = run.chunk_of(key) else { continue };
            let rows: Vec<T> = run.read(chunk, &mut bitcode::Buffer::new())?;
            if let Some(row) = rows.into_iter().find(|row| row.key() == key) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

impl Row for ConnectionRecord {
    type Key = u64;
    fn key(&self) -> u64 {
        self.ordinal
    }
}

impl Row for Exchange {
    /// Connection and index.
    type Key = (u64, u32);
    fn key(&self) -> (u64, u32) {
        (self.connection, self.index)
    }
}

#[cfg(test)]
mod tests;
