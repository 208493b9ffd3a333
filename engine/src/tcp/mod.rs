//! Segments into connections.
//!
//! ```text
//! flow_table ──► incarnation ──► connection ──► facts
//!                                 │ endpoint × 2 ─ state (the table), close (causal order), stream (bytes)
//!                                 └ reset, time_wait (evidence), history, stack
//! ```

pub mod close;
pub mod connection;
pub mod endpoint;
mod facts;
pub mod flow_table;
pub mod history;
pub mod incarnation;
pub mod payload;
pub mod reset;
pub mod seq;
mod spans;
pub mod stack;
pub mod state;
pub mod stepped;
pub mod stream;
pub mod time_wait;
mod unseen;

#[cfg(test)]
mod tests;
