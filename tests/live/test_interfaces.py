"""The interfaces there are, filters for one of them, and scapy's socket where there is no ring."""

import shutil
import socket
import subprocess
import sys
import threading
import time
from os import geteuid
from pathlib import Path
from typing import Any

import pytest

import pcapwatch
from pcapwatch.analysis import summary_of
from pcapwatch.errors import CaptureError, PcapwatchError, UsageError
from pcapwatch.live.elsewhere import Socket
from pcapwatch.live.fed import FedSession
from pcapwatch.live.interfaces import Interface, filter_options, interfaces, listing
from pcapwatch.live.session import RingOptions, WriteOptions, open_interface
from pcapwatch.settings import Settings

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="interfaces as Linux has them")
root = pytest.mark.skipif(geteuid() != 0, reason="needs root, to capture")


@linux
def test_loopback_is_listed_behind_any() -> None:
    """Each interface with its state, link type and addresses; ``any`` first."""
    known = interfaces()
    assert known[0].name == "any"
    loopback = next(one for one in known if one.name == "lo")
    assert loopback.loopback
    assert loopback.link_type == 1
    lines = list(listing(known))
    assert lines[0].split() == ["any", "every", "interface", "LINUX_SLL2"]
    assert any(line.startswith("lo") and "EN10MB" in line and "127.0.0.1/8" in line for line in lines)


def test_names_of_interfaces_are_escaped() -> None:
    """A name may hold a terminal's escape sequence; the list shows it, and does not obey."""
    hostile = Interface(
        "e\x1b[2J", up=False, running=False, loopback=False, link_type=None, addresses=(), hardware=None
    )
    (line,) = listing([hostile])
    assert "\x1b" not in line
    assert line.endswith("down")


@linux
def test_a_namespace_that_is_not_there_is_one_line() -> None:
    """What, where, what to do."""
    with pytest.raises(
        CaptureError, match=r"^/run/netns/no-such: no such network namespace; `ip netns` lists"
    ) as raised:
        interfaces("no-such")
    assert "\n" not in str(raised.value)


@linux
@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="needs tcpdump to compare with")
@pytest.mark.parametrize("wrong", ["tcp prot 80", "host 1.2.3.4.5", "ether prot ip", "wlan type mgt"])
def test_a_bad_filter_shows_what_tcpdump_says(wrong: str) -> None:
    """libpcap's own words for the interface's link type."""
    done = subprocess.run(["tcpdump", "-y", "EN10MB", "-d", wrong], capture_output=True, text=True, check=False)
    said = " ".join(done.stderr.split()).removeprefix("tcpdump: ")
    assert done.returncode
    with pytest.raises(UsageError) as raised:
        filter_options(wrong, "lo")
    shown = str(raised.value).partition(": ")[2].removesuffix(" (libpcap)")
    assert shown in said


@linux
def test_a_filter_is_compiled_for_the_interfaces_link_type() -> None:
    """One program, of that link type; an expression on tags is run behind the kernel, which takes tags out."""
    assert list(filter_options("tcp port 80", "lo")["filter"]) == ["1"]
    assert list(filter_options("tcp port 80", "any")["filter"]) == ["276"]
    assert not filter_options("tcp port 80", "lo")["filter_here"]
    assert filter_options("vlan 5 and tcp", "lo")["filter_here"]
    assert filter_options(None, "lo") == {}


@linux
@root
def test_scapys_socket_gives_packets_with_their_times() -> None:
    """What comes on the interface, filtered, with the time of capture and the length; in batches while it waits."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        port = receiver.getsockname()[1]
        with Socket("lo", expression=f"udp dst port {port}") as taken:
            assert taken.link_type == 1
            before = time.time_ns()
            sending = threading.Timer(
                0.1, lambda: [receiver.sendto(b"payload!", ("127.0.0.1", port)) for _ in range(5)]
            )
            sending.start()
            packets = [packet for batch in taken.batches(1.0) for packet in batch]
            sending.join()
    assert len(packets) >= 5
    assert all(data.endswith(b"payload!") and length == len(data) == 50 for _, data, length in packets)
    assert all(before - 10**6 < at_ns < time.time_ns() for at_ns, _, _ in packets)


@linux
@root
@pytest.mark.parametrize(("interface", "expression"), [("nosuch0", None), ("lo", "tcp prot 80")])
def test_what_scapy_cannot_open_is_one_line(interface: str, expression: str | None) -> None:
    """An interface that is not there, a filter that is none: a line, and no traceback."""
    with pytest.raises(PcapwatchError) as raised:
        Socket(interface, expression=expression)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(f"{interface}: ")


@pytest.mark.parametrize(
    ("option", "given"), [("--fanout", {"fanout": {"group": 1, "mode": "hash"}}), ("--netns", {"netns": "other"})]
)
def test_what_scapys_socket_cannot_do_is_refused(
    option: str, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option that would be without effect is no option."""
    monkeypatch.setenv("PCAPWATCH_CAPTURE", "scapy")
    with pytest.raises(UsageError, match=option):
        open_interface(RingOptions("lo", **given), Settings())


@linux
@root
def test_what_is_fed_is_analysed_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole connection over loopback by scapy's socket: the report is of it, and of the file that was written."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        write = WriteOptions(str(tmp_path / "packets"))
        monkeypatch.setenv("PCAPWATCH_CAPTURE", "scapy")
        with open_interface(RingOptions("lo"), Settings(filter=f"tcp port {port}"), write=write) as session:
            assert isinstance(session, FedSession)
            time.sleep(0.2)
            client = socket.create_connection(server.getsockname())
            accepted, _ = server.accept()
            accepted.close()
            assert client.recv(1) == b""
            client.close()
            deadline = time.monotonic() + 20
            while session.counters.packets < 7 and time.monotonic() < deadline:
                assert session.advance(0.1)
            report = session.conclude()
    (file,) = (tmp_path / "packets").iterdir()
    for one in (report, pcapwatch.analyze(str(file))):
        (pair,) = summary_of(one.engine)["pairs"]
        assert (pair["connections"], pair["server_port"]) == (1, port)
        assert pair["active_closer"] == {"server": 1}
