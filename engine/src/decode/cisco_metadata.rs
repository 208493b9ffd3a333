//! Cisco's metadata header, which carries a frame's security group (`TrustSec`; as Wireshark and Snort read it): passed
//! over wherever tags may be. The group is the sender's, and no network's.

use super::NotAnalysed;
use super::ethernet::typed;
use super::span::{Span, u8_at, u16_at};
use super::walk::Step;

const FIXED: usize = 2;
const VERSION: usize = 0;
const LENGTH: usize = 1;
const ONLY_VERSION: u8 = 1;
/// Of its length, the Ethernet type at the end included.
const UNIT: usize = 8;
const TYPE: usize = 2;

/// What follows the header.
pub fn parse_cisco_metadata(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let fixed = span.header::<FIXED>("cisco_metadata_length")?;
    if u8_at(fixed, VERSION) != ONLY_VERSION {
        return Err(NotAnalysed::Malformed("cisco_metadata_version"));
    }
    let length = usize::from(u8_at(fixed, LENGTH)) * UNIT;
    let Some(type_at) = length.checked_sub(TYPE) else {
        return Err(NotAnalysed::Malformed("cisco_metadata_length"));
    };
    let ethertype = u16_at(span.after(type_at).header::<TYPE>("cisco_metadata_length")?, 0);
    Ok(typed(ethertype, span.after(length)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ethernet, ipv4, kind, reaches, tcp};

    #[test]
    fn it_is_passed_over_among_tags() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        reaches(1, &ethernet(&[0x8909, 0x0101, 1, 42, 0x0800], &v4), "");
        reaches(1, &ethernet(&[0x8909, 0x0101, 1, 42, 0x8100, 7, 0x0800], &v4), "vlan 7");
        reaches(1, &ethernet(&[0x8100, 7, 0x8909, 0x0101, 1, 42, 0x0800], &v4), "vlan 7");
        reaches(1, &ethernet(&[0x8926, 1, 2, 0x8909, 0x0101, 1, 42, 0x0800], &v4), "");
        reaches(1, &ethernet(&[0x8909, 0x0102, 1, 42, 1, 43, 0, 0, 0x0800], &v4), "");
    }

    #[test]
    fn it_may_be_what_a_pseudowires_frame_begins_with() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        for types in [&[0x8909, 0x0101, 1, 42, 0x0800][..], &[0x8926, 1, 2, 0x0800]] {
            let inner = [&[0, 1, 0x21, 64][..], &ethernet(types, &v4)].concat();
            reaches(1, &ethernet(&[0x8847], &inner), "mpls 18");
        }
    }

    #[test]
    fn more_than_there_may_be_and_nonsense_are_counted() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        let one = [0x8909, 0x0101, 1, 42];
        let three = [&one[..], &one, &one, &[0x0800]].concat();
        assert_eq!(kind(1, &ethernet(&three, &v4)), "cisco_metadata");
        assert_eq!(kind(1, &ethernet(&[0x8909, 0x0100, 1, 42, 0x0800], &v4)), "malformed_cisco_metadata_length");
        assert_eq!(kind(1, &ethernet(&[0x8909, 0x0201, 1, 42, 0x0800], &v4)), "malformed_cisco_metadata_version");
        assert_eq!(kind(1, &ethernet(&[0x8909, 0x01ff, 1, 42, 0x0800], &v4)), "malformed_cisco_metadata_length");
        assert_eq!(kind(1, &ethernet(&[0x8909, 0x0101, 1, 42], &[])), "malformed_cisco_metadata_length");
    }
}
