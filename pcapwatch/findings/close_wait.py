"""CLOSE_WAIT dwell: the application did not close

What it detects
    One side closed and the other did not follow. Late: a second or more, as the median of two or more such connections
    of a client. Or not at all: three or more are still half-closed when the capture ends, and two of them had been so,
    without a packet, for a second or more; of a client with fewer only if the client closed. Where the capture lacks
    packets, only if they are at least half of what that side closed.

Why it matters
    The late side sits in CLOSE_WAIT with a descriptor each; the early side sits in FIN_WAIT_2, and nobody in TIME_WAIT
    until the second FIN. No kernel timer ends CLOSE_WAIT: the application has to close, or its descriptors run out. A
    warning where a server left ten or more, half of what its clients closed, for ten seconds.

Evidence
    First FIN of one side to first FIN of the other. Where there is no other, the capture's end less the connection's
    last packet: the least time that it was half-closed.

When it is wrong
    A half-close can be meant: the other side may still be sending. A pool that notices a close at its next use
    (Python requests) dwells here harmlessly until then. A second FIN that the capture lacks looks like one that was
    never sent; a first one that was never acknowledged leaves its sender in FIN_WAIT_1, and is sent again.

Remedy
    Close the socket when a read returns end of stream: one that nobody closes is a leaked descriptor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pcapwatch.findings import advice
from pcapwatch.findings.assumptions import SECOND_NS, Assumptions
from pcapwatch.findings.coverage import dropped, end_words, has_gaps, lacks_acks, seen_until_ns
from pcapwatch.findings.evidence import evidence_of
from pcapwatch.findings.service import Service, services
from pcapwatch.findings.wording import count, counted, duration
from pcapwatch.report.model import Finding, Severity
from pcapwatch.summary import Distribution, PairFacts, Summary

CODE = "PW111"
NAME = "close-wait-dwell"

DWELL_NS = SECOND_NS
#: Half-closed connections at the end of a capture from which it is not merely the moment the capture stopped.
MANY = 10
#: Fewer that were never closed are no habit.
FEWEST = 3
#: A server that did not close for so long is not merely slow to.
LONG_NS = 10 * SECOND_NS

OTHER = {"client": "server", "server": "client"}


class Left(NamedTuple):
    """Connections that are half-closed at the end: how many, for how long at the least, and by whose fault.

    some_ns: two of them or more; all_ns: each; closed: what the other side closed first, of all clients; side: who did
    not close, ``None`` where it cannot be told.
    """

    number: int
    some_ns: int
    all_ns: int
    closed: int
    side: str | None


def check(summary: Summary, assumptions: Assumptions) -> Iterator[Finding]:
    """One finding per service with connections left half-closed."""
    filtered = _lacks_short(summary)
    for service in services(summary):
        some = None if filtered else service.narrowed(lambda pair: _is_left(summary, pair))
        left = _left(summary, service, some) if some else None
        if concerned := service.narrowed(lambda pair, left=left: _is_late(pair) or (left and _is_left(summary, pair))):  # type: ignore[misc]
            yield _finding(summary, concerned, left)


def _is_late(pair: PairFacts) -> bool:
    dwell = pair["half_close"]
    return bool(dwell and dwell["count"] >= 2 and dwell["p50_ns"] >= DWELL_NS)


def _is_left(summary: Summary, pair: PairFacts) -> bool:
    """Whether some are half-closed at the end, and for long: not where a limit on memory ended them before.

    Of a few, a FIN that nobody acknowledged would be sent again, and a client may sleep.
    """
    number = _number(pair)
    if number < 1 or summary["capture"]["evicted_connections"] or _longest_ns(summary, pair)[0] < DWELL_NS:
        return False
    return number >= FEWEST or (pair["retransmits"] < number and not pair["active_closer"].get("server", 0))


def _number(pair: PairFacts) -> int:
    """Those whose missing FIN is not known to be the capture's fault."""
    lost = max(pair["active_closer"].get("ambiguous", 0), pair["time_wait_holder"].get("unknown", 0))
    return pair["close"].get("half_closed", 0) - lost


def _since_last_ns(summary: Summary, pair: PairFacts) -> int:
    """How long all connections of a pair were silent before the capture ended; not known where files are missing."""
    return 0 if has_gaps(summary) else max((summary["capture"]["last_ns"] or 0) - pair["last_ns"], 0)


def _longest_ns(summary: Summary, pair: PairFacts) -> list[int]:
    """How long the two longest half-closed ones were so, at the least: as examples, or as all of the pair."""
    all_ns = _since_last_ns(summary, pair)
    examples = pair["exemplars"].get("half_closed", [])
    known = [seen_until_ns(summary, one["end_ns"]) - one["end_ns"] for one in examples]
    return sorted([*known, all_ns, all_ns], reverse=True)[: min(_number(pair), 2)]


def _left(summary: Summary, service: Service, some: Service) -> Left | None:
    """What the pairs with any come to; ``None`` if that is no habit, or may be the capture's fault."""
    number = sum(map(_number, some.pairs))
    longest_ns = sorted((ns for pair in some.pairs for ns in _longest_ns(summary, pair)), reverse=True)
    if number < FEWEST or longest_ns[1] < DWELL_NS:
        return None
    most = {side: _most_left_by(some, side) for side in OTHER}
    closer = max(most, key=lambda side: most[side])
    closed = service.tally("active_closer", closer)
    capture = summary["capture"]
    # Those that a gap between files cut off were in sight too short a time.
    lacks = dropped(capture) or capture["connection_quality"].get("gap", 0)
    if lacks and 2 * number < closed:
        return None
    all_ns = min(_since_last_ns(summary, pair) for pair in some.pairs)
    told = 2 * most[OTHER[closer]] <= number
    return Left(number, longest_ns[1], all_ns, closed, OTHER[closer] if told else None)


def _lacks_short(summary: Summary) -> bool:
    """Whether a filter passed data and no acknowledgment: a FIN without data did not pass it either."""
    return lacks_acks(summary) and any(pair["client_bytes"] or pair["server_bytes"] for pair in summary["pairs"])


def _most_left_by(service: Service, closer: str) -> int:
    """Connections that a side closed by a FIN and holds no TIME_WAIT of, at the most."""
    aborted = max(service.tally("resets", f"{closer} abort") - service.tally("close", "reset_after_fin"), 0)
    waiting = service.tally("time_wait_holder", closer)
    return max(service.tally("active_closer", closer) - aborted - waiting, 0)


def _may_close_yet(left: Left, dwells: list[Distribution]) -> bool:
    """Whether others that closed late took as long as those that are left are known to."""
    return any(dwell["max_ns"] >= left.some_ns for dwell in dwells)


def _severity(left: Left | None, number: int, *, may_close: bool) -> Severity:
    if (
        left
        and not may_close
        and left.side == "server"
        and left.number >= max(MANY, left.closed / 2)
        and left.some_ns >= LONG_NS
    ):
        return "warning"
    return "notice" if number >= MANY else "info"


def _sides(service: Service, left: Left | None) -> tuple[str, str]:
    """Who is late, and who closed first."""
    if left and not left.side:
        return "one side", "the other"
    by_client = service.tally("active_closer", "client") >= service.tally("active_closer", "server")
    late = (left.side if left else None) or ("server" if by_client else "client")
    names = {"server": str(service), "client": service.clients}
    return names[late], names[OTHER[late]]


def _late_words(late: str, dwells: list[Distribution]) -> str:
    number = sum(dwell["count"] for dwell in dwells)
    longest, median = max(dwell["max_ns"] for dwell in dwells), max(dwell["p50_ns"] for dwell in dwells)
    return (
        f"{late} left {counted(number, 'connection')} half-closed after the other side's FIN, median "
        f"{duration(median)}, longest {duration(longest)}"
    )


def _left_words(service: Service, left: Left, late: str, closer: str) -> str:
    """How long, and the states of both; a FIN that nobody acknowledges is sent again, until it is given up."""
    span = (
        f"for {duration(left.all_ns)} or more"
        if left.all_ns >= DWELL_NS
        else f"some for {duration(left.some_ns)} or more"
    )
    repeated = sum(pair["retransmits"] for pair in service.pairs)
    unless = " if its kernel acknowledged the FINs" if repeated >= left.number else ""
    return (
        f", {span}: CLOSE_WAIT at {late}{unless}, FIN_WAIT_2 at {closer} while its kernel keeps that, no TIME_WAIT "
        "until the second FIN"
    )


def _title(service: Service, left: Left | None, dwells: list[Distribution], still: int, when: str) -> str:
    late, closer = _sides(service, left)
    words = [_late_words(late, dwells)] if dwells else []
    if left:
        what = f"{count(still)} more are" if dwells else f"{late} left {counted(still, 'connection')}"
        words.append(f"{what} still half-closed {when}{_left_words(service, left, late, closer)}")
    elif still:
        words.append(f"{count(still)} more {when}")
    return "; ".join(words)


def _numbers(
    service: Service, left: Left | None, dwells: list[Distribution], still: int
) -> dict[str, int | float | str]:
    numbers: dict[str, int | float | str] = {
        "service": str(service),
        "clients": service.clients,
        "connections": sum(dwell["count"] for dwell in dwells) + still,
        "half_closed_at_end": still,
    }
    if dwells:
        numbers["dwell_median_s"] = round(max(dwell["p50_ns"] for dwell in dwells) / SECOND_NS, 3)
        numbers["dwell_longest_s"] = round(max(dwell["max_ns"] for dwell in dwells) / SECOND_NS, 3)
    if left:
        numbers["half_closed_at_least_s"] = round(left.some_ns / SECOND_NS, 3)
    if left and left.side:
        numbers["close_wait_side"] = left.side
    return numbers


def _finding(summary: Summary, service: Service, left: Left | None) -> Finding:
    dwells = [pair["half_close"] for pair in service.pairs if pair["half_close"] and _is_late(pair)]
    still = left.number if left else service.tally("close", "half_closed")
    numbers = _numbers(service, left, dwells, still)
    port, goes_on = service.server_port, summary["capture"]["live"]["goes_on"]
    ended = f"when {end_words(summary)}" if left else "at the end of the capture"
    where = "the late side"
    if left and left.side:
        where = service.server if left.side == "server" else service.clients
    never = "; one that nobody closes is a leaked descriptor: look at error paths, and at what waits" if left else ""
    return Finding(
        code=CODE,
        name=NAME,
        severity=_severity(left, int(numbers["connections"]), may_close=bool(left and _may_close_yet(left, dwells))),
        title=_title(service, left, dwells, still, "so far" if goes_on else ended),
        numbers=numbers,
        evidence=evidence_of(
            summary,
            service.exemplars("half_closed"),
            "one FIN only " + ("so far" if goes_on else "when the capture ends"),
        ),
        remedy=[f"application on {where}: close the socket when a read returns end of stream{never}"],
        verify=[f"on {where}: ss -Htanp state close-wait '( sport = :{port} or dport = :{port} )'"],
        do_not=[advice.NO_FIN_TIMEOUT],
        basis=(
            "observed: one FIN, and how long nothing followed; a second that the capture lacks would look the same"
            if left
            else "observed: from the first FIN of each side"
        ),
    )
