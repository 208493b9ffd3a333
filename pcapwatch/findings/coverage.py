"""How much of the capture's connections an answer may speak of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from statistics import median

from pcapwatch.findings.wording import count, counted, share
from pcapwatch.link_types import NUMBERS
from pcapwatch.summary import CaptureFacts, PairFacts, Summary
from pcapwatch.summary_of_files import FileFacts, Gap

SECOND_NS = 1_000_000_000
#: Times between two files without a packet are told from this length on, if they are also this many times the files'
#: own mean interval, longer than their longest silences, and unlike those between most others.
_SILENCE_NS = SECOND_NS
_INTERVALS = 10
_SILENCES = 2
#: From so many on most others are known.
_FEWEST = 3
#: Ends that take an acknowledgment: of the second FIN, which nothing but it follows, or of the first.
_BOTH_CLOSED = ("fin", "simultaneous")
_CLOSED = (*_BOTH_CLOSED, "half_closed", "reset_after_fin")
#: From this share of the connections on, what they lack belongs in the verdict: one in so many.
NOTABLE = 10


def one_sided(summary: Summary) -> int:
    """Connections captured in one direction only: whoever acknowledges has heard the side that is missing.

    A SYN that nobody answered acknowledges nothing, and the engine does not count it among them.
    """
    return summary["capture"]["connection_quality"].get("one_sided", 0)


def before_a_fin(summary: Summary, pairs: Iterable[PairFacts]) -> str:
    """What the resets of some pairs came before, as far as the capture can tell.

    Who answers for a socket that is no more has closed it: where nobody is told to have, that is missing.
    """
    of_none = ("client no_state", "server no_state")
    is_untold = any(
        pair["active_closer"].get("ambiguous", 0) and any(pair["resets"].get(kind, 0) for kind in of_none)
        for pair in pairs
    )
    is_partial = one_sided(summary) or is_untold or not has_acks(summary)
    return "before any FIN that was captured" if is_partial else "before any FIN"


def overflowed(summary: Summary) -> int:
    """Connections of pairs beyond ``max_pairs``, of which only totals are known."""
    mixed = sum(pair["connections"] for pair in summary["pairs"] if pair["server"] is None)
    return max(summary["capture"]["overflow_connections"], mixed)


def told_apart_note(summary: Summary) -> str | None:
    """The sentence before an answer that cannot be about all connections."""
    connections, beyond = summary["totals"]["connections"], overflowed(summary)
    if not beyond:
        return None
    told = max(connections - beyond, 0)
    return (
        f"{counted(connections, 'connection')}, of which {count(told)} ({share(told, connections)}) are told apart by "
        "client and service (--max-pairs); what follows is about those."
    )


def unheard(summary: Summary, pair: PairFacts) -> bool:
    """Whether the capture may lack the server's side of a pair: no response, no handshake seen from both sides."""
    silent = not pair["http"]["responses"] and pair["handshake_rtt"] is None
    return silent and 0 < pair["connections"] <= one_sided(summary)


def capture_host(summary: Summary) -> str | None:
    """Whose checksums were left to the card: where it was taken, unless one direction only was captured.

    That may be the receiver's capture: nothing fills them in between containers.
    """
    return None if is_one_sided(summary) else summary["capture"]["capture_host"]


def is_one_sided(summary: Summary) -> bool:
    """Whether, unanswered SYNs apart, most connections show one direction only."""
    totals = summary["totals"]
    heard = totals["connections"] - totals["close"].get("unanswered", 0)
    return 2 * one_sided(summary) > heard > 0 or (heard == 0 and logs_openings(summary))


def logs_openings(summary: Summary) -> bool:
    """Whether it is a packet filter's log: pf logs a connection's first packet alone, unless told ``log (all)``."""
    interfaces = [interface for file in summary["capture"]["files"] for interface in file["interfaces"]]
    return bool(interfaces) and all(interface["link_type"] == NUMBERS["PFLOG"] for interface in interfaces)


def has_acks(summary: Summary) -> bool:
    """Whether a pure acknowledgment of any connection was captured."""
    totals = summary["totals"]
    return sum(totals["without_acks"].values()) < totals["connections"]


def lacks_acks(summary: Summary) -> bool:
    """Whether a capture filter passed no pure acknowledgment: connections that must have had one are there without.

    So who closed on both sides: where hardly any of them has one, some others may. Where none at all is there, so who
    closed, and who answered a SYN just once: a SYN-ACK that stays without an answer is sent again (1 s).
    """
    totals = summary["totals"]
    whole, lacking = (sum(of.get(word, 0) for word in _BOTH_CLOSED) for of in (totals["close"], totals["without_acks"]))
    if lacking >= _FEWEST and NOTABLE * (whole - lacking) <= whole:
        return True
    if has_acks(summary):
        return False
    half_open, once = (totals[of].get("half_open", 0) for of in ("close", "unrepeated"))
    closes = sum(totals["close"].get(word, 0) for word in _CLOSED)
    # Those just before the end of the capture had no time to be sent again.
    return closes + (once if 2 * once > half_open else 0) >= _FEWEST


def is_data_alone(summary: Summary) -> bool:
    """Whether every packet carries data, so that it shows neither beginnings nor ends: a filter of data leaves this."""
    totals, quality = summary["totals"], summary["capture"]["connection_quality"]
    words = (totals["close"].get("open", 0), totals["without_acks"].get("open", 0), quality.get("midstream", 0))
    return 0 < totals["connections"] == min(words)


def shows_no_ends(summary: Summary) -> bool:
    """Whether ends may be in what is missing: a direction, or what a filter left out."""
    return is_one_sided(summary) or lacks_acks(summary) or is_data_alone(summary)


def one_sided_note(summary: Summary) -> str | None:
    """The sentence that no verdict on such a capture may lack."""
    number, connections = one_sided(summary), summary["totals"]["connections"]
    if NOTABLE * number < connections - summary["totals"]["close"].get("unanswered", 0) or not number:
        return None
    of = f"{count(number)} of {counted(connections, 'connection')} ({share(number, connections)})"
    if number == connections:
        of = "the only connection" if number == 1 else f"all {count(number)} connections"
    apart = ", or each direction has a VLAN or tunnel of its own" if summary["capture"]["one_sided_in_tunnels"] else ""
    return (
        f"Of {of} one direction only was captured{apart}: who closed first, and which requests were answered, "
        "cannot be told there."
    )


def uncounted(capture: CaptureFacts) -> int:
    """Files that do not tell how many packets were dropped."""
    return sum(_is_uncounted(file) for file in capture["files"]) + capture["unlisted"]["uncounted_files"]


def _is_uncounted(file: FileFacts) -> bool:
    """Each interface has a count of its own; of a capture by this program the first stands for the whole."""
    if not file["interfaces"]:
        return True  # it could not be read, or describes none: nothing is counted in it
    counts = [interface["dropped"] for interface in file["interfaces"]]
    application = file["pcapng"]["application"] if file["pcapng"] else None
    if file["format"] == "live" or (application or "").startswith("pcapwatch "):
        counts = counts[:1]
    return any(number is None for number in counts)


def dropped(capture: CaptureFacts) -> int:
    """Packets that the capture lost, as its files count them.

    The statistics of a rotated capture run on from file to file: those that count since the same instant are one
    count, the last. Where an interface has none, what its packets say of packets lost between them is taken.
    """
    running: dict[tuple[str | None, int], int] = {}
    total = capture["live"]["unlisted_dropped"] + capture["unlisted"]["dropped"]
    for one in (i for file in capture["files"] for i in file["interfaces"]):
        number = one["dropped"] if one["dropped"] is not None else one["lost_between"]
        if one["counted_since_ns"] is None:
            total += number
        else:
            key = (one["name"], one["counted_since_ns"])
            running[key] = max(running.get(key, 0), number)
    return total + sum(running.values())


def silences_between(files: list[FileFacts]) -> Iterator[tuple[FileFacts, FileFacts, int]]:
    """Times without a packet between one file and the next, in the order of their first packets, with lengths in ns."""
    usual = usual_silence_ns(files)
    for before, after, silence_ns in one_by_one(files):
        intervals = _INTERVALS * max(_interval_ns(before), _interval_ns(after))
        longest = max(before["longest_silence_ns"], after["longest_silence_ns"], usual)
        if silence_ns >= max(_SILENCE_NS, intervals, _SILENCES * longest + 1):
            yield before, after, silence_ns


def usual_silence_ns(files: list[FileFacts]) -> int:
    """What is between one file and the next in half of a set; 0 of few files."""
    between = [max(ns, 0) for _, _, ns in one_by_one(files)]
    return round(median(between)) if len(between) >= _FEWEST else 0


def is_sampled(files: list[FileFacts]) -> bool:
    """Whether most files of a set begin long after the one before: it is of moments, or of bursts."""
    if (usual := usual_silence_ns(files)) < _SILENCE_NS:
        return False
    return usual > median(
        max(_INTERVALS * _interval_ns(file), _SILENCES * file["longest_silence_ns"]) for file in files
    )


def gaps(summary: Summary) -> list[Gap]:
    """Where files are missing, or were cut, within what was captured; not where steps say that they may be."""
    return [gap for gap in summary["capture"]["gaps"] if gap["why"] != "steps"]


def has_gaps(summary: Summary) -> bool:
    """Whether there is one."""
    return any(gap["why"] != "steps" for gap in summary["capture"]["gaps"])


def end_words(summary: Summary) -> str:
    """Where what is still open was last seen."""
    return "the capture ended or a gap began" if has_gaps(summary) else "the capture ended"


def seen_until_ns(summary: Summary, at_ns: int) -> int:
    """Up to when what was there then was in sight: the next gap, or the end of the capture."""
    later = (gap["from_ns"] for gap in gaps(summary) if gap["from_ns"] >= at_ns)
    return min(later, default=summary["capture"]["last_ns"] or 0)


def one_by_one(files: list[FileFacts]) -> Iterator[tuple[FileFacts, FileFacts, int]]:
    """The one before it that ends last, each file, and the ns from the former's last packet to the latter's first."""
    timed = [file for file in files if file["first_ns"] is not None and file["last_ns"] is not None]
    latest: FileFacts | None = None
    for file in timed:
        if latest is not None:
            yield latest, file, (file["first_ns"] or 0) - (latest["last_ns"] or 0)
        if latest is None or (file["last_ns"] or 0) > (latest["last_ns"] or 0):
            latest = file


def _interval_ns(file: FileFacts) -> int:
    """The mean time between two packets of a file."""
    span = (file["last_ns"] or 0) - (file["first_ns"] or 0)
    return max(span, 0) // max(file["packets"] - 1, 1)
