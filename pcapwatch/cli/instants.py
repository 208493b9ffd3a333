"""An instant as a user writes it: ``2026-11-20T19:23:50Z``, epoch seconds, ``+12.5s`` from the start, ``end``."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal

from pcapwatch.errors import UsageError
from pcapwatch.settings import SECOND_NS, parse_duration, shown

_EPOCH = re.compile(r"(\d{1,10})(?:\.(\d{1,9}))?", re.ASCII)
_FRACTION = re.compile(r"(.*[T ]\d\d:\d\d:\d\d)\.(\d{1,9})(.*)", re.ASCII)
_HELP = "write 2026-11-20T19:23:50Z, epoch seconds, +12.5s (from the start) or end"


def parse_instant(text: str) -> tuple[Literal["absolute", "start", "end"], int]:
    """Which origin the number counts from, and ns from there; a time without a zone is UTC."""
    text = text.strip()
    if text == "end":
        return "end", 0
    if text.startswith("+"):
        return "start", parse_duration(text[1:])
    if found := _EPOCH.fullmatch(text):
        return "absolute", int(found[1]) * SECOND_NS + int((found[2] or "").ljust(9, "0"))
    whole, fraction_ns = text, 0
    if found := _FRACTION.fullmatch(text):  # datetime keeps six digits, captures have nine
        whole, fraction_ns = found[1] + found[3], int(found[2].ljust(9, "0"))
    try:
        moment = datetime.fromisoformat(whole.removesuffix(" UTC"))
    except ValueError:
        raise UsageError(f"--at {shown(text)} is not a time: {_HELP}") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment.year < 1970:
        raise UsageError(f"--at {shown(text)} is before 1970: {_HELP}")
    return "absolute", int(moment.timestamp()) * SECOND_NS + fraction_ns
