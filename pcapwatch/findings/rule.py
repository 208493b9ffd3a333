"""What a rule is: a module with a docstring under fixed headings, a code, a name and a check."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pcapwatch.findings.assumptions import Assumptions
from pcapwatch.report.model import Finding
from pcapwatch.summary import Summary


class Rule(Protocol):
    """The face of every rule module."""

    __doc__: str | None

    @property
    def CODE(self) -> str:  # noqa: N802 - the module's constant
        """``PW101`` and so on; never reused for another meaning."""

    @property
    def NAME(self) -> str:  # noqa: N802 - the module's constant
        """Kebab-case, as ``explain`` lists it."""

    def check(self, summary: Summary, assumptions: Assumptions) -> Iterator[Finding]:
        """Yield a finding for each service (or triple) to which the rule applies."""
