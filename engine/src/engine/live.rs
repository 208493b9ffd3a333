//! The engine while it happens: a thread takes packets from a [`Source`], and others ask it how things stand.
//!
//! ```text
//! thread "pcapwatch-live":  source ──► (recent packets kept) ──► engine ──► totals
//! whoever asks:             snapshot = a copy of the totals, concluded in the asker's thread
//! ```
//!
//! The thread alone holds source and engine; between two batches it answers what it was asked. So nobody's findings,
//! reports or screens stop the capture: only the copy does, and what comes meanwhile waits in the kernel's ring.

use super::{Engine, Outcome, Totals};
use crate::capture::recent::Recent;
use crate::capture::stream::{Came, Replay, Source, SourceCounters};
use crate::capture::{Batch, SetFacts, SourceError};

use crate::settings::{HostTable, Settings};
use serde::Serialize;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the thread waits for packets before it looks whether it was asked something.
const LOOK_UP: Duration = Duration::from_millis(50);

/// Opens a source; waits for its first bytes if it must.
pub type Open = Box<dyn FnOnce() -> Result<Box<dyn Source>, SourceError> + Send>;

/// How far a live capture is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counters {
    /// Packets taken.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// TCP connections seen.
    pub connections: u64,
    /// Connections in the tables: those that go on, and the closed ones that may still tell something.
    pub tracked_connections: u64,
    /// Connections ended early for lack of room.
    pub evicted_connections: u64,
    /// First packet, ns since 1970 UTC.
    pub first_ns: Option<i64>,
    /// Last packet, ns since 1970 UTC.
    pub last_ns: Option<i64>,
    /// What the source knows.
    #[serde(flatten)]
    pub source: SourceCounters,
    /// Since the capture began.
    pub elapsed_s: f64,
    /// How long capturing stood still for the last [`Live::snapshot`].
    pub snapshot_pause_s: f64,
}

/// What is asked of the thread.
enum Request {
    Hold(Vec<HostTable>),
    Snapshot(Sender<Standing>),
    Finish(Sender<Result<Concluded, SourceError>>),
}

/// A copy of how things stand.
struct Standing {
    totals: Totals,
    facts: SetFacts,
    now_ns: Option<i64>,
    replay: Result<Box<dyn Replay>, SourceError>,
}

/// An answer, and the packets that it was made of, as far as they are still to be had.
pub struct Concluded {
    /// The answer.
    pub outcome: Outcome,
    /// For ladders.
    pub replay: Box<dyn Replay>,
}

#[derive(Default)]
struct Board {
    counters: Counters,
    is_over: bool,
    failure: Option<SourceError>,
}

#[derive(Default)]
struct Shared {
    board: Mutex<Board>,
    changed: Condvar,
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, failure: Option<SourceError>) {
        let mut board = self.board();
        board.is_over = true;
        board.failure = failure;
        drop(board);
        self.changed.notify_all();
    }
}

/// A capture that goes on in a thread of its own until it is finished, or dropped.
pub struct Live {
    shared: Arc<Shared>,
    requests: Sender<Request>,
    settings: Settings,
    begun: Instant,
}

impl Live {
    /// Begins; `open` is called in the new thread. Settings are those of [`live_settings`].
    ///
    /// # Errors
    /// [`SourceError`] if there is no thread to be had.
    pub fn start(open: Open, settings: &Settings) -> Result<Live, SourceError> {
        let settings = live_settings(settings);
        let shared = Arc::<Shared>::default();
        let (requests, inbox) = channel();
        let (given, asked) = (Arc::clone(&shared), settings.clone());
        let work = move || match open() {
            Ok(source) => Taker::new(source, &asked, given, inbox).work(),
            Err(error) => given.end(Some(error)),
        };
        let thread = std::thread::Builder::new().name("pcapwatch-live".to_owned());
        thread.spawn(work).map_err(|error| SourceError::new("live", format!("no thread for capturing: {error}")))?;
        Ok(Live { shared, requests, settings, begun: Instant::now() })
    }

    /// Waits so long, or until there is no more to come: then `false`.
    ///
    /// # Errors
    /// What ended the source before its time, or kept it from being opened.
    pub fn wait(&self, wait: Duration) -> Result<bool, SourceError> {
        let board = self.shared.board();
        let (board, _) = self
            .shared
            .changed
            .wait_timeout_while(board, wait, |board| !board.is_over)
            .unwrap_or_else(PoisonError::into_inner);
        match &board.failure {
            Some(error) => Err(error.clone()),
            None => Ok(!board.is_over),
        }
    }

    /// How far it is.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters { elapsed_s: self.begun.elapsed().as_secs_f64(), ..self.shared.board().counters.clone() }
    }

    /// What the answer would be if nothing more came: by the time of now, and without rows; a SYN that waits for its answer
    /// for less than 3 s is not called unanswered. The capture goes on.
    ///
    /// # Errors
    /// [`SourceError`] if the source failed.
    pub fn snapshot(&self) -> Result<Concluded, SourceError> {
        let Some(standing) = self.ask(Request::Snapshot)? else { return self.nothing() };
        let outcome = standing.totals.conclude(standing.facts, &self.settings, standing.now_ns)?;
        Ok(Concluded { outcome, replay: standing.replay? })
    }

    /// What hosts' kernels say, for the next answers; it takes the place of what was said before.
    pub fn hold_against(&self, tables: Vec<HostTable>) {
        // Where the capture is over there is nothing to hold it against.
        let _ = self.requests.send(Request::Hold(tables));
    }

    /// Ends the capture: the answer, as of its last packet.
    ///
    /// # Errors
    /// [`SourceError`] if rows did not fit into the temporary file.
    pub fn finish(&self) -> Result<Concluded, SourceError> {
        self.ask(Request::Finish)?.unwrap_or_else(|| self.nothing())
    }

    /// Asks the thread; `None` while the source is not open (a pipe that has said nothing yet).
    fn ask<T>(&self, request: impl FnOnce(Sender<T>) -> Request) -> Result<Option<T>, SourceError> {
        let (sender, answer) = channel();
        let gone = || SourceError::new("live", "the capture is over");
        self.requests.send(request(sender)).map_err(|_| self.shared.board().failure.clone().unwrap_or_else(gone))?;
        loop {
            match answer.recv_timeout(LOOK_UP) {
                Ok(answer) => return Ok(Some(answer)),
                Err(RecvTimeoutError::Timeout) if self.shared.board().counters.elapsed_s == 0.0 => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.shared.board().failure.clone().unwrap_or_else(gone));
                }
            }
        }
    }

    /// The answer of no packets.
    fn nothing(&self) -> Result<Concluded, SourceError> {
        let outcome = Engine::new(&self.settings).finish(SetFacts::default())?;
        Ok(Concluded { outcome, replay: Box::new(Recent::default().kept()) })
    }
}

/// One shard: the goal is less than one core, and an answer is copied from one ledger without a merge.
fn live_settings(settings: &Settings) -> Settings {
    Settings { threads: 1, ..settings.clone() }
}

/// The thread's own.
struct Taker {
    source: Box<dyn Source>,
    engine: Engine,
    recent: Option<Recent>,
    shared: Arc<Shared>,
    inbox: Receiver<Request>,
    batch: Batch,
    counters: Counters,
    /// When the last batch came.
    heard: Instant,
    /// The first file that the examples may be of.
    first_file: u32,
}

impl Taker {
    fn new(source: Box<dyn Source>, settings: &Settings, shared: Arc<Shared>, inbox: Receiver<Request>) -> Self {
        // From now on there is somebody to answer; see `Live::ask`.
        let counters = Counters { elapsed_s: f64::MIN_POSITIVE, ..Counters::default() };
        shared.board().counters = counters.clone();
        let (engine, batch, heard) = (Engine::new(settings), Batch::default(), Instant::now());
        let recent = (!source.has_replay()).then(|| Recent::new(settings.replay_bytes));
        Taker { source, engine, recent, shared, inbox, batch, counters, heard, first_file: 0 }
    }

    fn work(mut self) {
        loop {
            match self.source.next(&mut self.batch, LOOK_UP) {
                Ok(Came::Packets) => self.take(),
                // Longer than a packet waits for its copy in a tunnel.
                Ok(Came::Nothing) => self.engine.let_go_watching(&mut |_, _| ()),
                Ok(Came::Over) => return self.wait_for_the_end(None),
                Err(error) => return self.wait_for_the_end(Some(error)),
            }
            self.note();
            loop {
                match self.inbox.try_recv() {
                    Ok(Request::Hold(tables)) => self.engine.hold_against(&tables),
                    Ok(Request::Snapshot(asker)) => self.tell(&asker, true),
                    Ok(Request::Finish(asker)) => return self.conclude(&asker),
                    Err(TryRecvError::Empty) => break,
                    // Nobody will ask any more.
                    Err(TryRecvError::Disconnected) => return self.source.close(),
                }
            }
        }
    }

    fn take(&mut self) {
        self.heard = Instant::now();
        let counters = &mut self.counters;
        counters.packets += self.batch.packets.len() as u64;
        for packet in &self.batch.packets {
            counters.bytes += u64::from(packet.original_len);
            counters.first_ns = Some(counters.first_ns.map_or(packet.ts_ns, |first| first.min(packet.ts_ns)));
            counters.last_ns = Some(counters.last_ns.map_or(packet.ts_ns, |last| last.max(packet.ts_ns)));
        }
        if let Some(recent) = &mut self.recent {
            recent.keep(&self.batch);
        }
        self.engine.feed_watching(&mut self.batch, None, &mut |_, _| ());
        // A few packets a second would be reported minutes late.
        self.engine.let_old_go_watching(&mut |_, _| ());
    }

    fn note(&mut self) {
        self.engine.forget_numbers();
        if self.source.first_file() > self.first_file {
            self.first_file = self.source.first_file();
            self.engine.forget_files(self.first_file);
        }
        self.counters.source = self.source.counters();
        (self.counters.connections, self.counters.tracked_connections, self.counters.evicted_connections) =
            self.engine.connections();
        self.shared.board().counters = self.counters.clone();
    }

    fn replay(&mut self) -> Result<Box<dyn Replay>, SourceError> {
        match &self.recent {
            Some(recent) => Ok(Box::new(recent.kept())),
            None => self.source.replay(),
        }
    }

    /// The clock of the packets, as it stands: the last packet's time and what has passed since it came.
    fn now_ns(&self) -> Option<i64> {
        let since = i64::try_from(self.heard.elapsed().as_nanos()).unwrap_or(i64::MAX);
        self.counters.last_ns.map(|last| last.saturating_add(since))
    }

    fn tell(&mut self, asker: &Sender<Standing>, goes_on: bool) {
        let begun = Instant::now();
        let now_ns = self.now_ns();
        let (totals, mut facts) = (self.engine.provisional(now_ns), self.source.facts());
        facts.live.goes_on = goes_on;
        let standing = Standing { totals, facts, now_ns, replay: self.replay() };
        self.counters.snapshot_pause_s = begun.elapsed().as_secs_f64();
        self.shared.board().counters.snapshot_pause_s = self.counters.snapshot_pause_s;
        // Whoever asked may have left.
        let _ = asker.send(standing);
    }

    fn conclude(mut self, asker: &Sender<Result<Concluded, SourceError>>) {
        self.source.close();
        while let Ok(Came::Packets) = self.source.next(&mut self.batch, LOOK_UP) {
            self.take();
        }
        self.note();
        let replay = self.replay();
        let outcome = self.engine.finish(self.source.facts());
        let _ = asker.send(outcome.and_then(|outcome| Ok(Concluded { outcome, replay: replay? })));
        self.shared.end(None);
    }

    /// Nothing more comes; what was taken is still asked for.
    fn wait_for_the_end(mut self, failure: Option<SourceError>) {
        self.engine.let_go_watching(&mut |_, _| ());
        self.note();
        self.shared.end(failure);
        while let Ok(request) = self.inbox.recv() {
            match request {
                Request::Hold(tables) => self.engine.hold_against(&tables),
                Request::Snapshot(asker) => self.tell(&asker, false),
                Request::Finish(asker) => return self.conclude(&asker),
            }
        }
    }
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
