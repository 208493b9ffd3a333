"""docs/limits.md says what the engine does, and what a limit costs is shown."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import summaries
from places import ROOT

from pcapwatch import _engine
from pcapwatch.errors import UsageError
from pcapwatch.report.quality import quality_of
from pcapwatch.settings import MOST_PAIRS, Settings

PAGE = (ROOT / "docs" / "limits.md").read_text()
#: Fields of the engine's settings that bound nothing: what is asked for, how it is read.
CHOICES = {
    "threads", "keep_connections", "keep_exchanges", "keep_duplicates", "time_wait", "states", "link_types", "names",
    "filter", "port_ranges", "host_tables", "watched_hosts",
}  # fmt: skip


def documented() -> dict[str, str]:
    """Setting to default, as the page's first table has them."""
    return dict(re.findall(r"^\| `([a-z_]+)` \| (\d+) \|", PAGE, re.MULTILINE))


def test_every_limit_is_documented_with_its_default() -> None:
    """A limit that is new, gone or changed in the engine fails here until the page says so."""
    defaults: dict[str, Any] = json.loads(_engine.default_settings_json())
    limits = {name: str(value) for name, value in defaults.items() if name not in CHOICES}
    assert documented() == limits
    assert set(defaults) >= CHOICES, "a choice that the engine no longer has"


@pytest.mark.parametrize("name", sorted(documented()))
def test_every_limit_can_be_set_from_python(name: str) -> None:
    """What the page says can be changed reaches the engine: numbers as they are, lengths of time from text."""
    is_time = name.endswith("_ns")
    chosen: dict[str, Any] = {name.removesuffix("_ns"): "7s" if is_time else 7}
    assert json.loads(Settings(**chosen).to_engine())[name] == (7 * 10**9 if is_time else 7)


@pytest.mark.parametrize(
    "counter",
    [
        "evicted_connections",
        "overflow_connections",
        "reassembly_overflows",
        "kept_overflows",
        "long_heads",
        "unnamed_tunnel_packets",
    ],
)
def test_what_a_limit_cost_is_said(counter: str) -> None:
    """Each counter is a line under capture quality when it is not 0, and none when it is; the page names it."""
    silent = quality_of(summaries.summary([], capture=summaries.capture()))
    said = quality_of(summaries.summary([], capture=summaries.capture() | {counter: 7}))
    assert [line for line in said.concerns if line not in silent.concerns and line.startswith("7 ")]
    assert f"`{counter}`" in PAGE


@pytest.mark.parametrize("counter", ["incomplete", "evicted"])
def test_fragments_given_up_are_said(counter: str) -> None:
    """The same for the counters of fragments."""
    counts = summaries.capture()["fragments"] | {counter: 7}
    said = quality_of(summaries.summary([], capture=summaries.capture(fragments=counts)))
    assert any(line.startswith("7 fragmented datagrams") for line in said.concerns)
    assert f"`fragments.{counter}`" in PAGE


def test_pairs_have_a_most() -> None:
    """A number of pairs whose report would fill memory is refused in one line; the page and the option say which."""
    assert json.loads(Settings(max_pairs=MOST_PAIRS).to_engine())["max_pairs"] == MOST_PAIRS
    with pytest.raises(UsageError, match=f"^--max-pairs {MOST_PAIRS + 1}: at most {MOST_PAIRS}, .*$"):
        Settings(max_pairs=MOST_PAIRS + 1).to_engine()
    assert f"{MOST_PAIRS:,} at most" in PAGE


@pytest.mark.parametrize("name", sorted(set(documented()) - {"idle_expiry_ns", "fragment_timeout_ns"}))
def test_a_number_that_makes_no_sense_is_refused(name: str) -> None:
    """None of a thing, fewer, or more than there can be: one line that says what there can be."""
    allowed = {"max_tunnel_depth": (0, 16), "replay_bytes": (0, 2**48)}
    least, most = allowed.get(name, (1, 2**48))
    for value in (least - 1, most + 1):
        wrong: dict[str, Any] = {name: value}
        with pytest.raises(UsageError, match=rf"^{name} '{value}': write a whole number from {least} to {most}$"):
            Settings(**wrong).to_engine()
    right: dict[str, Any] = {name: least}
    assert json.loads(Settings(**right).to_engine())[name] == least
