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
        let Fields { options, content_length, transfer_encoding, host, user_agent, server, keep_alive } = *fields;
        let texts = [host, user_agent, server, keep_alive].map(|field| part(bytes, field));
        let line = line.map(|field| part(bytes, field));
        Shape { line, status, version, options, content_length, transfer_encoding, texts }
    }

    fn fields<'a>(&self, bytes: &'a [u8]) -> Fields<'a> {
        let [host, user_agent, server, keep_alive] = self.texts.map(|part| cut(bytes, part));
        let Shape { options, content_length, transfer_encoding, .. } = *self;
        Fields { options, content_length, transfer_encoding, host, user_agent, server, keep_alive }
    }
}

impl<'a> Shaped<'a> for RequestHead<'a> {
    fn shape(&self, bytes: &'a [u8]) -> Remembered {
        let line = [Some(self.method.as_bytes()), Some(self.target.as_bytes())];
        Remembered(Shape::of(bytes, line, 0, self.version, &self.fields))
    }

    fn rebuild(Remembered(shape): &Remembered, bytes: &'a [u8]) -> Option<Self> {
        let [method, target] = shape.line;
        let (method, target) = (word(bytes, method)?, word(bytes, target)?);
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

/// Reads heads, those seen lately without parsing them.
#[derive(Debug, Default)]
pub struct RecentHeads {
    requests: Heads,
    responses: Heads,
}

impl RecentHeads {
    /// A request head at the start of `bytes`.
    pub fn request<'a>(&mut self, bytes: &'a [u8]) -> Parsed<RequestHead<'a>> {
        self.requests.parse(bytes)
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
