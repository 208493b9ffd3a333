"""``pcapwatch explain``: what a finding means."""

from __future__ import annotations

from typing import Annotated

import typer

from pcapwatch.cli.output import terminal_width, write_stdout
from pcapwatch.errors import UsageError
from pcapwatch.settings import shown

Code = Annotated[
    str | None, typer.Argument(metavar="[CODE]", help="PW101 and so on; without it all are listed.", show_default=False)
]


def explain(code: Code = None) -> None:
    """What a finding means, when it is wrong, what to do; without CODE the list of all."""
    from pcapwatch.findings import RULES, catalogue

    if code is None:
        write_stdout("".join(f"{rule.CODE}  {rule.NAME}\n" for rule in RULES).encode())
        return
    try:
        explanation = catalogue.explain(code)
    except KeyError:
        raise UsageError(f"no finding {shown(code)}; known: {', '.join(rule.CODE for rule in RULES)}") from None

    from pcapwatch.report.layout import Page

    page = Page(terminal_width())
    page.prose(f"{explanation.code} {explanation.name}: {explanation.title}")
    for heading, text in explanation.sections.items():
        page.blank()
        page.prose(heading)
        for paragraph in text.split("\n\n"):
            page.prose(paragraph, indent=2)
    write_stdout(page.plain().encode())
