"""What a user has chosen to see, and what each key does to it. Pure: nothing here touches a terminal or a capture."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from pcapwatch.live.dashboard.trail import Trail

Page: TypeAlias = Literal["overview", "closers", "waiting", "ports", "http", "findings", "capture", "ladder", "help"]

#: Pages by the key that opens them.
PAGES: dict[str, Page] = {
    "0": "overview",
    "1": "closers",
    "2": "waiting",
    "3": "ports",
    "4": "http",
    "5": "findings",
    "6": "capture",
}

#: What services are ordered by, in the order in which `s` goes through them.
SORTS = ("conns", "new/s", "client", "server", "reset", "open")

#: Longest text of a filter.
FILTER_LENGTH = 60

Wish: TypeAlias = Literal["quit", "write", "ladder"]


@dataclass(frozen=True, slots=True)
class View:
    """Choices so far.

    page, and the one a ladder or the help was opened from (back); below: the one that a ladder was opened from, while
    the help lies over it; sort and reverse: order of services; filter: shown
    are the ends that contain it; typing: it is being written; paused: the moment stays; chosen: the service pointed at;
    offset: lines scrolled; example: which of a service's examples is drawn, with its title (empty: it has none) and
    ladder (``None``: its packets are gone); message: said in the last line, once; colour: whether control bytes are
    wanted; trail: earlier moments.
    """

    page: Page = "overview"
    back: Page = "overview"
    below: Page = "overview"
    sort: str = SORTS[0]
    reverse: bool = False
    filter: str = ""
    typing: bool = False
    paused: bool = False
    chosen: int = 0
    offset: int = 0
    example: int = 0
    title: str = ""
    ladder: dict[str, Any] | None = None
    message: str = ""
    colour: bool = True
    trail: Trail = field(default_factory=Trail)


def press(view: View, key: str) -> tuple[View, Wish | None]:
    """The view after a key, and what is wished for beside it. Keys are characters or names as ``up`` and ``escape``."""
    view = replace(view, message="")
    if key == "ctrl-c":
        return view, "quit"
    if view.typing:
        return _typed(view, key), None
    if view.page in ("ladder", "help"):
        return _inside(view, key)
    return _outside(view, key)


def _typed(view: View, key: str) -> View:
    if key == "enter":
        return replace(view, typing=False)
    if key == "escape":
        return replace(view, typing=False, filter="")
    if key == "backspace":
        return replace(view, filter=view.filter[:-1], chosen=0)
    if len(key) == 1 and key.isprintable() and len(view.filter) < FILTER_LENGTH:
        return replace(view, filter=view.filter + key, chosen=0)
    return view


def _inside(view: View, key: str) -> tuple[View, Wish | None]:
    """On a page that lies over another."""
    if view.page == "ladder" and key in ("?", "h"):
        return replace(view, page="help", back="ladder", below=view.back, offset=0), None
    if view.page == "help" and view.back == "ladder" and key in ("q", "escape", "enter", "?", "h"):
        return replace(view, page="ladder", back=view.below, offset=0), None
    if key in ("q", "escape", "enter", "?", "l", "h", "0"):
        return replace(view, page=view.back, offset=0, ladder=None), None
    if view.page == "ladder" and key in ("left", "right", "n", "p"):
        step = 1 if key in ("right", "n") else -1
        return replace(view, example=max(view.example + step, 0), offset=0), "ladder"
    if key == "w":
        return view, "write"
    return _scrolled(view, key), None


def _outside(view: View, key: str) -> tuple[View, Wish | None]:
    if key in PAGES:
        return replace(view, page=PAGES[key], offset=0), None
    if key == "tab":
        pages = list(PAGES.values())
        return replace(view, page=pages[(pages.index(view.page) + 1) % len(pages)], offset=0), None
    if key in ("?", "h"):
        return replace(view, page="help", back=view.page, offset=0), None
    if key in ("q", "w"):
        return view, "quit" if key == "q" else "write"
    if key in ("l", "enter"):
        return replace(view, example=0), "ladder"
    if key == "escape":
        return replace(view, filter="", page="overview", offset=0), None
    changed = _chosen(view, key)
    return (changed if changed is not None else _scrolled(view, key)), None


def _chosen(view: View, key: str) -> View | None:
    """Order, filter, pause, and the service pointed at; ``None`` for a key that is none of these."""
    if key == "s":
        return replace(view, sort=SORTS[(SORTS.index(view.sort) + 1) % len(SORTS)])
    if key == "r":
        return replace(view, reverse=not view.reverse)
    if key == "/":
        return replace(view, typing=True)
    if key in ("p", " "):
        return replace(view, paused=not view.paused)
    if view.page in ("overview", "closers") and key in ("up", "k", "down", "j"):
        return replace(view, chosen=max(view.chosen + (1 if key in ("down", "j") else -1), 0))
    return None


def _scrolled(view: View, key: str) -> View:
    steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -10, "page down": 10}
    if key == "home":
        return replace(view, offset=0)
    return replace(view, offset=max(view.offset + steps.get(key, 0), 0))
