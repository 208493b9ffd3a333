//! Thrift's compact protocol, as far as Parquet's headers need it: structs are written, never read.

/// Field types of the compact protocol.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;
/// Longest list whose length is in its first byte.
const SHORT_LIST: usize = 14;

/// A struct that is being written. Fields come in ascending order of their ids, at most 15 apart.
pub struct Struct<'o> {
    out: &'o mut Vec<u8>,
    last: i16,
}

/// Writes a struct with the fields that `fields` gives it.
pub fn write(out: &mut Vec<u8>, fields: impl FnOnce(&mut Struct<'_>)) {
    let mut made = Struct { out, last: 0 };
    fields(&mut made);
    made.out.push(0);
}

impl Struct<'_> {
    fn field(&mut self, id: i16, kind: u8) {
        debug_assert!((1..=15).contains(&(id - self.last)), "field {id} after {}", self.last);
        self.out.push(((id - self.last) as u8) << 4 | kind);
        self.last = id;
    }

    pub fn flag(&mut self, id: i16, value: bool) {
        self.field(id, if value { TRUE } else { FALSE });
    }

    pub fn i32(&mut self, id: i16, value: i32) {
        self.field(id, I32);
        zigzag(self.out, value.into());
    }

    pub fn i64(&mut self, id: i16, value: i64) {
        self.field(id, I64);
        zigzag(self.out, value);
    }

    pub fn binary(&mut self, id: i16, value: &[u8]) {
        self.field(id, BINARY);
        binary(self.out, value);
    }

    pub fn structure(&mut self, id: i16, fields: impl FnOnce(&mut Struct<'_>)) {
        self.field(id, STRUCT);
        write(self.out, fields);
    }

    pub fn structures<T>(&mut self, id: i16, items: &[T], mut fields: impl FnMut(&mut Struct<'_>, &T)) {
        self.list(id, STRUCT, items.len());
        items.iter().for_each(|item| write(self.out, |one| fields(one, item)));
    }

    pub fn i32s(&mut self, id: i16, items: &[i32]) {
        self.list(id, I32, items.len());
        items.iter().for_each(|&item| zigzag(self.out, item.into()));
    }

    pub fn binaries(&mut self, id: i16, items: &[&[u8]]) {
        self.list(id, BINARY, items.len());
        items.iter().for_each(|item| binary(self.out, item));
    }

    fn list(&mut self, id: i16, kind: u8, len: usize) {
        self.field(id, LIST);
        if len <= SHORT_LIST {
            self.out.push((len as u8) << 4 | kind);
        } else {
            self.out.push(0xf0 | kind);
            varint(self.out, len as u64);
        }
    }
}

fn binary(out: &mut Vec<u8>, value: &[u8]) {
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Seven bits a byte, least first (ULEB128).
pub fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Small numbers of either sign in few bytes.
pub fn zigzag(out: &mut Vec<u8>, value: i64) {
    varint(out, (value << 1 ^ value >> 63) as u64);
}
