//! Holes in the capture, and captures that start midway.

use super::{C, FinS, LostC, LostS, S, Step, play};

const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
const HEAD: &[u8] = b"HEAD / HTTP/1.1\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const NONE: &[u8] = b"HTTP/1.1 204 x\r\n\r\n";

/// Name, steps, exchanges, broken. A segment start matters here, so these are not cut.
type Case<'a> = (&'a str, &'a [Step<'a>], &'a [&'a str], bool);

#[rustfmt::skip]
const CASES: &[Case<'_>] = &[
    ("a hole in a body of known length is bridged", &[C(GET), S(OK), S(b"012"), LostS(b"3456"), S(b"78"), C(GET), S(NONE)],
        &["GET 200 length 0/9 complete lasts", "GET 204 none 0/0 complete lasts"], false),
    ("the end of a body is lost", &[C(GET), S(OK), LostS(b"012345678"), C(GET), S(NONE)],
        &["GET 200 length 0/9 complete lasts", "GET 204 none 0/0 complete lasts"], false),
    ("the end of a body and the next response are lost", &[C(GET), S(OK), LostS(b"012345678HTTP/1.1 204 x\r\n\r\n"), C(GET), C(GET), S(NONE)],
        &["GET 200 length 0/9 complete lasts", "GET - - 0/0 cut ?", "GET 204 none 0/0 complete lasts"], false),
    ("a hole in a chunk is bridged", &[C(GET), S(CHUNKED), S(b"5\r\nh"), LostS(b"el"), S(b"lo\r\n0\r\n\r\n"), C(GET), S(NONE)],
        &["GET 200 chunked 0/5 complete lasts", "GET 204 none 0/0 complete lasts"], false),
    ("a chunk that cannot be loses the place, the next response is found", &[C(GET), S(CHUNKED), S(b"zz\r\nok\r\n0\r\n\r\n"), C(GET), S(NONE), C(GET), S(NONE)],
        &["GET 200 chunked 0/0 cut ends", "GET 204 none 0/0 complete lasts", "GET 204 none 0/0 complete lasts"], true),
    ("a hole over a chunk's end is not, the next response is found", &[C(GET), S(CHUNKED), S(b"5\r\nh"), LostS(b"ello\r\n"), S(b"0\r\n\r\n"), C(GET), S(NONE)],
        &["GET 200 chunked 0/1 cut ends", "GET 204 none 0/0 complete lasts"], false),
    ("a hole in a response head, the next response is found", &[C(GET), S(b"HTTP/1.1 200 OK\r\n"), LostS(b"Content-Length: 0\r\n\r\n"), C(GET), S(NONE)],
        &["GET - - 0/0 cut ?", "GET 204 none 0/0 complete lasts"], false),
    ("a hole in a head with nothing after it", &[C(GET), S(b"HTTP/1.1 200 OK\r\n"), LostS(b"X: y\r\n"), S(b"Z: z\r\n\r\n")],
        &["GET - - 0/0 cut ?"], true),
    ("a whole response lost", &[C(HEAD), LostS(OK), C(GET), S(NONE)],
        &["HEAD - - 0/0 cut ?", "GET 204 none 0/0 complete lasts"], false),
    ("a whole request lost", &[C(GET), S(NONE), LostC(GET), S(NONE), C(HEAD), S(OK)],
        &["GET 204 none 0/0 complete lasts", "- 204 none 0/0 cut ?", "HEAD 200 none 0/0 complete lasts"], false),
    ("midway through a response", &[S(b"rest of a body"), C(GET), S(NONE)],
        &["GET 204 none 0/0 complete lasts"], false),
    ("midway through a request", &[C(b"rest of an upload"), S(NONE), C(GET), S(NONE)],
        &["- 204 none 0/0 cut ?", "GET 204 none 0/0 complete lasts"], false),
    ("midway and lost at first", &[LostC(GET), LostS(NONE), C(GET), S(NONE)],
        &["GET 204 none 0/0 complete lasts"], false),
    ("a hole in an until-close body", &[C(GET), S(b"HTTP/1.0 200 OK\r\n\r\nab"), LostS(b"cd"), S(b"e"), FinS],
        &["GET 200 until_close 0/5 complete ends"], false),
];

#[test]
fn holes_cost_no_more_than_they_must() {
    for (name, steps, exchanges, broken) in CASES {
        let outcome = play(steps, |_, _| vec![]);
        assert_eq!(outcome.lines(), *exchanges, "{name}");
        assert_eq!(outcome.facts.broken, *broken, "{name}");
    }
}
