//! Both directions of a connection that speaks HTTP/1.x.
//!
//! Each direction reads its own messages ([`super::direction`]); what joins them is here: a response's framing needs
//! its request's method, and an accepted tunnel ends the reading of both.

mod kept;

use super::direction::{BodyEnd, Direction, Origin, Reading};
use super::exchange::{Message, Pairing, Seen};
use super::flow::ExchangeSink;
use super::framing::{Body, Method, request_body};
use super::head::{Fields, Parsed, RequestHead, ResponseHead};
use super::persistence::parse_keep_alive;
use super::recent::RecentHeads;
use super::sniff::{Sniff, sniff};
use crate::record::{ConnectionOption, HttpFacts, Mark, Protocol, Role};

/// One connection's HTTP.
#[derive(Clone, Debug)]
pub struct Conversation {
    connection: u64,
    max_head_bytes: usize,
    index: u32,
    directions: [Direction; 2],
    pairing: Pairing,
    facts: HttpFacts,
    /// Whether the last exchange in order left the connection reusable.
    last_persistent: Option<bool>,
    is_tunnel: bool,
}

/// Room of conversations that are over, for the next ones.
#[derive(Debug, Default)]
#[allow(clippy::vec_box, reason = "a flow takes the box itself")]
pub struct SpareRoom(Vec<Box<Conversation>>);

/// Kept of them.
const MOST_SPARE: usize = 16;

impl SpareRoom {
    /// Room for a conversation.
    pub fn begin(&mut self, connection: u64, max_head_bytes: usize) -> Box<Conversation> {
        match self.0.pop() {
            Some(mut room) => {
                room.begin_again(connection, max_head_bytes);
                room
            }
            None => Box::new(Conversation::new(connection, max_head_bytes)),
        }
    }

    /// Takes the room of one that is over.
    pub fn give_back(&mut self, room: Box<Conversation>) {
        if self.0.len() < MOST_SPARE {
            self.0.push(room);
        }
    }
}

/// A message head of either kind.
enum AnyHead<'a> {
    Request(RequestHead<'a>),
    Response(ResponseHead<'a>),
}

fn parse_any<'a>(role: Role, bytes: &'a [u8], recent: &mut RecentHeads) -> Parsed<AnyHead<'a>> {
    fn map<'a, T>(parsed: Parsed<T>, wrap: fn(T) -> AnyHead<'a>) -> Parsed<AnyHead<'a>> {
        match parsed {
            Parsed::Complete(len, head) => Parsed::Complete(len, wrap(head)),
            Parsed::Partial => Parsed::Partial,
            Parsed::Invalid => Parsed::Invalid,
        }
    }
    match role {
        Role::Client => map(recent.request(bytes), AnyHead::Request),
        Role::Server => map(recent.response(bytes), AnyHead::Response),
    }
}

impl Conversation {
    /// Nothing read yet.
    pub fn new(connection: u64, max_head_bytes: usize) -> Self {
        Conversation {
            connection,
            max_head_bytes,
            index: 0,
            directions: <[Direction; 2]>::default(),
            pairing: Pairing::default(),
            facts: HttpFacts::default(),
            last_persistent: None,
            is_tunnel: false,
        }
    }

    /// The same in used room, as far as that is small; a queue that grew is not kept.
    fn begin_again(&mut self, connection: u64, max_head_bytes: usize) {
        let pairing = std::mem::take(&mut self.pairing).emptied();
        *self = Conversation { pairing, ..Conversation::new(connection, max_head_bytes) };
    }

    fn direction(&mut self, role: Role) -> &mut Direction {
        let [client, server] = &mut self.directions;
        match role {
            Role::Client => client,
            Role::Server => server,
        }
    }

    /// This direction began with something else than a message.
    pub fn lose(&mut self, role: Role, seq: u32, attempts: u32) {
        let direction = self.direction(role);
        direction.lose(seq);
        direction.attempts = attempts;
    }

    /// Takes the first bytes of a connection if they begin with a whole head, which is then read only once: most do.
    pub fn open(&mut self, role: Role, bytes: &[u8], origin: Origin, sink: &mut impl ExchangeSink) -> bool {
        let Parsed::Complete(len, head) = parse_any(role, bytes, sink.recent()) else { return false };
        if len > self.max_head_bytes {
            return false;
        }
        let direction = self.direction(role);
        (direction.start, direction.last) = (origin, origin.mark);
        self.take_head(role, &head, sink);
        self.read_on(role, bytes, len, origin, sink);
        true
    }

    /// Takes the next bytes of one direction, the start of a segment first.
    pub fn data(&mut self, role: Role, bytes: &[u8], origin: Origin, sink: &mut impl ExchangeSink) {
        let direction = self.direction(role);
        direction.last = origin.mark;
        if direction.reading == Reading::Lost {
            let wanted = if role == Role::Client { Sniff::Request } else { Sniff::Response };
            direction.resync(sniff(bytes) == wanted);
        }
        self.read_on(role, bytes, 0, origin, sink);
    }

    /// Reads the bytes from `at` on.
    fn read_on(&mut self, role: Role, bytes: &[u8], mut at: usize, origin: Origin, sink: &mut impl ExchangeSink) {
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let seq = origin.seq.wrapping_add(at as u32);
            at += self.step(role, rest, Origin { seq, ..origin }, sink).max(1);
        }
    }

    /// Reads from the start of `rest`; how many bytes that used.
    fn step(&mut self, role: Role, rest: &[u8], origin: Origin, sink: &mut impl ExchangeSink) -> usize {
        let direction = self.direction(role);
        match direction.reading {
            Reading::Idle => self.start_head(role, rest, origin, sink),
            Reading::Head => self.continue_head(role, rest, sink),
            Reading::Lost | Reading::Ended | Reading::Broken => rest.len(),
            _ => {
                let (used, end) = direction.read_body(rest);
                match end {
                    BodyEnd::No => {}
                    BodyEnd::Here => self.end_message(role, Seen::Whole, origin.mark, sink),
                    BodyEnd::Broken => {
                        self.break_off(role, sink);
                        self.direction(role).lose(origin.seq);
                    }
                }
                used
            }
        }
    }

    /// A head that starts here. Empty lines before it are passed over (RFC 9112 §2.2).
    fn start_head(&mut self, role: Role, rest: &[u8], origin: Origin, sink: &mut impl ExchangeSink) -> usize {
        let blank = rest.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        if blank > 0 {
            return blank;
        }
        let most = self.max_head_bytes;
        let direction = self.direction(role);
        direction.start = origin;
        match parse_any(role, rest, sink.recent()) {
            Parsed::Complete(len, head) if len <= most => {
                self.take_head(role, &head, sink);
                return len;
            }
            Parsed::Partial if direction.buffer(rest, most) => {
                direction.reading = Reading::Head;
                sink.note_kept();
            }
            Parsed::Complete(..) | Parsed::Partial => self.too_long(role, origin.seq, sink),
            Parsed::Invalid => self.not_a_head(role, origin.seq, sink),
        }
        rest.len()
    }

    /// More of a head whose beginning is buffered. It is read once its blank line is there, so that one that drips in
    /// is not read again for each drop.
    fn continue_head(&mut self, role: Role, rest: &[u8], sink: &mut impl ExchangeSink) -> usize {
        let most = self.max_head_bytes;
        let direction = self.direction(role);
        let end = direction.head_end(rest);
        let part = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
        let seq = direction.start.seq;
        sink.note_kept();
        if !direction.buffer(part, most) {
            self.too_long(role, seq, sink);
        } else if end.is_some() {
            let head = std::mem::take(&mut direction.partial);
            match parse_any(role, &head, sink.recent()) {
                Parsed::Complete(len, parsed) if len == head.len() => self.take_head(role, &parsed, sink),
                _ => self.not_a_head(role, seq, sink),
            }
        }
        part.len()
    }

    fn take_head(&mut self, role: Role, head: &AnyHead<'_>, sink: &mut impl ExchangeSink) {
        let direction = self.direction(role);
        (direction.has_read, direction.body_bytes) = (true, 0);
        match head {
            AnyHead::Request(head) => self.take_request(head, sink),
            AnyHead::Response(head) => self.take_response(head, sink),
        }
    }

    fn take_request(&mut self, head: &RequestHead<'_>, sink: &mut impl ExchangeSink) {
        let direction = self.direction(Role::Client);
        let start = direction.start;
        direction.lost_at = None;
        let message = Message::request(head, start);
        self.note_request(head, &message, sink);
        self.pairing.push_request(head, message, sink.wanted());
        if self.pairing.kept_bytes() > 0 {
            sink.note_kept();
        }
        self.facts.max_outstanding = self.facts.max_outstanding.max(self.pairing.outstanding());
        let body = request_body(head);
        if body == Body::None && Method::of(head.method) == Method::Connect {
            self.pairing.end_request(Seen::Whole, 0);
            self.direction(Role::Client).reading = Reading::Undecided(0);
        } else {
            self.begin_body(Role::Client, body, sink);
        }
        self.emit_finished(sink);
    }

    fn note_request(&mut self, head: &RequestHead<'_>, message: &Message, sink: &mut impl ExchangeSink) {
        let facts = &mut self.facts;
        if let Some(end) = facts.last_response_end.filter(|_| self.pairing.outstanding() == 0) {
            let wait_ns = message.start.mark.ts_ns.saturating_sub(end.ts_ns);
            // A request older than the response before it was sent without waiting, or the tap mixed them up.
            facts.unanswered_wait_ns = Some(wait_ns).filter(|&ns| ns >= 0);
        }
        facts.requests = facts.requests.saturating_add(1);
        facts.request_version = Some(message.version);
        facts.request_connection = Some(message.option);
        facts.request_persistent = Some(message.persistent);
        facts.announced_client |= message.option == ConnectionOption::Close;
        facts.smuggling |= message.ambiguous;
        facts.forwarded |= head.fields.forwarded;
        facts.last_request = Some(message.start.mark);
        facts.last_request_ack = message.start.ack;
        facts.messages.add(Role::Client, message.version, message.option, message.persistent);
        if facts.user_agent.is_none() && facts.requests == 1 {
            facts.user_agent = head.fields.user_agent.map(|value| sink.text(value));
        }
    }

    fn take_response(&mut self, head: &ResponseHead<'_>, sink: &mut impl ExchangeSink) {
        let direction = self.direction(Role::Server);
        let start = direction.start;
        if matches!(head.status, 100 | 102..=199) {
            direction.reading = Reading::Idle; // interim: another response to the same request follows
            return;
        }
        if let Some(lost_at) = direction.lost_at.take() {
            self.pairing.skip_lost_responses(lost_at, start.ack);
        }
        let body = self.pairing.push_response(head, start, sink.wanted());
        if self.pairing.kept_bytes() > 0 {
            sink.note_kept();
        }
        self.note_response(head, sink);
        self.begin_body(Role::Server, body, sink);
        self.emit_finished(sink);
    }

    fn note_response(&mut self, head: &ResponseHead<'_>, sink: &mut impl ExchangeSink) {
        let Some(answer) = self.pairing.next_request().and_then(|e| e.response) else { return };
        let (facts, message) = (&mut self.facts, answer.message);
        // Only an answer shows that the connection could still be used.
        facts.longest_reuse_gap_ns = facts.longest_reuse_gap_ns.max(facts.unanswered_wait_ns.take());
        facts.responses = facts.responses.saturating_add(1);
        facts.response_version = Some(message.version);
        facts.response_connection = Some(message.option);
        facts.response_persistent = Some(message.persistent);
        facts.announced_server |= message.option == ConnectionOption::Close;
        facts.smuggling |= message.ambiguous;
        facts.until_close |= answer.body == Body::UntilClose;
        facts.messages.add(Role::Server, message.version, message.option, message.persistent);
        if facts.responses == 1 {
            facts.server_software = head.fields.server.map(|value| sink.text(value));
        }
        note_keep_alive(facts, &head.fields);
    }

    /// What follows a head that ended in this packet.
    fn begin_body(&mut self, role: Role, body: Body, sink: &mut impl ExchangeSink) {
        let last = self.direction(role).last;
        self.direction(role).reading = match body {
            Body::None | Body::Length(0) => return self.end_message(role, Seen::Whole, last, sink),
            Body::Tunnel => return self.begin_tunnel(last, sink),
            Body::Unknowable => return self.break_off(role, sink),
            Body::Length(n) => Reading::Length(n),
            Body::Chunked => Reading::Chunked(super::chunked::Chunked::default()),
            Body::UntilClose => Reading::UntilClose,
        };
    }

    /// 101, or CONNECT accepted: what follows in either direction is not HTTP.
    fn begin_tunnel(&mut self, mark: Mark, sink: &mut impl ExchangeSink) {
        self.is_tunnel = true;
        sink.note_kept(); // a head that had begun is none
        self.end_message(Role::Server, Seen::Whole, mark, sink);
        for direction in &mut self.directions {
            direction.stop(Reading::Ended);
        }
    }

    /// The message under way is over.
    fn end_message(&mut self, role: Role, seen: Seen, mark: Mark, sink: &mut impl ExchangeSink) {
        let direction = self.direction(role);
        direction.reading = Reading::Idle;
        let body_bytes = direction.body_bytes;
        match role {
            Role::Client => self.pairing.end_request(seen, body_bytes),
            Role::Server => self.end_response(seen, body_bytes, mark),
        }
        self.emit_finished(sink);
    }

    fn end_response(&mut self, seen: Seen, body_bytes: u64, mark: Mark) {
        let was_connect = self.pairing.next_request().is_some_and(|e| e.method == Method::Connect);
        if !self.pairing.end_response(seen, body_bytes, mark) {
            return;
        }
        if seen == Seen::Whole {
            self.facts.last_response_end = Some(mark);
        }
        let client = self.direction(Role::Client);
        match client.reading {
            Reading::Undecided(0) if was_connect => client.reading = Reading::Idle,
            Reading::Undecided(_) if was_connect => client.lose(client.start.seq),
            _ => {}
        }
    }

    /// A head longer than the limit.
    #[cold]
    fn too_long(&mut self, role: Role, seq: u32, sink: &mut impl ExchangeSink) {
        sink.long_head();
        self.not_a_head(role, seq, sink);
    }

    /// Bytes that are no head where one should start: a capture that starts midway, or the end of reading.
    fn not_a_head(&mut self, role: Role, seq: u32, sink: &mut impl ExchangeSink) {
        if self.direction(role).has_read {
            self.break_off(role, sink);
        } else {
            self.lose(role, seq, 1);
        }
    }

    /// This direction is not readable any more.
    fn break_off(&mut self, role: Role, sink: &mut impl ExchangeSink) {
        let last = self.direction(role).last;
        self.end_message(role, Seen::Cut, last, sink);
        self.direction(role).stop(Reading::Broken);
        self.facts.broken = true;
    }

    /// `len` bytes were not captured.
    pub fn gap(&mut self, role: Role, len: u64, seq: u32, mark: Mark, sink: &mut impl ExchangeSink) {
        let direction = self.direction(role);
        let before = direction.reading;
        direction.last = mark;
        if before == Reading::Head {
            sink.note_kept();
        }
        if let Some(passed) = direction.skip(len, seq) {
            self.end_message(role, Seen::Whole, mark, sink);
            if passed < len {
                self.direction(role).lose(seq.wrapping_add(passed as u32));
            }
        } else if direction.reading == Reading::Lost && matches!(before, Reading::Chunked(_)) {
            self.end_message(role, Seen::Cut, mark, sink);
            self.direction(role).reading = Reading::Lost;
        }
    }

    /// The FIN of one side at its place in the stream.
    pub fn fin(&mut self, role: Role, sink: &mut impl ExchangeSink) {
        let direction = self.direction(role);
        let last = direction.last;
        if direction.reading == Reading::Head {
            sink.note_kept();
        }
        match direction.reading {
            Reading::UntilClose => self.end_message(role, Seen::Whole, last, sink),
            Reading::Length(_) | Reading::Chunked(_) => self.end_message(role, Seen::Cut, last, sink),
            Reading::Head if matches!(parse_any(role, &direction.partial, sink.recent()), Parsed::Invalid) => {
                self.break_off(role, sink);
            }
            _ => {}
        }
        let direction = self.direction(role);
        let unreadable = direction.reading == Reading::Lost && direction.attempts > 0;
        if direction.reading != Reading::Broken {
            direction.stop(Reading::Ended);
        }
        self.facts.broken |= unreadable;
    }

    /// Whether both directions are read no more.
    pub fn is_over(&self) -> bool {
        self.directions.iter().all(|direction| matches!(direction.reading, Reading::Ended | Reading::Broken))
    }

    fn emit_finished(&mut self, sink: &mut impl ExchangeSink) {
        if self.pairing.kept_bytes() > 0 {
            sink.note_kept();
        }
        while self.pairing.has_finished()
            && let Some(entry) = self.pairing.pop_finished()
        {
            self.emit(entry, sink);
        }
    }

    fn emit(&mut self, entry: super::exchange::Entry, sink: &mut impl ExchangeSink) {
        self.last_persistent = entry.persistent();
        self.index = self.index.saturating_add(1);
        if sink.wanted() {
            sink.exchange(entry.into_exchange(self.connection, self.index));
        }
    }

    /// The connection is over: gives out what is unfinished and the facts.
    pub fn finish(&mut self, sink: &mut impl ExchangeSink) -> HttpFacts {
        self.facts.unprocessed = self.pairing.unprocessed();
        let outstanding = self.pairing.outstanding() > 0;
        self.settle_bodies();
        let lost = |d: &Direction| matches!(d.reading, Reading::Lost | Reading::Broken) && d.attempts > 0;
        self.facts.broken |= self.directions.iter().any(lost);
        while let Some(entry) = self.pairing.pop_any() {
            self.emit(entry, sink);
        }
        self.facts.protocol = Some(self.protocol());
        self.facts.reusable = match self.facts.requests.saturating_add(self.facts.responses) {
            0 => None,
            _ if outstanding || self.is_tunnel => Some(false),
            _ => self.last_persistent,
        };
        std::mem::take(&mut self.facts)
    }

    /// Bodies that were under way are counted as far as they came.
    fn settle_bodies(&mut self) {
        let [client, server] = &self.directions;
        let under_way =
            |d: &Direction| matches!(d.reading, Reading::Length(_) | Reading::Chunked(_) | Reading::UntilClose);
        if under_way(client) {
            self.pairing.end_request(Seen::Cut, client.body_bytes);
        }
        if under_way(server) {
            self.pairing.end_response(Seen::Cut, server.body_bytes, server.last);
        }
    }

    /// The client's version, or the server's where no request was read. A start line that was recognised but never
    /// whole leaves the default version.
    fn protocol(&self) -> Protocol {
        match self.facts.request_version.or(self.facts.response_version) {
            Some(0) => Protocol::Http10,
            _ => Protocol::Http11,
        }
    }
}

fn note_keep_alive(facts: &mut HttpFacts, fields: &Fields<'_>) {
    let Some(value) = fields.keep_alive else { return };
    let (timeout_s, max) = parse_keep_alive(value);
    facts.keep_alive_timeout_s = timeout_s.or(facts.keep_alive_timeout_s);
    facts.keep_alive_max = facts.keep_alive_max.or(max);
}
