//! 802.11 mesh control (IEEE 802.11-2020 §9.2.4.7.3): a header between that of a frame and logical link control.

use super::span::{Span, u8_at};
use super::walk::{Next, Step};

const FLAGS: usize = 0;
/// Flags, hops left, a sequence number of 4 bytes.
const HEADER: usize = 6;
/// In the flags: how many addresses follow; 3 of them is reserved, as are the other bits.
const EXTENSION: u8 = 0x03;
const ADDRESS: usize = 6;
/// What follows begins so (RFC 1042).
const SNAP: [u8; 3] = [0xaa, 0xaa, 0x03];

/// The header's length, from its flags; `None` for what cannot be one.
pub fn length_of(span: Span<'_>) -> Option<usize> {
    let flags = u8_at(span.bytes, FLAGS);
    (flags < EXTENSION).then(|| HEADER + usize::from(flags) * ADDRESS)
}

/// The header, if there is one. The bit that says so is part of a number in frames of no mesh, so that it is one only where SNAP
/// follows it.
pub fn parse_mesh(span: Span<'_>) -> Step<'_> {
    let behind = length_of(span).map(|length| span.after(length)).filter(|rest| rest.bytes.starts_with(&SNAP));
    Step::to(Next::Llc, behind.unwrap_or(span))
}

#[cfg(test)]
mod tests {
    use super::super::ieee80211::{IEEE802_11, tests::frame};
    use super::super::tests::{kind, reaches};

    /// A frame of both directions' flags with quality of service, whose mesh bit is set, and this in front of SNAP.
    fn mesh(control: &[u8]) -> Vec<u8> {
        let mut bytes = frame(0x88, 0x03, 32);
        bytes[31] = 1;
        bytes.splice(32..32, control.iter().copied());
        bytes
    }

    #[test]
    fn no_address_one_and_two() {
        for addresses in 0..=2 {
            let mut control = vec![0xee; 6 + 6 * addresses];
            control[0] = addresses as u8;
            reaches(IEEE802_11, &mesh(&control), "");
        }
    }

    #[test]
    fn the_bit_alone_is_no_mesh() {
        reaches(IEEE802_11, &mesh(&[]), "");
        assert_eq!(kind(IEEE802_11, &mesh(&[3; 24])), "llc", "reserved");
        assert_eq!(kind(IEEE802_11, &mesh(&[0; 7])), "llc");
        let mut to_point = frame(0x88, 0x01, 26);
        to_point[25] = 1;
        to_point.splice(26..26, [0; 6]);
        assert_eq!(kind(IEEE802_11, &to_point), "llc", "a station's, where the bit is part of its queue's size");
    }
}
