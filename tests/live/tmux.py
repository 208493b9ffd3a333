"""A real terminal to drive: tmux, with a server of its own that ends with it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

PROMPT = "ready>"


class Tmux:
    """One window with a shell in it. A context; skips the test where there is no tmux."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        if shutil.which("tmux") is None:
            pytest.skip("no tmux: apt-get install tmux")
        self._socket, self._gone = folder / "tmux", False
        size = ("-x", "80", "-y", "24")
        named = (f"{name}={value}" for name, value in {"PS1": PROMPT, **(environment or {})}.items())
        shell = ("env", *named, "bash", "--norc")
        self._ask("new-session", "-d", *size, "-c", str(folder), shlex.join([*shell, "--noprofile", "-i"]))
        self.until(lambda screen: screen[0].startswith(PROMPT))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._gone:
            self._ask("kill-server")

    def _ask(self, *words: str) -> str:
        command = ["tmux", "-S", str(self._socket), "-f", "/dev/null", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

    def type(self, text: str) -> None:
        """Keys that are characters."""
        self._ask("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        """Keys by tmux's names: Enter, Escape, Up, C-c."""
        self._ask("send-keys", *keys)

    def run(self, command: str) -> None:
        """A command line in the shell."""
        self.type(command)
        self.press("Enter")

    def screen(self, *, styled: bool = False) -> list[str]:
        """What the window shows, line by line."""
        return self._ask("capture-pane", "-p", *(["-e"] if styled else [])).splitlines()

    def until(self, seen: Callable[[list[str]], object], patience_s: float = 40) -> list[str]:
        """Waits for a screen; gives it."""
        deadline = time.monotonic() + patience_s
        while not seen(screen := self.screen()):
            assert time.monotonic() < deadline, "\n".join(screen)
            time.sleep(0.05)
        return screen

    def shows(self, text: str) -> list[str]:
        """Waits until the text is somewhere on the screen."""
        return self.until(lambda screen: text in "\n".join(screen))

    def resize(self, width: int, height: int) -> None:
        """Another size of the window (SIGWINCH)."""
        self._ask("resize-window", "-x", str(width), "-y", str(height))

    def modes(self) -> str:
        """Alternate screen, cursor and wrapping: ``0 1 1`` as a shell has them."""
        return self._ask("display-message", "-p", "#{alternate_on} #{cursor_flag} #{wrap_flag}").strip()

    def record(self, file: Path) -> None:
        """Every byte that is sent to the terminal from now on."""
        self._ask("pipe-pane", "-o", f"exec cat > {shlex.quote(str(file))}")

    def hang_up(self) -> None:
        """Close the window, as when ssh ends."""
        self._ask("kill-server")
        self._gone = True
