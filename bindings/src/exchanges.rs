//! The `exchanges` table: one row per HTTP request and its final response.

use crate::column::{
    Column,
    Get::{Bool, Int, Text, Time},
    Timed,
};
use pcapwatch_engine::engine::Outcome;
use pcapwatch_engine::record::Exchange;
use std::borrow::Cow;
use std::sync::Arc;

/// An exchange within its outcome.
pub struct Row {
    outcome: Arc<Outcome>,
    exchange: Exchange,
}

impl Row {
    /// The row of an exchange.
    pub fn new(outcome: &Arc<Outcome>, exchange: Exchange) -> Self {
        Row { outcome: Arc::clone(outcome), exchange }
    }

    fn exchange(&self) -> &Exchange {
        &self.exchange
    }
}

impl Timed for Row {
    fn is_timed(&self) -> bool {
        !self.outcome.is_untimed
    }
}

fn shown(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.map(Cow::Borrowed)
}

fn version(minor: Option<u8>) -> Option<Cow<'static, str>> {
    minor.map(|minor| Cow::Borrowed(if minor == 0 { "1.0" } else { "1.1" }))
}

fn whole(number: u64) -> Option<i64> {
    i64::try_from(number).ok()
}

macro_rules! columns {
    ($($name:literal, $meaning:literal, $kind:ident, $get:expr;)+) => {
        &[$(Column { name: $name, meaning: $meaning, get: $kind($get) }),+]
    };
}

/// The columns, in the contract's order; additions after those.
pub const COLUMNS: &[Column<Row>] = columns![
    "connection", "number of its connection", Int, |r| whole(r.outcome.number(r.exchange().connection));
    "index", "1, 2, 3 … within the connection", Int, |r| Some(r.exchange().index.into());
    "request_frame", "packet with the request's first byte", Int, |r| r.exchange().request.and_then(|m| whole(m.frame()));
    "request_time", "when", Time, |r| r.exchange().request.map(|m| m.ts_ns);
    "method", "request method", Text, |r| shown(r.exchange().method.as_deref());
    "host", "Host header", Text, |r| shown(r.exchange().host.as_deref());
    "target", "request target", Text, |r| shown(r.exchange().target.as_deref());
    "request_version", "1.0 or 1.1", Text, |r| version(r.exchange().request_version);
    "request_connection", "the request's Connection option", Text, |r| r.exchange().request_connection.map(|o| o.as_str().into());
    "response_frame", "packet with the response's first byte", Int, |r| r.exchange().response.and_then(|m| whole(m.frame()));
    "response_time", "when", Time, |r| r.exchange().response.map(|m| m.ts_ns);
    "status", "status code", Int, |r| r.exchange().status.map(i64::from);
    "response_version", "1.0 or 1.1", Text, |r| version(r.exchange().response_version);
    "response_connection", "the response's Connection option", Text, |r| r.exchange().response_connection.map(|o| o.as_str().into());
    "keep_alive", "the response's Keep-Alive header", Text, |r| shown(r.exchange().keep_alive.as_deref());
    "framing", "how the response's body is delimited", Text, |r| r.exchange().framing.map(|f| f.as_str().into());
    "complete", "both messages were seen to their end", Bool, |r| Some(r.exchange().complete);
    "persistent", "the connection could persist after it", Bool, |r| r.exchange().persistent;
    "user_agent", "User-Agent header", Text, |r| shown(r.exchange().user_agent.as_deref());
    "server_software", "Server header", Text, |r| shown(r.exchange().server_software.as_deref());
    "response_end_time", "last byte of the response, when complete", Time, |r| r.exchange().response_end.map(|m| m.ts_ns);
    "request_body_bytes", "body bytes of the request", Int, |r| whole(r.exchange().request_body_bytes);
    "response_body_bytes", "body bytes of the response", Int, |r| whole(r.exchange().response_body_bytes);
];
