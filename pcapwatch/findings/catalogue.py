"""What ``explain`` says and ``docs/findings.md`` holds: the rules' own docstrings, nothing else.

``python -m pcapwatch.findings.catalogue`` prints the document.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass

from pcapwatch.findings import RULES
from pcapwatch.findings.rule import Rule

#: The headings every rule has, in this order.
HEADINGS = ("What it detects", "Why it matters", "Evidence", "When it is wrong", "Remedy")


@dataclass(frozen=True, slots=True)
class Explanation:
    """One rule in words. sections: text by heading, in the order of ``HEADINGS``, each one paragraph or more."""

    code: str
    name: str
    title: str
    sections: dict[str, str]


def explain(code: str) -> Explanation:
    """The explanation of a code in any case; ``KeyError`` with the known codes if there is no such rule."""
    for rule in RULES:
        if code.upper() == rule.CODE:
            return _explanation(rule)
    raise KeyError(f"no finding {code}; known: {', '.join(rule.CODE for rule in RULES)}")


def _explanation(rule: Rule) -> Explanation:
    title, _, body = inspect.cleandoc(rule.__doc__ or "").partition("\n")
    parts = re.split(rf"^({'|'.join(HEADINGS)})$", body, flags=re.MULTILINE)
    texts = (_paragraphs(text) for text in parts[2::2])
    return Explanation(rule.CODE, rule.NAME, title, dict(zip(parts[1::2], texts, strict=True)))


def _paragraphs(text: str) -> str:
    """Unwrapped paragraphs with a blank line between."""
    return "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip()))


def render_catalogue() -> str:
    """Every rule as Markdown."""
    lines = ["# Findings", "", "Made from the rules' docstrings by `python -m pcapwatch.findings.catalogue`.", ""]
    lines += [f"- [{rule.CODE}](#{rule.CODE.lower()}) {rule.NAME}" for rule in RULES]
    for rule in RULES:
        explanation = _explanation(rule)
        lines += ["", f"## {explanation.code}", "", f"**{explanation.title}** (`{explanation.name}`)"]
        for heading, text in explanation.sections.items():
            lines += ["", f"### {heading}", "", text]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render_catalogue())
