//! What the first bytes of a payload look like: enough to tell client from server in a capture that starts midway.

/// Longest method that is taken for one (`WebDAV`'s longest registered is 17).
const LONGEST_METHOD: usize = 32;
/// Methods after which a target is believed before its `HTTP/1.` was seen (a target may fill a segment).
const COMMON_METHODS: [&[u8]; 9] =
    [b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT", b"TRACE"];
/// Bytes of a target that starts with a common method before it is believed.
const BELIEVED_TARGET: usize = 16;
/// RFC 9113 §3.4.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Longest TLS record payload (RFC 8446 §5.2, and TLS 1.2's).
const LONGEST_TLS_RECORD: u16 = (1 << 14) + 2048;

/// What a payload starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniff {
    /// An HTTP/1.x request line.
    Request,
    /// An HTTP/1.x status line.
    Response,
    /// A TLS `ClientHello`.
    TlsClientHello,
    /// A TLS `ServerHello`.
    TlsServerHello,
    /// Another TLS record.
    Tls,
    /// The HTTP/2 client preface.
    H2Preface,
    /// None of these.
    Other,
    /// Too short to tell.
    NeedMore,
}

/// Classifies a payload by its first bytes, which must be the start of what one side sent in one go.
#[must_use]
pub fn sniff(payload: &[u8]) -> Sniff {
    match payload.first() {
        None => Sniff::NeedMore,
        Some(20..=24) => sniff_tls(payload),
        Some(b'\r' | b'\n') => sniff_after_blank(payload),
        Some(b'P') if starts(payload, H2_PREFACE) != Some(false) => match starts(payload, H2_PREFACE) {
            Some(_) => Sniff::H2Preface,
            None => Sniff::NeedMore,
        },
        Some(b'H') if starts(payload, b"HTTP/1.") != Some(false) => sniff_status(payload),
        Some(_) => sniff_request(payload),
    }
}

/// Whether `payload` starts with `word`; `None` if it ends before that can be told.
fn starts(payload: &[u8], word: &[u8]) -> Option<bool> {
    let common = payload.len().min(word.len());
    match payload.get(..common) == word.get(..common) {
        false => Some(false),
        true if payload.len() < word.len() => None,
        true => Some(true),
    }
}

/// An empty line may precede a request (RFC 9112 §2.2).
fn sniff_after_blank(payload: &[u8]) -> Sniff {
    let blank = payload.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    match payload.get(blank..) {
        Some(rest) if blank <= 4 && !rest.is_empty() => match sniff_request(rest) {
            Sniff::Request => Sniff::Request,
            Sniff::NeedMore => Sniff::NeedMore,
            _ => Sniff::Other,
        },
        _ if blank <= 4 => Sniff::NeedMore,
        _ => Sniff::Other,
    }
}

/// `HTTP/1.x SP 3DIGIT`.
fn sniff_status(payload: &[u8]) -> Sniff {
    let wanted: [fn(u8) -> bool; 5] =
        [|b| b.is_ascii_digit(), |b| b == b' ', |b| b.is_ascii_digit(), |b| b.is_ascii_digit(), |b| b.is_ascii_digit()];
    let rest = payload.get(b"HTTP/1.".len()..).unwrap_or_default();
    if rest.iter().zip(wanted).any(|(&b, is)| !is(b)) {
        Sniff::Other
    } else if rest.len() < wanted.len() {
        Sniff::NeedMore
    } else {
        Sniff::Response
    }
}

/// `token SP target SP HTTP/1.x`; the end of a long target need not be there after a common method.
fn sniff_request(payload: &[u8]) -> Sniff {
    let method_len = payload.iter().take(LONGEST_METHOD + 1).take_while(|b| is_token(**b)).count();
    let (Some(method), Some(rest)) = (payload.get(..method_len), payload.get(method_len..)) else {
        return Sniff::Other;
    };
    match rest.split_first() {
        None if method_len <= LONGEST_METHOD => Sniff::NeedMore,
        Some((b' ', target)) if method_len > 0 => sniff_target(method, target),
        _ => Sniff::Other,
    }
}

fn sniff_target(method: &[u8], rest: &[u8]) -> Sniff {
    let line = rest.split(|&b| b == b'\n').next().unwrap_or(rest);
    if line.iter().any(|&b| b < b' ' && b != b'\r' && b != b'\t') {
        return Sniff::Other;
    }
    let version = line.iter().rposition(|&b| b == b' ').and_then(|space| line.get(space.saturating_add(1)..));
    let whole = line.len() < rest.len();
    match version.and_then(|v| starts(v, b"HTTP/1.")) {
        Some(true) => Sniff::Request,
        _ if whole => Sniff::Other,
        _ if COMMON_METHODS.contains(&method) && line.len() >= BELIEVED_TARGET => Sniff::Request,
        _ => Sniff::NeedMore,
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A record header (RFC 8446 §5.1), and for a handshake the type of its first message.
fn sniff_tls(payload: &[u8]) -> Sniff {
    let byte = |n: usize| payload.get(n).copied();
    let plausible = byte(1).is_none_or(|v| v == 3) && byte(2).is_none_or(|v| v <= 4);
    let length = byte(3).zip(byte(4)).map(|(high, low)| u16::from_be_bytes([high, low]));
    if !plausible || length.is_some_and(|n| n == 0 || n > LONGEST_TLS_RECORD) {
        return Sniff::Other;
    }
    match (byte(0), length, byte(5)) {
        (_, None, _) | (Some(22), _, None) => Sniff::NeedMore,
        (Some(22), _, Some(1)) => Sniff::TlsClientHello,
        (Some(22), _, Some(2)) => Sniff::TlsServerHello,
        _ => Sniff::Tls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CASES: &[(&[u8], Sniff)] = &[
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Sniff::Request),
        (b"GET /a b HTTP/1.0\n", Sniff::Request),
        (b"VERSION-CONTROL * HTTP/1.1\r\n", Sniff::Request),
        (b"\r\nGET / HTTP/1.1\r\n", Sniff::Request),
        (b"GET /0123456789abcdef", Sniff::Request),
        (b"XYZ /0123456789abcdef", Sniff::NeedMore),
        (b"GE", Sniff::NeedMore),
        (b"GET / HT", Sniff::NeedMore),
        (b"GET /\r\n", Sniff::Other),
        (b"OPTIONS rtsp://h/ RTSP/1.0\r\n", Sniff::Other),
        (b"INVITE sip:a@b SIP/2.0\r\n", Sniff::Other),
        (b"EHLO mail.example\r\n", Sniff::Other),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Sniff::Other),
        (b"220 ready\r\n", Sniff::Other),
        (b"HTTP/1.1 200 OK\r\n", Sniff::Response),
        (b"HTTP/1.0 404\r\n", Sniff::Response),
        (b"HTTP/1.", Sniff::NeedMore),
        (b"HTTP/1.1 2x", Sniff::Other),
        (b"HEAD / HTTP/1.1\r\n", Sniff::Request),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Sniff::H2Preface),
        (b"PRI * H", Sniff::NeedMore),
        (b"PRI /x HTTP/1.1\r\n", Sniff::Request),
        (b"\x16\x03\x01\x02\x00\x01", Sniff::TlsClientHello),
        (b"\x16\x03\x03\x00\x7a\x02", Sniff::TlsServerHello),
        (b"\x17\x03\x03\x00\x40zzz", Sniff::Tls),
        (b"\x16\x03", Sniff::NeedMore),
        (b"\x16\x05\x01\x02\x00\x01", Sniff::Other),
        (b"\x17\x03\x03\xff\xff", Sniff::Other),
        (b"\x00\x01\x02", Sniff::Other),
        (b"", Sniff::NeedMore),
    ];

    #[test]
    fn known_beginnings_are_told_apart() {
        for (payload, want) in CASES {
            assert_eq!(sniff(payload), *want, "{}", payload.escape_ascii());
        }
    }

    #[test]
    fn a_shorter_prefix_never_contradicts_a_longer_one() {
        for (payload, want) in CASES.iter().filter(|(_, want)| *want != Sniff::Other) {
            for cut in 0..payload.len() {
                let got = sniff(&payload[..cut]);
                assert!(got == Sniff::NeedMore || got == *want, "{}: {got:?}", payload[..cut].escape_ascii());
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_classified(payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = sniff(&payload);
        }
    }
}
