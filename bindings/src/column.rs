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

/// One column.
pub struct Column<R: ?Sized> {
    /// The contract's name.
    pub name: &'static str,
    /// What it means, in one line.
    pub meaning: &'static str,
    /// Where it comes from.
    pub get: Get<R>,
}

impl<R> Column<R> {
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

    fn array(&self, rows: &[R]) -> ArrayRef {
        match &self.get {
            Get::Text(get) => {
                let mut builder = StringBuilder::new();
                for row in rows {
                    builder.append_option(get(row));
                }
                Arc::new(builder.finish())
            }
            Get::Written(get) => {
                let mut builder = StringBuilder::new();
                for row in rows {
                    match get(row, &mut builder) {
                        Ok(()) => builder.append_value(""),
                        Err(fmt::Error) => builder.append_null(),
                    }
                }
                Arc::new(builder.finish())
            }
            Get::Int(get) => {
                let mut builder = Int64Builder::with_capacity(rows.len());
                for row in rows {
                    builder.append_option(get(row));
                }
                Arc::new(builder.finish())
            }
            Get::Seconds(get) => {
                let mut builder = Float64Builder::with_capacity(rows.len());
                for row in rows {
                    builder.append_option(get(row).map(|ns| ns as f64 / 1e9));
                }
                Arc::new(builder.finish())
            }
            Get::Time(get) => {
                let mut builder = TimestampNanosecondBuilder::with_capacity(rows.len()).with_timezone("UTC");
                for row in rows {
                    builder.append_option(get(row));
                }
                Arc::new(builder.finish())
            }
            Get::Bool(get) => {
                let mut builder = BooleanBuilder::with_capacity(rows.len());
                for row in rows {
                    builder.append_option(get(row));
                }
                Arc::new(builder.finish())
            }
            Get::Words(get) => {
                let mut builder = ListBuilder::new(StringBuilder::new());
                for row in rows {
                    for word in get(row) {
                        builder.values().append_value(word);
                    }
                    builder.append(true);
                }
                Arc::new(builder.finish())
            }
        }
    }
}

/// The schema of a list of columns; each field carries its meaning as metadata `description`.
pub fn schema<R>(columns: &[Column<R>]) -> Arc<Schema> {
    let field = |column: &Column<R>| {
        Field::new(column.name, column.data_type(), true)
            .with_metadata(HashMap::from([("description".to_owned(), column.meaning.to_owned())]))
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// Rows as one record batch.
pub fn batch<R>(columns: &[Column<R>], schema: &Arc<Schema>, rows: &[R]) -> Result<RecordBatch, ArrowError> {
    let arrays = columns.iter().map(|column| column.array(rows)).collect();
    RecordBatch::try_new(Arc::clone(schema), arrays)
}
