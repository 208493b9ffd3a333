"""Which connections to show, and all it takes to find them again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from pcapwatch.findings.evidence import display_filter
from pcapwatch.report.community_id import community_id
from pcapwatch.report.model import Example, Finding
from pcapwatch.summary import Exemplar, Summary

#: Draws connections by their numbers; a ladder is the engine's object.
Draw: TypeAlias = Callable[[Sequence[int]], list[dict[str, Any]]]

SHOWN = 4


def examples(summary: Summary, findings: Sequence[Finding], draw: Draw | None) -> tuple[Example, ...]:
    """Up to four: first what proves the findings, one each, then one of every kind of the busiest services."""
    chosen = _distinct(_candidates(summary, findings))
    ladders = _ladders([exemplar["connection"] for _, exemplar in chosen], draw)
    return tuple(_example(summary, kind, exemplar, ladders.get(exemplar["connection"])) for kind, exemplar in chosen)


def _candidates(summary: Summary, findings: Sequence[Finding]) -> Iterator[tuple[str, Exemplar]]:
    known = {e["connection"]: e for pair in summary["pairs"] for kind in pair["exemplars"].values() for e in kind}
    for finding in findings:
        shown = [e.connection for e in finding.evidence if e.connection in known]
        if shown and shown[0] is not None:
            yield finding.code, known[shown[0]]
    for pair in sorted(summary["pairs"], key=lambda pair: -pair["connections"]):
        for kind, exemplars in sorted(pair["exemplars"].items()):
            for exemplar in exemplars[:1]:
                yield kind, exemplar


def _distinct(candidates: Iterable[tuple[str, Exemplar]]) -> list[tuple[str, Exemplar]]:
    chosen: list[tuple[str, Exemplar]] = []
    kinds, connections = set[str](), set[int]()
    for kind, exemplar in candidates:
        if kind not in kinds and exemplar["connection"] not in connections:
            chosen.append((kind, exemplar))
            kinds.add(kind)
            connections.add(exemplar["connection"])
        if len(chosen) == SHOWN:
            break
    return chosen


def _ladders(connections: list[int], draw: Draw | None) -> dict[int, dict[str, Any]]:
    return {ladder["connection"]: ladder for ladder in draw(connections)} if draw and connections else {}


def _example(summary: Summary, kind: str, exemplar: Exemplar, ladder: dict[str, Any] | None) -> Example:
    client = (str(exemplar["client"][0]), int(exemplar["client"][1]))
    server = (str(exemplar["server"][0]), int(exemplar["server"][1]))
    return Example(
        connection=exemplar["connection"],
        kind=kind,
        client=client,
        server=server,
        file=_path(summary, exemplar["file"]),
        last_file=_path(summary, exemplar["last_file"]),
        first_frame=exemplar["first_frame"],
        last_frame=exemplar["last_frame"],
        start_ns=exemplar["start_ns"],
        end_ns=exemplar["end_ns"],
        display_filter=display_filter(exemplar),
        community_id=community_id(client, server),
        ladder=ladder,
    )


def _path(summary: Summary, index: int) -> str:
    files = summary["capture"]["files"]
    return files[index]["path"] if index < len(files) else "?"
