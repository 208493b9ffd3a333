//! A file's bytes where the page cache has them: views of a mapped file, so that nobody copies payload that nobody reads.
//! Of a bulk transfer one byte in fifteen is looked at.
//!
//! What was mapped can go: somebody truncates the file, or the disk fails. Then the page that is touched is not there
//! and the system sends SIGBUS, which ends a process. So this file has a handler for it, as Wayland's libraries have for the memory that
//! they share: where the address is in one of our views, the rest of that view becomes zeros and that is noted, for the
//! reader to ask. Any other SIGBUS goes to whoever had the signal before. The rest of the page in which a cut file ends
//! becomes zeros without a signal: so whoever ends a view looks at the file's length once more. This is one of the few
//! files with `unsafe`; each block has its reason.
#![allow(unsafe_code, reason = "a file mapping, and the signal that tells of its loss")]

use libc::{c_int, c_void, sigaction, siginfo_t};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes mapped at a time: enough that making and ending a view do not matter, few enough that what is mapped at once (it
/// counts as the process's memory) does not either.
const VIEW: usize = 8 << 20;
/// Bytes whose pages are brought in at a time, by whoever has nothing else to do.
const PIECE: usize = 256 << 10;

/// A regular file that is read by views.
#[derive(Debug)]
pub struct Mapping {
    file: Arc<File>,
    is_torn: Arc<AtomicBool>,
}

impl Mapping {
    /// Of a file that is open.
    #[must_use]
    pub fn new(file: File) -> Mapping {
        Mapping { file: Arc::new(file), is_torn: Arc::default() }
    }

    /// The file, to be read.
    #[must_use]
    pub fn into_file(self) -> Arc<File> {
        self.file
    }

    /// Bytes the file has now.
    ///
    /// # Errors
    /// The system's.
    pub fn size(&self) -> io::Result<u64> {
        size(&self.file)
    }

    /// Set for good once a view is dropped of which bytes were lost under a packet.
    #[must_use]
    pub fn torn(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_torn)
    }

    /// The bytes from `offset` on: `least` of them or more, fewer only where the file ends; `None` at its end.
    ///
    /// # Errors
    /// The system's, where the file cannot be mapped; all views that there may be are in use.
    pub fn view(&self, offset: u64, least: usize) -> io::Result<Option<View>> {
        let base = offset - offset % page() as u64;
        let lead = (offset - base) as usize;
        let left = self.size()?.saturating_sub(base);
        let length = left.min(lead.saturating_add(least).max(VIEW) as u64) as usize;
        if length <= lead {
            return Ok(None);
        }
        View::new(&self.file, base, length, Arc::clone(&self.is_torn)).map(Some)
    }
}

fn size(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.len())
}

/// A run of a file's bytes, mapped as long as this lives.
#[derive(Debug)]
pub struct View {
    memory: NonNull<u8>,
    length: usize,
    /// Place of the first byte in the file, a multiple of the page size.
    base: u64,
    /// The reader is beyond this place, or somebody has brought in the pages up to it.
    prepared: AtomicUsize,
    /// From this place in the file on, lost bytes were noticed by the reader.
    noticed: AtomicU64,
    /// What lies before this place in the file was given out.
    given: AtomicU64,
    file: Arc<File>,
    slot: &'static Slot,
    is_torn: Arc<AtomicBool>,
}

// SAFETY: the memory is only read, through shared references, and the mapping belongs to no thread.
unsafe impl Send for View {}
// SAFETY: as above.
unsafe impl Sync for View {}

impl View {
    fn new(file: &Arc<File>, base: u64, length: usize, is_torn: Arc<AtomicBool>) -> io::Result<View> {
        own_the_signal()?;
        let slot = Slot::free().ok_or(io::ErrorKind::ResourceBusy)?;
        let (flags, offset) = (libc::MAP_SHARED, base.cast_signed());
        // SAFETY: a new mapping at a place of the system's choice, of a descriptor that is open; nothing else is there.
        let memory = unsafe { libc::mmap(ptr::null_mut(), length, libc::PROT_READ, flags, file.as_raw_fd(), offset) };
        let memory = if memory == libc::MAP_FAILED { None } else { NonNull::new(memory.cast::<u8>()) };
        let Some(memory) = memory else {
            let error = io::Error::last_os_error();
            slot.release();
            return Err(error);
        };
        slot.hold(memory.as_ptr().addr(), length);
        let (prepared, noticed, given) = (AtomicUsize::new(0), AtomicU64::new(u64::MAX), AtomicU64::new(base));
        Ok(View { memory, length, base, prepared, noticed, given, file: Arc::clone(file), slot, is_torn })
    }

    /// The bytes. Who else may write the file may change them meanwhile, as he may change what `read()` gives from one
    /// call to the next: nothing is believed of them that was not checked on the copy it is used from, or on a slice.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is readable, that long, lives as long as `self`, and nobody writes through it. A page that
        // is lost is replaced by zeros before the read that found it missing goes on.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.length) }
    }

    /// Place in the file of the first byte.
    #[inline]
    #[must_use]
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// Bytes that there are, from [`View::base`] on.
    #[inline]
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// The reader has come to a place: what is before it is given out, and needs no preparing.
    pub fn passed(&self, place: usize) {
        self.given.fetch_max(self.base + place as u64, Ordering::Release);
        self.prepared.fetch_max(place, Ordering::Relaxed);
    }

    /// Brings in the pages of a piece that is still to be read, in place of the reader, for whom each costs a fault; `false`
    /// if there is none left.
    pub fn prepare(&self) -> bool {
        let from = self.prepared.fetch_add(PIECE, Ordering::Relaxed).next_multiple_of(PIECE);
        if from >= self.length {
            return false;
        }
        let (piece, length) = (self.memory.as_ptr().wrapping_add(from), PIECE.min(self.length - from));
        // SAFETY: advice on a part of the mapping, which lives; what cannot be brought in gives an error here and no signal.
        unsafe { libc::madvise(piece.cast(), length, libc::MADV_POPULATE_READ) == 0 }
    }

    /// Place in the file from which on bytes were lost, and read as zeros.
    #[must_use]
    pub fn lost_from(&self) -> Option<u64> {
        let lost = self.slot.lost.load(Ordering::Acquire);
        (lost != 0).then(|| self.base + lost.saturating_sub(self.memory.as_ptr().addr()) as u64)
    }
}

impl View {
    /// The reader knows that there is nothing from `offset` on, and gives no packet out that begins there.
    pub fn notice_loss(&self, offset: u64) {
        self.noticed.store(offset, Ordering::Release);
    }

    /// Whether bytes were lost under a packet that was given out: somebody missed a page of them, or the file ends before
    /// them by now, and what its last page holds behind its end reads as zeros.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        let noticed = self.noticed.load(Ordering::Acquire);
        let given = self.given.load(Ordering::Acquire).min(noticed);
        self.lost_from().is_some_and(|lost| lost < noticed) || size(&self.file).is_ok_and(|size| size < given)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if self.is_torn() {
            self.is_torn.store(true, Ordering::Release);
        }
        // Before the memory goes: another view may get the same place.
        self.slot.release();
        // SAFETY: made by `new`, so long, and nobody else has it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.length) };
    }
}

fn page() -> usize {
    // SAFETY: asks for a number.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(1 << 16)
}

/// Most views at one time, in all of the process. An analysis has one for its reader, and one more for each batch under way.
const SLOTS: usize = 64;
/// A slot's start while it is taken and holds nothing yet.
const TAKEN: usize = 1;

/// Where a view is, for the signal's handler, which must neither wait nor allocate.
#[derive(Debug)]
struct Slot {
    /// Address of the first byte; 0: free.
    start: AtomicUsize,
    /// Address behind the last byte.
    end: AtomicUsize,
    /// Address of the first byte that was lost; 0: none.
    lost: AtomicUsize,
}

static SLOTS_IN_USE: [Slot; SLOTS] =
    [const { Slot { start: AtomicUsize::new(0), end: AtomicUsize::new(0), lost: AtomicUsize::new(0) } }; SLOTS];

impl Slot {
    fn free() -> Option<&'static Slot> {
        let take = |slot: &&Slot| slot.start.compare_exchange(0, TAKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        SLOTS_IN_USE.iter().find(take)
    }

    fn hold(&self, start: usize, length: usize) {
        self.lost.store(0, Ordering::Relaxed);
        self.end.store(start + length, Ordering::Release);
        self.start.store(start, Ordering::Release);
    }

    fn release(&self) {
        self.start.store(0, Ordering::Release);
    }

    /// Nothing is there from `address` to the end. Two threads may find that out at a time.
    fn note_lost(&self, address: usize) {
        let earlier = |lost: usize| (lost == 0 || address < lost).then_some(address);
        // An error says that it was lost even earlier.
        let _ = self.lost.fetch_update(Ordering::AcqRel, Ordering::Acquire, earlier);
    }

    /// The end of the view that holds `address`. Views that live do not overlap; the second look at the start leaves out
    /// one that changed between the two.
    fn end_around(&self, address: usize) -> Option<usize> {
        let start = self.start.load(Ordering::Acquire);
        let end = self.end.load(Ordering::Acquire);
        let holds = start > TAKEN && (start..end).contains(&address);
        (holds && self.start.load(Ordering::Acquire) == start).then_some(end)
    }
}

/// Who had the signal before; each is asked once.
static BEFORE: AtomicPtr<sigaction> = AtomicPtr::new(ptr::null_mut());
/// Held while the handler is looked at.
static OWNING: Mutex<()> = Mutex::new(());

/// Sees to it that the handler is ours: looked at for each view, as others (Python's `faulthandler`) may take it.
fn own_the_signal() -> io::Result<()> {
    let _only_one = OWNING.lock().unwrap_or_else(PoisonError::into_inner);
    let ours = on_bus_error as extern "C" fn(c_int, *mut siginfo_t, *mut c_void) as usize;
    // SAFETY: a struct of numbers for which zeros are a value, and calls that read and write such structs of ours.
    unsafe {
        let mut now: sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut now) != 0 {
            return Err(io::Error::last_os_error());
        }
        if now.sa_sigaction == ours {
            return Ok(());
        }
        let mut action: sigaction = std::mem::zeroed();
        action.sa_sigaction = ours;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // Kept for good: a handler may be reading it.
        BEFORE.store(Box::into_raw(Box::new(now)), Ordering::Release);
        if libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// SIGBUS: a page of a mapping is not there. Only reads atomics and calls the system, as a handler must.
extern "C" fn on_bus_error(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the system gives a valid `info` to a handler that asked for it, and `errno` belongs to this thread.
    let (code, address, errno) = unsafe { ((*info).si_code, (*info).si_addr().addr(), *libc::__errno_location()) };
    // A code of the system's own: what another process sends has no address.
    let mut of_system = SLOTS_IN_USE.iter().filter(|_| code > 0);
    let found = of_system.find_map(|slot| Some((slot, slot.end_around(address)?)));
    match found {
        Some((slot, end)) if put_zeros(address - address % page(), end) => slot.note_lost(address - address % page()),
        _ => pass_on(signal, info, context),
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Puts zeros in the place of the pages from `from` to `end`.
fn put_zeros(from: usize, end: usize) -> bool {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    let place = ptr::with_exposed_provenance_mut::<c_void>(from);
    // SAFETY: these pages are the end of a view of ours, whose reader is this thread, stopped in the middle of a read: the
    // view lives. Zeros in place of lost bytes are bytes as good as any.
    unsafe { libc::mmap(place, end - from, libc::PROT_READ, flags, -1, 0) != libc::MAP_FAILED }
}

/// A SIGBUS that is not ours: whoever had the signal before gets it, once; then it ends the process, as it would have.
fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let before = BEFORE.swap(ptr::null_mut(), Ordering::AcqRel);
    // SAFETY: what was stored in `BEFORE` is never freed. A handler is called as its flags say it wants to be: the
    // system had its address under these flags.
    unsafe {
        let handler = before.as_ref().map_or(libc::SIG_DFL, |action| action.sa_sigaction);
        let flags = before.as_ref().map_or(0, |action| action.sa_flags);
        if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        } else if flags & libc::SA_SIGINFO != 0 {
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = std::mem::transmute(handler);
            handler(signal, info, context);
        } else {
            let handler: extern "C" fn(c_int) = std::mem::transmute(handler);
            handler(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::forge::Folder;
    use crate::capture::window::Window;
    use std::fs;
    use std::process::Command;

    fn mapped(name: &str, bytes: &[u8]) -> (Folder, File, Mapping) {
        let folder = Folder::new(name);
        let path = folder.write("a", bytes);
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        (folder, file, Mapping::new(File::open(path).unwrap()))
    }

    #[test]
    fn a_view_holds_the_bytes_from_its_offset_on() {
        let bytes: Vec<u8> = (0..3 * page()).map(|at| (at % 251) as u8).collect();
        let (_folder, _, mapping) = mapped("view", &bytes);
        for offset in [0, 1, page() - 1, page(), 2 * page() + 7, bytes.len() - 1] {
            let view = mapping.view(offset as u64, 1).unwrap().unwrap();
            let lead = offset - usize::try_from(view.base()).unwrap();
            assert_eq!(view.bytes().get(lead..), bytes.get(offset..), "{offset}");
            assert_eq!(view.lost_from(), None);
        }
        assert!(mapping.view(bytes.len() as u64, 1).unwrap().is_none());
        assert!(mapping.view(bytes.len() as u64 + 1_000_000, 1).unwrap().is_none());
    }

    /// What was lost reads as zeros, what is there reads as it is, and the file says that it was torn.
    #[test]
    fn a_file_truncated_under_a_view_tears_it_and_ends_nothing() {
        let (_folder, file, mapping) = mapped("torn", &vec![7; 64 * page()]);
        let view = mapping.view(0, 1).unwrap().unwrap();
        let other = mapping.view(0, 1).unwrap().unwrap();
        file.set_len(page() as u64 * 3 / 2).unwrap();
        let sum: usize = view.bytes().iter().map(|&byte| usize::from(byte)).sum();
        assert_eq!(sum, 7 * page() * 3 / 2);
        assert_eq!(view.lost_from(), Some(2 * page() as u64), "the rest of the last page reads as zeros anyway");
        assert_eq!(other.lost_from(), None, "nobody missed its bytes yet");
        assert!(!mapping.torn().load(Ordering::Acquire));
        drop(view);
        assert!(mapping.torn().load(Ordering::Acquire));
        assert_eq!(mapping.size().unwrap(), page() as u64 * 3 / 2);
    }

    /// The zeros behind the end of a cut file's last page send no signal; its length tells, but only of what was given out.
    #[test]
    fn zeros_in_the_last_page_tear_a_view_whose_packets_they_are_in() {
        for (given, noticed, torn) in
            [(100, None, false), (101, None, true), (700, None, true), (700, Some(100), false)]
        {
            let (_folder, file, mapping) = mapped(&format!("last-{given}-{torn}"), &[7; 700]);
            let view = mapping.view(0, 1).unwrap().unwrap();
            view.passed(given);
            file.set_len(100).unwrap();
            assert_eq!(view.bytes().get(99..102), Some(&[7, 0, 0][..]));
            assert_eq!(view.lost_from(), None, "no page is gone");
            noticed.into_iter().for_each(|offset| view.notice_loss(offset));
            assert_eq!(view.is_torn(), torn, "{given} {noticed:?}");
            drop(view);
            assert_eq!(mapping.torn().load(Ordering::Acquire), torn, "{given} {noticed:?}");
        }
    }

    /// Runs a test of this file again as a process of its own, which it shall end with; gives how that ended.
    fn alone(name: &str) -> Option<std::process::Output> {
        if std::env::var_os("PCAPWATCH_ALONE").is_some() {
            return None;
        }
        let name = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
        let this = std::env::current_exe().unwrap();
        Some(Command::new(this).args(["--exact", &name]).env("PCAPWATCH_ALONE", "1").output().unwrap())
    }

    /// In a process without other tests that have views.
    #[test]
    fn views_are_bounded_and_their_places_used_again() {
        if let Some(ended) = alone("views_are_bounded_and_their_places_used_again") {
            return assert!(ended.status.success(), "{ended:?}");
        }
        let (_folder, _, mapping) = mapped("many", b"x");
        for _ in 0..2 {
            let all: Vec<View> = std::iter::from_fn(|| mapping.view(0, 1).ok().flatten()).take(SLOTS + 1).collect();
            assert_eq!(all.len(), SLOTS);
            assert_eq!(mapping.view(0, 1).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        }
        let bytes: Vec<u8> = (0..3 * VIEW).map(|at| (at % 251) as u8).collect();
        let (_folder, _, mapping_of_many) = mapped("read-on", &bytes);
        let count = Arc::default();
        let mut window = Window::new(Box::new(&[][..]));
        window.map(mapping_of_many, Arc::clone(&count));
        let mut read = window.take(VIEW / 2).unwrap().unwrap().to_vec();
        let _all: Vec<View> = std::iter::from_fn(|| mapping.view(0, 1).ok().flatten()).collect();
        while let Some(some) = window.take(VIEW / 4).unwrap() {
            read.extend(some);
        }
        assert!(read == bytes, "what cannot be mapped any more is read");
        assert_eq!(count.load(Ordering::Relaxed), bytes.len() as u64);
    }

    /// Any other SIGBUS ends the process as if nobody had asked for the signal.
    #[test]
    fn a_signal_that_is_not_ours_is_passed_on() {
        if let Some(ended) = alone("a_signal_that_is_not_ours_is_passed_on") {
            let signal = std::os::unix::process::ExitStatusExt::signal(&ended.status);
            return assert_eq!(signal, Some(libc::SIGBUS), "{ended:?}");
        }
        let (_folder, file, mapping) = mapped("foreign", b"x");
        let _view = mapping.view(0, 1).unwrap();
        let (flags, fd) = (libc::MAP_SHARED, mapping.file.as_raw_fd());
        // SAFETY: a mapping of its own, that nobody told us of, without a byte in it: the read ends the process.
        unsafe {
            let foreign = libc::mmap(ptr::null_mut(), page(), libc::PROT_READ, flags, fd, 0);
            file.set_len(0).unwrap();
            ptr::read_volatile(foreign.cast::<u8>());
        }
    }
}
