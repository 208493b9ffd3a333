"""Hostile text in every place that reaches a user, through every command and format, as files on disk.

Each check is held against a naive renderer of its medium, which it must fail: else it would prove nothing.
"""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from crafted.talk import Talk
from test_duplicates import write_pcapng

import pcapwatch
from pcapwatch.cli import main

#: What a header can carry and an HTTP reader lets through, and the same with what only a file name or a comment can.
TEXTS: dict[str, bytes] = {
    "terminal": "\u009b2J\u009b31mred".encode(),
    "html": b"</pre><script>alert(1)</script><img src=x onerror=alert(1)>",
    "markdown": b"|x| [a](http://evil.example) ![i](x) `c` ```b <b>x</b> **y** ~~z~~",
    "formula": b"=cmd|'/c_calc'!A1",
    "at": b"@SUM(1+1)",
    "minus": b"-2+3",
    "right to left": "\u202egnp.exe\u2066\u200f".encode(),
    "invalid": b"\xff\xfe\xc3(\xed\xa0\x80\x9b2J",
    "long": b"=<b>" + b"A" * 60_000,
}
#: More than a head may have by default (max_head_bytes).
OVERLONG = "=<b>\u009b2J".encode() + b"A" * 65_536
OUTSIDE_HTTP = b"\x1b]0;owned\x07\x1b[2J\r\n"
UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")
TABLES = ("txt", "md", "csv", "json", "jsonl", "parquet", "arrow")
COMMANDS = {"analyze": ("txt", "md", "json"), "connections": TABLES, "exchanges": TABLES, "states": TABLES,
            "show": ("txt", "md", "json")}  # fmt: skip
ALL = [(command, name) for command, names in COMMANDS.items() for name in names]


def option(code: int, value: bytes) -> bytes:
    """A pcapng option, padded."""
    return code.to_bytes(2, "little") + len(value).to_bytes(2, "little") + value + bytes(-len(value) % 4)


def client_hello(name: bytes) -> bytes:
    """A TLS ClientHello with this server name and this protocol (RFC 8446 4.1.2, RFC 6066 3, RFC 7301 3.1)."""

    def sized(width: int, body: bytes) -> bytes:
        return len(body).to_bytes(width, "big") + body

    server_name = b"\x00\x00" + sized(2, sized(2, b"\x00" + sized(2, name)))
    protocols = b"\x00\x10" + sized(2, sized(2, sized(1, name)))
    body = b"\x03\x03" + bytes(32) + b"\x00" + sized(2, b"\x13\x01") + b"\x01\x00" + sized(2, server_name + protocols)
    return b"\x16\x03\x01" + sized(2, b"\x01" + sized(3, body))


def craft(folder: Path, text: bytes) -> Path:
    """A pcapng with the text wherever it can be: method, target, Host, User-Agent, Server, Keep-Alive, and around HTTP.

    SNI and ALPN are a second connection's; the rest are the interface's name, its comment and the file's name.
    """
    word = re.sub(rb"[^!-~\x80-\xff]", b"_", text)[:1500]
    talk = Talk()
    talk.handshake()
    method = text if re.fullmatch(rb"[-+0-9]+", text) else b"GET"
    target = word.decode("utf-8", "replace").encode()
    request = method + b" /" + target + b" HTTP/1.1\r\nHost: " + word + b"\r\nUser-Agent: " + text + b"\r\n\r\n"
    response = b"HTTP/1.1 200 OK\r\nServer: " + text[:1000] + b"\r\nKeep-Alive: " + word
    response += b"\r\nContent-Length: 2\r\n\r\nok"
    for at in range(0, len(request), 1400):
        talk.c(0.1 + at * 1e-7, "PA", request[at : at + 1400])
    talk.s(0.2, "PA", response)
    talk.close("s")
    name = re.sub(r"[/\x00\ud800-\udfff]", "_", (OUTSIDE_HTTP + text[:40]).decode("utf-8", "replace"))
    sealed = Talk(client=("10.9.0.1", 40001))
    sealed.handshake(2.0)
    sealed.c(2.1, "PA", client_hello(word[:200]))
    sealed.close("s", 2.5)
    path = write_pcapng(folder / f"{name}.pcapng", [[*talk.packets, *sealed.packets]])
    plain = path.read_bytes()
    body = b"\x01\x00\x00\x00\x00\x00\x00\x00" + option(2, OUTSIDE_HTTP + text[:200]) + option(9, b"\x09")
    body += option(1, OUTSIDE_HTTP + text[:200]) + option(0, b"")
    size = (12 + len(body)).to_bytes(4, "little")
    interface = b"\x01\x00\x00\x00" + size + body + size
    path.write_bytes(plain[:28] + interface + plain[28 + 32 :])
    return path


def check_lines(data: bytes) -> None:
    """UTF-8, and nothing that a terminal obeys or that hides."""
    found = UNSEEN.search(data.decode())
    assert not found, found


def check_markdown(data: bytes) -> None:
    """And outside fences and code spans no tag, link, image or broken cell."""
    check_lines(data)
    outside = re.sub(r"(?ms)^```.*?^```$", "", data.decode())
    for markup in ("<script", "<b>", "<img", "](", "**y", "~~z"):
        assert markup not in outside
    assert "http://evil" not in html.unescape(outside)


def check_csv(data: bytes) -> None:
    """And no cell is computed, but numbers."""
    check_lines(data)
    for row in csv.reader(io.StringIO(data.decode(), newline="")):
        for cell in row:
            assert not cell.lstrip(" ").startswith(tuple("=+-@\t\r")) or re.fullmatch(r"-?[0-9.e-]+", cell), cell


def check_json(data: bytes) -> None:
    """ASCII alone, one document, no control byte."""
    assert data.isascii()
    check_lines(data)
    json.loads(data)


def check_jsonl(data: bytes) -> None:
    """The same for each line."""
    for line in data.splitlines():
        check_json(line)


def check_html(data: bytes) -> None:
    """No tag but the box's own two."""
    check_lines(data)
    assert re.findall(r"<[^>]*>", data.decode())[1:] == ["</pre>"]


def check_parquet(data: bytes) -> None:
    """A table whose strings are valid UTF-8: a program's data is not escaped."""
    pa.parquet.read_table(io.BytesIO(data)).validate(full=True)


def check_arrow(data: bytes) -> None:
    """The same."""
    pa.ipc.open_file(io.BytesIO(data)).read_all().validate(full=True)


CHECKS: dict[str, Callable[[bytes], None]] = {
    "txt": check_lines, "md": check_markdown, "csv": check_csv, "json": check_json, "jsonl": check_jsonl,
    "parquet": check_parquet, "arrow": check_arrow, "html": check_html,
}  # fmt: skip


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One for each text."""
    texts = TEXTS | {"overlong": OVERLONG}
    return {name: craft(tmp_path_factory.mktemp("hostile"), text) for name, text in texts.items()}


@pytest.mark.parametrize("text", [*TEXTS, "overlong"])
@pytest.mark.parametrize(("command", "name"), ALL)
def test_every_command_and_format(
    captures: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str], command: str, name: str, text: str
) -> None:
    """What is written is harmless in its medium, and so is what is said on stderr."""
    out = tmp_path / f"out.{name}"
    extra = {"states": ["--at", "end"], "show": ["1"]}.get(command, [])
    with pytest.raises(SystemExit) as ended:
        main([command, str(captures[text]), *extra, "-o", str(out)])
    assert ended.value.code == 0
    check_lines(capfd.readouterr().err.encode())
    CHECKS[name](out.read_bytes())


@pytest.mark.parametrize("text", TEXTS)
def test_terminal_with_colour_and_notebook(captures: dict[str, Path], text: str) -> None:
    """Colour's own sequences are the only ones; the notebook's box is the only HTML."""
    from pcapwatch.report.text import render_text

    report = pcapwatch.analyze(captures[text], names=True)
    coloured = render_text(report, 100, colour=True)
    check_lines(re.sub(r"\x1b\[[0-9;]*m", "", coloured).encode())
    check_html(report._repr_html_().encode())


@pytest.mark.parametrize("text", TEXTS)
def test_the_text_arrives(captures: dict[str, Path], text: str) -> None:
    """The trap is set: the engine hands the text on, unescaped and bounded, in each of these places."""
    report = pcapwatch.analyze(captures[text])
    (row,) = report.exchanges.to_dict("records")
    start = TEXTS[text].decode("utf-8", "replace")[:2]
    for place in ("user_agent", "server_software", "keep_alive"):
        assert row[place].startswith(start)
        assert len(row[place].encode()) <= 3 * 256
    names = [row for row in report.connections.to_dict("records") if row["sni"]]
    if text != "invalid":
        assert [(row["sni"][:2], row["alpn"][:2]) for row in names] == [(start, start)]
    (file,) = report.summary["capture"]["files"]
    assert "\x1b" in file["path"]
    assert "\x1b" in str(file["interfaces"][0]["name"])


def test_a_value_beyond_64_kib(captures: dict[str, Path]) -> None:
    """A head that is longer than one may be is not read; where it may be, its value arrives cut to 256 bytes."""
    (row,) = pcapwatch.analyze(captures["overlong"]).exchanges.to_dict("records")
    assert (row["user_agent"], row["target"]) == (None, None)
    (row,) = pcapwatch.analyze(captures["overlong"], max_head_bytes=100_000).exchanges.to_dict("records")
    assert row["user_agent"] == OVERLONG[:256].decode()


NAIVE: dict[str, Callable[[str], bytes]] = {
    "txt": lambda text: f"User-Agent: {text}\n".encode(),
    "md": lambda text: f"| agent |\n|---|\n| {text} |\n".encode(),
    "csv": lambda text: f"agent\n{text}\n".encode(),
    "json": lambda text: f'{{"agent": "{text}"}}'.encode(),
    "jsonl": lambda text: json.dumps({"agent": text}, ensure_ascii=False).encode(),
    "html": lambda text: f"<pre>{text}</pre>".encode(),
}
MISSED = [
    ("txt", "terminal"), ("txt", "right to left"), ("md", "terminal"), ("md", "markdown"), ("md", "html"),
    ("md", "long"), ("csv", "formula"), ("csv", "at"), ("csv", "minus"), ("csv", "terminal"), ("csv", "long"),
    ("json", "terminal"), ("json", "right to left"), ("jsonl", "right to left"), ("jsonl", "terminal"),
    ("html", "html"), ("html", "terminal"), ("html", "right to left"),
]  # fmt: skip


@pytest.mark.parametrize(("medium", "text"), MISSED)
def test_a_naive_renderer_fails(medium: str, text: str) -> None:
    """Each check catches the renderer that passes the text through."""
    with pytest.raises((AssertionError, ValueError)):
        CHECKS[medium](NAIVE[medium](TEXTS[text].decode()))
