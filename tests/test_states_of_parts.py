"""`states` of a capture that holds a part: whatever is missing, what was true lies between its least and its most."""

import tempfile
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest
from crafted.conversations import captures
from crafted.odd import SITUATIONS
from crafted.reading import craft, tool_rows
from crafted.situations import Situation
from crafted.talk import Crafted, Talk, write_capture
from hypothesis import HealthCheck, given, settings
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import rdpcap, wrpcap

from pcapwatch.analysis import summary_of
from pcapwatch.cli.options import run
from pcapwatch.settings import Settings

STEP_NS = 250_000_000
#: Where the whole itself is not, or assumes what one direction does not show.
OTHERWISE = {
    "first_fin_lost_at_the_tap": "the tap missed a packet of the direction that is left",
    "fin_sent_again_after_the_other": "the same",
    "late_answer_to_a_fin_sent_again": "the same",
    "next_opening_and_a_fin_missed": "the same",
    "answer_without_its_syn_ack": "the same: without the SYN its first packet is one of the connection before",
    "only_the_last_ack_is_missing": "the same",
    "late_abort_of_marks_alone": "a filter took them",
    "forged_reset_of_marks_alone": "a filter took them",
    "reset_out_of_window": "whether a reset hit is only known by the other direction",
    "crossed_with_loss": "a FIN was lost behind the tap, and its answer tells when it came",
    "syn_ack_again_after_the_handshake": "an ACK was lost behind the tap, and the SYN-ACK that comes again tells",
    "reuse_with_a_lower_syn": "an attempt of the side that is missing",
}
Bands = dict[tuple[str, int, str], tuple[int, int]]


def bands(path: Path) -> Bands:
    """Least and most of each state of each host at each step."""
    summary = summary_of(run([str(path)], Settings(states_every_ns=STEP_NS)))
    return {(of["host"], of["at_ns"], of["state"]): (of["min"], of["max"]) for of in summary["states"]}


def contradictions(whole: Bands, part: Bands) -> list[str]:
    """Where a part's band and the whole's have nothing in common, of hosts of which the part has a connection.

    A SYN of the side that is missing shows nowhere.
    """
    hosts, until = {host for host, _, _ in part}, max((at for _, at, _ in part), default=0)
    from_ns = min((at for _, at, _ in part), default=0)
    places = {place for place in whole | part if place[0] in hosts and from_ns <= place[1] <= until}
    places -= {place for place in places if place[2] == "SYN-SENT" and place not in part}
    return [
        f"{place}: {part.get(place, (0, 0))}, whole {whole.get(place, (0, 0))}"
        for place in sorted(places)
        if part.get(place, (0, 0))[0] > whole.get(place, (0, 0))[1]
        or part.get(place, (0, 0))[1] < whole.get(place, (0, 0))[0]
    ]


def whole_and_directions(path: Path, folder: Path) -> tuple[Bands, list[Path]]:
    """The whole's bands, and the capture without all TCP of one host, for each, unless an attempt is left alone.

    Nothing happens at the steps themselves: one direction tells a state as late as its answer.
    """
    packets, paths = rdpcap(str(path)), []
    for packet in packets:
        packet.time += Decimal("0.06")
    wrpcap(str(folder / "all.pcap"), packets, linktype=1)
    for number, host in enumerate(sorted({p[IP].src for p in packets if TCP in p})):
        paths.append(folder / f"{number}.pcap")
        wrpcap(str(paths[-1]), [p for p in packets if TCP not in p or p[IP].src != host], linktype=1)
    number = len(tool_rows(path))
    rows = {path: tool_rows(path) for path in paths}
    of_all = [path for path in paths if len(rows[path]) == number]
    parts = [path for path in of_all if all("one_sided" in str(row["quality"]) for row in rows[path])]
    return bands(folder / "all.pcap"), parts


@pytest.mark.parametrize("situation", [s for s in SITUATIONS if s.name not in OTHERWISE], ids=lambda s: s.name)
def test_one_direction_of_a_situation(tmp_path: Path, situation: Situation) -> None:
    """What nobody captured may be anything that nothing excludes: also what it was."""
    path, _ = craft(tmp_path, situation.build)
    whole, parts = whole_and_directions(path, tmp_path)
    for part in parts:
        assert contradictions(whole, bands(part)) == []


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(captures(disturbed=False))
def test_one_direction_of_any_conversation(packets: list[Crafted]) -> None:
    """The same of generated ones."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_capture(Path(folder) / "whole.pcap", packets)
        whole, parts = whole_and_directions(path, Path(folder))
        for part in parts:
            assert contradictions(whole, bands(part)) == []


def at_end(path: Path, host: str) -> dict[str, tuple[int, int]]:
    """The bands of a host at the last step."""
    last: dict[int, dict[str, tuple[int, int]]] = defaultdict(dict)
    for (of, at, state), band in bands(path).items():
        if of == host:
            last[at][state] = band
    return last[max(last)] if last else {}


def kept_alive(first: str, dwell_s: float = 0.0) -> list[Crafted]:
    """An exchange, three seconds of silence, a close, and a packet that ends the capture 20 s later.

    The second FIN comes so long after the first.
    """
    talk = Talk().established()
    talk.c(0.5, "PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    talk.s(0.6, "PA", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    talk.c(0.601, "A")
    second = "s" if first == "c" else "c"
    talk.send(first, 3.5, "FA")
    talk.send(second, 3.501, "A")
    talk.send(second, 3.502 + dwell_s, "FA")
    talk.send(first, 3.503 + dwell_s, "A")
    talk.bystander(23.6 + dwell_s)
    return talk.packets


def sent_by(packets: list[Crafted], port: int) -> list[Crafted]:
    """What this port sent, and what is no TCP."""
    return [p for p in packets if TCP not in Ether(p.data) or Ether(p.data)[TCP].sport == port]


def test_a_time_wait_of_one_direction_is_possible(tmp_path: Path) -> None:
    """Who closes may wait, as the row says; who acknowledged something new behind its own FIN did not close second."""
    may = (0, 1)
    either = {"FIN-WAIT-1": may, "FIN-WAIT-2": may, "CLOSING": may, "TIME-WAIT": may}
    for first, found in (("c", either), ("s", either | {"LAST-ACK": may})):
        path = write_capture(tmp_path / f"{first}.pcap", sent_by(kept_alive(first), 40_000))
        assert at_end(path, "10.9.0.1") == found


def test_an_open_connection_of_one_direction(tmp_path: Path) -> None:
    """It is open for certain until it last acknowledged something new: the other side's FIN is the last of that."""
    packets = sent_by(kept_alive("c"), 40_000)[:-3]
    talk = Talk()
    talk.bystander(10.0)
    path = write_capture(tmp_path / "open.pcap", packets + talk.packets)
    told = bands(path).items()
    of_client = {at: band for (host, at, state), band in told if (host, state) == ("10.9.0.1", "ESTABLISHED")}
    first = min(of_client)
    assert [of_client[first + n * STEP_NS] for n in range(1, 5)] == [(1, 1), (1, 1), (0, 1), (0, 1)]
    assert at_end(path, "10.9.0.1") == {"ESTABLISHED": (0, 1), "CLOSE-WAIT": (0, 1)}


def test_a_port_used_again_is_one_socket(tmp_path: Path) -> None:
    """Of a connection whose end was not captured nothing is left once the next one has its ports."""
    packets: list[Crafted] = []
    for number in range(5):
        talk = Talk(client_isn=1_000_000 * number).established()
        talk.packets = [Crafted(p.at_s + 5.0 * number, p.data) for p in talk.packets]
        packets += talk.packets
    talk = Talk()
    talk.bystander(40.0)
    path = write_capture(tmp_path / "again.pcap", packets + talk.packets)
    for host in ("10.9.0.1", "10.9.0.2"):
        assert at_end(path, host) == {"ESTABLISHED": (1, 1)}


@pytest.mark.parametrize("first", ["c", "s"])
@pytest.mark.parametrize("dwell_s", [0.0, 5.0])
@pytest.mark.parametrize("lost", range(12))
def test_one_packet_was_not_captured(tmp_path: Path, first: str, dwell_s: float, lost: int) -> None:
    """Whatever it was: what was true lies between least and most, for as long as the capture goes on."""
    packets = kept_alive(first, dwell_s)
    whole = bands(write_capture(tmp_path / "whole.pcap", packets))
    part = bands(write_capture(tmp_path / "part.pcap", packets[:lost] + packets[lost + 1 :]))
    assert contradictions(whole, part) == []


def test_a_fin_that_never_arrived(tmp_path: Path) -> None:
    """It is sent again and given up, and its peer never acknowledges it: no CLOSE_WAIT for certain, nor FIN_WAIT1."""
    talk = Talk().established()
    fin = talk.c(1.1, "FA")
    for at in (1.3, 1.7, 2.5, 4.1, 7.3, 13.7, 26.5, 52.1):
        talk.c(at, "FA", seq=fin)
    talk.s(148.1, "FA", ack=fin)
    talk.bystander(150.0)
    told = bands(write_capture(tmp_path / "lost.pcap", talk.packets))
    minute = 1_700_000_060_000_000_000
    assert told["10.9.0.2", minute, "CLOSE-WAIT"] == told["10.9.0.2", minute, "ESTABLISHED"] == (0, 1)
    assert told["10.9.0.1", minute, "FIN-WAIT-1"] == (1, 1)
    assert told["10.9.0.1", minute + 60_000_000_000, "FIN-WAIT-1"] == (0, 1)


def test_a_handshake_that_the_server_took_no_notice_of(tmp_path: Path) -> None:
    """Its accept queue may be full: it sends its SYN-ACK again, and nothing else; SYN_RECV is possible then."""
    talk = Talk()
    talk.handshake()
    talk.c(0.1, "PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    at = 1_700_000_000_500_000_000
    talk.bystander(0.9)
    assert bands(write_capture(tmp_path / "idle.pcap", talk.packets))["10.9.0.2", at, "ESTABLISHED"] == (1, 1)
    talk.s(1.05, "SA", seq=talk.rel("s", 0), ack=talk.rel("c", 1))
    talk.bystander(1.9)
    told = bands(write_capture(tmp_path / "full.pcap", talk.packets))
    assert told["10.9.0.2", at, "ESTABLISHED"] == told["10.9.0.2", at, "SYN-RECEIVED"] == (0, 1)
    talk.s(1.95, "A")
    told = bands(write_capture(tmp_path / "answered.pcap", talk.packets))
    assert told["10.9.0.2", at, "ESTABLISHED"] == (1, 1)
    assert ("10.9.0.2", at, "SYN-RECEIVED") not in told


def test_one_direction_whose_own_numbers_prove_a_fin(tmp_path: Path) -> None:
    """The client's last ACK has the number behind its FIN, which was not captured: it may wait, as the row says."""
    packets = sent_by(kept_alive("c"), 40_000)
    fin = next(n for n, p in enumerate(packets) if TCP in Ether(p.data) and "F" in str(Ether(p.data)[TCP].flags))
    path = write_capture(tmp_path / "part.pcap", packets[:fin] + packets[fin + 1 :])
    assert at_end(path, "10.9.0.1")["TIME-WAIT"] == (0, 1)
    assert at_end(path, "10.9.0.2")["CLOSE-WAIT"] == (0, 1)
    (row,) = tool_rows(path)
    assert row["time_wait_holder"] == "unknown"


@pytest.mark.parametrize("late", [False, True])
def test_a_reset_leaves_nothing(tmp_path: Path, late: bool) -> None:
    """A FIN that a reset answers was accepted or met no socket: no state, no TIME_WAIT is possible on either side."""
    talk = Talk().established()
    talk.s(1.0, "FA")
    if late:
        talk.c(1.001, "A")
    talk.c(2.0 if late else 1.001, "RA")
    talk.bystander(20.0)
    told = bands(write_capture(tmp_path / "reset.pcap", talk.packets))
    assert not {place for place in told if place[1] > 1_700_000_002_000_000_000}
