"""Each link type and each encapsulation: the tool reads the same conversation in it, and tshark the same segments."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from crafted.reading import differences, tool_json, tool_rows
from crafted.talk import Crafted, Talk, write_capture
from crafted.wrapped import WRAPPINGS, Wrapping
from places import ROOT
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether

import pcapwatch

ALL = pytest.mark.parametrize("wrapping", WRAPPINGS, ids=lambda w: w.name)
Row = tuple[int, int, int, int]
FOLDER = ROOT / "fixtures" / "wrapped"


def fixture(wrapping: Wrapping) -> Path:
    """The capture of this wrapping."""
    return FOLDER / f"{wrapping.name.replace('_', '-')}.pcap"


def conversation() -> Talk:
    """A handshake, one exchange, closed by the server."""
    talk = Talk().established()
    talk.close("s")
    return talk


def craft(path: Path, wrapping: Wrapping) -> Path:
    """The conversation in these headers; what one packet becomes is a microsecond apart."""
    packets = []
    for one in conversation().packets:
        packet = Ether(one.data).payload
        frames = wrapping.wrap(packet, packet[TCP].sport == 40_000)
        packets += [Crafted(one.at_s + at * 1e-6, data) for at, data in enumerate(frames)]
    return write_capture(path / "wrapped.pcap", packets, wrapping.link)


def segments() -> list[Row]:
    """Ports, sequence number and payload length of every segment, as the conversation was built."""
    found = []
    for one in conversation().packets:
        segment = Ether(one.data)[TCP]
        found.append((segment.sport, segment.dport, segment.seq, len(segment.payload)))
    return found


@ALL
def test_packets_one_by_one(wrapping: Wrapping) -> None:
    """The report, with its ladders, is the same wherever batches end: also between the fragments of a packet."""
    assert tool_json(fixture(wrapping), 1, 1) == tool_json(fixture(wrapping), 2, 2048)


@ALL
def test_fixture_is_what_is_crafted(tmp_path: Path, wrapping: Wrapping) -> None:
    """The file in the fixtures is this wrapping's, byte for byte; PCAPWATCH_REGENERATE=1 writes it."""
    crafted = craft(tmp_path, wrapping)
    if os.environ.get("PCAPWATCH_REGENERATE"):
        shutil.copy(crafted, fixture(wrapping))
    assert fixture(wrapping).read_bytes() == crafted.read_bytes()


def test_no_fixture_is_left_over() -> None:
    """Every file there has its wrapping."""
    assert sorted(FOLDER.glob("*.pcap")) == sorted(map(fixture, WRAPPINGS))


@ALL
def test_tool_reads_the_conversation(wrapping: Wrapping) -> None:
    """One connection with every byte, its closer, and the name of what is around it."""
    expected = {
        "close": "fin", "active_closer": "server", "time_wait_holder": "server", "requests": 1, "responses": 1,
        "client_packets": 6, "server_packets": 4, "client_bytes": 27, "server_bytes": 40, "tunnel": wrapping.tunnel,
        "client_port": 40_000, "server_port": 80, "quality": frozenset(),
    }  # fmt: skip
    assert differences(tool_rows(fixture(wrapping)), [expected]) == []


def tshark_segments(wrapping: Wrapping, is_v6: bool) -> list[tuple[int, str, *Row]]:
    """Of every segment that tshark finds: stream, innermost source address, ports, sequence number, payload length."""
    tcp = ("stream", "srcport", "dstport", "seq_raw", "len")
    fields = [part for name in ("ip.src", "ipv6.src", *(f"tcp.{name}" for name in tcp)) for part in ("-e", name)]
    command = ["tshark", "-n", *wrapping.tshark, "-r", str(fixture(wrapping)), "-Y", "tcp", "-T", "fields"]
    command += ["-E", "occurrence=l", *fields]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found = []
    for line in done.stdout.splitlines():
        v4, v6, stream, *rest = line.split("\t")
        source, target, sequence, length = map(int, rest)
        found.append((int(stream), v6 if is_v6 else v4, source, target, sequence, length))
    return found


@ALL
@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_tshark_reads_the_same_segments(wrapping: Wrapping) -> None:
    """The headers are what they claim: tshark finds the segments put in, in one stream between the tool's ends."""
    if wrapping.unread:
        pytest.skip(wrapping.unread)
    [row] = tool_rows(fixture(wrapping))
    source = {40_000: str(row["client"]), 80: str(row["server"])}
    assert tshark_segments(wrapping, ":" in source[80]) == [(0, source[segment[0]], *segment) for segment in segments()]


def test_flows_of_two_networks_are_two(tmp_path: Path) -> None:
    """The same addresses and ports in two VXLANs are two connections; MPLS labels have directions."""
    rows = {}
    for name in ("vxlan", "mpls"):
        wrapping = next(w for w in WRAPPINGS if w.name == name)
        packets = []
        for one in conversation().packets:
            packet = Ether(one.data).payload
            [frame] = wrapping.wrap(packet, packet[TCP].sport == 40_000)
            other = frame.replace(b"\x00\x13\x89\x00", b"\x00\x13\x8a\x00")
            packets += [Crafted(one.at_s, frame)] if name == "mpls" else [Crafted(one.at_s, f) for f in (frame, other)]
        rows[name] = tool_rows(write_capture(tmp_path / f"{name}.pcap", packets))
    assert [row["tunnel"] for row in rows["vxlan"]] == ["vxlan vni 5001", "vxlan vni 5002"]
    assert [row["client_packets"] for row in rows["vxlan"]] == [6, 6]
    assert len(rows["mpls"]) == 1


def test_packets_are_accounted_for(tmp_path: Path) -> None:
    """Every packet is a segment, counted as not analysed, or joined into a datagram."""
    import pcapwatch

    for name in ("fragments_v4", "fragments_around_gre", "vxlan"):
        wrapping = next(w for w in WRAPPINGS if w.name == name)
        capture = pcapwatch.analyze(craft(tmp_path, wrapping)).summary["capture"]
        joined = capture["fragments"]["joined"]
        assert capture["segments"] == 10
        assert capture["not_analysed"] == {}
        assert capture["packets"] == 10 + joined
        assert bool(joined) == name.startswith("fragments")


def test_depth_is_a_setting(tmp_path: Path) -> None:
    """Two encapsulations with one allowed: counted as such, and no connection."""
    import pcapwatch

    wrapping = next(w for w in WRAPPINGS if w.name == "nested")
    report = pcapwatch.analyze(craft(tmp_path, wrapping), max_tunnel_depth=1)
    assert report.summary["capture"]["not_analysed"] == {"tunnel_depth": 10}
    assert len(report.connections) == 0


def test_ladder_of_a_connection_in_fragments(tmp_path: Path) -> None:
    """`show` finds every segment, also those put together from a tunnel's fragments."""
    from pcapwatch.analysis import ladders
    from pcapwatch.reading import run_engine
    from pcapwatch.settings import Settings

    wrapping = next(w for w in WRAPPINGS if w.name == "fragments_around_gre")
    [ladder] = ladders(run_engine([craft(tmp_path, wrapping)], Settings(keep_connections=True)), [1])
    assert [row["len"] for row in ladder["rows"]] == [length for *_, length in segments()]


def test_a_packet_filters_log_proves_no_failure(tmp_path: Path) -> None:
    """pf logs the first packet of each connection: that nothing answered it is in what is not logged."""
    data = (FOLDER / "pflog.pcap").read_bytes()
    first = 24 + 16 + int.from_bytes(data[24 + 8 : 24 + 12], "little")
    (tmp_path / "log.pcap").write_bytes(data[:first])
    report = pcapwatch.analyze(tmp_path / "log.pcap")
    assert [row["close"] for row in report.connections.to_dict("records")] == ["unanswered"]
    assert not report.findings
    assert "cannot be told" in report.to_text()


#: OpenBSD's own number for the same, which files from there have and other systems' libpcap does not know.
TCPDUMPS_NUMBER = {13: 109, 14: 101}


@pytest.mark.skipif(not shutil.which("tcpdump"), reason="tcpdump is not installed")
@pytest.mark.parametrize("expression", ["tcp", "ip6", "src port 80", "not ip"])
@ALL
def test_a_filter_passes_what_tcpdump_passes(wrapping: Wrapping, expression: str) -> None:
    """Of every link type and around every tunnel; nothing where tcpdump refuses (NFLOG, PKTAP)."""
    capture = bytearray(fixture(wrapping).read_bytes())
    capture[20:24] = TCPDUMPS_NUMBER.get(wrapping.link, wrapping.link).to_bytes(4, "little")
    command = ["tcpdump", "-nr-", "-w-", expression]
    done = subprocess.run(command, input=capture, capture_output=True, check=False, timeout=60)
    left = pcapwatch.analyze(fixture(wrapping), filter=expression).summary["capture"]["packets"]
    assert left == (packets_in(done.stdout) if done.returncode == 0 else 0)


def packets_in(capture: bytes) -> int:
    """Of a little-endian pcap."""
    count, at = 0, 24
    while at < len(capture):
        at += 16 + int.from_bytes(capture[at + 8 : at + 12], "little")
        count += 1
    return count
