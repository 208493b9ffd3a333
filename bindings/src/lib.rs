//! The module `pcapwatch._engine`: conversion only.

mod capture;
mod column;
mod connections;
mod exchanges;
mod live;
mod patient;

use arrow_array::RecordBatchIterator;
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_schema::{ArrowError, Schema};
use column::{Column, ROWS_AT_ONCE, next_batch, schema};
use pcapwatch_engine::capture::stream::Replay;
use pcapwatch_engine::capture::write::write_again;
use pcapwatch_engine::engine::{self, Outcome};
use pcapwatch_engine::ladder::{self, Target};
use pcapwatch_engine::rows::{Merge, Row, Sorted};
use pcapwatch_engine::settings::Settings;
use pcapwatch_engine::tcp::state::TRANSITIONS;
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyKeyboardInterrupt, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyString};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

create_exception!(
    _engine,
    SourceError,
    PyException,
    "A file or stream that is no capture, or cannot be read: one line."
);

/// What one analysis found.
#[pyclass(frozen, module = "pcapwatch._engine")]
struct Analysis {
    outcome: Arc<Outcome>,
    settings: Settings,
    /// For a second look.
    packets: Mutex<Box<dyn Replay>>,
}

#[pymethods]
impl Analysis {
    /// The Summary as JSON text. Where there is no memory for it, that is an error like any other.
    fn summary_json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let json = serde_json::to_vec(&self.outcome.summary).map_err(|e| PyValueError::new_err(e.to_string()))?;
        PyString::from_bytes(py, &json)
    }

    /// One row per connection, if kept.
    #[getter]
    fn connections(&self) -> Table {
        Table { outcome: Arc::clone(&self.outcome), kind: Kind::Connections }
    }

    /// One row per HTTP exchange, if kept.
    #[getter]
    fn exchanges(&self) -> Table {
        Table { outcome: Arc::clone(&self.outcome), kind: Kind::Exchanges }
    }

    /// The decryption secrets that the files carry, as (type, bytes), file by file; what is beyond the limits is left out.
    fn secrets<'py>(&self, py: Python<'py>) -> Vec<(&'static str, Bound<'py, PyBytes>)> {
        let secrets = self.outcome.summary.capture.files.iter().flat_map(|file| &file.secrets);
        secrets.map(|secret| (secret.kind, PyBytes::new(py, &secret.bytes))).collect()
    }

    /// Writes the packets that can still be read as one pcapng file; says how many they are.
    #[pyo3(signature = (path, passed=None))]
    #[allow(clippy::needless_pass_by_value, reason = "as the call from Python hands them")]
    fn write_packets(&self, py: Python<'_>, path: PathBuf, passed: Option<String>) -> PyResult<u64> {
        let files = &self.outcome.summary.capture.files;
        let written = py.detach(|| {
            let packets = self.packets.lock().unwrap_or_else(PoisonError::into_inner);
            let mut file = std::fs::File::create(&path)?;
            write_again(&**packets, &self.settings, files, passed.as_deref(), &mut file)
        });
        Ok(written?)
    }

    /// Ladders of connections by number, as JSON text, in the order asked for, each of at most so many rows; unknown
    /// numbers are left out.
    #[pyo3(signature = (connections, rows = 400))] // [`ladder::MAX_ROWS`]: a name is not shown to Python
    #[allow(clippy::needless_pass_by_value, reason = "as the call from Python hands it")]
    fn ladders_json(&self, py: Python<'_>, connections: Vec<u64>, rows: usize) -> PyResult<String> {
        let found: Result<Vec<_>, _> = connections.iter().map(|&number| target(&self.outcome, number)).collect();
        let targets: Vec<Target> = found.map_err(source_error)?.into_iter().flatten().collect();
        if targets.is_empty() {
            return Ok("[]".to_owned());
        }
        let ladders = py
            .detach(|| {
                let packets = self.packets.lock().unwrap_or_else(PoisonError::into_inner);
                ladder::draw(&**packets, &targets, rows, &self.outcome, &self.settings)
            })
            .map_err(source_error)?;
        serde_json::to_string(&ladders).map_err(|e| PyValueError::new_err(e.to_string()))
    }
}

/// A connection that can be drawn, by its number: those kept, and the exemplars.
fn target(outcome: &Outcome, number: u64) -> Result<Option<Target>, pcapwatch_engine::capture::SourceError> {
    let exemplars = || outcome.summary.pairs.iter().flat_map(|pair| pair.exemplars.values().flatten());
    let exemplar = exemplars().find(|exemplar| exemplar.connection == number).map(|exemplar| exemplar.sight.clone());
    let sight = match exemplar {
        Some(sight) => Some(sight),
        None => outcome.connection(number)?.as_ref().map(Into::into),
    };
    Ok(sight.map(|sight| Target { connection: number, sight }))
}

#[derive(Clone, Copy)]
enum Kind {
    Connections,
    Exchanges,
}

/// A table that speaks the Arrow PyCapsule interface.
#[pyclass(frozen, module = "pcapwatch._engine")]
struct Table {
    outcome: Arc<Outcome>,
    kind: Kind,
}

#[pymethods]
impl Table {
    fn __len__(&self) -> usize {
        match self.kind {
            Kind::Connections => self.outcome.connections.len(),
            Kind::Exchanges => self.outcome.exchanges.len(),
        }
    }

    /// The table as an Arrow stream of record batches.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema); // a request, which a producer may ignore
        let outcome = Arc::clone(&self.outcome);
        let stream = match self.kind {
            Kind::Connections => {
                let table = Arc::clone(&outcome.connections);
                stream(connections::COLUMNS, &table, move |record| connections::Row::new(&outcome, record))
            }
            Kind::Exchanges => {
                let table = Arc::clone(&outcome.exchanges);
                stream(exchanges::COLUMNS, &table, move |exchange| exchanges::Row::new(&outcome, exchange))
            }
        };
        PyCapsule::new_with_value(py, stream?, c"arrow_array_stream")
    }
}

/// Rows as a C stream. One thread reads them, another makes batches of their cells, while the reader has the last batch in
/// hand; hardly more is made ahead, so that the table is never in memory.
fn stream<T: Row, R: column::Timed + Send + 'static>(
    columns: &'static [Column<R>],
    table: &Arc<Sorted<T>>,
    row: impl Fn(T) -> R + Send + 'static,
) -> io::Result<FFI_ArrowArrayStream>
where
    Merge<T>: Send + 'static,
{
    let schema: Arc<Schema> = schema(columns);
    let made = Arc::clone(&schema);
    let mut next = table.read();
    let mut next_few = move || {
        let mut few = Vec::with_capacity(ROWS_AT_ONCE);
        while few.len() < ROWS_AT_ONCE && next.step(|record| few.push(row(record)))? {}
        Ok((!few.is_empty()).then_some(few))
    };
    let failed = |error: io::Error| ArrowError::ExternalError(Box::new(engine::rows_error(&error)));
    let mut rows = in_a_thread("rows", 4, move || next_few().map_err(failed).transpose())?.into_iter();
    let batches = in_a_thread("cells", 1, move || next_batch(columns, &made, &mut rows).transpose())?;
    Ok(FFI_ArrowArrayStream::new(Box::new(RecordBatchIterator::new(batches.into_iter(), schema))))
}

/// What a thread of its own makes, so many ahead. It ends when there is no more, after an error, or when nobody takes it.
fn in_a_thread<T: Send + 'static, E: Send + 'static>(
    name: &str,
    ahead: usize,
    mut make: impl FnMut() -> Option<Result<T, E>> + Send + 'static,
) -> io::Result<Receiver<Result<T, E>>> {
    let (sender, taken) = sync_channel(ahead);
    let work = move || {
        while let Some(next) = make() {
            let last = next.is_err();
            if sender.send(next).is_err() || last {
                return;
            }
        }
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
    Ok(taken)
}

#[allow(clippy::needless_pass_by_value, reason = "as `map_err` hands it")]
fn source_error(error: pcapwatch_engine::capture::SourceError) -> PyErr {
    SourceError::new_err(error.to_string())
}

/// Between two looks at Python: a signal is noticed and the bar drawn this often, and the reading thread takes the
/// interpreter's lock no more than that, however fast the batches come.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Says when Python is to be looked at: at once, and then every [`LOOK_EVERY`].
#[derive(Default)]
struct Pace(Option<Instant>);

impl Pace {
    fn due(&mut self, now: Instant) -> bool {
        let due = self.0.is_none_or(|last| now.duration_since(last) >= LOOK_EVERY);
        if due {
            self.0 = Some(now);
        }
        due
    }
}

fn parse_settings(json: &str) -> PyResult<Settings> {
    serde_json::from_str(json).map_err(|e| PyValueError::new_err(format!("settings: {e}")))
}

/// Reads `paths` as one capture. `settings_json` holds what differs from [`default_settings_json`]; `progress` is called
/// at most ten times a second with bytes read, bytes in all (0 if unknown) and packets read; what it raises ends the analysis.
#[pyfunction]
#[pyo3(signature = (paths, settings_json, progress=None))]
#[allow(clippy::needless_pass_by_value, reason = "as the call from Python hands them")]
fn analyze(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    settings_json: &str,
    progress: Option<Py<PyAny>>,
) -> PyResult<Analysis> {
    let settings = parse_settings(settings_json)?;
    let look = |py: Python<'_>, (done, total, packets): (u64, u64, u64)| {
        py.check_signals()?;
        progress.as_ref().map_or(Ok(()), |call| call.call1(py, (done, total, packets)).map(drop))
    };
    if paths.iter().any(|path| patient::may_stand_still(path)) {
        let found = patient::analyze(py, paths, &settings, LOOK_EVERY, look)?;
        return analysis(found, settings, None);
    }
    let mut raised = None;
    let mut pace = Pace::default();
    let found = py.detach(|| {
        let mut report = |done: u64, total: u64, packets: u64| {
            if !pace.due(Instant::now()) {
                return true;
            }
            let told = Python::attach(|py| look(py, (done, total, packets)));
            told.map_err(|error| raised = Some(error)).is_ok()
        };
        engine::analyze(&paths, &settings, Some(&mut report))
    });
    analysis(found, settings, raised)
}

/// What came of it, or what ended it.
fn analysis(found: patient::Found, settings: Settings, raised: Option<PyErr>) -> PyResult<Analysis> {
    match (found.map_err(source_error)?, raised) {
        (Some((outcome, set)), _) => {
            Ok(Analysis { outcome: Arc::new(outcome), settings, packets: Mutex::new(Box::new(set)) })
        }
        (None, Some(error)) => Err(error),
        (None, None) => Err(PyKeyboardInterrupt::new_err(())),
    }
}

/// The state table as JSON text: a list of `{"state", "event", "next"}`.
#[pyfunction]
fn transitions_json() -> PyResult<String> {
    let rows: Vec<_> = TRANSITIONS
        .iter()
        .map(|(state, event, next)| {
            BTreeMap::from([("state", state.as_str()), ("event", event.as_str()), ("next", next.as_str())])
        })
        .collect();
    serde_json::to_string(&rows).map_err(|e| PyValueError::new_err(e.to_string()))
}

/// Every setting with its default, as JSON text.
#[pyfunction]
fn default_settings_json() -> PyResult<String> {
    serde_json::to_string(&Settings::default()).map_err(|e| PyValueError::new_err(e.to_string()))
}

/// The columns of both tables as JSON text: `{"connections": [[name, meaning], …], "exchanges": …}`.
#[pyfunction]
fn columns_json() -> PyResult<String> {
    fn list<R>(columns: &[Column<R>]) -> Vec<(&'static str, &'static str)> {
        columns.iter().map(|column| (column.name, column.meaning)).collect()
    }
    let tables = BTreeMap::from([("connections", list(connections::COLUMNS)), ("exchanges", list(exchanges::COLUMNS))]);
    serde_json::to_string(&tables).map_err(|e| PyValueError::new_err(e.to_string()))
}

/// Everything the module exports, once.
#[pymodule]
mod _engine {
    #[pymodule_export]
    use super::capture::{drop_privileges_json, interfaces_json};

    #[pymodule_export]
    use super::live::Live;

    #[pymodule_export]
    use super::{Analysis, SourceError, Table, analyze, columns_json, default_settings_json, transitions_json};

    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
