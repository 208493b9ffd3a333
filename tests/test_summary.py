"""The Python shape of the Summary is the Rust one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, is_typeddict

import pytest

from pcapwatch import _engine, summary, summary_of_files

ENGINE = Path(__file__).parents[1] / "engine" / "src"
#: The seam, what the capture files tell of themselves, and the counts of fragments, which go into it as they are.
PARTS = (
    "ledger/summary.rs",
    "ledger/exemplar.rs",
    "ledger/services.rs",
    "capture/facts.rs",
    "capture/gap.rs",
    "decode/fragments/counts.rs",
)
#: What is kept and never told: bytes that decrypt, examples before they are chosen, how gaps are found.
KEPT = {"Secret", "Exemplars", "Ended", "Steps"}
RUST = tuple(ENGINE / part for part in PARTS)


def structs() -> dict[str, list[str]]:
    """Public structs of the Rust source and their public fields that are written, in order."""
    source = "\n".join(path.read_text() for path in RUST)
    found = re.findall(r"^pub struct (\w+) \{\n(.*?)^\}", source, re.MULTILINE | re.DOTALL)
    fields = r"(#\[serde\(skip\)\]\n)?^    pub (\w+):"
    told = {name: re.findall(fields, body, re.MULTILINE) for name, body in found}
    told = {name: fields for name, fields in told.items() if name not in KEPT}
    return {name: [field for skipped, field in pairs if not skipped] for name, pairs in told.items()}


def shapes() -> dict[str, Any]:
    """The TypedDicts of the Python module."""
    return {name: value for name, value in (vars(summary) | vars(summary_of_files)).items() if is_typeddict(value)}


def test_same_structs() -> None:
    """Every struct of the seam has its Python shape, and no shape is left over."""
    assert set(shapes()) == set(structs())


@pytest.mark.parametrize("name", sorted(shapes()))
def test_same_fields(name: str) -> None:
    """The fields of a shape are those of its struct, in the same order."""
    assert list(shapes()[name].__annotations__) == structs()[name]


def test_parses_what_the_engine_writes() -> None:
    """A JSON object with all parts is taken as it is."""
    parts: dict[str, object] = {
        "capture": {},
        "totals": {},
        "pairs": [],
        "services": [],
        "hosts": [],
        "states": [],
        "kernel": [],
    }
    assert summary.parse_summary(json.dumps(parts)) == parts


def test_an_example_of_two_kinds_is_told_once() -> None:
    """The engine writes it once; both kinds have it again, as one and the same object."""
    capture = ENGINE.parents[1] / "fixtures" / "nginx-keepalive-off"
    text = _engine.analyze([str(capture)], "{}").summary_json()
    (told,), (pair,) = json.loads(text)["pairs"], summary.parse_summary(text)["pairs"]
    assert len(told["exemplars"]["connections"]) < sum(map(len, told["exemplars"]["kinds"].values()))
    closed, announced = pair["exemplars"]["closed_by_server"], pair["exemplars"]["announced_close"]
    assert [one["connection"] for one in closed] == [one["connection"] for one in announced]
    assert all(one is other for one, other in zip(closed, announced, strict=True))


@pytest.mark.parametrize("text", ["[]", "{}", '{"capture": {}}', "null"])
def test_refuses_other_json(text: str) -> None:
    """JSON that is no Summary is refused in one line that names what is missing."""
    with pytest.raises(ValueError, match=r"no .*pairs"):
        summary.parse_summary(text)
