"""Generated traffic: the tool agrees with the oracle, does not depend on batches and threads, never crashes."""

import tempfile
from pathlib import Path

import pytest
from crafted.conversations import captures
from crafted.reading import tool_json, tool_rows
from crafted.talk import Crafted, write_capture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import read_connections
from oracle.compare import DISTURBED_COLUMNS, compare

pcapwatch = pytest.importorskip("pcapwatch")
FAST = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
# The same examples every time: a commit is judged by what it changed, not by the dice.
SLOW = settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
# Stated, so that the tool does not infer a length from the population: the oracle knows Linux's and looks at one row.
LINUX = "60s-65.2s"


def check_against_oracle(packets: list[Crafted], columns: tuple[str, ...] | None) -> None:
    """Write, read twice, compare."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_capture(Path(folder) / "generated.pcap", packets)
        kwargs = {} if columns is None else {"columns": columns}
        found = compare(path.name, tool_rows(path, time_wait=LINUX), read_connections(path), **kwargs)
    assert found == [], "\n".join(str(d) for d in found)


@FAST
@given(captures(disturbed=False))
def test_tool_equals_oracle_on_clean_captures(packets: list[Crafted]) -> None:
    """On conversations captured whole and in order every column is the oracle's."""
    check_against_oracle(packets, None)


@FAST
@given(captures(disturbed=True))
def test_tool_equals_oracle_on_disturbed_captures(packets: list[Crafted]) -> None:
    """Loss, duplication, reordering, and cuts leave the columns that they leave decided equal."""
    check_against_oracle(packets, DISTURBED_COLUMNS)


@pytest.mark.slow
@SLOW
@given(captures(disturbed=False))
def test_tool_equals_oracle_on_many_clean_captures(packets: list[Crafted]) -> None:
    """The same, many more."""
    check_against_oracle(packets, None)


@pytest.mark.slow
@SLOW
@given(captures(disturbed=True))
def test_tool_equals_oracle_on_many_disturbed_captures(packets: list[Crafted]) -> None:
    """The same, many more."""
    check_against_oracle(packets, DISTURBED_COLUMNS)


@settings(FAST, max_examples=15)
@given(captures(disturbed=True))
def test_report_does_not_depend_on_threads_or_batches(packets: list[Crafted]) -> None:
    """Any split into batches and any number of threads gives byte-identical JSON."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_capture(Path(folder) / "generated.pcap", packets)
        reports = {
            tool_json(path, threads=threads, batch_packets=batch) for threads in (1, 2, 5) for batch in (1, 7, 65_536)
        }
    assert len(reports) == 1


@FAST
@given(
    captures(disturbed=False), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=40)
)
def test_mutated_bytes_give_a_report_or_a_source_error(packets: list[Crafted], changes: list[tuple[int, int]]) -> None:
    """Whatever bytes are changed, the tool answers with a report or says in one line why the source cannot be read."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_capture(Path(folder) / "mutated.pcap", packets)
        data = bytearray(path.read_bytes())
        for position, value in changes:
            data[position % len(data)] = value
        path.write_bytes(data)
        message = ""
        try:
            pcapwatch.analyze(path).to_json()
        except pcapwatch.CaptureError as error:
            message = str(error)
    assert "\n" not in message
