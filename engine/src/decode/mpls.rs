//! MPLS label stacks (RFC 3032), and what is behind them, which no field says: IP, or the Ethernet frame of a
//! pseudowire with or without its control word (RFC 4448, RFC 4385).

use super::NotAnalysed;
use super::ethertype;
use super::layers::{Layer, SHOWN_LABELS};
use super::span::{Span, u8_at, u16_at, u32_at};
use super::walk::{Next, Step, looks_like_ip};

const ENTRY: usize = 4;
const LABEL_SHIFT: u32 = 12;
const BOTTOM: u32 = 1 << 8;
/// The next label is entropy: it says nothing but which of several paths (RFC 6790 §4.1).
const ENTROPY_FOLLOWS: u32 = 7;
/// Labels up to this one are for routers and name nobody (RFC 7274 §2).
const LAST_SPECIAL: u32 = 15;
/// A deeper stack is no stack.
const MOST_LABELS: usize = 16;

const CONTROL_WORD: usize = 4;
const ETHERNET_TYPE: usize = 12;
/// Ethernet types that make a frame of the bytes behind a stack.
const TYPES: [u16; 12] = [
    ethertype::IPV4,
    ethertype::IPV6,
    ethertype::ARP,
    ethertype::MPLS,
    ethertype::MPLS_MULTICAST,
    ethertype::PPPOE,
    ethertype::VLAN,
    ethertype::SERVICE_VLAN,
    ethertype::OLD_SERVICE_VLAN,
    ethertype::LLDP,
    ethertype::VNTAG,
    ethertype::CISCO_METADATA,
];

/// The whole stack.
pub fn parse_mpls(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let mut labels = [0; SHOWN_LABELS];
    let (mut before, mut network) = (0, 0);
    let mut rest = span;
    for at in 0..MOST_LABELS {
        let entry = u32_at(rest.header::<ENTRY>("mpls_length")?, 0);
        let label = entry >> LABEL_SHIFT;
        rest = rest.after(ENTRY);
        if let Some(slot) = labels.get_mut(at) {
            *slot = label;
        }
        if label > LAST_SPECIAL && before != ENTROPY_FOLLOWS {
            network = label;
        }
        before = label;
        if entry & BOTTOM != 0 {
            return behind(rest).map(|step| Step { layer: Some(Layer::Mpls(labels, at as u8 + 1, network)), ..step });
        }
    }
    Err(NotAnalysed::Malformed("mpls_stack"))
}

/// Whether an IPv4 header without options leaves its length to the network card; its source address may look like a type.
fn is_offloaded(rest: Span<'_>) -> bool {
    u8_at(rest.bytes, 0) == 0x45 && u16_at(rest.bytes, 2) == 0
}

/// Guesses as Wireshark does: the first four bits are IP's version, or 0 for a control word, unless the bytes are no
/// IP packet and have an Ethernet type where a frame has it. Unlike there a frame with a tag, whose next type is where it would
/// be behind a control word, has none, but where the word were zero, as it is where nothing is numbered.
fn behind(rest: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let first = u8_at(rest.header::<1>("mpls_length")?, 0) >> 4;
    let has_type = |at: usize| TYPES.contains(&u16_at(rest.bytes, at + ETHERNET_TYPE));
    match first {
        4 | 6 if looks_like_ip(rest) || is_offloaded(rest) || !has_type(0) => Ok(Step::to(Next::Ip, rest)),
        0 if has_type(CONTROL_WORD) && (u32_at(rest.bytes, 0) == 0 || !has_type(0)) => {
            Ok(Step::to(Next::Ethernet, rest.after(CONTROL_WORD)))
        }
        _ if has_type(0) => Ok(Step::to(Next::Ethernet, rest)),
        _ => Err(NotAnalysed::EtherType(ethertype::MPLS)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ethernet, ipv4, ipv6, kind, reaches, tcp};
    use super::*;

    fn stack(labels: &[u32]) -> Vec<u8> {
        let entry = |(at, label): (usize, &u32)| {
            let bottom = u32::from(at + 1 == labels.len()) << 8;
            (label << 12 | bottom | 64).to_be_bytes()
        };
        labels.iter().enumerate().flat_map(entry).collect()
    }

    fn labelled(labels: &[u32], inside: &[u8]) -> Vec<u8> {
        ethernet(&[0x8847], &[&stack(labels), inside].concat())
    }

    #[test]
    fn stacks_around_ip() {
        let (v4, v6) = (ipv4(6, 0, &tcp(0x10, 0, &[])), ipv6(6, &tcp(0x10, 0, &[])));
        reaches(1, &labelled(&[18], &v4), "mpls 18");
        reaches(1, &labelled(&[18, 1_048_575, 3, 4], &v6), "mpls 18.1048575.3.…");
        reaches(1, &ethernet(&[0x8100, 9, 0x8848], &[stack(&[18]), v4].concat()), "vlan 9 / mpls 18");
    }

    #[test]
    fn the_innermost_label_that_is_nobodys_but_the_networks() {
        let network = |labels: &[u32]| {
            let bytes = [stack(labels), ipv4(6, 0, &tcp(0x10, 0, &[]))].concat();
            let span = Span { bytes: &bytes, wire_len: bytes.len() as u32 };
            match parse_mpls(span).unwrap().layer {
                Some(Layer::Mpls(.., network)) => network,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(network(&[100, 200, 300, 18]), 18);
        assert_eq!(network(&[100, 0]), 100, "explicit null");
        assert_eq!(network(&[100, 18, 7, 5000]), 18, "entropy below it");
        assert_eq!(network(&[100, 7, 5000, 18]), 18, "and above it");
        assert_eq!((network(&[0]), network(&[15]), network(&[16])), (0, 0, 16));
    }

    #[test]
    fn pseudowires_with_and_without_a_control_word() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        let frame = ethernet(&[0x0800], &v4);
        let tagged = ethernet(&[0x8100, 5, 0x0800], &v4);
        reaches(1, &labelled(&[18], &frame), "mpls 18");
        reaches(1, &labelled(&[18], &[&[0, 0, 0, 7][..], &tagged].concat()), "mpls 18 / vlan 5");
        let twice = ethernet(&[0x9100, 6, 0x8100, 5, 0x0800], &v4);
        for first in [0x00, 0x0c, 0x45, 0x60] {
            for (inside, text) in [(&frame, "mpls 18"), (&tagged, "mpls 18 / vlan 5"), (&twice, "mpls 18 / vlan 6.5")] {
                let mut inside = inside.clone();
                inside[0] = first;
                reaches(1, &labelled(&[18], &inside), text);
                reaches(1, &labelled(&[18], &[&[0; 4][..], &inside].concat()), text);
            }
        }
    }

    #[test]
    fn a_packet_of_no_stated_length_is_no_frame() {
        let mut v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        v4[2..4].fill(0);
        for source in [[129, 0], [145, 0], [8, 0], [10, 0]] {
            v4[12..14].copy_from_slice(&source);
            reaches(1, &labelled(&[18], &v4), "mpls 18");
        }
    }

    #[test]
    fn what_is_behind_and_unknown_is_counted() {
        assert_eq!(kind(1, &labelled(&[18], &[0x10; 40])), "mpls");
        assert_eq!(kind(1, &labelled(&[1; 17], &[0x45; 40])), "malformed_mpls_stack");
        assert_eq!(kind(1, &labelled(&[18], &[])), "malformed_mpls_length");
        assert_eq!(kind(1, &ethernet(&[0x8847], &[0, 1, 0x20])), "malformed_mpls_length");
    }
}
