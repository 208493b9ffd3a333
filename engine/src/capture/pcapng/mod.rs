//! pcapng: blocks of several kinds, in sections that each have their own byte order and interfaces
//! (draft-ietf-opsawg-pcapng).
//!
//! Every block is `type, length, body, length`. Each kind has its file here; kinds without one are counted and skipped
//! by their length, without being kept.

mod clock;
mod interface;
mod names;
mod options;
mod packet;
mod secrets;
mod section;
mod statistics;
mod told;

use super::error::Stop;
use super::facts::{InterfaceFacts, PcapngFacts, Secret};
use super::order::Order;
use super::pcap::too_long;
use super::room::Held;
use super::unlisted::Beyond;
use super::window::Window;
use super::{LONGEST_PACKET, Reading, Record};
use clock::Clock;
use interface::Interface;
use names::note_names;
use packet::{PacketFields, note_obsolete_drops, note_options};
use secrets::{SECRETS_START, keep_secrets, note_secrets};
use section::{SECTION_START, note_section, parse_section};
use statistics::{STATISTICS, note_statistics};
use std::io::Cursor;
use std::sync::Arc;
use told::{MOST_SECRET_BYTES, Told};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const NAME_RESOLUTION: u32 = 4;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
const SYSTEMD_JOURNAL: u32 = 9;
const DECRYPTION_SECRETS: u32 = 10;
const CUSTOM: u32 = 0x0bad;
const CUSTOM_NOT_COPIED: u32 = 0x4000_0bad;
/// Events of sysdig, which Wireshark numbers as frames.
const SYSDIG_EVENTS: [u32; 6] = [0x204, 0x208, 0x216, 0x217, 0x221, 0x222];

/// Type and length before the body of a block.
const BLOCK_START: usize = 8;
/// The length again, after the body.
const BLOCK_END: usize = 4;
const LEAST_BLOCK: u32 = (BLOCK_START + BLOCK_END) as u32;
/// Largest block held in memory: the longest packet with generous room for its options.
const LARGEST_BLOCK: u32 = LONGEST_PACKET + (1 << 16);
/// Largest name resolution block that is read; a larger one is counted and skipped.
const LARGEST_NAMES: u32 = 4 << 20;
/// Most interfaces of one section.
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
    /// Interfaces of the sections before.
    before: usize,
    reading: Reading,
    told: Box<Told>,
    packets: u64,
    /// Blocks so far that are no packets and have a frame number in Wireshark: journal entries, custom blocks, events.
    pub other_frames: u64,
    /// The last packet whose options were noted: a packet that was put back comes again.
    noted: u64,
    /// Packets before the first section's second interface, from which on packets are put in order of time.
    in_order: Option<u64>,
}

impl Pcapng {
    /// Reads the first section header.
    ///
    /// # Errors
    /// A [`Stop`] if it is cut short or is none of pcapng.
    pub fn open(input: &mut Window, reading: &Reading) -> Result<Pcapng, Stop> {
        let mut reader = Pcapng::new(Order::Little, Vec::new(), reading);
        reader.begin_section(input)?;
        Ok(reader)
    }

    fn new(order: Order, section: Vec<Interface>, reading: &Reading) -> Pcapng {
        let told = Box::new(Told::new(reading.names, &reading.room));
        let (reading, in_order) = (reading.clone(), None);
        Pcapng { order, section, before: 0, reading, told, packets: 0, other_frames: 0, noted: 0, in_order }
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
                _ => self.other_block(input, offset, kind, length)?,
            }
        }
    }

    /// The last packet was put back in the window, and comes again.
    pub fn put_back(&mut self) {
        self.packets -= 1;
    }

    /// The time of the first packet that has one, among the blocks that `bytes` hold, which come next.
    #[must_use]
    pub fn first_time_ns(&self, bytes: &[u8]) -> Option<i64> {
        let mut ahead = Pcapng::new(self.order, self.section.clone(), &self.reading.of_packets());
        let mut input = Window::new(Box::new(Cursor::new(bytes.to_vec())));
        while let Ok(Some(record)) = ahead.next(&mut input) {
            if record.ts_ns.is_some() {
                return record.ts_ns;
            }
        }
        None
    }

    /// What the file told so far: its own facts and those of its interfaces.
    #[must_use]
    pub fn facts(&self) -> (PcapngFacts, Vec<InterfaceFacts>) {
        let mut facts = self.told.facts.clone();
        let other: u64 = ["simple_packet", "obsolete_packet"].iter().filter_map(|kind| facts.blocks.get(*kind)).sum();
        if self.packets > other {
            facts.blocks.insert("enhanced_packet".to_owned(), self.packets - other);
        }
        (facts, self.told.interfaces.clone())
    }

    /// Whether there are several interfaces now, and were not.
    fn turns_to_order(&mut self) -> bool {
        let turns = self.reading.orders && self.in_order.is_none() && self.section.len() > 1;
        self.in_order = self.in_order.or(turns.then_some(self.packets));
        turns
    }

    /// Whether packets behind the first so many are to be put in order of time.
    #[must_use]
    pub fn is_in_order_from(&self, packets: u64) -> bool {
        self.in_order.is_some_and(|before| before <= packets)
    }

    /// The decryption secrets kept.
    #[must_use]
    pub fn secrets(&self) -> &[Secret] {
        &self.told.secrets
    }

    /// Interfaces that are not listed.
    #[must_use]
    pub fn beyond(&self) -> &Beyond {
        &self.told.beyond
    }

    /// The share of its facts in what all files may keep.
    #[must_use]
    pub fn held(&self) -> Arc<Held> {
        Arc::clone(&self.told.held)
    }

    /// A block that is no packet.
    #[cold]
    fn other_block(&mut self, input: &mut Window, offset: u64, kind: u32, length: u32) -> Result<(), Stop> {
        match kind {
            SECTION_HEADER => self.begin_section(input),
            INTERFACE_DESCRIPTION => {
                self.add_interface(offset, take_block(self.order, input, offset, length)?)?;
                // Those that were taken before it are not put in order with those behind it.
                if self.turns_to_order() && input.is_pinned() { Err(Stop::Refill) } else { Ok(()) }
            }
            INTERFACE_STATISTICS => self.add_statistics(offset, take_block(self.order, input, offset, length)?),
            NAME_RESOLUTION if length <= LARGEST_NAMES => {
                note_names(self.order, take_block(self.order, input, offset, length)?, &mut self.told);
                Ok(())
            }
            DECRYPTION_SECRETS => self.take_secrets(input, offset, length),
            _ => {
                skip_block(input, offset, length)?;
                self.count(kind);
                Ok(())
            }
        }
    }

    /// Counts a block that is skipped.
    fn count(&mut self, kind: u32) {
        let is_frame = matches!(kind, SYSTEMD_JOURNAL | CUSTOM | CUSTOM_NOT_COPIED) || SYSDIG_EVENTS.contains(&kind);
        self.other_frames += u64::from(is_frame);
        match kind {
            NAME_RESOLUTION => self.told.block("name_resolution"),
            SYSTEMD_JOURNAL => self.told.block("systemd_journal"),
            CUSTOM => self.told.block("custom"),
            CUSTOM_NOT_COPIED => self.told.block("custom_not_copied"),
            other => self.told.block(&format!("unknown_0x{other:08x}")),
        }
    }

    /// A section header: sets the byte order and forgets the interfaces of the section before.
    fn begin_section(&mut self, input: &mut Window) -> Result<(), Stop> {
        let offset = input.offset();
        let start = input.peek(SECTION_START)?;
        if start.len() < SECTION_START {
            return Err(Stop::CutShort { offset });
        }
        let (order, length) = parse_section(offset, start)?;
        let body = take_block(order, input, offset, length)?;
        note_section(order, body, &mut self.told);
        self.order = order;
        self.before += self.section.len();
        self.section.clear();
        Ok(())
    }

    fn add_interface(&mut self, offset: u64, body: &[u8]) -> Result<(), Stop> {
        if self.section.len() >= MOST_INTERFACES {
            return Err(Stop::corrupt(offset, format!("more than {MOST_INTERFACES} interfaces in a section")));
        }
        let interface = Interface::parse(self.order, body, &self.reading, &mut self.told)
            .ok_or_else(|| Stop::corrupt(offset, "interface description without a link type"))?;
        self.section.push(interface);
        Ok(())
    }

    fn add_statistics(&mut self, offset: u64, body: &[u8]) -> Result<(), Stop> {
        if body.len() < STATISTICS {
            return Err(Stop::corrupt(offset, "interface statistics without an interface"));
        }
        // Statistics of an interface that was never described say nothing of any packet.
        let number = self.order.u32(body, 0) as usize;
        let interface = self.section.get(number);
        let place = interface.map_or((usize::MAX, Clock::DEFAULT), |interface| (self.before + number, interface.clock));
        note_statistics(self.order, body, place, &mut self.told);
        Ok(())
    }

    /// The secrets of a large block are skipped; the block counts once that is done.
    fn take_secrets(&mut self, input: &mut Window, offset: u64, length: u32) -> Result<(), Stop> {
        let start = input.peek(BLOCK_START + SECRETS_START)?;
        let body = start.get(BLOCK_START..).and_then(<[u8]>::first_chunk::<SECRETS_START>).copied();
        if length as usize <= MOST_SECRET_BYTES {
            keep_secrets(self.order, take_block(self.order, input, offset, length)?, &mut self.told);
        } else {
            skip_block(input, offset, length)?;
        }
        let room = length.checked_sub(LEAST_BLOCK + SECRETS_START as u32);
        if let (Some(body), Some(room)) = (body, room) {
            note_secrets(self.order, body, u64::from(room), &mut self.told);
        }
        Ok(())
    }

    fn packet<'w>(&mut self, offset: u64, kind: u32, body: &'w [u8]) -> Result<Record<'w>, Stop> {
        let fields = match kind {
            ENHANCED_PACKET => PacketFields::enhanced(self.order, body),
            OBSOLETE_PACKET => PacketFields::obsolete(self.order, body),
            _ => PacketFields::simple(self.order, body, &self.section),
        };
        let Some(interface) = self.section.get(fields.interface as usize) else {
            return Err(Stop::corrupt(offset, format!("packet of interface {}, not described", fields.interface)));
        };
        if fields.captured > interface.longest() {
            return Err(too_long(offset, fields.captured, interface.longest()));
        }
        let end = fields.header + fields.captured as usize;
        let bytes = body.get(fields.header..end).ok_or_else(|| {
            Stop::corrupt(offset, format!("packet of {} bytes in a block of {}", fields.captured, body.len()))
        })?;
        let place = self.before + fields.interface as usize;
        let record = Record {
            ts_ns: fields.ticks.map(|ticks| interface.clock.ns(ticks)),
            bytes,
            original_len: fields.original_len,
            interface: place as u32,
            link: interface.link,
        };
        self.packets += 1;
        let options = body.get(end.next_multiple_of(4)..).unwrap_or_default();
        if kind != ENHANCED_PACKET || !options.is_empty() {
            self.note_packet(kind, body, options, place);
        }
        Ok(record)
    }

    /// Counts a packet block of the rarer kinds, and notes what stands behind a packet.
    #[cold]
    fn note_packet(&mut self, kind: u32, body: &[u8], options: &[u8], place: usize) {
        if self.packets <= self.noted {
            return;
        }
        self.noted = self.packets;
        match kind {
            SIMPLE_PACKET => return self.told.block("simple_packet"),
            OBSOLETE_PACKET => {
                self.told.block("obsolete_packet");
                note_obsolete_drops(self.order, body, place, &mut self.told);
            }
            _ => {}
        }
        note_options(self.order, options, place, self.packets + self.other_frames, &mut self.told);
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
