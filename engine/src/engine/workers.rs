//! How threads share one capture: each takes turns at reading ahead, and each works through its own inbox.
//!
//! Reading must be done in order, and so one at a time; so must decoding and dealing what was read, which is the work of
//! all shards then. A worker that finds nobody dealing and little dealt ahead deals the next batch for all, or reads it;
//! else it takes the oldest batch of its own inbox. While one deals another may read on. So no thread only reads, a single
//! thread does all in turn, and nobody waits while there is something to do.

use super::census::Census;
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

/// Batches that may be read and not dealt: one, which whoever deals next finds in the cache.
const READ_AHEAD: usize = 1;

/// What decodes batches and deals them out, in order, with buffers to use again.
struct Dealer<'s> {
    front: &'s mut Front,
    under_way: VecDeque<Arc<Decoded>>,
}

impl Dealer<'_> {
    /// What can be worked on once this batch is decoded; or, if there is none any more, all that waited for one.
    fn deal(&mut self, batch: Option<&mut Batch>) -> Vec<Arc<Decoded>> {
        match batch {
            Some(batch) => {
                let reused = self.reusable();
                self.front.decode(batch, None, reused);
            }
            None => self.front.let_go(),
        }
        let ready: Vec<_> = std::iter::from_fn(|| self.front.ready()).map(Arc::new).collect();
        self.under_way.extend(ready.iter().cloned());
        ready
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

/// What only one may do at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Free,
    Taken,
    /// There is no more to do.
    Over,
}

/// What the workers agree on.
struct Desk {
    /// Batches that were read, to be dealt in this order, and buffers for more.
    read: VecDeque<Batch>,
    spare: Vec<Batch>,
    inboxes: Vec<VecDeque<Arc<Decoded>>>,
    reading: Turn,
    dealing: Turn,
    /// Of a mapped file, what is being read.
    view: Option<Arc<View>>,
    /// Workers that wait: without any, nobody is told of changes (a call of the system each).
    waiting: usize,
    outcome: Result<(), SourceError>,
}

impl Desk {
    /// The next batch to deal, if it is anybody's turn; after the last one what waited for more.
    fn next_to_deal(&mut self) -> Option<Task> {
        if self.dealing != Turn::Free || (self.read.is_empty() && self.reading != Turn::Over) {
            return None;
        }
        self.dealing = Turn::Taken;
        Some(self.read.pop_front().map_or(Task::LetGo, Task::Deal))
    }

    /// Room for the next batch to read, if it is anybody's turn and not enough was read.
    fn room_to_read(&mut self) -> Option<Batch> {
        if self.reading != Turn::Free || self.read.len() >= READ_AHEAD {
            return None;
        }
        self.reading = Turn::Taken;
        Some(self.spare.pop().unwrap_or_default())
    }
}

struct Office<'s> {
    /// Where shards may wait for each other, too.
    census: Option<Arc<Census>>,
    set: Mutex<&'s mut CaptureSet>,
    dealer: Mutex<Dealer<'s>>,
    desk: Mutex<Desk>,
    changed: Condvar,
}

/// What a worker does next.
enum Task {
    /// Nothing yet; but whoever waits may have changed his mind.
    LookUp,
    Read(Batch),
    Deal(Batch),
    /// Nothing more was read: what waits for its copies is ready.
    LetGo,
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
            let has_room = most < if desk.inboxes.len() > 1 { AHEAD } else { 1 };
            if has_room && let Some(task) = desk.next_to_deal() {
                return task;
            }
            // While somebody deals there will be work: what there is goes before reading more.
            if has_room
                && desk.dealing != Turn::Taken
                && let Some(batch) = desk.room_to_read()
            {
                return Task::Read(batch);
            }
            if let Some(batch) = desk.inboxes.get_mut(index).and_then(VecDeque::pop_front) {
                // Others may have been waiting for room.
                self.tell(desk);
                return Task::Work(batch);
            }
            if has_room && let Some(batch) = desk.room_to_read() {
                return Task::Read(batch);
            }
            if desk.dealing == Turn::Over {
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

    fn read(&self, mut batch: Batch, settings: &Settings) {
        let read =
            self.set.lock().unwrap_or_else(PoisonError::into_inner).next_batch(&mut batch, settings.batch_packets);
        let mut desk = self.desk();
        desk.reading = Turn::Over;
        match read {
            Ok(true) if desk.dealing != Turn::Over => {
                desk.reading = Turn::Free;
                desk.view.clone_from(&batch.view);
                desk.read.push_back(batch);
            }
            Ok(_) => {}
            Err(error) => desk.outcome = Err(error),
        }
        self.tell(desk);
    }

    fn deal(&self, mut batch: Option<Batch>) {
        let ready = self.dealer.lock().unwrap_or_else(PoisonError::into_inner).deal(batch.as_mut());
        let mut desk = self.desk();
        if desk.dealing != Turn::Over {
            desk.dealing = if batch.is_some() { Turn::Free } else { Turn::Over };
            for batch in ready {
                desk.inboxes.iter_mut().for_each(|inbox| inbox.push_back(Arc::clone(&batch)));
            }
        }
        desk.spare.extend(batch);
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
        (desk.reading, desk.dealing) = (Turn::Over, Turn::Over);
        desk.read.clear();
        desk.inboxes.iter_mut().for_each(VecDeque::clear);
        self.tell(desk);
        if let Some(census) = &self.census {
            census.close();
        }
    }

    /// Works until there is no more; `go_on` is asked after each step.
    fn work(&self, index: usize, shard: &mut Shard, settings: &Settings, go_on: &mut impl FnMut() -> bool) {
        let _guard = CloseOnPanic(self);
        loop {
            match self.next_task(index) {
                Task::Read(batch) => self.read(batch, settings),
                Task::Deal(batch) => self.deal(Some(batch)),
                Task::LetGo => self.deal(None),
                Task::Work(batch) => shard.feed(&batch, settings, &mut |_, _| ()),
                Task::Prepare(view) => self.prepare(view),
                Task::LookUp => {}
                // Here and not by whoever puts the answers together: of many clients there are many connections left.
                Task::Leave => return shard.finish(settings),
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
        census: shards.first().and_then(Shard::census),
        set: Mutex::new(set),
        dealer: Mutex::new(Dealer { front, under_way: VecDeque::new() }),
        desk: Mutex::new(Desk {
            read: VecDeque::new(),
            spare: Vec::new(),
            inboxes,
            reading: Turn::Free,
            dealing: Turn::Free,
            view: None,
            waiting: 0,
            outcome: Ok(()),
        }),
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
