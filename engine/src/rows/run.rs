//! Sorted runs of rows in an unnamed temporary file.
//!
//! The file lies in `TMPDIR` and is gone with the process, however that ends. It is read by the process that wrote it,
//! so its format (bitcode's: column by column, a few bytes a field) is nobody else's business.

use super::Row;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Rows read at a time: enough that bitcode's columns pay, few enough that a thousand runs under way stay small.
pub const CHUNK_ROWS: usize = 128;

/// Where one shard's runs go.
pub struct RunFile {
    file: Arc<Mutex<File>>,
    end: u64,
    buffer: bitcode::Buffer,
}

/// A run in its file.
pub struct Run<K> {
    file: Arc<Mutex<File>>,
    len: usize,
    /// First key and offset of every chunk.
    chunks: Vec<(K, u64)>,
    end: u64,
}

impl RunFile {
    /// An empty one.
    ///
    /// # Errors
    /// As the system gives them.
    pub fn create() -> io::Result<Self> {
        let file = Arc::new(Mutex::new(tempfile::tempfile()?));
        Ok(RunFile { file, end: 0, buffer: bitcode::Buffer::new() })
    }

    /// Appends rows that are in order.
    ///
    /// # Errors
    /// As the system gives them: the disk is full.
    pub fn append<T: Row>(&mut self, rows: &[T]) -> io::Result<Run<T::Key>> {
        let mut bytes = Vec::new();
        let mut chunks = Vec::with_capacity(rows.len().div_ceil(CHUNK_ROWS));
        for chunk in rows.chunks(CHUNK_ROWS) {
            if let Some(first) = chunk.first() {
                chunks.push((first.key(), self.end + bytes.len() as u64));
            }
            bytes.extend_from_slice(self.buffer.encode(chunk));
        }
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&bytes)?;
        self.end += bytes.len() as u64;
        Ok(Run { file: Arc::clone(&self.file), len: rows.len(), chunks, end: self.end })
    }
}

impl<K: Ord + Copy> Run<K> {
    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// First key of a chunk, if there is such a chunk.
    pub fn first_key(&self, chunk: usize) -> Option<K> {
        self.chunks.get(chunk).map(|&(key, _)| key)
    }

    /// The chunk in which a key would be.
    pub fn chunk_of(&self, key: K) -> Option<usize> {
        self.chunks.partition_point(|&(first, _)| first <= key).checked_sub(1)
    }

    /// The rows of a chunk; none where there is no such chunk.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else than was written.
    pub fn read<T: Row<Key = K>>(&self, chunk: usize, buffer: &mut bitcode::Buffer) -> io::Result<Vec<T>> {
        let Some(&(_, from)) = self.chunks.get(chunk) else { return Ok(Vec::new()) };
        let to = self.chunks.get(chunk + 1).map_or(self.end, |&(_, offset)| offset);
        let mut bytes = vec![0; (to - from) as usize];
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(from))?;
            file.read_exact(&mut bytes)?;
        }
        buffer.decode(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}
