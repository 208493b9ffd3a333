//! PPTP's GRE, which is version 1 with a key of another meaning (RFC 2637 §4.1).

use super::gre::{FIELD, SEQUENCE};
use super::layers::Layer;
use super::span::{Span, u16_at};
use super::walk::Step;
use super::{NotAnalysed, ppp};

const ACKNOWLEDGMENT: u16 = 0x0080;
const CALL: usize = 2;

/// Behind flags and protocol type. The key is the payload's length and the call, which is another number in each direction.
pub fn parse_pptp(flags: u16, rest: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let key = rest.header::<FIELD>("gre_length")?;
    let (length, call) = (u16_at(key, 0), u16_at(key, CALL));
    let fields = 1 + usize::from(flags & SEQUENCE != 0) + usize::from(flags & ACKNOWLEDGMENT != 0);
    let rest = rest.after(FIELD * fields).stated(u32::from(length));
    if length == 0 {
        return Err(NotAnalysed::Named("gre_acknowledgment"));
    }
    // PPTP keeps the framing or not (RFC 2637 §4.4).
    Ok(Step { layer: Some(Layer::Pptp(call)), ..ppp::parse_ppp(rest) })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ethernet, ipv4, kind, reaches, tcp};

    fn gre(packet: &[u8]) -> Vec<u8> {
        ethernet(&[0x0800], &ipv4(47, 0, packet))
    }

    #[test]
    fn with_a_sequence_number_and_an_acknowledgment() {
        let v4 = ipv4(6, 0, &tcp(0x10, 0, &[]));
        let [high, low] = (v4.len() as u16 + 4).to_be_bytes();
        let framed = [&[0x30, 0x81, 0x88, 0x0b, high, low, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 3, 0, 0x21][..], &v4];
        reaches(1, &gre(&framed.concat()), "pptp call 7");
    }

    #[test]
    fn what_carries_nothing_or_is_short_is_counted() {
        let bare = [0x20, 0x81, 0x88, 0x0b, 0, 0, 0, 7, 0, 0, 0, 2];
        assert_eq!(kind(1, &gre(&bare)), "gre_acknowledgment");
        assert_eq!(kind(1, &gre(&bare[..6])), "malformed_gre_length");
        assert_eq!(kind(1, &gre(&[0x00, 1, 0x88, 0x0b, 0, 0, 0, 7])), "gre", "without a call");
        assert_eq!(kind(1, &gre(&[0x20, 1, 8, 0, 0, 9, 0, 7])), "gre", "not PPP");
    }
}
