//! The section header block (draft-ietf-opsawg-pcapng §4.1): byte order, version, and who captured.

use super::options::{COMMENT, Options, text};
use super::told::Told;
use super::{BLOCK_END, BLOCK_START};
use crate::capture::error::Stop;
use crate::capture::order::Order;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Type, length, byte-order magic, version and section length.
pub const SECTION_START: usize = 24;
/// Bytes of the body before its options.
const BEFORE_OPTIONS: usize = SECTION_START - BLOCK_START;

const SHB_HARDWARE: u16 = 2;
const SHB_OS: u16 = 3;
const SHB_USERAPPL: u16 = 4;

/// The byte order and length of the section header that begins with `start`, [`SECTION_START`] bytes.
///
/// # Errors
/// [`Stop::Corrupt`] for another version or no magic.
pub fn parse_section(offset: u64, start: &[u8]) -> Result<(Order, u32), Stop> {
    let order = [Order::Little, Order::Big]
        .into_iter()
        .find(|order| order.u32(start, BLOCK_START) == BYTE_ORDER_MAGIC)
        .ok_or_else(|| Stop::corrupt(offset, "section header without byte-order magic"))?;
    let major = order.u16(start, BLOCK_START + 4);
    let length = order.u32(start, 4);
    if major != 1 {
        return Err(Stop::corrupt(offset, format!("pcapng version {major} is not known")));
    }
    if (length as usize) < SECTION_START + BLOCK_END {
        return Err(Stop::corrupt(offset, format!("section header of {length} bytes")));
    }
    Ok((order, length))
}

/// Notes what the options of a section header tell.
pub fn note_section(order: Order, body: &[u8], told: &mut Told) {
    told.block("section_header");
    let mut options = Options::new(order, body.get(BEFORE_OPTIONS..).unwrap_or_default());
    for (code, value) in options.by_ref() {
        let facts = &told.facts;
        match code {
            SHB_HARDWARE if facts.hardware.is_none() => told.facts.hardware = told.section_text(value),
            SHB_OS if facts.os.is_none() => told.facts.os = told.section_text(value),
            // Whoever captured says what the counts of drops are worth.
            SHB_USERAPPL if facts.application.is_none() => told.facts.application = Some(text(value)),
            COMMENT => told.comment("section_header", None, value),
            _ => {}
        }
    }
    told.facts.broken_lists += u64::from(options.broken());
}
