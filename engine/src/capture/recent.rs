//! The newest packets of a capture that leaves no file: enough to draw what has just happened.

use super::stream::{Packets, Replay};
use super::{Batch, SourceError};
use crate::settings::Settings;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of packets that are kept, and forgotten, together.
const CHUNK_BYTES: usize = 1 << 20;
/// What keeping a packet takes beside its bytes.
const PACKET_BYTES: usize = size_of::<super::Packet>();

/// Whole chunks of the newest packets. Older ones are gone, and nothing is drawn in their place.
#[derive(Default)]
pub struct Recent {
    most_bytes: usize,
    bytes: usize,
    full: VecDeque<Arc<Batch>>,
    open: Batch,
}

fn size(batch: &Batch) -> usize {
    batch.data.len() + batch.packets.len() * PACKET_BYTES
}

impl Recent {
    /// Keeps about so many bytes.
    #[must_use]
    pub fn new(most_bytes: usize) -> Self {
        Recent { most_bytes, ..Recent::default() }
    }

    /// Copies a batch.
    pub fn keep(&mut self, batch: &Batch) {
        if self.most_bytes == 0 {
            return;
        }
        for (packet, ordinal) in batch.packets.iter().zip(batch.first_ordinal..) {
            if self.open.packets.is_empty() {
                self.open.first_ordinal = ordinal;
            }
            let start = self.open.data.len();
            self.open.data.extend_from_slice(batch.bytes(packet));
            self.open.packets.push(super::Packet { start, ..*packet });
        }
        if size(&self.open) >= CHUNK_BYTES {
            self.close_chunk();
        }
    }

    fn close_chunk(&mut self) {
        let full = std::mem::take(&mut self.open);
        self.bytes += size(&full);
        self.full.push_back(Arc::new(full));
        while self.bytes > self.most_bytes {
            let Some(oldest) = self.full.pop_front() else { return };
            self.bytes -= size(&oldest);
        }
    }

    /// What is kept now; it shares the full chunks.
    #[must_use]
    pub fn kept(&self) -> Kept {
        let open = Batch {
            first_ordinal: self.open.first_ordinal,
            packets: self.open.packets.clone(),
            data: self.open.data.clone(),
            view: None,
            gaps: Vec::new(),
        };
        Kept { chunks: self.full.iter().cloned().chain([Arc::new(open)]).collect() }
    }
}

/// Packets that were kept when it was asked for.
#[derive(Clone, Default)]
pub struct Kept {
    chunks: VecDeque<Arc<Batch>>,
}

impl Replay for Kept {
    fn again(&self, _: &Settings) -> Result<Box<dyn Packets>, SourceError> {
        Ok(Box::new(self.clone()))
    }
}

impl Packets for Kept {
    /// A whole chunk, whatever the number of its packets.
    fn next_batch(&mut self, batch: &mut Batch, _: usize) -> Result<bool, SourceError> {
        batch.packets.clear();
        while let Some(next) = self.chunks.pop_front() {
            if next.packets.is_empty() {
                continue;
            }
            batch.first_ordinal = next.first_ordinal;
            batch.packets.extend_from_slice(&next.packets);
            batch.data.clear();
            batch.data.extend_from_slice(&next.data);
            return Ok(true);
        }
        Ok(false)
    }

    fn skip_to(&mut self, file: u32, frame: u64) -> Result<(), SourceError> {
        let is_before = |chunk: &Batch| chunk.packets.last().is_none_or(|last| (last.file, last.frame) < (file, frame));
        while self.chunks.front().is_some_and(|chunk| is_before(chunk)) {
            self.chunks.pop_front();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Packet;

    fn batch(first: u64, packets: usize, length: usize) -> Batch {
        let packet = |n: usize| Packet {
            frame: first + n as u64 + 1,
            start: n * length,
            captured_len: length as u32,
            ..Packet::default()
        };
        let data = (0..packets).flat_map(|n| vec![(first as usize + n) as u8; length]).collect();
        Batch { first_ordinal: first, packets: (0..packets).map(packet).collect(), data, view: None, gaps: Vec::new() }
    }

    #[test]
    fn the_newest_are_kept_whole_and_in_order() {
        let mut recent = Recent::new(4 << 20);
        for first in (0..10_000).step_by(100) {
            recent.keep(&batch(first, 100, 1000));
        }
        let mut kept = recent.kept();
        let mut frames = Vec::new();
        let mut read = Batch::default();
        while kept.next_batch(&mut read, 1).unwrap() {
            for (packet, ordinal) in read.packets.iter().zip(read.first_ordinal..) {
                assert_eq!(packet.frame, ordinal + 1);
                assert_eq!(read.bytes(packet), vec![ordinal as u8; 1000]);
                frames.push(packet.frame);
            }
        }
        assert!(frames.is_sorted() && frames.last() == Some(&10_000), "{frames:?}");
        assert!((3_000..4_300).contains(&frames.len()), "{} packets of 1,000 bytes", frames.len());
    }

    #[test]
    fn a_packet_is_gone_to_without_those_before() {
        let mut recent = Recent::new(64 << 20);
        for first in (0..10_000).step_by(100) {
            recent.keep(&batch(first, 100, 1000));
        }
        let mut kept = recent.kept();
        kept.skip_to(0, 5000).unwrap();
        let mut read = Batch::default();
        assert!(kept.next_batch(&mut read, 1).unwrap());
        let frames = (read.packets[0].frame, read.packets.last().unwrap().frame);
        assert!(frames.0 > 1 && frames.0 <= 5000 && 5000 <= frames.1, "{frames:?}");
    }
}
