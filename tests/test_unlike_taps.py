"""Two points of which each has the same traffic in its own way: pieces that overlap in part, and other snaplens."""

from __future__ import annotations

from pathlib import Path

import pytest
from crafted.talk import Crafted, Talk, write_capture
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from test_duplicates import answers, changed

import pcapwatch

#: Segments of the server's card, in pieces of the wire that the other point's host joins by seven.
LARGE, PIECE, JOINED = 6000, 1000, 7000
BODY = 42_000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 41957\r\n\r\n"


def in_segments(size: int, late_s: float, ttl: int, *, again: int | None = None) -> list[Crafted]:
    """A response of 42,000 bytes in segments of a size; the piece at this offset is sent again after the others."""
    talk = Talk()
    talk.handshake()
    talk.c(0.1, "PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    data = HEAD + b"x" * (BODY - len(HEAD))
    start = talk.nxt["s"]
    for at in range(0, BODY, size):
        # Each piece of the wire has its IP id, and is there 0.1 ms after the one before; what is joined, with its last.
        talk.ip_id = 1000 + at // PIECE
        end = min(at + size, BODY)
        time_s = 0.2 + (end // PIECE - 1 if size == JOINED else at // PIECE) * 1e-4
        talk.s(time_s, "A", data[at:end])
    talk.ip_id = 2000
    if again is not None:
        talk.s(0.25, "A", data[again : again + PIECE], seq=start + again)
    talk.c(0.3, "A")
    talk.close("s", 0.4)
    return [changed(packet, late_s, ttl=ttl) for packet in talk.packets]


@pytest.mark.parametrize("again", [None, 12_000])
@pytest.mark.parametrize("late_s", [-0.000_35, -0.000_15, 0.000_15, 0.02])
def test_one_point_has_segments_cut_and_joined_of_the_other(tmp_path: Path, late_s: float, again: int | None) -> None:
    """Bytes count once, and what was sent again counts once, whichever file comes first."""
    near, far = (
        in_segments(size, late, ttl, again=again) for size, late, ttl in ((LARGE, 0, 64), (JOINED, late_s, 63))
    )
    paths = [write_capture(tmp_path / f"{at}.pcap", tap) for at, tap in enumerate((near, far))]
    _, closes, alone = answers(paths[0])
    for order in (paths, paths[::-1]):
        _, totals, (row,) = answers(*order)
        assert totals == closes
        # All but when, and how many segments the bytes came in.
        assert (row[:6], row[7], row[9:]) == (alone[0][:6], alone[0][7], alone[0][9:])
        assert (row[10], row[12]) == (str(BODY), "0" if again is None else "1")


@pytest.mark.parametrize(("near", "far"), [(54, 65_535), (65_535, 54), (54, 60), (80, 65_535)])
@pytest.mark.parametrize("late_s", [0.000_3, 0.02])
def test_snaplens_that_cut_options_differ(tmp_path: Path, near: int, far: int, late_s: float) -> None:
    """The IP id, and a SYN's number, tell the copies; timestamps that only one point has contradict nothing."""
    talk = Talk(timestamps=True).established()
    talk.close("s")
    packets = [changed(p, 0, id=0) if Ether(p.data)[TCP].flags == "SA" else p for p in talk.packets]
    taps = ([p.cut(near) for p in packets], [changed(p, late_s, ttl=63).cut(far) for p in packets])
    paths = [write_capture(tmp_path / f"{at}.pcap", tap) for at, tap in enumerate(taps)]
    report = pcapwatch.analyze(paths)
    assert report.summary["capture"]["duplicates"] == len(packets)
    (row,) = report.connections.to_dict("records")
    assert (row["active_closer"], row["client_retransmits"], row["server_retransmits"], row["syn_count"]) == (
        "server",
        0,
        0,
        1,
    )


def test_options_that_contradict_each_other_are_of_two_packets(tmp_path: Path) -> None:
    """A host that gives each packet the same IP id: its timestamps tell that it sent another one."""
    talk = Talk(timestamps=True).established()
    first = talk.c(0.2, "PA", b"again")
    talk.c(0.25, "PA", b"again", seq=first)
    packets = [changed(p, 0, id=7) if Ether(p.data)[IP].src == "10.9.0.1" else p for p in talk.packets]
    taps = (packets[:-1], [changed(packets[-1], 0, ttl=63)])
    paths = [write_capture(tmp_path / f"{at}.pcap", tap) for at, tap in enumerate(taps)]
    (row,) = pcapwatch.analyze(paths).connections.to_dict("records")
    assert row["client_retransmits"] == 1
