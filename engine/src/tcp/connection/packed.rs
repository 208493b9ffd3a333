//! A connection at rest in little room: what its next segment, or its end, may still ask for.
//!
//! Of every 4-tuple seen in the last hour the last connection is kept, for what its next SYN proves of its TIME_WAIT.
//! Awake it takes more than a kilobyte; nearly all of that follows from a few marks and sequence numbers. [`walk`] goes
//! through every field once, in either direction, and gives each with what it is expected to be. What is as expected
//! takes no room, the rest fixed places of a few bytes. A connection that is unlike most goes to bytes of variable
//! length. Nothing is lost in either form, except the IP id of a side's last packet, which tells nothing after a silence.

mod tape;
mod walk;

use super::Connection;
use crate::decode::FlowKey;
use crate::record::{HttpFacts, Mark};
use crate::tcp::payload::Payload;
use std::sync::Arc;
use tape::{LongReader, LongWriter, ShortReader, ShortWriter};
use walk::{HttpMarks, walk};

/// Fixed places of each kind in the short form.
const TIMES: usize = 10;
const PLACES: usize = 11;
const WORDS: usize = 10;
const SHORTS: usize = 18;

/// A connection at rest.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    ordinal: u64,
    first: Mark,
    /// What its reader found, without [`HttpMarks`]; shared by connections that were alike.
    http: Option<Arc<HttpFacts>>,
    /// The long form, for one that does not fit the places below.
    long: Option<Box<[u8]>>,
    bits: u32,
    words: [u32; WORDS],
    /// Times after the first packet, ns: 40 bits, a quarter of an hour.
    times: ([u32; TIMES], [u8; TIMES]),
    /// Packets after the first: 24 bits.
    places: ([u16; PLACES], [u8; PLACES]),
    shorts: [u16; SHORTS],
    is_over: bool,
    /// A packet of its was captured once more while it rested.
    was_copied: bool,
    last_ns: i64,
}

/// HTTP facts met lately, each of which stands for all connections that it is true of.
#[derive(Debug, Default)]
pub struct Shapes([Option<Arc<HttpFacts>>; 8]);

impl Shapes {
    /// The same facts as one shared copy.
    fn shared(&mut self, facts: HttpFacts) -> Arc<HttpFacts> {
        let text = facts.user_agent.as_ref().or(facts.server_software.as_ref());
        let mixed = text.map_or(0, |text| text.as_ptr().addr() >> 4) ^ facts.requests as usize;
        let place = &mut self.0[mixed % 8];
        match place {
            Some(known) if **known == facts => Arc::clone(known),
            _ => Arc::clone(place.insert(Arc::new(facts))),
        }
    }
}

impl Packed {
    /// Takes in a connection, which is empty afterwards. Only one that [`Connection::may_rest`].
    pub fn take<P: Payload>(&mut self, connection: &mut Connection<P>, shapes: &mut Shapes) {
        let mut facts = connection.http.take();
        let mut marks = facts.as_mut().map(HttpMarks::take).unwrap_or_default();
        self.ordinal = connection.ordinal;
        self.first = connection.first;
        (self.last_ns, self.is_over, self.was_copied) = (connection.last.ts_ns, connection.is_over(), false);
        self.http = facts.map(|facts| shapes.shared(facts));
        let is_short = if connection.has_gone_straight(marks.response_end) {
            self.write::<true, P>(connection, &mut marks)
        } else {
            self.write::<false, P>(connection, &mut marks)
        };
        debug_assert!(!is_short || self.clone().write::<false, P>(connection, &mut marks), "something odd is lost");
        self.long = if is_short { None } else { Some(LongWriter::write(connection, &mut marks)) };
    }

    /// Writes the short form; whether everything fits it. That nothing is odd may be known (`SURE`), and is then not looked for.
    fn write<const SURE: bool, P: Payload>(&mut self, connection: &mut Connection<P>, marks: &mut HttpMarks) -> bool {
        let mut short = ShortWriter::<SURE>::new(self);
        walk(connection, marks, &mut short);
        short.finish()
    }

    /// The connection as it was, of the flow with this key.
    pub fn wake<P: Payload>(&mut self, key: &FlowKey, into: &mut Connection<P>) {
        into.clear(key, self.ordinal, self.first);
        let mut marks = HttpMarks::default();
        match &self.long {
            None => walk(into, &mut marks, &mut ShortReader::new(self)),
            Some(bytes) => walk(into, &mut marks, &mut LongReader::new(self.bits, bytes)),
        }
        into.names = if into.client_is_low { [key.low(), key.high()] } else { [key.high(), key.low()] };
        self.long = None;
        into.http = self.http.take().map(|facts| marks.give(Arc::unwrap_or_clone(facts)));
        if self.was_copied {
            into.note_duplicate();
        }
    }

    /// As [`Connection::note_duplicate`]; it need not be woken for that.
    pub const fn note_duplicate(&mut self) {
        self.was_copied = true;
    }

    /// The same in new room.
    pub fn woken<P: Payload>(&mut self, key: &FlowKey, max_reassembly_bytes: usize) -> Box<Connection<P>> {
        let mut room = Box::new(Connection::blank(key, self.ordinal, self.first, max_reassembly_bytes));
        self.wake(key, &mut room);
        room
    }

    /// As [`Connection::ordinal`].
    #[must_use]
    pub const fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// Time of the last packet, ns since 1970 UTC.
    #[must_use]
    pub const fn last_ns(&self) -> i64 {
        self.last_ns
    }

    /// Whether it took the fixed places.
    #[must_use]
    pub const fn is_short(&self) -> bool {
        self.long.is_none()
    }

    /// As [`Connection::is_over`].
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.is_over
    }
}

impl<P: Payload> Connection<P> {
    /// Whether all that is known of it is plain numbers: its reader is done, nothing waits for reassembly, and the
    /// incarnation before is settled.
    #[inline]
    #[must_use]
    pub fn may_rest(&self) -> bool {
        self.payload.is_none() && self.predecessor.is_none() && !self.ends.iter().any(|end| end.stream.waits())
    }
}
