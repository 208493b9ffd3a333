"""What may be secret in a URL shows only when asked for, in every format."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import handmade
import pyarrow as pa
import pyarrow.parquet
import pytest
import summaries

from pcapwatch import redact
from pcapwatch.cli.output import TABLE_FORMATS
from pcapwatch.frames import arrow_table

Run: TypeAlias = Callable[..., tuple[int, str, str]]

HIDDEN = {
    "/login?token=hush": "/login?…",
    "/a;jsessionid=hush/b": "/a;…",
    "/a#hush": "/a#…",
    "/a%3Ftoken=hush": "/a%3F…",
    "/a%253ftoken=hush": "/a%253f…",
    "/a%3bid=hush": "/a%3b…",
    "/a%23hush": "/a%23…",
    "/a b?hush": "/a b?…",
    "http://user:hush@h/x": "http://…@h/x",
    "http://user:hush@h:80/x?hush": "http://…@h:80/x?…",
    "user:hush@h:443": "…@h:443",
    "user:hu@sh@h:443": "…@h:443",
    "user%3Ahush%40h:443": "…@h:443",
    "user:a?hush@h:443": "…",
    "http://user:a/hush@h/": "http://…",
    "http://h?x=hush@b&token=hush": "http://…",
    "/fetch/http://user:hush@h/": "/fetch/http://…@h/",
    "/fetch/http:/user:hush@h/": "/fetch/http:/…@h/",
    "/fetch/http%3A%2F%2Fuser%3Ahush%40h%2F": "/fetch/…@h%2F",
}
SHOWN = ["/", "*", "h:443", "[::1]:443", "http://[::1]:80/", "http://h:80/a", "/@scope/x", "/a:b/c%20d", "/a,b=c&d"]
HOSTS = {
    "user:hush@h:80": "…@h:80",
    "h?hush": "h?…",
    "user:hu/sh@h:80": "…@h:80",
    "http://user:hush@h/": "http://…@h/",
    "::1": "::1",
    "h:80": "h:80",
}
SECRETIVE = {"target": list(HIDDEN), "host": ["user:hush@h?hush"] * len(HIDDEN)}


def table(**columns: list[str]) -> Any:
    """The columns as an Arrow table, one of them dictionary-encoded as the engine may do."""
    return pa.table({name: pa.array(values).dictionary_encode() for name, values in columns.items()})


def test_targets_and_hosts() -> None:
    """Only the secret part goes, and the columns agree with the ladders."""
    targets = [*HIDDEN, *SHOWN]
    expected = [*HIDDEN.values(), *SHOWN]
    assert [redact.target(text) for text in targets] == expected
    assert arrow_table(table(target=targets), full_urls=False)["target"].to_pylist() == expected
    assert arrow_table(table(host=list(HOSTS)), full_urls=False)["host"].to_pylist() == list(HOSTS.values())
    assert arrow_table(table(target=targets), full_urls=True)["target"].to_pylist() == targets


@pytest.mark.parametrize("end", [" HTTP/1.1", " HTTP/1.0, Connection: close", "", ", Connection: keep-alive"])
def test_start_lines(end: str) -> None:
    """The method, the version and the Connection option stay, whatever the target; responses are left alone."""
    for text, hidden in HIDDEN.items():
        assert redact.start_line(f"GET {text}{end}") == f"GET {hidden}{end}"
    assert redact.start_line(f"HTTP/1.1 200 why?{end}") == f"HTTP/1.1 200 why?{end}"


def text_of(file: Path) -> str:
    """A table's content as text, binary formats decoded: compression would hide a secret from a search."""
    if file.suffix == ".parquet":
        return str(pyarrow.parquet.read_table(file).to_pylist())
    if file.suffix == ".arrow":
        return str(pa.ipc.open_file(io.BytesIO(file.read_bytes())).read_all().to_pylist())
    return file.read_text()


@pytest.mark.parametrize("suffix", TABLE_FORMATS)
def test_tables(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """No format of the exchanges carries a secret unless asked."""
    made = handmade.Analysis.__init__

    def with_secrets(self: handmade.Analysis, summary: Any) -> None:
        made(self, summary)
        self.exchanges = table(**SECRETIVE)

    monkeypatch.setattr(handmade.Analysis, "__init__", with_secrets)
    file = tmp_path / f"out.{suffix}"
    assert run("exchanges", "a.pcap", "-o", str(file))[0] == 0
    assert "hush" not in text_of(file)
    assert run("exchanges", "a.pcap", "-o", str(file), "--full-urls")[0] == 0
    assert "hush" in text_of(file)


@pytest.mark.parametrize("command", [["show", "a.pcap", "2"], ["analyze", "a.pcap"]])
@pytest.mark.parametrize("suffix", ["txt", "md", "json"])
def test_ladders(run: Run, monkeypatch: pytest.MonkeyPatch, command: list[str], suffix: str) -> None:
    """Nor does a ladder."""
    for text in HIDDEN:
        drawn = json.dumps([summaries.ladder(2, f"GET {text} HTTP/1.1")])
        monkeypatch.setattr(handmade.Analysis, "ladders_json", lambda *_, drawn=drawn, **__: drawn)
        status, out, _ = run(*command, "--format", suffix)
        assert status == 0
        assert "GET" in out
        assert "hush" not in out
