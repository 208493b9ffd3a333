//! Requests and responses paired first in, first out (RFC 9112 §9.3.2).

use super::direction::Origin;
use super::framing::{Body, Method, is_ambiguous, response_body};
use super::head::{RequestHead, ResponseHead};
use super::persistence::{is_to_proxy, persists};
use super::{escaped_text, text};
use crate::record::{ConnectionOption, Exchange, Mark, Role};
use crate::tcp::seq;
use std::collections::VecDeque;

/// Most exchanges waiting for their response; beyond it the oldest is given up, so that a client that is alone in the
/// capture, or floods, costs bounded memory.
const MAX_WAITING: usize = 1024;
/// Exchanges whose room is worth keeping for the next connection.
const FEW_WAITING: usize = 4;
/// What an exchange that waits takes beside its texts: itself, in a queue that doubles, and the room of the texts.
pub const WAITING_BYTES: usize = 512;
/// What a connection may keep of exchanges without being counted: nearly every one has one at a time.
const UNCOUNTED_BYTES: usize = 2048;
/// Longest request target kept, bytes.
const MAX_TARGET_BYTES: usize = 2048;

/// Whether a message was seen to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It goes on.
    Partly,
    /// To its end.
    Whole,
    /// It broke off, or its end was not captured.
    Cut,
}

/// What pairing and persistence need of either message.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    pub start: Origin,
    pub version: u8,
    pub option: ConnectionOption,
    pub persistent: bool,
    /// Two readers may disagree on its end.
    pub ambiguous: bool,
    pub seen: Seen,
    pub body_bytes: u64,
}

impl Message {
    /// A request that starts there.
    pub fn request(head: &RequestHead<'_>, start: Origin) -> Self {
        let to_proxy = is_to_proxy(head.method, head.target);
        Message {
            start,
            version: head.version,
            option: head.fields.options.effective(),
            persistent: persists(Role::Client, head.version, head.fields.options, to_proxy),
            ambiguous: is_ambiguous(Role::Client, head.version, &head.fields),
            seen: Seen::Partly,
            body_bytes: 0,
        }
    }

    /// A response that starts there.
    fn response(head: &ResponseHead<'_>, start: Origin) -> Self {
        Message {
            start,
            version: head.version,
            option: head.fields.options.effective(),
            persistent: persists(Role::Server, head.version, head.fields.options, false),
            ambiguous: is_ambiguous(Role::Server, head.version, &head.fields),
            seen: Seen::Partly,
            body_bytes: 0,
        }
    }
}

/// A final response.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub message: Message,
    pub status: u16,
    pub body: Body,
    pub end: Option<Mark>,
}

/// The strings of an exchange, made only when someone wants exchanges.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    method: Option<Box<str>>,
    host: Option<Box<str>>,
    target: Option<Box<str>>,
    keep_alive: Option<Box<str>>,
    user_agent: Option<Box<str>>,
    server_software: Option<Box<str>>,
}

impl Texts {
    fn add_request(&mut self, head: &RequestHead<'_>) {
        self.method = Some(text(head.method.as_bytes()));
        self.target = Some(escaped_text(head.target, MAX_TARGET_BYTES));
        self.host = head.fields.host.map(text);
        self.user_agent = head.fields.user_agent.map(text);
    }

    fn add_response(&mut self, head: &ResponseHead<'_>) {
        self.keep_alive = head.fields.keep_alive.map(text);
        self.server_software = head.fields.server.map(text);
    }
}

/// One exchange under way.
#[derive(Clone, Debug)]
pub struct Entry {
    pub request: Option<Message>,
    pub method: Method,
    pub response: Option<Answer>,
    texts: Option<Box<Texts>>,
    /// What the texts take, whether or not anyone wants them: the answer must not depend on that.
    text_bytes: u32,
}

const _: () = assert!(2 * size_of::<Entry>() + size_of::<Texts>() <= WAITING_BYTES);

/// What these texts of a message would take.
fn text_bytes(target: &[u8], others: [Option<&[u8]>; 2]) -> u32 {
    let others: usize = others.iter().flatten().map(|text| text.len().min(super::MAX_TEXT_BYTES)).sum();
    (target.len().min(MAX_TARGET_BYTES) + others) as u32
}

impl Entry {
    fn request_is_over(&self) -> bool {
        self.request.is_none_or(|request| request.seen != Seen::Partly)
    }

    /// Whether the connection could carry another request after this exchange; `None` if a message is missing.
    pub fn persistent(&self) -> Option<bool> {
        let answer = self.response.as_ref()?;
        let delimited = !matches!(answer.body, Body::UntilClose | Body::Tunnel | Body::Unknowable);
        let lasts = |m: &Message| m.persistent && !m.ambiguous && m.seen == Seen::Whole;
        match &self.request {
            _ if !(delimited && lasts(&answer.message)) => Some(false),
            Some(request) => Some(lasts(request)),
            None => None,
        }
    }

    /// The exchange as its record.
    pub fn into_exchange(self, connection: u64, index: u32) -> Exchange {
        let persistent = self.persistent();
        let whole = |m: &Message| m.seen == Seen::Whole;
        let Entry { request, response, texts, .. } = self;
        let texts = texts.map(|t| *t).unwrap_or_default();
        let answer = response.map(|r| r.message);
        Exchange {
            connection,
            index,
            request: request.map(|m| m.start.mark),
            method: texts.method,
            host: texts.host,
            target: texts.target,
            request_version: request.map(|m| m.version),
            request_connection: request.map(|m| m.option),
            response: answer.map(|m| m.start.mark),
            response_end: response.and_then(|r| r.end),
            status: response.map(|r| r.status),
            response_version: answer.map(|m| m.version),
            response_connection: answer.map(|m| m.option),
            keep_alive: texts.keep_alive,
            framing: response.map(|r| r.body.framing()),
            request_body_bytes: request.map_or(0, |m| m.body_bytes),
            response_body_bytes: answer.map_or(0, |m| m.body_bytes),
            complete: request.as_ref().is_some_and(whole) && answer.as_ref().is_some_and(whole),
            persistent,
            user_agent: texts.user_agent,
            server_software: texts.server_software,
        }
    }
}

/// The exchanges of a connection that are not finished, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Pairing {
    entries: VecDeque<Entry>,
    /// How many at the front have had their response, or will not have it any more.
    answered: usize,
    /// What all of them take.
    bytes: usize,
    /// Requests given up to stay within [`MAX_WAITING`]: the next responses are theirs.
    pub given_up: u32,
}

impl Pairing {
    /// None, with the room for one if there was no more.
    pub fn emptied(mut self) -> Self {
        if self.entries.capacity() > FEW_WAITING {
            return Pairing::default();
        }
        self.entries.clear();
        Pairing { entries: self.entries, ..Pairing::default() }
    }

    /// Requests without a final response so far, given up ones included; a response under way has answered.
    pub fn unprocessed(&self) -> u32 {
        let without = self.entries.iter().skip(self.answered).filter(|e| e.response.is_none());
        u32::try_from(without.count()).unwrap_or(u32::MAX).saturating_add(self.given_up)
    }

    /// Requests whose response has not ended.
    pub fn outstanding(&self) -> u32 {
        let waiting = self.entries.len().saturating_sub(self.answered);
        u32::try_from(waiting).unwrap_or(u32::MAX).saturating_add(self.given_up)
    }

    /// Takes a request whose head is whole. A response that came without one, acknowledges this one and had not been
    /// received when this was sent is its answer: the tap showed the two directions out of step.
    pub fn push_request(&mut self, head: &RequestHead<'_>, message: Message, wanted: bool) {
        let method = Method::of(head.method);
        let text_bytes = text_bytes(head.target, [head.fields.host, head.fields.user_agent]);
        self.bytes += text_bytes as usize;
        let early = self.entries.back_mut().filter(|e| {
            let answer = e.response.as_ref().filter(|_| e.request.is_none()).map(|a| a.message.start);
            let sent = message.start;
            answer.is_some_and(|a| seq::leq(sent.ack, a.seq) && seq::lt(sent.seq, a.ack))
        });
        if let Some(entry) = early {
            (entry.request, entry.method) = (Some(message), method);
            entry.text_bytes += text_bytes;
            if let Some(texts) = &mut entry.texts {
                texts.add_request(head);
            }
            return;
        }
        let mut texts = wanted.then(Box::<Texts>::default);
        if let Some(texts) = &mut texts {
            texts.add_request(head);
        }
        if self.entries.capacity() == 0 {
            self.entries.reserve_exact(1);
        }
        self.bytes += WAITING_BYTES;
        self.entries.push_back(Entry { request: Some(message), method, response: None, texts, text_bytes });
    }

    /// Takes the head of a final response and says how its body ends.
    pub fn push_response(&mut self, head: &ResponseHead<'_>, start: Origin, wanted: bool) -> Body {
        let asked = |e: &Entry| e.request.is_some_and(|r| seq::lt(r.start.seq, start.ack));
        if self.given_up > 0 || !self.entries.get(self.answered).is_some_and(asked) {
            self.given_up = self.given_up.saturating_sub(1);
            let entry = Entry { request: None, method: Method::Other, response: None, texts: None, text_bytes: 0 };
            self.bytes += WAITING_BYTES;
            self.entries.insert(self.answered.min(self.entries.len()), entry);
        }
        let Some(entry) = self.entries.get_mut(self.answered) else { return Body::Unknowable };
        let body = response_body(head, entry.method);
        let message = Message::response(head, start);
        let text_bytes = text_bytes(b"", [head.fields.keep_alive, head.fields.server]);
        entry.text_bytes += text_bytes;
        self.bytes += text_bytes as usize;
        entry.response = Some(Answer { message, status: head.status, body, end: None });
        if wanted {
            entry.texts.get_or_insert_default().add_response(head);
        }
        body
    }

    /// The request that the next response answers.
    pub fn next_request(&self) -> Option<&Entry> {
        self.entries.get(self.answered)
    }

    /// Responses from `lost_at` on are missing up to one with this acknowledgment number. A client that does not
    /// pipeline has had the missing ones before it sent the next request, which its acknowledgment number shows.
    pub fn skip_lost_responses(&mut self, lost_at: u32, ack: u32) {
        let had_it = |r: &Message| seq::lt(lost_at, r.start.ack) && seq::lt(r.start.seq, ack);
        let after = self.entries.iter().rposition(|e| e.request.as_ref().is_some_and(had_it));
        if let Some(next) = after.filter(|&next| next > self.answered) {
            self.answered = next;
        }
    }

    /// The request under way ended so.
    pub fn end_request(&mut self, seen: Seen, body_bytes: u64) {
        let last = self.entries.iter_mut().rev().find_map(|e| e.request.as_mut());
        if let Some(request) = last.filter(|r| r.seen == Seen::Partly) {
            (request.seen, request.body_bytes) = (seen, body_bytes);
        }
    }

    /// The response under way ended so; `false` if there was none.
    pub fn end_response(&mut self, seen: Seen, body_bytes: u64, end: Mark) -> bool {
        let Some(answer) = self.entries.get_mut(self.answered).and_then(|e| e.response.as_mut()) else { return false };
        (answer.message.seen, answer.message.body_bytes) = (seen, body_bytes);
        answer.end = (seen == Seen::Whole).then_some(end);
        self.answered = self.answered.saturating_add(1);
        true
    }

    /// Whether [`Pairing::pop_finished`] has one: asked after each message, where hardly any is finished.
    #[inline]
    pub fn has_finished(&self) -> bool {
        self.entries.len() > MAX_WAITING || self.is_front_finished()
    }

    /// A response without request stays as long as it is the last, since its request may be late.
    #[inline]
    fn is_front_finished(&self) -> bool {
        let is_lone = |front: &Entry| front.request.is_none() && self.entries.len() == 1;
        let is_finished = |front: &Entry| front.request_is_over() && !is_lone(front);
        self.answered > 0 && self.entries.front().is_some_and(is_finished)
    }

    /// The oldest exchange if it is finished (or if there are too many).
    pub fn pop_finished(&mut self) -> Option<Entry> {
        if self.is_front_finished() {
            return self.pop_any();
        }
        (self.entries.len() > MAX_WAITING).then(|| self.give_up_one()).flatten()
    }

    /// What they take, beyond what is not counted.
    pub fn kept_bytes(&self) -> usize {
        self.bytes.saturating_sub(UNCOUNTED_BYTES)
    }

    /// Exchanges that take it.
    pub fn kept_requests(&self) -> usize {
        if self.bytes > UNCOUNTED_BYTES { self.entries.len() } else { 0 }
    }

    /// Gives up the oldest request that has no response; where all have one, the oldest exchange as it stands.
    pub fn give_up_one(&mut self) -> Option<Entry> {
        self.give_up_oldest().or_else(|| self.pop_any())
    }

    /// Gives up the oldest request that has no response; the next response after any under way is its.
    fn give_up_oldest(&mut self) -> Option<Entry> {
        let at = self.entries.iter().position(|e| e.response.is_none())?;
        self.answered = self.answered.min(at);
        self.given_up = self.given_up.saturating_add(1);
        let entry = self.entries.remove(at);
        self.taken(entry)
    }

    /// Whatever is left, oldest first.
    pub fn pop_any(&mut self) -> Option<Entry> {
        self.answered = self.answered.saturating_sub(1);
        let entry = self.entries.pop_front();
        self.taken(entry)
    }

    /// What one that has left took is free again, and most of the room of a queue that was longer.
    fn taken(&mut self, entry: Option<Entry>) -> Option<Entry> {
        let bytes = entry.as_ref().map_or(0, |entry| WAITING_BYTES + entry.text_bytes as usize);
        self.bytes -= bytes;
        let room = self.entries.capacity();
        if room > FEW_WAITING && self.entries.len() < room / 4 {
            // Not shrunk in its place: that would leave holes between queues, in which no long one fits.
            let mut shorter = VecDeque::with_capacity(if self.entries.is_empty() { 0 } else { room / 2 });
            shorter.append(&mut self.entries);
            self.entries = shorter;
        }
        entry
    }
}
