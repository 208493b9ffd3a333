"""The interfaces there are, and a filter for one of them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pcapwatch import _engine
from pcapwatch.errors import CaptureError, UsageError
from pcapwatch.report.escape import terminal

#: All interfaces at once, on Linux.
ANY = "any"
#: What ``any`` is captured as: the link headers of different interfaces in one form.
LINUX_SLL2 = 276
#: The names of the commoner link types, as tcpdump has them.
LINK_NAMES = {
    0: "NULL",
    1: "EN10MB",
    101: "RAW",
    105: "IEEE802_11",
    113: "LINUX_SLL",
    127: "IEEE802_11_RADIO",
    276: "LINUX_SLL2",
}
#: An expression that speaks of VLAN tags; the kernel has taken them out before its filter runs.
_TAGS = re.compile(r"\bvlan\b")


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface to capture from.

    name: as the system has it; up: switched on; running: it has a carrier; loopback; link_type: its number in captures,
    ``None`` where the system does not say; addresses: IP with prefix length; hardware: its address.
    """

    name: str
    up: bool
    running: bool
    loopback: bool
    link_type: int | None
    addresses: tuple[str, ...]
    hardware: str | None


def interfaces(netns: str | None = None) -> list[Interface]:
    """Those of this machine, or of a network namespace by its name or path; ``any`` first where there is such a thing.

    ``CaptureError`` if there is no such namespace, or no right to enter it.
    """
    if sys.platform == "win32":
        return list(_by_scapy())
    try:
        found = json.loads(_engine.interfaces_json(netns))
    except _engine.SourceError as error:
        raise CaptureError(str(error)) from None
    own = [Interface(**{**one, "addresses": tuple(one["addresses"])}) for one in found]
    if sys.platform != "linux":
        return own
    everything = Interface(
        ANY, up=True, running=True, loopback=False, link_type=LINUX_SLL2, addresses=(), hardware=None
    )
    return [everything, *own]


def listing(known: Iterable[Interface]) -> Iterator[str]:
    """One line for each, in columns: name, state, link type, addresses. The names are the system's, and escaped."""
    rows = [(terminal(one.name), _state(one), _link(one), _addresses(one)) for one in known]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        padded = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        yield "  ".join([*padded, row[3]]).rstrip()


def filter_options(expression: str | None, interface: str, netns: str | None = None) -> dict[str, Any]:
    """What the engine's ring is told of a tcpdump filter: its program for the interface's link type.

    ``UsageError`` with libpcap's message if the expression makes no sense there; an unknown interface is left to the
    ring, whose error names it.
    """
    if not expression:
        return {}
    from pcapwatch.bpf import compile_filter, compile_for  # brings ctypes, which only a filter needs

    link = next((one.link_type for one in interfaces(netns) if one.name == interface), None)
    programs = compile_filter(expression) if link is None else compile_for(expression, link)
    return {"filter": programs, "filter_here": bool(_TAGS.search(expression))}


def _state(one: Interface) -> str:
    if one.name == ANY:
        return "every interface"
    return ("up" if one.running else "up, no carrier") if one.up else "down"


def _link(one: Interface) -> str:
    return "" if one.link_type is None else LINK_NAMES.get(one.link_type, str(one.link_type))


def _addresses(one: Interface) -> str:
    hardware = [one.hardware] if one.hardware else []
    return " ".join([*one.addresses, *hardware])


def _by_scapy() -> Iterator[Interface]:
    try:
        from scapy.config import conf
    except ImportError:
        raise UsageError("--list needs scapy here: pip install 'pcapwatch[elsewhere]'") from None
    for one in conf.ifaces.values():
        addresses = tuple(str(address) for family in one.ips.values() for address in family)
        yield Interface(
            one.name,
            up=True,
            running=True,
            loopback=False,
            link_type=None,
            addresses=addresses,
            hardware=one.mac or None,
        )
