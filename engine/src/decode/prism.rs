//! Two older headers in front of an 802.11 frame: Prism's and AVS's
//! (<https://www.tcpdump.org/linktypes/LINKTYPE_IEEE802_11_PRISM.html>, `…_AVS.html`).

use super::NotAnalysed;
use super::ieee80211::{Extras, parse_ieee80211};
use super::span::{Span, field, u32_at};
use super::walk::Step;

/// `LINKTYPE_IEEE802_11_PRISM`, under which drivers also wrote AVS headers.
pub const IEEE802_11_PRISM: u32 = 119;
/// `LINKTYPE_IEEE802_11_AVS`.
pub const IEEE802_11_AVS: u32 = 163;

const HEADER: usize = 8;
const LENGTH: usize = 4;
/// The first word of an AVS header, without its version.
const AVS: u32 = 0x8021_1000;
const AVS_BITS: u32 = 0xffff_f000;
/// Both headers have a few fields of 12 bytes.
const LONGEST: u32 = 512;

/// The frame behind. Prism's length is in the order of the host that captured: whichever order makes it small.
pub fn parse_prism(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let header = span.header::<HEADER>("prism_length")?;
    let big = u32_at(header, LENGTH);
    let is_avs = u32_at(header, 0) & AVS_BITS == AVS;
    let length = if is_avs { big } else { big.min(u32::from_le_bytes(field(header, LENGTH))) };
    if !(HEADER as u32..=LONGEST).contains(&length) {
        return Err(NotAnalysed::Malformed("prism_length"));
    }
    parse_ieee80211(span.after(length as usize), Extras::default())
}

#[cfg(test)]
mod tests {
    use super::super::ieee80211::tests::frame;
    use super::super::tests::{kind, reaches};
    use super::*;

    fn behind(start: &[u8], length: usize) -> Vec<u8> {
        let mut header = start.to_vec();
        header.resize(length, 0);
        [header, frame(0x08, 1, 24)].concat()
    }

    #[test]
    fn prism_in_either_order_and_avs() {
        reaches(IEEE802_11_PRISM, &behind(&[0x44, 0, 0, 0, 144, 0, 0, 0], 144), "");
        reaches(IEEE802_11_PRISM, &behind(&[0, 0, 0, 0x44, 0, 0, 0, 144], 144), "");
        for link in [IEEE802_11_PRISM, IEEE802_11_AVS] {
            reaches(link, &behind(&[0x80, 0x21, 0x10, 1, 0, 0, 0, 64], 64), "");
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_malformed() {
        for bytes in [&[0x44, 0, 0, 0, 7, 0, 0, 0][..], &[0x44, 0, 0, 0, 1, 1, 1, 1], &[0x44, 0, 0, 0]] {
            assert_eq!(kind(IEEE802_11_PRISM, bytes), "malformed_prism_length");
        }
    }
}
