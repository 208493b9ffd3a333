"""The command line's habits: formats, exit status, one line on stderr, nothing written half."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
import summaries
from handmade import Engine, SourceError

from pcapwatch.bpf import LINKTYPES
from pcapwatch.cli import COMMANDS
from pcapwatch.cli.output import TABLE_FORMATS, write_whole
from pcapwatch.errors import OutputError
from pcapwatch.findings import RULES

Run: TypeAlias = Callable[..., tuple[int, str, str]]
DOCS = Path(__file__).parents[2] / "docs" / "commands.md"
NAMES = list(COMMANDS)

WRONG = {
    "no capture": ["analyze"],
    "unknown command": ["analyse", "a.pcap"],
    "unknown option": ["analyze", "a.pcap", "--nope"],
    "unknown suffix": ["analyze", "a.pcap", "-o", "report.docx"],
    "html": ["analyze", "a.pcap", "-o", "report.html"],
    "no such folder": ["analyze", "a.pcap", "-o", "nowhere/report.md"],
    "format of another command": ["analyze", "a.pcap", "--format", "csv"],
    "bad duration": ["analyze", "a.pcap", "--time-wait", "60"],
    "bad prefix": ["analyze", "a.pcap", "--time-wait", "10.0.0.0/99=60s"],
    "bad range": ["analyze", "a.pcap", "--port-range", "60999-32768"],
    "bad level": ["analyze", "a.pcap", "--fail-on", "bad"],
    "two clocks": ["analyze", "a.pcap", "--local", "--relative"],
    "clock in data": ["connections", "a.pcap", "--format", "csv", "--local"],
    "bad time": ["states", "a.pcap", "--at", "noon"],
    "no time": ["states", "a.pcap"],
    "no step": ["states", "a.pcap", "--every", "0s"],
    "unknown host": ["states", "a.pcap", "--at", "end", "--host", "192.0.2.99"],
    "no host": ["states", "a.pcap", "--at", "end", "--host", "web"],
    "stdin twice": ["states", "-", "--at", "end"],
    "no number": ["show", "a.pcap", "two"],
    "number forgotten": ["show", "a.pcap"],
    "capture forgotten": ["show", "2"],
    "endless number": ["show", "a.pcap", "9" * 5000],
    "no such connection": ["show", "a.pcap", "0"],
    "unknown finding": ["explain", "PW999"],
    "filter of no text": ["analyze", "a.pcap", "--filter", "\udcffx"],
    "interface of no text": ["live", "\udcffx"],
    "file to write of no text": ["live", "lo", "--write", "w\udcff.pcapng"],
    "user of no text": ["live", "lo", "--user", "\udcffx"],
    "a time beyond all": ["states", "a.pcap", "--at", "9999999999"],
    "a year beyond all": ["states", "a.pcap", "--at", "9999-12-31T00:00:00Z"],
    "a step beyond all": ["states", "a.pcap", "--every", "9999999999s"],
    "two filters": ["analyze", "a.pcap", "--filter", "tcp", "--", "port", "80"],
}


@pytest.mark.parametrize("arguments", WRONG.values(), ids=WRONG)
def test_a_users_mistake(run: Run, arguments: list[str]) -> None:
    """Exit 2 with exactly one line on stderr that says something, and nothing on stdout."""
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert re.fullmatch(r"pcapwatch: .{10,}\n", err)
    assert "Traceback" not in err


def test_bad_capture(run: Run, engine: Engine) -> None:
    """The engine's one line about a file is passed on, its control bytes made visible."""
    engine.error = SourceError("a\x1b.pcap: offset 24: not a capture")
    assert run("analyze", "a.pcap") == (2, "", "pcapwatch: a\\x1b.pcap: offset 24: not a capture\n")


def test_bad_filter_is_libpcaps_message(run: Run) -> None:
    """A filter that does not compile shows what libpcap says."""
    status, out, err = run("analyze", "a.pcap", "--", "tcp", "prt", "80")
    assert (status, out) == (2, "")
    assert "syntax error" in err


def test_filter_after_dashes(run: Run, engine: Engine) -> None:
    """The words after -- are compiled for every link type that the engine reads, exactly as by --filter."""
    assert run("analyze", "a.pcap", "--", "tcp", "port", "80")[0] == 0
    assert run("analyze", "a.pcap", "--filter", "tcp port 80")[0] == 0
    words, option = (settings["filter"] for settings in engine.settings)
    assert words == option
    assert set(words) == set(map(str, LINKTYPES))
    assert words["1"][0] == [0x28, 0, 0, 12]  # ldh [12]: the Ethernet type
    assert all(len(instruction) == 4 for program in words.values() for instruction in program)


def test_interrupted(run: Run, engine: Engine) -> None:
    """Ctrl-C ends quietly with the shell's usual status."""
    engine.error = KeyboardInterrupt()
    assert run("analyze", "a.pcap") == (130, "", "")


def test_out_of_memory(run: Run, engine: Engine) -> None:
    """Under `ulimit -v`: one line."""
    engine.error = MemoryError()
    assert run("analyze", "a.pcap") == (2, "", "pcapwatch: not enough memory\n")


@pytest.mark.parametrize("level", ["info", "notice", "warning"])
def test_fail_on_reached(run: Run, level: str) -> None:
    """Exit 1 when a finding reaches the level; the report is printed all the same."""
    status, out, _ = run("analyze", "a.pcap", "--fail-on", level)
    assert status == 1
    assert "closes first" in out


def test_fail_on_not_reached(run: Run) -> None:
    """Exit 0 when none does."""
    assert run("analyze", "a.pcap", "--fail-on", "critical")[0] == 0


def test_settings_reach_the_engine(run: Run, engine: Engine) -> None:
    """Options become the engine's settings: most specific prefix first, ns."""
    run(
        "analyze",
        "a.pcap",
        "--time-wait",
        "60s",
        "--time-wait",
        "10.0.0.0/8=30s-31s",
        "--time-wait",
        "10.1.0.0/16=1.5s",
        "--threads",
        "3",
    )
    assert engine.settings[0]["threads"] == 3
    assert engine.settings[0]["time_wait"] == [
        {"address": "10.1.0.0", "prefix": 16, "low_ns": 1_500_000_000, "high_ns": 1_500_000_000},
        {"address": "10.0.0.0", "prefix": 8, "low_ns": 30_000_000_000, "high_ns": 31_000_000_000},
        {"address": None, "prefix": 0, "low_ns": 60_000_000_000, "high_ns": 60_000_000_000},
    ]


def test_port_range_is_stated(run: Run, engine: Engine) -> None:
    """A stated range is the report's, and it says whose it is."""
    out = run("analyze", "a.pcap", "--port-range", "1024-65535", "--format", "json")[1]
    assert json.loads(out)["port_range"] == {"high": 65535, "low": 1024, "stated": True}
    assert engine.settings[-1]["port_ranges"] == [{"address": None, "prefix": 0, "low": 1024, "high": 65535}]


def test_a_port_range_is_stated_per_host(run: Run, engine: Engine) -> None:
    """A prefix's range goes to the engine and into the report beside the assumed one of the others."""
    code, out, _ = run("analyze", "a.pcap", "--port-range", "10.0.0.1=40000-41999", "--format", "json")
    assert code == 0
    assert json.loads(out)["port_ranges"] == [{"hosts": "10.0.0.1", "low": 40_000, "high": 41_999}]
    assert json.loads(out)["port_range"]["stated"] is False
    rule = {"address": "10.0.0.1", "prefix": 128, "low": 40_000, "high": 41_999}
    assert engine.settings[-1]["port_ranges"] == [rule]


@pytest.mark.parametrize("suffix", TABLE_FORMATS)
@pytest.mark.parametrize("command", ["connections", "exchanges"])
def test_table_formats(run: Run, tmp_path: Path, command: str, suffix: str) -> None:
    """Every format of a table is written whole, beside nothing else; query strings are hidden in all of them."""
    file = tmp_path / f"out.{suffix}"
    assert run(command, "a.pcap", "-o", str(file)) == (0, "", "")
    content = file.read_bytes()
    assert len(content) > 20
    assert b"secret" not in content
    assert [entry.name for entry in tmp_path.iterdir()] == [file.name]


def test_table_keeps_nanoseconds_and_nulls(run: Run) -> None:
    """Text formats carry RFC 3339 with nanoseconds; a null is null, not a word."""
    first, second = (json.loads(line) for line in run("connections", "a.pcap", "--format", "jsonl")[1].splitlines())
    assert (first["start"], second["start"]) == ("2026-11-20T19:23:45.000000001Z", None)
    assert (first["time_wait_s"], second["time_wait_s"]) == (0.892426, None)
    header, row, _ = run("connections", "a.pcap", "--format", "csv")[1].splitlines()
    assert header.split(",")[-2:] == ['"start"', '"quality"']
    assert "2026-11-20T19:23:45.000000001Z" in row
    assert row.endswith('"gap midstream"')


def test_full_urls(run: Run) -> None:
    """Query strings show only when asked for, in tables and in ladders."""
    for command in (["exchanges", "a.pcap", "--format", "json"], ["show", "a.pcap", "2", "--format", "json"]):
        assert "secret" not in run(*command)[1]
        assert "token=secret" in run(*command, "--full-urls")[1]


def test_several_outputs(run: Run, tmp_path: Path) -> None:
    """-o repeats, each format by its suffix; stdout only if --format asks for it."""
    files = [tmp_path / f"report.{suffix}" for suffix in ("txt", "md", "json")]
    options = [word for file in files for word in ("-o", str(file))]
    assert run("analyze", "a.pcap", *options) == (0, "", "")
    assert [file.read_text()[:2] for file in files] == ["10", "**", "{\n"]
    assert json.loads(run("analyze", "a.pcap", *options, "--format", "json")[1])["schema_version"] == 1


def test_an_output_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the last step fails, the old file is untouched and no temporary one is left."""
    file = tmp_path / "report.json"
    file.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OutputError, match="No space left"):
        write_whole(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_an_output_keeps_its_mode(tmp_path: Path) -> None:
    """A file written over keeps its permissions, a new one has what the umask leaves."""
    file = tmp_path / "report.json"
    file.write_bytes(b"old")
    file.chmod(0o640)
    write_whole(file, b"new")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"new", 0o640)


def test_show(run: Run) -> None:
    """The ladder has every row, the states of both sides and the closer."""
    out = run("show", "a.pcap", "2")[1]
    assert out.startswith("connection 2, from 2026-11-20 19:23:45.000021000 UTC\n")
    assert "FIN-WAIT-1" in out
    assert "└ active closer" in out
    assert "server proved: ESTABLISHED" in out


def test_show_says_what_it_lacks(run: Run) -> None:
    """A forgotten or misspelt number and a forgotten capture are each named, with an example."""
    for arguments, said in (
        (("a.pcap",), "'a.pcap' is no connection's number"),
        (("a.pcap", "two"), "'two' is no connection's number"),
        (("2",), "no capture before the connection's number 2"),
    ):
        status, _, err = run("show", *arguments)
        assert status == 2
        assert said in err
        assert "as in `pcapwatch show capture.pcap 2`" in err


def test_states_choose_the_host_that_waits(run: Run, engine: Engine) -> None:
    """Without --host the host of most TIME_WAITs is shown, though another has more connections; it says which."""
    waiting = summaries.host("10.2.0.20", 50)
    busy = summaries.host("10.2.0.1")
    waiting["as_server"], busy["as_client"] = 50, 90
    engine.summary["hosts"] = [busy, waiting]  # type: ignore[list-item]
    _, _, err = run("states", "a.pcap", "--at", "end")
    assert "states of 10.2.0.20, the host of most TIME_WAITs" in err
    waiting["time_wait"] = None
    _, _, err = run("states", "a.pcap", "--at", "end")
    assert "states of 10.2.0.1, the host of most connections" in err


def test_states_of_nobody(run: Run, engine: Engine) -> None:
    """No socket at the instant is said in one line, and that the capture was over by then; status 0, no output."""
    engine.summary["states"] = []
    status, out, err = run("states", "a.pcap", "--at", "+0s", "--host", "10.2.0.20")
    assert (status, out, err) == (0, "", "pcapwatch: 10.2.0.20 had no sockets then\n")
    _, _, err = run("states", "a.pcap", "--at", "2100-01-01T00:00:00Z", "--host", "10.2.0.20")
    assert err.endswith("had no sockets then: the instant is after the last packet\n")


def test_a_filter_that_matches_nothing(run: Run, engine: Engine) -> None:
    """Not the capture is empty but the filter's choice of it, and the number of packets shows that."""
    engine.summary = summaries.empty()
    engine.summary["capture"]["files"][0]["packets"] = 1234
    assert run("analyze", "a.pcap", "--", "tcp port 81")[1].startswith("The filter matched 0 of 1,234 packets, so ")
    status, out, err = run("states", "a.pcap", "--at", "end", "--filter", "tcp port 81")
    assert (status, out) == (2, "")
    assert "the filter matched 0 of 1,234 packets" in err


def test_states_as_netstat(run: Run, engine: Engine) -> None:
    """Exactly awk's lines, sorted, netstat's names, bands; closed and listening sockets do not show."""
    counts = {
        "TIME-WAIT": (12, 15),
        "ESTABLISHED": (3, 3),
        "SYN-RECEIVED": (1, 1),
        "CLOSED": (9, 9),
        "LISTEN": (1, 1),
        "CLOSING": (0, 0),
    }
    engine.summary["states"] = [
        {"host": "10.2.0.20", "at_ns": summaries.START, "state": state, "min": low, "max": high}
        for state, (low, high) in counts.items()
    ]
    status, out, err = run("states", "a.pcap", "--at", "+0s", "--host", "10.2.0.20")
    assert (status, out, err) == (0, "ESTABLISHED 3\nSYN_RECV 1\nTIME_WAIT 12-15\n", "")
    asked = {"at_ns": summaries.START, "every_ns": None, "host": "10.2.0.20", "busiest": False}
    assert engine.settings[-1]["states"] == asked
    _, out, err = run("states", "a.pcap", "--every", "1s", "--max-pairs", "77")
    assert engine.settings[-1]["max_pairs"] == 77
    assert engine.settings[-1]["states"] == {"at_ns": None, "every_ns": 10**9, "host": None, "busiest": True}
    assert out.splitlines()[1].split()[-3:] == ["3", "1", "12-15"]
    assert "10.2.0.20, the host of most TIME_WAITs" in err
    rows = json.loads(run("states", "a.pcap", "--at", "end", "--format", "json")[1])
    assert rows[0] == {
        "host": "10.2.0.20",
        "time": "2026-11-20T19:23:45.000000000Z",
        "state": "ESTABLISHED",
        "min": 3,
        "max": 3,
    }


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("2026-11-20T19:23:45.123456789Z", summaries.START + 123_456_789),
        ("2026-11-20 20:23:45+01:00", summaries.START),
        ("2026-11-20 19:23:45", summaries.START),
        (str(summaries.START // 10**9) + ".5", summaries.START + 500_000_000),
        ("+12.5s", summaries.START + 12_500_000_000),
        ("end", summaries.START + 15_000_000_000),
    ],
)
def test_instants(run: Run, engine: Engine, text: str, at_ns: int) -> None:
    """Every way to write a time reaches the engine as ns since 1970 UTC."""
    assert run("states", "a.pcap", "--at", text)[0] == 0
    assert engine.settings[-1]["states"]["at_ns"] == at_ns


def test_explain_lists_and_explains(run: Run) -> None:
    """Every code is listed and explained, in any case, with the headings that a rule must have."""
    listed = [line.split()[0] for line in run("explain")[1].splitlines()]
    assert listed == [rule.CODE for rule in RULES]
    for code in listed:
        assert "When it is wrong" in run("explain", code.lower())[1]


def test_times(run: Run) -> None:
    """UTC unless asked; relative counts from the first packet."""
    assert "2026-11-20 19:23:45.000000000 UTC" in " ".join(run("analyze", "a.pcap")[1].split())
    assert "from +0.000000000 s" in " ".join(run("analyze", "a.pcap", "--relative")[1].split())


@pytest.mark.parametrize("name", NAMES)
def test_help_and_documentation(run: Run, name: str) -> None:
    """Every command answers --help, and docs/commands.md has a section for it that names every option of that help."""
    status, out, _ = run(name, "--help")
    assert status == 0
    section = re.search(rf"^## {name}$(.*?)(?=^## |\Z)", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert section, f"docs/commands.md has no section {name}"
    common = re.search(r"^## Options of several commands$(.*?)(?=^## |\Z)", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert common
    for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", out.partition("Options:")[2])) - {"--help"}:
        assert f"`{option}" in section[1] + common[1]


def test_show_explains_its_notes(run: Run) -> None:
    """`client proved` is a word of the ladder's own, so the help of the command that prints it says what it means."""
    for text in (run("show", "--help")[1], DOCS.read_text()):
        assert "client proved" in text
        assert "if what was seen arrived" in " ".join(text.split())


def test_version(run: Run) -> None:
    """--version prints one line."""
    try:
        importlib.metadata.version("pcapwatch")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("pcapwatch is not installed, so it has no version")
    status, out, _ = run("--version")
    assert status == 0
    assert re.fullmatch(r"pcapwatch \d+\.\d+\S*\n", out)
