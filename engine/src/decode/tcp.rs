//! The TCP header and its options (RFC 9293 §3.1, §3.2).

use super::span::{Span, u16_at, u32_at};
use super::{Flags, NotAnalysed, Options};

/// A header without options.
pub const HEADER: usize = 20;
/// The header up to its flags: without these it tells nothing.
const UP_TO_FLAGS: usize = 14;
const SOURCE_PORT: usize = 0;
const DESTINATION_PORT: usize = 2;
const SEQUENCE: usize = 4;
const ACKNOWLEDGMENT: usize = 8;
const DATA_OFFSET_AND_FLAGS: usize = 12;
const WINDOW: usize = 14;
const CHECKSUM: usize = 16;

const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

/// What almost every segment but a SYN carries (RFC 7323 appendix A).
const ALIGNED_TIMESTAMPS: [u8; 4] = [NO_OPERATION, NO_OPERATION, TIMESTAMPS, 10];

/// [`Options::order`] of the SYN that nearly every Linux host sends: MSS, SACK permitted, timestamps, padding, window scale.
const LINUX_SYN_ORDER: u32 = 0x31842;

/// Option kinds that [`Options::order`] has room for.
const ORDERED_KINDS: u32 = 8;

/// A TCP header with its options, and the payload.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    /// Source and destination port.
    pub ports: (u16, u16),
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// Flags.
    pub flags: Flags,
    /// Window, unscaled; `None` where the snaplen cut it off.
    pub window: Option<u16>,
    /// Checksum field, likewise.
    pub checksum: Option<u16>,
    /// Length the header states.
    pub len: usize,
    /// Options, as far as they were captured.
    pub options: &'a [u8],
    /// What follows the header.
    pub payload: Span<'a>,
}

/// A TCP segment. The snaplen may cut its header, but not before the flags.
#[inline]
pub fn parse_tcp(span: Span<'_>) -> Result<Header<'_>, NotAnalysed> {
    match span.bytes.first_chunk() {
        Some(header) => parse_header(header, span),
        None => parse_cut(span),
    }
}

/// The fixed part of a header, and what follows it in `span`.
#[inline]
fn parse_header<'a>(header: &[u8; HEADER], span: Span<'a>) -> Result<Header<'a>, NotAnalysed> {
    let offset_and_flags = u16_at(header, DATA_OFFSET_AND_FLAGS);
    let header_length = usize::from(offset_and_flags >> 12) * 4;
    if header_length < HEADER || header_length > span.wire_len as usize {
        return Err(NotAnalysed::Malformed("tcp_header_length"));
    }
    let options = span.bytes.get(HEADER..header_length.min(span.bytes.len())).unwrap_or_default();
    Ok(Header {
        ports: (u16_at(header, SOURCE_PORT), u16_at(header, DESTINATION_PORT)),
        seq: u32_at(header, SEQUENCE),
        ack: u32_at(header, ACKNOWLEDGMENT),
        flags: Flags(offset_and_flags & 0x0fff),
        window: Some(u16_at(header, WINDOW)),
        checksum: Some(u16_at(header, CHECKSUM)),
        len: header_length,
        options,
        payload: span.after(header_length),
    })
}

/// A header that the snaplen cut, as of IPv6 in Ethernet at 68 bytes.
#[cold]
fn parse_cut(span: Span<'_>) -> Result<Header<'_>, NotAnalysed> {
    if (span.wire_len as usize) < HEADER {
        return Err(NotAnalysed::Malformed("tcp_length"));
    }
    let captured = span.bytes.len();
    let mut header = [0; HEADER];
    header.iter_mut().zip(span.bytes).for_each(|(to, from)| *to = *from);
    if captured < UP_TO_FLAGS {
        return Err(NotAnalysed::Truncated);
    }
    let whole = parse_header(&header, span)?;
    Ok(Header { window: whole.window.filter(|_| captured >= CHECKSUM), checksum: None, ..whole })
}

/// [`Header::options_print`] of options of which the snaplen left nothing that tells.
///
/// [`Header::options_print`]: super::Header::options_print
pub const OPTIONS_CUT: u32 = u32::MAX;

impl Header<'_> {
    /// As [`options_print`], unless the snaplen cut it off.
    #[inline]
    pub fn options_print(&self) -> u32 {
        match options_print(self.options) {
            0 if HEADER + self.options.len() < self.len => OPTIONS_CUT,
            print => print,
        }
    }
}

/// Of the options, what tells one packet from the next: `TSval`, and the first SACK block's right edge.
#[inline]
pub fn options_print(list: &[u8]) -> u32 {
    match list.len() {
        0 => 0,
        12 if list.starts_with(&ALIGNED_TIMESTAMPS) => u32_at(list, 4),
        20 if is_linux_syn(list) => u32_at(list, 8),
        _ => rare_options_print(list),
    }
}

/// Whether these are the options of a SYN as nearly every Linux host sends it.
fn is_linux_syn(list: &[u8]) -> bool {
    const START: [u8; 4] = [SACK_PERMITTED, 2, TIMESTAMPS, 10];
    const END: [u8; 3] = [NO_OPERATION, WINDOW_SCALE, 3];
    list.len() == 20
        && list.starts_with(&[MAXIMUM_SEGMENT_SIZE, 4])
        && list.get(4..8) == Some(&START)
        && list.get(16..19) == Some(&END)
}

#[cold]
fn rare_options_print(list: &[u8]) -> u32 {
    let options = parse_options(list);
    let [(_, edge), ..] = options.sack;
    options.timestamps.map_or(0, |(value, _)| value) ^ edge.rotate_left(16)
}

/// Reads options up to the end mark, the end of what was captured, or the first that contradicts itself.
#[inline]
pub fn parse_options(list: &[u8]) -> Options {
    let mut options = Options::default();
    if is_linux_syn(list) {
        options.mss = Some(u16_at(list, 2));
        options.sack_permitted = true;
        options.timestamps = Some((u32_at(list, 8), u32_at(list, 12)));
        options.window_scale = list.last().copied();
        options.order = LINUX_SYN_ORDER;
        return options;
    }
    let (mut at, mut shift) = (0, 0);
    while let Some(&kind) = list.get(at) {
        if kind == END_OF_OPTIONS {
            break;
        }
        let length = if kind == NO_OPERATION { 1 } else { list.get(at + 1).map_or(0, |&length| usize::from(length)) };
        let Some(option) = list.get(at..at + length).filter(|_| length > 1 || kind == NO_OPERATION) else { break };
        if shift < 4 * ORDERED_KINDS {
            options.order |= u32::from(kind & 0x0f) << shift;
            shift += 4;
        }
        apply(&mut options, option);
        at += length;
    }
    options
}

/// Takes up one option, kind and length first. One whose length is not that of its kind says nothing.
#[inline]
fn apply(options: &mut Options, option: &[u8]) {
    match *option {
        [MAXIMUM_SEGMENT_SIZE, _, high, low] => options.mss = Some(u16::from_be_bytes([high, low])),
        [WINDOW_SCALE, _, shift] => options.window_scale = Some(shift),
        [SACK_PERMITTED, _] => options.sack_permitted = true,
        [TIMESTAMPS, 10, ..] => options.timestamps = Some((u32_at(option, 2), u32_at(option, 6))),
        [SACK, 10 | 18 | 26 | 34, ref blocks @ ..] => {
            let (blocks, _) = blocks.as_chunks::<8>();
            for (slot, block) in options.sack.iter_mut().zip(blocks) {
                *slot = (u32_at(block, 0), u32_at(block, 4));
            }
            options.sack_count = blocks.len() as u8;
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_a_linux_syn() {
        let list = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];
        let options = parse_options(&list);
        // The same with padding behind goes the long way.
        let padded = parse_options(&[&list[..], &[0, 0, 0, 0]].concat());
        assert_eq!((options, options_print(&list)), (padded, 9));
        let expected = Options {
            timestamps: Some((9, 0)),
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            order: 0x31842,
            ..Options::default()
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn the_print_of_timestamps_has_a_short_cut() {
        let list = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
        assert_eq!((options_print(&list), rare_options_print(&list)), (1, 1));
        assert_eq!(parse_options(&list).timestamps, Some((1, 2)));
        let sack = [1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2];
        assert_eq!(options_print(&sack), 2 << 16);
        assert_eq!(options_print(&[]), 0);
    }

    #[test]
    fn sack_blocks_of_every_number() {
        for count in 1..=4u8 {
            let mut list = vec![1, 1, 5, 2 + 8 * count];
            (0..count * 2).for_each(|edge| list.extend(u32::from(edge + 1).to_be_bytes()));
            let options = parse_options(&list);
            assert_eq!((options.sack_count, options.sack[0]), (count, (1, 2)));
            assert_eq!(options.sack[usize::from(count) - 1].1, u32::from(count) * 2);
        }
    }

    #[test]
    fn options_are_ignored_after_the_point_of_error() {
        let cases: &[(&[u8], u32)] = &[
            (&[4, 2, 2, 0, 5, 0xb4], 0x4),
            (&[4, 2, 2, 1, 5, 0xb4], 0x4),
            (&[4, 2, 2, 40, 5, 0xb4], 0x4),
            (&[4, 2, 2], 0x4),
            (&[4, 2, 0, 2, 4, 5, 0xb4], 0x4),
            (&[4, 2, 2, 3, 5, 3, 3, 7], 0x324),
        ];
        for (list, order) in cases {
            let options = parse_options(list);
            assert_eq!((options.sack_permitted, options.mss, options.order), (true, None, *order), "{list:?}");
        }
    }

    #[test]
    fn only_the_first_eight_kinds_shape_the_fingerprint() {
        assert_eq!(parse_options(&[1; 40]).order, 0x1111_1111);
    }
}
