//! 802.11 data frames (IEEE 802.11-2020 §9.2.3, §9.3.2.1), as far as they are not encrypted.

use super::NotAnalysed;
use super::span::{Span, field, u8_at, u16_at};
use super::walk::{Next, Step};

/// `LINKTYPE_IEEE802_11`.
pub const IEEE802_11: u32 = 105;

const HEADER: usize = 24;
const ADDRESS: usize = 6;
const QOS: usize = 2;
const HIGH_THROUGHPUT: usize = 4;
const RECEIVER: usize = 4;
const TRANSMITTER: usize = 10;
const SEQUENCE_CONTROL: usize = 22;
const FRAME_CHECK: u32 = 4;

/// The first byte: version, type, subtype.
const VERSION_BITS: u8 = 0x03;
const TYPE_BITS: u8 = 0x0c;
const MANAGEMENT: u8 = 0x00;
const CONTROL: u8 = 0x04;
const DATA: u8 = 0x08;
const NO_DATA: u8 = 0x40;
const HAS_QOS: u8 = 0x80;
/// The second byte's flags.
const TO_DS: u8 = 0x01;
const FROM_DS: u8 = 0x02;
const MORE_FRAGMENTS: u8 = 0x04;
const RETRY: u8 = 0x08;
const PROTECTED: u8 = 0x40;
const ORDER: u8 = 0x80;
/// In the sequence control, as it lies in the frame.
const FRAGMENT_BITS: u8 = 0x0f;
/// In the quality-of-service field: whose queue it is of, …
const TRAFFIC: u8 = 0x0f;
/// … that there are several packets in the frame, …
const AGGREGATE: u8 = 0x80;
/// … and in its second byte, that of a mesh: a header of its own follows.
const HAS_MESH_CONTROL: u8 = 0x01;

/// Of a frame whose check sequence the receiver found wrong: the air changed it, and nobody knows where.
pub const BAD_FRAME: &str = "ieee80211_bad_check";

/// What the header in front says of the frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras {
    /// The frame check sequence was captured at its end.
    pub has_check: bool,
    /// The header is padded to 4 bytes.
    pub is_padded: bool,
}

/// Where a fragment of a frame belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramePlace {
    /// What all fragments of a frame have in common.
    pub frame: FrameKey,
    /// Its number, from 0.
    pub number: u8,
    /// More follow.
    pub more: bool,
    /// The frame may have a mesh header.
    pub in_mesh: bool,
}

/// Whose fragments belong together (§10.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FrameKey {
    /// To which station.
    pub receiver: [u8; ADDRESS],
    /// From which.
    pub transmitter: [u8; ADDRESS],
    /// The sender's number, of 12 bits.
    pub sequence: u16,
    /// Its queue.
    pub traffic: u8,
}

/// A frame as its sender counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The frame.
    pub frame: FrameKey,
    /// Which of its fragments, 0 for all of it.
    pub number: u8,
    /// It says that it was sent before.
    pub again: bool,
}

/// Bytes of a frame by which it is told from another of its number: the headers up to TCP's.
const TELLING: usize = 96;

/// What the frame begins with, without a check sequence of which nothing tells.
pub fn telling(rest: Span<'_>) -> &[u8] {
    let most = rest.bytes.len().saturating_sub(FRAME_CHECK as usize).min(TELLING);
    rest.bytes.get(..most).unwrap_or_default()
}

/// A frame; only plain data is read.
pub fn parse_ieee80211(span: Span<'_>, extras: Extras) -> Result<Step<'_>, NotAnalysed> {
    let [first, flags] = *span.header::<2>("ieee80211_length")?;
    if first & VERSION_BITS != 0 {
        return Err(NotAnalysed::Malformed("ieee80211_version"));
    }
    match first & TYPE_BITS {
        DATA if first & NO_DATA != 0 => return Err(NotAnalysed::Named("ieee80211_no_data")),
        DATA => {}
        MANAGEMENT => return Err(NotAnalysed::Named("ieee80211_management")),
        CONTROL => return Err(NotAnalysed::Named("ieee80211_control")),
        _ => return Err(NotAnalysed::Named("ieee80211_extension")),
    }
    if flags & PROTECTED != 0 {
        return Err(NotAnalysed::Named("encrypted"));
    }
    let header = span.header::<HEADER>("ieee80211_length")?;
    let before_qos = HEADER + if flags & TO_DS != 0 && flags & FROM_DS != 0 { ADDRESS } else { 0 };
    let (qos, length) = if first & HAS_QOS == 0 {
        ([0, 0], before_qos)
    } else {
        let qos = *span.after(before_qos).header::<QOS>("ieee80211_length")?;
        (qos, before_qos + QOS + if flags & ORDER != 0 { HIGH_THROUGHPUT } else { 0 })
    };
    let padding = if extras.is_padded { length.next_multiple_of(4) - length } else { 0 };
    let sent = if extras.has_check { span.wire_len.saturating_sub(FRAME_CHECK) } else { span.wire_len };
    let rest = span.stated(sent).after(length + padding);
    // Elsewhere the bit is part of a number.
    let in_mesh = flags & FROM_DS != 0 && qos[1] & HAS_MESH_CONTROL != 0;
    let number = u8_at(header, SEQUENCE_CONTROL) & FRAGMENT_BITS;
    let more = flags & MORE_FRAGMENTS != 0;
    let [receiver, transmitter] = [RECEIVER, TRANSMITTER].map(|at| field(header, at));
    let sequence = u16_at(header, SEQUENCE_CONTROL).swap_bytes() >> 4;
    let frame = FrameKey { receiver, transmitter, sequence, traffic: qos[0] & TRAFFIC };
    let next = if more || number != 0 {
        Next::Fragment(FramePlace { frame, number, more, in_mesh })
    } else if qos[0] & AGGREGATE != 0 {
        Next::Aggregate { in_mesh }
    } else {
        Next::of_frame(in_mesh)
    };
    let sent = Sent { frame, number, again: flags & RETRY != 0 };
    Ok(Step { sent: Some(sent), ..Step::to(next, rest) })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::{ipv4, kind, reaches, tcp, whole};
    use super::*;

    /// A frame with a header of `length` bytes, SNAP and IPv4.
    pub fn frame(first: u8, flags: u8, length: usize) -> Vec<u8> {
        let mut header = vec![0; length];
        (header[0], header[1]) = (first, flags);
        [&header[..], &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &ipv4(6, 0, &tcp(0x10, 0, &[]))].concat()
    }

    #[test]
    fn every_header_of_plain_data() {
        for (first, flags, length) in [
            (0x08, TO_DS, 24),
            (0x08, FROM_DS, 24),
            (0x08, 0, 24),
            (0x08, TO_DS | FROM_DS, 30),
            (0x88, TO_DS, 26),
            (0x88, TO_DS | FROM_DS, 32),
            (0x88, TO_DS | ORDER, 30),
        ] {
            reaches(IEEE802_11, &frame(first, flags, length), "");
        }
    }

    #[test]
    fn what_is_no_plain_data_is_named() {
        let with = |at: usize, byte: u8| {
            let mut bytes = frame(0x88, TO_DS, 26);
            bytes[at] = byte;
            bytes
        };
        let cases = [
            (with(0, 0x80), "ieee80211_management"),
            (with(0, 0xb4), "ieee80211_control"),
            (with(0, 0x0c), "ieee80211_extension"),
            (with(0, 0xc8), "ieee80211_no_data"),
            (with(0, 0x89), "malformed_ieee80211_version"),
            (with(1, TO_DS | PROTECTED), "encrypted"),
            (with(1, TO_DS | MORE_FRAGMENTS), "fragment"),
            (with(22, 0x31), "fragment"),
            (with(24, AGGREGATE), "ieee80211_aggregate"),
            (vec![8], "malformed_ieee80211_length"),
            (vec![0x08; 23], "malformed_ieee80211_length"),
            (frame(0x88, TO_DS, 26)[..25].to_vec(), "malformed_ieee80211_length"),
        ];
        for (bytes, word) in cases {
            assert_eq!(kind(IEEE802_11, &bytes), word, "{:x?}", &bytes[..1]);
        }
    }

    #[test]
    fn a_check_sequence_is_no_payload() {
        let mut bytes = frame(0x08, TO_DS, 24);
        bytes.extend([1, 2, 3, 4]);
        assert_eq!(whole(IEEE802_11, &bytes).unwrap().payload_len, 5, "IP's own length");
        let step = parse_ieee80211(
            Span { bytes: &bytes, wire_len: bytes.len() as u32 },
            Extras { has_check: true, is_padded: false },
        );
        assert_eq!(step.unwrap().rest.wire_len as usize, bytes.len() - 24 - 4);
    }
}
