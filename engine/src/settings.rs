//! Every limit and choice the engine takes from its user, with the default and what happens when it is reached.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Settings of one analysis. Python passes them as JSON; an absent field keeps its default.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "choices of the user, each independent of the others")]
pub struct Settings {
    /// Worker threads; the answer does not depend on it.
    pub threads: usize,
    /// Packets handed to the engine at a time; the answer does not depend on it.
    pub batch_packets: usize,
    /// Most connections remembered at once; beyond it (a great one may be passed for a while, see `engine/census.rs`) the
    /// longest idle is evicted and counted. Each takes about 300 bytes
    /// once it is over, or has been silent for a second without a reader; until then up to 2 KiB.
    pub max_connections: usize,
    /// A closed connection without a packet for this long is finished: its 4-tuple is forgotten.
    pub idle_expiry_ns: i64,
    /// Out-of-order bytes kept per direction of a connection; beyond it the hole is declared a gap.
    pub max_reassembly_bytes: usize,
    /// Most bytes kept for all connections together: beyond a hole, of unfinished heads, of requests that wait. Beyond it
    /// (a great one may be passed for a while, see `engine/census.rs`) those that are idle for longest are given up and
    /// counted.
    pub max_kept_bytes: usize,
    /// Most encapsulations (tunnels, label stacks, sessions; VLAN tags do not count) around a packet, up to 16; one with
    /// more is counted under `tunnel_depth`.
    pub max_tunnel_depth: u8,
    /// Most IP datagrams of which some fragments are kept; beyond it the longest idle is given up and counted.
    pub max_fragmented_datagrams: usize,
    /// Most bytes of fragments kept, with about 100 for each beside its own; beyond it the longest idle is given up and
    /// counted.
    pub max_fragment_bytes: usize,
    /// A datagram whose fragments have not all come within this is given up and counted.
    pub fragment_timeout_ns: i64,
    /// Longest HTTP message head kept while incomplete; beyond it the stream is no longer read as HTTP.
    pub max_head_bytes: usize,
    /// Most (client, server, port) pairs, and most hosts, told apart; the rest is totalled under "other". The hosts are
    /// those of most TIME_WAITs, then connections, among sixteen times as many (see `ledger/apart.rs`).
    pub max_pairs: usize,
    /// Leave packets that were captured twice (two taps, a mirror port) in: each further copy reads as a retransmission.
    pub keep_duplicates: bool,
    /// Keep one record per connection (the `connections` table).
    pub keep_connections: bool,
    /// Keep one record per HTTP exchange (the `exchanges` table).
    pub keep_exchanges: bool,
    /// Rows of each of those tables in memory, per thread; beyond it they wait in an unnamed temporary file (in `TMPDIR`),
    /// a few hundred bytes each, until the table is read; so many more after every 128 times. The answer does not depend
    /// on it.
    pub rows_in_memory: usize,
    /// TIME_WAIT lengths stated by the user, most specific prefix first: (address prefix, prefix bits, low, high).
    pub time_wait: Vec<TimeWaitRule>,
    /// Addresses of hosts whose tables are still to come: of connections that end meanwhile the last are remembered.
    pub watched_hosts: Vec<std::net::IpAddr>,
    /// What hosts' kernels said of their own sockets, to be laid beside what the wire shows.
    pub host_tables: Vec<HostTable>,
    /// Ephemeral port ranges stated by the user; the most specific prefix holds.
    pub port_ranges: Vec<PortRule>,
    /// Socket states at instants, if asked for.
    pub states: Option<StatesQuery>,
    /// How many bytes of a stream that cannot be re-read (stdin) are kept to draw ladders from.
    pub replay_bytes: usize,
    /// Link types to read as others, such as the private ones, 147 to 162: (as the file states it, as it is read).
    pub link_types: BTreeMap<u32, u32>,
    /// Keep the names that pcapng's name resolution blocks give addresses; they are shown, and used for nothing else.
    pub names: bool,
    /// Classic BPF by link type (DLT), as libpcap compiles it: (code, jump if true, jump if false, operand) each.
    /// Empty: every packet. Otherwise packets of a link type without a program are held back with the rest, counted.
    pub filter: BTreeMap<u32, Vec<(u16, u8, u8, u32)>>,
}

/// "Hosts in this prefix hold TIME_WAIT for this long", as the user stated it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TimeWaitRule {
    /// Address text, IPv4 or IPv6; `None` stands for every host.
    pub address: Option<std::net::IpAddr>,
    /// Prefix length in bits.
    pub prefix: u8,
    /// Shortest, ns.
    pub low_ns: i64,
    /// Longest, ns.
    pub high_ns: i64,
}

/// A host's sockets in TIME_WAIT as its kernel listed them at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostTable {
    /// The host's own addresses.
    pub addresses: Vec<std::net::IpAddr>,
    /// The clock before and after the table was read, ns since 1970 UTC.
    pub read_ns: (i64, i64),
    /// Own address and port, the peer's, and when the timer runs out, ns since 1970 UTC: what is left of it added to the
    /// middle of `read_ns`.
    pub waits: Vec<(std::net::IpAddr, u16, std::net::IpAddr, u16, i64)>,
}

/// "Hosts in this prefix connect from these ports", as the user stated it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PortRule {
    /// Address text, IPv4 or IPv6; `None` stands for every host.
    pub address: Option<std::net::IpAddr>,
    /// Prefix length in bits.
    pub prefix: u8,
    /// Lowest.
    pub low: u16,
    /// Highest, included.
    pub high: u16,
}

/// Which instants `states` is asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StatesQuery {
    /// One instant, ns since 1970 UTC.
    pub at_ns: Option<i64>,
    /// A grid of instants at whole multiples of this many ns since 1970 UTC.
    pub every_ns: Option<i64>,
    /// Of this host only, which then is among the hosts kept apart in any case.
    #[serde(default)]
    pub host: Option<std::net::IpAddr>,
    /// Of the one host with most TIME_WAITs, then connections, of equals the least address; else of all kept apart.
    #[serde(default)]
    pub busiest: bool,
}

/// One second in nanoseconds.
pub const SECOND: i64 = 1_000_000_000;

impl Default for Settings {
    fn default() -> Self {
        Settings {
            threads: 1,
            batch_packets: 2048,
            max_connections: 250_000,
            idle_expiry_ns: 3600 * SECOND,
            max_reassembly_bytes: 1 << 20,
            max_kept_bytes: 128 << 20,
            max_tunnel_depth: crate::decode::TUNNEL_DEPTH,
            max_fragmented_datagrams: 4096,
            max_fragment_bytes: 4 << 20,
            fragment_timeout_ns: 30 * SECOND,
            max_head_bytes: 64 << 10,
            max_pairs: 10_000,
            keep_duplicates: false,
            keep_connections: false,
            keep_exchanges: false,
            rows_in_memory: 2048,
            time_wait: Vec::new(),
            watched_hosts: Vec::new(),
            host_tables: Vec::new(),
            port_ranges: Vec::new(),
            states: None,
            replay_bytes: 32 << 20,
            link_types: BTreeMap::new(),
            names: false,
            filter: BTreeMap::new(),
        }
    }
}
