"""The verdict: one or a few short sentences that can be pasted into a ticket alone.

Who closes, for which service, how many and what share, why, whether the TIME_WAITs matter, and the remedy, ending
with the code of the finding that says more. Where the capture cannot tell, it says that instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from pcapwatch.findings.aborts import without_a_byte
from pcapwatch.findings.assumptions import Assumptions, time_wait_of
from pcapwatch.findings.attempts import WORDS as FAILED
from pcapwatch.findings.attempts import doubt, failed, hidden
from pcapwatch.findings.causes import Cause, causes_of, unknown_why
from pcapwatch.findings.coverage import (
    NOTABLE,
    before_a_fin,
    end_words,
    has_gaps,
    is_one_sided,
    one_sided_note,
    shows_no_ends,
    told_apart_note,
)
from pcapwatch.findings.port_pressure import FULL_PART, Pressure, block_words, pressure_of
from pcapwatch.findings.proxy_leg import leg_of
from pcapwatch.findings.ranking import cost
from pcapwatch.findings.service import Service, services
from pcapwatch.findings.wording import count, counted, listed, mean, no_packets, share
from pcapwatch.report.model import Finding
from pcapwatch.summary import PairFacts, Summary

#: Below this many closes per second a handshake each is not worth a change.
CHEAP_PER_S = 1
#: Fewer closes are an example, not a pattern.
PATTERN = 3


def verdict(summary: Summary, findings: Sequence[Finding], assumptions: Assumptions | None = None) -> str:
    """The answer in one to four sentences; plain text, one line."""
    nothing = _nothing(summary)
    if nothing:
        return nothing
    service = _subject(summary, findings)
    if service is None:
        return "The connections were too many to keep their services apart (max_pairs), so no verdict names one."
    whole = told_apart_note(summary)
    assumed = assumptions or Assumptions()
    words, code = _about(summary, service, findings, assumed)
    pressed = [] if code == "PW108" else _pressed_beside(summary, service, findings, assumed, code)
    words, code = words + pressed, code or ("PW108" if pressed else "")
    worse = [one for one in _worse(service, findings, code) if not (pressed and one.code == "PW108")]
    seen = worse if code else worse[1:]
    code = code or (worse[0].code if worse else "")
    words += [*_lost(worse, code), *_see(seen), *_caveats(summary)]
    return " ".join([*([whole] if whole else []), *words, *([f"[{code}]"] if code else [])])


def _nothing(summary: Summary) -> str | None:
    packets = summary["capture"]["packets"]
    problems = [
        f"{file['path']}: {file['problem'].rstrip('.')}" for file in summary["capture"]["files"] if file["problem"]
    ]
    if not packets and problems:
        return f"No packet could be read, so nothing can be said about any connection: {listed(problems, 2)}."
    if not packets:
        why = no_packets(summary["capture"]).capitalize()
        return f"{why}, so it says nothing about any connection."
    if not summary["totals"]["connections"]:
        return f"No TCP connection is in this capture ({counted(packets, 'packet')}), so it cannot say who closes."
    return None


def _subject(summary: Summary, findings: Sequence[Finding]) -> Service | None:
    """The service of the first finding that is a warning or worse, else the one with the most connections."""
    known = {str(service): service for service in services(summary)}
    weighty = (finding for finding in findings if not _trifle(summary, finding))
    for finding in weighty:
        if finding.severity in ("warning", "critical") and (found := known.get(str(finding.numbers.get("service")))):
            return found
    return max(known.values(), key=lambda service: service.connections, default=None)


def _trifle(summary: Summary, finding: Finding) -> bool:
    """Whether an attempt or two that failed are a warning only because hardly anything else went to that service."""
    attempts = finding.numbers.get("attempts")
    few = finding.code == "PW110" and cost(finding) < PATTERN and isinstance(attempts, int)
    return few and NOTABLE * int(attempts or 0) < summary["totals"]["connections"]


def _about(
    summary: Summary, service: Service, findings: Sequence[Finding], assumptions: Assumptions
) -> tuple[list[str], str]:
    """Sentences and code for the way in which most connections of a service ended."""
    ends = {closer: service.tally("active_closer", closer) for closer in ("server", "client", "both", "ambiguous")}
    ends |= {end: service.tally("close", end) for end in ("reset", "open")}
    ends |= {"failed": failed(summary, service), "hidden": hidden(summary, service)}
    most = max(ends, key=lambda end: ends[end])
    checks = without_a_byte(service)
    is_most = ends["reset"] == ends[most] or 2 * ends["reset"] > service.connections
    if is_most or (most == "client" and 2 * checks >= ends["client"]):
        most = "reset"  # an abort has an active closer too
    if 2 * ends[most] < service.connections or _tied(ends, most, service.connections):
        return _mixed(summary, service, ends), ""
    if most in ("server", "client"):
        return _closed_by(summary, service, most, findings, assumptions)
    return _otherwise(summary, service, most, ends[most])


def _tied(ends: dict[str, int], most: str, connections: int) -> bool:
    """Whether two kinds of end have half of the connections each; an abort is a reset and has an active closer too.

    What is still open has no end that would be another pattern.
    """
    as_many = sum(number == ends[most] for end, number in ends.items() if end != "open")
    return 2 * ends[most] == connections and as_many > (2 if most == "reset" else 1)


def _of(service: Service, number: int) -> str:
    if service.partial:
        told = f"{counted(service.connections, 'connection')} told apart"
        return f"{count(number)} of {told} ({share(number, service.connections)})"
    if number == service.connections:
        return "its only connection" if number == 1 else f"all {count(number)} connections"
    return f"{count(number)} of {count(service.connections)} connections ({share(number, service.connections)})"


def _mixed(summary: Summary, service: Service, ends: dict[str, int]) -> list[str]:
    names = {
        "failed": "failed",
        "hidden": "not seen to be completed",
        "open": "still open",
        "reset": "reset",
        "both": "closed by both at once",
    }
    names |= {"server": "closed first by the server", "client": "by the client", "ambiguous": "undecided"}
    parts = ", ".join(f"{count(ends[end])} {name}" for end, name in names.items() if ends[end])
    of = counted(service.connections, "connection") + (" told apart" if service.partial else "")
    return [f"No single pattern explains {service}: of {of}, {parts}."]


def _otherwise(summary: Summary, service: Service, end: str, number: int) -> tuple[list[str], str]:
    """Ends without an active closer by FIN."""
    of = _of(service, number)
    if end == "hidden":
        silent = is_one_sided(summary) and 2 * service.tally("close", "unanswered") >= number
        said = "answered" if silent else "completed"
        missing = "the answers" if silent else "the client's acknowledgments"
        verb = "was" if number == 1 else "were"
        return [f"{service}: whether {of} {verb} {said} cannot be told: {missing} may be in what is missing."], ""
    if end == "failed":
        return _failed(summary, service, of, number), "PW110"
    if end == "open":
        if summary["capture"]["live"]["goes_on"]:
            return [
                f"{service}: {of} {'is' if number == 1 else 'are'} still open: there is no close to judge so far."
            ], ""
        verb = "was" if number == 1 else "were"
        early = ""
        if evicted := summary["capture"]["evicted_connections"]:
            early = f", or when the limit on memory (--max-connections) ended {count(evicted)} early"
        if shows_no_ends(summary):
            return [f"{service}: no end of {of} was captured{early}: it shows no close to judge."], ""
        return [f"{service}: {of} {verb} still open when the capture ended{early}: it shows no close to judge."], ""
    if end == "reset":
        return _reset(summary, service, of, number), "PW109"
    if end == "both":
        return [f"{service}: on {of} the FINs cross: both sides close at once and both hold a TIME_WAIT."], ""
    return [f"{service}: who closed first cannot be told on {of}: a first FIN is missing from the capture."], ""


def _failed(summary: Summary, service: Service, of: str, number: int) -> list[str]:
    refused = 2 * service.tally("close", "refused") >= number
    how = "was refused" if refused else "never completed its handshake"
    if number > 1:
        how = "were refused" if refused else "never completed their handshakes"
    advice = "Check its listener." if refused else "Look for a filter on the way, and at its listen queue."
    lead = f"{service} was {'not' if number == service.connections and not service.partial else 'often not'} reached"
    failing = service.narrowed(lambda pair: any(pair["close"].get(word, 0) for word in FAILED)) or service
    return [f"{lead}: {of} from {failing.clients} {how}{doubt(summary, service)}; no TIME_WAIT comes of that.", advice]


def _reset(summary: Summary, service: Service, of: str, number: int) -> list[str]:
    aborts = {who: service.tally("resets", f"{who} abort") for who in ("client", "server")}
    who = max(aborts, key=lambda side: aborts[side])
    lead = f"{service}: {of} ended by a reset {before_a_fin(summary, service.pairs)}, which leaves no TIME_WAIT"
    empty = without_a_byte(service)
    if 2 * empty >= number:
        which = ("it" if number == 1 else "they") if empty == number else f"{count(empty)} of them"
        return [f"{lead}; {which} carried no byte, as TCP health checks do: nothing to mend there."]
    if 2 * aborts[who] < number:
        return [f"{lead}."]
    return [f"{lead}; most are aborts by the {who}: look there for a close with unread data or SO_LINGER 0."]


def _closed_by(
    summary: Summary, service: Service, closer: str, findings: Sequence[Finding], assumptions: Assumptions
) -> tuple[list[str], str]:
    number = service.tally("active_closer", closer)
    proxy = all(leg_of(summary, pair) for pair in service.pairs)
    causes = causes_of(service, closer, proxy=proxy)
    cause = causes[0] if causes else None
    closing = service.narrowed(lambda pair: pair["active_closer"].get(closer, 0) > 0) or service
    name = str(service) if closer == "server" else closing.clients
    to = "" if closer == "server" else f" to {service}"
    verb = "closes" if closer == "server" else closing.verb("close")
    why = _why(causes, number) or f"; {unknown_why(service, cut=summary['capture']['cut_packets'] > 0)}"
    lead = f"{name} {verb} first on {_of(service, number)}{to}{why}."
    waits = _server_waits(summary, service) if closer == "server" else _client_waits(summary, service, assumptions)
    pressed = _pressed(service, findings)[:1] if closer == "client" else []
    code = "PW108" if pressed else _known(cause, service, findings)
    remedy = _remedy(service, number, cause, pressed[0] if pressed else None, made=bool(code))
    left, is_most = _never_closed(summary, service, closer, findings)
    if is_most and not pressed:
        remedy, code = "Look there for sockets that are never closed.", "PW111"
    return [sentence for sentence in (lead, waits, left, remedy) if sentence], code


def _never_closed(summary: Summary, service: Service, closer: str, findings: Sequence[Finding]) -> tuple[str, bool]:
    """That the other side did not close, and whether it is so for most of what this side closed first."""
    left = [one.numbers for one in findings if one.code == "PW111" and one.numbers["service"] == str(service)]
    if not left or left[0].get("close_wait_side", closer) == closer:
        return "", False
    if float(left[0].get("dwell_longest_s", 0)) >= float(left[0].get("half_closed_at_least_s", 0)):
        return "", False  # others took as long, and closed
    still, number = int(left[0]["half_closed_at_end"]), service.tally("active_closer", closer)
    late = str(service) if closer == "client" else str(left[0]["clients"])
    alone = not late.endswith(" clients")
    of = "them" if still == number else f"{count(still)} of them"
    said = f"{late} had not closed {of} when {end_words(summary)}"
    if summary["capture"]["live"]["goes_on"]:
        said = f"{late} {'has' if alone else 'have'} not closed {of} so far"
    is_most = 2 * still >= number
    named = "" if is_most else " (PW111)"
    return f"{said}: CLOSE_WAIT there, no TIME_WAIT until {'it does' if alone else 'they do'}{named}.", is_most


def _pressed(service: Service, findings: Sequence[Finding]) -> list[Finding]:
    """The clients of a service that come near the end of their ports, the worst first."""
    return [one for one in findings if one.code == "PW108" and one.numbers.get("service") == str(service)]


def _pressed_beside(
    summary: Summary, service: Service, findings: Sequence[Finding], assumptions: Assumptions, code: str
) -> list[str]:
    """Clients under pressure where most connections end otherwise: the server's harmless closes must not hide them."""
    named = {one.numbers["clients"] for one in _pressed(service, findings)}
    if not named:
        return []
    closing = service.narrowed(lambda pair: pair["client"] in named) or service
    number = closing.tally("active_closer", "client")
    verb = "closes" if len(closing.pairs) == 1 else "close"
    waits = _client_waits(summary, closing, assumptions)
    named_here = " (PW108)" if code else ""  # else it is the verdict's own code
    return [f"But {closing.clients} {verb} first on {count(number)}{named_here}.", waits]


def _why(causes: list[Cause], number: int) -> str:
    """The cause of all; of several each with its count, so that they add up to the closes."""
    if not causes or causes[0].connections >= number:
        return f", {causes[0].why}" if causes else ""
    told = [f"{count(cause.connections)} {cause.why}" for cause in causes]
    if (rest := number - sum(cause.connections for cause in causes)) > 0:
        told.append(f"{count(rest)} for no reason that the capture shows")
    return f": {'; '.join(told)}"


def _known(cause: Cause | None, service: Service, findings: Sequence[Finding]) -> str:
    """The cause's code if that finding was made for the service."""
    made = {finding.code for finding in findings if finding.numbers.get("service") == str(service)}
    return cause.code if cause and cause.code in made else ""


def _server_waits(summary: Summary, service: Service) -> str:
    if not service.tally("time_wait_holder", "server", "both"):
        return ""
    facts = time_wait_of(summary, service.server)
    peak = f" ({_at_once(summary, service, facts['peak'][1])})" if facts else ""
    cost = "; the cost is a handshake per request" if 0 < service.requests_each < 2 else ""
    holds = f"they hold port {service.server_port}, not ephemeral ports"
    return f"Its TIME_WAIT sockets{peak} are harmless where they are: {holds}{cost}."


def _at_once(summary: Summary, service: Service, peak: int) -> str:
    """TIME_WAITs are counted per host: whether those of this one may be of other services or its own connections."""
    host, port = service.server, service.server_port
    beside = (
        (pair["server"] == host and pair["server_port"] != port and _holds(pair, "server"))
        or (pair["client"] == host and _holds(pair, "client"))
        for pair in summary["pairs"]
    )
    most = f"at most {count(peak)} at once"
    if has_gaps(summary) or summary["capture"]["connection_quality"].get("midstream", 0):
        most += " of those captured"
    elif any(
        pair["time_wait_holder"].get("unknown", 0)
        for pair in summary["pairs"]
        if host in (pair["server"], pair["client"])
    ):
        most += " of those that can be told"
    return f"{host} holds {most}, its other ports' included" if service.partial or any(beside) else most


def _holds(pair: PairFacts, side: str) -> bool:
    return any(pair["time_wait_holder"].get(word, 0) for word in (side, "both"))


def _client_waits(summary: Summary, service: Service, assumptions: Assumptions) -> str:
    pressures = [pressure_of(summary, pair, assumptions, service.busy) for pair in service.pairs]
    holding = [pressure for pressure in pressures if pressure.client_held]
    if not holding:
        return ""
    worst = max(holding, key=lambda pressure: (pressure.block is not None, pressure.held[1] / pressure.ports.size))
    held = f"{count(worst.held[1])} of {count(worst.ports.size)} ephemeral ports"
    held = block_words(worst) if worst.block else held
    held = f"{held} towards this service at once{_how_near(worst, partial=service.partial)}"
    if service.partial:
        return f"A client told apart holds at most {held}."
    if len(holding) > 1:
        return f"The clients hold the TIME_WAITs; the one with the most, with what is open, at most {held}."
    holder = worst.pair["client"] if len(pressures) > 1 else "It"
    return f"{holder} holds the TIME_WAITs and, with what is open, at most {held}."


def _how_near(pressure: Pressure, *, partial: bool = False) -> str:
    part = pressure.held[1] / pressure.ports.size
    if pressure.recycles:
        return ", and takes them again early"
    if block := pressure.block:
        full = pressure.block_held >= FULL_PART * block.size
        verb = "must be" if pressure.fills_block else "may be"
        return f"; that {verb} its whole range (--port-range states it)" + (", and it is full" if full else "")
    if pressure.exhausted:
        return ", the end of the range"
    if seconds := pressure.seconds_to_full:
        when = ", as in its busiest time," if pressure.uneven else ""
        return f"; at {mean(pressure.pace)} closes per second{when} they last {mean(seconds)} s"
    if part < 0.5:
        far = ", far from the limit" + ("" if pressure.ports.stated else " of the assumed range")
        return "" if partial else far
    return ", near the limit"


def _remedy(service: Service, number: int, cause: Cause | None, pressed: Finding | None, *, made: bool) -> str:
    if pressed:
        return "Keep connections open, or let the server close." if cause is None else cause.remedy
    if cause is None or not cause.remedy or (cause.code == "PW104" and not made):
        return ""
    if number < PATTERN:
        return f"{cause.remedy[:-1]}, if more connections do the same."
    if service.per_s(number) < CHEAP_PER_S and cause.code != "PW104":
        return f"{cause.remedy[:-1]}, if it matters at {service.pace(number)}."
    return cause.remedy


def _worse(service: Service, findings: Sequence[Finding], code: str) -> list[Finding]:
    """Warnings and worse on the same service that the verdict's code does not cover."""
    covered = {code, "PW101"} if code == "PW102" else {code, "PW103"} if code == "PW108" else {code}
    severe = [finding for finding in findings if finding.severity in ("warning", "critical")]
    return [f for f in severe if f.code not in covered and f.numbers.get("service") == str(service)]


def _lost(findings: Sequence[Finding], code: str) -> list[str]:
    """Requests lost, which no verdict may leave out; ``code`` is named at its end anyway."""
    how = {"PW106": "crossed the close and were lost", "PW107": "were sent after the close was acknowledged and lost"}
    lost = [finding for finding in findings if finding.code in how]
    named = {finding.code: "" if finding.code == code else f" ({finding.code})" for finding in lost}
    return [f"Requests that {how[f.code]}: {f.numbers['connections']}{named[f.code]}." for f in lost]


def _see(findings: Sequence[Finding]) -> list[str]:
    """The other codes to read."""
    codes = [finding.code for finding in findings if finding.code not in ("PW106", "PW107")]
    return [f"See also {listed(codes)}."] if codes else []


def _caveats(summary: Summary) -> list[str]:
    connections, quality = summary["totals"]["connections"], summary["capture"]["connection_quality"]
    note = one_sided_note(summary)
    notes = [note] if note else []
    if 2 * quality.get("midstream", 0) > connections:
        notes.append("The beginning of most connections is not in the capture, so who opened them is inferred.")
    return notes
