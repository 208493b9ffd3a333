"""The Python face: `pcapwatch.analyze` and what a Report can do, over an engine that gives hand-made facts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import summaries
from handmade import Engine, SourceError

import pcapwatch
from pcapwatch import bpf


def test_all_is_there() -> None:
    """Every name that the package exports exists."""
    assert all(getattr(pcapwatch, name) for name in pcapwatch.__all__)


def test_frames_are_arrows_memory(engine: Engine) -> None:
    """The frames keep nulls and nanoseconds, and give their columns through the PyCapsule interface uncopied."""
    report = pcapwatch.analyze("a.pcap", threads=1)
    assert list(report.connections["active_closer"]) == ["server", "client"]
    assert report.connections["start"].isna().tolist() == [False, True]
    again = pa.table(report.connections)
    assert again.column("start").cast(pa.int64()).to_pylist() == [summaries.START + 1, None]
    source = report.engine.connections.column("connection").chunk(0).buffers()[1]
    assert again.column("connection").chunk(0).buffers()[1].address == source.address
    assert engine.settings[0] == {"threads": 1, "keep_connections": True, "keep_exchanges": True}


def test_query_strings_are_hidden_unless_asked_for(engine: Engine) -> None:
    """In frames and in ladders alike."""
    del engine
    assert pcapwatch.analyze("a.pcap").exchanges["target"].tolist() == ["/login?…"]
    assert "secret" not in pcapwatch.analyze("a.pcap").to_json()
    assert pcapwatch.analyze("a.pcap", full_urls=True).exchanges["target"].tolist() == ["/login?token=secret"]
    assert "secret" in pcapwatch.analyze("a.pcap", full_urls=True).to_json()


def test_a_notebook_shows_the_report(engine: Engine) -> None:
    """HTML and Markdown displays carry the verdict."""
    del engine
    report = pcapwatch.analyze(Path("a.pcap"))
    assert "closes first" in report._repr_html_()
    assert report._repr_markdown_() == report.to_markdown()


def test_a_prompt_shows_one_short_line(engine: Engine) -> None:
    """The repr names the capture and the findings, and neither dumps the facts nor passes control bytes on."""
    shown = repr(pcapwatch.analyze("a.pcap"))
    assert shown.startswith("<pcapwatch.Report of back.pcap: 219265 connections; PW10")
    assert len(shown) < 200
    engine.summary["capture"]["files"][0]["path"] = "a\x1b[2J.pcap"
    assert "\x1b" not in repr(pcapwatch.analyze("a.pcap"))


def test_mistakes_are_pcapwatchs_errors(engine: Engine) -> None:
    """An unknown setting, no path and a bad capture each raise an error of one line."""
    with pytest.raises(pcapwatch.UsageError, match=r"^no such setting: thread; there are threads, .*port_range"):
        pcapwatch.analyze("a.pcap", thread=1)
    with pytest.raises(pcapwatch.UsageError, match="no capture named"):
        pcapwatch.analyze([])
    engine.error = SourceError("a.pcap: offset 0: not a capture")
    with pytest.raises(pcapwatch.CaptureError, match=r"^a\.pcap: offset 0: not a capture$"):
        pcapwatch.analyze("a.pcap")


@pytest.fixture
def no_libpcap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without libpcap."""

    def missing(name: str) -> None:
        raise OSError(name)

    bpf._libpcap.cache_clear()
    monkeypatch.setattr("ctypes.CDLL", missing)
    yield
    bpf._libpcap.cache_clear()


@pytest.mark.usefixtures("no_libpcap")
def test_filter_without_libpcap() -> None:
    """One line that says what to install."""
    with pytest.raises(pcapwatch.UsageError, match="apt-get install libpcap"):
        bpf.compile_filter("tcp")


def test_filter_without_meaning_on_a_link_type() -> None:
    """`ether host` compiles on Ethernet and passes nothing on raw IP, which has no such field."""
    programs = bpf.compile_filter("ether host 02:00:00:00:00:01")
    assert len(programs["1"]) > 3
    assert programs["101"] == [[0x06, 0, 0, 0]]
