"""``--link-type``: what is written, what is refused, and that the engine reads so."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from places import ROOT

import pcapwatch
from pcapwatch.errors import UsageError
from pcapwatch.link_types import parse_link_types

CAPTURE = ROOT / "fixtures" / "nginx-keepalive-off" / "capture.pcap"
FILES = ["file", "last_file", "closer_file"]


@pytest.mark.parametrize(
    ("texts", "chosen"),
    [
        ("USER0=EN10MB", {"147": 1}),
        ("147=1", {"147": 1}),
        (["dlt_user15=linktype_ipv4", "12=raw"], {"162": 228, "12": 101}),
        (["USER1=PFLOG", "USER2=DLT_ENC"], {"148": 117, "149": 109}),
        (["1=2", "1=2"], {"1": 2}),
        ((), {}),
    ],
)
def test_read(texts: str | list[str], chosen: dict[str, int]) -> None:
    """Names in any case, with tcpdump's prefixes or without, and numbers."""
    assert parse_link_types(texts) == chosen


@pytest.mark.parametrize("text", ["", "147", "=1", "147=", "USER16=1", "1=nonsense", "-1=1", "1=65536", "1==1", "٣=1"])
def test_refused(text: str) -> None:
    """Anything else is one line that says how it is written."""
    with pytest.raises(UsageError, match="write FROM=TO"):
        parse_link_types(text)


def test_two_readings_of_one_type_are_refused() -> None:
    """A file's link type is read one way."""
    with pytest.raises(UsageError, match="already read as 1"):
        parse_link_types(["USER0=EN10MB", "147=101"])


@pytest.mark.parametrize("number", [147, 162])
def test_a_private_link_type_reads_as_the_one_named(tmp_path: Path, number: int) -> None:
    """A capture whose header says USER0 or USER15 gives, mapped, what the original gives, and without that nothing."""
    whole = bytearray(CAPTURE.read_bytes())
    known = struct.unpack_from("<I", whole, 20)[0]
    struct.pack_into("<I", whole, 20, number)
    private = tmp_path / "private.pcap"
    private.write_bytes(whole)
    expected = pcapwatch.analyze(CAPTURE)
    assert pcapwatch.analyze(private).quality.connections == 0
    mapped = pcapwatch.analyze(private, link_type=f"USER{number - 147}={known}")
    assert mapped.connections.drop(columns=FILES).equals(expected.connections.drop(columns=FILES))
    assert mapped.quality.link_types == expected.quality.link_types
    assert any(remark.startswith(f"link type {number} read as ") for remark in mapped.quality.remarks)
    filtered = pcapwatch.analyze(private, link_type=f"{number}={known}", filter="tcp")
    assert filtered.quality.connections == expected.quality.connections, "a filter is for the type it is read as"


@pytest.mark.parametrize("name", ["pflog", "enc"])
def test_a_filter_knows_the_link_types_of_bsd(name: str) -> None:
    """What libpcap compiles for them finds the IP header behind: here the client's six packets."""
    path = ROOT / "fixtures" / "wrapped" / f"{name}.pcap"
    assert pcapwatch.analyze(path, filter="tcp dst port 80").quality.packets == 6
