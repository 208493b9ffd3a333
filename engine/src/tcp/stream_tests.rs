use super::*;
use proptest::prelude::*;

const START: u32 = 0xffff_fff0;

fn mark(frame: u64) -> Mark {
    Mark::new(frame as i64 * 1000, frame, 0)
}

/// What a stream delivered: bytes as `Some`, missing ones as `None`, checked to be contiguous.
#[derive(Default)]
struct Received {
    bytes: Vec<Option<u8>>,
    next: Option<u32>,
}

impl Received {
    fn take(&mut self, piece: Piece<'_>) {
        let (seq, len) = match piece {
            Piece::Data { bytes, seq, .. } => (seq, bytes.len() as u64),
            Piece::Gap { len, seq, .. } => (seq, len),
        };
        assert!(len > 0, "an empty piece");
        assert_eq!(self.next.unwrap_or(seq), seq, "pieces are not contiguous");
        self.next = Some(seq.wrapping_add(len as u32));
        match piece {
            Piece::Data { bytes, .. } => self.bytes.extend(bytes.iter().copied().map(Some)),
            Piece::Gap { .. } => self.bytes.extend((0..len).map(|_| None)),
        }
    }

    fn text(&self) -> String {
        self.bytes.iter().map(|b| b.map_or('_', char::from)).collect()
    }
}

struct Rig {
    stream: Stream,
    received: Received,
}

impl Rig {
    fn new(max_bytes: usize) -> Rig {
        let mut stream = Stream::new(max_bytes);
        stream.start(START);
        Rig { stream, received: Received::default() }
    }

    fn push(&mut self, offset: u32, payload: &[u8]) -> Pushed {
        self.push_cut(offset, payload, payload.len() as u32)
    }

    fn push_cut(&mut self, offset: u32, payload: &[u8], len: u32) -> Pushed {
        let received = &mut self.received;
        self.stream.push(START.wrapping_add(offset), payload, len, mark(1), 7, &mut |p| received.take(p))
    }

    fn acked(&mut self, offset: u32) {
        self.stream.acked(START.wrapping_add(offset));
    }

    fn finish(&mut self) -> String {
        let received = &mut self.received;
        self.stream.finish(&mut |p| received.take(p));
        self.received.text()
    }
}

#[test]
fn stays_small() {
    assert!(size_of::<Stream>() <= 48);
}

#[test]
fn in_order_segments_pass_the_callers_own_bytes() {
    let mut stream = Stream::new(0);
    let payload = b"hello";
    let mut seen = Vec::new();
    let pushed = stream.push(9, payload, 5, mark(3), 4, &mut |p| {
        let Piece::Data { bytes, seq, ack, mark } = p else { panic!("a gap") };
        seen.push((bytes.as_ptr(), seq, ack, mark.frame()));
    });
    assert_eq!(seen, [(payload.as_ptr(), 9, 4, 3)]);
    assert_eq!(pushed, Pushed { new_bytes: 5, ..Pushed::default() });
    assert_eq!(stream.next_seq(), Some(14));
}

#[test]
fn a_hole_that_fills_across_the_wrap_is_invisible() {
    let mut rig = Rig::new(1000);
    assert!(rig.push(10, b"klmnopqrst").out_of_order);
    assert_eq!(rig.received.text(), "");
    let filled = rig.push(0, b"abcdefghij");
    assert_eq!((filled.new_bytes, filled.retransmitted, filled.out_of_order), (10, false, true));
    assert_eq!(rig.finish(), "abcdefghijklmnopqrst");
}

#[test]
fn the_first_copy_of_overlapping_bytes_wins() {
    let mut rig = Rig::new(1000);
    rig.push(4, b"EFGH");
    let pushed = rig.push(2, b"cdefghij");
    assert_eq!((pushed.new_bytes, pushed.retransmitted), (4, true));
    rig.push(0, b"abcdef");
    assert_eq!(rig.finish(), "abcdEFGHij");
}

#[test]
fn a_retransmission_is_trimmed_and_counted() {
    let mut rig = Rig::new(1000);
    rig.push(0, b"abcd");
    assert_eq!(rig.push(0, b"XXXX"), Pushed { retransmitted: true, ..Pushed::default() });
    let partly = rig.push(2, b"XXef");
    assert_eq!((partly.new_bytes, partly.retransmitted, partly.out_of_order), (2, true, false));
    assert_eq!(rig.finish(), "abcdef");
}

#[test]
fn an_acknowledged_hole_is_a_gap_only_once_a_later_segment_came() {
    let mut rig = Rig::new(1000);
    rig.push(0, b"ab");
    rig.push(4, b"ef");
    rig.acked(6);
    assert_eq!(rig.received.text(), "ab");
    rig.push(6, b"gh");
    assert_eq!(rig.received.text(), "ab__efgh");
}

#[test]
fn an_unacknowledged_hole_waits_for_its_retransmission() {
    let mut rig = Rig::new(1000);
    rig.acked(2);
    rig.push(0, b"ab");
    rig.push(4, b"ef");
    rig.push(6, b"gh");
    assert_eq!(rig.received.text(), "ab");
    rig.push(2, b"cd");
    assert_eq!(rig.finish(), "abcdefgh");
}

#[test]
fn a_snaplen_cut_segment_keeps_its_place_in_order_and_out_of_order() {
    let mut rig = Rig::new(1000);
    rig.push_cut(0, b"ab", 4);
    rig.push_cut(6, b"g", 3);
    rig.push(4, b"ef");
    assert_eq!(rig.finish(), "ab__efg__");
}

#[test]
fn finish_delivers_what_waits_and_names_the_end() {
    let mut rig = Rig::new(1000);
    rig.push(2, b"cd");
    let received = &mut rig.received;
    rig.stream.finish_at(START.wrapping_add(6), mark(2), &mut |p| received.take(p));
    assert_eq!(rig.received.text(), "__cd__");
}

#[test]
fn too_many_bytes_or_pieces_give_up_the_hole() {
    let mut rig = Rig::new(10);
    rig.push(5, b"0123456789");
    assert_eq!(rig.received.text(), "");
    assert_eq!(rig.push(20, b"x").overflow_bytes, 5);
    assert_eq!(rig.received.text(), "_____0123456789");
    let mut rig = Rig::new(1 << 20);
    let overflow: u64 = (0..2 * MAX_KEPT_PIECES as u32).map(|i| rig.push(2 * i + 1, b"x").overflow_bytes).sum();
    assert_eq!(overflow, MAX_KEPT_PIECES as u64);
}

#[test]
fn what_waits_is_counted_with_what_keeping_it_takes() {
    let mut rig = Rig::new(1000);
    assert!(!rig.push(0, b"ab").kept);
    assert!(rig.push(4, b"ef").kept && rig.push(8, b"ij").kept);
    assert_eq!(rig.stream.kept_bytes(), 4 + 2 * RUN_BYTES);
    assert!(rig.push(2, b"cd").kept, "less waits now");
    assert_eq!(rig.stream.kept_bytes(), 2 + RUN_BYTES);
    assert!(rig.push(6, b"gh").kept && rig.stream.kept_bytes() == 0);
    assert_eq!(rig.received.text(), "abcdefghij");
}

#[test]
fn a_segment_beyond_any_window_is_ignored_unless_the_peer_acknowledged_it() {
    let mut rig = Rig::new(1000);
    rig.push(0, b"ab");
    let far = (1 << 30) + 100;
    assert_eq!(rig.push(far, b"zz").new_bytes, 0);
    assert!(!rig.stream.waits());
    rig.acked(far + 2);
    let mut gap = 0;
    rig.stream.push(START.wrapping_add(far), b"zz", 2, mark(1), 0, &mut |p| {
        if let Piece::Gap { len, .. } = p {
            gap = len;
        }
    });
    assert_eq!(gap, u64::from(far) - 2);
}

/// Cuts of `data` that cover it, plus copies and overlaps, in any order.
fn segments() -> impl Strategy<Value = (Vec<u8>, Vec<(usize, usize)>)> {
    prop::collection::vec(any::<u8>(), 1..120).prop_flat_map(|data| {
        let n = data.len();
        let cuts = prop::collection::btree_set(0..n, 0..12);
        let extra = prop::collection::vec((0..n, 1..40_usize), 0..12);
        (Just(data), cuts, extra).prop_flat_map(move |(data, cuts, extra)| {
            let mut edges: Vec<usize> = cuts.into_iter().chain([0, n]).collect();
            edges.sort_unstable();
            edges.dedup();
            let whole = edges.windows(2).map(|w| (w[0], w[1]));
            let all: Vec<_> = whole.chain(extra.into_iter().map(|(a, l)| (a, (a + l).min(n)))).collect();
            (Just(data), Just(all).prop_shuffle())
        })
    })
}

proptest! {
    #[test]
    fn any_segmentation_order_and_overlap_gives_the_same_bytes((data, order) in segments(), start: u32) {
        let mut stream = Stream::new(1 << 20);
        stream.start(start);
        let mut received = Received::default();
        let mut new_bytes = 0;
        for (from, to) in order {
            let part = &data[from..to];
            let seq = start.wrapping_add(from as u32);
            new_bytes += stream.push(seq, part, part.len() as u32, mark(1), 0, &mut |p| received.take(p)).new_bytes;
        }
        prop_assert!(!stream.waits());
        prop_assert_eq!(new_bytes as usize, data.len());
        let want: Vec<_> = data.into_iter().map(Some).collect();
        prop_assert_eq!(received.bytes, want);
    }

    #[test]
    fn any_calls_deliver_contiguous_pieces_within_limits(
        calls in prop::collection::vec((any::<u32>(), 0..200_u32, 0..200_usize, any::<bool>()), 0..200),
        near: bool, max_bytes in 0..400_usize,
    ) {
        let mut stream = Stream::new(max_bytes);
        let mut received = Received::default();
        let mut gaps = 0_u64;
        let mut take = |p: Piece<'_>| match p {
            // A gap may be gigabytes; its place is checked, its bytes are not made.
            Piece::Gap { len, seq, .. } => {
                assert!(len > 0);
                assert_eq!(received.next.unwrap_or(seq), seq);
                received.next = Some(seq.wrapping_add(len as u32));
                gaps += len;
            }
            Piece::Data { .. } => received.take(p),
        };
        for (seq, len, captured, is_ack) in calls {
            let seq = if near { 0xffff_ff00_u32.wrapping_add(seq % 600) } else { seq };
            if is_ack {
                stream.acked(seq);
            } else {
                stream.push(seq, &[7; 200][..captured], len, mark(1), 0, &mut take);
            }
            let held = stream.held.as_deref().map_or((0, 0), |h| (h.runs.iter().map(|r| r.bytes.len()).sum(), h.bytes));
            prop_assert_eq!(held.0, held.1);
            prop_assert!(held.1 <= max_bytes);
        }
        stream.finish(&mut take);
        prop_assert!(!stream.waits());
    }
}
