//! The three kinds of packet blocks: enhanced (draft-ietf-opsawg-pcapng §4.3), simple (§4.4) and the obsolete one
//! (Appendix A). Their options are looked at apart, for few packets have any.

use super::interface::Interface;
use super::options::{COMMENT, Options, counter};
use super::told::Told;
use crate::capture::order::Order;

const EPB_FLAGS: u16 = 2;
const EPB_DROPCOUNT: u16 = 4;
/// The bits of `epb_flags` that say the direction: 1 inbound, 2 outbound, 0 not known.
const DIRECTION: u32 = 0b11;
/// The obsolete block's drop count where it is not known.
const DROPS_UNKNOWN: u16 = u16::MAX;

/// Where the fields of a packet block are, relative to its body.
pub struct PacketFields {
    /// Interface within the section.
    pub interface: u32,
    /// Time, in ticks of the interface.
    pub ticks: Option<u64>,
    /// Bytes captured.
    pub captured: u32,
    /// Bytes on the wire.
    pub original_len: u32,
    /// Bytes before the packet's.
    pub header: usize,
}

impl PacketFields {
    /// §4.3: interface, time (high, low), captured length, original length.
    #[inline]
    pub fn enhanced(order: Order, body: &[u8]) -> PacketFields {
        let field = |at| order.u32(body, at);
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
    pub fn obsolete(order: Order, body: &[u8]) -> PacketFields {
        PacketFields { interface: u32::from(order.u16(body, 0)), ..PacketFields::enhanced(order, body) }
    }

    /// §4.4: the original length only; the packet is of interface 0, cut to its snaplen, and has no time.
    pub fn simple(order: Order, body: &[u8], section: &[Interface]) -> PacketFields {
        let original_len = order.u32(body, 0);
        let snaplen = section.first().map_or(0, |interface| interface.snaplen);
        let captured = if snaplen == 0 { original_len } else { original_len.min(snaplen) };
        PacketFields { interface: 0, ticks: None, captured, original_len, header: 4 }
    }
}

/// Notes the drop count of an obsolete packet of the interface with the place `index` in the file.
#[cold]
pub fn note_obsolete_drops(order: Order, body: &[u8], index: usize, told: &mut Told) {
    let drops = order.u16(body, 2);
    if let Some(facts) = told.interface_at(index).filter(|_| drops != DROPS_UNKNOWN) {
        facts.lost_between = facts.lost_between.saturating_add(u64::from(drops));
    }
}

/// Notes the options behind a packet: comments, direction, and packets lost before it.
#[cold]
pub fn note_options(order: Order, list: &[u8], index: usize, frame: u64, told: &mut Told) {
    let mut options = Options::new(order, list);
    for (code, value) in options.by_ref() {
        if code == COMMENT {
            told.comment("packet", Some(frame), value);
        }
        let Some(facts) = told.interface_at(index) else { continue };
        match (code, value) {
            (EPB_FLAGS, [_, _, _, _]) => {
                facts.inbound += u64::from(order.u32(value, 0) & DIRECTION == 1);
                facts.outbound += u64::from(order.u32(value, 0) & DIRECTION == 2);
            }
            (EPB_DROPCOUNT, _) => {
                facts.lost_between = facts.lost_between.saturating_add(counter(order, value).unwrap_or(0));
            }
            _ => {}
        }
    }
    told.facts.broken_lists += u64::from(options.broken());
}
