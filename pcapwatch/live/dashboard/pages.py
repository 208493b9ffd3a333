"""The pages beside the overview: one section each, in full; a connection's ladder; the help."""

from __future__ import annotations

from collections.abc import Iterable

from pcapwatch.live.dashboard.canvas import Column, Line, Piece, fitted, line, piece, table
from pcapwatch.live.dashboard.sections import (
    band_area,
    closer_section,
    finding_lines,
    persistence_section,
    port_section,
    waiting_hosts,
    waiting_section,
)
from pcapwatch.live.dashboard.services import chosen_service
from pcapwatch.live.dashboard.view import View
from pcapwatch.live.moment import Moment
from pcapwatch.report.groups import closers, grouped
from pcapwatch.report.http_lines import http_lines
from pcapwatch.report.ladder import ladder_lines
from pcapwatch.report.lines import capture_lines, closer_table, detail_line, port_lines, waiting_lines
from pcapwatch.report.words import Clock
from pcapwatch.report.wrap import wrapped

#: More rows than any screen has.
_ALL = 10_000
#: Rows of a host's area.
_AREA_ROWS = 5
#: A ladder is drawn for at least so many columns; a narrower screen shows its left part.
_LADDER_WIDTH = 72

HELP = """\
0, esc       everything at a glance
1            who closes first, per service and client
2            TIME_WAIT per host, as areas over time
3            ports, and when they are all held
4            HTTP persistence
5            findings, whole
6            the capture: what was dropped, what it cannot show
tab          the next page
up, down     choose a service, or scroll; page up, page down, home
s, r         order services by another column; the other way round
/            show only ends that contain a text, an address or port; esc clears
p, space     keep this moment on the screen; capturing goes on
l, enter     a connection of the chosen service, packet by packet
w            write a report now
q, Ctrl-C    end, with the report
Ctrl-Z       suspend; nothing is captured meanwhile, and what is lost counted

12-15        a band: 12 proven, 15 modelled; areas are solid and shaded so
full in      the growth of the last 30 s projected; "no": that pace levels off
             below the range; "unknown": it does not grow, or is too new
28,232?      the range is assumed; --port-range states yours
proved       in a ladder: the states beside a packet hold if what was seen
             arrived. Where packets prove less so far, a line below says which
             state they do prove, as └ client proved: ESTABLISHED"""


def page_lines(moment: Moment, view: View, width: int, room: int) -> list[Line]:
    """All lines of the page that is shown; scrolling is the caller's."""
    if view.page == "help":
        return [(Piece(fitted(text, width) if len(text) > width else text),) for text in HELP.splitlines()]
    if view.page == "ladder":
        return _ladder(view, width)
    if view.page == "closers":
        return _closers(moment, view, width, room)
    if view.page == "waiting":
        return _waiting(moment, view, width)
    if view.page == "ports":
        details = port_lines(moment.report.ports, _clock(moment))
        return [*port_section(moment, view, width, _ALL), (), *_paragraphs(details, width)]
    if view.page == "http":
        details = http_lines(moment.report.persistence)
        return [*persistence_section(moment, view, width, _ALL), (), *_paragraphs(details, width)]
    if view.page == "findings":
        return finding_lines(moment, view, width)
    return _capture(moment, width)


def _clock(moment: Moment) -> Clock:
    return Clock("utc", moment.report.quality.first_ns or 0)


def _paragraphs(texts: Iterable[str], width: int) -> list[Line]:
    lines: list[Line] = []
    for text in texts:
        lead = 2 + len(text) - len(text.lstrip(" "))
        folded = wrapped(piece(text.lstrip(" ")).text, max(width - lead - 2, 20))
        lines += [(Piece(" " * (lead + (2 if number else 0)) + part),) for number, part in enumerate(folded)]
    return lines


def _waiting(moment: Moment, view: View, width: int) -> list[Line]:
    hosts = waiting_hosts(moment, view)
    lines = waiting_section(moment, view, width, _ALL)
    for host in hosts:
        lines += [(), *band_area(host, moment, width, _AREA_ROWS)]
    return [*lines, (), *_paragraphs(waiting_lines(hosts), width)]


def _closers(moment: Moment, view: View, width: int, room: int) -> list[Line]:
    """Services, and below them the clients of the one pointed at."""
    service = chosen_service(moment, view)
    lines = closer_section(moment, view, width, max(room // 2 - 1, 1))
    if service is None:
        return lines
    header, rows = closer_table([closers(group) for group in grouped(service.summary(moment))])
    names = [row[0] for row, _ in rows]
    columns = [Column(name, [row[at] for row, _ in rows], at) for at, name in enumerate(header) if at]
    details = [text for _, row in rows if (text := detail_line(row))]
    below = table(f"Clients of {service.name}", names, columns, width, 28)
    return [*lines, (), *below, *_paragraphs(details, width)]


def _capture(moment: Moment, width: int) -> list[Line]:
    report = moment.report
    blocks = (
        ("Capture", capture_lines(report.quality, _clock(moment))),
        ("Cannot see", report.cannot_see),
        ("Assumed", report.assumptions),
    )
    return [one for title, texts in blocks for one in (line(title, "bold"), *_paragraphs(texts, width), ())]


def _ladder(view: View, width: int) -> list[Line]:
    if not view.title:
        return [line("no connection of this service to show yet", "dim")]
    if view.ladder is None:
        return [line(view.title, "bold"), line("its packets are no longer kept (--write DIR keeps them)", "dim")]
    drawn = ladder_lines(view.ladder, max(width, _LADDER_WIDTH), proved=True)
    return [line(view.title, "bold"), *((Piece(fitted(text, width) if len(text) > width else text),) for text in drawn)]
