//! What pcapng says of an interface: its description (draft-ietf-opsawg-pcapng §4.2) and its statistics (§4.6).

use super::clock::Clock;
use super::options::Options;
use crate::capture::facts::InterfaceFacts;
use crate::capture::order::Order;
use crate::capture::{LinkType, sane_length};

const LINK_TYPE: usize = 0;
const SNAPLEN: usize = 4;
/// Bytes of a description before its options.
pub const DESCRIPTION: usize = 8;
/// Bytes of statistics before their options: interface and time.
pub const STATISTICS: usize = 12;

const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;
const ISB_IFRECV: u16 = 4;
const ISB_IFDROP: u16 = 5;
const ISB_OSDROP: u16 = 7;

/// Longest name kept, in bytes; Linux has 15, Windows 50.
const NAME_BYTES: usize = 256;

/// What reading a packet needs to know of its interface.
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    /// Link type of its packets.
    pub link: LinkType,
    /// The limit its packets were cut to; 0 = none.
    pub snaplen: u32,
    /// Its time stamps.
    pub clock: Clock,
}

impl Interface {
    /// From the body of a description block, with the facts to report; `None` if the body is too short for one.
    #[must_use]
    pub fn parse(order: Order, body: &[u8]) -> Option<(Interface, InterfaceFacts)> {
        let list = body.get(DESCRIPTION..)?;
        let link = LinkType(u32::from(order.u16(body, LINK_TYPE)));
        let snaplen = order.u32(body, SNAPLEN);
        let mut facts = InterfaceFacts { link_type: link.0, snaplen, ..InterfaceFacts::default() };
        let mut clock = Clock::DEFAULT;
        for (code, value) in Options::new(order, list) {
            match (code, value) {
                (IF_NAME, _) => facts.name = Some(text(value)),
                (IF_TSRESOL, [resolution, ..]) => clock = clock.with_resolution(*resolution),
                (IF_TSOFFSET, [_, _, _, _, _, _, _, _]) => {
                    clock = clock.with_offset(order.u64(value, 0) as i64);
                }
                _ => {}
            }
        }
        Some((Interface { link, snaplen, clock }, facts))
    }

    /// Longest packet believed.
    #[must_use]
    pub fn longest(&self) -> u32 {
        sane_length(self.snaplen)
    }
}

/// Adds a statistics block to what is known of its interface. The counters run from the start of the capture, so
/// that the last block replaces those before it; drops of the interface and of the system add up.
pub fn add_statistics(order: Order, body: &[u8], facts: &mut InterfaceFacts) {
    let mut drops = [None; 2];
    for (code, value) in Options::new(order, body.get(STATISTICS..).unwrap_or_default()) {
        let counter = (value.len() == 8).then(|| order.u64(value, 0));
        match code {
            ISB_IFRECV => facts.received = counter.or(facts.received),
            ISB_IFDROP => drops[0] = counter,
            ISB_OSDROP => drops[1] = counter,
            _ => {}
        }
    }
    facts.dropped = drops.into_iter().flatten().reduce(u64::saturating_add).or(facts.dropped);
}

/// The file's text up to a NUL or [`NAME_BYTES`], whatever its bytes.
fn text(value: &[u8]) -> String {
    let end = value.iter().take(NAME_BYTES).take_while(|&&byte| byte != 0).count();
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}
