//! Running totals that merge: a summary of two halves merged equals the summary of the whole.

pub mod summary;
