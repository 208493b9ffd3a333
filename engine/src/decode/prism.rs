//! Prism's header in front of an 802.11 frame
//! (<https://www.tcpdump.org/linktypes/LINKTYPE_IEEE802_11_PRISM.html>).

use super::ieee80211::{Extras, parse_ieee80211};
use super::span::{Span, field, u32_at};
use super::walk::Step;
use super::{NotAnalysed, avs};

/// `LINKTYPE_IEEE802_11_PRISM`, under which drivers also wrote AVS headers.
pub const IEEE802_11_PRISM: u32 = 119;

const HEADER: usize = 8;
const LENGTH: usize = 4;
/// It has a few fields of 12 bytes.
const LONGEST: u32 = 512;

/// The frame behind. The length is in the order of the host that captured: whichever order makes it small.
pub fn parse_prism(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let header = span.header::<HEADER>("prism_length")?;
    if avs::is_avs(u32_at(header, 0)) {
        return avs::parse_avs(span);
    }
    let length = u32_at(header, LENGTH).min(u32::from_le_bytes(field(header, LENGTH)));
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

    #[test]
    fn either_order() {
        for start in [[0x44, 0, 0, 0, 144, 0, 0, 0], [0, 0, 0, 0x44, 0, 0, 0, 144]] {
            let mut header = start.to_vec();
            header.resize(144, 0);
            reaches(IEEE802_11_PRISM, &[header, frame(0x08, 1, 24)].concat(), "");
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_malformed() {
        for bytes in [&[0x44, 0, 0, 0, 7, 0, 0, 0][..], &[0x44, 0, 0, 0, 1, 1, 1, 1], &[0x44, 0, 0, 0]] {
            assert_eq!(kind(IEEE802_11_PRISM, bytes), "malformed_prism_length");
        }
    }
}
