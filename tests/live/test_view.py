"""Keys, and what each does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pcapwatch.live.dashboard.keys import Keys
from pcapwatch.live.dashboard.pages import HELP
from pcapwatch.live.dashboard.view import FILTER_LENGTH, PAGES, SORTS, View, press


def after(view: View, *keys: str) -> View:
    """The view after several keys."""
    for key in keys:
        view, _ = press(view, key)
    return view


@pytest.mark.parametrize(("key", "page"), PAGES.items())
def test_pages(key: str, page: str) -> None:
    """A digit opens its page from its beginning; tab goes through all and comes back."""
    assert after(View(offset=7), key) == View(page=page)  # type: ignore[arg-type]
    assert after(View(), *["tab"] * len(PAGES)) == View()


def test_order() -> None:
    """`s` goes through every column and comes back; `r` turns the order round."""
    passed = [after(View(), *["s"] * times).sort for times in range(len(SORTS))]
    assert tuple(passed) == SORTS
    assert after(View(), *["s"] * len(SORTS)) == View()
    assert after(View(), "r").reverse
    assert after(View(), "r", "r") == View()


def test_filter() -> None:
    """`/` takes every printable key as text, q and digits too; enter keeps it, esc clears it, backspace takes back."""
    typed = after(View(), "/", *"q80", "backspace", *"4")
    assert (typed.filter, typed.typing, typed.page) == ("q84", True, "overview")
    assert after(typed, "enter") == View(filter="q84")
    assert after(typed, "escape") == View()
    assert after(after(typed, "enter"), "escape") == View()
    assert len(after(View(), "/", *"x" * 200).filter) == FILTER_LENGTH


def test_wishes() -> None:
    """Quit, write and ladder are wished for; Ctrl-C always quits, even while a filter is written."""
    assert [press(View(), key)[1] for key in ("q", "w", "l", "enter", "s")] == [
        "quit",
        "write",
        "ladder",
        "ladder",
        None,
    ]
    assert press(after(View(), "/"), "ctrl-c")[1] == "quit"
    assert press(after(View(), "/"), "q")[1] is None


def test_ladder_and_help_lie_over_a_page() -> None:
    """They go back to where they were opened from; arrows scroll, and in the ladder ask for another example."""
    on = View(page="closers")
    in_ladder = replace(on, page="ladder", back="closers")
    helped = after(in_ladder, "?")
    assert (helped.page, after(helped, "escape").page, after(helped, "?", "escape").page) == (
        "help",
        "ladder",
        "closers",
    )
    helped = after(on, "?")
    assert (helped.page, after(helped, "escape"), after(helped, "q")) == (
        "help",
        replace(on, back="closers"),
    ) * 1 + (replace(on, back="closers"),)
    drawn = replace(on, page="ladder", back="closers", ladder={})
    moved, wish = press(drawn, "right")
    assert (moved.example, wish) == (1, "ladder")
    assert press(drawn, "left")[0].example == 0
    assert after(drawn, "down", "page down").offset == 11
    assert after(drawn, "down", "home").offset == 0
    assert after(drawn, "escape").page == "closers"
    assert after(drawn, "escape").ladder is None


def test_choosing_and_pausing() -> None:
    """Arrows choose a service on the overview and scroll elsewhere, never below nothing; p and space pause."""
    assert after(View(), "down", "j", "up").chosen == 1
    assert after(View(), "up").chosen == 0
    assert after(View(page="findings"), "down").offset == 1
    assert after(View(), "p").paused
    assert not after(View(), "p", " ").paused


def test_a_message_is_said_once() -> None:
    """The next key takes it away."""
    assert after(View(message="written: report.md"), "x").message == ""


def test_every_key_is_in_the_help() -> None:
    """Each key that does something is named in the help."""
    keys = {first for row in HELP.split("\n\n")[0].splitlines() for first in row[:13].replace(",", " ").split()}
    changing = {key for key in map(chr, range(33, 127)) if press(View(), key) != (View(), None) or key == "0"}
    assert changing - keys <= {"h", "j", "k", "?"} | set(PAGES)
    assert all(len(row) <= 80 for row in HELP.splitlines())


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"qs/", ["q", "s", "/"]),
        (b"\x1b[A\x1b[B\x1bOC\x1b[D", ["up", "down", "right", "left"]),
        (b"\x1b[5~\x1b[6~\x1b[H\x1b[1~", ["page up", "page down", "home", "home"]),
        (b"\r\n\t\x7f\x03", ["enter", "enter", "tab", "backspace", "ctrl-c"]),
        ("µ→".encode(), ["µ", "→"]),
        (b"\x1b[1;5A\x1b[200~x", ["x"]),
        (b"\x1bq", ["escape", "q"]),
        (b"\x00\x01\xff", ["\ufffd"]),
    ],
)
def test_keys(data: bytes, keys: list[str]) -> None:
    """Bytes as terminals send them, whole or one at a time, give the same keys; what is no key is none."""
    assert [key for key in Keys().feed(data) if key] == keys
    split = Keys()
    assert [key for byte in data for key in split.feed(bytes([byte]))] == keys


def test_escape_alone() -> None:
    """ESC is a key when nothing follows it; the beginning of an endless sequence does not block what comes after."""
    keys = Keys()
    assert keys.feed(b"\x1b") == []
    assert keys.feed(b"") == ["escape"]
    assert keys.feed(b"\x1b[" + b"1" * 100) == []
    assert keys.feed(b"") == []
    assert keys.feed(b"q") == ["q"]
