//! 802.11 frames cut by hand.

use super::*;

const LLC: [u8; 8] = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
const MESH: [u8; 6] = [0, 9, 0, 0, 0, 1];

/// The fragment of this number of frame `sequence`, sent by `sender`.
fn air(sender: u8, sequence: u16, number: u8, more: bool, part: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 26];
    (header[0], header[1]) = (0x88, 0x01 | if more { 0x04 } else { 0 });
    header[10..16].fill(sender);
    header[22..24].copy_from_slice(&(sequence << 4 | u16::from(number)).to_le_bytes());
    [&header, part].concat()
}

/// A frame's three fragments.
fn three(sender: u8, sequence: u16) -> [Vec<u8>; 3] {
    let whole = [&LLC[..], &ipv4(6, 0, &segment_bytes())].concat();
    let parts = [&whole[..20], &whole[20..41], &whole[41..]];
    std::array::from_fn(|at| air(sender, sequence, at as u8, at < 2, parts[at]))
}

fn give(bench: &mut Bench, bytes: &[u8]) -> Result<String, String> {
    bench.give_link(105, bytes, bytes.len())
}

#[test]
fn fragments_in_order_also_beside_others_and_sent_again() {
    let mut bench = Bench::new(|_| ());
    let (one, two) = (three(1, 7), three(2, 7));
    for bytes in [&one[0], &two[0], &one[0], &one[1], &one[0], &one[1], &two[1]] {
        assert_eq!(give(&mut bench, bytes), Err(WAITING.into()));
    }
    assert_eq!(give(&mut bench, &two[2]), Ok(String::new()));
    assert_eq!(give(&mut bench, &one[2]), Ok(String::new()));
    assert_eq!(give(&mut bench, &one[2]), Err(WAITING.into()), "its acknowledgment was lost");
    assert_eq!(bench.counts(), FragmentCounts { datagrams: 2, joined: 4, ..FragmentCounts::default() });
}

#[test]
fn what_differs_belongs_to_another_frame() {
    let other_sequence = three(1, 8);
    let mut other_traffic = three(1, 7);
    other_traffic[1][24] = 5;
    let mut other_receiver = three(1, 7);
    other_receiver[1][4] = 9;
    for other in [other_sequence, other_traffic, other_receiver, three(2, 7)] {
        let mut bench = Bench::new(|_| ());
        for bytes in [&three(1, 7)[0], &other[1], &three(1, 7)[2]] {
            assert_eq!(give(&mut bench, bytes), Err(WAITING.into()));
        }
        assert_eq!(bench.counts(), FragmentCounts { incomplete: 1, ..FragmentCounts::default() });
    }
}

#[test]
fn a_number_that_comes_again_begins_anew() {
    let mut bench = Bench::new(|_| ());
    let [first, second, third] = three(1, 7);
    let mut before = first.clone();
    before[26 + 8 + 4] ^= 0xff;
    for bytes in [&before, &second, &first, &second] {
        assert_eq!(give(&mut bench, bytes), Err(WAITING.into()));
    }
    assert_eq!(give(&mut bench, &third), Ok(String::new()));
    bench.now_ns += SECOND;
    assert_eq!(give(&mut bench, &first), Err(WAITING.into()));
    bench.now_ns += 2 * SECOND;
    assert_eq!(give(&mut bench, &second), Err(WAITING.into()), "two seconds are over");
    assert_eq!(give(&mut bench, &third), Err(WAITING.into()));
    assert_eq!(bench.counts(), FragmentCounts { datagrams: 1, joined: 2, incomplete: 2, ..FragmentCounts::default() });
}

#[test]
fn a_frame_cut_by_the_snaplen_has_its_length() {
    let mut bench = Bench::new(|_| ());
    let [first, second, third] = three(1, 7);
    assert_eq!(give(&mut bench, &first), Err(WAITING.into()));
    assert_eq!(give(&mut bench, &second), Err(WAITING.into()));
    assert_eq!(bench.give_link(105, &third[..third.len() - 3], third.len()), Ok(String::new()));
}

#[test]
fn a_datagram_in_fragments_within_frames_in_fragments_of_a_mesh() {
    let mut bench = Bench::new(|_| ());
    let datagrams = cut(16, &segment_bytes(), |at, more, part| v4(9, 6, at, more, part));
    let mut last = Err(String::new());
    for (sequence, datagram) in datagrams.iter().enumerate() {
        let whole = [&MESH[..], &LLC, datagram].concat();
        for (number, part) in whole.chunks(30).enumerate() {
            let mut bytes = air(1, sequence as u16, number as u8, (number + 1) * 30 < whole.len(), part);
            bytes[1] |= 0x02;
            bytes.splice(24..24, [3; 6]);
            bytes[31] = 1;
            assert!(last.is_err());
            last = give(&mut bench, &bytes);
        }
    }
    assert_eq!(last, Ok(String::new()));
    let counts = bench.counts();
    assert_eq!((counts.datagrams, counts.incomplete), (1, 0));
}

#[test]
fn lengths_are_bounded() {
    let mut bench = Bench::new(|_| ());
    assert_eq!(give(&mut bench, &air(1, 1, 0, true, &[])), Err("malformed_fragment_length".into()));
    let part = [0; 40];
    let bytes = air(1, 1, 0, true, &part);
    assert_eq!(bench.give_link(105, &bytes, 1 << 31), Err("malformed_fragment_length".into()));
    for number in 0..15 {
        let bytes = air(1, 2, number, true, &part);
        assert_eq!(bench.give_link(105, &bytes, 60_000), Err(WAITING.into()));
    }
    assert_eq!(bench.give_link(105, &air(1, 2, 15, false, &part), 60_000), Err("malformed_fragment_length".into()));
    let mut few = Bench::new(|settings| settings.max_fragmented_datagrams = 2);
    for sender in 0..5 {
        assert_eq!(give(&mut few, &three(sender, 1)[0]), Err(WAITING.into()));
    }
    assert_eq!(few.counts(), FragmentCounts { evicted: 3, incomplete: 2, ..FragmentCounts::default() });
}
