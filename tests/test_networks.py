"""Networks with one 4-tuple that only labels, endpoints or calls of one direction tell apart, by tool and oracle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from crafted.reading import differences, tool_json, tool_rows
from crafted.talk import write_capture
from crafted.ways import CASES, Case, Row, mixture
from oracle import incarnations, read_connections
from oracle.compare import compare
from oracle.segments import Segment

ALL = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def crafted(path: Path, case: Case) -> Path:
    """Its capture."""
    return write_capture(path / f"{case.name}.pcap", case.packets)


@ALL
def test_tool_reads_the_networks_apart(tmp_path: Path, case: Case) -> None:
    """One row for each connection with its closer, whatever its directions carry."""
    assert differences(tool_rows(crafted(tmp_path, case)), case.rows) == []


@ALL
def test_neither_threads_nor_batches_change_it(tmp_path: Path, case: Case) -> None:
    """By packets and their order alone."""
    path = crafted(tmp_path, case)
    assert len({tool_json(path, threads, batch) for threads in (1, 2, 5) for batch in (1, 2, 3, 7, 4096)}) == 1


@ALL
def test_oracle_agrees(tmp_path: Path, case: Case) -> None:
    """Every column of every connection, on the oracle's own reasoning."""
    path = crafted(tmp_path, case)
    assert [str(d) for d in compare(case.name, tool_rows(path), read_connections(path))] == []


@pytest.mark.parametrize("seed", range(40))
def test_mixtures(tmp_path: Path, seed: int) -> None:
    """Networks as chance has it: tool and oracle agree, and neither threads nor batches change anything."""
    path = write_capture(tmp_path / "mixture.pcap", mixture(seed))
    assert [str(d) for d in compare(str(seed), tool_rows(path), read_connections(path))] == []
    assert len({tool_json(path, threads, batch) for threads, batch in ((1, 4096), (2, 3), (5, 1))}) == 1


def by_ways(flow: list[Segment]) -> list[list[Segment]]:
    """A naive engine's: every identifier is a network of its own."""
    return [[p for p in flow if p.way == way] for way in dict.fromkeys(p.way for p in flow)]


def by_addresses(flow: list[Segment]) -> list[list[Segment]]:
    """A naive engine's: identifiers say nothing."""
    return [flow]


@ALL
def test_a_naive_engine_fails(tmp_path: Path, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has identifiers in its key, or one that has not, reads it otherwise."""
    path = crafted(tmp_path, case)

    def fails(naive: Callable[[list[Segment]], list[list[Segment]]]) -> bool:
        monkeypatch.setattr(incarnations, "networks", naive)
        wanted = [{name: value for name, value in row.items() if name != "tunnel"} for row in case.rows]
        return bool(differences(read_connections(path), wanted))

    assert fails(by_ways) or fails(by_addresses)


@ALL
def test_the_ladder_has_the_same_packets(tmp_path: Path, case: Case) -> None:
    """`show` reads again, a part of the capture only, and draws each connection's packets and no other's."""
    from pcapwatch.analysis import ladders
    from pcapwatch.reading import run_engine
    from pcapwatch.settings import Settings

    path = crafted(tmp_path, case)
    rows = tool_rows(path)
    engine = run_engine([path], Settings(keep_connections=True))
    for number, row in enumerate(rows, 1):
        [ladder] = ladders(engine, [number])
        drawn = [line["frame"] for line in ladder["rows"]]
        counts: Row = {
            "client_packets": sum(line["from"] == "client" for line in ladder["rows"]),
            "server_packets": sum(line["from"] == "server" for line in ladder["rows"]),
        }
        assert counts == {name: row[name] for name in counts}
        assert (drawn[0], drawn[-1]) == (row["first_frame"], row["last_frame"])


def test_a_filter_leaves_one_of_them(tmp_path: Path) -> None:
    """An expression for a tunnel's end leaves what is in that tunnel: the one network, whole."""
    case = next(case for case in CASES if case.name == "gtp_two_cells_with_one_endpoint")
    for expression, row in zip(("host 192.0.2.1", "host 192.0.2.9"), case.rows, strict=True):
        assert differences(tool_rows(crafted(tmp_path, case), filter=expression), [row]) == []
