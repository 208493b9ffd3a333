"""Whether a client is a proxy: then its User-Agent is its own clients', and the cure is its upstream keep-alive.

Three signs, from proof to likeness:

* its requests carry what proxies add (Via, Forwarded, X-Forwarded-For, -Host, -Proto, X-Real-IP);
* its address serves HTTP in the same capture, to clients whose User-Agents it repeats (or where either is unseen);
* another address was asked the same meanwhile: as many requests, by the same User-Agents. A proxy has one address
  towards its clients and often another towards its upstream.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pcapwatch.findings import advice
from pcapwatch.findings.service import Service
from pcapwatch.summary import PairFacts, Summary

#: Requests that two legs must have to be compared, and how far their numbers may be apart (retries, other locations).
FEWEST_REQUESTS, APART = 10, 0.1

#: Pairs with the same User-Agents beyond which likeness is not looked for: each is held against each, and so many alike
#: tell nothing.
MOST_ALIKE = 300

SURE, LIKELY = "a proxy", "a proxy, it seems"


def leg_of(summary: Summary, pair: PairFacts) -> str:
    """What the pair's client is, as far as the capture tells: `SURE`, `LIKELY`, or ``""`` for no proxy."""
    if 2 * pair["http"]["forwarded"] >= pair["http"]["connections"] > 0:
        return SURE
    if not pair["http"]["requests"] or pair["client"] == pair["server"]:
        return ""  # on one address (loopback) anyone is a server to someone
    index = _index_of(summary["pairs"])
    if any(_fronts(front, pair) for front in index.by_server.get(pair["client"], ())):
        return SURE
    return LIKELY if _is_mirrored(index, pair) else ""


def kind_of(summary: Summary, service: Service) -> str:
    """What all clients of a service are, in brackets; ``""`` if not all are proxies."""
    legs = {leg_of(summary, pair) for pair in service.pairs}
    if "" in legs:
        return ""
    one = SURE if legs == {SURE} else LIKELY
    return f" ({one})" if len(service.pairs) == 1 else f" ({one.replace('a proxy', 'proxies')})"


def client_hints(summary: Summary, service: Service) -> list[str]:
    """How the clients of a service keep connections: proxies by their upstream settings, others by User-Agent."""
    legs = [leg_of(summary, pair) for pair in service.pairs]
    if not any(legs):
        return advice.client_hints(service.texts("user_agents"))
    others = tuple(pair for pair, leg in zip(service.pairs, legs, strict=True) if not leg)
    own = service._replace(pairs=others).texts("user_agents") if others else []
    return [*advice.PROXY_KEEPS, *(advice.client_hints(own) if others or LIKELY in legs else [])]


class _Index(NamedTuple):
    """The pairs that carry HTTP (or TLS) by server, those with User-Agents by these, and the clients' requests."""

    pairs: list[PairFacts]
    by_server: dict[str | None, list[PairFacts]]
    by_agents: dict[tuple[str, ...], list[PairFacts]]
    asked: dict[str | None, int]


#: The last pairs asked about: rules ask for each of up to ten thousand.
_last = _Index([], {}, {}, {})


def _index_of(pairs: list[PairFacts]) -> _Index:
    global _last  # noqa: PLW0603 - one summary is asked about at a time, and the index is only a shorter way to it
    if _last.pairs is not pairs:
        _last = _Index(pairs, {}, {}, {})
        for pair in pairs:
            http = pair["http"]
            if http["requests"] or pair["protocol"].get("tls"):
                _last.by_server.setdefault(pair["server"], []).append(pair)
            if http["user_agents"]:
                _last.by_agents.setdefault(tuple(http["user_agents"]), []).append(pair)
            _last.asked[pair["client"]] = _last.asked.get(pair["client"], 0) + http["requests"]
    return _last


def _fronts(front: PairFacts, back: PairFacts) -> bool:
    agents, own = set(front["http"]["user_agents"]), set(back["http"]["user_agents"])
    return not agents or not own or bool(agents & own)


def _is_mirrored(index: _Index, back: PairFacts) -> bool:
    number = index.asked.get(back["client"], 0)
    if len(index.by_agents.get(tuple(back["http"]["user_agents"]), ())) > MOST_ALIKE:
        return False
    return number >= FEWEST_REQUESTS and any(
        abs(asked - number) <= APART * number for asked in _asked_elsewhere(index, back)
    )


def _asked_elsewhere(index: _Index, back: PairFacts) -> Iterator[int]:
    """Requests to each other service by others with the same User-Agents, who began before this leg and end after."""
    fronts: dict[tuple[str | None, int], int] = {}
    for pair in index.by_agents.get(tuple(back["http"]["user_agents"]), ()):
        service = (pair["server"], pair["server_port"])
        around = pair["first_ns"] <= back["first_ns"] <= pair["last_ns"]
        if around and pair["client"] != back["client"] and service != (back["server"], back["server_port"]):
            fronts[service] = fronts.get(service, 0) + pair["http"]["requests"]
    yield from fronts.values()
