//! Segments into connections.

pub mod seq;
pub mod stream;
