"""What files say of themselves and of each other, as the report says it: drops, holes, overlaps, clocks, names."""

from __future__ import annotations

from typing import Any, cast

import pytest
import summaries

from pcapwatch.findings.coverage import dropped
from pcapwatch.report.files import file_concerns, file_remarks
from pcapwatch.summary import CaptureFacts

S = 1_000_000_000
NOON = 1_767_225_600 * S


def capture(*files: dict[str, Any], **facts: Any) -> CaptureFacts:
    """A capture of some files; each a usual one with what is given changed, ``interface`` likewise."""
    made = summaries.capture(**facts)
    usual = made["files"][0]
    interface = usual["interfaces"][0]
    made["files"] = [
        {**usual, **file, "interfaces": [{**interface, **file.get("interface", {})}]} for file in files or [{}]
    ]
    for file in made["files"]:
        file.pop("interface", None)
    return cast(CaptureFacts, made)


def span(name: str, start_s: float, end_s: float, packets: int = 1000) -> dict[str, Any]:
    """A file from and to so many seconds after noon."""
    first_ns, last_ns = (round(NOON + s * S) for s in (start_s, end_s))
    return {"path": name, "first_ns": first_ns, "last_ns": last_ns, "packets": packets}


def pcapng(**facts: Any) -> dict[str, Any]:
    """What a pcapng file tells, with what is given changed."""
    usual: dict[str, Any] = {"blocks": {}, "interfaces": 1, "broken_lists": 0, "hardware": None, "os": None}
    usual |= {"application": None, "comments": 0, "comment_texts": [], "names": 0, "name_records": [], "secrets": {}}
    return {"format": "pcapng", "pcapng": usual | facts}


def test_a_whole_capture_raises_no_concern() -> None:
    """Two files that follow each other closely."""
    assert list(file_concerns(capture(span("a", 0, 10), span("b", 10.005, 20)))) == []


def test_silence_between_files() -> None:
    """It is told from a second on, and only if the files themselves are much denser."""
    assert list(file_concerns(capture(span("a", 0, 10), span("b", 13.2, 20)))) == [
        "no packet for 3.20 s between a and b"
    ]
    assert list(file_concerns(capture(span("a", 0, 10), span("b", 10.9, 20)))) == []
    sparse = capture(span("a", 0, 1000, packets=100), span("b", 1050, 2000, packets=100))
    assert list(file_concerns(sparse)) == [], "packets every 10 s: 50 s are no hole"
    day = capture(span("a", 0, 10), span("b", 86_410, 86_420))
    assert list(file_concerns(day)) == ["no packet for 86400 s between a and b"]


def test_usual_silence_between_files() -> None:
    """What is between most files is not told of each; what is longer is; and what another file covers is none."""
    bursts = [span(str(at), at, at + 1) for at in range(0, 60, 10)]
    usual = "no packet for 9.00 s between a file and the next, in half of the set or more"
    assert list(file_concerns(capture(*bursts))) == [usual]
    late = list(file_concerns(capture(*bursts, span("late", 120, 121))))
    assert late == ["no packet for 69.0 s between 50 and late", usual]
    around = capture(span("all", 0, 100, packets=10_000), span("a", 10, 11), span("b", 90, 91))
    assert list(file_concerns(around)) == []


@pytest.mark.parametrize(
    ("why", "missing", "said"),
    [
        ("numbers", 2, "gap of 3.20 s between a and b: 2 files between them by their numbers"),
        ("numbers", 0, "gap of 3.20 s between a and b: by their numbers a ring went round"),
        (
            "steps",
            0,
            "no packet for 3.20 s between a and b: files may be missing there, by the even steps of the others",
        ),
        ("cut", 0, "gap of 3.20 s between a and b: the first one is cut"),
    ],
)
def test_gap_between_files(why: str, missing: int, said: str) -> None:
    """What is known to be missing is told with why, once."""
    times = {"from_ns": 10 * S, "to_ns": round(13.2 * S)}
    gap = {"after_file": 0, "file": 1, "why": why, "missing_files": missing} | times
    facts = capture(span("a", 0, 10), span("b", 13.2, 20), gaps=[gap])
    assert list(file_concerns(facts)) == [said]


def test_silence_within_a_file() -> None:
    """Hours without a packet: how long, and how often."""
    once = capture({"path": "a", "long_silences": 1, "longest_silence_ns": 86_400 * S})
    assert list(file_concerns(once)) == ["no packet for 86400 s in a"]
    often = capture({"path": "a", "long_silences": 3, "longest_silence_ns": 7200 * S})
    assert list(file_concerns(often)) == ["no packet for 7200 s in a, 3 times for over an hour"]


def test_files_that_overlap() -> None:
    """Their packets are put in order of time, which is good to know and no concern."""
    both = capture(span("a", 0, 10), span("b", 8, 20))
    assert list(file_concerns(both)) == []
    assert "files overlap by 2.00 s, merged by time: a and b" in list(file_remarks(both))


def test_too_many_files_to_merge() -> None:
    """Files that had to wait for others of their time: how many, and what to do; nothing is called merged."""
    facts = capture(span("a", 0, 10), span("b", 8, 20)) | {"late_files": 6}
    [line] = file_concerns(facts)
    assert line.startswith("6 files of the same time as others, more than are read at once (64, or 512 MiB of ")
    assert "and not merged with them: connections may be split; merge them first: mergecap -I none" in line
    assert "files overlap by 2.00 s: a and b" in list(file_remarks(facts))


CLOCK = {"file": 0, "interface": 1, "than_file": 0, "than_interface": 0, "at_least_ns": 79 * 10**6}
CLOCK |= {"at_most_ns": 81 * 10**6, "changes": False, "packets": 9, "handshakes": 0}
SHIFT = "editcap -t -0.080000"


@pytest.mark.parametrize(
    ("file", "clock", "said"),
    [
        ({"path": "a b"}, {"than_file": 1}, f"shift it, and analyze again: {SHIFT} 'a b' shifted.pcapng"),
        ({"path": "a", "compression": "xz"}, {"than_file": 1}, f"decompressed, first): {SHIFT} FILE shifted.pcapng"),
        ({"path": "-"}, {"than_file": 1}, f"(write it to a file, decompressed, first): {SHIFT} FILE shifted.pcapng"),
        ({"path": "a", "of": (2, 1)}, {}, f"-w interface0.pcapng; {SHIFT} interface1.pcapng shifted.pcapng"),
        ({"path": "a", "of": (3, 1)}, {}, f"shift those of interface 1: {SHIFT} FILE shifted.pcapng; analyze these"),
        ({"path": "a", "of": (2, 2)}, {}, f"shift those of interface 1: {SHIFT} FILE shifted.pcapng; analyze these"),
        ({"path": "a", "of": (2, 1), "compression": "xz"}, {}, f"{SHIFT} FILE shifted.pcapng; analyze these"),
        ({"path": "a"}, {"changes": True}, "no one shift mends it: analyze each alone"),
    ],
)
def test_clocks_that_differ_with_what_to_type(file: dict[str, Any], clock: dict[str, Any], said: str) -> None:
    """Commands where they can be typed as they are; what Wireshark cannot read or tell apart is said in words."""
    interfaces, sections = file.pop("of", (1, 1))
    pcapng = {"interfaces": interfaces, "blocks": {"section_header": sections}, "broken_lists": 0}
    one = span("a", 0, 10) | {"pcapng": pcapng} | file
    facts = capture(one, span("b", 0, 10), clocks=[CLOCK | clock])
    [line] = [line for line in file_concerns(facts) if line.startswith("the clock of")]
    assert said in line


def test_files_without_packets_are_no_gap() -> None:
    """An empty file between two others hides nothing."""
    empty = {"path": "empty", "first_ns": None, "last_ns": None, "packets": 0}
    assert list(file_concerns(capture(span("a", 0, 10), empty, span("b", 10.1, 20)))) == []


def test_many_gaps_are_a_few_lines() -> None:
    """Three are shown, the rest is counted."""
    files = [span(str(n), 2 * n, 2 * n + 1.9) for n in range(9)]
    gaps = [
        {"after_file": n, "file": n + 1, "from_ns": 0, "to_ns": S, "why": "cut", "missing_files": 0} for n in range(8)
    ]
    found = list(file_concerns(capture(*files, gaps=gaps)))
    assert len(found) == 4
    assert found[-1] == "and 5 more of the kind (the JSON report has the files' times)"


def test_a_file_given_twice() -> None:
    """Which, and what became of it."""
    twice = capture(repeated_files=[{"path": "copy", "same_as": "a"}])
    assert list(file_concerns(twice)) == ["copy is the same file as a: read once"]


@pytest.mark.parametrize(
    ("first_ns", "last_ns", "said"),
    [
        (3600 * S, NOON, ["packets from before 1980: the capturing clock was not set"]),
        (NOON, 4_294_967_295 * S, ["packets from after 2100: the capturing clock was wrong"]),
        (NOON, NOON + S, []),
    ],
)
def test_clocks(first_ns: int, last_ns: int, said: list[str]) -> None:
    """1970 and 2106 are what unset and overflowing clocks write."""
    assert list(file_concerns(capture(first_ns=first_ns, last_ns=last_ns))) == said


def test_drops_say_where() -> None:
    """By the system, by the interface, or by both."""
    for system, interface, where in (
        (5, 0, "by the system"),
        (0, 5, "by the interface"),
        (2, 3, "by the system and by the interface"),
    ):
        facts = {"dropped": 5, "dropped_by_system": system, "dropped_by_interface": interface}
        found = capture({"interface": facts})
        assert list(file_concerns(found)) == [f"5 packets dropped {where} while capturing"]
        assert "no drops recorded" not in list(file_remarks(found))


@pytest.mark.parametrize(("losses", "times"), [(1, "1 time"), (3, "3 times")])
def test_a_full_ring_is_said(losses: int, times: str) -> None:
    """How often, and what helps; while it never was, not a word."""
    found = capture()
    assert list(file_concerns(found)) == []
    found["live"]["ring_losses"] = losses
    assert list(file_concerns(found)) == [f"the ring was full {times} while capturing: a larger --ring holds more"]


def test_drops_of_a_rotated_capture_are_counted_once() -> None:
    """Statistics that count since the same instant run on from file to file; others add up."""
    running = [{"interface": {"name": "eth0", "dropped": n, "counted_since_ns": NOON}} for n in (1, 4, 9)]
    assert dropped(capture(*running)) == 9
    again = {"interface": {"name": "eth0", "dropped": 2, "counted_since_ns": NOON + S}}
    assert dropped(capture(*running, again)) == 11
    unknown = [{"interface": {"name": "eth0", "dropped": 3}}] * 2
    assert dropped(capture(*unknown)) == 6
    assert dropped(capture({"interface": {"lost_between": 7}})) == 7


def test_no_drops_and_drops_not_recorded_are_told_apart() -> None:
    """Zero is a count; pcap has none."""
    assert list(file_remarks(capture({"interface": {"dropped": 0}}))) == ["no drops recorded"]
    assert list(file_remarks(capture())) == ["drops not recorded in this format"]
    assert list(file_remarks(capture(pcapng()))) == ["drops not recorded in this file"], "pcapng could have it"
    assert list(file_remarks(capture({**pcapng(), **span("a", 0, 1)}, span("b", 1, 2)))) == [
        "drops not recorded in these files"
    ]


def test_what_a_pcapng_file_holds_beside_packets() -> None:
    """Comments, names, secrets: counted, and said to be unused where they are."""
    secrets = {"tls_key_log": {"blocks": 2, "bytes": 300}}
    texts = [{"block": "custom", "frame": None, "text": "x"}] * 3
    facts = capture(pcapng(comments=3, comment_texts=texts, names=12, secrets=secrets, interfaces=5001))
    assert list(file_remarks(facts))[1:] == [
        "3 comments in the file (the JSON report has them)",
        "12 unused names of addresses in the file (--names shows them)",
        "2 unused decryption secrets in the file",
        "5,000 interfaces beyond those listed",
    ]


def test_comments_beyond_those_listed() -> None:
    """How many the JSON report has."""
    facts = capture(pcapng(comments=1200, comment_texts=[{"block": "custom", "frame": None, "text": "x"}] * 100))
    assert list(file_remarks(facts))[1] == "1,200 comments in the file (the JSON report has 100 of them)"


def test_interfaces_that_are_not_listed() -> None:
    """What they dropped counts, and whether a file of them has no count."""
    facts = capture(pcapng())
    facts["unlisted"]["dropped"], facts["unlisted"]["dropped_by_interface"] = 7, True
    assert list(file_concerns(facts)) == ["7 packets dropped by the interface while capturing"]
    counted: dict[str, Any] = {"interface": {"dropped": 0}}
    facts = capture({**pcapng(), **counted}, {**pcapng(), **counted, "path": "b"})
    facts["unlisted"]["uncounted_files"] = 1
    assert "no drops recorded; 1 of 2 files keep no count" in list(file_remarks(facts))


def test_names_are_shown_on_request() -> None:
    """The first eight, and how many more there are."""
    records = [{"address": f"10.0.0.{n}", "name": f"host{n}"} for n in range(10)]
    said = list(file_remarks(capture(pcapng(names=10, name_records=records))))[1]
    assert said.startswith("10 unused names of addresses in the file (10.0.0.0 host0; 10.0.0.1 host1; ")
    assert said.endswith("; 10.0.0.7 host7; 2 more)")


def test_lists_that_reach_beyond_their_block() -> None:
    """A damaged option list is counted."""
    found = list(file_concerns(capture(pcapng(broken_lists=2))))
    assert found == ["2 option lists of the file that reach beyond their block: not read from there on"]


def test_packets_without_a_time_are_said_once() -> None:
    """Beside others the lengths around them are not measured; alone there are none, and no clock is to blame."""
    told = pcapng(blocks={"simple_packet": 3, "enhanced_packet": 1})
    some = capture({**span("a", 0, 0), **told}, first_ns=NOON, last_ns=NOON)
    assert list(file_concerns(some)) == [
        (
            "3 packets without a time (pcapng's simple packets): each stands at that of the packet before it, so that "
            "lengths around it are not measured"
        )
    ]
    none = capture({**told, "first_ns": None, "last_ns": None}, first_ns=None, last_ns=None)
    assert list(file_concerns(none)) == [
        "no packet has a time (3 simple packets of pcapng): their order is known, no length or rate"
    ]


def test_a_file_that_cannot_be_read_keeps_no_count() -> None:
    """Of a header that is cut nothing is known, nor whether it counted drops."""
    for counts, said in (
        ({}, "drops not recorded in this format"),
        ({"interface": {"dropped": 0}}, "no drops recorded; 1 of 2 files keep no count"),
    ):
        unread = {"format": "", "first_ns": None, "last_ns": None, "problem": "the file header is cut short"}
        made = capture(counts, unread)
        made["files"][1]["interfaces"] = []
        assert list(file_remarks(made)) == [said]
