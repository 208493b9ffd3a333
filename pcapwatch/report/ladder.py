"""One connection as a ladder: time, frame, the client's state, the segment, the server's state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from pcapwatch.report.escape import terminal
from pcapwatch.report.words import signed_seconds

if TYPE_CHECKING:
    from pcapwatch.summary import Summary

_STATE = 12
_TIME = 12
_WIDEST_ARROW = 46
#: Rows a report shows of one example; `show` shows all.
EXAMPLE_ROWS = 16


def short_names(paths: Sequence[str]) -> list[str]:
    """The last part of each path, safe for a terminal; the whole path where two end alike."""
    ends = [PurePath(path).name or path for path in paths]
    times = Counter(ends)
    return [terminal(end if times[end] == 1 else path) for end, path in zip(ends, paths, strict=True)]


def paths_of(summary: Summary) -> list[str]:
    """The capture's files, by whose indices ladders name theirs."""
    return [file["path"] for file in summary["capture"]["files"]]


def ladder_lines(
    ladder: Mapping[str, Any],
    width: int,
    rows: int | None = None,
    *,
    proved: bool = False,
    files: Sequence[str] = (),
) -> Iterator[str]:
    """Lines no wider than ``width`` (at least 72), safe for a terminal.

    rows: at most so many, the first and the last ones; proved: name the proved state where it differs from the assumed
    one; files: the capture's, by whose indices rows name theirs. Rows of several files are numbered ``FILE:FRAME``.
    """
    shown: list[Mapping[str, Any]] = list(ladder["rows"])
    places = _Places(shown, files)
    frame_width = max([5, *(len(places.frame(row)) for row in shown)])
    arrow_width = min(_WIDEST_ARROW, width - _TIME - frame_width - 2 * _STATE - 5)
    gap = " " * (_TIME + frame_width + 3)
    client, server = terminal(str(ladder["client"])), terminal(str(ladder["server"]))
    for line in places.legend():
        yield from wrap(line, width, initial_indent=gap, subsequent_indent=gap + "  ", break_on_hyphens=False)
    yield from _names(client, server, gap, _STATE + 1 + arrow_width, width)
    start = shown[0]["ts_ns"] if shown else 0
    # Packets without times stand at 1970-01-01 00:00:00, all of them.
    is_timed = any(row["ts_ns"] for row in shown)
    omitted = int(ladder.get("omitted") or 0)
    hole = int(ladder.get("omitted_after") or 0) if omitted else len(shown)
    head, tail = _cut(len(shown), hole, rows)
    for index, row in enumerate(shown):
        if index == head and tail - head + omitted:
            yield f"{gap}… {_more(tail - head + omitted)} …"
        if head <= index < tail:
            continue
        time = signed_seconds(row["ts_ns"] - start, 6) if is_timed else "-"
        prefix = f"{time:>{_TIME}} {places.frame(row):>{frame_width}}  "
        arrow = _arrow(row, arrow_width)
        yield f"{prefix}{row['client_state']:<{_STATE}} {arrow} {row['server_state']}"
        yield from _notes(row, gap + " " * (_STATE + 1), width, proved=proved)
    if head == len(shown) and omitted:
        yield f"{gap}… {_more(omitted)} …"
    for line in wait_lines(ladder.get("time_wait", ()), start, places.evidence):
        yield from wrap(line, width, initial_indent=gap, subsequent_indent=gap + "  ", break_on_hyphens=False)


class _Places:
    """How frames are named: by their number, and by their file's where the capture is of several."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], files: Sequence[str]) -> None:
        self._used: list[int] = (
            sorted({row["file"] for row in rows if row.get("file") is not None}) if len(files) > 1 else []
        )
        known = short_names([files[at] for at in self._used if at < len(files)])
        self._names = dict(zip(self._used, known, strict=False))
        self._files = files

    def legend(self) -> Iterator[str]:
        """One line where the rows are of several files."""
        if len(self._used) > 1:
            named = ", ".join(f"{at + 1} = {self._name(at)}" for at in self._used)
            yield f"frames are FILE:FRAME, of {named}"

    def frame(self, row: Mapping[str, Any]) -> str:
        """A row's frame."""
        return f"{row['file'] + 1}:{row['frame']}" if len(self._used) > 1 else str(row["frame"])

    def evidence(self, wait: Mapping[str, Any]) -> str:
        """A TIME_WAIT's evidence, which may be in the next connection's file."""
        at: int | None = wait.get("evidence_file")
        frame = _frame_alone(wait)
        return frame if at is None or len(self._files) < 2 or self._used == [at] else f"{frame} of {self._name(at)}"

    def _name(self, at: int) -> str:
        if at in self._names:
            return self._names[at]
        return short_names([self._files[at]])[0] if at < len(self._files) else "a file that is gone"


def _frame_alone(wait: Mapping[str, Any]) -> str:
    return f"frame {wait['evidence_frame']}"


def _more(packets: int) -> str:
    return f"{packets} more packet{'' if packets == 1 else 's'}"


def _names(client: str, server: str, gap: str, column: int, width: int) -> Iterator[str]:
    """Both endpoints, never cut: half a port names another service.

    The server stands at ``column`` behind the gap, else as far right as it fits, else on a line of its own.
    """
    room = width - len(gap)
    if max(column, len(client)) + 1 + len(server) <= room:
        yield f"{gap}{client.ljust(column)} {server}"
    elif len(client) + 1 + len(server) <= room:
        yield f"{gap}{client}{server.rjust(room - len(client))}"
    else:
        yield f"{gap}{client}"
        yield f"{gap}{server.rjust(room)}"


def wait_lines(
    waits: Iterable[Mapping[str, Any]],
    start_ns: int,
    frame_of: Callable[[Mapping[str, Any]], str] = _frame_alone,
) -> Iterator[str]:
    """One sentence on each endpoint's TIME_WAIT: how long, and what proves it.

    start_ns: the ladder's time zero; frame_of: how a wait's evidence is named.
    """
    for wait in waits:
        holder = f"{wait['holder']}'s TIME-WAIT"
        at = "" if wait["evidence_ns"] is None else signed_seconds(wait["evidence_ns"] - start_ns, 6)
        evidence = f"{frame_of(wait)} at {at}"
        lower, upper, basis = wait["lower_ns"], wait["upper_ns"], wait["basis"]
        model = f"{_seconds(wait['model_low_ns'])} to {_seconds(wait['model_high_ns'])} s by {_length_of(wait)}"
        gap = ""
        if wait.get("unseen_from_ns") is not None:
            since = signed_seconds(wait["unseen_from_ns"] - start_ns, 6)
            gap = f"; packets are missing after {since}: it may have been used again before"
        if basis == "observed_exact" and wait["end"] == "reused":
            recycled = f"ISN {wait['recycled_isn']} is the old snd_nxt {wait['snd_nxt']} + 65537"
            yield f"{holder} lasted {_seconds(upper)} s, exactly: it ended by reuse in {evidence}, whose {recycled}"
        elif basis == "observed_exact":
            yield f"{holder} lasted {_seconds(upper)} s: it was killed by the reset in {evidence}"
        elif basis == "kernel":
            ends = f"{_seconds(wait['model_low_ns'])} s after it began, in fact by {_seconds(wait['model_high_ns'])} s"
            yield f"{holder}: its kernel's timer, read while it ran, ends {ends}"
        elif basis == "possibly_killed":
            yield f"{holder} may have been killed by the reset in {evidence} (unless tcp_rfc1337 is 1)"
        elif lower is not None and upper is not None:
            yield f"{holder} lasted between {_seconds(lower)} and {_seconds(upper)} s, proven ({evidence}){gap}"
        elif lower is not None:
            yield f"{holder}: proven alive after {_seconds(lower)} s ({evidence}); its end was not observed, {model}"
        elif upper is not None:
            yield f"{holder}: proven gone after {_seconds(upper)} s ({evidence}); {model}{gap}"
        else:
            over = "the capture goes on; " if wait.get("goes_on") else "the capture ended first; "
            told = "" if wait.get("length_source") in _TOLD else " (model)"
            yield f"{holder}: its end was not observed; {over if basis == 'censored' else ''}{model}{told}"


#: Lengths that are no model: whose word they are.
_TOLD = {"flag": "the length that --time-wait states", "kernel": "the host's length, as its kernel's timers told it"}


def _length_of(wait: Mapping[str, Any]) -> str:
    return _TOLD.get(str(wait.get("length_source")), "the host's length")


def _seconds(ns: int) -> str:
    """Six decimals, without trailing zeros; exact otherwise."""
    return signed_seconds(ns, 6).lstrip("+").rstrip("0").rstrip(".") or "0"


def _cut(total: int, hole: int, rows: int | None) -> tuple[int, int]:
    """The range of rows left out: where packets are missing already, after ``hole`` rows (``total`` if none)."""
    if rows is None or total <= rows:
        return hole, hole
    head = min(rows // 2, hole)
    return head, max(total - (rows - head), hole if hole < total else 0)


def _arrow(row: Mapping[str, Any], width: int) -> str:
    """``── GET / HTTP/1.0 ─────▶`` or its mirror, exactly ``width`` columns."""
    label = " ".join(filter(None, [str(row["flags"]), _length(row), terminal(row["summary"] or "")]))
    room = width - 6
    label = label if len(label) <= room else label[: room - 1] + "…"
    line = f" {label} ".ljust(width - 4, "─") if row["from"] == "client" else f" {label} ".rjust(width - 4, "─")
    return f"──{line}─▶" if row["from"] == "client" else f"◀─{line}──"


def _length(row: Mapping[str, Any]) -> str:
    return f"{row['len']} B" if row["len"] else ""


def _notes(row: Mapping[str, Any], gap: str, width: int, *, proved: bool) -> Iterator[str]:
    notes = [terminal(str(note)) for note in row["notes"]]
    if proved:
        differing = [side for side in ("client", "server") if row[f"{side}_proved"] != row[f"{side}_state"]]
        notes += [f"{side} proved: {row[f'{side}_proved']}" for side in differing]
    for note in notes:
        yield f"{gap}└ {note}"[:width]
