//! A window that slides over a stream: the bytes of one record, contiguous, whatever pieces the stream comes in.

use super::error::Stop;
use std::io::{ErrorKind, Read};

/// Bytes asked of the stream at a time: large enough that the system call does not matter, small enough for the cache.
const CHUNK: usize = 256 << 10;

/// A buffered reader that hands out exact, contiguous runs of bytes and knows its offset in the stream.
///
/// It grows to the longest run asked for, so callers bound a length before they ask.
pub struct Window {
    stream: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// The unread bytes are `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Offset in the stream of `buffer[start]`.
    offset: u64,
    /// Length of the last run taken, so that it can be put back.
    last: usize,
}

impl Window {
    /// A window at the start of `stream`.
    #[must_use]
    pub fn new(stream: Box<dyn Read + Send>) -> Self {
        Window { stream, buffer: Vec::new(), start: 0, end: 0, offset: 0, last: 0 }
    }

    /// Offset in the (decompressed) stream of the next byte.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next `length` bytes without taking them; fewer only where the stream ends.
    ///
    /// # Errors
    /// [`Stop::Unreadable`] if the stream fails before it gave that many.
    #[inline]
    pub fn peek(&mut self, length: usize) -> Result<&[u8], Stop> {
        if self.end - self.start < length {
            self.fill(length)?;
        }
        let end = self.end.min(self.start.saturating_add(length));
        Ok(self.buffer.get(self.start..end).unwrap_or_default())
    }

    /// Takes `length` bytes, all or none: `None` where the stream ends before.
    ///
    /// # Errors
    /// As [`Window::peek`].
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<Option<&[u8]>, Stop> {
        if self.peek(length)?.len() < length {
            return Ok(None);
        }
        let begin = self.start;
        self.advance(length);
        self.last = length;
        Ok(self.buffer.get(begin..begin + length))
    }

    /// Puts the run back that was taken last; nothing may have been read since.
    pub fn put_back(&mut self) {
        self.start -= self.last;
        self.offset -= self.last as u64;
        self.last = 0;
    }

    /// Skips `length` bytes without keeping them; `false` where the stream ends before.
    ///
    /// # Errors
    /// As [`Window::peek`].
    pub fn skip(&mut self, mut length: u64) -> Result<bool, Stop> {
        while length > 0 {
            let here = self.peek(length.min(CHUNK as u64) as usize)?.len();
            if here == 0 {
                return Ok(false);
            }
            self.advance(here);
            length -= here as u64;
        }
        Ok(true)
    }

    fn advance(&mut self, length: usize) {
        self.start += length;
        self.offset += length as u64;
    }

    /// Reads until `length` bytes are unread or the stream ends.
    #[cold]
    fn fill(&mut self, length: usize) -> Result<(), Stop> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        self.last = 0;
        self.buffer.resize(self.buffer.len().max(length).max(CHUNK), 0);
        while self.end < length && self.read_some()? > 0 {}
        Ok(())
    }

    fn read_some(&mut self) -> Result<usize, Stop> {
        loop {
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.stream.read(free) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(Stop::Unreadable { offset: self.offset + self.end as u64, error });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that gives one byte at a time, as a slow pipe may.
    struct Dripping(std::vec::IntoIter<u8>);

    impl Read for Dripping {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            Ok(into.iter_mut().zip(self.0.by_ref().take(1)).map(|(to, from)| *to = from).count())
        }
    }

    #[test]
    fn a_run_is_contiguous_however_the_stream_drips() {
        let mut window = Window::new(Box::new(Dripping((0..10).collect::<Vec<u8>>().into_iter())));
        assert_eq!(window.take(3).unwrap(), Some(&[0, 1, 2][..]));
        assert_eq!(window.peek(4).unwrap(), &[3, 4, 5, 6]);
        assert!(window.skip(5).unwrap());
        assert_eq!(window.offset(), 8);
        assert_eq!(window.peek(9).unwrap(), &[8, 9], "a peek past the end gives what there is");
        assert_eq!(window.take(3).unwrap(), None, "a take past the end takes nothing");
        assert_eq!(window.take(2).unwrap(), Some(&[8, 9][..]));
        assert!(!window.skip(1).unwrap());
    }

    #[test]
    fn what_was_taken_last_can_be_put_back() {
        let mut window = Window::new(Box::new(&[1, 2, 3, 4][..]));
        window.take(1).unwrap();
        window.take(2).unwrap();
        window.put_back();
        assert_eq!((window.offset(), window.take(3).unwrap()), (1, Some(&[2, 3, 4][..])));
    }
}
