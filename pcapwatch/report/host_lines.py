"""What a host's kernel said beside what the wire shows, in sentences; unescaped, as in ``lines``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pcapwatch.findings.wording import count, counted
from pcapwatch.report.model import HostTruth, Report
from pcapwatch.report.words import Clock, band

#: Why a socket is only in the kernel's table, in the order in which it is said.
ONLY_KERNEL = {
    "before_capture": "began before the capture",
    "after_capture": "began after it",
    "unproven": "of connections whose close the capture does not prove",
    "not_captured": "of connections that the capture does not hold (another interface, a filter, drops)",
}
#: What the kernel's numbers mean (Documentation/networking/ip-sysctl.rst).
_TW_REUSE = {"0": "never", "1": "outgoing connections", "2": "outgoing connections on loopback only"}


def host_lines(report: Report, clock: Clock) -> Iterator[str]:
    """One paragraph for each reading of a kernel; two leading spaces make a subordinate one."""
    for truth in report.host:
        yield f"{_named(truth)}, {_when(truth, clock)}: {_counts(truth)}"
        for line in (*_only_kernel(truth), *_only_wire(truth), *_overflows(truth)):
            yield f"  {line}"
        yield f"  {settings_line(truth.sysctls)}"
    if report.host and (others := _without(report)):
        yield f"{others}: no kernel was read, so TIME_WAITs there are the wire's word alone"


def _named(truth: HostTruth) -> str:
    where = ", ".join(truth.addresses[:3]) or "none of its addresses is in this capture"
    more = f" and {count(len(truth.addresses) - 3)} more" if len(truth.addresses) > 3 else ""
    space = f", namespace {truth.netns}" if truth.netns else ""
    return f"{truth.name} ({where}{more}{space}; {truth.kernel})"


def _when(truth: HostTruth, clock: Clock) -> str:
    words = {
        "before": "before the capture",
        "during": "during the capture",
        "after": "after the capture, with TIME_WAITs of it left",
        "long_after": "when every TIME_WAIT of the capture must be over",
    }
    return f"read {clock.offset(truth.at_ns)} {words[truth.moment]}"


def _counts(truth: HostTruth) -> str:
    kernel = f"its kernel lists {counted(truth.time_wait, 'TIME_WAIT')}"
    if truth.moment == "long_after":
        return f"{kernel}, which say nothing of this capture; its settings do"
    if truth.wire is None:
        return kernel
    return f"{kernel}, the wire {band(truth.wire)}; {count(truth.both)} are in both"


def _only_kernel(truth: HostTruth) -> Iterator[str]:
    if truth.moment == "long_after":
        return
    parts = [
        f"{count(truth.only_kernel[word])} {text}" for word, text in ONLY_KERNEL.items() if word in truth.only_kernel
    ]
    if parts:
        yield f"only in the kernel's table: {', '.join(parts)}{_example(truth, *ONLY_KERNEL)}"


def _only_wire(truth: HostTruth) -> Iterator[str]:
    if certain := truth.only_wire.get("certain", 0):
        yield f"only on the wire: {count(certain)}; {why_only_wire(truth)}{_example(truth, 'only_wire')}"
    if truth.never_listed:
        said = f"{counted(truth.never_listed, 'TIME_WAIT')} of the wire were in no listing while they lasted"
        why = "" if certain else f"; {why_only_wire(truth)}"
        yield f"until now {said}{why}{_example(truth, 'never_listed')}"
    if possible := truth.only_wire.get("possible", 0):
        yield f"perhaps waiting by the wire, and not in the table: {count(possible)} just begun, or with their time up"
    if truth.left_out:
        yield f"{count(truth.left_out)} TIME_WAITs of the wire were too many to be compared"


def why_only_wire(truth: HostTruth) -> str:
    """The reason that the host's counters allow."""
    cap = truth.sysctls.get("tcp_max_tw_buckets")
    full = cap is not None and cap.isdecimal() and truth.time_wait >= int(cap)
    if (truth.overflows or 0) > 0 or full:
        return f"the kernel made none for want of buckets (tcp_max_tw_buckets is {cap or 'unknown'})"
    if truth.overflows is None and truth.counters.get("TCPTimeWaitOverflow", 0):
        return f"the kernel had no bucket for some since it started (tcp_max_tw_buckets is {cap or 'unknown'})"
    return "no bucket was wanting: another clock, a reset that was not captured, or another host behind this address"


def _overflows(truth: HostTruth) -> Iterator[str]:
    if truth.overflows:
        yield f"TCPTimeWaitOverflow rose by {count(truth.overflows)} between the first reading and this one"
    elif truth.overflows is None and (total := truth.counters.get("TCPTimeWaitOverflow", 0)):
        yield f"TCPTimeWaitOverflow is {count(total)} since it started: a second snapshot shows whether it still rises"


def _example(truth: HostTruth, *kinds: str) -> str:
    found = [f"{own} ↔ {peer}" for kind, own, peer in truth.examples if kind in kinds]
    return f" (as {found[0]})" if found else ""


def settings_line(sysctls: dict[str, str | None]) -> str:
    """The settings that matter, each with its value; what this kernel does not have is left out."""
    said = []
    for name, value in sysctls.items():
        if value is None:
            continue
        if name == "tcp_tw_reuse" and value in _TW_REUSE:
            value = f"{value} ({_TW_REUSE[value]})"  # noqa: PLW2901 - the same value in words
        said.append(f"{name} {value or 'none'}")
    return ", ".join(said) or "its settings could not be read"


def _without(report: Report) -> str:
    """Hosts in TIME_WAIT of which no kernel was read."""
    read = {address for truth in report.host for address in truth.addresses}
    others = [row.host or "other hosts" for row in report.waiting if row.host not in read]
    return _some(others)


def _some(names: Sequence[str]) -> str:
    more = f" and {count(len(names) - 3)} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
