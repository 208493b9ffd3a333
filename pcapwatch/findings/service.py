"""The pairs of one service taken together, so that a rule speaks once per service and not once per client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import groupby
from typing import Literal, NamedTuple, TypeAlias

from pcapwatch.findings.assumptions import SECOND_NS
from pcapwatch.findings.coverage import overflowed
from pcapwatch.findings.wording import count, endpoint, mean
from pcapwatch.summary import Exemplar, MaxRequests, PairFacts, PairHttp, ServiceFacts, Summary

PairField: TypeAlias = Literal["close", "unrepeated", "active_closer", "time_wait_holder", "resets", "protocol"]
HttpField: TypeAlias = Literal[
    "connections",
    "requests",
    "responses",
    "single_request_client_close",
    "reusable_closed_by_client",
    "reusable_closed_by_server",
    "keepalive_races",
    "stale_reuses",
    "unprocessed",
]


#: A pace that is so many times the mean is said with its time.
UNEVEN = 1.2

#: What a last message says that ends its connection (RFC 9112 §9.3): Connection: close, or HTTP/1.0 without keep-alive.
ENDS_IT = ("close", "http/1.0")


class Endings(NamedTuple):
    """Connections that one side closed first because a message ended them, none counted twice.

    asked: by the last request, ``Connection: close`` or HTTP/1.0 without keep-alive; told: by the last response though
    the request would have gone on; limited: told so at the server's maximum of two or more requests; silent: without
    any response, whatever the request said.
    """

    asked_close: int
    asked_http10: int
    told_close: int
    told_http10: int
    limited: int
    silent: int
    asked_requests: int
    told_requests: int

    @property
    def asked(self) -> int:
        """By the client's messages."""
        return self.asked_close + self.asked_http10

    @property
    def told(self) -> int:
        """By the server's, its limit aside."""
        return self.told_close + self.told_http10

    @property
    def requests_each(self) -> float:
        """Mean requests on those, the limit's aside."""
        return (self.asked_requests + self.told_requests) / max(self.asked + self.told, 1)


def _reached(limit: MaxRequests, active_closer: str) -> int:
    """Connections at the limit that one side closed first."""
    if active_closer == "server":
        return limit["closed_by_server"]
    return limit["connections"] - limit["closed_by_server"]


class Service(NamedTuple):
    """One server address and port with the pairs (one per client) that a rule looks at; sums are over those pairs."""

    server: str
    server_port: int
    pairs: tuple[PairFacts, ...]
    #: Whether it may have more connections than these, among those of pairs beyond ``max_pairs``.
    partial: bool = False
    #: Its busiest time, of all its clients, and the time of the capture's first packet.
    busy: ServiceFacts | None = None
    start_ns: int = 0

    def __str__(self) -> str:
        return endpoint(self.server, self.server_port)

    @property
    def clients(self) -> str:
        """The one client's address, or how many clients."""
        if len(self.pairs) == 1:
            return str(self.pairs[0]["client"])
        return f"{count(len(self.pairs))} clients"

    def verb(self, plural: str) -> str:
        """The word for what its clients do: ``closes`` of one, ``close`` of several."""
        return f"{plural}s" if len(self.pairs) == 1 else plural

    @property
    def connections(self) -> int:
        """Connections of all pairs."""
        return sum(pair["connections"] for pair in self.pairs)

    @property
    def span_ns(self) -> int:
        """First packet to last packet over all pairs, ns."""
        return max(pair["last_ns"] for pair in self.pairs) - min(pair["first_ns"] for pair in self.pairs)

    def per_s(self, number: int) -> float:
        """The rate of so many of its connections when it was busiest, or as a mean over the span if that is more.

        A quiet hour behind a burst makes the burst no smaller. Of its connections so many are taken to be of the kind
        then as on the whole. What is shorter than one second counts as one.
        """
        return max(self._mean_per_s(number), self._busy_per_s(number))

    def _mean_per_s(self, number: int) -> float:
        return number * SECOND_NS / max(self.span_ns, SECOND_NS)

    def _busy_per_s(self, number: int) -> float:
        if self.busy is None:
            return 0.0
        opened = self.busy["busy_opened"] * number / max(self.busy["connections"], 1)
        return opened * SECOND_NS / max(self.busy["busy_ns"], SECOND_NS)

    def pace(self, number: int, what: str = "") -> str:
        """The rate in words, and when that was if it is not the pace of the whole: ``what`` comes after its number."""
        said = f"{mean(self.per_s(number))}{what} per second"
        uneven = self._busy_per_s(number) > UNEVEN * self._mean_per_s(number)
        return f"{said}{self.busiest}" if uneven else said

    @property
    def busiest(self) -> str:
        """When it was busiest, to be said behind a rate: `` in its busiest 10 s, 3 s into the capture``."""
        if self.busy is None:
            return ""
        since_s = (self.busy["busy_from_ns"] - self.start_ns) // SECOND_NS
        when = f"{count(since_s)} s into the capture" if since_s > 0 else "at the capture's start"
        return f" in its busiest {mean(round(self.busy['busy_ns'] / SECOND_NS, 1))} s, {when}"

    def tally(self, field: PairField, *words: str) -> int:
        """Connections under any of the given words of one of the count tables."""
        return sum(pair[field].get(word, 0) for pair in self.pairs for word in words)

    def http(self, field: HttpField) -> int:
        """Sum of one figure of the pairs' HTTP facts."""
        return sum(pair["http"][field] for pair in self.pairs)

    @property
    def http_facts(self) -> list[PairHttp]:
        """HTTP facts of the pairs that carried HTTP."""
        return [pair["http"] for pair in self.pairs if pair["http"]["connections"]]

    def closed_after(self, announced_by: Iterable[str], active_closer: str) -> int:
        """HTTP connections that the given side closed first after the given sides had announced it."""
        wanted = set(announced_by)
        rows = (row for facts in self.http_facts for row in facts["closed_after"])
        return sum(r["count"] for r in rows if r["active_closer"] == active_closer and r["announced_by"] in wanted)

    def endings(self, active_closer: str) -> Endings:
        """Connections that the given side closed first, by which message said that they would not persist."""
        rows = [row for facts in self.http_facts for row in facts["endings"] if row["active_closer"] == active_closer]
        limits = [facts["max_requests"] for facts in self.http_facts]
        reached = [limit for limit in limits if limit and limit["requests"] > 1]
        limited = sum(_reached(limit, active_closer) for limit in reached)
        at_limit = sum(limit["requests"] * _reached(limit, active_closer) for limit in reached)
        silent = [row for row in rows if row["request"] != "unseen" and row["response"] == "silent"]
        rows = [row for row in rows if row not in silent]
        asked = [row for row in rows if row["request"] in ENDS_IT]
        told = [row for row in rows if row["request"] not in ENDS_IT and row["response"] in ENDS_IT]
        return Endings(
            asked_close=sum(row["count"] for row in asked if row["request"] == "close"),
            asked_http10=sum(row["count"] for row in asked if row["request"] != "close"),
            told_close=max(sum(row["count"] for row in told if row["response"] == "close") - limited, 0),
            told_http10=sum(row["count"] for row in told if row["response"] != "close"),
            limited=limited,
            silent=sum(row["count"] for row in silent),
            asked_requests=sum(row["requests"] for row in asked),
            told_requests=max(sum(row["requests"] for row in told) - at_limit, 0),
        )

    def messages(self, side: str, version: str | None = None, option: str | None = None) -> int:
        """Requests or responses, all of them or those of one version and one Connection option."""
        rows = (row for facts in self.http_facts for row in facts["messages"] if row["side"] == side)
        return sum(r["count"] for r in rows if version in (None, r["version"]) and option in (None, r["option"]))

    def ends_at_once(self, side: str) -> bool:
        """Whether at least half of a side's messages do not let the connection persist (RFC 9112 §9.3)."""
        rows = [row for facts in self.http_facts for row in facts["messages"] if row["side"] == side]
        ending = sum(row["count"] - row["persistent"] for row in rows)
        return ending > 0 and 2 * ending >= sum(row["count"] for row in rows)

    def texts(self, field: Literal["server_software", "user_agents"]) -> list[str]:
        """Distinct header values as they were on the wire, in byte order."""
        return sorted({text for facts in self.http_facts for text in facts[field]})

    @property
    def requests_each(self) -> float:
        """Mean requests per connection that carried one."""
        return self.http("requests") / max(self.http("connections"), 1)

    def exemplars(self, *kinds: str) -> list[Exemplar]:
        """Exemplar connections of the first of these kinds that has any, earliest first, at most three."""
        for kind in kinds:
            found = [exemplar for pair in self.pairs for exemplar in pair["exemplars"].get(kind, [])]
            if found:
                return sorted(found, key=lambda exemplar: exemplar["ordinal"])[:3]
        return []

    def narrowed(self, wanted: Callable[[PairFacts], bool]) -> Service | None:
        """The same service with the pairs that satisfy a condition; ``None`` if there are none."""
        pairs = tuple(pair for pair in self.pairs if wanted(pair))
        return self._replace(pairs=pairs) if pairs else None


#: The summary that is being judged, and its services.
_MADE: ContextVar[tuple[Summary, Sequence[Service]] | None] = ContextVar("services made", default=None)


@contextmanager
def services_made_once(summary: Summary) -> Iterator[None]:
    """Within it `services` of this very summary are made once, whoever asks; it must not change meanwhile.

    A dozen rules ask, and of ten thousand pairs they take time. Nothing is kept afterwards.
    """
    made = _MADE.get()
    token = _MADE.set(made if made and made[0] is summary else (summary, tuple(_services(summary))))
    try:
        yield
    finally:
        _MADE.reset(token)


def services(summary: Summary) -> Iterator[Service]:
    """Every service in order of address and port; the overflow entry, which mixes services, is left out."""
    made = _MADE.get()
    return iter(made[1]) if made and made[0] is summary else _services(summary)


def _services(summary: Summary) -> Iterator[Service]:
    named = [(pair["server"], pair["server_port"], pair) for pair in summary["pairs"] if pair["server"] is not None]
    partial = overflowed(summary) > 0
    named.sort(key=lambda entry: entry[:2])
    busy = {(one["server"], one["server_port"]): one for one in summary["services"]}
    start_ns = summary["capture"]["first_ns"] or 0
    for (server, port), entries in groupby(named, key=lambda entry: entry[:2]):
        pairs = tuple(pair for _, _, pair in entries)
        yield Service(server, port, pairs, partial, busy.get((server, port)), start_ns)
