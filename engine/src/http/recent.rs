//! Heads seen lately: what floods a host with TIME_WAIT sends the same few heads again and again, and one that is the
//! same bytes as before is not parsed again.

use super::head::{ContentLength, Fields, Head, Parsed, RequestHead, ResponseHead, TransferEncoding, parse};
use super::persistence::Options;

/// Heads remembered of each kind.
const PLACES: usize = 64;
/// Longest head remembered.
const LONGEST: usize = 2048;

/// Where a field is in its head.
type Part = Option<(u16, u16)>;

/// A parsed head without its bytes: a head of the same bytes has its fields in the same places.
#[derive(Clone, Copy, Debug)]
struct Shape {
    /// Method and target of a request.
    line: [Part; 2],
    status: u16,
    version: u8,
    options: Options,
    content_length: ContentLength,
    transfer_encoding: TransferEncoding,
    /// Host, User-Agent, Server, Keep-Alive.
    texts: [Part; 4],
    forwarded: bool,
}

/// A head that can be taken apart and put together again.
pub trait Shaped<'a>: Head<'a> {
    /// Where its fields are in `bytes`.
    fn shape(&self, bytes: &'a [u8]) -> Remembered;
    /// The head of `bytes`, which are those of another head of this shape.
    fn rebuild(shape: &Remembered, bytes: &'a [u8]) -> Option<Self>;
}

/// See [`Shaped`].
#[derive(Clone, Copy, Debug)]
pub struct Remembered(Shape);

fn part(bytes: &[u8], field: Option<&[u8]>) -> Part {
    let field = field?;
    let start = field.as_ptr().addr().checked_sub(bytes.as_ptr().addr())?;
    Some((u16::try_from(start).ok()?, u16::try_from(field.len()).ok()?))
}

fn cut(bytes: &[u8], part: Part) -> Option<&[u8]> {
    let (start, len) = part?;
    bytes.get(usize::from(start)..)?.get(..usize::from(len))
}

fn word(bytes: &[u8], part: Part) -> Option<&str> {
    std::str::from_utf8(cut(bytes, part)?).ok()
}

impl Shape {
    fn of(bytes: &[u8], line: [Option<&[u8]>; 2], status: u16, version: u8, fields: &Fields<'_>) -> Shape {
        let Fields { options, content_length, transfer_encoding, host, user_agent, server, keep_alive, forwarded } =
            *fields;
        let texts = [host, user_agent, server, keep_alive].map(|field| part(bytes, field));
        let line = line.map(|field| part(bytes, field));
        Shape { line, status, version, options, content_length, transfer_encoding, texts, forwarded }
    }

    fn fields<'a>(&self, bytes: &'a [u8]) -> Fields<'a> {
        let [host, user_agent, server, keep_alive] = self.texts.map(|part| cut(bytes, part));
        let Shape { options, content_length, transfer_encoding, forwarded, .. } = *self;
        Fields { options, content_length, transfer_encoding, host, user_agent, server, keep_alive, forwarded }
    }
}

impl<'a> Shaped<'a> for RequestHead<'a> {
    fn shape(&self, bytes: &'a [u8]) -> Remembered {
        let line = [Some(self.method.as_bytes()), Some(self.target)];
        Remembered(Shape::of(bytes, line, 0, self.version, &self.fields))
    }

    fn rebuild(Remembered(shape): &Remembered, bytes: &'a [u8]) -> Option<Self> {
        let [method, target] = shape.line;
        let (method, target) = (word(bytes, method)?, cut(bytes, target)?);
        Some(RequestHead { method, target, version: shape.version, fields: shape.fields(bytes) })
    }
}

impl<'a> Shaped<'a> for ResponseHead<'a> {
    fn shape(&self, bytes: &'a [u8]) -> Remembered {
        Remembered(Shape::of(bytes, [None, None], self.status, self.version, &self.fields))
    }

    fn rebuild(Remembered(shape): &Remembered, bytes: &'a [u8]) -> Option<Self> {
        Some(ResponseHead { status: shape.status, version: shape.version, fields: shape.fields(bytes) })
    }
}

/// The last head of each class.
#[derive(Debug, Default)]
struct Heads(Vec<Option<(Box<[u8]>, Remembered)>>);

/// Tells heads apart well enough: some of the bytes, and how many came with them.
fn class(bytes: &[u8]) -> usize {
    let eight = |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |chunk| u64::from_le_bytes(*chunk));
    let mixed = (eight(4) ^ eight(17).rotate_left(23) ^ bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 58) as usize % PLACES
}

impl Heads {
    fn parse<'a, T: Shaped<'a>>(&mut self, bytes: &'a [u8]) -> Parsed<T> {
        self.0.resize_with(PLACES, || None);
        let Some(place) = self.0.get_mut(class(bytes)) else { return parse(bytes) };
        if let Some((known, shape)) = place
            && bytes.starts_with(known)
            && let Some(head) = T::rebuild(shape, bytes)
        {
            return Parsed::Complete(known.len(), head);
        }
        let parsed = parse::<T>(bytes);
        if let Parsed::Complete(len, head) = &parsed
            && let Some(whole) = bytes.get(..*len).filter(|whole| whole.len() <= LONGEST)
        {
            *place = Some((whole.into(), head.shape(bytes)));
        }
        parsed
    }
}

/// A request whose line is not UTF-8. httparse refuses it; servers read it (nginx, Apache), and no rule of RFC 9112
/// says how its octets are to be encoded. Read with letters in their place, it has its fields in the same places.
fn parse_raw_target(bytes: &[u8]) -> Parsed<RequestHead<'_>> {
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    if std::str::from_utf8(line).is_ok() {
        return Parsed::Invalid;
    }
    let mut plain = bytes.to_vec();
    plain.iter_mut().take(line.len()).filter(|b| !b.is_ascii()).for_each(|b| *b = b'x');
    match parse::<RequestHead>(&plain) {
        Parsed::Complete(len, head) => {
            let shape = head.shape(&plain);
            RequestHead::rebuild(&shape, bytes).map_or(Parsed::Invalid, |head| Parsed::Complete(len, head))
        }
        Parsed::Partial => Parsed::Partial,
        Parsed::Invalid => Parsed::Invalid,
    }
}

/// Reads heads, those seen lately without parsing them.
#[derive(Debug, Default)]
pub struct RecentHeads {
    requests: Heads,
    responses: Heads,
}

impl RecentHeads {
    /// A request head at the start of `bytes`.
    pub fn request<'a>(&mut self, bytes: &'a [u8]) -> Parsed<RequestHead<'a>> {
        match self.requests.parse(bytes) {
            Parsed::Invalid => parse_raw_target(bytes),
            parsed => parsed,
        }
    }

    /// A response head at the start of `bytes`.
    pub fn response<'a>(&mut self, bytes: &'a [u8]) -> Parsed<ResponseHead<'a>> {
        self.responses.parse(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_target_that_is_no_utf8_is_read_as_it_is_and_a_method_is_not() {
        let mut recent = RecentHeads::default();
        let bytes = b"GET /a\xff\xc3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        for _ in 0..2 {
            let Parsed::Complete(len, head) = recent.request(bytes) else { panic!("not read") };
            assert_eq!((len, head.method, head.target), (bytes.len(), "GET", &b"/a\xff\xc3"[..]));
            assert_eq!((head.fields.host, head.fields.options.close), (Some(&b"h"[..]), true));
        }
        for bad in [&b"G\xff /a HTTP/1.1\r\n\r\n"[..], b"GET /\xff \x01 HTTP/1.1\r\n\r\n", b"GET /\xff\r\n\r\n"] {
            let parsed = recent.request(bad);
            assert!(!matches!(parsed, Parsed::Complete(..)), "{parsed:?}");
        }
        assert!(matches!(recent.request(b"GET /\xff HTTP/1.1\r\nHo"), Parsed::Partial));
    }

    /// Pieces of heads, whole ones often.
    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        let line = prop::sample::select(vec![
            "GET /a HTTP/1.1\r\n",
            "GET /b HTTP/1.0\r\n",
            "HEAD /a HTTP/1.1\r\n",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.0 404 No\r\n",
        ]);
        let field = prop::sample::select(vec![
            "Host: a\r\n",
            "Host: bb\r\n",
            "Connection: close\r\n",
            "Content-Length: 5\r\n",
            "Content-Length: 7\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Keep-Alive: timeout=5\r\n",
            "User-Agent: \u{e9}\r\n",
            "Server: x\r\n",
            "odd\r\n",
        ]);
        let end = prop::sample::select(vec!["\r\n", "\n", "", "\r\nhello", "\r\nGET /a HTTP/1.1\r\n"]);
        (line, prop::collection::vec(field, 0..4), end)
            .prop_map(|(line, fields, end)| [line, &fields.concat(), end].concat().into_bytes())
    }

    proptest! {
        /// What was seen before never changes what a head is read as.
        #[test]
        fn memory_does_not_show(heads in prop::collection::vec(any_bytes(), 1..30)) {
            let mut recent = RecentHeads::default();
            for bytes in heads.iter().chain(&heads) {
                let (request, response) = (recent.request(bytes), recent.response(bytes));
                prop_assert_eq!(format!("{request:?}"), format!("{:?}", parse::<RequestHead>(bytes)));
                prop_assert_eq!(format!("{response:?}"), format!("{:?}", parse::<ResponseHead>(bytes)));
            }
        }
    }
}
