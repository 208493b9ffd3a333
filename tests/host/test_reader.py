"""A host's kernel is read by netlink and by /proc alike, and as `ss` reads it."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from host.labs import close_some, lab, snapshot
from pcapwatch.errors import UsageError
from pcapwatch.host.model import to_json
from pcapwatch.host.reader import read
from pcapwatch.host.watch import HostWatch

SCHEMA = json.loads((resources.files("pcapwatch") / "host" / "snapshot.schema.json").read_text())


@pytest.mark.root
def test_netlink_proc_and_ss_agree(tmp_path: Path) -> None:
    """The same sockets by all three, timers within a tick of each other, settings and counters of the namespace."""
    with lab(tmp_path) as made:
        made.server.sysctl("tcp_max_tw_buckets", 4321)
        made.server.sysctl("tcp_rfc1337", 1)
        listener = made.server.listen(80)
        close_some(made, listener, 20, "server")
        by_netlink, by_proc = (snapshot(made, "server", sock_diag=way) for way in (True, False))
        listed = made.server.call("ss", "-Htan", "state", "time-wait").splitlines()
        listener.close()
    assert (by_netlink.reader, by_proc.reader) == ("sock_diag", "proc")
    netlink, proc = ({wait[:4]: wait.left_ms for wait in taken.waits} for taken in (by_netlink, by_proc))
    assert netlink.keys() == proc.keys()
    assert len(netlink) == len(listed) == 20
    assert {f"{own}:{port} {peer}:{other}" for own, port, peer, other in netlink} == {
        " ".join(line.split()[2:4]) for line in listed
    }
    elapsed_ms = (by_proc.read_ns[1] - by_netlink.read_ns[0]) / 1e6
    assert all(0 <= netlink[key] - proc[key] <= elapsed_ms + 20 for key in netlink)
    assert by_netlink.states == {"LISTEN": 1, "TIME-WAIT": 20} == by_proc.states
    assert by_netlink.number("tcp_max_tw_buckets") == 4321
    assert by_netlink.number("tcp_rfc1337") == 1
    assert "10.77.1.2" in by_netlink.addresses
    assert "10.77.1.1" not in by_netlink.addresses
    assert by_netlink.counters["TCPTimeWaitOverflow"] == 0


@pytest.mark.root
def test_a_watch_reads_on_without_entering_again(tmp_path: Path) -> None:
    """What a watch opened keeps showing its namespace; it keeps the first sample and the newest."""
    with lab(tmp_path) as made, HostWatch(made.server.namespace) as watch:
        listener = made.server.listen(80)
        for number in (3, 6):
            close_some(made, listener, 3, "server")
            assert len(watch.sample().waits) == number
        listener.close()
    assert len(watch.first.waits) == 0
    assert watch.records()[0].risen("TCPTimeWaitOverflow") == 0
    assert [len(table["waits"]) for table in json.loads(watch.tables_json())] == [6]


def test_this_host_is_read() -> None:
    """Without a namespace it is this one; what it says fits the shipped schema."""
    if not Path("/proc/net/tcp").exists():
        pytest.skip("this is no Linux")
    taken = read()
    jsonschema.validate(json.loads(to_json(taken)), SCHEMA)
    assert taken.kernel.startswith("Linux ")
    assert taken.ports() is not None
    assert taken.addresses


@pytest.mark.parametrize("name", ["no-such-namespace", "../../etc/passwd", "..", "/dev/null"])
def test_a_namespace_that_is_not_there_is_one_line(name: str) -> None:
    """It is named, with how to list those there are."""
    with pytest.raises(UsageError, match=r"^--netns '.*': .*ip netns list"):
        read(name)
