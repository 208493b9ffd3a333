//! pcapng: blocks of several kinds, in sections that each have their own byte order and interfaces
//! (draft-ietf-opsawg-pcapng).
//!
//! Every block is `type, length, body, length`. Section headers, interface descriptions, the three kinds of packet
//! and interface statistics are read; every other kind is skipped by its length, without being kept.

mod clock;
mod interface;
mod options;

use super::error::Stop;
use super::order::Order;
use super::pcap::too_long;
use super::window::Window;
use super::{LONGEST_PACKET, Record};
use crate::capture::facts::InterfaceFacts;
use interface::{Interface, STATISTICS, add_statistics};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Type and length before the body of a block.
const BLOCK_START: usize = 8;
/// The length again, after the body.
const BLOCK_END: usize = 4;
const LEAST_BLOCK: u32 = (BLOCK_START + BLOCK_END) as u32;
/// Type, length, byte-order magic, version and section length of a section header.
const SECTION_START: usize = 24;
/// Largest block held in memory: the longest packet with generous room for its options.
const LARGEST_BLOCK: u32 = LONGEST_PACKET + (1 << 16);
/// Most interfaces remembered of one file, over all its sections.
const MOST_INTERFACES: usize = 65_536;

/// Whether a file that begins so is pcapng. The type of a section header is the same in both byte orders.
#[must_use]
pub fn is_pcapng(head: &[u8]) -> bool {
    head.starts_with(&SECTION_HEADER.to_be_bytes())
}

/// The state of reading one pcapng file.
#[derive(Debug)]
pub struct Pcapng {
    order: Order,
    /// Interfaces of the current section, by their number in it.
    section: Vec<Interface>,
    /// Every interface of the file, those of the current section last.
    pub interfaces: Vec<InterfaceFacts>,
}

/// Where the fields of a packet block are, relative to its body.
struct PacketFields {
    interface: u32,
    ticks: Option<u64>,
    captured: u32,
    original_len: u32,
    header: usize,
}

impl Pcapng {
    /// Reads the first section header.
    ///
    /// # Errors
    /// A [`Stop`] if it is cut short or is none of pcapng.
    pub fn open(input: &mut Window) -> Result<Pcapng, Stop> {
        let mut reader = Pcapng { order: Order::Little, section: Vec::new(), interfaces: Vec::new() };
        reader.begin_section(input)?;
        Ok(reader)
    }

    /// The next packet; `None` at the end of the file.
    ///
    /// # Errors
    /// A [`Stop`] where the file ends within a block or a block is corrupt.
    #[inline]
    pub fn next<'w>(&mut self, input: &'w mut Window) -> Result<Option<Record<'w>>, Stop> {
        loop {
            let offset = input.offset();
            let start = input.peek(BLOCK_START)?;
            if start.len() < BLOCK_START {
                return if start.is_empty() { Ok(None) } else { Err(Stop::CutShort { offset }) };
            }
            let kind = self.order.u32(start, 0);
            let length = self.order.u32(start, 4);
            match kind {
                ENHANCED_PACKET | SIMPLE_PACKET | OBSOLETE_PACKET => {
                    let body = take_block(self.order, input, offset, length)?;
                    return self.packet(offset, kind, body).map(Some);
                }
                SECTION_HEADER => self.begin_section(input)?,
                INTERFACE_DESCRIPTION | INTERFACE_STATISTICS => {
                    let body = take_block(self.order, input, offset, length)?;
                    self.interface_block(offset, kind, body)?;
                }
                _ => skip_block(input, offset, length)?,
            }
        }
    }

    /// A section header: sets the byte order and forgets the interfaces of the section before.
    fn begin_section(&mut self, input: &mut Window) -> Result<(), Stop> {
        let offset = input.offset();
        let start = input.peek(SECTION_START)?;
        if start.len() < SECTION_START {
            return Err(Stop::CutShort { offset });
        }
        self.order = [Order::Little, Order::Big]
            .into_iter()
            .find(|order| order.u32(start, BLOCK_START) == BYTE_ORDER_MAGIC)
            .ok_or_else(|| Stop::corrupt(offset, "section header without byte-order magic"))?;
        let major = self.order.u16(start, BLOCK_START + 4);
        let length = self.order.u32(start, 4);
        if major != 1 {
            return Err(Stop::corrupt(offset, format!("pcapng version {major} is not known")));
        }
        if (length as usize) < SECTION_START + BLOCK_END {
            return Err(Stop::corrupt(offset, format!("section header of {length} bytes")));
        }
        self.section.clear();
        take_block(self.order, input, offset, length).map(|_| ())
    }

    fn interface_block(&mut self, offset: u64, kind: u32, body: &[u8]) -> Result<(), Stop> {
        if kind == INTERFACE_DESCRIPTION {
            return self.add_interface(offset, body);
        }
        if body.len() < STATISTICS {
            return Err(Stop::corrupt(offset, "interface statistics without an interface"));
        }
        let index = self.first_of_section().saturating_add(self.order.u32(body, 0) as usize);
        // Statistics of an interface that was never described say nothing of any packet.
        if let Some(facts) = self.interfaces.get_mut(index) {
            add_statistics(self.order, body, facts);
        }
        Ok(())
    }

    fn add_interface(&mut self, offset: u64, body: &[u8]) -> Result<(), Stop> {
        if self.interfaces.len() >= MOST_INTERFACES {
            return Err(Stop::corrupt(offset, format!("more than {MOST_INTERFACES} interfaces")));
        }
        let (interface, facts) = Interface::parse(self.order, body)
            .ok_or_else(|| Stop::corrupt(offset, "interface description without a link type"))?;
        self.section.push(interface);
        self.interfaces.push(facts);
        Ok(())
    }

    /// Index in the file of the current section's first interface.
    fn first_of_section(&self) -> usize {
        self.interfaces.len() - self.section.len()
    }

    fn packet<'w>(&self, offset: u64, kind: u32, body: &'w [u8]) -> Result<Record<'w>, Stop> {
        let fields = match kind {
            ENHANCED_PACKET => self.enhanced(body),
            OBSOLETE_PACKET => self.obsolete(body),
            _ => self.simple(body),
        };
        let Some(interface) = self.section.get(fields.interface as usize) else {
            return Err(Stop::corrupt(offset, format!("packet of interface {}, not described", fields.interface)));
        };
        if fields.captured > interface.longest() {
            return Err(too_long(offset, fields.captured, interface.longest()));
        }
        let bytes =
            body.get(fields.header..).and_then(|data| data.get(..fields.captured as usize)).ok_or_else(|| {
                Stop::corrupt(offset, format!("packet of {} bytes in a block of {}", fields.captured, body.len()))
            })?;
        Ok(Record {
            ts_ns: fields.ticks.map(|ticks| interface.clock.ns(ticks)),
            bytes,
            original_len: fields.original_len,
            interface: self.first_of_section() as u32 + fields.interface,
            link: interface.link,
        })
    }

    /// §4.3: interface, time (high, low), captured length, original length.
    #[inline]
    fn enhanced(&self, body: &[u8]) -> PacketFields {
        let field = |at| self.order.u32(body, at);
        let ticks = u64::from(field(4)) << 32 | u64::from(field(8));
        PacketFields {
            interface: field(0),
            ticks: Some(ticks),
            captured: field(12),
            original_len: field(16),
            header: 20,
        }
    }

    /// Appendix A: as enhanced, but the interface shares its 32 bits with a drop count.
    fn obsolete(&self, body: &[u8]) -> PacketFields {
        PacketFields { interface: u32::from(self.order.u16(body, 0)), ..self.enhanced(body) }
    }

    /// §4.4: the original length only; the packet is of interface 0, cut to its snaplen, and has no time.
    fn simple(&self, body: &[u8]) -> PacketFields {
        let original_len = self.order.u32(body, 0);
        let snaplen = self.section.first().map_or(0, |interface| interface.snaplen);
        let captured = if snaplen == 0 { original_len } else { original_len.min(snaplen) };
        PacketFields { interface: 0, ticks: None, captured, original_len, header: 4 }
    }
}

/// The body of a block that is kept in memory, the two copies of its length compared.
#[inline]
fn take_block(order: Order, input: &mut Window, offset: u64, length: u32) -> Result<&[u8], Stop> {
    if !(LEAST_BLOCK..=LARGEST_BLOCK).contains(&length) || !length.is_multiple_of(4) {
        return Err(bad_length(offset, length));
    }
    let block = input.take(length as usize)?.ok_or(Stop::CutShort { offset })?;
    let end = block.len().saturating_sub(BLOCK_END);
    let again = order.u32(block, end);
    if again != length {
        return Err(Stop::corrupt(offset, format!("block length {length} at its start, {again} at its end")));
    }
    Ok(block.get(BLOCK_START..end).unwrap_or_default())
}

/// Passes over a block of a kind that is not read, however long.
fn skip_block(input: &mut Window, offset: u64, length: u32) -> Result<(), Stop> {
    if length < LEAST_BLOCK || !length.is_multiple_of(4) {
        return Err(bad_length(offset, length));
    }
    if input.skip(u64::from(length))? { Ok(()) } else { Err(Stop::CutShort { offset }) }
}

#[cold]
fn bad_length(offset: u64, length: u32) -> Stop {
    Stop::corrupt(offset, format!("block length {length}"))
}

#[cfg(test)]
mod tests;
