"""What a command loads and how it ends, in a process of its own, over an engine that gives hand-made facts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

#: Runs the command line with an engine of hand-made facts, then says on stderr which modules that took.
SCRIPT = """
import json, sys, types
sys.path[:0] = [{tests!r}, {root!r}]
import summaries
engine = types.ModuleType("pcapwatch._engine")
engine.SourceError = type("SourceError", (Exception,), {{}})
class Analysis:
    def summary_json(self): return summaries.text_of(summaries.proxy_and_origin())
    def ladders_json(self, numbers, rows=400): return json.dumps([summaries.ladder(n) for n in numbers])
engine.analyze = lambda paths, settings, progress=None: Analysis()
sys.modules["pcapwatch._engine"] = engine
import pcapwatch
pcapwatch._engine = engine
from pcapwatch.cli import main
try:
    main({arguments!r})
finally:
    sys.stderr.write(json.dumps(sorted(sys.modules)))
"""


def process(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    script = SCRIPT.format(tests=str(TESTS), root=str(TESTS.parent), arguments=list(arguments))
    return subprocess.Popen([sys.executable, "-c", script], stdout=stdout, stderr=subprocess.PIPE, text=True)


#: Each costs 2 ms to 0.5 s or megabytes at every start, and no report on standard output needs it.
HEAVY = {
    *("arrow", "asyncio", "ctypes", "jinja2", "jsonschema", "numpy", "pandas", "polars", "pyarrow", "pydantic"),
    *("pydantic_core", "pygments", "scapy", "tempfile"),
}
OWN = {f"pcapwatch.cli.{name}" for name in ("analyze", "options", "output", "progress")}
RICH = {"txt": {"rich.cells"}, "md": set[str](), "json": set[str]()}


@pytest.mark.parametrize("suffix", ["txt", "md", "json"])
def test_analyze_loads_nothing_heavy(suffix: str) -> None:
    """A report loads no table library, no rich but the widths of characters, no ctypes, and no other command's file."""
    out, err = process("analyze", "a.pcap", "--format", suffix).communicate(timeout=60)
    loaded = set(json.loads(err))
    assert "10.2.0.20:80" in out
    assert {"typer", "pcapwatch.report.build"} <= loaded
    assert not loaded & HEAVY
    assert {name for name in loaded if name.startswith("pcapwatch.cli.")} == OWN
    assert {name for name in loaded if name.startswith("rich.") and "._" not in name} == RICH[suffix]


def test_a_reader_that_leaves_is_no_error() -> None:
    """With its pipe closed (`| head`) a command ends with status 0 and no word about it."""
    running = process("analyze", "a.pcap")
    assert running.stdout
    running.stdout.close()
    assert running.stderr
    with running.stderr as stderr:
        complaint = stderr.read()
    assert running.wait(timeout=60) == 0
    assert complaint.startswith("[")  # the script's own list of modules and nothing before it
    assert "Traceback" not in complaint


def test_full_disk_is_one_line() -> None:
    """A full device under stdout gives exit 2 and one line, no traceback."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with Path("/dev/full").open("w") as full:
        running = process("analyze", "a.pcap", stdout=full.fileno())
        _, err = running.communicate(timeout=60)
    assert running.returncode == 2
    assert "No space left" in err
    assert "Traceback" not in err
