"""Files that are missing in the middle of a set: what lies across the gap is concluded of neither side of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from crafted.missed import unseen
from crafted.talk import Crafted, Talk, write_capture

import pcapwatch
from pcapwatch.analysis import ladders
from pcapwatch.report.ladder import ladder_lines

#: One connection per 100 ms before the gap (20 s to 27 s) and after it.
BUSY = [0.1 * number for number in (*range(195), *range(275, 900))]


def busy() -> list[Talk]:
    """Connections that end within 10 ms, so that the capture is silent for no longer than 0.1 s but in the gap."""
    talks = []
    for number, at_s in enumerate(BUSY):
        talk = Talk(client=("10.9.0.3", 20_000 + number))
        talk.handshake(at_s)
        talk.close("c", at_s + 0.004)
        talks.append(talk)
    return talks


def in_files(
    tmp_path: Path, talks: list[Talk], *, until_s: float = 20.0, names: tuple[str, str] = ("x.pcap1", "x.pcap3")
) -> pcapwatch.Report:
    """All that was captured before and after the gap, a file each; by their names there was one more."""
    packets = sorted((one for talk in talks for one in talk.packets), key=lambda one: one.at_s)
    parts: list[list[Crafted]] = [
        [one for one in packets if one.at_s < until_s],
        [one for one in packets if one.at_s >= 27.0],
    ]
    return pcapwatch.analyze([write_capture(tmp_path / name, part) for name, part in zip(names, parts, strict=True)])


def row(report: pcapwatch.Report, port: int = 40_000, which: int = 0) -> dict[str, object]:
    """A connection of a client's port."""
    table = report.connections
    return dict(table[table["client_port"] == port].iloc[which])


@pytest.mark.parametrize("has_gap", [True, False])
def test_a_port_used_again_within_a_gap_contradicts_no_length(tmp_path: Path, has_gap: bool) -> None:
    """A TIME_WAIT that is gone 20 s later: without a gap its length was another, across one it may have been reused."""
    talk = Talk()
    talk.handshake(15)
    start = talk.close("s", 15.01)
    talk.open(talk.client_isn + 9_000_000, talk.server_isn + 90_000_000)
    talk.handshake(35)
    report = in_files(tmp_path, [talk, *(busy() if has_gap else [])], until_s=20.0 if has_gap else 1000.0)
    first = row(report)
    said = "upper_only" if has_gap else "model_rejected"
    assert (first["time_wait_basis"], first["time_wait_end"]) == (said, "unknown")
    assert first["time_wait_upper_s"] == pytest.approx(35.001 - start)
    (host,) = [one for one in report.summary["hosts"] if one["address"] == "10.9.0.2"]
    assert host["time_wait"] is not None
    assert host["time_wait"]["basis"].get("model_rejected", 0) == (not has_gap)
    assert host["time_wait"]["evidence"]["gone"] == (not has_gap)


@pytest.mark.parametrize("names", [("x.pcap1", "x.pcap2"), ("a.pcap", "b.pcap"), ("x_120000.pcap", "x_120027.pcap")])
def test_silence_between_files_is_no_gap(tmp_path: Path, names: tuple[str, str]) -> None:
    """A pause of whoever sends: what follows it follows what was before it, as in one file."""
    late = Talk()
    late.c(19.4, "S")
    report = in_files(tmp_path, [late, *busy()], names=names)
    assert row(report)["close"] == "unanswered"
    assert report.summary["capture"]["gaps"] == []
    assert any(line.startswith("no packet for 8.09 s") for line in report.quality.concerns)
    assert not any("gap" in line for line in [*report.quality.concerns, *report.cannot_see])


@pytest.mark.parametrize("kind", ["cut", "steps"])
def test_what_else_tells_of_a_gap(tmp_path: Path, kind: str) -> None:
    """A file that was cut; one that is missing among files of ten seconds each, whatever their names."""
    folder = tmp_path / "set"
    folder.mkdir()
    for start in range(0, 90, 10):
        talk = Talk()
        for at in range(100):
            talk.c(start + at / 10, "A")
        write_capture(folder / f"day{start}.pcap", talk.packets)
    if kind == "steps":
        (folder / "day40.pcap").unlink()
    else:
        whole = (folder / "day40.pcap").read_bytes()
        (folder / "day40.pcap").write_bytes(whole[: len(whole) // 2])
    (gap,) = pcapwatch.analyze(folder).summary["capture"]["gaps"]
    assert (gap["why"], gap["missing_files"]) == (kind, 0)


def test_an_attempt_just_before_a_gap_is_not_unanswered(tmp_path: Path) -> None:
    """Its answer may be in what is missing; one that had none for 4 s before it, or after it, had none."""
    late, early, after = (Talk(client=("10.9.0.1", port)) for port in (40_000, 40_001, 40_002))
    late.c(19.4, "S")
    early.c(15.4, "S")
    after.c(40.0, "S")
    report = in_files(tmp_path, [late, early, after, *busy()])
    assert [row(report, port)["close"] for port in (40_000, 40_001, 40_002)] == ["open", "unanswered", "unanswered"]
    (finding,) = [one for one in report.findings if one.code == "PW110"]
    assert finding.numbers["unanswered"] == 2


def test_a_gap_is_said_with_what_it_hides(tmp_path: Path) -> None:
    """The quality, the peak and what cannot be seen name it; the ladder of a wait across it does."""
    talk = Talk()
    talk.handshake(15)
    talk.close("s", 15.01)
    still_open = Talk(client=("10.9.0.1", 40_001))
    still_open.handshake(19)
    talk.open(talk.client_isn + 9_000_000, talk.server_isn + 90_000_000)
    talk.handshake(35)
    report = in_files(tmp_path, [talk, still_open, *busy()])
    assert any(line.startswith("gap of 8.0") for line in report.quality.concerns)
    assert any("sockets at once may have been more" in line for line in report.cannot_see)
    assert any(line.endswith("or a gap between files began") for line in report.cannot_see)
    number = int(str(row(report)["connection"]))
    (ladder,) = ladders(report.engine, [number])
    assert "it may have been used again before" in " ".join(ladder_lines(ladder, 400))


def test_ordinary_rotation_has_no_gap(tmp_path: Path) -> None:
    """A pause between two files that is no longer than those within them hides nothing, so what it proves is proven."""
    talks = []
    for number in range(60):
        talk = Talk(client=("10.9.0.3", 20_000 + number))
        talk.handshake(2.0 * number)
        talk.close("c", 2.0 * number + 0.01)
        talks.append(talk)
    waiting = Talk()
    waiting.handshake(15)
    waiting.close("s", 15.01)
    waiting.open(waiting.client_isn + 9_000_000, waiting.server_isn + 90_000_000)
    waiting.handshake(35)
    report = in_files(tmp_path, [*talks, waiting], until_s=26.5, names=("x.pcap1", "x.pcap2"))
    assert row(report)["time_wait_basis"] == "model_rejected"
    assert not any("gap" in line for line in report.quality.concerns)


@pytest.mark.parametrize("name", ["cap_{:05}_20261122120000.pcap", "cap.pcap{}", "eth0_{:05}_20261122T120000Z.pcap"])
@pytest.mark.parametrize("between", ["none", "missing", "empty", "unreadable"])
def test_numbers_of_files_tell_of_short_gaps(tmp_path: Path, name: str, between: str) -> None:
    """File 3, then 5: 4 is missing, or as good as that, however short the time is; one without packets is not."""
    later = 4 if between == "none" else 5
    for number, start_s in ((3, 0.0), (later, 1.01)):
        talks = []
        for place in range(100):
            talk = Talk(client=("10.9.0.3", 20_000 + 1000 * number + place))
            talk.handshake(start_s + 0.01 * place)
            talk.close("c", start_s + 0.01 * place + 0.004)
            talks.append(talk)
        packets = [one for talk in talks for one in talk.packets]
        write_capture(tmp_path / name.format(number), sorted(packets, key=lambda one: one.at_s))
    if between == "empty":
        write_capture(tmp_path / name.format(4), [])
    elif between == "unreadable":
        (tmp_path / name.format(4)).write_bytes(b"")
    gaps = [line for line in pcapwatch.analyze(tmp_path).quality.concerns if line.startswith("gap of")]
    assert len(gaps) == (between in {"missing", "unreadable"})
    assert all(line.endswith(": 1 file between them by their numbers") for line in gaps)


def test_what_may_be_missing_changes_nothing_that_is_said(tmp_path: Path) -> None:
    """A job each ten seconds, one run of which is left out, in files of ten seconds: told as the one file is."""
    folder = tmp_path / "set"
    folder.mkdir()
    talks = []
    for start in (*range(0, 50, 10), *range(60, 90, 10)):
        run = []
        for at in range(6):
            talk = Talk(client=("10.9.0.3", 20_000 + 10 * start + at))
            talk.handshake(start + at / 10)
            talk.c(start + at / 10 + 0.01, "FA")
            talk.s(start + at / 10 + 0.011, "A")
            run.append(talk)
        packets = [one for talk in run for one in talk.packets]
        write_capture(folder / f"day{start}.pcap", sorted(packets, key=lambda one: one.at_s))
        talks += packets
    one, several = (
        pcapwatch.analyze(path)
        for path in (write_capture(tmp_path / "one.pcap", sorted(talks, key=lambda one: one.at_s)), folder)
    )
    assert [gap["why"] for gap in several.summary["capture"]["gaps"]] == ["steps"]
    assert any("files may be missing there" in line for line in several.quality.concerns)
    assert "PW111" in [finding.code for finding in one.findings]
    assert [(f.code, f.title) for f in one.findings] == [(f.code, f.title) for f in several.findings]
    assert one.verdict == several.verdict
    assert [line for line in one.cannot_see if "drops" not in line] == [
        line for line in several.cannot_see if "drops" not in line
    ]
    write_capture(folder / "day50.pcap", [])
    assert pcapwatch.analyze(folder).summary["capture"]["gaps"] == [], "that run's file is there, and holds nothing"


def test_the_next_connection_met_behind_its_handshake(tmp_path: Path) -> None:
    """Without its SYN nobody knows when the wait ended: gone by then, and no evidence of a length."""
    talk = Talk()
    talk.established()
    talk.close("s", 1.0)
    talk.open(talk.nxt["c"] + 50_000, talk.nxt["s"] + 65_536)
    unseen(talk, "c", 1)
    unseen(talk, "s", 1)
    talk.c(5.0, "PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    talk.s(5.001, "A")
    talk.bystander(100)
    report = pcapwatch.analyze(write_capture(tmp_path / "x.pcap", talk.packets))
    first, second = row(report), row(report, which=1)
    assert (first["active_closer"], first["time_wait_basis"], first["requests"]) == ("server", "upper_only", 1)
    assert (second["reuse_of"], second["requests"]) == (first["connection"], 1)
