"""What to do, once each, most severe first; and what not to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pcapwatch.report.model import Finding


class Action(NamedTuple):
    """One thing to do. verify: commands that show whether it worked; codes: the findings that ask for it."""

    text: str
    verify: tuple[str, ...]
    codes: tuple[str, ...]


def actions(findings: Iterable[Finding]) -> list[Action]:
    """The remedies of ranked findings without repetition, in the order in which they first appear."""
    asked: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for finding in findings:
        for text in finding.remedy:
            verify, codes = asked.setdefault(text, ({}, {}))
            verify.update(dict.fromkeys(finding.verify))
            codes[finding.code] = None
    return [Action(text, tuple(verify), tuple(codes)) for text, (verify, codes) in asked.items()]


def checks(found: Iterable[Action]) -> list[tuple[str, tuple[str, ...]]]:
    """Commands that show whether the actions worked, once each, with the findings that ask for them; two an action."""
    asked: dict[str, dict[str, None]] = {}
    for action in found:
        for command in action.verify[:2]:
            asked.setdefault(command, {}).update(dict.fromkeys(action.codes))
    return [(command, tuple(codes)) for command, codes in asked.items()]


def do_not(findings: Iterable[Finding]) -> list[str]:
    """What the findings warn of, without repetition."""
    return list(dict.fromkeys(line for finding in findings for line in finding.do_not))
