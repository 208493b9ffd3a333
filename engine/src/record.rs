//! The facts of one finished connection and one HTTP exchange: what the `tcp` and `http` stages hand to the ledger.
//!
//! Everything here is plain data. Conclusions carry their basis in a field beside them (rule 3 of the house).

mod address;
mod letters;
mod mark;
mod messages;
mod sight;
mod time_wait;

pub use address::Address;
pub use letters::Letters;
pub use mark::Mark;
pub use messages::MessageTally;
pub use sight::Sight;
pub use time_wait::TimeWaitFacts;

use crate::decode::Flags;
use bitcode::{Decode, Encode};
use serde::Serialize;
use std::sync::Arc;

/// What is around a flow's packets. VLAN tags alone: the outer in bits 16 to 31, the inner in bits 0 to 15, each 0
/// (none) or id + 1. With any other identifier: [`Tunnel::HASHED`] and a hash of them all. Where ends and tunnel are those
/// of several networks, [`Tunnel::of_network`] tells them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct Tunnel(pub u64);

impl Tunnel {
    /// The rest is a hash of the identifiers around the packet.
    pub const HASHED: u64 = 1 << 63;
    /// There is more around the packet than VLAN tags, so that its name is in its headers. Not part of the key.
    pub const NAMED: u64 = 1 << 62;

    /// Of up to two tags, 0 for none. Id 0 marks a frame that has a priority and belongs to no VLAN (802.1Q §9.6), so
    /// that a flow whose one direction carries such tags keeps one key.
    #[must_use]
    pub const fn vlans(outer: u16, inner: u16) -> Tunnel {
        const fn half(id: u16) -> u64 {
            if id == 0 { 0 } else { id as u64 + 1 }
        }
        Tunnel(half(outer) << 16 | half(inner))
    }

    /// The same in one of several networks that nothing in the headers of both directions tells apart; that of number 0 is
    /// the tunnel itself.
    #[must_use]
    pub const fn of_network(self, number: u32) -> Tunnel {
        // Between the tags and the marks; a hash stays one.
        Tunnel(self.0 ^ (number as u64 & 0x3fff_ffff) << 32)
    }

    /// What flows are told apart by.
    #[inline]
    #[must_use]
    pub const fn key(self) -> Tunnel {
        Tunnel(self.0 & !Tunnel::NAMED)
    }

    /// How many tags, of a number without a hash.
    #[must_use]
    pub const fn tags(self) -> u8 {
        (self.0 >> 16 & 0xffff != 0) as u8 + (self.0 & 0xffff != 0) as u8
    }

    /// Whether the headers have a name for it that is not in this number.
    #[must_use]
    pub const fn is_named(self) -> bool {
        self.0 & Tunnel::NAMED != 0
    }

    /// `vlan 7`, `vlan 7.12` (outer first); none without tags, nor where the number is a hash.
    #[must_use]
    pub fn vlan_text(self) -> Option<String> {
        match (self.0 >> 16 & 0xffff, self.0 & 0xffff) {
            _ if self.0 & Tunnel::HASHED != 0 => None,
            (0, 0) => None,
            (0, one) | (one, 0) => Some(format!("vlan {}", one - 1)),
            (outer, inner) => Some(format!("vlan {}.{}", outer - 1, inner - 1)),
        }
    }
}

/// The two roles of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The side that opened the connection.
    Client = 0,
    /// The side that accepted it.
    Server = 1,
}

impl Role {
    /// The other one.
    #[must_use]
    pub const fn peer(self) -> Role {
        match self {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        }
    }
}

/// Declares an enum whose variants are the contract's words, with `as_str`, serde and Display agreeing.
#[macro_export]
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, bitcode::Encode, bitcode::Decode)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }
        impl $name {
            /// Every variant, in declaration order.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];
            /// The contract's word for it.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $($name::$variant => $word),+ } }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.serialize_str(self.as_str()) }
        }
    };
}

words! {
    /// How it is known which side is the client.
    RoleBasis {
        /// A SYN was seen.
        Syn = "syn",
        /// Only the SYN-ACK was seen.
        SynAck = "syn_ack",
        /// The payload is an HTTP request or response.
        Http = "http",
        /// The payload is a TLS hello.
        Tls = "tls",
        /// The lower port is taken for the server's.
        Port = "port",
        /// Nothing better than who spoke first; a lone refusal is the server's.
        FirstPacket = "first_packet",
    }
}

words! {
    /// RFC 9293 §3.3.2 states.
    State {
        /// No connection.
        Closed = "CLOSED",
        /// Waiting for a SYN.
        Listen = "LISTEN",
        /// SYN sent.
        SynSent = "SYN-SENT",
        /// SYN received, SYN-ACK sent.
        SynReceived = "SYN-RECEIVED",
        /// Open.
        Established = "ESTABLISHED",
        /// FIN sent, not acknowledged.
        FinWait1 = "FIN-WAIT-1",
        /// FIN sent and acknowledged, peer still open.
        FinWait2 = "FIN-WAIT-2",
        /// Peer's FIN received, own not sent.
        CloseWait = "CLOSE-WAIT",
        /// Both FINs sent, own not acknowledged.
        Closing = "CLOSING",
        /// Passive closer: own FIN sent, not acknowledged.
        LastAck = "LAST-ACK",
        /// Waiting out old segments.
        TimeWait = "TIME-WAIT",
    }
}

words! {
    /// How the connection ended.
    Close {
        /// Both FINs seen or one and its acknowledgment chain.
        Fin = "fin",
        /// FINs crossed.
        Simultaneous = "simultaneous",
        /// Ended by an effective (or not disprovable) reset before any FIN.
        Reset = "reset",
        /// A reset after at least one FIN.
        ResetAfterFin = "reset_after_fin",
        /// SYN answered by RST.
        Refused = "refused",
        /// SYN never answered.
        Unanswered = "unanswered",
        /// SYN-ACK never acknowledged.
        HalfOpen = "half_open",
        /// One FIN, the other side still open.
        HalfClosed = "half_closed",
        /// No close seen.
        Open = "open",
    }
}

words! {
    /// Who closed first, causally (semantics A3).
    ActiveCloser { /// The client.
        Client = "client", /// The server.
        Server = "server", /// Both at once: the FINs crossed.
        Both = "both", /// Nobody closed.
        None = "none", /// The evidence does not decide.
        Ambiguous = "ambiguous" }
}

words! {
    /// Who entered TIME_WAIT.
    Holder { /// The client.
        Client = "client", /// The server.
        Server = "server", /// Both: the FINs crossed.
        Both = "both", /// Neither.
        None = "none", /// What decides was not captured.
        Unknown = "unknown" }
}

words! {
    /// Why the active closer is who it is.
    CloserBasis { /// The other FIN acknowledges this one.
        Acknowledged = "acknowledged", /// Neither FIN acknowledges the other.
        Crossed = "crossed", /// Only one FIN was seen.
        SingleFin = "single_fin", /// A reset that aborts.
        Abort = "abort", /// A first FIN was not captured, only its retransmission.
        RetransmissionOnly = "retransmission_only", /// There was no close.
        NoClose = "no_close" }
}

words! {
    /// What a reset was (semantics A7).
    ResetKind { /// `close()` with unread data, SO_LINGER 0, failed keepalive.
        Abort = "abort", /// The answer to data for a socket that had closed.
        LateData = "late_data", /// The answer to a segment that no socket accepts.
        NoState = "no_state", /// The answer to a SYN.
        Refused = "refused", /// Not from the endpoint: TTL unlike its own.
        Injected = "injected" }
}

words! {
    /// Who sent a reset.
    ResetBy { /// The client.
        Client = "client", /// The server.
        Server = "server", /// A box between.
        Middlebox = "middlebox" }
}

words! {
    /// Whether a reset's sequence number made the receiver accept it.
    ResetEffect { /// It did.
        Effective = "effective", /// It did not.
        Ineffective = "ineffective", /// Cannot be told.
        Unknown = "unknown" }
}

words! {
    /// What is known of a TIME_WAIT's length (semantics B4).
    TimeWaitBasis { /// Ended by a reuse that only a socket in TIME_WAIT can answer so.
        ObservedExact = "observed_exact", /// Proven alive at `lower` and gone by `upper`.
        ObservedInterval = "observed_interval", /// Proven alive at `lower`.
        LowerOnly = "lower_only", /// Proven gone by `upper`.
        UpperOnly = "upper_only", /// No evidence: the host's length applied.
        Model = "model", /// The capture ended before the modelled end.
        Censored = "censored", /// This side never entered TIME_WAIT.
        NotEntered = "not_entered", /// A reset that may have ended it (rfc1337).
        PossiblyKilled = "possibly_killed", /// The evidence contradicts the host's length.
        ModelRejected = "model_rejected", /// The kernel's own timer told its end.
        Kernel = "kernel" }
}

words! {
    /// What ended a TIME_WAIT.
    TimeWaitEnd { /// Its timer.
        Expired = "expired", /// A new connection on the same 4-tuple.
        Reused = "reused", /// A reset (RFC 1337).
        Killed = "killed", /// Not known.
        Unknown = "unknown" }
}

words! {
    /// A connection that broke in the gap between a close and its being noticed.
    Race { /// The request crossed the server's FIN in flight.
        KeepaliveRace = "keepalive_race", /// The client had acknowledged the FIN and still sent.
        StaleReuse = "stale_reuse" }
}

words! {
    /// The effective option of a `Connection` header.
    ConnectionOption { /// `close`.
        Close = "close", /// `keep-alive`.
        KeepAlive = "keep-alive", /// `upgrade`.
        Upgrade = "upgrade", /// The header is absent (or names neither).
        None = "none" }
}

words! {
    /// Which sides said `Connection: close` (or were HTTP/1.0 without keep-alive, see `*_persistent`).
    Announced { /// The client.
        Client = "client", /// The server.
        Server = "server", /// Both.
        Both = "both", /// Neither.
        None = "none" }
}

words! {
    /// What the last message of a side says of the connection's future (RFC 9112 §9.3).
    Lasting { /// It goes on.
        Persists = "persists", /// `Connection: close`.
        Close = "close", /// HTTP/1.0 without keep-alive.
        Http10 = "http/1.0", /// No such message was seen.
        Unseen = "unseen", /// It sent nothing at all.
        Silent = "silent" }
}

words! {
    /// What the payload is.
    Protocol { /// HTTP/1.0 (the client's version).
        Http10 = "http/1.0", /// HTTP/1.1.
        Http11 = "http/1.1", /// HTTP/2 without TLS, by its preface.
        H2c = "h2c", /// TLS.
        Tls = "tls", /// A protocol that is none of these.
        Other = "other", /// No payload seen.
        Empty = "empty" }
}

words! {
    /// How a message body is delimited (RFC 9112 §6.3).
    Framing { /// No body.
        None = "none", /// Content-Length.
        Length = "length", /// Chunked.
        Chunked = "chunked", /// Until the connection closes.
        UntilClose = "until_close", /// CONNECT or 101.
        Tunnel = "tunnel" }
}

words! {
    /// A TCP/IP stack, guessed from TTL, window and option order.
    Stack { /// Linux.
        Linux = "linux", /// FreeBSD.
        FreeBsd = "freebsd", /// macOS, iOS.
        Darwin = "macos", /// Windows.
        Windows = "windows", /// Solaris or illumos.
        Solaris = "solaris", /// Not recognised.
        Unknown = "unknown" }
}

/// A set of the contract's `quality` words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Quality(pub u8);

impl Quality {
    /// Whether bytes of the connection are not in the capture.
    #[must_use]
    pub const fn is_partly_unseen(self) -> bool {
        self.0 & (Self::TRUNCATED | Self::GAP | Self::ONE_SIDED) != 0
    }

    /// The bits and their words.
    pub const WORDS: &'static [(u8, &'static str)] = &[
        (1, "midstream"),
        (2, "gap"),
        (4, "truncated"),
        (8, "one_sided"),
        (16, "reordered"),
        (32, "duplicates"),
        (64, "evicted"),
    ];
    /// The connection's start was not captured.
    pub const MIDSTREAM: u8 = 1;
    /// Bytes that the peer acknowledged are not in the capture, or the engine's limits gave bytes up.
    pub const GAP: u8 = 2;
    /// Packets were cut by the snaplen.
    pub const TRUNCATED: u8 = 4;
    /// Only one direction was captured.
    pub const ONE_SIDED: u8 = 8;
    /// Segments arrived out of order.
    pub const REORDERED: u8 = 16;
    /// The same packet was captured more than once.
    pub const DUPLICATES: u8 = 32;
    /// The engine's limits ended it early.
    pub const EVICTED: u8 = 64;

    /// The words that apply, in the order of [`Self::WORDS`].
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Self::WORDS.iter().filter(move |(bit, _)| self.0 & bit != 0).map(|&(_, w)| w)
    }
}

/// What one side of a connection did.
#[derive(Clone, Debug, Encode, Decode)]
pub struct Side {
    /// Packets sent.
    pub packets: u64,
    /// Distinct payload bytes in sequence space.
    pub bytes: u64,
    /// Segments that occupied sequence space already sent.
    pub retransmits: u32,
    /// State at the end, if the segments seen were delivered.
    pub state: State,
    /// State at the end that the side's own segments prove.
    pub state_proved: State,
    /// First FIN, if any.
    pub fin: Option<Mark>,
    /// The stack it looks like.
    pub stack: Stack,
    /// TTL of its first packet.
    pub ttl: u8,
    /// Its TIME_WAIT, if it entered one.
    pub time_wait: Option<TimeWaitFacts>,
}

/// What a ClientHello names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct TlsNames {
    /// Server name.
    pub sni: Option<Box<str>>,
    /// First ALPN protocol.
    pub alpn: Option<Box<str>>,
}

/// What HTTP added to a connection.
#[allow(clippy::struct_excessive_bools, reason = "independent facts that are columns, not the states of one thing")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct HttpFacts {
    /// What the payload is; `None` until payload was seen.
    pub protocol: Option<Protocol>,
    /// Requests whose head completed.
    pub requests: u32,
    /// Final (not 1xx) responses whose head completed.
    pub responses: u32,
    /// Minor version of the last request: 0 or 1.
    pub request_version: Option<u8>,
    /// Minor version of the last response.
    pub response_version: Option<u8>,
    /// The last request's option.
    pub request_connection: Option<ConnectionOption>,
    /// The last response's option.
    pub response_connection: Option<ConnectionOption>,
    /// Whether the last request lets the connection persist (§9.3, defaults applied).
    pub request_persistent: Option<bool>,
    /// Whether the last response does.
    pub response_persistent: Option<bool>,
    /// Whether another request could have followed the last complete exchange: both messages allow it, the response
    /// is self-delimited and complete, nothing outstanding.
    pub reusable: Option<bool>,
    /// `Keep-Alive: timeout=` of the last response that carried one.
    pub keep_alive_timeout_s: Option<u32>,
    /// `Keep-Alive: max=` of the first response that carried one.
    pub keep_alive_max: Option<u32>,
    /// Who said close on any message.
    pub announced_client: bool,
    /// Who said close on any message.
    pub announced_server: bool,
    /// Requests without a final response at the end.
    pub unprocessed: u32,
    /// Most requests outstanding at once.
    pub max_outstanding: u32,
    /// First byte of the last request.
    pub last_request: Option<Mark>,
    /// Acknowledgment number of the segment that carried the last request's first byte.
    pub last_request_ack: u32,
    /// Last byte of the last complete response.
    pub last_response_end: Option<Mark>,
    /// Longest wait between a complete response and the next request that was answered, ns.
    pub longest_reuse_gap_ns: Option<i64>,
    /// The same for a request that was not (yet) answered.
    pub unanswered_wait_ns: Option<i64>,
    /// A request carried what proxies add: Via, Forwarded, X-Forwarded-…, X-Real-IP.
    pub forwarded: bool,
    /// TE and CL together, or other framing that invites smuggling.
    pub smuggling: bool,
    /// The stream stopped being readable as HTTP/1.x.
    pub broken: bool,
    /// A response body was delimited by close.
    pub until_close: bool,
    /// `User-Agent` of the first request.
    pub user_agent: Option<Arc<str>>,
    /// `Server` of the first response.
    pub server_software: Option<Arc<str>>,
    /// What a ClientHello names.
    pub tls: Option<Box<TlsNames>>,
    /// Every message counted under `requests` and `responses`, by what its head says.
    pub messages: MessageTally,
}

/// One finished connection (one incarnation of a 4-tuple).
#[derive(Clone, Debug, Encode, Decode)]
pub struct ConnectionRecord {
    /// Position of the first packet over the whole set of files; the key that orders connections.
    pub ordinal: u64,
    /// Client address and port.
    pub client: (Address, u16),
    /// Server address and port.
    pub server: (Address, u16),
    /// How the roles are known.
    pub role_basis: RoleBasis,
    /// What is around its packets.
    pub tunnel: Tunnel,
    /// First packet.
    pub first: Mark,
    /// Last packet.
    pub last: Mark,
    /// SYN to the ACK that completes the handshake, ns.
    pub handshake_rtt_ns: Option<i64>,
    /// Client (0) and server (1), indexed by [`Role`].
    pub sides: [Side; 2],
    /// Zeek's history letters.
    pub history: Letters,
    /// How it ended.
    pub close: Close,
    /// Who closed.
    pub active_closer: ActiveCloser,
    /// Why that one.
    pub closer_basis: CloserBasis,
    /// The packet that closed.
    pub closer: Option<Mark>,
    /// First effective reset (or the first of any effect, if none was effective).
    pub reset: Option<ResetFacts>,
    /// Resets that had no effect.
    pub ineffective_resets: u32,
    /// First FIN of one side to the first FIN of the other, ns (CLOSE_WAIT dwell of the passive side).
    pub half_close_ns: Option<i64>,
    /// Last payload byte to first FIN or RST, ns.
    pub idle_before_close_ns: Option<i64>,
    /// The incarnation that held this 4-tuple before: its ordinal, and ns since its last packet.
    pub reuse_of: Option<(u64, i64)>,
    /// First and last packet of that one, when this one began.
    pub predecessor: Option<[Mark; 2]>,
    /// SYN transmissions of the client.
    pub syn_count: u32,
    /// Broken by a race.
    pub race: Option<Race>,
    /// HTTP facts.
    pub http: HttpFacts,
    /// Capture quality.
    pub quality: Quality,
    /// One or both of the FINs that a TIME_WAIT takes may be missing from the capture.
    pub may_wait_unseen: bool,
}

impl ConnectionRecord {
    /// Whether every response that was sent is in the capture: all bytes are, or the server sent none.
    #[must_use]
    pub fn has_all_responses(&self) -> bool {
        let is_silent = self.sides[1].bytes == 0 && self.quality.0 & (Quality::GAP | Quality::ONE_SIDED) == 0;
        is_silent || !self.quality.is_partly_unseen()
    }
}

/// A reset and what is known of it.
#[derive(Clone, Copy, Debug, Encode, Decode)]
pub struct ResetFacts {
    /// The packet.
    pub mark: Mark,
    /// Its sender.
    pub by: ResetBy,
    /// The role whose address it carries.
    pub role: Role,
    /// Its kind.
    pub kind: ResetKind,
    /// Its effect.
    pub effect: ResetEffect,
    /// Who sent the segment that it answers, if it answers one.
    pub provoked_by: Option<Role>,
    /// Its flags.
    pub flags: Flags,
    /// Its sequence number.
    pub seq: u32,
}

/// One HTTP request and its final response.
#[derive(Clone, Debug, Encode, Decode)]
pub struct Exchange {
    /// Ordinal of its connection.
    pub connection: u64,
    /// 1, 2, 3 … within the connection.
    pub index: u32,
    /// First byte of the request; `None` if only the response was captured.
    pub request: Option<Mark>,
    /// Method.
    pub method: Option<Box<str>>,
    /// Host header.
    pub host: Option<Box<str>>,
    /// Request target with its query string.
    pub target: Option<Box<str>>,
    /// Minor version of the request.
    pub request_version: Option<u8>,
    /// Connection option of the request.
    pub request_connection: Option<ConnectionOption>,
    /// First byte of the final response.
    pub response: Option<Mark>,
    /// Last byte of the final response, when complete.
    pub response_end: Option<Mark>,
    /// Status code.
    pub status: Option<u16>,
    /// Minor version of the response.
    pub response_version: Option<u8>,
    /// Connection option of the response.
    pub response_connection: Option<ConnectionOption>,
    /// The response's Keep-Alive header as sent.
    pub keep_alive: Option<Box<str>>,
    /// Body delimitation of the response.
    pub framing: Option<Framing>,
    /// Body bytes of the request.
    pub request_body_bytes: u64,
    /// Body bytes of the response.
    pub response_body_bytes: u64,
    /// Whether both messages were seen to their end.
    pub complete: bool,
    /// Whether the connection could persist after it.
    pub persistent: Option<bool>,
    /// User-Agent.
    pub user_agent: Option<Box<str>>,
    /// Server.
    pub server_software: Option<Box<str>>,
}
