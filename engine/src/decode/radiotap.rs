//! Radiotap, a receiver's notes in front of an 802.11 frame (<https://www.radiotap.org>).

use super::NotAnalysed;
use super::ieee80211::{BAD_FRAME, Extras, parse_ieee80211};
use super::span::{Span, u8_at};
use super::walk::Step;

/// `LINKTYPE_IEEE802_11_RADIOTAP`.
pub const IEEE802_11_RADIOTAP: u32 = 127;

const HEADER: usize = 8;
const LENGTH: usize = 2;
const PRESENT: usize = 4;
/// Which fields are there, 32 bits a word, least significant byte first.
const WORD: usize = 4;
const HAS_TIMER: u8 = 0x01;
const HAS_FLAGS: u8 = 0x02;
/// In a word's last byte: another word follows.
const MORE_WORDS: u8 = 0x80;
const TIMER: usize = 8;
/// In the flags.
const HAS_CHECK: u8 = 0x10;
const IS_PADDED: u8 = 0x20;
const BAD_CHECK: u8 = 0x40;

/// The frame behind.
pub fn parse_radiotap(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let header = span.header::<HEADER>("radiotap_length")?;
    let length = usize::from(u16::from_le_bytes([u8_at(header, LENGTH), u8_at(header, LENGTH + 1)]));
    if u8_at(header, 0) != 0 || length < HEADER {
        return Err(NotAnalysed::Malformed("radiotap_length"));
    }
    let flags = flags(span.bytes.get(..length).unwrap_or(span.bytes));
    if flags & BAD_CHECK != 0 {
        return Err(NotAnalysed::Named(BAD_FRAME));
    }
    let extras = Extras { has_check: flags & HAS_CHECK != 0, is_padded: flags & IS_PADDED != 0 };
    parse_ieee80211(span.after(length), extras)
}

/// The flags field: the second there can be, after the timer, which is aligned.
fn flags(header: &[u8]) -> u8 {
    let present = u8_at(header, PRESENT);
    if present & HAS_FLAGS == 0 {
        return 0;
    }
    let words = header.get(PRESENT..).unwrap_or_default().chunks_exact(WORD);
    let more = words.take_while(|word| u8_at(word, WORD - 1) & MORE_WORDS != 0).count();
    let mut at = PRESENT + (more + 1) * WORD;
    if present & HAS_TIMER != 0 {
        at = at.next_multiple_of(TIMER) + TIMER;
    }
    u8_at(header, at)
}

#[cfg(test)]
mod tests {
    use super::super::ieee80211::tests::frame;
    use super::super::tests::{kind, reaches};
    use super::*;

    fn behind(header: &[u8], frame: &[u8]) -> Vec<u8> {
        [header, frame].concat()
    }

    #[test]
    fn headers_of_any_length() {
        let frame = frame(0x88, 1, 26);
        reaches(IEEE802_11_RADIOTAP, &behind(&[0, 0, 8, 0, 0, 0, 0, 0], &frame), "");
        reaches(IEEE802_11_RADIOTAP, &behind(&[0, 0, 12, 0, 4, 0, 0, 0, 2, 0, 0, 0], &frame), "");
    }

    #[test]
    fn flags_are_found_behind_a_timer_and_more_words() {
        let mut padded = frame(0x88, 1, 26);
        padded.splice(26..26, [0, 0]);
        let plain = [0, 0, 9, 0, 2, 0, 0, 0, 0x20];
        reaches(IEEE802_11_RADIOTAP, &behind(&plain, &padded), "");
        let timer = [&[0, 0, 17, 0, 3, 0, 0, 0][..], &[9; 8], &[0x20]].concat();
        reaches(IEEE802_11_RADIOTAP, &behind(&timer, &padded), "");
        let words = [&[0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0][..], &[0; 4], &[9; 8], &[0x20]].concat();
        reaches(IEEE802_11_RADIOTAP, &behind(&words, &padded), "");
    }

    #[test]
    fn a_frame_that_the_air_broke_is_counted() {
        assert_eq!(
            kind(IEEE802_11_RADIOTAP, &behind(&[0, 0, 9, 0, 2, 0, 0, 0, 0x50], &frame(0x08, 1, 24))),
            "ieee80211_bad_check"
        );
    }

    #[test]
    fn lengths_that_cannot_be_are_malformed() {
        assert_eq!(kind(IEEE802_11_RADIOTAP, &[0, 0, 7, 0, 0, 0, 0, 0]), "malformed_radiotap_length");
        assert_eq!(kind(IEEE802_11_RADIOTAP, &[1, 0, 8, 0, 0, 0, 0, 0]), "malformed_radiotap_length");
        assert_eq!(kind(IEEE802_11_RADIOTAP, &[0, 0, 8]), "malformed_radiotap_length");
        assert_eq!(kind(IEEE802_11_RADIOTAP, &[0, 0, 200, 0, 0, 0, 0, 0]), "malformed_ieee80211_length");
    }
}
