"""Hostile text in what `live` gives beside the screen (tests/live/test_render.py): its line, and the metrics."""

from __future__ import annotations

import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from test_hostile_text import OUTSIDE_HTTP, TEXTS, check_lines, craft

import pcapwatch
from pcapwatch.host.watch import HostMoment
from pcapwatch.live.lines import line
from pcapwatch.live.metrics import serve
from pcapwatch.live.moment import Counters, Moment, Written


def moment(folder: Path, text: bytes) -> tuple[Moment, str]:
    """A moment with the text wherever one has text: on the wire, in names of file, interface and host, in an error."""
    source = (OUTSIDE_HTTP + text[:40]).decode("utf-8", "replace")
    report = pcapwatch.analyze(craft(folder, text), names=True)
    counters = Counters(packets=1, elapsed_s=1.0, written=Written(1, 1, error=source), kernel_drops=1)
    host = HostMoment(source, 0, 1, (1, 1), 1, {}, {}, 2, 3, None, {})
    return Moment(datetime(2026, 11, 20, tzinfo=UTC), source, counters, None, report, host), source


@pytest.mark.parametrize("text", TEXTS)
def test_the_line_is_one_line(tmp_path: Path, text: str) -> None:
    """What `--no-tui` prints holds nothing that a terminal obeys or that hides, and no end of line."""
    now, source = moment(tmp_path, TEXTS[text])
    said = line(now)
    check_lines(said.encode())
    assert "\n" not in said
    assert "owned" in said, "the error is in it"
    with pytest.raises(AssertionError):
        check_lines(source.encode())


@pytest.mark.parametrize("text", TEXTS)
def test_metrics_are_one_sample_a_line(tmp_path: Path, text: str) -> None:
    """No label makes a line or a label of its own, as the official parser reads it, and none holds a control byte."""
    now, source = moment(tmp_path, TEXTS[text])
    with serve("127.0.0.1:0") as metrics:
        metrics.update(now)
        with urllib.request.urlopen(metrics.url, timeout=10) as answer:  # noqa: S310 - our own, on loopback
            page = answer.read().decode()
    hosts = {
        sample.labels["hostname"]
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name.startswith("pcapwatch_kernel_time_wait")
    }
    assert len(hosts) == 1
    assert "owned" in hosts.pop()
    check_lines(page.encode())
    with pytest.raises(AssertionError):
        check_lines(f'pcapwatch_kernel{{hostname="{source}"}} 1'.encode())
