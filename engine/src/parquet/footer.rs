//! What a Parquet file says of itself at its end: columns, row groups, where each column of each lies.

use super::MAGIC;
use super::cells::Kind;
use super::pages::Chunk;
use super::thrift::{Struct, write};

/// The format's numbers.
const BOOLEAN: i32 = 0;
const INT64: i32 = 2;
const DOUBLE: i32 = 5;
const BYTE_ARRAY: i32 = 6;
const OPTIONAL: i32 = 1;
const REPEATED: i32 = 2;
const CONVERTED_UTF8: i32 = 0;
const CONVERTED_LIST: i32 = 3;
const LOGICAL_STRING: i16 = 1;
const LOGICAL_LIST: i16 = 3;
const LOGICAL_TIMESTAMP: i16 = 8;
const NANOS: i16 = 3;
const VERSION: i32 = 2;

/// A column's name and kind.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Ascends with the rows, so that a row group's least and most let readers skip it.
    pub ascends: bool,
}

/// One row group of a file.
#[derive(Clone, Debug)]
pub struct Group {
    /// Where in the file it begins.
    pub at: i64,
    /// Its rows.
    pub rows: i64,
    /// Of each column.
    pub chunks: Vec<Chunk>,
}

impl Column {
    const fn physical(&self) -> i32 {
        match self.kind {
            Kind::Text | Kind::Words => BYTE_ARRAY,
            Kind::Int | Kind::Instant => INT64,
            Kind::Seconds => DOUBLE,
            Kind::Bool => BOOLEAN,
        }
    }

    /// Elements of the schema: a list is three, one in the other.
    fn elements(&self) -> Vec<Element> {
        let leaf =
            |name, kind| Element { name, kind: Some((self.physical(), kind)), repetition: OPTIONAL, children: 0 };
        if self.kind != Kind::Words {
            return vec![leaf(self.name, self.kind)];
        }
        let outer = Element { name: self.name, kind: None, repetition: OPTIONAL, children: 1 };
        let middle = Element { name: "list", kind: None, repetition: REPEATED, children: 1 };
        vec![outer, middle, leaf("element", Kind::Text)]
    }

    fn path(&self) -> Vec<&[u8]> {
        let names = [self.name.as_bytes(), b"list", b"element"];
        names[..if self.kind == Kind::Words { 3 } else { 1 }].to_vec()
    }
}

struct Element {
    name: &'static str,
    /// Of a leaf: its physical type, and what that stands for.
    kind: Option<(i32, Kind)>,
    repetition: i32,
    children: i32,
}

impl Element {
    fn write(&self, to: &mut Struct<'_>) {
        if let Some((physical, _)) = self.kind {
            to.i32(1, physical);
        }
        to.i32(3, self.repetition);
        to.binary(4, self.name.as_bytes());
        if self.children > 0 {
            to.i32(5, self.children);
        }
        match self.kind {
            Some((_, Kind::Text)) => {
                to.i32(6, CONVERTED_UTF8);
                to.structure(10, |logical| logical.structure(LOGICAL_STRING, |_| ()));
            }
            Some((_, Kind::Instant)) => to.structure(10, |logical| {
                logical.structure(LOGICAL_TIMESTAMP, |stamp| {
                    stamp.flag(1, true); // UTC
                    stamp.structure(2, |unit| unit.structure(NANOS, |_| ()));
                });
            }),
            None if self.repetition == OPTIONAL => {
                to.i32(6, CONVERTED_LIST);
                to.structure(10, |logical| logical.structure(LOGICAL_LIST, |_| ()));
            }
            _ => {}
        }
    }
}

fn write_chunk(to: &mut Struct<'_>, (column, chunk): &(&Column, &Chunk), at: i64) {
    let first = at + chunk.dictionary_at.unwrap_or(chunk.data_at);
    to.i64(2, first);
    to.structure(3, |meta| {
        meta.i32(1, column.physical());
        meta.i32s(2, &chunk.encodings);
        meta.binaries(3, &column.path());
        meta.i32(4, chunk.codec);
        meta.i64(5, chunk.values);
        meta.i64(6, chunk.uncompressed);
        meta.i64(7, chunk.compressed);
        meta.i64(9, at + chunk.data_at);
        if let Some(dictionary) = chunk.dictionary_at {
            meta.i64(11, at + dictionary);
        }
        if let Some((least, most)) = chunk.range {
            meta.structure(12, |statistics| {
                statistics.i64(3, chunk.nulls);
                statistics.binary(5, &most.to_le_bytes());
                statistics.binary(6, &least.to_le_bytes());
            });
        }
    });
}

fn write_group(to: &mut Struct<'_>, group: &Group, columns: &[Column]) {
    let chunks: Vec<_> = columns.iter().zip(&group.chunks).collect();
    to.structures(1, &chunks, |one, chunk| write_chunk(one, chunk, group.at));
    to.i64(2, group.chunks.iter().map(|chunk| chunk.uncompressed).sum());
    to.i64(3, group.rows);
    to.i64(5, group.at);
    to.i64(6, group.chunks.iter().map(|chunk| chunk.compressed).sum());
}

/// The end of a file with these row groups. `told`: keys and values for who reads the file.
#[must_use]
pub fn footer(columns: &[Column], groups: &[Group], told: &[(&str, &str)]) -> Vec<u8> {
    let root = Element { name: "schema", kind: None, repetition: 0, children: columns.len() as i32 };
    let elements: Vec<Element> = std::iter::once(root).chain(columns.iter().flat_map(Column::elements)).collect();
    let mut out = Vec::new();
    write(&mut out, |file| {
        file.i32(1, VERSION);
        file.structures(2, &elements, |one, element| element.write(one));
        file.i64(3, groups.iter().map(|group| group.rows).sum());
        file.structures(4, groups, |one, group| write_group(one, group, columns));
        file.structures(5, told, |one, (key, value)| {
            one.binary(1, key.as_bytes());
            one.binary(2, value.as_bytes());
        });
        file.binary(6, concat!("pcapwatch version ", env!("CARGO_PKG_VERSION")).as_bytes());
        // Numbers are ordered as such, so that least and most can be trusted.
        file.structures(7, columns, |one, _| one.structure(1, |_| ()));
    });
    let len = out.len() as u32;
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(MAGIC);
    out
}
