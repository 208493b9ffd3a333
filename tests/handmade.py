"""An engine that gives hand-made facts, to test what the command line does around the real one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import summaries

from pcapwatch.summary import Summary


class SourceError(Exception):
    """As the engine's."""


class Analysis:
    """As the engine's, of one summary."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        start = pa.array([summaries.START + 1, None], pa.timestamp("ns", "UTC"))
        client, server = ["10.2.0.1", "10.2.0.1"], ["10.2.0.20", "10.2.0.20"]
        self.connections = pa.table(
            {
                "connection": pa.array([1, 2], pa.uint64()),
                "client": client,
                "client_port": [53448, 53450],
                "server": server,
                "server_port": [80, 80],
                "close": ["fin", "reset"],
                "active_closer": ["server", "client"],
                "time_wait_s": [0.892426, None],
                "start": start,
                "quality": [["gap", "midstream"], []],
            }
        )
        self.exchanges = pa.table(
            {"connection": [1], "index": [1], "method": ["GET"], "target": ["/login?token=secret"]}
        )

    def summary_json(self) -> str:
        """The summary as the engine writes it."""
        return summaries.text_of(self._summary)

    def ladders_json(self, connections: Sequence[int], rows: int = 400) -> str:
        """One ladder each, its request with a query string."""
        return json.dumps([summaries.ladder(number, "GET /login?token=secret HTTP/1.1") for number in connections])


class Engine:
    """Stands in for `pcapwatch._engine`; remembers the settings it was given."""

    SourceError = SourceError

    def __init__(self, summary: Summary) -> None:
        self.summary = summary
        self.settings: list[dict[str, Any]] = []
        self.error: BaseException | None = None

    def analyze(
        self, paths: Sequence[str], settings_json: str, progress: Callable[[int, int, int], None] | None = None
    ) -> Analysis:
        """The hand-made facts, or the error set."""
        self.settings.append(json.loads(settings_json))
        if progress:
            progress(1, 1, 1)
        if self.error:
            raise self.error
        return Analysis(self.summary)
