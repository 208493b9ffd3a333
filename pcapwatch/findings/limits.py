"""What a capture cannot show, said beside what it does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pcapwatch.findings.coverage import (
    capture_host,
    dropped,
    gaps,
    has_gaps,
    is_data_alone,
    lacks_acks,
    one_sided,
    overflowed,
    uncounted,
)
from pcapwatch.findings.proxy_leg import LIKELY, leg_of
from pcapwatch.findings.wording import count, counted, duration, listed
from pcapwatch.report.model import HostTruth
from pcapwatch.summary import Summary

#: Linux's default tcp_max_tw_buckets follows memory; small machines have a few thousand.
SMALLEST_CAP = 4096


def cannot_show(summary: Summary, hosts: Sequence[HostTruth] = ()) -> list[str]:
    """Lines for the report's "cannot see", those that bear on the answer most first; ``hosts``: what kernels said."""
    if not summary["totals"]["connections"]:
        return list(_lost(summary))
    parts = (_ends, _holes, _connections, _payload, _legs, _ports)
    lines = [line for part in parts for line in part(summary)]
    return [*lines, *_caps(summary, hosts), *_lost(summary), *_side(summary, hosts)]


def _ends(summary: Summary) -> Iterator[str]:
    """Hosts whose TIME_WAITs all end by model."""
    unseen = []
    for host in summary["hosts"]:
        waits = host["time_wait"]
        unmeasured = waits and waits["length"]["source"] != "kernel"
        if waits and unmeasured and host["address"] and not waits["exact"] and not waits["evidence"]["gone"]:
            unseen.append(f"{host['address']} ({duration(waits['length']['low_ns'])} by {waits['length']['source']})")
    if unseen:
        yield f"how long TIME_WAIT really lasted on {listed(unseen)}: no end of one was observed there"


def _holes(summary: Summary) -> Iterator[str]:
    """What is missing between files, and what reads wrongly at its edges."""
    holes = [gap["to_ns"] - gap["from_ns"] for gap in gaps(summary)]
    if not holes:
        return
    more = ""
    if any(pair["http"]["unprocessed"] for pair in summary["pairs"]):
        more = "; a request without a response may have had it there"
    yield (
        f"what happened in {counted(len(holes), 'gap')} between files, {duration(sum(holes))} in all: sockets at once "
        f"may have been more{more}"
    )


def _connections(summary: Summary) -> Iterator[str]:
    quality = summary["capture"]["connection_quality"]
    if number := one_sided(summary):
        yield f"the other direction of {counted(number, 'connection')}: only one was captured"
        yield f"who closed first, and who entered TIME_WAIT, on {counted(number, 'connection')} of one direction only"
    if lacks_acks(summary):
        connections = counted(summary["totals"]["connections"], "connection")
        yield f"acknowledgments of {connections}, and what else a capture filter left out: no pure one was captured"
    if is_data_alone(summary):
        connections = counted(summary["totals"]["connections"], "connection")
        yield (
            f"how {connections} began and ended: every segment of this capture carries data, as a filter leaves them"
        )
        return
    if number := quality.get("midstream", 0):
        yield f"how {counted(number, 'connection')} began: it is not in the capture, so who opened them is inferred"
        if any(host["time_wait"] for host in summary["hosts"]):
            yield "TIME_WAITs that began before the capture did: they add to those at once, for a minute on Linux"
    if number := quality.get("gap", 0):
        limited = summary["capture"]["reassembly_overflows"] or summary["capture"]["kept_overflows"]
        more = ", or a limit gave up" if limited else ""
        yield f"bytes that {counted(number, 'connection')} carried but the capture lacks{more}"
    early = ", or a gap between files began" if has_gaps(summary) else ""
    early += ", or evicted" if summary["capture"]["evicted_connections"] else ""
    for word, said in (("open", "still open"), ("half_closed", "half-closed, one FIN only,")):
        if number := summary["totals"]["close"].get(word, 0):
            yield f"how {counted(number, 'connection')} ended: {said} when the capture stopped{early}"


def _payload(summary: Summary) -> Iterator[str]:
    if number := summary["totals"]["protocol"].get("tls", 0):
        yield f"HTTP inside TLS on {counted(number, 'connection')}: no Connection header, only who closed and when"
    if number := summary["totals"]["protocol"].get("h2c", 0):
        yield f"requests inside HTTP/2 on {counted(number, 'connection')}: only who closed and when"


def _legs(summary: Summary) -> Iterator[str]:
    hosts = [host for host in summary["hosts"] if host["address"]]
    seen = any(leg_of(summary, pair) == LIKELY for pair in summary["pairs"])
    if not seen and not any(host["as_client"] and host["as_server"] for host in hosts):
        clients = [str(host["address"]) for host in hosts if host["as_client"]]
        servers = [str(host["address"]) for host in hosts if host["as_server"]]
        if clients and servers:
            ends = f"any of {listed([*clients, *servers], 4)}"
            if len(clients) == len(servers) == 1:
                ends = f"{clients[0]} or {servers[0]}"
            yield f"the other leg, should {ends} be a proxy or load balancer: capture there too"


def _ports(summary: Summary) -> Iterator[str]:
    held = summary["totals"]["time_wait_holder"]
    if held.get("client", 0) or held.get("both", 0):
        yield "a connect() that fails for want of a port: it sends nothing, look for EADDRNOTAVAIL in the client's logs"


def _caps(summary: Summary, truths: Sequence[HostTruth]) -> Iterator[str]:
    """Servers whose TIME_WAITs could meet the kernel's cap, which no packet tells, and no kernel told."""
    told = {
        address
        for truth in truths
        for address in truth.addresses
        if truth.sysctls.get("tcp_max_tw_buckets") and "TCPTimeWaitOverflow" in truth.counters
    }
    many = [
        str(host["address"])
        for host in summary["hosts"]
        if host["as_server"]
        and host["address"] not in told
        and host["time_wait"]
        and host["time_wait"]["peak"][1] >= SMALLEST_CAP
    ]
    if many:
        yield f"how near {listed(many)} came to tcp_max_tw_buckets: compare with nstat TcpExtTCPTimeWaitOverflow there"


def _lost(summary: Summary) -> Iterator[str]:
    capture = summary["capture"]
    files, without = len(capture["files"]), uncounted(capture)
    if lost := dropped(capture):
        yield f"{counted(lost, 'packet')} that the capture dropped: some closes may be missing"
    elif without and without == files:
        keep = "file keeps" if files == 1 else "files keep"
        yield f"whether the capture dropped packets: the {keep} no count of drops"
    elif without:
        which = f"{count(without)} of {counted(files, 'file')}"
        yield f"whether packets were dropped in {which}, which keep no count of drops"
    for file in capture["files"]:
        if file["problem"]:
            yield f"what follows in {file['path']}: {file['problem']}"
    if capture["cut_packets"]:
        yield f"the end of {counted(capture['cut_packets'], 'packet')} captured cut short: header fields may be missing"
    if skipped := capture["not_analysed"]:
        kinds = listed([f"{count(number)} {kind}" for kind, number in _most_first(skipped)])
        yield f"packets of kinds that are not analysed: {kinds}"
    if beyond := overflowed(summary):
        yield f"whose {counted(beyond, 'connection')} beyond max_pairs are: raise it; they are in the totals only"
    if evicted := capture["evicted_connections"]:
        yield f"the whole of {counted(evicted, 'connection')} ended early by max_connections: raise it"


def _most_first(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))


def _side(summary: Summary, hosts: Sequence[HostTruth]) -> Iterator[str]:
    """Whose kernel is watched while packets are captured is where they are taken."""
    watched = [host for host in hosts if host.watched]
    if any(host.addresses for host in watched) or capture_host(summary):
        return
    if watched:
        where = f"{watched[0].name}, where it was taken, is neither"
        yield f"the two sides as they saw it: {where}, so times between them are exact to a round trip only"
    else:
        yield "on which host it was taken: times between the two sides are exact to a round trip only"
