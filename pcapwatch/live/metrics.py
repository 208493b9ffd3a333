"""``--metrics ADDRESS``: the latest moment for Prometheus, by its official client.

Names and labels follow https://prometheus.io/docs/practices/naming/. Counters never fall: a moment is provisional, so
each shows the most that was seen. Labels are bounded: the first services, hosts and triples get series of their own,
for good; everything else is counted under ``other``, and a gauge without labels tells the worst of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from socket import SHUT_RDWR, socket
from threading import Lock
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from pcapwatch.errors import UsageError
from pcapwatch.live.address import parse_address
from pcapwatch.live.families import Families
from pcapwatch.live.moment import Moment
from pcapwatch.report.escape import terminal

#: A scraper that says nothing for so long is hung up on.
_PATIENCE_S = 10
#: Connections at once. For one more the oldest is hung up on: who drips bytes keeps no scraper out and no files open.
_MOST_CONNECTIONS = 32


#: The one path that is answered.
PATH = "/metrics"


def serve(address: str) -> Metrics:
    """Answer scrapes at ``address`` from now on; ``UsageError`` where that cannot be."""
    return Metrics(*parse_address(address))


class Metrics:
    """A server of what `update` was told last. Made by `serve`."""

    def __init__(self, host: str, port: int) -> None:
        self._latest = _Latest()
        self._families = Families()
        self._rest: list[CounterMetricFamily | GaugeMetricFamily] = []
        registry = CollectorRegistry()
        registry.register(self._latest)
        ProcessCollector(registry=registry)
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            raise UsageError(f"--metrics {where}: {error.strerror or error}: choose another address or port") from None
        self._server.set_app(_only_metrics(make_wsgi_app(registry)))
        _Bounded(self._server)
        # socketserver lets five wait; with one more the next scraper's SYN is dropped, and repeated a second later.
        self._server.socket.listen(4 * _MOST_CONNECTIONS)
        handler: Any = self._server.RequestHandlerClass
        self._server.RequestHandlerClass = type("Handler", (handler,), {"timeout": _PATIENCE_S})
        bound, taken = self._server.server_address[:2]
        self.url = f"http://[{bound!s}]:{taken}/metrics" if ":" in str(bound) else f"http://{bound!s}:{taken}/metrics"

    def update(self, moment: Moment) -> None:
        """Show this moment from now on."""
        self._rest = list(_drawn(self._families.of_report(moment)))
        self.recount(moment)

    def recount(self, moment: Moment) -> None:
        """Show its counters, and what is of the report as it was; for moments that have no report of their own."""
        self._latest.families = [*_drawn(self._families.of_counters(moment)), *self._rest]

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _only_metrics(app: Callable[..., Any]) -> Callable[..., Any]:
    """The client answers on every path; a scrape of a wrong one shall fail and not seem well."""

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        if environ.get("PATH_INFO") == PATH:
            return app(environ, start)
        start("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"only {PATH} is here\n".encode()]

    return answer


class _Bounded:
    """At most so many connections of a threading server, the newest."""

    def __init__(self, server: Any) -> None:
        self._open: dict[socket, None] = {}
        self._lock = Lock()
        self._begin, self._answer = server.process_request, server.process_request_thread
        server.process_request, server.process_request_thread = self._took, self._answered

    def _took(self, connection: socket, address: Any) -> None:
        with self._lock:
            self._open[connection] = None
            if len(self._open) > _MOST_CONNECTIONS:
                oldest = next(iter(self._open))
                del self._open[oldest]
                with suppress(OSError):
                    oldest.shutdown(SHUT_RDWR)
        self._begin(connection, address)

    def _answered(self, connection: socket, address: Any) -> None:
        try:
            self._answer(connection, address)
        finally:
            with self._lock:
                self._open.pop(connection, None)


class _Latest(Collector):
    """What a scrape reads: whole families of one moment, exchanged at once."""

    families: list[CounterMetricFamily | GaugeMetricFamily] = []  # noqa: RUF012 - exchanged, never changed

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        return self.families

    def describe(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        return ()


def _drawn(families: Iterable[Any]) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
    for one in families:
        kind = CounterMetricFamily if one.counter else GaugeMetricFamily
        family = kind(one.name, one.help, labels=one.labels)
        for values, number in one.samples.items():
            family.add_metric([terminal(value) for value in values], number)
        yield family
