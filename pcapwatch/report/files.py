"""What the capture files say of themselves, and of each other: drops, gaps, overlaps, clocks, what was not used."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from pcapwatch.findings.coverage import (
    SECOND_NS,
    dropped,
    is_sampled,
    one_by_one,
    silences_between,
    uncounted,
    usual_silence_ns,
)
from pcapwatch.findings.wording import count, counted, duration
from pcapwatch.summary import CaptureFacts
from pcapwatch.summary_of_files import ClockFacts, FileFacts, Gap, InterfaceFacts

#: Before 1980 the capturing clock was not set (it starts in 1970); after 2100 it was wrong.
_CLOCK_SET_NS = 315_532_800 * SECOND_NS
_CLOCK_RIGHT_NS = 4_102_444_800 * SECOND_NS
#: Lines of one kind that are shown; the JSON report has the facts of all.
_SHOWN = 3
_NAMES_SHOWN = 8


def file_concerns(capture: CaptureFacts) -> Iterator[str]:
    """What takes something from the capture, one line each."""
    yield from _problems(capture)
    repeated = capture["repeated_files"]
    yield from _first(f"{one['path']} is the same file as {one['same_as']}: read once" for one in repeated)
    yield from _first(_between(capture))
    if is_sampled(capture["files"]):
        usual = duration(usual_silence_ns(capture["files"]))
        yield f"no packet for {usual} between a file and the next, in half of the set or more"
    yield from _first(_silences(capture["files"]))
    yield from _drops(capture)
    yield from _live(capture)
    if late := capture["late_files"]:
        yield (
            f"{counted(late, 'file')} of the same time as others, more than are read at once (64, or 512 MiB of "
            "decompressors' windows), and not merged with them: connections may be split; merge them first: "
            "mergecap -I none -w all.pcapng FILES"
        )
    yield from _untimed(capture)
    yield from _clocks(capture)
    yield from _first(_skews(capture))
    if broken := sum(file["pcapng"]["broken_lists"] for file in capture["files"] if file["pcapng"]):
        yield f"{counted(broken, 'option list')} of the file that reach beyond their block: not read from there on"


def _problems(capture: CaptureFacts) -> Iterator[str]:
    """Files that were not read whole. A file that its writer begins anew for days has the same one each time."""
    problems = [f"{file['path']}: {file['problem']}" for file in capture["files"] if file["problem"]]
    yield from _first(iter(problems)) if capture["live"]["overwritten_files"] else problems


def file_remarks(capture: CaptureFacts) -> Iterator[str]:
    """What is good to know, a few words each."""
    interfaces = list(_interfaces(capture))
    if not dropped(capture):
        files, without = len(capture["files"]), uncounted(capture)
        if not interfaces or without == files:
            yield f"drops not recorded in {_where_uncounted(capture)}"
        else:
            some = f"; {count(without)} of {counted(files, 'file')} keep no count" if without else ""
            yield f"no drops recorded{some}"
    yield from _first(_overlaps(capture["files"], "" if capture["late_files"] else ", merged by time"))
    if moved := capture["ordered_packets"]:
        yield f"{counted(moved, 'packet')} put in order of time across interfaces"
    told = [file["pcapng"] for file in capture["files"] if file["pcapng"]]
    if comments := sum(facts["comments"] for facts in told):
        listed = sum(len(facts["comment_texts"]) for facts in told)
        which = "them" if listed == comments else f"{count(listed)} of them"
        yield f"{counted(comments, 'comment')} in the file (the JSON report has {which})"
    if names := sum(facts["names"] for facts in told):
        records = [f"{one['address']} {one['name']}" for facts in told for one in facts["name_records"]]
        more = [f"{count(names - _NAMES_SHOWN)} more"] if names > _NAMES_SHOWN else []
        shown = "; ".join([*records[:_NAMES_SHOWN], *more]) if records else "--names shows them"
        yield f"{counted(names, 'unused name')} of addresses in the file ({shown})"
    if secrets := sum(kind["blocks"] for facts in told for kind in facts["secrets"].values()):
        yield f"{counted(secrets, 'unused decryption secret')} in the file"
    if unlisted := _unlisted(capture):
        yield f"{counted(unlisted, 'interface')} beyond those listed"


def _where_uncounted(capture: CaptureFacts) -> str:
    """Only pcap has no place for a count of drops; a pcapng file that has none was written so."""
    formats = [file["format"] for file in capture["files"]]
    if "pcapng" not in formats:
        return "this format"
    return "this file" if len(formats) == 1 else "these files"


def _unlisted(capture: CaptureFacts) -> int:
    return sum(max(f["pcapng"]["interfaces"] - len(f["interfaces"]), 0) for f in capture["files"] if f["pcapng"])


def _drops(capture: CaptureFacts) -> Iterator[str]:
    if not (number := dropped(capture)):
        return
    parts: dict[str, list[int | None]] = {
        "by the system": [one["dropped_by_system"] for one in _interfaces(capture)],
        "by the interface": [one["dropped_by_interface"] for one in _interfaces(capture)],
    }
    unlisted = capture["unlisted"]
    parts["by the system"].append(unlisted["dropped_by_system"])
    parts["by the interface"].append(unlisted["dropped_by_interface"])
    only = [where for where, numbers in parts.items() if any(numbers)]
    where = f" {only[0]}" if len(only) == 1 else " by the system and by the interface" if only else ""
    yield f"{counted(number, 'packet')} dropped{where} while capturing"


def _live(capture: CaptureFacts) -> Iterator[str]:
    """What a live capture lost that its files do not tell."""
    lost = capture["live"]
    if number := lost["interface_downs"]:
        yield f"the interface went down {counted(number, 'time')} while capturing: what passed meanwhile is missing"
    if number := lost["ring_losses"]:
        yield f"the ring was full {counted(number, 'time')} while capturing: a larger --ring holds more"
    if lost["write_error"]:
        missing = f"; {counted(lost['unwritten_packets'], 'packet')} analysed here are in no file"
        yield f"{lost['write_error']}{missing if lost['unwritten_packets'] else ''}"
    if number := lost["removed_files"]:
        packets = counted(lost["removed_packets"], "packet")
        yield f"{counted(number, 'file')} with {packets} analysed here removed, as newer ones took their place (--keep)"
    if number := lost["removed_earlier_files"]:
        yield f"{counted(number, 'file')} of earlier captures in that folder removed (--keep)"
    yield from _followed(capture)


def _followed(capture: CaptureFacts) -> Iterator[str]:
    """What following files that another program writes lost."""
    lost = capture["live"]
    if number := lost["overwritten_files"]:
        yield (
            f"begun anew {counted(number, 'time')} by its writer while it was read: what was not read by then is lost; "
            "let it write a new file each time (a time pattern in tcpdump's -w)"
        )
    if number := lost["unread_files"]:
        turn = "its turn" if number == 1 else "their turn"
        yield f"{counted(number, 'followed file')} not read: gone, begun anew or unreadable when {turn} came"
    if lost["follow_error"]:
        yield f"{lost['follow_error']}; what is written there from now on is looked for, and missing until it is found"
    if number := lost["unlisted_files"]:
        packets = counted(lost["unlisted_packets"], "packet")
        yield f"the oldest {counted(number, 'file')} with {packets} no longer listed, and without examples here"


def _interfaces(capture: CaptureFacts) -> Iterator[InterfaceFacts]:
    return (interface for file in capture["files"] for interface in file["interfaces"])


def _between(capture: CaptureFacts) -> Iterator[str]:
    """What is missing between one file and the next, and else where nothing is, in the order of their first packets."""
    files = capture["files"]
    for gap in capture["gaps"]:
        before, after = files[gap["after_file"]], files[gap["file"]]
        length = duration(gap["to_ns"] - gap["from_ns"])
        # Of a busy set they are; who sent nothing for just so long leaves the same.
        what = f"no packet for {length}" if gap["why"] == "steps" else f"gap of {length}"
        yield f"{what} between {before['path']} and {after['path']}: {_missing(gap)}"
    known = {id(files[gap["file"]]) for gap in capture["gaps"]}
    for before, after, silence_ns in silences_between(files):
        if id(after) not in known:
            names = f"{before['path']} and {after['path']}{_against_names(before, after)}"
            yield f"no packet for {duration(silence_ns)} between {names}"


def _missing(gap: Gap) -> str:
    missing = counted(gap["missing_files"], "file")
    if gap["why"] == "numbers" and not gap["missing_files"]:
        return "by their numbers a ring went round"
    if gap["why"] == "numbers":
        return f"{missing} between them by their numbers"
    if gap["why"] == "steps":
        return "files may be missing there, by the even steps of the others"
    return "the first one is cut"


def _overlaps(files: list[FileFacts], fate: str) -> Iterator[str]:
    for before, after, gap_ns in one_by_one(files):
        if gap_ns < 0 and after["packets"]:
            yield f"files overlap by {duration(-gap_ns)}{fate}: {before['path']} and {after['path']}"


def _against_names(before: FileFacts, after: FileFacts) -> str:
    """What a clock that is set back where a capture goes on in its next file leaves; in a ring, times adjoin there."""
    numbers = [[int(digits) for digits in re.findall(r"[0-9]{1,18}", file["path"])] for file in (before, after)]
    alike = len({re.sub(r"[0-9]{1,18}", "#", file["path"]) for file in (before, after)}) == 1
    differing = [(one, other) for one, other in zip(*numbers, strict=True) if one != other] if alike else []
    if len(differing) != 1 or differing[0][0] < differing[0][1]:
        return ""
    return (
        ", which is not the order of their names: a new day, a ring that went round, or a clock that was set back; "
        "then connections across them are split"
    )


def _silences(files: list[FileFacts]) -> Iterator[str]:
    for file in files:
        if number := file["long_silences"]:
            longest = duration(file["longest_silence_ns"])
            times = f", {count(number)} times for over an hour" if number > 1 else ""
            yield f"no packet for {longest} in {file['path']}{times}"


def _untimed(capture: CaptureFacts) -> Iterator[str]:
    """Only pcapng has packets without a time."""
    number = sum(file["pcapng"]["blocks"].get("simple_packet", 0) for file in capture["files"] if file["pcapng"])
    if number and capture["first_ns"] is None:
        simple = counted(number, "simple packet")
        yield f"no packet has a time ({simple} of pcapng): their order is known, no length or rate"
    elif number:
        yield (
            f"{counted(number, 'packet')} without a time (pcapng's simple packets): each stands at that of the packet "
            "before it, so that lengths around it are not measured"
        )


def _clocks(capture: CaptureFacts) -> Iterator[str]:
    if capture["clock_steps_back"]:
        cure = "; put them in order first: reordercap IN OUT" if capture["ordered_packets"] else ""
        yield f"{counted(capture['clock_steps_back'], 'packet')} older than the one before{cure}"
    if capture["first_ns"] is not None and capture["first_ns"] < _CLOCK_SET_NS:
        yield "packets from before 1980: the capturing clock was not set"
    if capture["last_ns"] is not None and capture["last_ns"] >= _CLOCK_RIGHT_NS:
        yield "packets from after 2100: the capturing clock was wrong"


def _skews(capture: CaptureFacts) -> Iterator[str]:
    """Clocks of two points that differ for certain, and what to do before anything else is believed."""
    for clock in capture["clocks"]:
        path, other = (capture["files"][at]["path"] for at in (clock["file"], clock["than_file"]))
        within = clock["file"] == clock["than_file"]
        least, most = clock["at_least_ns"], clock["at_most_ns"]
        said = sorted({duration(least): least, duration(most): most}.items(), key=lambda item: item[1])
        ahead, behind = path, other
        if within:
            ahead, behind = (f"interface {clock[key]}" for key in ("interface", "than_interface"))
            ahead += f" of {path}"
        proof = f"bounded, by {count(clock['packets'])} packets that both have"
        hurt = "retransmissions, times and the order of packets of what both captured"
        if clock["handshakes"]:
            proof = f"bounded, by {count(clock['handshakes'])} handshakes of which each has one direction"
            hurt = "closers, times and the order of packets of what they captured together"
        by = " to ".join(text for text, _ in said)
        yield (
            f"the clock of {ahead} is ahead of that of {behind} by {by}{' and changes' * clock['changes']} ({proof}): "
            f"{hurt} are not to be trusted; {_remedy(clock, capture['files'][clock['file']])}"
        )


def _remedy(clock: ClockFacts, file: FileFacts) -> str:
    """How to put the packets of two clocks in one order; with commands where they can be typed as they are."""
    if clock["changes"]:
        return "no one shift mends it: analyze each alone"
    shift = f"editcap -t {-(clock['at_least_ns'] + clock['at_most_ns']) / 2 / SECOND_NS:.6f}"
    path = shlex.quote(file["path"])
    # Wireshark's tools read neither; nor is there a second time to read standard input.
    is_read = file["path"] != "-" and "xz" not in file["compression"] and "+" not in file["compression"]
    if clock["file"] != clock["than_file"]:
        before = "" if is_read else " (write it to a file, decompressed, first)"
        return f"shift it, and analyze again{before}: {shift} {path if is_read else 'FILE'} shifted.pcapng"
    pcapng = file["pcapng"]
    # Wireshark counts interfaces in each section from 0.
    if not is_read or not pcapng or (pcapng["interfaces"], pcapng["blocks"].get("section_header")) != (2, 1):
        which = (
            f"write each interface's packets to a file of its own, and shift those of interface {clock['interface']}"
        )
        return f"{which}: {shift} FILE shifted.pcapng; analyze these files together"
    interfaces = (clock[key] for key in ("interface", "than_interface"))
    one, other = (f"tshark -r {path} -Y frame.interface_id=={at} -w interface{at}.pcapng" for at in interfaces)
    shifted = f"{shift} interface{clock['interface']}.pcapng shifted.pcapng"
    return f"shift its packets, and analyze both: {one}; {other}; {shifted}"


def _first(lines: Iterator[str]) -> Iterator[str]:
    """The first few lines, and how many more there are."""
    known = list(lines)
    yield from known[:_SHOWN]
    if len(known) > _SHOWN:
        yield f"and {count(len(known) - _SHOWN)} more of the kind (the JSON report has the files' times)"
