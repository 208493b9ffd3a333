//! HTTP/1.x on reassembled streams: framing, pairing, persistence (RFC 9112; semantics in `semantics` D1, D2).
//!
//! [`HttpFlow`] takes what [`crate::tcp::stream::Stream`] delivers of both directions and gives one
//! [`Exchange`](crate::record::Exchange) per request and its final response, and the connection's
//! [`HttpFacts`](crate::record::HttpFacts). Bodies are counted and passed over, never kept.

pub mod chunked;
mod conversation;
mod direction;
mod exchange;
mod flow;
pub mod framing;
pub mod head;
pub mod hello;
pub mod persistence;
mod recent;
pub mod sniff;

pub use conversation::SpareRoom;
pub use exchange::WAITING_BYTES;
pub use flow::{AllExchanges, ExchangeSink, HttpFlow, HttpLimits, NoExchanges};
pub use recent::RecentHeads;
pub use sniff::{Sniff, sniff};

use std::fmt::Write;

/// Longest header value kept as text, in bytes on the wire.
pub const MAX_TEXT_BYTES: usize = 256;

/// A value from the wire as text: at most [`MAX_TEXT_BYTES`] of it, what is not UTF-8 replaced. Still hostile.
pub(crate) fn text(value: &[u8]) -> Box<str> {
    String::from_utf8_lossy(value.get(..MAX_TEXT_BYTES).unwrap_or(value)).into()
}

/// Octets that are no UTF-8 as `\xe9`: two targets that differ are told apart.
fn escaped_text(value: &[u8], most: usize) -> Box<str> {
    let mut text = String::new();
    for chunk in value.get(..most).unwrap_or(value).utf8_chunks() {
        text.push_str(chunk.valid());
        for octet in chunk.invalid() {
            let _ = write!(text, "\\x{octet:02x}"); // a String takes whatever is written to it
        }
    }
    text.into()
}

#[cfg(test)]
mod tests;
