"""TIME_WAITs that the kernel does not keep for want of buckets

What it detects
    A host whose kernel was read (pcapwatch host, --host-snapshot, live) had no bucket left for a connection that
    entered TIME_WAIT: its counter TCPTimeWaitOverflow rose between two readings, or its table was at
    tcp_max_tw_buckets and the wire shows TIME_WAITs that it does not list: then, or, where it is read again and
    again, ever.

Why it matters
    The connection is forgotten at once. A FIN that the peer repeats is answered by a reset, and a delayed segment may
    reach the next connection on the same addresses and ports, which is what TIME_WAIT prevents.

Evidence
    The kernel's counters and its table of sockets, beside the TIME_WAITs that the wire shows at that moment.

When it is wrong
    The counter is of the whole host, or network namespace: its other connections count as well.

Remedy
    Raise tcp_max_tw_buckets again if it was lowered (the kernel's documentation says it must not be); 256 bytes of
    memory a bucket. Then fewer closes on that host: keep connections open.
"""

from __future__ import annotations

from collections.abc import Iterator

from pcapwatch.findings import advice
from pcapwatch.findings.assumptions import Assumptions
from pcapwatch.findings.wording import count, counted
from pcapwatch.report.model import Finding, HostTruth
from pcapwatch.summary import Summary

CODE = "PW112"
NAME = "time-wait-bucket-overflow"


def check(summary: Summary, assumptions: Assumptions) -> Iterator[Finding]:
    """One finding per host, of its latest reading that shows it."""
    del summary  # the readings were held against it already
    latest = {(truth.name, truth.netns): truth for truth in assumptions.truths if _overflows(truth)}
    for truth in latest.values():
        yield _finding(truth)


def _overflows(truth: HostTruth) -> bool:
    if truth.moment == "long_after" or not truth.addresses:
        return False
    cap = truth.sysctls.get("tcp_max_tw_buckets") or ""
    full = cap.isdecimal() and truth.time_wait >= int(cap)
    return bool(truth.overflows) or (full and _missing(truth) > 0)


def _missing(truth: HostTruth) -> int:
    """On the wire alone: at the reading's moment, or while they lasted."""
    return max(truth.only_wire.get("certain", 0), truth.never_listed)


def _finding(truth: HostTruth) -> Finding:
    cap = truth.sysctls.get("tcp_max_tw_buckets") or "unknown"
    host = truth.addresses[0]
    missing = _missing(truth)
    risen = f", its overflow counter rose by {count(truth.overflows)}" if truth.overflows else ""
    return Finding(
        code=CODE,
        name=NAME,
        severity="warning",
        title=(
            f"{truth.name} ({host}) keeps no TIME_WAIT beyond tcp_max_tw_buckets, which is {cap} there: it lists "
            f"{counted(truth.time_wait, 'socket')} in TIME_WAIT{risen}; the wire shows {count(missing)} more"
        ),
        numbers={
            "host": host,
            "connections": truth.overflows or missing,
            "time_wait": truth.time_wait,
            "tcp_max_tw_buckets": cap,
            "only_on_the_wire": missing,
            **({"overflows": truth.overflows} if truth.overflows is not None else {}),
        },
        remedy=[
            f"on {host}: raise net.ipv4.tcp_max_tw_buckets, which is {cap} (some 256 bytes of memory each)",
            advice.CLIENT_KEEPS,
        ],
        verify=[
            f"on {host}: nstat -az TcpExtTCPTimeWaitOverflow: the counter stays where it is",
            f"on {host}: pcapwatch host",
        ],
        do_not=[advice.NO_MAX_BUCKETS, advice.NO_FIN_TIMEOUT, advice.NO_TW_RECYCLE],
        basis="observed: the kernel's own counter and table beside the wire",
    )
