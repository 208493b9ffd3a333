"""The dashboard's tables: closers, TIME_WAIT, ports, HTTP, findings. Each gives its heading and as many rows as fit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from pcapwatch.findings.wording import count, mean
from pcapwatch.live.dashboard.canvas import Column, Line, Piece, fitted, line, piece, table
from pcapwatch.live.dashboard.chart import area, resampled, rounded_up, scale, spark
from pcapwatch.live.dashboard.services import Service, services, shown_hosts
from pcapwatch.live.dashboard.trail import exhaustion, finding_key
from pcapwatch.live.dashboard.view import View
from pcapwatch.live.moment import Moment, clock
from pcapwatch.report.groups import persistence
from pcapwatch.report.model import Persistence, PortUse, Waiting
from pcapwatch.report.words import band, leg, percent
from pcapwatch.report.wrap import wrapped

SEVERITY_STYLES = {"critical": "red", "warning": "yellow", "notice": "cyan", "info": ""}
#: What the kernel told is said to be old from here on.
_OLD_S = 2.0
#: Least and most columns of the band over time.
_SPARK = (10, 60)


def closer_section(moment: Moment, view: View, width: int, rows: int) -> list[Line]:
    """Who closes first, per service; the row pointed at stays in sight."""
    known = services(moment, view)
    if not known:
        why = f"no service matches {view.filter}" if view.filter else "no connection yet"
        return [line("Who closes first", "bold"), line(f"  {why}", "dim")]
    chosen = min(view.chosen, len(known) - 1)
    first = max(min(chosen - rows // 2, len(known) - rows), 0)
    shown = known[first : first + rows]
    more = f" (of {count(len(known))})" if len(known) > len(shown) else ""
    names = [service.name for service in shown]
    return table(f"Who closes first{more}", names, _closer_columns(shown, view), width, 20, chosen - first)


def _closer_columns(shown: Sequence[Service], view: View) -> list[Column]:
    def heading(name: str) -> str:
        return f"{name}{'▴' if view.reverse else '▾'}" if view.sort == name else name

    def share(field: str) -> list[str]:
        return [percent(getattr(one.row, field), one.row.connections) for one in shown]

    def number(field: str) -> list[str]:
        return [count(getattr(one.row, field)) for one in shown]

    return [
        Column("from", [one.clients for one in shown], 7, left=True),
        Column(heading("conns"), number("connections"), 0),
        Column(heading("new/s"), [_known(one.new_per_s) for one in shown], 3),
        Column(heading("client"), share("client_first"), 1),
        Column(heading("server"), share("server_first"), 1),
        Column(heading("reset"), number("reset"), 4),
        Column(heading("open"), number("open"), 5),
        Column("req each", [_known(one.row.requests_each) for one in shown], 6),
    ]


def _known(value: float | None) -> str:
    return "-" if value is None else mean(value)


def waiting_section(moment: Moment, view: View, width: int, rows: int) -> list[Line]:
    """TIME_WAIT per host: now, peak, and the band over the whole capture."""
    hosts, kernel = waiting_hosts(moment, view), kernel_line(moment)
    if not hosts:
        nothing = line(f"  no socket {_of(view)}entered it", "dim")
        return [line("TIME_WAIT", "bold"), nothing, *([kernel] if kernel and rows > 1 else [])]
    shown = hosts[: rows - 1 if kernel and rows > 1 else rows]
    names = [host.host or "other hosts" for host in shown]
    figures = [
        Column("now", [band(host.at_end) for host in shown], 0),
        Column("peak", [band(host.peak) for host in shown], 2),
        Column("entered", [count(host.entered) for host in shown], 3),
    ]
    taken = max(len(name) for name in (*names, "TIME_WAIT")) + 2 + sum(column.width + 2 for column in figures)
    room = min(width - taken - 2, _SPARK[1])
    if room >= _SPARK[0]:
        sparks = [spark(parts_of(host, moment, room)) for host in shown]
        figures.append(Column(_span(moment), sparks, 4, left=True, styles=["cyan"] * len(shown)))
    return [*table("TIME_WAIT", names, figures, width), *([kernel] if kernel and rows > 1 else [])]


def kernel_line(moment: Moment) -> Line | None:
    """The kernel's own count beside the wire's, where the capturing host is watched."""
    host = moment.host
    if host is None:
        return None
    age_s = moment.host_age_s or 0.0
    ago = f", {clock(age_s)} ago" if age_s >= _OLD_S else ""
    parts = [f"kernel of {host.name}{ago}: {count(host.time_waits)} in TIME_WAIT"]
    if host.wire is not None:
        parts.append(f"wire {band(host.wire)}")
    parts.append(f"{count(host.both)} seen by both")
    for seen_by, numbers in (("kernel", host.only_kernel), ("wire", host.only_wire)):
        if alone := sum(numbers.values()):
            why = max(numbers, key=lambda word: numbers[word]).replace("_", " ")
            parts.append(f"{count(alone)} by the {seen_by} alone ({why})")
    if host.overflows:
        parts.append(f"{count(host.overflows)} never kept: beyond {count(host.buckets or 0)}")
    return line("  " + ", ".join(parts), "yellow" if host.overflows else "dim")


def waiting_hosts(moment: Moment, view: View) -> list[Waiting]:
    """Hosts with TIME_WAITs that the filter lets through, most first."""
    wanted = shown_hosts(moment, view)
    return [host for host in moment.report.waiting if wanted is None or host.host in wanted]


def parts_of(host: Waiting, moment: Moment, columns: int) -> list[tuple[int, int]]:
    """The host's band over the whole capture until now, in as many parts."""
    return resampled(host.occupancy, moment.report.quality.first_ns or 0, moment.end_ns, columns)


def band_area(host: Waiting, moment: Moment, width: int, rows: int) -> list[Line]:
    """The host's band as an area of ``rows`` rows, at least two, with its scale at the left."""
    label_width = max(len(count(rounded_up(host.peak[1]))), 4)
    parts = parts_of(host, moment, max(width - label_width - 2, 1))
    labels = [count(scale(parts)), *[""] * (rows - 2), "0"]
    held = f"{band(host.at_end)} now, at most {band(host.peak)}"
    title = f"{host.host or 'other hosts'} in TIME_WAIT {_span(moment)}: {held}"
    drawn = zip(labels, area(parts, rows), strict=True)
    return [line(title, "bold"), *((Piece(f"{label:>{label_width}} ▕", "dim"), *row) for label, row in drawn)]


def _span(moment: Moment) -> str:
    seconds = (moment.end_ns - (moment.report.quality.first_ns or 0)) / 1e9
    return f"over {clock(seconds)}"


def port_section(moment: Moment, view: View, width: int, rows: int) -> list[Line]:
    """The triples nearest their range, worst first: held now, at most, and when the range is full."""
    uses = [use for use in moment.report.ports if view.filter.lower() in _triple(use).lower()]
    if not uses:
        return [
            line("Ports", "bold"),
            line(f"  no client {_of(view)}held two ports towards one service at once", "dim"),
        ]
    shown = sorted(uses, key=lambda use: -use.held_at_end[1] / use.range.size)[:rows]
    ends = [exhaustion(view.trail, use) for use in shown]
    columns = [
        Column("held", [band(use.held_at_end) for use in shown], 1),
        Column("of", [percent(use.held_at_end[1], use.range.size) for use in shown], 2),
        Column("range", [_range(use) for use in shown], 5),
        Column("peak", [band(use.held_peak) for use in shown], 4),
        Column(
            "full in",
            [end.words or f"~{clock(end.in_s or 0)}" for end in ends],
            0,
            styles=["red" if end.in_s is not None else "" for end in ends],
        ),
        Column("because", [end.basis for end in ends], 6, left=True),
    ]
    lines = table("Ports", [_triple(use) for use in shown], columns, width, 28)
    told = any("because" in part.text for part in lines[0])
    if not told and len(lines) <= rows:  # where the column has no room, the worst one's reason has a line
        lines.insert(2, line(f"    {ends[0].words or 'projected'}: {ends[0].basis}", "dim"))
    return lines


def _of(view: View) -> str:
    return f"matching {view.filter} " if view.filter else ""


def _triple(use: PortUse) -> str:
    return " → ".join(leg(use.client, 1, use.server, use.server_port))


def _range(use: PortUse) -> str:
    known = use.range.stated or use.range.kernel is not None
    return f"{count(use.range.size)}{'' if known else '?'}"


def persistence_section(moment: Moment, view: View, width: int, rows: int) -> list[Line]:
    """HTTP/1.x: how many requests a connection carries, which messages let it persist, who announces the close."""
    found = (persistence(one.group) for one in services(moment, view))
    known = list(islice((row for row in found if row.connections), rows))  # no more than are shown: each takes a while
    if not known:
        return [line("HTTP", "bold"), line("  no HTTP/1.x seen", "dim")]
    columns = [
        Column("requests", [count(row.requests) for row in known], 1),
        Column("each", [mean(row.requests / row.connections) for row in known], 0),
        Column("req persist", [_persist(row, "request") for row in known], 2),
        Column("resp persist", [_persist(row, "response") for row in known], 2),
        Column("HTTP/1.0", [_old(row) for row in known], 4),
        Column("close announced, done", [_announced(row) for row in known], 3, left=True),
    ]
    return table("HTTP", [leg(None, 0, row.server, row.server_port)[1] for row in known], columns, width, 18)


def _persist(row: Persistence, side: str) -> str:
    messages = [message for message in row.messages if message["side"] == side]
    whole = sum(message["count"] for message in messages)
    return percent(sum(message["persistent"] for message in messages), whole) if whole else "-"


def _old(row: Persistence) -> str:
    requests = [message for message in row.messages if message["side"] == "request"]
    old = sum(message["count"] for message in requests if message["version"] == "HTTP/1.0")
    return percent(old, sum(message["count"] for message in requests))


def _announced(row: Persistence) -> str:
    if not row.closed_after:
        return "-"
    first = row.closed_after[0]
    return f"{first['announced_by']}, {first['active_closer']} {percent(first['count'], row.connections)}"


def finding_section(moment: Moment, view: View, width: int, rows: int) -> list[Line]:
    """Newest first, with how long after the beginning each was first seen; one line each."""
    lines = [_finding(lead, title, style, width) for lead, title, style in _newest(moment, view)]
    more = f" (of {count(len(lines))})" if len(lines) > rows else ""
    return [line(f"Findings{more}, newest first", "bold"), *(lines[:rows] or [line("  none", "dim")])]


def finding_lines(moment: Moment, view: View, width: int) -> list[Line]:
    """The same in full: every title whole, and what to do first."""
    lines: list[Line] = [line("Findings, newest first", "bold")]
    for lead, title, style in _newest(moment, view):
        folded = wrapped(piece(title).text, max(width - 4, 20))
        lines += [line(lead, style), *((Piece(f"    {text}"),) for text in folded)]
    return lines if len(lines) > 1 else [*lines, line("  none", "dim")]


def _newest(moment: Moment, view: View) -> list[tuple[str, str, str]]:
    seen = view.trail.found_s
    ordered = sorted(moment.report.findings, key=lambda one: -seen.get(finding_key(one), 0.0))
    return [
        (
            f"  +{clock(seen.get(finding_key(one), 0.0))} {one.code} {one.severity}",
            one.title,
            SEVERITY_STYLES[one.severity],
        )
        for one in ordered
    ]


def _finding(lead: str, title: str, style: str, width: int) -> Line:
    return piece(lead, style), Piece(fitted(f"  {piece(title).text}", max(width - len(lead), 0)))
