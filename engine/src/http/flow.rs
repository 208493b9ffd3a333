//! What a connection's payload is, and its HTTP if it is that.

use super::conversation::{Conversation, SpareRoom};
use super::direction::Origin;
use super::hello::HelloReader;
use super::recent::RecentHeads;
use super::sniff::{Sniff, sniff};
use crate::record::{Exchange, HttpFacts, Protocol, Role, TlsNames};
use crate::settings::Settings;
use crate::tcp::stream::Piece;
use std::sync::Arc;

/// Bytes of one side that may pass before it must be known what they are.
const MAX_OPENING_BYTES: usize = 4096;

/// Takes exchanges as they finish, in the order of their requests.
pub trait ExchangeSink {
    /// Whether anyone wants them; if not, none is made and no string allocated.
    fn wanted(&self) -> bool;
    /// One finished exchange.
    fn exchange(&mut self, exchange: Exchange);
    /// The heads seen lately.
    fn recent(&mut self) -> &mut RecentHeads;
    /// Room of conversations that are over.
    fn spare(&mut self) -> &mut SpareRoom;
    /// What the flow at hand keeps for what is still to come may have changed.
    fn note_kept(&mut self);
    /// A head longer than the limit was not read.
    fn long_head(&mut self);
    /// A short text from the wire, as [`super::text`] makes it; a sink that has seen it lately need not make it again.
    fn text(&mut self, value: &[u8]) -> Arc<str> {
        super::text(value).into()
    }
}

/// A sink for when only the connection's facts are wanted.
#[derive(Debug, Default)]
pub struct NoExchanges(RecentHeads, SpareRoom);

impl ExchangeSink for NoExchanges {
    fn wanted(&self) -> bool {
        false
    }
    fn exchange(&mut self, _: Exchange) {}
    fn recent(&mut self) -> &mut RecentHeads {
        &mut self.0
    }
    fn spare(&mut self) -> &mut SpareRoom {
        &mut self.1
    }
    fn note_kept(&mut self) {}
    fn long_head(&mut self) {}
}

/// A sink that keeps them all.
#[derive(Debug, Default)]
pub struct AllExchanges {
    /// In the order in which they ended.
    pub kept: Vec<Exchange>,
    /// Heads that were too long.
    pub long_heads: u64,
    /// [`ExchangeSink::note_kept`] was called.
    pub is_kept_noted: bool,
    recent: RecentHeads,
    spare: SpareRoom,
}

impl ExchangeSink for AllExchanges {
    fn wanted(&self) -> bool {
        true
    }
    fn exchange(&mut self, exchange: Exchange) {
        self.kept.push(exchange);
    }
    fn recent(&mut self) -> &mut RecentHeads {
        &mut self.recent
    }
    fn spare(&mut self) -> &mut SpareRoom {
        &mut self.spare
    }
    fn note_kept(&mut self) {
        self.is_kept_noted = true;
    }
    fn long_head(&mut self) {
        self.long_heads += 1;
    }
}

/// The limits of one flow.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Longest message head kept while incomplete, bytes.
    pub max_head_bytes: u32,
}

impl From<&Settings> for HttpLimits {
    fn from(settings: &Settings) -> Self {
        HttpLimits { max_head_bytes: u32::try_from(settings.max_head_bytes).unwrap_or(u32::MAX) }
    }
}

/// The payload of one connection, both directions. Nothing is allocated before there is payload, nor once the payload
/// is known to be something else than HTTP/1.x.
#[derive(Clone, Debug)]
pub struct HttpFlow {
    connection: u64,
    limits: HttpLimits,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// No payload yet.
    Unseen,
    /// Payload that could be several things.
    Opening(Box<Opening>),
    /// HTTP/1.x.
    Http(Box<Conversation>),
    /// A ClientHello that is not whole yet.
    Hello(Box<HelloReader>),
    /// Settled.
    Settled(Protocol, Option<Box<TlsNames>>),
}

/// First payload of each side while it is not known what it is.
#[derive(Clone, Debug, Default)]
struct Opening {
    sides: [Beginning; 2],
}

#[derive(Clone, Debug, Default)]
struct Beginning {
    /// Bytes too few to tell, and where the first came from.
    bytes: Vec<u8>,
    origin: Origin,
    /// It began with something that is none of the known beginnings (or is cut): bytes seen from `origin` on.
    is_other: bool,
    /// It was cut before it told what it is.
    is_untold: bool,
    /// Its beginning was not captured.
    is_cut: bool,
}

impl Opening {
    fn sides(&mut self, role: Role) -> (&mut Beginning, &mut Beginning) {
        let [client, server] = &mut self.sides;
        match role {
            Role::Client => (client, server),
            Role::Server => (server, client),
        }
    }
}

impl HttpFlow {
    /// The flow of the connection with this ordinal (it goes into each [`Exchange`]).
    #[must_use]
    pub fn new(limits: HttpLimits, connection: u64) -> Self {
        HttpFlow { connection, limits, stage: Stage::Unseen }
    }

    /// Takes what one direction's [`crate::tcp::stream::Stream`] delivers.
    pub fn feed(&mut self, role: Role, piece: Piece<'_>, sink: &mut impl ExchangeSink) {
        match (&mut self.stage, piece) {
            (Stage::Settled(..), _) => {}
            (Stage::Http(http), Piece::Data { bytes, seq, ack, mark }) => {
                http.data(role, bytes, Origin { seq, ack, mark }, sink);
            }
            (Stage::Http(http), Piece::Gap { len, seq, mark }) => http.gap(role, len, seq, mark, sink),
            (_, piece) => {
                let before = self.kept_bytes();
                self.begin(role, piece, sink);
                if self.kept_bytes() != before {
                    sink.note_kept();
                }
            }
        }
    }

    /// A piece before it is settled what the payload is.
    fn begin(&mut self, role: Role, piece: Piece<'_>, sink: &mut impl ExchangeSink) {
        match (&mut self.stage, piece) {
            (Stage::Hello(reader), Piece::Data { bytes, .. }) if role == Role::Client => {
                if let Some(names) = reader.read(bytes) {
                    self.stage = Stage::Settled(Protocol::Tls, Some(Box::new(names)));
                }
            }
            (Stage::Hello(_), Piece::Gap { .. }) if role == Role::Client => self.settle(Protocol::Tls),
            (Stage::Hello(_), _) => {}
            (_, Piece::Data { bytes, seq, ack, mark }) => self.open(role, bytes, Origin { seq, ack, mark }, sink),
            (_, Piece::Gap { seq, .. }) => self.open_with_gap(role, seq),
        }
    }

    /// Bytes kept for what is still to come, requests that wait among them.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        match &self.stage {
            Stage::Unseen | Stage::Settled(..) => 0,
            Stage::Opening(opening) => opening.sides.iter().map(|side| side.bytes.len()).sum(),
            Stage::Hello(reader) => reader.kept_bytes(),
            Stage::Http(http) => http.kept_bytes(),
        }
    }

    /// Requests among them.
    #[must_use]
    pub fn kept_requests(&self) -> usize {
        if let Stage::Http(http) = &self.stage { http.kept_requests() } else { 0 }
    }

    /// Gives them up; whether bytes of a stream were among them. Those go on as after a gap.
    #[cold]
    pub fn give_up(&mut self, sink: &mut impl ExchangeSink) -> bool {
        match &mut self.stage {
            Stage::Unseen | Stage::Settled(..) => return false,
            Stage::Http(http) => return http.give_up(sink),
            Stage::Opening(opening) => opening.sides.iter_mut().for_each(Beginning::give_up),
            Stage::Hello(_) => self.settle(Protocol::Tls),
        }
        true
    }

    /// The FIN of one side, when everything before it has been fed.
    pub fn fin(&mut self, role: Role, sink: &mut impl ExchangeSink) {
        if let Stage::Http(http) = &mut self.stage {
            http.fin(role, sink);
        }
    }

    /// Whether nothing that may still come can change the facts: both directions of HTTP have ended, or it is settled that
    /// this is something else.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match &self.stage {
            Stage::Settled(..) => true,
            Stage::Http(http) => http.is_over(),
            Stage::Unseen | Stage::Opening(_) | Stage::Hello(_) => false,
        }
    }

    /// The connection is over: gives out unfinished exchanges and returns the facts. The flow is empty afterwards.
    pub fn finish(&mut self, sink: &mut impl ExchangeSink) -> HttpFacts {
        let facts = HttpFacts::default();
        match std::mem::replace(&mut self.stage, Stage::Unseen) {
            Stage::Unseen => facts,
            Stage::Opening(opening) => HttpFacts { protocol: opening.protocol(), ..facts },
            Stage::Http(mut http) => {
                let facts = http.finish(sink);
                sink.spare().give_back(http);
                facts
            }
            Stage::Hello(_) => HttpFacts { protocol: Some(Protocol::Tls), ..facts },
            Stage::Settled(protocol, names) => HttpFacts { protocol: Some(protocol), tls: names, ..facts },
        }
    }

    fn conversation(&self, sink: &mut impl ExchangeSink) -> Box<Conversation> {
        sink.spare().begin(self.connection, self.limits.max_head_bytes as usize)
    }

    fn settle(&mut self, protocol: Protocol) {
        self.stage = Stage::Settled(protocol, None);
    }

    #[allow(clippy::unnecessary_box_returns, reason = "it goes back into the stage, which holds it in a box")]
    fn opening(&mut self) -> Box<Opening> {
        match std::mem::replace(&mut self.stage, Stage::Unseen) {
            Stage::Opening(opening) => opening,
            _ => Box::default(),
        }
    }

    /// A direction whose beginning is missing is judged by the next segment.
    fn open_with_gap(&mut self, role: Role, seq: u32) {
        let mut opening = self.opening();
        let (side, _) = opening.sides(role);
        side.is_untold |= !side.bytes.is_empty();
        side.is_other |= side.is_untold;
        side.bytes = Vec::new();
        (side.is_cut, side.origin.seq) = (true, seq);
        self.stage = Stage::Opening(opening);
    }

    /// Payload while it is not known what it is.
    fn open(&mut self, role: Role, bytes: &[u8], origin: Origin, sink: &mut impl ExchangeSink) {
        if matches!(self.stage, Stage::Unseen) && may_start_http(role, bytes) {
            let mut http = self.conversation(sink);
            if http.open(role, bytes, origin, sink) {
                self.stage = Stage::Http(http);
                return;
            }
            if starts_http(role, sniff(bytes)) {
                http.data(role, bytes, origin, sink);
                self.stage = Stage::Http(http);
                return;
            }
        }
        let mut opening = self.opening();
        match opening.judge(role, bytes, origin) {
            what if starts_http(role, what) => self.open_http(role, *opening, bytes, origin, sink),
            Sniff::H2Preface if role == Role::Client => self.settle(Protocol::H2c),
            Sniff::TlsClientHello if role == Role::Client => self.open_hello(&opening, bytes),
            Sniff::TlsClientHello | Sniff::TlsServerHello | Sniff::Tls => self.settle(Protocol::Tls),
            Sniff::NeedMore => self.stage = Stage::Opening(opening),
            _ if opening.is_none_of_these(role) => self.settle(Protocol::Other),
            _ => self.stage = Stage::Opening(opening),
        }
    }

    /// Both sides' bytes so far go to the conversation, the client's first.
    fn open_http(&mut self, role: Role, opening: Opening, bytes: &[u8], at: Origin, sink: &mut impl ExchangeSink) {
        let mut http = self.conversation(sink);
        for (side_role, side) in [Role::Client, Role::Server].into_iter().zip(opening.sides) {
            if side.is_other || side.is_cut {
                http.lose(side_role, side.origin.seq, u32::from(side.is_other));
            }
            // The bytes just judged are the end of the buffer and follow with their own origin.
            let kept = side.bytes.len().saturating_sub(if side_role == role { bytes.len() } else { 0 });
            if let Some(before) = side.bytes.get(..kept).filter(|b| !b.is_empty()) {
                http.data(side_role, before, side.origin, sink);
            }
            if side_role == role {
                http.data(role, bytes, at, sink);
            }
        }
        self.stage = Stage::Http(http);
    }

    fn open_hello(&mut self, opening: &Opening, bytes: &[u8]) {
        let [client, _] = &opening.sides;
        let mut reader = HelloReader::default();
        let all = if client.bytes.is_empty() { bytes } else { &client.bytes };
        self.stage = match reader.read(all) {
            Some(names) => Stage::Settled(Protocol::Tls, Some(Box::new(names))),
            None => Stage::Hello(Box::new(reader)),
        };
    }
}

/// Whether it is worth trying to read a head: a server's begins with its version, a client's with a method.
fn may_start_http(role: Role, bytes: &[u8]) -> bool {
    match role {
        Role::Client => bytes.first().is_some_and(|byte| byte.is_ascii_graphic() || matches!(byte, b'\r' | b'\n')),
        Role::Server => bytes.starts_with(b"HTTP/1."),
    }
}

fn starts_http(role: Role, what: Sniff) -> bool {
    matches!((role, what), (Role::Client, Sniff::Request) | (Role::Server, Sniff::Response))
}

impl Opening {
    /// Adds bytes to what one side has sent and says what that begins with.
    fn judge(&mut self, role: Role, bytes: &[u8], origin: Origin) -> Sniff {
        let (side, _) = self.sides(role);
        if side.bytes.is_empty() && !side.is_other && !side.is_cut {
            side.origin = origin;
        }
        let what = if side.bytes.is_empty() { sniff(bytes) } else { side.extend(bytes) };
        if what == Sniff::NeedMore && !side.is_other && side.bytes.len().max(bytes.len()) <= MAX_OPENING_BYTES {
            if side.bytes.is_empty() {
                side.bytes.extend_from_slice(bytes);
            }
            return what;
        }
        if !starts_http(role, what) && what != Sniff::TlsClientHello {
            side.is_other = true;
            side.bytes = Vec::new();
        }
        if what == Sniff::NeedMore { Sniff::Other } else { what }
    }

    /// Whether nothing more is hoped for after this side began with something unknown.
    fn is_none_of_these(&mut self, role: Role) -> bool {
        let (_, peer) = self.sides(role);
        peer.is_other && !peer.is_untold
    }

    fn protocol(&self) -> Option<Protocol> {
        let spoke = |side: &Beginning| !side.is_untold && (side.is_other || !side.bytes.is_empty());
        self.sides.iter().any(spoke).then_some(Protocol::Other)
    }
}

impl Beginning {
    fn give_up(&mut self) {
        if !self.bytes.is_empty() {
            (self.is_other, self.is_cut) = (true, true);
            self.bytes = Vec::new();
        }
    }

    fn extend(&mut self, bytes: &[u8]) -> Sniff {
        self.bytes.extend_from_slice(bytes);
        sniff(&self.bytes)
    }
}
