"""The report's data: what every renderer draws from, and what the findings fill in.

Everything here is plain, frozen data: what users handle are dataclasses; the report's rows are named tuples, which take
a tenth of the time to define at every start. Text that came from the wire (header values, file names, tunnel names) is
kept as it was and escaped by each renderer for its own medium. Durations are ns when the name ends in ``_ns`` and
seconds when it ends in ``_s``; instants are ns since 1970 UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from pcapwatch.summary import Summary

Severity: TypeAlias = Literal["info", "notice", "warning", "critical"]

#: Where in the capture's time a host's kernel was read; ``long_after``: when every TIME_WAIT of it must be over.
Moment: TypeAlias = Literal["before", "during", "after", "long_after"]

#: Least severe first; ``--fail-on LEVEL`` compares positions.
SEVERITIES: tuple[Severity, ...] = ("info", "notice", "warning", "critical")

#: Linux's default ``ip_local_port_range``, inclusive: 28,232 ports (semantics C).
LINUX_PORTS = (32768, 60999)


@dataclass(frozen=True, slots=True)
class PortRange:
    """A client's ephemeral ports, both ends included, and whether the user stated them.

    kernel: the host whose own kernel stated them, ``None`` otherwise; reserved: ports inside that it never hands out.
    """

    low: int = LINUX_PORTS[0]
    high: int = LINUX_PORTS[1]
    stated: bool = False
    reserved: int = 0
    kernel: str | None = None

    @property
    def size(self) -> int:
        """How many ports the range holds, at least one."""
        return max(self.high - self.low + 1 - self.reserved, 1)


class PortRule(NamedTuple):
    """The range that the user stated for hosts of a prefix (``10.0.0.1/32``)."""

    hosts: str
    ports: PortRange


class PortRanges(NamedTuple):
    """The clients' ranges: of every host, and of the hosts of prefixes, most specific first."""

    ports: PortRange = PortRange()
    hosts: tuple[PortRule, ...] = ()

    def of(self, address: str | None) -> PortRange:
        """The range of one host; ``stated`` says whether the user gave it."""
        held = (rule.ports for rule in self.hosts if address and (rule.hosts == address or _holds(rule.hosts, address)))
        return next(held, self.ports)


@lru_cache(maxsize=1 << 16)
def _holds(prefix: str, address: str) -> bool:
    if "/" not in prefix:
        return False
    from ipaddress import ip_address, ip_network  # few runs state a range by host

    host, network = ip_address(address), ip_network(prefix)
    return host.version == network.version and host in network


@dataclass(frozen=True, slots=True)
class Evidence:
    """A place in the capture that proves something.

    file: path as the user gave it; frame: Wireshark's frame number in that file; time_ns: its capture time; connection:
    the contract's number; display_filter: a Wireshark filter that shows it; text: what is to be seen there, one line.
    """

    text: str
    file: str | None = None
    frame: int | None = None
    time_ns: int | None = None
    connection: int | None = None
    display_filter: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One conclusion of one rule, with its proof and its cure.

    code: ``PW101`` …; name: kebab-case, as ``explain`` lists it; title: one sentence with its numbers; numbers: the
    figures behind it, units in the keys; remedy, verify, do_not: ranked lines, versions named; basis: ``observed``,
    ``bounded``, ``inferred`` or ``modelled``, in words.
    """

    code: str
    name: str
    severity: Severity
    title: str
    numbers: dict[str, int | float | str] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)
    remedy: list[str] = field(default_factory=list)
    verify: list[str] = field(default_factory=list)
    do_not: list[str] = field(default_factory=list)
    basis: str = "observed"


class Closers(NamedTuple):
    """Connections of one client group to one service, by who closed first.

    client: the address, or ``None`` for a group of ``clients`` addresses; server: ``None`` for services shown as one
    line. ``client_first + server_first + crossed + undecided + not_closed == connections``; an abort counts for the
    side that aborted. ``reset`` (ended by a reset before any FIN), ``refused``, ``unanswered``, ``half_open`` and
    ``open`` overlap these.
    """

    client: str | None
    clients: int
    server: str | None
    server_port: int
    connections: int
    client_first: int
    server_first: int
    crossed: int
    undecided: int
    not_closed: int
    reset: int
    refused: int
    unanswered: int
    half_open: int
    open: int
    requests_each: float | None


class Waiting(NamedTuple):
    """TIME_WAIT of one host. Pairs are (proven least, modelled most); killed: by a reset, of those in ``exact_ns``.

    gone: of those proven gone, where nothing but the timer explains it.
    """

    host: str | None
    entered: int
    at_end: tuple[int, int]
    peak: tuple[int, int]
    peak_ns: int
    occupancy: tuple[tuple[int, int, int], ...]
    basis: dict[str, int]
    exact_ns: dict[str, int] | None
    length_ns: tuple[int, int]
    length_source: str
    stack: str | None
    proven_ns: tuple[int | None, int | None]
    killed: int = 0
    gone: int = 0


class PortUse(NamedTuple):
    """Ephemeral ports of one (source, destination, destination port), the unit of the limit (semantics C).

    held_peak: ports open or in a TIME_WAIT of the client's own, at once; held_at_end: the same at the last packet;
    sustainable_per_s: new connections a second
    that ``range`` allows if the client closes first, N / T with its TIME_WAIT length, ``None`` where that is unknown
    or it holds none; outside: distinct ports outside a stated range; block: a smaller range that the ports suggest.
    """

    client: str
    server: str
    server_port: int
    distinct: int
    both_parities: bool
    held_peak: tuple[int, int]
    held_peak_ns: int
    held_at_end: tuple[int, int]
    opened_peak_per_s: int
    reuses: int
    client_recycled: int
    reuse_gap_ns: dict[str, int] | None
    range: PortRange
    outside: int
    block: PortRange | None
    sustainable_per_s: int | None


class Persistence(NamedTuple):
    """HTTP/1.x persistence of one client group towards one service."""

    client: str | None
    clients: int
    server: str | None
    server_port: int
    connections: int
    requests: int
    messages: tuple[dict[str, Any], ...]
    closed_after: tuple[dict[str, Any], ...]
    requests_per_connection: dict[str, int]
    idle_before_close_ns: dict[str, int] | None
    idle_timeout_ns: int | None
    idle_timeout_of: tuple[int, int] | None
    announced_timeout_s: tuple[int, ...]
    max_requests: int | None
    longest_reuse_gap_ns: int | None
    server_software: tuple[str, ...]
    user_agents: tuple[str, ...]


class Trouble(NamedTuple):
    """Races and aborts of one client towards one service."""

    client: str | None
    clients: int
    server: str | None
    server_port: int
    keepalive_races: int
    stale_reuses: int
    unprocessed: int
    smuggling: int
    resets: dict[str, int]


class Example(NamedTuple):
    """A connection worth showing, with all it takes to find it again.

    ladder: the engine's ladder object (see the type stub of the engine) or ``None`` when the packets could not be read
    again.
    """

    connection: int
    kind: str
    client: tuple[str, int]
    server: tuple[str, int]
    file: str
    last_file: str
    first_frame: int
    last_frame: int
    start_ns: int
    end_ns: int
    display_filter: str
    community_id: str
    ladder: dict[str, Any] | None = None


class HostTruth(NamedTuple):
    """What one host's kernel said at one moment, beside what the wire shows of it then.

    at_ns, moment: when, by its clock, and where in the capture's time that is; addresses: its own that occur in the
    capture; overflows: TIME_WAITs that it did not make for want of buckets since ``overflows_since_ns``, ``None``
    unknown; time_wait: sockets it listed; wire: certainly and possibly waiting by the wire, ``None`` where the moment
    allows no comparison; watched: it is the host that captures; only_kernel, only_wire: sockets by the engine's words
    (``KernelFacts``); examples: kind, the host's end, the peer's.
    """

    name: str
    netns: str | None
    kernel: str
    reader: str
    at_ns: int
    moment: Moment
    addresses: tuple[str, ...]
    states: dict[str, int]
    sysctls: dict[str, str | None]
    counters: dict[str, int]
    overflows: int | None
    overflows_since_ns: int | None
    ports: PortRange | None
    time_wait: int
    wire: tuple[int, int] | None
    both: int
    only_kernel: dict[str, int]
    only_wire: dict[str, int]
    never_listed: int
    left_out: int
    examples: tuple[tuple[str, str, str], ...]
    watched: bool = False


class Quality(NamedTuple):
    """What the capture is worth. concerns: what makes it say less than it seems; remarks: what is well."""

    files: tuple[str, ...]
    packets: int
    segments: int
    connections: int
    first_ns: int | None
    last_ns: int | None
    link_types: tuple[int, ...]
    snaplen: int
    capture_host: str | None
    concerns: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """One capture's answer; every renderer draws this and nothing else. Lists are in the order they are read."""

    verdict: str
    quality: Quality
    totals: dict[str, Any]
    closers: tuple[Closers, ...]
    waiting: tuple[Waiting, ...]
    ports: tuple[PortUse, ...]
    persistence: tuple[Persistence, ...]
    troubles: tuple[Trouble, ...]
    examples: tuple[Example, ...]
    findings: tuple[Finding, ...]
    cannot_see: tuple[str, ...]
    assumptions: tuple[str, ...]
    summary: Summary
    port_range: PortRange
    port_rules: tuple[PortRule, ...] = ()
    host: tuple[HostTruth, ...] = ()
