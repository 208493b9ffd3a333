//! Rows as the bytes of a Parquet file (version 2.6 of the format, <https://github.com/apache/parquet-format>).
//!
//! Written here and not by a library because a table has near eighty columns, of which most hold one of a dozen words:
//! [`cells`] takes a word's code where a library takes its text and looks it up, and a row group is made by one thread
//! from its first row to its compressed bytes, so that several are made at once. What is used of the format is little:
//!
//! | columns | in a page |
//! |---|---|
//! | text, sets of words | a dictionary and codes, which runs and bits hold ([`encoding::hybrid`]) |
//! | whole numbers, instants | differences ([`encoding::deltas`]): most ascend or repeat |
//! | seconds, yes and no | plain |
//! | presence | runs; a column without a cell takes some forty bytes |
//!
//! One data page for each column of a row group (of at most 65,536 rows), compressed by zstd where that pays.

pub mod cells;
pub mod encoding;
mod footer;
mod pages;
mod thrift;

pub use cells::{Cells, Kind};
pub use footer::{Column, Group, footer};
pub use pages::{Chunk, Press};

/// What a Parquet file begins and ends with.
pub const MAGIC: &[u8; 4] = b"PAR1";

#[cfg(test)]
mod tests;
