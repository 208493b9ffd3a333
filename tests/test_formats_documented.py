"""docs/formats.md against engine and fixtures: each link type and encapsulation has one file, tests, a fixture.

What is read and not listed there fails as well as what is listed and not read.
"""

from __future__ import annotations

import re
import struct
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
from places import ROOT

import pcapwatch
from pcapwatch.bpf import LINKTYPES

DECODE = ROOT / "engine" / "src" / "decode"
FORMATS = (ROOT / "docs" / "formats.md").read_text()
FIXTURES = sorted(chain((ROOT / "fixtures").glob("*/*.pcap"), (ROOT / "fixtures").glob("*/*.pcapng")))
#: Link types are asked for up to here; the highest that tcpdump.org lists is below 300.
MOST_LINK_TYPE = 1023


def table(heading: str) -> list[dict[str, str]]:
    """The rows of the first table below a heading, by column."""
    lines = FORMATS.split(f"## {heading}\n")[1].splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("| "))
    cells = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        cells.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


LINKS, LAYERS, FRAMES = table("Link types"), table("Encapsulations"), table("Frames of 802.11")


def numbers(row: dict[str, str]) -> set[int]:
    """The link types of a row."""
    return set(map(int, row["number"].split(", ")))


def words(row: dict[str, str]) -> set[str]:
    """What a row's layers are called in the `tunnel` column: the first word of each text; `…` is no name."""
    return {text.split()[0] for text in re.findall("`([^`]+)`", row["in the text"])} - {"…"}


def block(kind: int, body: bytes) -> bytes:
    """A pcapng block."""
    body += bytes(-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


@cache
def unread(folder: Path) -> set[int]:
    """The link types that the engine says it does not read: a file of one interface and one packet of each."""
    every = range(MOST_LINK_TYPE + 1)
    blocks = [block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))]
    blocks += [block(1, struct.pack("<HHI", link, 0, 0)) for link in every]
    blocks += [block(6, struct.pack("<IIIII", link, 0, link, 0, 0)) for link in every]
    path = folder / "every.pcapng"
    path.write_bytes(b"".join(blocks))
    counted = pcapwatch.analyze(path).summary["capture"]["not_analysed"]
    return {int(kind.removeprefix("link_type_")) for kind in counted if kind.startswith("link_type_")}


@cache
def found_layers() -> set[str]:
    """The first word of every layer that the tool names in the fixtures' connections."""
    texts = chain.from_iterable(pcapwatch.analyze(path).connections["tunnel"].dropna() for path in FIXTURES)
    return {layer.split()[0] for text in texts for layer in text.split(" / ")}


def link_of(path: Path) -> int:
    """The link type of a little-endian pcap, or of a pcapng's first interface."""
    start = path.read_bytes()[:4096]
    if start[:4] == b"\x0a\x0d\x0d\x0a":
        return int(struct.unpack_from("<H", start, struct.unpack_from("<I", start, 4)[0] + 8)[0])
    return int(struct.unpack_from("<I", start, 20)[0])


def test_the_engine_reads_the_link_types_of_the_table_and_no_other(tmp_path: Path) -> None:
    """Of all numbers, those that are not counted as `link_type_NUMBER` are the table's."""
    read = set(range(MOST_LINK_TYPE + 1)) - unread(tmp_path)
    assert read == set().union(*map(numbers, LINKS))


def test_filters_are_compiled_for_every_link_type() -> None:
    """A link type that is read and has no program would lose all its packets to any filter."""
    assert set(LINKTYPES) == set().union(*map(numbers, LINKS))


def test_every_link_type_has_a_fixture() -> None:
    """For every number some capture in the fixtures is of that link type."""
    assert set().union(*map(numbers, LINKS)) <= set(map(link_of, FIXTURES))


def test_every_encapsulation_is_named_documented_and_has_a_fixture() -> None:
    """The names that the engine can write, those of the table and those that it finds in the fixtures are the same."""
    source = (DECODE / "layers.rs").read_text().split("#[cfg(test)]")[0]
    writes = {text.split()[0] for text in re.findall(r'(?:write!\(text, |push_str\()"([0-9a-z][0-9a-z ]*)', source)}
    assert writes == set().union(*map(words, LAYERS))
    assert found_layers() == writes


@pytest.mark.parametrize("rows", [LINKS, LAYERS, FRAMES], ids=["link types", "encapsulations", "frames"])
def test_one_file_each(rows: list[dict[str, str]]) -> None:
    """No file is named twice in a table."""
    files = [row["file"] for row in rows]
    assert len(set(files)) == len(files)


@pytest.mark.parametrize("row", [*LINKS, *LAYERS, *FRAMES], ids=lambda row: row["file"].strip("`"))
def test_its_file_has_its_constants_and_its_tests(row: dict[str, str]) -> None:
    """The file is there and is part of the decoder; a link type's states the number; its tests are in it."""
    name = row["file"].strip("`")
    beside = DECODE / name.removesuffix(".rs") / "tests.rs"
    text = (DECODE / name).read_text() + (beside.read_text() if beside.exists() else "")
    assert f"mod {name.removesuffix('.rs')};" in (DECODE / "mod.rs").read_text()
    assert "#[cfg(test)]" in text
    assert "#[test]" in text
    if "number" in row:
        assert numbers(row) <= set(map(int, re.findall(r"const \w+: u32 = (\d+);", text)))


def test_other_files_of_the_decoder_are_no_formats() -> None:
    """A new file in engine/src/decode is a format of these tables, or one of the decoder's own."""
    own = {
        "hostile_tests", "ip", "ipv4", "ipv6", "key", "kind", "layers", "link", "mod", "plain", "segment", "span",
        "tcp", "tests", "udp", "walk",
    }  # fmt: skip
    named = {row["file"].strip("`").removesuffix(".rs") for row in [*LINKS, *LAYERS, *FRAMES]}
    assert {path.stem for path in DECODE.glob("*.rs")} == named | own


def test_options_are_named_with_their_command() -> None:
    """`--names` is of one command alone, so it is never named without it."""
    text = re.sub(r"\s+", " ", FORMATS)
    assert "--names" in text
    assert not re.search(r"(?<!analyze )--names", text)
