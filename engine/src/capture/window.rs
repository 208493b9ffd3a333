//! A window that slides over a stream or a mapped file: the bytes of one record, contiguous, whatever pieces they come in.

use super::error::Stop;
use super::source::Counted;
use super::view::{Mapping, View};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes asked of the stream at a time: large enough that the system call does not matter, small enough for the cache.
const CHUNK: usize = 64 << 10;
/// A buffer that grew beyond this for one long run is not kept for the next.
const LARGEST_KEPT: usize = 4 * CHUNK;

/// A buffered reader that hands out exact, contiguous runs of bytes and knows its offset in the stream.
///
/// It grows to the longest run asked for, so callers bound a length before they ask. Once it is pinned, what it handed out
/// stays in its place: what would need more of the stream gives [`Stop::Refill`], having taken nothing, until the whole
/// buffer is handed over. So no byte is copied on its way to the stage that reads it, but a record cut by the buffer's end.
/// Of a mapped file it holds a view instead of a buffer, and hands over a share in that.
pub struct Window {
    source: Source,
    buffer: Vec<u8>,
    /// Held instead of the buffer.
    view: Option<Arc<View>>,
    /// The unread bytes are `start..end` of the buffer, or of the view.
    start: usize,
    end: usize,
    /// Offset in the stream of `buffer[start]`.
    offset: u64,
    /// Length of the last run taken, so that it can be put back.
    last: usize,
    is_pinned: bool,
    /// The stream had nothing to give within its patience when it was last asked.
    is_waiting: bool,
    /// Bytes of the stream to pass over before the next that is read.
    to_skip: u64,
}

/// A stream that has failed, and not said so yet.
struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Where a window's bytes come from.
enum Source {
    Stream(Box<dyn Read + Send>),
    Mapped {
        mapping: Mapping,
        /// Gets the bytes that were mapped, as they are for the first time.
        count: Arc<AtomicU64>,
        /// They reach up to here.
        counted: u64,
    },
}

impl Window {
    /// A window at the start of `stream`.
    #[must_use]
    pub fn new(stream: Box<dyn Read + Send>) -> Self {
        Window::of(Source::Stream(stream))
    }

    /// Goes on in a mapping of the file that the stream is; nothing changes where that is not possible, nor where the
    /// rest of the file is in the buffer. `count` gets the bytes that it comes to.
    pub fn map(&mut self, mapping: Mapping, count: Arc<AtomicU64>) {
        let counted = self.offset + (self.end - self.start) as u64;
        if mapping.size().is_ok_and(|size| size <= counted) {
            return;
        }
        let mut mapped = Window { offset: self.offset, ..Window::of(Source::Mapped { mapping, count, counted }) };
        if mapped.peek(1).is_ok_and(|byte| !byte.is_empty()) {
            *self = mapped;
        }
    }

    fn of(source: Source) -> Self {
        Window {
            source,
            buffer: Vec::new(),
            view: None,
            start: 0,
            end: 0,
            offset: 0,
            last: 0,
            is_pinned: false,
            is_waiting: false,
            to_skip: 0,
        }
    }

    /// A window in the middle of a stream, whose next byte is at `offset`.
    #[must_use]
    pub fn at(stream: Box<dyn Read + Send>, offset: u64) -> Self {
        Window { offset, ..Window::new(stream) }
    }

    /// Whether the last [`Stop::Refill`] was for a stream that has nothing to give yet (see [`super::patience`]).
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// Offset in the (decompressed) stream of the next byte.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the buffer lies: the address of a run that was handed out, less this, is its place in the buffer.
    #[inline]
    #[must_use]
    pub fn base(&self) -> usize {
        self.held().as_ptr().addr()
    }

    #[inline]
    fn held(&self) -> &[u8] {
        self.view.as_deref().map_or(&self.buffer, View::bytes)
    }

    /// A run of the buffer by its place.
    #[cfg(test)]
    pub fn run(&self, place: usize, length: usize) -> &[u8] {
        self.held().get(place..).and_then(|rest| rest.get(..length)).unwrap_or_default()
    }

    /// What is in the buffer and was not taken yet, and its place.
    #[inline]
    #[must_use]
    pub fn unread(&self) -> (&[u8], usize) {
        (self.held().get(self.start..self.end).unwrap_or_default(), self.start)
    }

    /// Takes so many bytes of what is [`Window::unread`].
    pub fn pass(&mut self, length: usize) {
        self.advance(length.min(self.end - self.start));
        self.last = 0;
    }

    /// Keeps everything in its place until [`Window::hand_over`].
    #[inline]
    pub fn pin(&mut self) {
        self.is_pinned = true;
    }

    /// Whether what was handed out stays in its place.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.is_pinned
    }

    /// Gives the buffer away for `other`, which takes its place with the bytes that were not taken yet; or a share in the
    /// view, and an empty buffer.
    pub fn hand_over(&mut self, other: &mut Vec<u8>) -> Option<Arc<View>> {
        if let Some(view) = &self.view {
            (self.last, self.is_pinned) = (0, false);
            view.passed(self.start);
            other.clear();
            return Some(Arc::clone(view));
        }
        if other.len() > LARGEST_KEPT {
            *other = Vec::new();
        }
        let rest = self.buffer.get(self.start..self.end).unwrap_or_default();
        if other.len() < rest.len() {
            other.resize(rest.len().max(CHUNK), 0);
        }
        if let Some(front) = other.get_mut(..rest.len()) {
            front.copy_from_slice(rest);
        }
        std::mem::swap(&mut self.buffer, other);
        (self.start, self.end, self.last, self.is_pinned) = (0, self.end - self.start, 0, false);
        None
    }

    /// Where what was taken ends, if there is less of it now because the file was cut meanwhile: what was read behind that
    /// may have been zeros, and is not given out. `since` is where the last look began.
    #[must_use]
    pub fn cut_at(&self, since: u64) -> Option<u64> {
        let (Source::Mapped { mapping, .. }, Some(view)) = (&self.source, &self.view) else { return None };
        let end = mapping.size().unwrap_or_default().min(view.lost_from().unwrap_or(u64::MAX));
        if end >= self.offset {
            return None;
        }
        view.notice_loss(end.max(since));
        Some(end)
    }

    /// Whether bytes were lost under what was given out last.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        self.view.as_ref().is_some_and(|view| view.is_torn())
    }

    /// Place in the file of what was handed out at `place` of the buffer.
    #[must_use]
    pub fn offset_of(&self, place: usize) -> u64 {
        (self.offset + place as u64).saturating_sub(self.start as u64)
    }

    /// The next `length` bytes without taking them; fewer only where the stream ends.
    ///
    /// # Errors
    /// [`Stop::Unreadable`] if the stream fails before it gave that many; [`Stop::Refill`].
    #[inline]
    pub fn peek(&mut self, length: usize) -> Result<&[u8], Stop> {
        if self.end - self.start < length {
            self.fill(length)?;
        }
        let end = self.end.min(self.start.saturating_add(length));
        Ok(self.held().get(self.start..end).unwrap_or_default())
    }

    /// As much as there is of the next `length` bytes, without taking them. What keeps the rest from coming is told when that
    /// is asked for.
    pub fn look_ahead(&mut self, length: usize) -> &[u8] {
        if let Err(Stop::Unreadable { error, .. }) = self.peek(length) {
            self.source = Source::Stream(Box::new(Failed(Some(error))));
        }
        self.unread().0
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
        Ok(self.held().get(begin..begin + length))
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
        if self.is_pinned && ((self.end - self.start) as u64) < length {
            return Err(Stop::Refill);
        }
        while length > 0 {
            let here = match self.peek(length.min(CHUNK as u64) as usize) {
                Ok(bytes) => bytes.len(),
                Err(Stop::Refill) => {
                    // What is there is passed over, the rest as soon as it comes.
                    let here = self.end - self.start;
                    self.advance(here);
                    self.to_skip = length - here as u64;
                    return Ok(true);
                }
                Err(stop) => return Err(stop),
            };
            if here == 0 {
                return Ok(false);
            }
            self.advance(here);
            length -= here as u64;
        }
        Ok(true)
    }

    /// Passes over what an earlier [`Window::skip`] could not wait for.
    fn skip_on(&mut self) -> Result<(), Stop> {
        let length = std::mem::take(&mut self.to_skip);
        self.skip(length)?;
        if self.to_skip > 0 { Err(Stop::Refill) } else { Ok(()) }
    }

    fn advance(&mut self, length: usize) {
        self.start += length;
        self.offset += length as u64;
    }

    /// Reads until `length` bytes are unread or the stream ends.
    #[cold]
    fn fill(&mut self, length: usize) -> Result<(), Stop> {
        if self.is_pinned {
            return Err(Stop::Refill);
        }
        if let Source::Mapped { .. } = self.source {
            return self.look_on(length);
        }
        if self.to_skip > 0 {
            self.skip_on()?;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        self.last = 0;
        self.buffer.resize(self.buffer.len().max(length).max(CHUNK), 0);
        while self.end < length && self.read_some()? > 0 {}
        Ok(())
    }

    /// Maps the file from the next byte on.
    fn look_on(&mut self, length: usize) -> Result<(), Stop> {
        let Source::Mapped { mapping, count, counted } = &mut self.source else { return Ok(()) };
        let Ok(view) = mapping.view(self.offset, length) else { return self.read_on(length) };
        (self.start, self.end, self.last) = (0, 0, 0);
        if let Some(view) = &view {
            self.start = (self.offset - view.base()) as usize;
            self.end = view.length();
            let reached = view.base() + view.length() as u64;
            count.fetch_add(reached.saturating_sub(*counted), Ordering::Relaxed);
            *counted = reached.max(*counted);
        }
        self.view = view.map(Arc::new);
        Ok(())
    }

    /// Reads the file from the next byte on, where it cannot be mapped any more.
    #[cold]
    fn read_on(&mut self, length: usize) -> Result<(), Stop> {
        let before = std::mem::replace(&mut self.source, Source::Stream(Box::new(std::io::empty())));
        if let Source::Mapped { mapping, count, counted } = before {
            let mut stream = mapping.into_file();
            let place = stream.seek(SeekFrom::Start(self.offset));
            place.map_err(|error| Stop::Unreadable { offset: self.offset, error })?;
            count.fetch_sub(counted.saturating_sub(self.offset), Ordering::Relaxed);
            self.source = Source::Stream(Box::new(Counted { stream: Box::new(stream), count }));
        }
        (self.view, self.start, self.end) = (None, 0, 0);
        self.fill(length)
    }

    fn read_some(&mut self) -> Result<usize, Stop> {
        let Source::Stream(stream) = &mut self.source else { return Ok(0) };
        loop {
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            match stream.read(free) {
                Ok(count) => {
                    self.end += count;
                    self.is_waiting = false;
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_waiting = true;
                    return Err(Stop::Refill);
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
    fn a_pinned_window_moves_nothing_and_gives_its_buffer_away_whole() {
        let mut window = Window::new(Box::new(Dripping((0..10).collect::<Vec<u8>>().into_iter())));
        let place = window.take(3).unwrap().unwrap().as_ptr().addr();
        let place = place - window.base();
        window.pin();
        assert!(matches!(window.take(4), Err(Stop::Refill)), "only three were read so far");
        assert!(matches!(window.skip(4), Err(Stop::Refill)));
        assert_eq!((window.run(place, 3), window.offset()), (&[0, 1, 2][..], 3));
        let mut given = Vec::new();
        window.hand_over(&mut given);
        assert_eq!(given.get(place..place + 3), Some(&[0, 1, 2][..]));
        assert_eq!(window.take(7).unwrap(), Some(&[3, 4, 5, 6, 7, 8, 9][..]));
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
