//! Requests and responses first in, first out, whatever the order of capture.

use super::{BASE, C, FinS, LIMITS, S, Step, mark, played};
use crate::http::{AllExchanges, HttpFlow, NoExchanges};
use crate::record::{Exchange, Role};
use crate::tcp::stream::Piece;

const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn pipelined_requests_are_answered_in_order_and_by_method() {
    let three = b"GET /1 HTTP/1.1\r\n\r\nHEAD /2 HTTP/1.1\r\n\r\nPOST /3 HTTP/1.1\r\nContent-Length: 1\r\n\r\nx";
    let answers = [OK, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", OK].concat();
    let outcome = played(&[C(three), S(&answers)]);
    let want =
        ["GET 200 length 0/2 complete lasts", "HEAD 200 none 0/0 complete lasts", "POST 200 length 1/2 complete lasts"];
    assert_eq!(outcome.lines(), want);
    assert_eq!((outcome.facts.max_outstanding, outcome.facts.unprocessed), (3, 0));
}

#[test]
fn pipelined_requests_left_at_the_close_are_unprocessed() {
    let outcome = played(&[C(&[GET, GET, GET].concat()), S(OK), FinS]);
    assert_eq!(outcome.lines()[1..], ["GET - - 0/0 cut ?", "GET - - 0/0 cut ?"]);
    let facts = outcome.facts;
    assert_eq!((facts.unprocessed, facts.reusable, facts.max_outstanding), (2, Some(false), 3));
}

#[test]
fn one_captured_direction_is_read_alone() {
    let clients = played(&[C(GET), C(GET)]);
    assert_eq!(clients.lines(), ["GET - - 0/0 cut ?", "GET - - 0/0 cut ?"]);
    let servers = played(&[S(OK), S(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")]);
    assert_eq!(servers.lines(), ["- 200 length 0/2 cut ?", "- 200 length 0/0 cut ends"]);
    assert_eq!((servers.facts.requests, servers.facts.responses, servers.facts.reusable), (0, 2, Some(false)));
}

/// Segments by hand: role, offset in its stream, offset acknowledged, bytes.
fn feed(segments: &[(Role, u32, u32, &[u8])]) -> (Vec<Exchange>, crate::record::HttpFacts) {
    let (mut flow, mut exchanges) = (HttpFlow::new(LIMITS, 0), AllExchanges::default());
    for (n, &(role, seq, ack, bytes)) in segments.iter().enumerate() {
        let (seq, ack) = (BASE[role as usize].wrapping_add(seq), BASE[role.peer() as usize].wrapping_add(ack));
        flow.feed(role, Piece::Data { bytes, seq, ack, mark: mark(n as u64 + 1) }, &mut exchanges);
    }
    let facts = flow.finish(&mut exchanges);
    (exchanges.kept, facts)
}

#[test]
fn a_response_that_the_tap_shows_before_its_request_still_answers_it() {
    let get = GET.len() as u32;
    let (exchanges, facts) = feed(&[(Role::Server, 0, get, OK), (Role::Client, 0, 0, GET)]);
    assert_eq!(exchanges.len(), 1);
    assert!(exchanges[0].complete && exchanges[0].method.as_deref() == Some("GET"));
    assert_eq!((facts.unprocessed, facts.reusable), (0, Some(true)));
}

#[test]
fn a_timeout_response_that_crosses_a_request_does_not_answer_it() {
    let late = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for request_first in [true, false] {
        let mut segments: Vec<(Role, u32, u32, &[u8])> = vec![(Role::Client, 0, 0, GET), (Role::Server, 0, 0, late)];
        if !request_first {
            segments.reverse();
        }
        let (exchanges, facts) = feed(&segments);
        assert_eq!((exchanges.len(), facts.unprocessed), (2, 1), "{request_first}");
        assert_eq!(exchanges.iter().filter_map(|e| e.status).collect::<Vec<_>>(), [408]);
        assert!(exchanges.iter().all(|e| e.status.is_none() || e.method.is_none()));
    }
}

#[test]
fn requests_without_end_cost_bounded_memory_and_stay_counted() {
    let mut flow = HttpFlow::new(LIMITS, 0);
    let (n, get) = (5000_u32, GET.len() as u32);
    for i in 0..n {
        let piece = Piece::Data { bytes: GET, seq: i * get, ack: 0, mark: mark(1) };
        flow.feed(Role::Client, piece, &mut NoExchanges::default());
    }
    for i in 0..10 {
        let piece = Piece::Data { bytes: OK, seq: i * OK.len() as u32, ack: n * get, mark: mark(2) };
        flow.feed(Role::Server, piece, &mut NoExchanges::default());
    }
    let facts = flow.finish(&mut NoExchanges::default());
    assert_eq!((facts.requests, facts.responses, facts.unprocessed), (n, 10, n - 10));
}

#[test]
fn a_reuse_gap_is_from_a_response_to_the_request_after_it_and_not_while_one_waits() {
    let steps: [Step<'_>; 6] = [C(GET), S(OK), S(b""), C(GET), C(GET), S(OK)];
    let facts = played(&steps).facts;
    assert_eq!(facts.longest_reuse_gap_ns, Some(2_000_000));
    assert_eq!((facts.last_request.map(|m| m.frame()), facts.unprocessed), (Some(5), 1));
}

#[test]
fn requests_given_up_are_unanswered_and_nothing_else_changes() {
    let (mut flow, mut exchanges) = (HttpFlow::new(LIMITS, 0), AllExchanges::default());
    let requests = GET.repeat(20);
    flow.feed(Role::Client, Piece::Data { bytes: &requests, seq: 1, ack: 1, mark: mark(1) }, &mut exchanges);
    assert!(flow.kept_bytes() > 0);
    assert!(!flow.give_up(&mut exchanges), "no bytes of a stream are missing");
    assert_eq!(flow.kept_bytes(), 0);
    let answers = OK.repeat(20);
    let ack = 1 + requests.len() as u32;
    flow.feed(Role::Server, Piece::Data { bytes: &answers, seq: 1, ack, mark: mark(2) }, &mut exchanges);
    let facts = flow.finish(&mut exchanges);
    assert_eq!((facts.requests, facts.responses, facts.unprocessed, facts.broken), (20, 20, 0, false));
}

#[test]
fn responses_to_a_request_under_way_do_not_wait_without_end() {
    let (mut flow, mut exchanges) = (HttpFlow::new(LIMITS, 0), AllExchanges::default());
    let post = b"POST / HTTP/1.1\r\nContent-Length: 999\r\n\r\nx";
    flow.feed(Role::Client, Piece::Data { bytes: post, seq: 1, ack: 1, mark: mark(1) }, &mut exchanges);
    let mut most = 0;
    for n in 0..20_000 {
        let seq = 1 + n * OK.len() as u32;
        flow.feed(Role::Server, Piece::Data { bytes: OK, seq, ack: 50, mark: mark(2) }, &mut exchanges);
        most = most.max(flow.kept_bytes());
    }
    assert!(most < 1 << 20, "{most} bytes");
    assert_eq!(flow.finish(&mut exchanges).responses, 20_000);
    assert_eq!(exchanges.kept.len(), 20_000);
}
