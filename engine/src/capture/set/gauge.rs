//! How far the reading of a set is, for whoever watches it from another thread.

use super::CaptureSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far the reading of a set is.
pub struct Gauge {
    bytes_read: Arc<AtomicU64>,
    bytes_total: u64,
    packets: Arc<AtomicU64>,
}

impl Gauge {
    /// Bytes read, bytes in all (0 for streams), and packets read.
    #[must_use]
    pub fn read(&self) -> (u64, u64, u64) {
        (self.bytes_read.load(Ordering::Relaxed), self.bytes_total, self.packets.load(Ordering::Relaxed))
    }
}

impl CaptureSet {
    /// The same numbers as [`CaptureSet::progress`], and the packets, to be read while another thread reads the set.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        let packets = Arc::clone(&self.packets_read);
        Gauge { bytes_read: Arc::clone(&self.bytes_read), bytes_total: self.bytes_total, packets }
    }
}
