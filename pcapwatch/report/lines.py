"""The sentences and rows that text and Markdown share; unescaped, each renderer does that for its medium."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pcapwatch.findings.attempts import doubt
from pcapwatch.findings.coverage import is_data_alone, lacks_acks, one_sided
from pcapwatch.findings.service import services
from pcapwatch.findings.wording import count, counted, endpoint
from pcapwatch.report.model import Closers, Example, Finding, PortUse, Quality, Report, Trouble, Waiting
from pcapwatch.report.quality import link_name
from pcapwatch.report.sparkline import over_time, sparkline
from pcapwatch.report.words import Clock, band, bare_duration, leg, percent, signed_seconds

#: Rows of races and aborts told apart; the others are in the JSON report.
TROUBLES_SHOWN = 8

Table = tuple[list[str], list[list[str]]]


def severity_note(finding: Finding) -> str:
    """``warning``; the word itself, so that colour is never needed."""
    return finding.severity


def capture_lines(quality: Quality, clock: Clock) -> Iterator[str]:
    """Files, span and what the capture is worth."""
    files = list(quality.files)
    named = (
        files[0] if len(files) == 1 else f"{count(len(files))} files, {files[0]} … {files[-1]}" if files else "no file"
    )
    if quality.first_ns is None or quality.last_ns is None:
        yield f"{named}  {counted(quality.packets, 'packet')}"
    else:
        span = bare_duration(quality.last_ns - quality.first_ns)
        yield f"{named}  {counted(quality.packets, 'packet')} in {span} from {clock.instant(quality.first_ns)}"
    links = ", ".join(link_name(link) for link in quality.link_types)
    whole = (
        "packets cut short" if any("captured cut short" in concern for concern in quality.concerns) else "whole packets"
    )
    where = [f"taken on {quality.capture_host} (its checksums were left to the card)"] if quality.capture_host else []
    yield "; ".join([f"{links}, {whole}" if links else whole, *where, ", ".join(quality.remarks)])
    for concern in quality.concerns:
        yield f"! {concern}"


def closer_table(closers: Sequence[Closers]) -> tuple[list[str], list[tuple[list[str], Closers]]]:
    """Header and rows; shares are of the row's connections. Columns that are zero throughout are left out."""
    columns: list[tuple[str, Callable[[Closers], str], bool]] = [
        ("client", lambda row: percent(row.client_first, row.connections), True),
        ("server", lambda row: percent(row.server_first, row.connections), True),
        ("crossed", lambda row: percent(row.crossed, row.connections), any(row.crossed for row in closers)),
        ("unclear", lambda row: percent(row.undecided, row.connections), any(row.undecided for row in closers)),
        ("reset", lambda row: count(row.reset), any(row.reset for row in closers)),
        ("open", lambda row: count(row.open), any(row.open for row in closers)),
        ("requests", lambda row: _each(row.requests_each), any(row.requests_each is not None for row in closers)),
    ]
    shown = [(name, cell) for name, cell, wanted in columns if wanted]
    header = ["Who closes first", "connections", *(name for name, _ in shown)]
    rows = [
        ([" → ".join(_leg(row)), count(row.connections), *(cell(row) for _, cell in shown)], row) for row in closers
    ]
    return header, rows


def _each(requests: float | None) -> str:
    return "-" if requests is None else f"{requests:.1f} each".replace(".0 each", " each")


def _leg(row: Closers | Trouble) -> tuple[str, str]:
    return leg(row.client, row.clients, row.server, row.server_port)


def detail_line(row: Closers) -> str | None:
    """What the columns leave out: connections that never were."""
    parts = ((row.refused, "refused"), (row.unanswered, "unanswered"), (row.half_open, "half-open"))
    named = [f"{count(number)} {word}" for number, word in parts if number]
    return f"{' → '.join(_leg(row))}: {', '.join(named)}" if named else None


def waiting_table(report: Report, clock: Clock, blocks: int) -> Table:
    """TIME_WAIT by host; the sparkline is of the upper band over the whole capture."""
    end = "now" if report.summary["capture"]["live"]["goes_on"] else "at end"
    header = ["TIME_WAIT", "entered", end, "peak", "over time"]
    return header, [
        [
            host.host or "other hosts",
            count(host.entered),
            band(host.at_end),
            f"{band(host.peak)} at {clock.offset(host.peak_ns)}",
            _over_time(report, host, blocks),
        ]
        for host in report.waiting
    ]


def _over_time(report: Report, host: Waiting, blocks: int) -> str:
    """A capture that goes on is drawn to its newest sample, others to their last packet."""
    samples = [(ns, most) for ns, _, most in host.occupancy]
    first_ns, last_ns = report.quality.first_ns, report.quality.last_ns
    if not samples or first_ns is None or last_ns is None:
        return ""
    return sparkline(over_time(samples, first_ns, max(last_ns, samples[-1][0]), blocks))


def no_waiting_line(report: Report) -> str:
    """Instead of the table, where no TIME_WAIT was seen to begin."""
    untold = max(one_sided(report.summary), report.totals["active_closer"].get("ambiguous", 0))
    why = "one direction only was captured, or a FIN is missing"
    if lacks_acks(report.summary) or is_data_alone(report.summary):
        untold, why = report.quality.connections, "a filter may have left their ends out"
    if not untold:
        doubts = {said for service in services(report.summary) if (said := doubt(report.summary, service))}
        return f"no connection in this capture entered it{min(doubts, default='')}"
    whole = untold >= report.quality.connections
    return f"cannot be told for {counted(untold, 'connection')}: {why}" + ("" if whole else "; no other entered it")


def waiting_lines(hosts: Sequence[Waiting]) -> Iterator[str]:
    """How long each host waited: observed, proven, assumed. The counts add up to those that it entered."""
    for host in hosts:
        parts = [*_observed(host), *_proven(host), *_modelled(host)]
        alive, exact = host.proven_ns[0], host.exact_ns
        if alive is not None and (not exact or alive > exact["max_ns"]):
            parts.append(f"the longest proven wait {bare_duration(alive)}")
        yield f"{host.host or 'other hosts'}: {'; '.join(parts)}"


def untold_waits(report: Report) -> Iterator[str]:
    """Beside the table: connections of which nobody knows whether either side waited."""
    holders, hosts = report.totals["time_wait_holder"], report.summary["hosts"]
    entered = sum(host["time_wait"]["entered"] for host in hosts if host["time_wait"])
    proven = entered - sum(times * holders.get(who, 0) for who, times in (("client", 1), ("server", 1), ("both", 2)))
    if (number := holders.get("unknown", 0) - max(proven, 0)) > 0:
        yield f"{counted(number, 'connection')} more may have led to one: a direction, or a FIN, was not captured"


def _observed(host: Waiting) -> Iterator[str]:
    if (exact := host.exact_ns) and exact["count"]:
        least, median, most = (bare_duration(exact[name]) for name in ("min_ns", "p50_ns", "max_ns"))
        spread = f"{least} … {most}, median {median}"
        if exact["count"] == 1:
            spread = bare_duration(exact["min_ns"])
        how = "reuse or reset" if host.killed else "reuse"
        yield f"{count(exact['count'])} observed exactly, ended by {how}: {spread}"


def _proven(host: Waiting) -> Iterator[str]:
    gone = host.proven_ns[1]
    number = host.basis.get("observed_interval", 0) + host.basis.get("upper_only", 0)
    # A reset, another host or what is missing explains the others.
    of = "" if host.gone in (0, number) else f" of {count(host.gone)} that nothing else explains"
    after = f", none{of} sooner than {bare_duration(gone)}" if gone is not None else ""
    if number:
        yield f"{count(number)} proven gone{after}"
    if killed := host.basis.get("possibly_killed", 0):
        yield f"{count(killed)} possibly ended by a reset (unless rfc1337 is set)"
    if rejected := host.basis.get("model_rejected", 0):
        why = "gone sooner, or alive for longer, unless packets are missing"
        yield f"{count(rejected)} that contradict the assumed length: {why}"


def _modelled(host: Waiting) -> Iterator[str]:
    if told := host.basis.get("kernel", 0):
        yield f"{count(told)} whose timer the host's kernel told"
    waiting = sum(host.basis.get(word, 0) for word in ("model", "censored", "lower_only"))
    low, high = host.length_ns
    span = bare_duration(low) if low == high else f"{bare_duration(low)} to {bare_duration(high)}"
    source = {
        "flag": "stated by --time-wait",
        "kernel": "measured by its kernel's timers",
        "evidence": "from this capture's evidence",
    }.get(host.length_source, f"{_stack(host)}'s default, not measured")
    if waiting:
        yield f"{count(waiting)} whose end was not observed: {span} each ({source})"


def _stack(host: Waiting) -> str:
    names = {"linux": "Linux", "freebsd": "FreeBSD", "macos": "macOS", "windows": "Windows", "solaris": "Solaris"}
    return names.get(host.stack or "", "an unknown stack")


def port_lines(uses: Sequence[PortUse], clock: Clock) -> Iterator[str]:
    """One paragraph per triple."""
    for use in uses:
        triple = f"{use.client} → {endpoint(use.server, use.server_port)}"
        share = percent(use.held_peak[1], use.range.size)
        inside = count(use.distinct - use.outside)
        parts = [f"{triple} used {inside} of {count(use.range.size)} {'' if use.range.stated else 'assumed '}ports"]
        if use.outside:
            parts.append(f"{count(use.outside)} more outside the stated range")
        if block := use.block:
            parts.append(f"they fill {block.low}-{block.high}: if that is its range, state it with --port-range")
        parts.append(f"at most {band(use.held_peak)} at once ({share}) at {clock.offset(use.held_peak_ns)}")
        if use.reuse_gap_ns and use.reuses:
            soonest = bare_duration(use.reuse_gap_ns["min_ns"])
            parts.append(f"{counted(use.reuses, 'reuse')}, the soonest {soonest} after the port's last packet")
        if use.client_recycled:
            parts.append(f"{count(use.client_recycled)} of the client's own TIME_WAITs recycled")
        if use.sustainable_per_s and not use.block:
            rate = f"if it closed first every time, {count(use.sustainable_per_s)} new connections/s would last"
            parts.append(f"{rate}; busiest second here {count(use.opened_peak_per_s)}")
        yield "; ".join(parts)


def trouble_lines(troubles: Sequence[Trouble]) -> Iterator[str]:
    """One paragraph per row of races and aborts, at most eight."""
    for row in troubles[:TROUBLES_SHOWN]:
        words = (
            (row.keepalive_races, "keep-alive race", "keep-alive races"),
            (row.stale_reuses, "stale reuse", "stale reuses"),
            (row.unprocessed, "request without a response", "requests without a response"),
            (row.smuggling, "connection with ambiguous framing", "connections with ambiguous framing"),
        )
        parts = [counted(number, one, many) for number, one, many in words if number]
        parts += [f"{counted(number, 'reset')} ({kind.replace('_', ' ')})" for kind, number in row.resets.items()]
        yield f"{' → '.join(_leg(row))}: {', '.join(parts)}"
    if len(troubles) > TROUBLES_SHOWN:
        yield f"and {count(len(troubles) - TROUBLES_SHOWN)} more rows, in the JSON report"


def example_head(example: Example, clock: Clock) -> Iterator[str]:
    """Where to find one connection again."""
    one = example.file == example.last_file
    frames = (
        f"frames {count(example.first_frame)}-{count(example.last_frame)}"
        if one
        else f"from frame {count(example.first_frame)} to frame {count(example.last_frame)} of {example.last_file}"
    )
    length = "" if clock.style == "unknown" else f", {signed_seconds(example.end_ns - example.start_ns, 6)[1:]} s long"
    yield f"connection {count(example.connection)} ({example.kind.replace('_', ' ')}) in {example.file}, {frames}"
    yield f"{clock.instant(example.start_ns)}{length}; Community ID {example.community_id}"
    yield f"Wireshark: {example.display_filter}"
