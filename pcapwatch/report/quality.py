"""What the capture is worth, and what the report took for granted."""

from __future__ import annotations

from collections.abc import Iterator

from pcapwatch.findings.coverage import capture_host, is_one_sided
from pcapwatch.findings.wording import count, counted, duration
from pcapwatch.report.files import file_concerns, file_remarks
from pcapwatch.report.model import PortRanges, Quality, Waiting
from pcapwatch.summary import CaptureFacts, Summary

#: Moments of a microsecond are every moment: packets are hardly ever nearer.
_EXACT_STEP_NS = 1000
_LINK_NAMES = {
    0: "null",
    1: "Ethernet",
    12: "raw IP",
    14: "raw IP",
    100: "LLC",
    101: "raw IP",
    105: "802.11",
    108: "loop",
    113: "Linux cooked v1",
    119: "802.11 with Prism header",
    127: "802.11 with radiotap",
    163: "802.11 with AVS header",
    192: "PPI",
    228: "raw IPv4",
    229: "raw IPv6",
    276: "Linux cooked v2",
}
#: What is said of one connection, and of several.
_CONNECTION_QUALITY = {
    "midstream": (
        "connection began before the capture, or its beginning is missing from it",
        "connections began before the capture, or their beginning is missing from it",
    ),
    "gap": ("connection misses bytes that were acknowledged", "connections miss bytes that were acknowledged"),
    "one_sided": (
        "connection was captured in one direction only",
        "connections were captured in one direction only",
    ),
    "reordered": ("connection has segments out of order", "connections have segments out of order"),
}


def link_name(link_type: int) -> str:
    """``Ethernet`` for 1; ``link type 105`` for what is not read."""
    return _LINK_NAMES.get(link_type, f"link type {link_type}")


def _link_types(capture: CaptureFacts) -> set[tuple[int, int | None]]:
    """Those of all interfaces: as their files state them, and as they were read if the user said so."""
    listed = {(i["link_type"], i["read_as"]) for file in capture["files"] for i in file["interfaces"]}
    return listed | {(stated, read_as) for stated, read_as in capture["unlisted"]["link_types"]}


def quality_of(summary: Summary) -> Quality:
    """The capture section's facts."""
    capture = summary["capture"]
    snaplens = [interface["snaplen"] for file in capture["files"] for interface in file["interfaces"]]
    snaplens.append(capture["unlisted"]["snaplen"])
    return Quality(
        files=tuple(_paths(capture)),
        packets=capture["packets"],
        segments=capture["segments"],
        connections=summary["totals"]["connections"],
        first_ns=capture["first_ns"],
        last_ns=capture["last_ns"],
        link_types=tuple(sorted({stated if read_as is None else read_as for stated, read_as in _link_types(capture)})),
        snaplen=min((length for length in snaplens if length), default=0),
        capture_host=capture_host(summary),
        concerns=tuple(_concerns(summary)),
        remarks=tuple(_remarks(capture)),
    )


def _paths(capture: CaptureFacts) -> list[str]:
    """The files in the order of their first packets; those without any have no time, and stand last by name alone."""
    timed = [file["path"] for file in capture["files"] if file["first_ns"] is not None]
    others = [file["path"] for file in capture["files"] if file["first_ns"] is None]
    last = timed[-1] if timed else ""
    inside, behind = ([path for path in others if (path > last) is is_behind] for is_behind in (False, True))
    return [*timed[:-1], *inside, *timed[-1:], *behind]


def _concerns(summary: Summary) -> Iterator[str]:
    capture = summary["capture"]
    yield from file_concerns(capture)
    fragments = capture["fragments"]
    counted_losses = (
        (capture["evicted_connections"], "connection", "ended early by the limit on memory (--max-connections)"),
        (capture["overflow_connections"], "connection", "of pairs beyond --max-pairs, in the totals only"),
        (capture["reassembly_overflows"], "missing byte", "no longer waited for, by the limit on out-of-order bytes"),
        (capture["kept_overflows"], "byte", "kept for idle connections given up by the limit on memory"),
        (capture["long_heads"], "HTTP head", "not read: longer than max_head_bytes"),
        (capture["unnamed_tunnel_packets"], "packet", "in tunnels beyond the 65,536 that are told apart by name"),
        (
            capture["in_two_tunnels"],
            "packet",
            "captured in two tunnels or VLANs: such connections are counted in each",
        ),
        (fragments["overlapping"], "fragmented datagram", "given up because of fragments that overlap"),
        (fragments["incomplete"], "fragmented datagram", "of which fragments are missing"),
        (fragments["evicted"], "fragmented datagram", "given up by the limit on memory"),
        (capture["cut_packets"], "packet", f"captured cut short: {_cut_heads(summary)}"),
    )
    yield from (f"{counted(number, noun)} {what}" for number, noun, what in counted_losses if number)
    for word, (one, several) in _CONNECTION_QUALITY.items():
        if number := capture["connection_quality"].get(word, 0):
            more = _by_limit(capture, word) + (_other_way(summary) if word == "one_sided" else "")
            yield f"{count(number)} {one if number == 1 else several}{more}"
    if capture["malformed"]:
        yield f"malformed: {_kinds(capture['malformed'])}"
    if anomalies := capture["anomalies"]:
        yield f"{counted(sum(anomalies.values()), 'segment')} that fit no state: {_kinds(anomalies)}"


def _by_limit(capture: CaptureFacts, word: str) -> str:
    """What a limit may have made of whole connections."""
    if word == "gap" and (capture["reassembly_overflows"] or capture["kept_overflows"]):
        return ", or given up by a limit"
    if word in {"midstream", "one_sided"} and capture["evicted_connections"]:
        return ", or is what came of one that was ended early"
    return ""


def _other_way(summary: Summary) -> str:
    """Where the other direction may be, and what attempts without an answer are worth then."""
    number = summary["capture"]["one_sided_in_tunnels"]
    elsewhere = f", or each direction of them has a VLAN or tunnel of its own ({count(number)})" if number else ""
    return elsewhere + _unheard(summary)


def _unheard(summary: Summary) -> str:
    """What attempts without an answer are worth where most of what was heard shows one direction only."""
    if is_one_sided(summary) and (silent := summary["totals"]["close"].get("unanswered", 0)):
        return f"; {counted(silent, 'attempt')} without an answer in it may have had one"
    return ""


def _cut_heads(summary: Summary) -> str:
    """What the snaplen took from HTTP: all of it where no message was read, and it cut enough to be why."""
    totals = summary["totals"]
    other = sum(totals["protocol"].get(word, 0) for word in ("tls", "h2c"))
    requests, responses = (sum(pair["http"][word] for pair in summary["pairs"]) for word in ("requests", "responses"))
    few = 2 * summary["capture"]["cut_packets"] < totals["connections"]
    sent = any(pair["server_bytes"] for pair in summary["pairs"])
    for word, unread, read in (("responses", responses, requests if sent else 0), ("requests", requests, responses)):
        if 10 * unread < read and not few:
            return f"most heads of {word} could not be read; capture whole packets (without -s)"
    if requests or responses or few or 2 * other >= totals["connections"]:
        return "heads of HTTP may be missing"
    return "no head of HTTP could be read; capture whole packets (without -s)"


def _remarks(capture: CaptureFacts) -> Iterator[str]:
    yield from file_remarks(capture)
    yield from sorted(
        f"link type {stated} read as {link_name(read_as)}"
        for stated, read_as in _link_types(capture)
        if read_as is not None
    )
    if not any(capture["connection_quality"].get(word) for word in ("gap", "one_sided")):
        yield "no acknowledged bytes missing"
    yield from _duplicates(capture)
    if joined := capture["fragments"]["datagrams"]:
        yield f"{counted(joined, 'datagram')} put together from fragments"
    if more := capture["aggregated"]:
        yield f"{counted(more, 'packet')} more than frames: 802.11 frames that hold several (A-MSDU)"
    skipped = sum(capture["not_analysed"].values())
    yield f"{counted(skipped, 'packet')} not analysed" + (f": {_kinds(capture['not_analysed'])}" if skipped else "")


def _duplicates(capture: CaptureFacts) -> Iterator[str]:
    if not capture["duplicates"]:
        yield "no duplicates"
        return
    inside = capture["beside_tunnels"]
    detail = f", {count(inside)} of them packets that were captured in their tunnel or VLAN, too" if inside else ""
    yield f"{counted(capture['duplicates'], 'duplicate')} removed{detail}"


def _kinds(counts: dict[str, int], limit: int = 6) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(number for _, number in ordered[limit:])
    shown = [f"{kind} {count(number)}" for kind, number in ordered[:limit]]
    return ", ".join([*shown, f"other {count(rest)}"] if rest else shown)


def assumptions(summary: Summary, ranges: PortRanges, waiting: tuple[Waiting, ...]) -> Iterator[str]:
    """What was taken for granted, each with where it comes from."""
    ports = ranges.ports
    source = "--port-range" if ports.stated else "Linux default; --port-range states yours"
    others = " of every other client" if ranges.hosts else ""
    clients = {pair["client"] for pair in summary["pairs"]}
    for hosts, range_ in ranges.hosts:
        if range_.kernel is None:
            yield f"ephemeral ports of {hosts} {range_.low}-{range_.high} = {count(range_.size)} (--port-range)"
        elif hosts in clients:
            held = f" less {count(range_.reserved)} reserved" if range_.reserved else ""
            said = f"{range_.low}-{range_.high}{held} = {count(range_.size)} (read from its kernel, {range_.kernel})"
            yield f"ephemeral ports of {hosts} {said}"
    yield f"ephemeral ports{others} {ports.low}-{ports.high} = {count(ports.size)} ({source})"
    lengths: dict[str, list[str]] = {}
    for host in waiting:
        if any(host.basis.get(word) for word in ("model", "censored", "lower_only", "upper_only")):
            lengths.setdefault(_length(host), []).append(host.host or "other hosts")
    for text, waiters in sorted(lengths.items()):
        named = ", ".join(waiters[:3]) + (f" and {count(len(waiters) - 3)} more" if len(waiters) > 3 else "")
        yield f"TIME_WAIT {text}: {named}"
    if (step_ns := _step_ns(summary)) > _EXACT_STEP_NS:
        apart = f"peaks are the highest counts at moments {duration(step_ns)} apart"
        yield f"{apart}: what comes and goes between two of them is not in them"
    guessed = sum(pair["role_basis"].get(word, 0) for pair in summary["pairs"] for word in ("port", "first_packet"))
    if guessed:
        yield f"which side is the client of {counted(guessed, 'connection')}, from port or first packet alone"


def _step_ns(summary: Summary) -> int:
    """How far the moments lie apart at which TIME_WAITs and ports held are counted, at most."""
    hosts = (host["time_wait"]["peak_step_ns"] for host in summary["hosts"] if host["time_wait"])
    return max([*hosts, *(pair["ports"]["held_step_ns"] for pair in summary["pairs"])], default=0)


def _length(host: Waiting) -> str:
    low, high = host.length_ns
    span = duration(low) if low == high else f"{duration(low)} to {duration(high)}"
    stack = host.stack if host.stack and host.stack != "unknown" else "an unknown stack"
    source = {
        "flag": "stated by --time-wait",
        "kernel": "measured by the host's kernel's timers",
        "evidence": "from this capture's evidence",
        "default": f"default of {stack}, guessed from TTL, window and options",
    }
    return f"{span} ({source.get(host.length_source, host.length_source)})"
