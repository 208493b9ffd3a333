"""The services of a moment in the order and under the filter that the user chose."""

from __future__ import annotations

from typing import NamedTuple

from pcapwatch.findings.wording import endpoint
from pcapwatch.live.dashboard.trail import Trail, opened_per_s
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


#: What was asked last, and the answer: a screen asks several times, and there may be ten thousand pairs.
_last: tuple[Moment, Trail, tuple[str, str, bool], list[Service]] | None = None


def services(moment: Moment, view: View) -> list[Service]:
    """Those with a pair that the filter lets through, from those pairs alone."""
    global _last  # noqa: PLW0603 - one screen is drawn at a time, and this is only a shorter way to it
    asked = view.filter, view.sort, view.reverse
    if _last is None or _last[0] is not moment or _last[1] is not view.trail or _last[2] != asked:
        _last = moment, view.trail, asked, _services(moment, view)
    return _last[3]


def _services(moment: Moment, view: View) -> list[Service]:
    summary = moment.report.summary
    if view.filter:
        summary = {**summary, "pairs": [pair for pair in summary["pairs"] if pair_matches(pair, view.filter)]}
    rows = [
        Service(closers(group), opened_per_s(view.trail, (group.server, group.server_port)), group)
        for group in by_service(summary)
    ]
    rows.sort(key=lambda service: (-_weight(service, view.sort), service.name))
    return rows[::-1] if view.reverse else rows


def shown_hosts(moment: Moment, view: View) -> set[str | None] | None:
    """Ends of the pairs that the filter lets through; ``None`` where there is no filter."""
    if not view.filter:
        return None
    pairs = [pair for pair in moment.report.summary["pairs"] if pair_matches(pair, view.filter)]
    return {pair["client"] for pair in pairs} | {pair["server"] for pair in pairs}


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
