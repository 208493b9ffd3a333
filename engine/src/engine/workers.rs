//! How threads share one capture: each takes turns at reading ahead, and each works through its own inbox.
//!
//! Reading must be done in order, and so one at a time; what was read is the work of all shards. A worker that finds
//! nobody reading and little read ahead reads the next batch for all; else it takes the oldest batch of its own inbox.
//! So no thread only reads, a single thread does both in turn, and nobody waits while there is something to do.

use super::front::{Decoded, Front};
use super::shard::Shard;
use crate::capture::{Batch, CaptureSet, SourceError, View};
use crate::settings::Settings;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Batches that may wait in an inbox. No more than keep every worker busy: what waits longer leaves the cache.
const AHEAD: usize = 3;

/// How long a worker waits for something to do before it looks whether it is still wanted.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Where batches come from: the set and what decodes it, with buffers to use again.
struct Source<'s> {
    set: &'s mut CaptureSet,
    front: &'s mut Front,
    batch: Batch,
    under_way: VecDeque<Arc<Decoded>>,
}

impl Source<'_> {
    /// The next batch; `None` at the end.
    fn read(&mut self, settings: &Settings) -> Result<Option<Arc<Decoded>>, SourceError> {
        let mut decoded = self.front.ready();
        while decoded.is_none() {
            if self.set.next_batch(&mut self.batch, settings.batch_packets)? {
                let reused = self.reusable();
                self.front.decode(&mut self.batch, None, reused);
                decoded = self.front.ready();
            } else {
                self.front.let_go();
                let Some(last) = self.front.ready() else { return Ok(None) };
                decoded = Some(last);
            }
        }
        let Some(decoded) = decoded else { return Ok(None) };
        let shared = Arc::new(decoded);
        self.under_way.push_back(Arc::clone(&shared));
        Ok(Some(shared))
    }

    /// The latest batch that every worker is through with (its buffers may still be in the cache), else a new one.
    fn reusable(&mut self) -> Decoded {
        for batch in self.under_way.iter_mut().filter_map(Arc::get_mut) {
            batch.view = None;
        }
        let free = self.under_way.iter().rposition(|batch| Arc::strong_count(batch) == 1);
        free.and_then(|at| self.under_way.remove(at)).and_then(Arc::into_inner).unwrap_or_default()
    }
}

/// What the workers agree on.
struct Desk {
    inboxes: Vec<VecDeque<Arc<Decoded>>>,
    is_reading: bool,
    /// No more batches will be read.
    is_over: bool,
    /// Of a mapped file, what is being read.
    view: Option<Arc<View>>,
    /// Workers that wait: without any, nobody is told of changes (a call of the system each).
    waiting: usize,
    outcome: Result<(), SourceError>,
}

struct Office<'s> {
    source: Mutex<Source<'s>>,
    desk: Mutex<Desk>,
    changed: Condvar,
}

/// What a worker does next.
enum Task {
    /// Nothing yet; but whoever waits may have changed his mind.
    LookUp,
    Read,
    Work(Arc<Decoded>),
    /// Nothing of its own: make the reader's way easier meanwhile.
    Prepare(Arc<View>),
    Leave,
}

impl Office<'_> {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to do for worker `index`.
    fn next_task(&self, index: usize) -> Task {
        let mut desk = self.desk();
        loop {
            let most = desk.inboxes.iter().map(VecDeque::len).max().unwrap_or(0);
            let ahead = if desk.inboxes.len() > 1 { AHEAD } else { 1 };
            if !desk.is_reading && !desk.is_over && most < ahead {
                desk.is_reading = true;
                return Task::Read;
            }
            if let Some(batch) = desk.inboxes.get_mut(index).and_then(VecDeque::pop_front) {
                // The reader may have been waiting for room.
                self.tell(desk);
                return Task::Work(batch);
            }
            if desk.is_over && !desk.is_reading {
                return Task::Leave;
            }
            if let Some(view) = desk.view.take() {
                return Task::Prepare(view);
            }
            desk.waiting += 1;
            let waited = self.changed.wait_timeout(desk, LOOK_UP).unwrap_or_else(PoisonError::into_inner);
            desk = waited.0;
            desk.waiting -= 1;
            if waited.1.timed_out() {
                return Task::LookUp;
            }
        }
    }

    fn read(&self, settings: &Settings) {
        let read = self.source.lock().unwrap_or_else(PoisonError::into_inner).read(settings);
        let mut desk = self.desk();
        desk.is_reading = false;
        match read {
            Ok(Some(batch)) if !desk.is_over => {
                desk.view.clone_from(&batch.view);
                desk.inboxes.iter_mut().for_each(|inbox| inbox.push_back(Arc::clone(&batch)));
            }
            Ok(_) => desk.is_over = true,
            Err(error) => (desk.is_over, desk.outcome) = (true, Err(error)),
        }
        self.tell(desk);
    }

    /// Brings in a piece of what will be read, and puts the view back for more, unless there is a newer one.
    fn prepare(&self, view: Arc<View>) {
        if view.prepare() {
            self.desk().view.get_or_insert(view);
        }
    }

    /// Tells those who wait that something changed.
    fn tell(&self, desk: MutexGuard<'_, Desk>) {
        let is_anybody_waiting = desk.waiting > 0;
        drop(desk);
        if is_anybody_waiting {
            self.changed.notify_all();
        }
    }

    /// Nothing more is wanted.
    fn close(&self) {
        let mut desk = self.desk();
        desk.is_over = true;
        desk.is_reading = false;
        desk.inboxes.iter_mut().for_each(VecDeque::clear);
        self.tell(desk);
    }

    /// Works until there is no more; `go_on` is asked after each step.
    fn work(&self, index: usize, shard: &mut Shard, settings: &Settings, go_on: &mut impl FnMut() -> bool) {
        let _guard = CloseOnPanic(self);
        loop {
            match self.next_task(index) {
                Task::Read => self.read(settings),
                Task::Work(batch) => shard.feed(&batch, settings, &mut |_, _| ()),
                Task::Prepare(view) => self.prepare(view),
                Task::LookUp => {}
                // Here and not by whoever puts the answers together: of many clients there are many connections left.
                Task::Leave => return shard.finish(),
            }
            // Once rows are lost the answer will be that error: nothing more need be read.
            if shard.collector.has_failed() || !go_on() {
                return self.close();
            }
        }
    }
}

/// A worker that panics must not leave the others waiting for it; the scope then passes the panic on.
struct CloseOnPanic<'a, 's>(&'a Office<'s>);

impl Drop for CloseOnPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close();
        }
    }
}

/// Reads a set to its end into the shards, and finishes those, one thread for each, this one among them. `progress` is asked in this thread
/// now and then whether to go on, with bytes read, bytes in all and packets read.
///
/// # Errors
/// [`SourceError`] if a file cannot be opened again; what was read before it stays.
pub fn run(
    set: &mut CaptureSet,
    front: &mut Front,
    shards: &mut [Shard],
    settings: &Settings,
    progress: &mut impl FnMut(u64, u64, u64) -> bool,
) -> Result<bool, SourceError> {
    let gauge = set.gauge();
    let inboxes = shards.iter().map(|_| VecDeque::new()).collect();
    let office = Office {
        source: Mutex::new(Source { set, front, batch: Batch::default(), under_way: VecDeque::new() }),
        desk: Mutex::new(Desk { inboxes, is_reading: false, is_over: false, view: None, waiting: 0, outcome: Ok(()) }),
        changed: Condvar::new(),
    };
    let mut wanted = true;
    let mut own_steps = || {
        let (done, total, packets) = gauge.read();
        wanted = progress(done, total, packets);
        wanted
    };
    std::thread::scope(|scope| {
        let mut numbered = shards.iter_mut().enumerate();
        let mine = numbered.next();
        for (index, shard) in numbered {
            let office = &office;
            scope.spawn(move || office.work(index, shard, settings, &mut || true));
        }
        if let Some((index, shard)) = mine {
            office.work(index, shard, settings, &mut own_steps);
        }
    });
    let desk = office.desk.into_inner().unwrap_or_else(PoisonError::into_inner);
    desk.outcome.map(|()| wanted)
}
