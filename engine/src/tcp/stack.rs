//! A guess at an endpoint's TCP/IP stack from its SYN or SYN-ACK: initial TTL, window, order of options.
//!
//! A guess only chooses a *default* for what the capture does not show (the length of TIME_WAIT), and the report says
//! so. Orders are those of current releases, as p0f's and Satori's public databases list them.

use crate::record::Stack;

/// Option kinds as [`crate::decode::Options::order`] packs them: 4 bits each, first option lowest.
const fn order(kinds: &[u8]) -> u32 {
    let (mut packed, mut i) = (0, 0);
    while i < kinds.len() && i < 8 {
        packed |= ((kinds[i] & 15) as u32) << (4 * i);
        i += 1;
    }
    packed
}

const EOL: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WS: u8 = 3;
const SACK: u8 = 4;
const TS: u8 = 8;

/// Option orders of SYNs and SYN-ACKs, with the highest TTL they may start from.
const ORDERS: &[(u32, u8, Stack)] = &[
    (order(&[MSS, SACK, TS, NOP, WS]), 64, Stack::Linux),
    (order(&[MSS, NOP, NOP, TS, NOP, WS]), 64, Stack::Linux), // SACK off
    (order(&[MSS, NOP, NOP, SACK, NOP, WS]), 64, Stack::Linux), // timestamps off
    (order(&[MSS, NOP, WS, SACK, TS]), 64, Stack::FreeBsd),
    (order(&[MSS, NOP, WS, NOP, NOP, TS, SACK, EOL]), 64, Stack::Darwin),
    (order(&[MSS, NOP, WS, NOP, NOP, SACK]), 128, Stack::Windows),
    (order(&[MSS, NOP, WS, SACK, TS]), 128, Stack::Windows), // Windows with timestamps
    (order(&[SACK, TS, MSS, NOP, WS]), 64, Stack::Solaris),
    (order(&[MSS, NOP, WS, NOP, NOP, TS, NOP, NOP, SACK]), 64, Stack::Solaris),
];

/// The initial TTL a packet most likely started with: the next power used in practice.
const fn initial_ttl(ttl: u8) -> u8 {
    match ttl {
        0..=32 => 32,
        33..=64 => 64,
        65..=128 => 128,
        _ => 255,
    }
}

/// Guesses from the TTL and the order of options of a SYN or SYN-ACK.
#[must_use]
pub fn guess(ttl: u8, options_order: u32) -> Stack {
    let start = initial_ttl(ttl);
    ORDERS
        .iter()
        .find(|(packed, ttl, _)| *packed == options_order && *ttl == start)
        .map_or(Stack::Unknown, |&(_, _, stack)| stack)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initial_ttls_round_up() {
        assert_eq!([1, 32, 33, 64, 65, 128, 129].map(initial_ttl), [32, 32, 64, 64, 128, 128, 255]);
    }

    #[test]
    fn orders_are_distinct_per_ttl() {
        for (i, a) in ORDERS.iter().enumerate() {
            assert!(ORDERS[i + 1..].iter().all(|b| (a.0, a.1) != (b.0, b.1)), "row {i} is shadowed");
        }
    }
}
