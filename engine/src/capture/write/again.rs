//! Packets that are still to be had, once more, into one file.

use super::blocks::{PacketBlock, append_interface, append_section, append_statistics};
use super::{APPLICATION, BUFFER, OS, Statistics};
use crate::capture::facts::{FileFacts, InterfaceFacts};
use crate::capture::stream::Replay;
use crate::capture::{Batch, Packet};
use crate::settings::Settings;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Packets read at a time.
const PACKETS: usize = 1024;

/// Writes every packet of `replay` as pcapng: the interfaces of `files` by name, the packets, and what the kernel dropped
/// of the whole capture where that is known. `filter` is what they passed, as text. Says how many they are.
///
/// # Errors
/// Of the writing, or of reading the packets again.
pub fn write_again(
    replay: &dyn Replay,
    settings: &Settings,
    files: &[FileFacts],
    filter: Option<&str>,
    into: &mut impl Write,
) -> io::Result<u64> {
    let failed = |error: crate::capture::SourceError| io::Error::other(error.to_string());
    let mut again = replay.again(settings).map_err(failed)?;
    let mut out = Out::begin(files, filter);
    let (mut batch, mut count) = (Batch::default(), 0);
    while again.next_batch(&mut batch, PACKETS).map_err(failed)? {
        for packet in &batch.packets {
            out.append(packet, batch.bytes(packet));
            if out.buffer.len() >= BUFFER {
                into.write_all(&out.buffer)?;
                out.buffer.clear();
            }
        }
        count += batch.packets.len() as u64;
    }
    out.end(files);
    into.write_all(&out.buffer)?;
    into.flush()?;
    Ok(count)
}

/// Blocks that are not yet written.
struct Out<'f> {
    buffer: Vec<u8>,
    /// Number here of an interface of a file.
    numbers: BTreeMap<(u32, u32), u32>,
    filter: Option<&'f str>,
}

impl<'f> Out<'f> {
    fn begin(files: &[FileFacts], filter: Option<&'f str>) -> Self {
        let mut out = Out { buffer: Vec::with_capacity(BUFFER), numbers: BTreeMap::new(), filter };
        append_section(OS, APPLICATION, &mut out.buffer);
        for (file, facts) in (0..).zip(files) {
            for (number, interface) in (0..).zip(&facts.interfaces) {
                out.describe((file, number), interface);
            }
        }
        out
    }

    fn describe(&mut self, place: (u32, u32), facts: &InterfaceFacts) -> u32 {
        let filter = self.filter.map(str::to_owned).or_else(|| facts.filter.clone());
        append_interface(&InterfaceFacts { filter, ..facts.clone() }, &mut self.buffer);
        let number = self.numbers.len() as u32;
        self.numbers.insert(place, number);
        number
    }

    fn append(&mut self, packet: &Packet, bytes: &[u8]) {
        let place = (packet.file, packet.interface);
        let number = self.numbers.get(&place).copied();
        // Of a file's interfaces only the first are told; a later one has no name, but its link type.
        let unnamed = || InterfaceFacts { link_type: packet.link.0, ..InterfaceFacts::default() };
        let interface = number.unwrap_or_else(|| self.describe(place, &unnamed()));
        let (ts_ns, original_len) = (packet.ts_ns, packet.original_len);
        PacketBlock { interface, ts_ns, bytes, original_len, lost: 0 }.append(&mut self.buffer);
    }

    /// What was dropped, of the first interface, which stands for the whole capture as where files are written.
    fn end(&mut self, files: &[FileFacts]) {
        let (Some(first), Some(last)) = (files.first(), files.last()) else { return };
        let dropped = last.interfaces.iter().filter_map(|facts| facts.dropped).reduce(u64::saturating_add);
        if let (Some(since_ns), Some(until_ns), Some(_)) = (first.first_ns, last.last_ns, dropped) {
            let delivered = files.iter().map(|file| file.packets).sum();
            append_statistics(&Statistics { since_ns, until_ns, accepted: None, dropped, delivered }, &mut self.buffer);
        }
    }
}
