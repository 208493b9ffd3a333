//! What reading HTTP costs: nanoseconds per exchange, with and without one record per exchange.
//!
//! `cargo run --release -p pcapwatch-engine --example http_cost`

use pcapwatch_engine::http::{ExchangeSink, HttpFlow, HttpLimits, NoExchanges, RecentHeads, SpareRoom};
use pcapwatch_engine::record::{Exchange, Mark, Role};
use pcapwatch_engine::settings::Settings;
use pcapwatch_engine::tcp::stream::Stream;
use std::hint::black_box;
use std::time::Instant;

const REQUEST: &[u8] =
    b"GET /index.html?x=1 HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.26.3\r\nDate: Fri, 21 Nov 2025 10:00:00 GMT\r\n\
    Content-Type: text/html\r\nContent-Length: 20\r\nConnection: keep-alive\r\n\r\n01234567890123456789";
const EXCHANGES: u32 = 400_000;

/// Wants every exchange and drops it.
#[derive(Default)]
struct Discard(RecentHeads, SpareRoom);

impl ExchangeSink for Discard {
    fn spare(&mut self) -> &mut SpareRoom {
        &mut self.1
    }
    fn wanted(&self) -> bool {
        true
    }
    fn exchange(&mut self, exchange: Exchange) {
        black_box(exchange);
    }
    fn recent(&mut self) -> &mut RecentHeads {
        &mut self.0
    }
    fn note_kept(&mut self) {}
    fn long_head(&mut self) {}
}

/// Connections of `each` exchanges through both streams and the flow.
fn run(each: u32, sink: &mut impl ExchangeSink) {
    let settings = Settings::default();
    let started = Instant::now();
    for connection in 0..EXCHANGES / each {
        let mut flow = HttpFlow::new(HttpLimits::from(&settings), u64::from(connection));
        let mut streams = [(); 2].map(|()| Stream::new(settings.max_reassembly_bytes));
        let mark = Mark::new(i64::from(connection), u64::from(connection), 0);
        for n in 0..each {
            let (sent, got) = (n * REQUEST.len() as u32, n * RESPONSE.len() as u32);
            let [client, server] = &mut streams;
            client.push(sent, REQUEST, REQUEST.len() as u32, mark, got, &mut |p| flow.feed(Role::Client, p, sink));
            let ack = sent + REQUEST.len() as u32;
            server.push(got, RESPONSE, RESPONSE.len() as u32, mark, ack, &mut |p| flow.feed(Role::Server, p, sink));
        }
        let facts = flow.finish(sink);
        assert_eq!((facts.requests, facts.responses, facts.reusable), (each, each, Some(true)));
    }
    println!("{:>8} {:>7.0}", each, started.elapsed().as_nanos() as f64 / f64::from(EXCHANGES));
}

fn main() {
    for wanted in [false, true] {
        println!("exchange records: {wanted}\n   each     ns per exchange");
        for each in [1, 10, 1000] {
            if wanted { run(each, &mut Discard::default()) } else { run(each, &mut NoExchanges::default()) }
        }
    }
}
