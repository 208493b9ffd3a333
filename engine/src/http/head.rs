//! A message head's bytes into the few fields that framing and persistence ask for (RFC 9112 §2-§6).
//!
//! Reads with `httparse`, as leniently as the endpoints on the wire do: any token as method, bare LF, folded lines,
//! lines that are no header are skipped. What is ambiguous is kept as such for [`super::framing`] to judge.

use super::persistence::Options;
use httparse::{Error, Header, ParserConfig, Status};
use std::mem::MaybeUninit;

/// Headers read without allocating.
const HEADERS: usize = 128;
/// Headers read at all; a head with more is not read as HTTP.
const MOST_HEADERS: usize = 4096;

/// Content-Length as sent, over all its lines (RFC 9112 §6.3 rules 5 and 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentLength {
    /// No such header.
    #[default]
    Absent,
    /// One number, or a list of the same one.
    Bytes(u64),
    /// Not a number, too large, or numbers that differ.
    Invalid,
}

/// Transfer-Encoding as sent, over all its lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransferEncoding {
    /// No such header, or only the `identity` of RFC 2616 §3.6.
    #[default]
    Absent,
    /// The final coding is chunked, and it is named once.
    Chunked,
    /// Another coding is final, or chunked is named more than once.
    Other,
}

/// The header fields that matter here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    /// What the Connection lines name.
    pub options: Options,
    /// Content-Length.
    pub content_length: ContentLength,
    /// Transfer-Encoding.
    pub transfer_encoding: TransferEncoding,
    /// First Host.
    pub host: Option<&'a [u8]>,
    /// First User-Agent.
    pub user_agent: Option<&'a [u8]>,
    /// First Server.
    pub server: Option<&'a [u8]>,
    /// First Keep-Alive.
    pub keep_alive: Option<&'a [u8]>,
    /// A header that proxies add: Via, Forwarded, X-Forwarded-…, X-Real-IP.
    pub forwarded: bool,
}

/// A request head.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// Any token.
    pub method: &'a str,
    /// Request target as sent, UTF-8 or not.
    pub target: &'a [u8],
    /// Minor version, 0 or 1.
    pub version: u8,
    /// Header fields.
    pub fields: Fields<'a>,
}

/// A response head.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// 100 to 999.
    pub status: u16,
    /// Minor version, 0 or 1.
    pub version: u8,
    /// Header fields.
    pub fields: Fields<'a>,
}

/// What reading a head came to.
#[derive(Clone, Copy, Debug)]
pub enum Parsed<T> {
    /// A head of so many bytes, its blank line included.
    Complete(usize, T),
    /// More bytes are needed.
    Partial,
    /// Not a message head.
    Invalid,
}

/// A kind of head: how it is read from bytes.
pub trait Head<'a>: Sized {
    /// Reads it into `headers`.
    ///
    /// # Errors
    /// What httparse says against it.
    fn read(bytes: &'a [u8], headers: &mut [MaybeUninit<Header<'a>>]) -> httparse::Result<(usize, Self)>
    where
        Self: Sized,
    {
        Self::read_lenient(&lenient(), bytes, headers)
    }
    /// Reads it as `config` allows.
    ///
    /// # Errors
    /// What httparse says against it.
    fn read_lenient(
        config: &ParserConfig,
        bytes: &'a [u8],
        headers: &mut [MaybeUninit<Header<'a>>],
    ) -> httparse::Result<(usize, Self)>;
}

/// Reads a head from the start of `bytes`.
#[must_use]
pub fn parse<'a, T: Head<'a>>(bytes: &'a [u8]) -> Parsed<T> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS];
    match T::read(bytes, &mut headers) {
        Err(Error::TooManyHeaders) => {
            let mut headers = vec![MaybeUninit::uninit(); MOST_HEADERS];
            into_parsed(T::read(bytes, &mut headers))
        }
        result => into_parsed(result),
    }
}

fn into_parsed<T>(result: httparse::Result<(usize, T)>) -> Parsed<T> {
    match result {
        Ok(Status::Complete((len, head))) => Parsed::Complete(len, head),
        Ok(Status::Partial) => Parsed::Partial,
        Err(_) => Parsed::Invalid,
    }
}

fn lenient() -> ParserConfig {
    let mut config = ParserConfig::default();
    config
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_requests(true)
        .ignore_invalid_headers_in_responses(true)
        .allow_multiple_spaces_in_request_line_delimiters(true)
        .allow_multiple_spaces_in_response_status_delimiters(true);
    config
}

impl<'a> Head<'a> for RequestHead<'a> {
    fn read_lenient(
        config: &ParserConfig,
        bytes: &'a [u8],
        headers: &mut [MaybeUninit<Header<'a>>],
    ) -> httparse::Result<(usize, Self)> {
        let mut request = httparse::Request::new(&mut []);
        let Status::Complete(len) = config.parse_request_with_uninit_headers(&mut request, bytes, headers)? else {
            return Ok(Status::Partial);
        };
        let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
            return Err(Error::Token);
        };
        let (target, fields) = (target.as_bytes(), Fields::of(request.headers));
        Ok(Status::Complete((len, RequestHead { method, target, version, fields })))
    }
}

impl<'a> Head<'a> for ResponseHead<'a> {
    fn read_lenient(
        config: &ParserConfig,
        bytes: &'a [u8],
        headers: &mut [MaybeUninit<Header<'a>>],
    ) -> httparse::Result<(usize, Self)> {
        let mut response = httparse::Response::new(&mut []);
        let Status::Complete(len) = config.parse_response_with_uninit_headers(&mut response, bytes, headers)? else {
            return Ok(Status::Partial);
        };
        match (response.code, response.version) {
            (Some(status @ 100..), Some(version)) => {
                Ok(Status::Complete((len, ResponseHead { status, version, fields: Fields::of(response.headers) })))
            }
            _ => Err(Error::Status),
        }
    }
}

impl<'a> Fields<'a> {
    fn of(headers: &[Header<'a>]) -> Self {
        let mut fields = Fields::default();
        for header in headers {
            fields.add(header.name, header.value);
        }
        fields
    }

    /// Takes in one header line. Most lines are settled by the length of their name.
    fn add(&mut self, name: &str, value: &'a [u8]) {
        let is = |word: &str| name.eq_ignore_ascii_case(word);
        match name.len() {
            3 if is("via") => self.forwarded = true,
            4 if is("host") => keep_first(&mut self.host, value),
            6 if is("server") => keep_first(&mut self.server, value),
            9 if is("forwarded") || is("x-real-ip") => self.forwarded = true,
            10 if is("connection") => self.options.add(value),
            10 if is("user-agent") => keep_first(&mut self.user_agent, value),
            10 if is("keep-alive") => keep_first(&mut self.keep_alive, value),
            14 if is("content-length") => self.add_content_length(value),
            17 if is("transfer-encoding") => self.add_transfer_encoding(value),
            15..=17 if is("x-forwarded-for") || is("x-forwarded-host") || is("x-forwarded-proto") => {
                self.forwarded = true;
            }
            _ => {}
        }
    }

    fn add_content_length(&mut self, value: &[u8]) {
        for item in value.split(|&b| b == b',') {
            let number = decimal(item.trim_ascii());
            self.content_length = match (self.content_length, number) {
                (ContentLength::Absent, Some(n)) => ContentLength::Bytes(n),
                (ContentLength::Bytes(before), Some(n)) if before == n => ContentLength::Bytes(n),
                _ => ContentLength::Invalid,
            };
        }
    }

    fn add_transfer_encoding(&mut self, value: &[u8]) {
        for item in list(value) {
            let coding = item.split(|&b| b == b';').next().unwrap_or(item).trim_ascii();
            if coding.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            // Nothing may follow chunked, not even chunked again (RFC 9112 §6.1).
            let repeated = self.transfer_encoding == TransferEncoding::Chunked;
            let chunked = coding.eq_ignore_ascii_case(b"chunked") && !repeated;
            self.transfer_encoding = if chunked { TransferEncoding::Chunked } else { TransferEncoding::Other };
        }
    }
}

fn keep_first<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8]) {
    slot.get_or_insert(value);
}

/// The non-empty members of a comma list (RFC 9110 §5.6.1), without the whitespace around them.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}

/// `1*DIGIT` as a number; `None` for anything else or more than 64 bits.
#[must_use]
pub fn decimal(digits: &[u8]) -> Option<u64> {
    let add =
        |n: u64, b: &u8| b.is_ascii_digit().then(|| n.checked_mul(10)?.checked_add(u64::from(b - b'0'))).flatten();
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bytes: &[u8]) -> (usize, RequestHead<'_>) {
        match parse(bytes) {
            Parsed::Complete(len, head) => (len, head),
            other => panic!("{other:?}"),
        }
    }

    fn response(bytes: &[u8]) -> ResponseHead<'_> {
        match parse(bytes) {
            Parsed::Complete(_, head) => head,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_with_bare_lf_an_odd_method_and_raw_bytes_is_read() {
        let bytes = b"M-SEARCH /a HTTP/1.1\nHost: h\nX: \xff\xfe\nUser-Agent: \xe9t\xe9\n\nrest";
        let (len, head) = request(bytes);
        assert_eq!((len, head.method, head.target, head.version), (bytes.len() - 4, "M-SEARCH", &b"/a"[..], 1));
        assert_eq!((head.fields.host, head.fields.user_agent), (Some(&b"h"[..]), Some(&b"\xe9t\xe9"[..])));
    }

    #[test]
    fn lines_that_are_no_header_and_folded_ones_are_skipped() {
        let (_, head) = request(b"GET / HTTP/1.1\r\nX: a\r\n folded\r\n@@@\r\nConnection: close\r\n\r\n");
        assert!(head.fields.options.close);
        let head = response(b"HTTP/1.1 200 OK\r\nX: a\r\n\tb\r\nConnection:\r\n close\r\n\r\n");
        assert!(head.fields.options.close);
    }

    #[test]
    fn what_proxies_add_is_noticed() {
        let forwarded = |line: &str| request(format!("GET / HTTP/1.1\r\n{line}\r\n").as_bytes()).1.fields.forwarded;
        let of_proxies =
            ["Via: 1.1 a", "Forwarded: for=a", "X-Real-IP: a", "X-FORWARDED-FOR: a", "X-Forwarded-Proto: a"];
        assert!(of_proxies.iter().all(|line| forwarded(&format!("{line}\r\n"))));
        assert!(
            ["", "Viaduct: 1\r\n", "X-Forwarded-Foo: 1\r\n", "Transfer-Encoding: chunked\r\n"]
                .iter()
                .all(|l| !forwarded(l))
        );
    }

    #[test]
    fn three_hundred_headers_are_read_and_five_thousand_are_not() {
        let head = |n: usize| format!("GET / HTTP/1.1\r\n{}Connection: close\r\n\r\n", "a: b\r\n".repeat(n));
        assert!(request(head(300).as_bytes()).1.fields.options.close);
        assert!(matches!(parse::<RequestHead>(head(5000).as_bytes()), Parsed::Invalid));
    }

    #[test]
    fn a_status_without_reason_is_read_and_below_100_is_not() {
        assert_eq!(response(b"HTTP/1.0 404\r\n\r\n").status, 404);
        assert!(matches!(parse::<ResponseHead>(b"HTTP/1.1 099 x\r\n\r\n"), Parsed::Invalid));
        assert!(matches!(parse::<ResponseHead>(b"HTTP/1.1 200 O"), Parsed::Partial));
    }

    #[test]
    fn content_length_is_one_number_however_often_it_is_said() {
        use ContentLength::{Absent, Bytes, Invalid};
        let table: [(&str, ContentLength); 12] = [
            ("", Absent),
            ("Content-Length: 5\r\n", Bytes(5)),
            ("content-length: 5, 5\r\n", Bytes(5)),
            ("Content-Length: 5\r\nCONTENT-LENGTH: 5\r\n", Bytes(5)),
            ("Content-Length: 18446744073709551615\r\n", Bytes(u64::MAX)),
            ("Content-Length: 18446744073709551616\r\n", Invalid),
            ("Content-Length: 5, 6\r\n", Invalid),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", Invalid),
            ("Content-Length: +5\r\n", Invalid),
            ("Content-Length: -1\r\n", Invalid),
            ("Content-Length:\r\n", Invalid),
            ("Content-Length: 0x10\r\n", Invalid),
        ];
        for (lines, want) in table {
            let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
            assert_eq!(response(head.as_bytes()).fields.content_length, want, "{lines}");
        }
    }

    #[test]
    fn transfer_encoding_is_chunked_only_when_chunked_is_last_and_once() {
        use TransferEncoding::{Absent, Chunked, Other};
        let table = [
            ("", Absent),
            ("Transfer-Encoding: identity\r\n", Absent),
            ("Transfer-Encoding: Chunked\r\n", Chunked),
            ("Transfer-Encoding: gzip, chunked\r\n", Chunked),
            ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", Chunked),
            ("Transfer-Encoding: chunked, gzip\r\n", Other),
            ("Transfer-Encoding: chunked, chunked\r\n", Other),
            ("Transfer-Encoding: xchunked\r\n", Other),
        ];
        for (lines, want) in table {
            let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
            assert_eq!(response(head.as_bytes()).fields.transfer_encoding, want, "{lines}");
        }
    }
}
