//! A table as the parts of a Parquet file, made by several threads.
//!
//! The rows are split by number into ranges of the same size, whatever the number of threads, and each thread makes the
//! row groups of every n-th range, from the rows on the disk to compressed bytes. Python takes the parts in order and
//! writes them. So a few row groups are in memory at once, and the file does not depend on the threads.

use crate::column::{Column, Get, ROWS_AT_ONCE};
use pcapwatch_engine::engine::rows_error;
use pcapwatch_engine::parquet::{Cells, Column as Described, Group, Kind, MAGIC, Press, footer};
use pcapwatch_engine::rows::{Row, Sorted};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Rows of a row group, about; a range with more has several.
pub const GROUP_ROWS: usize = 32_768;
/// Most rows of one.
const MOST_ROWS: usize = pcapwatch_engine::parquet::cells::MOST_ROWS - ROWS_AT_ONCE;
/// Bytes of different texts beyond which a row group ends early.
const MOST_TEXT_BYTES: usize = 16 << 20;
/// Columns whose values ascend with the rows, so that what a row group has least and most of them is worth telling.
const ASCENDING: &[&str] = &["connection", "start", "index", "request_start"];

/// Hides what may be secret in a column: (name, texts) to as many texts.
pub type Hide = Option<Py<PyAny>>;
/// Where a range begins, and where it ends; `None`: with the table.
pub type Range<T> = (Option<<T as Row>::Key>, Option<<T as Row>::Key>);

/// What a thread hands over: a row group's bytes, or the end of a range.
enum Made {
    Group(Vec<u8>, Group),
    EndOfRange,
}

/// The parts of a Parquet file in order, as an iterator of bytes.
#[pyclass(frozen, module = "pcapwatch._engine")]
pub struct ParquetParts(Mutex<Parts>);

struct Parts {
    columns: Vec<Described>,
    meanings: String,
    threads: Vec<Receiver<PyResult<Made>>>,
    /// Whose range is next.
    turn: usize,
    groups: Vec<Group>,
    /// Bytes so far.
    at: i64,
    is_over: bool,
}

#[pymethods]
impl ParquetParts {
    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let part = py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).next())?;
        Ok(part.map(|bytes| PyBytes::new(py, &bytes)))
    }
}

impl Parts {
    fn next(&mut self) -> PyResult<Option<Vec<u8>>> {
        if self.is_over {
            return Ok(None);
        }
        if self.at == 0 {
            self.at = MAGIC.len() as i64;
            return Ok(Some(MAGIC.to_vec()));
        }
        // A thread without ranges has left; the ranges are dealt in turns, so that the others have none either.
        while let Some(Ok(made)) = self.threads.get(self.turn).map(Receiver::recv) {
            match made {
                Ok(Made::Group(bytes, group)) => {
                    self.groups.push(Group { at: self.at, ..group });
                    self.at += bytes.len() as i64;
                    return Ok(Some(bytes));
                }
                Ok(Made::EndOfRange) => self.turn = (self.turn + 1) % self.threads.len(),
                Err(error) => {
                    self.is_over = true;
                    return Err(error);
                }
            }
        }
        self.is_over = true;
        Ok(Some(footer(&self.columns, &self.groups, &[("pcapwatch.columns", &self.meanings)])))
    }
}

/// A table's parts. `row_of` makes, in a thread, what turns its rows into those of the columns.
///
/// # Errors
/// A thread cannot be started.
pub fn parts<T, R: 'static, F>(
    columns: &'static [Column<R>],
    table: &Arc<Sorted<T>>,
    ranges: &[Range<T>],
    threads: usize,
    hide: &Arc<Hide>,
    row_of: impl Fn() -> F + Clone + Send + 'static,
) -> io::Result<ParquetParts>
where
    T: Row + Send + Sync + 'static,
    T::Key: Send + Sync,
    F: Fn(T) -> R,
{
    let mut receivers = Vec::new();
    let threads = threads.clamp(1, ranges.len().max(1));
    for index in 0..threads {
        let own: Vec<Range<T>> = ranges.iter().skip(index).step_by(threads).copied().collect();
        let (sender, receiver) = sync_channel(1);
        let (table, hide, row_of) = (Arc::clone(table), Arc::clone(hide), row_of.clone());
        let work = move || {
            let mut maker = Maker::new(columns, row_of(), &hide);
            for range in own {
                let told = maker.range(&table, range, &sender).and_then(|()| send(&sender, Ok(Made::EndOfRange)));
                match told {
                    Ok(()) => {}
                    Err(Stop::ReaderLeft) => return,
                    Err(Stop::Failed(error)) => return drop(sender.send(Err(error))),
                }
            }
        };
        thread::Builder::new().name("parquet".to_owned()).spawn(work)?;
        receivers.push(receiver);
    }
    let described = columns.iter().map(|column| Described {
        name: column.name,
        kind: kind(&column.get),
        ascends: ASCENDING.contains(&column.name),
    });
    Ok(ParquetParts(Mutex::new(Parts {
        columns: described.collect(),
        meanings: meanings(columns),
        threads: receivers,
        turn: 0,
        groups: Vec::new(),
        at: 0,
        is_over: false,
    })))
}

/// `[[name, meaning], …]` as JSON.
fn meanings<R>(columns: &[Column<R>]) -> String {
    let list: Vec<_> = columns.iter().map(|column| (column.name, column.meaning)).collect();
    serde_json::to_string(&list).unwrap_or_default()
}

const fn kind<R>(get: &Get<R>) -> Kind {
    match get {
        Get::Text(_) | Get::Word(_) | Get::Address(_) | Get::Written(_) => Kind::Text,
        Get::Int(_) => Kind::Int,
        Get::Time(_) => Kind::Instant,
        Get::Seconds(_) => Kind::Seconds,
        Get::Bool(_) => Kind::Bool,
        Get::Words(_) => Kind::Words,
    }
}

/// Why a thread stops before its ranges are done.
enum Stop {
    ReaderLeft,
    Failed(PyErr),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Failed(crate::source_error(rows_error(&error)))
    }
}

fn send(sender: &SyncSender<PyResult<Made>>, made: PyResult<Made>) -> Result<(), Stop> {
    sender.send(made).map_err(|_| Stop::ReaderLeft)
}

/// One thread's row groups.
struct Maker<'h, R: 'static, F> {
    columns: &'static [Column<R>],
    row: F,
    hide: &'h Hide,
    cells: Vec<Cells>,
    press: Option<Press>,
}

impl<'h, R, F> Maker<'h, R, F> {
    fn new(columns: &'static [Column<R>], row: F, hide: &'h Hide) -> Self {
        let cells = columns.iter().map(|column| Cells::new(kind(&column.get))).collect();
        Maker { columns, row, hide, cells, press: None }
    }

    /// The row groups of a range: one, if it is not larger than expected.
    fn range<T: Row>(
        &mut self,
        table: &Arc<Sorted<T>>,
        (from, until): Range<T>,
        sender: &SyncSender<PyResult<Made>>,
    ) -> Result<(), Stop>
    where
        F: Fn(T) -> R,
    {
        let mut rows = table.read_within(from, until);
        let mut few = Vec::with_capacity(ROWS_AT_ONCE);
        let mut len = 0;
        loop {
            few.clear();
            for row in rows.by_ref().take(ROWS_AT_ONCE) {
                few.push((self.row)(row?));
            }
            self.columns.iter().zip(&mut self.cells).for_each(|(column, cells)| column.put(cells, &few));
            len += few.len();
            let text_bytes: usize = self.cells.iter().map(Cells::text_bytes).sum();
            let is_full = len > MOST_ROWS - ROWS_AT_ONCE || text_bytes > MOST_TEXT_BYTES;
            if len > 0 && (is_full || few.is_empty()) {
                send(sender, Ok(self.group(len)?))?;
                len = 0;
            }
            if few.is_empty() {
                return Ok(());
            }
        }
    }

    /// The cells so far as a row group; there are none afterwards.
    fn group(&mut self, rows: usize) -> Result<Made, Stop> {
        let press = match &mut self.press {
            Some(press) => press,
            none => none.insert(Press::new()?),
        };
        let mut bytes = Vec::new();
        let mut chunks = Vec::with_capacity(self.cells.len());
        for (column, cells) in self.columns.iter().zip(&mut self.cells) {
            if let Some(hide) = self.hide {
                hidden(hide, column.name, cells).map_err(Stop::Failed)?;
            }
            chunks.push(press.write(cells, ASCENDING.contains(&column.name), &mut bytes)?);
            cells.clear();
        }
        Ok(Made::Group(bytes, Group { at: 0, rows: rows as i64, chunks }))
    }
}

/// Has Python hide what may be secret in the texts of a column.
fn hidden(hide: &Py<PyAny>, name: &str, cells: &mut Cells) -> PyResult<()> {
    if let Cells::Texts(cells) = cells {
        let told: Option<Vec<String>> =
            Python::attach(|py| hide.call1(py, (name, cells.dictionary.texts()))?.extract(py))?;
        if let Some(texts) = told {
            cells.dictionary.put_for(&texts);
        }
    }
    Ok(())
}

impl<R> Column<R> {
    /// The column's cells of some rows. A getter and cells of different kinds do not occur.
    fn put(&self, cells: &mut Cells, rows: &[R]) {
        match (&self.get, cells) {
            (Get::Text(get), Cells::Texts(cells)) => rows.iter().for_each(|row| cells.push(get(row).as_deref())),
            (Get::Word(get), Cells::Texts(cells)) => rows.iter().for_each(|row| cells.push_word(get(row))),
            (Get::Address(get), Cells::Texts(cells)) => rows.iter().for_each(|row| {
                let address = get(row);
                cells.push_keyed(&address.0, |out| out.extend_from_slice(address.to_string().as_bytes()));
            }),
            (Get::Written(get), Cells::Texts(cells)) => rows.iter().for_each(|row| {
                if cells.push_written(|text| get(row, text)).is_err() {
                    cells.push(None);
                }
            }),
            (Get::Int(get) | Get::Time(get), Cells::Ints(cells)) => rows.iter().for_each(|row| cells.push(get(row))),
            (Get::Seconds(get), Cells::Doubles(cells)) => {
                rows.iter().for_each(|row| cells.push(get(row).map(|ns| ns as f64 / 1e9)));
            }
            (Get::Bool(get), Cells::Bools(cells)) => rows.iter().for_each(|row| cells.push(get(row))),
            (Get::Words(get), Cells::Lists(cells)) => {
                rows.iter().for_each(|row| cells.push(get(row).into_iter()));
            }
            _ => debug_assert!(false, "{}: its cells are of another kind", self.name),
        }
    }
}
