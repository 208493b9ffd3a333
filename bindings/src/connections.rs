//! The `connections` table: one row per TCP connection.

use crate::column::{
    Column,
    Get::{Bool, Int, Seconds, Text, Time, Words, Written},
    Timed,
};
use pcapwatch_engine::engine::Outcome;
use pcapwatch_engine::ledger::{Estimate, estimate, time_wait_holder};
use pcapwatch_engine::record::{
    ConnectionRecord, Holder, HttpFacts, Mark, Protocol, Quality, Role, Side, State, TimeWaitFacts, TlsNames,
};
use std::borrow::Cow;
use std::sync::Arc;

/// A record with what its columns need from outside it.
pub struct Row {
    outcome: Arc<Outcome>,
    record: ConnectionRecord,
    waits: [Option<Estimate>; 2],
}

impl Row {
    /// The row of a record.
    pub fn new(outcome: &Arc<Outcome>, record: ConnectionRecord) -> Self {
        let wait = |side: &Side, (address, _)| {
            let facts = side.time_wait.as_ref()?;
            Some(estimate(facts, &outcome.lengths.of(address), outcome.capture_end_ns))
        };
        let [client, server] = &record.sides;
        let waits = [wait(client, record.client), wait(server, record.server)];
        Row { outcome: Arc::clone(outcome), record, waits }
    }

    fn record(&self) -> &ConnectionRecord {
        &self.record
    }
    fn file(&self, mark: Mark) -> Option<&str> {
        let place = mark.file().checked_sub(self.outcome.first_file)?;
        Some(self.outcome.summary.capture.files.get(place as usize)?.path.as_str())
    }
    fn client(&self) -> &Side {
        &self.record().sides[0]
    }
    fn server(&self) -> &Side {
        &self.record().sides[1]
    }
    fn tls(&self) -> Option<&TlsNames> {
        self.http().tls.as_deref()
    }
    fn http(&self) -> &HttpFacts {
        &self.record().http
    }
    fn is_http(&self) -> bool {
        matches!(self.http().protocol, Some(Protocol::Http10 | Protocol::Http11))
    }

    /// No response is missing from the capture.
    fn has_all_responses(&self) -> bool {
        self.is_http() && self.record().has_all_responses()
    }

    /// Who said that the connection would end; not known where nobody did in what was captured of it: so of one met in the
    /// middle without a byte.
    fn announced(&self) -> Option<&'static str> {
        let http = self.http();
        match (http.announced_client, http.announced_server) {
            (true, true) => Some("both"),
            (true, false) => Some("client"),
            (false, true) => Some("server"),
            (false, false) => {
                let quality = self.record().quality;
                let is_other = http.protocol.is_some() && !self.is_http();
                let is_blind = http.protocol.is_none() && quality.0 & Quality::MIDSTREAM != 0;
                (is_other || !(quality.is_partly_unseen() || is_blind)).then_some("none")
            }
        }
    }

    /// Whether another request could have followed; not known where what denies it may only be missing.
    fn reusable(&self) -> Option<bool> {
        let http = self.http();
        let is_certain = [http.request_persistent, http.response_persistent].contains(&Some(false));
        http.reusable.filter(|&reusable| reusable || is_certain || !self.record().quality.is_partly_unseen())
    }

    fn holder(&self) -> &'static str {
        time_wait_holder(self.record()).as_str()
    }

    /// The TIME_WAIT that the `time_wait_*` columns describe: the client's if both hold one.
    fn main_wait(&self) -> Option<(&TimeWaitFacts, &Estimate)> {
        self.wait(Role::Client).or_else(|| self.wait(Role::Server))
    }

    fn wait_basis(&self) -> Option<&'static str> {
        match (self.main_wait(), time_wait_holder(self.record())) {
            (Some(_), _) if !self.is_timed() => Some("censored"),
            (Some((_, estimate)), _) => Some(estimate.basis.as_str()),
            (None, Holder::Unknown) => None,
            (None, _) => Some("not_entered"),
        }
    }

    /// The server's, where the client has one too.
    fn other_wait(&self) -> Option<(&TimeWaitFacts, &Estimate)> {
        self.wait(Role::Client).and_then(|_| self.wait(Role::Server))
    }

    fn wait(&self, role: Role) -> Option<(&TimeWaitFacts, &Estimate)> {
        self.record().sides[role as usize].time_wait.as_ref().zip(self.waits[role as usize].as_ref())
    }
}

impl Timed for Row {
    fn is_timed(&self) -> bool {
        !self.outcome.is_untimed
    }
}

#[allow(clippy::unnecessary_wraps, reason = "a getter gives what may be absent")]
fn text(word: &'static str) -> Option<Cow<'static, str>> {
    Some(Cow::Borrowed(word))
}

fn shown(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.map(Cow::Borrowed)
}

fn whole(number: impl Into<u64>) -> Option<i64> {
    i64::try_from(number.into()).ok()
}

fn state(state: State) -> Option<Cow<'static, str>> {
    text(state.as_str())
}

macro_rules! columns {
    ($($name:literal, $meaning:literal, $kind:ident, $get:expr;)+) => {
        &[$(Column { name: $name, meaning: $meaning, get: $kind($get) }),+]
    };
}

/// The columns, in the contract's order; additions after those.
pub const COLUMNS: &[Column<Row>] = columns![
    "connection", "1, 2, 3 … in order of first packet over the whole set", Int, |r| whole(r.outcome.number(r.record().ordinal));
    "client", "address", Written, |r, cell| write!(cell, "{}", r.record().client.0);
    "client_port", "port", Int, |r| whole(r.record().client.1);
    "server", "address", Written, |r, cell| write!(cell, "{}", r.record().server.0);
    "server_port", "port", Int, |r| whole(r.record().server.1);
    "role_basis", "how the roles are known: syn, syn_ack, http, tls, port, first_packet", Text, |r| text(r.record().role_basis.as_str());
    "tunnel", "VLAN tags and tunnels around the first packet, outermost first", Text, |r| r.outcome.tunnels.text(r.record());
    "start", "first packet, UTC", Time, |r| Some(r.record().first.ts_ns);
    "end", "last packet, UTC", Time, |r| Some(r.record().last.ts_ns);
    "first_frame", "frame number of the first packet in its file", Int, |r| whole(r.record().first.frame());
    "last_frame", "frame number of the last packet in its file", Int, |r| whole(r.record().last.frame());
    "file", "file of the first packet", Text, |r| shown(r.file(r.record().first));
    "last_file", "file of the last packet", Text, |r| shown(r.file(r.record().last));
    "handshake_rtt_s", "SYN to the ACK that completes", Seconds, |r| r.record().handshake_rtt_ns;
    "client_packets", "packets the client sent", Int, |r| whole(r.client().packets);
    "server_packets", "packets the server sent", Int, |r| whole(r.server().packets);
    "client_bytes", "distinct payload bytes of the client in sequence space", Int, |r| whole(r.client().bytes);
    "server_bytes", "distinct payload bytes of the server in sequence space", Int, |r| whole(r.server().bytes);
    "client_retransmits", "segments the client sent again", Int, |r| whole(r.client().retransmits);
    "server_retransmits", "segments the server sent again", Int, |r| whole(r.server().retransmits);
    "history", "Zeek's letters, upper case for the client", Written, |r, cell| write!(cell, "{}", r.record().history);
    "client_state", "state at the end, if the segments seen were delivered", Text, |r| state(r.client().state);
    "server_state", "state at the end, if the segments seen were delivered", Text, |r| state(r.server().state);
    "client_state_proved", "state at the end that the client's own segments prove", Text, |r| state(r.client().state_proved);
    "server_state_proved", "state at the end that the server's own segments prove", Text, |r| state(r.server().state_proved);
    "close", "how it ended", Text, |r| text(r.record().close.as_str());
    "active_closer", "who closed first, causally", Text, |r| text(r.record().active_closer.as_str());
    "closer_basis", "why that one", Text, |r| text(r.record().closer_basis.as_str());
    "closer_frame", "the packet that closed", Int, |r| r.record().closer.and_then(|m| whole(m.frame()));
    "closer_file", "file of the packet that closed", Text, |r| shown(r.record().closer.and_then(|m| r.file(m)));
    "closer_time", "when", Time, |r| r.record().closer.map(|m| m.ts_ns);
    "reset_by", "who sent the reset: client, server, middlebox", Text, |r| r.record().reset.and_then(|x| text(x.by.as_str()));
    "reset_kind", "abort, late_data, no_state, refused, injected", Text, |r| r.record().reset.and_then(|x| text(x.kind.as_str()));
    "time_wait_holder", "who entered TIME_WAIT: client, server, both, none, unknown", Text, |r| text(r.holder());
    "time_wait_start", "when it began, as the tap saw it", Time, |r| r.main_wait().map(|w| w.0.start.ts_ns);
    "time_wait_restarts", "how often evidence restarted it", Int, |r| whole(r.main_wait().map_or(0, |w| w.0.restarts));
    "time_wait_lower_s", "proven alive this long", Seconds, |r| r.main_wait().and_then(|w| w.1.lower_ns);
    "time_wait_upper_s", "proven gone after this long", Seconds, |r| r.main_wait().and_then(|w| w.1.upper_ns);
    "time_wait_s", "the estimate", Seconds, |r| r.main_wait().and_then(|w| w.1.point_ns);
    "time_wait_basis", "what the estimate rests on", Text, |r| r.wait_basis().and_then(text);
    "time_wait_end", "what ended it", Text, |r| r.main_wait().and_then(|w| text(w.1.end.as_str()));
    "reuse_of", "the connection that held this 4-tuple before", Int, |r| r.record().reuse_of.and_then(|(o, _)| whole(r.outcome.number(o)));
    "reuse_gap_s", "since its last packet", Seconds, |r| r.record().reuse_of.map(|(_, gap)| gap).filter(|&gap| gap >= 0);
    "requests", "HTTP/1.x requests", Int, |r| r.is_http().then(|| r.http().requests.into());
    "responses", "HTTP/1.x final responses", Int, |r| r.is_http().then(|| r.http().responses.into());
    "http_version", "of the last request, or response if there was none", Text, |r| r.is_http().then(|| version(r.http())).flatten();
    "protocol", "http/1.0, http/1.1, h2c, tls, other", Text, |r| r.http().protocol.and_then(|p| text(p.as_str()));
    "request_connection", "the last request's Connection option", Text, |r| r.http().request_connection.and_then(|o| text(o.as_str()));
    "response_connection", "the last response's Connection option", Text, |r| r.http().response_connection.and_then(|o| text(o.as_str()));
    "keep_alive_timeout_s", "as the server announced", Int, |r| r.http().keep_alive_timeout_s.map(i64::from);
    "keep_alive_max", "as the server announced", Int, |r| r.http().keep_alive_max.map(i64::from);
    "close_announced_by", "who said Connection: close", Text, |r| text(r.announced()?);
    "idle_before_close_s", "last payload byte to first FIN or RST", Seconds, |r| r.record().idle_before_close_ns;
    "race", "keepalive_race, stale_reuse", Text, |r| r.record().race.and_then(|x| text(x.as_str()));
    "sni", "server name of the ClientHello", Text, |r| shown(r.tls().and_then(|names| names.sni.as_deref()));
    "alpn", "first ALPN protocol of the ClientHello", Text, |r| shown(r.tls().and_then(|names| names.alpn.as_deref()));
    "quality", "midstream, gap, truncated, one_sided, reordered, duplicates, evicted", Words, |r| r.record().quality.words().collect();
    "request_persistent", "the last request lets the connection persist", Bool, |r| r.http().request_persistent;
    "response_persistent", "the last response lets the connection persist", Bool, |r| r.http().response_persistent;
    "reusable", "another request could have followed", Bool, Row::reusable;
    "unprocessed", "requests without a response at the end", Int, |r| r.has_all_responses().then(|| r.http().unprocessed.into());
    "reset_effect", "effective, ineffective, unknown", Text, |r| r.record().reset.and_then(|x| text(x.effect.as_str()));
    "reset_frame", "the reset's packet", Int, |r| r.record().reset.and_then(|x| whole(x.mark.frame()));
    "ineffective_resets", "resets without effect", Int, |r| whole(r.record().ineffective_resets);
    "half_close_s", "first FIN to the other side's first FIN", Seconds, |r| r.record().half_close_ns;
    "syn_count", "the client's SYN transmissions", Int, |r| whole(r.record().syn_count);
    "client_stack", "guessed from its SYN", Text, |r| text(r.client().stack.as_str());
    "server_stack", "guessed from its SYN-ACK", Text, |r| text(r.server().stack.as_str());
    "time_wait_start_frame", "the packet with which it began", Int, |r| r.main_wait().and_then(|w| whole(w.0.start.frame()));
    "time_wait_start_uncertainty_s", "how far the endpoint's own clock may be from time_wait_start", Seconds, |r| r.main_wait().map(|w| w.0.start_uncertainty_ns);
    "time_wait_model_low_s", "shortest by the host's length", Seconds, |r| r.main_wait().map(|w| w.1.model_low_ns);
    "time_wait_model_high_s", "longest by the host's length", Seconds, |r| r.main_wait().map(|w| w.1.model_high_ns);
    "time_wait_same_host", "the ISN clock shows the same host before and after", Bool, |r| r.main_wait().and_then(|w| w.0.same_host);
    "server_time_wait_start", "the server's, where both hold one", Time, |r| r.other_wait().map(|w| w.0.start.ts_ns);
    "server_time_wait_lower_s", "likewise", Seconds, |r| r.other_wait().and_then(|w| w.1.lower_ns);
    "server_time_wait_upper_s", "likewise", Seconds, |r| r.other_wait().and_then(|w| w.1.upper_ns);
    "server_time_wait_s", "likewise", Seconds, |r| r.other_wait().and_then(|w| w.1.point_ns);
    "server_time_wait_basis", "likewise", Text, |r| r.other_wait().and_then(|w| text(w.1.basis.as_str()));
    "server_time_wait_end", "likewise", Text, |r| r.other_wait().and_then(|w| text(w.1.end.as_str()));
    "user_agent", "of the first request", Text, |r| shown(r.http().user_agent.as_deref());
    "server_software", "Server header of the first response", Text, |r| shown(r.http().server_software.as_deref());
];

fn version(http: &HttpFacts) -> Option<Cow<'static, str>> {
    text(if http.request_version.or(http.response_version)? == 0 { "1.0" } else { "1.1" })
}
