//! The seam: everything `analyze` needs, as one JSON-ready value. Nothing here is per packet or per connection.
//!
//! Durations are integers in nanoseconds (`_ns`); instants are ns since 1970 UTC. Lists are sorted by their key, so
//! that equal facts serialise to equal bytes.

pub use super::exemplar::Exemplar;
use super::services::ServiceFacts;
use crate::capture::{ClockFacts, FileFacts, Gap, LiveFacts, RepeatedFacts, UnlistedFacts};
use crate::record::Stack;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Counts under the contract's words.
pub type Counts = BTreeMap<&'static str, u64>;

/// What the whole capture says.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// The capture and its quality.
    pub capture: CaptureFacts,
    /// Connections by each word.
    pub totals: Totals,
    /// One per (client address, server address, server port), sorted; an overflow entry has `null` addresses.
    pub pairs: Vec<PairFacts>,
    /// One per (server address, server port) of those, sorted.
    pub services: Vec<ServiceFacts>,
    /// One per address, sorted.
    pub hosts: Vec<HostFacts>,
    /// Socket states at the instants asked for.
    pub states: Vec<StateCount>,
    /// The tables of the hosts' kernels that the settings held, in their order, beside the wire.
    pub kernel: Vec<KernelFacts>,
}

/// Files, span, quality.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CaptureFacts {
    /// Files in the order they were read.
    pub files: Vec<FileFacts>,
    /// What their interfaces tell that are not listed.
    pub unlisted: UnlistedFacts,
    /// What a live capture lost beside that.
    pub live: LiveFacts,
    /// Files that were given again, and read once.
    pub repeated_files: Vec<RepeatedFacts>,
    /// Packets read.
    pub packets: u64,
    /// Of those, TCP segments analysed.
    pub segments: u64,
    /// Bytes captured.
    pub captured_bytes: u64,
    /// Bytes on the wire.
    pub original_bytes: u64,
    /// Earliest and latest packet time.
    pub first_ns: Option<i64>,
    /// Latest packet time.
    pub last_ns: Option<i64>,
    /// Packets that were not analysed, by kind (`udp`, `arp`, `fragment`, `link_type_105` …).
    pub not_analysed: BTreeMap<String, u64>,
    /// Packets beside the first of each 802.11 frame that held several (A-MSDU).
    pub aggregated: u64,
    /// Packets whose headers contradict themselves, by kind.
    pub malformed: BTreeMap<String, u64>,
    /// Packets cut by the snaplen.
    pub cut_packets: u64,
    /// Packets older than the one before them in the same file.
    pub clock_steps_back: u64,
    /// Points whose clocks differ.
    pub clocks: Vec<ClockFacts>,
    /// Times between files of which nothing was captured, the first 1000.
    pub gaps: Vec<Gap>,
    /// Packets of several interfaces of a pcapng file that were put in order of time, behind later ones of the file.
    pub ordered_packets: u64,
    /// Files that were not merged by time with the others of their time, of which there were too many.
    pub late_files: u64,
    /// The same packet captured twice.
    pub duplicates: u64,
    /// Of those, packets captured in a tunnel (or VLAN) and beside it, of which the one in the tunnel was kept.
    pub beside_tunnels: u64,
    /// Packets captured in two tunnels (or VLANs): their connections are counted in each.
    pub in_two_tunnels: u64,
    /// Connections of one direction only in a tunnel or VLAN that tells flows apart: the other direction may have another.
    pub one_sided_in_tunnels: u64,
    /// Connections ended early by `max_connections`.
    pub evicted_connections: u64,
    /// Pairs and hosts beyond `max_pairs`, totalled under null.
    pub overflow_connections: u64,
    /// Bytes of holes no longer waited for, by `max_reassembly_bytes`.
    pub reassembly_overflows: u64,
    /// Bytes kept for connections that were given up, by `max_kept_bytes`.
    pub kept_overflows: u64,
    /// HTTP heads that were not read, by `max_head_bytes`.
    pub long_heads: u64,
    /// Packets in tunnels beyond the 65,536 that are told apart by name.
    pub unnamed_tunnel_packets: u64,
    /// What became of IP fragments; those that completed no datagram are in `not_analysed` under `fragment`.
    pub fragments: crate::decode::FragmentCounts,
    /// State × event pairs that the table does not know, by "STATE event".
    pub anomalies: BTreeMap<String, u64>,
    /// Connections by quality word.
    pub connection_quality: Counts,
    /// Segments with a wrong checksum whose sender is the capturing host (offload); address and count, most first.
    pub capture_host: Option<String>,
}

/// Connections by word.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Totals {
    /// All of them.
    pub connections: u64,
    /// By `close`.
    pub close: Counts,
    /// By `active_closer`.
    pub active_closer: Counts,
    /// By `closer_basis`.
    pub closer_basis: Counts,
    /// By `time_wait_holder`.
    pub time_wait_holder: Counts,
    /// Endpoints in TIME_WAIT, by basis.
    pub time_wait_basis: Counts,
    /// By protocol.
    pub protocol: Counts,
    /// By race.
    pub race: Counts,
    /// Those of which no pure acknowledgment was captured, by `close`.
    pub without_acks: Counts,
    /// Attempts of which what waits for an answer was not sent again, by `close`: `unanswered` (the SYN), `half_open` (the
    /// SYN-ACK).
    pub unrepeated: Counts,
}

/// A distribution: exact count, least and most; quantiles from buckets 3 % wide.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Distribution {
    /// Samples.
    pub count: u64,
    /// Least, ns.
    pub min_ns: i64,
    /// Most, ns.
    pub max_ns: i64,
    /// Median, ns (bucketed).
    pub p50_ns: i64,
    /// 90th percentile, ns (bucketed).
    pub p90_ns: i64,
    /// 99th percentile, ns (bucketed).
    pub p99_ns: i64,
}

/// One client's connections to one service.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PairFacts {
    /// Client address; `null` in the overflow entry.
    pub client: Option<String>,
    /// Server address.
    pub server: Option<String>,
    /// Server port.
    pub server_port: u16,
    /// Connections.
    pub connections: u64,
    /// By `close`.
    pub close: Counts,
    /// By `active_closer`.
    pub active_closer: Counts,
    /// By `time_wait_holder`.
    pub time_wait_holder: Counts,
    /// Resets, by "reset_by reset_kind", effective or unknown only.
    pub resets: BTreeMap<String, u64>,
    /// Connections that the client reset before any FIN, and in which neither side sent a byte, as health checks by TCP do.
    pub empty_resets: u64,
    /// As of the totals.
    pub unrepeated: Counts,
    /// By role basis.
    pub role_basis: Counts,
    /// By protocol.
    pub protocol: Counts,
    /// First packet.
    pub first_ns: i64,
    /// Last packet.
    pub last_ns: i64,
    /// Bytes the clients sent.
    pub client_bytes: u64,
    /// Bytes the server sent.
    pub server_bytes: u64,
    /// Retransmitted segments.
    pub retransmits: u64,
    /// SYN → ACK.
    pub handshake_rtt: Option<Distribution>,
    /// Ephemeral ports.
    pub ports: PortFacts,
    /// HTTP persistence.
    pub http: PairHttp,
    /// FIN to FIN where one side lingered half-closed.
    pub half_close: Option<Distribution>,
    /// Exemplar connections by kind (see `ledger::exemplar::KINDS`), best first (whole, short, early), at most three each.
    #[serde(serialize_with = "super::exemplar::once_each")]
    pub exemplars: BTreeMap<&'static str, Vec<Arc<Exemplar>>>,
}

/// How a pair uses the client's ephemeral ports.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PortFacts {
    /// Distinct source ports.
    pub distinct: u32,
    /// Of those, even (inside a stated range).
    pub even: u32,
    /// Lowest.
    pub low: u16,
    /// Highest.
    pub high: u16,
    /// Distinct ports outside the range stated for the client; they count neither as even nor as held. 0 where none is
    /// stated.
    pub outside: u32,
    /// The largest run of ports used almost without gaps: perhaps the client's whole range.
    pub block: Option<PortBlock>,
    /// Most ports held at once by the client (open or in a TIME_WAIT of its own), proven part.
    pub held_peak_min: u64,
    /// The same with modelled TIME_WAITs counted as still held.
    pub held_peak_max: u64,
    /// When.
    pub held_peak_ns: i64,
    /// As a host's `peak_step_ns`.
    pub held_step_ns: i64,
    /// Ports held at the last packet, proven part.
    pub held_at_end_min: u64,
    /// The same with modelled TIME_WAITs counted as still held.
    pub held_at_end_max: u64,
    /// Connections opened in the busiest whole second.
    pub opened_peak_per_s: u64,
    /// When.
    pub opened_peak_ns: i64,
    /// Gap between a port's last packet and its next SYN.
    pub reuse_gap: Option<Distribution>,
    /// Connections whose client port was reused.
    pub reuses: u64,
    /// Reuses whose ISN shows the client's own TIME_WAIT was recycled (tcp_tw_reuse or bind).
    pub client_recycled: u64,
}

/// A run of ports of which almost every one was used.
#[derive(Clone, Debug, Serialize)]
pub struct PortBlock {
    /// Lowest used.
    pub low: u16,
    /// Highest used.
    pub high: u16,
    /// Used, of `high - low + 1`.
    pub used: u32,
}

/// HTTP persistence of a pair.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PairHttp {
    /// Connections that carried at least one request.
    pub connections: u64,
    /// Requests.
    pub requests: u64,
    /// Final responses.
    pub responses: u64,
    /// Connections by number of requests ("1", "2", "3-4", "5-8", "9-16" … powers of two).
    pub requests_per_connection: BTreeMap<String, u64>,
    /// Messages by side, version and option.
    pub messages: Vec<MessageCount>,
    /// Connections by who announced close and who then closed actively.
    pub closed_after: Vec<ClosedAfter>,
    /// Connections by what the last message of each side said and who then closed actively.
    pub endings: Vec<Ending>,
    /// Connections with exactly one request that both sides allowed to persist, closed actively by the client.
    pub single_request_client_close: u64,
    /// Connections still reusable when the client closed.
    pub reusable_closed_by_client: u64,
    /// Connections still reusable when the server closed.
    pub reusable_closed_by_server: u64,
    /// Last payload byte to first FIN or RST.
    pub idle_before_close: Option<Distribution>,
    /// The server's idle timeout, if its closes cluster (semantics D4).
    pub idle_timeout: Option<IdleTimeout>,
    /// `Keep-Alive: timeout=` announced, seconds, distinct values.
    pub announced_timeout_s: Vec<u32>,
    /// The server's maximum requests per connection, if connections end there (semantics D4).
    pub max_requests: Option<MaxRequests>,
    /// Longest wait after which a request on a connection was still answered, ns.
    pub longest_reuse_gap_ns: Option<i64>,
    /// The longest wait of each connection after which it was used again, answered or not.
    pub reuse_wait: Option<Distribution>,
    /// Connections lost to a keep-alive race.
    pub keepalive_races: u64,
    /// Connections lost because the client used one whose close it had acknowledged.
    pub stale_reuses: u64,
    /// Requests without a response at the end.
    pub unprocessed: u64,
    /// Connections with ambiguous framing.
    pub smuggling: u64,
    /// Connections with a request that carries what proxies add (Via, Forwarded, X-Forwarded-…, X-Real-IP).
    pub forwarded: u64,
    /// Distinct `Server` values, first eight in byte order.
    pub server_software: Vec<String>,
    /// Distinct `User-Agent` values, first eight in byte order.
    pub user_agents: Vec<String>,
}

/// Messages alike.
#[derive(Clone, Debug, Serialize)]
pub struct MessageCount {
    /// `request` or `response`.
    pub side: &'static str,
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub version: &'static str,
    /// `close`, `keep-alive`, `upgrade`, `none`.
    pub option: &'static str,
    /// How many.
    pub count: u64,
    /// Of those, how many let the connection persist.
    pub persistent: u64,
}

/// Connections by announcement and deed.
#[derive(Clone, Debug, Serialize)]
pub struct ClosedAfter {
    /// Who announced: `client`, `server`, `both`, `none`.
    pub announced_by: &'static str,
    /// Who closed: the contract's `active_closer`.
    pub active_closer: &'static str,
    /// How many.
    pub count: u64,
}

/// Connections by what their last messages said of persistence, and deed.
#[derive(Clone, Debug, Serialize)]
pub struct Ending {
    /// The last request: `persists`, `close`, `http/1.0` (without keep-alive), `unseen`.
    pub request: &'static str,
    /// The last response, in the same words.
    pub response: &'static str,
    /// Who closed: the contract's `active_closer`.
    pub active_closer: &'static str,
    /// How many.
    pub count: u64,
    /// Requests on them.
    pub requests: u64,
}

/// An idle timeout read from a cluster of closes.
#[derive(Clone, Debug, Serialize)]
pub struct IdleTimeout {
    /// Centre of the cluster, ns.
    pub timeout_ns: i64,
    /// Width of the cluster, ns.
    pub spread_ns: i64,
    /// Closes in the cluster.
    pub count: u64,
    /// Idle closes by the server in all.
    pub of: u64,
}

/// A limit of requests per connection.
#[derive(Clone, Debug, Serialize)]
pub struct MaxRequests {
    /// The limit.
    pub requests: u32,
    /// Connections that ended there with `close` on the last response.
    pub connections: u64,
    /// Of those, how many the server closed first.
    pub closed_by_server: u64,
}

/// One address.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HostFacts {
    /// Address; `null` in the overflow entry.
    pub address: Option<String>,
    /// Connections it opened.
    pub as_client: u64,
    /// Connections it accepted.
    pub as_server: u64,
    /// The stack it looks like, the most frequent guess.
    pub stack: Option<Stack>,
    /// Its TIME_WAITs; `null` if it never entered one.
    pub time_wait: Option<HostTimeWait>,
}

/// A host's TIME_WAITs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HostTimeWait {
    /// Entered.
    pub entered: u64,
    /// By basis.
    pub basis: Counts,
    /// By end.
    pub end: Counts,
    /// Restarts proven.
    pub restarts: u64,
    /// Lengths observed exactly.
    pub exact: Option<Distribution>,
    /// The length used for the rest, and where it comes from.
    pub length: LengthFacts,
    /// Population interval from this capture's evidence: T in (low, high], either side may be unknown.
    pub evidence: EvidenceFacts,
    /// Sockets in TIME_WAIT at the end of the capture: proven least and modelled most.
    pub at_end: (u64, u64),
    /// Peak of the upper band.
    pub peak: (u64, u64),
    /// When, ns.
    pub peak_ns: i64,
    /// Moments at which they are counted lie so far apart, ns: a peak between two of them is not seen.
    pub peak_step_ns: i64,
    /// Occupancy over time, at most 120 samples, ascending.
    pub occupancy: Vec<Occupancy>,
}

/// How many at an instant.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Occupancy {
    /// Instant.
    pub ns: i64,
    /// Least.
    pub min: u64,
    /// Most.
    pub max: u64,
}

/// A TIME_WAIT length and where it comes from.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LengthFacts {
    /// Shortest.
    pub low_ns: i64,
    /// Longest.
    pub high_ns: i64,
    /// `flag`, `evidence` or `default`.
    pub source: &'static str,
    /// The stack whose default it is.
    pub stack: Option<Stack>,
}

/// What the population of a host's TIME_WAITs proves of its length.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EvidenceFacts {
    /// Greatest age (since the last restart) at which one was proven alive.
    pub alive_max_ns: Option<i64>,
    /// Least age (since the last restart) at which one that nothing else ended was proven gone.
    pub gone_min_ns: Option<i64>,
    /// Samples of each.
    pub alive: u64,
    /// Samples of each.
    pub gone: u64,
    /// If the two contradict: the Turnbull estimate, (low, high, probability in parts per million).
    pub turnbull: Vec<(i64, i64, u32)>,
}

/// Sockets of a host in a state at an instant.
#[derive(Clone, Debug, Serialize)]
pub struct StateCount {
    /// Address.
    pub host: String,
    /// Instant.
    pub at_ns: i64,
    /// RFC 9293 name.
    pub state: &'static str,
    /// Proven least.
    pub min: u64,
    /// Modelled most.
    pub max: u64,
}

/// One host's TIME_WAITs at one moment, as its kernel listed them and as the wire shows them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KernelFacts {
    /// When the table was read, ns since 1970 UTC.
    pub at_ns: i64,
    /// Sockets in TIME_WAIT by the kernel.
    pub kernel: u64,
    /// By the wire: certainly, and possibly.
    pub wire: (u64, u64),
    /// Sockets that both show.
    pub both: u64,
    /// Sockets that only the kernel shows: `before_capture`, `after_capture`, `unproven`, `not_captured`.
    pub only_kernel: Counts,
    /// Sockets that only the wire shows: `certain`, or `possible` where the model's end may have passed.
    pub only_wire: Counts,
    /// TIME_WAITs of the wire that no reading of a watched kernel had, though it was read while they must have been there.
    pub never_listed: u64,
    /// TIME_WAITs of the wire that were too many to be looked at.
    pub left_out: u64,
    /// A few of each kind.
    pub examples: Vec<KernelExample>,
}

/// A socket that only one of both shows.
#[derive(Clone, Debug, Serialize)]
pub struct KernelExample {
    /// The word of `only_kernel`, or `only_wire`, or `never_listed`.
    pub kind: &'static str,
    /// The host's end.
    pub own: String,
    /// The peer's.
    pub peer: String,
}
