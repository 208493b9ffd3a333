//! Whole conversations. Each case is also fed byte by byte and cut at every offset, which must change nothing.

use super::hello::tests::{alpn, hello, sni};
use super::{AllExchanges, HttpFlow, HttpLimits, NoExchanges};
use crate::record::{Exchange, HttpFacts, Mark, Protocol, Role};
use crate::tcp::stream::Piece;
use proptest::prelude::*;

mod cases;
mod lost;
mod pairing;

const LIMITS: HttpLimits = HttpLimits { max_head_bytes: 4096 };
/// Sequence numbers before the first byte of each side; both wrap early.
const BASE: [u32; 2] = [0xffff_fff0, 0xffff_ffe0];

/// What happens on a connection.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    /// The client sends.
    C(&'a [u8]),
    /// The server sends.
    S(&'a [u8]),
    /// The client's bytes are sent and not captured.
    LostC(&'a [u8]),
    /// The server's bytes are sent and not captured.
    LostS(&'a [u8]),
    /// The client ends.
    FinC,
    /// The server ends.
    FinS,
}
use Step::{C, FinC, FinS, LostC, LostS, S};

/// What came of it.
#[derive(Debug)]
struct Outcome {
    facts: HttpFacts,
    exchanges: Vec<Exchange>,
}

/// The `n`th step happens at `n` ms in frame `n`.
fn mark(n: u64) -> Mark {
    Mark::new(n as i64 * 1_000_000, n, 0)
}

/// Plays the steps; `cut` cuts what a side sends into segments. Every step has received all before it.
fn play(steps: &[Step<'_>], cut: impl Fn(usize, &[u8]) -> Vec<usize>) -> Outcome {
    let mut flow = HttpFlow::new(LIMITS, 7);
    let (mut exchanges, mut next) = (AllExchanges::default(), BASE);
    for (n, step) in steps.iter().enumerate() {
        let (role, bytes) = match *step {
            C(bytes) | LostC(bytes) => (Role::Client, bytes),
            S(bytes) | LostS(bytes) => (Role::Server, bytes),
            FinC | FinS => {
                flow.fin(if matches!(step, FinC) { Role::Client } else { Role::Server }, &mut exchanges);
                continue;
            }
        };
        let (seq, ack, mark) = (next[role as usize], next[role.peer() as usize], mark(n as u64 + 1));
        next[role as usize] = seq.wrapping_add(bytes.len() as u32);
        if matches!(step, LostC(_) | LostS(_)) {
            flow.feed(role, Piece::Gap { len: bytes.len() as u64, seq, mark }, &mut exchanges);
            continue;
        }
        let mut from = 0;
        for to in cut(n, bytes).into_iter().chain([bytes.len()]) {
            let seq = seq.wrapping_add(from as u32);
            if to > from {
                flow.feed(role, Piece::Data { bytes: &bytes[from..to], seq, ack, mark }, &mut exchanges);
            }
            from = to;
        }
    }
    Outcome { facts: flow.finish(&mut exchanges), exchanges: exchanges.kept }
}

/// Plays the steps whole, byte by byte and with every step cut at every offset; all must agree.
fn played(steps: &[Step<'_>]) -> Outcome {
    let whole = play(steps, |_, _| vec![]);
    let want = format!("{whole:?}");
    assert_eq!(format!("{:?}", play(steps, |_, bytes| (1..bytes.len()).collect())), want, "byte by byte");
    for (n, step) in steps.iter().enumerate() {
        if let C(bytes) | S(bytes) = step {
            for at in 1..bytes.len() {
                let got = play(steps, |m, _| if m == n { vec![at] } else { vec![] });
                assert_eq!(format!("{got:?}"), want, "step {n} cut at {at}");
            }
        }
    }
    whole
}

impl Outcome {
    /// One line per exchange: request, status, framing, body bytes of both, complete, persistent.
    fn lines(&self) -> Vec<String> {
        let line = |e: &Exchange| {
            let method = e.method.as_deref().unwrap_or("-");
            let status = e.status.map_or("-".to_owned(), |s| s.to_string());
            let framing = e.framing.map_or("-", |f| f.as_str());
            let complete = if e.complete { "complete" } else { "cut" };
            let lasts = e.persistent.map_or("?", |p| if p { "lasts" } else { "ends" });
            let (sent, got) = (e.request_body_bytes, e.response_body_bytes);
            format!("{method} {status} {framing} {sent}/{got} {complete} {lasts}")
        };
        self.exchanges.iter().map(line).collect()
    }
}

#[test]
fn a_flow_is_small_until_it_is_http() {
    assert!(size_of::<HttpFlow>() <= 40, "{}", size_of::<HttpFlow>());
}

#[test]
fn facts_do_not_depend_on_whether_exchanges_are_wanted() {
    let get = b"GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: u\r\n\r\n";
    let mut flow = HttpFlow::new(LIMITS, 7);
    let data = |bytes: &'static [u8], seq, ack, n| Piece::Data { bytes, seq, ack, mark: mark(n) };
    flow.feed(Role::Client, data(get, 1, 1, 1), &mut NoExchanges::default());
    flow.feed(Role::Server, data(b"HTTP/1.1 204 x\r\nServer: s\r\n\r\n", 1, 99, 2), &mut NoExchanges::default());
    let without = flow.finish(&mut NoExchanges::default());
    let with = play(&[C(get), S(b"HTTP/1.1 204 x\r\nServer: s\r\n\r\n")], |_, _| vec![]).facts;
    assert_eq!((without.requests, without.responses, without.reusable), (1, 1, Some(true)));
    assert_eq!((without.user_agent, without.server_software), (with.user_agent, with.server_software));
}

#[test]
fn other_protocols_are_labelled_and_cost_nothing_more() {
    let client_hello = hello(&[sni("a.example"), alpn("h2")], 50);
    let table: [(&[Step<'_>], Option<Protocol>); 9] = [
        (&[], None),
        (&[LostC(b"xyz")], None),
        (&[C(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), S(b"\0\0\0")], Some(Protocol::H2c)),
        (&[C(&client_hello), S(b"\x16\x03\x03\x00\x7a\x02")], Some(Protocol::Tls)),
        (&[S(b"\x17\x03\x03\x00\x40zzz")], Some(Protocol::Tls)),
        (&[S(b"220 mail ready\r\n"), C(b"EHLO me\r\n")], Some(Protocol::Other)),
        (&[C(b"\0\x01\x02\x03"), S(b"\0\x01")], Some(Protocol::Other)),
        (&[S(b"SSH-2.0-x\r\n")], Some(Protocol::Other)),
        (&[C(b"GET / HTTP/1.0\r\n\r\n")], Some(Protocol::Http10)),
    ];
    for (steps, want) in table {
        let facts = played(steps).facts;
        assert_eq!(facts.protocol, want, "{steps:?}");
        assert!(!facts.broken, "{steps:?}");
    }
    let facts = played(&[C(&client_hello)]).facts;
    assert_eq!(facts.tls.map(|names| (names.sni, names.alpn)), Some((Some("a.example".into()), Some("h2".into()))));
}

#[test]
fn an_endless_head_is_given_up_at_its_limit() {
    for start in [&b"GET / HTTP/1.1\r\n"[..], b"HTTP/1.1 200 OK\r\n"] {
        let role = if start[0] == b'G' { Role::Client } else { Role::Server };
        let mut flow = HttpFlow::new(LIMITS, 0);
        let mut seq = 0_u32;
        for bytes in std::iter::once(start).chain(std::iter::repeat_n(&b"X-Header: 0123456789\r\n"[..], 10_000)) {
            flow.feed(role, Piece::Data { bytes, seq, ack: 0, mark: mark(1) }, &mut NoExchanges::default());
            seq += bytes.len() as u32;
        }
        let facts = flow.finish(&mut NoExchanges::default());
        assert!(facts.broken);
        assert_eq!((facts.requests, facts.responses), (0, 0));
    }
}

#[test]
fn a_head_beyond_the_limit_is_counted_once() {
    let head = [&b"GET / HTTP/1.1\r\nX: "[..], &[b'x'; 5000], b"\r\n\r\n"].concat();
    for piece in [1, 100, head.len()] {
        let (mut flow, mut exchanges, mut seq) = (HttpFlow::new(LIMITS, 0), AllExchanges::default(), 0);
        for bytes in head.chunks(piece) {
            flow.feed(Role::Client, Piece::Data { bytes, seq, ack: 0, mark: mark(1) }, &mut exchanges);
            seq += bytes.len() as u32;
        }
        assert_eq!((exchanges.long_heads, flow.kept_bytes()), (1, 0), "in pieces of {piece}");
    }
}

#[test]
fn what_is_given_up_goes_on_as_after_a_gap() {
    let mut flow = HttpFlow::new(LIMITS, 0);
    let mut exchanges = AllExchanges::default();
    let data = |bytes: &'static [u8], seq| Piece::Data { bytes, seq, ack: 1, mark: mark(1) };
    flow.feed(Role::Client, data(b"GET /1 HTTP/1.1\r\nHost: half of it", 1), &mut exchanges);
    assert!(flow.kept_bytes() > 0 && flow.give_up(&mut exchanges) && flow.kept_bytes() == 0);
    flow.feed(Role::Client, data(b" a head\r\n\r\n", 34), &mut exchanges);
    flow.feed(Role::Client, data(b"GET /2 HTTP/1.1\r\n\r\n", 47), &mut exchanges);
    let facts = flow.finish(&mut exchanges);
    assert_eq!((facts.requests, facts.unprocessed, exchanges.kept.len()), (1, 1, 1));
}

/// Bytes that look like HTTP often enough to reach deep.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&[u8]> = vec![
        b"GET / HTTP/1.1\r\n",
        b"HEAD",
        b"CONNECT a:1 HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 ",
        b"101 x\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"Connection: close\r\n",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b": ",
        b" ",
        b"\0",
        b"\xff",
        b"hello",
    ];
    let word =
        prop_oneof![prop::sample::select(words).prop_map(<[u8]>::to_vec), prop::collection::vec(any::<u8>(), 0..9)];
    prop::collection::vec(word, 0..12).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_bytes_and_gaps_never_panic(
        steps in prop::collection::vec((0..8_u8, fragments(), any::<u32>(), any::<u32>(), any::<u64>()), 0..30)
    ) {
        let mut flow = HttpFlow::new(LIMITS, 0);
        let mut exchanges = AllExchanges::default();
        for (kind, bytes, seq, ack, len) in steps {
            let before = flow.kept_bytes();
            exchanges.is_kept_noted = false;
            let role = if kind % 2 == 0 { Role::Client } else { Role::Server };
            match kind {
                0..=4 if !bytes.is_empty() => {
                    flow.feed(role, Piece::Data { bytes: &bytes, seq, ack, mark: mark(1) }, &mut exchanges);
                }
                5 => flow.feed(role, Piece::Gap { len: len.max(1), seq, mark: mark(2) }, &mut exchanges),
                6 => flow.fin(role, &mut exchanges),
                7 => {
                    flow.give_up(&mut exchanges);
                    prop_assert_eq!(flow.kept_bytes(), 0);
                    continue;
                }
                _ => {}
            }
            prop_assert!(flow.kept_bytes() == before || exchanges.is_kept_noted, "it says when it keeps more or less");
        }
        let facts = flow.finish(&mut exchanges);
        prop_assert!(exchanges.kept.len() >= facts.responses as usize);
        prop_assert!(exchanges.kept.iter().zip(1..).all(|(e, n)| e.index == n));
    }

    #[test]
    fn a_readable_conversation_does_not_depend_on_its_cuts(
        bodies in prop::collection::vec((0..40_usize, any::<bool>(), 0..3_u8), 1..6),
        cuts in prop::collection::vec(0..200_usize, 0..20),
    ) {
        let messages: Vec<_> = bodies.iter().map(|&(n, post, kind)| exchange(n, post, kind)).collect();
        let steps: Vec<_> = messages.iter().flat_map(|(q, a)| [C(q), S(a)]).chain([FinS]).collect();
        let want = format!("{:?}", play(&steps, |_, _| vec![]));
        let got = play(&steps, |_, bytes| {
            let mut at: Vec<_> = cuts.iter().map(|c| c % bytes.len()).collect();
            at.sort_unstable();
            at
        });
        prop_assert_eq!(got.exchanges.len(), bodies.len());
        prop_assert!(got.exchanges.iter().zip(&bodies).all(|(e, b)| e.complete && e.response_body_bytes == b.0 as u64));
        prop_assert_eq!(format!("{got:?}"), want);
    }
}

/// A request and its response with a body of `n` bytes: by length, chunked, or chunked with extension and trailer.
fn exchange(n: usize, post: bool, kind: u8) -> (Vec<u8>, Vec<u8>) {
    let body = "b".repeat(n);
    let request = if post {
        format!("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: {n}\r\n\r\n{body}")
    } else {
        "GET /g HTTP/1.1\r\nHost: h\r\n\r\n".to_owned()
    };
    let chunk = if n == 0 { String::new() } else { format!("{n:x};e=\"v\"\r\n{body}\r\n") };
    let response = match kind {
        0 => format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n{body}"),
        1 => format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"),
        _ => format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}000\r\nT: v\r\n\r\n"),
    };
    (request.into_bytes(), response.into_bytes())
}
