//! The authentication header of `IPsec` (RFC 4302 §2), passed over: what it protects is not encrypted.

use super::NotAnalysed;
use super::layers::Layer;
use super::span::{Span, u8_at};
use super::walk::{Next, Step};

/// Up to the sequence number; the check value follows.
const FIXED: usize = 12;
const NEXT_HEADER: usize = 0;
const LENGTH: usize = 1;

/// The packet inside. The length counts 4 bytes each, less two.
pub fn parse_ah(span: Span<'_>) -> Result<Step<'_>, NotAnalysed> {
    let header = span.header::<FIXED>("ah_length")?;
    let length = (usize::from(u8_at(header, LENGTH)) + 2) * 4;
    if length < FIXED {
        return Err(NotAnalysed::Malformed("ah_length"));
    }
    Ok(Step::inside(Layer::Ah, Next::IpProtocol(u8_at(header, NEXT_HEADER)), span.after(length)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ipv4, ipv6, kind, reaches, tcp};

    /// An authentication header with a check value of 12 bytes.
    fn ah(next: u8, inside: &[u8]) -> Vec<u8> {
        [&[next, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9][..], &[0xaa; 12], inside].concat()
    }

    #[test]
    fn transport_and_tunnel_mode() {
        let segment = tcp(0x10, 0, &[]);
        reaches(228, &ipv4(51, 0, &ah(6, &segment)), "ah");
        reaches(229, &ipv6(51, &ah(6, &segment)), "ah");
        reaches(228, &ipv4(51, 0, &ah(4, &ipv4(6, 0, &segment))), "ah / ipip");
        reaches(228, &ipv4(51, 0, &ah(51, &ah(6, &segment))), "ah / ah");
    }

    #[test]
    fn extension_headers_may_come_before_and_after() {
        let inside = [&[6, 0, 0, 0, 0, 0, 0, 0][..], &tcp(0x10, 0, &[])].concat();
        let protected = [&[51, 0, 0, 0, 0, 0, 0, 0][..], &ah(60, &inside)].concat();
        reaches(229, &ipv6(0, &protected), "ah");
    }

    #[test]
    fn what_is_inside_and_not_tcp_is_counted() {
        assert_eq!(kind(228, &ipv4(51, 0, &ah(50, &[0; 20]))), "esp");
        assert_eq!(kind(228, &ipv4(51, 0, &[6, 4, 0])), "malformed_ah_length");
        assert_eq!(kind(228, &ipv4(51, 0, &[6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])), "malformed_ah_length");
    }
}
