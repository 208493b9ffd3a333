"""The engine's pairs gathered into the rows a reader can take in: the busiest apart, the rest as a number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, cast

from pcapwatch.findings.coverage import unheard
from pcapwatch.report.model import Closers, Persistence, Trouble
from pcapwatch.summary import Distribution, PairFacts, Summary

#: Services shown apart, and clients of one service shown apart when it has more.
SERVICES_SHOWN = 8
CLIENTS_SHOWN = 5


class Group(NamedTuple):
    """Pairs that make one row. client and server are ``None`` where they differ."""

    client: str | None
    clients: int
    server: str | None
    server_port: int
    pairs: tuple[PairFacts, ...]

    def total(self, field: str, word: str | None = None) -> int:
        """The sum of one number of every pair, or of one word's in one of its tables; an absent word counts 0."""
        pairs: tuple[dict[str, Any], ...] = cast(Any, self.pairs)
        if word is None:
            return sum([pair[field] for pair in pairs])
        return sum([pair[field].get(word, 0) for pair in pairs])

    @property
    def connections(self) -> int:
        """All of them."""
        return self.total("connections")


def grouped(summary: Summary) -> list[Group]:
    """Rows, busiest service first and within it the busiest clients; then what is left as one row."""
    services = _by_service(summary["pairs"])
    rows = [row for service in services[:SERVICES_SHOWN] for row in _clients(service)]
    rest = [pair for service in services[SERVICES_SHOWN:] for pair in service]
    return [*rows, _merged(None, 0, rest)] if rest else rows


def by_service(summary: Summary) -> list[Group]:
    """One row per service, busiest first."""
    return [_merged(pairs[0]["server"], pairs[0]["server_port"], pairs) for pairs in _by_service(summary["pairs"])]


def _by_service(pairs: Iterable[PairFacts]) -> list[list[PairFacts]]:
    def key(pair: PairFacts) -> tuple[str, int]:
        return pair["server"] or "", pair["server_port"]

    services = [list(group) for _, group in groupby(sorted(pairs, key=key), key=key)]
    return sorted(services, key=lambda service: (-sum(p["connections"] for p in service), key(service[0])))


def _clients(service: list[PairFacts]) -> list[Group]:
    ordered = sorted(service, key=lambda pair: (-pair["connections"], pair["client"] or ""))
    apart = ordered if len(ordered) <= CLIENTS_SHOWN + 1 else ordered[:CLIENTS_SHOWN]
    server, port = service[0]["server"], service[0]["server_port"]
    rows = [Group(pair["client"], 1, server, port, (pair,)) for pair in apart]
    rest = ordered[len(apart) :]
    return [*rows, _merged(server, port, rest)] if rest else rows


def _merged(server: str | None, port: int, pairs: list[PairFacts]) -> Group:
    clients = {pair["client"] for pair in pairs}
    only = next(iter(clients)) if len(clients) == 1 else None
    return Group(only, len(clients), server, port, tuple(pairs))


def closers(group: Group) -> Closers:
    """The closer table's row."""
    http = group.total("http", "connections")
    return Closers(
        client=group.client,
        clients=group.clients,
        server=group.server,
        server_port=group.server_port,
        connections=group.connections,
        client_first=group.total("active_closer", "client"),
        server_first=group.total("active_closer", "server"),
        crossed=group.total("active_closer", "both"),
        undecided=group.total("active_closer", "ambiguous"),
        not_closed=group.total("active_closer", "none"),
        reset=group.total("close", "reset"),
        refused=group.total("close", "refused"),
        unanswered=group.total("close", "unanswered"),
        half_open=group.total("close", "half_open"),
        open=group.total("close", "open"),
        requests_each=group.total("http", "requests") / http if http else None,
    )


def persistence(group: Group) -> Persistence:
    """The HTTP row; inferred settings only where the group's pairs agree on them."""
    facts = [pair["http"] for pair in group.pairs]
    idle = max((f["idle_timeout"] for f in facts if f["idle_timeout"]), key=lambda i: i["count"], default=None)
    limits = {f["max_requests"]["requests"] for f in facts if f["max_requests"]}
    return Persistence(
        client=group.client,
        clients=group.clients,
        server=group.server,
        server_port=group.server_port,
        connections=group.total("http", "connections"),
        requests=group.total("http", "requests"),
        messages=_tallied(
            (m for f in facts for m in f["messages"]), ("side", "version", "option"), ("count", "persistent")
        ),
        closed_after=_tallied(
            (c for f in facts for c in f["closed_after"]), ("announced_by", "active_closer"), ("count",)
        ),
        requests_per_connection=_summed(f["requests_per_connection"] for f in facts),
        idle_before_close_ns=_widest(f["idle_before_close"] for f in facts),
        idle_timeout_ns=idle["timeout_ns"] if idle else None,
        idle_timeout_of=(idle["count"], idle["of"]) if idle else None,
        announced_timeout_s=tuple(sorted({s for f in facts for s in f["announced_timeout_s"]})),
        max_requests=limits.pop() if len(limits) == 1 else None,
        longest_reuse_gap_ns=max((f["longest_reuse_gap_ns"] for f in facts if f["longest_reuse_gap_ns"]), default=None),
        server_software=tuple(sorted({s for f in facts for s in f["server_software"]})[:8]),
        user_agents=tuple(sorted({s for f in facts for s in f["user_agents"]})[:8]),
    )


def trouble(group: Group, summary: Summary) -> Trouble:
    """The row of races and aborts; a response in the direction that was not captured is none that failed to come."""
    heard = [pair for pair in group.pairs if not unheard(summary, pair)]
    return Trouble(
        client=group.client,
        clients=group.clients,
        server=group.server,
        server_port=group.server_port,
        keepalive_races=group.total("http", "keepalive_races"),
        stale_reuses=group.total("http", "stale_reuses"),
        unprocessed=sum(pair["http"]["unprocessed"] for pair in heard),
        smuggling=group.total("http", "smuggling"),
        resets=_summed(pair["resets"] for pair in group.pairs),
    )


def _tallied(
    rows: Iterable[Mapping[str, Any]], words: tuple[str, ...], numbers: tuple[str, ...]
) -> tuple[dict[str, Any], ...]:
    """Rows alike in ``words`` made one, their ``numbers`` added; most first."""
    sums: dict[tuple[str, ...], dict[str, int]] = {}
    alike = itemgetter(*words)
    for row in rows:
        total = sums.setdefault(alike(row), dict.fromkeys(numbers, 0))
        for name in numbers:
            total[name] += row[name]
    ordered = sorted(sums.items(), key=lambda item: (-item[1]["count"], item[0]))
    return tuple({**dict(zip(words, key, strict=True)), **total} for key, total in ordered)


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for count in counts:
        for word, number in count.items():
            total[word] = total.get(word, 0) + number
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def _widest(distributions: Iterable[Distribution | None]) -> dict[str, int] | None:
    """One pair's distribution as it is; of several the extremes, and the quantiles of the one with most samples."""
    known = [d for d in distributions if d]
    if not known:
        return None
    largest = max(known, key=lambda d: d["count"])
    extremes = {"min_ns": min(d["min_ns"] for d in known), "max_ns": max(d["max_ns"] for d in known)}
    return {
        "count": sum(d["count"] for d in known),
        **extremes,
        **{q: largest[q] for q in ("p50_ns", "p90_ns", "p99_ns")},
    }
