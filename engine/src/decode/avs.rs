//! AVS's header in front of an 802.11 frame (<https://www.tcpdump.org/linktypes/LINKTYPE_IEEE802_11_AVS.html>). Drivers
//! wrote it under Prism's link type, too.

use super::NotAnalysed;
use super::ieee80211::{Extras, parse_ieee80211};
use super::span::{Span, u32_at};
use super::walk::Step;

/// `LINKTYPE_IEEE802_11_AVS`.
pub const IEEE802_11_AVS: u32 = 163;

const HEADER: usize = 8;
const LENGTH: usize = 4;
/// The first word, without its version.
const MAGIC: u32 = 0x8021_1000;
const MAGIC_BITS: u32 = 0xffff_f000;
/// Version 1 has 64 bytes, version 2 has 108.
const LONGEST: u32 = 512;

/// Whether a header begins with this word.
pub fn is_avs(first: u32) -> bool {
    first & MAGIC_BITS == MAGIC
}

/// The frame behind.
pub fn parse_avs(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let header = span.header::<HEADER>("avs_length")?;
    let length = u32_at(header, LENGTH);
    if !is_avs(u32_at(header, 0)) || !(HEADER as u32..=LONGEST).contains(&length) {
        return Err(NotAnalysed::Malformed("avs_length"));
    }
    parse_ieee80211(span.after(length as usize), Extras::default())
}

#[cfg(test)]
mod tests {
    use super::super::ieee80211::tests::frame;
    use super::super::prism::IEEE802_11_PRISM;
    use super::super::tests::{kind, reaches};
    use super::*;

    #[test]
    fn under_its_own_link_type_and_under_prisms() {
        for (version, length) in [(1, 64), (2, 108)] {
            let mut header = vec![0x80, 0x21, 0x10, version, 0, 0, 0, length];
            header.resize(usize::from(length), 0);
            for link in [IEEE802_11_PRISM, IEEE802_11_AVS] {
                reaches(link, &[&header[..], &frame(0x08, 1, 24)].concat(), "");
            }
        }
    }

    #[test]
    fn what_cannot_be_is_malformed() {
        for bytes in [&[0x80, 0x21, 0x10, 1, 0, 0, 0, 7][..], &[0x80, 0x21, 0x10, 1, 64, 0, 0, 0], &[0x80, 0x21, 0x10]]
        {
            assert_eq!(kind(IEEE802_11_AVS, bytes), "malformed_avs_length");
        }
        assert_eq!(kind(IEEE802_11_AVS, &[0x44, 0, 0, 0, 0, 0, 0, 64]), "malformed_avs_length", "another header");
    }
}
