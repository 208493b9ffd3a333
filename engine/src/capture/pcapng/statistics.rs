//! The interface statistics block (draft-ietf-opsawg-pcapng §4.6): what was received and what was lost.

use super::clock::Clock;
use super::options::{COMMENT, Options, counter};
use super::told::Told;
use crate::capture::facts::InterfaceFacts;
use crate::capture::order::Order;

/// Bytes before the options: interface and time.
pub const STATISTICS: usize = 12;

const ISB_STARTTIME: u16 = 2;
const ISB_IFRECV: u16 = 4;
const ISB_IFDROP: u16 = 5;
const ISB_FILTERACCEPT: u16 = 6;
const ISB_OSDROP: u16 = 7;
const ISB_USRDELIV: u16 = 8;

/// Notes a statistics block, whose interface has the place `index` in the file, and its clock.
///
/// The counters run from the start of the capture, so that the last block replaces those before it.
pub fn note_statistics(order: Order, body: &[u8], (index, clock): (usize, Clock), told: &mut Told) {
    told.block("interface_statistics");
    let mut options = Options::new(order, body.get(STATISTICS..).unwrap_or_default());
    for (code, value) in options.by_ref() {
        if code == COMMENT {
            told.comment("interface_statistics", None, value);
        } else if let (Some(facts), Some(count)) = (told.interface_at(index), counter(order, value)) {
            if code == ISB_STARTTIME {
                // As in packets: the high half first, in either byte order.
                let ticks = u64::from(order.u32(value, 0)) << 32 | u64::from(order.u32(value, 4));
                facts.counted_since_ns = Some(clock.ns(ticks));
                facts.counted_since_as_us_ns = Some(Clock::DEFAULT.ns(ticks));
            }
            note(code, count, facts);
        }
    }
    told.facts.broken_lists += u64::from(options.broken());
}

/// Notes one counter; drops of the interface and of the system add up.
fn note(code: u16, count: u64, facts: &mut InterfaceFacts) {
    match code {
        ISB_IFRECV => facts.received = Some(count),
        ISB_IFDROP => facts.dropped_by_interface = Some(count),
        ISB_FILTERACCEPT => facts.accepted = Some(count),
        ISB_OSDROP => facts.dropped_by_system = Some(count),
        ISB_USRDELIV => facts.delivered = Some(count),
        _ => return,
    }
    let drops = [facts.dropped_by_interface, facts.dropped_by_system];
    facts.dropped = drops.into_iter().flatten().reduce(u64::saturating_add);
}
