"""Snapshots as files and numbers: what was written is read again, anything else is refused in one line."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest
import summaries
from hypothesis import given
from hypothesis import strategies as st

from pcapwatch.errors import UsageError
from pcapwatch.findings import Assumptions, advice, bucket_overflow
from pcapwatch.findings.assumptions import KnownHost
from pcapwatch.findings.limits import cannot_show
from pcapwatch.host import proc, truth
from pcapwatch.host.model import Snapshot, Wait, to_json
from pcapwatch.host.page import render_host
from pcapwatch.host.snapshot_file import MOST_WAITS, from_json, read_file
from pcapwatch.report.build import build
from pcapwatch.report.markdown import render_markdown
from pcapwatch.report.model import PortRange, PortRanges, PortRule
from pcapwatch.report.text import render_text
from pcapwatch.summary import KernelFacts

SCHEMA = json.loads((resources.files("pcapwatch") / "host" / "snapshot.schema.json").read_text())
SETTINGS: dict[str, str | None] = {
    "ip_local_port_range": "40000 40999",
    "ip_local_reserved_ports": "40010,40020-40029,50000",
    "tcp_tw_reuse": "2",
    "tcp_tw_reuse_delay": None,
    "tcp_max_tw_buckets": "50",
    "tcp_timestamps": "1",
}


def snapshot(**facts: Any) -> Snapshot:
    """A host with two TIME_WAITs, read at the end of the hand-made captures."""
    at = summaries.START + 14 * summaries.SECOND
    usual: dict[str, Any] = {"name": "db1", "kernel": "Linux 6.18", "read_ns": (at, at + 1000), "reader": "sock_diag"}
    usual |= {"addresses": ("10.2.0.20", "127.0.0.1"), "sysctls": SETTINGS, "states": {"TIME-WAIT": 2}}
    usual |= {"counters": {"TCPTimeWaitOverflow": 3}, "netns": None}
    usual["waits"] = (Wait("10.2.0.20", 80, "10.2.0.1", 40001, 59_000), Wait("10.2.0.20", 80, "10.2.0.1", 40002, 1))
    return Snapshot(**usual | facts)


def facts(**given: Any) -> dict[str, Any]:
    """The engine's word on that snapshot."""
    usual: dict[str, Any] = {"at_ns": 0, "kernel": 2, "wire": [2, 3], "both": 2, "only_kernel": {}, "only_wire": {}}
    return usual | {"never_listed": 0, "left_out": 0, "examples": []} | given


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Every field comes back, and the file fits the shipped schema."""
    file = tmp_path / "db1.json"
    file.write_text(to_json(snapshot()))
    assert read_file(str(file)) == snapshot()
    jsonschema.validate(json.loads(file.read_text()), SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "null", "[" * 100_000, '{"format": "pcapwatch host snapshot", "version": 2}',
        '{"format": "pcapwatch host snapshot", "version": 1}',
        to_json(snapshot()).replace("59000", "-1"), to_json(snapshot()).replace("59000", "1e3"),
        to_json(snapshot()).replace("40001", "70000"), to_json(snapshot()).replace('"10.2.0.1"', '"nowhere"'),
        to_json(snapshot()).replace('"db1"', "7"), to_json(snapshot()).replace('"TIME-WAIT": 2', '"TIME-WAIT": true'),
    ],
)  # fmt: skip
def test_anything_else_is_one_line(tmp_path: Path, text: str) -> None:
    """The file, that it is no snapshot, and how to make one."""
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"x\.json: not a host snapshot .*pcapwatch host -o FILE$") as refused:
        read_file(str(file))
    assert "\n" not in str(refused.value)


#: What is put into a snapshot, made when it is wanted: 30 to 48 MB each.
HOSTILE: dict[str, Callable[[], bytes]] = {
    "an unknown part": lambda: b'"x": [' + b"[]," * 15_000_000 + b"[]], ",
    "a deep one": lambda: b'"x": ' + b"[" * 40_000_000,
    "a known part": lambda: b'"addresses": [' + b'"::",' * 8_000_000 + b'"::"], ',
    "names": lambda: b'"counters": {' + b",".join(b'"%d":1' % n for n in range(3_000_000)) + b"}, ",
    "a text": lambda: b'"kernel": "' + b"x" * 40_000_000 + b'", ',
    "space": lambda: b" " * 40_000_000,
    "rows": lambda: b'"time_waits": [' + b'["::",0,"::",0,0],' * 2_500_000 + b'["::",0,"::",0,0]], ',
}


@pytest.mark.skipif(sys.platform != "linux", reason="memory as /proc tells it")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_costs_little_more_than_its_bytes(tmp_path: Path, name: str) -> None:
    """Some 45 MB of what a snapshot would not hold are refused in one line; the process stays below 200 MB."""
    file = tmp_path / "x.json"
    file.write_bytes(to_json(snapshot()).encode().replace(b"{", b"{" + HOSTILE[name](), 1))
    script = "import sys; from pathlib import Path; from pcapwatch.host.snapshot_file import read_file\n"
    script += "try: read_file(sys.argv[1])\nexcept Exception as error: print(type(error).__name__, error)\n"
    script += "print(*[line.split()[1] for line in Path('/proc/self/status').open() if line.startswith('VmHWM')])"
    done = subprocess.run([sys.executable, "-c", script, file], capture_output=True, text=True, check=True)
    *said, most_kib = done.stdout.splitlines()
    assert int(most_kib) < 200_000, said
    if name != "space":
        assert len(said) == 1
        assert said[0].startswith("UsageError ")


def test_the_most_sockets_there_may_be(tmp_path: Path) -> None:
    """As many are read; one more is refused."""
    row = json.dumps(list(snapshot().waits[0]))
    file = tmp_path / "x.json"
    for number in (MOST_WAITS, MOST_WAITS + 1):
        file.write_text(to_json(snapshot(waits=snapshot().waits[:1])).replace(row, ",".join([row] * number)))
        if number == MOST_WAITS:
            assert len(read_file(str(file)).waits) == MOST_WAITS
    with pytest.raises(UsageError, match=r"more than 524,288 sockets in TIME_WAIT"):
        read_file(str(file))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ip_local_port_range", "60999 32768"), ("ip_local_port_range", "1 99999"), ("ip_local_port_range", "x"),
        ("ip_local_port_range", "32768"), ("ip_local_reserved_ports", "80,x"), ("ip_local_reserved_ports", "9-5"),
        ("ip_local_reserved_ports", "70000"), ("tcp_max_tw_buckets", "many"), ("tcp_tw_reuse", "\u0662"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_and_not_taken_for_unknown(tmp_path: Path, name: str, text: str) -> None:
    """A setting that no kernel would print is named in the one line; what a kernel lacks is unknown."""
    file = tmp_path / "x.json"
    file.write_text(to_json(snapshot(sysctls=SETTINGS | {name: text})))
    with pytest.raises(UsageError, match=rf"{name} .* is none that a kernel has"):
        read_file(str(file))
    file.write_text(to_json(snapshot(sysctls=SETTINGS | {name: None, "ip_local_reserved_ports": ""})))
    assert read_file(str(file)).sysctls[name] in (None, "")


def test_a_snapshot_that_was_written_anew_is_read(tmp_path: Path) -> None:
    """Indented and sorted by another program, with a part that this one does not know."""
    file = tmp_path / "x.json"
    given = json.loads(to_json(snapshot())) | {"note": {"by": ["somebody", 1, None]}}
    layouts: tuple[dict[str, Any], ...] = ({"indent": 4, "sort_keys": True}, {"separators": (",", ":")})
    for layout in layouts:
        file.write_text(json.dumps(given, **layout))
        assert read_file(str(file)) == snapshot()


def test_a_pipe_is_read_no_further_than_a_file_may_go(tmp_path: Path) -> None:
    """A pipe has no size to ask for: one without an end is refused in one line, at the limit; a snapshot is read."""
    script = "import sys; from pcapwatch.errors import UsageError; from pcapwatch.host.snapshot_file import read_file\n"
    script += "try: print(read_file('/dev/stdin').name)\nexcept UsageError as error: print(error)"
    file = tmp_path / "x.json"
    file.write_text(to_json(snapshot()))
    for source, said in ((file, snapshot().name), (Path("/dev/zero"), "/dev/stdin: more than 64 MiB, the most that")):
        with subprocess.Popen(["cat", str(source)], stdout=subprocess.PIPE) as cat:
            run = subprocess.run(
                [sys.executable, "-c", script], stdin=cat.stdout, capture_output=True, text=True, timeout=60, check=True
            )
            cat.kill()
        assert run.stdout.startswith(said)
        assert run.stdout.count("\n") == 1


@given(st.binary(max_size=200), st.integers(0, 600))
def test_a_broken_file_never_crashes(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int) -> None:
    """A snapshot with bytes overwritten is read or refused."""
    whole = bytearray(to_json(snapshot()).encode())
    whole[at : at + len(noise)] = noise
    file = tmp_path_factory.mktemp("broken") / "x.json"
    file.write_bytes(whole)
    with contextlib.suppress(UsageError):
        read_file(str(file))


def test_ports_less_the_reserved_ones() -> None:
    """Reserved ports outside the range count for nothing; an unknown range is unknown."""
    assert snapshot().ports() == (40000, 40999)
    assert snapshot().usable_ports() == 1000 - 11
    assert snapshot(sysctls={}).usable_ports() is None
    assert snapshot(sysctls={"ip_local_port_range": "9 x"}).ports() is None


@pytest.mark.skipif(sys.byteorder != "little", reason="the sample was taken on a little-endian machine")
def test_a_kernels_table_is_read() -> None:
    """States by name, TIME_WAIT timers in ms from the kernel's 10 ms ticks, v4-mapped addresses as IPv4."""
    text = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 02014D0A:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 02014D0A:0050 01014D0A:9C41 06 00000000:00000000 03:0000176F 00000000     0        0 0 3 0
   2: 0000000000000000FFFF000002014D0A:0050 0000000000000000FFFF000001014D0A:9C42 06 0:0 03:00000001 00000000 0 0 0 3
"""
    table = proc.socket_table([text])
    assert table.states == {"LISTEN": 1, "TIME-WAIT": 2}
    assert table.waits == (
        Wait("10.77.1.2", 80, "10.77.1.1", 40001, 59_990),
        Wait("10.77.1.2", 80, "10.77.1.1", 40002, 10),
    )


def test_a_counter_that_the_kernel_lacks_is_absent() -> None:
    """Old kernels have fewer names; what is there is read by name, not by place."""
    assert proc.counters("TcpExt: A TW B\nTcpExt: 1 22 3\nIpExt: X\nIpExt: 9\n") == {"TW": 22}
    assert proc.counters("nonsense") == {}


def test_what_the_user_states_of_a_host_goes_before_its_kernel() -> None:
    """A rule for every host does not; each address of the host has its range."""
    hosts = truth.records([snapshot()])
    stated = PortRanges(PortRange(1, 2, stated=True), (PortRule("127.0.0.1", PortRange(5, 6, stated=True)),))
    ranges = truth.with_kernels(stated, hosts)
    assert (ranges.of("10.2.0.20").low, ranges.of("10.2.0.20").size) == (40000, 989)
    assert (ranges.of("127.0.0.1").low, ranges.of("192.0.2.1").low) == (5, 1)


def test_of_several_hosts_loopback_belongs_to_none() -> None:
    """Every host has 127.0.0.1: with two of them it tells nothing."""
    hosts = truth.records([snapshot(), snapshot(name="db2", addresses=("10.2.0.21", "127.0.0.1"))])
    assert set(truth.by_address(hosts)) == {"10.2.0.20", "10.2.0.21"}


def test_remedies_say_the_value_now() -> None:
    """Where the kernel was read the advice names its value, and does not ask for what is set already."""
    range_ = PortRange(40000, 40999, stated=True, reserved=11, kernel="db1")
    host = KnownHost("db1", range_, SETTINGS, None)
    assert advice.wider_range(host)[0].startswith("db1: net.ipv4.ip_local_port_range is 40000 40999 here (989 ports")
    assert advice.wider_range(None) == [advice.WIDER_RANGE]
    assert "tcp_tw_reuse is 2 here (loopback only)" in advice.tw_reuse(host)[0]
    assert advice.tw_reuse(host._replace(reuse_ns=10**9)) == []
    assert "tcp_timestamps is 0 here" in advice.tw_reuse(host._replace(sysctls=SETTINGS | {"tcp_timestamps": "0"}))[0]
    assert advice.tw_reuse(None) == [advice.TW_REUSE]
    assert advice.wider_range(host._replace(ports=PortRange(1024, 65535, stated=True))) == []


@pytest.mark.parametrize(
    ("sysctls", "reuse_ns"),
    [
        ({}, 10**9),
        ({"tcp_tw_reuse_delay": "300"}, 300_000_000),
        ({"tcp_timestamps": "0"}, None),
        ({"tcp_tw_reuse": "0"}, None),
    ],
)
def test_reuse_needs_the_setting_and_timestamps(sysctls: dict[str, str], reuse_ns: int | None) -> None:
    """tcp_tw_reuse 1 with timestamps: after a second, or as long as the kernel says."""
    (host,) = truth.records([snapshot(sysctls=SETTINGS | {"tcp_tw_reuse": "1"} | sysctls)])
    assert truth.known(host).reuse_ns == reuse_ns


def test_a_full_table_is_a_finding_and_one_with_room_is_none() -> None:
    """PW112 fires when the counter rose, or at the cap with TIME_WAITs that only the wire shows."""
    summary = summaries.proxy_and_origin()
    earlier = snapshot(read_ns=(summaries.START, summaries.START), counters={"TCPTimeWaitOverflow": 1})

    def found(*given: tuple[Snapshot, dict[str, Any]]) -> list[str]:
        summary["kernel"] = [cast(KernelFacts, word) for _, word in given]
        told = truth.truths(summary, truth.records([one for one, _ in given]))
        return [one.title for one in bucket_overflow.check(summary, Assumptions(truths=told))]

    assert not found((snapshot(), facts()))
    assert not found((snapshot(), facts(kernel=49, only_wire={"certain": 5})))
    assert len(found((snapshot(), facts(kernel=50, only_wire={"certain": 5})))) == 1
    (title,) = found((snapshot(), facts(kernel=50, never_listed=7)))
    assert title.endswith("the wire shows 7 more"), "those that it never listed count when their time is long up"
    (title,) = found((earlier, facts()), (snapshot(), facts()))
    assert "its overflow counter rose by 2" in title


def test_how_near_the_cap_a_host_came_is_unseen_only_where_no_kernel_told() -> None:
    """With its limit and its overflow counter read there is nothing to compare by hand."""
    summary = summaries.proxy_and_origin()
    summary["kernel"] = [cast(KernelFacts, facts())]
    told = truth.truths(summary, truth.records([snapshot()]))
    assert any("how near 10.2.0.20 came" in text for text in cannot_show(summary))
    assert not any("how near" in text for text in cannot_show(summary, told))


def test_hostile_names_are_escaped() -> None:
    """A host's name comes from elsewhere: no escape sequence, no markup gets out."""
    summary = summaries.proxy_and_origin()
    summary["kernel"] = [cast(KernelFacts, facts(only_wire={"certain": 1}))]
    hosts = truth.records([snapshot(name="\x1b[31m<b>|`", kernel="\x9b2J", sysctls={"tcp_rfc1337": "\x07"})])
    report = build(summary, PortRanges(), None, hosts)
    text = render_text(report)
    assert not {"\x1b", "\x9b", "\x07"} & set(text)
    assert "its kernel lists 2 TIME_WAITs, the wire 2-3; 2 are in both" in " ".join(text.split())
    assert "<b>" not in render_markdown(report)
    assert not {"\x1b", "\x9b", "\x07"} & set(render_host(hosts[0].snapshot))


def test_a_page_for_people() -> None:
    """What `pcapwatch host` prints of the hand-made host."""
    page = render_host(snapshot())
    for words in ("TIME_WAIT      2 sockets of 50", "40000-40999: 989 usable, 11 reserved", "tcp_tw_reuse 2 (outgoing"):
        assert words in page


def test_no_tables_no_section() -> None:
    """Without a snapshot nothing of it is in the report."""
    assert "Kernel" not in render_text(build(summaries.proxy_and_origin()))
    assert (
        from_json(to_json(snapshot()).encode()).table()["waits"][0][4] == snapshot().read_ns[0] + 500 + 59_000_000_000
    )
