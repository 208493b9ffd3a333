"""Packets by scapy's socket, where there is no AF_PACKET: macOS, the BSDs, Windows. They are fed to the engine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from pcapwatch.errors import CaptureError, UsageError

#: (capture time in ns since 1970 UTC, the bytes, their number on the wire)
Raw = tuple[int, bytes, int]
#: The longest packet that is taken.
_LONGEST = 262_144
#: Most packets of one batch.
_MOST = 1024


class Socket:
    """An interface that packets are taken from; a context manager that closes it.

    link_type: as capture files state it. ``UsageError`` without scapy, ``CaptureError`` if the interface cannot be
    opened: one line that says why, and what to do.
    """

    def __init__(
        self, interface: str, *, expression: str | None = None, promiscuous: bool = True, snaplen: int = 0
    ) -> None:
        try:
            import scapy.arch  # gives `conf` its sockets, and what follows the classes that name link types
            import scapy.layers.inet6  # noqa: F401
            from scapy.config import conf
            from scapy.error import Scapy_Exception
        except ImportError:
            raise UsageError("live capture needs scapy here: pip install 'pcapwatch[elsewhere]'") from None
        self._name, self._snaplen = interface, snaplen or _LONGEST
        try:
            self._socket: Any = conf.L2listen(iface=interface, filter=expression, promisc=promiscuous)
        except (OSError, ValueError, Scapy_Exception) as error:
            raise CaptureError(f"{interface}: {_why(error)}") from None
        # Scapy names a link type by the class that dissects it.
        self.link_type = int(conf.l2types.layer2num.get(self._socket.LL, 1))

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the socket."""
        self.close()

    def close(self) -> None:
        """No more packets are taken; once is enough."""
        self._socket.close()

    def batches(self, seconds: float) -> Iterator[list[Raw]]:
        """What comes within so many seconds, as it comes. ``CaptureError`` when the interface is gone."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            batch = self._batch(left_s)
            if batch:
                yield batch

    def _batch(self, seconds: float) -> list[Raw]:
        batch: list[Raw] = []
        try:
            while len(batch) < _MOST and self._socket.select([self._socket], 0 if batch else seconds):
                taken = self._socket.recv_raw(_LONGEST)
                if taken[1]:
                    batch.append(self._raw(*taken))
        except OSError as error:
            raise CaptureError(f"{self._name}: cannot be read any more: {error}") from None
        return batch

    def _raw(self, _kind: object, data: bytes, at_s: float | None) -> Raw:
        # A float of today's seconds is good to a quarter of a microsecond.
        at_ns = time.time_ns() if at_s is None else round(at_s * 1_000_000_000)
        return at_ns, bytes(data[: self._snaplen]), len(data)


def _why(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, PermissionError):
        return "no right to capture: run it as an administrator (sudo)"
    if "filter" in text:
        return f"the filter cannot be used here: {text}"
    return f"cannot be captured from: {text}; `pcapwatch live --list` shows the interfaces there are"
