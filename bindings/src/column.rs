//! A column as a name, a sentence and a getter; a table as a list of them.

use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, StringBuilder, TimestampNanosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Rows of one record batch: some ten megabytes, of which a few are on their way at once.
pub const BATCH_ROWS: usize = 16_384;
/// Rows whose cells are fetched together; they fit the second-level cache. A batch is a whole number of them.
pub const ROWS_AT_ONCE: usize = 128;

/// How one kind of value is fetched from a row.
pub enum Get<R: ?Sized> {
    /// UTF-8 text.
    Text(fn(&R) -> Option<Cow<'_, str>>),
    /// UTF-8 text that is put together in its cell.
    Written(fn(&R, &mut dyn fmt::Write) -> fmt::Result),
    /// A whole number.
    Int(fn(&R) -> Option<i64>),
    /// Seconds, from nanoseconds.
    Seconds(fn(&R) -> Option<i64>),
    /// An instant, from ns since 1970 UTC.
    Time(fn(&R) -> Option<i64>),
    /// Yes, no, unknown.
    Bool(fn(&R) -> Option<bool>),
    /// A set of words.
    Words(fn(&R) -> Vec<&'static str>),
}

/// A row that knows whether its packets had times.
pub trait Timed {
    /// Otherwise its instants and lengths say nothing.
    fn is_timed(&self) -> bool;
}

/// One column.
pub struct Column<R: ?Sized> {
    /// The contract's name.
    pub name: &'static str,
    /// What it means, in one line.
    pub meaning: &'static str,
    /// Where it comes from.
    pub get: Get<R>,
}

impl<R: Timed> Column<R> {
    fn data_type(&self) -> DataType {
        match self.get {
            Get::Text(_) | Get::Written(_) => DataType::Utf8,
            Get::Int(_) => DataType::Int64,
            Get::Seconds(_) => DataType::Float64,
            Get::Time(_) => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            Get::Bool(_) => DataType::Boolean,
            Get::Words(_) => DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
        }
    }

    fn builder(&self) -> Builder {
        match self.get {
            Get::Text(_) | Get::Written(_) => Builder::Text(StringBuilder::new()),
            Get::Int(_) => Builder::Int(Int64Builder::with_capacity(BATCH_ROWS)),
            Get::Seconds(_) => Builder::Seconds(Float64Builder::with_capacity(BATCH_ROWS)),
            Get::Time(_) => Builder::Time(TimestampNanosecondBuilder::with_capacity(BATCH_ROWS).with_timezone("UTC")),
            Get::Bool(_) => Builder::Bool(BooleanBuilder::with_capacity(BATCH_ROWS)),
            Get::Words(_) => Builder::Words(ListBuilder::new(StringBuilder::new())),
        }
    }

    /// The column's cells of some rows. A getter and a builder of different kinds do not occur.
    fn append(&self, builder: &mut Builder, rows: &[R]) {
        match (&self.get, builder) {
            (Get::Text(get), Builder::Text(cells)) => rows.iter().for_each(|row| cells.append_option(get(row))),
            (Get::Written(get), Builder::Text(cells)) => rows.iter().for_each(|row| match get(row, cells) {
                Ok(()) => cells.append_value(""),
                Err(fmt::Error) => cells.append_null(),
            }),
            (Get::Int(get), Builder::Int(cells)) => rows.iter().for_each(|row| cells.append_option(get(row))),
            (Get::Seconds(get), Builder::Seconds(cells)) => {
                let seconds = |row: &R| get(row).filter(|_| row.is_timed()).map(|ns| ns as f64 / 1e9);
                rows.iter().for_each(|row| cells.append_option(seconds(row)));
            }
            (Get::Time(get), Builder::Time(cells)) => {
                rows.iter().for_each(|row| cells.append_option(get(row).filter(|_| row.is_timed())));
            }
            (Get::Bool(get), Builder::Bool(cells)) => rows.iter().for_each(|row| cells.append_option(get(row))),
            (Get::Words(get), Builder::Words(cells)) => rows.iter().for_each(|row| {
                get(row).into_iter().for_each(|word| cells.values().append_value(word));
                cells.append(true);
            }),
            _ => debug_assert!(false, "{}: its builder is of another kind", self.name),
        }
    }
}

/// A column under construction.
enum Builder {
    Text(StringBuilder),
    Int(Int64Builder),
    Seconds(Float64Builder),
    Time(TimestampNanosecondBuilder),
    Bool(BooleanBuilder),
    Words(ListBuilder<StringBuilder>),
}

impl Builder {
    fn finish(self) -> ArrayRef {
        match self {
            Builder::Text(mut cells) => Arc::new(cells.finish()),
            Builder::Int(mut cells) => Arc::new(cells.finish()),
            Builder::Seconds(mut cells) => Arc::new(cells.finish()),
            Builder::Time(mut cells) => Arc::new(cells.finish()),
            Builder::Bool(mut cells) => Arc::new(cells.finish()),
            Builder::Words(mut cells) => Arc::new(cells.finish()),
        }
    }
}

/// The schema of a list of columns; each field carries its meaning as metadata `description`.
pub fn schema<R: Timed>(columns: &[Column<R>]) -> Arc<Schema> {
    let field = |column: &Column<R>| {
        Field::new(column.name, column.data_type(), true)
            .with_metadata(HashMap::from([("description".to_owned(), column.meaning.to_owned())]))
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// The next rows as one record batch; `None` if there are no more.
///
/// They come [`ROWS_AT_ONCE`] together, and every column is filled for these while they are in the cache: a row is near a
/// kilobyte, and a batch of them would come from memory once for each column.
pub fn next_batch<R: Timed, E>(
    columns: &[Column<R>],
    schema: &Arc<Schema>,
    rows: &mut impl Iterator<Item = Result<Vec<R>, E>>,
) -> Result<Option<RecordBatch>, ArrowError>
where
    ArrowError: From<E>,
{
    let mut builders: Vec<Builder> = columns.iter().map(Column::builder).collect();
    let mut len = 0;
    while len < BATCH_ROWS
        && let Some(few) = rows.next().transpose()?
    {
        columns.iter().zip(&mut builders).for_each(|(column, builder)| column.append(builder, &few));
        len += few.len();
    }
    let arrays = || builders.into_iter().map(Builder::finish).collect();
    if len == 0 { Ok(None) } else { RecordBatch::try_new(Arc::clone(schema), arrays()).map(Some) }
}
