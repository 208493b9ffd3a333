//! One direction of a conversation: where in which message its reading is.

use super::chunked::{Chunked, Progress};
use crate::record::Mark;

/// Segment starts tried before a direction that lost its place is given up.
const MAX_RESYNC_ATTEMPTS: u32 = 1 << 16;

/// Where a byte came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Its sequence number.
    pub seq: u32,
    /// Acknowledgment number of the segment that carried it.
    pub ack: u32,
    /// The packet.
    pub mark: Mark,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// A new message.
    #[default]
    Idle,
    /// A head whose beginning is in [`Direction::partial`].
    Head,
    /// A body with so many bytes to come.
    Length(u64),
    /// A chunked body.
    Chunked(Chunked),
    /// A body that the FIN ends.
    UntilClose,
    /// What a CONNECT's answer will say: a tunnel, or the next request. Bytes so far.
    Undecided(u64),
    /// Unknown: a hole or a capture that starts midway. A segment that starts like a message puts it right.
    Lost,
    /// Nothing that is HTTP: a tunnel, or after FIN.
    Ended,
    /// Not HTTP, for good.
    Broken,
}

/// One direction.
#[derive(Clone, Debug, Default)]
pub struct Direction {
    /// What the next byte belongs to.
    pub reading: Reading,
    /// First byte of the current message.
    pub start: Origin,
    /// The packet of the last byte.
    pub last: Mark,
    /// Body bytes of the current message.
    pub body_bytes: u64,
    /// Where the place was lost, until the next message is found.
    pub lost_at: Option<u32>,
    /// Segments that did not help a lost direction.
    pub attempts: u32,
    /// At least one head was read.
    pub has_read: bool,
    /// Beginning of an incomplete head.
    pub partial: Vec<u8>,
}

/// What reading a body came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// It goes on.
    No,
    /// With the last byte used.
    Here,
    /// Its coding is broken.
    Broken,
}

impl Direction {
    /// The place in the stream is unknown from `seq` on.
    pub fn lose(&mut self, seq: u32) {
        self.reading = Reading::Lost;
        self.lost_at.get_or_insert(seq);
        self.partial = Vec::new();
    }

    /// Ends the reading: broken for good, or over.
    pub fn stop(&mut self, reading: Reading) {
        self.reading = reading;
        self.partial = Vec::new();
    }

    /// A lost direction at a segment start: whether it starts a message.
    pub fn resync(&mut self, is_message: bool) {
        if is_message {
            self.reading = Reading::Idle;
            self.attempts = 0;
        } else {
            self.attempts += 1;
            if self.attempts >= MAX_RESYNC_ATTEMPTS {
                self.reading = Reading::Broken;
            }
        }
    }

    /// Passes over body bytes at the start of `rest`; how many, and whether that ends the body.
    pub fn read_body(&mut self, rest: &[u8]) -> (usize, BodyEnd) {
        match &mut self.reading {
            Reading::Length(left) => {
                let take = (*left).min(rest.len() as u64);
                *left -= take;
                let end = if *left == 0 { BodyEnd::Here } else { BodyEnd::No };
                self.body_bytes = self.body_bytes.saturating_add(take);
                (take as usize, end)
            }
            Reading::Chunked(chunked) => {
                let (used, data, progress) = chunked.read(rest);
                self.body_bytes = self.body_bytes.saturating_add(data);
                let end = match progress {
                    Progress::More => BodyEnd::No,
                    Progress::Done => BodyEnd::Here,
                    Progress::Broken => BodyEnd::Broken,
                };
                (used, end)
            }
            Reading::UntilClose => {
                self.body_bytes = self.body_bytes.saturating_add(rest.len() as u64);
                (rest.len(), BodyEnd::No)
            }
            Reading::Undecided(seen) => {
                *seen = seen.saturating_add(rest.len() as u64);
                (rest.len(), BodyEnd::No)
            }
            _ => (rest.len(), BodyEnd::No),
        }
    }

    /// Passes over `len` bytes that were not captured. `Some(n)`: the body ended after `n` of them, the rest is
    /// unknown. A hole that the framing cannot bridge loses the place.
    pub fn skip(&mut self, len: u64, seq: u32) -> Option<u64> {
        match &mut self.reading {
            Reading::Length(left) => {
                let take = (*left).min(len);
                *left -= take;
                self.body_bytes = self.body_bytes.saturating_add(take);
                return (*left == 0).then_some(take);
            }
            Reading::Chunked(chunked) => {
                if chunked.skip(len) {
                    self.body_bytes = self.body_bytes.saturating_add(len);
                } else {
                    self.lose(seq);
                }
            }
            Reading::UntilClose => self.body_bytes = self.body_bytes.saturating_add(len),
            Reading::Undecided(seen) => *seen = seen.saturating_add(len),
            Reading::Ended | Reading::Broken => {}
            _ => self.lose(seq),
        }
        None
    }

    /// Adds `bytes` to the head buffer; `false` if it would grow beyond `most`.
    pub fn buffer(&mut self, bytes: &[u8], most: usize) -> bool {
        let fits = self.partial.len().saturating_add(bytes.len()) <= most;
        if fits {
            self.partial.extend_from_slice(bytes);
        }
        fits
    }

    /// Bytes of `rest` up to the end of the blank line that ends the head begun in the buffer, if it is there.
    pub fn head_end(&self, rest: &[u8]) -> Option<usize> {
        let before = |i: usize, back: usize| match i.checked_sub(back) {
            Some(at) => rest.get(at),
            None => self.partial.len().checked_sub(back - i).and_then(|at| self.partial.get(at)),
        };
        let ends = |i: usize| match before(i, 1) {
            Some(b'\n') => true,
            Some(b'\r') => before(i, 2) == Some(&b'\n'),
            _ => false,
        };
        let newlines = rest.iter().enumerate().filter(|(_, b)| **b == b'\n');
        newlines.map(|(i, _)| i).find(|&i| ends(i)).map(|i| i + 1)
    }
}
