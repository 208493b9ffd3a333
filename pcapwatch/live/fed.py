"""A live session where there is no ring: scapy's socket is read in a thread, and the engine is fed."""

from __future__ import annotations

import json
import os
import sys
import threading
from types import TracebackType
from typing import Any, Self

from pcapwatch import _engine
from pcapwatch.errors import CaptureError, PcapwatchError, UsageError
from pcapwatch.live.elsewhere import Socket
from pcapwatch.live.rights import give_up
from pcapwatch.live.session import RingOptions, Session
from pcapwatch.settings import Settings

#: How often the thread looks whether it shall end.
_SLICE_S = 0.1
_PATIENCE_S = 2.0


def is_elsewhere() -> bool:
    """Whether there is no ring on this system, or ``PCAPWATCH_CAPTURE=scapy`` asks to do without it."""
    return sys.platform != "linux" or os.environ.get("PCAPWATCH_CAPTURE") == "scapy"


class FedSession(Session):
    """As `Session`; the packets come by a socket of scapy's."""

    def __init__(self, engine: Any, source: Socket, name: str, settings: Settings) -> None:
        super().__init__(engine, name, settings)
        self._socket, self._over = source, threading.Event()
        self._failed: PcapwatchError | None = None
        self._thread = threading.Thread(target=self._feed, name="pcapwatch-feed", daemon=True)
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the thread and closes the socket."""
        self._end()
        super().__exit__(kind, error, trace)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def advance(self, seconds: float) -> bool:
        """As `Session.advance`; a socket that failed is `failure`, and what came is to be concluded."""
        goes_on = super().advance(seconds)
        if self._failed is None:
            return goes_on
        self.failure = CaptureError(str(self._failed))
        return False

    def conclude(self) -> Any:
        """As `Session.conclude`, of every packet that came until now."""
        self._end()
        return super().conclude()

    def _end(self) -> None:
        self._over.set()
        # It may be waiting to give packets that nobody takes any more; it ends with the process then.
        self._thread.join(_PATIENCE_S)
        self._socket.close()

    def _feed(self) -> None:
        engine = self._engine
        try:
            while not self._over.is_set():
                for batch in self._socket.batches(_SLICE_S):
                    if not engine.feed(batch):
                        return
        except PcapwatchError as error:
            self._failed = error


def open_fed(
    options: RingOptions,
    settings: Settings,
    write: dict[str, Any] | None = None,
    most_packets: int | None = None,
    give_up_for: tuple[str | None] | None = None,
) -> FedSession:
    """An interface by scapy's socket, filtered by ``settings.filter``; write: as of ``Live.open_interface``.

    give_up_for: the user whom root becomes once the socket is open, of all the rights of this process; without any
    (``(None,)``) whoever called it by sudo.
    ``CaptureError`` if it cannot be opened, ``UsageError`` without scapy. Ring, fanout and namespaces are Linux's.
    """
    for given, word in ((options.fanout, "--fanout"), (options.netns, "--netns")):
        if given:
            raise UsageError(f"{word} is Linux's: packets are taken by scapy's socket here, which has no such thing")
    name, snaplen = options.interface, options.snaplen
    socket = Socket(name, expression=settings.filter, promiscuous=options.promiscuous, snaplen=snaplen)
    fed = {"interface": name, "link_type": socket.link_type, "snaplen": snaplen or 262_144}
    files = {**write, "interface": name, "filter": settings.filter} if write else None
    try:
        if give_up_for is not None:
            give_up(*give_up_for)
        asked = json.dumps({"fed": fed, "write": files})
        engine = _engine.Live.open_fed(asked, settings.to_engine(), most_packets)
    except _engine.SourceError as error:
        socket.close()
        raise CaptureError(str(error)) from None
    except CaptureError:
        socket.close()
        raise
    return FedSession(engine, socket, name, settings)
