//! The one error a capture raises, and the reasons why reading a file stopped early.

use std::fmt;
use std::io;

/// The user must act: what was given is no capture, or cannot be opened. Displays as one line,
/// `path: message (offset N)`; the message says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError {
    /// Path as the user gave it, `-` for stdin.
    pub path: String,
    /// Byte offset in the (decompressed) file, where one is to blame.
    pub offset: Option<u64>,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl SourceError {
    /// A message about a path, without an offset.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        SourceError { path: path.into(), offset: None, message: message.into() }
    }

    /// The same, with the offset of the byte to blame.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", OneLine(&self.path), OneLine(&self.message))?;
        self.offset.map_or(Ok(()), |offset| write!(f, " (offset {offset})"))
    }
}

impl std::error::Error for SourceError {}

/// Text with its control characters escaped: a file name may hold a newline or a terminal's escape sequence.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(
            |c| {
                if c.is_control() { write!(f, "{}", c.escape_default()) } else { write!(f, "{c}") }
            },
        )
    }
}

/// Why a file that began as a capture was not read to its end. What was read before it stays; the text goes to
/// `FileFacts::problem`.
#[derive(Debug)]
pub enum Stop {
    /// The file ends within a record: normal for a capture that is still being written, or was copied meanwhile.
    CutShort {
        /// Where the record begins.
        offset: u64,
    },
    /// A record that contradicts itself; nothing after it can be trusted.
    Corrupt {
        /// Where the record begins.
        offset: u64,
        /// What contradicts what.
        why: String,
    },
    /// The file was cut while it was read.
    CutMeanwhile {
        /// Where what is left of it ends.
        offset: u64,
    },
    /// Not an end: the window is pinned and must be handed over before more is read.
    Refill,
    /// The file (or its decompressor) could not give more bytes.
    Unreadable {
        /// How far reading came.
        offset: u64,
        /// The system's, or the decompressor's, words.
        error: io::Error,
    },
}

impl Stop {
    /// Shorthand for [`Stop::Corrupt`].
    pub fn corrupt(offset: u64, why: impl Into<String>) -> Self {
        Stop::Corrupt { offset, why: why.into() }
    }

    /// The offset to blame.
    #[must_use]
    pub fn offset(&self) -> u64 {
        match self {
            Stop::CutShort { offset }
            | Stop::CutMeanwhile { offset }
            | Stop::Corrupt { offset, .. }
            | Stop::Unreadable { offset, .. } => *offset,
            Stop::Refill => 0,
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::CutShort { offset } => write!(f, "cut short in the record at offset {offset}"),
            Stop::CutMeanwhile { offset } => write!(f, "cut at offset {offset} while it was read"),
            Stop::Corrupt { offset, why } => write!(f, "corrupt record at offset {offset}: {why}"),
            Stop::Refill => f.write_str("more is to be read"),
            Stop::Unreadable { offset, error } => {
                write!(f, "unreadable from offset {offset}: {error}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_that_names_path_and_offset() {
        let error = SourceError::new("a\nb.pcap", "not a packet capture").at(0);
        assert_eq!(error.to_string(), "a\\nb.pcap: not a packet capture (offset 0)");
    }

    #[test]
    fn a_stop_names_its_offset() {
        assert_eq!(Stop::CutShort { offset: 24 }.to_string(), "cut short in the record at offset 24");
        assert_eq!(Stop::corrupt(40, "length 7").to_string(), "corrupt record at offset 40: length 7");
    }
}
