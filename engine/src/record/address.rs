//! Addresses of both families in one form.

use bitcode::{Decode, Encode};
use serde::Serialize;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};

/// An IPv4 (as v4-mapped) or IPv6 address, 16 bytes, ordered and hashed as such.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Address(pub [u8; 16]);

/// As one number, not byte by byte: every connection is looked up by its addresses.
impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.0));
    }
}

/// By the bytes in order, compared as one number: every packet compares its two addresses.
impl Ord for Address {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for Address {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Address {
    /// From four IPv4 bytes.
    #[must_use]
    pub const fn v4(b: [u8; 4]) -> Self {
        Address([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, b[0], b[1], b[2], b[3]])
    }
    /// Its bytes as two numbers.
    #[inline]
    #[must_use]
    pub const fn words(&self) -> [u64; 2] {
        let whole = u128::from_ne_bytes(self.0);
        [whole as u64, (whole >> 64) as u64]
    }

    /// Whether it is an IPv4 address.
    #[inline]
    #[must_use]
    pub fn is_v4(&self) -> bool {
        self.0.starts_with(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff])
    }

    /// As the standard library's address, v4-mapped shown as IPv4.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        Ipv6Addr::from(self.0).to_canonical()
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Address::v4(v4.octets()),
            IpAddr::V6(v6) => Address(v6.octets()),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, octets @ ..] => write_v4(octets, f),
            _ => self.ip().fmt(f),
        }
    }
}

/// Two in every row: the standard library's formats each octet by itself, which takes several times as long.
fn write_v4(octets: [u8; 4], f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    let mut text = [b'.'; 16];
    let mut at = 0;
    for octet in octets {
        for (place, least) in [(100, 100), (10, 10), (1, 0)] {
            if octet >= least {
                text[at] = b'0' + octet / place % 10;
                at += 1;
            }
        }
        at += 1;
    }
    f.pad(std::str::from_utf8(&text[..at - 1]).unwrap_or_default())
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// An address is written as the standard library writes it, padded as well.
        #[test]
        fn addresses_are_written_as_the_standard_library_does(v4: [u8; 4], v6: [u8; 16]) {
            for ip in [IpAddr::from(v4), Ipv6Addr::from(v6).to_canonical()] {
                prop_assert_eq!(Address::from(ip).to_string(), ip.to_string());
                prop_assert_eq!(format!("{:>20}", Address::from(ip)), format!("{ip:>20}"));
            }
        }
    }

    #[test]
    fn octets_of_one_two_and_three_digits() {
        for text in ["0.0.0.0", "9.10.99.100", "255.255.255.255", "101.0.200.1"] {
            let ip: std::net::Ipv4Addr = text.parse().expect("an address");
            assert_eq!(Address::v4(ip.octets()).to_string(), text);
        }
    }
}
