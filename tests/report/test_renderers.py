"""Every renderer on the same reports, held to the files in tests/expected (PCAPWATCH_REGENERATE=1 writes them anew)."""

from __future__ import annotations

import html
import json
import os
from pathlib import Path

import jsonschema
import pytest
import summaries
from rich.cells import cell_len

from pcapwatch.report import json as report_json
from pcapwatch.report import schema_path
from pcapwatch.report.build import build
from pcapwatch.report.markdown import MOST_CHARACTERS, TABLE_WIDTH, command, render_markdown, table
from pcapwatch.report.model import Report
from pcapwatch.report.notebook import render_notebook
from pcapwatch.report.text import render_text

EXPECTED = Path(__file__).parents[1] / "expected"
MADE = {
    "proxy": lambda: build(summaries.proxy_and_origin(), draw=lambda numbers: [summaries.ladder(n) for n in numbers]),
    "clients": lambda: build(summaries.many_clients()),
    "empty": lambda: build(summaries.empty()),
}
RENDERERS = {
    "txt": lambda report: render_text(report, 80),
    "wide.txt": lambda report: render_text(report, 120),
    "md": render_markdown,
    "json": report_json.render_json,
    "html": render_notebook,
}


@pytest.mark.parametrize("suffix", RENDERERS)
@pytest.mark.parametrize("name", MADE)
def test_as_expected(name: str, suffix: str) -> None:
    """A renderer gives the bytes that were read and agreed to."""
    rendered = RENDERERS[suffix](MADE[name]())
    file = EXPECTED / f"{name}.{suffix}"
    if os.environ.get("PCAPWATCH_REGENERATE"):
        file.write_text(rendered)
    assert rendered == file.read_text()


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("name", MADE)
def test_never_wider_than_the_terminal(name: str, width: int) -> None:
    """No line of the text report is wider than the terminal, from 80 columns on."""
    assert max(cell_len(line) for line in render_text(MADE[name](), width).splitlines()) <= width


@pytest.mark.parametrize("name", MADE)
def test_plain_text_has_no_control_bytes(name: str) -> None:
    """Without colour nothing but printable characters and line breaks; with it the same words."""
    plain, coloured = render_text(MADE[name](), 100), render_text(MADE[name](), 100, colour=True)
    assert all(character == "\n" or character.isprintable() for character in plain)
    assert "\x1b[" in coloured
    assert plain.splitlines()[0].split()[0] in coloured


@pytest.mark.parametrize("name", MADE)
def test_json_obeys_its_schema(name: str) -> None:
    """The JSON report validates against the schema that the package ships, and the schema forbids something."""
    schema = json.loads(schema_path().read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    report = json.loads(report_json.render_json(MADE[name]()))
    jsonschema.validate(report, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**report, "unheard_of": 1}, schema)


@pytest.mark.parametrize("name", MADE)
def test_markdown_tables_fit_a_ticket(name: str) -> None:
    """No table row passes 100 columns as shown, and every row of a table has as many cells as its header."""
    rows = [line for line in render_markdown(MADE[name]()).splitlines() if line.startswith("|")]
    assert all(len(html.unescape(row)) <= TABLE_WIDTH for row in rows)
    blocks = "\n".join(
        line if line.startswith("|") else "" for line in render_markdown(MADE[name]()).splitlines()
    ).split("\n\n")
    for block in filter(None, (block.strip() for block in blocks)):
        assert len({row.count("|") for row in block.splitlines()}) == 1


def test_markdown_table_with_long_names() -> None:
    """A row too wide even without padding breaks its first cell, and loses nothing of it."""
    name = "2001:db8:1111:2222:3333:4444:5555:6666 → [2001:db8:1111:2222:3333:4444:5555:7777]:65535"
    made = table(["Who closes first", "connections", "client"], [[name, "1,234,567", "99.9 %"], ["a → b:1", "1", "0"]])
    assert all(len(part) <= TABLE_WIDTH for part in html.unescape(made).replace("<br>", "\n").splitlines())
    assert html.unescape(made).replace("<br>", " ").count(name) == 1


def test_only_a_client_that_waits_has_a_pace() -> None:
    """Where the server holds every TIME_WAIT the ports line names no limit that applies to a client closing first."""
    facts = summaries.proxy_and_origin()
    assert "closed first every time" not in render_markdown(build(facts))
    facts["pairs"][0]["time_wait_holder"] = {"server": 218_400, "client": 600}
    assert "if it closed first every time, 470 new connections/s would last" in render_markdown(build(facts))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (
            "on 2001:db8::1: ss -Htan state time-wait 'sport = :80' | wc -l",
            "on 2001:db8::1: `ss -Htan state time-wait 'sport = :80' | wc -l`",
        ),
        ("nginx -T | grep -nE 'a|b'", "`nginx -T | grep -nE 'a|b'`"),
        ("pcapwatch analyze after.pcap: *all* is gone", "`pcapwatch analyze after.pcap`: &#42;all&#42; is gone"),
        ("echo `date`", "`` echo `date` ``"),
    ],
)
def test_markdown_commands_can_be_copied(text: str, written: str) -> None:
    """A command stands in a code span as it is typed; where to run it and what to expect stay prose."""
    assert command(text) == written


def test_markdown_is_cut_and_says_so() -> None:
    """Whole parts are left out to stay within the limit, the verdict never, and the last line states the cut."""
    report = MADE["proxy"]()
    whole = render_markdown(report, limit=10**6)
    for limit in (len(whole) - 1, 3000, 1500):
        cut = render_markdown(report, limit=limit)
        assert len(cut) <= limit
        assert "parts are missing" in cut
        assert cut.count("```") % 2 == 0
        assert cut.startswith("**10.2.0.20")
    assert len(whole) < MOST_CHARACTERS
    assert "parts are missing" not in render_markdown(report)


def test_counts_of_a_service_add_up() -> None:
    """Grouping many clients loses no connection: the rows add up to the total."""
    report: Report = MADE["clients"]()
    assert sum(row.connections for row in report.closers) == report.totals["connections"]
    assert all(
        row.client_first + row.server_first + row.crossed + row.undecided + row.not_closed == row.connections
        for row in report.closers
    )
