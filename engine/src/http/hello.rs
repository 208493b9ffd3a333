//! Server name and first ALPN protocol of a TLS ClientHello (RFC 8446 §4.1.2, RFC 6066 §3, RFC 7301 §3.1).
//!
//! Our own reader: these two fields are all that is wanted of TLS, and the crate that reads it (`tls-parser`, with
//! `nom` and its tables) leaves the part that needs care, a hello over several records and segments, to its caller.

use super::text;
use crate::record::TlsNames as Names;

/// Longest hello kept; post-quantum ones are about 2 KiB.
const MAX_HELLO_BYTES: usize = 16 << 10;
const RECORD_HEADER: usize = 5;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

/// Collects a client's first bytes until its hello is whole.
#[derive(Clone, Debug, Default)]
pub struct HelloReader {
    bytes: Vec<u8>,
    /// Bytes to have before looking again: what keeps a hello that drips in from being read each time.
    wanted: usize,
}

impl HelloReader {
    /// Bytes collected so far.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Takes more bytes; the names once the hello is whole, empty ones if it is not a hello or too long.
    pub fn read(&mut self, bytes: &[u8]) -> Option<Names> {
        let room = MAX_HELLO_BYTES.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        while self.bytes.len() >= self.wanted {
            match parse(&self.bytes) {
                Ok(names) => return Some(names),
                Err(wanted) if wanted <= self.bytes.len() || wanted > MAX_HELLO_BYTES => return Some(Names::default()),
                Err(wanted) => self.wanted = wanted,
            }
        }
        (self.bytes.len() >= MAX_HELLO_BYTES).then(Names::default)
    }
}

/// The names, or how many bytes there must be to look again (no more than there are: never).
fn parse(bytes: &[u8]) -> Result<Names, usize> {
    let (mut rest, mut hello) = (bytes, Vec::new());
    while let Some((header, after)) = rest.split_at_checked(RECORD_HEADER) {
        let &[kind, _, _, high, low] = header else { return Err(0) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let Some((payload, next)) = after.split_at_checked(length) else {
            return Err(bytes.len().saturating_sub(after.len()).saturating_add(length));
        };
        if kind != HANDSHAKE || payload.is_empty() {
            return Err(0);
        }
        hello.extend_from_slice(payload);
        rest = next;
        if let Some(whole) = message(&hello)? {
            return Ok(names(Reader(whole)).unwrap_or_default());
        }
    }
    Err(bytes.len().saturating_sub(rest.len()).saturating_add(RECORD_HEADER))
}

/// The body of the first handshake message, once it is whole; `Err` if it is no ClientHello.
fn message(handshake: &[u8]) -> Result<Option<&[u8]>, usize> {
    match handshake {
        [CLIENT_HELLO, a, b, c, rest @ ..] => Ok(rest.get(..u32::from_be_bytes([0, *a, *b, *c]) as usize)),
        [CLIENT_HELLO, ..] => Ok(None),
        _ => Err(0),
    }
}

/// A cursor over TLS's length-prefixed vectors (RFC 8446 §3.4).
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.u8()?, self.u8()?]))
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.take(usize::from(len))
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }
}

fn names(mut hello: Reader<'_>) -> Option<Names> {
    hello.take(2 + 32)?; // legacy_version, random
    hello.vector8()?; // legacy_session_id
    hello.vector16()?; // cipher_suites
    hello.vector8()?; // legacy_compression_methods
    let mut extensions = Reader(hello.vector16()?);
    let mut names = Names::default();
    while let (Some(kind), Some(data)) = (extensions.u16(), extensions.vector16()) {
        match kind {
            SERVER_NAME => names.sni = names.sni.or_else(|| server_name(Reader(data))),
            ALPN => names.alpn = names.alpn.or_else(|| first_protocol(Reader(data))),
            _ => {}
        }
    }
    Some(names)
}

fn server_name(mut data: Reader<'_>) -> Option<Box<str>> {
    let mut list = Reader(data.vector16()?);
    while let (Some(kind), Some(name)) = (list.u8(), list.vector16()) {
        if kind == 0 {
            return Some(text(name));
        }
    }
    None
}

fn first_protocol(mut data: Reader<'_>) -> Option<Box<str>> {
    Reader(data.vector16()?).vector8().map(text)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vector16(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
    }

    /// A hello with these extensions, in records of at most `record` bytes.
    pub fn hello(extensions: &[(u16, Vec<u8>)], record: usize) -> Vec<u8> {
        let all: Vec<u8> = extensions.iter().flat_map(|(k, d)| [&k.to_be_bytes()[..], &vector16(d)].concat()).collect();
        let body = [&[3; 34][..], &[0], &vector16(&[0x13, 1]), &[1, 0], &vector16(&all)].concat();
        let length = (body.len() as u32).to_be_bytes();
        let message = [&[1, length[1], length[2], length[3]][..], &body].concat();
        message.chunks(record).flat_map(|part| [&[22, 3, 1][..], &vector16(part)].concat()).collect()
    }

    pub fn sni(name: &str) -> (u16, Vec<u8>) {
        (0, vector16(&[&[0][..], &vector16(name.as_bytes())].concat()))
    }

    pub fn alpn(first: &str) -> (u16, Vec<u8>) {
        (16, vector16(&[&[first.len() as u8][..], first.as_bytes(), b"\x08http/1.1"].concat()))
    }

    #[allow(clippy::unnecessary_wraps, reason = "compared with what the reader returns")]
    fn some(sni: &str, alpn: &str) -> Option<Names> {
        Some(Names { sni: Some(sni.into()), alpn: Some(alpn.into()) })
    }

    #[test]
    fn names_are_read_whole_cut_anywhere_and_over_records() {
        for record in [7, 60, 16_000] {
            let bytes = hello(&[(0x0a0a, vec![]), sni("a.example"), (51, vec![9; 1200]), alpn("h2")], record);
            assert_eq!(HelloReader::default().read(&bytes), some("a.example", "h2"));
            for cut in 1..bytes.len() {
                let mut reader = HelloReader::default();
                assert_eq!(reader.read(&bytes[..cut]), None, "{cut}");
                assert_eq!(reader.read(&bytes[cut..]), some("a.example", "h2"), "{cut}");
            }
        }
    }

    #[test]
    fn a_hello_without_names_or_too_long_or_no_hello_has_none() {
        let none = Some(Names::default());
        assert_eq!(HelloReader::default().read(&hello(&[], 100)), none);
        assert_eq!(HelloReader::default().read(&hello(&[(21, vec![0; 20_000])], 16_000)), none);
        assert_eq!(HelloReader::default().read(b"\x16\x03\x01\x00\x04\x02\x00\x00\x00"), none);
        assert_eq!(HelloReader::default().read(b"\x17\x03\x01\x00\x01\x00"), none);
    }

    proptest! {
        #[test]
        fn any_bytes_end_within_the_limit(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 0..20)) {
            let mut reader = HelloReader::default();
            for part in parts {
                if reader.read(&[&b"\x16\x03\x01\x3f\xff\x01"[..], &part].concat()).is_some() {
                    break;
                }
                prop_assert!(reader.bytes.len() < MAX_HELLO_BYTES);
            }
        }

        #[test]
        fn a_damaged_hello_never_panics(at in 0..200_usize, byte: u8) {
            let mut bytes = hello(&[sni("a.example"), alpn("h2")], 40);
            if let Some(b) = bytes.get_mut(at) { *b = byte; }
            HelloReader::default().read(&bytes);
        }
    }
}
