"""A moment as the lines of a screen. Pure: the same moment, view and size give the same lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pcapwatch.findings.wording import count, counted, mean
from pcapwatch.live.dashboard.canvas import Line, Piece, fitted, line, painted, piece
from pcapwatch.live.dashboard.pages import page_lines
from pcapwatch.live.dashboard.sections import (
    band_area,
    closer_section,
    finding_section,
    persistence_section,
    port_section,
    waiting_hosts,
    waiting_section,
)
from pcapwatch.live.dashboard.trail import Rates, rates
from pcapwatch.live.dashboard.view import View
from pcapwatch.live.moment import BEHIND_S, Counters, Moment, clock
from pcapwatch.report.wrap import wrapped

#: The sections of the overview with their share of rows, the dearest first: a small screen keeps those.
_SECTIONS: tuple[tuple[Callable[[Moment, View, int, int], list[Line]], int], ...] = (
    (closer_section, 4),
    (waiting_section, 3),
    (finding_section, 3),
    (port_section, 2),
    (persistence_section, 3),
)
#: The order in which they are shown.
_ORDER = (0, 1, 3, 4, 2)
_WAITING = 1
#: Lines that an area takes, with its heading, and most rows of it.
_LEAST_AREA, _MOST_AREA = 4, 10
#: Below this there is nothing but one line.
_LEAST = (20, 4)
#: Figures older than this say so: a moment is made each second where that does not take long.
_OLD_S = 2.0


def render(moment: Moment, view: View, width: int, height: int) -> list[str]:
    """Exactly ``height`` lines of at most ``width`` columns."""
    if width < _LEAST[0] or height < _LEAST[1]:
        lines = [line(f"{_source(moment)}: {count(moment.counters.packets)} packets")]
    else:
        lines = _screen(moment, view, width, height)
    blank: list[Line] = [()] * (height - len(lines))
    return [painted(one, width, colour=view.colour) for one in (*lines, *blank)[:height]]


def _screen(moment: Moment, view: View, width: int, height: int) -> list[Line]:
    head = [_title(moment, view), *_losses(moment.counters, width, max(height // 6, 1))]
    room, below = height - len(head) - 1, False
    if view.page == "overview":
        body = _overview(moment, view, width, room)
    else:
        whole = page_lines(moment, view, width, room)
        body = _scrolled(whole, view.offset, room)
        below = bool(whole) and body[-1:] != whole[-1:]
    body += [()] * (room - len(body))
    return [*head, *body[:room], _footer(view, width, more=below)]


def _title(moment: Moment, view: View) -> Line:
    counters, pace = moment.counters, _pace(moment, view)
    parts = [_source(moment), clock(counters.elapsed_s), counted(counters.packets, "packet")]
    if view.paused:
        return piece(f"PAUSED {clock(moment.age_s)} ago", "bar"), piece(f"  {'  '.join(parts)}", "bold")
    if moment.age_s >= _OLD_S:
        parts.append(f"figures {clock(moment.age_s)} old")
    silent_s = counters.elapsed_s - view.trail.changed_s
    if view.trail.steps and silent_s >= BEHIND_S:
        parts.append(f"silent {clock(silent_s)}")
    else:
        parts += [f"packets {clock(moment.behind_s)} old"] if moment.behind_s >= BEHIND_S else []
        parts += (
            [f"{mean(pace.packets)}/s", bits(pace.bytes * 8), f"{mean(pace.connections)} new connections/s"]
            if pace
            else []
        )
    return line("  ".join(parts), "bold")


def _pace(moment: Moment, view: View) -> Rates | None:
    """Over the last few moments; where the report is older than the counters, of these alone."""
    before, now = moment.previous, moment.counters
    if moment.reported is None or before is None or now.elapsed_s <= before.elapsed_s:
        return rates(view.trail)
    lasted = now.elapsed_s - before.elapsed_s
    return Rates(*((getattr(now, name) - getattr(before, name)) / lasted for name in Rates._fields))


def _source(moment: Moment) -> str:
    return "standard input" if moment.source == "-" else moment.source


def bits(per_s: float) -> str:
    """``98.1 Mbit/s``; decimal, as interfaces count."""
    for size, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")):
        if per_s >= size:
            return f"{mean(per_s / size)} {unit}"
    return f"{mean(per_s)} bit/s"


def _losses(counters: Counters, width: int, most: int) -> list[Line]:
    """Never hidden: what the kernel, the ring and the limits on memory cost, and what is written.

    Where the words are too long for the line they are shorter, and then of up to ``most`` lines.
    """
    written = counters.written
    size = f"; writing {counted(written.files, 'file')}, {written.bytes / 1e6:,.1f} MB" if written.files else ""
    told = list(_told(counters, short=False))
    if not told:
        calm = "drops unknown: this source tells none" if counters.kernel_drops is None else "nothing dropped"
        calm += "" if counters.kernel_drops is None else ", nothing evicted"
        return [(piece(calm, "dim"), piece(size, "dim"))]
    whole = "! " + "; ".join(told)
    if len(piece(whole).text) <= width:
        return [(piece(whole, "red"), piece(size, "dim"))]
    folded = wrapped(piece("! " + "; ".join(_told(counters, short=True))).text, width)
    cut = [*folded[: most - 1], fitted(" ".join(folded[most - 1 :]), width)] if len(folded) > most else folded
    return [line(text, "red") for text in cut]


def _told(counters: Counters, *, short: bool) -> Iterator[str]:
    """Each loss in words; why nothing is written comes last, as it is the longest."""
    written = counters.written
    if counters.kernel_drops:
        drops = counted(counters.kernel_drops, "drop" if short else "packet")
        yield drops if short else f"{drops} dropped by the kernel"
    if counters.ring_losses:
        yield f"{'ring' if short else 'the ring was'} full {counted(counters.ring_losses, 'time')}"
    if counters.evicted_connections:
        number = counters.evicted_connections
        yield f"{count(number) if short else counted(number, 'connection')} evicted"
    if counters.interface_down:
        yield f"{'' if short else 'interface '}down {counted(counters.interface_down, 'time')}"
    if written.unwritten or written.error:
        missing = count(written.unwritten) if short else counted(written.unwritten, "packet")
        why = (written.error or "").rpartition(": ")[2] if short else written.error
        yield (f"{missing} " if written.unwritten else "") + "not written" + (f": {why}" if written.error else "")


def _overview(moment: Moment, view: View, width: int, room: int) -> list[Line]:
    lines: list[Line] = []
    if room >= 12:
        folded = wrapped(piece(moment.report.verdict).text, width)
        most = 1 if room < 17 else 2 if room < 30 else 4
        cut = [*folded[: most - 1], fitted(" ".join(folded[most - 1 :]), width)] if len(folded) > most else folded
        lines += [(Piece(text, "yellow" if moment.report.findings else ""),) for text in cut]
    return [*lines, *_sections(moment, view, width, room - len(lines))]


def _sections(moment: Moment, view: View, width: int, room: int) -> list[Line]:
    gaps = 1 if room >= 34 else 0
    rows = _shares(room - gaps * len(_SECTIONS))
    drawn = [
        section(moment, view, width, most) if most else [] for (section, _), most in zip(_SECTIONS, rows, strict=True)
    ]
    # What a section did not need is given to those that have more to show, in order of dearness.
    spare = room - gaps * len(_SECTIONS) - sum(map(len, drawn))
    for index, (section, _) in enumerate(_SECTIONS):
        if spare > 0 and drawn[index]:
            grown = section(moment, view, width, rows[index] + spare)
            spare -= len(grown) - len(drawn[index])
            drawn[index] = grown
    if (hosts := waiting_hosts(moment, view)) and spare >= _LEAST_AREA:
        drawn[_WAITING] = [*drawn[_WAITING], *band_area(hosts[0], moment, width, min(spare - 1, _MOST_AREA))]
    return [one for index in _ORDER for one in ([()] * (gaps if drawn[index] else 0) + drawn[index])]


def _shares(room: int) -> list[int]:
    """Rows beside the heading of each section: 0 where it is left out."""
    rows = [0] * len(_SECTIONS)
    for index in range(len(_SECTIONS)):
        if room >= 2:
            rows[index], room = 1, room - 2
    while room > 0 and all(rows):
        before = room
        for index, (_, weight) in enumerate(_SECTIONS):
            give = min(max(weight - 1, 1), room)
            rows[index], room = rows[index] + give, room - give
        if room == before:
            break
    return rows


def _scrolled(lines: Sequence[Line], offset: int, room: int) -> list[Line]:
    """As many lines as fit, from the offset on, which never leaves the last page."""
    first = min(offset, max(len(lines) - room, 0))
    return list(lines[first : first + room])


def _footer(view: View, width: int, *, more: bool) -> Line:
    if view.typing:
        return piece("filter: ", "bold"), piece(f"{view.filter}█  enter keeps it, esc clears it")
    if view.message:
        return line(view.message, "bold")
    if view.page in ("ladder", "help"):
        keys = (
            ("↓ more  " if more else "")
            + "esc back  ↑↓ scroll"
            + ("  ←→ other example" if view.page == "ladder" else "")
        )
        return line(keys, "dim")
    filtered = (f"filter {view.filter}  " if view.filter else "") + ("↓ more  " if more else "")
    keys = "q quit  ? help  0-6 pages  s sort  / filter  p pause  l ladder  w report"
    short = "q quit  ? help  0-6 pages"
    return piece(filtered, "cyan"), piece(keys if len(filtered + keys) <= width else short, "dim")
