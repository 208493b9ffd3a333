"""One line an interval: what `pcapwatch live --no-tui` prints, plain wherever it goes."""

from __future__ import annotations

from collections.abc import Iterator

from pcapwatch.findings.wording import count, counted, endpoint
from pcapwatch.live.moment import BEHIND_S, Counters, Moment, clock
from pcapwatch.report.escape import terminal
from pcapwatch.report.words import band, percent


def line(moment: Moment) -> str:
    """``19:23:45 UTC  12,300 packets/s  410 conns/s  closed by client 12 server 98 %  …``; one line without its end."""
    clock = f"{moment.at:%H:%M:%S} UTC"
    parts = (_rates, _closers, _waiting, _kernel, _ports, _news, _age, _lost)
    return terminal("  ".join([clock, *(words for part in parts for words in part(moment))]))


def _rates(moment: Moment) -> Iterator[str]:
    before = moment.previous or Counters()
    seconds = moment.counters.elapsed_s - before.elapsed_s
    if seconds <= 0:
        return
    packets, bits = moment.counters.packets - before.packets, 8 * (moment.counters.bytes - before.bytes)
    yield f"{count(round(packets / seconds))} packets/s"
    yield f"{bits / seconds / 1e6:.1f} Mbit/s"
    yield f"{count(round((moment.counters.connections - before.connections) / seconds))} connections/s"


def _closers(moment: Moment) -> Iterator[str]:
    rows = moment.report.closers
    client, server = sum(row.client_first for row in rows), sum(row.server_first for row in rows)
    if client + server:
        yield f"closed by client {percent(client, client + server)}, server {percent(server, client + server)}"


def _waiting(moment: Moment) -> Iterator[str]:
    for host in moment.report.waiting[:2]:
        if host.entered:
            yield f"TIME_WAIT {band(host.at_end)} on {host.host or 'other hosts'}"


def _kernel(moment: Moment) -> Iterator[str]:
    """The host's own count, with its age: where it lists many sockets it is asked rarely."""
    if moment.host is not None and (moment.host.time_waits or moment.report.waiting):
        yield f"kernel {count(moment.host.time_waits)} ({moment.host_age_s:.1f} s ago)"


def _age(moment: Moment) -> Iterator[str]:
    """What is not of now: all but the rates and the losses; and packets, where they are late or none come."""
    if moment.reported is not None:
        yield f"figures {moment.age_s:.1f} s old"
    if moment.behind_s >= BEHIND_S:
        yield f"last packet {clock(moment.behind_s)} ago"


def _ports(moment: Moment) -> Iterator[str]:
    for use in moment.report.ports[:1]:
        held = f"{band(use.held_peak)} of {count(use.range.size)} ports at most"
        yield f"{use.client} to {endpoint(use.server, use.server_port)}: {held}"


def _news(moment: Moment) -> Iterator[str]:
    if moment.report.findings:
        worst = moment.report.findings[0]
        more = len(moment.report.findings) - 1
        yield f"{worst.code} {worst.name}" + (f" and {more} more" if more else "")


def _lost(moment: Moment) -> Iterator[str]:
    counters = moment.counters
    yield counted(counters.kernel_drops, "drop") if counters.kernel_drops is not None else "drops unknown"
    if counters.ring_losses:
        yield f"{counted(counters.ring_losses, 'ring loss', 'ring losses')}"
    if counters.evicted_connections:
        yield f"{counted(counters.evicted_connections, 'connection')} evicted"
    if counters.interface_down:
        yield f"interface down {counted(counters.interface_down, 'time')}"
    written = counters.written
    if written.unwritten or written.error:
        number = f"{counted(written.unwritten, 'packet')} " if written.unwritten else ""
        yield f"{number}not written" + (f": {written.error}" if written.error else "")
