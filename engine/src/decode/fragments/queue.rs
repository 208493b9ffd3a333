//! What is there of one packet in fragments.

use super::super::ip::Ends;
use super::super::layers::Layers;
use super::super::span::Span;
use super::super::walk::Walk;
use std::collections::BTreeMap;

/// What a stored fragment takes beside its bytes, roughly.
pub const OVERHEAD: usize = 96;

struct Held {
    wire_len: u32,
    bytes: Vec<u8>,
}

/// What the first fragment says of the whole.
#[derive(Clone, Copy)]
pub enum Head {
    /// An IP datagram of this protocol.
    Datagram(Ends, u8, Layers),
    /// An 802.11 frame, which may have a mesh header.
    Frame { in_mesh: bool, layers: Layers },
}

impl Head {
    /// From what it says on.
    pub fn walk<'a>(&self, rest: Span<'a>) -> Walk<'a> {
        match self {
            Head::Datagram(ends, protocol, layers) => Walk::of_datagram(*ends, *protocol, rest, layers),
            Head::Frame { in_mesh, layers } => Walk::of_frame(*in_mesh, rest, layers),
        }
    }
}

/// Which bytes of the whole a fragment is.
#[derive(Clone, Copy)]
pub struct Extent {
    pub from: u32,
    pub to: u32,
    pub more: bool,
}

/// Where a new fragment stands to those that are there.
pub enum Fit {
    New,
    Known,
    Overlap,
}

/// A packet under way.
pub struct Queue {
    head: Option<Head>,
    /// By offset; none overlaps another.
    pieces: BTreeMap<u32, Held>,
    /// Where each run of pieces begins and ends, as Linux keeps them: only a piece that goes on from the end of all lengthens
    /// one, and any other is a run of its own, be it adjoining or not.
    runs: BTreeMap<u32, u32>,
    /// Bytes of the packet that are there.
    present: u32,
    /// Bytes of memory that they take.
    pub held: usize,
    /// Where it ends, once its last fragment is there.
    end: Option<u32>,
    pub first_ns: i64,
    /// Its place among the idle.
    pub touched: u64,
    pub packets: u64,
    /// Nothing that is analysed: fragments are only counted.
    pub is_ignored: bool,
    /// It was put together before.
    pub is_again: bool,
}

impl Queue {
    pub fn new(ts_ns: i64, is_again: bool) -> Self {
        Queue {
            head: None,
            pieces: BTreeMap::new(),
            runs: BTreeMap::new(),
            present: 0,
            held: OVERHEAD,
            end: None,
            first_ns: ts_ns,
            touched: 0,
            packets: 0,
            is_ignored: false,
            is_again,
        }
    }

    /// Whether something is lost where it is given up.
    pub fn is_missed(&self) -> bool {
        !self.is_ignored && !self.is_again
    }

    pub fn fit(&self, Extent { from, to, more }: Extent) -> Fit {
        let furthest = self.furthest();
        let contradicts = match self.end {
            Some(end) => to > end || !more && to != end,
            None => !more && to < furthest,
        };
        if contradicts {
            return Fit::Overlap;
        }
        if to > furthest {
            return if from < furthest { Fit::Overlap } else { Fit::New };
        }
        // What lies within one run is known; what reaches over its edge is not, even into a run that adjoins.
        match self.runs.range(..=from).next_back() {
            Some((_, &end)) if to <= end => Fit::Known,
            Some((_, &end)) if from < end => Fit::Overlap,
            _ if self.runs.range(from..to).next().is_some() => Fit::Overlap,
            _ => Fit::New,
        }
    }

    /// Where the last piece so far ends.
    pub fn furthest(&self) -> u32 {
        self.pieces.last_key_value().map_or(0, |(&at, held)| at + held.wire_len)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.pieces.len()
    }

    /// Whether the first one is this, as far as both were captured.
    pub fn begins_with(&self, bytes: &[u8]) -> bool {
        self.pieces.get(&0).is_some_and(|held| held.bytes.starts_with(bytes) || bytes.starts_with(&held.bytes))
    }

    /// Takes a new one, `head` being what it says if it is the first.
    pub fn insert(&mut self, extent: Extent, rest: Span<'_>, head: impl FnOnce() -> Head) {
        let Extent { from, to, .. } = extent;
        if from == 0 {
            self.head = Some(head());
        }
        match self.runs.last_entry() {
            Some(mut last) if *last.get() == from => *last.get_mut() = to,
            _ => _ = self.runs.insert(from, to),
        }
        self.note(extent);
        let bytes = rest.stated(to - from).bytes.to_vec();
        self.held += bytes.len() + OVERHEAD;
        self.pieces.insert(from, Held { wire_len: to - from, bytes });
    }

    /// Counts a fragment without storing it, to know when the last has come.
    pub fn note(&mut self, Extent { from, to, more }: Extent) {
        self.present = self.present.saturating_add(to - from);
        if !more {
            self.end = Some(to);
        }
    }

    /// One that is known may say where the packet ends all the same; it completes none.
    pub fn note_end(&mut self, Extent { to, more, .. }: Extent) {
        self.end = self.end.or((!more).then_some(to));
    }

    /// From here on they are only counted.
    pub fn ignore(&mut self) {
        self.is_ignored = true;
        self.pieces.clear();
        self.runs.clear();
        self.held = OVERHEAD;
    }

    pub fn is_complete(&self) -> bool {
        self.end.is_some_and(|end| self.present >= end)
    }

    /// What it is, how many bytes it has, and those from the start that were captured.
    pub fn into_whole(self) -> Option<(Head, u32, Vec<u8>)> {
        let (head, wire_len) = (self.head?, self.end?);
        let mut bytes = Vec::with_capacity(wire_len as usize);
        for held in self.pieces.into_values() {
            bytes.extend_from_slice(&held.bytes);
            if held.bytes.len() < held.wire_len as usize {
                break;
            }
        }
        Some((head, wire_len, bytes))
    }
}
