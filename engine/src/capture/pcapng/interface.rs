//! The interface description block (draft-ietf-opsawg-pcapng §4.2).

use super::clock::Clock;
use super::options::{COMMENT, Options, text};
use super::told::Told;
use crate::capture::facts::InterfaceFacts;
use crate::capture::order::Order;
use crate::capture::{LONGEST_PACKET, LinkType, Reading, sane_length};

const LINK_TYPE: usize = 0;
const SNAPLEN: usize = 4;
/// Bytes of a description before its options.
pub const DESCRIPTION: usize = 8;

const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
const IF_FILTER: u16 = 11;
const IF_OS: u16 = 12;
const IF_TSOFFSET: u16 = 14;
const IF_HARDWARE: u16 = 15;
/// The first byte of `if_filter` where the rest is text; bytecode has another.
const FILTER_TEXT: u8 = 0;
/// Microseconds, where the file states no resolution.
const MICROSECONDS: u8 = 6;

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
    /// From the body of a description block, its facts noted; `None` if the body is too short for one.
    #[must_use]
    pub fn parse(order: Order, body: &[u8], reading: &Reading, told: &mut Told) -> Option<Interface> {
        let list = body.get(DESCRIPTION..)?;
        told.block("interface_description");
        let snaplen = order.u32(body, SNAPLEN);
        let (link, mut facts) = reading.interface(LinkType(u32::from(order.u16(body, LINK_TYPE))), snaplen);
        facts.resolution = MICROSECONDS;
        let mut options = Options::new(order, list);
        for (code, value) in options.by_ref() {
            if code == COMMENT {
                told.comment("interface_description", None, value);
            } else {
                note(order, code, value, &mut facts);
            }
        }
        told.facts.broken_lists += u64::from(options.broken());
        let clock = Clock::DEFAULT.with_resolution(facts.resolution).with_offset(facts.offset_s);
        told.interface(facts);
        Some(Interface { link, snaplen, clock })
    }

    /// Longest packet believed.
    #[must_use]
    pub fn longest(&self) -> u32 {
        if self.snaplen == 0 { LONGEST_PACKET } else { sane_length(self.snaplen) }
    }
}

/// Notes one option of a description.
fn note(order: Order, code: u16, value: &[u8], facts: &mut InterfaceFacts) {
    match (code, value) {
        (IF_NAME, _) => facts.name = Some(text(value)),
        (IF_DESCRIPTION, _) => facts.description = Some(text(value)),
        (IF_HARDWARE, _) => facts.hardware = Some(text(value)),
        (IF_OS, _) => facts.os = Some(text(value)),
        (IF_FILTER, [FILTER_TEXT, filter @ ..]) => facts.filter = Some(text(filter)),
        (IF_TSRESOL, [resolution, ..]) => facts.resolution = *resolution,
        (IF_TSOFFSET, [_, _, _, _, _, _, _, _]) => facts.offset_s = order.u64(value, 0) as i64,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::forge;

    #[test]
    fn every_option_that_is_told_of_an_interface() {
        for order in [Order::Little, Order::Big] {
            let offset = order.put64(7);
            let list: &[(u16, &[u8])] = &[
                (COMMENT, b"uplink"),
                (IF_NAME, b"eth0"),
                (IF_DESCRIPTION, b"to the proxy"),
                (IF_TSRESOL, &[0x8a]),
                (IF_FILTER, b"\0tcp port 80"),
                (IF_OS, b"Linux"),
                (IF_TSOFFSET, &offset),
                (IF_HARDWARE, b"e1000"),
                (0x8123, b"of someone's own"),
            ];
            let body = [&order.put16(1)[..], &[0; 2], &order.put32(96), &forge::options(order, list)].concat();
            let mut told = Told::default();
            let interface = Interface::parse(order, &body, &Reading::default(), &mut told).unwrap();
            assert_eq!(interface.clock.ns(1 << 10), 8_000_000_000, "2^-10 s a tick, 7 s added");
            let facts = &told.interfaces[0];
            assert_eq!((facts.link_type, facts.snaplen, facts.resolution, facts.offset_s), (1, 96, 0x8a, 7));
            let texts = [&facts.name, &facts.description, &facts.filter, &facts.os, &facts.hardware];
            let texts = texts.map(|text| text.as_deref().unwrap());
            assert_eq!(texts, ["eth0", "to the proxy", "tcp port 80", "Linux", "e1000"]);
            assert_eq!(told.facts.comment_texts[0].text, "uplink");
        }
    }

    #[test]
    fn a_filter_in_bytecode_is_no_text() {
        let body = [&[1, 0, 0, 0, 0, 0, 0, 0][..], &forge::options(Order::Little, &[(IF_FILTER, &[1, 6, 0, 0])])];
        let mut told = Told::default();
        assert!(Interface::parse(Order::Little, &body.concat(), &Reading::default(), &mut told).is_some());
        assert_eq!((told.interfaces[0].filter.as_deref(), told.interfaces[0].resolution), (None, 6));
    }
}
