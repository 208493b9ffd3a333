"""Into a network namespace and back, as `ip netns exec` does, for one thread only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pcapwatch.errors import UsageError
from pcapwatch.settings import shown

FOLDER = Path("/run/netns")
_NEWNET = 0x40000000


@contextmanager
def inside(name: str | None) -> Iterator[None]:
    """Put the calling thread into a namespace (ip-netns(8), or a path); what it opens meanwhile stays there for good.

    ``None`` stays where it is. ``UsageError`` in one line without the namespace, or without the right.
    """
    if name is None:
        yield
        return
    if not name.startswith("/") and ("/" in name or name in {"", ".", ".."}):
        raise UsageError(
            f"--netns {shown(name)}: the name of a namespace, as `ip netns list` shows it, or a whole path"
        )
    with Path("/proc/thread-self/ns/net").open("rb") as home:
        try:
            with (FOLDER / name).open("rb") as there:
                _enter(there.fileno())
        except PermissionError:
            raise UsageError(f"--netns {shown(name)}: entering a namespace needs root: sudo pcapwatch …") from None
        except OSError as error:
            raise UsageError(f"--netns {shown(name)}: {error.strerror}; `ip netns list` shows namespaces") from None
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(descriptor: int) -> None:
    """setns(2); Python has it from 3.12 on."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
