//! Message framing and what it leaves of the connection, case by case (RFC 9112 §6.3, §9.3, §9.6).

use super::{C, FinC, FinS, S, Step, played};
use crate::record::ConnectionOption;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// Name, steps, exchanges, `requests/responses unprocessed reusable`.
type Case<'a> = (&'a str, &'a [Step<'a>], &'a [&'a str], &'a str);

#[rustfmt::skip]
const CASES: &[Case<'_>] = &[
    ("length", &[C(GET), S(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")],
        &["GET 200 length 0/5 complete lasts"], "1/1 0 true"),
    ("length 0", &[C(GET), S(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")],
        &["GET 200 length 0/0 complete lasts"], "1/1 0 true"),
    ("chunked with extension and trailer", &[C(GET), S(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: v\r\n\r\n")],
        &["GET 200 chunked 0/5 complete lasts"], "1/1 0 true"),
    ("until close", &[C(GET), S(b"HTTP/1.1 200 OK\r\n\r\nhello"), FinS],
        &["GET 200 until_close 0/5 complete ends"], "1/1 0 false"),
    ("until close without FIN", &[C(GET), S(b"HTTP/1.1 200 OK\r\n\r\nhello")],
        &["GET 200 until_close 0/5 cut ends"], "1/1 0 false"),
    ("FIN before Content-Length", &[C(GET), S(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"), FinS],
        &["GET 200 length 0/5 cut ends"], "1/1 0 false"),
    ("FIN before the last chunk", &[C(GET), S(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), FinS],
        &["GET 200 chunked 0/5 cut ends"], "1/1 0 false"),
    ("HEAD", &[C(b"HEAD / HTTP/1.1\r\n\r\n"), S(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), C(GET), S(b"HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n")],
        &["HEAD 200 none 0/0 complete lasts", "GET 304 none 0/0 complete lasts"], "2/2 0 true"),
    ("204", &[C(b"DELETE /x HTTP/1.1\r\n\r\n"), S(b"HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n")],
        &["DELETE 204 none 0/0 complete lasts"], "1/1 0 true"),
    ("100 and 103 do not answer", &[C(b"POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"), S(b"HTTP/1.1 100 Continue\r\n\r\n"),
        C(b"abc"), S(b"HTTP/1.1 103 x\r\nLink: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz")],
        &["POST 200 length 3/1 complete lasts"], "1/1 0 true"),
    ("an answer before the request body ended", &[C(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nab"), S(b"HTTP/1.1 413 x\r\nContent-Length: 0\r\n\r\n"), C(b"cd"), C(GET)],
        &["POST 413 length 4/0 complete lasts", "GET - - 0/0 cut ?"], "2/1 1 false"),
    ("an answer, and the request body never ended", &[C(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nab"), S(b"HTTP/1.1 413 x\r\nContent-Length: 0\r\n\r\n"), FinC],
        &["POST 413 length 2/0 cut ends"], "1/1 0 false"),
    ("a chunked request", &[C(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), S(b"HTTP/1.1 201 x\r\nContent-Length: 0\r\n\r\n")],
        &["PUT 201 length 3/0 complete lasts"], "1/1 0 true"),
    ("CONNECT accepted", &[C(b"CONNECT a:443 HTTP/1.1\r\n\r\n"), S(b"HTTP/1.1 200 x\r\n\r\n"), C(b"\x16\x03\x01GET / HTTP/1.1\r\n\r\n"), S(b"\x16\x03")],
        &["CONNECT 200 tunnel 0/0 complete ends"], "1/1 0 false"),
    ("CONNECT refused", &[C(b"CONNECT a:443 HTTP/1.1\r\n\r\n"), S(b"HTTP/1.1 407 x\r\nContent-Length: 2\r\n\r\nno"), C(GET), S(b"HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n")],
        &["CONNECT 407 length 0/2 complete lasts", "GET 200 length 0/0 complete lasts"], "2/2 0 true"),
    ("101", &[C(b"GET /chat HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), S(b"HTTP/1.1 101 x\r\nConnection: upgrade\r\n\r\n\x81\x05hello"), C(b"\x88\0")],
        &["GET 101 tunnel 0/0 complete ends"], "1/1 0 false"),
    ("HTTP/1.0 closes", &[C(b"GET / HTTP/1.0\r\n\r\n"), S(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"), FinS],
        &["GET 200 length 0/1 complete ends"], "1/1 0 false"),
    ("HTTP/1.0 keep-alive", &[C(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), S(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nx")],
        &["GET 200 length 0/1 complete lasts"], "1/1 0 true"),
    ("HTTP/1.0 keep-alive through Proxy-Connection does not count", &[C(b"GET / HTTP/1.0\r\nProxy-Connection: Keep-Alive\r\n\r\n"), S(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")],
        &["GET 200 length 0/0 complete ends"], "1/1 0 false"),
    ("chunked in HTTP/1.0 is read and ends the connection", &[C(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        S(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")],
        &["GET 200 chunked 0/1 complete ends"], "1/1 0 false"),
    ("bare LF, blank lines between, an odd method", &[C(b"\n\r\nBREW /pot HTTP/1.1\nHost: h\n\n\r\n"), S(b"HTTP/1.1 418\nContent-Length: 2\n\nno"), C(GET)],
        &["BREW 418 length 0/2 complete lasts", "GET - - 0/0 cut ?"], "2/1 1 false"),
    ("a response with another coding is read until close", &[C(GET), S(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhello"), FinS],
        &["GET 200 until_close 0/5 complete ends"], "1/1 0 false"),
    ("no answer", &[C(GET), FinS],
        &["GET - - 0/0 cut ?"], "1/0 1 false"),
];

#[test]
fn every_case_reads_the_same_however_it_is_cut() {
    for (name, steps, exchanges, facts) in CASES {
        let outcome = played(steps);
        let got = &outcome.facts;
        assert_eq!(outcome.lines(), *exchanges, "{name}");
        let reusable = got.reusable.map_or("?".to_owned(), |r| r.to_string());
        let summary = format!("{}/{} {} {reusable}", got.requests, got.responses, got.unprocessed);
        assert_eq!(summary, *facts, "{name}");
        assert!(!got.broken, "{name}");
    }
}

#[test]
fn what_cannot_be_framed_is_broken_and_flagged() {
    let te_and_cl =
        &[C(b"POST / HTTP/1.1\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")];
    let table: [(&[Step<'_>], bool, bool); 7] = [
        (te_and_cl, false, true),
        (&[C(b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxGET / HTTP/1.1\r\n\r\n")], true, true),
        (&[C(b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nx")], true, true),
        (&[C(GET), S(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")], true, true),
        (&[C(GET), S(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz")], true, false),
        (&[C(GET), C(b"garbage\r\n\r\n")], true, false),
        (&[C(GET), S(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx"), FinS], false, false),
    ];
    for (steps, broken, smuggling) in table {
        let outcome = played(steps);
        assert_eq!((outcome.facts.broken, outcome.facts.smuggling), (broken, smuggling), "{steps:?}");
        assert_eq!((outcome.facts.requests, outcome.exchanges.len()), (1, 1), "{steps:?}");
    }
}

#[test]
fn facts_name_what_both_sides_said() {
    let outcome = played(&[
        C(b"GET /a?q=1 HTTP/1.1\r\nHost: h.example\r\nUser-Agent: curl/8\r\n\r\n"),
        S(b"HTTP/1.1 200 OK\r\nServer: nginx\r\nKeep-Alive: timeout=5, max=2\r\nContent-Length: 0\r\n\r\n"),
        C(b"GET /b HTTP/1.1\r\nUser-Agent: other\r\nConnection: Upgrade\r\nConnection: x, CLOSE\r\n\r\n"),
        S(b"HTTP/1.0 200 OK\r\nServer: other\r\nKeep-Alive: timeout=6, max=1\r\nConnection: keep-alive\r\n\r\nbody"),
        FinS,
    ]);
    let facts = &outcome.facts;
    assert_eq!((facts.request_version, facts.response_version), (Some(1), Some(0)));
    assert_eq!(facts.request_connection, Some(ConnectionOption::Close));
    assert_eq!(facts.response_connection, Some(ConnectionOption::KeepAlive));
    assert_eq!((facts.request_persistent, facts.response_persistent), (Some(false), Some(true)));
    assert_eq!((facts.announced_client, facts.announced_server, facts.until_close), (true, false, true));
    assert_eq!((facts.keep_alive_timeout_s, facts.keep_alive_max), (Some(6), Some(2)));
    assert_eq!((facts.user_agent.as_deref(), facts.server_software.as_deref()), (Some("curl/8"), Some("nginx")));
    assert_eq!(facts.longest_reuse_gap_ns, Some(1_000_000));
    assert_eq!((facts.last_request.map(|m| m.frame()), facts.last_response_end.map(|m| m.frame())), (Some(3), Some(4)));
    assert_eq!(facts.last_request_ack, super::BASE[1].wrapping_add(83));
    let tally: Vec<_> = facts.messages.iter().map(|(role, v, o, n, p)| format!("{role:?} {v} {o} {n} {p}")).collect();
    assert_eq!(tally, ["Client 1 close 1 0", "Client 1 none 1 1", "Server 0 keep-alive 1 1", "Server 1 none 1 1"]);
    let [first, second] = &outcome.exchanges[..] else { panic!("{:?}", outcome.exchanges) };
    assert_eq!((first.connection, first.index, second.index), (7, 1, 2));
    assert_eq!((first.host.as_deref(), first.target.as_deref()), (Some("h.example"), Some("/a?q=1")));
    assert_eq!((first.keep_alive.as_deref(), second.user_agent.as_deref()), (Some("timeout=5, max=2"), Some("other")));
    assert_eq!((first.request.map(|m| m.frame()), first.response_end.map(|m| m.frame())), (Some(1), Some(2)));
}
