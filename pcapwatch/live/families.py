"""A moment as families of metrics. Knows what was exported before, so that counters never fall."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TypeAlias

from pcapwatch.findings.assumptions import Assumptions, port_range_of
from pcapwatch.findings.wording import endpoint
from pcapwatch.live.moment import Moment
from pcapwatch.summary import PairFacts

Labels: TypeAlias = tuple[str, ...]
Samples: TypeAlias = dict[Labels, float]
_Sums: TypeAlias = defaultdict[Labels, float]

#: Services, hosts and (client, server, port) triples that get series of their own.
SERVICES, HOSTS, TRIPLES = 20, 50, 20
OTHER = "other"

#: Words of `active_closer` that stay: ``none`` covers what is still open.
CLOSERS = ("client", "server", "both", "ambiguous")
FAILURES = ("refused", "unanswered")
OPEN = ("open", "half_open", "half_closed")
VERSIONS = {"HTTP/1.0": "1.0", "HTTP/1.1": "1.1"}


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. ``name`` without ``_total``, which the client adds to counters."""

    name: str
    help: str
    labels: Labels
    samples: Samples
    counter: bool


@dataclass
class Slots:
    """Keys with series of their own.

    Who has one keeps it, and who came when all were taken never gets one: a series that moved from ``other`` to its own
    would make ``other`` fall.
    """

    limit: int
    taken: dict[Labels, None] = field(default_factory=dict)

    def admit(self, ranked: Iterable[Labels]) -> None:
        """Give the free ones to the first keys that have none."""
        for key in ranked:
            if len(self.taken) >= self.limit:
                return
            self.taken.setdefault(key)


class Families:
    """`of` gives the families of one moment after another."""

    def __init__(self) -> None:
        self._services, self._hosts, self._triples = Slots(SERVICES), Slots(HOSTS), Slots(TRIPLES)
        self._most: dict[str, Samples] = defaultdict(dict)
        self._findings: set[Labels] = set()

    def of(self, moment: Moment) -> Iterator[Family]:
        """Everything that is exported, in the order of the documentation."""
        yield from self.of_counters(moment)
        yield from self.of_report(moment)

    def of_report(self, moment: Moment) -> Iterator[Family]:
        """What is of the report, and of what the kernel told."""
        yield from self._connections(moment)
        yield from self._time_wait(moment)
        yield from self._kernel(moment)
        yield from self._ports(moment)
        yield from self._http(moment)
        yield self._found(moment)

    def _counter(self, name: str, text: str, labels: Labels, samples: Mapping[Labels, float]) -> Family:
        """What is lower than before stays as it was."""
        most = self._most[name]
        for key, number in samples.items():
            most[key] = max(most.get(key, 0), number)
        return Family(f"pcapwatch_{name}", text, labels, dict(most), counter=True)

    def of_counters(self, moment: Moment) -> Iterator[Family]:
        """What is counted whether reports are made or not, and how old they are."""
        counters = moment.counters
        plain = (
            ("packets", "Packets captured and analysed.", counters.packets),
            ("wire_bytes", "Bytes of these packets as they were on the wire.", counters.bytes),
            ("evicted_connections", "Connections ended early by the limit on memory.", counters.evicted_connections),
            ("ring_full", "Times that the whole ring was full.", counters.ring_losses),
            ("interface_downs", "Times the interface went down.", counters.interface_down),
            ("written_bytes", "Bytes written by --write.", counters.written.bytes),
            ("written_files", "Files written by --write.", counters.written.files),
            ("unwritten_packets", "Packets that --write found no room for.", counters.written.unwritten),
        )
        yield from (self._counter(name, text, (), {(): number}) for name, text, number in plain)
        if counters.kernel_drops is not None:
            text = "Packets that the kernel dropped for want of room; absent where the source does not tell."
            yield self._counter("dropped_packets", text, (), {(): counters.kernel_drops})
        failed = float(counters.written.error is not None)
        yield _gauge("write_failed", "1 while --write cannot write.", (), {(): failed})
        yield _gauge("elapsed_seconds", "Seconds since the capture began.", (), {(): counters.elapsed_s})
        reported_s = (moment.reported or moment.at).timestamp()
        text = "When the figures were made that are not of the capture itself; a report that takes long is made rarely."
        yield _gauge("report_timestamp_seconds", text, (), {(): reported_s})
        if moment.host is not None:
            text = "When the kernel was asked for its own count; a host with many sockets is asked rarely."
            yield _gauge("kernel_sample_timestamp_seconds", text, (), {(): moment.host.at_ns / 1e9})
        if counters.last_ns is not None:
            yield _gauge(
                "last_packet_timestamp_seconds", "Capture time of the last packet.", (), {(): counters.last_ns / 1e9}
            )
        yield _gauge("build_info", "1, labelled with the version of pcapwatch.", ("version",), {(_VERSION,): 1})

    def _connections(self, moment: Moment) -> Iterator[Family]:
        pairs = moment.report.summary["pairs"]
        totals: Counter[Labels] = Counter()
        for pair in pairs:
            totals[_service(pair)] += pair["connections"]
        self._services.admit(key for key, _ in totals.most_common() if key != (OTHER,))
        yield self._per_service(
            moment,
            "connections_opened",
            "Connections seen to begin, or already open.",
            (),
            lambda pair: {(): pair["connections"]},
        )
        yield self._per_service(
            moment, "connections", "Connections that ended, by who closed first.", ("closer",),
            lambda pair: {(word,): pair["active_closer"].get(word, 0) for word in CLOSERS},
        )  # fmt: skip
        yield self._per_service(
            moment, "connections_failed", "Connections that were refused, or not answered.", ("reason",),
            lambda pair: {(word,): pair["close"].get(word, 0) for word in FAILURES},
        )  # fmt: skip
        still = self._summed(pairs, lambda pair: {(): sum(pair["close"].get(word, 0) for word in OPEN)})
        yield _gauge("open_connections", "Connections that have not ended.", ("service",), still)

    def _per_service(
        self, moment: Moment, name: str, text: str, labels: Labels, numbers: Callable[[PairFacts], Samples]
    ) -> Family:
        samples = self._summed(moment.report.summary["pairs"], numbers)
        return self._counter(name, text, ("service", *labels), samples)

    def _summed(self, pairs: Iterable[PairFacts], numbers: Callable[[PairFacts], Samples]) -> Samples:
        """The pairs' numbers by service, those without a slot under ``other``."""
        total = _sums()
        for pair in pairs:
            service = _service(pair)
            name = service if service in self._services.taken else (OTHER,)
            for key, number in numbers(pair).items():
                total[*name, *key] += number
        return total

    def _time_wait(self, moment: Moment) -> Iterator[Family]:
        hosts = [(host["address"] or OTHER, host["time_wait"]) for host in moment.report.summary["hosts"]]
        known = [(name, facts) for name, facts in hosts if facts and facts["entered"]]
        known.sort(key=lambda host: -host[1]["peak"][1])
        self._hosts.admit((name,) for name, _ in known if name != OTHER)
        least, most, entered = _sums(), _sums(), _sums()
        for name, facts in known:
            key = (name if (name,) in self._hosts.taken else OTHER,)
            least[key] += facts["at_end"][0]
            most[key] += facts["at_end"][1]
            entered[key] += facts["entered"]
        yield _gauge(
            "time_wait_sockets_min",
            "Sockets in TIME_WAIT: the proven least.",
            ("host",),
            dict(least),
        )
        yield _gauge(
            "time_wait_sockets_max",
            "Sockets in TIME_WAIT: the modelled most.",
            ("host",),
            dict(most),
        )
        yield self._counter("time_wait_entered", "Sockets that entered TIME_WAIT.", ("host",), entered)

    def _kernel(self, moment: Moment) -> Iterator[Family]:
        """What the capturing host's own kernel counts; nothing where it is not watched."""
        host = moment.host
        if host is None:
            return
        text = "Sockets in TIME_WAIT by the kernel's own count."
        yield _gauge("kernel_time_wait_sockets", text, ("hostname",), {(host.name,): host.time_waits})
        if host.buckets is not None:
            text = "The most that the kernel keeps in TIME_WAIT (tcp_max_tw_buckets)."
            yield _gauge("kernel_time_wait_limit", text, ("hostname",), {(host.name,): host.buckets})
        if host.overflows is not None:
            text = "TIME_WAITs that the kernel did not keep for want of buckets, since the capture began."
            yield self._counter("kernel_time_wait_overflows", text, ("hostname",), {(host.name,): host.overflows})

    def _ports(self, moment: Moment) -> Iterator[Family]:
        assumed = Assumptions(ports=moment.report.port_range, hosts=moment.report.port_rules)
        known = [
            pair for pair in moment.report.summary["pairs"] if pair["client"] and pair["ports"]["held_peak_max"] > 1
        ]
        shares = {_triple(pair): pair["ports"]["held_at_end_max"] / port_range_of(pair, assumed).size for pair in known}
        self._triples.admit(sorted(shares, key=lambda key: -shares[key]))
        shown = [pair for pair in known if _triple(pair) in self._triples.taken]
        labels = ("client", "server", "port")
        for name, text in (("min", "the proven least"), ("max", "the modelled most")):
            held: Samples = {_triple(pair): pair["ports"][f"held_at_end_{name}"] for pair in shown}  # type: ignore[literal-required]
            yield _gauge(f"ports_held_{name}", f"Ephemeral ports held: {text}.", labels, held)
        ranges: Samples = {_triple(pair): port_range_of(pair, assumed).size for pair in shown}
        yield _gauge("ports_range", "Ephemeral ports that the client has for each destination.", labels, ranges)
        worst = max(shares.values(), default=0.0)
        yield _gauge(
            "worst_ports_held_ratio",
            "The greatest part of its range that any client holds towards one service.",
            (),
            {(): worst},
        )

    def _http(self, moment: Moment) -> Iterator[Family]:
        yield self._per_service(
            moment, "exchanges", "HTTP/1.x responses, by version and by whether they let the connection persist.",
            ("version", "persistent"), lambda pair: _messages(pair, "response", option=False),
        )  # fmt: skip
        yield self._per_service(
            moment, "requests", "HTTP/1.x requests, by version, Connection option and whether they let it persist.",
            ("version", "option", "persistent"), lambda pair: _messages(pair, "request", option=True),
        )  # fmt: skip
        yield self._per_service(
            moment, "keepalive_races", "Requests sent as the server closed the idle connection.", (),
            lambda pair: {(): pair["http"]["keepalive_races"]},
        )  # fmt: skip

    def _found(self, moment: Moment) -> Family:
        """A finding that was there once is 0 when it is gone, so that an alert on it ends."""
        now = Counter((finding.code, finding.severity) for finding in moment.report.findings)
        self._findings |= now.keys()
        samples: Samples = {key: now[key] for key in sorted(self._findings)}  # type: ignore[index]
        return _gauge("findings", "Findings of the report as it stands.", ("code", "severity"), samples)


def _gauge(name: str, text: str, labels: Labels, samples: Mapping[Labels, float]) -> Family:
    return Family(f"pcapwatch_{name}", text, labels, dict(samples), counter=False)


def _sums() -> _Sums:
    return defaultdict(float)


def _service(pair: PairFacts) -> Labels:
    return (OTHER,) if pair["server"] is None else (endpoint(pair["server"], pair["server_port"]),)


def _triple(pair: PairFacts) -> Labels:
    return str(pair["client"]), str(pair["server"]), str(pair["server_port"])


def _messages(pair: PairFacts, side: str, *, option: bool) -> Samples:
    total = _sums()
    for message in pair["http"]["messages"]:
        if message["side"] == side:
            head = (VERSIONS.get(message["version"], OTHER), *((message["option"],) if option else ()))
            total[*head, "yes"] += message["persistent"]
            total[*head, "no"] += message["count"] - message["persistent"]
    return total


def _version() -> str:
    try:
        return version("pcapwatch")
    except PackageNotFoundError:
        return "unknown"


#: Read while the package can be: not every user may.
_VERSION = _version()
