"""The engine's Summary as Python sees it: the JSON of ``engine/src/ledger/summary.rs``, field for field.

Everything here is the shape of a plain ``dict``; nothing is computed. Durations are integers in ns (``_ns``),
instants are ns since 1970 UTC, Rust tuples arrive as lists, and an absent value is ``None``. A test holds these names
to the Rust source.
"""

from __future__ import annotations

import json
from typing import TypeAlias, TypedDict, cast

from pcapwatch.summary_of_files import ClockFacts, Counts, FileFacts, Gap, LiveFacts, RepeatedFacts, UnlistedFacts

#: (least, most): the proven least and the modelled most.
Band: TypeAlias = list[int]


class FragmentCounts(TypedDict):
    """What became of fragments, in IP datagrams or 802.11 frames; `joined` in packets beside each one's last."""

    datagrams: int
    joined: int
    overlapping: int
    incomplete: int
    evicted: int


class CaptureFacts(TypedDict):
    """Files, span, quality."""

    files: list[FileFacts]
    unlisted: UnlistedFacts
    live: LiveFacts
    repeated_files: list[RepeatedFacts]
    packets: int
    segments: int
    captured_bytes: int
    original_bytes: int
    first_ns: int | None
    last_ns: int | None
    not_analysed: Counts
    aggregated: int
    malformed: Counts
    cut_packets: int
    clock_steps_back: int
    clocks: list[ClockFacts]
    gaps: list[Gap]
    ordered_packets: int
    late_files: int
    duplicates: int
    beside_tunnels: int
    in_two_tunnels: int
    one_sided_in_tunnels: int
    evicted_connections: int
    overflow_connections: int
    reassembly_overflows: int
    kept_overflows: int
    long_heads: int
    unnamed_tunnel_packets: int
    fragments: FragmentCounts
    anomalies: Counts
    connection_quality: Counts
    capture_host: str | None


class Totals(TypedDict):
    """Connections by each word of the contract."""

    connections: int
    close: Counts
    active_closer: Counts
    closer_basis: Counts
    time_wait_holder: Counts
    time_wait_basis: Counts
    protocol: Counts
    race: Counts
    without_acks: Counts
    unrepeated: Counts


class Distribution(TypedDict):
    """Exact count, least and most; quantiles from buckets 3 % wide."""

    count: int
    min_ns: int
    max_ns: int
    p50_ns: int
    p90_ns: int
    p99_ns: int


class PortBlock(TypedDict):
    """A run of ports of which almost every one was used: ``used`` of ``low`` to ``high``."""

    low: int
    high: int
    used: int


class PortFacts(TypedDict):
    """How a pair uses the client's ephemeral ports (semantics C)."""

    distinct: int
    even: int
    low: int
    high: int
    outside: int
    block: PortBlock | None
    held_peak_min: int
    held_peak_max: int
    held_peak_ns: int
    held_step_ns: int
    held_at_end_min: int
    held_at_end_max: int
    opened_peak_per_s: int
    opened_peak_ns: int
    reuse_gap: Distribution | None
    reuses: int
    client_recycled: int


class MessageCount(TypedDict):
    """Messages alike: ``side`` request/response, ``version`` HTTP/1.x, ``option`` close/keep-alive/upgrade/none."""

    side: str
    version: str
    option: str
    count: int
    persistent: int


class ClosedAfter(TypedDict):
    """Connections by who announced close and who then closed."""

    announced_by: str
    active_closer: str
    count: int


class Ending(TypedDict):
    """Connections by what the last message of each side said (persists/close/http/1.0/unseen) and who then closed."""

    request: str
    response: str
    active_closer: str
    count: int
    requests: int


class IdleTimeout(TypedDict):
    """A server's idle timeout, read from ``count`` of ``of`` idle closes that cluster within ``spread_ns``."""

    timeout_ns: int
    spread_ns: int
    count: int
    of: int


class MaxRequests(TypedDict):
    """A limit of requests per connection, how many connections ended there, and how many of those the server closed."""

    requests: int
    connections: int
    closed_by_server: int


class PairHttp(TypedDict):
    """HTTP persistence of a pair."""

    connections: int
    requests: int
    responses: int
    requests_per_connection: Counts
    messages: list[MessageCount]
    closed_after: list[ClosedAfter]
    endings: list[Ending]
    single_request_client_close: int
    reusable_closed_by_client: int
    reusable_closed_by_server: int
    idle_before_close: Distribution | None
    idle_timeout: IdleTimeout | None
    announced_timeout_s: list[int]
    max_requests: MaxRequests | None
    longest_reuse_gap_ns: int | None
    reuse_wait: Distribution | None
    keepalive_races: int
    stale_reuses: int
    unprocessed: int
    smuggling: int
    forwarded: int
    server_software: list[str]
    user_agents: list[str]


class Exemplar(TypedDict):
    """A connection worth showing; ``client`` and ``server`` are ``[address, port]``, files are indices."""

    ordinal: int
    connection: int
    client: list[str | int]
    server: list[str | int]
    tunnel: int
    file: int
    first_frame: int
    last_file: int
    last_frame: int
    start_ns: int
    end_ns: int
    closer_frame: int | None
    closer_file: int | None


class PairFacts(TypedDict):
    """One client's connections to one service; addresses are ``None`` in the overflow entry."""

    client: str | None
    server: str | None
    server_port: int
    connections: int
    close: Counts
    active_closer: Counts
    time_wait_holder: Counts
    resets: Counts
    empty_resets: int
    unrepeated: Counts
    role_basis: Counts
    protocol: Counts
    first_ns: int
    last_ns: int
    client_bytes: int
    server_bytes: int
    retransmits: int
    handshake_rtt: Distribution | None
    ports: PortFacts
    http: PairHttp
    half_close: Distribution | None
    exemplars: dict[str, list[Exemplar]]


class Occupancy(TypedDict):
    """How many sockets at an instant, least and most."""

    ns: int
    min: int
    max: int


class LengthFacts(TypedDict):
    """A TIME_WAIT length and where it comes from: ``flag``, ``kernel``, ``evidence`` or ``default``."""

    low_ns: int
    high_ns: int
    source: str
    stack: str | None


class EvidenceFacts(TypedDict):
    """What a host's TIME_WAITs together prove of their length; ``turnbull`` = [low, high, parts per million]."""

    alive_max_ns: int | None
    gone_min_ns: int | None
    alive: int
    gone: int
    turnbull: list[list[int]]


class HostTimeWait(TypedDict):
    """A host's TIME_WAITs."""

    entered: int
    basis: Counts
    end: Counts
    restarts: int
    exact: Distribution | None
    length: LengthFacts
    evidence: EvidenceFacts
    at_end: Band
    peak: Band
    peak_ns: int
    peak_step_ns: int
    occupancy: list[Occupancy]


class HostFacts(TypedDict):
    """One address; ``None`` in the overflow entry."""

    address: str | None
    as_client: int
    as_server: int
    stack: str | None
    time_wait: HostTimeWait | None


class StateCount(TypedDict):
    """Sockets of a host in a state at an instant."""

    host: str
    at_ns: int
    state: str
    min: int
    max: int


class KernelFacts(TypedDict):
    """One host's TIME_WAITs at one moment, as its kernel listed them and as the wire shows them.

    ``only_kernel``: before_capture, after_capture, unproven, not_captured; ``only_wire``: certain, possible.
    ``never_listed``: TIME_WAITs that no reading of a watched kernel had, until now.
    """

    at_ns: int
    kernel: int
    wire: Band
    both: int
    only_kernel: Counts
    only_wire: Counts
    never_listed: int
    left_out: int
    examples: list[KernelExample]


class KernelExample(TypedDict):
    """A socket that only one of both shows; ``kind``: a word of ``only_kernel``, ``only_wire``, ``never_listed``."""

    kind: str
    own: str
    peer: str


class ServiceFacts(TypedDict):
    """The busiest time of a service, of all its clients: ``busy_opened`` connections were opened within ``busy_ns``."""

    server: str
    server_port: int
    connections: int
    busy_from_ns: int
    busy_ns: int
    busy_opened: int


class Summary(TypedDict):
    """What the whole capture says."""

    capture: CaptureFacts
    totals: Totals
    pairs: list[PairFacts]
    services: list[ServiceFacts]
    hosts: list[HostFacts]
    states: list[StateCount]
    kernel: list[KernelFacts]


def parse_summary(text: str) -> Summary:
    """The engine's ``summary_json()`` as a Summary; ``ValueError`` if it is no JSON object with a Summary's parts.

    The text has each exemplar of a pair once, and for each kind their places in that list.
    """
    value = json.loads(text)
    missing = Summary.__required_keys__ - value.keys() if isinstance(value, dict) else Summary.__required_keys__
    if missing:
        raise ValueError(f"not a summary of the engine: no {', '.join(sorted(missing))}")
    for pair in value["pairs"]:
        connections, kinds = pair["exemplars"]["connections"], pair["exemplars"]["kinds"]
        pair["exemplars"] = {kind: [connections[place] for place in places] for kind, places in kinds.items()}
    return cast(Summary, value)
