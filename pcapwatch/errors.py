"""What can go wrong that is the input's or the user's doing. Each is one line: what, where, what to do."""

from __future__ import annotations


class PcapwatchError(Exception):
    """The base of every error that a user can mend; its text is one line."""


class UsageError(PcapwatchError):
    """An option, a format or a combination that makes no sense."""


class CaptureError(PcapwatchError):
    """A capture that cannot be read: which file, at which offset, what to do."""


class OutputError(PcapwatchError):
    """An output file that could not be written; nothing of it was."""
