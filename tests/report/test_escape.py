"""Hostile text in every medium: what a naive renderer would pass through must not arrive."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from typing import Any

import pytest
import summaries

from pcapwatch.report import escape
from pcapwatch.report.build import build
from pcapwatch.report.json import render_json
from pcapwatch.report.ladder import ladder_lines
from pcapwatch.report.markdown import render_markdown
from pcapwatch.report.model import Report
from pcapwatch.report.notebook import render_notebook
from pcapwatch.report.text import render_text

HOSTILE = (
    "\x1b]0;owned\x07\x9b31m\x1b[2J\r\n\u202egnp.exe\u2066 @everyone #123 | <script>alert(1)</script> `x` ```\n"
    "[a](javascript:1) ![i](http://evil.example) https://evil.example www.evil.example {code} :tada: $x$ **b** ~~s~~"
)
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1"]
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def report() -> Report:
    """A report whose User-Agent, Server, file name and ladder are hostile, and the names and comments in the file."""
    summary = summaries.proxy_and_origin(agent=HOSTILE, software=HOSTILE, path=HOSTILE)
    summary["capture"]["files"][0]["pcapng"] = {
        "blocks": {},
        "interfaces": 1,
        "broken_lists": 0,
        "hardware": HOSTILE,
        "os": HOSTILE,
        "application": HOSTILE,
        "comments": 1,
        "comment_texts": [{"block": "packet", "frame": 1, "text": HOSTILE}],
        "names": 1,
        "name_records": [{"address": "10.0.0.1", "name": HOSTILE}],
        "secrets": {},
    }
    summary["capture"]["repeated_files"] = [{"path": HOSTILE, "same_as": HOSTILE}]
    return build(summary, draw=lambda numbers: [summaries.ladder(n, HOSTILE) for n in numbers])


@pytest.mark.parametrize("code", [0x34F, 0x17B4, 0x180B, 0x200B, 0x3164, 0xFE0F, 0xFFA0, 0xFFFE, 0x1D173, 0xE0100])
def test_what_is_drawn_as_nothing_is_written_out(code: int) -> None:
    """Two names that look alike and are not must not, in any medium."""
    for medium in (escape.terminal, escape.markdown, escape.markdown_code, escape.html, escape.csv):
        assert chr(code) not in medium(f"a{chr(code)}b"), medium


def test_the_text_is_hostile_indeed(report: Report) -> None:
    """The trap works: the model carries the text unescaped, so a renderer that printed it as it is would fail below."""
    assert HOSTILE in report.persistence[0].user_agents
    assert any(HOSTILE in remark for remark in report.quality.remarks)
    assert any(HOSTILE in concern for concern in report.quality.concerns)
    assert CONTROL.search(HOSTILE)


@pytest.mark.parametrize("width", [80, 120])
def test_terminal(report: Report, width: int) -> None:
    """No control or bidirectional byte reaches the terminal, coloured or not, and the text is still to be seen."""
    assert not CONTROL.search(render_text(report, width))
    assert not CONTROL.search(re.sub(r"\x1b\[[0-9;]*m", "", render_text(report, width, colour=True)))
    assert "\\x1b]0;owned" in "".join(line.strip() for line in render_text(report, width).splitlines())
    assert not CONTROL.search("\n".join(ladder_lines(summaries.ladder(2, HOSTILE), width)))


def test_markdown(report: Report) -> None:
    """Outside code blocks nothing of it is markup, a mention, a link, an emoji or HTML; no fence is broken."""
    rendered = render_markdown(report)
    assert not CONTROL.search(rendered)
    outside = "".join(rendered.split("```")[::2])
    assert len(rendered.split("```")) == 2 * len(report.examples) + 1
    for markup in ("<script", "](", "{code}", "$x$", "~~s", "**b**"):
        assert markup not in outside
    for reference in ("@everyone", "#123", "https://", "www.evil", ":tada:"):
        assert reference not in html.unescape(outside)  # trackers search the text that the entities have become


@pytest.mark.parametrize("text", ["/x_www.evil.example/a", "Xwww.evil.example", "a@-evil.example", "GH-12", "a gl-7"])
def test_what_github_links_all_the_same(text: str) -> None:
    """An address behind an underscore, or of a name that begins with none of a name's characters, is apart, too."""
    shown = html.unescape(escape.markdown(text))
    assert text not in shown
    assert text == shown.replace("\u200b", "")


def test_notebook(report: Report) -> None:
    """In HTML no tag but the box's own."""
    assert re.findall(r"<[^>]*>", render_notebook(report))[1:] == ["</pre>"]


def test_json(report: Report) -> None:
    """JSON carries the text unchanged, as escapes: no control byte in the file."""
    rendered = render_json(report)
    assert rendered.isascii()
    assert not CONTROL.search(rendered)
    assert HOSTILE in json.loads(rendered)["services"][0]["persistence"]["user_agents"]


def csv_of(table: Any) -> str:
    """A table as CSV."""
    from pcapwatch.frames import rows
    from pcapwatch.report.tables import write_csv

    stream = io.BytesIO()
    write_csv(rows(table), stream)
    return stream.getvalue().decode()


@pytest.mark.parametrize("text", ["a;=1", "a; +1", 'a;"=1"', "a;b;@SUM(A1)", "x,;－1"])
def test_csv_formula_behind_a_semicolon(text: str) -> None:
    """Where semicolons part cells, quotes within a line do not hold a cell together: none begins a formula."""
    import pyarrow as pa

    rendered = csv_of(pa.table({"user_agent": [text]}))
    for row in csv.reader(io.StringIO(rendered, newline=""), delimiter=";"):
        assert not any(cell.lstrip(' "').startswith(tuple("=+-@＝＋－＠")) for cell in row)
    assert escape.csv("a;b -1") == "a;b -1"


@pytest.mark.parametrize("formula", FORMULAS)
def test_csv_formula(formula: str) -> None:
    """A field that a spreadsheet would compute gets an apostrophe, in the function and in the table renderer alike."""
    import pyarrow as pa

    safe = f"'{escape.terminal(formula)}"
    assert escape.csv(formula) == safe
    table = pa.table({"user_agent": [formula, "ab/2.3"], "index": [-1, 2]})
    rows = list(csv.reader(io.StringIO(csv_of(table), newline="")))
    assert rows == [["user_agent", "index"], [safe, "-1"], ["ab/2.3", "2"]]


def test_csv_holds_no_control_bytes() -> None:
    """A CSV that is printed on a terminal does nothing to it, whichever column, chunk or encoding the text is in."""
    import pyarrow as pa

    hostile = pa.chunked_array([[None, "é ab/2.3"], [HOSTILE, None]])
    table = pa.table({"user_agent": hostile, "file": hostile.dictionary_encode(), "index": [1, 2, 3, 4]})
    text = csv_of(table)
    assert not CONTROL.search(text)
    safe = escape.terminal(HOSTILE)
    rows = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert rows == [["", "", "1"], ["é ab/2.3", "é ab/2.3", "2"], [safe, safe, "3"], ["", "", "4"]]


def test_markdown_leaves_addresses_readable() -> None:
    """What is harmless is not escaped: a ticket's source reads as text."""
    for harmless in ("10.2.0.1 → 10.2.0.20:80", "2001:db8:ffff::80", "tcp_tw_reuse", "keep-alive 99.6 % (1)"):
        assert escape.markdown(harmless) == harmless


def test_html_attribute() -> None:
    """Quotes are escaped too, so that the text may stand in an attribute."""
    assert escape.html("\"'&<>") == "&quot;&#39;&amp;&lt;&gt;"
