//! Link types of interfaces, and the header of packets whose own cannot be used: Linux cooked capture, version 2
//! (<https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html>).

use super::block::{LinkAddress, RingPacket};
use crate::capture::LinkType;

/// Bytes of the header.
pub const HEADER: usize = 20;
/// Its link type.
pub const LINUX_SLL2: LinkType = LinkType(276);
const ETHERNET: LinkType = LinkType(1);
const RAW: LinkType = LinkType(101);
/// Where a tag is in an Ethernet frame: behind both addresses.
const TAG_AT: usize = 12;
/// Bytes of a tag.
const TAG: u32 = 4;

/// The link type of an interface by its hardware type (`linux/if_arp.h`), as libpcap's `map_arphrd_to_dlt` has it. What
/// has none of its own is captured cooked.
#[must_use]
pub fn link_type_of(hardware: u16) -> LinkType {
    match hardware {
        1 | 772 => ETHERNET,
        // CSLIP, IPIP, SIT, tun, raw IP: the packet begins with IP.
        256..=260 | 264 | 768 | 769 | 776 | 519 | 0xfffe => RAW,
        801 => LinkType(105),
        802 => LinkType(119),
        803 => LinkType(127),
        _ => LINUX_SLL2,
    }
}

/// Appends a packet's bytes as a capture file has them, a tag that the kernel took out put back and a cooked header
/// before it where that is the link type, and gives the packet's length on the wire with what was added.
#[inline]
pub fn append(packet: &RingPacket<'_>, link: LinkType, data: &mut Vec<u8>) -> u32 {
    match (link, packet.tag) {
        (LINUX_SLL2, tag) => {
            append_header(&packet.address, tag, data);
            data.extend_from_slice(packet.bytes);
            packet.original_len.saturating_add(HEADER as u32 + tag.map_or(0, |_| TAG))
        }
        (ETHERNET, Some((kind, control))) if packet.bytes.len() >= TAG_AT => {
            let (addresses, rest) = packet.bytes.split_at(TAG_AT);
            data.extend_from_slice(addresses);
            data.extend_from_slice(&kind.to_be_bytes());
            data.extend_from_slice(&control.to_be_bytes());
            data.extend_from_slice(rest);
            packet.original_len.saturating_add(TAG)
        }
        _ => {
            data.extend_from_slice(packet.bytes);
            packet.original_len
        }
    }
}

fn append_header(address: &LinkAddress, tag: Option<(u16, u16)>, data: &mut Vec<u8>) {
    data.extend_from_slice(&tag.map_or(address.protocol, |(kind, _)| kind).to_be_bytes());
    data.extend_from_slice(&[0; 2]);
    data.extend_from_slice(&address.interface.to_be_bytes());
    data.extend_from_slice(&address.hardware.to_be_bytes());
    data.extend_from_slice(&[address.kind, address.length]);
    data.extend_from_slice(&address.address);
    if let Some((_, control)) = tag {
        data.extend_from_slice(&control.to_be_bytes());
        data.extend_from_slice(&address.protocol.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: LinkAddress = LinkAddress {
        protocol: 0x0800,
        interface: 3,
        hardware: 1,
        kind: 4,
        length: 6,
        address: [2, 0, 0, 0, 0, 9, 0, 0],
    };

    fn appended(bytes: &[u8], tag: Option<(u16, u16)>, link: LinkType) -> (u32, Vec<u8>) {
        let mut data = Vec::new();
        let packet = RingPacket { ts_ns: 0, bytes, original_len: 100, tag, address: ADDRESS };
        let length = append(&packet, link, &mut data);
        (length, data)
    }

    #[test]
    fn a_tag_goes_back_behind_the_addresses() {
        let (length, data) = appended(b"aaaaaabbbbbb\x08\x00rest", Some((0x8100, 0x2005)), ETHERNET);
        assert_eq!((length, &data[..]), (104, &b"aaaaaabbbbbb\x81\x00\x20\x05\x08\x00rest"[..]));
        assert_eq!(appended(b"short", Some((0x8100, 5)), ETHERNET), (100, b"short".to_vec()));
    }

    #[test]
    fn a_cooked_header_says_what_the_socket_said() {
        let (length, data) = appended(b"ip", None, LINUX_SLL2);
        let header = b"\x08\x00\0\0\0\0\0\x03\0\x01\x04\x06\x02\0\0\0\0\x09\0\0";
        assert_eq!((length, &data[..]), (120, &[&header[..], b"ip"].concat()[..]));
        let (length, data) = appended(b"ip", Some((0x8100, 5)), LINUX_SLL2);
        assert_eq!((length, &data[..2], &data[20..]), (124, &[0x81, 0][..], &b"\0\x05\x08\x00ip"[..]));
    }
}
