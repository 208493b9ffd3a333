//! Reassembler and HTTP reader.

use pcapwatch_engine::http::chunked::{Chunked, Progress};
use pcapwatch_engine::http::{AllExchanges, HttpFlow, HttpLimits};
use pcapwatch_engine::record::{Mark, Role};
use pcapwatch_engine::tcp::seq;
use pcapwatch_engine::tcp::stream::{Piece, Stream};

/// Segments that one input stands for at most.
const MOST_SEGMENTS: usize = 400;

/// Beyond a hole no more than this is kept.
const MOST_BYTES: usize = 4096;

/// The byte that a stream has at a sequence number: copies agree, so what comes out can be checked.
fn byte_at(number: u32) -> u8 {
    (number.wrapping_mul(0x9e37_79b9) >> 24) as u8
}

/// The reassembler: five bytes a segment (what, offset, length). Pieces continue one another without a byte twice or out
/// of its place, and holes are named; around 2^32 as anywhere.
pub fn reassembler(data: &[u8]) {
    let Some((choice, operations)) = data.split_first() else { return };
    let start = u32::from(*choice).wrapping_mul(0x0101_0101).wrapping_sub(2000);
    let mut stream = Stream::new(MOST_BYTES);
    let mut expected = None;
    if choice & 1 == 0 {
        stream.start(start);
        expected = Some(start);
    }
    let mut take = |piece: Piece<'_>| {
        let (from, length) = match piece {
            Piece::Data { bytes, seq: from, .. } => {
                assert!(!bytes.is_empty());
                for (place, byte) in (0..).zip(bytes) {
                    assert_eq!(*byte, byte_at(seq::add(from, place)), "a byte out of its place");
                }
                (from, bytes.len() as u32)
            }
            Piece::Gap { len, seq: from, .. } => {
                assert!(len > 0 && len < 1 << 32);
                (from, len as u32)
            }
        };
        assert_eq!(from, *expected.get_or_insert(from), "a piece that does not continue the one before");
        expected = Some(seq::add(from, length));
    };
    for operation in operations.chunks_exact(5).take(MOST_SEGMENTS) {
        let &[what, o1, o0, l1, l0] = operation else { return };
        let scale = if what & 0x40 == 0 { 1 } else { 1 << 16 };
        let at = seq::add(start, u32::from(u16::from_be_bytes([o1, o0])).wrapping_mul(scale));
        let length = u32::from(u16::from_be_bytes([l1, l0]) % 3000);
        let mark = Mark::new(0, 1, 0);
        match what & 0x0f {
            0 => stream.acked(at),
            1 if what & 0x80 != 0 => stream.finish(&mut take),
            _ => {
                // A quarter of the segments is cut by the snaplen.
                let captured = if what & 0x30 == 0x30 { length / 2 } else { length };
                let payload: Vec<u8> = (0..captured).map(|place| byte_at(seq::add(at, place))).collect();
                let pushed = stream.push(at, &payload, length, mark, 0, &mut take);
                assert!(pushed.new_bytes <= length);
            }
        }
    }
    stream.finish(&mut take);
    assert!(!stream.waits());
}

/// The HTTP reader: runs of both sides that two bytes each divide, with gaps and ends among them, whole and in single
/// bytes. Exchanges are numbered in order. The two readings may differ: where the beginning is missing or is no HTTP,
/// the reader looks for a message at the beginnings of segments. Chunks alone are the same however they are cut.
pub fn http(data: &[u8]) {
    exchanges(data, usize::MAX);
    exchanges(data, 1);
    let ((used, body), (used_by_ones, body_by_ones)) = (chunks(data, usize::MAX), chunks(data, 1));
    assert_eq!((used, body), (used_by_ones, body_by_ones), "the cutting changes what a chunked body is");
}

/// Bytes that a chunked body takes, and how many of them are the body's.
fn chunks(data: &[u8], piece: usize) -> (usize, u64) {
    let mut chunked = Chunked::default();
    let (mut used, mut body) = (0, 0);
    for bytes in data.chunks(piece) {
        let (taken, of_body, progress) = chunked.read(bytes);
        assert!(taken <= bytes.len());
        (used, body) = (used + taken, body + of_body);
        if progress != Progress::More {
            break;
        }
    }
    (used, body)
}

/// Each run handed over in pieces of so many bytes.
fn exchanges(data: &[u8], piece: usize) {
    let limits = HttpLimits { max_head_bytes: 1024 };
    let mut flow = HttpFlow::new(limits, 1);
    let mut sink = AllExchanges::default();
    let mark = Mark::new(0, 1, 0);
    let mut next = [1_u32; 2];
    let mut rest = data;
    while let [what, length, more @ ..] = rest {
        let (role, side) = if what & 1 == 0 { (Role::Client, 0) } else { (Role::Server, 1) };
        if what & 0xf0 == 0xf0 {
            let len = u64::from(*length) + 1;
            flow.feed(role, Piece::Gap { len, seq: next[side], mark }, &mut sink);
            next[side] = seq::add(next[side], len as u32);
            rest = more;
            continue;
        }
        if what & 0xf0 == 0xe0 {
            flow.fin(role, &mut sink);
            break;
        }
        let (bytes, after) = more.split_at((usize::from(*length) * 4).min(more.len()));
        rest = after;
        for bytes in bytes.chunks(piece) {
            flow.feed(role, Piece::Data { bytes, seq: next[side], ack: next[1 - side], mark }, &mut sink);
            next[side] = seq::add(next[side], bytes.len() as u32);
        }
    }
    let facts = flow.finish(&mut sink);
    assert!(sink.kept.len() as u64 <= u64::from(facts.requests) + u64::from(facts.responses));
}
