"""The engine's own face: tables as the contract names them, errors and interruptions as its stub promises."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from places import ROOT

from pcapwatch import _engine

CAPTURE = str(ROOT / "fixtures" / "proxy-http10-back" / "capture.pcap")
KEEP = json.dumps({"keep_connections": True, "keep_exchanges": True})

#: The contract's columns, which scripts rely on, in its order.
CONTRACT = {
    "connections": """
        connection client client_port server server_port role_basis tunnel start end first_frame
        last_frame file handshake_rtt_s client_packets server_packets client_bytes server_bytes history client_state
        server_state
        close active_closer closer_basis closer_frame closer_time reset_by reset_kind time_wait_holder time_wait_start
        time_wait_restarts time_wait_lower_s time_wait_upper_s time_wait_s time_wait_basis time_wait_end reuse_of
        reuse_gap_s requests responses http_version protocol request_connection response_connection
        keep_alive_timeout_s keep_alive_max close_announced_by idle_before_close_s race sni alpn quality""",
    "exchanges": """
        connection index request_frame request_time method host target request_version request_connection
        response_frame response_time status response_version response_connection keep_alive framing complete persistent
        user_agent server_software""",
}


@pytest.mark.parametrize("table", CONTRACT)
def test_columns_are_the_contracts_in_its_order(table: str) -> None:
    """Every column of the contract is there, in the contract's order; others may stand between and after."""
    names = [name for name, meaning in json.loads(_engine.columns_json())[table] if meaning]
    promised = CONTRACT[table].split()
    assert [name for name in names if name in promised] == promised
    assert len(names) == len(set(names))


def test_the_tables_are_what_the_columns_say() -> None:
    """The Arrow schema has the listed names, each with its meaning, and a table can be read more than once."""
    analysis = _engine.analyze([CAPTURE], KEEP)
    for name, columns in json.loads(_engine.columns_json()).items():
        table = pa.table(getattr(analysis, name))
        told = [[field.name, field.metadata[b"description"].decode()] for field in table.schema]
        assert told == columns
        assert table.num_rows == len(getattr(analysis, name)) > 0
        assert pa.table(getattr(analysis, name)).equals(table)


def test_units_are_in_the_types() -> None:
    """Instants are UTC nanoseconds, durations float seconds, quality a list."""
    schema = pa.table(_engine.analyze([CAPTURE], KEEP).connections).schema
    assert schema.field("start").type == pa.timestamp("ns", "UTC")
    assert all(schema.field(n).type == pa.float64() for n in schema.names if n.endswith("_s") and "keep_alive" not in n)
    assert pa.types.is_list(schema.field("quality").type)


def test_rows_and_totals_agree() -> None:
    """The rows' words add up to the Summary's totals."""
    analysis = _engine.analyze([CAPTURE], KEEP)
    rows = pa.table(analysis.connections)
    totals = json.loads(analysis.summary_json())["totals"]
    for word in ("close", "active_closer", "closer_basis", "time_wait_holder"):
        assert Counter(rows.column(word).to_pylist()) == totals[word]


def test_nothing_is_kept_unasked() -> None:
    """Without `keep_connections` the tables are empty, and still have their columns."""
    table = pa.table(_engine.analyze([CAPTURE], "{}").connections)
    assert (table.num_rows, table.column_names[0]) == (0, "connection")


def test_what_progress_raises_ends_the_analysis() -> None:
    """An exception of the callback comes out of `analyze` as itself."""

    class Stopped(Exception):
        pass

    def stop(_done: int, _total: int, _packets: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        _engine.analyze([CAPTURE], KEEP, stop)


def test_progress_comes_at_a_steady_pace() -> None:
    """However small the batches, the callback is called at once and then at most ten times a second."""
    calls: list[tuple[int, int, int]] = []
    begun = time.monotonic()
    _engine.analyze([CAPTURE], '{"batch_packets": 1}', lambda *now: calls.append(now))
    most = 1 + 10 * (time.monotonic() - begun)
    assert 1 <= len(calls) <= most
    assert 1 <= calls[0][2] <= 257  # the first batch's packet, and what is held back to look for its copy
    assert 0 < calls[0][0] <= calls[0][1] == Path(CAPTURE).stat().st_size


def test_a_missing_file_is_one_line() -> None:
    """A path that is no capture raises SourceError with a single line that names it."""
    with pytest.raises(_engine.SourceError, match=r"\Ano/such\.pcap: [^\n]+\Z"):
        _engine.analyze(["no/such.pcap"], "{}")


@pytest.mark.parametrize("settings", ["", "3", '{"no_such": 1}', '{"threads": -1}'])
def test_settings_that_do_not_fit_are_refused(settings: str) -> None:
    """Unknown names and wrong types are a ValueError, not a default taken in silence."""
    with pytest.raises(ValueError, match="settings: "):
        _engine.analyze([CAPTURE], settings)


def test_ladders_keep_the_order_asked_for() -> None:
    """Ladders come in the order of the numbers; numbers that do not exist are left out."""
    ladders = json.loads(_engine.analyze([CAPTURE], KEEP).ladders_json([3, 99999, 1]))
    assert [ladder["connection"] for ladder in ladders] == [3, 1]
