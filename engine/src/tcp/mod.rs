//! Segments into connections.
