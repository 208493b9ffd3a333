//! A packet as evidence: when, and where to find it.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use std::num::NonZeroU64;

/// Bits of the frame number; the file index has the rest. A trillion packets in a file, sixteen million files.
const FRAME_BITS: u32 = 40;
const LAST_FRAME: u64 = (1 << FRAME_BITS) - 1;
const LAST_FILE: u32 = (1 << (u64::BITS - FRAME_BITS)) - 1;

/// A packet as evidence. In two words, none as well: there are a dozen in every connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, bitcode::Encode, bitcode::Decode)]
pub struct Mark {
    /// Capture time, ns since 1970 UTC.
    pub ts_ns: i64,
    place: NonZeroU64,
}

impl Mark {
    /// The greatest index of a file; it stands for those beyond it, and for packets that are in none.
    pub const LAST_FILE: u32 = LAST_FILE;

    /// The packet at a time, with its frame number in its file (from 1) and the file's index.
    #[inline]
    #[must_use]
    pub const fn new(ts_ns: i64, frame: u64, file: u32) -> Self {
        let frame = if frame < LAST_FRAME { frame } else { LAST_FRAME };
        let file = if file < LAST_FILE { file } else { LAST_FILE };
        let place = match NonZeroU64::new((file as u64) << FRAME_BITS | frame) {
            Some(place) => place,
            None => NonZeroU64::MIN,
        };
        Mark { ts_ns, place }
    }

    /// The same packet with another time.
    #[must_use]
    pub const fn at(self, ts_ns: i64) -> Self {
        Mark { ts_ns, ..self }
    }

    /// File and frame in one number that is never 0, greater for what comes later.
    #[inline]
    #[must_use]
    pub const fn place(&self) -> u64 {
        self.place.get()
    }

    /// The packet at a time, at a place as [`Mark::place`] gives it; none at 0.
    #[inline]
    #[must_use]
    pub fn at_place(ts_ns: i64, place: u64) -> Option<Self> {
        NonZeroU64::new(place).map(|place| Mark { ts_ns, place })
    }

    /// Frame number in its file, from 1, as Wireshark counts.
    #[must_use]
    pub const fn frame(&self) -> u64 {
        self.place.get() & LAST_FRAME
    }

    /// Index of the file.
    #[must_use]
    pub const fn file(&self) -> u32 {
        (self.place.get() >> FRAME_BITS) as u32
    }
}

impl Default for Mark {
    fn default() -> Self {
        Mark::new(0, 1, 0)
    }
}

impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Mark", 3)?;
        fields.serialize_field("ts_ns", &self.ts_ns)?;
        fields.serialize_field("frame", &self.frame())?;
        fields.serialize_field("file", &self.file())?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_and_file_come_back_and_none_costs_nothing() {
        for (frame, file) in [(1, 0), (7, 3), (LAST_FRAME, LAST_FILE)] {
            let mark = Mark::new(-5, frame, file);
            assert_eq!((mark.ts_ns, mark.frame(), mark.file()), (-5, frame, file));
        }
        assert_eq!(Mark::new(0, u64::MAX, u32::MAX), Mark::new(0, LAST_FRAME, LAST_FILE));
        assert_eq!(size_of::<Option<Mark>>(), 16);
    }

    #[test]
    fn the_words_of_the_json_are_three() {
        let text = serde_json::to_string(&Mark::new(1, 2, 3)).expect("JSON");
        assert_eq!(text, r#"{"ts_ns":1,"frame":2,"file":3}"#);
    }
}
