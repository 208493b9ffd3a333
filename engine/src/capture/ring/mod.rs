//! Packets as they pass an interface: Linux's ring of blocks shared with the kernel (`AF_PACKET`, `TPACKET_V3`;
//! <https://docs.kernel.org/networking/packet_mmap.html>).
//!
//! ```text
//! interface ──► filter ──► ring (kernel) ──► Blocks ──► Packets ──► cooked ──► Batch
//!               program    sys.rs            sys.rs     block.rs    tags back
//! ```
//!
//! The order of [`Ring::open`] lets no packet in that the filter would have kept out: the socket gets no packet before it
//! is bound, and it is bound last.
//!
//! A kernel counts what it drops when the ring is full; [`Ring::counters`] adds those counts up, as the kernel forgets
//! them when they are read.

mod block;
mod cooked;
mod options;
mod program;
mod refusal;
mod sys;

#[cfg(test)]
pub(super) mod namespaces;
#[cfg(test)]
mod tests;

pub use cooked::link_type_of;
pub use options::{Fanout, FanoutMode, RingOptions};

use super::facts::InterfaceFacts;
use super::filter::{Filter, Instruction, program_for};
use super::tap::{Tap, TapCounters};
use super::write::{Statistics, now_ns};
use super::{Batch, LinkType, Packet, SourceError};
use block::{Packets, RingPacket};
use cooked::LINUX_SLL2;
use nix::errno::Errno;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};
use sys::{Blocks, PacketSocket, Woken};

/// A ring that is being read.
pub struct Ring {
    name: String,
    /// `None` for all interfaces.
    index: Option<i32>,
    socket: PacketSocket,
    blocks: Blocks,
    /// The block that comes next.
    next: usize,
    link: LinkType,
    snaplen: u32,
    filter: Filter,
    interfaces: Interfaces,
    counters: TapCounters,
    next_ordinal: u64,
    since_ns: i64,
    timeout: Duration,
    stopped: bool,
    /// Why no packets will come any more.
    gone: Option<SourceError>,
}

/// The interfaces that packets came from, in the order in which they were met; their place is [`Packet::interface`].
#[derive(Default)]
struct Interfaces {
    facts: Vec<InterfaceFacts>,
    places: HashMap<i32, u32, foldhash::fast::RandomState>,
}

/// Most interfaces told apart; packets of others count as of the first.
const MOST_INTERFACES: usize = 4096;
/// Resolution of times in pcapng's terms: nanoseconds.
const NANOSECONDS: u8 = 9;
/// Loopback's number, in every network namespace.
const LOOPBACK: &str = "lo";
/// The name for all interfaces.
pub const ANY: &str = "any";

impl Ring {
    /// Opens an interface, or all of them as `any`.
    ///
    /// # Errors
    /// [`SourceError`] if there is no such interface, no right to capture, or no memory for the ring.
    pub fn open(options: &RingOptions) -> Result<Ring, SourceError> {
        match &options.netns {
            Some(netns) => within(netns, || Ring::open_here(options)),
            None => Ring::open_here(options),
        }
    }

    fn open_here(options: &RingOptions) -> Result<Ring, SourceError> {
        let name = options.interface.as_str();
        let refused = |error: std::io::Error| refusal::cannot_open(name, &error);
        let any = name == ANY;
        let mut socket = PacketSocket::open(any).map_err(refused)?;
        let link = if any { LINUX_SLL2 } else { link_type_of(socket.hardware_of(name).map_err(refused)?) };
        if link == LINUX_SLL2 && !any {
            socket = PacketSocket::open(true).map_err(refused)?;
        }
        let index = if any { None } else { Some(socket.index_of(name).map_err(refused)?) };
        let (blocks, block_bytes) = options.sizes();
        let mapped = socket.ring(blocks, block_bytes, options.block_timeout_ms.max(1));
        let mapped =
            mapped.map_err(|error| refusal::no_ring(name, u64::from(blocks) * u64::from(block_bytes), &error))?;
        let mut ring = Ring {
            name: name.to_owned(),
            index,
            socket,
            blocks: mapped,
            next: 0,
            link,
            snaplen: options.snaplen(),
            filter: Filter::default(),
            interfaces: Interfaces::default(),
            counters: TapCounters::default(),
            next_ordinal: 0,
            since_ns: now_ns(),
            timeout: Duration::from_millis(options.block_timeout_ms.max(1).into()),
            stopped: false,
            gone: None,
        };
        ring.interfaces.facts.push(ring.facts_of(name));
        ring.start(options)?;
        Ok(ring)
    }

    /// Lets packets in: with the filter attached, and in a group only once the group is joined.
    fn start(&mut self, options: &RingOptions) -> Result<(), SourceError> {
        let refused = |error: std::io::Error| refusal::cannot_open(&options.interface, &error);
        if let (true, Some(index)) = (options.promiscuous, self.index) {
            self.socket.promiscuous(index).map_err(refused)?;
        }
        let Some(fanout) = &options.fanout else {
            self.attach_filter(options)?;
            return self.socket.bind(self.index.unwrap_or(0)).map_err(refused);
        };
        // Only a bound socket can join a group, and until then it would get the packets of the others too.
        self.socket.attach(&program::NOTHING).map_err(refused)?;
        self.socket.bind(self.index.unwrap_or(0)).map_err(refused)?;
        self.socket
            .fanout(fanout.group, fanout.mode as u16)
            .map_err(|error| refusal::no_group(&options.interface, &error))?;
        self.attach_filter(options)
    }

    /// In the kernel if it takes the program, otherwise here.
    fn attach_filter(&mut self, options: &RingOptions) -> Result<(), SourceError> {
        let user = self.user_program(options)?;
        let in_kernel = match user {
            Some(_) if options.filter_here => None,
            user => program::for_kernel(user, self.link == LINUX_SLL2, self.snaplen),
        };
        if let Some(Ok(())) = in_kernel.map(|code| self.attach_behind_loopback(&code)) {
            return Ok(());
        }
        let everything = program::for_kernel(None, false, self.snaplen).unwrap_or_default();
        self.attach_behind_loopback(&everything).map_err(|error| refusal::cannot_open(&self.name, &error))?;
        let programs = BTreeMap::from([(self.link.0, user.unwrap_or_default().to_vec())]);
        self.filter = Filter::new(programs).map_err(|bad| SourceError::new(&self.name, bad.to_string()))?;
        Ok(())
    }

    fn attach_behind_loopback(&self, code: &[Instruction]) -> std::io::Result<()> {
        match self.socket.index_of(LOOPBACK) {
            Ok(loopback) if self.index.is_none_or(|index| index == loopback) => {
                self.socket.attach(&[&program::without_outgoing(loopback), code].concat())
            }
            _ => self.socket.attach(code),
        }
    }

    fn user_program<'o>(&self, options: &'o RingOptions) -> Result<Option<&'o [Instruction]>, SourceError> {
        if options.filter.is_empty() {
            return Ok(None);
        }
        let program = program_for(&options.filter, self.link);
        let Some(program) = program else {
            let why = format!("the filter has no program for its link type, {}", self.link.0);
            return Err(SourceError::new(&self.name, why));
        };
        Ok(Some(program))
    }

    /// The link type of its packets.
    #[must_use]
    pub fn link(&self) -> LinkType {
        self.link
    }

    /// Takes blocks until one has packets.
    fn take_packets(&mut self, batch: &mut Batch) -> bool {
        while self.take_block(batch) {
            self.hold_back(batch);
            if !batch.packets.is_empty() {
                return true;
            }
            batch.data.clear();
        }
        false
    }

    /// Takes a block, if one is ready.
    fn take_block(&mut self, batch: &mut Batch) -> bool {
        let count = self.blocks.count();
        let Some(block) = self.blocks.take(self.next) else { return false };
        self.next = (self.next + 1) % count;
        let mut packets = Packets::new(block.bytes);
        let mut unknown = Vec::new();
        for packet in packets.by_ref() {
            let interface = match self.index {
                Some(_) => 0,
                None => self.interfaces.places.get(&packet.address.interface).copied().unwrap_or_else(|| {
                    unknown.push((batch.packets.len(), packet.address.interface));
                    0
                }),
            };
            push(&packet, (self.link, self.snaplen, interface), batch);
        }
        self.counters.damaged += packets.damaged;
        drop(block);
        for (at, index) in unknown {
            let place = self.place_of(index);
            batch.packets.get_mut(at).into_iter().for_each(|packet| packet.interface = place);
        }
        true
    }

    /// The place of an interface, new ones added.
    #[cold]
    fn place_of(&mut self, index: i32) -> u32 {
        if let Some(&place) = self.interfaces.places.get(&index) {
            return place;
        }
        if self.interfaces.facts.len() >= MOST_INTERFACES {
            return 0;
        }
        // Gone again already, or in another namespace: its number is what is left of it.
        let name = self.socket.name_of(index).unwrap_or_else(|_| format!("interface {index}"));
        let place = self.interfaces.facts.len() as u32;
        self.interfaces.facts.push(self.facts_of(&name));
        self.interfaces.places.insert(index, place);
        place
    }

    fn facts_of(&self, name: &str) -> InterfaceFacts {
        let (name, snaplen) = (Some(name.to_owned()), self.snaplen);
        InterfaceFacts { name, link_type: self.link.0, snaplen, resolution: NANOSECONDS, ..InterfaceFacts::default() }
    }

    fn hold_back(&mut self, batch: &mut Batch) {
        let data = &batch.data;
        let bytes_of =
            |packet: &Packet| data.get(packet.start..packet.start + packet.captured_len as usize).unwrap_or_default();
        self.counters.filtered += self.filter.retain(&mut batch.packets, bytes_of);
        (1..).zip(&mut batch.packets).for_each(|(nth, packet)| packet.frame = self.next_ordinal + nth);
    }

    /// Whether no more packets come than those in the last block, which the kernel hands over once its time is up.
    fn is_over(&self) -> bool {
        self.stopped || self.gone.is_some()
    }

    /// Waits for a block; `false` if none came, or a signal did.
    fn wait_until(&mut self, until: Instant) -> Result<bool, SourceError> {
        let failed = |error: std::io::Error| SourceError::new(&self.name, format!("cannot be read any more: {error}"));
        match self.socket.wait(until.saturating_duration_since(Instant::now())).map_err(failed)? {
            Woken::Ready => Ok(true),
            // One that is removed goes down first, and of the rest the kernel says nothing more.
            Woken::Idle => Ok(self.counters.interface_down > 0 && self.gone.is_none() && self.note_gone()),
            Woken::Error(Errno::ENETDOWN) => {
                self.counters.interface_down += 1;
                self.note_gone();
                Ok(true)
            }
            Woken::Error(error) => Err(failed(error.into())),
        }
    }

    /// Down for a while, or gone for good: whether it is gone.
    fn note_gone(&mut self) -> bool {
        if self.index.is_some_and(|index| self.socket.name_of(index).is_err()) {
            let why = "the interface is gone: it was removed, or moved to another network namespace";
            self.gone = Some(SourceError::new(&self.name, why));
        }
        self.gone.is_some()
    }
}

impl Tap for Ring {
    fn next_batch(&mut self, batch: &mut Batch, wait: Duration) -> Result<usize, SourceError> {
        batch.packets.clear();
        batch.data.clear();
        batch.first_ordinal = self.next_ordinal;
        let least = if self.is_over() { self.timeout * 3 } else { Duration::ZERO };
        let mut until = Instant::now() + wait.max(least);
        while !self.take_packets(batch) {
            let (was_over, woken) = (self.is_over(), self.wait_until(until)?);
            if self.is_over() && !was_over {
                until = Instant::now() + self.timeout * 3;
            } else if Instant::now() >= until || (!woken && !was_over) {
                self.take_packets(batch);
                break;
            }
        }
        if batch.packets.is_empty() {
            self.gone.take().map_or(Ok(()), Err)?;
        }
        let given = batch.packets.len() as u64;
        self.next_ordinal += given;
        self.counters.packets += given;
        self.counters.bytes += batch.packets.iter().map(|packet| u64::from(packet.captured_len)).sum::<u64>();
        Ok(batch.packets.len())
    }

    fn stop(&mut self) -> Result<(), SourceError> {
        self.stopped = true;
        self.socket
            .attach(&program::NOTHING)
            .map_err(|error| SourceError::new(&self.name, format!("cannot be stopped: {error}")))
    }

    fn counters(&mut self) -> Result<TapCounters, SourceError> {
        let (packets, drops, freezes) = self
            .socket
            .statistics()
            .map_err(|error| SourceError::new(&self.name, format!("its drops cannot be read: {error}")))?;
        let TapCounters { kernel_packets: passed, kernel_drops: dropped, .. } = &mut self.counters;
        *passed = Some(passed.unwrap_or(0) + u64::from(packets));
        *dropped = Some(dropped.unwrap_or(0) + u64::from(drops));
        self.counters.ring_freezes += u64::from(freezes);
        Ok(self.counters)
    }

    fn statistics(&self) -> Statistics {
        let TapCounters { packets: delivered, kernel_packets, kernel_drops: dropped, .. } = self.counters;
        // Packets were given since the kernel was asked, which it has accepted as well.
        let accepted = kernel_packets.map(|accepted| accepted.max(delivered + dropped.unwrap_or(0)));
        Statistics { since_ns: self.since_ns, until_ns: now_ns(), accepted, dropped, delivered }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn interfaces(&self) -> &[InterfaceFacts] {
        &self.interfaces.facts
    }
}

/// Adds a packet to a batch, its bytes copied out of the ring: the one copy there is.
#[inline]
fn push(packet: &RingPacket<'_>, (link, snaplen, interface): (LinkType, u32, u32), batch: &mut Batch) {
    let start = batch.data.len();
    let original_len = cooked::append(packet, link, &mut batch.data);
    batch.data.truncate(start.saturating_add(snaplen as usize));
    let captured_len = (batch.data.len() - start) as u32;
    let (frame, file) = (0, 0);
    batch.packets.push(Packet { ts_ns: packet.ts_ns, frame, start, captured_len, original_len, file, interface, link });
}

/// Does something in a network namespace, named as by `ip netns` or by its path: on a thread of its own, as a thread is
/// what has a namespace. A socket stays in its namespace wherever it is used.
///
/// # Errors
/// [`SourceError`] if there is no such namespace, or no right to enter it.
pub(super) fn within<T: Send>(
    netns: &str,
    what: impl FnOnce() -> Result<T, SourceError> + Send,
) -> Result<T, SourceError> {
    let path = if netns.contains('/') { netns.to_owned() } else { format!("/run/netns/{netns}") };
    let done = std::thread::scope(|scope| scope.spawn(|| options::enter(&path).and_then(|()| what())).join());
    done.unwrap_or_else(|_| Err(SourceError::new(&path, "the namespace's thread gave up")))
}
