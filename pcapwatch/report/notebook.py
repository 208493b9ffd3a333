"""A report in a notebook: the terminal's text in a box, escaped as HTML; no script, no style sheet, no network."""

from __future__ import annotations

from pcapwatch.report.escape import html
from pcapwatch.report.model import Report
from pcapwatch.report.text import render_text


def render_notebook(report: Report) -> str:
    """A ``<pre>`` of 100 columns."""
    lines = "\n".join(html(line) for line in render_text(report).splitlines())
    return f'<pre style="line-height:1.25;white-space:pre;overflow-x:auto">{lines}</pre>'
