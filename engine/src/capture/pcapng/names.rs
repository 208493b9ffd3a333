//! The name resolution block (draft-ietf-opsawg-pcapng §4.5): addresses and their names, then options. Names are counted, and
//! kept only on request; they never change what is concluded.

use super::told::Told;
use crate::capture::order::Order;
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

const END_OF_RECORDS: u16 = 0;
const IPV4: u16 = 1;
const IPV6: u16 = 2;
const EUI48: u16 = 3;
const EUI64: u16 = 4;
const RECORD_HEADER: usize = 4;

/// Notes the records and comments of a block.
pub fn note_names(order: Order, body: &[u8], told: &mut Told) {
    told.block("name_resolution");
    let mut rest = body;
    while let Some((header, values)) = rest.split_at_checked(RECORD_HEADER) {
        let kind = order.u16(header, 0);
        let length = usize::from(order.u16(header, 2));
        if kind == END_OF_RECORDS {
            return told.comments(order, values, "name_resolution");
        }
        let Some(value) = values.get(..length) else { break };
        note_record(kind, value, told);
        rest = values.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    told.facts.broken_lists += u64::from(!rest.is_empty());
}

/// One record: an address, then names that each end with a NUL. Records of other kinds are passed over.
fn note_record(kind: u16, value: &[u8], told: &mut Told) {
    let length = match kind {
        IPV4 => 4,
        IPV6 => 16,
        EUI48 => 6,
        EUI64 => 8,
        _ => return,
    };
    let Some((address, names)) = value.split_at_checked(length) else {
        told.facts.broken_lists += 1;
        return;
    };
    let address = if told.keep_names { address_text(address) } else { String::new() };
    for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        told.name(&address, name);
    }
}

fn address_text(address: &[u8]) -> String {
    if let Ok(bytes) = <[u8; 4]>::try_from(address) {
        return Ipv4Addr::from(bytes).to_string();
    }
    if let Ok(bytes) = <[u8; 16]>::try_from(address) {
        return Ipv6Addr::from(bytes).to_string();
    }
    address.iter().enumerate().fold(String::new(), |mut text, (place, byte)| {
        let _ = write!(text, "{}{byte:02x}", if place == 0 { "" } else { ":" });
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::forge;
    use std::sync::Arc;

    /// (address, name), names counted, broken lists.
    fn read(order: Order, body: &[u8]) -> (Vec<(String, String)>, u64, u64) {
        let mut told = Told::new(true, &Arc::default());
        note_names(order, body, &mut told);
        let names = told.facts.name_records.into_iter().map(|record| (record.address, record.name));
        (names.collect(), told.facts.names, told.facts.broken_lists)
    }

    #[test]
    fn every_kind_of_address_and_several_names_of_one() {
        for order in [Order::Little, Order::Big] {
            let v6 = Ipv6Addr::from([0xfc01, 0xdead, 0, 0, 0, 0, 0, 0xbeef]).octets();
            let records: &[(u16, &[u8])] = &[
                (IPV4, b"\x0a\x01\x02\x03a.example\0b.example\0"),
                (IPV6, &[&v6[..], b"six\0"].concat()),
                (EUI48, b"\x02\0\0\0\0\x01card\0"),
                (EUI64, b"\x02\0\0\0\0\0\0\x01long\0"),
                (0x8001, b"of someone's own"),
            ];
            let body = [forge::options(order, records), forge::options(order, &[(1, b"hosts")])].concat();
            let text = |a: &str, b: &str| (a.to_owned(), b.to_owned());
            let expected = vec![
                text("10.1.2.3", "a.example"),
                text("10.1.2.3", "b.example"),
                text("fc01:dead::beef", "six"),
                text("02:00:00:00:00:01", "card"),
                text("02:00:00:00:00:00:00:01", "long"),
            ];
            assert_eq!(read(order, &body), (expected, 5, 0));
            let mut told = Told::default();
            note_names(order, &body, &mut told);
            assert_eq!(told.facts.comment_texts[0].text, "hosts");
        }
    }

    #[test]
    fn a_record_beyond_the_block_or_too_short_for_its_address_is_counted() {
        assert_eq!(read(Order::Big, &[0, 1, 0, 9, 10, 0, 0, 1]).2, 1);
        assert_eq!(read(Order::Big, &[0, 1, 0, 3, 10, 0, 0, 0]).2, 1);
        assert_eq!(read(Order::Big, &[]), (Vec::new(), 0, 0));
    }
}
