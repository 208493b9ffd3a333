//! How a connection begins, in room that was another's where there is some: it is built in its place, not moved there.

use super::opening::sender_role;
use super::usual::Course;
use super::{Connection, mark};
use crate::decode::{Flags, FlowKey, Segment};
use crate::record::{Mark, Quality, Role, RoleBasis, State};
use crate::settings::Settings;
use crate::tcp::endpoint::Endpoint;
use crate::tcp::history::History;
use crate::tcp::payload::Payload;
use crate::tcp::state::Event;

impl<P: Payload> Connection<P> {
    /// Opens a record for `segment`, the first of a new incarnation. Roles follow from it as far as it tells.
    #[must_use]
    pub fn open(segment: &Segment<'_>, settings: &Settings) -> Self {
        let mut connection =
            Connection::blank(&segment.key, segment.ordinal, mark(segment), settings.max_reassembly_bytes);
        connection.begin(segment);
        connection
    }

    /// The same in the room of one that has ended.
    pub fn open_again(&mut self, segment: &Segment<'_>) {
        self.clear(&segment.key, segment.ordinal, mark(segment));
        self.begin(segment);
    }

    fn begin(&mut self, segment: &Segment<'_>) {
        let (sender, role_basis) = sender_role::<P>(segment);
        let (source, target) = (segment.source(), segment.target());
        let opening = segment.flags.has(Flags::SYN);
        self.names = if sender == Role::Client { [source, target] } else { [target, source] };
        self.client_is_low = segment.from_low == (sender == Role::Client);
        self.role_basis = role_basis;
        self.history = History::begun_by(sender);
        if opening {
            self.ends[1].begin(State::Listen);
        } else {
            self.quality = Quality(Quality::MIDSTREAM);
        }
        if !opening && !segment.flags.has(Flags::RST) {
            for end in &mut self.ends {
                let _ = end.open_event(Event::Found);
                end.since_ns = segment.ts_ns;
            }
        } else if opening && sender == Role::Server {
            // Only the SYN-ACK was captured: the client must have sent the SYN.
            let _ = self.ends[0].open_event(Event::SendSyn);
            self.ends[0].since_ns = segment.ts_ns;
        }
    }

    /// A connection of a flow of which nothing is known but its first packet.
    pub(super) fn blank(key: &FlowKey, ordinal: u64, first: Mark, max_reassembly_bytes: usize) -> Self {
        let end = || Endpoint::new(State::Closed, max_reassembly_bytes);
        Connection {
            ordinal,
            names: [key.low(), key.high()],
            tunnel: key.tunnel(),
            client_is_low: true,
            role_basis: RoleBasis::FirstPacket,
            ends: [end(), end()],
            first,
            last: first,
            established: None,
            reset: None,
            ineffective_resets: 0,
            history: History::default(),
            last_payload_ns: None,
            idle_before_close_ns: None,
            has_close: false,
            course: Course::Any,
            is_straight: false,
            challenge_ack: None,
            reuse_of: None,
            follows: None,
            predecessor: None,
            quality: Quality(0),
            payload: None,
            http: None,
            sent_before_reset: 0,
            said: [None; 2],
        }
    }

    /// The same in place. Every field is named, so that none that is added is forgotten.
    pub(super) fn clear(&mut self, key: &FlowKey, ordinal: u64, first: Mark) {
        let Connection {
            ordinal: place,
            names,
            tunnel,
            client_is_low,
            role_basis,
            ends,
            first: begun,
            last,
            established,
            reset,
            ineffective_resets,
            history,
            last_payload_ns,
            idle_before_close_ns,
            has_close,
            course,
            is_straight,
            challenge_ack,
            reuse_of,
            follows,
            predecessor,
            quality,
            payload,
            http,
            sent_before_reset,
            said,
        } = self;
        (*place, *names, *tunnel) = (ordinal, [key.low(), key.high()], key.tunnel());
        (*client_is_low, *role_basis) = (true, RoleBasis::FirstPacket);
        ends.iter_mut().for_each(Endpoint::clear);
        (*begun, *last, *established) = (first, first, None);
        (*reset, *ineffective_resets, *sent_before_reset, *challenge_ack) = (None, 0, 0, None);
        (*history, *said) = (History::default(), [None; 2]);
        (*last_payload_ns, *idle_before_close_ns, *has_close) = (None, None, false);
        (*course, *is_straight) = (Course::Any, false);
        (*reuse_of, *follows, *predecessor) = (None, None, None);
        (*quality, *payload, *http) = (Quality(0), None, None);
    }
}
