//! Linux cooked capture, what `tcpdump -i any` writes: the link header of every interface replaced by one of these.
//! Version 1: <https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html>, version 2: `…_SLL2.html`.

use super::NotAnalysed;
use super::link::Frame;
use super::span::{Span, u16_at};
use super::vlan::parse_tags;
use super::walk::{Next, Step};
use super::{ieee80211, prism, radiotap};

/// Version 1's link type.
pub const LINUX_SLL: u32 = 113;
/// Version 2's.
pub const LINUX_SLL2: u32 = 276;

const SLL_HEADER: usize = 16;
const SLL_HARDWARE: usize = 2;
const SLL_PROTOCOL: usize = 14;

const SLL2_HEADER: usize = 20;
const SLL2_PROTOCOL: usize = 0;
const SLL2_INTERFACE: usize = 4;
const SLL2_HARDWARE: usize = 8;

/// Hardware types whose packets are not what the protocol field says (`linux/if_arp.h`).
mod hardware {
    pub const IEEE80211: u16 = 801;
    pub const IEEE80211_PRISM: u16 = 802;
    pub const IEEE80211_RADIOTAP: u16 = 803;
    pub const NETLINK: u16 = 824;
}
/// `LINUX_SLL_P_802_2`: a frame without a type, which begins with LLC.
const PROTOCOL_LLC: u16 = 4;
/// `LINUX_SLL_P_802_3`: Novell's frames, which have no LLC.
const PROTOCOL_NOVELL: u16 = 1;

/// What tells the interfaces of `-i any` apart: version 2 has their index, version 1 only whether a packet came in or
/// went out, which a bridge shows one after the other.
pub fn interface_of(link: u32, bytes: &[u8]) -> Option<u32> {
    match link {
        LINUX_SLL => bytes.first_chunk().map(|&kind| u32::from(u16::from_be_bytes(kind))),
        LINUX_SLL2 => bytes.get(SLL2_INTERFACE..)?.first_chunk().map(|&index| u32::from_be_bytes(index)),
        _ => None,
    }
}

/// The link type of what is behind the header of either version, where the hardware says that and not the protocol.
pub fn link_behind(link: u32, bytes: &[u8]) -> Option<u32> {
    let at = if link == LINUX_SLL { SLL_HARDWARE } else { SLL2_HARDWARE };
    link_of_hardware(bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)?)
}

fn link_of_hardware(hardware: u16) -> Option<u32> {
    match hardware {
        hardware::IEEE80211 => Some(ieee80211::IEEE802_11),
        hardware::IEEE80211_PRISM => Some(prism::IEEE802_11_PRISM),
        hardware::IEEE80211_RADIOTAP => Some(radiotap::IEEE802_11_RADIOTAP),
        _ => None,
    }
}

/// A version 1 packet.
pub fn parse_sll(span: Span<'_>) -> Result<Frame<'_>, NotAnalysed> {
    let header = span.header::<SLL_HEADER>("sll_length")?;
    parse_tags(u16_at(header, SLL_PROTOCOL), span.after(SLL_HEADER))
}

/// A version 2 packet.
pub fn parse_sll2(span: Span<'_>) -> Result<Frame<'_>, NotAnalysed> {
    let header = span.header::<SLL2_HEADER>("sll2_length")?;
    parse_tags(u16_at(header, SLL2_PROTOCOL), span.after(SLL2_HEADER))
}

/// A version 1 packet that is not plain.
pub fn parse_cooked(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let header = span.header::<SLL_HEADER>("sll_length")?;
    by_hardware(u16_at(header, SLL_HARDWARE), u16_at(header, SLL_PROTOCOL), span.after(SLL_HEADER))
}

/// A version 2 packet that is not plain.
pub fn parse_cooked2(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let header = span.header::<SLL2_HEADER>("sll2_length")?;
    by_hardware(u16_at(header, SLL2_HARDWARE), u16_at(header, SLL2_PROTOCOL), span.after(SLL2_HEADER))
}

/// The protocol field is an Ethernet type, but for some hardware and some small numbers.
fn by_hardware(hardware: u16, ethertype: u16, rest: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    if let Some(link) = link_of_hardware(hardware) {
        return Ok(Step::to(Next::Link(link), rest));
    }
    let next = match (hardware, ethertype) {
        (hardware::NETLINK, _) => return Err(NotAnalysed::Named("netlink")),
        (_, PROTOCOL_LLC) => Next::Llc,
        (_, PROTOCOL_NOVELL) => return Err(NotAnalysed::EtherType(PROTOCOL_NOVELL)),
        (_, other) => Next::EtherType(other),
    };
    Ok(Step::to(next, rest))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ipv4, kind, reaches, tcp};
    use super::*;

    /// A header of either version around `inside`.
    fn cooked(link: u32, hardware: u16, protocol: u16, inside: &[u8]) -> Vec<u8> {
        let (length, at) = if link == LINUX_SLL { (SLL_HEADER, SLL_HARDWARE) } else { (SLL2_HEADER, SLL2_HARDWARE) };
        let mut bytes = vec![0; length];
        let protocol_at = if link == LINUX_SLL { SLL_PROTOCOL } else { SLL2_PROTOCOL };
        bytes[at..at + 2].copy_from_slice(&hardware.to_be_bytes());
        bytes[protocol_at..protocol_at + 2].copy_from_slice(&protocol.to_be_bytes());
        bytes.extend(inside);
        bytes
    }

    #[test]
    fn both_versions_with_a_tag_behind_them_and_without() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        for link in [LINUX_SLL, LINUX_SLL2] {
            reaches(link, &cooked(link, 1, 0x0800, &v4), "");
            reaches(link, &cooked(link, 1, 0x8100, &[&[0, 7, 8, 0][..], &v4].concat()), "vlan 7");
            reaches(link, &cooked(link, 1, 4, &[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &v4].concat()), "");
        }
    }

    #[test]
    fn what_holds_no_packet_is_counted() {
        for link in [LINUX_SLL, LINUX_SLL2] {
            assert_eq!(kind(link, &cooked(link, hardware::NETLINK, 0, &[0; 40])), "netlink");
            assert_eq!(kind(link, &cooked(link, 1, 1, &[0; 40])), "llc", "Novell's");
        }
        assert_eq!(kind(LINUX_SLL, &[0; SLL_HEADER - 1]), "malformed_sll_length");
        assert_eq!(kind(LINUX_SLL2, &[0; SLL2_HEADER - 1]), "malformed_sll2_length");
    }

    #[test]
    fn the_interface_is_version_2s_index_or_version_1s_direction() {
        let mut bytes = cooked(LINUX_SLL2, 1, 0x0800, &[]);
        bytes[SLL2_INTERFACE + 3] = 9;
        assert_eq!(interface_of(LINUX_SLL2, &bytes), Some(9));
        assert_eq!(interface_of(LINUX_SLL, &[0, 4]), Some(4));
        assert_eq!((interface_of(1, &bytes), interface_of(LINUX_SLL, &[])), (None, None));
    }
}
