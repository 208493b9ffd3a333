//! Several packets in one 802.11 frame, an A-MSDU (IEEE 802.11-2020 §9.3.2.2): each behind two addresses and its length, padded
//! to four bytes.
//!
//! The flag that says so is not protected, and whoever sets it makes a packet's own bytes into packets (CVE-2020-24588).
//! As Linux does (`ieee80211_amsdu_to_8023s`), a frame whose first address is the beginning of SNAP is taken for no
//! aggregate, nor for a packet.

use super::span::{Span, u16_at};
use super::walk::{Stop, Walk};
use super::{NotAnalysed, inner_interface, llc, mesh, offset_in, sent};
use crate::capture::{LinkType, Packet};

/// Two addresses, a length.
const HEADER: usize = 14;
const LENGTH: usize = 12;
const UNIT: usize = 4;
/// What begins so is a packet's own header (`rfc1042_header`).
const SNAP: [u8; 6] = [0xaa, 0xaa, 3, 0, 0, 0];
/// Most packets of a frame: the longest (11,454 bytes, §9.4.2.157.2) has fewer with a TCP header.
const MOST: usize = 256;
const LENGTH_NAME: &str = "amsdu_length";

/// How a mesh tells lengths (`ieee80211_amsdu_subframe_length`).
#[derive(Clone, Copy)]
enum Layout {
    /// All that follows, big-endian, be it with a mesh header or without.
    Whole,
    /// Without the mesh header, in either order.
    WithoutMesh { is_little_endian: bool },
}

const IN_MESH: [Layout; 2] =
    [Layout::WithoutMesh { is_little_endian: true }, Layout::WithoutMesh { is_little_endian: false }];

impl Layout {
    /// How much follows the addresses and the length, and how much of that is a mesh header.
    fn lengths(self, header: &[u8], rest: Span<'_>) -> Option<(usize, usize)> {
        let stated = u16_at(header, LENGTH);
        match self {
            Layout::Whole => Some((usize::from(stated), 0)),
            Layout::WithoutMesh { is_little_endian } => {
                let stated = if is_little_endian { stated.swap_bytes() } else { stated };
                let before = mesh::length_of(rest)?;
                Some((before + usize::from(stated), before))
            }
        }
    }
}

/// The packets of an aggregate, as packets of link type [`llc::ATM_RFC1483`], which begin where theirs do; what cannot be read of
/// it is one more.
#[cold]
#[must_use]
pub fn parts_of(packet: &Packet, bytes: &[u8], most_depth: u8) -> Vec<Result<Packet, NotAnalysed>> {
    let mut walk = Walk::of_packet(packet.link.0, sent(packet, bytes), most_depth);
    let found = walk.run().map(|_| ());
    let Some(&Stop::Aggregate { in_mesh, rest }) = walk.stop() else {
        return vec![Err(found.err().unwrap_or(NotAnalysed::Aggregate))];
    };
    if rest.bytes.starts_with(&SNAP) {
        return vec![Err(NotAnalysed::Aggregate)];
    }
    let interface = packet.interface | inner_interface(packet, bytes);
    let as_packet = |part: Span<'_>| Packet {
        start: packet.start + offset_in(bytes, part.bytes),
        captured_len: part.bytes.len() as u32,
        original_len: part.wire_len,
        link: LinkType(llc::ATM_RFC1483),
        interface,
        ..*packet
    };
    spans_of(rest, in_mesh).into_iter().map(|part| part.map(as_packet)).collect()
}

fn spans_of(rest: Span<'_>, in_mesh: bool) -> Vec<Result<Span<'_>, NotAnalysed>> {
    // What is too short for another packet is padding, or a frame check that nothing tells of; in a mesh it tells layouts apart.
    let least = if in_mesh { UNIT } else { HEADER };
    let whole = split(rest, Layout::Whole, least);
    if !in_mesh || is_sound(&whole) {
        return whole
            .into_iter()
            .map(|part| part.map(|span| if in_mesh { mesh::parse_mesh(span).rest } else { span }))
            .collect();
    }
    IN_MESH.map(|layout| split(rest, layout, least)).into_iter().find(|parts| is_sound(parts)).unwrap_or(whole)
}

fn is_sound(parts: &[Result<Span<'_>, NotAnalysed>]) -> bool {
    !parts.iter().any(|part| matches!(part, Err(NotAnalysed::Malformed(_))))
}

/// Each from logical link control on (mesh header included where lengths include it); the last may be the reason why there is no other.
fn split(mut rest: Span<'_>, layout: Layout, least: usize) -> Vec<Result<Span<'_>, NotAnalysed>> {
    let mut parts = Vec::new();
    while rest.wire_len as usize >= least || parts.is_empty() {
        let part = if parts.len() < MOST { next_part(rest, layout) } else { Err(NotAnalysed::Malformed(LENGTH_NAME)) };
        parts.push(part.map(|(part, _)| part));
        let Ok((_, taken)) = part else { break };
        rest = rest.after(taken.next_multiple_of(UNIT));
    }
    parts
}

/// The first packet, and how much it takes with its header.
fn next_part(rest: Span<'_>, layout: Layout) -> Result<(Span<'_>, usize), NotAnalysed> {
    let header = rest.header::<HEADER>(LENGTH_NAME)?;
    let behind = rest.after(HEADER);
    let malformed = NotAnalysed::Malformed(LENGTH_NAME);
    let (length, before) = layout.lengths(header, behind).ok_or(malformed)?;
    if length > behind.wire_len as usize {
        return Err(malformed);
    }
    Ok((behind.stated(length as u32).after(before), HEADER + length))
}

#[cfg(test)]
mod tests {
    use super::super::ieee80211::IEEE802_11;
    use super::super::tests::{ipv4, kind, packet, tcp, udp};
    use super::super::{Header, TUNNEL_DEPTH, decode};
    use super::*;

    const LLC: [u8; 8] = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    const MESH: [u8; 12] = [1, 9, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1];

    /// An IPv4 packet behind logical link control, a TCP segment from this number.
    fn msdu(seq: u8) -> Vec<u8> {
        let mut segment = tcp(0x10, 0, &[]);
        segment[7] = seq;
        [&LLC[..], &ipv4(6, 0, &segment)].concat()
    }

    /// A packet of an aggregate: its length as it is stated, what is between that and logical link control, what is behind.
    fn part(length: [u8; 2], control: &[u8], msdu: &[u8]) -> Vec<u8> {
        let mut bytes = [&[2; 12][..], &length, control, msdu].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn plain(msdu: &[u8]) -> Vec<u8> {
        part((msdu.len() as u16).to_be_bytes(), &[], msdu)
    }

    /// A frame to an access point, or in a mesh.
    fn frame(in_mesh: bool, parts: &[Vec<u8>]) -> Vec<u8> {
        let mut header = vec![0; if in_mesh { 32 } else { 26 }];
        (header[0], header[1]) = (0x88, if in_mesh { 3 } else { 1 });
        let qos = header.len() - 2;
        (header[qos], header[qos + 1]) = (0x80, u8::from(in_mesh));
        header.extend(parts.concat());
        header
    }

    /// The last byte of each sequence number, or the reason.
    fn read(bytes: &[u8], wire_len: usize) -> Vec<Result<u8, String>> {
        let packet = Packet { captured_len: bytes.len() as u32, start: 1000, ..packet(IEEE802_11, wire_len) };
        assert_eq!(kind(IEEE802_11, bytes), "ieee80211_aggregate");
        let one = |part: Packet| {
            let at = part.start - 1000;
            let bytes = &bytes[at..at + part.captured_len as usize];
            let mut header = Header::default();
            decode(&part, bytes, 7, TUNNEL_DEPTH, &mut header)?;
            assert_eq!((header.frame, header.payload_start as usize), (packet.frame, part.start + 48));
            Ok(header.seq as u8)
        };
        let parts = parts_of(&packet, bytes, TUNNEL_DEPTH);
        parts.into_iter().map(|part| part.and_then(one).map_err(|reason| reason.kind().into_owned())).collect()
    }

    #[test]
    fn each_packet_of_a_frame() {
        let other = [&LLC[..], &udp(53, &[1, 2, 3])].concat();
        let bytes = frame(false, &[plain(&msdu(1)), plain(&other), plain(&msdu(2)), plain(&msdu(3))]);
        let all = [Ok(1), Err("udp".into()), Ok(2), Ok(3)];
        assert_eq!(read(&bytes, bytes.len()), all);
        let unpadded = bytes[..bytes.len() - 1].to_vec();
        assert_eq!(read(&unpadded, unpadded.len()), all, "the last need not be padded");
        let checked = [&bytes[..], &[7; 4]].concat();
        assert_eq!(read(&checked, checked.len()), all, "a frame check that nothing tells of");
        assert_eq!(read(&bytes[..100], bytes.len()), [Ok(1), Err("truncated".into())], "in the second's header");
        assert_eq!(read(&bytes[..147], bytes.len()), [Ok(1), Err("udp".into()), Err("truncated".into())]);
    }

    #[test]
    fn lengths_that_contradict_the_frame() {
        let bytes = frame(false, &[plain(&msdu(1)), part([0xff, 0xff], &[], &msdu(2))]);
        assert_eq!(read(&bytes, bytes.len()), [Ok(1), Err("malformed_amsdu_length".into())]);
        let none = frame(false, &[]);
        assert_eq!(read(&none, none.len()), [Err("malformed_amsdu_length".into())]);
        let empty = frame(false, &[plain(&[])]);
        assert_eq!(read(&empty, empty.len()), [Err("malformed_llc_length".into())]);
        let many = frame(false, &vec![plain(&msdu(1)); 300]);
        assert_eq!(read(&many, many.len()).len(), 257);
    }

    #[test]
    fn a_packet_whose_flag_was_changed_is_none() {
        let bytes = frame(false, &[msdu(1)]);
        assert_eq!(read(&bytes, bytes.len()), [Err("ieee80211_aggregate".into())]);
    }

    #[test]
    fn every_way_to_tell_lengths_in_a_mesh() {
        let length = msdu(0).len() as u16;
        let with_mesh = length + MESH.len() as u16;
        for stated in [length.to_le_bytes(), length.to_be_bytes(), with_mesh.to_be_bytes()] {
            let bytes = frame(true, &[part(stated, &MESH, &msdu(1)), part(stated, &MESH, &msdu(2))]);
            assert_eq!(read(&bytes, bytes.len()), [Ok(1), Ok(2)], "{stated:?}");
        }
        let without = frame(true, &[plain(&msdu(1)), plain(&msdu(2))]);
        assert_eq!(read(&without, without.len()), [Ok(1), Ok(2)], "the bit of no mesh");
        let mut damaged = frame(true, &[part([9, 9], &MESH, &msdu(1))]);
        damaged.truncate(70);
        assert_eq!(read(&damaged, damaged.len()), [Err("malformed_amsdu_length".into())]);
    }
}
