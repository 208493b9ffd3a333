"""A snapshot as a page to be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pcapwatch.findings.wording import count, counted, endpoint
from pcapwatch.host.model import Snapshot, Wait
from pcapwatch.report.host_lines import settings_line
from pcapwatch.report.layout import Page
from pcapwatch.report.words import iso, percent

SERVICES_SHOWN, TRIPLES_SHOWN = 8, 5


def render_host(snapshot: Snapshot, width: int = 100) -> str:
    """For a terminal of ``width`` columns, without colour."""
    page = Page(width)
    space = f", namespace {snapshot.netns}" if snapshot.netns else ""
    by = "netlink sock_diag" if snapshot.reader == "sock_diag" else "/proc/net/tcp"
    page.prose(f"{snapshot.name}{space}, {snapshot.kernel}, at {iso(snapshot.read_ns[0])} (by {by})")
    page.labelled("Addresses", [", ".join(snapshot.addresses) or "unknown"])
    page.labelled("Sockets", [_states(snapshot)])
    page.labelled("TIME_WAIT", _waits(snapshot))
    page.labelled("Ports", _ports(snapshot))
    page.labelled("Settings", [settings_line(snapshot.sysctls)])
    page.labelled("Counters", [_counters(snapshot)])
    return page.plain()


def _states(snapshot: Snapshot) -> str:
    return ", ".join(f"{state} {count(number)}" for state, number in snapshot.states.items()) or "none"


def _waits(snapshot: Snapshot) -> Iterator[str]:
    cap = snapshot.number("tcp_max_tw_buckets")
    yield counted(len(snapshot.waits), "socket") + (f" of {count(cap)} (tcp_max_tw_buckets)" if cap else "")
    if snapshot.waits:
        left = [wait.left_ms / 1000 for wait in snapshot.waits]
        yield f"the next ends in {min(left):.1f} s, the last in {max(left):.1f} s"
    # The side that connects has the higher port, nearly always; nothing in the table says it.
    services = Counter((w.own, w.own_port) for w in snapshot.waits if w.own_port < w.peer_port)
    for (address, port), number in services.most_common(SERVICES_SHOWN):
        yield f"  {count(number)} on its own port {endpoint(address, port)}, which cost it no ephemeral port"


def _ports(snapshot: Snapshot) -> Iterator[str]:
    """The limit is per (source, destination, destination port): semantics C."""
    span, usable = snapshot.ports(), snapshot.usable_ports()
    if span is None or usable is None:
        yield "the range could not be read"
        return
    reserved = span[1] - span[0] + 1 - usable
    yield f"{span[0]}-{span[1]}: {count(usable)} usable" + (f", {count(reserved)} reserved" if reserved else "")
    triples = Counter((w.own, w.peer, w.peer_port) for w in snapshot.waits if _is_ephemeral(w, span))
    for (own, peer, port), number in triples.most_common(TRIPLES_SHOWN):
        yield f"  {own} → {endpoint(peer, port)}: {count(number)} held by TIME_WAIT ({percent(number, usable)})"


def _is_ephemeral(wait: Wait, span: tuple[int, int]) -> bool:
    return span[0] <= wait.own_port <= span[1] and wait.peer_port < wait.own_port


def _counters(snapshot: Snapshot) -> str:
    return ", ".join(f"{name} {count(number)}" for name, number in snapshot.counters.items()) or "could not be read"
