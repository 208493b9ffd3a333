"""What the tool says of every recorded fixture, against what the recording script did and what the kernels counted.

`fixtures/NAME/truth.json` is written by `fixtures/record`: `connections` is stated by the script (and was checked
there against the kernels' tables), `kernel` holds the sampled socket tables of every host.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import dpkt
import pandas as pd
import pytest

import pcapwatch
from pcapwatch import _engine

ROOT = Path(__file__).parents[1] / "fixtures"
#: Its script states no connection one by one (ports come back, who closed first is a race): tests/test_proxy_reuse.py.
UNSTATED = "proxy-http10-reuse"
NAMES = sorted(path.parent.name for path in ROOT.glob("*/truth.json") if path.parent.name != UNSTATED)
ENDS = ("client", "client_port", "server", "server_port")
PLAIN = (
    "close", "active_closer", "time_wait_holder", "requests", "responses", "protocol", "request_connection",
    "close_announced_by", "reset_by", "reset_kind", "race", "keep_alive_timeout_s", "sni", "client_bytes",
    "time_wait_restarts", "time_wait_end", "time_wait_basis",
)  # fmt: skip
STATES = (
    "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK",
    "TIME-WAIT",
)  # fmt: skip
AT_THE_HOST_NS = 2_000_000
"""A packet and the state it causes are this close on a veth pair, interrupts and a busy machine allowed for."""


@cache
def truth_of(name: str) -> dict[str, Any]:
    """The truth beside a capture."""
    loaded: dict[str, Any] = json.loads((ROOT / name / "truth.json").read_text())
    return loaded


def stating(column: str) -> list[str]:
    """The fixtures of which some connection states this column."""
    return [name for name in NAMES if any(column in row for row in truth_of(name)["connections"])]


def paths_of(name: str) -> list[str]:
    """The capture's files, in order."""
    return [str(ROOT / name / file) for file in truth_of(name)["files"]]


@cache
def connections_of(name: str) -> pd.DataFrame:
    """The tool's table."""
    return pcapwatch.analyze(paths_of(name)).connections


def pairs_of(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every stated connection with the tool's row: incarnations of a 4-tuple in their order."""
    said, found = defaultdict(list), defaultdict(list)
    for row in truth_of(name)["connections"]:
        said[tuple(row[end] for end in ENDS)].append(row)
    for row in connections_of(name).to_dict("records"):
        plain = {str(k): None if pd.api.types.is_scalar(v) and pd.isna(v) else v for k, v in row.items()}
        found[tuple(row[end] for end in ENDS)].append(plain)
    assert {k: len(v) for k, v in found.items()} == {k: len(v) for k, v in said.items()}
    return [pair for ends, rows in said.items() for pair in zip(rows, found[ends], strict=True)]


@pytest.mark.parametrize("name", [*NAMES, UNSTATED])
def test_truth_is_stated_but_for_the_listed(name: str) -> None:
    """A fixture states its connections, or is listed as one that cannot."""
    assert bool(truth_of(name)["connections"]) == (name != UNSTATED)


@pytest.mark.parametrize("name", NAMES)
def test_every_connection_is_what_the_script_did(name: str) -> None:
    """One row per stated connection and no other; closer, close, holder, requests and the rest as stated."""
    wrong = [
        f"{row['client_port']}: {column} is {found[column]!r}, stated {row[column]!r}"
        for row, found in pairs_of(name)
        for column in PLAIN
        if column in row and found[column] != row[column]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", stating("idle_before_close_s"))
def test_idle_time_before_close_is_the_configured_timeout(name: str) -> None:
    """Idle time before the close agrees with the timeout in the configuration within a timer's slack of 0.25 s."""
    for row, found in pairs_of(name):
        assert found["idle_before_close_s"] == pytest.approx(row["idle_before_close_s"], abs=0.25)


@pytest.mark.parametrize("name", stating("reused"))
def test_a_reused_tuple_names_its_predecessor(name: str) -> None:
    """The second incarnation of a 4-tuple says which connection held it before, the first says none."""
    for row, found in pairs_of(name):
        assert (found["reuse_of"] is not None) == bool(row.get("reused")), row


@pytest.mark.parametrize("name", stating("tunnel"))
def test_a_tunnel_is_named(name: str) -> None:
    """Connections inside a tunnel of the lab carry its kind and its number."""
    for row, found in pairs_of(name):
        assert found["tunnel"] == row["tunnel"]


def test_every_fragment_of_the_lab_found_its_datagram() -> None:
    """Of the tunnel's packets in two fragments none is left over, and nothing of the response is missing."""
    report = pcapwatch.analyze(paths_of("vxlan-fragments"))
    fragments = report.summary["capture"]["fragments"]
    assert fragments["datagrams"] == fragments["joined"] > 0
    assert "fragment" not in report.summary["capture"]["not_analysed"]
    [row] = report.connections.to_dict("records")
    assert row["server_bytes"] > 20_000
    assert not set(row["quality"])


def test_a_vlan_tag_is_named() -> None:
    """Connections of the tagged trunk carry their VLAN id."""
    for row, found in pairs_of("vlan"):
        assert str(row["vlan"]) in found["tunnel"]


@pytest.mark.parametrize("name", NAMES)
def test_time_wait_bounds_hold_against_the_kernel(name: str) -> None:
    """Where the kernel's table showed a TIME_WAIT begin and end, its length lies within the tool's proven bounds."""
    truth = truth_of(name)
    slack_s = _slack_ns(truth) / 1e9
    for row, found in pairs_of(name):
        for wait in _waits(truth, row, found):
            start = pd.Timestamp(found["time_wait_start"]).value
            longest, shortest = (wait["gone"][1] - start) / 1e9, (wait["last"][0] - start) / 1e9
            lower, upper = found["time_wait_lower_s"], found["time_wait_upper_s"]
            assert lower is None or lower <= longest + slack_s, row
            assert upper is None or upper >= shortest - slack_s, row


def _ends(row: dict[str, Any]) -> list[str]:
    """Client and server of a stated connection as the kernels' tables name them."""
    hosts = {end: f"[{row[end]}]" if ":" in row[end] else row[end] for end in ("client", "server")}
    return [f"{host}:{row[end + '_port']}" for end, host in hosts.items()]


def _waits(truth: dict[str, Any], row: dict[str, Any], found: dict[str, Any]) -> list[dict[str, Any]]:
    """The kernel's ended TIME_WAITs of this connection, one per holder, matched by their order on the 4-tuple."""
    ends = _ends(row)
    holder = found["time_wait_holder"]
    sockets = [" ".join(ends)] if holder in ("client", "both") else []
    sockets += [" ".join(reversed(ends))] if holder in ("server", "both") else []
    holding = [
        other
        for other in truth["connections"]
        if other["time_wait_holder"] != "none" and all(other[end] == row[end] for end in ENDS)
    ]
    matched: list[dict[str, Any]] = []
    if not any(other is row for other in holding):
        return matched  # a holder that the script did not make: the test of the connections says so
    for socket in sockets:
        waits = [wait for seen in truth["time_waits"].values() for wait in seen if wait["socket"] == socket]
        # Reused faster than the tables were sampled, two intervals look like one: then none can be told apart.
        if len(waits) == len(holding):
            matched.append(waits[next(n for n, other in enumerate(holding) if other is row)])
    return [wait for wait in matched if wait["gone"]]


def _slack_ns(truth: dict[str, Any]) -> int:
    """How far a host's own moment may be from the tap's: the round trip of the lab's wire, doubled for a busy relay."""
    return AT_THE_HOST_NS + int(truth["one_way_s"] * 4e9) + (50_000_000 if truth["one_way_s"] else 0)


@cache
def counts_at(name: str, at_ns: int) -> dict[tuple[str, str], tuple[int, int]]:
    """(host, state) to the tool's [min, max] at an instant."""
    settings = json.loads(_engine.default_settings_json()) | {"states": {"at_ns": at_ns, "every_ns": None}}
    summary = json.loads(_engine.analyze(paths_of(name), json.dumps(settings)).summary_json())
    return {(row["host"], row["state"]): (row["min"], row["max"]) for row in summary["states"]}


@cache
def packet_times(name: str) -> list[int]:
    """Every instant at which the tool's own answer may change because of a packet, ns; read by dpkt."""
    times = []
    for path in paths_of(name):
        with gzip.open(path) if path.endswith(".gz") else Path(path).open("rb") as handle:
            times += [round(float(ts) * 1e9) for ts, _ in dpkt.pcap.UniversalReader(handle)]
    return sorted(times)


def instants(name: str, sample: tuple[int, int]) -> list[int]:
    """The moments at which the tool is asked about one sample: its ends, widened, and after each packet within."""
    slack = _slack_ns(truth_of(name))
    low, high = sample[0] - slack, sample[1] + slack
    within = [time + 1000 for time in packet_times(name) if low <= time <= high]
    return [low, sample[0], *within, sample[1], high]


@pytest.mark.parametrize("name", NAMES)
def test_states_contain_the_kernels_counts(name: str) -> None:
    """At every sampled instant, for every host and state, the kernel's count lies within the tool's [min, max]."""
    truth, wrong, compared = truth_of(name), [], 0
    for role, runs in truth["kernel"].items():
        addresses = truth["hosts"][role]["addresses"]
        far = bool(truth["one_way_s"]) and truth["tap"]["host"] != role
        for counts, margin, sample in _samples(truth, runs):
            asked = instants(name, sample)
            if far and len(asked) > 4:
                continue  # what passes the tap now reaches or left this host half a round trip away
            blind = sum(
                side["host"] == role and side["from_ns"] <= sample[1] and sample[0] <= (side["to_ns"] or sample[0])
                for side in truth["blind"]
            )
            answers = [counts_at(name, at) for at in asked]
            busy = margin if len(asked) > 4 else 0  # 4: nothing passed the tap around it
            faults = _outside(answers, addresses, counts, blind + busy)
            wrong += [f"{role} at {sample[0]}: {fault}" for fault in faults]
            compared += 1
    assert compared
    assert not wrong, "\n".join(wrong[:20])


def _samples(truth: dict[str, Any], runs: list[dict[str, Any]]) -> Iterator[tuple[Counter[str], int, tuple[int, int]]]:
    """The kernel's counts of stated connections, a margin, and the clock around each run's first and last sample.

    A table is not read at one instant: where several sockets changed around a sample, all but one are the margin.
    """
    stated = {frozenset(_ends(row)) for row in truth["connections"]}
    table: dict[str, str] = {}
    for run, after in zip(runs, [*runs[1:], {"changed": {}}], strict=True):
        table |= {k: v for k, v in run["changed"].items() if v is not None}
        table = {k: v for k, v in table.items() if run["changed"].get(k, v) is not None}
        counts = Counter(state for socket, state in table.items() if frozenset(socket.split()) in stated)
        margin = max(0, len(run["changed"].keys() | after["changed"].keys()) - 1)
        yield counts, margin, tuple(run["first"])
        yield counts, margin, tuple(run["last"])


def _outside(
    answers: list[dict[tuple[str, str], tuple[int, int]]], addresses: list[str], counts: Counter[str], margin: int
) -> list[str]:
    """The states whose count by the kernel is in none of the tool's bands."""
    faults = []
    for state in STATES:
        bands = [[answer.get((address, state), (0, 0)) for address in addresses] for answer in answers]
        low = min(sum(band[0] for band in hosts) for hosts in bands) - margin
        high = max(sum(band[1] for band in hosts) for hosts in bands) + margin
        if not low <= counts[state] <= high:
            faults.append(f"{state}: kernel {counts[state]}, tool [{low}, {high}]")
    return faults
