"""The services of a moment in the order and under the filter that the user chose."""

from __future__ import annotations

from typing import NamedTuple

from pcapwatch.findings.wording import endpoint
from pcapwatch.live.dashboard.trail import opened_per_s
from pcapwatch.live.dashboard.view import View
from pcapwatch.live.moment import Moment
from pcapwatch.report.groups import Group, by_service, closers
from pcapwatch.report.model import Closers
from pcapwatch.report.words import who
from pcapwatch.summary import Exemplar, PairFacts, Summary


class Service(NamedTuple):
    """One service: its row, its new connections per second (``None``: not known yet), and the pairs behind it."""

    row: Closers
    new_per_s: float | None
    group: Group

    @property
    def name(self) -> str:
        """``10.0.0.1:80``."""
        return endpoint(self.row.server, self.row.server_port)

    def summary(self, moment: Moment) -> Summary:
        """The moment's summary with this service's pairs alone."""
        return {**moment.report.summary, "pairs": list(self.group.pairs)}

    @property
    def clients(self) -> str:
        """The one client, or how many."""
        return who(self.row.client, self.row.clients)


def pair_matches(pair: PairFacts, wanted: str) -> bool:
    """Whether ``client → server:port`` contains the filter's text; everything does where there is none."""
    text = f"{pair['client'] or 'other clients'} → {endpoint(pair['server'], pair['server_port'])}"
    return wanted.lower() in text.lower()


def services(moment: Moment, view: View) -> list[Service]:
    """Those with a pair that the filter lets through, from those pairs alone."""
    summary = moment.report.summary
    if view.filter:
        summary = {**summary, "pairs": [pair for pair in summary["pairs"] if pair_matches(pair, view.filter)]}
    rows = [
        Service(closers(group), opened_per_s(view.trail, (group.server, group.server_port)), group)
        for group in by_service(summary)
    ]
    rows.sort(key=lambda service: (-_weight(service, view.sort), service.name))
    return rows[::-1] if view.reverse else rows


def _weight(service: Service, sort: str) -> float:
    row = service.row
    values = {
        "conns": row.connections,
        "new/s": service.new_per_s or 0,
        "client": row.client_first,
        "server": row.server_first,
        "reset": row.reset,
        "open": row.open,
    }
    return values[sort]


def chosen_service(moment: Moment, view: View) -> Service | None:
    """The service that is pointed at."""
    rows = services(moment, view)
    return rows[min(view.chosen, len(rows) - 1)] if rows else None


def examples_of(service: Service) -> list[tuple[str, Exemplar]]:
    """A service's connections that are worth showing, each once, with what they are examples of."""
    found: dict[int, tuple[str, Exemplar]] = {}
    for pair in service.group.pairs:
        for kind, exemplars in sorted(pair["exemplars"].items()):
            for exemplar in exemplars:
                found.setdefault(exemplar["connection"], (kind, exemplar))
    return list(found.values())
