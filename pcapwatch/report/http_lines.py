"""HTTP persistence in sentences: what both sides said, what they did, and what the server is set to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pcapwatch.findings.wording import count, counted
from pcapwatch.report.model import Persistence
from pcapwatch.report.words import bare_duration, leg, percent

_OPTIONS = {
    "none": "no Connection header",
    "close": "Connection: close",
    "keep-alive": "Connection: keep-alive",
    "upgrade": "Upgrade",
}
_SIDES = {"client": "the client", "server": "the server", "both": "both sides", "none": "nobody"}
_CLOSERS = {
    "client": "client closed",
    "server": "server closed",
    "both": "crossed",
    "none": "still open",
    "ambiguous": "unclear",
}


#: Client groups and services told apart; the others are in the JSON report.
ROWS_SHOWN = 6


def http_lines(rows: Sequence[Persistence]) -> Iterator[str]:
    """A few paragraphs per client group and service, the busiest only."""
    for row in rows[:ROWS_SHOWN]:
        client, server = leg(row.client, row.clients, row.server, row.server_port)
        each = f", {row.requests / row.connections:.1f} each".replace(".0 each", " each")
        carried = f"{counted(row.requests, 'request')} on {counted(row.connections, 'connection')}{each}"
        yield f"{client} → {server}: {carried}"
        for side in ("request", "response"):
            if said := [_said(message) for message in row.messages if message["side"] == side]:
                yield f"  {side}s: {'; '.join(said[:4])}"
        if row.closed_after:
            yield f"  {'; '.join(_done(after, row.connections) for after in row.closed_after[:4])}"
        if settings := list(_settings(row)):
            yield f"  {'; '.join(settings)}"
    if len(rows) > ROWS_SHOWN:
        yield f"and {count(len(rows) - ROWS_SHOWN)} more rows, in the JSON report"


def _said(message: dict[str, Any]) -> str:
    option = _OPTIONS.get(message["option"], message["option"])
    return f"{message['version']} {option} {count(message['count'])} ({_persistent(message)})"


def _persistent(message: dict[str, Any]) -> str:
    if not message["persistent"]:
        return "none may persist"
    return f"{percent(message['persistent'], message['count'])} may persist"


def _done(after: dict[str, Any], connections: int) -> str:
    announced = f"close announced by {_SIDES.get(after['announced_by'], after['announced_by'])}"
    deed = _CLOSERS.get(after["active_closer"], after["active_closer"])
    return f"{announced}, {deed}: {count(after['count'])} ({percent(after['count'], connections)})"


def _settings(row: Persistence) -> Iterator[str]:
    if idle := row.idle_before_close_ns:
        yield f"idle before close: median {bare_duration(idle['p50_ns'])}, longest {bare_duration(idle['max_ns'])}"
    if row.idle_timeout_ns is not None and row.idle_timeout_of:
        number, of = row.idle_timeout_of
        source = f"inferred from {count(number)} of {count(of)} idle closes"
        yield f"server's idle timeout {bare_duration(row.idle_timeout_ns)} ({source})"
    if row.announced_timeout_s:
        yield f"announced Keep-Alive: timeout={', '.join(map(str, row.announced_timeout_s))}"
    if row.max_requests is not None:
        yield f"at most {counted(row.max_requests, 'request')} per connection (inferred)"
    if row.longest_reuse_gap_ns:
        yield f"longest wait after which a connection was used again {bare_duration(row.longest_reuse_gap_ns)}"
    if row.server_software:
        yield f"Server: {', '.join(row.server_software[:3])}"
    if row.user_agents:
        yield f"User-Agent: {', '.join(row.user_agents[:3])}"
